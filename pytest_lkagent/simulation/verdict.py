"""The verdict over a simulation: that of the expectations AND that of ``on_simulation_end``.

LiveKit hands the provisional verdict to the agent in a request (``finalize_simulation``), which
its session's host answers; a callback may veto, and can rescue nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from livekit.agents import JobContext
from livekit.agents.simulation import SimulationContext

from .. import _livekit_job
from .._livekit_remote import Client
from ..errors import BehaviourError, Veto
from ..harness import Harness
from .apart import ProcessHarness
from .entrypoint import Entrypoint
from .remote import drive

__all__ = ["ask_for_verdict"]


async def ask_for_verdict(
    entrypoint: Entrypoint,
    harness: Harness,
    job: JobContext,
    *,
    provisional: str | None,
    expected: str | None,
    know: Callable[[BaseException], None],
) -> BaseException | None:
    """Let ``on_simulation_end`` judge, and return what the test fails with for it.

    `provisional` is what failed so far, None where nothing did; `expected` is in the reason of a
    veto that there has to be. `know` hears first what the callback raises, which LiveKit logs.
    """
    if entrypoint.on_simulation_end is None:
        return None
    called = _Called(entrypoint.on_simulation_end, know)
    _livekit_job.on_simulation_end(job, called)
    async with _client_of(harness) as remote:
        try:
            answer = await remote.finalize_simulation(
                provisional_success=provisional is None, provisional_reason=provisional or ""
            )
        except RuntimeError as error:
            if called.error is None:  # it is in another process, and here is its text
                text = str(error).partition(" failed: ")[2]
                return BehaviourError(f"in the agent's process: on_simulation_end raised: {text}")
            called.error.add_note("raised in on_simulation_end")
            return called.error.with_traceback(called.traceback)
    vetoed = answer.HasField("user_verdict")
    reason = answer.user_verdict.reason
    if not vetoed and expected is not None:
        return BehaviourError(f"on_simulation_end did not veto it, and expect_veto: {expected!r}")
    if vetoed and (expected is None or expected not in reason):
        told = f"on_simulation_end vetoed it: {reason or 'without a reason'}"
        if expected is not None:
            told += f"; the reason has to contain {expected!r} (expect_veto)"
        return Veto(told)
    return None


@asynccontextmanager
async def _client_of(harness: Harness) -> AsyncIterator[Client]:
    if isinstance(harness, ProcessHarness):
        yield harness.client
        return
    async with drive(harness.session, "memory", Client) as client:
        yield client


class _Called:
    """The callback, and what it raised, of which LiveKit hands on the text alone."""

    def __init__(self, callback: Any, know: Callable[[BaseException], None]) -> None:
        self._callback = callback
        self._know = know
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None

    async def __call__(self, context: SimulationContext) -> None:
        try:
            result = self._callback(context)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            self.error = error
            self.traceback = error.__traceback__ and error.__traceback__.tb_next
            self._know(error)
            raise
