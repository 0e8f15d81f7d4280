"""When a turn of the caller is over, and how soon the agent answers: to the millisecond.

Figures count from the end of the caller's words. 200 ms later speech recognition finds what they
were, 250 ms later VAD that they are over, and 300 ms later, LiveKit's min_delay for a session that
brings no turn detector, the turn is.
"""

from __future__ import annotations

ANSWER = """
from livekit.agents import inference

handling = pytest.mark.handling

async def answer_to(voice_call, fake_llm, text="a table for two", *, ttft=0, **how):
    fake_llm.script(say("For what time?").timed(ttft=ttft))
    await voice_call.say(text, at=1, lasts=1.5, **how)
    return await voice_call.agent_answers("For what time?")

async def latency(voice_call, fake_llm, **how):
    return (await answer_to(voice_call, fake_llm, **how)).latency

def heard_in(voice_call):
    return voice_call.timeline.user[0].heard

def turns(voice_call):
    return [moment.text for moment in voice_call.timeline.moments if moment.kind == "turn"]
"""


def test_the_end_of_a_turn_waits_for_the_delays_of_endpointing(calls):
    result = calls(
        ANSWER
        + """
async def test_min_delay_counts_from_the_last_word(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 300

@handling(endpointing={"min_delay": 0.1})
async def test_a_shorter_one_is_over_before_vad_has_found_silence(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 250

@handling(endpointing={"min_delay": 1.2})
async def test_a_longer_one_lets_the_caller_think(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 1200

async def test_a_turn_that_is_unlikely_over_waits_for_max_delay(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.49) == 2500

async def test_one_that_is_likely_over_does_not(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.5) == 300

@handling(endpointing={"max_delay": 5.0})
async def test_max_delay_is_the_users_to_say(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.2) == 5000

async def test_who_goes_on_in_time_says_one_turn(voice_call, fake_llm):
    await voice_call.say("a table", at=1, lasts=0.5, end_of_turn=0.1)
    fake_llm.script(say("For what time?"))
    await voice_call.say("for two", at=3.5, lasts=0.5)
    assert (await voice_call.agent_answers("For what time?")).latency == 300
    assert turns(voice_call) == ["a table for two"]

async def test_who_goes_on_later_says_two(voice_call, fake_llm):
    fake_llm.script(say("For how many?"))
    await voice_call.say("a table", at=1, lasts=0.5)
    await voice_call.agent_answers("For how many?")
    fake_llm.script(say("For what time?"))
    await voice_call.say("for two", at=4, lasts=0.5)
    await voice_call.agent_answers("For what time?")
    assert turns(voice_call) == ["a table", "for two"]

@handling(endpointing={"mode": "dynamic", "min_delay": 0.8})
async def test_dynamic_endpointing_begins_at_its_min_delay(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 800
"""
    )
    result.outcomes(passed=9)


def test_preemptive_generation_begins_with_the_transcript(calls):
    result = calls(
        ANSWER
        + """
off = handling(preemptive_generation={"enabled": False})

async def test_a_model_that_takes_no_longer_than_the_delay_costs_nothing(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, ttft=0.1) == 300  # 200 to 300

@off
async def test_without_it_the_model_begins_when_the_turn_is_over(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, ttft=0.1) == 400

async def test_a_slower_model_costs_the_rest(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, ttft=1) == 1200

async def test_it_begins_with_a_preflight_transcript(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, ttft=0.5, delay=0.4, preflight=True) == 700

async def test_where_there_is_none_with_the_final_one(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, ttft=0.5, delay=0.4) == 900

async def test_the_voice_begins_when_the_turn_is_over(voice_call, fake_llm, fake_tts):
    fake_tts.voice(ttfb=0.3)
    assert await latency(voice_call, fake_llm) == 600

@handling(preemptive_generation={"preemptive_tts": True})
async def test_but_with_preemptive_tts_before(voice_call, fake_llm, fake_tts):
    fake_tts.voice(ttfb=0.3)
    assert await latency(voice_call, fake_llm) == 500

@handling(preemptive_generation={"max_speech_duration": 1.0})
async def test_words_that_are_too_long_are_not_answered_before_their_end(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, ttft=0.35) == 650  # and not 550

class Rewrites(FrontDesk):
    async def on_user_turn_completed(self, turn_ctx, new_message):
        new_message.content = ["a table for three"]

@pytest.mark.lk(agent=Rewrites)
async def test_a_message_that_is_rewritten_is_answered_anew(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, ttft=0.35) == 650  # and not 550
    assert [request.last_input for request in fake_llm.requests] == [
        "a table for two", "a table for three",
    ]
"""
    )
    result.outcomes(passed=9)


