"""A user's project in a dict, and what pytest says about it.

def test_a_failing_scenario_points_at_its_line(project):
    result = project({"agent.py": "…", "s.yaml": "…"}).run("--lk-scenarios=s.yaml")
    result.outcomes(failed=1)
    result.shows("s.yaml:4: *")
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from textwrap import dedent
from types import MappingProxyType

import pytest

__all__ = ["CONFIGURATION", "Project", "Result"]

CONFIGURATION = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
# pytest-asyncio warns of projects that leave this open.
_INI = """\
[pytest]
asyncio_default_fixture_loop_scope = function
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of pytest ended with and wrote."""

    exit_status: pytest.ExitCode | int
    stdout: str
    stderr: str
    counts: Mapping[str, int]

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    def outcomes(self, **expected: int) -> None:
        """Require exactly these counts, as in pytest's closing line; what is not named is none."""
        found = {name: count for name, count in self.counts.items() if count}
        if found != {name: count for name, count in expected.items() if count}:
            pytest.fail(f"expected {expected}, got {found}\n{self}", pytrace=False)

    def shows(self, *patterns: str) -> None:
        """Require lines that match these patterns (``*``, ``?``), in this order, gaps allowed.

        Space around a line does not count; brackets are themselves.
        """
        lines = iter(self.lines)
        for pattern in patterns:
            if not any(_matches(line, pattern) for line in lines):
                pytest.fail(f"no line {pattern!r} where it should be in\n{self}", pytrace=False)

    def shows_no(self, *patterns: str) -> None:
        """Require that no line matches any of these patterns."""
        for pattern in patterns:
            for line in self.lines:
                if _matches(line, pattern):
                    pytest.fail(f"{line!r} matches {pattern!r} in\n{self}", pytrace=False)

    def __str__(self) -> str:
        said = f"exit status {self.exit_status!r}\n{self.stdout}"
        return f"{said}\nstderr:\n{self.stderr}" if self.stderr.strip() else said


@dataclass(frozen=True, slots=True)
class Project:
    """Files in an empty folder. Names are paths in it; contents are dedented."""

    pytester: pytest.Pytester = field(repr=False)
    files: Mapping[str, str | bytes]

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))

    def with_files(self, files: Mapping[str, str | bytes]) -> Project:
        """Return the project with these files added or replaced."""
        return Project(self.pytester, {**self.files, **files})

    def write(self) -> None:
        """Write the files to the test's own folder, with a plain pytest.ini unless configured."""
        configured = not self.files.keys().isdisjoint(CONFIGURATION)
        files = self.files if configured else {"pytest.ini": _INI, **self.files}
        for name, content in files.items():
            path = self.pytester.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(dedent(content).removeprefix("\n"), encoding="utf-8")

    def run(self, *arguments: str | os.PathLike[str], subprocess: bool = False) -> Result:
        """Write the files, run pytest in their folder and return what it did.

        In this process unless `subprocess`: 50 ms instead of 2.5 s. A process of its own is for
        what one process cannot show: xdist, start-up, what gets imported. Under the fixture `warm`
        it takes 0.2 s, and shows the first alone.
        """
        self.write()
        if subprocess:
            ran = self.pytester.runpytest_subprocess(*arguments)
        else:
            ran = self.pytester.runpytest_inprocess(*arguments)
        return Result(ran.ret, ran.stdout.str(), ran.stderr.str(), _counts(ran))


def _counts(ran: pytest.RunResult) -> Mapping[str, int]:
    try:
        return MappingProxyType(ran.parseoutcomes())
    except ValueError:  # it ended before there could be a closing line
        return MappingProxyType({})


def _matches(line: str, pattern: str) -> bool:
    return fnmatchcase(line.strip(), pattern.strip().replace("[", "[[]"))
