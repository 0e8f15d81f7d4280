"""A session as a state machine: what happens next is drawn, while the rest is still going on."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from livekit.agents import Agent, AgentSession

from .. import _livekit, _livekit_work
from ..errors import BehaviourError, UsageError
from ..harness import Harness
from ..invariants import Invariants
from ..record import Turn
from ..script import Request, Step
from ..sites import Site, place_of
from ..transcript import Transcript, render
from . import private
from .agent import FuzzedAgent, fuzzed_agent
from .garbage import garbage_apart
from .inputs import user_inputs
from .play import DrawnTurn, Improvised, completions_of

__all__ = ["AgentMachine"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own

_SILENCES = (1.0, 5.0, 30.0)
_MOST_HELD = 3
"""Among how many tools that are at work the next one to end is chosen."""


class AgentMachine(RuleBasedStateMachine):
    """A state machine of hypothesis' that talks with an agent; subclass it.

    ::

        class DeskMachine(AgentMachine):
            agent = FrontDesk

            @invariant()
            def nobody_owes_us_less_than_nothing(self):
                assert self.userdata.total >= 0

        TestDesk = DeskMachine.TestCase

    The user says something, says nothing, cuts in; the model answers anything. A tool that is
    called begins, and is held at what it awaits first until `tool_ends` is drawn for it: parallel
    tools end in any order, and anything may happen meanwhile. The invariants of `fuzz_agent` hold
    after each turn. ``@rule`` adds what else may happen: `run` calls a function in the session's
    loop. Not for a conversation that is to become a scenario file: `fuzz_agent` writes those.

    Attributes:
        agent: As for `fuzz_agent`, and so are `mocks`, `without`, `session_options`, and as
            `userdata_of` its ``userdata``.

    Raises:
        UsageError: One of these is none that `fuzz_agent` takes.
    """

    agent: ClassVar[Any] = None
    mocks: ClassVar[Mapping[Any, Any] | None] = None
    without: ClassVar[Iterable[str]] = ()
    userdata_of: ClassVar[Any] = None
    session_options: ClassVar[Mapping[str, Any] | None] = None
    lk_fuzzed: ClassVar[FuzzedAgent]

    def __init_subclass__(cls) -> None:
        """Check what the class says, once."""
        super().__init_subclass__()
        if (own := cls.teardown) is not AgentMachine.teardown:  # of its own, a base or a mixin
            cls.teardown = _with_ours(own)  # type: ignore[method-assign]
        if cls.agent is None:
            return  # a base of others, which say which agent it is about
        if "invariants" in vars(cls):
            raise UsageError(
                f"{cls.__name__}: invariants are fuzz_agent's; here they are methods: put "
                "@invariant() of hypothesis.stateful on each"
            )
        if "userdata" in vars(cls):
            raise UsageError(
                f"{cls.__name__}: userdata is what the session has; write userdata_of = … for what "
                "makes it"
            )
        cls.lk_fuzzed = fuzzed_agent(
            cls.agent,
            where=cls.__name__,
            site=_site(cls),
            mocks=cls.mocks,
            invariants=(),
            without=cls.without,
            userdata=cls.userdata_of,
            session_options=cls.session_options,
            turns=1,
        )
        private.is_of(cls.TestCase, cls.lk_fuzzed)

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(self, "lk_fuzzed"):
            kind = type(self)
            place = "" if kind is AgentMachine else f" ({_site(kind)})"
            raise UsageError(f"{kind.__name__}{place}: which agent? write agent = FrontDesk in it")
        subject = self.lk_fuzzed
        self._stage = subject.stage()
        self._improvised = Improvised(self._stage, private.Drawing(), self._answers)
        self._stage.opened = self._look_on
        self._held: list[asyncio.Future[None]] = []
        self._turn: asyncio.Task[Turn] | None = None
        self._harness: Harness | None = None
        self._at_work: set[asyncio.Task[Any]] = set()
        self._is_ending = self._is_closed = False
        self._taken = ExitStack()
        try:
            self._open()
            self._do(self._start(), is_turn=True)
        except BaseException:
            AgentMachine.teardown(self)  # hypothesis calls that of a machine alone that there is
            raise

    # --- what rules and invariants look at

    @property
    def agent_session(self) -> AgentSession[Any]:
        """The session under test."""
        assert self._harness is not None, "the session has started"
        return self._harness.session

    @property
    def userdata(self) -> Any:
        """The session's userdata."""
        return self.agent_session.userdata

    @property
    def transcript(self) -> Transcript:
        """The conversation so far."""
        assert self._harness is not None, "the session has started"
        return self._harness.transcript

    def completions(self, request: Request) -> st.SearchStrategy[Step]:
        """Return what the model may answer; override it where some answers are to come oftener."""
        return completions_of(request)

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call a function in the session's loop, and let everything happen that takes no time.

        A coroutine function may take longer: it goes on while other rules run.
        """

        async def call() -> None:
            made = function(*args, **kwargs)
            if inspect.iscoroutine(made):
                self._at_work.add(task := asyncio.ensure_future(made))
                task.add_done_callback(self._at_work.discard)

        self._do(call())

    # --- what happens

    @precondition(lambda self: self._turn is None and not self._is_over)
    @rule(text=user_inputs())
    def user_says(self, text: str) -> None:
        """The user takes a turn; that it is answered may take until later."""

        async def begin() -> None:
            harness = self._harness
            assert harness is not None, "the session has started"
            self._improvised.drawn.turns.append(DrawnTurn(user=text))
            self._turn = asyncio.ensure_future(harness.user_says(text))
            self._turn_began = harness.seconds

        self._do(begin())

    @precondition(lambda self: not self._is_over and self._may_wait)
    @rule(seconds=st.sampled_from(_SILENCES))
    def silence(self, seconds: float) -> None:
        """Nobody says anything, and time passes."""
        harness = self._harness
        assert harness is not None, "the session has started"
        if self._turn is None:
            self._improvised.drawn.turns.append(DrawnTurn(wait=seconds))
            self._do(harness.wait(seconds, settle=False), is_turn=True)
        else:
            self._do(asyncio.sleep(seconds))

    @precondition(lambda self: not self._is_over and self._may_be_interrupted)
    @rule()
    def user_cuts_in(self) -> None:
        """The user interrupts the agent."""

        async def interrupt() -> None:
            self.agent_session.interrupt()

        self._do(interrupt())

    @precondition(lambda self: bool(self._held))
    @rule(which=st.integers(0, _MOST_HELD - 1))
    def tool_ends(self, which: int) -> None:
        """One of the tools that were called goes on to its end."""

        async def end() -> None:
            self._held.pop(which % len(self._held)).set_result(None)

        self._do(end())

    @precondition(lambda self: self._is_over and not self._held)
    @rule()
    def nothing_happens(self) -> None:
        """The session has closed: hypothesis takes it for a mistake where no rule is left."""

    def teardown(self) -> None:
        """Let everything end, close the session, and look at what comes to light then.

        Where a machine has one of its own, this comes after it: `super` need not be called.
        """
        if "_improvised" not in vars(self):
            kind = type(self)
            raise UsageError(
                f"{kind.__name__}: its __init__{place_of(kind.__init__)} begins no session; call "
                "super().__init__() in it"
            )
        if self._is_closed:
            return
        self._is_closed = True
        failure = sys.exc_info()[1]
        verdict: BaseException | None = None
        self._improvised.has_failed = failure is not None
        with self._taken:
            if self._harness is not None and failure is None:
                self._do(self._finish())
            if self._stage.clock is not None:
                self._runner.run(self._stage.aclose())
                self._stage.settle_account(went_through=False)
                verdict = self._stage.findings.verdict(None)
        if failure is not None:
            self._tell(failure)
        elif verdict is not None:
            self._tell(verdict)
            raise verdict

    # --- how

    def _open(self) -> None:
        stage, taken = self._stage, self._taken
        taken.enter_context(garbage_apart())
        assert stage.wall is not None, "each example has a time of its own"
        stage.wall.travel()
        taken.callback(stage.wall.end)
        taken.callback(stage.mocks.restore)
        taken.callback(stage.give_back)
        if not private.is_final():
            taken.enter_context(_livekit.silent_log())
        self._runner = taken.enter_context(asyncio.Runner())
        on_loop = stage.on_loop()
        self._runner.run(on_loop.__aenter__())
        taken.callback(lambda: self._runner.run(on_loop.__aexit__(None, None, None)))

    async def _start(self) -> None:
        self._harness = await self.lk_fuzzed.session(self._stage)

    async def _finish(self) -> None:
        """Let the tools go, and the turn that is under way come to its end."""
        self._is_ending = True
        for held in self._held:
            held.set_result(None)
        if self._turn is not None:
            # awaited itself, so that it hears of it if it cannot end; `_step` looks at what it was
            with suppress(Exception):
                await self._turn

    def _look_on(self, harness: Harness) -> None:
        subject = self.lk_fuzzed
        self._watch = Invariants(harness, without=subject.without, own=subject.invariants)
        harness.tools.calling = self._calling

    def _calling(
        self, agent: Agent, tool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Callable[[], Awaitable[None]]:
        self._watch.calling(tool, args, kwargs)
        return self._hold

    async def _hold(self) -> None:
        if self._is_ending:
            return
        held = asyncio.get_running_loop().create_future()
        self._held.append(held)
        await held

    def _answers(self, request: Request) -> st.SearchStrategy[Step]:
        """Return what the model may answer, and refuse what is no answer."""
        own = type(self).completions
        what = f"{type(self).__name__}: completions(){place_of(own)}"
        given: Any = self.completions(request)
        if not isinstance(given, st.SearchStrategy):
            raise UsageError(f"{what} returned {given!r}, and has to return a strategy")

        def checked(step: Any) -> Step:
            if not isinstance(step, Step):
                raise UsageError(
                    f"{what}: its strategy draws {step!r}, and has to draw what a model answers, "
                    "such as say('hello')"
                )
            return step

        return given.map(checked)

    def _do(self, what: Coroutine[Any, Any, Any], *, is_turn: bool = False) -> None:
        """Run a step, let happen what comes of it, and look at the turn that it is, or ends.

        Raises:
            Exception: What the agent did wrong.
            BaseException: What drawing raised, as hypothesis does where an example is of no use.
        """
        __tracebackhide__ = True
        try:
            self._runner.run(self._step(what, is_turn=is_turn))
        except (BehaviourError, UsageError) as error:
            raise error.with_traceback(None) from None  # its lines are ours and asyncio's
        if self._improvised.left is not None:
            raise self._improvised.left
        verdict = self._stage.findings.verdict(None)
        if verdict is not None:
            raise verdict

    async def _step(self, what: Coroutine[Any, Any, Any], *, is_turn: bool) -> None:
        clock = self._stage.clock
        assert clock is not None, "the stage is on a loop"
        await what
        await clock.quiet()
        self._held = [one for one in self._held if not one.done()]  # the session may end a tool
        if self._turn is not None and self._turn.done():
            turn, self._turn = self._turn, None
            try:
                await turn
            except Exception as error:
                if not self._watch.lets_pass(error):
                    raise
            is_turn = True
        if is_turn and self._improvised.left is None and not self._is_over:
            self._improvised.steps = 0
            await self._watch.check()

    def _tell(self, error: BaseException) -> None:
        """Say with an error in which conversation it came up."""
        is_told = private.is_final() and not isinstance(error, UsageError)
        if self._harness is not None and is_told:
            for line in ["in this conversation:", *render(self._harness.transcript.events)]:
                error.add_note(line)

    @property
    def _is_over(self) -> bool:
        return self._watch.are_settled

    @property
    def _may_wait(self) -> bool:
        """Whether a turn that is under way has time: it is the machine that holds its tools."""
        if self._turn is None or self._harness is None:
            return True
        return self._harness.seconds - self._turn_began < self._stage.timeout - 2 * max(_SILENCES)

    @property
    def _may_be_interrupted(self) -> bool:
        """Whether the model was asked: what is cut off before that is as good as not said."""
        is_asked = self._turn is not None and self._improvised.steps > 0
        return is_asked and _livekit_work.may_be_interrupted(self.agent_session)


def _site(machine: type) -> Site:
    return Site(inspect.getsourcefile(machine) or "", inspect.getsourcelines(machine)[1])


def _with_ours(own: Any) -> Any:
    """Let our teardown come after the user's: hypothesis' own does nothing, and nobody calls it."""

    @functools.wraps(own)
    def teardown(machine: AgentMachine) -> None:
        try:
            own(machine)
        finally:
            AgentMachine.teardown(machine)

    return teardown
