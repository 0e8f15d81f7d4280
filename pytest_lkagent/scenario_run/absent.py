"""Names under `absent` that nobody has: what they name is absent whatever happens."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from livekit.agents import Agent

from ..errors import UsageError, did_you_mean
from ..leftovers import Offers
from ..references import loaded
from ..scenarios.expectations import (
    CallExpectation,
    Expectation,
    HandoffExpectation,
    OutputExpectation,
)
from ..script import Request
from ..tools import declared_tools, is_tool

__all__ = ["refuse_misspelt"]


def refuse_misspelt(
    absent: Expectation, module: ModuleType | None, offers: Offers, requests: Iterable[Request]
) -> None:
    """Refuse a name that is nearly one of a tool, or of an agent, and none itself.

    One that is like no other may be of a tool which an agent only has later, or of an agent that
    is imported then. `module` is the one under test.

    Raises:
        UsageError: Such a name is meant to be absent.
    """
    values = [] if module is None else [*vars(module).values()]
    beside = [one for one in values if isinstance(one, type) and issubclass(one, Agent)]
    near: set[str]
    names: tuple[str | None, ...]
    if isinstance(absent, HandoffExpectation):
        what, names = "there is no agent", (absent.old, absent.new)
        near = {one.__name__ for one in beside} | offers.noted.keys()
        known = near | {one.__name__ for one in loaded(Agent)}
    elif isinstance(absent, (CallExpectation, OutputExpectation)):
        what, names = "no agent has a tool", (absent.name,)
        near = {tool.id for tool in values if is_tool(tool)}
        near = near.union(*map(declared_tools, beside), *offers.noted.values())
        near = near.union(*(request.tools for request in requests))
        known = near.union(*map(declared_tools, loaded(Agent)))
    else:
        return
    for name in names:
        if name and name not in known and (hint := did_you_mean(name, near)):
            raise UsageError(f"{what} {name!r}, so it is absent whatever happens{hint}")
