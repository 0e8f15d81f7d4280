"""Which tools an agent offers to its model."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from livekit.agents import Agent, llm

from ..build import called
from ..errors import UsageError
from ..tools import declared_tools, is_tool, may_add_tools

__all__ = ["tools_of"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own


def tools_of(agent: Any, *, what: str) -> Mapping[str, Any]:
    """Return the tools of an agent, of a class, a factory or a collection of tools, by name.

    A class is made only where its instances may have more tools than it declares.

    Raises:
        UsageError: The agent cannot be made, or it is none; `what` begins the message.
    """
    if isinstance(agent, type) and issubclass(agent, Agent) and not may_add_tools(agent):
        return declared_tools(agent)
    if isinstance(agent, Iterable) and not isinstance(agent, (str, type, Agent)):
        tools: Any = agent.values() if isinstance(agent, Mapping) else agent
    else:
        tools = _made(agent, what).tools
    try:
        return llm.ToolContext([*tools]).function_tools
    except ValueError as problem:
        raise UsageError(f"{what}: {problem}") from None


def _made(agent: Any, what: str) -> Agent:
    if not isinstance(agent, Agent) and callable(agent) and not is_tool(agent):
        agent = called(agent, what=what)
        if inspect.iscoroutine(agent):
            agent.close()
            raise UsageError(
                f"{what}: the factory is a coroutine function; give an agent that it made, or the "
                "tools"
            )
    if not isinstance(agent, Agent):
        raise UsageError(
            f"{what}: expected an Agent, its class, a factory or a collection of tools, "
            f"not {agent!r}"
        )
    return agent
