"""What a failure of a call says of its reasons, as far as the session knows them."""

from __future__ import annotations

import pytest

TALK = """
from livekit.agents import APIStatusError, StopResponse, function_tool

handling = pytest.mark.handling
STORY = "There is a table at seven, and there is another one at nine."

async def talk(voice_call, fake_llm, text=STORY):
    fake_llm.script(say(text))
    await voice_call.say("a table please", at=1, lasts=1)
    await voice_call.agent_answers()
"""


def test_a_slow_tool_is_what_took_the_time(calls):
    result = calls(
        TALK
        + """
class Slow(FrontDesk):
    @function_tool
    async def look(self, day: str) -> str:
        \"\"\"Look at the book.\"\"\"
        await asyncio.sleep(2.5)
        return "free"

@pytest.mark.lk(agent=Slow)
async def test_it(voice_call, fake_llm, mock_tool):
    mock_tool(FrontDesk, "book", returns="booked", delay=0.5)
    fake_llm.script(call("look", day="Friday"), call("book", slot="2pm"), say("It is booked."))
    await voice_call.say("a table please", at=1, lasts=1)
    await voice_call.agent_answers(within=0.8)
"""
    )
    result.outcomes(failed=1)
    result.shows(
        "E *ExpectationError: the agent answered 3300 ms after the end of 'a table please', and "
        "has to within 800 ms: look(day='Friday') took 2500 ms of that, book(slot='2pm') took "
        "500 ms of that"
    )


def test_a_tool_that_was_done_before_took_nothing_of_it(calls):
    result = calls(
        TALK
        + """
async def test_it(voice_call, fake_llm):
    fake_llm.script(call("book", slot="2pm"), say("It is booked."))
    await voice_call.say("a table please", at=1, lasts=1)
    await voice_call.agent_answers()
    fake_llm.script(say("Bye.").timed(ttft=2))
    await voice_call.say("thanks")
    await voice_call.agent_answers(within=0.8)
"""
    )
    result.shows(
        "E *ExpectationError: the agent answered 2200 ms after the end of 'thanks', and has to "
        "within 800 ms: the model (test_it.py:23) took 2000 ms of that"
    )


def test_a_slow_model_is_what_took_the_time(calls):
    result = calls(
        TALK
        + """
async def test_its_first_word_is_late(voice_call, fake_llm):
    fake_llm.script(call("book", slot="2pm").timed(ttft=1.5), say("It is booked.").timed(ttft=0.5))
    await voice_call.say("a table please", at=1, lasts=1)
    await voice_call.agent_answers(within=0.8)

async def test_what_it_says_later_counts_as_long_as_nothing_is_heard(voice_call, fake_llm):
    fake_llm.script(say("There is one. And another.").timed(ttft=0.5, duration=9))
    await voice_call.say("a table please", at=1, lasts=1)
    await voice_call.agent_answers(within=0.8)
"""
    )
    result.outcomes(failed=2)
    result.shows(
        "E *ExpectationError: the agent answered 2200 ms after the end of 'a table please', and "
        "has to within 800 ms: the model (test_it.py:20) took 1500 ms of that, "
        "the model (test_it.py:20) took 500 ms of that",
        "E *ExpectationError: the agent answered 7500 ms after the end of 'a table please', and "
        "has to within 800 ms: the model (test_it.py:25) took 7300 ms of that",
    )


@pytest.mark.parametrize(
    ("mark", "how", "why"),
    [
        (
            'handling(interruption={"min_words": 2})',
            "",
            "min_words is 2, and 'wait' was heard",
        ),
        (
            'handling(interruption={"min_words": 1})',
            ", heard=''",
            "min_words is 1, and nothing was heard",
        ),
        (
            'handling(interruption={"min_duration": 2.0})',
            ", heard='', lasts=0.2",
            "min_duration is 2 s, and it was 0.45 s, the silence counted that ends it",
        ),
        (
            'handling(interruption={"enabled": False})',
            "",
            "what it says allows no interruptions (allow_interruptions)",
        ),
    ],
)
def test_what_kept_words_from_interrupting(calls, mark, how, why):
    result = calls(
        TALK
        + f"""
@{mark}
async def test_it(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.interrupt("wait", after=1{how})
    await voice_call.agent_stops()
"""
    )
    result.outcomes(failed=1)
    result.shows(f"E *ExpectationError: the agent was not stopped by 'wait': {why}")


