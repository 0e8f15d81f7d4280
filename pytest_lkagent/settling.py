"""When a session has settled: no speech, no tool at work, no reply that a tool will cause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from livekit.agents import AgentSession

from . import _livekit
from .record import Record

__all__ = ["settled"]


async def settled(
    session: AgentSession[Any], record: Record, quiet: Callable[[], Awaitable[Any]]
) -> None:
    """Wait until nothing is open in `session`, or it has closed.

    Tools of an agent that is paused by an AgentTask wait for the user and are left open. `quiet`
    lets happen what is about to.
    """
    while record.closed is None:
        await _livekit.wait_for_idle(session)
        await quiet()
        work = _livekit.open_work(session)
        if work:
            await _until_change(work, record)
        elif session.current_speech is None:
            break


async def _until_change(work: Sequence[asyncio.Future[Any]], record: Record) -> None:
    """Wait until one of `work` is done or the session reports anything."""
    record.changed.clear()
    change = asyncio.ensure_future(record.changed.wait())
    try:
        await asyncio.wait([*work, change], return_when=asyncio.FIRST_COMPLETED)
    finally:
        change.cancel()
