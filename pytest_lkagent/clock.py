"""Virtual time: the running loop of an item waits for nothing.

`VirtualClock` takes over the *running* stock loop and gives it back. While it is installed,
``loop.time()`` is virtual: when nothing is ready, the clock jumps to the next timer instead of
sleeping, so a model that takes two seconds to answer, a slow tool or a retry costs no wall time.

What makes it exact, each a defect of simpler clocks (``reference/livekit_agents.md``):

- the time *is* the deadline of the timer that fires, so ``sleep(30)`` ends 30 s later, and no
  error adds up however many timers there were;
- equal deadlines fire in the order in which they were made, by a sequence number in the timer and
  not by nudging the time;
- the loop's clock resolution stays above the spacing of floats, so it does not spin late in a
  long conversation;
- while a job of ``run_in_executor`` is in flight the clock runs in real time for it.

It also knows when nothing can happen any more: nothing ready, no timer, nothing in flight, and
nothing real within a grace where other threads or sockets could still wake the loop. The coroutine
that the loop runs is then cancelled, and `VirtualClock.halted` says why.

Its limits: it does not see waits on threads of a library's own (aiosqlite) or on subprocesses,
and ``time.time()`` stays real. It needs ``_selector``, ``_scheduled`` and
``_clock_resolution`` of asyncio's own loop; any other loop is refused.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from .errors import Stuck, UsageError

__all__ = ["GRACE", "RESOLUTION", "Budget", "Halted", "VirtualClock"]

RESOLUTION = 1e-9
GRACE = 0.2
"""Real seconds that other threads and sockets get to wake a loop on which nothing can happen."""


class _Timer(asyncio.TimerHandle):
    """A timer that knows its place among those with the same deadline."""

    __slots__ = ("_order",)

    _when: float
    _scheduled: bool

    def __init__(self, order: int, *args: Any) -> None:
        super().__init__(*args)
        self._order = order

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        if isinstance(other, _Timer):
            return (self._when, self._order) < (other._when, other._order)
        return self._when < other.when()


class _Selector:
    """The loop's selector, which asks the clock how to wait."""

    def __init__(self, real: Any, clock: VirtualClock) -> None:
        self._real = real
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        return self._clock._wait(self._real, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Budget:
    """A bound on virtual time: what runs on past `deadline` is halted with `reason`."""

    def __init__(self, deadline: float, seconds: float) -> None:
        self.deadline = deadline
        self.seconds = seconds


class VirtualClock:
    """Virtual time for one loop, from `install` to `restore`.

    Raises:
        UsageError: The loop is not asyncio's own selector loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        if not isinstance(loop, asyncio.SelectorEventLoop) or not hasattr(loop, "_selector"):
            kind = type(loop)
            raise UsageError(
                f"virtual time needs asyncio's own event loop, and this test runs on "
                f"{kind.__module__}.{kind.__qualname__}; leave the loop factory or policy away "
                "for tests that use pytest-lkagent"
            )
        self._loop: Any = loop
        self._now = 0.0
        self._origin = 0.0
        self._order = count()
        self._in_flight = 0
        self._running: list[asyncio.Future[Any]] = []
        self._budgets: list[Budget] = []
        self._quiet: list[asyncio.Future[None]] = []
        self._replaced: dict[str, Any] = {}
        self.halted: str | None = None
        self.jumped: Callable[[float], object] = lambda _: None
        """Called with the seconds of each jump, for a wall clock that is to follow."""

    @property
    def now(self) -> float:
        """Virtual seconds since the clock was installed."""
        return self._now - self._origin

    def install(self) -> None:
        """Make the loop virtual."""
        loop = self._loop
        # a whole number, so that virtual instants are as exact as the durations that lead there
        self._now = self._origin = float(math.ceil(loop.time()))
        self._selector = loop._selector
        self._resolution = loop._clock_resolution
        loop._selector = _Selector(self._selector, self)
        loop._clock_resolution = RESOLUTION
        self._replace("time", lambda: self._now)
        self._replace("call_at", self._call_at)
        self._replace("run_in_executor", self._run_in_executor)
        self._replace("run_until_complete", self._run_until_complete)

    def restore(self) -> None:
        """Give the loop back, with the timers that are left rebased to real time."""
        loop = self._loop
        for name in self._replaced:
            delattr(loop, name)
        self._replaced.clear()
        if loop.is_closed():
            return
        loop._selector = self._selector
        loop._clock_resolution = self._resolution
        behind = loop.time() - self._now
        for timer in loop._scheduled:
            timer._when += behind
        heapq.heapify(loop._scheduled)

    @contextmanager
    def budget(self, seconds: float) -> Iterator[Budget]:
        """Halt what runs inside for more than `seconds` of virtual time."""
        budget = Budget(self._now + seconds, seconds)
        self._budgets.append(budget)
        try:
            yield budget
        finally:
            self._budgets.remove(budget)

    async def quiet(self) -> None:
        """Wait until nothing is ready any more; no time passes."""
        waiter = self._loop.create_future()
        self._quiet.append(waiter)
        await waiter

    def take_halt(self) -> str | None:
        """Return why the clock cancelled the running coroutine, once."""
        reason, self.halted = self.halted, None
        return reason

    def _replace(self, name: str, stand_in: Callable[..., Any]) -> None:
        self._replaced[name] = stand_in
        setattr(self._loop, name, stand_in)

    def _call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        loop = self._loop
        loop._check_closed()
        timer = _Timer(next(self._order), when, callback, args, loop, context)
        heapq.heappush(loop._scheduled, timer)
        timer._scheduled = True
        return timer

    def _run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = type(self._loop).run_in_executor(self._loop, executor, func, *args)
        self._in_flight += 1
        future.add_done_callback(self._landed)
        return future

    def _landed(self, _: asyncio.Future[Any]) -> None:
        self._in_flight -= 1

    def _run_until_complete(self, future: Any) -> Any:
        future = asyncio.ensure_future(future, loop=self._loop)
        self._running.append(future)
        try:
            return type(self._loop).run_until_complete(self._loop, future)
        finally:
            self._running.pop()

    def _wait(self, selector: Any, timeout: float | None) -> Any:
        """Wait as virtual time does: for real events only where some may come."""
        if self._quiet:
            waiters, self._quiet = self._quiet, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            return []
        if self._in_flight:
            started = time.monotonic()
            ready = selector.select(timeout)
            passed = time.monotonic() - started
            self._now += passed if timeout is None else min(passed, timeout)
            return ready
        if timeout is None:
            # threads other than this one, or sockets beside the loop's own, may still wake it
            if threading.active_count() > 1 or len(selector.get_map()) > 1:
                ready = selector.select(GRACE)
                if ready:
                    return ready
            self._halt("nothing can happen any more")
            return []
        target: float = self._loop._scheduled[0]._when
        for budget in self._budgets:
            if target > budget.deadline:
                self._jump(budget.deadline)
                budget.deadline = float("inf")
                self._halt(f"it went on for more than {budget.seconds:g} virtual seconds")
                return []
        self._jump(target)
        return []

    def _jump(self, instant: float) -> None:
        before, self._now = self._now, max(self._now, instant)
        self.jumped(self._now - before)

    def _halt(self, reason: str) -> None:
        """Cancel the coroutine that the loop runs; the second time for one wait, give up."""
        running = self._running[-1] if self._running else None
        if running is None or running.done() or self.halted is not None:
            raise Halted(self.halted or reason)
        self.halted = reason
        self._loop.call_soon(functools.partial(running.cancel, reason))


class Halted(Stuck):
    """The loop itself stops: what it ran did not end after it was cancelled."""
