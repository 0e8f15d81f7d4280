"""Virtual time: the running loop of an item waits for nothing.

`VirtualClock` takes over the *running* stock loop and gives it back. While it is installed,
``loop.time()`` is virtual: when nothing is ready, the clock jumps to the next timer instead of
sleeping, so a model that takes two seconds to answer, a slow tool or a retry costs no wall time.

What makes it exact, each a defect of simpler clocks (``reference/livekit_agents.md``):

- the time *is* the deadline of the timer that fires, so ``sleep(30)`` ends 30 s later, and no
  error adds up however many timers there were;
- equal deadlines fire in the order in which they were made, by a sequence number in the timer and
  not by nudging the time;
- the loop's clock resolution is the spacing of floats at that time: what is due fires, and nothing
  before it is due, however late in a long conversation;
- while work outside of the loop is under way (`RealWork`), the clock runs in real time for it.

It also knows when nothing can happen any more: nothing ready, no timer, nothing under way, and
nothing real within a grace where other threads or sockets could still wake the loop. The coroutine
that the loop runs is then cancelled, and `VirtualClock.halted` says why. The same befalls what
outlasts a `budget`, and a loop that only turns without time ever passing.

The clocks of the process follow (`wall_clock`). `RealClock` is the same without the jumps, for a
test in real time. Both need ``_selector``, ``_scheduled`` and ``_clock_resolution`` of asyncio's
own loop, with its methods as asyncio wrote them; any other loop is refused.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from time import monotonic  # the real one: the name in `time` follows us
from typing import Any, ClassVar, Self

from .errors import Stuck, UsageError
from .frames import is_debugged
from .real_work import RealWork
from .task_watch import TaskWatch
from .tasks import ask
from .wall_clock import WallClock, follow, unfollow

__all__ = [
    "GRACE",
    "LOOKS",
    "SPINS",
    "Budget",
    "Halted",
    "RealClock",
    "Stopped",
    "VirtualClock",
    "clock_of",
]

GRACE = 0.2
"""Real seconds that other threads and sockets get to wake a loop on which nothing can happen."""
SPINS = 20_000
"""Turns of the loop without any time passing after which it is taken to turn for ever.

Two hundred times what a conversation needs, in less than a tenth of a second.
"""

_TURNS_A_LOOK = 20
"""Turns of the loop, with no time passing, for each look whether anything came in from outside."""

LOOKS = 200_000
"""Looks at the time, with the loop standing still, after which each look passes a millisecond.

Code that waits in a circle until the time has come would wait for ever where no time passes.
"""
_LOOKS_AT_ONCE = 1_000
"""Looks at the wall clock, of which there are many, that are counted together."""

_AS_ASYNCIO_WROTE_THEM = (
    "_make_socket_transport",
    "_make_ssl_transport",
    "_run_once",
    "call_at",
    "call_later",
    "create_future",
    "run_in_executor",
    "run_until_complete",
    "sock_connect",
    "sock_sendall",
    "subprocess_exec",
    "subprocess_shell",
    "time",
)


class _Timer(asyncio.TimerHandle):
    """A timer that knows its place among those with the same deadline."""

    __slots__ = ("_order",)

    _order: int
    _when: float
    _scheduled: bool

    def __lt__(self, other: Any) -> bool:
        when: float = other._when
        if self._when != when:
            return self._when < when
        return isinstance(other, _Timer) and self._order < other._order

    def __gt__(self, other: asyncio.TimerHandle) -> bool:
        """Say whether `other` comes first: as one that asyncio made, before this clock was."""
        return not self < other


class _Selector:
    """The loop's selector, which waits as the clock says."""

    def __init__(self, real: Any, select: Callable[[float | None], Any]) -> None:
        self._real = real
        self.select = select

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Budget:
    """A bound on virtual time inside of a ``with``: what runs on past `deadline` is halted.

    Attributes:
        renewals: How many times more `VirtualClock.renew` lets it begin anew.
        is_spent: Whether something ran on past it.
    """

    def __init__(self, deadline: float, seconds: float, among: list[Budget], renewals: int) -> None:
        self.deadline = deadline
        self.seconds = seconds
        self.renewals = renewals
        self.is_spent = False
        self._among = among

    def __enter__(self) -> Self:
        self._among.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._among.remove(self)


