"""Virtual and real time for tests that want them by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType

from .clock import VirtualClock, clock_of
from .errors import Stuck, UsageError
from .options import DEFAULT_NOW, read_moment
from .wall_clock import WallClock

__all__ = ["real_time", "virtual_now", "virtual_time"]


def virtual_time(now: datetime | str | None = None) -> AbstractAsyncContextManager[VirtualClock]:
    """Make the running loop virtual inside, for an async test of your own.

    Sleeps and time-outs inside of ``async with virtual_time("2026-06-12T09:00:00Z") as clock:``
    cost no wall time. Wall clocks begin at `now`, 2026-06-01T09:00:00Z where none is given;
    ``clock.now`` are the seconds since. Not in a test that uses the fixtures: its time is virtual
    already.

    Raises:
        UsageError: The loop is not asyncio's own, its time is virtual already, or something else
            holds the clock.
        Stuck: Nothing can happen any more inside.
    """
    moment = DEFAULT_NOW if now is None else read_moment(now, where="virtual_time()")
    return _VirtualTime(WallClock(moment))


class _VirtualTime(AbstractAsyncContextManager[VirtualClock]):
    def __init__(self, wall: WallClock) -> None:
        self._wall = wall

    async def __aenter__(self) -> VirtualClock:
        __tracebackhide__ = True
        loop = asyncio.get_running_loop()
        if clock_of(loop) is not None:
            raise UsageError(
                "time is virtual here already, as in every test that uses the fixtures of "
                "pytest-lkagent; take virtual_time() away"
            )
        clock = self._clock = VirtualClock(loop)
        self._wall.travel()
        clock.wall = self._wall
        clock.install()
        return clock

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self._clock.restore()
        self._wall.end()
        reason = self._clock.take_halt()
        if reason is None:
            return
        if isinstance(error, asyncio.CancelledError) and traceback is not None:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            traceback.tb_next = None  # from here on it is asyncio's line that waits
        stuck = Stuck(f"the test cannot finish: {reason}")
        raise stuck.with_traceback(traceback) from None


@asynccontextmanager
async def real_time() -> AsyncIterator[None]:
    """Let time be real inside, for a wait that virtual time cannot see.

    ``async with real_time(): await reply_of_another_thread`` holds the clock while a thread of a
    library's own or a device works. Executor jobs, asyncio's subprocesses and connections are seen
    without. Changes nothing where time is real already.
    """
    clock = clock_of(asyncio.get_running_loop())
    if clock is None:
        yield
        return
    with clock.work.under_way():
        yield


def virtual_now() -> datetime:
    """Return the current virtual instant, in UTC; the real one where time is real."""
    try:
        clock = clock_of(asyncio.get_running_loop())
    except RuntimeError:
        clock = None
    if clock is None or clock.wall is None:
        return datetime.now(UTC)
    return clock.wall.start.astimezone(UTC) + timedelta(seconds=clock.now)
