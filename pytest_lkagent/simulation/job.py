"""The job that a test runs in: its context, its room, the entrypoint's task, and its end.

The end is LiveKit's own order (``ipc/job_proc_lazy_main.py``): the entrypoint gets 15 seconds to
return, the session closes, ``on_session_end`` is called, the room is left, and then the shutdown
callbacks are called, all at once. Where ``ctx.shutdown()`` ends the job before its test is over,
the session closes then, and the rest comes with the end of the test: a verdict has to be given
while what it looks at is still open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from livekit import rtc
from livekit.agents import JobContext, JobProcess

from .. import _livekit_job
from ..fake.room import FakeRoom, UnseenRoom
from ..options import JobOptions
from .entrypoint import Entrypoint

__all__ = ["Job"]

_RETURN_SECONDS = 15.0
"""Seconds that an entrypoint has to return once its job is to end."""
_DONE = "the test is over"


class Job:
    """The job of one test. `raised` takes what the entrypoint or a callback raised, and which."""

    def __init__(
        self,
        options: JobOptions,
        *,
        raised: Callable[[BaseException, str], None],
    ) -> None:
        self.options = options
        self.entrypoint: Entrypoint | None = None
        self.simulation: Mapping[str, Any] | None = None
        """What the job says of the simulation that it belongs to, None where it is none."""
        self.ended_by: str | None = None
        """The reason with which the user's own code ended the job, None if it did not."""
        self._process: JobProcess | None = None
        self._raised = raised
        self._context: JobContext | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_over = False

    @property
    def context(self) -> JobContext:
        assert self._context is not None, "the job was entered"
        return self._context

    def run_in(self, entrypoint: Entrypoint, process: JobProcess) -> None:
        """Have an entrypoint, and the process that was warmed up for it."""
        self.entrypoint, self._process = entrypoint, process

    @contextmanager
    def entered(self) -> Iterator[JobContext]:
        """Be the job of the code inside: ``get_job_context()`` gives its context."""
        options = self.options
        with _livekit_job.enter_job(
            self._room(),
            attributes=options.attributes,
            process=self._process,
            on_shutdown=self._shut_down,
            job_id=options.job_id,
            job_metadata=options.metadata,
            agent_identity=options.agent_identity,
            inference_executor=options.inference_executor,
        ) as context:
            self._context = context
            if self.entrypoint is not None:
                _livekit_job.on_simulation_end(context, self.entrypoint.on_simulation_end)
            if self.simulation is not None:
                _livekit_job.dispatch(context, **self.simulation)
            yield context

    def _room(self) -> rtc.Room:
        options = self.options
        if isinstance(options.room, rtc.Room):
            return options.room
        is_plain = options.participant == {} and options.agent_identity == JobOptions.agent_identity
        if is_plain and self.entrypoint is None:
            return UnseenRoom(name=options.room)
        room = FakeRoom(name=options.room, identity=options.agent_identity)
        if options.participant is not None:
            room.add_participant(**options.participant)
        if self.entrypoint is None:  # which connects by itself
            room.join_now()
        return room

    # --- the entrypoint

    async def begin(self, started: Awaitable[Any]) -> bool:
        """Run the entrypoint until a session has `started`, or it returns without one.

        Raises what it raises; returns whether a session started.
        """
        assert self.entrypoint is not None, "the job has one"
        task = self._task = asyncio.ensure_future(self.entrypoint.run(self.context))
        session = asyncio.ensure_future(started)
        try:
            await asyncio.wait((task, session), return_when=asyncio.FIRST_COMPLETED)
        finally:
            session.cancel()
        if task.done() and not task.cancelled():
            self._task = None
            task.result()
        return session.done() and not session.cancelled()

    # --- its end

    def _shut_down(self, reason: str) -> None:
        """Do what ``ctx.shutdown()`` is for."""
        if self.ended_by is None:
            self.ended_by = reason or "user requested"
            self._closing = asyncio.ensure_future(self._close())

    async def leave(self) -> None:
        """Let the entrypoint return, or cancel it: what comes before its session closes."""
        task, self._task = self._task, None
        if task is None or task is asyncio.current_task():
            return
        await asyncio.wait((task,), timeout=_RETURN_SECONDS)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            self._raised(error, "the entrypoint")

    async def _close(self) -> None:
        await self.leave()
        if (session := _livekit_job.primary_session(self.context)) is not None:
            await session.aclose()

    async def finish(self) -> None:
        """Do what comes after the session has closed, once."""
        if self._is_over:
            return
        self._is_over = True
        if self._closing is not None:
            await asyncio.wait((self._closing,))
        reason = self.ended_by or _DONE
        entrypoint = self.entrypoint
        if entrypoint is not None and (ended := entrypoint.on_session_end) is not None:
            timeout = entrypoint.end_timeout
            await self._all([asyncio.wait_for(ended(self.context), timeout)], "on_session_end")
        await self.context.room.disconnect()
        await _livekit_job.close_http_sessions()
        callbacks = _livekit_job.shutdown_callbacks(self.context)
        await self._all([one(reason) for one in callbacks], "a shutdown callback")

    async def _all(self, callbacks: Sequence[Awaitable[Any]], what: str) -> None:
        """Await callbacks of the user's, and hear what they raise."""
        if not callbacks:
            return
        tasks = [asyncio.ensure_future(one) for one in callbacks]
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._raised(error, what)
