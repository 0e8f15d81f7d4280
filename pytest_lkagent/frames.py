"""Whose code runs, where it waits, and whether somebody debugs it: what stack frames say."""

from __future__ import annotations

import asyncio
import gc
import linecache
import sys
import sysconfig
from collections.abc import Awaitable, Iterator
from functools import cache
from types import FrameType, TracebackType
from typing import Any

from .sites import OUR_FOLDER, Site

__all__ = [
    "begun_by_user",
    "frames",
    "is_debugged",
    "is_users",
    "module_of",
    "nearest_users_line",
    "raised_at",
    "raised_by_user",
    "site_of",
    "source",
]

_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {OUR_FOLDER, "<"}
)
_DEBUGGERS = ("bdb", "pdb", "pydevd", "_pydevd", "debugpy")
_DEPTH = 12
"""How many frames up it is worth looking for the user's own."""


@cache
def is_users(filename: str) -> bool:
    """Whether code of this file is the user's own: neither ours nor a library's."""
    return not filename.startswith(_LIBRARIES)


def module_of(frame: FrameType) -> str:
    """Return the name of the module whose code this is.

    Cheap: to ask for ``f_code`` is an audit event, and what hears of those is slow.
    """
    name: str = frame.f_globals.get("__name__") or ""
    return name


def site_of(frame: FrameType) -> Site:
    return Site(frame.f_code.co_filename, frame.f_lineno)


def raised_at(traceback: TracebackType | None) -> Site | None:
    """Return the innermost line of the user's own on the way of an exception, None without one."""
    site = None
    while traceback is not None:
        if is_users(traceback.tb_frame.f_code.co_filename):
            site = site_of(traceback.tb_frame)
        traceback = traceback.tb_next
    return site


def begun_by_user(error: BaseException) -> bool:
    """Whether what `error` ended, a task or a callback, is the user's own code to begin with."""
    traceback = error.__traceback__
    while traceback is not None and module_of(traceback.tb_frame).startswith("asyncio."):
        traceback = traceback.tb_next
    return traceback is not None and is_users(traceback.tb_frame.f_code.co_filename)


def raised_by_user(error: BaseException) -> bool:
    """Whether it is the user's own code that raised `error`, and no library that it called."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and is_users(traceback.tb_frame.f_code.co_filename)


def source(site: Site) -> str:
    """Return the text of a line, empty where there is none to read."""
    return linecache.getline(site.path, site.line).strip()


def nearest_users_line() -> Site | None:
    """Return the line of the user's own that is being executed, None where none is near.

    Cheap: it runs for every task that is made.
    """
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame is None:
            return None
        if is_users(frame.f_code.co_filename):
            return site_of(frame)
        frame = frame.f_back
    return None


def frames(awaited: Any) -> Iterator[FrameType]:
    """Yield the suspended frames from a coroutine down to where it waits."""
    while awaited is not None:
        for frame, awaits in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"),
                              ("ag_frame", "ag_await")):  # fmt: skip
            if hasattr(awaited, frame):
                if (current := getattr(awaited, frame)) is not None:
                    yield current
                awaited = getattr(awaited, awaits)
                break
        else:
            awaited = _inside(awaited)


def _inside(awaited: Any) -> Any:
    """Look into what Python wraps around a coroutine or an asynchronous generator.

    Such as the ``asend`` on which ``async for`` waits: it does not say itself what is inside.
    """
    if type(awaited).__module__ != "builtins":
        return None
    inside = (one for one in gc.get_referents(awaited) if not asyncio.isfuture(one))
    return next((one for one in inside if isinstance(one, Awaitable) or hasattr(one, "ag_frame")
                 or hasattr(one, "gi_frame")), None)  # fmt: skip


def is_debugged() -> bool:
    """Whether a debugger traces this thread, or is at work in any other.

    A tracer alone is none: coverage measures by one.
    """
    if _is_debuggers(getattr(sys.gettrace(), "__module__", None)):
        return True
    for frame in sys._current_frames().values():  # noqa: SLF001  (documented)
        current: FrameType | None = frame
        while current is not None:
            if _is_debuggers(current.f_globals.get("__name__")):
                return True
            current = current.f_back
    return False


def _is_debuggers(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0].startswith(_DEBUGGERS)
