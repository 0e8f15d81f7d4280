"""``--lk-write-expect``: what happened goes into the files of the scenarios that passed.

When the run is over each file is written in one go; the summary shows the diff.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class _File:
    """What happened in the scenarios of a file, by label, and why others get nothing."""

    happened: dict[str, Mapping[Position, Happened]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


class Rewrite:
    """The files to write when the run is over."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._happened: dict[pytest.Item, Mapping[Position, Happened]] = {}
        """Of each item that was played, unless it was skipped then."""
        self._lines: list[str] = []
        """What there is to say of the files."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep what happened: the next item of a parametrized scenario plays it anew."""
        report = yield
        play, is_skipped = border.play_of(item), report.skipped and not hasattr(report, "wasxfail")
        if play is not None and not is_skipped and (report.when == "call" or not report.passed):
            self._happened[item] = play.happened
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write here: a run without a summary writes too."""
        for path, file in self._files(session.items).items():
            self._lines += _write(path, file, self._config.rootpath)

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("expect: written by --lk-write-expect", sep="-")
        for line in self._lines or ["nothing: no scenario was played that passed"]:
            terminalreporter.write_line(line)

    def _files(self, items: Sequence[pytest.Item]) -> dict[Path, _File]:
        snapshots = border.snapshots_of(self._config)
        scenarios: dict[tuple[Path, str], list[pytest.Item]] = {}
        for item in items:
            scenario = border.scenario_of(item)
            if scenario is None or scenario.fuzz is not None:
                continue  # what is drawn has no turns to write to
            if item in self._happened:
                scenarios.setdefault((item.path, scenario.label), []).append(item)
        files: dict[Path, _File] = {}
        for (path, label), played in scenarios.items():
            passed = next((one for one in played if snapshots.has_passed(one.nodeid)), None)
            if passed is None:
                continue
            file = files.setdefault(path, _File())
            if (why := self._why_not(passed, played)) is None:
                file.happened[label] = self._happened[passed]
            else:
                file.left[label] = why
        return files

    def _why_not(self, passed: pytest.Item, played: Sequence[pytest.Item]) -> str | None:
        """Say why what happened in the item that passed is not what its scenario is to expect."""
        from .scenarios.write_expect import wanted

        scenario = border.scenario_of(passed)
        assert scenario is not None, "it plays one"
        others = [item for item in played if item is not passed]
        if not others or not (those := wanted(scenario, self._happened[passed])):
            return None
        for item in others:
            if not border.snapshots_of(self._config).has_passed(item.nodeid):
                return f"{passed.name} passed, and {item.name} did not"
            these = wanted(scenario, self._happened[item])
            for position in those:
                if these.get(position) != those[position]:
                    where = "the start" if position == "start" else f"turn {position + 1}"
                    return (
                        f"in {where} {item.name} did something else than {passed.name}; write "
                        "what holds for both"
                    )
        return None


def _write(path: Path, file: _File, root: Path) -> Iterator[str]:
    """Write one file; yield the diff, and what there is to say of it."""
    from .scenarios.write_expect import write_expect

    shown = path.relative_to(root) if path.is_relative_to(root) else path
    old = path.read_bytes()
    try:
        written = write_expect(old.decode(), path, file.happened, file.left)
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
