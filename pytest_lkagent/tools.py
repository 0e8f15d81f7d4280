"""The tools of an Agent class: declared ones, and whether its instances may have more."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

from livekit.agents import Agent, llm

from .errors import UsageError, did_you_mean, one_of

__all__ = ["declared_tools", "function_of", "is_tool", "may_add_tools", "tool_of"]

_ADDING = {"tools", "update_tools", "mcp_servers"}


def is_tool(value: Any) -> bool:
    """Whether `value` is a function tool, of whichever kind."""
    return isinstance(value, (llm.FunctionTool, llm.RawFunctionTool))


def declared_tools(agent: type[Agent]) -> dict[str, Any]:
    """Return the tools declared on the class and its bases, by name."""
    found = (getattr(agent, name, None) for name in dir(agent))
    return {tool.id: tool for tool in found if tool is not None and is_tool(tool)}


def may_add_tools(agent: type[Agent]) -> bool:
    """Whether instances may have tools that the class does not declare.

    They may when nobody but LiveKit wrote the ``__init__``, which takes ``tools=``, and when code
    of the class, or of a base below LiveKit's own, names ``tools``, ``update_tools`` or
    ``mcp_servers``, or hands ``**kwargs`` on to LiveKit's ``__init__``.
    """
    if _is_livekits(agent.__init__):
        return True
    bases = [base for base in agent.__mro__ if not _is_livekits(base) and base is not object]
    return any(_takes_keywords(vars(base).get("__init__")) for base in bases) or any(
        _ADDING & set(_names(code))
        for base in bases
        for code in map(_code_of, vars(base).values())
        if code is not None
    )


def tool_of(agent: type[Agent], name: str) -> Any:
    """Return the tool of this name that `agent` declares, None where only instances may have it.

    Raises:
        UsageError: No instance can have it.
    """
    __tracebackhide__ = True
    declared = declared_tools(agent)
    if name not in declared and not may_add_tools(agent):
        raise UsageError(
            f"{agent.__name__} has no tool {name!r}; it has {one_of(declared)} (a tool that "
            "AgentSession(tools=…) brings is mocked on Agent)"
            f"{_elsewhere(agent, name) or did_you_mean(name, declared)}"
        )
    return declared.get(name)


def _elsewhere(agent: type[Agent], name: str) -> str:
    """Say which other agents of the same module have such a tool."""
    module = sys.modules.get(agent.__module__)
    others = [
        value.__name__
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Agent) and name in declared_tools(value)
    ]
    return f"; {one_of(others)} has it" if others else ""


def function_of(tool: Any) -> Any:
    """Return the function that a tool wraps, the same for every instance that it is bound to."""
    return inspect.unwrap(tool)


def _is_livekits(value: Any) -> bool:
    return str(value.__module__).split(".")[0] == "livekit"


def _takes_keywords(construct: Any) -> bool:
    code = _code_of(construct)
    return code is not None and bool(code.co_flags & inspect.CO_VARKEYWORDS)


def _code_of(value: Any) -> CodeType | None:
    value = getattr(value, "__func__", value)
    value = inspect.unwrap(value) if callable(value) else value
    return getattr(value, "__code__", None)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, tuple):
            yield from (name for name in const if isinstance(name, str))
        elif isinstance(const, CodeType):
            yield from _names(const)
