"""Speech synthesis without a voice: silence that lasts as long as the speech would."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from livekit.agents import tts
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectOptions,
    TimedString,
)
from livekit.agents.utils import shortuuid
from livekit.agents.voice import SpeechHandle

from .._livekit_replies import speech_here
from ..errors import UsageError
from ..sites import Site, call_site
from .identity import Fake
from .instants import until
from .sound import SAMPLE_RATE, Failed, check_attempts, check_error, check_seconds

__all__ = ["FakeTTS", "Voice", "seconds_of"]

_LETTERS_A_SECOND = 15.0
"""How fast it speaks: 150 words a minute, as people do."""
_SENTENCE = re.compile(r".*?[.!?…]+[\"')\]]*(?=\s)|.+", re.DOTALL)


def seconds_of(text: str) -> float:
    """Return how long a text takes to say where nobody says otherwise."""
    return round(max(len(text.strip()) / _LETTERS_A_SECOND, 0.1), 3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Voice:
    """How a text is spoken; see `FakeTTS.voice`."""

    text: str | None
    lasts: float | None
    ttfb: float
    error: Exception | None
    after: float
    attempts: int
    written_at: Site | None
    is_owed: bool = True
    """Whether the text has to be said."""
    name: str = "voice()"
    """What its author calls it, for messages."""


@dataclass(kw_only=True, eq=False)
class _Use:
    """A voice, taken for a sentence of a speech."""

    voice: Voice
    sentence: str
    speech: SpeechHandle | None
    """What it is for, where LiveKit did not know yet if that is wanted."""
    failed: bool = False
    is_broken_off: bool = True
    """Whether the text ended in its midst, such as by an interruption."""

    @property
    def counts(self) -> bool:
        """Whether it was for what is wanted; LiveKit throws away what it asked for too early."""
        speech = self.speech
        return speech is None or speech.scheduled or not speech.interrupted


class FakeTTS(Fake, tts.TTS[Any]):
    """A ``tts.TTS`` that speaks each sentence for as long as its text takes.

    `voice` says otherwise, for a text or for all; `spoken` is what it was asked to say.
    """

    def __init__(self, *, aligned: bool = False) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=aligned),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        self.spoken: list[str] = []
        self.said: list[str] = []
        """The part of `spoken` that it said itself, and no realtime model."""
        self.failed: list[Failed] = []
        """What was made to fail so far: of recognition, too."""
        self._voices: list[Voice] = []
        self._uses: dict[Voice, list[_Use]] = {}
        self._default = Voice(
            text=None, lasts=None, ttfb=0.0, error=None, after=0.0, attempts=1, written_at=None
        )

    def voice(
        self,
        text: str | None = None,
        /,
        *,
        lasts: float | None = None,
        ttfb: float = 0.0,
        fails: Exception | None = None,
        after: float = 0.0,
        attempts: int = 1,
    ) -> None:
        """Say how a text is spoken: ``voice("Good evening.", lasts=1.2, ttfb=0.3)``.

        Args:
            text: A sentence, or a whole reply, of whose length each sentence takes its share; None
                for all that has no voice of its own.
            lasts: Seconds that it takes; what nobody says takes one for 15 characters.
            ttfb: Seconds from the text to the first audio.
            fails: What synthesis raises in the place of the rest.
            after: Seconds of audio before that.
            attempts: How many attempts raise it.

        Raises:
            UsageError: A time is negative, nothing fails where that is said how, or the text has a
                voice already.
        """
        for name, seconds in (("lasts", lasts), ("ttfb", ttfb), ("after", after)):
            if seconds is not None:
                check_seconds(seconds, f"voice({name}={seconds!r})", of_speech=True)
        check_error(fails, "voice(fails=…)")
        if attempts != 1:
            check_attempts(attempts, f"voice(attempts={attempts!r})", fails=fails is not None)
        if after and fails is None:
            raise UsageError(
                f"voice(after={after!r}): seconds before what? write fails= beside it, such as "
                "fails=APIConnectionError('down')"
            )
        self.add(
            Voice(
                text=text,
                lasts=lasts,
                ttfb=ttfb,
                error=fails,
                after=after,
                attempts=attempts,
                written_at=call_site(),
                name="voice()" if text is None else f"voice({text!r})",
            )
        )

    def add(self, voice: Voice) -> None:
        """Take a voice; one without a text is for all that has none of its own."""
        if voice.text is None:
            self._default = voice
            return
        if not voice.text.strip():
            raise UsageError(
                f"voice({voice.text!r}): which text? leave it out for all that is said"
            )
        voice = replace(voice, text=" ".join(voice.text.split()))
        for known in self._voices:
            if known.text == voice.text:
                raise UsageError(f"voice({voice.text!r}): it has one ({known.written_at})")
        self._voices.append(voice)

    def _voice_of(self, text: str) -> Voice:
        for voice in self._voices:
            if voice.text == text:
                return voice
        for voice in self._voices:
            if text and text in (voice.text or ""):
                return voice
        return self._default

    @property
    def unused(self) -> Sequence[Voice]:
        """The voices for texts that nobody had spoken, or not to their end."""
        return [one for one in self._voices if one.is_owed and not self._is_used(one)]

    def was_thrown_away(self, voice: Voice) -> bool:
        """Whether it was taken for what LiveKit asked for too early (``preemptive_tts``)."""
        return not all(use.counts for use in self._uses.get(voice, ()))

    def _uses_of(self, voice: Voice) -> Sequence[_Use]:
        return [use for use in self._uses.get(voice, ()) if use.counts]

    def _is_used(self, voice: Voice) -> bool:
        uses = self._uses_of(voice)
        if uses and uses[-1].is_broken_off:
            return True
        sentences = {sentence.strip() for sentence in _sentences(voice.text or "")}
        said = {use.sentence for use in uses}
        return sum(map(_letters, said)) >= sum(map(_letters, sentences))

    def speaks(self, sentence: str) -> tuple[_Use, float]:
        """Return how a sentence is spoken, and for how many seconds."""
        text = " ".join(sentence.split())
        voice, speech = self._voice_of(text), speech_here()
        early = speech if speech is not None and not speech.scheduled else None
        use = _Use(voice=voice, sentence=text, speech=early)
        if voice.error is not None:
            use.failed = sum(one.failed for one in self._uses_of(voice)) < voice.attempts
        if voice.error is not None or voice.text is not None:
            self._uses.setdefault(voice, []).append(use)
        self.spoken.append(text)
        self.said.append(text)
        seconds = seconds_of(text)
        if voice.lasts is not None:
            share = 1.0 if voice.text is None else _letters(text) / _letters(voice.text)
            seconds = round(voice.lasts * share, 3)
        if voice.error is not None and use.failed:
            self.failed.append(Failed(voice.error, voice.name, voice.written_at))
        return use, seconds

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _FakeSpeech(tts=self, conn_options=conn_options)


class _FakeSpeech(tts.SynthesizeStream):
    """Speaks sentence by sentence, each as soon as its text is there."""

    _tts: FakeTTS

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=shortuuid("fake_tts_"),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=1000,
            stream=True,
        )
        text, segment = "", _Segment(self._tts, output_emitter, self._mark_started)
        async for piece in self._input_ch:
            if isinstance(piece, str):
                text += piece
                *whole, text = _sentences(text)
            else:
                whole, text = [text], ""
            for sentence in whole:
                await segment.speak(sentence)
            if not isinstance(piece, str):
                segment.end()


class _Segment:
    """What is spoken between two flushes."""

    def __init__(
        self, model: FakeTTS, emitter: tts.AudioEmitter, mark_started: Callable[[], None]
    ) -> None:
        self._model = model
        self._emitter = emitter
        self._mark_started = mark_started
        self._seconds: float | None = None
        self._uses: list[_Use] = []

    async def speak(self, sentence: str) -> None:
        if not sentence.strip():
            return
        loop = asyncio.get_running_loop()
        self._mark_started()
        use, seconds = self._model.speaks(sentence)
        voice = use.voice
        self._uses.append(use)
        if self._seconds is None:
            await until(loop.time() + voice.ttfb)
            self._emitter.start_segment(segment_id=shortuuid("fake_segment_"))
            self._seconds = 0.0
        if voice.error is not None and use.failed:
            self._push(min(voice.after, seconds))
            self._emitter.flush()
            await asyncio.sleep(0)
            raise voice.error.with_traceback(None) from None
        if self._model.capabilities.aligned_transcript:
            self._emitter.push_timed_transcript(list(_timed(sentence, self._seconds, seconds)))
        self._push(seconds)

    def _push(self, seconds: float) -> None:
        assert self._seconds is not None, "the segment has begun"
        self._seconds += seconds
        self._emitter.push(bytes(2 * round(seconds * SAMPLE_RATE)))

    def end(self) -> None:
        for use in self._uses:
            use.is_broken_off = False
        if self._seconds is not None:
            self._emitter.end_segment()
            self._seconds = None


def _letters(text: str) -> int:
    """Count them without the spaces, of which those between sentences are in none."""
    return len("".join(text.split()))


def _sentences(text: str) -> list[str]:
    """Split a text that grows into sentences; the last one may not be whole yet."""
    return _SENTENCE.findall(text) or [""]


def _timed(sentence: str, began: float, seconds: float) -> Iterator[TimedString]:
    """Walk the words of a sentence with the times at which they are spoken."""
    letters = len(sentence)
    place = 0
    for word in re.findall(r"\s*\S+|\s+$", sentence):
        start = began + seconds * place / letters
        place += len(word)
        yield TimedString(word, start_time=start, end_time=began + seconds * place / letters)
