"""When a session has settled: no speech, no tool at work, no reply that a tool will cause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from livekit.agents import AgentSession

from . import _livekit_work
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
        await _livekit_work.wait_for_idle(session)
        await quiet()
        work = _livekit_work.open_work(session)
        if work:
            with record.change() as change:
                await asyncio.wait([*work, change], return_when=asyncio.FIRST_COMPLETED)
        elif session.current_speech is None:
            break
