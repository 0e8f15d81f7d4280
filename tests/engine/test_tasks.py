"""No task outlives the test that began it, whatever it does about that."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_lkagent import clock as clock_module
from pytest_lkagent.clock import VirtualClock
from pytest_lkagent.tasks import Stubborn, TestOver, end


@dataclass
class Ended:
    """What became of some tasks: the stubborn, how each ended, what the loop reported."""

    stubborn: list[Stubborn]
    tasks: list[asyncio.Task[Any]]
    reported: list[dict[str, Any]]
    seconds: float


async def _next_test() -> None:
    await asyncio.sleep(0.001)


def ended(
    *made: Coroutine[Any, Any, Any], then: Callable[[], Coroutine[Any, Any, None]] = _next_test
) -> Ended:
    """Begin tasks in virtual time and end them; the loop then closes as pytest-asyncio closes it.

    It would wait for ever for a task that is left.
    """
    reported: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        clock = VirtualClock(loop)
        clock.install()

        async def begin_and_end() -> Ended:
            for one in made:
                loop.create_task(one)
            for _ in range(3):
                await asyncio.sleep(0)
            begun = [task for task in clock.tasks.begun if task is not asyncio.current_task()]
            began = clock.now
            stubborn = await end(clock.tasks.begun, take_halt=clock.take_halt)
            current = asyncio.current_task()
            assert current is not None
            assert current.cancelling() == 0  # what the clock did is taken back
            return Ended(stubborn, begun, reported, clock.now - began)

        found = runner.run(begin_and_end())
        clock.restore()
        assert all(task.done() for task in asyncio.all_tasks(loop))
        runner.run(then())  # on the same loop
    gc.collect()
    return found


# --- who lets itself be cancelled


def test_a_task_that_lets_itself_be_cancelled_is_not_stubborn() -> None:
    found = ended(asyncio.sleep(1_000), asyncio.Event().wait())
    assert found.stubborn == []
    assert all(task.cancelled() for task in found.tasks)
    assert found.seconds == 0


def test_a_task_has_virtual_time_to_clean_up() -> None:
    cleaned: list[str] = []

    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.75)
            cleaned.append("up")

    found = ended(tidy())
    assert found.stubborn == []
    assert cleaned == ["up"]
    assert found.seconds == 0.75


def test_a_task_that_swallows_the_first_cancellation_is_cancelled_again() -> None:
    async def deaf_in_one_ear() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    assert ended(deaf_in_one_ear()).stubborn == []


def test_a_task_that_was_begun_while_others_ended_ends_as_well() -> None:
    async def passes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().create_task(asyncio.sleep(1_000))

    assert ended(passes_on()).stubborn == []


def test_where_somebody_else_cancels_us_the_ending_is_cancelled() -> None:
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.5)

    async def impatient() -> None:
        task = asyncio.ensure_future(slow())
        await asyncio.sleep(0)
        ending = asyncio.ensure_future(end([task], within=1_000))
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        task.cancel()

    asyncio.run(impatient())


# --- who does not


async def sleeps() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)  # here: sleeps


async def sleeps_through_everything() -> None:
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(1)  # here: sleeps_through_everything


async def spins() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # here: spins


async def spins_through_everything() -> None:
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(0)  # here: spins_through_everything


async def waits_for_a_future() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()  # here: waits_for_a_future


async def waits_for_a_lock() -> None:
    lock = asyncio.Lock()
    async with lock:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await lock.acquire()  # here: waits_for_a_lock


async def waits_for_a_task() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.ensure_future(asyncio.Event().wait())  # here: waits_for_a_task


async def gathers() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(asyncio.sleep(9), asyncio.Event().wait())  # here: gathers


async def groups() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:  # here: groups
                group.create_task(asyncio.Event().wait())


async def reads() -> None:
    async def chunks() -> AsyncIterator[int]:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()  # here: reads
        yield 1

    async for _ in chunks():
        raise AssertionError("it never comes")


async def cleans_up_in_several_steps() -> None:
    @contextlib.asynccontextmanager
    async def connection() -> AsyncIterator[None]:
        try:
            yield
        finally:
            for _ in range(3):
                await asyncio.sleep(0)

    while True:
        with contextlib.suppress(asyncio.CancelledError):
            async with connection():
                await asyncio.Event().wait()  # here: cleans_up_in_several_steps


async def has_a_timeout() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.timeout(100):
                await asyncio.Event().wait()  # here: has_a_timeout


STUBBORN = {
    made.__name__: made
    for made in (
        sleeps,
        sleeps_through_everything,
        spins,
        spins_through_everything,
        waits_for_a_future,
        waits_for_a_lock,
        waits_for_a_task,
        gathers,
        groups,
        reads,
        cleans_up_in_several_steps,
        has_a_timeout,
    )
}


def line_of(comment: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.endswith(f"  # here: {comment}")]
    return number


@pytest.mark.parametrize("kind", STUBBORN)
def test_a_task_that_swallows_cancellations_ends_all_the_same(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "SPINS", 1_000)
    found = ended(STUBBORN[kind]())
    (stubborn,) = found.stubborn
    assert stubborn.site is not None
    assert (Path(stubborn.site.path).name, stubborn.site.line) == ("test_tasks.py", line_of(kind))
    assert stubborn.error is None
    assert stubborn.task.cancelled()
    assert all(task.done() for task in found.tasks)
    assert found.reported == []


def test_a_task_that_runs_in_circles_is_asked_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "SPINS", 1_000)
    asked: list[str] = []

    async def counts() -> None:
        while True:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                asked.append("to end")

    assert len(ended(counts()).stubborn) == 1
    assert asked == ["to end"]


@pytest.mark.parametrize("how", ["returns", "is cancelled"])
def test_a_stubborn_task_that_gives_in_at_last_has_raised_nothing(how: str) -> None:
    async def gives_in() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
            except TestOver:
                if how == "returns":
                    return
                raise asyncio.CancelledError from None

    (stubborn,) = ended(gives_in()).stubborn
    assert stubborn.error is None
    assert stubborn.task.cancelled()


def test_the_process_ends_although_a_coroutine_catches_whatever_is_thrown_into_it() -> None:
    program = """
