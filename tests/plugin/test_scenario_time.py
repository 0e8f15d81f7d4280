"""The keys of a scenario that are about time, what may pass, and how a session ends.

`within`, `wait`, `interrupt`, `timeout`, `now`, `allow` and `close`, each alone and together with
the others, as pytest plays the file.
"""

from __future__ import annotations

from textwrap import dedent, indent

import pytest
from livekit.agents import CloseReason

from pytest_lkagent.scenarios.read_expect import CLOSE_REASONS

DESK = '''\
import asyncio
from datetime import datetime

from livekit.agents import Agent, RunContext, function_tool


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book visits.")

    @function_tool
    async def today(self) -> str:
        """Say what day it is."""
        return f"{datetime.now():%A %H:%M}"

    @function_tool
    async def search(self) -> str:
        """Search for a slot."""
        await asyncio.sleep(20)
        return "2 pm"

    @function_tool
    async def hang_up(self, context: RunContext) -> None:
        """Hang up when all is said."""
        context.session.shutdown()

    @function_tool
    async def cut_off(self, context: RunContext) -> str:
        """Close the session beside the tool."""
        self.closing = asyncio.create_task(context.session.aclose())
        return "bye"


class Patient(Desk):
    """Asks whether the caller is still there, and hangs up when nobody answers."""

    async def on_enter(self) -> None:
        self.asked = False
        self.session.on("user_state_changed", self.follow)

    def follow(self, event) -> None:
        if event.new_state != "away":
            self.asked = False
        elif not self.asked:
            self.asked = True
            self.session.say("Are you still there?")
        else:
            self.session.shutdown()
'''


@pytest.fixture
def play(desk):
    """Play these scenarios with pytest; `top` is the file's head below its agent."""

    def make(scenarios: str, *arguments: str, top: str = "", agent: str = "Desk", **files: str):
        text = f"agent: desk.py:{agent}\n{top}scenarios:\n" + indent(
            dedent(scenarios).lstrip(), "  "
        )
        ini = files.pop("ini", "")
        named = {name.replace("_py", ".py"): content for name, content in files.items()}
        made = desk({"desk.py": DESK, "s.yaml": text, **named}, ini=ini)
        return made.run("--lk-scenarios=s.yaml", *arguments)

    return make


# --- close

FAILS_FOUR_TIMES = """
- label: It breaks down
  turns:
    - {user: one, llm: [{fail: {status: 401}}], expect_error: APIStatusError}
    - {user: two, llm: [{fail: {status: 401}}], expect_error: APIStatusError}
    - {user: three, llm: [{fail: {status: 401}}], expect_error: APIStatusError}
    - user: four
      llm: [{fail: {status: 401}}]
"""


def test_a_close_that_a_tool_brings_about_may_be_expected(play):
    result = play(
        """
        - label: Says goodbye
          turns:
            - user: bye
              llm: [{call: {hang_up: }}]
              expect: [{function_call_output: {name: hang_up}}, {close: user_initiated}]
        - label: Is cut off
          turns:
            - user: bye
              llm: [{call: {cut_off: }}]
              expect: [..., {close: user_initiated}]
        - label: Nobody says that it may not
          turns: [{user: bye, llm: [{call: {hang_up: }}]}]
        """
    )
    result.outcomes(passed=3)


def test_a_close_on_an_error_may_be_expected(play):
    """LiveKit gives up at the fourth failure, and its run returns as if all were well."""
    expected = "      expect: [{close: error}]\n"
    play(FAILS_FOUR_TIMES + expected).outcomes(passed=1)


@pytest.mark.parametrize("said", ["", "      expect: [...]\n"])
def test_a_close_on_an_error_that_no_entry_tells_of_fails(play, said):
    result = play(FAILS_FOUR_TIMES + said)
    result.outcomes(failed=1)
    result.shows("s.yaml:3: It breaks down: the session closed on an error: APIStatusError: *")


def test_allow_lets_a_close_on_an_error_pass(play):
    play(FAILS_FOUR_TIMES, top="defaults: {allow: [unexpected_close]}\n").outcomes(passed=1)


