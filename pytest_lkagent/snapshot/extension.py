"""The snapshot of a test on syrupy: its flags, its report, its names; our text and our folder.

syrupy takes away what it discovers and no test used, and its rules take away live snapshots of
scenarios (``reference/pytest_ecosystem.md``). So it discovers none of ours; `orphans` does that.
"""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from syrupy.data import Snapshot, SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension
from syrupy.location import PyTestLocation

from .. import border
from ..errors import UsageError
from .compare import explain
from .names import FOLDER, SUFFIX, file_name
from .redact import Exclude, Redaction
from .serialize import canonical, document, dump, parse, shorten_call_ids

__all__ = ["ChatSnapshot", "Extension", "chat_snapshot_of", "folders_of"]


class Extension(AbstractSyrupyExtension):
    """A file for each snapshot, in a folder for each file of tests."""

    snapshot_dirname = FOLDER
    file_extension = SUFFIX.removeprefix(".")
    write_immediately = True
    redaction = Redaction()

    def serialize(self, data: Any, **_: Any) -> str:
        return str(data)

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        file = Path(test_location.filepath)
        return str(file.parent / cls.snapshot_dirname / file.name)

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: Any) -> str:
        folder = Path(cls.dirname(test_location=test_location))
        return str(folder / file_name(test_location.snapshot_name, index))

    @classmethod
    def matches_test_location(
        cls, *, test_location: PyTestLocation, snapshot_location: str
    ) -> bool:
        return Path(snapshot_location).parent == Path(cls.dirname(test_location=test_location))

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """Whether they say the same, however the file is laid out since somebody edited it."""
        if serialized_data == snapshot_data:
            return True
        try:
            was, now = map(self.redaction.folded, map(parse, (snapshot_data, serialized_data)))
            return canonical(was) == canonical(now)
        except (yaml.YAMLError, RecursionError):  # by a slip of the hand it may refer to itself
            return False

    def discover_snapshots(self, **_: Any) -> SnapshotCollections:
        return SnapshotCollections()

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        collection = SnapshotCollection(location=snapshot_location)
        collection.add(Snapshot(name=Path(snapshot_location).stem))
        return collection

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | None:
        try:
            return Path(snapshot_location).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return None

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        Path(snapshot_location).unlink()

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, **_: Any
    ) -> None:
        """Write a snapshot in one go: a run that is killed meanwhile leaves the old one."""
        (snapshot,) = snapshot_collection
        path = Path(snapshot_collection.location)
        part = path.with_name(f".{os.getpid()}.part")
        try:
            part.write_text(str(snapshot.data), encoding="utf-8", newline="\n")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@dataclass(eq=False, order=False, repr=False)
