"""What the plugin's own suite needs: pytest runs inside of tests, as stories."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys
from collections.abc import Mapping
from typing import Protocol

import pytest
from project import Project

import pytest_lkagent

pytest_plugins = ["pytester"]


class MakeProject(Protocol):
    def __call__(self, files: Mapping[str, str] = ..., /) -> Project: ...


@pytest.fixture(scope="session")
def _imported() -> None:
    """Import beforehand what pytest runs inside of tests import.

    A run in this process drops the modules that it was the first to import. Second copies of
    livekit's classes and of ours would then meet the first ones and not be equal to them; and
    importing livekit anew takes a second.
    """
    names = ["hypothesis.internal.observability", "livekit.agents", "syrupy.report", "yaml"]
    names += [
        module.name
        for module in pkgutil.walk_packages(pytest_lkagent.__path__, "pytest_lkagent.")
        if not module.name.endswith("__main__")
    ]
    for name in names:
        importlib.import_module(name)
    gc.freeze()  # each run inside collects garbage, five times with pytest 8: not all of this anew


@pytest.fixture
def pytester(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, _imported: None
) -> pytest.Pytester:
    """Give every test that runs pytest in this process the imports that it needs.

    That this process may be a worker of xdist is not the inner run's affair; syrupy looks at it.
    And a test may write a file anew within a second, as long as it was before: pytest 8 would take
    its bytecode for current.
    """
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return pytester


@pytest.fixture
def project(pytester: pytest.Pytester) -> MakeProject:
    """Make projects in memory, to be run: ``project({"test_a.py": "…"}).run("-v")``."""

    def make(files: Mapping[str, str] | None = None, /) -> Project:
        return Project(pytester, files or {})

    return make
