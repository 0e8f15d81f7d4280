"""Comparing what happened with what was expected, and telling the difference in one look.

All functions are pure and return None where the expectation is met. A `Mismatch` is a text like

    expected function_call book(slot='2pm')
          [0] user            book it
      >>> [1] function_call   book(slot='3pm')
          closest: arguments differ at slot: expected '2pm', got '3pm'

which the player puts behind the place and the name of the scenario.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from types import EllipsisType
from typing import Any

from ..errors import with_causes
from ..sites import Site
from ..transcript import AgentHandoff, Event, FunctionCallOutput, render
from .align import Alignment, fits
from .expectations import (
    ErrorExpectation,
    Expectation,
    HandoffExpectation,
    MessageExpectation,
    at,
    differences,
)
from .model import After, LlmEntry, ScenarioTurn

__all__ = [
    "Mismatch",
    "match_absent",
    "match_after",
    "match_error",
    "match_failures",
    "match_turn",
    "match_within",
]

_INDENT = " " * 6
_LIST = "list the events in the order in which they came"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What was expected and did not come, or came and was not expected.

    `site` is where the expectation was written, None where an event came that nobody listed.
    `missing` is what did not come, None where it is something else.
    """

    header: str
    lines: tuple[str, ...] = ()
    site: Site | None = None
    missing: Expectation | None = None

    def __str__(self) -> str:
        return "\n".join((self.header, *self.lines))

    def with_notes(self, notes: Iterable[str]) -> Mismatch:
        return replace(self, lines=(*self.lines, *(_INDENT + note for note in notes)))


def match_turn(
    expectations: Sequence[Expectation | EllipsisType],
    events: Sequence[Event],
    *,
    scripted: Sequence[LlmEntry] = (),
) -> Mismatch | None:
    """Compare the events of a turn with its `expect`.

    What `scripted`, the turn's own llm entries, say and call may be left out, as often as they
    have it; what the user says and the hand-over from nobody never need listing.
    """
    alignment = Alignment(expectations, events, scripted)
    return None if alignment.succeeds() else _explain(alignment)


def match_failures(
    expectations: Sequence[Expectation | EllipsisType] | None,
    events: Sequence[Event],
    *,
    scripted: Sequence[LlmEntry] = (),
    meant: Collection[str] = (),
) -> Mismatch | None:
    """Find a tool that failed although no entry of `expect` tells so.

    ``...`` does not, and neither does no `expect` at all; `meant` are calls that are to fail.
    """
    listed = (...,) if expectations is None else expectations
    failures = [
        index
        for index, event in enumerate(events)
        if isinstance(event, FunctionCallOutput)
        and event.is_error
        and event.call_id.removesuffix("_final") not in meant
    ]

    if not failures:
        return None

    def are_told(some: Iterable[int]) -> bool:
        return Alignment(listed, events, scripted, frozenset(some)).succeeds()

    if are_told(failures):
        return None
    first = next((index for index in failures if not are_told([index])), failures[-1])
    event = events[first]
    assert isinstance(event, FunctionCallOutput)
    entry = f"- function_call_output: {{name: {event.name}, is_error: true}}"
    advice = (f"if that is right, list it under expect: {entry}", "or write allow: [tool_error]")
    return Mismatch(f"the tool {event.name} failed", _shown(events, first, *advice))


def match_absent(
    absent: Sequence[Expectation], events: Sequence[Event], *, names_agent: bool = False
) -> Mismatch | None:
    """Find an event that must appear nowhere.

    LiveKit notes a hand-over to the first agent too, from nobody, which always happens. Where the
    file `names_agent` it is never meant, and where an entrypoint chooses by its name alone.
    """
    for expectation in absent:
        for index, event in enumerate(events):
            is_start = isinstance(event, AgentHandoff) and event.old is None
            is_named = isinstance(expectation, HandoffExpectation) and expectation.new is not None
            if is_start and (names_agent or not is_named):
                continue
            if fits(expectation, event):
                lines = _shown(events, index, "absent: this must not happen")
                return Mismatch(f"not expected: {expectation}", lines, expectation.site)
    return None


def match_within(turn: ScenarioTurn, took: float, bound: float) -> Mismatch | None:
    """Compare how long a turn took with its `within`; no turn is let take more than `bound`."""
    if turn.within is None:
        return None
    if turn.within > bound:
        return Mismatch(
            f"within: {turn.within:g} means seconds, and lets everything pass: a turn is "
            f"ended after {bound:g}; for milliseconds write within: {turn.within:g}ms"
        )
    if took > turn.within:
        return Mismatch(
            f"the turn took {took:g} s from beginning to end, and should take {turn.within:g} s at "
            "most"
        )
    return None