import asyncio, contextlib, gc
from pytest_lkagent.tasks import end

async def deaf():
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(1)

async def main():
    task = asyncio.ensure_future(deaf())
    await asyncio.sleep(0)
    print(len(await end([task], within=0.01)))

asyncio.run(main())
gc.collect()
kept = deaf, asyncio, contextlib
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ran.stdout, ran.stderr) == ("1\n", "")


def test_what_its_clean_up_raises_is_told() -> None:
    async def breaks() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
            except TestOver:
                raise LookupError("no calendar") from None

    (stubborn,) = ended(breaks()).stubborn
    assert repr(stubborn.error) == "LookupError('no calendar')"
    assert stubborn.task.cancelled()


def test_a_library_of_which_no_line_is_the_users_has_no_line() -> None:
    scope: dict[str, Any] = {"asyncio": asyncio}
    source = (
        "async def deaf():\n    while True:\n        try:\n            await asyncio.sleep(1)\n"
        "        except asyncio.CancelledError:\n            pass\n"
    )
    exec(compile(source, asyncio.__file__, "exec"), scope)
    (stubborn,) = ended(scope["deaf"]()).stubborn
    assert stubborn.site is None


def test_a_coroutine_is_ended_in_the_context_of_its_task() -> None:
    place: ContextVar[str] = ContextVar("place", default="nowhere")
    seen: list[str] = []

    async def remembers() -> None:
        token = place.set("in the task")
        try:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
        finally:
            seen.append(place.get())
            place.reset(token)  # raises in any other context

    (stubborn,) = ended(remembers()).stubborn
    assert (seen, stubborn.error) == (["in the task"], None)


def test_who_waited_for_a_stubborn_task_goes_on() -> None:
    async def waits(task: asyncio.Task[None]) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
        return "went on"

    async def both() -> None:
        stubborn = asyncio.ensure_future(sleeps())
        waiter = asyncio.ensure_future(waits(stubborn))
        await asyncio.sleep(0)
        assert len(await end([stubborn], within=0.01)) == 1
        assert await waiter == "went on"

    asyncio.run(both())


def test_a_task_that_was_made_to_end_is_not_woken_in_the_next_test() -> None:
    bells: list[asyncio.Future[None]] = []

    async def listens() -> None:
        while True:
            bells.append(asyncio.get_running_loop().create_future())
            with contextlib.suppress(asyncio.CancelledError):
                await bells[-1]

    async def ring() -> None:
        for bell in bells:
            if not bell.done():
                bell.set_result(None)
        await asyncio.sleep(0)

    found = ended(listens(), then=ring)
    assert len(found.stubborn) == 1
    assert found.reported == []


def test_tasks_that_wait_for_each_other_in_a_circle_are_ended_and_asked_first() -> None:
    tidied: list[str] = []
    tasks: dict[str, asyncio.Task[None]] = {}

    async def waits_for(name: str, other: str) -> None:
        try:
            await asyncio.gather(tasks[other])
        except asyncio.CancelledError:
            tidied.append(name)
            raise

    async def begin() -> None:
        for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("outside", "a")):
            tasks[name] = asyncio.get_running_loop().create_task(waits_for(name, other))

    found = ended(begin())
    assert found.stubborn == []
    assert sorted(tidied) == ["a", "b", "c", "outside"]
    assert all(task.cancelled() for name, task in tasks.items())
    assert found.reported == []


def test_each_of_several_circles_is_opened_at_once() -> None:
    tasks: dict[str, asyncio.Task[None]] = {}

    async def waits_for(other: str) -> None:
        await asyncio.gather(tasks[other])

    async def begin() -> None:
        for name, other in (("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")):
            tasks[name] = asyncio.get_running_loop().create_task(waits_for(other))

    found = ended(begin())
    assert found.stubborn == []
    assert all(task.cancelled() for task in tasks.values())
    assert found.seconds == 0


def test_what_else_the_loop_reports_meanwhile_is_not_lost() -> None:
    async def breaks_the_loop() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asyncio.get_running_loop().call_soon(int, "x")

    found = ended(breaks_the_loop())
    assert found.reported
    assert {type(one["exception"]) for one in found.reported} == {ValueError}


def test_without_a_handler_of_ones_own_asyncio_reports_as_always(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks_the_loop() -> None:
        asyncio.get_running_loop().call_soon(int, "x")
        task = asyncio.ensure_future(asyncio.Event().wait())
        await end([task])
        assert asyncio.get_running_loop().get_exception_handler() is None

    asyncio.run(breaks_the_loop())
    assert "Exception in callback int('x')" in caplog.text
