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
    """Asks a silent caller twice, then hangs up: LiveKit's inactive_user.py."""

    async def on_enter(self) -> None:
        self.session.on("user_state_changed", self.follow)

    def follow(self, event) -> None:
        if event.new_state == "away":
            self.asking = asyncio.create_task(self.ask())
        elif event.old_state == "away":
            self.asking.cancel()

    async def ask(self) -> None:
        for _ in range(2):
            await self.session.generate_reply(instructions="Ask whether the caller is there.")
            await asyncio.sleep(10)
        self.session.shutdown()


class Greets(Desk):
    """Says so at once when the caller says nothing."""

    async def on_enter(self) -> None:
        self.session.on("user_state_changed", self.follow)

    def follow(self, event) -> None:
        if event.new_state == "away":
            self.session.say("Hello?")
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


def test_a_close_while_the_session_starts_belongs_to_the_start(play):
    closed = "class Closed(Desk):\n    async def on_enter(self):\n        self.session.shutdown()\n"
    result = play(
        """
        - label: Is told of
          start: {expect: [{close: user_initiated}]}
          turns: [{wait: 1m, expect: []}]
        - label: Is not foreseen
          start: {expect: []}
          turns: [{wait: 1m}]
        - label: Is called
          turns: [{user: hi, llm: [Hello.]}]
        """,
        agent="Closed",
        desk_py=f"{DESK}\n\n{closed}",
    )
    result.outcomes(passed=1, failed=2)
    result.shows(
        "s.yaml:7: Is not foreseen, start: not expected: close user_initiated",
        "s.yaml:10: Is called, turn 1: nobody hears 'hi': the session closed before "
        "(user_initiated)",
    )


def test_a_close_on_an_error_may_be_expected(play):
    """LiveKit gives up at the fourth failure, and its run returns as if all were well."""
    expected = "      expect: [{close: error}]\n"
    play(FAILS_FOUR_TIMES + expected).outcomes(passed=1)


@pytest.mark.parametrize("said", ["", "      expect: [...]\n"])
def test_a_close_on_an_error_that_no_entry_tells_of_fails(play, said):
    result = play(FAILS_FOUR_TIMES + said)
    result.outcomes(failed=1)
    result.shows(
        "s.yaml:3: It breaks down: the session closed on an error: APIStatusError: *; if that is "
        "what the test is about, list it under expect: {close: error}"
    )


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
        "*, unexpected_close, *, unused_step, veto",
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


# --- wait, within

AWAY = "defaults: {session: {user_away_timeout: 10}}\n"


def test_when_the_user_says_nothing_the_agent_asks_and_at_last_hangs_up(play):
    result = play(
        """
        - label: Asks twice
          turns:
            - {wait: 9s, expect: []}
            - {wait: 2s, llm: [Are you there?], expect: []}
            - {wait: 9s, llm: [Hello?], expect: [{message: Hello?}]}
            - {wait: 9s, expect: []}
            - {wait: 2s, expect: [{close: user_initiated}]}
        - label: In one go
          turns:
            - wait: 30s
              llm: [Are you there?, Hello?]
              expect: [{close: user_initiated}]
        - label: Speaks by itself
          agent: desk.py:Greets
          turns:
            - {wait: 9999ms, expect: []}
            - {wait: 1ms, expect: [{message: {role: assistant, text: Hello?}}]}
        - label: Is answered, and asks anew
          allow: [leaked_task]
          turns:
            - {wait: 11s, llm: [Are you there?]}
            - {user: I am., llm: [Good.], expect: [], within: 0}
            - {wait: 9s, expect: []}
            - {wait: 2s, llm: [Are you there?], expect: []}
        - label: Nobody is ever away
          session: {user_away_timeout: ~}
          turns: [{wait: 60m, expect: []}]
        """,
        top=AWAY,
        agent="Patient",
    )
    result.outcomes(passed=5)


