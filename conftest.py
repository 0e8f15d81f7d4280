"""What the plugin's own suite needs: pytest runs inside of tests, as stories."""

from __future__ import annotations

import functools
import gc
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Protocol

import hypothesis
import pytest
from project import Project
from warm import import_all, kept_warm

pytest_plugins = ["pytester"]

# The same examples each time, whatever a run before has found, and however busy the machine is.
hypothesis.settings.register_profile(
    "deterministic", derandomize=True, database=None, deadline=None, print_blob=True
)
hypothesis.settings.load_profile("deterministic")


class MakeProject(Protocol):
    def __call__(self, files: Mapping[str, str] = ..., /) -> Project: ...


@pytest.fixture(scope="session")
def _imported() -> None:
    """Import beforehand what pytest runs inside of tests import.

    A run in this process drops the modules that it was the first to import. Second copies of
    livekit's classes and of ours would then meet the first ones and not be equal to them; and
    importing livekit anew takes a second.
    """
    import_all()
    gc.freeze()  # each run inside collects garbage, five times with pytest 8: not all of this anew


@pytest.fixture(scope="module", autouse=True)
def _settled() -> None:
    """Let collections of garbage pass over what is left of the modules before."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _installed() -> Iterator[None]:
    """Read but once what is installed: each run of pytest does so three times."""
    distributions = importlib.metadata.distributions
    distribution = importlib.metadata.Distribution

    found: dict[tuple[str, ...], list[importlib.metadata.Distribution]] = {}

    def read_once() -> list[importlib.metadata.Distribution]:
        if (path := tuple(sys.path)) not in found:
            found[path] = list(distributions())
        return found[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.metadata, "distributions", read_once)
        for name in ("entry_points", "files", "metadata"):
            read = functools.cached_property(getattr(distribution, name).fget)
            read.__set_name__(distribution, name)
            patch.setattr(distribution, name, read)
        yield


@pytest.fixture
def pytester(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, _imported: None, _installed: None
) -> pytest.Pytester:
    """Give every test that runs pytest in this process the imports that it needs.

    That this process may be a worker of xdist is not the inner run's affair; syrupy looks at it.
    And a test may write a file anew within a second, as long as it was before: pytest 8 would take
    its bytecode for current.
    """
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return pytester


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the path of a Python that has imported everything; `warm` says what it cannot show."""
    if not hasattr(os, "pidfd_open"):  # only Linux has it
        yield sys.executable
        return
    with kept_warm(tmp_path_factory.mktemp("warm")) as path:
        yield path


@pytest.fixture
def warm(warm_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that this test starts by ``sys.executable`` be warm ones."""
    monkeypatch.setattr(sys, "executable", warm_python)


@pytest.fixture
def project(pytester: pytest.Pytester) -> MakeProject:
    """Make projects in memory, to be run: ``project({"test_a.py": "…"}).run("-v")``."""

    def make(files: Mapping[str, str] | None = None, /) -> Project:
        return Project(pytester, files or {})

    return make
