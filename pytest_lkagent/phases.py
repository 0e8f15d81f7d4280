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

__all__ = ["current_item", "fixture_setup", "phase", "setup", "teardown", "wall_clock_of"]

_WALL = pytest.StashKey["WallClock"]()
_CURRENT = pytest.StashKey["pytest.Item | None"]()
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
    if now is not None:
        from .wall_clock import WallClock

        item.stash[_WALL] = WallClock(now, ticks=real_time)
    with phase(item):
        yield
        if (wall := wall_clock_of(item)) is not None:
            wall.check()


@contextmanager
def phase(item: pytest.Item) -> Iterator[None]:
    """Let the wall clock be that of `item` inside."""
    wall = wall_clock_of(item)
    if wall is not None:
        wall.travel()
    item.config.stash[_CURRENT] = item
    try:
        yield
    finally:
        item.config.stash[_CURRENT] = None
        if wall is not None:
            wall.suspend()


@contextmanager
def teardown(item: pytest.Item) -> Iterator[None]:
    """Tear `item` down at its time, or as it is where something else holds the clock still."""
    wall = wall_clock_of(item)
    if wall is not None and wall.can_travel:
        with phase(item):
            yield
    else:
        yield


def current_item(config: pytest.Config) -> pytest.Item | None:
    """Return the item of ours whose setup or call is under way."""
    return config.stash.get(_CURRENT, None)


@contextmanager
def fixture_setup(item: pytest.Item, scope: str) -> Iterator[None]:
    """Let a fixture be set up at the time that is its own: the test's, or everyone's."""
    wall = wall_clock_of(item)
    if wall is None:
        yield
    elif scope == "function":
        if _ENDS not in item.stash:
            item.stash[_ENDS] = True
            item.addfinalizer(wall.end)  # the first: it runs last, and before broader fixtures end
        yield
    else:
        with wall.suspended():
            yield
