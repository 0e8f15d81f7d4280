"""Voice activity detection on scripted speech: it hears exactly when somebody speaks."""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import vad

from .identity import Fake
from .sound import sound_in

__all__ = ["FakeVAD"]


class FakeVAD(Fake, vad.VAD):
    """A ``vad.VAD`` that hears speech where the user speaks, and nothing elsewhere.

    Args:
        min_speech_duration: Seconds of speech after which it has begun.
        min_silence_duration: Seconds of silence after which it has ended. Both are what LiveKit
            takes where nobody brings a VAD (``inference.VAD``); its Silero plugin takes 0.55 s.
    """

    def __init__(
        self, *, min_speech_duration: float = 0.05, min_silence_duration: float = 0.25
    ) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.05))
        self.min_speech_duration = min_speech_duration
        self.min_silence_duration = min_silence_duration

    def stream(self) -> vad.VADStream:
        return _FakeVADStream(self)


class _FakeVADStream(vad.VADStream):
    """Counts speech and silence, as LiveKit's own detectors do.

    A speech lasts until it has been found to be over: the silence at its end counts, so that a
    sound of a quarter of a second becomes half of one, LiveKit's ``min_duration`` of an
    interruption.
    """

    _vad: FakeVAD

    def __init__(self, detector: FakeVAD) -> None:
        super().__init__(detector)
        self._loop = asyncio.get_running_loop()
        self._reset()

    def _reset(self) -> None:
        self._is_speech = False
        self._speech = self._silence = self._lasted = 0  # in samples: thresholds are met exactly
        self._frames: list[rtc.AudioFrame] = []

    async def _main_task(self) -> None:
        async for frame in self._input_ch:
            if isinstance(frame, self._FlushSentinel):
                self._reset()
            else:
                self._take(frame)

    def _take(self, frame: rtc.AudioFrame) -> None:
        samples, rate = frame.samples_per_channel, frame.sample_rate
        if sound_in(frame) is not None:
            self._speech, self._silence = self._speech + samples, 0
        else:
            self._speech, self._silence = 0, self._silence + samples
        if not (self._is_speech or self._speech):
            self._reset()
            return
        self._frames.append(frame)
        self._lasted += samples
        self._tell(vad.VADEventType.INFERENCE_DONE, rate)
        if not self._is_speech and self._speech >= round(self._vad.min_speech_duration * rate):
            self._is_speech = True
            self._tell(vad.VADEventType.START_OF_SPEECH, rate)
        elif self._is_speech and self._silence >= round(self._vad.min_silence_duration * rate):
            self._is_speech = False
            self._lasted -= self._silence
            self._tell(vad.VADEventType.END_OF_SPEECH, rate)
            self._reset()

    def _tell(self, kind: vad.VADEventType, rate: int) -> None:
        self._event_ch.send_nowait(
            vad.VADEvent(
                type=kind,
                samples_index=0,
                timestamp=self._loop.time(),
                speech_duration=self._lasted / rate,
                silence_duration=self._silence / rate,
                frames=list(self._frames) if kind is not vad.VADEventType.INFERENCE_DONE else [],
                probability=float(self._speech > 0),
                speaking=self._is_speech,
                raw_accumulated_speech=self._speech / rate,
                raw_accumulated_silence=self._silence / rate,
            )
        )
