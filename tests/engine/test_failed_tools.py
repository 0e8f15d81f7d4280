"""A tool that fails in a scenario, though no entry of `expect` tells so, fails the scenario."""

from __future__ import annotations

import pytest

from pytest_lkagent.scenarios.expect import match_failures
from pytest_lkagent.scenarios.expectations import MessageExpectation, OutputExpectation, TextMatch
from pytest_lkagent.sites import Site
from pytest_lkagent.transcript import FunctionCall, FunctionCallOutput, Message

SITE = Site("desk.yaml", 41)


def call(call_id):
    return FunctionCall(name="book", arguments={}, call_id=call_id)


def gave(call_id, output, *, is_error=False):
    return FunctionCallOutput(name="book", output=output, is_error=is_error, call_id=call_id)


def listed(*, contains=None, is_error=None, name="book"):
    output = TextMatch(contains=contains)
    return OutputExpectation(name=name, output=output, is_error=is_error, site=SITE)


USER = Message(role="user", text="book it")
ANY_MESSAGE = MessageExpectation(site=SITE)
FAILS = (USER, call("1"), gave("1", "taken", is_error=True))
PARALLEL = (
    USER,
    call("1"),
    call("2"),
    call("3"),
    gave("2", "booked"),
    gave("1", "taken", is_error=True),
    gave("3", "booked"),
)
TWICE = (*FAILS, call("2"), gave("2", "taken", is_error=True))


@pytest.mark.parametrize(
    ("expect", "events"),
    [
        ([..., listed(is_error=True)], FAILS),
        ([..., listed(contains="taken")], FAILS),
        ([..., listed(is_error=True, name=None), ...], FAILS),
        ([..., listed(is_error=True), ...], PARALLEL),
        ([..., listed(is_error=True), listed(), ...], PARALLEL),
        ([..., listed(), listed(), listed(is_error=True)], PARALLEL),
        ([..., listed(is_error=True), ..., listed(is_error=True)], TWICE),
        ([...], (USER, call("1"), gave("1", "booked"))),
        (None, (USER, call("1"), gave("1", "booked"))),
    ],
)
def test_a_failure_that_an_entry_tells_is_no_surprise(expect, events):
    assert match_failures(expect, events) is None


@pytest.mark.parametrize(
    ("expect", "events", "marked"),
    [
        (None, FAILS, 2),
        ([...], FAILS, 2),
        ([..., listed()], FAILS, 2),
        ([..., listed(is_error=False), ...], PARALLEL, 5),
        ([..., listed(contains="booked"), ...], PARALLEL, 5),
        ([..., listed(), listed(), listed()], PARALLEL, 5),
        ([..., listed(is_error=True), ...], TWICE, 4),
        ([..., listed(contains="taken", is_error=True), ...], TWICE, 4),
        ([..., ANY_MESSAGE, ...], (*FAILS, Message(role="assistant", text="Sorry.")), 2),
    ],
)
def test_dots_a_name_or_nothing_do_not_tell_a_failure(expect, events, marked):
    missed = match_failures(expect, events)
    assert missed is not None
    assert missed.header == "the tool book failed"
    assert [line for line in missed.lines if line.startswith("  >>> ")] == [
        f"  >>> [{marked}] function_call_output   book failed 'taken'"
    ]


def test_a_call_that_is_meant_to_fail_needs_no_entry():
    assert match_failures(None, TWICE, meant={"1", "2"}) is None
    assert match_failures([...], TWICE, meant={"1"}).lines[4].startswith("  >>> [4]")
    late = gave("1_final", "taken", is_error=True)
    assert match_failures(None, (USER, late), meant={"1"}) is None


# --- in a scenario file

AGENT = """
import asyncio
from livekit.agents import Agent, RunContext, ToolError, function_tool

class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="")

    @function_tool
    async def book(self, slot: str) -> str:
        "Book a slot."
        raise ToolError("taken")

    @function_tool
    async def order(self, context: RunContext) -> str:
        "Order something that takes its time."
        await context.update("in a minute")
        await asyncio.sleep(60)
        raise ToolError("sold out")
"""
FAILING = {
    "a ToolError": ("call: {book: {slot: 2pm}}", "book failed 'taken'", "book"),
    "an unknown tool": ("raw_call: {bok: '{}'}", "bok failed 'Unknown function: bok - *", "bok"),
    "arguments that are none": (
        "raw_call: {book: 'slot 2pm'}",
        "book failed *",
        "book",
    ),
    "a missing argument": ("raw_call: {book: '{}'}", "book failed *", "book"),
}


