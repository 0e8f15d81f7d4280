"""What a scenario says of errors: `expect_error`, and outputs that tell a failure."""

from __future__ import annotations

import pytest

AGENT = '''
from livekit.agents import Agent, function_tool

class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book.", llm="openai/gpt-4o")

    @function_tool
    async def book(self) -> None:
        """Book."""
        raise ValueError("no slots")

    @function_tool
    async def cancel(self) -> None:
        """Cancel."""
        raise KeyError("nobody")

    @function_tool
    async def check(self) -> None:
        """Check."""
        assert not "right"

class Greeter(Desk):
    async def on_enter(self) -> None:
        await self.session.generate_reply(instructions="Greet.")

class Breaks(Desk):
    async def on_enter(self) -> None:
        raise ValueError("no file")
'''


@pytest.fixture
def played(desk):
    """Play one scenario, given its agent and the keys below its label."""

    def play(keys, agent="Desk"):
        text = f"agent: errs.py:{agent}\nscenarios:\n- label: Errs\n  {keys}\n"
        return desk({"errs.py": AGENT, "desk.yaml": text}).run("--lk-scenarios=desk.yaml")

    return play


DOWN = "llm: [{fail: {connection: true}}]"
HELLO = "turns: [{user: hello, llm: [Hello.]}]"


@pytest.mark.parametrize(
    ("agent", "start"),
    [
        ("Greeter", f"{DOWN}, expect_error: APIConnectionError"),
        ("Breaks", "expect_error: {type: ValueError, contains: no file}"),
    ],
)
def test_the_start_may_be_expected_to_fail(played, agent, start):
    played(f"start: {{{start}}}\n  {HELLO}", agent).outcomes(passed=1)
    another = start.replace("APIConnectionError", "KeyError").replace("no file", "no slots")
    result = played(f"start: {{{another}}}\n  {HELLO}", agent)
    result.outcomes(failed=1)


@pytest.mark.parametrize("mode", ["text", "audio"])
def test_a_start_that_does_not_fail_as_expected_is_told_at_its_line(played, mode):
    expected = f"start: {{llm: [Hi.], expect_error: KeyError}}\n  {HELLO}\n  mode: {mode}"
    result = played(expected, "Greeter")
    result.outcomes(failed=1)
    result.shows("desk.yaml:4: Errs, start: expected KeyError", "nothing was raised")
    played(expected.replace("[Hi.], expect_error: KeyError", "[Hi.]"), "Greeter").outcomes(passed=1)
    failing = f"start: {{{DOWN}, expect_error: APIConnectionError}}\n  mode: {mode}\n  {HELLO}"
    played(failing, "Greeter").outcomes(passed=1)


CALLS = "turns: [{user: go, llm: [%s], expect_error: %s}]"


@pytest.mark.parametrize(
    ("llm", "error"),
    [
        ("{call: {book: }}, Sorry.", "ValueError"),
        ("{call: {book: }}, Sorry.", "{contains: no slots}"),
        ("{call: {check: }}, Sorry.", "AssertionError"),
        ("{call: {book: }}, {fail: {connection: true}}", "Exception"),
    ],
)
def test_an_error_that_a_tool_raises_may_be_expected_as_any_other(played, llm, error):
    """Wherever it was raised, as with the fixture."""
    played(CALLS % (llm, error)).outcomes(passed=1)


@pytest.mark.parametrize("error", ["KeyError", "{contains: all slots}"])
def test_another_error_than_the_expected_one_is_raised_from_the_tool(played, error):
    result = played(CALLS % ("{call: {book: }}, Sorry.", error))
    result.outcomes(failed=1)
    result.shows('> * raise ValueError("no slots")', "E *in desk.yaml:4: Errs, turn 1")


def test_an_expected_error_is_not_advised_to_be_expected_where_another_came_first(played):
    result = played(CALLS % ("{call: {book: }}, {fail: {connection: true}}", "APIConnectionError"))
    result.outcomes(failed=1)
    result.shows('> * raise ValueError("no slots")')
    result.shows_no("*write expect_error*")


def test_an_expected_error_of_one_tool_does_not_cover_that_of_another(played):
    result = played(CALLS % ("{call: {book: , cancel: }}, Sorry.", "ValueError"))
    result.outcomes(failed=1)
    result.shows('> * raise KeyError("nobody")')


def test_what_a_turn_captures_may_be_in_its_expected_error(played):
    keys = CALLS % ("{say: all slots, call: {book: }}, Sorry.", "{contains: 'no ${what}'}")
    keys = keys.replace("expect_error", "capture: {what: slots}, expect_error")
    played(keys).outcomes(passed=1)


TOLD = "turns: [{user: go, llm: [{call: %s}, Sorry.], expect: [%s]}]"


@pytest.mark.parametrize(
    "output",
    [
        "{is_error: true}",
        "{name: book, contains: internal error}",
        "{output: An internal error occurred}",
    ],
)
def test_an_output_that_tells_a_failure_covers_a_tool_that_raises(played, output):
    told = f"function_call_output: {output}"
    played(TOLD % ("{book: }", told)).outcomes(passed=1)
    start = f"start: {{llm: [{{call: {{book: }}}}, Hi.], expect: [{told}]}}"
    played(f"{start}\n  {HELLO}", "Greeter").outcomes(passed=1)


@pytest.mark.parametrize("output", ["{name: book}", "{contains: booked}", "{is_error: false}"])
def test_one_that_tells_none_leaves_what_the_tool_raises_as_it_is(played, output):
    result = played(TOLD % ("{book: }", f"function_call_output: {output}"))
    result.outcomes(failed=1)
    result.shows('> * raise ValueError("no slots")')


def test_one_output_covers_one_failure_and_the_other_is_told_with_what_was_raised(played):
    told = "function_call_output: {is_error: true}, ..."
    result = played(TOLD % ("{book: , cancel: }", told))
    result.outcomes(failed=1)
    result.shows(
        "desk.yaml:4: Errs, turn 1: the tool cancel failed",
        "the tool cancel raised KeyError('nobody') at errs.py:*",
    )
