"""The job that a test runs in: its context, its room, the entrypoint's task, and its end.

The end is LiveKit's own order (``ipc/job_proc_lazy_main.py``): the entrypoint gets 15 seconds to
return, the session closes, ``on_session_end`` is called, the room is left, and then the shutdown
callbacks are called, all at once. Where ``ctx.shutdown()`` ends the job before its test is over,
the entrypoint returns and the session closes then, and the rest comes with the end of the test: a
verdict has to be given while what it looks at is still open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from livekit import rtc
from livekit.agents import JobContext, JobProcess

from .. import _livekit_job, _livekit_work
from ..errors import BehaviourError, UsageError
from ..fake.room import FakeRoom
from ..options import JobOptions
from .entrypoint import Entrypoint, awaitable

__all__ = ["Job", "introduce", "outlast", "room_of"]

_RETURN_SECONDS = 15.0
"""Seconds that an entrypoint has to return once its job is to end."""
_DONE = "the test is over"


def room_of(options: JobOptions, *, is_connected: bool) -> rtc.Room:
    """Return the room of a job; an entrypoint connects it by itself."""
    if isinstance(options.room, rtc.Room):
        return options.room
    if not isinstance(options.room, str):
        raise UsageError(f"the room of a job is a name or an rtc.Room, not {options.room!r}")
    room = FakeRoom(name=options.room, identity=options.agent_identity)
    if options.participant is not None:
        room.add_participant(**options.participant)
    if is_connected:
        room.join_now()
    return room


def introduce(context: JobContext, room: rtc.Room, entrypoint: Entrypoint | None) -> None:
    """Let the job know its agent and its room, as one that a server dispatches does."""
    if entrypoint is not None:
        context.job.agent_name = entrypoint.agent_name
    if isinstance(room, FakeRoom):
        context.job.room.sid = room.sid_once_connected


async def outlast(session: asyncio.Future[Any], before: set[asyncio.Task[Any]]) -> None:
    """Wait for a session of a job whose entrypoint has returned, as the job goes on without it.

    For as long as there are tasks that were not there `before` it ran.
    """
    while not session.done() and (left := asyncio.all_tasks() - before):
        await asyncio.wait({session, *left}, return_when=asyncio.FIRST_COMPLETED)


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
        self._is_left = False
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
        room = room_of(options, is_connected=self.entrypoint is None)
        with _livekit_job.enter_job(
            room,
            attributes=options.attributes,
            process=self._process,
            on_shutdown=self._shut_down,
            job_id=options.job_id,
            job_metadata=options.metadata,
            agent_identity=options.agent_identity,
            inference_executor=options.inference_executor,
        ) as context:
            self._context = context
            introduce(context, room, self.entrypoint)
            if self.entrypoint is not None:
                _livekit_job.on_simulation_end(context, self.entrypoint.on_simulation_end)
            if self.simulation is not None:
                _livekit_job.dispatch(context, **self.simulation)
            yield context

    # --- the entrypoint

    async def begin(self, started: Awaitable[Any]) -> bool:
        """Run the entrypoint until a session has `started`, or nothing is left that could start it.

        Raises what it raises; returns whether a session started.
        """
        assert self.entrypoint is not None, "the job has one"
        session = asyncio.ensure_future(started)
        before = asyncio.all_tasks()
        task = self._task = asyncio.ensure_future(self.entrypoint.begin(self.context))
        task.add_done_callback(self._returned)
        await asyncio.wait((task, session), return_when=asyncio.FIRST_COMPLETED)
        if task.done() and not task.cancelled():
            task.result()
            if self.ended_by is None:
                await outlast(session, before)
        return session.done()

    def _returned(self, task: asyncio.Task[None]) -> None:
        """Tell of an entrypoint that was cancelled while its session goes on."""
        session = _livekit_job.primary_session(self.context)
        is_ending = self._is_left or self._closing is not None
        if not task.cancelled() or is_ending or session is None:
            return
        if _livekit_work.is_closing(session):
            return
        assert self.entrypoint is not None, "it began"
        told = _cut_short(self.entrypoint.what)
        try:
            task.result()
        except asyncio.CancelledError as error:
            told.__traceback__ = error.__traceback__
        self._raised(told, "the entrypoint")

    # --- its end

    def _shut_down(self, reason: str) -> None:
        """Do what ``ctx.shutdown()`` is for."""
        if self._closing is None and not self._is_left:
            self.ended_by = reason or "user requested"
            self._closing = asyncio.ensure_future(self._close())

    async def leave(self) -> None:
        """Let the entrypoint return, once: what comes before its session closes."""
        if self._is_left:
            return
        self._is_left = True
        if self._closing is None:
            await self._let_return()
        else:
            await asyncio.wait((self._closing,))

    async def _let_return(self) -> None:
        """Wait for the entrypoint, and cancel it where that takes too long."""
        if (task := self._task) is None:
            return
        await asyncio.wait((task,), timeout=_RETURN_SECONDS)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            self._raised(error, "the entrypoint")

    async def _close(self) -> None:
        await self._let_return()
        if (session := _livekit_job.primary_session(self.context)) is not None:
            await session.aclose()

    async def finish(self) -> None:
        """Do what comes after the session has closed, once."""
        if self._is_over:
            return
        self._is_over = True
        entrypoint = self.entrypoint
        if entrypoint is not None and (ended := entrypoint.on_session_end) is not None:
            await self._call([ended], self.context, "on_session_end", entrypoint.end_timeout)
        await self.context.room.disconnect()
        callbacks = _livekit_job.shutdown_callbacks(self.context)
        try:
            await self._call(callbacks, self.ended_by or _DONE, "a shutdown callback")
        finally:
            await _livekit_job.close_http_sessions()

    async def _call(
        self,
        callbacks: Sequence[Callable[[Any], Any]],
        given: object,
        what: str,
        timeout: float | None = None,  # noqa: ASYNC109  (for each)
    ) -> None:
        """Call callbacks of the user's, all at once, and hear what they raise."""
        tasks = []
        for one in callbacks:
            try:
                made = awaitable(one(given), what)
            except Exception as error:  # noqa: BLE001  (the test shows it)
                self._raised(error, what)
            else:
                made = made if timeout is None else asyncio.wait_for(made, timeout)
                tasks.append(asyncio.ensure_future(made))
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if task.cancelled():
                self._raised(_cut_short(what), what)
            elif (raised := task.exception()) is not None:
                self._raised(raised, what)


def _cut_short(what: str) -> BehaviourError:
    told = f"{what} was cancelled by what it awaits, and did not come to its end"
    return BehaviourError(told)