class ChatSnapshot(SnapshotAssertion):
    """What ``==`` compares a conversation with; the `chat_snapshot` fixture."""

    neutral: Callable[[Any], Any] = field(default=lambda value: value)
    defaults: Redaction = field(default_factory=Redaction)
    start: Path = field(default_factory=Path.cwd)
    is_ci: bool = False
    used: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)

    __hash__: ClassVar[None]  # type: ignore[assignment]

    _redaction: Redaction | None = field(init=False, default=None)
    _name: str | None = field(init=False, default=None)
    _unnamed: int = field(init=False, default=0)

    @property
    def index(self) -> int | str:
        """What tells this snapshot from others of the test: one more with a name shifts none."""
        return self._unnamed if self._name is None else self._name

    def __call__(  # type: ignore[override]
        self,
        name: str | None = None,
        *,
        exclude: Exclude | Iterable[Exclude] | None = None,
        include: Callable[..., bool] | None = None,
        matcher: Callable[..., Any] | None = None,
        replace: Mapping[str, str] | None = None,
    ) -> ChatSnapshot:
        """Say for the next comparison what to leave out or to replace, and what it is called.

        Args:
            name: What this snapshot is called, instead of by its number among those without one.
            exclude: Kinds of events (``"agent_config_update"``), keys (``"instructions"``) or ends
                of a way to them (``"arguments.token"``); or a filter of ``syrupy.filters``.
            include: A filter of ``syrupy.filters`` for what alone stays.
            matcher: A matcher of ``syrupy.matchers``.
            replace: Regular expressions, and the text to write for what they find.

        Raises:
            UsageError: One of them is nothing of the kind.
        """
        if not isinstance(name, str | None):
            raise UsageError(
                f"a snapshot is called by a text, not by {type(name).__name__}; to compare, write "
                "assert … == chat_snapshot"
            )
        self._name = name
        self._redaction = self.defaults.but(
            exclude=exclude, include=include, matcher=matcher, replace=replace
        )
        return self

    def __eq__(self, other: object) -> bool:
        """Compare with the snapshot; with ``--snapshot-update`` write it.

        Raises:
            UsageError: No snapshot can be made of `other`, or its file cannot be read or written.
            SnapshotMismatch: It is another conversation, or there is no snapshot of it yet.
        """
        __tracebackhide__ = True
        try:
            return self._compare(other, self._redaction or self.defaults)
        finally:
            self._unnamed += self._name is None
            self._name = self._redaction = None

    def __ne__(self, other: object) -> bool:
        """Refuse: what differs is told by ``==``, and an update would record it."""
        __tracebackhide__ = True
        raise UsageError("a snapshot is compared with ==: write assert … == chat_snapshot")

    def __bool__(self) -> bool:
        """Refuse: ``assert chat_snapshot`` would pass, whatever was said."""
        __tracebackhide__ = True
        raise UsageError("a snapshot is compared with ==: write assert … == chat_snapshot")

    def _compare(self, other: object, redaction: Redaction) -> bool:
        __tracebackhide__ = True
        value = self.neutral(other)
        content = redaction.apply(document(value), shorten_call_ids(_events(value)))
        self._take()
        extension: Any = self.extension
        extension.redaction = redaction
        is_equal = super().__eq__(dump(content))
        result = self.executions[self.num_executions - 1]
        path = Path(result.snapshot_location)
        self.used.add(str(path))
        if isinstance(failed := result.exception, OSError):
            shown = self._shown(path)
            raise UsageError(f"the snapshot {shown} cannot be written or read: {failed}") from None
        if result.exception is not None:
            raise result.exception
        if not is_equal:
            raise explain(
                None if result.recalled_data is None else str(result.recalled_data),
                content,
                file=self._shown(path),
                accept=f"pytest {shlex.quote(self._node())} --snapshot-update",
                is_ci=self.is_ci,
                folded=redaction.folded,
            )
        return True

    def _shown(self, path: Path) -> str:
        """Write a path as it is from where pytest was started."""
        with suppress(ValueError):  # another drive
            return os.path.relpath(path, self.start)
        return str(path)

    def _node(self) -> str:
        """Return the argument that selects this test; a node id begins at the root."""
        _, colons, names = self.test_location.nodeid.partition("::")
        return f"{self._shown(Path(self.test_location.filepath))}{colons}{names}"

    def _take(self) -> None:
        """Refuse a name that this test gave to a snapshot before."""
        name = self.extension.get_snapshot_name(test_location=self.test_location, index=self.index)
        if name in self.taken:
            raise UsageError(
                f"two snapshots of this test are called {name}: give one another name, "
                "chat_snapshot(name='…')"
            )
        self.taken.add(name)

    def why_unused(self, *, wants_one: bool) -> str | None:
        """Say what was never compared, None where nothing was left out.

        `wants_one` is whether there should have been one comparison at least.
        """
        if self._redaction is not None:
            called = "chat_snapshot(…)" if self._name is None else f"chat_snapshot({self._name!r})"
            return f"{called} says how to compare, and nothing was compared with it"
        if wants_one and not self.taken:
            return "chat_snapshot is asked for, and nothing was compared with it"
        return None

    def with_defaults(self, *, extension_class: Any = None, **how: Any) -> ChatSnapshot:
        """Return one for which `how` holds wherever a comparison does not say it itself.

        Raises:
            UsageError: One of them is nothing of the kind.
        """
        made: Any = super().with_defaults(extension_class=extension_class)
        made.neutral, made.defaults, made.start = self.neutral, self.defaults.but(**how), self.start
        made.is_ci, made.used, made.taken = self.is_ci, self.used, self.taken
        return cast("ChatSnapshot", made)


def _events(value: Any) -> Iterable[Any]:
    """Return the events in a value, for the ids of the calls among them."""
    value = getattr(value, "transcript", value)
    events = getattr(value, "events", value)
    return events if isinstance(events, (list, tuple)) else ()


def chat_snapshot_of(
    request: pytest.FixtureRequest, neutral: Callable[[Any], Any], used: set[str]
) -> ChatSnapshot:
    """Make the snapshots of a test, which note in `used` the files that they were compared with.

    Raises:
        UsageError: syrupy is turned off.
    """
    config: Any = request.config
    if not config.pluginmanager.hasplugin("syrupy"):
        raise UsageError("chat_snapshot needs syrupy, which is turned off: take -p no:syrupy away")
    option, in_ci = config.option, border.is_ci()
    return ChatSnapshot(
        session=config._syrupy,  # noqa: SLF001  (where syrupy keeps it)
        extension_class=Extension,
        test_location=PyTestLocation(request.node),
        update_snapshots=option.update_snapshots and not in_ci,
        update_new_snapshots_only=option.update_new_snapshots_only and not in_ci,
        neutral=neutral,
        defaults=Redaction(folders=folders_of(config)),
        start=config.invocation_params.dir,
        is_ci=in_ci,
        used=used,
    )


def folders_of(config: pytest.Config) -> dict[str, str]:
    """Return the folders of this machine that texts may name, and what to call them.

    /tmp is named wherever temporary files go, since constant texts have it. Where Python is part of
    the system, under /usr/local in a container, only its packages are.
    """
    packages = sysconfig.get_path("purelib")
    folders = {
        packages: f"<python>/{os.path.relpath(packages, sys.prefix)}",
        str(Path.home()): "<home>",
        "/tmp": "<tmp>",
        tempfile.gettempdir(): "<tmp>",
        str(config.rootpath): "<rootdir>",
    }
    if sys.prefix != sys.base_prefix:
        folders = {sys.prefix: "<python>", **folders}
    return {folder: name for folder, name in folders.items() if folder != os.sep}
