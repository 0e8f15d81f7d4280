"""The rows about virtual time: what would take an hour, what LiveKit sleeps, what never ends.

Beside each stands the time that it takes, or would, where time is real. What counts is the wall
clock: the goals are about how long a person waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import median
from weakref import WeakSet

__all__ = ["deadlock_row", "hour_row", "retry_row"]

_TURNS, _SECONDS = 200, 18


def hour_row(rounds: int) -> None:
    """An hour of conversation: 200 turns, each with a tool that takes 18 s."""
    from by_hand import FrontDesk, tool_turns
    from livekit.agents import function_tool

    from pytest_lkagent import call, say
    from pytest_lkagent.starting import start_session

    class SlowDesk(FrontDesk):
        @function_tool
        async def book(self, slot: str) -> str:
            """Book a slot."""
            await asyncio.sleep(_SECONDS)
            return f"booked {slot}"

    async def converse() -> None:
        async with _stage() as stage:
            harness = await start_session(stage, SlowDesk)
            for _ in range(_TURNS):
                harness.model.script(call("book", slot="2pm"), say("Booked."))
                await harness.user_says("2 pm please")
            assert harness.seconds == _TURNS * _SECONDS, harness.seconds

    title = f"An hour of conversation: {_TURNS} turns, each with a tool that takes {_SECONDS} s"
    floor = _took(lambda: tool_turns(_TURNS), rounds)
    _report(title, _TURNS * _SECONDS, _took(converse, rounds), goal=1.5, floor=floor)


def retry_row(rounds: int) -> None:
    """Three attempts that fail, and what LiveKit sleeps after each."""
    from by_hand import FrontDesk
    from livekit.agents import APIConnectionError

    from pytest_lkagent import fail, say
    from pytest_lkagent.starting import start_session

    async def recover() -> None:
        async with _stage() as stage:
            harness = await start_session(stage, FrontDesk)
            harness.model.script(fail(APIConnectionError("down"), attempts=3), say("Hello."))
            turn = await harness.user_says("hi")
            assert round(turn.took, 3) == 4.1, turn.took

    _report("Three attempts that fail, retried", 4.1, _took(recover, rounds), goal=0.1)


def deadlock_row(rounds: int) -> None:
    """A tool that never returns: until the failure is there and the session closed."""
    from by_hand import FrontDesk
    from livekit.agents import function_tool

    from pytest_lkagent import call
    from pytest_lkagent.errors import Stuck
    from pytest_lkagent.starting import start_session

    class StuckDesk(FrontDesk):
        @function_tool
        async def book(self, slot: str) -> str:
            """Book a slot."""
            await asyncio.Event().wait()
            return f"booked {slot}"

    async def hang() -> None:
        async with _stage() as stage:
            harness = await start_session(stage, StuckDesk)
            harness.model.script(call("book", slot="2pm"))
            try:
                await harness.user_says("2 pm please")
            except Stuck:
                return
            raise AssertionError("it does not hang")

    _report("A tool that never returns, found and ended", None, _took(hang, rounds), goal=0.5)


@asynccontextmanager
async def _stage() -> AsyncIterator[object]:
    from pytest_lkagent.stage import Stage

    stage = Stage(timeout=600, allow=(), used=WeakSet())
    async with stage.on_loop():
        yield stage
    assert not stage.findings, list(stage.findings)


def _took(once: Callable[[], Awaitable[None]], rounds: int) -> list[float]:
    """Return the wall seconds of each round, but for a first one."""
    took = []
    for _ in range(rounds + 1):
        began = time.monotonic()
        asyncio.run(once())
        took.append(time.monotonic() - began)
    return took[1:]


def _report(
    title: str,
    real: float | None,
    took: list[float],
    *,
    goal: float,
    floor: Sequence[float] = (),
) -> None:
    ours = median(took)
    print(f"\n{title}")
    print(f"  {'in real time':<32}{'for ever' if real is None else f'{real:.2f} s':>10}")
    for name, times in (("by hand, with a tool at once", floor), ("pytest-lkagent", took)):
        if times:
            low, mid, high = min(times), median(times), max(times)
            print(f"  {name:<32}{mid:>8.2f} s   ({low:.2f} s - {high:.2f} s)")
    faster = "" if real is None else f"{real / ours:,.0f} x faster.  "
    if floor:
        faster += f"{ours / median(floor):.2f} x the floor.  "
    print(f"  {faster}Goal: < {goal:g} s: {'met' if ours < goal else 'NOT MET'}")
