"""Names in scenario files, resolved: agents, checks, classes of tools, tasks and exceptions.

A reference is ``package.module:name`` or ``file.py:name`` relative to the scenario file. A file is
imported under a private name, so that the ``agent.py`` of two folders do not meet; its folder and
that of the scenario file are first on the path meanwhile, and a file of theirs that was imported
so goes by its own name: what imports it has the same classes. What it imports of its folder is
kept apart by `siblings`. Where the scenario file is in a package, or in a folder of one, the folder
above the package is on the path too, as it is for tests. A bare class name means a class of the
agent's module, or else the only loaded class of that name.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from pathlib import Path
from types import ModuleType
from typing import Any

import livekit.agents
from livekit.agents import Agent

from .errors import UsageError, did_you_mean, one_of
from .scenarios.model import Ref
from .siblings import Siblings

__all__ = ["References", "fixture_names", "loaded", "root_of"]

_PRIVATE = "_lk_"


class References:
    """The names that the scenario files of one run use, each resolved once.

    `while_importing` is entered around the import of a user's module.
    """

    def __init__(self, while_importing: Callable[[], Any]) -> None:
        self._while_importing = while_importing
        self.siblings = Siblings()
        self._modules: dict[tuple[str, str], ModuleType] = {}
        self._values: dict[tuple[str, str], Any] = {}

    def resolve(self, ref: Ref) -> Any:
        """Return what ``module:name`` names.

        Raises:
            UsageError: The module cannot be imported, or has no such name; with the place in the
                scenario file.
        """
        key = (ref.text, ref.site.path)
        if key not in self._values:
            self._values[key] = self._find(ref)
        return self._values[key]

    def _find(self, ref: Ref) -> Any:
        module_name, _, name = ref.text.partition(":")
        module = self.module(ref)
        value: Any = module
        owner = module_name
        for part in name.split("."):
            if not hasattr(value, part):
                known = sorted(n for n in dir(value) if not n.startswith("_"))
                raise UsageError(f"{ref.place}: {owner} has no {part!r}{did_you_mean(part, known)}")
            value = getattr(value, part)
            owner = f"{owner}.{part}" if ":" in owner else f"{owner}:{part}"
        return value

    def module(self, ref: Ref) -> ModuleType:
        """Import the module that a reference names."""
        name = ref.text.partition(":")[0]
        key = (name, ref.site.path)
        if key not in self._modules:
            self._modules[key] = self._import(name, Path(ref.site.path).resolve().parent, ref)
        return self._modules[key]

    def _import(self, name: str, folder: Path, ref: Ref) -> ModuleType:
        path = (folder / name).resolve() if name.endswith(".py") else None
        if path is not None and not path.is_file():
            beside = Path(ref.site.path).name
            raise UsageError(f"{ref.place}: there is no file {name} beside {beside}")
        try:
            folders = [folder] if path is None else [path.parent, folder]
            roots = [root_of(one) for one in (folder, folder.parent) if root_of(one) != one][:1]
            stem = "" if path is None else path.stem
            with (
                self._while_importing(),
                self.siblings.importing(folders, stem),
                _first_on_path([*folders, *roots]),
            ):
                return _import_file(path) if path is not None else importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  SystemExit too: a script without a guard
            raise UsageError(
                f"{ref.place}: {name} cannot be imported: {type(error).__name__}: {error}"
                f"{_line_of(error)}{_hint_at_key(error)}"
            ) from None

    def agent_class(self, ref: Ref, near: ModuleType | None) -> type[Agent]:
        """Return the Agent class of this name: bare, or as ``module:Class``."""
        found: type[Agent] | None = self._class(ref, near, Agent)
        if found is None:
            known = {cls.__name__ for cls in loaded(Agent)}
            where = f" in {_shown(near)} or" if near is not None else ""
            raise UsageError(
                f"{ref.place}: no Agent class {ref.text!r}{where} among those loaded"
                f"{did_you_mean(ref.text, known)}"
            )
        return found

    def exception(self, ref: Ref, near: ModuleType | None) -> type[Exception]:
        """Return the exception class of this name: LiveKit's, a built-in, or ``module:Class``."""
        if ":" not in ref.text:
            for place in (near, livekit.agents, builtins):
                value = getattr(place, ref.text, None)
                if isinstance(value, type) and issubclass(value, Exception):
                    return value
        found: type[Exception] | None = None
        if ":" in ref.text:
            found = self._class(ref, near, Exception)
        if found is None:
            known = [n for n in (*dir(livekit.agents), *dir(builtins)) if n.endswith("Error")]
            raise UsageError(
                f"{ref.place}: no exception {ref.text!r}; name one of LiveKit's or of Python's, or "
                f"module:Class{did_you_mean(ref.text, known)}"
            )
        return found

    def _class(self, ref: Ref, near: ModuleType | None, base: type) -> Any:
        if ":" in ref.text:
            value = self.resolve(ref)
            if not (isinstance(value, type) and issubclass(value, base)):
                raise UsageError(f"{ref.place}: {ref.text} is no subclass of {base.__name__}")
            return value
        value = getattr(near, ref.text, None)
        if isinstance(value, type) and issubclass(value, base):
            return value
        named = [cls for cls in loaded(base) if cls.__name__ == ref.text]
        if len(named) > 1:
            places = one_of(sorted(f"{cls.__module__}:{cls.__qualname__}" for cls in named))
            raise UsageError(f"{ref.place}: {ref.text} may be any of {places}; write which one")
        return named[0] if named else None


