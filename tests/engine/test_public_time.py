"""Virtual time in tests of one's own: what holds inside, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from pytest_lkagent import virtual_now, virtual_time
from pytest_lkagent.errors import Stuck

_REAL = {name: getattr(time, name) for name in ("monotonic", "perf_counter", "sleep")}
_NOW = datetime(2026, 12, 24, tzinfo=UTC)


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


@pytest.mark.asyncio
async def test_the_wall_clock_runs_for_a_thread_that_is_waited_for() -> None:
    def wait_for_the_clock() -> float:
        began = time.time()
        for _ in range(1_000_000):
            if time.time() > began:
                return time.time() - began
        return 0.0

    async with virtual_time(_NOW):
        assert await asyncio.to_thread(wait_for_the_clock) > 0
        ended = datetime.now(UTC)
        await asyncio.sleep(60)
        assert datetime.now(UTC) == ended + timedelta(seconds=60)


def test_without_a_loop_now_is_now() -> None:
    assert abs(virtual_now() - datetime.now(UTC)) < timedelta(minutes=1)
