"""What tools do instead, as `fuzz_agent` takes it: ``{"book": "booked"}``, or by the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from livekit.agents import Agent, AgentTask

from ..errors import UsageError, one_of
from ..mocks import TaskMock, ToolMock
from ..tools import declared_tools, may_add_tools

__all__ = ["by_owner", "made_of"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own


def by_owner(mocks: Mapping[Any, Any], agent: Any, *, where: str) -> Mapping[Any, Any]:
    """Return the mocks by the agents that have the tools; bare names are tools of `agent`.

    Raises:
        UsageError: They are no mapping of tools, or it cannot be told whose one is.
    """
    if not isinstance(mocks, Mapping):
        raise UsageError(f"{where}: mocks is a mapping of tools to what they do, not {mocks!r}")
    owners: dict[Any, Any] = {}
    for key, does in mocks.items():
        if isinstance(key, str):
            if not isinstance(agent, type):
                raise UsageError(
                    f"{where}: whose tool is {key!r}? name the class, as in mocks={{FrontDesk: "
                    f"{{{key!r}: …}}}}"
                )
            owners.setdefault(agent, {})[key] = does
        elif isinstance(key, type) and issubclass(key, Agent):
            if not isinstance(does, Mapping) and not issubclass(key, AgentTask):
                raise UsageError(
                    f"{where}: mocks[{key.__name__}] is a mapping of its tools, not {does!r}"
                )
            if isinstance(does, Mapping) and _is_result(key, does):
                raise UsageError(
                    f"{where}: mocks[{key.__name__}] is a mapping of its tools, and it has "
                    f"{one_of(declared_tools(key))}; for its result write mocks={{{key.__name__}: "
                    f"lambda: {dict(does)!r}}}"
                )
            owners[key] = {**owners.get(key, {}), **does} if isinstance(does, Mapping) else does
        else:
            raise UsageError(f"{where}: mocks names tools and Agent classes, not {key!r}")
    return owners


def made_of(owners: Mapping[Any, Any]) -> Sequence[ToolMock | TaskMock]:
    """Make the mocks; they need not be called.

    Raises:
        UsageError: There is no such tool.
    """
    made: list[ToolMock | TaskMock] = []
    for owner, does in owners.items():
        if isinstance(does, Mapping):
            made += [
                ToolMock(owner, tool, optional=True, **_behaviour(outcome))
                for tool, outcome in does.items()
            ]
        else:
            made.append(TaskMock(owner, optional=True, **_behaviour(does)))
    return made


def _is_result(owner: type[Agent], does: Mapping[Any, Any]) -> bool:
    """Whether this can only be meant as the result of an AgentTask."""
    is_task = issubclass(owner, AgentTask) and not may_add_tools(owner)
    return is_task and declared_tools(owner).keys().isdisjoint(does)


def _behaviour(does: Any) -> dict[str, Any]:
    """Say as a mock takes it what it does."""
    if isinstance(does, BaseException) or (
        isinstance(does, type) and issubclass(does, BaseException)
    ):
        return {"raises": does}
    return {"side_effect" if callable(does) else "returns": does}
