"""Virtual time, on loops of their own: exact, in order, and it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import selectors
import subprocess
import sys
import threading
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import elapsed, run, virtual

from pytest_lkagent import clock as clock_module
from pytest_lkagent.clock import Halted, RealClock, Stopped, VirtualClock
from pytest_lkagent.errors import Stuck, UsageError

# --- exact


def test_a_sleep_of_thirty_seconds_ends_exactly_thirty_seconds_later() -> None:
    with virtual() as clock:
        assert run(clock, elapsed(30)) == 30
        assert clock.now == 30


def test_virtual_hours_cost_no_wall_time() -> None:
    with virtual() as clock:
        assert run(clock, elapsed(100 * 3600)) == 100 * 3600


def test_two_hundred_thousand_seconds_in_as_many_timers_are_exact() -> None:
    async def sleep_often() -> None:
        for _ in range(20_000):
            await asyncio.sleep(10)

    with virtual() as clock:
        run(clock, sleep_often())
        assert clock.now == 200_000


@pytest.mark.parametrize("uptime", [0.0, 16_384.5, 9_000_000.25, 2.0**33 + 0.5])
def test_the_loop_does_not_spin_however_long_the_machine_has_been_up(
    uptime: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.SelectorEventLoop()
    real = loop.time()
    # past 16,384 s a resolution of 1e-12 is lost in the spacing of floats, past 97 days one of 1e-9
    monkeypatch.setattr(
        asyncio.SelectorEventLoop, "time", lambda self: uptime + time.monotonic() - real
    )
    with virtual(loop) as clock:
        assert run(clock, elapsed(30)) == 30
        assert run(clock, elapsed(0.25)) == 0.25


def test_what_the_clock_shows_is_the_same_however_long_the_machine_has_been_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def shown(clock: VirtualClock) -> list[float]:
        chance, seen = Random(7), []
        for _ in range(300):
            await asyncio.sleep(chance.random())
            seen.append(clock.now)
        return seen

    seen = []
    for uptime in (1.5, 32_700.5, 9_000_000.5):
        monkeypatch.setattr(asyncio.SelectorEventLoop, "time", lambda _, up=uptime: up)
        with virtual() as clock:
            seen.append(run(clock, shown(clock)))
    assert seen[0] == seen[1] == seen[2]


def test_a_timer_does_not_fire_a_hair_before_it_is_due() -> None:
    async def due_within_a_hair() -> list[float]:
        loop = asyncio.get_running_loop()
        first = loop.time() + 1
        second = first + 4e-10  # within the resolution that asyncio would use
        seen: list[float] = []
        loop.call_at(second, lambda: seen.append(loop.time() - second))
        loop.call_at(first, lambda: seen.append(loop.time() - first))
        await asyncio.sleep(2)
        return seen

    with virtual() as clock:
        # floats may not tell the two apart late in the day; the second is never early
        assert all(late >= 0 for late in run(clock, due_within_a_hair()))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_equal_deadlines_fire_in_the_order_in_which_they_were_made(delays: list[int]) -> None:
    fired: list[int] = []

    async def make() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, delay in enumerate(delays):
            loop.call_at(began + delay, fired.append, number)
        await asyncio.sleep(6)

    with virtual() as clock:
        run(clock, make())
    assert fired == sorted(range(len(delays)), key=lambda number: delays[number])


_WHEN = st.sampled_from([0, 0.5, 1, 1, 2.25, 3600])
_TIMERS = st.recursive(
    st.tuples(_WHEN, st.booleans(), st.just([])),
    lambda inner: st.tuples(_WHEN, st.booleans(), st.lists(inner, max_size=3)),
    max_leaves=8,
)


@given(st.lists(_TIMERS, min_size=1, max_size=6))
def test_timers_made_by_timers_fire_at_their_instant_and_cancelled_ones_never(
    timers: list[Any],
) -> None:
    made: list[tuple[float, int]] = []
    fired: list[tuple[float, int]] = []
    cancelled: set[int] = set()

    def begin(loop: asyncio.AbstractEventLoop, began: float, timers: list[Any]) -> None:
        for delay, is_cancelled, inner in timers:
            number = len(made)
            due = loop.time() - began + delay
            made.append((due, number))
            handle = loop.call_later(delay, fire, loop, began, number, inner)
            if is_cancelled:
                cancelled.add(number)
                handle.cancel()

    def fire(loop: asyncio.AbstractEventLoop, began: float, number: int, inner: list[Any]) -> None:
        fired.append((loop.time() - began, number))
        begin(loop, began, inner)

    async def play() -> None:
        loop = asyncio.get_running_loop()
        begin(loop, loop.time(), timers)
        await asyncio.sleep(100 * 3600)

    with virtual() as clock:
        run(clock, play())
    assert fired == sorted(one for one in made if one[1] not in cancelled)


def test_timers_of_before_the_clock_keep_their_distance_and_their_place() -> None:
    fired: list[Any] = []
    loop = asyncio.SelectorEventLoop()
    for number in range(5):
        loop.call_at(math.floor(loop.time()) + 1_000, fired.append, number)
    with virtual(loop) as clock:
        before = loop._scheduled[0]._when - loop.time()  # type: ignore[attr-defined]
        assert 998 < before <= 1_000
        for number in range(5, 10):
            loop.call_at(loop._scheduled[0]._when, fired.append, number)  # type: ignore[attr-defined]

        async def wait() -> None:
            await asyncio.sleep(2_000)

        run(clock, wait())
    assert set(fired[:5]) == set(range(5))  # among themselves, asyncio gives them no order
    assert fired[5:] == [5, 6, 7, 8, 9]


def test_installing_takes_nothing_from_a_timers_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.SelectorEventLoop, "time", lambda self: 10.25)
    loop = asyncio.SelectorEventLoop()
    timer = loop.call_later(0.5, print)
    with virtual(loop):
        assert timer.when() - loop.time() == 0.5
    assert timer.when() == 10.75
    timer.cancel()


def test_what_is_left_keeps_its_distance_when_the_clock_goes() -> None:
    loop = asyncio.SelectorEventLoop()
    clock = VirtualClock(loop)
    clock.install()
    run(clock, asyncio.sleep(5_000))
    timer = loop.call_later(50, print)
    clock.restore()
    assert 49 < timer.when() - loop.time() <= 50
    timer.cancel()
    loop.close()


def test_the_loop_is_given_back_as_it_was() -> None:
    loop = asyncio.SelectorEventLoop()
    before = dict(vars(loop))
    clock = VirtualClock(loop)
    clock.install()
    assert loop.time() == math.ceil(loop.time())
    run(clock, asyncio.sleep(1))
    clock.restore()
    assert vars(loop).keys() == before.keys()
    for name in ("_selector", "_clock_resolution"):
        assert vars(loop)[name] is before[name]
    loop.close()


def test_a_loop_that_was_closed_meanwhile_is_let_go() -> None:
    loop = asyncio.SelectorEventLoop()
    with virtual(loop) as clock:
        run(clock, asyncio.sleep(1))
        loop.close()
    assert "time" not in vars(loop)


def test_timeouts_are_virtual() -> None:
    async def wait() -> None:
        async with asyncio.timeout(20):
            await asyncio.Event().wait()

    with virtual() as clock:
        with pytest.raises(TimeoutError):
            run(clock, wait())
        assert clock.now == 20
        with pytest.raises(TimeoutError):
            run(clock, asyncio.wait_for(asyncio.Event().wait(), 5))
        assert clock.now == 25


def test_cancelled_timers_hold_nothing_up() -> None:
    async def cancel_many() -> None:
        loop = asyncio.get_running_loop()
        for timer in [loop.call_later(1 + number, print) for number in range(500)]:
            timer.cancel()
        await asyncio.sleep(1_000)

    with virtual() as clock:
        run(clock, cancel_many())
        assert clock.now == 1_000


def test_it_works_in_debug_mode_which_looks_at_threads_and_callbacks() -> None:
    loop = asyncio.SelectorEventLoop()
    loop.set_debug(True)
    problems: list[BaseException] = []

    async def wrong() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1_000)

        def elsewhere() -> None:
            try:
                loop.call_later(1, print)
            except RuntimeError as error:
                problems.append(error)

        await asyncio.to_thread(elsewhere)
        with pytest.raises(TypeError, match="coroutines cannot be used with call_at"):
            loop.call_later(1, wrong)  # type: ignore[arg-type]

    with virtual(loop) as clock:
        run(clock, wrong())
    assert "Non-thread-safe operation" in str(problems[0])


# --- nothing hangs


def test_a_run_in_which_nothing_can_happen_any_more_is_cancelled_with_the_reason() -> None:
    async def wait() -> None:
        with pytest.raises(
            asyncio.CancelledError, match=r"^nothing can happen any more$"
        ) as caught:
            await asyncio.Event().wait()
        raise caught.value

    with virtual() as clock:
        with pytest.raises(Stopped):
            run(clock, wait())
        assert clock.take_halt() == "nothing can happen any more"
        assert clock.take_halt() is None


def test_another_thread_may_still_wake_the_loop() -> None:
    async def wait_for_thread() -> str:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        timer = threading.Timer(
            0.02, lambda: loop.call_soon_threadsafe(woken.set_result, "woken from outside")
        )
        timer.start()
        return await woken

    with virtual() as clock:
        assert run(clock, wait_for_thread()) == "woken from outside"
        assert clock.halted is None


def test_another_process_may_still_wake_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "GRACE", 30)
    program = "import socket; socket.create_connection(('127.0.0.1', {})).sendall(b'from outside')"

    def begin(port: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", program.format(port)])

    async def wait_for_process() -> bytes:
        said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            said.set_result(await reader.read())
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        _, port = server.sockets[0].getsockname()
        with begin(port):
            answer = await said
        server.close()
        return answer

    monkeypatch.setattr(threading, "active_count", lambda: 1)  # whatever ran before
    with virtual() as clock:
        assert run(clock, wait_for_process()) == b"from outside"


def test_while_somebody_debugs_a_thread_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "GRACE", 0.001)
    monkeypatch.setattr(clock_module, "is_debugged", lambda: True)

    async def wait_for_thread() -> str:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[str] = asyncio.Future()
        at_last = functools.partial(loop.call_soon_threadsafe, woken.set_result, "at last")
        threading.Timer(0.05, at_last).start()
        return await woken

    with virtual() as clock:
        assert run(clock, wait_for_thread()) == "at last"


def test_a_thread_that_does_nothing_for_the_loop_does_not_keep_it_waiting() -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        with (
            virtual() as clock,
            pytest.raises(Stopped, match=r"wait for it inside of async with real_time\(\)"),
        ):
            run(clock, asyncio.Event().wait())
    finally:
        gate.set()
        thread.join()


def test_who_swallows_the_cancellation_is_stopped_with_the_loop() -> None:
    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError, Stopped):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    with virtual() as clock:
        with pytest.raises(Halted, match=r"did not end .*nothing can happen any more"):
            run(clock, stubborn())
        # the next thing that runs starts afresh: its own halt is a cancellation again
        with pytest.raises(Stopped):
            run(clock, asyncio.Event().wait())


def test_a_loop_that_nobody_runs_a_coroutine_on_is_stopped() -> None:
    loop = asyncio.SelectorEventLoop()
    with virtual(loop), pytest.raises(Stuck, match="the event loop cannot go on: nothing can"):
        loop.run_forever()


def test_what_took_over_the_loop_and_is_done_is_not_taken_for_what_it_runs() -> None:
    loop = asyncio.SelectorEventLoop()
    clock = VirtualClock(loop)

    async def install() -> None:
        clock.install()

    loop.run_until_complete(install())
    with pytest.raises(Halted, match="the event loop cannot go on: nothing can"):
        loop.run_forever()
    clock.restore()
    loop.close()


def test_a_budget_ends_what_outlasts_it() -> None:
    async def tick_for_ever(clock: VirtualClock) -> None:
        with clock.budget(600):
            while True:  # noqa: ASYNC110  the ticker that hides a deadlock
                await asyncio.sleep(7)

    with virtual() as clock:
        with pytest.raises(Stopped):
            run(clock, tick_for_ever(clock))
        assert clock.now == 600
        assert clock.take_halt() == "it went on for more than 600 virtual seconds"


def test_what_a_budget_ended_may_take_its_time_to_clean_up() -> None:
    async def tidy(clock: VirtualClock) -> None:
        with clock.budget(600):
            try:
                await asyncio.sleep(1_000)
            finally:
                await asyncio.sleep(5)

    with virtual() as clock:
        with pytest.raises(Stopped):
            run(clock, tidy(clock))
        assert clock.now == 605


def test_a_budget_that_is_just_enough_is_enough() -> None:
    async def tick(clock: VirtualClock) -> None:
        with clock.budget(21):
            for _ in range(3):
                await asyncio.sleep(7)
        await asyncio.sleep(1_000)

    with virtual() as clock:
        run(clock, tick(clock))
        assert clock.halted is None


def test_the_shorter_of_two_budgets_ends_it() -> None:
    async def tick(clock: VirtualClock) -> None:
        with clock.budget(100), clock.budget(10), clock.budget(50):
            await asyncio.sleep(1_000)

    with virtual() as clock:
        with pytest.raises(Stopped):
            run(clock, tick(clock))
        assert clock.take_halt() == "it went on for more than 10 virtual seconds"


def test_a_budget_begins_anew_as_often_as_it_may() -> None:
    async def tick(clock: VirtualClock) -> None:
        with clock.budget(600), clock.budget(100, renewals=2):
            for _ in range(5):
                await asyncio.sleep(80)
                clock.renew()

    with virtual() as clock:
        with pytest.raises(Stopped):
            run(clock, tick(clock))
        assert clock.now == 80 + 80 + 100
        assert clock.take_halt() == "it went on for more than 100 virtual seconds"


@pytest.mark.parametrize("timer", [None, 1_000])
def test_a_budget_ends_a_job_in_a_thread_too(timer: float | None) -> None:
    gate = threading.Event()

    async def block(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        if timer:
            loop.call_later(timer, print)
        try:
            with clock.budget(0.05):
                await loop.run_in_executor(None, gate.wait)
        finally:
            gate.set()

    with virtual() as clock:
        with pytest.raises(Stopped):
            run(clock, block(clock))
        assert clock.take_halt() == "it went on for more than 0.05 virtual seconds"


def test_a_loop_that_runs_in_circles_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "SPINS", 1_000)

    async def circle() -> None:
        while True:  # noqa: ASYNC110  a loop that spins
            await asyncio.sleep(0)

    with virtual() as clock:
        with pytest.raises(Stopped):
            run(clock, circle())
        assert clock.take_halt() == "it runs in circles, without any time passing"


def test_who_asks_again_and_again_for_a_thread_does_not_run_in_circles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock_module, "SPINS", 2_500)
    gate = threading.Event()

    async def poll() -> int:
        job = asyncio.ensure_future(asyncio.to_thread(gate.wait))
        turns = 0
        try:
            while not job.done():
                await asyncio.sleep(0)
                turns += 1
                if turns == 10_000:
                    gate.set()
        finally:
            gate.set()
        return turns

    with virtual() as clock:
        assert run(clock, poll()) >= 10_000
        assert clock.now > 0


def test_time_never_runs_back() -> None:
    gate = threading.Event()
    seen: list[float] = []

    async def poll(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(60)
        job = asyncio.ensure_future(asyncio.to_thread(gate.wait))
        try:
            for _ in range(3_000):
                loop.call_at(loop.time() - 30, seen.append, 0)  # behind its time
                await asyncio.sleep(0)
                seen.append(clock.now)
        finally:
            gate.set()
        await job

    with virtual() as clock:
        run(clock, poll(clock))
    shown = [now for now in seen if now]
    assert len(shown) == 3_000
    assert shown == sorted(shown)


# --- real time


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of a machine on which it passes by waiting, and as one says."""
    now = [100.0]
    monkeypatch.setattr(asyncio.SelectorEventLoop, "time", lambda self: now[0])
    monkeypatch.setattr(clock_module, "monotonic", lambda: now[0])
    return now