def test_what_it_takes_to_stop_it_is_what_took_the_time(calls):
    result = calls(
        TALK
        + """
async def stopped(voice_call, fake_llm, within):
    await talk(voice_call, fake_llm)
    fake_llm.script(say("Fine."))
    await voice_call.interrupt("no wait please", after=1, lasts=1.2)
    await voice_call.agent_stops(within=within)

async def test_so_much_of_it(voice_call, fake_llm):
    await stopped(voice_call, fake_llm, 0.3)

@handling(interruption={"min_duration": 0.3})
async def test_or_as_much_as_that_says(voice_call, fake_llm):
    await stopped(voice_call, fake_llm, 0.3)

@handling(interruption={"min_words": 2})
async def test_so_many_words(voice_call, fake_llm):
    await stopped(voice_call, fake_llm, 0.6)

@handling(interruption={"min_duration": 1.0})
async def test_nothing_but_the_end_of_few_words(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    fake_llm.script(say("Fine."))
    await voice_call.interrupt("no", after=1, lasts=0.2)
    await voice_call.agent_stops(within=0.3)
"""
    )
    result.outcomes(failed=3, passed=1)
    result.shows(
        "E *: the agent stopped 500 ms into 'no wait please', and has to within 300 ms: "
        "min_duration is 0.5 s; turn_handling={'interruption': {'min_duration': 0.3}} lets it "
        "stop by then",
        "E *: the agent stopped 800 ms into 'no wait please', and has to within 600 ms: "
        "min_words is 2, and so many had not been heard before",
        "E *: the agent stopped 400 ms into 'no', and has to within 300 ms",
    )


def test_the_silence_that_ends_a_sound_is_that_of_whoever_listens(calls):
    result = calls(
        TALK
        + """
from livekit.agents import vad

class Patient(vad.VAD):
    def __init__(self, seconds):
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.1))
        self.min_silence_duration = seconds

    def stream(self):
        raise LookupError("no model")

@pytest.fixture
def session_options(request):
    given = getattr(request, "param", {})
    return {**given, "turn_handling": {"interruption": {"min_duration": 2.0}}}

own = pytest.mark.parametrize("session_options", [{"vad": Patient(0.55)}], indirect=True)

async def interrupt(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.interrupt("wait", after=1, lasts=0.2, heard="")
    await voice_call.agent_stops()

class Slow(Agent):
    def __init__(self):
        super().__init__(instructions="", vad=Patient(1.0))

async def test_livekits_default(voice_call, fake_llm):
    await interrupt(voice_call, fake_llm)

@own
async def test_a_sessions_own(voice_call, fake_llm):
    await interrupt(voice_call, fake_llm)

@own
@pytest.mark.lk(agent=Slow)
async def test_an_agents_own_before_the_sessions(voice_call, fake_llm):
    await interrupt(voice_call, fake_llm)

class Deaf(Agent):
    def __init__(self):
        super().__init__(instructions="", vad=None)

@pytest.mark.lk(agent=Deaf)
async def test_nobodys(voice_call, fake_llm):
    await interrupt(voice_call, fake_llm)
"""
    )
    result.outcomes(failed=4)
    told = "E *: the agent was not stopped by 'wait': {}"
    short = told.format("min_duration is 2 s, and it was {} s, the silence counted that ends it")
    result.shows(
        short.format("0.45"),
        short.format("0.75"),
        short.format("1.2"),
        told.format("it had said all 3000 ms after that began"),
    )


def test_words_that_were_no_interruption_are_not_answered(calls):
    result = calls(
        TALK
        + """
@handling(interruption={"min_words": 2})
async def test_too_few(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.interrupt("wait", after=1)
    await voice_call.agent_answers()

async def test_not_allowed(voice_call):
    voice_call.session.say(STORY, allow_interruptions=False)
    await voice_call.interrupt("wait", after=0.3)
    await voice_call.agent_answers()

async def test_not_heard_at_the_end_of_a_speech(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.interrupt("thank you", after=3.9, heard="")
    await voice_call.agent_answers()

class Quiet(FrontDesk):
    async def on_user_turn_completed(self, turn_ctx, new_message):
        if new_message.text_content == "stop":
            raise StopResponse

@pytest.mark.lk(agent=Quiet)
@handling(preemptive_generation={"enabled": False})
async def test_but_these_interrupt(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.backchannel("", after=0.5, lasts=0.3)
    await voice_call.agent_resumes()
    await voice_call.interrupt("stop", after=2)
    await voice_call.agent_stops()
    await voice_call.agent_answers()
"""
    )
    result.outcomes(failed=4)
    result.shows(
        "E *: the agent did not answer 'wait': min_words is 2, and 'wait' was heard",
        "E *: the agent did not answer 'wait': what it says allows no interruptions *",
        "E *: the agent did not answer 'thank you': nothing was heard of it",
        "E *: the agent did not answer 'stop'",
    )


