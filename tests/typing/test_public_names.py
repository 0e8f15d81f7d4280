"""The types that users write: all of them are in api.py, and they are those of the real things."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import pytest_lkagent.fuzz
from pytest_lkagent import MockTask, MockTool, TaskMock, ToolMock

API = Path(__file__).with_name("api.py")


def test_every_public_name_is_used_as_a_user_would_annotate_it():
    tree = ast.parse(API.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {*pytest_lkagent.__all__, *pytest_lkagent.fuzz.__all__} - used == set()


@pytest.mark.parametrize(("fixture", "made"), [(MockTool, ToolMock), (MockTask, TaskMock)])
def test_the_fixtures_for_mocks_take_what_the_mocks_take(fixture, made):
    assert _parameters(fixture.__call__) == _parameters(made.__init__)


def _parameters(function):
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [(one.name, one.kind, one.default is not one.empty) for one in parameters]
