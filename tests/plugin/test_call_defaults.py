"""What a call takes for granted: LiveKit's own defaults, and the patience of the user's own VAD.

A session that brings nothing waits for 250 ms of silence (``inference.VAD``), and answers 300 ms
after the last word at the earliest, 2,500 at the latest (``inference.TurnDetector``).
"""

from __future__ import annotations

import inspect

from livekit.agents import inference

from pytest_lkagent.fake.vad import FakeVAD

HEARING = """
from livekit.agents import AgentServer, AgentSession, function_tool, inference, vad

class Detector(vad.VAD):
    def __init__(self):
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.1))

    def stream(self):
        raise LookupError("no model")

class Patient(Detector):
    def __init__(self, seconds):
        super().__init__()
        self.min_silence_duration = seconds

async def latency(voice_call, fake_llm, text="Yes?", **how):
    fake_llm.script(say(text))
    await voice_call.say("hi there", lasts=1, **how)
    return (await voice_call.agent_answers(text)).latency
"""


def test_our_vad_counts_speech_and_silence_as_livekits_does():
    ours, theirs = (inspect.signature(made).parameters for made in (FakeVAD, inference.VAD))
    counted = ("min_speech_duration", "min_silence_duration")
    assert [ours[name].default for name in counted] == [theirs[name].default for name in counted]


def test_a_session_with_nothing_given_is_one_of_livekits(calls):
    result = calls(
        HEARING
        + """
def options_of(session):
    options = dict(vars(session.options))
    options["turn_handling"] = dict(options["turn_handling"])
    options["detector"] = hasattr(options["turn_handling"].pop("turn_detection"), "stream")
    options["silence"] = session.vad.min_silence_duration
    options["defaults"] = (session._using_default_vad, not session._turn_detection_explicit)
    return options

async def test_but_for_the_echo_that_is_none(voice_call):
    ours, theirs = options_of(voice_call.session), options_of(AgentSession())
    assert {name for name in theirs if ours[name] != theirs[name]} == {"aec_warmup_duration"}

class TestWhatIsBrought:
    @pytest.fixture
    def session_options(self):
        return {"vad": Patient(0.5), "turn_handling": {"turn_detection": "vad"}}

    async def test_is_no_default(self, voice_call):
        assert options_of(voice_call.session)["defaults"] == (False, False)

async def test_in_figures(voice_call):
    ours = options_of(voice_call.session)
    endpointing = ours["turn_handling"]["endpointing"]
    assert (ours["detector"], ours["silence"]) == (True, 0.25)
    assert (endpointing["min_delay"], endpointing["max_delay"]) == (0.3, 2.5)

async def test_as_a_caller_hears_it(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 300
    assert await latency(voice_call, fake_llm, "Go on.", end_of_turn=0.1) == 2500
"""
    )
    result.outcomes(passed=4)


OWN = """
@pytest.fixture
def agent(where, detector):
    return lambda: Agent(instructions="", **({"vad": detector} if where == "agent" else {}))

@pytest.fixture
def session_options(where, detector):
    return {"vad": detector} if where == "session" else {}

pytestmark = pytest.mark.parametrize("where", ["agent", "session"])
"""


def test_a_vad_of_the_users_own_is_waited_for_as_long_as_it_says(calls):
    result = calls(
        HEARING
        + OWN
        + """
@pytest.mark.parametrize(("detector", "answered"), [
    (Patient(0.27), 300),  # it finds silence before min_delay is over
    (Patient(0.55), 550),  # as the one of LiveKit's Silero plugin
    (inference.VAD(min_silence_duration=0.55), 550),
    (Patient(1.0), 1000),
    (Patient(0.78), 800),  # heard in frames of 50 ms
    (Detector(), 300),  # it does not say
    (Patient(None), 300),
])
async def test_it(answered, voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == answered

@pytest.mark.parametrize("detector", [Patient(1.0)])
async def test_a_cough_becomes_as_much_longer(voice_call, fake_llm):
    fake_llm.script(say("We have a table at seven, and one at nine."))
    await voice_call.say("hi there", lasts=1)
    await voice_call.backchannel("", after=0.5, lasts=0.1)
    await voice_call.agent_stops(within=0.5)
    went_on = await voice_call.agent_resumes()
    assert went_on.pauses[0][1] == voice_call.timeline.user[1].end + 1000 + 2000

@pytest.mark.parametrize("detector", [None])
async def test_without_one_recognition_alone_ends_a_turn(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm, end_of_turn=0.1) == 500  # and no detector is asked
"""
    )
    result.outcomes(passed=18)


def test_a_vad_that_livekit_finds_too_hasty_is_refused_as_in_production(calls):
    result = calls(
        HEARING
        + OWN
        + """
@pytest.mark.parametrize("detector", [Patient(0.2)])
async def test_it(voice_call):
    await voice_call.settle()
""",
        "--show-capture=no",  # LiveKit logs it too, with the frames of all who are in between
    )
    result.outcomes(failed=2)
    result.shows(
        "the start of the session failed: ValueError: vad min_silence_duration=0.2s is too low for "
        "the TurnDetector. Raise the VAD's min_silence_duration to at least 0.25s.; *"
    )


def test_each_agent_of_a_call_has_its_own_patience(calls):
    result = calls(
        HEARING
        + """
class Slow(Agent):
    def __init__(self):
        super().__init__(instructions="", vad=Patient(1.0))

    @function_tool
    async def pass_on(self):
        return FrontDesk(), "passing on"

@pytest.mark.lk(agent=Slow)
async def test_it(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 1000
    fake_llm.script(call("pass_on"), say("One moment."))
    await voice_call.say("the front desk please")
    await voice_call.settle()
    assert await latency(voice_call, fake_llm, "Front desk.") == 300
"""
    )
    result.outcomes(passed=1)


def test_so_does_the_session_of_an_entrypoint(calls):
    result = calls(
        HEARING
        + """
def start(**options):
    server = AgentServer()

    @server.rtc_session()
    async def entrypoint(context):
        await context.connect()
        session = AgentSession(
            stt="deepgram/nova-3", llm="openai/gpt-4.1", tts="cartesia/sonic-2", **options
        )
        await session.start(FrontDesk(), room=context.room)

    return server

@pytest.mark.lk(entrypoint=start())
async def test_with_livekits_own(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 300

@pytest.mark.lk(entrypoint=start(vad=Patient(1.0)))
async def test_with_one_that_it_brings(voice_call, fake_llm):
    assert await latency(voice_call, fake_llm) == 1000
"""
    )
    result.outcomes(passed=2)