def test_a_speech_that_allows_no_interruptions_is_told_from_the_next(calls):
    result = calls(
        TALK
        + """
async def test_it(voice_call, fake_llm):
    voice_call.session.say("This call is recorded.", allow_interruptions=False)
    await voice_call.interrupt("wait", after=0.3, heard="")
    await voice_call.agent_stops()

async def test_too_late(voice_call, fake_llm):
    voice_call.session.say("This call is recorded.")
    await voice_call.interrupt("wait", after=1.4, lasts=0.5)
    await voice_call.agent_stops()
"""
    )
    result.outcomes(failed=2)
    result.shows(
        "E *: the agent was not stopped by 'wait': what it says allows no interruptions *",
        "E *: the agent was not stopped by 'wait': it had said all 67 ms after that began",
    )


def test_an_agent_that_begins_to_speak_during_the_callers_words_stops_for_them(calls):
    result = calls(
        TALK
        + """
async def speak_into(voice_call):
    asyncio.get_running_loop().call_later(1.02, voice_call.session.say, STORY)
    return await voice_call.say("I would like to have a table for seven", at=1, lasts=4, heard="")

async def test_it(voice_call):
    await speak_into(voice_call)
    stopped = await voice_call.agent_stops(within=0.48)
    assert (stopped.start, stopped.pauses[0][0]) == (1020, 1500)
    await voice_call.agent_resumes()

async def test_how_soon(voice_call):
    await speak_into(voice_call)
    await voice_call.agent_stops(within=0.2)

async def test_or_does_not(voice_call):
    await speak_into(voice_call)
    await voice_call.agent_keeps_talking()

@handling(interruption={"enabled": False})
async def test_where_it_does_not(voice_call):
    await speak_into(voice_call)
    await voice_call.agent_keeps_talking()
    await voice_call.agent_stops()
"""
    )
    result.outcomes(passed=1, failed=3)
    result.shows(
        "E *: the agent stopped 480 ms after it began to speak during 'I would like to have a "
        "table for seven', and has to within 200 ms: min_duration is 0.5 s; turn_handling="
        "{'interruption': {'min_duration': 0.2}} lets it stop by then",
        "E *: the agent stopped for 'I would like to have a table for seven': min_words is 0, and "
        "nothing was heard; turn_handling={'interruption': {'min_words': 1}} lets it speak on",
        "E *: the agent was not stopped by 'I would like to have a table for seven': what it says "
        "allows no interruptions (allow_interruptions)",
    )


def test_a_backchannel_that_stops_the_agent_says_why_and_what_lets_it_speak_on(calls):
    result = calls(
        TALK
        + """
async def test_it(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.backchannel("uh-huh, yes", after=1)
    await voice_call.agent_keeps_talking()

@handling(interruption={"min_words": 3})
async def test_so_it_does(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.backchannel("uh-huh, yes", after=1)
    await voice_call.agent_keeps_talking()

async def test_it_is_answered(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.backchannel("uh-huh", after=1, heard="aha")
    await voice_call.settle()

async def test_another_request_is_none_of_its_doing(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.backchannel("", after=1, lasts=0.2)
    await voice_call.say("at seven")
    await voice_call.settle()
"""
    )
    result.outcomes(passed=1, failed=3)
    result.shows(
        "E *: the agent stopped for 'uh-huh, yes': min_words is 0, and 'uh-huh, yes' was heard; "
        "turn_handling={'interruption': {'min_words': 3}} lets it speak on",
        "E *add a step for it: fake_llm.script(say('…'))",
        "E *the backchannel 'uh-huh' was taken for a turn: min_words is 0, and 'aha' was heard; "
        "turn_handling={'interruption': {'min_words': 2}} lets it speak on",
        "E *request 2, last input: 'at seven'",
    )
    assert sum("was taken for a turn" in line for line in result.lines) == 1


