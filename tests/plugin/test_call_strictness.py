"""A call is a test like any other: what must not pass fails it once, in the words that text has."""

from __future__ import annotations

import re

import pytest

DESKS = """
from livekit.agents import function_tool

class Desk(FrontDesk):
    @function_tool
    async def work(self) -> str:
        \"\"\"Work.\"\"\"
        return await self.work_at()

class Enters(Desk):
    async def on_enter(self):
        raise LookupError("no calendar")

class Wrong(Desk):
    async def work_at(self):
        assert 1 + 1 == 3

class Busy(Desk):
    async def work_at(self):
        self.working = asyncio.create_task(asyncio.sleep(3600))
        return "at it"

class Stuck(Desk):
    async def work_at(self):
        await asyncio.Event().wait()

async def ask(voice_call):
    await voice_call.say("hi there", at=1, lasts=1)
    await voice_call.agent_answers()
"""


def test_what_must_not_pass_is_told_as_in_text(calls):
    kinds = {
        "enter": ("Enters", "", "LookupError: no calendar"),
        "wrong": ("Wrong", "call('work'), say('Done.')", "assert (1 + 1) == 3"),
        "none": ("Desk", "", "Desk asked its model for a completion that nobody scripted"),
        "left": ("Desk", "say('Yes?'), say('No.')", "scripted, and never asked for: say('No.')"),
        "busy": ("Busy", "call('work'), say('Done.')", "the task sleep() (made at "),
    }
    tests = "".join(
        f"""
@pytest.mark.lk(agent={agent})
async def test_call_{kind}(voice_call, fake_llm):
    fake_llm.script({steps})
    await ask(voice_call)

@pytest.mark.lk(agent={agent})
async def test_text_{kind}(user_says, fake_llm):
    fake_llm.script({steps})
    await user_says("hi there")
"""
        for kind, (agent, steps, _) in kinds.items()
    )
    result = calls(DESKS + tests)
    result.outcomes(failed=2 * len(kinds))
    told = _told(result)
    for kind, (_, _, line) in kinds.items():
        assert told[f"call_{kind}"] == told[f"text_{kind}"]
        assert line in told[f"call_{kind}"]
    result.shows("> * assert 1 + 1 == 3", "E *request 1, last input: 'hi there'")
    result.shows_no("ERROR test_it.py*", "*contextlib*")


def _told(result):
    """Return what each failed test ends with, without the numbers of the lines."""
    _, *parts = re.split(r"^_+ test_(\w+) _+$", result.stdout, flags=re.MULTILINE)
    parts[-1] = re.sub(r"^=+ short test.*", "", parts[-1], flags=re.MULTILINE | re.DOTALL)
    told = {}
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        lines = [line for line in part.splitlines() if line.startswith("E ")] or part.splitlines()
        told[name] = re.sub(r":\d+", ":*", "\n".join(lines))
    return told


def test_what_may_pass_does(calls):
    result = calls(
        DESKS
        + """
@pytest.mark.lk(agent=Enters, allow=["hook_error"])
async def test_a_hook(voice_call, fake_llm):
    fake_llm.script(say("Yes?"))
    await ask(voice_call)

@pytest.mark.lk(agent=Busy, allow=["leaked_task", "unused_step"])
async def test_a_task_and_a_step(voice_call, fake_llm):
    fake_llm.script(call("work"), say("Done."), say("Anything else?"))
    await ask(voice_call)

@pytest.mark.xfail(strict=True)
@pytest.mark.lk(agent=Wrong)
async def test_a_known_fault(voice_call, fake_llm):
    fake_llm.script(call("work"), say("Done."))
    await ask(voice_call)
"""
    )
    result.outcomes(passed=2, xfailed=1)


def test_a_call_that_hangs_says_on_what(calls):
    result = calls(
        DESKS
        + """
from pytest_lkagent import stall

@pytest.mark.lk(agent=Stuck)
async def test_tool(voice_call, fake_llm):
    fake_llm.script(call("work"), say("Done."))
    await ask(voice_call)

async def test_model(voice_call, fake_llm):
    fake_llm.script(stall())
    await ask(voice_call)

@pytest.mark.lk(timeout=5)
async def test_slow(voice_call, fake_llm):
    fake_llm.script(say("Yes?").timed(ttft=100))
    await ask(voice_call)

@pytest.mark.lk(agent=Stuck)
async def test_closing(voice_call, fake_llm):
    fake_llm.script(call("work"))
    await voice_call.say("hi there")
    await voice_call.silence(5)

@pytest.mark.lk(timeout=5)
async def test_what_the_caller_takes_does_not_count(voice_call, fake_llm):
    fake_llm.script(say("Yes?"))
    await voice_call.silence(100)
    await voice_call.say("a long story", lasts=100)
    await voice_call.agent_answers("Yes?")
"""
    )
    result.outcomes(passed=1, failed=4)
    result.shows(
        "_* test_tool _*",
        "E *Stuck: voice_call.agent_answers() cannot finish: nothing can happen any more; the "
        "tool work waits at test_it.py:*",
        "E *function_call * work()",
        "E *user *[hi there*",
        "E *tools *> work()",
        "_* test_model _*",
        "E *voice_call.agent_answers() cannot finish: *; the model is still at stall() "
        "(test_it.py:*)",
        "_* test_slow _*",
        "E *voice_call.agent_answers() cannot finish: it went on for more than 5 virtual seconds "
        "(as lk(timeout=…) says); the model is still at say('Yes?') (test_it.py:*)",
        "_* test_closing _*",
        "the call cannot finish: the tool work waits at test_it.py:*",
    )


