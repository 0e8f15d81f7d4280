"""Playing the turns of one scenario on a harness, each to be compared with what the file says."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent

from ..errors import BehaviourError, DroppedStep, UnusedStep, UsageError
from ..invariants import Invariants, allowed
from ..references import References
from ..scenarios.model import FuzzSpec, Scenario, ScenarioResult, ScenarioTurn
from ..scenarios.write_expect import Happened, Position
from ..script import Request, Step
from ..sites import Site
from ..transcript import Transcript, Turn
from .calls import check_call_turn, give_voices, hear_start, play_call_turn
from .captures import Captures, part_of
from .comparing import SNAPSHOT_FIXTURE, Comparing, Moment
from .errors import Expecting, failing
from .mocks import put_mocks
from .names import Names, resolve_classes
from .steps import steps_of

if TYPE_CHECKING:
    from ..harness import Harness
    from ..stage import Stage
    from ..voice.call import VoiceCall

__all__ = ["Play"]


class Play:
    """One scenario and what its names mean, on the way through a session."""

    def __init__(self, scenario: Scenario, names: Names) -> None:
        self.scenario = scenario
        self.names = names
        self._comparing = Comparing(scenario, names)
        self._transcript = Transcript()
        self._at_start: Expecting | None = None
        self.happened: dict[Position, Happened] = {}
        """The turns that were played, and were as the file says."""
        self._invariants: Invariants | None = None

    @property
    def _captures(self) -> Captures:
        return self._comparing.captures

    @property
    def fixtures(self) -> frozenset[str]:
        """The fixtures that playing takes."""
        scenario = self.scenario
        turns = (*filter(None, [scenario.start]), *(scenario.turns or ()))
        is_compared = scenario.snapshot or any(turn.snapshot for turn in turns)
        return self.names.fixtures | ({SNAPSHOT_FIXTURE} if is_compared else frozenset())

    def prepare(self, stage: Stage, references: References, agent: Any) -> None:
        """Put the mocks on the stage, before the session starts.

        `agent` is the one that a fixture gives where the file names none, or an entrypoint.

        Raises:
            UsageError: A class or a tool does not exist, one line for each.
        """
        self._comparing = Comparing(self.scenario, self.names)
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
                with self._comparing.located((scenario.start or scenario).site, "start"):
                    await hear_start(call, scenario)
        finally:
            at_start.end(stage)
        if scenario.start is not None:
            played = harness.transcript.start
            error = at_start.error or played.error
            moment = Moment(scenario.start, played, "start", error, call=call)
            await self._comparing.turn(moment, harness, fixtures)
            self.happened["start"] = self._happened(scenario.start, played)
        await self._check_invariants(scenario.site, "start")
        for turn, following, number in _numbered(scenario.turns or ()):
            if self._invariants is not None and self._invariants.are_settled:
                break
            where = f"turn {number}"
            harness.model.advice = f"add it to llm: of {where} ({turn.site})"
            harness.model.script(*steps_of(turn, self.names, self._captured))
            with self._comparing.located(turn.site, where):
                known = len(harness.scripted_errors)
                expecting = Expecting(turn, self._captures)
                expecting.begin(stage)
                try:
                    played = await self._play(turn, following, harness, call)
                finally:
                    expecting.end(stage)
            if call is not None:
                self._comparing.refuse(
                    check_call_turn(turn, call, self._captures.fill), turn.site, where
                )
            came = harness.scripted_errors[known:]
            moment = Moment(turn, played, where, expecting.error or played.error, came, call)
            await self._comparing.turn(moment, harness, fixtures)
            await self._check_invariants(turn.site, where)
            self.happened[number - 1] = self._happened(turn, played)
        await self._comparing.whole(stage, harness, fixtures)
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

    async def _check_invariants(self, site: Site, where: str) -> None:
        __tracebackhide__ = True
        if self._invariants is not None:
            with self._comparing.located(site, where):
                await self._invariants.check()


def _numbered(
    turns: Sequence[ScenarioTurn],
) -> Iterator[tuple[ScenarioTurn, ScenarioTurn | None, int]]:
    """Walk the turns, each with the one that follows it, and with its number."""
    for number, turn in enumerate(turns, start=1):
        yield turn, turns[number] if number < len(turns) else None, number