def test_of_an_agent_that_never_stops_the_last_seconds_are_shown(calls):
    result = calls(
        TALK
        + """
class Talker(FrontDesk):
    async def on_enter(self):
        self.task = asyncio.create_task(self.talk())

    async def talk(self):
        while True:
            await self.session.say("And another thing is this.")

@pytest.mark.lk(agent=Talker, timeout=60)
async def test_it(voice_call):
    await voice_call.say("stop")
"""
    )
    result.outcomes(failed=1)
    result.shows(
        "E *Stuck: voice_call.say('stop') cannot finish: it went on for more than 60.267 virtual "
        "seconds (as lk(timeout=…) says); the task Talker.talk() (made at test_it.py:*) waits at *",
        "E *Talker is speaking, the user is listening",
        "E *… left out: the first 40.267 s, 23 utterances …",
        "E *|41 s *",
        "E *|60 s*",
        "E *still running:",
    )
    result.shows_no("*also:*", "*AgentSession is closing*")
    assert len(result.lines) < 80


def test_what_goes_wrong_beside_it_is_told_all_the_same(calls):
    result = calls(
        TALK
        + """
class Talker(FrontDesk):
    async def on_enter(self):
        self.tasks = [asyncio.create_task(self.talk()), asyncio.create_task(self.fail())]

    async def talk(self):
        while True:
            await self.session.say("And another thing is this.")

    async def fail(self):
        raise RuntimeError("no such table")

@pytest.mark.lk(agent=Talker, timeout=10)
async def test_it(voice_call):
    await voice_call.say("stop")
"""
    )
    result.outcomes(failed=1)
    result.shows("E *also: RuntimeError('no such table'), raised in the task Talker.fail *")
    result.shows_no("*AgentSession is closing*")


def test_what_was_not_answered_has_an_error_for_a_reason(calls):
    result = calls(
        TALK
        + """
DOWN = APIConnectionError("down")

async def test_of_the_model(voice_call, fake_llm, expect_error):
    fake_llm.script(fail(DOWN))
    await voice_call.say("a table please", at=1)
    with expect_error(APIConnectionError):
        await voice_call.agent_answers()

async def test_of_an_earlier_turn(voice_call, expect_error):
    with expect_error(APIConnectionError):
        await voice_call.say("a table please", at=1, error=DOWN, attempts=4)
        await voice_call.settle()
    await voice_call.say("hello?", heard="")
    await voice_call.agent_answers()

async def test_of_a_session_that_closed(voice_call, fake_llm, fake_tts, expect_close):
    fake_tts.voice(fails=APIStatusError("no credit", status_code=402), attempts=9)
    with expect_close("error"):
        for number in range(4):  # one more than LiveKit bears
            fake_llm.script(say(f"Hello {number}."))
            await voice_call.say("hi there", lasts=0.5)
            await voice_call.settle()
        await voice_call.agent_answers()

async def test_of_a_second_answer(voice_call, fake_llm):
    fake_llm.script(say("Yes?"))
    await voice_call.say("a table please", at=1)
    await voice_call.agent_answers("Yes?")
    await voice_call.session.aclose()
    await voice_call.agent_answers("For how many?")

async def test_who_hung_up(voice_call):
    await voice_call.hang_up(at=1)
    await voice_call.agent_answers()
"""
    )
    result.outcomes(failed=5)
    result.shows(
        "E *: the agent did not answer 'a table please': APIConnectionError: down",
        "E *: the agent did not answer 'hello?': nothing was heard of it",
        "E *: the agent did not answer 'hi there': the session closed on an error: "
        "APIStatusError: message='no credit', *",
        "E *: the agent said nothing after 'Yes?', which the claim before is about: the session "
        "closed (user_initiated)",
        "E *: the agent did not answer: the session closed (participant_disconnected)",
    )


def test_a_silence_that_is_too_short_for_the_user_to_be_away(calls):
    result = calls(
        TALK
        + """
class TestOff:
    @pytest.fixture
    def session_options(self):
        return {"user_away_timeout": None}

    async def test_it(self, voice_call):
        await voice_call.silence(30)
        await voice_call.agent_answers("Are you still there?")

async def test_longer(voice_call):
    await voice_call.silence(14)
    await voice_call.agent_answers("Are you still there?")

async def test_nobody_listens(voice_call):
    await voice_call.silence(16)
    await voice_call.agent_answers("Are you still there?")

async def test_a_noise_asks_nothing(voice_call):
    await voice_call.say("", lasts=0.3)
    await voice_call.agent_answers(within=2)

async def test_nobody_heeds_the_keys(voice_call):
    await voice_call.dtmf("12#")
    await voice_call.agent_answers(within=2)
"""
    )
    result.outcomes(failed=5)
    result.shows(
        "E *: the agent did not answer: LiveKit finds nobody away, as user_away_timeout is None",
        "E *: the agent did not answer: user_away_timeout is 15 s, which had not passed since "
        "anybody spoke",
        "E *: the agent says nothing by itself, and the user has said nothing",
        "E *: the agent did not answer*",
        "E *: the agent did not answer the keys '12#'",
    )
    result.shows_no("*did not answer ''*")


