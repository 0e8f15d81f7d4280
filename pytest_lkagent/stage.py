"""What the sessions of one test share: clock, model, mocks, expectations and findings."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
)
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import Context, copy_context
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from livekit.agents import Agent, AgentSession, JobContext

from . import _livekit, _livekit_items, _livekit_work, guard, swallowed
from .clock import RealClock, VirtualClock
from .diagnosis import (
    Standstill,
    describe_leak,
    describe_outlasting,
    describe_stubborn,
    is_of_ours,
    waiting,
)
from .errors import (
    BehaviourError,
    BlockedLoop,
    LeakedTask,
    Stuck,
    UsageError,
    with_causes,
)
from .expected import ErrorKind, Expected, ExpectedClose, ExpectedError
from .fake import FakeLLM
from .frames import nearest_users_line, raised_by_user
from .guard import Guard
from .harness import Harness
from .known_as import known_as
from .leftovers import DROPPED, UNUSED, Offers, unasked, uncalled, unspoken
from .mocks import Mocks
from .options import INPROCESS, Host, JobOptions
from .simulation.entrypoint import Entrypoint
from .simulation.job import Job
from .strict import BACKGROUND_ERROR, Findings
from .swallowed import HandlerWatch, Swallowed
from .tasks import end, patiently
from .thread_jobs import ThreadJob, ThreadJobs
from .unheard import Unheard
from .wall_clock import WallClock
from .words import SCRIPTED, Words

if TYPE_CHECKING:
    from .fake.tts import FakeTTS
    from .simulation.apart import ProcessHarness

__all__ = ["Stage", "seams_held"]


@contextmanager
def seams_held() -> Iterator[None]:
    """Keep in place inside what each stage has stand in for others' code, between stages too.

    For many one after another; nobody is on duty in between.
    """
    with _livekit.STAND_INS, guard.STAND_INS, swallowed.STAND_INS:
        yield


class Stage:
    """One test; `on_loop` puts it on the loop that the test runs on."""

    def __init__(
        self,
        *,
        timeout: float,
        allow: Collection[str],
        used: WeakSet[Agent],
        hosts: Collection[Host] = (),
        wall: WallClock | None = None,
        real_time: bool = False,
        words: Words | None = None,
        bound: str = "",
        job: JobOptions | None = None,
        target: str = INPROCESS,
    ) -> None:
        self.timeout = timeout
        self.target = target
        self.words = words or Words()
        self.bound = bound or f"set another bound with --lk-timeout or {self.words.bound}"
        self.wall = wall
        self._real_time = real_time
        self.findings = Findings(allow)
        self.model = FakeLLM()
        self.model.allow_unscripted = "unscripted_request" in self.findings.allow
        self.mocks = Mocks()
        self.swallowed = Swallowed(
            self.findings,
            is_expected=self.take_expected,
            is_shown=self._is_shown,
        )
        self.sessions: list[Harness] = []
        self.clock: VirtualClock | None = None
        self.job = Job(job or JobOptions(), raised=self._raised_in_job)
        self.expect_veto: str | None = None
        """What has to be in the reason with which ``on_simulation_end`` vetoes the run."""
        self.standstill = Standstill()
        self.is_call = False
        """Whether the session under test is spoken to."""
        self.impairments: Collection[str] = ()
        """What is wrong with the line then."""
        self.is_fuzzed = False
        """Whether nobody claims what the model and the user do: the agent has to cope with it."""
        self.late: list[BaseException] = []
        """What came to light between the verdict and the end of the loop."""
        self.before_session: Callable[[], None] = lambda: None
        self.opened: Callable[[Harness], object] = lambda _: None
        """Called with each session before it starts."""
        self.models = [self.model]
        self.used = used
        self._hosts = hosts
        self.offers = Offers()
        self.expected: list[Expected] = []
        """What lets an error pass just now."""
        self._expecting: list[ExpectedError | ExpectedClose] = []
        self._open: list[Harness] = []
        self._unheard: Unheard | None = None
        self._thread_jobs: ThreadJobs | None = None
        self.watches = ExitStack()
        self.apart: ProcessHarness | None = None
        self._is_settled = False
        self._breaks_off = False
        """Whether a session is closed that could not come to its end."""
        self._is_on_loop = False
        self._context: Context | None = None

    def run_in_job(self, entrypoint: Entrypoint) -> None:
        """Have an entrypoint run in the job of the test, in a process that is warmed up for it."""
        self.before_session()  # a plugin that is warmed up may want its key
        process = entrypoint.warm_up(self._hosts, found=self.findings.add)
        self.job.run_in(entrypoint, process)

    @asynccontextmanager
    async def on_loop(self) -> AsyncIterator[JobContext]:
        """Make the running loop virtual and enter a fake job; close everything at the end.

        Where that is done already, it is left to whoever did it.

        Raises:
            UsageError: The loop is not asyncio's own.
        """
        if self._is_on_loop:
            yield self.job.context
            return
        clock = (RealClock if self._real_time else VirtualClock)(asyncio.get_running_loop())
        clock.wall = self.wall
        clock.install()
        clock.halting = lambda tasks: self.standstill.look(tasks, self._answering())
        clock.blocked = self._blocked
        self.clock = clock
        self.model.taking = clock.renew
        loop = asyncio.get_running_loop()
        unheard = self._unheard = Unheard(
            loop,
            clock.tasks,
            raised=self.swallowed.keep_background,
            never_awaited=self.swallowed.keep_dropped,
        )
        with (
            Guard(loop, self._hosts, found=self.findings.add, waiting=waiting),
            self.watches,
            _livekit.quiet_log(self._is_reported),
            self.job.entered() as context,
        ):
            self._is_on_loop = True
            self._thread_jobs = self.watches.enter_context(ThreadJobs(loop, unheard.is_ours))
            self.watches.enter_context(unheard)
            self.watches.enter_context(HandlerWatch(self.swallowed, unheard.is_ours))
            self._context = copy_context()
            try:
                yield context
            finally:
                if not self._is_settled:  # it was skipped, or left by an exit
                    self.swallowed.report()
                told = [] if self._is_settled else list(self.findings)
                try:
                    await self._end_job()
                    await self.end_tasks(clock.tasks.begun)
                    await self._outlasting_jobs()
                finally:
                    clock.restore()
        self.swallowed.report()
        self.late = list(self.findings)[len(told) :]

    def hear_out(self) -> None:
        """Let what is under way in a call go on to its end: much of it may fail yet.

        A text is settled turn by turn; a call is left wherever the test's body ends. What the test
        itself has begun and does not await may even come to its end while the session closes.
        """
        for task, is_users in self.clock.tasks.begun.items() if self.clock is not None else ():
            if is_users and not task.done() and is_of_ours(task):
                self.findings.add(LeakedTask(describe_leak(task, self.words)))
        for harness in self.sessions:
            if self.clock is not None and harness.has_session and not harness.is_stuck:
                ending = self._patiently(harness.hear_out(), "the call")
                self.clock.run(ending, self._context)

    def ask_for_verdict(self, failure: BaseException | None) -> None:
        """Let the agent's own ``on_simulation_end`` judge; that it vetoes is a finding.

        For before `close`; `failure` is what the test failed with so far.
        """
        harness = self.sessions[0] if self.sessions else None
        entrypoint = self.apart.entrypoint if self.apart is not None else self.job.entrypoint
        if entrypoint is None or harness is None or self.clock is None:
            return
        if not harness.is_stuck and harness.has_session:
            self.clock.run(self._ask_for_verdict(entrypoint, harness, failure), self._context)

    async def _ask_for_verdict(
        self, entrypoint: Entrypoint, harness: Harness, failure: BaseException | None
    ) -> None:
        from .simulation.verdict import ask_for_verdict, ask_there

        provisional = failure or next(iter(self.findings), None)
        known: dict[str, Any] = {
            "provisional": None if provisional is None else str(provisional).partition("\n")[0],
            "expected": self.expect_veto,
        }

        async def ask() -> None:
            if self.apart is not None:
                found = await ask_there(entrypoint, self.apart.client, **known)
            else:
                job = self.job.context
                found = await ask_for_verdict(entrypoint, harness.session, job, **known)
            if found is not None:
                self.findings.add(found)

        await self._patiently(ask(), "on_simulation_end")

    def close(self) -> None:
        """Close the sessions and end what they began; what closing reveals is a finding.

        For between the body of a test and its verdict: nothing runs on the loop.
        """
        if self.clock is not None:
            self.clock.run(self.aclose(), self._context)

    def give_back(self) -> None:
        """Give the loop back where nobody else could: it stopped for good."""
        self.watches.close()
        if self.clock is not None and self.clock.is_installed:
            self.clock.restore()

    async def aclose(self) -> None:
        """Do what `close` does, for code that runs on the loop itself."""
        is_stuck = any(harness.is_stuck for harness in self._open)
        if is_stuck and self._unheard is not None:
            self._unheard.take_failed_tasks(self.swallowed.keep_background)
            self.swallowed.report()
            self._breaks_off = True
        await self._end_job()
        clock = self.clock
        assert clock is not None, "the stage is on a loop"
        await patiently(clock.quiet(), clock.take_halt)  # a task that spins ends below
        for task, is_users in clock.tasks.begun.items():
            if is_users and not is_stuck and not task.done():
                self.findings.add(LeakedTask(describe_leak(task, self.words)))
        await self.end_tasks(clock.tasks.begun)
        for job in await self._outlasting_jobs():
            self.findings.add(LeakedTask(describe_outlasting(job, self.words)))

    async def _end_job(self) -> None:
        await self._patiently(self.job.leave(), "the end of the entrypoint")
        await self._close_sessions()
        await self._patiently(self.job.finish(), "the end of the job")

    async def _patiently(self, ending: Awaitable[None], what: str) -> None:
        """Await what belongs to the end of the job; that it cannot finish is a finding."""
        assert self.clock is not None, "the stage is on a loop"
        with self.clock.budget(self.timeout):
            if not await patiently(ending, self.clock.take_halt):
                self.findings.add(Stuck(f"{what} cannot finish: {self.standstill.where_it_waits}"))

    def _raised_in_job(self, error: BaseException, what: str) -> None:
        self.swallowed.keep(BACKGROUND_ERROR, error, where=what)

    async def _close_sessions(self) -> None:
        while self._open:
            try:
                await self._open.pop().close()
            except BehaviourError as failure:
                self.findings.add(failure)
            except Exception as error:  # noqa: BLE001  (a handler of `close` goes through LiveKit)
                if not self._is_shown(error):
                    self.findings.add(error)

    async def end_tasks(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel `tasks` and see to it that they end; one that had to be made to is a finding."""
        assert self.clock is not None, "the stage is on a loop"
        for stubborn in await end(tasks, take_halt=self.clock.take_halt):
            if stubborn.site is not None:
                self.findings.add(BehaviourError(describe_stubborn(stubborn)))

    async def _outlasting_jobs(self) -> Collection[ThreadJob]:
        """Wait for the jobs in threads a while; let those go that go on, and return them."""
        assert self.clock is not None, "the stage is on a loop"
        assert self._thread_jobs is not None, "the stage is on a loop"
        with self.clock.work.under_way():
            return await self._thread_jobs.outlasting()

    def _is_reported(self, error: BaseException | None) -> bool:
        """Whether the test shows `error` anyway, so that LiveKit's log of it only repeats it."""
        cause = error and error.__cause__  # LiveKit's own, which gives up after several attempts
        return (
            self.findings.is_reported(error)
            or (error is not None and self.mocks.raised(error))
            or self.is_scripted(error)
            or self.is_scripted(cause)
        )

    def _is_shown(self, error: BaseException) -> bool:
        """Whether the test shows `error`, or what caused it, as something else."""
        if self._breaks_off and type(error) is RuntimeError and not raised_by_user(error):
            return True  # LiveKit's, for a session that we closed under who would use it
        reported = [*self.findings, *self.findings.known]
        for harness in self.sessions:
            reported += [*harness.record.errors, harness.record.close_error]
        return any(
            any(cause is one for one in reported) or self.is_scripted(cause)
            for cause in with_causes(error)
        )

    def is_scripted(self, error: BaseException | None) -> bool:
        """Whether a script, or how something is to be spoken or heard, says that it is raised."""
        return self.script_of(error) is not None

    def script_of(self, error: BaseException | None) -> str | None:
        """Say where it is scripted that this is raised, None where it is not."""
        for model in self.models:
            if (step := model.script_of(error)) is not None:
                return f"{SCRIPTED}{step.written_at}: {step.describe()}"
        failed = self.tts.failed if self.is_call else ()
        return next((str(one) for one in failed if one.error is error), None)

    def _answering(self) -> list[str]:
        return [
            f"the model is still at {step.describe()} ({step.written_at})"
            for model in self.models
            for step in model.answering
        ]

    def _blocked(self, seconds: float | None) -> None:
        if seconds is None:
            what, instead = "a wait that looks at the clock again and again", "asyncio.sleep(…)"
        else:
            what, instead = f"time.sleep({seconds:g})", f"asyncio.sleep({seconds:g})"
        told = (
            f"{what} blocks the event loop ({nearest_users_line()}): nobody in this worker hears "
            f"or says anything meanwhile; write await {instead}, or run what blocks with "
            "asyncio.to_thread"
        )
        self.findings.add(BlockedLoop(told))

    def check_time(self, what: str) -> None:
        """Refuse `what` on a loop other than the test's, or where the test holds the wall clock.

        On another loop it would wait for ever: nobody runs the loop of the session meanwhile.
        """
        if self.clock is not None and not self.clock.is_here:
            raise UsageError(
                f"{what} on another event loop than the test's: give the fixture and the test the "
                "same loop_scope"
            )
        if self.wall is not None:
            self.wall.check()

    # --- sessions

    @cached_property
    def tts(self) -> FakeTTS:
        """What the agent speaks with in a call."""
        from .fake.tts import FakeTTS

        return FakeTTS()

    def open(self, harness: Harness) -> Harness:
        self.sessions.append(harness)
        self._open.append(harness)
        self.opened(harness)
        return harness

    def agent_starting(self, agent: Agent, session: AgentSession[Any]) -> None:
        """Note which tools an agent offers, and check the mocks that wait for one."""
        tools = {tool.id: tool for tool in _livekit.tools_of([*agent.tools, *session.tools])}
        self.offers.note(agent, tools)
        self.mocks.begins(agent)
        for made in self.mocks.tools:
            tool = tools.get(made.tool_name)
            if tool is not None and made.fits(agent, tool) is not None:
                made.check(tool)

    # --- what is expected

    @known_as("expect_error")
    def expect_error(self, kind: ErrorKind, match: str | None = None) -> ExpectedError:
        """Let errors of this kind pass in a with block, and want at least one."""
        made = ExpectedError(kind, match, self.expected, self.sessions)
        self._expecting.append(made)
        return made

    def take_expected(self, error: BaseException) -> bool:
        """Whether an `expect_error` that is open expects `error`, or it was drawn.

        As the model's own is, and what LiveKit answers to an interruption that nobody chose.
        """
        if self.is_fuzzed and (
            self.is_scripted(error) or _livekit_work.refuses_as_interrupted(error)
        ):
            return True
        return any(expected.takes(error) for expected in self.expected)

    def let_anything_happen(self) -> None:
        """Claim nothing of what the model and the user do, for before a session starts."""
        self.is_fuzzed = self.model.allow_unscripted = self.model.allow_misuse = True

    def take_expected_tasks(self) -> None:
        """Show what ended tasks, and nobody asked for so far, to an `expect_error` that is open."""
        if self._unheard is not None:
            self._unheard.take_failed_tasks(lambda error, _: self.take_expected(error))

    @known_as("expect_close")
    def expect_close(self, reason: str | None = None) -> ExpectedClose:
        """Want a session to close by itself in a with block, for `reason` if one is given."""
        made = ExpectedClose(reason, self.sessions)
        self._expecting.append(made)
        return made

    def neutral(self, value: Any) -> Any:
        """Convert a chat context or a RunResult into events, with what the sessions' records know.

        Any other value stays as it is.
        """
        known = {item: name for one in self.sessions for item, name in one.record.names.items()}
        return _livekit_items.neutral(value, known)

    # --- the verdict

    def settle_account(self, *, went_through: bool = True) -> None:
        """Turn what is left over at the end of the test into findings.

        Where the conversation did not go through to its end, steps and mocks that were not used
        are only a consequence of that.
        """
        self._is_settled = True
        if self._unheard is not None:
            self._unheard.take_failed_tasks(self.swallowed.keep_background)
        for harness in self.sessions:
            harness.settle_account()
        self.swallowed.report()
        for model in self.models:
            for error in model.refused:
                self.findings.add(error)
            if not self.is_fuzzed and (lost := model.take_dropped()):
                self.findings.add(DROPPED.finding(lost, self.words))
            if went_through and (left := model.remaining):
                self.findings.add(UNUSED.finding(left, self.words))
            if went_through and (names := model.unasked_judges):
                self.findings.add(unasked(names, self.words))
        if went_through and "tts" in vars(self) and self.tts.unused:
            self.findings.add(unspoken(self.tts, self.words, is_call=self.is_call))
        for expecting in self._expecting:
            if went_through and not expecting.is_entered:
                self.findings.add(UsageError(expecting.why_vain))
        requests = [request for model in self.models for request in model.requests]
        for made in self.mocks:
            if went_through and made.is_owed_a_call:
                self.findings.add(uncalled(made, self.offers, requests))
