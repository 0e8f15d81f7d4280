"""Turn detectors that find what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livekit import rtc

from .. import _livekit
from .identity import Fake

__all__ = ["FakeAudioTurnDetector", "FakeTurnDetector"]


class _Detector(Fake):
    """What both have; below a half it is unlikely that the user is done."""

    def __init__(self, probability: Callable[[], float]) -> None:
        self._probability = probability

    async def unlikely_threshold(self, language: Any) -> float | None:
        return 0.5

    async def supports_language(self, language: Any) -> bool:
        return True


class FakeTurnDetector(_Detector):
    """A turn detector on text; `probability` says how probable it is that the user is done.

    Where that is unlikely, LiveKit waits for ``max_delay`` instead of ``min_delay``.
    """

    async def predict_end_of_turn(self, chat_ctx: Any, *, timeout: float | None = None) -> float:  # noqa: ASYNC109  (LiveKit's)
        return self._probability()


class FakeAudioTurnDetector(Fake):
    """A turn detector on audio, as ``inference.TurnDetector`` is; otherwise as on text.

    With one, LiveKit has shorter delays, and does not leave turns to a realtime model's server.
    """

    def __init__(self, probability: Callable[[], float]) -> None:
        self._probability = probability

    def stream(self, **_: Any) -> _Stream:
        return _Stream(self._probability)


class _Stream(_Detector):
    """Predicts at once, whatever the audio."""

    is_fallback = False
    prediction_timeout = 1.0

    async def backchannel_threshold(self, language: Any) -> float | None:
        return None

    def predict(self) -> asyncio.Future[Any]:
        predicted = asyncio.get_running_loop().create_future()
        predicted.set_result(_livekit.prediction(self._probability()))
        return predicted

    def cancel_inference(self, *, timed_out: bool = False) -> None:
        """Nothing is under way."""

    def flush(self, reason: str | None = None) -> None:
        """Nothing is kept."""

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """What is in it, `probability` knows."""

    def end_input(self) -> None:
        """Nothing is under way."""

    async def aclose(self) -> None:
        """Nothing is open."""
