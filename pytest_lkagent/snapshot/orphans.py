"""Snapshots that no test needs any more: found, told, and with ``--snapshot-update`` removed.

What a selection left out is no orphan. A snapshot of a scenario is one when its file was read and
has no such label, or when the scenario passed without it. A snapshot of a Python test is one when
its whole module was collected, nothing of it was deselected, and all of it passed: only then is it
known which snapshots its tests make. Any snapshot is one whose file of tests is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from .. import border
from .names import FOLDER, SUFFIX, base_of, stem

__all__ = ["Account"]

_KEY = "lk_snapshots"
"""Under which a worker of xdist tells the controller what it knows."""


class _File:
    """What is known of a file of tests: whose snapshots are live, and whose may be missing.

    No dataclass: making one is a tenth of what the plugin may add to the start of pytest.
    """

    def __init__(
        self, live: set[str], passed: set[str], *, is_whole: bool, is_python: bool
    ) -> None:
        self.live = live
        self.passed = passed
        self.is_whole = is_whole
        """Whether all that the file has is among `live`."""
        self.is_python = is_python

    def needs(self, base: str) -> bool:
        if self.is_python:
            return not (self.is_whole and self.live == self.passed)
        return base in self.live and base not in self.passed

    def merge(self, other: _File) -> None:
        self.live |= other.live
        self.passed |= other.passed
        self.is_whole = self.is_whole and other.is_whole

    def tell(self) -> list[Any]:
        return [sorted(self.live), sorted(self.passed), self.is_whole, self.is_python]

    @classmethod
    def hear(cls, told: list[Any]) -> _File:
        live, passed, is_whole, is_python = told
        return cls(set(live), set(passed), is_whole=is_whole, is_python=is_python)


class Account:
    """What one run knows of the snapshots beside its tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._scenarios: dict[Path, Collection[pytest.Item]] = {}
        self._offered: list[pytest.Item] = []
        self._items: list[pytest.Item] = []
        self._cut: set[Path] = set()
        self._is_part = getattr(config.option, "lf", False)
        """Whether files were not collected as a whole, nobody says which."""
        self._passed: set[str] = set()
        self._failed: set[str] = set()
        self.used: set[str] = set()
        """The files that were compared with."""
        self._heard: dict[Path, _File] = {}
        self._is_incomplete = False
        self._orphans: list[Path] = []
        self._stuck: dict[Path, OSError] = {}
        self._is_removed = False

    # --- what is collected, and what becomes of it

    def scenarios(self, path: Path, items: Collection[pytest.Item]) -> None:
        """Take note of all that a scenario file has, before pytest selects among them."""
        self._scenarios[path] = items

    def collecting(self, report: pytest.CollectReport) -> None:
        self._is_part = self._is_part or report.failed

    def offered(self, items: list[pytest.Item]) -> None:
        """Take note of what was collected, before anybody leaves out any of it."""
        self._offered = list(items)

    def collected(self, items: list[pytest.Item]) -> None:
        self._items = list(items)
        kept = set(items)
        self._cut = {item.path for item in self._offered if item not in kept}
        # a file may be named in many ways, by --pyargs and through links
        self._is_part = self._is_part or any("::" in one for one in self._config.args)

    def report(self, report: pytest.TestReport) -> None:
        if not report.passed or hasattr(report, "wasxfail"):
            self._failed.add(report.nodeid)
        elif report.when == "call":
            self._passed.add(report.nodeid)

    def has_passed(self, nodeid: str) -> bool:
        """Whether all phases of a test passed, and none was expected to fail."""
        return nodeid in self._passed and nodeid not in self._failed

    # --- with xdist

    def tell(self) -> None:
        """Tell the controller what this worker knows, where this is one."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            files = {str(path): file.tell() for path, file in self._files().items()}
            output[_KEY] = {"files": files, "used": sorted(self.used)}

    def hear(self, node: Any) -> None:
        """Take in what a worker told when it ended."""
        told = getattr(node, "workeroutput", {}).get(_KEY)
        if told is None:
            self._is_incomplete = True  # it crashed, and took along what it knew
            return
        self.used.update(told["used"])
        for name, file in told["files"].items():
            heard = _File.hear(file)
            self._heard.setdefault(Path(name), heard).merge(heard)

    # --- the end

    def finish(self, session: pytest.Session) -> None:
        """Find the orphans; remove them on an update, else fail the run as syrupy does."""
        option = self._config.option
        is_worker = hasattr(self._config, "workeroutput")
        if is_worker or self._is_incomplete or getattr(option, "disable_unused_snapshots", True):
            return
        if not border.plays(self._config):  # what needs which snapshot is not known then
            return
        self._orphans = sorted(self._find({**self._files(), **self._heard}))
        is_update = option.update_snapshots and not border.is_ci()
        if is_update and not option.no_cleanup:
            for path in self._orphans:
                try:
                    path.unlink(missing_ok=True)
                    if not any(path.parent.iterdir()):
                        path.parent.rmdir()
                except OSError as error:
                    self._stuck[path] = error
            self._is_removed = True
        elif self._orphans and not is_update and not option.warn_unused_snapshots:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def lines(self) -> Iterator[str]:
        """Say which snapshots no test needs."""
        count = len(self._orphans)
        if not count:
            return
        what = "1 snapshot is of no test" if count == 1 else f"{count} snapshots are of no test"
        if self._is_removed:
            yield f"{what} any more, and removed:"
        else:
            it = "it" if count == 1 else "them"
            where = ", on your machine" if border.is_ci() else ""
            yield f"{what} any more; --snapshot-update removes {it}{where}:"
        shown = count if self._config.option.include_snapshot_details else 10
        for path in self._orphans[:shown]:
            stuck = f": not removed: {error.strerror}" if (error := self._stuck.get(path)) else ""
            yield f"  {_below(path, self._config.rootpath)}{stuck}"
        if count > shown:
            yield f"  … and {count - shown} more (--snapshot-details)"

    def _files(self) -> dict[Path, _File]:
        """Return what is known of the files of tests that have a folder for their snapshots."""
        folders: dict[Path, bool] = {}
        files: dict[Path, _File] = {}
        for path in (*self._scenarios, *(item.path for item in self._items)):
            if path not in folders:
                folders[path] = _folder_of(path).is_dir() or (path.parent / FOLDER).is_dir()
                if folders[path]:
                    files[path] = _File(
                        set(),
                        set(),
                        is_whole=not self._is_part and path not in self._cut,
                        is_python=path not in self._scenarios,
                    )
        if not files:
            return files
        from syrupy.location import PyTestLocation  # imported already, where syrupy is at work

        passed = self._passed - self._failed
        for item in {*self._items, *chain.from_iterable(self._scenarios.values())}:
            if (file := files.get(item.path)) is not None and isinstance(item, pytest.Function):
                base = stem(PyTestLocation(item).snapshot_name)
                file.live.add(base)
                if item.nodeid in passed:
                    file.passed.add(base)
        return files

    def _find(self, files: dict[Path, _File]) -> Iterator[Path]:
        for path, file in files.items():
            for snapshot in _snapshots(_folder_of(path)):
                if str(snapshot) not in self.used and not file.needs(base_of(snapshot.name)):
                    yield snapshot
        for folder in {path.parent / FOLDER for path in files}:
            for below in folder.iterdir() if folder.is_dir() else ():
                if below.is_dir() and not (folder.parent / below.name).exists():
                    yield from _snapshots(below)


def _folder_of(path: Path) -> Path:
    return path.parent / FOLDER / path.name


def _snapshots(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix == SUFFIX and not path.name.startswith("."):
            yield path


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