def test_a_close_for_another_reason_shows_both(play):
    result = play(
        """
        - label: Says goodbye
          turns:
            - user: bye
              llm: [{call: {hang_up: }}]
              expect: [..., {close: error}]
        """
    )
    result.outcomes(failed=1)
    result.shows(
        "s.yaml:7: Says goodbye, turn 1: expected close error",
        "[0] user * bye",
        "[1] function_call * hang_up()",
        "[2] function_call_output * hang_up -> ''",
        ">>> [3] close * user_initiated",
        "closest: reason differs: expected 'error', got 'user_initiated'",
    )


def test_a_close_that_does_not_come_shows_what_came(play):
    result = play(
        """
        - label: Says goodbye
          turns:
            - {user: bye, llm: [Bye.], expect: [{close: user_initiated}]}
        - label: Waits for it
          turns:
            - {wait: 1m, expect: [{close: user_initiated}]}
        """
    )
    result.outcomes(failed=2)
    result.shows(
        "s.yaml:5: Says goodbye, turn 1: expected close user_initiated",
        "[0] user * bye",
        "[1] assistant * Bye.",
        "closest: none, there was no other close",
        "s.yaml:8: Waits for it, turn 1: expected close user_initiated",
        "nothing happened",
    )


def test_a_close_that_must_not_come_is_pointed_at(play):
    result = play(
        """
        - label: Nothing else happens
          turns:
            - user: bye
              llm: [{call: {hang_up: }}]
              expect: [{function_call_output: {name: hang_up}}]
        - label: Stays on the line
          turns: [{user: bye, llm: [{call: {hang_up: }}]}]
          absent: [{close: user_initiated}]
        """
    )
    result.outcomes(failed=2)
    result.shows(
        "s.yaml:5: Nothing else happens, turn 1: not expected: close user_initiated",
        ">>> [3] close * user_initiated",
        "extra: list it under expect, or write ... where other events may happen",
        "s.yaml:10: Stays on the line: not expected: close user_initiated",
        ">>> [4] close * user_initiated",
        "absent: this must not happen",
    )


def test_after_the_close_nobody_hears_the_user(play):
    result = play(
        """
        - label: Calls after it
          turns:
            - {user: bye, llm: [{call: {hang_up: }}]}
            - {user: hello?, llm: [Yes?]}
        """
    )
    result.outcomes(failed=1)
    result.shows(
        "s.yaml:6: Calls after it, turn 2: nobody hears 'hello?': the session closed before "
        "(user_initiated)"
    )
    result.shows_no("*never asked for*")


def test_after_the_close_time_passes_and_nothing_happens(play):
    result = play(
        """
        - label: Listens on
          turns:
            - {user: bye, llm: [{call: {hang_up: }}]}
            - {wait: 1m, expect: [], within: 1m}
        - label: Waits for a word
          turns:
            - {user: bye, llm: [{call: {hang_up: }}]}
            - {wait: 1m, expect: [{message: Goodbye.}]}
        - label: Has an answer ready
          turns:
            - {user: bye, llm: [{call: {hang_up: }}]}
            - {wait: 1m, llm: [Goodbye.]}
        """
    )
    result.outcomes(passed=1, failed=2)
    result.shows(
        "s.yaml:10: Waits for a word, turn 2: expected message 'Goodbye.'",
        "nothing happened",
        "s.yaml:14: Has an answer ready, turn 2: scripted, and never asked for: say('Goodbye.')",
    )


@pytest.mark.parametrize("key", ["expect", "absent"])
def test_a_reason_that_livekit_does_not_know_is_refused(play, key):
    """Under absent it would pass whatever happens."""
    under = "      " if key == "expect" else "  "
    result = play(
        "- label: Says goodbye\n  turns:\n    - user: bye\n      llm: [{call: {hang_up: }}]\n"
        f"{under}{key}: [{{close: user_initated}}, {{close: enough}}, {{close: [error]}}]\n"
    )
    result.outcomes(errors=1)
    column = len(f"  {under}{key}: [{{close: ") + 1
    result.shows(
        f"s.yaml:7:{column}: close knows no reason 'user_initated'; did you mean 'user_initiated'?",
        "s.yaml:7:*: close knows no reason 'enough'; the reasons are error, job_shutdown, "
        "participant_disconnected, user_initiated, task_completed",
        "s.yaml:7:*: close cannot be a list; write error, job_shutdown, *",
    )


def test_the_reasons_are_those_of_livekit():
    assert set(CLOSE_REASONS) == {reason.value for reason in CloseReason}