def test_what_the_agent_asks_of_the_model_while_the_user_is_silent_is_scripted_too(play):
    result = play(
        """
        - label: No answer ready
          turns: [{wait: 11s}]
        - label: An answer too many
          turns: [{wait: 11s, llm: [Are you there?, Hello?]}]
        - label: Another answer
          turns: [{wait: 11s, llm: [Are you there?], expect: [{message: Hello?}]}]
        - label: Speaks unasked
          agent: desk.py:Greets
          turns: [{wait: 11s, expect: []}]
        """,
        top=AWAY,
        agent="Patient",
    )
    result.outcomes(failed=4)
    result.shows(
        "s.yaml:5: No answer ready, turn 1: Patient asked its model for a completion that nobody "
        "scripted",
        "asked to: 'Ask whether the caller is there.'",
        "add it to llm: of turn 1 (s.yaml:5)",
        "also: the task Patient.ask() (made at desk.py:*) is still running at the end of the test; "
        "it waits at desk.py:*: await asyncio.sleep(10); *allow: [leaked_task]",
        "s.yaml:7: An answer too many, turn 1: scripted, and never asked for: say('Hello?')",
        "s.yaml:9: Another answer, turn 1: expected message 'Hello?'",
        ">>> [0] assistant * Are you there?",
        "s.yaml:12: Speaks unasked, turn 1: not expected: assistant Hello?",
    )


def test_a_turn_that_takes_longer_than_within_says_how_long_it_took(play):
    result = play(
        """
        - label: The model is slow
          turns:
            - {user: hi, llm: [{say: Hello., ttft: 1500ms, duration: 2s}], within: 2s}
            - {user: hi, llm: [{say: Hello., ttft: 1500ms, duration: 2s}], within: 1999ms}
        - label: The tool is slow
          turns: [{user: when?, llm: [{call: {search: }}, 2 pm.], within: 15}]
        - label: Retries take time
          turns: [{user: hi, llm: [{fail: {status: 503, attempts: 1}}, Hello.], within: 0}]
        - label: No time at all
          turns: [{user: hi, llm: [Hello.], within: 0}, {wait: 0, expect: [], within: 0}]
        - label: Greets slowly
          agent: agent.py:Greeter
          start: {llm: [{say: Welcome., duration: 3s}], within: 2s}
          turns: []
        """
    )
    result.outcomes(failed=4, passed=1)
    result.shows(
        "s.yaml:6: The model is slow, turn 2: the turn took 2 s from beginning to end, and "
        "should take 1.999 s at most",
        "s.yaml:8: The tool is slow, turn 1: the turn took 20 s from beginning to end, and "
        "should take 15 s at most",
        "s.yaml:10: Retries take time, turn 1: the turn took 0.* s from beginning to end, and "
        "should take 0 s at most",
        "s.yaml:15: Greets slowly, start: the turn took 3 s from beginning to end, and "
        "should take 2 s at most",
    )


def test_a_within_that_would_let_everything_pass_is_told(play):
    result = play(
        """
        - label: Milliseconds were meant
          turns: [{user: hi, llm: [Hello.], within: 800}]
        - label: They are written so
          turns: [{user: hi, llm: [Hello.], within: 800ms}]
        - label: It may really take so long
          turns: [{wait: 700, expect: [], within: 800}]
        - label: So it may here
          timeout: 15m
          turns: [{user: hi, llm: [Hello.], within: 800}]
        - label: At once
          agent: agent.py:Greeter
          start: {llm: [Welcome.], within: 601}
          turns: []
        """
    )
    result.outcomes(failed=2, passed=3)
    result.shows(
        "s.yaml:4: Milliseconds were meant, turn 1: within: 800 means seconds, and lets "
        "everything pass: a turn is ended after 600; for milliseconds write within: 800ms",
        "s.yaml:14: At once, start: within: 601 means seconds, *; for milliseconds *: 601ms",
    )


