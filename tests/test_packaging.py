"""What is declared in one place and has to agree with another."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import tomllib
from pathlib import Path

import pytest

import pytest_lkagent

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = ("fuzz", "live", "report")  # the extras that users install


def lowest_declared() -> dict[str, str]:
    extras = PROJECT["optional-dependencies"]
    declared = [*PROJECT["dependencies"], *(line for name in OURS for line in extras[name])]
    bounds = (re.fullmatch(r"([\w.-]+)>=([\d.]+)(,<[\d.]+)?", line) for line in declared)
    return {bound[1].lower(): bound[2] for bound in bounds if bound}


def lowest_installed_by_tox() -> dict[str, str]:
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if not line.startswith("#"))
    return {name.lower(): version for name, version in pins}


def as_numbers(version: str) -> list[int]:
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (3 - len(numbers))


def test_every_dependency_has_a_lowest_bound():
    assert len(lowest_declared()) == len(PROJECT["dependencies"]) + len(OURS)


def test_the_lowest_versions_tested_are_the_lowest_declared():
    declared, tested = lowest_declared(), lowest_installed_by_tox()
    assert {name: as_numbers(version) for name, version in tested.items()} == {
        name: as_numbers(version) for name, version in declared.items()
    }


@pytest.mark.skipif("LKAGENT_LOWEST" not in os.environ, reason="only `tox -e lowest` has these")
def test_the_lowest_versions_are_those_installed():
    pins = lowest_installed_by_tox()
    assert {name: importlib.metadata.version(name) for name in pins} == pins


def test_the_version_comes_from_one_place():
    assert "version" in PROJECT["dynamic"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(
        rf"^## \[?({re.escape(pytest_lkagent.__version__)}|Unreleased)\b", changelog, re.MULTILINE
    )


def test_the_readme_tells_the_command_that_the_gates_run():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [suite] = re.findall(r"^python3.11 -m venv \S+ && .*/(tox run -e \w+)$", readme, re.MULTILINE)
    gates = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [names] = re.findall(r"^for name in (.*); do$", gates, re.MULTILINE)
    assert suite.split()[-1] in names.split()
    assert names.split() == envs_of_tox()


def envs_of_tox() -> list[str]:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    return tox["tox"]["env_list"].split(", ")
