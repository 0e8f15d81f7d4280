"""The verdict over a simulation: that of the expectations AND that of ``on_simulation_end``.

LiveKit hands the provisional verdict to the agent in a request (``finalize_simulation``), which
its session's host answers; a callback may veto, and can rescue nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from livekit.agents import AgentSession, JobContext
from livekit.agents.simulation import SimulationContext

from .. import _livekit_job
from .._livekit_remote import Client
from ..errors import BehaviourError, Veto
from .entrypoint import Entrypoint
from .remote import drive

__all__ = ["ask_for_verdict", "ask_there"]

_AS_LONG_AS_IT_TAKES: Any = None
"""The clock bounds it, and says where it waits; of another process its client does."""


async def ask_for_verdict(
    entrypoint: Entrypoint,
    session: AgentSession[Any],
    job: JobContext,
    *,
    provisional: str | None,
    expected: str | None,
) -> BaseException | None:
    """Let ``on_simulation_end`` judge, and return what the test fails with for it.

    `provisional` is what failed so far, None where nothing did; `expected` is in the reason of a
    veto that there has to be.
    """
    if entrypoint.on_simulation_end is None:
        return None
    called = _Called(entrypoint.on_simulation_end)
    _livekit_job.on_simulation_end(job, called)
    async with drive(session, "memory", Client) as client:
        answer = await _finalize(client, provisional)
    if called.error is not None:
        called.error.add_note("raised in on_simulation_end")
        return called.error
    return _misjudged(answer, expected)


async def ask_there(
    entrypoint: Entrypoint, client: Client, *, provisional: str | None, expected: str | None
) -> BaseException | None:
    """Let the ``on_simulation_end`` of a session in another process judge, likewise."""
    if entrypoint.on_simulation_end is None:
        return None
    try:
        answer = await _finalize(client, provisional)
    except BehaviourError as error:  # there is no process any more
        return error
    except RuntimeError as error:
        text = str(error).partition(" failed: ")[2]
        return BehaviourError(f"in the agent's process: on_simulation_end raised: {text}")
    return _misjudged(answer, expected)


async def _finalize(client: Client, provisional: str | None) -> Any:
    return await client.finalize_simulation(
        provisional_success=provisional is None,
        provisional_reason=provisional or "",
        timeout=_AS_LONG_AS_IT_TAKES,
    )


def _misjudged(answer: Any, expected: str | None) -> BaseException | None:
    vetoed = answer.HasField("user_verdict")
    reason = answer.user_verdict.reason
    if vetoed and expected is None:
        return Veto(f"on_simulation_end vetoed it: {reason or 'without a reason'}")
    if expected is None or (vetoed and expected in reason):
        return None
    if vetoed:
        found: BehaviourError = Veto(
            f"on_simulation_end vetoed it: {reason or 'without a reason'}; the reason has to "
            f"contain {expected!r} (expect_veto)"
        )
    else:
        found = BehaviourError(
            f"on_simulation_end let it pass, and has to veto it with {expected!r} (expect_veto)"
        )
    found.about = "expect_veto"
    return found


class _Called:
    """The callback, and what it raised, of which LiveKit hands on the text alone, or nothing."""

    def __init__(self, callback: Any) -> None:
        self._callback = callback
        self.error: BaseException | None = None

    async def __call__(self, context: SimulationContext) -> None:
        try:
            result = self._callback(context)
            if inspect.isawaitable(result):
                await result
        except BaseException as error:  # pytest.fail() too, which LiveKit would never answer
            task = asyncio.current_task()
            is_ours = task is not None and task.cancelling()
            if is_ours or isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            way = error.__traceback__
            self.error = error.with_traceback(way and way.tb_next)
