"""Why a run cannot finish: which code waits, and where."""

from __future__ import annotations

import asyncio
import sysconfig
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from .sites import OUR_FOLDER, Site

__all__ = ["up_to_user_line", "waiting"]

_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {OUR_FOLDER}
)


def waiting(tasks: Iterable[asyncio.Task[Any]]) -> str | None:
    """Say in one line what the tasks wait for; the code of tools before everything else.

    None where nothing of the user's own waits.
    """
    found = [(task, site) for task in tasks if (site := _user_line(task)) is not None]
    found.sort(key=lambda pair: not pair[0].get_name().startswith("tool_exec_"))
    for task, site in found:
        name = task.get_name()
        if name.startswith("tool_exec_"):
            return f"the tool {name.removeprefix('tool_exec_')} waits at {site}"
    for _, site in found:
        return f"code waits at {site}"
    return None


def up_to_user_line(traceback: TracebackType | None) -> TracebackType | None:
    """Cut a traceback off behind the last line that is the user's own; None without one."""
    last = None
    entry = traceback
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(_LIBRARIES):
            last = entry
        entry = entry.tb_next
    if last is None:
        return None
    last.tb_next = None
    return traceback


def _user_line(task: asyncio.Task[Any]) -> Site | None:
    """Return the innermost line of the user's own code on which `task` waits."""
    innermost = None
    for frame in _frames(task.get_coro()):
        if not frame.f_code.co_filename.startswith(_LIBRARIES):
            innermost = Site(frame.f_code.co_filename, frame.f_lineno)
    return innermost


def _frames(awaited: Any) -> Iterator[Any]:
    while awaited is not None:
        for frame, awaits in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"),
                              ("ag_frame", "ag_await")):  # fmt: skip
            if hasattr(awaited, frame):
                if (current := getattr(awaited, frame)) is not None:
                    yield current
                awaited = getattr(awaited, awaits)
                break
        else:
            return
