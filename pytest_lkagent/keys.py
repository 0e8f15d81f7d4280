"""When key variables hold dummies: while our items run, and where an import wants a key.

A module of the user's that can be imported without a provider's key is imported as ever: it may
skip its live tests by looking for keys. One that cannot is imported once more, with dummies.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest

from .environment import KEY_VARIABLES, Dummies

__all__ = ["ConftestFinder", "hold_dummies", "is_to_try_again", "set_dummies"]

_DUMMIES = pytest.StashKey[Dummies]()
_TRIED = pytest.StashKey["set[pytest.Collector]"]()


def _further(config: pytest.Config) -> Sequence[str]:
    return config.getini("lk_env")  # type: ignore[no-any-return]


@contextmanager
def hold_dummies(item: pytest.Item) -> Iterator[None]:
    """Let key variables hold dummies inside; the fixtures of broader scopes see them too."""
    with Dummies(_further(item.config)) as dummies:
        item.stash[_DUMMIES] = dummies
        yield


def set_dummies(item: pytest.Item) -> None:
    """Set the dummies of `item` again, whatever a ``load_dotenv`` put in their place."""
    item.stash[_DUMMIES].set()


@contextmanager
def is_to_try_again(collector: pytest.Collector, report: pytest.CollectReport) -> Iterator[bool]:
    """Whether `collector` is a test module that lacked a key; dummies are set inside if so."""
    config = collector.config
    tried = config.stash.setdefault(_TRIED, set())
    said = str(report.longrepr) if report.failed and isinstance(collector, pytest.Module) else ""
    if collector in tried or not _names_a_key(said, _further(config)):
        yield False
        return
    tried.add(collector)
    with Dummies(_further(config)):
        yield True


def _names_a_key(text: str, further: Sequence[str]) -> bool:
    return any(name in text for name in (*KEY_VARIABLES, *further))


class ConftestFinder(MetaPathFinder):
    """Finds conftest modules as everyone else does, and lets them be executed a second time.

    pytest imports them before any hook could tell that it was a key that was missing, and has no
    hook to import one again.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._further = _further(config)

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.rpartition(".")[2] != "conftest":
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            if (spec := finder.find_spec(name, path, target)) is not None:
                if spec.loader is not None:
                    spec.loader = _SecondTry(spec.loader, self._further)
                return spec
        return None


class _SecondTry(Loader):
    """Executes a module, and once more with dummies if it raised for want of a key."""

    def __init__(self, loader: Any, further: Sequence[str]) -> None:
        self._loader = loader
        self._further = further

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        __tracebackhide__ = True
        fresh = dict(vars(module))
        try:
            self._loader.exec_module(module)
        except Exception as error:
            if not _names_a_key(f"{error!r} {error.__cause__!r}", self._further):
                raise
            vars(module).clear()
            vars(module).update(fresh)
            with Dummies(self._further):
                self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
