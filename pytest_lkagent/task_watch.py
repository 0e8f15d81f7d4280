"""The watch over the tasks of a test: which there are, and which the user's own code made."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from .frames import is_users
from .tasks import note_maker

__all__ = ["TaskWatch"]


class TaskWatch:
    """Notes the tasks that a test begins on a loop; not those of others on the same loop.

    A task is the test's where one of its tasks made it. A fixture of the user's, for which the loop
    `is_lent`, and what comes of it are not.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.begun: WeakKeyDictionary[asyncio.Task[Any], bool] = WeakKeyDictionary()
        """Those that are not collected yet, and whether the user's own code made each."""
        self.is_lent = False
        self.ended: Callable[[asyncio.Task[Any]], object] | None = None
        """Called with each of those that code other than the user's made, when it ends."""

    def begin(self, running: asyncio.Task[Any] | None) -> None:
        """Begin with the running task."""
        _inside.set(self)
        if running is not None:
            self.begun[running] = False

    def create_task(self, *args: Any, **how: Any) -> asyncio.Task[Any]:
        """Stand in for the loop's own method."""
        loop: Any = self._loop
        task: asyncio.Task[Any] = type(loop).create_task(loop, *args, **how)
        parent = asyncio.current_task(loop)
        if parent is not None:
            is_ours = parent in self.begun
        elif loop.is_running():  # in a callback
            is_ours = _inside.get() is self
        else:
            is_ours = not self.is_lent
        if is_ours:
            self.begun[task] = is_users_own = _is_made_by_user()
            if is_users_own:
                note_maker(task)
            elif self.ended is not None:
                task.add_done_callback(self.ended)
        return task


_inside: ContextVar[TaskWatch | None] = ContextVar("pytest_lkagent_tasks", default=None)


def _is_made_by_user() -> bool:
    """Whether it is the user's own code that makes a task, by asyncio or directly."""
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("asyncio."):
        frame = frame.f_back
    return is_users(frame.f_code.co_filename)
