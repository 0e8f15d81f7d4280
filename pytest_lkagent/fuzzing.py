"""Tests made by `fuzz_agent` as pytest items: the options of the run hold for each example."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest

from . import border
from .errors import BehaviourError, UsageError
from .keys import set_dummies

if TYPE_CHECKING:
    from .fuzz.play import Subject
    from .stage import Stage

__all__ = ["fuzzed", "playing", "point_at_user", "shown"]

_ARGUMENTS = ("Falsifying example: ", "Failing test case: ")
"""How hypothesis begins to show the arguments of a test, which here say nothing."""


def fuzzed(item: Any) -> Subject | None:
    """Return what `item` fuzzes, None where it is any other test."""
    return getattr(getattr(item, "obj", None), "lk_fuzzed", None)


def point_at_user(item: Any, subject: Any) -> None:
    """Let reports of `item` name the line that calls `fuzz_agent`."""
    path, line = subject.site.path, subject.site.line
    item.reportinfo = lambda: (path, line - 1, item.name)


@contextmanager
def playing(item: Any, subject: Any) -> Iterator[None]:
    """Play the examples of `item` under the options of this run, and show what they found."""
    from .fuzz import private
    from .stage import Stage
    from .wall_clock import WallClock

    arguments = border.stage_arguments(item, {})
    now, real_time = border.time_of(item)

    def set_stage() -> Stage:
        wall = WallClock(now or datetime.now(UTC), ticks=real_time)
        stage = Stage(**arguments, used=WeakSet(), wall=wall)
        stage.before_session = lambda: set_dummies(item)
        return stage

    private.tell_apart(item.obj, item.nodeid)
    private.untimed(item.obj)
    before, subject.set_stage = subject.set_stage, set_stage
    try:
        yield
    finally:
        subject.set_stage = before


def shown(error: BaseException) -> BaseException:
    """Show what was found from the user's line, or as its message where none of the user's ran."""
    found = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    for one in found:
        if notes := getattr(one, "__notes__", None):
            one.__notes__ = [note for note in notes if not note.startswith(_ARGUMENTS)]
    if not all(isinstance(one, (UsageError, BehaviourError)) for one in found):
        return error.with_traceback(border.users_part(error.__traceback__))
    told = ["\n".join([str(one), *getattr(one, "__notes__", ())]) for one in found]
    return pytest.fail.Exception("\n\n".join(told), pytrace=False)