class _Waits(selectors.SelectSelector):
    def __init__(self, machine: list[float]) -> None:
        super().__init__()
        self._machine = machine

    def select(self, timeout: float | None = None) -> Any:
        self._machine[0] += timeout or 0
        return super().select(0)


@pytest.mark.parametrize("is_work_under_way", [False, True])
def test_in_real_time_a_timer_is_not_late_for_what_kept_the_loop_busy(
    is_work_under_way: bool, machine: list[float]
) -> None:
    async def keep_busy(clock: RealClock) -> float:
        await asyncio.sleep(1)
        timer = asyncio.ensure_future(asyncio.sleep(10))
        await asyncio.sleep(0)
        machine[0] += 3
        with clock.work.under_way() if is_work_under_way else contextlib.nullcontext():
            await timer
        return machine[0]

    loop = asyncio.SelectorEventLoop(_Waits(machine))
    clock = RealClock(loop)
    clock.install()
    assert run(clock, keep_busy(clock)) == 111
    clock.restore()
    loop.close()


def test_in_real_time_too_who_asks_again_and_again_for_a_thread_does_not_run_in_circles(
    monkeypatch: pytest.MonkeyPatch, machine: list[float]
) -> None:
    monkeypatch.setattr(clock_module, "SPINS", 2_500)

    async def poll(clock: RealClock) -> None:
        with clock.work.under_way():
            for _ in range(10_000):
                await asyncio.sleep(0)

    loop = asyncio.SelectorEventLoop(_Waits(machine))
    clock = RealClock(loop)
    clock.install()
    run(clock, poll(clock))
    clock.restore()
    loop.close()