def test_a_voice_is_for_what_is_said_and_not_for_what_livekit_throws_away(calls):
    result = calls(
        """
class Rewrites(FrontDesk):
    async def on_user_turn_completed(self, turn_ctx, new_message):
        new_message.content = ["a table for three"]

pytestmark = [
    pytest.mark.lk(agent=Rewrites),
    pytest.mark.handling(preemptive_generation={"preemptive_tts": True}),
]

async def test_one_that_is_not_used(voice_call, fake_llm, fake_tts):
    fake_tts.voice("For two? Yes.", lasts=2)
    fake_llm.when("a table for two", say("For two? Yes."), times=None)
    fake_llm.when("a table for three", say("For three."))
    await voice_call.say("a table for two", at=1)
    await voice_call.agent_answers("For three.")

async def test_one_that_is(voice_call, fake_llm, fake_tts):
    fake_tts.voice("For three.", lasts=2)
    fake_llm.script(say("For three."))
    await voice_call.say("a table for two", at=1)
    spoken = await voice_call.agent_answers("For three.")
    assert spoken.end - spoken.start == 2000

async def test_one_that_fails_once(voice_call, fake_llm, fake_tts):
    fake_tts.voice("For three.", fails=APIConnectionError("gone"))
    fake_llm.script(say("For three."))
    await voice_call.say("a table for two", at=1)
    await voice_call.agent_answers("For three.")
    assert fake_tts.spoken == ["For three."] * 4  # that was thrown away, and this; each twice
"""
    )
    result.outcomes(passed=2, failed=1)
    result.shows(
        "voice('For two? Yes.') (test_it.py:*): the agent never said that: LiveKit threw that "
        "answer away (preemptive_tts)"
    )


def test_a_turn_needs_a_transcript(calls):
    result = calls(
        ANSWER
        + """
async def test_a_late_one_is_answered_at_once(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, delay=0.9) == 900
    assert heard_in(voice_call) == "a table for two"

@pytest.mark.parametrize("lasts", [0.1, 0.4, 2 / 3])
async def test_the_last_word_belongs_to_it_however_long_it_takes(lasts, voice_call, fake_llm):
    fake_llm.script(say("Hello."))
    await voice_call.say("hello?", lasts=lasts)  # 0.4 * 6 / 6 > 0.4
    await voice_call.agent_answers("Hello.")

async def test_a_very_late_one_too(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, delay=7) == 7000

async def test_an_unlikely_end_counts_from_the_words_all_the_same(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, delay=2, end_of_turn=0.1) == 2500

async def test_what_was_not_heard_is_no_turn(voice_call):
    await voice_call.say("a table for two", at=1, heard="")
    await voice_call.agent_keeps_silent(14)
    assert (turns(voice_call), heard_in(voice_call)) == ([], "")

async def test_nor_is_what_recognition_never_made_up_its_mind_about(voice_call):
    told = []
    voice_call.session.on("user_input_transcribed", told.append)
    await voice_call.say("a table for two", at=1, lasts=1.5, final=False)
    await voice_call.agent_keeps_silent(14)
    assert [event.transcript for event in told] == [
        "a", "a table", "a table for", "a table for two",
    ]
    assert not any(event.is_final for event in told)
    assert (turns(voice_call), heard_in(voice_call)) == ([], "")

async def test_one_without_interim_ones_is_enough(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, interim=False) == 300

async def test_wrong_words_are_what_the_agent_answers(voice_call, fake_llm):
    answer = await answer_to(voice_call, fake_llm, heard="a cable for two")
    assert fake_llm.requests[-1].last_input == "a cable for two"
    assert voice_call.timeline.user[0].text == "a table for two"
    assert heard_in(voice_call) == "a cable for two"

async def test_how_sure_recognition_is_comes_with_the_message(voice_call, fake_llm):
    told = []
    voice_call.session.on("user_input_transcribed", told.append)
    await answer_to(voice_call, fake_llm, confidence=0.3, language="de")
    assert voice_call.session.history.messages()[0].transcript_confidence == 0.3
    assert {event.language for event in told} == {"de"}
"""
    )
    result.outcomes(passed=11)


