"""One response of a realtime model, as the streams that LiveKit reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Literal

from livekit import rtc
from livekit.agents import llm, metrics
from livekit.agents.utils import aio, shortuuid

from ...script import Step
from ..tts import seconds_of

__all__ = ["Response"]

_SAMPLE_RATE = 24_000
_FRAME_SECONDS = 0.2


class Response:
    """A response from its creation to its end: one message, if it says anything, and its calls.

    The audio of a piece of text comes with it, and lasts as long as the step takes for the piece.
    A step that takes no time is spoken as fast as people speak. `spoken` gets what is.
    """

    def __init__(self, step: Step, *, pieces: int, speaks: bool, spoken: list[str]) -> None:
        self.id = shortuuid("response_")
        self.message_id = shortuuid("item_")
        self.text = ""
        self._step = step
        self._spoken = spoken
        self._seconds = (step.duration - step.ttft) / pieces if pieces else 0.0
        self._began = time.time()
        self._ttft = -1.0
        self._modalities: list[Literal["text", "audio"]] = ["audio", "text"] if speaks else ["text"]
        self._messages = aio.Chan[llm.MessageGeneration]()
        self._calls = aio.Chan[llm.FunctionCall]()
        self._pieces = aio.Chan[str]()
        self._audio = aio.Chan[rtc.AudioFrame]()

    def created(self, *, user_initiated: bool) -> llm.GenerationCreatedEvent:
        """Return the event that announces it."""
        return llm.GenerationCreatedEvent(
            message_stream=self._messages,
            function_stream=self._calls,
            user_initiated=user_initiated,
            response_id=self.id,
        )

    def begin_message(self) -> None:
        """Hand out the streams of the message, before the first of its text."""
        self._ttft = time.time() - self._began
        if "audio" in self._modalities:
            self._spoken.append("")
        modalities = asyncio.get_running_loop().create_future()
        modalities.set_result(self._modalities)
        self._messages.send_nowait(
            llm.MessageGeneration(
                message_id=self.message_id,
                text_stream=self._pieces,
                audio_stream=self._audio,
                modalities=modalities,
            )
        )

    def say(self, piece: str) -> None:
        """Send a piece of the text, with its audio where the model speaks."""
        self.text += piece
        self._pieces.send_nowait(piece)
        if "audio" in self._modalities:
            self._spoken[-1] += piece
            for frame in _silence(self._seconds or seconds_of(piece)):
                self._audio.send_nowait(frame)

    def call(self, call: llm.FunctionCall) -> None:
        """Send a call, which is complete."""
        self._calls.send_nowait(call)

    def end(self) -> None:
        """Close the streams."""
        streams: Any = (self._pieces, self._audio, self._calls, self._messages)
        for stream in streams:
            stream.close()

    def usage(self, model: llm.RealtimeModel, *, cancelled: bool) -> metrics.RealtimeModelMetrics:
        """Return what it took, in time and in tokens."""
        tokens = dict(self._step.usage or {})
        cached = tokens.get("prompt_cached_tokens", 0)
        return metrics.RealtimeModelMetrics(
            label=model.label,
            request_id=self.id,
            timestamp=self._began,
            duration=time.time() - self._began,
            ttft=self._ttft,
            cancelled=cancelled,
            input_tokens=tokens.get("prompt_tokens", 0),
            output_tokens=tokens.get("completion_tokens", 0),
            total_tokens=tokens.get("total_tokens", 0),
            input_token_details=metrics.RealtimeModelMetrics.InputTokenDetails(
                cached_tokens=cached
            ),
            output_token_details=metrics.RealtimeModelMetrics.OutputTokenDetails(),
        )


def _silence(seconds: float) -> Iterator[rtc.AudioFrame]:
    samples = round(seconds * _SAMPLE_RATE)
    whole = round(_FRAME_SECONDS * _SAMPLE_RATE)
    for start in range(0, samples, whole):
        length = min(whole, samples - start)
        yield rtc.AudioFrame(bytes(2 * length), _SAMPLE_RATE, 1, length)