def test_quiet_waits_until_nothing_is_ready_and_no_time_passes() -> None:
    order: list[str] = []

    async def work() -> None:
        for number in range(3):
            await asyncio.sleep(0)
            order.append(f"step {number}")
        await asyncio.sleep(1)
        order.append("a second later")

    async def watch(clock: VirtualClock) -> None:
        task = asyncio.ensure_future(work())
        await clock.quiet()
        order.append("quiet")
        assert clock.now == 0
        await task

    with virtual() as clock:
        run(clock, watch(clock))
    assert order == ["step 0", "step 1", "step 2", "quiet", "a second later"]


def test_two_may_wait_for_quiet_and_one_of_them_may_give_up() -> None:
    async def watch(clock: VirtualClock) -> None:
        impatient = asyncio.ensure_future(clock.quiet())
        await asyncio.sleep(0)
        impatient.cancel()
        await clock.quiet()

    with virtual() as clock:
        run(clock, watch(clock))
        assert clock.now == 0


# --- run_until_complete


def test_one_run_inside_of_another_is_refused_as_by_asyncio() -> None:
    ran: list[str] = []

    async def inner() -> None:
        ran.append("inner")

    async def outer() -> None:
        nested = inner()
        with pytest.raises(RuntimeError, match="already running"):
            asyncio.get_running_loop().run_until_complete(nested)
        await asyncio.sleep(1)
        nested.close()

    with virtual() as clock:
        run(clock, outer())
    assert ran == []


