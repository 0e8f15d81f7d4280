"""A caller who speaks while the agent does, or is about to: what stops it, and what history keeps.

The agent says a sentence of 5,533 ms from 2,300 on, and the caller breaks in 1,000 ms later. A
sound lasts until VAD has found silence, 250 ms after it: then LiveKit begins to wait whether words
come of it.
"""

from __future__ import annotations

import pytest

TALK = """
from livekit.agents import AgentTask, RunContext, function_tool

handling = pytest.mark.handling
LONG = "We have a table at seven, and one at nine, and another one at ten if you like that."

async def talk(voice_call, fake_llm):
    fake_llm.script(say(LONG))
    await voice_call.say("a table for two", at=1, lasts=1)

async def interrupt(voice_call, fake_llm, text="no wait please", lasts=1.0, **how):
    await talk(voice_call, fake_llm)
    return await voice_call.interrupt(text, after=1, lasts=lasts, **how)

async def cough(voice_call, fake_llm, lasts=0.6):
    return await interrupt(voice_call, fake_llm, "", lasts)

def kept(voice_call):
    messages = voice_call.session.history.messages()
    return [(one.role, one.text_content.strip(), one.interrupted) for one in messages]
"""


def test_an_interruption_takes_as_much_speech_as_livekit_wants(calls):
    result = calls(
        TALK
        + """
async def stopped_after(voice_call, fake_llm):
    fake_llm.script(say(LONG), say("Fine."))
    await voice_call.say("a table for two", at=1, lasts=1)
    words = await voice_call.interrupt("no wait please", after=1, lasts=1.2)
    spoken = await voice_call.agent_stops(within=2)
    assert (await voice_call.agent_answers("Fine.")).latency == 300
    await voice_call.settle()
    assert kept(voice_call)[1:] == [
        ("assistant", voice_call.timeline.agent[0].text, True),
        ("user", "no wait please", False),
        ("assistant", "Fine.", False),
    ]
    assert LONG == f"{voice_call.timeline.agent[0].text} {voice_call.timeline.agent[0].unsaid}"
    pause = next(iter(spoken.pauses), (spoken.end, None))
    return pause[0] - words.start

async def test_half_a_second_of_it(voice_call, fake_llm):
    assert await stopped_after(voice_call, fake_llm) == 500

@handling(interruption={"min_duration": 1.0})
async def test_or_min_duration(voice_call, fake_llm):
    assert await stopped_after(voice_call, fake_llm) == 1000

@handling(interruption={"min_words": 2})
async def test_or_min_words_as_soon_as_they_are_heard(voice_call, fake_llm):
    assert await stopped_after(voice_call, fake_llm) == 800  # the second ends at 600

@handling(interruption={"min_words": 2})
async def test_fewer_words_are_a_backchannel(voice_call, fake_llm):
    await talk(voice_call, fake_llm)
    await voice_call.backchannel("uh-huh", after=1, lasts=0.6)
    spoken = await voice_call.agent_keeps_talking()
    assert spoken.end - spoken.start == 5533
    await voice_call.settle()
    assert kept(voice_call)[1:] == [("assistant", LONG, False)]

async def test_the_silence_in_which_it_ends_counts(voice_call, fake_llm):
    noise = await cough(voice_call, fake_llm, 0.25)
    spoken = await voice_call.agent_stops(within=0.5)
    assert spoken.pauses[0][0] - noise.start == 500

async def test_speech_that_is_too_short_even_so_does_not(voice_call, fake_llm):
    await cough(voice_call, fake_llm, 0.2)
    await voice_call.agent_keeps_talking()

@handling(interruption={"min_duration": 1.0})
async def test_nor_does_a_longer_one_where_you_say_so(voice_call, fake_llm):
    await cough(voice_call, fake_llm, 0.7)
    await voice_call.agent_keeps_talking()

async def test_words_stop_it_however_short(voice_call, fake_llm):
    fake_llm.script(say(LONG), say("Fine."))
    await voice_call.say("a table for two", at=1, lasts=1)
    words = await voice_call.interrupt("no", after=1, lasts=0.2)
    spoken = await voice_call.agent_stops(within=0.4)
    await voice_call.agent_answers("Fine.")
    assert voice_call.timeline.agent[0].end - words.start == 400  # when it was recognised
"""
    )
    result.outcomes(passed=8)


