"""Playing the turns of one scenario on a harness, and comparing each with what the file says."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent

from ..errors import (
    BehaviourError,
    DroppedStep,
    ScriptError,
    SnapshotMismatch,
    UnusedStep,
    UsageError,
)
from ..expected import recovered_from
from ..invariants import Invariants, allowed
from ..leftovers import DROPPED, UNUSED
from ..references import References, fixture_names
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
from ..scenarios.model import FuzzSpec, Ref, Scenario, ScenarioResult, ScenarioTurn, SnapshotSpec
from ..scenarios.write_expect import Happened, Position
from ..script import Request, Step
from ..sites import Site
from ..strict import TOOL_ERROR
from ..transcript import FunctionCallOutput, Transcript, Turn, render
from .absent import refuse_misspelt
from .calls import check_call_turn, give_voices, hear_start, play_call_turn, why_otherwise
from .captures import Captures, part_of
from .elsewhere import elsewhere
from .errors import Expecting, failing
from .mocks import put_mocks
from .names import Names, resolve_classes
from .steps import steps_of

if TYPE_CHECKING:
    from ..harness import Harness
    from ..stage import Stage
    from ..voice.call import VoiceCall

__all__ = ["Play", "ScenarioFailure"]


_SNAPSHOT = "chat_snapshot"


class ScenarioFailure(BehaviourError):
    """A scenario went another way than its file says; `site` is the line that says so."""

    def __init__(self, message: str, site: Site) -> None:
        super().__init__(message)
        self.site = site


class Play:
    """One scenario and what its names mean, on the way through a session."""

    def __init__(self, scenario: Scenario, names: Names) -> None:
        self.scenario = scenario
        self.names = names
        self._captures = Captures()
        self._transcript = Transcript()
        self._at_start: Expecting | None = None
        self.happened: dict[Position, Happened] = {}
        """The turns that were played, and were as the file says."""
        self._invariants: Invariants | None = None

    @property
    def fixtures(self) -> frozenset[str]:
        """The fixtures that playing takes."""
        scenario = self.scenario
        turns = (*filter(None, [scenario.start]), *(scenario.turns or ()))
        is_compared = scenario.snapshot or any(turn.snapshot for turn in turns)
        return self.names.fixtures | ({_SNAPSHOT} if is_compared else frozenset())

    def prepare(self, stage: Stage, references: References, agent: Any) -> None:
        """Put the mocks on the stage, before the session starts.

        `agent` is the one that a fixture gives where the file names none, or an entrypoint.

        Raises:
            UsageError: A class or a tool does not exist, one line for each.
        """
        self._captures = Captures()
        self._transcript = Transcript()
        self.happened = {}
        if self.scenario.agent is None and self.scenario.entrypoint is None:
            owner = type(agent) if isinstance(agent, Agent) else agent
            self.names.module = sys.modules.get(getattr(owner, "__module__", ""))
            problems: list[str] = []
            resolve_classes(self.scenario, self.names, references, problems)
            if problems:
                raise UsageError("\n".join(problems))
        put_mocks(self.scenario, self.names, stage.mocks)
        self._at_start = Expecting(self.scenario.start, self._captures)
        self._at_start.begin(stage)
        stage.opened = self._opened
        if (fuzz := self.scenario.fuzz) is not None:
            stage.let_anything_happen()
            stage.findings.allow |= {
                UnusedStep.kind,
                DroppedStep.kind,
                *allowed(ref.text for ref in fuzz.without),
            }
        if self.scenario.mode == "audio":
            give_voices(stage.tts, self.scenario, self.names)
            stage.impairments = self.scenario.impairments

    def _opened(self, harness: Harness) -> None:
        harness.tools.failing = failing(self.scenario.start)
        if self.scenario.fuzz is not None:
            self._look_on(harness, self.scenario.fuzz)

    def _look_on(self, harness: Harness, fuzz: FuzzSpec) -> None:
        without = [ref.text for ref in fuzz.without]
        looks_on = Invariants(harness, without=without, own=self.names.invariants)
        left = {tool: iter(seconds) for tool, seconds in fuzz.delays.items()}

        def calling(
            _: Agent, tool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
        ) -> Callable[[], Awaitable[None]] | None:
            looks_on.calling(tool, args, kwargs)
            seconds = next(left.get(str(tool.id), iter(())), 0.0)
            return partial(asyncio.sleep, seconds) if seconds else None

        harness.tools.calling = calling
        self._invariants = looks_on

    def start_steps(self) -> list[Step]:
        """Return the steps that answer the requests of the start."""
        start = self.scenario.start
        return [] if start is None else steps_of(start, self.names, self._captured)

    def _captured(self, turn: ScenarioTurn, request: Request) -> Captures:
        """Return what is captured when a turn makes a request."""
        if not turn.capture:
            return self._captures
        *earlier, current = (self._transcript.start, *self._transcript.turns)
        before = (event for one in earlier for event in one.events)
        said = part_of(current, request.messages, (*self.scenario.history, *before))
        return self._captures.search(turn.capture, said)[0]

    async def run(
        self, stage: Stage, harness: Harness, fixtures: Mapping[str, Any]
    ) -> ScenarioResult:
        """Play the turns and check each; `fixtures` are the values that the checks take.

        Raises:
            ScenarioFailure: The conversation is another one than expected.
            Exception: What a tool or a check raised, with a note that says in which turn.
        """
        __tracebackhide__ = True
        try:
            return await self._run(stage, harness, fixtures)
        finally:  # a play is kept as long as its item, of which there may be thousands
            self._transcript, self._at_start = Transcript(), None

    async def _run(
        self, stage: Stage, harness: Harness, fixtures: Mapping[str, Any]
    ) -> ScenarioResult:
        __tracebackhide__ = True
        scenario, at_start = self.scenario, self._at_start
        assert at_start is not None, "it was prepared"
        self._transcript = harness.transcript
        call = self._call(stage, harness)
        try:
            if call is not None:
                with self._located((scenario.start or scenario).site, "start"):
                    await hear_start(call, scenario)
        finally:
            at_start.end(stage)
        if scenario.start is not None:
            played = harness.transcript.start
            error = at_start.error or played.error
            moment = _Moment(scenario.start, played, "start", error, call=call)
            await self._judge(moment, harness, fixtures)
            self.happened["start"] = self._happened(scenario.start, played)
        await self._check_invariants(scenario.site, "start")
        for turn, following, number in _numbered(scenario.turns or ()):
            if self._invariants is not None and self._invariants.are_settled:
                break
            where = f"turn {number}"
            harness.model.advice = f"add it to llm: of {where} ({turn.site})"
            harness.model.script(*steps_of(turn, self.names, self._captured))
            with self._located(turn.site, where):
                known = len(harness.scripted_errors)
                expecting = Expecting(turn, self._captures)
                expecting.begin(stage)
                try:
                    played = await self._play(turn, following, harness, call)
                finally:
                    expecting.end(stage)
            if call is not None:
                self._refuse(check_call_turn(turn, call, self._captures.fill), turn.site, where)
            came = harness.scripted_errors[known:]
            moment = _Moment(turn, played, where, expecting.error or played.error, came, call)
            await self._judge(moment, harness, fixtures)
            await self._check_invariants(turn.site, where)
            self.happened[number - 1] = self._happened(turn, played)
        for entry in scenario.absent:
            with self._located(entry.site, ""):
                absent = self._captures.fill(entry)
            self._refuse(match_absent([absent], harness.transcript.events), entry.site)
            with self._located(entry.site, ""):
                requests = harness.model.requests
                refuse_misspelt(absent, self.names.module, stage.offers, requests)
        if scenario.check is not None:
            await self._check(scenario.check, fixtures, "at the end")
        if scenario.snapshot is not None:
            self._compare_whole(scenario.snapshot, harness.transcript, fixtures)
        return ScenarioResult(
            label=scenario.label,
            outcome="passed",
            transcript=harness.transcript,
            duration=harness.seconds,
        )

    def _happened(self, turn: ScenarioTurn, played: Turn) -> Happened:
        return Happened(played.events, [self._captures.fill(entry) for entry in turn.llm])

    def _call(self, stage: Stage, harness: Harness) -> VoiceCall | None:
        if self.scenario.mode != "audio":
            return None
        from ..voice.call import VoiceCall
        from ..voice.harness import VoiceHarness

        assert isinstance(harness, VoiceHarness), "the stage was told that it is a call"
        return VoiceCall(harness, stage.job.context.room)

    async def _play(
        self,
        turn: ScenarioTurn,
        following: ScenarioTurn | None,
        harness: Harness,
        call: VoiceCall | None,
    ) -> Turn:
        """Play one turn; the error that it expects is not raised, but kept with the turn."""
        __tracebackhide__ = True
        harness.tools.failing = failing(turn)
        try:
            if call is not None:
                return await play_call_turn(turn, following, call, self.names, self._captures.fill)
            if turn.wait is not None:
                return await harness.wait(turn.wait, settle=turn.settle)
            assert turn.user is not None, "a turn has a user or a wait"
            return await harness.user_says(
                self._captures.fill(turn.user.text),
                interrupt=turn.interrupt,
                settle=turn.settle,
                **({"input_modality": "audio"} if turn.user.modality == "audio" else {}),
            )
        except Exception as error:
            played = harness.record.current
            if self._invariants is not None and self._invariants.lets_pass(error):
                return played
            if played.error is not error or isinstance(error, (BehaviourError, UsageError)):
                raise
            if turn.expect_error is None:
                raise BehaviourError(
                    f"the run raised {type(error).__name__}: {error}; if that is right, write "
                    f"expect_error: {{type: {type(error).__name__}}}"
                    + "".join(f"\n      {note}" for note in getattr(error, "__notes__", ()))
                ) from error
            return played

    async def _judge(self, moment: _Moment, harness: Harness, fixtures: Mapping[str, Any]) -> None:
        """Compare what a turn did with what the file says of it."""
        __tracebackhide__ = True
        turn, played, where = moment.turn, moment.played, moment.where
        self._captures, missing = self._captures.search(turn.capture, played.events)
        for name, why in missing.items():
            told = f"capture {name}: {why}"
            self._refuse(Mismatch(told, tuple(render(played.events))), turn.site, where)
        if turn.expect_error is not None:
            expected = self._captures.fill(turn.expect_error)
            missed = match_error(expected, moment.error)
            came = [one for one in moment.came if match_error(expected, one) is None]
            notes = [recovered_from(came[-1])] if came else []
            self._refuse(missed and missed.with_notes(notes), turn.site, where)
        self._compare(moment, harness)
        self._refuse_leftovers(harness, where)
        if self.scenario.mode != "audio":  # in a call, `within` is about the answer alone
            bound = harness.timeout + (turn.wait or 0)
            self._refuse(match_within(turn, played.took, bound), turn.site, where)
        if turn.after is not None:
            missed = match_after(self._captures.fill(turn.after), harness.userdata)
            self._refuse(missed, turn.after.site, where)
        if turn.check is not None:
            await self._check(turn.check, fixtures, where)
        if (spec := turn.snapshot) is not None:
            with self._located(spec.site, where):
                name = where.replace(" ", "-")
                snapshot = fixtures[_SNAPSHOT]
                snapshot(exclude=spec.exclude, replace=spec.replace, name=name).assert_match(played)

    def _compare_whole(
        self, spec: SnapshotSpec, transcript: Transcript, fixtures: Mapping[str, Any]
    ) -> None:
        """Compare the conversation with its snapshot; a difference is told at its turn."""
        __tracebackhide__ = True
        snapshot = fixtures[_SNAPSHOT].with_defaults()  # its own numbers: the checks have others
        try:
            snapshot(exclude=spec.exclude, replace=spec.replace).assert_match(transcript)
        except SnapshotMismatch as error:
            site, where = spec.site, ""
            if error.turn == 0 and self.scenario.start is not None:
                site, where = self.scenario.start.site, "start"
            elif error.turn and error.turn <= len(turns := self.scenario.turns or ()):
                site, where = turns[error.turn - 1].site, f"turn {error.turn}"
            raise ScenarioFailure(f"{self._place(site, where)}: {error}", site) from None
        except UsageError as error:
            raise UsageError(f"{self._place(spec.site, '')}: {error}") from None

    def _compare(self, moment: _Moment, harness: Harness) -> None:
        """Compare the events of a turn with its `expect`, and its failed tools even without one."""
        __tracebackhide__ = True
        turn, events = moment.turn, moment.played.events
        entries = [self._captures.fill(entry) for entry in turn.llm]
        expectations, failed = None, harness.tools.failed
        calls = (one.call_id for one in events if isinstance(one, FunctionCallOutput))
        raised = [failed[call_id] for call_id in calls if call_id in failed]
        if turn.expect is not None:
            expectations = [e if e is ... else self._captures.fill(e) for e in turn.expect]
            missed = match_turn(expectations, events, scripted=entries)
            if missed is not None and missed.missing is not None:
                saying = moment.call.saying if moment.call is not None else ""
                story = (self.scenario, harness.transcript, moment.played)
                raised += elsewhere(missed.missing, *story, saying)
            if missed is not None and moment.call is not None:
                raised += why_otherwise(turn, moment.call)
            self._refuse(missed and missed.with_notes(raised), turn.site, moment.where)
            if any(isinstance(one, CloseExpectation) for one in expectations):
                harness.close_is_expected = True
        if TOOL_ERROR not in harness.allow and self._invariants is None:
            meant = harness.tools.meant_to_fail
            missed = match_failures(expectations, events, scripted=entries, meant=meant)
            self._refuse(missed and missed.with_notes(raised), turn.site, moment.where)

    def _refuse(self, missed: Mismatch | None, site: Site, where: str = "") -> None:
        __tracebackhide__ = True
        if missed is not None:
            raise ScenarioFailure(
                f"{self._place(missed.site or site, where)}: {missed}", missed.site or site
            )

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
                self._refuse(Mismatch(told, tuple(lines), site), site, where)

    async def _check_invariants(self, site: Site, where: str) -> None:
        __tracebackhide__ = True
        if self._invariants is not None:
            with self._located(site, where):
                await self._invariants.check()

    async def _check(self, ref: Ref, fixtures: Mapping[str, Any], where: str) -> None:
        __tracebackhide__ = True
        check = self.names.checks[ref]
        with self._located(ref.site, where):
            result = check(**{name: fixtures[name] for name in fixture_names(check)})
            if inspect.isawaitable(result):
                result = await result
        if result is not None:
            raise UsageError(
                f"{self._place(ref.site, where)}: the check {ref} returned {result!r}; a check "
                "asserts, and returns nothing"
            )

    def _place(self, site: Site, where: str) -> str:
        return ", ".join(filter(None, [f"{site}: {self.scenario.label}", where]))

    @contextmanager
    def _located(self, site: Site, where: str) -> Iterator[None]:
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


def _numbered(
    turns: Sequence[ScenarioTurn],
) -> Iterator[tuple[ScenarioTurn, ScenarioTurn | None, int]]:
    """Walk the turns, each with the one that follows it, and with its number."""
    for number, turn in enumerate(turns, start=1):
        yield turn, turns[number] if number < len(turns) else None, number


@dataclass(frozen=True)
class _Moment:
    """A turn as written, as played, and its name in messages."""

    turn: ScenarioTurn
    played: Turn
    where: str
    error: BaseException | None = None
    """What it raised, or would have, were it not expected."""
    came: Sequence[BaseException] = ()
    """The errors that were scripted for it, and came."""
    call: VoiceCall | None = None
