"""Stand-ins for what others define, in place while somebody needs them.

To set an attribute of a class makes Python forget what it knows of the class and of those below it:
for the next hundreds of calls all their code runs slower. Who needs stand-ins again and again, as a
test that plays hundreds of examples, holds them from the first to the last. So they are to do
nothing by themselves, and to ask who is on duty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeAlias

__all__ = ["Replacement", "StandIns"]

Replacement: TypeAlias = tuple[Any, str, Callable[[Any], Any]]
"""Whose attribute of which name is replaced, and what makes the stand-in of what was there."""


class StandIns:
    """Stand-ins that are in place inside of a ``with``, of several at a time inside of any.

    What somebody else puts in the place of one meanwhile is theirs, and stays.
    """

    def __init__(self, *replacements: Replacement) -> None:
        self._replacements = replacements
        self._users = 0
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def __enter__(self) -> Self:
        if not self._users:
            for owner, name, make in self._replacements:
                before, stand_in = vars(owner).get(name), make(getattr(owner, name))
                setattr(owner, name, stand_in)
                self._replaced.append((owner, name, before, stand_in))
        self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if self._users:
            return
        for owner, name, before, stand_in in reversed(self._replaced):
            if vars(owner).get(name) is not stand_in:
                continue  # somebody else replaced it or took it away
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self._replaced.clear()
