"""One session under test: build, start, say, settle, time-box, close."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from types import TracebackType
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, AgentSession, RunContext, llm

from . import _livekit, _livekit_items, _livekit_work
from .build import check_call, session_arguments
from .diagnosis import conversation
from .errors import (
    BehaviourError,
    ScriptError,
    SessionClosedError,
    SessionError,
    Stuck,
    UnscriptedRequest,
    UsageError,
    with_causes,
)
from .fake import FakeLLM
from .fake.sound import check_seconds
from .known_as import known_as
from .record import Record, Turn
from .settling import settled
from .tool_watch import ToolWatch
from .transcript import FunctionCall, Transcript
from .unheard import origins_noted
from .words import SCRIPTED, Words

if TYPE_CHECKING:
    from livekit.agents.voice.run_result import RunResult

    from .stage import Stage

__all__ = ["CLOSE_SECONDS", "MOST_ANSWERS", "Harness"]

CLOSE_SECONDS = 60.0
"""Virtual seconds that closing a session may take."""
MOST_ANSWERS = 12
"""How many answers are drawn in a turn that nobody wrote; each may take as long as a turn may.

Hand-overs back and forth would not end.
"""
_MISTAKE = re.compile(r"^(\S+)\n  (.+?) \[type=", re.MULTILINE)
"""An argument and what is wrong with it, as pydantic lists them."""


class Harness:
    """A real, started `AgentSession` with a scripted model, and the record of what it does.

    Made by a `Stage`, which holds what the sessions of one test share. The harness is the
    session's `Seam`: it stands around every tool and in front of every model.
    """

    def __init__(self, stage: Stage, model: FakeLLM) -> None:
        assert stage.clock is not None, "a session needs a loop"
        self._stage = stage
        self._clock = stage.clock
        self.model = model
        self.record = Record()
        self.record.place_of = model.place_of
        self.tools = ToolWatch(stage.mocks, stage.swallowed)
        self.tools.times_given = model.times_given
        self.start_result: RunResult[Any] | None = None
        self._session: AgentSession[Any] | None = None
        self._is_closing = False
        self.is_stuck = False
        self.close_is_expected = False

    # --- what the session is like

    @property
    def session(self) -> AgentSession[Any]:
        assert self._session is not None, "the harness has not started"
        return self._session

    @property
    def speech(self) -> _livekit.Speech | None:
        """What the session hears and speaks with, None where it is text alone."""
        return None

    @property
    def timeout(self) -> float:
        """Seconds of virtual time after which a turn is ended, beside what it waits."""
        return self._stage.timeout

    @property
    def has_session(self) -> bool:
        """Whether there is a session: an entrypoint may have started none."""
        return self._session is not None

    @property
    def transcript(self) -> Transcript:
        return self.record.transcript

    @property
    def userdata(self) -> Any:
        """The session's userdata, None where there is none."""
        try:
            return self.session.userdata
        except ValueError:
            return None

    @property
    def running_calls(self) -> frozenset[str]:
        """The ids of the calls whose tools are at work, none of a session in another process."""
        return frozenset() if self._session is None else _livekit_work.running_calls(self._session)

    @property
    def seconds(self) -> float:
        """How much virtual time has passed in this test."""
        return self._clock.now

    @property
    def words(self) -> Words:
        """What messages advise to write."""
        return self._stage.words

    @property
    def allow(self) -> frozenset[str]:
        """The kinds of finding that are let pass."""
        return self._stage.findings.allow

    def is_scripted(self, error: BaseException) -> bool:
        """Whether a script says that `error` is raised."""
        return self._stage.is_scripted(error)

    # --- its life

    async def start(
        self, agent: Agent, *, history: llm.ChatContext | None, **arguments: Any
    ) -> None:
        """Start a session with `agent`; what goes wrong in the start is a finding, not raised."""
        if history is not None:
            await agent.update_chat_ctx(history)
        session = AgentSession(**arguments)
        self.take(session)
        await self.start_by(lambda: self._start(session, agent), "the start of the session")

    async def _start(self, session: AgentSession[Any], agent: Agent) -> None:
        self.start_result = await session.start(agent, capture_run=True)

    def take(self, session: AgentSession[Any]) -> None:
        """Have `session`, which has not started, under test."""
        self._session = session
        _livekit.attach(session, self)
        self.record.listen(session)

    async def start_by(self, start: Callable[[], Awaitable[None]], what: str) -> None:
        """Let `start` start the session; what goes wrong in that is a finding, not raised."""
        try:
            with self._bounded(self.timeout, what) as turn:
                try:
                    await start()
                except Exception as error:  # noqa: BLE001  (the finding below)
                    turn.error = error
                if self.has_session:
                    await self._settle_start()
        except Stuck as stuck:
            self._stage.findings.add(stuck)
            return
        if turn.error is not None and not self._lets_pass(turn.error):
            self._stage.findings.add(self._as_finding(turn.error, what))
        self._stage.swallowed.report()

    @known_as("user_says")
    async def user_says(
        self, text: str, *, interrupt: float | None = None, settle: bool = True, **options: Any
    ) -> Turn:
        """Say `text` and wait until the session has settled.

        Raises:
            BehaviourError: The session closed before, the model was asked something that nobody
                scripted, or the run cannot finish.
            UsageError: What is said is no text, or what it is interrupted after no time.
            Exception: What LiveKit's ``run()`` raises, unless `expect_error` names it, and what a
                tool raised that LiveKit hides (`AssertionError` for one).
        """
        __tracebackhide__ = True
        if self.record.closed is not None:
            raise SessionClosedError(
                f"nobody hears {text!r}: the session closed before ({self.record.closed})"
            )
        if options:
            own = ("interrupt", "settle")
            check_call(self.session.run, "user_says", own, user_input=text, **options)
        if not isinstance(text, str):
            raise UsageError(f"user_says({text!r}): what is said is a text")
        if interrupt is not None:
            check_seconds(interrupt, f"user_says({text!r}, interrupt={interrupt!r})")
        self._stage.check_time(f"user_says({text!r})")
        self.record.begin(text)
        with self._bounded(self.timeout, f"user_says({text!r})") as turn:
            try:
                await self._say(turn, text, interrupt, options)
            except Exception as error:  # noqa: BLE001  (raised below, once the rest is known)
                turn.error = error
            await self._end_turn(settle=settle)
        self._raise_for(turn)
        return turn

    async def _say(
        self, turn: Turn, text: str, interrupt: float | None, options: Mapping[str, Any]
    ) -> None:
        __tracebackhide__ = True
        await _livekit_work.user_is_back(self.session)
        turn.result = self.session.run(user_input=text, **options)
        async with self._interruption(interrupt):
            await turn.result

    def going_on(self, what: str, *, seconds: float = 0.0) -> _GoingOn:
        """Bound what goes on inside, `seconds` of which have to pass, and raise what comes of it.

        For what is part of the current turn, and does not end it.
        """
        __tracebackhide__ = True
        self._stage.check_time(what)
        return _GoingOn(self._bounded(seconds + self.timeout, what), self._raise_for)

    async def wait(self, seconds: float, *, settle: bool = True) -> Turn:
        """Let `seconds` pass while the user says nothing."""
        __tracebackhide__ = True
        self.record.begin(None)
        with self._bounded(seconds + self.timeout, f"wait {seconds:g} s") as turn:
            await asyncio.sleep(seconds)
            await self._end_turn(settle=settle)
        self._raise_for(turn)
        return turn

    @known_as("settle")
    async def settle(self) -> None:
        """Wait until nothing is open: no speech, no tool, no reply that a tool will cause.

        Tools of an agent that is paused by an AgentTask wait for the user and are left open.
        """
        self._stage.check_time("settle()")
        await self._end_turn(settle=True)

    async def _settle_start(self) -> None:
        await self._end_turn(settle=True)

    async def _end_turn(self, *, settle: bool) -> None:
        if settle:
            await settled(self.session, self.record, self._clock.quiet)

    async def hear_out(self) -> None:
        """Wait for what the end of the test leaves under way, of which a text has nothing."""

    async def close(self) -> None:
        """Close the session within `CLOSE_SECONDS` of virtual time.

        Raises:
            Stuck: It did not close.
        """
        if self._session is None:
            return
        self.record.collect()
        self._is_closing = self.tools.is_over = self.record.is_over = True
        if was_stuck := self.is_stuck:
            # closing would wait for what waits for ever
            await self._stage.end_tasks(_livekit_work.running_tools(self.session))
        try:
            with self._bounded(CLOSE_SECONDS, "closing the session"):
                await self.session.aclose()
        except Stuck:
            if not was_stuck:
                raise
        finally:
            _livekit.detach(self.session)

    # --- the seam

    def stand_in(self, theirs: Any) -> _livekit.Model:
        """Return the scripted model, which answers in the place of any other."""
        return self.model

    def arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return AgentSession arguments: the fake models, and `options` over the rest."""
        is_fuzzed = self._stage.is_fuzzed
        return session_arguments(options, self.stand_in, self.speech, is_fuzzed=is_fuzzed)

    def run_starting(self) -> None:
        self._stage.check_time("session.run()")

    def agent_starting(self, agent: Agent) -> None:
        self._stage.agent_starting(agent, self.session)
        self.tools.watch_hooks(agent, self.session)

    def tool_body(
        self,
        agent: Agent,
        tool: Any,
        context: RunContext[Any],
        user_mock: Callable[..., Any] | None,
    ) -> Callable[..., Awaitable[Any]]:
        return self.tools.body(agent, tool, context, user_mock)

    # --- what a turn raises, and what is left at the end

    def _raise_for(self, turn: Turn) -> None:
        __tracebackhide__ = True
        if turn.error is not None:
            self._stage.findings.known.append(turn.error)
        for failure in self._stage.swallowed.report():
            raise failure
        error = turn.error or self._misfit(turn.items)
        refused = error is None or any(one in self.model.refused for one in with_causes(error))
        if (first := self.model.unraised()) is not None and refused:
            error = first  # LiveKit hands on the last one, which the first may well have led to
        if error is None:
            return
        self.told(error)
        if not self._lets_pass(error):
            if isinstance(error, (UnscriptedRequest, UsageError)):
                raise error.with_traceback(None)
            raise self.as_scripted(error)

    def _lets_pass(self, error: BaseException) -> bool:
        """Whether `error` is expected, or concerns none but who awaits a run where nobody does."""
        if self._stage.take_expected(error):
            return True
        return (
            self._stage.is_fuzzed
            and self.has_session
            and (
                _livekit_work.is_final_output(self.session, error)
                or _livekit_work.is_cut_short(self.session, error)
            )
        )

    def _misfit(self, items: Iterable[Any]) -> ScriptError | None:
        """Find a scripted call whose arguments the tool did not take for what they are, once."""
        if self._stage.is_fuzzed:
            return None
        for item in items:
            if not _livekit_items.is_argument_error(item):
                continue
            if (step := self.model.called.pop(item.call_id, None)) is not None:
                mistakes = _MISTAKE.findall(item.output)
                told = "; ".join(f"{name}: {what}" for name, what in mistakes) or item.output
                return ScriptError(
                    f"the script has {step.describe()}; {told} (if the model is meant to do that, "
                    "make it a raw_call)",
                    step.written_at,
                )
        return None

    def told(self, error: BaseException | None) -> None:
        """Count `error`, and what caused it, as known to the test."""
        for one in with_causes(error):
            self.record.errors = [known for known in self.record.errors if known is not one]

    def as_scripted(self, error: BaseException) -> BaseException:
        """Return `error`; a scripted one with its place, and without the way through our code."""
        if (script := self._stage.script_of(error)) is not None:
            notes = getattr(error, "__notes__", [])  # several tests may raise the same object
            error.__notes__ = [*(one for one in notes if not one.startswith(SCRIPTED)), script]
            for link in with_causes(error):
                link.__traceback__ = None
                link.__suppress_context__ = True
        return error

    @property
    def scripted_errors(self) -> Sequence[BaseException]:
        """The errors that were scripted and came, those from which LiveKit recovered too."""
        return [step.error for step in self.model.failed if step.error is not None]

    def recovered_from(self, error: BaseException) -> str:
        """Say that LiveKit dealt with a scripted error by itself, so that nobody was told of it."""
        return (
            f"after {type(error).__name__}: {error} LiveKit tried again, and recovered; with more "
            "attempts that fail it does not"
        )

    def take_expected_errors(self) -> None:
        """Show the errors that only the session reported to an `expect_error` that is open."""
        take = self._stage.take_expected
        self.record.errors = [error for error in self.record.errors if not take(error)]
        self._stage.take_expected_tasks()
        if self.record.close_error is not None and take(self.record.close_error):
            self.close_is_expected |= self._stage.is_fuzzed

    def settle_account(self) -> None:
        """Turn what is still unexplained at the end of the test into findings."""
        self.told(self.transcript.start.error)
        self._stage.swallowed.report()
        self.take_expected_errors()  # a drawn one that came while the session closed
        findings = self._stage.findings
        while (misfit := self._misfit(self.record.history())) is not None:
            findings.add(misfit)  # of the start, a run by hand or a call
        for error in self.record.errors:
            if not isinstance(error, BehaviourError):
                findings.add(self._as_finding(error, "the session"))
        self.record.errors.clear()
        closed = self.record.closed
        if closed is not None and closed.reason == "error" and not self.close_is_expected:
            script = self._stage.script_of(self.record.close_error)
            findings.add(
                SessionClosedError(
                    f"the session closed on an error: {closed.error}; if that is what the test is "
                    f"about, {self._stage.words.expect_close('error')}"
                    + (f"\n  {script}" if script is not None else "")
                )
            )

    def _as_finding(self, error: BaseException, where: str) -> BaseException:
        if isinstance(error, (BehaviourError, UsageError)):
            return error
        told = (
            f"{where} failed: {type(error).__name__}: {error}; if that is what the test is about, "
            f"{self._stage.words.expect_error(type(error))}"
        )
        if (script := self._stage.script_of(error)) is not None:
            return SessionError(f"{told}\n  {script}")
        finding = SessionError(told)
        finding.__cause__ = error
        return finding

    # --- waiting

    @contextlib.contextmanager
    def _bounded(self, seconds: float, what: str) -> Iterator[Turn]:
        """Bound `what` by virtual time, and say why where it cannot finish.

        Yields the current turn, which gets its events and how long it took.
        """
        __tracebackhide__ = True
        clock = self._clock
        turn = self.record.current
        began = clock.now
        renewals = MOST_ANSWERS if self._stage.is_fuzzed else 0
        with clock.budget(seconds, renewals=renewals) as budget, origins_noted(noted=False):
            try:
                yield turn
            except asyncio.CancelledError:
                reason = clock.take_halt()
                if reason is None:
                    raise
                if (task := asyncio.current_task()) is not None:
                    task.uncancel()
                if budget.is_spent:
                    reason += f" ({self._stage.bound})"
                raise self._stuck(what, reason) from None
            finally:
                turn.took = round(clock.now - began, 6)
                self.record.collect()

    def _stuck(self, what: str, reason: str) -> Stuck:
        self.is_stuck = True
        line = f"{what} cannot finish: {reason}; {self._stage.standstill.stuck_on}"
        lines = [line, *self.picture(), *self._stage.standstill.still_running]
        if self._session is not None and not self._is_closing:
            _livekit_work.release_run(self.session)
        return Stuck("\n".join(lines))

    def picture(self) -> list[str]:
        """Show the conversation so far, calls under way included, and the state it is in."""
        if self._session is None:
            return []
        events = list(self.transcript.events)
        known = {event.call_id for event in events if isinstance(event, FunctionCall)}
        for context in (one.context for one in self._stage.standstill.pending):
            if context is not None and context.session is self._session:
                call = _livekit_items.to_event(context.function_call)
                if isinstance(call, FunctionCall) and call.call_id not in known:
                    events.append(call)
        return conversation(self._session, events, is_closing=self._is_closing)

    @contextlib.asynccontextmanager
    async def _interruption(self, after: float | None) -> AsyncIterator[None]:
        """Interrupt the agent `after` seconds into the turn."""
        if after is None:
            yield
            return

        async def interrupt() -> None:
            await asyncio.sleep(after)
            if not self._stage.is_fuzzed or _livekit_work.may_be_interrupted(self.session):
                await self.session.interrupt()

        task = asyncio.ensure_future(interrupt())
        try:
            yield
        finally:
            if not task.done():
                task.cancel()
        if task.cancelled() or not task.done():
            if self._stage.is_fuzzed:
                return
            raise BehaviourError(
                f"nothing was left to interrupt after {after:g} s: the reply was over; give its "
                f"step a duration, such as {self._stage.words.timed}"
            )
        task.result()


class _GoingOn:
    """What `Harness.going_on` returns; contextlib's own would put its frames in each failure."""

    def __init__(
        self, bounds: contextlib.AbstractContextManager[Turn], judge: Callable[[Turn], None]
    ) -> None:
        self._bounds = bounds
        self._judge = judge

    def __enter__(self) -> None:
        self._turn = self._bounds.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self._bounds.__exit__(kind, error, traceback)
        if error is None:
            self._judge(self._turn)
