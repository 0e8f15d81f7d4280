"""The jobs that a loop gives to threads, and what becomes of one that never ends.

No thread can be made to end. asyncio waits for those of its executor when it closes the loop, and
Python for those of each when the process exits: for ever, where a job waits for what never comes.
So a job that outlasts its test is told, and let go: nobody waits for its thread any more.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from time import monotonic  # the real one: the name in `time` follows virtual time
from types import FrameType
from typing import Any, Self

from .frames import is_users, nearest_users_line, site_of, source
from .real_work import PATIENCE
from .sites import Site
from .stand_ins import StandIns
from .tasks import made_at

__all__ = ["ThreadJob", "ThreadJobs"]

_LOOK_EVERY = 0.01


class ThreadJob:
    """A job that is to be done in a thread, or is being done."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.future: Callable[[], asyncio.Future[Any] | None] = lambda: None
        """What the job is waited for with, while there is any: it is the user's to keep or not."""
        self.thread: threading.Thread | None = None
        self._work = work
        task = asyncio.current_task()
        self._given_at = nearest_users_line() or (None if task is None else made_at(task))

    @property
    def is_open(self) -> bool:
        """Whether a thread is at it, or will be: one that was cancelled before is not begun."""
        future = self.future()
        return self.thread is not None or not (future is None or future.done())

    def let_go(self) -> None:
        """Let nobody wait for its thread any more."""
        if (future := self.future()) is not None:
            future.cancel()
        if self.thread is not None:
            self.thread.join = lambda *_, **__: None  # type: ignore[method-assign]

    def __str__(self) -> str:
        given = self._given_at
        if given is None:
            return f"a job in a thread ({self._work!r})"
        at = _users_line(self.thread)
        where = "" if at is None or at == given else f"; it is at {at}: {source(at)}"
        return f"a job in a thread ({given}: {source(given)}{where})"


class ThreadJobs:
    """The jobs that one test gives to threads of pools by `loop`, noted inside of a ``with``.

    `is_ours` says whether the code that runs just now is the test's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, is_ours: Callable[[], bool]) -> None:
        self._is_ours = is_ours
        self._jobs: set[ThreadJob] = set()
        self._noted = StandIns((loop, "run_in_executor", self._noting))

    def __enter__(self) -> Self:
        self._noted.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._noted.__exit__()
        self._let_go()

    async def outlasting(self) -> Collection[ThreadJob]:
        """Wait for the jobs as long as is right, and let go what goes on, which is returned."""
        until = monotonic() + PATIENCE
        # no event: a thread that is let go would set it on a loop that is closed
        while any(job.is_open for job in self._jobs.copy()) and monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)
        return self._let_go()

    def _let_go(self) -> Collection[ThreadJob]:
        left, self._jobs = [job for job in self._jobs.copy() if job.is_open], set()
        for job in left:
            job.let_go()
        return left

    def _noting(self, run_in_executor: Callable[..., Any]) -> Callable[..., Any]:
        def run(executor: Any, work: Any, *args: Any) -> Any:
            in_thread = executor is None or isinstance(executor, ThreadPoolExecutor)
            if not (in_thread and self._is_ours()):
                return run_in_executor(executor, work, *args)
            job, jobs = ThreadJob(work), self._jobs

            def working() -> Any:
                __tracebackhide__ = True
                job.thread = threading.current_thread()
                try:
                    return work(*args)
                finally:
                    job.thread = None
                    jobs.discard(job)

            jobs.add(job)
            with StandIns((threading.Thread, "start", _as_daemon)):
                future = run_in_executor(executor, working)
            job.future = weakref.ref(future)
            return future

        return run


def _as_daemon(start: Callable[..., Any]) -> Callable[..., Any]:
    """Begin the threads of a pool such that Python may exit without them, if their pool does."""
    here = threading.get_ident()

    def started(thread: threading.Thread) -> None:
        if threading.get_ident() == here:
            thread.daemon = True
        start(thread)

    return started


def _users_line(thread: threading.Thread | None) -> Site | None:
    """Return the line of the user's own on which a thread is, None where it is in none."""
    frame: FrameType | None = None
    if thread is not None and thread.ident is not None:
        frame = sys._current_frames().get(thread.ident)  # noqa: SLF001  (documented)
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else site_of(frame)
