"""One session under test: build, start, record, settle, time-box, close."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, AgentSession, RunContext, StopResponse, llm

from . import _livekit
from .diagnosis import waiting
from .errors import (
    BehaviourError,
    SessionClosedError,
    SessionError,
    Stuck,
    UnscriptedRequest,
    UsageError,
)
from .fake import FakeLLM
from .strict import TOOL_ERROR
from .transcript import Close, Event, Transcript, render
from .transcript import Turn as _Turn

if TYPE_CHECKING:
    from livekit.agents.voice.run_result import RunAssert, RunResult

    from .stage import Stage

__all__ = ["Harness", "Turn", "make_agent", "session_arguments"]

CLOSE_SECONDS = 60.0
"""Virtual seconds that closing a session may take."""

_LEAN: Mapping[str, Any] = {
    "vad": None,
    "user_away_timeout": None,
    "aec_warmup_duration": None,
}
_REPLACED = ("llm", "stt", "tts", "vad", "turn_detection", "loop")


@dataclass(kw_only=True)
class Turn(_Turn):
    """What followed one input of the user, up to the moment when the session had settled.

    `events` is the neutral record; `expect` is LiveKit's own assertion object over all of them,
    those after ``run()`` returned too; `result` is LiveKit's RunResult.
    """

    items: Sequence[Any] = ()
    handoffs: Mapping[str, tuple[Agent | None, Agent]] = field(default_factory=dict)
    result: RunResult[Any] | None = None

    @cached_property
    def expect(self) -> RunAssert:
        shown = [item for item in self.items if getattr(item, "role", None) != "user"]
        made: RunAssert = _livekit.expect(shown, self.handoffs)
        return made


class Harness:
    """A real, started `AgentSession` with a scripted model, and the record of what it does.

    Made by a `Stage`, which holds what the sessions of one test share. The harness is the
    session's seam: it stands around every tool and in front of every model.
    """

    def __init__(self, stage: Stage, model: FakeLLM) -> None:
        self._stage = stage
        self.model = model
        self.transcript = Transcript(start=Turn(user=None))
        self.start_result: RunResult[Any] | None = None
        self._seen: set[str] = set()
        self._names: dict[str, Any] = {}
        self._handoffs: dict[str, tuple[Agent | None, Agent]] = {}
        self._closed: Close | None = None
        self._closing = False
        self._changed = asyncio.Event()
        self._errors: list[Any] = []
        self._failures: list[tuple[BaseException, TracebackType | None]] = []
        self._is_stuck = False
        self.failing_tools: Collection[str] = ()
        """Tools whose exceptions, assertions aside, are what the turn expects."""

    # --- the life of the session

    async def start(
        self, agent: Agent, *, history: llm.ChatContext | None, **arguments: Any
    ) -> AgentSession[Any]:
        """Start a session with `agent`; what goes wrong in the start is a finding, not raised."""
        if history is not None:
            await agent.update_chat_ctx(history)
        try:
            self.session: AgentSession[Any] = AgentSession(**arguments)
        except TypeError as error:
            raise UsageError(f"session_options: {_plain(error)}") from None
        _livekit.attach(self.session, self)
        self._listen()
        turn = self.transcript.start
        with self._within(self._stage.timeout, "the start of the session"):
            try:
                self.start_result = await self.session.start(agent, capture_run=True)
            except Exception as error:
                turn.error = error
            await self.settle()
        self._collect(turn)
        if turn.error is not None and not self._stage.take_expected(turn.error):
            self._stage.findings.add(_as_finding(turn.error, "the start of the session"))
        self._report_failures()
        return self.session

    async def user_says(
        self, text: str, *, interrupt: float | None = None, settle: bool = True, **options: Any
    ) -> Turn:
        """Say `text` and wait until the session has settled.

        Raises:
            BehaviourError: The session closed before, the model was asked something that nobody
                scripted, or the run cannot finish.
            Exception: What LiveKit's ``run()`` raises, unless `expect_error` names it, and what a
                tool raised that LiveKit hides (`AssertionError` for one).
        """
        __tracebackhide__ = True
        if self._closed is not None:
            raise SessionClosedError(
                f"nobody hears {text!r}: the session closed before ({self._closed})"
            )
        turn = Turn(user=text)
        self.transcript.turns.append(turn)
        clock = self._stage.clock
        began = clock.now
        with self._within(self._stage.timeout, f"user_says({text!r})"):
            try:
                turn.result = self.session.run(user_input=text, **options)
                async with self._interruption(interrupt):
                    await turn.result
            except Exception as error:
                turn.error = error
            finally:
                turn.took = clock.now - began
                self._collect(turn)
            if settle:
                await self.settle()
                turn.took = clock.now - began
                self._collect(turn)
        self._raise_for(turn)
        return turn

    async def wait(self, seconds: float) -> Turn:
        """Let `seconds` pass while the user says nothing."""
        __tracebackhide__ = True
        turn = Turn(user=None)
        self.transcript.turns.append(turn)
        began = self._stage.clock.now
        with self._within(seconds + self._stage.timeout, f"wait {seconds:g} s"):
            await asyncio.sleep(seconds)
            await self.settle()
        turn.took = self._stage.clock.now - began
        self._collect(turn)
        self._raise_for(turn)
        return turn

    async def settle(self) -> None:
        """Wait until nothing is open: no speech, no tool, no reply that a tool will cause.

        Tools of an agent that is paused by an AgentTask wait for the user and are left open.
        """
        while self._closed is None:
            with contextlib.suppress(RuntimeError):  # it closes, or has closed
                await self.session.wait_for_idle()
            await self._stage.clock.quiet()
            work: list[asyncio.Future[Any]] = list(_livekit.open_work(self.session))
            if (closing := _livekit.closing_task(self.session)) is not None:
                work.append(closing)
            if work:
                await self._until_change(work)
            elif self.session.current_speech is None:
                break
        self._collect(self.transcript.turns[-1] if self.transcript.turns else self.transcript.start)

    async def close(self) -> None:
        """Close the session within `CLOSE_SECONDS` of virtual time.

        Raises:
            Stuck: It did not close.
        """
        if not hasattr(self, "session"):
            return
        self._closing = True
        was_stuck = self._is_stuck
        try:
            with self._within(CLOSE_SECONDS, "closing the session"):
                await self.session.aclose()
        except Stuck:
            if not was_stuck:
                raise
        finally:
            _livekit.detach(self.session)

    # --- the record

    def _listen(self) -> None:
        session = self.session
        session.on("conversation_item_added", self._on_item)
        session.on("error", self._on_error)
        session.on("close", self._on_close)
        session.on("tool_execution_updated", lambda _: self._changed.set())
        session.on("agent_state_changed", lambda _: self._changed.set())

    def _on_item(self, event: Any) -> None:
        self._changed.set()
        item = event.item
        if item.type == "message" and item.role == "assistant":
            speaker = _livekit.speaking_agent() or self.session.current_agent
            self._names[item.id] = type(speaker).__name__
        elif item.type == "agent_handoff":
            new = self.session.current_agent
            old = self._current
            self._current = new
            self._handoffs[item.id] = (old, new)
            self._names[item.id] = (old and type(old).__name__, type(new).__name__)

    _current: Agent | None = None

    def _on_error(self, event: Any) -> None:
        if not event.error.recoverable:
            self._errors.append(event.error.error)

    def _on_close(self, event: Any) -> None:
        self._changed.set()
        if self._closing:
            return
        error = getattr(event.error, "error", None)
        self._closed = Close(reason=event.reason.value, error=_plain(error) if error else None)
        self._stage.saw_close(self._closed)

    @property
    def userdata(self) -> Any:
        """The session's userdata, None where there is none."""
        try:
            return self.session.userdata
        except ValueError:
            return None

    @property
    def allow(self) -> frozenset[str]:
        """The kinds of finding that are let pass."""
        return self._stage.findings.allow

    @property
    def closed(self) -> Close | None:
        """How the session closed by itself, None while it is open."""
        return self._closed

    def _collect(self, turn: _Turn) -> None:
        """Give `turn` what the history has that no earlier turn took."""
        assert isinstance(turn, Turn)
        earlier = self._seen - {item.id for item in turn.items}
        turn.items = [item for item in self.session.history.items if item.id not in earlier]
        self._seen |= {item.id for item in turn.items}
        turn.handoffs = self._handoffs
        events: list[Event] = []
        for item in turn.items:
            if (event := _livekit.to_event(item, self._names)) is not None:
                events.append(event)
        if self._closed is not None and not any(
            isinstance(event, Close) for other in self._turns() if other is not turn
            for event in other.events
        ):
            events.append(self._closed)
        turn.events = tuple(events)
        turn.__dict__.pop("expect", None)

    def _turns(self) -> Iterator[_Turn]:
        yield self.transcript.start
        yield from self.transcript.turns

    # --- the seam

    def agent_starting(self, agent: Agent) -> None:
        self._stage.agent_starting(agent, self.session)

    def tool_body(
        self,
        agent: Agent,
        tool: Any,
        context: RunContext[Any],
        user_mock: Callable[..., Any] | None,
    ) -> Callable[..., Awaitable[Any]]:
        made = self._stage.mocks.find(agent, tool)

        async def body(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True

            async def real() -> Any:
                __tracebackhide__ = True
                if user_mock is not None:
                    return await _livekit.run_user_mock(user_mock, args, kwargs)
                return await tool(*args, **kwargs)

            try:
                if made is not None:
                    return await made.play(tool, context, real, args, kwargs)
                return await real()
            except (asyncio.CancelledError, llm.ToolError, StopResponse):
                raise
            except BaseException as error:
                self._tool_failed(tool.id, error)
                raise

        return body

    def _tool_failed(self, tool: str, error: BaseException) -> None:
        stage = self._stage
        if tool in self.failing_tools and not isinstance(error, AssertionError):
            return
        if not (self._closing or stage.mocks.raised(error) or stage.take_expected(error)):
            # LiveKit raises it on through its own frames: keep the way it came to us
            self._failures.append((error, error.__traceback__))
            stage.findings.known.append(error)

    # --- what a turn raises

    def _raise_for(self, turn: Turn) -> None:
        __tracebackhide__ = True
        stage = self._stage
        for failure in self._report_failures():
            raise failure
        if turn.error is None:
            return
        self.told(turn.error)
        if not stage.take_expected(turn.error):
            if isinstance(turn.error, UnscriptedRequest):
                raise turn.error.with_traceback(None)
            raise turn.error

    def _report_failures(self) -> list[BaseException]:
        """Make what tools raised findings, and return those that are not allowed."""
        failures = [error.with_traceback(traceback) for error, traceback in self._failures]
        self._failures.clear()
        findings = self._stage.findings
        return [error for error in failures if findings.add(error, kind=TOOL_ERROR)]

    def told(self, error: BaseException | None) -> None:
        """Count `error`, and what caused it, as known to the test."""
        while error is not None:
            self._errors = [known for known in self._errors if known is not error]
            error = error.__cause__

    def take_expected_errors(self) -> None:
        """Show the errors that only the session reported to an `expect_error` that is open."""
        self._errors = [e for e in self._errors if not self._stage.take_expected(e)]

    def settle_account(self) -> None:
        """Turn what is still unexplained at the end of the test into findings."""
        self.told(self.transcript.start.error)
        self._report_failures()
        findings = self._stage.findings
        for error in self._errors:
            if not isinstance(error, BehaviourError) and not self._stage.take_expected(error):
                findings.add(_as_finding(error, "the session"))
        self._errors.clear()
        closed = self._closed
        if closed is not None and closed.reason == "error" and not self._stage.close_expected:
            findings.add(
                SessionClosedError(
                    f"the session closed on an error: {closed.error}; if that is what the test is "
                    "about, wrap it in expect_close(reason='error')"
                )
            )

    # --- waiting

    @contextlib.contextmanager
    def _within(self, seconds: float, what: str) -> Iterator[None]:
        """Bound `what` by virtual time, and say why where it cannot finish."""
        __tracebackhide__ = True
        clock = self._stage.clock
        with clock.budget(seconds):
            try:
                yield
            except asyncio.CancelledError:
                reason = clock.take_halt()
                if reason is None:
                    raise
                if (task := asyncio.current_task()) is not None:
                    task.uncancel()
                raise self._stuck(what, reason) from None

    def _stuck(self, what: str, reason: str) -> Stuck:
        self._is_stuck = True
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        lines = [f"{what} cannot finish: {reason}; {waiting(tasks)}"]
        if not self._closing:
            _livekit.release_run(self.session)
            self._collect(self.transcript.turns[-1] if self.transcript.turns
                          else self.transcript.start)  # fmt: skip
        lines += render(self.transcript.events)
        return Stuck("\n".join(lines))

    async def _until_change(self, work: Sequence[asyncio.Future[Any]]) -> None:
        """Wait until one of `work` is done or the session reports anything."""
        self._changed.clear()
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait([*work, change], return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()

    @contextlib.asynccontextmanager
    async def _interruption(self, after: float | None) -> Any:
        """Interrupt the agent `after` seconds into the turn."""
        if after is None:
            yield
            return

        async def interrupt() -> None:
            await asyncio.sleep(after)
            await self.session.interrupt()

        task = asyncio.ensure_future(interrupt())
        try:
            yield
        finally:
            if not task.done():
                task.cancel()
        if task.cancelled() or not task.done():
            raise BehaviourError(
                f"nothing was left to interrupt after {after:g} s: the reply was over; give its "
                "step a duration, such as say('…').timed(duration=2)"
            )
        task.result()


async def make_agent(source: Any, *, what: str) -> Agent:
    """Make the agent under test from an instance, a class or a factory, inside the loop.

    Raises:
        UsageError: It cannot be made, or what comes out is no agent.
    """
    made = source
    if not isinstance(source, Agent) and callable(source):
        try:
            inspect.signature(source).bind()
        except TypeError as error:
            name = getattr(source, "__name__", repr(source))
            raise UsageError(
                f"{what}: {name}() {error}; give an instance, or a factory such as "
                f"lambda: {name}(…)"
            ) from None
        made = source()
        if inspect.isawaitable(made):
            made = await made
    if not isinstance(made, Agent):
        raise UsageError(f"{what}: expected an Agent, its class or a factory, not {made!r}")
    return made


def session_arguments(options: Mapping[str, Any], model: llm.LLM[Any]) -> dict[str, Any]:
    """Return AgentSession arguments: lean, with the fake model, and the user's options over it."""
    if not isinstance(options, Mapping):
        raise UsageError(f"session_options is a mapping of AgentSession arguments, not {options!r}")
    given = {name: value for name, value in options.items() if name not in _REPLACED}
    turn_handling = {**given.pop("turn_handling", {}), "turn_detection": None}
    return {**_LEAN, **given, "turn_handling": turn_handling, "llm": model}


def _as_finding(error: BaseException, where: str) -> BaseException:
    if isinstance(error, (BehaviourError, UsageError)):
        return error
    finding = SessionError(f"{where} failed: {_plain(error)}; expect_error(…) expects it")
    finding.__cause__ = error
    return finding


def _plain(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