def test_what_the_agent_still_does_when_a_wait_is_over_counts_for_within(play):
    result = play(
        """
        - label: A quick question
          allow: [leaked_task]
          turns: [{wait: 10s, llm: [Are you there?], within: 10s}]
        - label: A slow question
          allow: [leaked_task]
          turns: [{wait: 11s, llm: [{say: Are you there?, duration: 3s}], within: 12s}]
        - label: Not to its end
          allow: [leaked_task]
          turns:
            - wait: 11s
              llm: [{say: Are you there?, duration: 3s}]
              settle: false
              expect: []
              within: 11s
        """,
        top=AWAY,
        agent="Patient",
    )
    result.outcomes(passed=2, failed=1)
    result.shows(
        "s.yaml:9: A slow question, turn 1: the turn took 13 s from beginning to end, and "
        "should take 12 s at most",
    )


def test_what_differs_is_told_before_how_long_it_took(play):
    result = play(
        """
        - label: Slow and wrong
          turns:
            - user: hi
              llm: [{say: Hello., duration: 2s}]
              expect: [{message: Good day.}]
              within: 1s
        """
    )
    result.outcomes(failed=1)
    result.shows("s.yaml:7: Slow and wrong, turn 1: expected message 'Good day.'")
    result.shows_no("*it took*")


# --- interrupt


def test_a_reply_is_cut_off_and_the_next_turn_is_answered(play):
    result = play(
        """
        - label: The user cuts in
          turns:
            - user: when are you open?
              llm: [{say: We are open from nine to five., duration: 4s}]
              interrupt: 2s
              expect: [{message: {text: We are open from, interrupted: true}}]
              within: 2s
            - user: and today?
              llm: [Until five.]
              expect: [{message: {text: Until five., interrupted: false}}]
        - label: Before the first word
          turns:
            - user: when are you open?
              llm: [{say: We are open from nine to five., ttft: 2s, duration: 4s}]
              interrupt: 1s
              expect: []
              within: 1s
            - {user: hello?, llm: [Yes?], expect: [{message: Yes?}]}
        - label: At once
          turns:
            - {user: hm, llm: [{say: Hello., duration: 4s}], interrupt: 0, expect: [], within: 0}
        - label: Nothing is said of it
          turns:
            - {user: hm, llm: [{say: We are open from nine., duration: 4s}], interrupt: 2s}
            - {wait: 1m, expect: []}
        """
    )
    result.outcomes(passed=4)


def test_a_reply_that_was_cut_off_is_shown_as_far_as_it_came(play):
    result = play(
        """
        - label: Is not to be cut off
          turns:
            - user: when are you open?
              llm: [{say: We are open from nine to five., duration: 4s}]
              interrupt: 2s
              expect: [{message: {contains: We are, interrupted: false}}]
        - label: Says it all
          turns:
            - user: when are you open?
              llm: [{say: We are open from nine to five., duration: 4s}]
              interrupt: 2s
              expect: [{message: We are open from nine to five.}]
        - label: Is not cut off
          turns:
            - user: when are you open?
              llm: [{say: We are open from nine to five., duration: 4s}]
              expect: [{message: {contains: We are, interrupted: true}}]
        """
    )
    result.outcomes(failed=3)
    result.shows(
        "s.yaml:8: Is not to be cut off, turn 1: expected uninterrupted message that contains "
        "'We are'",
        ">>> [1] assistant * We are open from (interrupted)",
        "closest: it was interrupted",
        "s.yaml:14: Says it all, turn 1: expected message 'We are open from nine to five.'",
        "closest: text differs: expected 'We are open from nine to five.', got 'We are open from'",
        "s.yaml:19: Is not cut off, turn 1: expected interrupted message that contains 'We are'",
        "closest: it was not interrupted",
    )


def test_an_interruption_that_comes_too_late_says_so(play):
    result = play(
        """
        - label: Too late
          turns: [{user: hi, llm: [{say: Hello., duration: 1s}], interrupt: 2s}]
        """
    )
    result.outcomes(failed=1)
    result.shows(
        "s.yaml:4: Too late, turn 1: nothing was left to interrupt after 2 s: the reply was over; "
        "give its step a duration, such as {say: …, duration: 2s}"
    )