def test_an_error_is_told_with_the_line_that_made_it(calls):
    result = calls(
        TALK
        + """
DOWN = APIConnectionError("down")

async def test_a_voice(voice_call, fake_llm, fake_tts):
    fake_tts.voice(STORY, fails=DOWN, attempts=4)
    fake_llm.script(say(STORY))
    await voice_call.say("a table please", at=1)

async def test_what_is_heard(voice_call, fake_llm):
    await voice_call.say("a table please", at=1, error=DOWN, attempts=4)

async def test_closed(voice_call, fake_llm, fake_tts):
    fake_tts.voice(fails=APIStatusError("no credit", status_code=402), attempts=9)
    for number in range(4):
        fake_llm.script(say(f"Hello {number}."))
        await voice_call.say("hi there", lasts=0.5)
        await voice_call.settle()

@pytest.mark.parametrize("again", [False, True])
async def test_raised(again, user_says, voice_call, fake_llm, fake_tts):
    fake_tts.voice(fails=DOWN, attempts=4)
    fake_llm.script(say(STORY))
    await user_says("a table please")
"""
    )
    result.outcomes(failed=5)
    result.shows(
        "the session failed: APIConnectionError: down; *",
        "  scripted at test_it.py:22: voice('There is a table at seven, and there is another *",
        "  scripted at test_it.py:27: say('a table please')",
        "*the session closed on an error: APIStatusError: message='no credit', *",
        "  scripted at test_it.py:30: voice()",
        "E *APIConnectionError: down",
        "E *scripted at test_it.py:38: voice()",
    )
    assert sum("scripted at" in line for line in result.lines) == 5, str(result)


def test_an_error_from_which_livekit_recovered_is_not_the_one_that_is_expected(calls):
    result = calls(
        TALK
        + """
DOWN = APIConnectionError("down")

async def test_a_voice(voice_call, fake_llm, fake_tts, expect_error):
    fake_tts.voice(STORY, fails=DOWN)
    with expect_error(APIConnectionError):
        await talk(voice_call, fake_llm)

async def test_what_is_heard(voice_call, expect_error):
    with expect_error(APIConnectionError, match="down"):
        await voice_call.say("a table please", at=1, error=DOWN)
        await voice_call.settle()

async def test_a_model(user_says, fake_llm, expect_error):
    fake_llm.script(fail(DOWN, attempts=1), say("Hello."))
    with expect_error(APIConnectionError):
        await user_says("hi")

async def test_another_error(user_says, fake_llm, expect_error):
    fake_llm.script(fail(DOWN, attempts=1), say("Hello."), say("Bye."))
    await user_says("hi")
    with expect_error(APIConnectionError):
        await user_says("bye")
"""
    )
    result.outcomes(failed=4)
    told = (
        "E *BehaviourError: expected APIConnectionError{}, and no such error came: after "
        "APIConnectionError: down LiveKit tried again, and recovered; with more attempts that fail "
        "it does not"
    )
    result.shows(
        told.format(""),
        told.format(" matching 'down'"),
        told.format(""),
        "E *BehaviourError: expected APIConnectionError, and no such error came",
    )


def test_a_call_has_one_session_and_its_start_no_result(calls):
    result = calls(
        TALK
        + """
async def test_another(voice_call, start_session):
    await start_session()

async def test_result(start_result, voice_call):
    pass

class TestTheFirst:
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def mine(self, start_session):
        return await start_session()

    async def test_it(self, mine, voice_call):
        pass
"""
    )
    result.outcomes(failed=1, errors=2)
    result.shows(
        "start_result: a call begins with the session, and its start ends in the midst of it: take "
        "voice_call.agent_answers(), or transcript.start",
    )
    told = (
        "E *UsageError: start_session(): a call has one session, that of voice_call, and nobody "
        "would hear another; say what it is like with lk(agent=…), or the fixtures agent, userdata "
        "and session_options"
    )
    result.shows("> * return await start_session()", told)
    result.shows("> * await start_session()", told)