class VirtualClock:
    """Virtual time for one loop, from `install` to `restore`.

    Raises:
        UsageError: The loop is not asyncio's own selector loop.
    """

    _seconds: ClassVar = "virtual seconds"
    lateness: ClassVar = 0.0
    """Seconds by which what is due may come late."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        if not _is_stock(loop):
            kind = type(loop)
            raise UsageError(
                f"virtual time needs asyncio's own event loop, and this test runs on "
                f"{kind.__module__}.{kind.__qualname__}; leave the loop factory or policy away "
                "for tests that use pytest-lkagent"
            )
        if replaced := [name for name in _AS_ASYNCIO_WROTE_THEM if name in vars(loop)]:
            raise UsageError(
                f"virtual time needs asyncio's own event loop, and something replaced its "
                f"{replaced[0]}: one virtual clock at a time"
            )
        self._loop: Any = loop
        self.work = RealWork(loop)
        """What is under way outside of the loop."""
        self._now = 0.0
        self._origin = 0.0
        self._timers = 0
        self._turns = 0
        self._looks = 0.0
        self._running: list[asyncio.Future[Any]] = []
        self.tasks = TaskWatch(loop)
        """The tasks that were made while the clock was installed."""
        self._budgets: list[Budget] = []
        self._quiet: list[asyncio.Future[None]] = []
        self._replaced: dict[str, Any] = {}
        self.halted: str | None = None
        self.wall: WallClock | None = None
        """The wall clock that follows this one."""
        self.blocked: Callable[[float | None], object] = lambda _: None
        """Called with the seconds of each ``time.sleep`` that blocks the loop.

        None where it is blocked by code that looks at the time again and again.
        """
        self.halting: Callable[[set[Any]], object] = lambda _: None
        """Called with the other tasks of the loop, just before the running one is cancelled."""

    @property
    def now(self) -> float:
        """Virtual seconds since the clock was installed, to the microsecond.

        How exact the loop's own time is beyond that depends on how long the machine has been up.
        """
        return round(float(self._loop.time()) - self._origin, 6)

    @property
    def is_installed(self) -> bool:
        return self._loop in _clocks

    @property
    def is_here(self) -> bool:
        """Whether the running loop is the one of this clock."""
        return self._loop is asyncio.get_running_loop()

    def install(self) -> None:
        """Make the loop virtual."""
        loop = self._loop
        self._selector = loop._selector
        self._take_time()
        _clocks[loop] = self
        loop._selector = _Selector(self._selector, self._select)
        self._replace("call_at", self._call_at)
        self._replace("create_task", self.tasks.create_task)
        self._replace("run_until_complete", self._run_until_complete)
        if (running := asyncio.current_task(loop)) is not None:
            self._running.append(running)
        self.tasks.begin(running)
        for name, stand_in in self.work.stand_ins.items():
            self._replace(name, stand_in)

    def restore(self) -> None:
        """Give the loop back, with the timers that are left rebased to real time."""
        loop = self._loop
        for name in self._replaced:
            delattr(loop, name)
        self._replaced.clear()
        del _clocks[loop]
        if not loop.is_closed():
            loop._selector = self._selector
        self._give_time_back()

    def _take_time(self) -> None:
        loop = self._loop
        self._resolution = loop._clock_resolution
        real = loop.time()
        # a whole number, so that virtual instants are as exact as the durations that lead there
        self._origin = float(math.ceil(real))
        self._move(self._origin)
        self._rebase(self._origin - real)
        self._replace("time", self._time)
        follow(loop, self._sleep)
        if self.wall is not None:
            self.wall.looked_at = self._count_looks

    def _give_time_back(self) -> None:
        loop = self._loop
        unfollow(loop)
        if self.wall is not None:
            self.wall.looked_at = lambda: 0  # an item keeps its wall clock as long as the run is
        if not loop.is_closed():
            loop._clock_resolution = self._resolution
            self._rebase(loop.time() - self._now)

    def budget(self, seconds: float, *, renewals: int = 0) -> Budget:
        """Halt what runs inside for more than `seconds` of virtual time from now on.

        As often as `renewals` says, `renew` lets it have all of them again.
        """
        deadline = float(self._loop.time()) + seconds
        return Budget(deadline, seconds, self._budgets, renewals)

    def renew(self) -> None:
        """Let the budgets that may begin anew."""
        for budget in self._budgets:
            if budget.renewals and not budget.is_spent:
                budget.renewals -= 1
                budget.deadline = float(self._loop.time()) + budget.seconds

    async def quiet(self) -> None:
        """Wait until nothing is ready any more; no time passes."""
        waiter = self._loop.create_future()
        self._quiet.append(waiter)
        await waiter

    def run(self, coroutine: Coroutine[Any, Any, None], context: Context | None) -> None:
        """Run a coroutine on the loop while nothing else runs it."""
        loop = self._loop
        if loop.is_closed():
            coroutine.close()
            return
        task = loop.create_task(coroutine, context=context)
        while not task.done():
            # an exit that the test failed with leaves the loop by each task that waits for it
            with suppress(SystemExit):
                loop.run_until_complete(task)
        task.result()

    def take_halt(self) -> str | None:
        """Return why the clock cancelled the running coroutine, once."""
        reason, self.halted = self.halted, None
        return reason

    def _move(self, now: float) -> None:
        """Set the time, never back. What is due at `now` is due, a hair later it is not."""
        now = self._now = max(self._now, now)
        self._turns = 0
        self._loop._clock_resolution = math.ulp(now)
        if self.wall is not None:
            self.wall.show(now - self._origin)

    def _rebase(self, seconds: float) -> None:
        """Keep the timers as far in the future as they are, on a clock `seconds` ahead."""
        for timer in self._loop._scheduled:
            timer._when += seconds

    def _replace(self, name: str, stand_in: Callable[..., Any]) -> None:
        self._replaced[name] = stand_in
        setattr(self._loop, name, stand_in)

    def _call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        loop = self._loop
        loop._check_closed()
        if loop._debug:
            loop._check_thread()
            loop._check_callback(callback, "call_at")
        timer = _Timer(when, callback, args, loop, context)
        timer._order = self._timers = self._timers + 1
        heapq.heappush(loop._scheduled, timer)
        timer._scheduled = True
        return timer

    def _run_until_complete(self, future: Any) -> Any:
        __tracebackhide__ = True
        loop = self._loop
        loop._check_closed()
        loop._check_running()
        if not self._running:
            self.halted = None
        task = asyncio.ensure_future(future, loop=loop)
        if is_coroutine := task is not future:
            task._log_destroy_pending = False  # as asyncio does
        self._running.append(task)
        try:
            return type(loop).run_until_complete(loop, task)
        except BaseException as error:
            if is_coroutine and task.done() and not task.cancelled():
                task.exception()  # it is known; asyncio need not say that nobody asked for it
            if self.halted is not None and isinstance(error, asyncio.CancelledError):
                raise Stopped(self.halted).with_traceback(error.__traceback__) from None
            raise
        finally:
            self._running.pop()

    def _select(self, timeout: float | None = None) -> Any:
        """Stand in for the selector's own method."""
        self._looks = 0
        if timeout == 0:
            self._turns = turns = self._turns + 1
            if turns % _TURNS_A_LOOK:
                return ()  # there is enough to do: the system is asked now and then
        ready = self._selector.select(0)
        if not ready:
            ready = self._spin() if timeout == 0 else self._wait(timeout)
        if ready:
            self.work.answered(ready)
        return ready

    def _spin(self) -> Any:
        """Look whether the loop turns for ever, without any time passing."""
        if self._turns > SPINS:
            self._turns = 0
            self._halt("it runs in circles, without any time passing")
        elif self._turns % 1_000 == 0 and self.work.lasts(self._selector.get_map().keys()):
            # it asks again and again for what takes real time
            return self._wait_really(0 if self._loop._scheduled else None, 0.001)
        return []

    def _wait(self, timeout: float | None) -> Any:
        """Wait as virtual time does: for real events only where some may come."""
        selector = self._selector
        if self._quiet:
            self._turns = 0
            waiters, self._quiet = self._quiet, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            return []
        if self.work.is_noted:
            patience = self.work.lasts(selector.get_map().keys())
            if patience is not None:
                return self._wait_really(timeout, patience)
            if ready := selector.select(0):
                return ready  # a thread answered, and ended, while we looked who is at work
        if timeout is None:
            # threads other than this one, or sockets beside the loop's own, may still wake it
            reason = "nothing can happen any more"
            if threading.active_count() > 1 or len(selector.get_map()) > 1:
                if ready := selector.select(None if is_debugged() else GRACE):
                    return ready
                reason += (
                    " (if a thread or a connection is still at work: wait for it inside of async "
                    "with real_time())"
                )
            self._halt(reason)
        else:
            self._jump(self._loop._scheduled[0]._when)
        return []

    def _time(self) -> float:
        """Stand in for the loop's own method."""
        self._looks = looks = self._looks + 1
        if looks > LOOKS:
            self._pass_by_looking()
        return self._now

    def _count_looks(self) -> int:
        """Count looks at the wall clock; return how many more need not be told."""
        if threading.get_ident() == self._loop._thread_id:
            self._looks += _LOOKS_AT_ONCE
            if self._looks > LOOKS:
                self._pass_by_looking()
                return 0
        return _LOOKS_AT_ONCE

    def _pass_by_looking(self) -> None:
        """Let time pass for code that waits for it without giving the loop a turn."""
        if self.halted is not None:
            raise _Cut(self.halted)
        if self._looks < math.inf:
            self._looks = math.inf  # until the loop has a turn
            self.blocked(None)
        passed = math.floor((self._now - self._origin) * 1000 + 1.5) / 1000  # so no error adds up
        self._jump(self._origin + passed)

    def _sleep(self, seconds: float) -> None:
        """Pass time as ``time.sleep`` does, with the loop standing still."""
        self.blocked(seconds)
        self._jump(self._now + seconds)

    def _jump(self, target: float) -> None:
        """Go to `target` at once, or to the end of the first budget before it."""
        for budget in self._budgets:
            if budget.deadline < target:
                break
        else:
            self._move(target)
            return
        budget = min(self._budgets, key=lambda one: one.deadline)
        self._move(budget.deadline)
        budget.deadline, budget.is_spent = math.inf, True
        self._halt(f"it went on for more than {budget.seconds:g} {self._seconds}")

    def _wait_really(self, timeout: float | None, patience: float) -> Any:
        """Let real time pass, for work that is under way, until something comes or is due."""
        due = math.inf if timeout is None else float(self._loop._scheduled[0]._when)
        ends = min([due, *(budget.deadline for budget in self._budgets)])
        limit = min(patience, ends - self._now)
        if self.wall is not None:
            self.wall.run()
        began = monotonic()
        ready = self._selector.select(None if limit == math.inf else max(0.0, limit))
        passed = monotonic() - began
        self._move(min(self._now + passed, ends))
        if self._now >= ends:
            self._jump(due)
        return ready

    def _halt(self, reason: str) -> None:
        """Cancel the coroutine that the loop runs; where that did not end it, stop the loop."""
        running = next((one for one in self._running if not one.done()), None)
        if running is None:
            raise Halted(f"the event loop cannot go on: {reason}")
        if self.halted is not None:
            raise Halted(f"what was cancelled did not end ({self.halted}), and now {reason}")
        self.halted = reason
        self.halting(asyncio.all_tasks(self._loop) - {running})
        self._loop.call_soon(ask, [running], reason)