def test_a_tool_that_is_interrupted_works_on_and_is_not_replied_to(play):
    result = play(
        """
        - label: Told as it is
          turns:
            - user: when?
              llm: [{call: {search: }}]
              interrupt: 5s
              expect: [{function_call_output: {name: search, output: 2 pm}}]
              within: 20s
            - {user: so?, llm: [At 2 pm.], expect: []}
        - label: The output was not foreseen
          turns: [{user: when?, llm: [{call: {search: }}], interrupt: 5s, expect: []}]
        - label: The reply never comes
          turns: [{user: when?, llm: [{call: {search: }}, At 2 pm.], interrupt: 5s}]
        - label: The tool takes its time
          turns: [{user: when?, llm: [{call: {search: }}], interrupt: 5s, within: 5s}]
        """
    )
    result.outcomes(passed=1, failed=3)
    result.shows(
        "s.yaml:12: The output was not foreseen, turn 1: not expected: function_call_output "
        "search -> '2 pm'",
        "s.yaml:14: The reply never comes, turn 1: scripted, and never asked for: say('At 2 pm.')",
        "s.yaml:16: The tool takes its time, turn 1: the turn took 20 s from beginning to end, and "
        "should take 5 s at most",
    )


# --- timeout

SEARCHES = """
- label: Searches
  turns: [{user: when?, llm: [{call: {search: }}, At 2 pm.]}]
"""
MARKS = """\
import pytest

def pytest_itemcollected(item):
    item.add_marker(pytest.mark.lk(timeout=3))
"""
ANOTHER = "set another bound with --lk-timeout or timeout: in the scenario"
ITS_OWN = "as timeout: says"
BOUNDS = {
    "the command line": (["--lk-timeout=5s"], {}, 5, ANOTHER),
    "the ini file": ([], {"ini": "lk_timeout = 6\n"}, 6, ANOTHER),
    "the command line, not the ini file": (
        ["--lk-timeout=5"],
        {"ini": "lk_timeout = 60\n"},
        5,
        ANOTHER,
    ),
    "the file": ([], {"top": "defaults: {timeout: 7s}\n"}, 7, ITS_OWN),
    "the file, not the command line": (
        ["--lk-timeout=60"],
        {"top": "defaults: {timeout: 7s}\n"},
        7,
        ITS_OWN,
    ),
    "the marker, not the file": (
        ["--lk-timeout=60"],
        {"top": "defaults: {timeout: 7s}\n", "conftest_py": MARKS},
        3,
        "as lk(timeout=…) says",
    ),
}


@pytest.mark.parametrize("who", BOUNDS)
def test_who_bounds_a_turn_and_how_to_set_another_bound(play, who):
    arguments, given, seconds, advice = BOUNDS[who]
    result = play(SEARCHES, *arguments, **given)
    result.outcomes(failed=1)
    result.shows(
        "s.yaml:*: Searches, turn 1: user_says('when?') cannot finish: it went on for more than "
        f"{seconds} virtual seconds ({advice}); the tool search waits at desk.py:*",
        "[1] user * when?",
        "[2] function_call * search()",
        "still running:",
        "the tool search at desk.py:*: await asyncio.sleep(20)",
    )


def test_a_scenario_has_the_last_word_on_its_timeout(play):
    result = play(
        """
        - label: Longer
          timeout: 30s
          turns: [{user: when?, llm: [{call: {search: }}, At 2 pm.]}]
        - label: As long as it takes
          timeout: 20s
          turns: [{user: when?, llm: [{call: {search: }}, At 2 pm.]}]
        - label: Each turn by itself
          timeout: 30s
          turns:
            - {user: when?, llm: [{call: {search: }}, At 2 pm.]}
            - {user: when?, llm: [{call: {search: }}, At 2 pm.]}
        - label: A wait is no delay
          turns: [{wait: 1m}, {wait: 1m}]
        - label: That of the file taken back
          timeout: ~
          turns: [{user: when?, llm: [{call: {search: }}, At 2 pm.], within: 20s}]
        - label: Shorter
          timeout: 1500ms
          turns: [{user: when?, llm: [{call: {search: }}, At 2 pm.]}]
        - label: That of the file
          turns: [{user: when?, llm: [{call: {search: }}, At 2 pm.]}]
        """,
        top="defaults: {timeout: 10s}\n",
    )
    result.outcomes(passed=5, failed=2)
    result.shows(
        "s.yaml:*: Shorter, turn 1: * it went on for more than 1.5 virtual seconds *",
        "s.yaml:*: That of the file, turn 1: * it went on for more than 10 virtual seconds *",
    )


