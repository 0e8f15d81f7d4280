"""Where the user's own modules hold a function that they imported by its name.

``from time import monotonic`` takes the function itself; what stands in its place in ``time`` later
is not seen. Libraries are left alone: those that do so mean the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator
from types import ModuleType
from typing import Any
from weakref import ref

from .frames import is_users

__all__ = ["places_of"]

_looked_at: set[str] = set()
_last_imported: list[object] = []
"""How many modules there were, and which was the last."""
_users: dict[str, tuple[ref[ModuleType] | None, tuple[str, ...]]] = {}
"""The user's own modules by their names, and what of theirs was one of the functions."""


def places_of(functions: Container[int]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the namespaces that hold one of `functions`, which are ids, and under which name.

    Cheap: it runs for every test, and looks only at what was imported since; so `functions` are
    the same each time.
    """
    imported = [len(sys.modules), next(reversed(sys.modules))]  # there are thousands
    if imported != _last_imported:
        _last_imported[:] = imported
        for name in [*sys.modules.keys() - _looked_at]:
            _looked_at.add(name)
            module = sys.modules.get(name)
            if type(module) is ModuleType and is_users(module.__dict__.get("__file__") or "<"):
                _users[name] = (None, ())
    for name, (known, names) in _users.items():
        module = sys.modules.get(name)
        if type(module) is not ModuleType:
            continue
        space = vars(module)
        if known is None or known() is not module:  # such as one that a test imports anew
            names = tuple(held for held, value in [*space.items()] if id(value) in functions)
            _users[name] = (ref(module), names)
        for held in names:
            yield space, held