def test_each_way_to_detect_turns_has_its_own_end(calls):
    # where no detector goes by the audio, LiveKit's delays are 0.5 and 3 s
    # with "stt" LiveKit counts min_delay from the end that recognition tells, not from the words'
    result = calls(
        ANSWER
        + """
@handling(turn_detection="vad")
async def test_vad(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.1) == 500  # no detector is asked

@handling(turn_detection=None)
async def test_none_leaves_it_to_vad(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.1) == 500

@handling(turn_detection="stt")
async def test_stt_at_once(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, delay=0) == 500

@handling(turn_detection="stt")
async def test_stt(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 700

@handling(turn_detection="stt")
async def test_stt_that_is_late(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, delay=0.7) == 1200
"""
        + """
@handling(turn_detection="manual")
async def test_manual_turns_end_when_the_program_says(voice_call, fake_llm):
    await voice_call.say("a table", at=1, lasts=0.5)
    await voice_call.agent_keeps_silent(5)
    await voice_call.say("for two", at=8, lasts=0.5)
    fake_llm.script(say("For what time?"))
    voice_call.session.commit_user_turn()
    assert (await voice_call.agent_answers("For what time?")).latency == 500
    assert turns(voice_call) == ["a table for two"]

@handling(turn_detection="manual")
async def test_a_manual_turn_that_ends_late_waits_for_more_transcripts(voice_call, fake_llm):
    await voice_call.say("a table", at=1, lasts=0.5)
    await voice_call.silence(5)
    fake_llm.script(say("For what time?"))
    voice_call.session.commit_user_turn()
    assert (await voice_call.agent_answers("For what time?")).start == 8500  # LiveKit's 2 s

@handling(turn_detection="manual")
async def test_a_manual_turn_can_be_thrown_away(voice_call, fake_llm):
    await voice_call.say("a table", at=1, lasts=0.5)
    voice_call.session.clear_user_turn()
    await voice_call.say("for two", at=8, lasts=0.5)
    await voice_call.silence(1)
    fake_llm.script(say("For what?"))
    voice_call.session.commit_user_turn()
    await voice_call.agent_answers("For what?")
    assert turns(voice_call) == ["for two"]

class Detector:
    model = provider = "mine"

    async def unlikely_threshold(self, language):
        raise LookupError("no model")

    supports_language = predict_end_of_turn = unlikely_threshold

@handling(turn_detection=Detector())
async def test_a_detector_of_the_users_own_is_ours_in_a_call(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.1) == 3000  # LiveKit's for text

@handling(turn_detection=Detector())
async def test_which_finds_the_end_likely(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 500

class Reads(Agent):
    def __init__(self):
        super().__init__(instructions="", turn_detection=Detector())

@pytest.mark.lk(agent=Reads)
async def test_or_one_of_an_agents(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 500

@handling(turn_detection=inference.TurnDetector(version="v1-mini"))
async def test_one_on_audio_has_the_delays_of_the_default(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.1) == 2500

@handling(turn_detection=inference.TurnDetector(version="v1-mini"), endpointing={"max_delay": 4})
async def test_or_the_users(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.1) == 4000

@handling(turn_detection=inference.TurnDetector(version="v1-mini"))
async def test_and_does_not_wait_where_the_end_is_likely(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 300
"""
    )
    result.outcomes(passed=14)