class RealClock(VirtualClock):
    """Real time for one loop, with the budgets and the diagnosis of virtual time."""

    _seconds = "seconds"
    lateness = 0.25

    def _take_time(self) -> None:
        self._origin = self._now = self._loop.time()

    def _give_time_back(self) -> None:
        """It was never taken."""

    def _move(self, now: float) -> None:
        self._now = now
        self._turns = 0

    def _wait(self, timeout: float | None) -> Any:
        if timeout is None or self._quiet:
            return super()._wait(timeout)
        return self._wait_really(timeout, math.inf)

    def _wait_really(self, timeout: float | None, patience: float) -> Any:
        self._now = self._loop.time()  # it went on while the loop was busy
        return super()._wait_really(timeout, patience)


_clocks: dict[asyncio.AbstractEventLoop, VirtualClock] = {}


def clock_of(loop: asyncio.AbstractEventLoop) -> VirtualClock | None:
    """Return the clock that is installed on `loop`, None where its time is its own."""
    return _clocks.get(loop)


class _Cut(asyncio.CancelledError):
    """What goes on without giving the loop a turn is cut off where it looks at the clock."""


class Stopped(Stuck):
    """What the loop ran was cancelled by the clock; for pytest a CancelledError is no failure."""


class Halted(Stuck):
    """The loop itself stops: what it ran did not end after it was cancelled."""


def _is_stock(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is asyncio's selector loop, or one that changes nothing which matters here."""
    stock, kind = asyncio.SelectorEventLoop, type(loop)
    return kind is stock or (
        issubclass(kind, stock)
        and all(getattr(kind, name) is getattr(stock, name) for name in _AS_ASYNCIO_WROTE_THEM)
    )