def scenario(entry, *, expect="", more=""):
    return f"""\
agent: agent.py:Desk
scenarios:
  - label: Books
{more}    turns:
      - user: hello
        llm: [Hello.]
      - user: 2 pm please
        llm: [{{{entry}}}, Sorry.]
{expect}"""


@pytest.mark.parametrize("expect", ["", "        expect: [...]\n", "named"])
@pytest.mark.parametrize("what", FAILING)
def test_it_fails_at_the_line_of_its_turn_and_says_what_to_write(project, what, expect):
    entry, line, tool = FAILING[what]
    if expect == "named":
        expect = f"        expect: [{{function_call_output: {{name: {tool}}}}}]\n"
    result = project({"agent.py": AGENT, "desk.yaml": scenario(entry, expect=expect)}).run(
        "--lk-scenarios=desk.yaml"
    )
    result.outcomes(failed=1)
    result.shows(
        f"desk.yaml:7: Books, turn 2: the tool {tool} failed",
        f">>> [2] function_call_output   {line}",
        f"if that is right, list it under expect: - function_call_output: {{name: {tool}, "
        "is_error: true}",
        "or write allow: [tool_error]",
        f"FAILED desk.yaml::Books - desk.yaml:7: Books, turn 2: the tool {tool} failed",
    )


@pytest.mark.parametrize("what", FAILING)
def test_the_entry_that_it_names_and_allow_are_the_ways_out(project, what):
    entry, _, tool = FAILING[what]
    told = f"        expect: [{{function_call_output: {{name: {tool}, is_error: true}}}}]\n"
    files = {
        "agent.py": AGENT,
        "told.yaml": scenario(entry, expect=told),
        "allowed.yaml": scenario(entry, more="    allow: [tool_error]\n"),
        "other.yaml": scenario(entry, more="    allow: [hook_error]\n"),
    }
    result = project(files).run(*(f"--lk-scenarios={name}" for name in files if "yaml" in name))
    result.outcomes(passed=2, failed=1)
    result.shows("FAILED other.yaml::Books - *")


MOCKS = """\
    mocks: {{Desk: {{book: {mock}}}}}
"""


@pytest.mark.parametrize(
    "mock", ["{error: taken}", "{raises: ValueError}", "{calls: [{error: a}]}"]
)
def test_a_mock_of_the_scenario_that_is_told_to_fail_needs_no_entry(project, mock):
    text = scenario("call: {book: {slot: 2pm}}", more=MOCKS.format(mock=mock))
    result = project({"agent.py": AGENT, "desk.yaml": text}).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=1)


def test_a_tool_that_fails_after_it_answered_fails_the_turn_in_which_it_does(project):
    text = """\
agent: agent.py:Desk
scenarios:
  - label: Orders
    turns:
      - user: order it
        llm: [{call: {order: }}, Coming., Sold out.]
        expect: [...]
"""
    result = project({"agent.py": AGENT, "desk.yaml": text}).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows("desk.yaml:5: Orders, turn 1: the tool order failed", "*order failed 'sold out'")


def test_a_tool_that_fails_in_a_python_test_is_the_tests_affair(project):
    test = """
from agent import Desk
from pytest_lkagent import call
import pytest

@pytest.fixture
def agent():
    return Desk

async def test_it(user_says, fake_llm):
    fake_llm.script(call("book", slot="2pm"), "Sorry.")
    turn = await user_says("2 pm please")
    assert turn.events[2].is_error
"""
    project({"agent.py": AGENT, "test_desk.py": test}).run().outcomes(passed=1)


def test_a_failure_that_is_another_one_than_expected_is_told_with_what_was_raised(project):
    agent = AGENT.replace('raise ToolError("taken")', 'raise LookupError("no such slot")')
    expect = """\
        expect:
          - function_call_output: {name: book, is_error: true, contains: taken}
"""
    text = scenario("call: {book: {slot: 2pm}}", expect=expect)
    result = project({"agent.py": agent, "desk.yaml": text}).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(
        "closest: output differs: expected a text that contains 'taken', got 'An internal error "
        "occurred'",
        "the tool book raised LookupError('no such slot') at agent.py:11",
    )
    result.shows_no("*Captured log*", "*Traceback*")
