"""Writing what happened into the `expect:` lists that a scenario file lacks.

A round trip through a YAML library does not keep a file as it is: ruamel.yaml, at the width and
indent that suit each best, keeps one of LiveKit's three, and rewrites 40 lines of another. So
nothing is dumped again. The parser only says where the turns stand, and text is put between two
characters of the source; all others stay because nobody touches them. What comes out is read
again before it is given out: it must say what the file said, and expect what happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from ..errors import LoadError, UsageError, did_you_mean, one_of
from ..transcript import Event
from .expect import match_turn
from .expect_places import LeftAlone, Source
from .expect_words import entries_of
from .load import load_text
from .model import LlmEntry, Scenario, ScenarioFile, ScenarioTurn

__all__ = ["Happened", "Position", "Written", "wanted", "write_expect"]

Position: TypeAlias = int | Literal["start"]
"""Which turn of a scenario: its index in `turns`, or its start."""

_NONE: Mapping[str, str] = MappingProxyType({})
_NOT_READ = "write the turns as `- user: …`, one key a line, and end the file with a line end"


@dataclass(frozen=True, slots=True)
class Happened:
    """The events of a turn that was played.

    `scripted` are its llm entries with their captures filled in; None where it captures nothing
    and they are what the file says.
    """

    events: Sequence[Event]
    scripted: Sequence[LlmEntry] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A file with new `expect:` lists, and lines for the user, each with its place.

    `skipped` are turns that have no `expect` and got none, and scenarios of such; `inexact` are
    those whose new list lets more pass than what happened, because the format has no words for it.
    """

    text: str
    skipped: tuple[str, ...] = ()
    inexact: tuple[str, ...] = ()


def wanted(scenario: Scenario, happened: Mapping[Position, Happened]) -> dict[Position, Any]:
    """Return the entries for each turn of a scenario that has no `expect`."""
    return {
        position: entries_of(events, scripted)[0]
        for position, events, scripted in _lacking(scenario, happened)
    }


def write_expect(
    text: str,
    path: Path,
    happened: Mapping[str, Mapping[Position, Happened]],
    left: Mapping[str, str] = _NONE,
) -> Written:
    """Return the text of a scenario file with what happened under `expect:` of each turn without.

    What `expect` may leave out is left out. `text` is what `path` holds, line ends as they are
    (``path.read_bytes().decode()``; reading as text would change them); `happened` has the turns
    of scenarios by label. A turn that has an `expect` is left as it is. `left` says of scenarios
    why they get none.

    Raises:
        UsageError: The file is none, has no such turn, or would not mean the same afterwards.
    """
    file = load_text(text, path)
    source = Source(text)
    written: list[_Target] = []
    skipped: list[tuple[_Target, str]] = []
    inexact: list[tuple[_Target, str]] = []
    insertions = []
    for target in _targets(file, happened):
        entries, vague = entries_of(target.events, target.scripted)
        try:
            insertions.append(source.insertion(target.path, entries))
        except LeftAlone as why:
            if entries or target.turn_in(file) is not None:
                skipped.append((target, f"no expect was written: {why}"))
        else:
            written.append(target)
            inexact += ((target, f"expect lets more pass than happened: {one}") for one in vague)
    new_text = source.with_inserted(insertions)
    new = _checked(new_text, path, source, written)
    refused = [
        f"{scenario.site}: {scenario.label!r}: no expect was written: {left[scenario.label]}"
        for scenario in new.scenarios
        if scenario.label in left
    ]
    return Written(
        new_text,
        (*refused, *(f"{target.place(new)}: {words}" for target, words in skipped)),
        tuple(f"{target.place(new)}: {words}" for target, words in inexact),
    )


# --- which turns


@dataclass(frozen=True, slots=True)
class _Target:
    """A turn that has no `expect`, or a start that nobody wrote."""

    scenario: int
    position: Position
    events: Sequence[Event]
    scripted: Sequence[LlmEntry]

    @property
    def path(self) -> tuple[str | int, ...]:
        turn = ("start",) if self.position == "start" else ("turns", self.position)
        return ("scenarios", self.scenario, *turn)

    def turn_in(self, file: ScenarioFile) -> ScenarioTurn | None:
        return _turn(file.scenarios[self.scenario], self.position)

    def place(self, file: ScenarioFile) -> str:
        scenario = file.scenarios[self.scenario]
        which = "start" if self.position == "start" else f"turn {self.position + 1}"
        return f"{(self.turn_in(file) or scenario).site}: {scenario.label!r}, {which}"


def _turn(scenario: Scenario, position: Position) -> ScenarioTurn | None:
    return scenario.start if position == "start" else (scenario.turns or ())[position]


def _targets(
    file: ScenarioFile, happened: Mapping[str, Mapping[Position, Happened]]
) -> Iterator[_Target]:
    numbers = {scenario.label: number for number, scenario in enumerate(file.scenarios)}
    for label, turns in happened.items():
        if label not in numbers:
            near = did_you_mean(label, numbers) or f"; there are {one_of(map(repr, numbers))}"
            raise UsageError(f"{file.path}: there is no scenario {label!r}{near}")
        scenario = file.scenarios[numbers[label]]
        for lacking in _lacking(scenario, turns):
            yield _Target(numbers[label], *lacking)


def _lacking(
    scenario: Scenario, happened: Mapping[Position, Happened]
) -> Iterator[tuple[Position, Sequence[Event], Sequence[LlmEntry]]]:
    """Walk the turns without an `expect`: what happened in each, and what its script says."""
    for position, one in happened.items():
        if position != "start" and not 0 <= position < len(scenario.turns or ()):
            raise UsageError(
                f"{scenario.site}: {scenario.label!r} has no turn {position + 1}: it is not the "
                "scenario that was played; play it again"
            )
        turn = _turn(scenario, position)
        if turn is None or turn.expect is None:
            own = () if turn is None else turn.llm
            yield position, one.events, own if one.scripted is None else one.scripted


def _checked(text: str, path: Path, before: Source, written: Sequence[_Target]) -> ScenarioFile:
    """Return the file as it would be read, or raise that it would be another one."""
    try:
        file = load_text(text, path)
    except LoadError as error:
        raise UsageError(
            f"{path}: nothing was written, the file could not be read with what was to be "
            f"expected ({error.problems[0]}); {_NOT_READ}"
        ) from None
    same = before.is_in(text)
    for target in written:
        turn = target.turn_in(file)
        expect = () if turn is None or turn.expect is None else turn.expect
        if not same or match_turn(expect, target.events, scripted=target.scripted):
            raise UsageError(
                f"{target.place(file)}: nothing was written, the file would not mean the same "
                f"with what was to be expected; {_NOT_READ}"
            )
    return file