def test_an_interruption_that_was_none_ends_after_the_timeout(calls):
    result = calls(
        TALK
        + """
async def resumed_after(voice_call, fake_llm, **how):
    noise = await interrupt(voice_call, fake_llm, "", 0.6, **how)
    await voice_call.agent_stops(within=0.5)
    spoken = await voice_call.agent_resumes()
    await voice_call.settle()
    (pause,) = voice_call.timeline.agent[0].pauses
    assert pause[0] == noise.start + 500
    assert voice_call.timeline.agent[0].end - spoken.start == 5533 + pause[1] - pause[0]
    assert kept(voice_call)[1:] == [("assistant", LONG, False)]
    return pause[1] - noise.end

async def test_two_seconds_after_vad_found_silence(voice_call, fake_llm):
    told = []
    voice_call.session.on("agent_false_interruption", told.append)
    assert await resumed_after(voice_call, fake_llm) == 2250
    assert [event.resumed for event in told] == [True]

@handling(interruption={"false_interruption_timeout": 0.5})
async def test_or_as_long_as_you_say(voice_call, fake_llm):
    assert await resumed_after(voice_call, fake_llm) == 750

async def test_what_was_heard_in_part_and_never_whole_is_none(voice_call, fake_llm):
    await interrupt(voice_call, fake_llm, final=False)
    await voice_call.agent_stops(within=0.5)
    spoken = await voice_call.agent_resumes(within=2.25)
    assert not spoken.interrupted

async def test_a_transcript_that_comes_in_the_pause_ends_it(voice_call, fake_llm):
    fake_llm.script(say(LONG), say("Fine."))
    await voice_call.say("a table for two", at=1, lasts=1)
    await voice_call.interrupt("no wait", after=1, lasts=0.6, delay=2)
    await voice_call.agent_stops(within=0.5)
    assert (await voice_call.agent_answers("Fine.")).latency == 2000
    assert voice_call.timeline.agent[0].interrupted

async def test_another_noise_in_the_pause_makes_it_longer(voice_call, fake_llm):
    await interrupt(voice_call, fake_llm, "", 0.6)
    await voice_call.agent_stops(within=0.5)
    await voice_call.silence(1)
    again = await voice_call.say("", at=voice_call.now, lasts=0.6)
    spoken = await voice_call.agent_resumes(within=2.25)
    assert spoken.pauses[0][1] - again.end == 2250
    with pytest.raises(AssertionError, match="went on 2250 ms after the end of '', and has to"):
        await voice_call.agent_resumes(within=2.2)

@pytest.mark.parametrize("how", [
    pytest.param("off", marks=handling(interruption={"resume_false_interruption": False})),
    pytest.param("never", marks=handling(interruption={"false_interruption_timeout": None})),
])
async def test_without_resuming_it_is_an_interruption(how, voice_call, fake_llm):
    noise = await cough(voice_call, fake_llm)
    spoken = await voice_call.agent_stops(within=0.5)
    await voice_call.agent_keeps_silent(12)
    assert spoken.interrupted
    assert spoken.end == noise.start + 500
    assert f"{spoken.text} {spoken.unsaid}" == LONG
    assert kept(voice_call)[1:] == [("assistant", "We have a table at", True)]
    with pytest.raises(AssertionError, match="the agent did not go on after"):
        await voice_call.agent_resumes()
"""
    )
    result.outcomes(passed=7)


