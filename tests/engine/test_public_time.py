"""Virtual time in tests of one's own: what holds inside, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import pickle
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from loops import run, virtual

from pytest_lkagent import virtual_now, virtual_time
from pytest_lkagent.clock import LOOKS, clock_of
from pytest_lkagent.errors import Stuck
from pytest_lkagent.wall_clock import WallClock

_REAL = {name: getattr(time, name) for name in ("monotonic", "perf_counter", "sleep")}
_NOW = datetime(2026, 12, 24, tzinfo=UTC)
_CLOCKS = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")


def _machine() -> float:
    """The real clock of the machine, which nothing moves."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@pytest.mark.asyncio
async def test_afterwards_loop_and_process_have_their_real_time_back() -> None:
    loop = asyncio.get_running_loop()
    before = set(vars(loop))
    async with virtual_time(_NOW):
        await asyncio.sleep(3_600)
        assert datetime.now(UTC) == _NOW + timedelta(hours=1)
        assert time.monotonic is not _REAL["monotonic"]
    assert set(vars(loop)) == before
    assert {name: getattr(time, name) for name in _REAL} == _REAL
    assert abs(loop.time() - time.monotonic()) < 60
    assert virtual_now() != _NOW + timedelta(hours=1)


@pytest.mark.asyncio
async def test_a_run_that_was_given_up_leaves_the_test_to_go_on() -> None:
    with pytest.raises(Stuck, match="the test cannot finish: nothing can happen any more"):
        async with virtual_time():
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    async with asyncio.timeout(5):
        await asyncio.sleep(0)


def _see_the_clock_run(seconds: float = 0.0) -> bool:
    began = time.time()
    return any(time.time() > began + seconds for _ in range(1_000_000))


@pytest.mark.asyncio
async def test_the_wall_clock_runs_for_a_thread_that_is_waited_for() -> None:
    async with virtual_time(_NOW):
        for _ in range(2):
            assert await asyncio.to_thread(_see_the_clock_run)
            ended = datetime.now(UTC)
            await asyncio.sleep(60)
            assert datetime.now(UTC) == ended + timedelta(seconds=60)


@pytest.mark.asyncio
@pytest.mark.parametrize("look", ["time", "perf_counter"])
async def test_who_waits_in_a_circle_for_a_clock_sees_it_pass_a_millisecond_with_each_look(
    look: str,
) -> None:
    told: list[float | None] = []
    async with virtual_time(_NOW):
        clock = clock_of(asyncio.get_running_loop())
        assert clock is not None
        clock.blocked = told.append
        for _ in range(2):
            now = getattr(time, look)
            until, looks = now() + 0.5, 0
            while now() < until:
                looks += 1
            assert abs(looks - LOOKS) < 2_000  # some are counted together
            await asyncio.sleep(0)
    assert told == [None, None]  # once each time


def test_a_wall_clock_that_runs_is_given_back_too() -> None:
    """What ends a test from outside, such as Ctrl-C, comes while it waits for a thread."""
    wall = WallClock(_NOW)
    wall.travel()
    try:
        wall.run()
        assert _see_the_clock_run(0.002)
        wall.suspend()
        assert not time_machine.escape_hatch.is_travelling()
    finally:
        wall.end()


@pytest.mark.asyncio
async def test_threads_and_their_loops_have_the_real_clocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    async def on_another_loop() -> float:
        time.sleep(50)  # noqa: ASYNC251  (blocking is what it is about)
        return time.monotonic()

    async with virtual_time():
        time.sleep(3_600)  # noqa: ASYNC251
        await asyncio.sleep(3_600)
        assert time.monotonic() - _machine() > 7_000
        assert abs(await asyncio.to_thread(time.monotonic) - _machine()) < 60
        await asyncio.to_thread(time.sleep, 40)
        ended = await asyncio.to_thread(lambda: asyncio.run(on_another_loop()))
        assert abs(ended - _machine()) < 60
    assert slept == [40, 50]


def test_of_two_loops_in_virtual_time_each_has_its_own_until_it_gives_it_back() -> None:
    async def passes(seconds: float) -> float:
        began = time.monotonic()
        await asyncio.sleep(seconds)
        return time.monotonic() - began

    with virtual() as one:
        with virtual() as other:
            assert run(other, passes(7_200)) == 7_200
            assert run(one, passes(3_600)) == 3_600
        assert run(one, passes(3_600)) == 3_600
    assert {name: getattr(time, name) for name in _REAL} == _REAL


@pytest.mark.asyncio
async def test_a_sleep_that_was_imported_inside_is_a_real_one_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    async with virtual_time() as clock:
        from time import sleep  # as a module does that a tool imports

        sleep(60)  # noqa: ASYNC251
        assert (clock.now, slept) == (60, [])
    sleep(0.5)  # noqa: ASYNC251
    assert slept == [0.5]


@pytest.mark.asyncio
async def test_the_clocks_go_to_other_processes_by_their_names() -> None:
    """Such as ``ProcessPoolExecutor.submit(time.sleep, 1)``: there they are the real ones."""
    async with virtual_time():
        for name in _CLOCKS:
            clock = getattr(time, name)
            assert f"{clock.__module__}.{clock.__qualname__}" == f"time.{name}"
            assert pickle.loads(pickle.dumps(clock)) is clock


def test_without_a_loop_now_is_now() -> None:
    assert abs(virtual_now() - datetime.now(UTC)) < timedelta(minutes=1)
