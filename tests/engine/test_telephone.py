"""The two ends of the telephone, by themselves."""

from __future__ import annotations

import asyncio
import sys

import pytest

from pytest_lkagent import virtual_time
from pytest_lkagent.fake.audio import FakeAudioInput, FakeAudioOutput
from pytest_lkagent.fake.sound import Utterance, frame_of, sound_in


class Heard:
    """What comes out of the loudspeaker, with the seconds at which it does."""

    def __init__(self, clock):
        self.clock = clock
        self.told = []

    def playout_started(self):
        self.told.append((self.clock.now, "started"))

    def playout_paused(self):
        self.told.append((self.clock.now, "paused"))

    def playout_resumed(self):
        self.told.append((self.clock.now, "resumed"))

    def playout_finished(self, *, interrupted):
        self.told.append((self.clock.now, "cut off" if interrupted else "finished"))


@pytest.mark.asyncio
async def test_a_loudspeaker_that_runs_dry_waits_for_more():
    async with virtual_time() as clock:
        heard = Heard(clock)
        output = FakeAudioOutput(heard)
        await output.capture_frame(frame_of(1.0))
        await asyncio.sleep(3)
        await output.capture_frame(frame_of(1.0))
        output.flush()
        assert (await output.wait_for_playout()).playback_position == 2.0
        assert heard.told == [(0.0, "started"), (4.0, "finished")]


@pytest.mark.asyncio
async def test_a_loudspeaker_knows_how_far_it_came():
    async with virtual_time() as clock:
        heard = Heard(clock)
        output = FakeAudioOutput(heard)
        await output.capture_frame(frame_of(5.0))
        output.flush()
        await asyncio.sleep(1)
        output.pause()
        await asyncio.sleep(10)
        output.resume()
        await asyncio.sleep(0.5)
        output.clear_buffer()
        ended = await output.wait_for_playout()
        assert (ended.playback_position, ended.interrupted) == (1.5, True)
        assert [what for _, what in heard.told] == ["started", "paused", "resumed", "cut off"]


@pytest.mark.asyncio
async def test_a_noise_is_not_heard_over_the_user():
    async with virtual_time():
        microphone = FakeAudioInput()
        words = Utterance(text="two words", lasts=1.0)
        microphone.speak(words)
        await asyncio.sleep(0.5)
        microphone.sound(Utterance(text="", lasts=0.1))
        await asyncio.sleep(5)
        microphone.hang_up()
        sounds = [sound for sound in map(sound_in, [one async for one in microphone]) if sound]
        assert {sound.utterance for sound in sounds} == {words}
        assert [word for sound in sounds for word in sound.words] == ["two", "words"]


WORDS = Utterance(text="a table for two", lasts=1.0)


async def stretches(microphone):
    """Return when in the utterance each frame of it began and ended."""
    await asyncio.sleep(5)
    microphone.hang_up()
    sounds = [sound_in(frame) async for frame in microphone]
    return [(round(one.start, 6), round(one.end, 6)) for one in sounds if one is not None]


@pytest.mark.asyncio
async def test_frames_go_together_where_nobody_is_interrupted():
    async with virtual_time():
        microphone = FakeAudioInput(is_heeded=lambda: False)
        microphone.speak(WORDS)
        told = await stretches(microphone)
        # the beginning of speech, the ends of "a", "table", "for", and the end
        assert told == [(0, 0.05), (0.05, 0.1), (0.1, 0.5), (0.5, 0.75), (0.75, 1)]
        assert [WORDS.words(*one) for one in told] == [[], ["a"], ["table"], ["for"], ["two"]]


@pytest.mark.asyncio
async def test_they_come_one_by_one_from_where_somebody_begins_to_speak():
    async with virtual_time():
        microphone = FakeAudioInput(is_heeded=lambda: False)
        microphone.speak(WORDS)
        await asyncio.sleep(0.32)
        microphone.heed()
        told = await stretches(microphone)
        passed = [(0, 0.05), (0.05, 0.1), (0.1, 0.3)]
        assert told == passed + [
            (round(n * 0.05, 6), round(n * 0.05 + 0.05, 6)) for n in range(6, 20)
        ]


async def silences(microphone):
    """Return the seconds of the frames that came before it hung up and carry no sound."""
    microphone.hang_up()
    return [round(one.duration, 6) async for one in microphone if sound_in(one) is None]


@pytest.mark.asyncio
async def test_silence_comes_in_as_many_frames_as_somebody_takes_note_of():
    async with virtual_time():
        microphone = FakeAudioInput(is_heeded=lambda: False)
        microphone.patience = {0.25, 0.2, 0.53}
        began = asyncio.get_running_loop().time()
        assert microphone.speak(WORDS) - began == pytest.approx(1.55)
        await asyncio.sleep(5)
        assert await silences(microphone) == [0.2, 0.05, 0.3]


@pytest.mark.asyncio
@pytest.mark.parametrize("then", [lambda it: it.heed(), lambda it: it.speak(WORDS)])
async def test_what_has_passed_of_it_is_heard_when_somebody_speaks(then):
    async with virtual_time():
        microphone = FakeAudioInput(is_heeded=lambda: False)
        microphone.patience = {0.25}
        microphone.speak(WORDS)
        await asyncio.sleep(1.17)
        then(microphone)
        assert await silences(microphone) == [0.15]


@pytest.mark.asyncio
async def test_whoever_begins_to_speak_after_the_last_word_changes_nothing():
    async with virtual_time():
        microphone = FakeAudioInput(is_heeded=lambda: False)
        microphone.speak(WORDS)
        await asyncio.sleep(1)
        microphone.heed()
        assert (await stretches(microphone))[-1] == (0.75, 1)


def test_a_moment_of_a_long_speech_costs_as_much_as_one_of_a_short_one():
    def steps(words):
        speech = Utterance(text="word " * words, lasts=words * 0.5)
        assert speech.words(0.0, 1.0) == ["word", "word"]  # and knows now when each is said
        counted = 0

        def count(frame, event, _):
            nonlocal counted
            frame.f_trace_opcodes = True
            counted += event == "opcode"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            moment = speech.words(2.0, 2.5)
        finally:
            sys.settrace(before)
        assert moment == ["word"]
        return counted

    assert steps(10) == steps(1000) > 0