def test_a_future_may_be_run_and_an_exit_that_leaves_the_loop_is_not_reported_twice() -> None:
    reported: list[Any] = []

    async def leave() -> None:
        raise SystemExit(3)

    with virtual() as clock:
        loop = clock._loop
        loop.set_exception_handler(lambda _, context: reported.append(context))
        future = loop.create_future()
        loop.call_later(5, future.set_result, "done")
        assert loop.run_until_complete(future) == "done"
        with pytest.raises(SystemExit):
            run(clock, leave())
    assert reported == []


def test_what_runs_to_its_end_goes_on_after_an_exit_that_leaves_the_loop() -> None:
    ended: list[str] = []

    async def leave() -> None:
        raise SystemExit(3)

    async def clean_up() -> None:
        task = asyncio.ensure_future(leave())
        await asyncio.sleep(1)
        assert isinstance(task.exception(), SystemExit)
        ended.append("here")

    with virtual() as clock:
        clock.run(clean_up(), None)
    assert ended == ["here"]


def test_nothing_runs_on_a_loop_that_was_closed() -> None:
    async def clean_up() -> None:
        raise AssertionError("it cannot")

    with virtual() as clock:
        clock._loop.close()
        left = clean_up()
        clock.run(left, None)
    assert left.cr_frame is None  # closed, so that Python does not warn


