"""What one session leaves to the next: lists of an agent's class, globals of its module."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from livekit.agents import Agent

__all__ = ["Kept"]

_CONTAINERS = (list, dict, set, bytearray, deque)
_LIBRARIES = ("livekit", __name__.partition(".")[0])


class Kept:
    """The containers that agents' classes and modules hold, as they are now.

    Not what is held elsewhere: in a closure, a module without an agent, an attribute of an object.
    """

    def __init__(self) -> None:
        self._before = {place: shown for place, _, shown in _held()}

    def changed(self) -> list[str]:
        """Name those that hold something else by now."""
        return [name for place, name, now in _held() if self._before.get(place, now) != now]


def _held() -> Iterator[tuple[tuple[int, str], str, str]]:
    """Yield the place, the name and what is in each container."""
    owners: dict[Any, None] = {}
    for agent in _agents(Agent):
        owners |= {_module_of(agent): None, agent: None}
    met: set[int] = set()
    for owner in owners:
        for name, value in list(getattr(owner, "__dict__", {}).items()):
            if not isinstance(value, _CONTAINERS) or name.startswith("__") or id(value) in met:
                continue
            met.add(id(value))  # a module may import what another has
            try:
                shown = repr(value)
            except Exception:  # noqa: BLE001  (of what is in it: nothing can be said of that)
                continue
            yield (id(owner), name), f"{owner.__name__}.{name}", shown


def _module_of(agent: type[Agent]) -> ModuleType | None:
    """Return the module that an agent is of; None where another one has its name by now."""
    module = sys.modules.get(agent.__module__)
    is_nested = agent.__qualname__ != agent.__name__
    return module if is_nested or getattr(module, agent.__name__, None) is agent else None


def _agents(base: type[Agent]) -> Iterator[type[Agent]]:
    for agent in base.__subclasses__():
        if agent.__module__.partition(".")[0] not in _LIBRARIES:
            yield agent
        yield from _agents(agent)
