"""What was found, written as a scenario: the file says what was drawn, and is played like it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit.agents import APIStatusError, APITimeoutError, function_tool

from pytest_lkagent.fuzz import completions, user_inputs
from pytest_lkagent.fuzz.found import Names as NamesInFile
from pytest_lkagent.fuzz.found import as_scenario
from pytest_lkagent.fuzz.play import Drawn, DrawnTurn
from pytest_lkagent.scenario_run.captures import Captures
from pytest_lkagent.scenario_run.names import Names
from pytest_lkagent.scenario_run.steps import steps_of
from pytest_lkagent.scenarios.load import load_text
from pytest_lkagent.script import Step, call, raw_call, reply


@function_tool
async def book(slot: str, guests: int = 2) -> str:
    """Book."""
    return "booked"


@function_tool
async def cancel() -> str:
    """Cancel."""
    return "cancelled"


DRAWN = st.builds(
    Drawn,
    start=st.builds(DrawnTurn, steps=st.lists(completions([book, cancel]), max_size=1)),
    turns=st.lists(
        st.builds(
            DrawnTurn,
            user=user_inputs(),
            interrupt=st.none() | st.just(0.5),
            steps=st.lists(completions([book, cancel]), max_size=3),
        ),
        min_size=1,
        max_size=2,
    ),
)


def said(step: Step) -> dict[str, Any]:
    """Return what a step says, whichever way its arguments are written."""
    calls = [(made.name, sent(made.arguments), made.call_id) for made in step.calls]
    chunks = list(step.chunks) if isinstance(step.chunks, tuple) else step.chunks
    if playable(step.text) != step.text:
        chunks = None  # they make up another text
    error = None if step.error is None else (type(step.error).__name__, str(step.error))
    return {
        "text": playable(step.text),
        "calls": calls,
        "error": error,
        "attempts": step.attempts,
        "times": (step.ttft, step.duration),
        "chunks": chunks,
    }


def sent(arguments: Any) -> str:
    """Return arguments as a model means them."""
    try:
        return json.dumps(json.loads(arguments) if isinstance(arguments, str) else arguments)
    except ValueError:
        return str(playable(arguments))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=30)
@given(DRAWN)
def test_a_scenario_says_what_was_drawn(drawn):
    text = as_scenario(drawn, label="found", tested={}, settings={"fuzz": {}}, notes=[])
    [scenario] = load_text(text, Path("found.yaml")).scenarios
    assert scenario.turns is not None
    turns = [*([scenario.start] if scenario.start else []), *scenario.turns]
    drawn_turns = [*([drawn.start] if drawn.start.steps else []), *drawn.turns]
    for turn, was in zip(turns, drawn_turns, strict=True):
        assert (turn.user and turn.user.text) == playable(was.user)
        assert turn.interrupt == was.interrupt
        steps = steps_of(turn, Names(), Captures)
        for step, drawn_step in zip(steps, was.steps, strict=True):
            assert said(step) == said(drawn_step)


CALLS = [call("book", slot="2pm"), call("cancel"), raw_call("book", "{"), raw_call("cancel", "{}")]


@given(st.lists(st.sampled_from(CALLS), min_size=1, max_size=4))
def test_parallel_calls_are_written_in_the_order_in_which_they_were_drawn(calls):
    step = reply(None, *calls)
    drawn = Drawn(turns=[DrawnTurn(user="hi", steps=[step])])
    text = as_scenario(drawn, label="found", tested={}, settings={}, notes=[])
    [turn] = load_text(text, Path("found.yaml")).scenarios[0].turns or ()
    [read] = steps_of(turn, Names(), Captures)
    assert said(read) == said(step)


class Declined(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)


class Taken(Exception):
    def __init__(self, slot: str) -> None:
        super().__init__(f"{slot} is taken")


class Unsure(Exception):
    def __init__(self, text: str) -> None:
        if not text.endswith("?"):
            raise ValueError("ask")
        super().__init__(text.removesuffix("?"))


@pytest.mark.parametrize(
    ("error", "written"),
    [
        (ValueError("2pm"), {"raises": "builtins:ValueError", "message": "2pm"}),
        (KeyError("2pm"), {"raises": "builtins:KeyError", "message": "2pm"}),
        (ValueError, {"raises": "builtins:ValueError"}),
        (ValueError(""), {"raises": "builtins:ValueError", "message": ""}),
        (APITimeoutError(), {"raises": ANY, "message": "Request timed out."}),
    ],
)
def test_a_mock_raises_the_same_exception_from_a_file(error, written):
    names = NamesInFile(Path(__file__).parent)
    assert names.outcome(error, "the mock of pay") == written
    assert names.missing == []


@pytest.mark.parametrize(
    "error",
    [
        Declined(5, "no"),
        Taken("2pm"),
        Unsure("really?"),
        ValueError(5),
        OSError(5, "no"),
        APIStatusError("busy", status_code=503),
    ],
)
def test_an_exception_that_a_message_does_not_make_is_what_a_file_lacks(error):
    names = NamesInFile(Path(__file__).parent)
    assert names.outcome(error, "the mock of pay") == {}
    [told] = names.missing
    assert told == (
        "a file makes an exception from its message alone, and the mock of pay raises "
        f"{error!r}; write raises: with a class that makes it"
    )


def playable(text: Any) -> Any:
    """Return a text as a scenario can hold it."""
    return text and re.sub("[\ud800-\udfff]", "\ufffd", text).replace("${", "$ {")