# --- other loops


class _HandMade(asyncio.BaseEventLoop):
    """A loop without a selector."""


class _OtherTime(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return 5.0


class _OwnName(asyncio.SelectorEventLoop):
    """Stock in all that matters."""


@pytest.mark.parametrize("kind", [_HandMade, _OtherTime])
def test_a_loop_that_is_not_asyncios_own_is_refused_in_one_line(
    kind: type[asyncio.AbstractEventLoop],
) -> None:
    loop = kind()
    with pytest.raises(UsageError) as caught:
        VirtualClock(loop)
    loop.close()
    assert str(caught.value) == (
        "virtual time needs asyncio's own event loop, and this test runs on "
        f"test_clock.{kind.__name__}; leave the loop factory or policy away for tests that use "
        "pytest-lkagent"
    ).replace("test_clock", kind.__module__)


def test_uvloop_is_refused() -> None:
    uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop()
    with pytest.raises(UsageError, match=r"runs on uvloop.Loop; leave the loop factory"):
        VirtualClock(loop)
    loop.close()


def test_a_subclass_that_changes_nothing_which_matters_will_do() -> None:
    with virtual(_OwnName(selectors.SelectSelector())) as clock:
        assert run(clock, elapsed(30)) == 30


def test_a_second_virtual_clock_on_the_same_loop_is_refused() -> None:
    loop = asyncio.SelectorEventLoop()
    with virtual(loop), pytest.raises(UsageError, match=r"replaced its .*one virtual clock at"):
        VirtualClock(loop)
