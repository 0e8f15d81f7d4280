"""The clocks of the process, which follow virtual time.

`WallClock` moves ``time.time``, ``datetime.now`` and every reference to them that was taken before
(pydantic's default factories), through time-machine. `follow` and `unfollow` let ``time.monotonic``
and ``time.perf_counter`` show the time of the running loop where that is virtual, and
``time.sleep`` pass it, by those names and by those under which modules of the user's imported them:
other loops and threads, pytest's own durations among them, have the real ones.
"""

from __future__ import annotations

import asyncio
import functools
import time
from asyncio import _get_running_loop  # of its __all__: None where no loop runs
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from types import BuiltinFunctionType
from typing import Any
from zoneinfo import ZoneInfo

import time_machine

from .errors import UsageError
from .imported import places_of

__all__ = ["WallClock", "follow", "unfollow"]

_NANO = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WallClock:
    """The wall clock of one test: it begins at `start`, and shows what it is told to show.

    The local time zone is that of `start` where it names one by its name, UTC otherwise. With
    `ticks` the clock runs on by itself, for a test in real time. Else it stands still, only a
    thread that is waited for sees it `run`, so that its own time-outs end.
    """

    def __init__(self, start: datetime, *, ticks: bool = False) -> None:
        self.start = start.astimezone(UTC)
        self._start = (self.start - _EPOCH) // timedelta(microseconds=1) * 1000
        self._zone = start.tzinfo if isinstance(start.tzinfo, ZoneInfo) else UTC
        self._ticks = ticks
        self._now = self._start  # in nanoseconds, as it is shown
        self._travel: time_machine.travel | None = None
        self._traveller: Any = None
        self._runs = False
        self._untold = 0
        self.looked_at: Callable[[], int] = lambda: 0
        """Called when somebody looks at the clock; returns how many looks it need not hear of."""

    @property
    def instant(self) -> datetime:
        """What the clock was told to show last."""
        shown = _EPOCH + timedelta(microseconds=self._now // 1000)
        return shown.astimezone(self._zone)

    def travel(self) -> None:
        """Take the clocks of the process along, from where they were last.

        Raises:
            UsageError: Something else holds them already.
        """
        if self._travel is not None:
            return  # it could not be suspended
        if (holder := _holder()) is not None:
            raise _held_by(holder)
        self._travel = time_machine.travel(self.instant, tick=self._ticks)
        self._traveller = self._travel.start()
        self._traveller.time_ns = self._time_ns
        time.time()  # it ticks from the first reading on

    def _time_ns(self) -> int:
        """Stand in for time-machine's own method."""
        self._untold = untold = self._untold - 1
        return self._now if untold >= 0 else self._looked()

    def _looked(self) -> int:
        """Answer a look that is to be told, or that a clock is to answer which runs."""
        if self._runs or self._ticks:
            traveller = self._traveller
            return int(type(traveller).time_ns(traveller))
        self._untold = self.looked_at()
        return self._now

    def suspend(self) -> None:
        """Give the process its real time back, unless something else holds the clock by now."""
        if self._ticks or self._is_ours():
            self.end()

    def end(self) -> None:
        """Give the process its real time back."""
        if self._travel is not None:
            if self._ticks:
                self._now = time.time_ns()
            self._travel.stop()
            self._travel = self._traveller = None

    @property
    def can_travel(self) -> bool:
        """Whether nothing else holds the clock."""
        return _holder() is None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Show real time inside."""
        self.suspend()
        try:
            yield
        finally:
            self.travel()

    def check(self) -> None:
        """Refuse to go on where something else holds the clock.

        Raises:
            UsageError: As freezegun or time-machine in the test itself.
        """
        if not self._ticks and not self._is_ours():
            raise _held_by("something else (freezegun, time-machine)")

    def show(self, seconds: float) -> None:
        """Show the instant `seconds` after the start, to the microsecond."""
        self._now = self._start + round(seconds * 1_000_000) * 1000
        if self._runs:
            self._runs = False
            self._traveller.move_to(self.instant, tick=False)

    def run(self) -> None:
        """Run on in real time, until it is told what to show."""
        if self._traveller is not None and not self._ticks:
            self._runs, self._untold = True, 0
            self._traveller.move_to(self.instant, tick=True)

    def _is_ours(self) -> bool:
        if self._runs:
            return True
        return abs(time.time_ns() - self._now) < _NANO // 1000


def _holder() -> str | None:
    """Name what else holds the clock of the process."""
    if time_machine.escape_hatch.is_travelling():
        return "time-machine"
    if not isinstance(time.time, BuiltinFunctionType):
        return str(time.time.__module__).partition(".")[0]
    return None


def _held_by(who: str) -> UsageError:
    return UsageError(
        f"{who} holds the clock, and pytest-lkagent moves it itself; take that away and say when "
        "the test is: @pytest.mark.lk(now='2026-06-12T09:00:00Z'), now: in a scenario, lk_now in "
        "the ini file"
    )


_loops: dict[asyncio.AbstractEventLoop, Callable[[float], None]] = {}
_real: dict[str, Callable[..., Any]] = {}
"""Stays when no loop is left: a module may have imported our ``sleep`` meanwhile."""
_taken: list[tuple[dict[str, Any], str, Callable[..., Any]]] = []
"""What modules of the user's had imported by its name, and where it has to be again."""
_readings = count()


def follow(loop: asyncio.AbstractEventLoop, sleep: Callable[[float], None]) -> None:
    """Let ``time.monotonic`` and ``time.perf_counter`` show the time of `loop` where it runs.

    `sleep` takes the place of ``time.sleep`` there.
    """
    if not _loops:
        for name, stand_in in _STAND_INS.items():
            if (real := getattr(time, name)) is not stand_in:  # as who kept it may have put it back
                _real[name] = real
            setattr(time, name, stand_in)
        for space, name in places_of(_STAND_INS_OF):
            if (stood_in := _STAND_INS_OF.get(id(space.get(name)))) is not None:
                _taken.append((space, name, space[name]))
                space[name] = stood_in
    _loops[loop] = sleep


def unfollow(loop: asyncio.AbstractEventLoop) -> None:
    """End what `follow` began."""
    _loops.pop(loop, None)
    if not _loops:
        for name, real in _real.items():
            setattr(time, name, real)
        while _taken:
            space, name, real = _taken.pop()
            if space.get(name) is _STAND_INS_OF[id(real)]:  # else somebody has put another there
                space[name] = real


def _in_nanoseconds(seconds: float) -> int:
    return round(seconds * _NANO)


def _advanced(seconds: float) -> float:
    """Let two readings never be the same, as in real life: LiveKit divides by their difference."""
    return seconds + next(_readings) * 1e-7


def _reader(name: str, of_seconds: Callable[[float], Any]) -> Callable[[], Any]:
    @functools.wraps(getattr(time, name))
    def read() -> Any:
        loop: Any = _get_running_loop()
        return of_seconds(loop.time()) if loop in _loops else _real[name]()

    return read


@functools.wraps(time.sleep)
def _sleep(seconds: float, /) -> None:
    loop: Any = _get_running_loop()
    pass_time: Callable[[float], object] = _loops.get(loop, _real["sleep"])
    pass_time(seconds)


@functools.wraps(time.ctime)
def _ctime(*given: Any) -> str:
    return str(_real["ctime"](*given if given != (None,) and given else (time.time(),)))


@functools.wraps(time.asctime)
def _asctime(*given: Any) -> str:
    return str(_real["asctime"](*given or (time.localtime(),)))


_STAND_INS: Mapping[str, Callable[..., Any]] = {
    "asctime": _asctime,  # time-machine moves neither this
    "ctime": _ctime,  # nor this
    "sleep": _sleep,
    "monotonic": _reader("monotonic", float),
    "monotonic_ns": _reader("monotonic_ns", _in_nanoseconds),
    "perf_counter": _reader("perf_counter", _advanced),
    "perf_counter_ns": _reader("perf_counter_ns", lambda now: _in_nanoseconds(_advanced(now))),
}
_STAND_INS_OF = {id(getattr(time, name)): stand_in for name, stand_in in _STAND_INS.items()}
