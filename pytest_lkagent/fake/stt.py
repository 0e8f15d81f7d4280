"""Speech recognition on scripted speech: it hears what the frames carry, when they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import stt
from livekit.agents.language import LanguageCode
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
)

from .identity import Fake
from .instants import until
from .sound import Failed, Utterance, sound_in

__all__ = ["FakeSTT"]

_Type = stt.SpeechEventType
_TRANSCRIPTS = (_Type.INTERIM_TRANSCRIPT, _Type.PREFLIGHT_TRANSCRIPT, _Type.FINAL_TRANSCRIPT)


class FakeSTT(Fake, stt.STT[Any]):
    """An ``stt.STT`` that takes speech for what its `Utterance` says it is taken for.

    `recognised` is called with an utterance of which there is a transcript, `raised` with what an
    utterance says that recognition fails with.
    """

    def __init__(
        self,
        recognised: Callable[[Utterance], None] = lambda _: None,
        raised: Callable[[Failed], None] = lambda _: None,
    ) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.recognised = recognised
        self._raised = raised
        self.is_up = asyncio.Event()
        """Whether it hears: one that failed connects again, after a while."""
        self.is_up.set()
        self.due = 0.0
        """The instant at which the last of what it heard so far is told."""
        self.failures: dict[Utterance, int] = {}
        """How often recognition failed on an utterance so far."""

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _FakeRecognition(stt=self, conn_options=conn_options)

    async def _recognize_impl(
        self,
        buffer: Any,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frames = buffer if isinstance(buffer, list) else [buffer]
        words: list[str] = []
        utterance = None
        for sound in filter(None, map(sound_in, frames)):
            utterance = sound.utterance
            words += sound.words
        if utterance is None:
            return stt.SpeechEvent(type=_Type.FINAL_TRANSCRIPT, alternatives=[_data("", None)])
        await asyncio.sleep(utterance.delay)
        self.fail_on(utterance)
        self.recognised(utterance)
        return stt.SpeechEvent(
            type=_Type.FINAL_TRANSCRIPT, alternatives=[_data(" ".join(words), utterance)]
        )

    def fail_on(self, utterance: Utterance) -> None:
        """Raise the error of an utterance, as often as it is to be raised."""
        if utterance.error is None or self.failures.get(utterance, 0) >= utterance.attempts:
            return
        self.failures[utterance] = self.failures.get(utterance, 0) + 1
        self.is_up.clear()
        self._raised(Failed(utterance.error, f"say({utterance.text!r})", utterance.written_at))
        raise utterance.error.with_traceback(None) from None


class _FakeRecognition(stt.RecognizeStream):
    """Hears one utterance after the other; what it makes of them comes behind by their delays."""

    _stt: FakeSTT

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._loop = asyncio.get_running_loop()
        self._timers: set[asyncio.TimerHandle] = set()
        self._run_began = 0.0
        self._began = 0.0
        self._last_due = 0.0
        self._utterance: Utterance | None = None
        self._words: list[str] = []

    async def _run(self) -> None:
        self._run_began = self._loop.time()
        if (utterance := self._utterance) is not None:  # it failed on that, and connects again
            self._stt.fail_on(utterance)
            self._utterance = None
        self._stt.is_up.set()
        try:
            async for frame in self._input_ch:
                await self._take(frame)
            await until(self._last_due)
        finally:
            for timer in self._timers:
                timer.cancel()

    async def _take(self, frame: object) -> None:
        sound = sound_in(frame) if isinstance(frame, rtc.AudioFrame) else None
        if self._utterance is not None and (sound is None or sound.utterance != self._utterance):
            await self._end(self._utterance)
        if sound is None:
            return
        self._utterance = utterance = sound.utterance
        if words := sound.words:
            if not self._words:
                self._began = self._loop.time() - sound.end
                self._tell(_Type.START_OF_SPEECH)
            self._words += words
            if utterance.interim and not (sound.is_last and utterance.final):
                self._tell(_Type.INTERIM_TRANSCRIPT, after=utterance.delay)
        if sound.is_last:
            await self._end(utterance)

    async def _end(self, utterance: Utterance) -> None:
        """Make something of an utterance that is over."""
        words, self._words = self._words, []
        if utterance.error is not None:
            await until(self._due(utterance.delay))
            self._stt.fail_on(utterance)  # and what it was is lost, as to a connection that breaks
        self._utterance = None
        if not words:
            return
        self._words = words
        if utterance.preflight:
            self._tell(_Type.PREFLIGHT_TRANSCRIPT, after=utterance.delay / 2, of=utterance)
        if utterance.final:
            self._tell(_Type.FINAL_TRANSCRIPT, after=utterance.delay, of=utterance)
        self._tell(_Type.END_OF_SPEECH, after=utterance.delay)
        self._words = []

    def _tell(
        self, kind: stt.SpeechEventType, *, after: float = 0.0, of: Utterance | None = None
    ) -> None:
        """Hand in what there is so far, `after` so many seconds."""
        text = " ".join(self._words)
        event = stt.SpeechEvent(type=kind)
        if kind in _TRANSCRIPTS:
            utterance = of or self._utterance
            assert utterance is not None, "a transcript is of an utterance"
            event.alternatives = [_data(text, utterance, self._place(self._began), self._place())]
        if not after:
            self._event_ch.send_nowait(event)
            return
        self._last_due = self._due(after)

        def arrive() -> None:
            self._timers.discard(timer)
            event.created_at = time.time()
            if kind is _Type.FINAL_TRANSCRIPT and of is not None:
                self._stt.recognised(of)
            self._event_ch.send_nowait(event)

        timer = self._loop.call_at(self._last_due, arrive)
        self._timers.add(timer)

    def _due(self, after: float) -> float:
        """Return the instant that is `after` so many seconds, at which something is told."""
        due = round(self._loop.time() + after, 6)
        self._stt.due = max(self._stt.due, due)
        return due

    def _place(self, instant: float | None = None) -> float:
        """Return where an instant, now for None, is in the audio, in LiveKit's seconds."""
        instant = self._loop.time() if instant is None else instant
        return self.start_time_offset + instant - self._run_began


def _data(text: str, utterance: Utterance | None, began: float = 0, ended: float = 0) -> Any:
    return stt.SpeechData(
        text=text,
        language=LanguageCode(utterance.language if utterance is not None else ""),
        confidence=utterance.confidence if utterance is not None else 0.0,
        start_time=began,
        end_time=ended,
    )
