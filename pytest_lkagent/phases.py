"""Setup, call and teardown of our items: the wall clock is the test's inside, everyone's between.

pytest times a phase from outside of its hook, so reports keep real durations. Fixtures of broader
scopes belong to other tests too: they are set up and torn down in real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .wall_clock import WallClock

__all__ = ["fixture_setup", "phase", "setup", "teardown", "wall_clock_of"]

_WALL = pytest.StashKey["WallClock"]()
_CURRENT = pytest.StashKey["tuple[pytest.Item, WallClock]"]()
_ENDS = pytest.StashKey[bool]()


def wall_clock_of(item: pytest.Item) -> WallClock | None:
    """Return the wall clock of a test of ours, None where it is everyone's."""
    return item.stash.get(_WALL, None)


@contextmanager
def setup(item: pytest.Item, now: datetime | None, *, real_time: bool) -> Iterator[None]:
    """Set `item` up at `now`; None is the present.

    Raises:
        UsageError: Something else holds the clock, or a fixture of the test's took hold of it.
    """
    if now is None:
        yield
        return
    from .wall_clock import WallClock

    wall = item.stash[_WALL] = WallClock(now, ticks=real_time)
    with phase(item):
        yield
        wall.check()


@contextmanager
def phase(item: pytest.Item) -> Iterator[None]:
    """Let the wall clock be that of `item` inside."""
    wall = wall_clock_of(item)
    if wall is None:
        yield
        return
    stash = item.config.stash
    wall.travel()
    stash[_CURRENT] = (item, wall)
    try:
        yield
    finally:
        del stash[_CURRENT]
        wall.suspend()


@contextmanager
def teardown(item: pytest.Item) -> Iterator[None]:
    """Tear `item` down at its time, or as it is where something else holds the clock still."""
    wall = wall_clock_of(item)
    if wall is None or not wall.can_travel:
        yield
        return
    with phase(item):
        yield


@contextmanager
def fixture_setup(config: pytest.Config, scope: str) -> Iterator[None]:
    """Let a fixture be set up at the time that is its own: the test's, or everyone's."""
    item, wall = config.stash.get(_CURRENT, (None, None))
    if item is None or wall is None:
        yield
    elif scope == "function":
        if _ENDS not in item.stash:
            item.stash[_ENDS] = True
            item.addfinalizer(wall.end)  # the first: it runs last, and before broader fixtures end
        yield
    else:
        with wall.suspended():
            yield