@cache
def fixture_names(function: Any) -> tuple[str, ...]:
    """Name the fixtures that a class or a factory takes: its parameters without a default."""
    if not callable(function) or isinstance(function, Agent):
        return ()
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return ()
    return tuple(
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    )


def root_of(folder: Path) -> Path:
    """Return where the modules of a folder are imported from: above the package, if it is one."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def loaded(base: type) -> Iterator[Any]:
    """Walk the subclasses that their own module still knows by name."""
    seen: set[type] = set()
    waiting: list[type] = list(base.__subclasses__())
    while waiting:
        cls = waiting.pop()
        if cls in seen:
            continue
        seen.add(cls)
        waiting += cls.__subclasses__()
        if getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls:
            yield cls


def _import_file(path: Path) -> ModuleType:
    """Import a file under a name of its own, or take what a test imported of it before.

    A conftest.py that imports the agent too means the same classes.
    """
    for loaded in list(sys.modules.values()):
        file = getattr(loaded, "__file__", None) or ""
        if file.endswith(path.name) and Path(file).resolve() == path:
            return loaded
    digest = sha1(str(path).encode(), usedforsecurity=False).hexdigest()[:8]
    name = f"{_PRIVATE}{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "the file ends in .py"
    assert spec.loader is not None, "a file has one"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _first_on_path(folders: Sequence[Path]) -> Iterator[None]:
    """Let what is imported inside find the files of these folders, once for all where they are."""
    private = [one for name, one in list(sys.modules.items()) if name.startswith(_PRIVATE)]
    lent: dict[str, ModuleType] = {}
    for folder in folders:
        for module in private:
            path = Path(module.__file__ or "")
            if path.parent == folder and path.stem not in sys.modules:
                lent.setdefault(path.stem, module)
    sys.modules.update(lent)
    sys.path[:0] = map(str, folders)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(str(folder))
        for name, module in lent.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _hint_at_key(error: BaseException) -> str:
    """Say how a variable of the environment that a module wants may be there."""
    wanted = error.args[0] if isinstance(error, KeyError) and error.args else ""
    if not (isinstance(wanted, str) and wanted.isupper()) or wanted in os.environ:
        return ""
    return f"; if that is a key, let it hold a dummy in the ini file: lk_env = {wanted}"


def _line_of(error: BaseException) -> str:
    """Point to the user's line that raised, where there is one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(("<frozen", __file__, str(importlib.__file__))):
            return f" ({Path(frame.filename).name}:{frame.lineno})"
    return ""


def _shown(module: ModuleType) -> str:
    return Path(module.__file__).name if module.__file__ else module.__name__
