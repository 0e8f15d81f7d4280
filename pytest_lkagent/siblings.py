"""The modules of a folder by their bare names, where another folder has modules of these names.

What the file of a scenario imports of its folder stays under its bare name: a test that imports it
later has the same classes. It is in the way of the next folder that has a module of this name. So
that folder's own takes the place while something of the folder is imported, collected or played.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from .frames import is_users

__all__ = ["Siblings"]

_NOBODYS = sys.stdlib_module_names | {"__main__", "conftest"}


class Siblings:
    """Which modules are whose, in one run."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        """The names by which files of scenarios imported what is beside them."""
        self._own: dict[tuple[Path, str], dict[str, ModuleType]] = {}
        """What a folder has of a name that is another's elsewhere: the module and those in it."""
        self._spec = cache(_spec)
        self._stems = cache(_stems)
        self._resolve = cache(Path.resolve)

    @contextmanager
    def of(self, folders: Sequence[Path]) -> Iterator[None]:
        """Let names that scenarios imported elsewhere mean what these folders have of them."""
        if not (self._names or self._own):
            yield
            return
        places = [self._resolve(folder) for folder in folders]
        own = {name for folder, name in self._own if folder in places}
        with self._in_place(places, self._names | own):
            yield

    @contextmanager
    def importing(self, folders: Sequence[Path], stem: str) -> Iterator[None]:
        """Let bare names mean what these folders have, while the file `stem` of one is imported.

        By its own name it may mean another file that the user imported before.
        """
        before = set(sys.modules)
        names = before.intersection(frozenset().union(*map(self._stems, folders)))
        try:
            with self._in_place(folders, names - ({stem} - self._names)):
                yield
        finally:
            new = {name.partition(".")[0] for name in sys.modules.keys() - before}
            for folder in folders:
                beside = new & self._stems(folder)
                self._names |= {name for name in beside if self._spec(name, folder)}

    @contextmanager
    def _in_place(self, folders: Sequence[Path], names: Collection[str]) -> Iterator[None]:
        places = {name: place for name in names if (place := self._place(name, folders))}
        others = [_taken(name) for name in places]
        for name, folder in places.items():
            sys.modules.update(self._own.get((folder, name), {}))
        try:
            yield
        finally:
            for name, folder in places.items():
                if own := _taken(name):
                    self._own[folder, name] = own
            for other in others:
                sys.modules.update(other)

    def _place(self, name: str, folders: Sequence[Path]) -> Path | None:
        """Return the folder whose module this name is to mean, None where it may stay."""
        there = sys.modules.get(name)
        if there is None or name in _NOBODYS:
            return None
        for folder in folders:
            if (own := self._spec(name, folder)) is not None:
                return folder if _is_anothers(there, own) else None
        return None


def _spec(name: str, folder: Path) -> ModuleSpec | None:
    return PathFinder.find_spec(name, [str(folder)])


def _stems(folder: Path) -> frozenset[str]:
    return frozenset(one.name.partition(".")[0] for one in folder.iterdir())


def _is_anothers(there: ModuleType, own: ModuleSpec) -> bool:
    """Whether the module that is there is another one of the user's than this would be."""
    file: str | None = getattr(there, "__file__", None)
    if file is not None:
        if own.origin is None or file == own.origin or not is_users(file):
            return False
        return Path(file).resolve() != Path(own.origin).resolve()
    parts = [*getattr(there, "__path__", ())]
    return bool(parts) and is_users(parts[0]) and not {*parts} & {*_parts(own)}


def _parts(own: ModuleSpec) -> Sequence[str]:
    return own.submodule_search_locations or ()


def _taken(name: str) -> dict[str, ModuleType]:
    """Take a module and those in it out of what is imported."""
    inside = [one for one in sys.modules if one == name or one.startswith(f"{name}.")]
    return {one: sys.modules.pop(one) for one in inside}
