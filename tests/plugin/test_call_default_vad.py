"""LiveKit's own voice detection on sound that is made up: it hears what ours is told.

A pure tone is no speech to it. Vowels are: harmonics of a voice's pitch, louder near the formants,
at four syllables a second.
"""

from __future__ import annotations

import pytest

pytest.importorskip("livekit.local_inference", reason="LiveKit's model is not installed")

CONFTEST = '''
import math
from array import array
from functools import lru_cache

import pytest
from agent import FrontDesk
from livekit import rtc
from livekit.agents import AgentSession, inference
from pytest_lkagent.fake import audio
from pytest_lkagent.fake.sound import SAMPLE_RATE
from pytest_lkagent.voice import line

FORMANTS = [(700, 1220, 2600), (300, 2300, 3000), (500, 900, 2500), (450, 1700, 2500)]
PITCH, SYLLABLES_A_SECOND, LOUD = 120, 4, 20000
HARMONICS = range(1, 4000 // PITCH)


@pytest.fixture
def agent():
    return FrontDesk


def vowel(formants):
    """How loud each harmonic is: the nearer to a formant, the louder."""
    near = list(zip(formants, (1, 0.6, 0.3)))
    heard = [
        sum(share / (1 + ((harmonic * PITCH - at) / 100) ** 2) for at, share in near)
        for harmonic in HARMONICS
    ]
    return [one / sum(heard) for one in heard]


VOWELS = [vowel(formants) for formants in FORMANTS]


@lru_cache
def sample(place):
    seconds = place / SAMPLE_RATE
    syllable = seconds * SYLLABLES_A_SECOND
    pitch = PITCH * (seconds - 0.01 * math.cos(8 * seconds))  # a voice goes up and down
    tone = sum(
        loud * math.sin(harmonic * 2 * math.pi * pitch)
        for harmonic, loud in zip(HARMONICS, VOWELS[int(syllable) % len(VOWELS)])
    )
    return round(LOUD * math.sin(math.pi * (syllable % 1)) * tone)


@pytest.fixture
def voice(request):
    return getattr(request, "param", sample)


class LongSilence(audio.FakeAudioInput):
    """It hears speech for 0.1 s after there was any, and counts silence from there.

    What it hears, it hears in frames of its own, when they come: all matter.
    """

    patience = property(lambda self: [0.6], lambda self, _: None)

    def __init__(self, is_lost, is_heeded):
        super().__init__(is_lost)


@pytest.fixture(autouse=True)
def default_vad(monkeypatch, voice):
    """Let the call have LiveKit's VAD, and the user a voice."""
    silent = audio.frame_of

    def frame_of(seconds, sound=None):
        frame = silent(seconds, sound)
        if sound is None:
            return frame
        began, samples = round(sound.start * SAMPLE_RATE), frame.samples_per_channel
        heard = array("h", map(voice, range(began, began + samples)))
        return rtc.AudioFrame(heard.tobytes(), SAMPLE_RATE, 1, samples, userdata=frame.userdata)

    monkeypatch.setattr(audio, "frame_of", frame_of)
    monkeypatch.setattr(line, "FakeVAD", inference.VAD)
    monkeypatch.setattr(line, "FakeAudioInput", LongSilence)
'''

CALL = """
import math

from livekit.agents import AgentSession

LONG = "We have a table at seven, and one at nine on the terrace."

def states_of_the_user(voice_call):
    return [one.state for one in voice_call.timeline.states if one.who == "user"]

async def test_it_is_the_one_that_a_session_has(voice_call):
    vad = voice_call.session.vad
    assert type(vad) is type(AgentSession().vad)
    assert (vad.model, vad.provider) == ("silero", "livekit-local-inference")

async def test_it_hears_the_user_begin_and_end(voice_call, fake_llm):
    fake_llm.script(say(LONG), say("Seven it is."))
    await voice_call.say("a table for two", at=1, lasts=1.5)
    await voice_call.agent_answers()
    await voice_call.interrupt("at seven", after=1, lasts=1)
    await voice_call.agent_stops()
    await voice_call.agent_answers("Seven it is.")
    first, *_, last = states_of_the_user(voice_call)
    assert (first, last) == ("speaking", "listening")
    assert [one.heard for one in voice_call.timeline.user] == ["a table for two", "at seven"]

@pytest.mark.parametrize("voice", [
    pytest.param(lambda place: 0, id="silence"),
    pytest.param(lambda place: round(8000 * math.sin(place / 16000 * 440 * math.tau)), id="tone"),
], indirect=True)
async def test_it_hears_nobody_where_nobody_speaks(voice_call):
    await voice_call.say("", at=1, lasts=1.5)
    await voice_call.silence(1)
    assert states_of_the_user(voice_call) == []
"""


def test_livekits_default_vad_hears_a_voice_that_is_made_up(desk):
    files = {"conftest.py": CONFTEST, "test_it.py": CALL}
    desk(files).run().outcomes(passed=4)