def test_a_timeout_taken_back_is_that_of_the_command_line(play):
    taken_back = SEARCHES + "  timeout: ~\n"
    result = play(taken_back, "--lk-timeout=4", top="defaults: {timeout: 60s}\n")
    result.outcomes(failed=1)
    result.shows("s.yaml:*: Searches, turn 1: * it went on for more than 4 virtual seconds *")


# --- now

TODAY = "turns: [{user: day?, llm: [{call: {today: }}, So.], expect: [%s]}]"


def day(shown: str) -> str:
    return TODAY % f"{{function_call_output: {{name: today, output: {shown!r}}}}}"


def test_when_a_scenario_is(play):
    """The scenario's own, else its file's; in UTC, and where a zone is written, moved there."""
    result = play(
        f"""
        - label: That of the file
          {day("Thursday 18:00")}
        - label: Its own
          now: 2026-06-12T09:30
          {day("Friday 09:30")}
        - label: A day begins at midnight
          now: 2026-06-12
          {day("Friday 00:00")}
        - label: East of here
          now: 2026-06-12T01:00:00+05:30
          {day("Thursday 19:30")}
        - label: In quotes
          now: "2026-06-12 09:00:00Z"
          {day("Friday 09:00")}
        - label: Taken back
          now: ~
          {day("Monday 09:00")}
        - label: Long ago
          now: 1900-01-01
          {day("Monday 00:00")}
        - label: Far away
          now: 2999-12-31T23:59:59Z
          {day("Tuesday 23:59")}
        """,
        top="defaults: {now: 2026-12-24T20:00:00+02:00}\n",
    )
    result.outcomes(passed=8)


def test_who_says_when_it_is(play):
    scenarios = f"""
        - label: Nobody said
          {day("Wednesday 00:00")}
        - label: Its own
          now: 2026-06-12
          {day("Friday 00:00")}
        """
    play(scenarios, ini="lk_now = 2026-12-23\n").outcomes(passed=2)
    marks = MARKS.replace("timeout=3", "now='2026-12-23'")
    result = play(scenarios, ini="lk_now = 2020-01-01\n", conftest_py=marks)
    result.outcomes(passed=1, failed=1)
    result.shows("*: Its own, turn 1: *", "*expected 'Friday 00:00', got 'Wednesday 00:00'")


def test_time_goes_on_from_now_turn_by_turn(play):
    told = "{function_call_output: {output: %s}}"
    ask = f"{{user: day?, llm: [{{call: {{today: }}}}, So.], expect: [{told}]}}"
    result = play(
        f"""
        - label: Over midnight
          now: 2026-06-12T23:59:30Z
          turns:
            - {ask % "'Friday 23:59'"}
            - {{wait: 30s}}
            - {ask % "'Saturday 00:00'"}
            - {{user: when?, llm: [{{call: {{search: }}}}, {{say: At 2 pm., duration: 100s}}]}}
            - {ask % "'Saturday 00:02'"}
        - label: The next one begins anew
          now: 2026-06-12T23:59:30Z
          turns: [{ask % "'Friday 23:59'"}]
        """
    )
    result.outcomes(passed=2)


# --- allow

TALKS_TOO_MUCH = "turns: [{user: hi, llm: [Hello., And again.]}]"