def test_speech_that_cannot_be_interrupted_is_spoken_to_its_end(calls):
    result = calls(
        TALK
        + """
class Firm(FrontDesk):
    async def on_enter(self):
        self.session.say(LONG, allow_interruptions=False)

def is_spoken_to_its_end(voice_call):
    (spoken,) = voice_call.timeline.agent
    assert (spoken.end - spoken.start, spoken.pauses) == (5533, ())
    assert ("user", "no wait please", False) not in kept(voice_call)

@pytest.mark.lk(agent=Firm)
async def test_recognition_hears_nothing(voice_call):
    words = await voice_call.interrupt("no wait please", after=1, lasts=1)
    await voice_call.agent_keeps_talking()
    await voice_call.settle()
    is_spoken_to_its_end(voice_call)
    assert voice_call.timeline.user[0].heard == ""

@pytest.mark.lk(agent=Firm)
@handling(interruption={"discard_audio_if_uninterruptible": False})
async def test_but_with_discard_audio_off_and_is_not_answered_either(voice_call):
    await voice_call.interrupt("no wait please", after=1, lasts=1)
    await voice_call.agent_keeps_talking()
    await voice_call.settle()
    is_spoken_to_its_end(voice_call)
    assert voice_call.timeline.user[0].heard == "no wait please"

@handling(interruption={"enabled": False})
async def test_no_speech_of_a_session_without_interruptions(voice_call, fake_llm):
    await interrupt(voice_call, fake_llm)
    await voice_call.agent_keeps_talking()
    await voice_call.settle()
    is_spoken_to_its_end(voice_call)
    assert voice_call.timeline.user[1].heard == ""

@pytest.mark.lk(agent=Firm)
async def test_what_is_said_after_it_is_heard(voice_call, fake_llm):
    await voice_call.interrupt("no wait please", after=1, lasts=1)
    fake_llm.script(say("Yes?"))
    await voice_call.say("hello?")
    assert (await voice_call.agent_answers("Yes?")).latency == 300
"""
    )
    result.outcomes(passed=4)


def test_an_answer_can_be_interrupted_before_it_is_heard(calls):
    result = calls(
        TALK
        + """
async def interrupt_early(voice_call, fake_llm, fake_tts, text):
    fake_tts.voice(ttfb=1.5)  # it would speak from 3800 on
    await talk(voice_call, fake_llm)
    await voice_call.say(text, at=2.8, lasts=0.8)

async def test_words_take_its_place(voice_call, fake_llm, fake_tts):
    await interrupt_early(voice_call, fake_llm, fake_tts, "for eight")
    fake_llm.script(say("Fine."))
    assert (await voice_call.agent_answers("Fine.")).latency == 300 + 1500
    await voice_call.settle()
    assert kept(voice_call) == [
        ("user", "a table for two", False),
        ("user", "for eight", False),
        ("assistant", "Fine.", False),
    ]
    assert len(voice_call.timeline.agent) == 1

async def test_a_noise_delays_it(voice_call, fake_llm, fake_tts):
    await interrupt_early(voice_call, fake_llm, fake_tts, "")
    answer = await voice_call.agent_answers("We have a table")
    assert answer.start == 3600 + 2250  # as after a false interruption
    assert not answer.interrupted
"""
    )
    result.outcomes(passed=2)