ALONE = """
async def test_one(voice_call, fake_llm, fake_tts):
    fake_tts.voice(lasts=9, ttfb=1)
    fake_llm.script(say("Never mind me."), say("Yes?"))
    await voice_call.say("hi there", at=1, lasts=1, delay=0.4)
    await voice_call.interrupt("wait", after=0.5)
    await voice_call.agent_stops(within=1)
    assert voice_call.timeline.agent

async def test_two(voice_call, fake_llm, fake_tts):
    before = voice_call.timeline
    assert (before.now, before.user, before.agent, before.moments) == (0, (), (), ())
    assert fake_tts.spoken == []
    fake_llm.script(say("Good evening."))
    await voice_call.say("hi there", at=1, lasts=1)
    answer = await voice_call.agent_answers("Good evening.")
    assert (answer.start, answer.end) == (2300, 3167)

async def test_text(agent_session, user_says, fake_llm):
    fake_llm.script(say("Good evening."))
    await user_says("hi there")
    assert agent_session.output.audio is None
"""


def test_nothing_of_a_call_is_left_for_the_next(calls):
    calls(ALONE).outcomes(passed=3)


@pytest.mark.slow
def test_calls_in_the_processes_of_xdist(calls):
    calls(ALONE, "-n2", subprocess=True).outcomes(passed=3)


def test_models_of_the_users_own_are_ours_in_a_call(calls):
    result = calls(
        """
from livekit.agents import function_tool, stt, tts, vad

class Ears(stt.STT):
    def __init__(self):
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))

    async def _recognize_impl(self, *args, **options):
        raise LookupError("no network")

    def stream(self, **options):
        raise LookupError("no network")

class Voice(tts.TTS):
    def __init__(self):
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=24000, num_channels=1
        )

    def synthesize(self, text, **options):
        raise LookupError("no network")

class Activity(vad.VAD):
    def __init__(self):
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.1))

    def stream(self):
        raise LookupError("no model")

class Own(Agent):
    def __init__(self):
        super().__init__(instructions="", stt=Ears(), tts=Voice(), vad=Activity())

    @function_tool
    async def pass_on(self):
        \"\"\"Pass the caller on.\"\"\"
        return Loud(), "passing on"

class Loud(Agent):
    def __init__(self):
        super().__init__(instructions="", tts="cartesia/sonic-3")

    async def on_enter(self):
        self.session.say("I am loud.")

async def converse(voice_call, fake_llm):
    fake_llm.script(say("Yes?"))
    await voice_call.say("hi there", at=1, lasts=1)
    assert (await voice_call.agent_answers("Yes?")).latency == 300

@pytest.mark.lk(agent=Own)
async def test_of_an_agent(voice_call, fake_llm):
    await converse(voice_call, fake_llm)

@pytest.mark.lk(agent=Own)
async def test_of_one_that_is_handed_over_to(voice_call, fake_llm, fake_tts):
    fake_llm.script(call("pass_on"), say("One moment."))
    await voice_call.say("hi there", at=1, lasts=1)
    await voice_call.agent_answers("One moment.")
    assert (await voice_call.agent_answers("I am loud.")).agent == "Loud"
    assert fake_tts.spoken == ["One moment.", "I am loud."]

class TestOfASession:
    @pytest.fixture(params=["objects", "names"])
    def session_options(self, request):
        if request.param == "names":
            return {"stt": "deepgram/nova-3", "tts": "cartesia/sonic-3"}
        return {"stt": Ears(), "tts": Voice(), "vad": Activity()}

    async def test_it(self, voice_call, fake_llm):
        await converse(voice_call, fake_llm)
"""
    )
    result.outcomes(passed=4)


def test_a_user_who_is_silent_for_long_is_away(calls):
    result = calls(
        """
@pytest.fixture
def session_options(request):
    return {"user_away_timeout": request.param} if hasattr(request, "param") else {}

def away(voice_call):
    return [(one.at, one.state) for one in voice_call.timeline.states if one.who == "user"][-1]

async def answered(voice_call, fake_llm):
    fake_llm.script(say("Good evening."))
    await voice_call.say("hi there", at=1, lasts=1)
    return await voice_call.agent_answers("Good evening.")  # until 3167

async def test_15_s_after_the_agent_fell_silent(voice_call, fake_llm):
    await answered(voice_call, fake_llm)
    await voice_call.silence(30)
    assert away(voice_call) == (3167 + 15_000, "away")

@pytest.mark.parametrize("session_options", [4.0], indirect=True)
async def test_or_as_long_as_you_say(voice_call, fake_llm):
    await answered(voice_call, fake_llm)
    await voice_call.silence(30)
    assert away(voice_call) == (3167 + 4_000, "away")

@pytest.mark.parametrize("session_options", [None], indirect=True)
async def test_or_never(voice_call, fake_llm):
    await answered(voice_call, fake_llm)
    await voice_call.silence(30)
    assert away(voice_call)[1] == "listening"

async def test_until_a_word_is_said(voice_call, fake_llm):
    await voice_call.silence(20)
    assert away(voice_call) == (15_000, "away")
    fake_llm.script(say("There you are."))
    await voice_call.say("hello?", at=21, lasts=1)
    assert away(voice_call) == (21_050, "speaking")
    await voice_call.agent_answers("There you are.")
"""
    )
    result.outcomes(passed=4)
