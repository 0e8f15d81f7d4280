"""Virtual time on a loop of its own, for tests of the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_lkagent.clock import VirtualClock

__all__ = ["elapsed", "run", "virtual"]


@contextmanager
def virtual(loop: asyncio.AbstractEventLoop | None = None) -> Iterator[VirtualClock]:
    """Give a virtual clock on a loop that `run` runs; everything is closed afterwards."""
    loop = loop or asyncio.SelectorEventLoop()
    clock = VirtualClock(loop)
    clock.install()
    try:
        yield clock
    finally:
        clock.restore()
        if not loop.is_closed():
            _finish(loop)
            loop.close()


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    rest = asyncio.all_tasks(loop)
    for task in rest:
        task.cancel()
    loop.run_until_complete(_gone(rest))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())


async def _gone(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def run(clock: VirtualClock, coroutine: Coroutine[Any, Any, Any]) -> Any:
    return clock._loop.run_until_complete(coroutine)


async def elapsed(seconds: float) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(seconds)
    return loop.time() - began
