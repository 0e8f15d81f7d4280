"""``--lk-write-expect``: what happened goes into the files of the scenarios that passed.

The diff is shown first, then the file is written in one go.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import border
from .errors import UsageError

if TYPE_CHECKING:
    from .scenarios.write_expect import Happened, Position

__all__ = ["Rewrite", "refuse_where_nobody_reads"]


def refuse_where_nobody_reads(config: pytest.Config) -> None:
    """Refuse to write in CI, and from several processes, of which none knows all of a file.

    Raises:
        UsageError: CI is set, or pytest-xdist distributes the tests.
    """
    if border.is_ci():
        raise UsageError(
            "--lk-write-expect writes files that somebody has to read, and CI is set: run it where "
            "you commit"
        )
    if getattr(config.option, "tx", None) or hasattr(config, "workerinput"):
        raise UsageError("--lk-write-expect plays in one process: leave -n away, or say -n 0")


class Rewrite:
    """The files to write when the run is over."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("expect: written by --lk-write-expect", sep="-")
        session: Any = self._config.pluginmanager.get_plugin("session")
        files = self._files(session.items)
        for path, happened in files.items():
            for line in _write(path, happened, self._config.rootpath):
                terminalreporter.write_line(line)
        if not files:
            terminalreporter.write_line("nothing: no scenario was played that passed")

    def _files(self, items: Sequence[pytest.Item]) -> dict[Path, dict[str, Any]]:
        snapshots = border.snapshots_of(self._config)
        files: dict[Path, dict[str, Any]] = {}
        for item in items:
            play = border.play_of(item)
            if play is not None and snapshots.has_passed(item.nodeid):
                files.setdefault(item.path, {})[play.scenario.label] = play.happened
        return files


def _write(
    path: Path, happened: Mapping[str, Mapping[Position, Happened]], root: Path
) -> Iterator[str]:
    """Write one file; yield the diff before, and what there is to say afterwards."""
    from .scenarios.write_expect import write_expect

    shown = path.relative_to(root) if path.is_relative_to(root) else path
    old = path.read_bytes()
    try:
        written = write_expect(old.decode(), path, happened)
    except UsageError as error:
        yield str(error)
        return
    before, after = (one.removesuffix("\n").split("\n") for one in (old.decode(), written.text))
    yield from unified_diff(
        before, after, str(shown), f"{shown} with what happened", lineterm="", n=2
    )
    yield from written.skipped
    yield from written.inexact
    new = written.text.encode()
    if new == old:
        if not written.skipped:
            yield f"{shown}: nothing to write, each turn of what passed has its expect"
        return
    try:
        _replace(path.resolve(), new)
    except OSError as error:
        yield f"{shown}: nothing was written: {error}"
    else:
        yield f"{shown}: written; read it, and take out what does not matter"


def _replace(path: Path, content: bytes) -> None:
    """Put another file in the place of this one, or leave it as it is."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