def test_an_interruption_during_a_tool_lets_the_tool_finish(calls):
    result = calls(
        TALK
        + """
class Slow(FrontDesk):
    @function_tool
    async def look(self) -> str:
        \"\"\"Look for a table.\"\"\"
        await asyncio.sleep(4)
        return "one at seven"

class Firm(FrontDesk):
    @function_tool
    async def look(self, ctx: RunContext) -> str:
        \"\"\"Look for a table.\"\"\"
        ctx.disallow_interruptions()
        await asyncio.sleep(4)
        return "one at seven"

async def speak_meanwhile(voice_call, text, at):
    await voice_call.say("a table for two", at=1, lasts=1)
    await voice_call.say(text, at=at, lasts=1)

def looked(voice_call):
    (tool,) = voice_call.timeline.tools
    return tool.start, tool.end

@pytest.mark.lk(agent=Slow)
async def test_words_are_answered_after_it_and_in_the_place_of_its_result(voice_call, fake_llm):
    fake_llm.script(call("look"), say("For three then."))
    await speak_meanwhile(voice_call, "no for three", 3)
    answer = await voice_call.agent_answers("For three then.")
    assert (*looked(voice_call), answer.start) == (2300, 6300, 6300)
    await voice_call.settle()
    assert [str(one) for one in fake_llm.requests[-1].messages[1:3]] == [
        "look()", "look -> 'one at seven'",
    ]
    assert kept(voice_call) == [
        ("user", "a table for two", False),
        ("user", "no for three", False),
        ("assistant", "For three then.", False),
    ]

@pytest.mark.lk(agent=Slow)
async def test_a_noise_changes_nothing(voice_call, fake_llm):
    fake_llm.script(call("look"), say("At seven."))
    await speak_meanwhile(voice_call, "", 3)
    assert (await voice_call.agent_answers("At seven.")).start == 6300

@pytest.mark.lk(agent=Slow)
async def test_one_at_its_end_delays_the_answer(voice_call, fake_llm):
    fake_llm.script(call("look"), say("At seven."))
    await speak_meanwhile(voice_call, "", 5.8)
    assert (await voice_call.agent_answers("At seven.")).start == 6800 + 2250

@pytest.mark.lk(agent=Firm)
async def test_where_it_disallows_that_both_are_answered(voice_call, fake_llm):
    fake_llm.script(call("look"), say("Yes?"), say("At seven."))
    await speak_meanwhile(voice_call, "are you there", 3)
    assert (await voice_call.agent_answers("Yes?")).latency == 300
    assert (await voice_call.agent_answers("At seven.")).start == looked(voice_call)[1] == 6300

class AskName(AgentTask[str]):
    def __init__(self):
        super().__init__(instructions="You ask for a name.")

    async def on_enter(self):
        self.session.say("What is your name?")

    @function_tool
    async def take_name(self, name: str):
        \"\"\"Take the name.\"\"\"
        self.complete(name)

class Asks(FrontDesk):
    @function_tool
    async def ask(self) -> str:
        \"\"\"Ask for a name.\"\"\"
        return f"it is {await AskName()}"

@pytest.mark.lk(agent=Asks)
async def test_a_task_inside_of_it_is_answered_before_it_has_asked(voice_call, fake_llm):
    fake_llm.script(call("ask"), call("take_name", name="Ann"), say("Hello Ann."))
    await voice_call.say("a table for two", at=1, lasts=1)
    await voice_call.interrupt("Ann", after=0.5, lasts=0.2)
    await voice_call.agent_stops(within=0.4)
    answer = await voice_call.agent_answers("Hello Ann.")
    assert (answer.agent, answer.latency) == ("Asks", 300)
    assert "ask -> 'it is Ann'" in map(str, fake_llm.requests[-1].messages)
    cut = voice_call.timeline.agent[0]
    assert (cut.agent, cut.interrupted) == ("AskName", True)
"""
    )
    result.outcomes(passed=5)


def test_a_hand_over_takes_no_words_until_it_is_done(calls):
    result = calls(
        TALK
        + """
class Waiter(FrontDesk):
    async def on_enter(self):
        self.session.say("I am the waiter.")

class Host(FrontDesk):
    @function_tool
    async def pass_on(self):
        \"\"\"Pass the caller on.\"\"\"
        return Waiter(), "passing on"

    async def on_exit(self):
        await asyncio.sleep(2)

pytestmark = pytest.mark.lk(agent=Host)

async def pass_on(voice_call, fake_llm):
    fake_llm.script(call("pass_on"), say("One moment."))
    await voice_call.say("the waiter please", at=1, lasts=1)
    answer = await voice_call.agent_answers("One moment.")
    assert (answer.start, answer.agent) == (2300, "Host")

async def test_who_speaks_meanwhile_is_not_answered(voice_call, fake_llm):
    await pass_on(voice_call, fake_llm)
    await voice_call.say("hello?", at=3.5, lasts=0.5)
    assert (await voice_call.agent_answers("I am the waiter.")).agent == "Waiter"
    await voice_call.settle()
    assert voice_call.timeline.user[1].heard == "hello?"
    assert ("user", "hello?", False) not in kept(voice_call)

async def test_who_speaks_across_its_end_is_answered_by_the_next(voice_call, fake_llm):
    await pass_on(voice_call, fake_llm)
    fake_llm.script(say("Hello."))
    await voice_call.say("hello, is there anybody?", at=4.25, lasts=2)
    assert (await voice_call.agent_answers("Hello.")).latency == 300
    assert kept(voice_call)[2:] == [
        ("assistant", "I am the", True), ("user", "hello, is there anybody?", False),
        ("assistant", "Hello.", False),
    ]
    cut = voice_call.timeline.agent[1]
    assert (cut.agent, cut.start, cut.end, cut.unsaid) == ("Waiter", 4300, 4800, "waiter.")
"""
    )
    result.outcomes(passed=2)


