"""What the user says, as the frames of the audio carry it.

A frame says in its ``userdata`` which stretch of which utterance it is: that is all that speech
recognition and voice detection have to go by, so that audio which never reaches them, or which
LiveKit replaces by silence, is not heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from livekit import rtc

__all__ = ["SAMPLE_RATE", "Sound", "Utterance", "frame_of", "sound_in"]

SAMPLE_RATE = 16_000
_KEY = "lk_sound"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Utterance:
    """Something that the user says once, and what speech recognition makes of it.

    Args:
        text: What is said, empty for a mere noise.
        lasts: Seconds that it takes.
        heard: What recognition takes it for, None for the text itself.
        confidence: How sure it is of that, from 0 to 1.
        language: The language that it hears, as a code.
        delay: Seconds by which its transcripts come behind the speech.
        interim: Whether it says what it has so far while the user still speaks.
        final: Whether it ever says what it is sure of.
        preflight: Whether it says beforehand what it is nearly sure of, half of the delay before.
        error: What it raises at the end of it, in the place of a transcript.
        attempts: How many of its attempts raise that.
        end_of_turn: How probable a turn detector finds it that the user is done, from 0 to 1.
    """

    text: str
    lasts: float
    heard: str | None = None
    confidence: float = 1.0
    language: str = ""
    delay: float = 0.2
    interim: bool = True
    final: bool = True
    preflight: bool = False
    error: Exception | None = None
    attempts: int = 1
    end_of_turn: float = 1.0

    def words(self, start: float, end: float) -> list[str]:
        """Return the words, as they are heard, that are complete between these seconds of it."""
        return [word for word, done in self._spread() if start < done <= end]

    def _spread(self) -> Iterator[tuple[str, float]]:
        """Walk the words, each with the second at which it has been said: long ones take longer."""
        words = (self.text if self.heard is None else self.heard).split()
        letters = sum(map(len, words))
        said = 0
        for word in words:
            said += len(word)
            yield word, self.lasts * (said / letters)  # the last one at `lasts`, to the digit


@dataclass(frozen=True, slots=True)
class Sound:
    """A stretch of an utterance, in seconds from its beginning."""

    utterance: Utterance
    start: float
    end: float

    @property
    def is_last(self) -> bool:
        return self.end >= self.utterance.lasts

    @property
    def words(self) -> list[str]:
        return self.utterance.words(self.start, self.end)


def frame_of(seconds: float, sound: Sound | None = None) -> rtc.AudioFrame:
    """Make a frame of audio, of silence where there is no sound."""
    samples = round(seconds * SAMPLE_RATE)
    return rtc.AudioFrame(
        bytes(2 * samples), SAMPLE_RATE, 1, samples, userdata={} if sound is None else {_KEY: sound}
    )


def sound_in(frame: rtc.AudioFrame) -> Sound | None:
    """Return what a frame carries, None where that is silence."""
    return frame.userdata.get(_KEY)
