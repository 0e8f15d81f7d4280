"""Holding what happened against what the file says of it, and telling where it differs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BehaviourError, ScriptError, SnapshotMismatch, UsageError
from ..leftovers import DROPPED, UNUSED
from ..references import fixture_names
from ..scenarios.expect import (
    Mismatch,
    match_absent,
    match_after,
    match_error,
    match_failures,
    match_turn,
    match_within,
)
from ..scenarios.expectations import CloseExpectation
from ..scenarios.model import Ref, Scenario, ScenarioTurn, SnapshotSpec
from ..sites import Site
from ..strict import TOOL_ERROR
from ..transcript import FunctionCallOutput, Transcript, Turn, render
from .absent import refuse_misspelt
from .calls import why_otherwise
from .captures import Captures
from .elsewhere import elsewhere
from .names import Names

if TYPE_CHECKING:
    from ..harness import Harness
    from ..stage import Stage
    from ..voice.call import VoiceCall

__all__ = ["SNAPSHOT_FIXTURE", "Comparing", "Moment", "ScenarioFailure"]

SNAPSHOT_FIXTURE = "chat_snapshot"


class ScenarioFailure(BehaviourError):
    """A scenario went another way than its file says; `site` is the line that says so."""

    def __init__(self, message: str, site: Site) -> None:
        super().__init__(message)
        self.site = site


@dataclass(frozen=True)
class Moment:
    """A turn as written, as played, and its name in messages."""

    turn: ScenarioTurn
    played: Turn
    where: str
    error: BaseException | None = None
    """What it raised, or would have, were it not expected."""
    came: Sequence[BaseException] = ()
    """The errors that were scripted for it, and came."""
    call: VoiceCall | None = None


class Comparing:
    """Compares a conversation with its scenario, turn by turn and as a whole.

    It has no hold on the session: the play that has it lives as long as its item.
    """

    def __init__(self, scenario: Scenario, names: Names) -> None:
        self._scenario = scenario
        self._names = names
        self.captures = Captures()
        """What was captured so far."""

    async def turn(self, moment: Moment, harness: Harness, fixtures: Mapping[str, Any]) -> None:
        """Compare what a turn did with what the file says of it."""
        __tracebackhide__ = True
        turn, played, where = moment.turn, moment.played, moment.where
        self.captures, missing = self.captures.search(turn.capture, played.events)
        for name, why in missing.items():
            told = f"capture {name}: {why}"
            self.refuse(Mismatch(told, tuple(render(played.events))), turn.site, where)
        if turn.expect_error is not None:
            expected = self.captures.fill(turn.expect_error)
            missed = match_error(expected, moment.error)
            came = [one for one in moment.came if match_error(expected, one) is None]
            notes = [harness.recovered_from(came[-1])] if came else []
            self.refuse(missed and missed.with_notes(notes), turn.site, where)
        self._compare(moment, harness)
        self._refuse_leftovers(harness, where)
        if self._scenario.mode != "audio":  # in a call, `within` is about the answer alone
            bound = harness.timeout + (turn.wait or 0)
            self.refuse(match_within(turn, played.took, bound), turn.site, where)
        if turn.after is not None:
            missed = match_after(self.captures.fill(turn.after), harness.userdata)
            self.refuse(missed, turn.after.site, where)
        if turn.check is not None:
            await self._check(turn.check, fixtures, where)
        if (spec := turn.snapshot) is not None:
            with self.located(spec.site, where):
                name = where.replace(" ", "-")
                snapshot = fixtures[SNAPSHOT_FIXTURE]
                how = self.captures.fill(spec).redaction
                snapshot(**how, name=name).assert_match(played)

    async def whole(self, stage: Stage, harness: Harness, fixtures: Mapping[str, Any]) -> None:
        """Compare the whole conversation with what the file says below its turns."""
        __tracebackhide__ = True
        scenario = self._scenario
        for entry in scenario.absent:
            with self.located(entry.site, ""):
                absent = self.captures.fill(entry)
            names_agent, events = scenario.agent is not None, harness.transcript.events
            self.refuse(match_absent([absent], events, names_agent=names_agent), entry.site)
            with self.located(entry.site, ""):
                requests = harness.model.requests
                refuse_misspelt(absent, self._names.module, stage.offers, requests)
        if scenario.check is not None:
            await self._check(scenario.check, fixtures, "at the end")
        if scenario.snapshot is not None:
            self._compare_whole(scenario.snapshot, harness.transcript, fixtures)

    def _compare(self, moment: Moment, harness: Harness) -> None:
        """Compare the events of a turn with its `expect`, and its failed tools even without one."""
        __tracebackhide__ = True
        turn, events = moment.turn, moment.played.events
        entries = [self.captures.fill(entry) for entry in turn.llm]
        expectations, failed = None, harness.tools.failed
        calls = (one.call_id for one in events if isinstance(one, FunctionCallOutput))
        raised = [failed[call_id] for call_id in calls if call_id in failed]
        if turn.expect is not None:
            expectations = [e if e is ... else self.captures.fill(e) for e in turn.expect]
            missed = match_turn(expectations, events, scripted=entries)
            if missed is not None and missed.missing is not None:
                raised += elsewhere(
                    missed.missing,
                    self._scenario,
                    harness.transcript,
                    moment.played,
                    saying=moment.call.saying if moment.call is not None else "",
                    running=harness.running_calls,
                )
            if missed is not None and moment.call is not None:
                raised += why_otherwise(turn, moment.call)
            self.refuse(missed and missed.with_notes(raised), turn.site, moment.where)
            if any(isinstance(one, CloseExpectation) for one in expectations):
                harness.close_is_expected = True
        if TOOL_ERROR not in harness.allow and self._scenario.fuzz is None:
            meant = harness.tools.meant_to_fail
            missed = match_failures(expectations, events, scripted=entries, meant=meant)
            self.refuse(missed and missed.with_notes(raised), turn.site, moment.where)

    def _refuse_leftovers(self, harness: Harness, where: str) -> None:
        __tracebackhide__ = True
        model = harness.model
        for left_over, steps in ((UNUSED, model.discard()), (DROPPED, model.take_dropped())):
            if steps and left_over.kind.kind not in harness.allow:
                first, *rest = steps
                lines = [f"      and {step.describe()} ({step.written_at})" for step in rest]
                lines += [f"      {left_over.advise(harness.words)}"]
                told = f"{left_over.told}: {first.describe()}"
                site = first.written_at
                self.refuse(Mismatch(told, tuple(lines), site), site, where)

    async def _check(self, ref: Ref, fixtures: Mapping[str, Any], where: str) -> None:
        __tracebackhide__ = True
        check = self._names.checks[ref]
        with self.located(ref.site, where):
            result = check(**{name: fixtures[name] for name in fixture_names(check)})
            if inspect.isawaitable(result):
                result = await result
        if result is not None:
            raise UsageError(
                f"{self._place(ref.site, where)}: the check {ref} returned {result!r}; a check "
                "asserts, and returns nothing"
            )

    def _compare_whole(
        self, spec: SnapshotSpec, transcript: Transcript, fixtures: Mapping[str, Any]
    ) -> None:
        """Compare the conversation with its snapshot; a difference is told at its turn."""
        __tracebackhide__ = True
        # its own numbers: the checks have others
        snapshot = fixtures[SNAPSHOT_FIXTURE].with_defaults()
        try:
            snapshot(**self.captures.fill(spec).redaction).assert_match(transcript)
        except SnapshotMismatch as error:
            site, where = spec.site, ""
            if error.turn == 0 and self._scenario.start is not None:
                site, where = self._scenario.start.site, "start"
            elif error.turn and error.turn <= len(turns := self._scenario.turns or ()):
                site, where = turns[error.turn - 1].site, f"turn {error.turn}"
            raise ScenarioFailure(f"{self._place(site, where)}: {error}", site) from None
        except UsageError as error:
            raise UsageError(f"{self._place(spec.site, '')}: {error}") from None

    def refuse(self, missed: Mismatch | None, site: Site, where: str = "") -> None:
        """Fail where something is missed, at its own place or else at `site`."""
        __tracebackhide__ = True
        if missed is not None:
            raise ScenarioFailure(
                f"{self._place(missed.site or site, where)}: {missed}", missed.site or site
            )

    @contextmanager
    def located(self, site: Site, where: str) -> Iterator[None]:
        """Say of whatever is raised inside in which turn it was."""
        __tracebackhide__ = True
        try:
            yield
        except ScenarioFailure:
            raise
        except ScriptError as error:
            message = f"{self._place(error.site, where)}: {error.args[0]}"
            raise ScenarioFailure(message, error.site) from None
        except BehaviourError as error:
            raise ScenarioFailure(f"{self._place(site, where)}: {error}", site) from None
        except UsageError as error:
            raise UsageError(f"{self._place(site, where)}: {error}") from None
        except BaseException as error:
            error.add_note(f"in {self._place(site, where)}")
            raise

    def _place(self, site: Site, where: str) -> str:
        return ", ".join(filter(None, [f"{site}: {self._scenario.label}", where]))
