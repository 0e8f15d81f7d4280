"""``python -m pytest_lkagent``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytest_lkagent.__main__ import main
from pytest_lkagent.scenarios.schema import json_schema


def test_it_prints_the_schema_of_the_format_for_editors(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_an_unknown_command_names_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["shema"])
    assert stopped.value.code == 2
    told = "invalid choice: 'shema' (choose from 'schema', 'convert', 'runs')"
    assert told in capsys.readouterr().err


def test_without_a_command_the_usage_is_told(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "usage: python -m pytest_lkagent" in capsys.readouterr().err


def test_the_package_runs_as_a_program():
    command = [sys.executable, "-m", "pytest_lkagent", "schema"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '"$schema"' in ran.stdout
    assert ran.stderr == ""
