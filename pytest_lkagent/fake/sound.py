"""What the user says, as the frames of the audio carry it.

A frame says in its ``userdata`` which stretch of which utterance it is: that is all that speech
recognition and voice detection have to go by, so that audio which never reaches them, or which
LiveKit replaces by silence, is not heard.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from livekit import rtc

from ..errors import UsageError
from ..sites import Site
from ..times import LONGEST_SPEECH
from ..words import SCRIPTED

__all__ = [
    "SAMPLE_RATE",
    "Failed",
    "Sound",
    "Utterance",
    "check_attempts",
    "check_error",
    "check_seconds",
    "frame_of",
    "sound_in",
]

SAMPLE_RATE = 8_000
"""Of a telephone; what is half as much is copied and looked at in half the time."""

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
        written_at: Where it was written, for the message about its error.
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
    written_at: Site | None = None

    @property
    def as_heard(self) -> str:
        """What recognition takes it for."""
        return self.text if self.heard is None else self.heard

    @property
    def ends_of_words(self) -> Sequence[float]:
        """The second of it at which each word, as it is heard, is complete."""
        return _spread(self)[1]

    def words(self, start: float, end: float) -> list[str]:
        """Return the words, as they are heard, that are complete between these seconds of it."""
        words, ends = _spread(self)
        first, last = (bisect_right(ends, round(place, 6)) for place in (start, end))
        return list(words[first:last])


@lru_cache(maxsize=8)
def _spread(utterance: Utterance) -> tuple[Sequence[str], Sequence[float]]:
    """Return the words, and the second at which each has been said: long ones take longer."""
    words = utterance.as_heard.split()
    letters = sum(map(len, words))
    said = accumulate(map(len, words))
    return words, [round(utterance.lasts * so_far / letters, 6) for so_far in said]


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


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt to speak or to hear that was made to fail, and what says so."""

    error: Exception
    what: str
    written_at: Site | None

    def __str__(self) -> str:
        return f"{SCRIPTED}{self.written_at}: {self.what}"


def check_seconds(given: object, what: str, *, some: bool = False, of_speech: bool = False) -> None:
    """Refuse what are no seconds, or where there have to be `some`, none.

    Raises:
        UsageError: It is no number, is negative, or without end; or so much `of_speech` that
            milliseconds must be meant.
    """
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not is_number or not (given > 0 if some else given >= 0) or given == float("inf"):  # type: ignore[operator]
        is_too_few = is_number and given <= 0  # type: ignore[operator]
        number = "a number" if not is_too_few else "more than 0" if some else "0 or more"
        raise UsageError(f"{what}: how many seconds? write {number}, such as 1.5")
    if of_speech and given > LONGEST_SPEECH:  # type: ignore[operator]
        raise UsageError(
            f"{what}: that is {given / 60:.0f} minutes; times are seconds, "  # type: ignore[operator]
            f"{given / 1000:g} for {given:g} ms"  # type: ignore[operator]
        )


def check_error(given: object, what: str) -> None:
    """Refuse what cannot be raised; None is nothing to raise.

    Raises:
        UsageError: It is no exception.
    """
    if given is not None and not isinstance(given, Exception):
        raise UsageError(
            f"{what} takes an exception, such as APIConnectionError('down'), not {given!r}"
        )


def check_attempts(given: object, what: str, *, fails: bool) -> None:
    """Refuse a number of attempts that is none, or that nothing `fails` in.

    Raises:
        UsageError: It is no number, is below 1, or nothing is raised.
    """
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not is_number or given < 1:  # type: ignore[operator]
        raise UsageError(f"{what}: at least one attempt fails: write a number, such as 2")
    if not fails:
        raise UsageError(
            f"{what}: attempts at what? write the error beside it that these raise, such as "
            "APIConnectionError('down')"
        )


def frame_of(seconds: float, sound: Sound | None = None) -> rtc.AudioFrame:
    """Make a frame of audio, of silence where there is no sound."""
    samples = round(seconds * SAMPLE_RATE)
    return rtc.AudioFrame(
        bytes(2 * samples), SAMPLE_RATE, 1, samples, userdata={} if sound is None else {_KEY: sound}
    )


def sound_in(frame: rtc.AudioFrame) -> Sound | None:
    """Return what a frame carries, None where that is silence."""
    return frame.userdata.get(_KEY)
