"""Reading scenario files that stand in the tests themselves."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from textwrap import dedent, indent
from typing import Protocol

import pytest

from pytest_lkagent.errors import LoadError
from pytest_lkagent.scenarios.load import load_text
from pytest_lkagent.scenarios.model import Scenario, ScenarioFile


class Read(Protocol):
    def __call__(self, text: str) -> ScenarioFile: ...


class ReadOne(Protocol):
    def __call__(self, keys: str) -> Scenario: ...


class Mistakes(Protocol):
    def __call__(
        self, text: str | bytes, *, allow_kinds: Collection[str] | None = None
    ) -> list[str]: ...


@pytest.fixture
def read() -> Read:
    """Load a whole file that would be called desk.yaml."""
    return lambda text: load_text(dedent(text), Path("desk.yaml"))


@pytest.fixture
def read_one(read: Read) -> ReadOne:
    """Load the only scenario of a file, given its keys below `label`."""

    def one(keys: str) -> Scenario:
        return read("scenarios:\n- label: it\n" + indent(dedent(keys), "  ")).scenarios[0]

    return one


@pytest.fixture
def mistakes() -> Mistakes:
    """Return the lines that a user reads about a file."""

    def lines(text: str | bytes, *, allow_kinds: Collection[str] | None = None) -> list[str]:
        content = dedent(text) if isinstance(text, str) else text
        with pytest.raises(LoadError) as caught:
            load_text(content, Path("desk.yaml"), allow_kinds=allow_kinds)
        assert str(caught.value) == "\n".join(caught.value.problems)
        return list(caught.value.problems)

    return lines
