"""One example: a fresh session, and a conversation that is drawn while it takes place.

What the model answers is drawn when it is asked, for the tools that are on offer then, so that an
agent that was handed over to is asked in its own terms; how long a tool takes is drawn when it is
called. Each example has an event loop, a context and a wall clock of its own, and nothing of
one is there in the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from livekit.agents import Agent

from .. import _livekit
from ..errors import BehaviourError
from ..harness import MOST_ANSWERS, Harness
from ..invariants import Invariant, Invariants
from ..script import Request, Step, say, silence
from ..stage import Stage
from .chances import once_in
from .completions import completions_for
from .inputs import PHRASES, user_inputs
from .schedules import delays, interruptions

__all__ = ["Draw", "Drawn", "DrawnTurn", "Example", "Improvised", "Subject", "completions_of"]

_T = TypeVar("_T")


class Draw(Protocol):
    """Draw a value, as hypothesis hands it to composite strategies."""

    def __call__(self, strategy: SearchStrategy[_T], /) -> _T: ...
    def begin(self) -> None:
        """Say that something begins which may go, where an example shrinks."""


class Subject(Protocol):
    """What is fuzzed."""

    @property
    def turns(self) -> int:
        """How many turns a conversation has at most."""

    @property
    def without(self) -> Collection[str]: ...
    @property
    def invariants(self) -> Sequence[Invariant]: ...

    def stage(self) -> Stage:
        """Set a stage for one example, its mocks on it."""

    async def session(self, stage: Stage) -> Harness:
        """Start the session under test."""


@dataclass
class DrawnTurn:
    """One input, and what the model answered to what came of it.

    `user` is None for the start of the session, and where `wait` seconds pass; `interrupt` is when
    the user cuts in.
    """

    user: str | None = None
    wait: float | None = None
    interrupt: float | None = None
    steps: list[Step] = field(default_factory=list)


@dataclass
class Drawn:
    """A conversation as it was drawn: its start, its turns, and how long each call of a tool takes.

    `delays` are by the tool's name, in the order in which its calls began.
    """

    start: DrawnTurn = field(default_factory=DrawnTurn)
    turns: list[DrawnTurn] = field(default_factory=list)
    delays: dict[str, list[float]] = field(default_factory=dict)

    @property
    def current(self) -> DrawnTurn:
        return self.turns[-1] if self.turns else self.start


_END, _ELSE = object(), object()
# What the user does next, by one choice: what is drawn as a choice of choices shrinks worse. He
# says a phrase, waits, says something else, or the conversation is over, which is the simplest.
_INPUTS: SearchStrategy[Any] = st.sampled_from(
    (_END, *PHRASES, *(1.0, 5.0, 30.0) * 4, *(_ELSE,) * 22, *(_END,) * 13)
)
_ARE_SLOW = once_in(2)
_SILENCE = silence()


def completions_of(request: Request) -> SearchStrategy[Step]:
    """Return what a model may answer to a request."""
    return completions_for(request.tools, request.tool_choice)


class Improvised:
    """What is drawn while a session of `stage` goes on: the model's answers, first of all.

    Attributes:
        drawn: The conversation, as far as it came.
        left: What drawing raised: LiveKit, which would swallow it, gets something in its place.
        has_failed: Whether a fault has ended it: what comes of closing the session shows nothing.
        steps: How many answers were drawn in the current turn.
    """

    def __init__(
        self,
        stage: Stage,
        draw: Draw,
        completions: Callable[[Request], SearchStrategy[Step]] | None = None,
    ) -> None:
        self._stage = stage
        self._draw = draw
        self._completions = completions or completions_of
        self.drawn = Drawn()
        self.left: BaseException | None = None
        self.has_failed = False
        self.steps = 0
        stage.let_anything_happen()
        stage.model.improvised = self._answer

    def __call__(self, strategy: SearchStrategy[_T], *, or_else: _T) -> _T:
        """Draw a value, `or_else` where drawing has come to its end."""
        return self._take(lambda: strategy, or_else)

    def _take(self, strategy: Callable[[], SearchStrategy[_T]], or_else: _T) -> _T:
        if self.left is None and not self.has_failed:
            try:
                return self._draw(strategy())
            except BaseException as error:  # noqa: BLE001  (whoever plays the example raises it)
                self.left = error
        return or_else

    def _answer(self, request: Request) -> Step:
        self.steps += 1
        if self._stage.swallowed.holds_any or self.has_failed:
            return _SILENCE  # as to a request that a file does not script
        if self.steps > MOST_ANSWERS:
            step = say("a")
        else:
            step = self._take(lambda: self._completions(request), _SILENCE)
        self.drawn.current.steps.append(step)
        return step


class Example:
    """One example, to be played once; LiveKit's log of it is only there where it `is_shown`.

    Attributes:
        harness: The session, None where it did not come to be.
    """

    def __init__(self, subject: Subject, draw: Draw, *, is_shown: bool = False) -> None:
        self._subject = subject
        self._draw = draw
        self._log = nullcontext if is_shown else _livekit.silent_log
        self._stage = subject.stage()
        self._drawn = Improvised(self._stage, draw, self._completions)
        self._are_slow: bool | None = None
        self.harness: Harness | None = None

    @property
    def drawn(self) -> Drawn:
        """The conversation, as far as it came."""
        return self._drawn.drawn

    @property
    def left(self) -> BaseException | None:
        """What drawing raised, which is hypothesis' own."""
        return self._drawn.left

    def play(self) -> None:
        """Play it.

        Raises:
            Exception: What the agent did wrong.
            BaseException: What drawing raised, as hypothesis does where an example is of no use.
        """
        __tracebackhide__ = True
        stage = self._stage
        wall = stage.wall
        assert wall is not None, "each example has a time of its own"
        wall.travel()
        try:
            with self._log(), asyncio.Runner() as runner:
                failure = runner.run(self._on_loop())
        finally:
            stage.give_back()
            stage.mocks.restore()
            wall.end()
        if self._drawn.left is not None:
            raise self._drawn.left
        verdict = stage.findings.verdict(failure or next(iter(stage.late), None))
        if isinstance(verdict, BehaviourError):
            verdict.__context__ = None  # by which hypothesis would tell one fault from itself
        if verdict is not None:
            raise verdict

    async def _on_loop(self) -> BaseException | None:
        """Play it on a loop of its own, and return what a turn raised."""
        stage = self._stage
        stage.opened = self._look_on
        failure: BaseException | None = None
        async with stage.on_loop():
            try:
                self.harness = await self._subject.session(stage)
                await self._converse(self.harness)
            except Exception as error:  # noqa: BLE001  (the verdict raises it)
                failure = error
                self._drawn.has_failed = True
            await stage.aclose()
            stage.settle_account(went_through=False)
        return failure

    def _look_on(self, harness: Harness) -> None:
        subject = self._subject
        self._invariants = Invariants(harness, without=subject.without, own=subject.invariants)
        harness.tools.calling = self._calling

    async def _converse(self, harness: Harness) -> None:
        await self._end_turn()
        turns = self.drawn.turns
        while not self._is_over() and len(turns) < self._subject.turns and self._draw_turn():
            await self._take_turn(harness, turns[-1])

    async def _take_turn(self, harness: Harness, turn: DrawnTurn) -> None:
        try:
            if turn.wait is not None:
                await harness.wait(turn.wait)
            else:
                await harness.user_says(turn.user or "", interrupt=turn.interrupt)
        except Exception as error:
            if not self._invariants.lets_pass(error):
                raise
        if turn.interrupt is not None and not self._is_over():
            # the answer that was cut off, so that it is no shorter than where nobody cuts in
            self._drawn(completions_for({}), or_else=None)
        await self._end_turn()

    async def _end_turn(self) -> None:
        """Look at the turn that is over, unless it is known to have gone wrong."""
        self._drawn.steps = 0
        if not self._is_over():
            await self._invariants.check()

    def _is_over(self) -> bool:
        has_ended = self._drawn.left is not None or self._invariants.are_settled
        return has_ended or bool(self._stage.findings)

    # --- what is drawn

    def _draw_turn(self) -> bool:
        """Draw what the user does next, and return whether he does anything; first he does."""
        self._draw.begin()
        does: Any = self._drawn(_INPUTS, or_else=_END)
        if does is _END and not self.drawn.turns:
            does = PHRASES[0]
        if does is _ELSE:
            does = self._drawn(user_inputs(), or_else=_END)
        if isinstance(does, float):
            self.drawn.turns.append(DrawnTurn(wait=does))
        elif does is not _END:
            interrupt = self._drawn(interruptions(), or_else=None)
            self.drawn.turns.append(DrawnTurn(user=does, interrupt=interrupt))
        return does is not _END and self._drawn.left is None

    def _completions(self, request: Request) -> SearchStrategy[Step]:
        self._draw.begin()
        self._are_slow = None
        return completions_of(request)

    def _calling(
        self, _: Agent, tool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Callable[[], Awaitable[None]] | None:
        self._invariants.calling(tool, args, kwargs)
        if self._are_slow is None:  # one choice for all calls of a completion
            self._are_slow = self._drawn(_ARE_SLOW, or_else=False)
        seconds = self._drawn(delays(), or_else=0.0) if self._are_slow else 0.0
        self.drawn.delays.setdefault(str(tool.id), []).append(seconds)
        return partial(asyncio.sleep, seconds) if seconds else None
