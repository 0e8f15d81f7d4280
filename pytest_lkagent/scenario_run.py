"""Playing one scenario on a harness."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, get_args, is_typeddict

from livekit.agents import (
    Agent,
    AgentTask,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ToolError,
)

from .casting import Cast, resolve_classes
from .errors import BehaviourError, UnusedStep, UsageError, one_of
from .mocks import Outcome, TaskMock, ToolMock
from .references import References, fixture_names
from .scenarios.expect import Mismatch, match_absent, match_after, match_error, match_turn
from .scenarios.expectations import OutputExpectation
from .scenarios.model import (
    UNSET,
    Failure,
    LlmEntry,
    MockOutcome,
    MockSpec,
    Ref,
    Scenario,
    ScenarioResult,
    ScenarioTurn,
    TaskSpec,
)
from .script import ANYONE, Asker, Request, Step, ToolCall
from .sites import Site
from .strict import TOOL_ERROR
from .transcript import Event, FunctionCallOutput, Message, Turn, render

if TYPE_CHECKING:
    from .harness import Harness
    from .stage import Stage

__all__ = ["Play", "ScenarioFailure"]

_CAPTURED = re.compile(r"\$\{(\w+)\}")


class ScenarioFailure(BehaviourError):
    """A scenario went another way than its file says; `site` is the line that says so."""

    def __init__(self, message: str, site: Site) -> None:
        super().__init__(message)
        self.site = site


class Play:
    """One scenario and its cast, on the way through a session."""

    def __init__(self, scenario: Scenario, found: Cast) -> None:
        self.scenario = scenario
        self.cast = found
        self._captured: dict[str, str] = {}

    # --- before the session starts

    def prepare(self, stage: Stage, references: References, agent: Any) -> None:
        """Put the mocks on the stage, before the session starts.

        `agent` is the one that a fixture gives where the file names none.

        Raises:
            UsageError: A class or a tool does not exist, one line for each.
        """
        self._captured.clear()
        problems: list[str] = []
        if self.scenario.agent is None:
            owner = type(agent) if isinstance(agent, Agent) else agent
            self.cast.module = sys.modules.get(getattr(owner, "__module__", ""))
            resolve_classes(self.scenario, self.cast, references, problems)
        if problems:
            raise UsageError("\n".join(problems))
        for name, spec in self.scenario.mocks.items():
            cls = self.cast.classes[name]
            if isinstance(spec, Mapping):
                for tool, mock in spec.items():
                    stage.mocks.add_tool(self._tool_mock(cls, tool, mock))
            else:
                stage.mocks.add_task(_task_mock(cls, spec))

    def _tool_mock(self, owner: type[Agent], tool: str, spec: MockSpec) -> ToolMock:
        if spec.calls is not None:
            effect: Any = [self._outcome(call) for call in spec.calls]
        else:
            effect = self._outcome(spec) if spec.is_given else None
        delay = 0.0 if spec.is_given else spec.delay
        made = ToolMock(owner, tool, side_effect=effect, delay=delay, optional=spec.optional)
        made.written_at = spec.site
        return made

    def _outcome(self, written: MockOutcome) -> Outcome:
        if written.error is not None:
            return Outcome(raises=ToolError(written.error), delay=written.delay)
        if written.raises is not None:
            kind = self.cast.exceptions[written.raises.text]
            return Outcome(raises=_made(kind, written.message, written.raises), delay=written.delay)
        returns = None if written.returns is UNSET else written.returns
        return Outcome(returns, delay=written.delay)

    def start_steps(self) -> list[Step]:
        """Return the steps that answer the requests of the start."""
        return self._steps(self.scenario.start) if self.scenario.start is not None else []

    # --- the turns

    async def run(
        self, stage: Stage, harness: Harness, fixtures: Mapping[str, Any]
    ) -> ScenarioResult:
        """Play the turns and check each; `fixtures` are the values that the checks take.

        Raises:
            ScenarioFailure: The conversation is another one than expected.
            Exception: What a tool or a check raised, with a note that says in which turn.
        """
        __tracebackhide__ = True
        scenario = self.scenario
        if scenario.start is not None:
            played = harness.transcript.start
            await self._judge(_Moment(scenario.start, played, "start"), harness, fixtures)
        for number, turn in enumerate(scenario.turns or (), start=1):
            where = f"turn {number}"
            harness.model.advice = f"add it to llm: of {where} ({turn.site})"
            harness.model.script(*self._steps(turn))
            with self._located(turn.site, where):
                played = await self._play(turn, harness)
            await self._judge(_Moment(turn, played, where), harness, fixtures)
        self._refuse(match_absent(scenario.absent, harness.transcript.events), scenario.site)
        if scenario.check is not None:
            await self._check(scenario.check, fixtures, "at the end")
        return ScenarioResult(
            label=scenario.label,
            outcome="passed",
            transcript=harness.transcript,
            duration=harness.seconds,
        )

    async def _play(self, turn: ScenarioTurn, harness: Harness) -> Turn:
        """Play one turn; the error that it expects is not raised, but kept with the turn."""
        __tracebackhide__ = True
        harness.tools.failing = {
            expected.name
            for expected in turn.expect or ()
            if isinstance(expected, OutputExpectation) and expected.is_error and expected.name
        }
        try:
            if turn.wait is not None:
                return await harness.wait(turn.wait)
            assert turn.user is not None, "a turn has a user or a wait"
            return await harness.user_says(
                self._fill(turn.user.text),
                interrupt=turn.interrupt,
                settle=turn.settle,
                input_modality=turn.user.modality,
            )
        except Exception as error:
            played = harness.transcript.turns[-1] if harness.transcript.turns else None
            if turn.expect_error is None or played is None or played.error is not error:
                raise
            return played

    async def _judge(self, moment: _Moment, harness: Harness, fixtures: Mapping[str, Any]) -> None:
        """Compare what a turn did with what the file says of it."""
        __tracebackhide__ = True
        turn, played, where = moment.turn, moment.played, moment.where
        self._capture(turn, played, where)
        if turn.expect_error is not None:
            expected = self._filled(turn.expect_error)
            self._refuse(match_error(expected, played.error), turn.site, where)
        if turn.expect is not None:
            expectations = [e if e is ... else self._filled(e) for e in turn.expect]
            entries = [self._filled(entry) for entry in turn.llm]
            missed = match_turn(expectations, played.events, scripted=entries)
            self._refuse(missed, turn.site, where)
        else:
            self._refuse_tool_errors(turn, played, harness, where)
        if turn.settle:
            self._refuse_leftovers(turn, harness, where)
        if turn.within is not None and played.took > turn.within:
            self._refuse(
                Mismatch(f"it took {played.took:g} s, and should take {turn.within:g} s at most"),
                turn.site,
                where,
            )
        if turn.after is not None:
            userdata = harness.userdata
            self._refuse(match_after(self._filled(turn.after), userdata), turn.after.site, where)
        if turn.check is not None:
            await self._check(turn.check, fixtures, where)

    def _refuse(self, missed: Mismatch | None, site: Site, where: str = "") -> None:
        __tracebackhide__ = True
        if missed is not None:
            raise ScenarioFailure(
                f"{self._place(missed.site or site, where)}: {missed}", missed.site or site
            )

    def _refuse_leftovers(self, turn: ScenarioTurn, harness: Harness, where: str) -> None:
        __tracebackhide__ = True
        left = harness.model.discard()
        if left and UnusedStep.kind not in harness.allow:
            steps = tuple(f"      {step}" for step in left)
            site = left[0].written_at
            self._refuse(Mismatch("scripted, and never asked for", steps, site), site, where)

    def _refuse_tool_errors(
        self, turn: ScenarioTurn, played: Turn, harness: Harness, where: str
    ) -> None:
        """Without `expect`, an output that is an error is one that nobody expected."""
        __tracebackhide__ = True
        if TOOL_ERROR in harness.allow:
            return
        for index, event in enumerate(played.events):
            if isinstance(event, FunctionCallOutput) and event.is_error:
                lines = render(played.events, mark=index)
                hint = "      if that is right, list it under expect:"
                self._refuse(
                    Mismatch(f"the tool {event.name} failed", (*lines, hint)), turn.site, where
                )

    async def _check(self, ref: Ref, fixtures: Mapping[str, Any], where: str) -> None:
        __tracebackhide__ = True
        check = self.cast.checks[ref.text]
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
        except BehaviourError as error:
            raise ScenarioFailure(f"{self._place(site, where)}: {error}", site) from None
        except UsageError as error:
            raise UsageError(f"{self._place(site, where)}: {error}") from None
        except BaseException as error:
            error.add_note(f"in {self._place(site, where)}")
            raise

    # --- what was captured

    def _capture(self, turn: ScenarioTurn, played: Turn, where: str) -> None:
        __tracebackhide__ = True
        for name, pattern in turn.capture.items():
            found = next(filter(None, map(pattern.search, _texts(played.events))), None)
            if found is None:
                lines = tuple(render(played.events))
                self._refuse(
                    Mismatch(f"capture {name}: nothing matches {pattern.pattern!r}", lines),
                    turn.site,
                    where,
                )
            else:
                self._captured[name] = found[1] if pattern.groups else found[0]

    def _fill(self, text: str, extra: Mapping[str, str] | None = None) -> str:
        known = {**self._captured, **(extra or {})}

        def value(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise UsageError(
                    f"${{{match[1]}}} was not captured before; captured so far: {one_of(known)}"
                )
            return known[match[1]]

        return _CAPTURED.sub(value, text)

    def _filled(self, value: Any, extra: Mapping[str, str] | None = None) -> Any:
        """Replace ``${name}`` in every text of a value, of an expectation or of an entry."""
        if isinstance(value, str):
            return self._fill(value, extra)
        if isinstance(value, re.Pattern):
            names = _CAPTURED.findall(value.pattern)
            escaped = {name: re.escape(self._fill(f"${{{name}}}", extra)) for name in names}
            return re.compile(_CAPTURED.sub(lambda m: escaped[m[1]], value.pattern), value.flags)
        if isinstance(value, Mapping):
            return {key: self._filled(item, extra) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._filled(item, extra) for item in value)
        if is_dataclass(value) and not isinstance(value, (type, Site)):
            parts = {f.name: self._filled(getattr(value, f.name), extra) for f in fields(value)}
            return replace(value, **parts)
        return value

    # --- the script

    def _steps(self, turn: ScenarioTurn) -> list[Step]:
        return [self._step(entry, turn) for entry in turn.llm]

    def _step(self, entry: LlmEntry, turn: ScenarioTurn) -> Step:
        """Make the step of an entry; one with ``${name}`` waits for what will be captured."""
        if _CAPTURED.search(repr((entry.text, entry.calls))):
            step = Step(make=lambda request: self._made(self._at(entry, turn, request)))
        else:
            step = self._made(entry)
        asker: Asker = ANYONE
        if isinstance(entry.by, Ref):
            asker = self.cast.classes.get(entry.by.text, entry.by.text)
        elif entry.by is None:
            asker = None
        return replace(step, asker=asker, written_at=entry.site)

    def _at(self, entry: LlmEntry, turn: ScenarioTurn, request: Request) -> LlmEntry:
        """Fill in what was captured before, or what this turn captures from the request."""
        texts = list(_texts(reversed(request.messages)))
        found = {
            name: match[1] if pattern.groups else match[0]
            for name, pattern in turn.capture.items()
            if (match := next(filter(None, map(pattern.search, texts)), None))
        }
        filled: LlmEntry = self._filled(entry, found)
        return filled

    def _made(self, entry: LlmEntry) -> Step:
        error = self._error(entry.fail) if entry.fail is not None else None
        step = Step(
            text=entry.fail.after if entry.fail is not None else entry.text,
            calls=tuple(
                ToolCall(c.name, c.arguments if c.raw is None else c.raw) for c in entry.calls
            ),
            error=error,
            attempts=entry.fail.attempts if entry.fail is not None else None,
            stalls=entry.stall,
            written_at=entry.site,
        )
        return step.timed(ttft=entry.ttft or 0.0, duration=entry.duration or 0.0)

    def _error(self, failure: Failure) -> BaseException:
        if failure.status is not None:
            return APIStatusError(failure.message or "", status_code=failure.status)
        if failure.timeout:
            return APITimeoutError(failure.message or "Request timed out.")
        if failure.connection or failure.type is None:
            return APIConnectionError(failure.message or "Connection error.")
        kind = self.cast.exceptions.get(failure.type.text)
        assert kind is not None, "the cast knows every exception that the file names"
        return _made(kind, failure.message, failure.type)


@dataclass(frozen=True)
class _Moment:
    """A turn as written, as played, and its name in messages."""

    turn: ScenarioTurn
    played: Turn
    where: str


def _texts(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if isinstance(event, Message):
            yield event.text
        elif isinstance(event, FunctionCallOutput):
            yield event.output


def _made(kind: type[BaseException], message: str | None, ref: Ref) -> BaseException:
    try:
        return kind(message) if message is not None else kind()
    except TypeError as error:
        raise UsageError(
            f"{ref.place}: {ref} cannot be made from "
            f"{'nothing' if message is None else f'the message {message!r}'}: {error}"
        ) from None


def _task_mock(cls: type[Agent], spec: TaskSpec) -> TaskMock:
    if not issubclass(cls, AgentTask):
        raise UsageError(
            f"{spec.task.place}: {cls.__name__} is no AgentTask; mock its tools by their names"
        )
    made = TaskMock(cls, returns=_as_result(cls, spec))
    made.written_at = spec.site
    return made


def _as_result(cls: type[AgentTask[Any]], spec: TaskSpec) -> Any:
    """Make the task's own result type from a mapping, such as ``GetEmailResult(…)``."""
    if not isinstance(spec.returns, Mapping):
        return spec.returns
    for base in getattr(cls, "__orig_bases__", ()):
        for result in get_args(base):
            if isinstance(result, type) and result is not dict and not is_typeddict(result):
                try:
                    return result(**spec.returns)
                except (TypeError, ValueError) as error:
                    raise UsageError(
                        f"{spec.task.place}: the result of {cls.__name__} is a "
                        f"{result.__name__}, and that cannot be made: {error}"
                    ) from None
    return dict(spec.returns)