def test_what_a_scenario_allows_takes_the_place_of_what_its_file_allows(play):
    result = play(
        f"""
        - label: That of the file
          {TALKS_TOO_MUCH}
        - label: Its own
          allow: [leaked_task, unused_step]
          {TALKS_TOO_MUCH}
        - label: Another kind
          allow: [leaked_task]
          {TALKS_TOO_MUCH}
        - label: Nothing
          allow: []
          {TALKS_TOO_MUCH}
        - label: Taken back
          allow: ~
          {TALKS_TOO_MUCH}
        """,
        top="defaults: {allow: [unused_step]}\n",
    )
    result.outcomes(passed=2, failed=3)
    for line, label in ((11, "Another kind"), (14, "Nothing"), (17, "Taken back")):
        result.shows(
            f"s.yaml:{line}: {label}, turn 1: scripted, and never asked for: say('And again.')",
            "take it out, or let it pass: allow: [unused_step]",
        )


def test_a_marker_adds_to_what_a_scenario_allows(play):
    marks = MARKS.replace("timeout=3", "allow=['leaked_task']")
    scenarios = """
        - label: Leaves a task and a step
          allow: [unused_step]
          turns: [{wait: 11s, llm: [Are you there?, Hello?]}]
        """
    play(scenarios, top=AWAY, agent="Patient", conftest_py=marks).outcomes(passed=1)
    alone = play(scenarios, top=AWAY, agent="Patient")
    alone.outcomes(failed=1)
    alone.shows("s.yaml:4: Leaves a task and a step: the task Patient.ask() *[leaked_task]*")


@pytest.mark.parametrize("top", ["", "defaults: "])
def test_a_kind_that_there_is_none_of_is_refused_wherever_it_stands(play, top):
    key = "allow: [unused_step, leaked_tasks]"
    good = f"- label: Good\n  {TALKS_TOO_MUCH}\n"
    if top:
        result = play(good, top=f"defaults: {{{key}}}\n")
        place = "s.yaml:2:33"
    else:
        result = play(good + f"  {key}\n")
        place = "s.yaml:5:26"
    result.outcomes(errors=1)
    result.shows(f"{place}: allow knows no kind 'leaked_tasks'; did you mean 'leaked_task'?")


# --- a file over a base

BASE = """\
agent: desk.py:Desk
defaults: {now: 2026-06-12, timeout: 10s, allow: [unused_step], session: {user_away_timeout: 5}}
scenarios:
  - label: Monday
    now: 2026-06-15
    allow: [leaked_task]
    turns: [{user: hi, llm: [Hello.]}]
  - label: Friday
    turns: [{user: hi, llm: [Hello.]}]
"""


def test_a_file_over_a_base_says_anew_when_it_is_and_what_may_pass(desk):
    over = f"""\
base: base.yaml
defaults: {{now: 2026-06-13}}
scenarios:
  - label: Monday
    {day("Monday 00:00")}
  - label: Friday
    {day("Saturday 00:00")}
  - label: A new one
    instructions: .
    now: 2026-06-14
    {day("Sunday 00:00")}
  - label: May leave a step
    instructions: .
    {TALKS_TOO_MUCH}
  - label: Still has ten seconds
    instructions: .
    turns: [{{user: when?, llm: [{{call: {{search: }}}}, At 2 pm.]}}]
"""
    result = desk({"desk.py": DESK, "base.yaml": BASE, "s.yaml": over}).run("--lk-scenarios=s.yaml")
    result.outcomes(passed=4, failed=1)
    result.shows("s.yaml:17: Still has ten seconds, turn 1: * more than 10 virtual seconds *")


@pytest.mark.parametrize("key", ["now: 2026-06-12", "allow: [unused_step]", "timeout: 5s"])
def test_what_holds_for_a_whole_file_stands_under_defaults(play, key):
    result = play(SEARCHES, top=f"{key}\n")
    result.outcomes(errors=1)
    name = key.partition(":")[0]
    result.shows(
        f"s.yaml:2:1: unknown key {name!r} in a scenario file; write it under defaults:, or in a "
        "scenario"
    )
