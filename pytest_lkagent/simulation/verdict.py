"""The verdict over a simulation: that of the expectations AND that of ``on_simulation_end``.

LiveKit hands the provisional verdict to the agent in a request (``finalize_simulation``), which
its session's host answers; a callback may veto, and can rescue nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any

from livekit.agents.simulation import SimulationContext

from .. import _livekit_job
from ..errors import BehaviourError, Veto
from ..harness import Harness
from .job import Job
from .remote import drive

__all__ = ["ask_for_verdict"]


async def ask_for_verdict(
    job: Job,
    harness: Harness,
    *,
    provisional: str | None,
    expected: str | None,
    know: Callable[[BaseException], None],
) -> BaseException | None:
    """Let ``on_simulation_end`` judge, and return what the test fails with for it.

    `provisional` is what failed so far, None where nothing did; `expected` is in the reason of a
    veto that there has to be. `know` hears first what the callback raises, which LiveKit logs.
    """
    callback = job.entrypoint.on_simulation_end if job.entrypoint is not None else None
    if callback is None:
        return None
    called = _Called(callback, know)
    _livekit_job.on_simulation_end(job.context, called)
    async with drive(harness, "memory") as remote:
        try:
            answer = await remote.finalize_simulation(
                provisional_success=provisional is None, provisional_reason=provisional or ""
            )
        except RuntimeError:
            if called.error is None:
                raise
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