def match_error(expectation: ErrorExpectation, error: BaseException | None) -> Mismatch | None:
    """Look for the expected error in the error or anything in its `__cause__` chain."""
    lines: list[str] = []
    for link in with_causes(error):
        named = expectation.type in (None, *(cls.__name__ for cls in type(link).__mro__))
        wrong = list(expectation.text.differences(str(link))) if named else ["another class"]
        if not wrong:
            return None
        about = f": {wrong[0]}" if named else f", which is no {expectation.type}"
        lines.append(f"{_INDENT}{'caused by' if lines else 'raised'}: {type(link).__name__}{about}")
        if not named:
            lines.append(f"{_INDENT}  {link}")
    lines = lines or [f"{_INDENT}nothing was raised"]
    return Mismatch(f"expected {expectation}", tuple(lines), expectation.site)


def match_after(after: After, userdata: Any) -> Mismatch | None:
    """Compare the userdata with the attributes and keys that it should have."""
    differing = [
        f"{_INDENT}userdata differs{at(path)}: {difference}"
        for path, difference in differences(after.userdata, userdata)
    ]
    if not differing:
        return None
    if userdata is None:
        return Mismatch(
            "after: this session has no userdata; write userdata: in the scenario, override the "
            "fixture userdata, or have the entrypoint give it some",
            site=after.site,
        )
    return Mismatch("expected other userdata after the turn", tuple(differing), after.site)


def _shown(events: Sequence[Event], mark: int | None, *notes: str) -> tuple[str, ...]:
    lines = render(events, mark=mark) or [f"{_INDENT}nothing happened"]
    return (*lines, *(_INDENT + note for note in notes))


def _explain(alignment: Alignment) -> Mismatch:
    """Tell the miss from the state that came furthest."""
    events, furthest = alignment.events, max(alignment.reached)
    stuck_at = alignment.stuck_at(furthest)
    if furthest == len(alignment.expectations):
        return _unexpected(events, stuck_at)
    expected = alignment.expectations[furthest]
    assert not isinstance(expected, EllipsisType)  # it would have been passed
    after = alignment.candidates(furthest, after=stuck_at)
    came_later = [k for k in after if fits(expected, events[k])]
    if not came_later:
        came_before = _spare(alignment, expected)
        if came_before is None:
            return _missing(alignment, furthest, expected)
        lines = _shown(
            events, came_before, f"order: it came before what is listed above it; {_LIST}"
        )
        return Mismatch(f"expected {expected} later", lines, expected.site)
    if any(fits(other, events[stuck_at]) for other in _listed(alignment, furthest + 1)):
        lines = _shown(events, came_later[0], f"order: [{stuck_at}] came before it; {_LIST}")
        return Mismatch(f"expected {expected} earlier", lines, expected.site)
    return _unexpected(events, stuck_at)


def _listed(alignment: Alignment, begin: int = 0) -> list[Expectation]:
    return [e for e in alignment.expectations[begin:] if not isinstance(e, EllipsisType)]


def _spare(alignment: Alignment, expected: Expectation) -> int | None:
    """Return an event that is what is expected, and that no other expectation needs."""
    met_by = [k for k, event in enumerate(alignment.events) if fits(expected, event)]
    rivals = [e for e in _listed(alignment) if any(fits(e, alignment.events[k]) for k in met_by)]
    return met_by[-1] if met_by and len(met_by) >= len(rivals) else None


def _unexpected(events: Sequence[Event], index: int) -> Mismatch:
    event = events[index]
    note = "extra: list it under expect, or write ... where other events may happen"
    return Mismatch(f"not expected: {event.label} {event}", _shown(events, index, note))


def _missing(alignment: Alignment, index: int, expected: Expectation) -> Mismatch:
    """Show the event that is nearest to what was expected, and what differs."""
    candidates = []
    for k in alignment.candidates(index):
        found = expected.differences(alignment.events[k])
        if found is not None:
            candidates.append((k, list(found)))
    nearest = max(candidates, key=lambda one: _nearness(expected, alignment, one), default=None)
    if nearest is None:
        kind = str(expected).partition(" ")[0]
        if isinstance(expected, MessageExpectation):
            kind = expected.kind  # of a role, that was interrupted or not
        lines = _shown(alignment.events, None, f"closest: none, there was no other {kind}")
    else:
        k, differing = nearest
        lines = _shown(alignment.events, k, *(f"closest: {one}" for one in differing))
    return Mismatch(f"expected {expected}", lines, expected.site, expected)


def _nearness(
    expected: Expectation, alignment: Alignment, candidate: tuple[int, list[str]]
) -> tuple[bool, int, float]:
    """Rank an event of the right kind: the same name first, then few differences, like texts."""
    k, differing = candidate
    event = alignment.events[k]
    same_name = not any(difference.startswith("name differs") for difference in differing)
    likeness = SequenceMatcher(None, str(expected), f"{event.label} {event}").ratio()
    return same_name, -len(differing), likeness
