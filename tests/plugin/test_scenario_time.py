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


# --- what is no time

NO_TIMES = {
    "-5": "cannot be '-5'; write 250ms, 2s, 1m or a number of seconds",
    "soon": "cannot be 'soon'; write 250ms, *",
    ".nan": "cannot be '.nan'; write 250ms, *",
    ".inf": "cannot be '.inf'; write 250ms, *",
    "1e3": "cannot be '1e3'; write 250ms, *",
    "2h": "cannot be '2h'; write 250ms, *",
    "2 minutes": "cannot be '2 minutes'; write 250ms, *",
    "1m30s": "cannot be '1m30s'; write 250ms, *",
    "1:30": "cannot be '1:30'; write 250ms, *",
    "''": "cannot be ''; write 250ms, *",
    "true": "cannot be 'true'; write 250ms, *",
    "[2]": "cannot be a list; write 250ms, *",
    "{s: 2}": "cannot be a mapping; write 250ms, *",
    "99999999999999999999": "cannot be '99999999999999999999'; write 250ms, 2s, 1m or a number of "
    "seconds, a year at most",
    "600000m": "cannot be '600000m'; write 250ms, 2s, 1m or a number of seconds, a year at most",
    "999999999999999999999": "cannot be '999999999999999999999'; write 250ms, *",
}
KEYS = {
    "within": "turns: [{user: hi, within: %s}]",
    "wait": "turns: [{wait: %s}]",
    "interrupt": "turns: [{user: hi, interrupt: %s}]",
    "timeout": "turns: [], timeout: %s",
    "delay": "turns: [], mocks: {Desk: {search: {delay: %s}}}",
    "ttft": "turns: [{user: hi, llm: [{say: Hi., ttft: %s}]}]",
}


def refused(play, key: str, form: str, wrong: dict[str, str]) -> None:
    """Hold that a file with all these values of `key`, a line each, is refused line by line."""
    lines = [f"- {{label: no {n}, {form % written}}}" for n, written in enumerate(wrong)]
    result = play("\n".join(lines) + "\n")
    result.outcomes(errors=1)
    columns = [line.index(f"{key}: ") + len(f"{key}: ") + 3 for line in lines]
    result.shows(
        *(
            f"s.yaml:{line}:{column}: {key} {told}"
            for line, (column, told) in enumerate(zip(columns, wrong.values(), strict=True), 3)
        )
    )
    assert sum(line.startswith("s.yaml:") for line in result.lines) == len(wrong)


@pytest.mark.parametrize("key", KEYS)
def test_what_is_no_time_is_refused_at_its_column(play, key):
    refused(play, key, KEYS[key], NO_TIMES)


def test_all_mistakes_about_time_come_at_once(play):
    result = play(
        """
        - label: Hello
          now: noon
          timeout: 0
          allow: [unused_steps, nothing]
          turns:
            - {user: hi, wait: 3s}
            - {wait: 3s, interrupt: 1s}
            - {user: hi, wait: 3s, interrupt: 1s}
            - {user: hi, interupt: 1s}
            - {user: hi, within: 3 s, wihtin: 3s}
            - {within: 3s}
        """
    )
    result.outcomes(errors=1)
    result.shows(
        "s.yaml:4:10: now cannot be 'noon'; write a date and time like 2026-06-12T09:00:00Z",
        "s.yaml:5:14: timeout cannot be '0'; write 250ms, 2s, 1m or a number of seconds, more than "
        "nothing",
        "s.yaml:6:13: allow knows no kind 'unused_steps'; did you mean 'unused_step'?",
        "s.yaml:6:27: allow knows no kind 'nothing'; the kinds are background_error, blocked_loop, "
        "*, unexpected_close, *, unused_step",
        "s.yaml:8:9: a turn cannot have user and wait together; keep one",
        "s.yaml:9:9: a turn cannot have wait and interrupt together; keep one",
        "s.yaml:10:9: a turn cannot have user and wait together; keep one",
        "s.yaml:10:9: a turn cannot have wait and interrupt together; keep one",
        "s.yaml:11:20: unknown key 'interupt' in a turn; did you mean 'interrupt'?",
        "s.yaml:12:33: unknown key 'wihtin' in a turn; did you mean 'within'?",
        "s.yaml:13:9: a turn without input; write user: and what is said, or wait: 30s",
    )


NO_MOMENTS = {
    "tomorrow": "cannot be 'tomorrow'; write a date and time like 2026-06-12T09:00:00Z",
    "2026-13-01": "cannot be '2026-13-01'; write a date *",
    "2026-06-12T25:00": "cannot be '2026-06-12T25:00'; write a date *",
    "09:00": "cannot be '09:00'; write a date *",
    "1750000000": "cannot be '1750000000'; write a date *",
    "-1": "cannot be '-1'; write a date *",
    "0": "cannot be '0'; write a date *",
    ".nan": "cannot be '.nan'; write a date *",
    "2026-06-12T09:00 Europe/Berlin": "cannot be '2026-06-12T09:00 Europe/Berlin'; write a date *",
    "2026-06-12T09:00:00+99:00": "cannot be '2026-06-12T09:00:00+99:00'; write a date *",
    "[2026-06-12]": "cannot be a list; write a date *",
    "9999-12-31T23:59:59Z": "cannot be '9999-12-31T23:59:59Z'; write a date and time like "
    "2026-06-12T09:00:00Z, from 1900 to 2999",
    "0001-01-01T00:00:00+02:00": "cannot be '0001-01-01T00:00:00+02:00'; *, from 1900 to 2999",
}


def test_what_is_no_moment_is_refused_at_its_column(play):
    refused(play, "now", "turns: [], now: %s", NO_MOMENTS)
