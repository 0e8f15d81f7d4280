"""The watch over the tasks of a test: which there are, and which the user's own code made."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, ContextVar
from threading import get_ident
from types import MethodType
from typing import Any

from .frames import is_users
from .tasks import note_maker

__all__ = ["TaskWatch"]


class TaskWatch:
    """Notes the tasks that a test begins on a loop; not those of others on the same loop.

    A task is the test's where one of its tasks made it. A fixture of the user's, for which the loop
    `is_lent`, and what comes of it are not, nor what a finalizer makes while garbage is collected:
    that may be of any test before.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._create: Callable[..., asyncio.Task[Any]] = MethodType(type(loop).create_task, loop)
        self.begun: dict[asyncio.Task[Any], bool] = {}
        """Those that have not ended yet, and whether the user's own code made each."""
        self.is_lent = False
        self.failed: Callable[[asyncio.Task[Any], bool], object] = lambda *_: None
        """Called with each that ends with an error, and whether the user's own code made it."""
        self._collector: int | None = None

    def begin(self, running: asyncio.Task[Any] | None) -> None:
        """Begin with the running task."""
        _inside.set(self)
        if running is not None:
            self.begun[running] = False

    def create_task(self, coro: Any, **how: Any) -> asyncio.Task[Any]:
        """Stand in for the loop's own method."""
        if self._collector is not None and self.is_collecting:
            return self._create(coro, **how | {"context": Context()})  # one that is nobody's
        task = self._create(coro, **how)
        parent = asyncio.current_task(self._loop)
        if parent is not None:
            is_ours = parent in self.begun
        elif self._loop.is_running():  # in a callback
            is_ours = _inside.get() is self
        else:
            is_ours = not self.is_lent
        if is_ours:
            self.begun[task] = is_users_own = _is_made_by_user()
            task.add_done_callback(self._end)
            if is_users_own:
                note_maker(task)
        return task

    def note_collection(self, phase: str, _: object) -> None:
        """Take note of the garbage collector's work; one of ``gc.callbacks``."""
        self._collector = get_ident() if phase == "start" else None

    @property
    def is_collecting(self) -> bool:
        """Whether it is the garbage collector that runs the code of this thread."""
        return self._collector == get_ident()

    def _end(self, task: Any) -> None:
        is_users_own = self.begun.pop(task)
        if task._exception is not None:  # noqa: SLF001  (to ask for it would make it known)
            self.failed(task, is_users_own)


_ASYNCIO = frozenset(name for name in sys.modules if name.startswith("asyncio."))
_inside: ContextVar[TaskWatch | None] = ContextVar("pytest_lkagent_tasks", default=None)


def _is_made_by_user() -> bool:
    """Whether it is the user's own code that makes a task, by asyncio or directly."""
    frame: Any = sys._getframe(2)
    while (module := frame.f_globals.get("__name__") or "") in _ASYNCIO and frame.f_back:
        frame = frame.f_back
    # most are LiveKit's; to ask a frame for its code is an audit event
    return not module.startswith("livekit.agents.") and is_users(frame.f_code.co_filename)
