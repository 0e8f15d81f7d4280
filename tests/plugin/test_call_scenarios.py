"""Scenarios with ``mode: audio``: what a user reads of a call that a file tells."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

HOST = '''\
import asyncio

from livekit.agents import Agent, function_tool


class Host(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book tables.")

    @function_tool
    async def book(self, people: int) -> str:
        """Book a table."""
        return f"booked for {people}"


class Greeter(Host):
    async def on_enter(self) -> None:
        await asyncio.sleep(0.5)
        await self.session.generate_reply()
'''
LISTENER = """\
from host import Host


class Listener(Host):
    async def on_enter(self) -> None:
        self.session.on("user_input_transcribed", lambda event: TOLD.append(event))


TOLD = []


def tells():
    raise AssertionError([f"{one.transcript}, {one.is_final}" for one in TOLD])
"""
SERVER = """\
from host import Host
from livekit.agents import AgentServer, AgentSession

server = AgentServer()


@server.rtc_session()
async def entrypoint(context):
    await context.connect()
    session = AgentSession(stt="deepgram/nova-3", llm="openai/gpt-4.1", tts="cartesia/sonic-2")
    await session.start(Host(), room=context.room)
"""


@pytest.fixture
def phone(desk):
    """Run one scenario on a Host."""

    def run(scenario, top="agent: host.py:Host", arguments=(), **more):
        text = f"{top}\nscenarios:\n  - label: A call\n"
        text += indent(dedent(scenario).removeprefix("\n"), "    ")
        files = {"host.py": HOST, "server.py": SERVER, "call.yaml": text, "conftest.py": ""}
        files |= more
        return desk(files).run("--lk-scenarios=call.yaml", *arguments)

    return run


CONVERSATION = """
    turns:
      - user: a table please
        llm: [For how many?]
        expect: [{message: For how many?}]
      - user: for two
        llm: [{call: {book: {people: 2}}}, It is booked.]
        expect:
          - function_call: {name: book, arguments: {people: 2}}
          - function_call_output: {name: book, output: booked for 2}
          - message: It is booked.
    """


@pytest.mark.parametrize("top", ["agent: host.py:Host", "entrypoint: server.py:server"])
@pytest.mark.parametrize("mode", ["text", "audio"])
def test_a_conversation_becomes_a_call_by_its_mode_alone(phone, mode, top):
    phone(f"mode: {mode}\n{dedent(CONVERSATION).strip()}", top).outcomes(passed=1)


def test_a_turn_says_when_the_user_speaks_and_when_the_agent_has_to(phone):
    scenario = """
        mode: audio
        voices: {It is booked.: {lasts: 2s, ttfb: 100ms}}
        turns:
          - {user: a table for two, at: 1s, lasts: 1500ms, llm: [It is booked.], within: %s}
        """
    phone(scenario % "400ms").outcomes(passed=1)
    result = phone(scenario % "399ms")
    result.outcomes(failed=1)
    result.shows(
        "call.yaml:7: A call, turn 1: the agent answered 400 ms after the end of 'a table for "
        "two', and has to within 399 ms",
        "*|0 s*",
        "*^ 2.9 s",
    )


def test_the_user_talks_over_the_agent(phone):
    scenario = """
        mode: audio
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
          - interrupt: {text: at seven is fine, after: 1s}
            interrupted_at: %s
            llm: [At seven.]
            expect: [{message: {contains: We have, interrupted: true}}, {message: At seven.}]
        """
    phone(scenario % "1.5s").outcomes(passed=1)
    result = phone(scenario % "1s")
    result.shows(
        "call.yaml:8: A call, turn 2: expected the agent to be cut off after 1000 ms of its words, "
        "and it was after 1500 ms"
    )
    phone(scenario % "200").shows(
        "call.yaml:8: A call, turn 2: expected the agent to be cut off after 200000 ms of its "
        "words, and it was after 1500 ms; 200 means seconds: write 200ms"
    )


def test_the_user_talks_over_an_answer_to_words_that_are_short(phone):
    """So short that LiveKit stops the speech before only after their end."""
    phone("""
        mode: audio
        turns:
          - user: a table
            llm: ["We have a table at seven, and one at nine, and one at ten."]
          - interrupt: {text: for two, after: 1s}
            llm: ["For two at seven, at nine or at ten, as you like?"]
          - interrupt: {text: at seven, after: 1s}
            llm: [At seven it is.]
        """).outcomes(passed=1)


def test_how_far_the_agent_came_is_counted_without_its_pauses(phone):
    scenario = """
        mode: audio
        turns:
          - user: a table
            llm: ["We have a table at seven, and one at nine, and one at ten."]
          - backchannel: {text: "", after: 500ms, lasts: 300ms}
          - interrupt: {text: seven is fine, after: 2s}
            interrupted_at: %s
            expect: [..., {message: {interrupted: true}}, ...]
            llm: [At seven.]
        """
    phone(scenario % "2500ms").outcomes(passed=1)
    phone(scenario % "4600ms").shows(
        "call.yaml:*: A call, turn 3: expected the agent to be cut off after 4600 ms of its words, "
        "and it was after 2500 ms"
    )


def test_words_in_a_pause_cut_off_what_was_said_before_it(phone):
    phone("""
        mode: audio
        turns:
          - user: a table
            llm: ["We have a table at seven, and one at nine, and one at ten."]
          - {backchannel: {text: "", after: 500ms, lasts: 300ms}, settle: false}
          - user: seven is fine
            at: 3s
            interrupted_at: 1s
            expect: [{message: {interrupted: true}}, ...]
            llm: [At seven.]
        """).outcomes(passed=1)


def test_a_word_to_show_that_one_listens_is_no_turn_where_two_are_wanted(phone):
    result = phone("""
        mode: audio
        session: {turn_handling: {interruption: {min_words: 2}}}
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
          - backchannel: {text: uh-huh, after: 1s}
            expect: [{message: {contains: at nine., interrupted: false}}]
          - user: at nine
            llm: [At nine.]
        """)
    result.outcomes(passed=1)


def test_keys_silence_and_the_end(phone):
    result = phone(
        """
        mode: audio
        start: {llm: [Welcome.], expect: [{message: Welcome.}]}
        turns:
          - silence: 20s
            expect: []
          - dtmf: 12#
          - hang_up: true
            expect: [{close: participant_disconnected}]
        """,
        top="agent: host.py:Greeter",
    )
    result.outcomes(passed=1)


GREETED = """
    mode: audio
    start: {llm: [Welcome.]%s}
    turns:
      - user: a table for two
        llm: [For what time?]
        expect: [%s, ...]
    """


def test_a_greeting_belongs_to_the_start(phone):
    result = phone(GREETED % ("", "{message: Welcome.}"), top="agent: host.py:Greeter")
    result.outcomes(failed=1)
    result.shows(
        "call.yaml:9: A call, turn 1: expected message 'Welcome.'",
        "it came at the start, before the first turn: list it under start: expect:",
    )
    listed = ", expect: [{message: Welcome.}]"
    phone(GREETED % (listed, "..."), top="agent: host.py:Greeter").outcomes(passed=1)
    again = phone(GREETED % (listed, "{message: Welcome.}"), top="agent: host.py:Greeter")
    again.outcomes(failed=1)
    again.shows_no("*it came*")


def test_what_came_in_another_turn_is_listed_there(phone):
    result = phone("""
        turns:
          - {user: a table for two, llm: [For what time?]}
          - {user: at nine, llm: [Goodbye.], expect: [{message: For what time?}]}
        """)
    result.shows(
        "call.yaml:6: A call, turn 2: expected message 'For what time?'",
        "it came in turn 1: list it there",
    )


def test_the_start_may_have_to_come_in_time(phone):
    greeted = "mode: audio\nstart: {llm: [Welcome.], within: %s}\nturns: [{%s}]"
    for turn in ("user: hi, llm: [Hello.]", "interrupt: {text: hi, after: 100ms}, llm: [Hello.]"):
        phone(greeted % ("500ms", turn), "agent: host.py:Greeter").outcomes(passed=1)
        result = phone(greeted % ("499ms", turn), "agent: host.py:Greeter")
        result.outcomes(failed=1)
        result.shows(
            "call.yaml:5: A call, start: the agent answered 500 ms after the beginning of the "
            "call, and has to within 499 ms"
        )
    result = phone(greeted % ("800", "user: hi, llm: [Hello.]"), "agent: host.py:Greeter")
    result.shows("call.yaml:5: A call, start: within: 800s: that is 800 seconds, *; write 800ms")


@pytest.mark.parametrize("expected", ["Welcome to us.", "{interrupted: true}"])
def test_what_the_next_turn_talks_over_is_listed_there(phone, expected):
    at_the_start = phone(
        f"""
        mode: audio
        start: {{llm: [Welcome to us.], expect: [{{message: {expected}}}]}}
        turns:
          - interrupt: {{text: a table for two, after: 500ms}}
            llm: [For what time?]
        """,
        top="agent: host.py:Greeter",
    )
    at_the_start.outcomes(failed=1)
    at_the_start.shows(
        "call.yaml:5: A call, start: expected *",
        "the agent is still saying 'Welcome to us.': turn 1 talks over that, and lists it",
    )


def test_what_is_said_over_another_turn_at_its_time_is_listed_there(phone):
    result = phone("""
        mode: audio
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
            expect: [{message: {contains: at nine}}]
          - {user: at nine, at: 3s, llm: [At nine.]}
        """)
    result.shows(
        "call.yaml:8: A call, turn 1: expected message that contains 'at nine'",
        "the agent is still saying 'We have one at seven and another one at nine.': turn 2 begins "
        "before that is over, and lists it",
    )


def test_where_a_user_who_hangs_up_at_once_cuts_off_the_greeting(phone):
    result = phone(
        """
        mode: audio
        start: {llm: [Welcome to the Trattoria Aurora.]}
        turns:
          - {hang_up: true, at: 1s, interrupted_at: 500ms}
        """,
        top="agent: host.py:Greeter",
    )
    result.outcomes(passed=1)


def test_a_noise_for_which_the_agent_paused_did_not_stop_it(phone):
    result = phone("""
        mode: audio
        turns:
          - {user: a table for two, llm: [We have one at seven and another one at nine.]}
          - {backchannel: {text: "", after: 1s, lasts: 300ms}, expect: []}
        """)
    result.shows("the agent paused for the backchannel: min_words is 0, and nothing was heard; *")


def test_the_greeting_may_be_talked_over(phone):
    result = phone(
        """
        mode: audio
        start: {llm: [Welcome to the Trattoria Aurora.]}
        turns:
          - interrupt: {text: a table for two, after: 500ms}
            llm: [For what time?]
            expect: [{message: {contains: Welcome, interrupted: true}}, {message: For what time?}]
        """,
        top="agent: host.py:Greeter",
    )
    result.outcomes(passed=1)


def test_what_is_heard_may_be_something_else(phone):
    result = phone("""
        mode: audio
        turns:
          - user: {text: a table for two, heard: a cable for two, confidence: 0.4, delay: 400ms}
            heard: a table for two
            llm: [A cable?]
        """)
    result.outcomes(failed=1)
    result.shows(
        "call.yaml:6: A call, turn 1: expected 'a table for two' to be heard, and it was 'a cable "
        "for two'",
        "*|0 s*",
    )


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("{}", "['a, False', 'a table, False', 'a table please, True']"),
        ("{interim: false}", "['a table please, True']"),
        ("{final: false}", "['a, False', 'a table, False', 'a table please, False']"),
        (
            "{preflight: true}",
            "['a, False', 'a table, False', 'a table please, False', 'a table please, True']",
        ),
    ],
)
def test_a_turn_says_which_transcripts_there_are(phone, how, told):
    said = "{text: a table please, " + how[1:]
    result = phone(
        f"""
        mode: audio
        turns:
          - user: {said}
            llm: [{"" if "final" in how else "Yes?"}]
            check: listener.py:tells
        """,
        top="agent: listener.py:Listener",
        **{"listener.py": LISTENER},
    )
    result.outcomes(failed=1)
    result.shows(f"E *AssertionError: {told}")


def test_a_word_over_the_agents_may_be_heard_in_any_way(phone):
    result = phone("""
        mode: audio
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
          - interrupt: {text: at seven, after: 1s, final: true, end_of_turn: 0.1, confidence: 0.5}
            llm: [At seven.]
            within: 3s
        """)
    result.outcomes(passed=1)


def test_the_user_hangs_up_in_mid_speech(phone):
    scenario = """
        mode: audio
        turns:
          - {user: a table for two, at: 1s, llm: [We have one at seven and another one at nine.]}
          - hang_up: true
            at: %s
            expect: [{message: {contains: We have one, interrupted: true}}, ...]
        """
    phone(scenario % "4s").outcomes(passed=1)
    late = phone(scenario % "10s")
    late.shows(
        "call.yaml:9: A call, turn 2: expected interrupted message that contains 'We have one'",
        "*[0] close *participant_disconnected",
    )


def test_keys_and_silence_come_at_their_time(phone):
    result = phone("""
        mode: audio
        turns:
          - {dtmf: 1, at: 2s}
          - {silence: 1s, at: 3s}
          - {user: a table for two, at: 3500ms, llm: [Yes?]}
        """)
    result.shows(
        "call.yaml:8: A call, turn 3: {user: a table for two, at: 3.5s}: it is 4.000 s into the *"
    )


def test_milliseconds_that_are_written_as_seconds_are_refused_where_they_stand(phone):
    result = phone("""
        mode: audio
        voices:
          It is booked.: 1500
          For how many?: {lasts: 900, ttfb: 400}
        turns:
          - user: {text: a table, delay: 600}
            lasts: 1200
            within: 800
          - interrupt: {text: wait, after: 500, lasts: 900}
            interrupted_at: 1500
          - {silence: 20m, within: 22m}
          - {user: goodbye, lasts: 15m}
        """)
    result.outcomes(errors=1)
    result.shows(
        "call.yaml:6:22: a voice: 1500 means 25 minutes of speech; write 1500ms",
        "call.yaml:7:30: lasts: 900 means 15 minutes of speech; write 900ms",
        "call.yaml:7:41: ttfb: 400 means 6.67 minutes of waiting; write 400ms",
        "call.yaml:9:38: delay: 600 means 10 minutes of waiting; write 600ms",
        "call.yaml:10:16: lasts: 1200 means 20 minutes of speech; write 1200ms",
        "call.yaml:11:17: within: 800 means 13.3 minutes of waiting; write 800ms",
        "call.yaml:12:40: after: 500 means 8.33 minutes of speech; write 500ms",
        "call.yaml:12:52: lasts: 900 means 15 minutes of speech; write 900ms",
        "call.yaml:13:25: interrupted_at: 1500 means 25 minutes of speech; write 1500ms",
        "call.yaml:14:32: within: 22m means 22 minutes of waiting; write 21m at most",
        "call.yaml:15:32: lasts: 15m means 15 minutes of speech; write 5m at most",
    )


def test_in_text_a_turn_may_take_as_long_as_its_file_says(phone):
    scenario = "timeout: 100s\nturns: [{user: hi, llm: [Hello.], within: 90}]"
    phone(scenario).outcomes(passed=1)
    result = phone(f"mode: audio\n{scenario}")
    result.outcomes(errors=1)
    result.shows("call.yaml:6:47: within: 90 means 1.5 minutes of waiting; write 90ms")


def test_a_text_with_a_wait_of_nothing_is_a_call_as_well(phone):
    phone("mode: audio\nturns: [{wait: 0s}, {user: hi, llm: [Hello.]}]").outcomes(passed=1)


FAILURES = """
    mode: audio
    voices:
      At seven or at nine?: {fail: {connection: true%s}}
    turns:
      - user: {text: a table for two, fail: {connection: true}}
      - user: I said a table for two
        llm: [At seven or at nine?]
        expect: [{message: {contains: %s}}]
        %s
    """


def test_recognition_and_the_voice_may_fail_and_recover(phone):
    phone(FAILURES % (", attempts: 1", "At seven or at nine?", "")).outcomes(passed=1)


def test_a_voice_may_fail_for_good(phone):
    phone(FAILURES % (", attempts: 4", "seven", "")).shows(
        "*: the run raised APIConnectionError: *"
    )


def test_a_voice_that_fails_in_mid_sentence_is_an_error_of_the_turn(phone):
    result = phone(FAILURES % (", after: At seven", "At seven", ""))
    result.outcomes(failed=1)
    result.shows(
        "call.yaml:9: A call, turn 2: the run raised APIConnectionError: Connection error.; if "
        "that is right, write expect_error: {type: APIConnectionError}",
        "*scripted at call.yaml:6: the voice of 'At seven or at nine?'",
    )
    expected = "expect_error: {type: APIConnectionError}"
    phone(FAILURES % (", after: At seven", "At", expected)).outcomes(passed=1)


def test_an_error_from_which_livekit_recovered_is_told_as_that(phone):
    result = phone(FAILURES % (", attempts: 1", "seven", "expect_error: APIConnectionError"))
    result.outcomes(failed=1)
    result.shows(
        "call.yaml:12: A call, turn 2: expected APIConnectionError",
        "*nothing was raised",
        "*after APIConnectionError: Connection error. LiveKit tried again, and recovered; with "
        "more attempts that fail it does not",
    )


def test_a_turn_that_a_tool_made_too_long_names_it(phone):
    result = phone("""
        mode: audio
        mocks: {Host: {book: {returns: booked, delay: 3s}}}
        turns:
          - user: a table for two
            llm: [{call: {book: {people: 2}}}, It is booked.]
            within: 800ms
        """)
    result.shows(
        "call.yaml:7: A call, turn 1: the agent answered 3300 ms after the end of 'a table for "
        "two', and has to within 800 ms: book(people=2) took 3000 ms of that"
    )


@pytest.mark.parametrize(
    ("claim", "line"),
    [
        (
            "interrupted_at: 1.5s",
            (
                "call.yaml:9: A call, turn 2: expected the agent to be cut off after 1500 ms of "
                "its words, and it was not cut off: min_words is 2, and 'wait' was heard"
            ),
        ),
        (
            "expect: [{message: {contains: We have, interrupted: true}}]",
            "*the agent was not stopped: min_words is 2, and 'wait' was heard",
        ),
    ],
)
def test_words_that_did_not_interrupt_say_why(phone, claim, line):
    result = phone(f"""
        mode: audio
        session: {{turn_handling: {{interruption: {{min_words: 2}}}}}}
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
          - interrupt: {{text: wait, after: 1s}}
            {claim}
        """)
    result.outcomes(failed=1)
    result.shows(line)


def test_a_backchannel_that_stops_the_agent_says_why_and_what_to_write(phone):
    scenario = """
        mode: audio%s
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
          - backchannel: {text: uh-huh, after: 1s}
            expect: [{message: We have one at seven and another one at nine.}]%s
        """
    result = phone(scenario % ("", ""))
    result.outcomes(failed=1)
    result.shows(
        "call.yaml:8: A call, turn 2: Host asked its model for a completion that nobody scripted",
        "add it to llm: of turn 2 (call.yaml:8)",
        "the backchannel 'uh-huh' was taken for a turn: min_words is 0, and 'uh-huh' was heard; "
        "session: {turn_handling: {interruption: {min_words: 2}}} lets it speak on",
    )
    result = phone(scenario % ("", "\n            llm: [Yes?]"))
    result.shows(
        "call.yaml:9: A call, turn 2: expected message 'We have one at seven and another one at *",
        "the agent stopped for the backchannel: min_words is 0, and 'uh-huh' was heard; "
        "session: {turn_handling: {interruption: {min_words: 2}}} lets it speak on",
    )
    advised = "\n        session: {turn_handling: {interruption: {min_words: 2}}}"
    phone(scenario % (advised, "")).outcomes(passed=1)


def test_a_backchannel_is_not_meant_to_stop_anybody(phone):
    result = phone("""
        mode: audio
        session: {turn_handling: {interruption: {min_words: 2}}}
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
          - backchannel: {text: uh-huh, after: 1s}
            expect: [{message: At seven.}]
        """)
    result.outcomes(failed=1)
    result.shows("call.yaml:10: A call, turn 2: expected message 'At seven.'")
    result.shows_no("*not stopped*")


def test_words_after_which_the_agent_went_on_did_not_interrupt(phone):
    result = phone("""
        mode: audio
        turns:
          - user: a table for two
            llm: [We have one at seven and another one at nine.]
          - interrupt: {text: wait, after: 1s, heard: ""}
            interrupted_at: 1.5s
        """)
    result.outcomes(failed=1)
    result.shows("*, and it was not cut off: it paused, and went on as after a false interruption")


def test_a_silence_in_which_nothing_is_said_says_why(phone):
    result = phone("""
        mode: audio
        turns:
          - silence: 10s
            expect: [{message: Are you still there?}]
        """)
    result.shows(
        "call.yaml:7: A call, turn 1: expected message 'Are you still there?'",
        "*nothing was said: user_away_timeout is 15 s, which had not passed since anybody spoke",
    )


IMPAIRED = """
    mode: audio
    impairments: [%s]
    turns:
      - user: a table for two and a high chair please if you happen to have one
        llm: [For what time would you like to have that table this evening?]
        heard: a table for two and a high chair please if you happen to have one
    """


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("low_quality_microphone", "*, and it was 'a table for two and a chair please*"),
        ("packet_loss", "*, and it was 'a table for*"),
    ],
)
def test_a_bad_line_loses_the_same_words_every_time(phone, name, line):
    first, second = phone(IMPAIRED % name), phone(IMPAIRED % name)
    first.shows(line)
    assert [one for one in first.lines if "it was" in one] == [
        one for one in second.lines if "it was" in one
    ]


def test_noise_makes_the_agent_pause_and_go_on(phone):
    result = phone("""
        mode: audio
        impairments: [background_noise]
        turns:
          - user: a table for two
            llm: [For what time would you like to have that table this evening?]
            heard: nothing
        """)
    result.outcomes(failed=1)
    result.shows("agent *==....*....==*", "*.... paused*")


@pytest.mark.parametrize(
    ("turn", "line"),
    [
        ("{user: hi, at: 1s}", "28: at is for calls; write mode: audio in the scenario"),
        ("{user: {text: hi, heard: ho}}", "*: heard is for calls; write mode: audio in the *"),
        ("{hang_up: true}", "*: hang_up is for calls; write mode: audio in the scenario"),
        ("{silence: 3s}", "*: silence is for calls; write mode: audio in the scenario"),
        ("{dtmf: 1}", "*: dtmf is for calls; write mode: audio in the scenario"),
    ],
)
def test_what_is_for_calls_is_refused_in_text(phone, turn, line):
    result = phone(f"turns: [{turn}]")
    result.outcomes(errors=1)
    result.shows(f"*call.yaml:4:{line.removeprefix('*: ')}" if line[0] != "*" else line)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("mode: adio", "4:11: unknown mode 'adio'; did you mean 'audio'?"),
        ("{mode: audio, turns: [{interrupt: wait}]}", "*: interrupt: when? write interrupt: *"),
        (
            "mode: audio\nimpairments: [noise]",
            "*: unknown impairment 'noise'; there are background_noise, low_quality_microphone, *",
        ),
        ("mode: audio\nvoices: {'': 2s}", "*: a voice for nothing; write the text that is spoken"),
        (
            "mode: audio\nturns: [{backchannel: {text: a, after: 1s}, at: 3s}]",
            "*: at says when, of user, silence, dtmf, hang_up; take it away",
        ),
        (
            "mode: audio\nturns: [{silence: 2s, lasts: 3s}]",
            "*: lasts is for user:, what is said then; take it away",
        ),
        (
            "mode: audio\nturns: [{silence: 2s, heard: ''}]",
            "*5:34: heard is of what the user says; take it away",
        ),
        (
            "mode: audio\nturns: [{hang_up: true, within: 1s}]",
            "*5:37: within: nobody answers a user who has hung up; take it away",
        ),
        (
            "mode: audio\nvoices: {Hi.: soon}",
            "*: a voice cannot be 'soon'; write 250ms, 2s, 1m or*",
        ),
        (
            "mode: audio\nvoices: {It is booked.: 2s, 'It is  booked.': 3s}",
            "*5:33: the voice of 'It is  booked.' stands here twice, first in line 5; keep one",
        ),
        (
            "mode: audio\nturns: [{dtmf: ''}]",
            "*5:20: dtmf: which keys? write a text, such as 12#",
        ),
        (
            "mode: audio\nturns: [{silence: 0}]",
            "*5:23: silence cannot be '0'; write 250ms, 2s, 1m or a number of seconds, more *",
        ),
        (
            "mode: audio\nturns: [{user: {text: a, confidence: 2}}]",
            "*: confidence cannot be '2'; write a number from 0 to 1",
        ),
        ("mode: audio\nturns: [{user: a, at: -1s}]", "*: at cannot be '-1s'; write 250ms, *"),
        (
            "mode: audio\nturns: [{user: {text: a, final: 1}}]",
            "*: final cannot be '1'; write true or false",
        ),
    ],
)
def test_a_mistake_about_calls_is_one_line_with_its_place(phone, said, line):
    said = said if "\n" in said or "{" not in said else said[1:-1].replace(", turns", "\nturns")
    said = said if "turns" in said else f"{said}\nturns: [{{user: a}}]"
    result = phone(said)
    result.outcomes(errors=1)
    result.shows(f"*call.yaml:{line}" if line[0] != "*" else line)


def test_space_in_the_text_of_a_voice_does_not_count(phone):
    result = phone("""
        mode: audio
        voices: {"It is  booked.": {lasts: 3s, ttfb: 1s}}
        turns: [{user: hi, llm: [It is booked.], within: 1300ms}]
        """)
    result.outcomes(passed=1)


def test_a_turn_of_a_text_may_be_cut_short_in_a_call_too(phone):
    result = phone("""
        mode: audio
        turns:
          - user: a table please
            interrupt: 500ms
            llm: [We have one at seven and another one at nine.]
            interrupted_at: 500ms
            expect: [{message: {contains: We have, interrupted: true}}]
        """)
    result.outcomes(passed=1)


def test_a_voice_that_a_scenario_itself_has_is_owed(phone):
    scenario = "mode: audio\nturns: [{user: hi, llm: [Hello.]}]"
    phone(scenario, "agent: host.py:Host\ndefaults: {voices: {Bye.: 1s}}").outcomes(passed=1)
    result = phone(f"voices: {{Bye.: 1s}}\n{scenario}")
    result.outcomes(failed=1)
    result.shows("*: A call: the voice of 'Bye.' (call.yaml:4): the agent never said that; it *")


@pytest.mark.parametrize(
    ("turns", "line"),
    [
        (
            "[{user: a, at: 3s, llm: [Yes?]}, {user: b, at: 2s}]",
            "call.yaml:5: A call, turn 2: {user: b, at: 2s}: it is 3.400 s into the call *",
        ),
        (
            "[{user: a, at: 1500}]",
            (
                "call.yaml:5: A call, turn 1: {user: a, at: 1500s}: that is 25 minutes from now: "
                "write 1500ms, or let a silence pass before"
            ),
        ),
        (
            "[{silence: 3s, at: 1s}, {hang_up: true, at: 2s}]",
            (
                "call.yaml:5: A call, turn 2: {hang_up: true, at: 2s}: it is 4.000 s into the "
                "call already: times count from its beginning"
            ),
        ),
        (
            "[{silence: 2s}, {interrupt: {text: wait, after: 1s}}]",
            (
                "call.yaml:5: A call, turn 2: interrupt: {text: wait, after: 1s}: the agent does "
                "not speak: there is nothing to interrupt"
            ),
        ),
        (
            "[{user: hi, llm: [Hello.]}, {backchannel: {text: mm, after: 1s}}]",
            (
                "call.yaml:5: A call, turn 2: backchannel: {text: mm, after: 1s}: the agent had "
                "finished after 0.4 s"
            ),
        ),
        (
            "[{user: hi, llm: [Hello.]}, {interrupt: {text: wait, after: 200}}]",
            "*: the agent had finished after 0.4 s; 200 means seconds: write 200ms",
        ),
        (
            "[{user: hi, llm: [Hello.]}, {interrupt: {text: wait, after: 5s}}]",
            (
                "call.yaml:5: A call, turn 2: interrupt: {text: wait, after: 5s}: the agent had "
                "finished after 0.4 s"
            ),
        ),
        (
            "[{user: hi, llm: [Hello.]}, {hang_up: true}, {user: are you there?}]",
            (
                "call.yaml:5: A call, turn 3: user: are you there?: nobody hears it: the session "
                "closed (participant_disconnected)"
            ),
        ),
        (
            "[{user: hi, llm: [{stall: true}]}]",
            "call.yaml:5: A call, turn 1: the turn cannot finish: *",
        ),
        (
            "[{user: hi, llm: [Hello.], interrupt: 20s}]",
            "call.yaml:5: A call, turn 1: interrupt: 20s: the agent had finished after 0.4 s; *",
        ),
    ],
)
def test_what_makes_no_sense_in_a_call_is_told_at_its_turn(phone, turns, line):
    phone(f"mode: audio\nturns: {turns}").shows(line)


def test_a_call_is_played_in_this_process(phone):
    result = phone("mode: audio\ntarget: memory\nturns: [{user: hi, llm: [Hello.]}]")
    result.shows("*cannot play it: a call is played in this process*")
    asked = phone(
        "mode: audio\nturns: [{user: hi, llm: [Hello.]}]", arguments=["--lk-target=memory", "-rs"]
    )
    asked.outcomes(skipped=1)
    asked.shows("SKIPPED*--lk-target=memory cannot play it: a call is played in this process *")
