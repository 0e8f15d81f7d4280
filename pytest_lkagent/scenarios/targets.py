"""Where a scenario is played: in this process, over LiveKit's protocol, in a process of its own.

Over the protocol goes what the protocol has; in another process, with a clock of its own, runs what
needs neither its objects nor its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..options import INPROCESS, MEMORY
from ..sites import Site
from .model import MockOutcome, Scenario, ScenarioTurn

__all__ = ["why_not"]

_MOST_SECONDS: Final = 1.0
"""Real seconds that a process may be made to wait for at a time."""

_OTHER_CLOCK: Final = "needs virtual time, and that process has a clock of its own"


def why_not(scenario: Scenario, target: str, *, entrypoint: bool) -> tuple[Site, str] | None:
    """Say why a scenario cannot be played there, and where it says so; None where it can be.

    `entrypoint` is whether its entrypoint is one that another process can import.
    """
    if target == INPROCESS:
        return None
    if scenario.mode == "audio":
        return scenario.mode_site or scenario.site, "a call is played in this process"
    if scenario.fuzz is not None:
        return scenario.fuzz.site, "its invariants look at objects of this process"
    found = _over_the_wire(scenario) if target == MEMORY else _apart(scenario, entrypoint)
    return next(found, None)


def _over_the_wire(scenario: Scenario) -> Iterator[tuple[Site, str]]:
    for turn in _turns(scenario):
        if turn.user is not None and turn.user.modality != "text":
            yield turn.site, f"its protocol has no modality {turn.user.modality}"


def _apart(scenario: Scenario, entrypoint: bool) -> Iterator[tuple[Site, str]]:  # noqa: FBT001
    if not entrypoint:
        yield scenario.site, "it imports an entrypoint: name one, entrypoint: agent.py:server"
    yield from _over_the_wire(scenario)
    if scenario.check is not None:
        yield scenario.check.site, "check: looks at objects of this process"
    for turn in _turns(scenario):
        if turn.check is not None:
            yield turn.check.site, "check: looks at objects of this process"
        if turn.after is not None:
            yield turn.after.site, "after: looks at the userdata, which is in that process"
        for key in ("within", "interrupt"):
            if getattr(turn, key) is not None:
                yield turn.site, f"{key}: {_OTHER_CLOCK}"
        if not turn.settle:
            yield turn.site, f"settle: false {_OTHER_CLOCK}"
        if (turn.wait or 0.0) > _MOST_SECONDS:
            yield turn.site, _really_passes("a wait", turn.wait)
        for entry in turn.llm:
            if entry.stall or (entry.fail is not None and entry.fail.timeout):
                yield entry.site, "the model that never answers would really be waited for"
            if (lasts := max(entry.ttft or 0.0, entry.duration or 0.0)) > _MOST_SECONDS:
                yield entry.site, _really_passes("an answer", lasts)
    for mock in _mocks(scenario):
        if mock.delay > _MOST_SECONDS:
            yield mock.site, _really_passes("a delay", mock.delay)


def _really_passes(what: str, seconds: float | None) -> str:
    return f"{what} of {seconds:g} s would really pass, and 1 s is the most"


def _turns(scenario: Scenario) -> Iterator[ScenarioTurn]:
    if scenario.start is not None:
        yield scenario.start
    yield from scenario.turns or ()


def _mocks(scenario: Scenario) -> Iterator[MockOutcome]:
    for tools in scenario.mocks.values():
        if isinstance(tools, Mapping):
            for mock in tools.values():
                yield mock
                yield from mock.calls or ()
