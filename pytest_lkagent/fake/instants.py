"""Waiting for an instant of the loop's clock: no error adds up, however many there are."""

from __future__ import annotations

import asyncio

__all__ = ["until"]


async def until(instant: float) -> None:
    """Wait until it is `instant` on the running loop's clock, exactly."""
    loop = asyncio.get_running_loop()
    if instant <= loop.time():
        return
    arrived = loop.create_future()
    timer = loop.call_at(instant, _arrive, arrived)
    try:
        await arrived
    finally:
        timer.cancel()


def _arrive(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():  # an interruption may come at the very same instant
        arrived.set_result(None)