def test_a_call_is_the_same_where_frames_go_together_and_where_they_come_one_by_one(calls):
    result = calls(
        """
import asyncio
from pytest_lkagent.fake import audio

FRAMES, LANES = {}, {}

@pytest.fixture(autouse=True, params=["together", "one by one"])
def how(request, monkeypatch):
    if request.param == "one by one":
        monkeypatch.setattr("pytest_lkagent.voice.line.Line._is_heeded", lambda line: True)
    send = audio.FakeAudioInput._send
    def count(*frame):
        FRAMES[request.param] = FRAMES.get(request.param, 0) + 1
        send(*frame)
    monkeypatch.setattr(audio.FakeAudioInput, "_send", count)
    return request.param

async def test_it(voice_call, fake_llm, agent_session, how):
    fake_llm.script(say("For what time?"), say("Two at seven, then."))
    fake_llm.script(say("Goodbye, until tomorrow."))
    await voice_call.say("a table for two please", at=1, lasts=3)
    await voice_call.agent_answers("For what time?")
    loop = asyncio.get_running_loop()
    loop.call_later(5.03, agent_session.say, "By the way, we close at nine today.")
    await voice_call.say("Wednesday, and we are", at=voice_call.now + 5, lasts=4)
    await voice_call.settle()
    await voice_call.say("that is all, thank you", lasts=2)
    fake_llm.script(say("I wait."))
    await voice_call.interrupt("wait a moment please", after=0.4)
    await voice_call.settle()
    fake_llm.script(say("On Friday, then."))
    await voice_call.say("it is")
    await voice_call.say("for Friday", at=voice_call.now + 0.13)
    await voice_call.agent_answers()
    await voice_call.settle()
    loop.call_later(2.12, agent_session.say, "We are closed on Friday.")
    await voice_call.say("or for Saturday", at=voice_call.now + 1, lasts=1)
    fake_llm.script(say("On Saturday."))
    await voice_call.settle()
    timeline = voice_call.timeline
    LANES[how] = [*map(str, [*timeline.agent, *timeline.moments]), *timeline.lanes()]

def test_they_are(how):
    assert LANES["together"] == LANES["one by one"]
    by_the_way, goodbye = (line for line in LANES["together"] if "interrupted=True" in line)
    assert by_the_way.startswith("AgentSpeech(start=10263, end=10733, text='By the'")
    assert "text='Goodbye" in goodbye
    assert FRAMES["together"] < FRAMES["one by one"] * 0.7, FRAMES
"""
    )
    result.outcomes(passed=4)


@pytest.mark.slow
def test_so_are_calls_that_nobody_thought_of(calls):
    result = calls(
        """
import asyncio
import random

LANES = {}

@pytest.mark.lk(allow=["unused_step"])
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("how", ["together", "one by one"])
async def test_it(voice_call, fake_llm, agent_session, monkeypatch, seed, how):
    if how == "one by one":
        monkeypatch.setattr("pytest_lkagent.voice.line.Line._is_heeded", lambda line: True)
    chance = random.Random(seed)

    def words():
        some = chance.choices("a reservation for Wednesday evening please".split(), k=3)
        return f"{' '.join(some)}."

    for _ in range(40):
        step = chance.choice([say(words()), say(words() + words()), call("book", slot="2pm")])
        fake_llm.script(step.timed(ttft=chance.choice([0, 0.13, 0.5]), duration=0.5))
    for _ in range(chance.randint(2, 9)):
        later = round(chance.uniform(0, 20), 3)
        asyncio.get_running_loop().call_later(later, agent_session.say, words())
    for _ in range(6):
        pause = chance.choice([0, 0.05, 0.11, 0.2, 0.25, 0.26, 0.31, 0.9, 4])
        await voice_call.say(
            words(),
            at=voice_call.now + pause,
            lasts=chance.choice([0.3, 0.52, 1.7, 4]),
            delay=chance.choice([0, 0.2, 0.6]),
            end_of_turn=chance.choice([0.2, 1.0]),
        )
    await asyncio.sleep(20)
    timeline = voice_call.timeline
    assert timeline.user and timeline.agent
    LANES[how, seed] = [
        *map(str, [*timeline.user, *timeline.agent, *timeline.states, *timeline.moments])
    ]

@pytest.mark.parametrize("seed", range(20))
def test_they_are(seed):
    assert LANES["together", seed] == LANES["one by one", seed]
"""
    )
    result.outcomes(passed=60)
