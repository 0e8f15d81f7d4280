"""The telephone line between the user and the session: what each of them hears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

from livekit.agents import AgentSession, SpeechCreatedEvent, vad
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.transcription import TranscriptSynchronizer

from ..fake.audio import FakeAudioInput, FakeAudioOutput, FakeTextOutput, WrittenOutput
from ..fake.impairments import Impairments
from ..fake.instants import until
from ..fake.realtime import FakeRealtimeModel
from ..fake.sound import Utterance
from ..fake.stt import FakeSTT
from ..fake.tts import FakeTTS
from ..fake.turns import FakeAudioTurnDetector, FakeTurnDetector
from ..fake.vad import FakeVAD
from ..listeners import listener
from .log import CallLog

__all__ = ["Line"]

_PATIENCE_SECONDS = 10.0
"""How long recognition may take to connect again: longer than all of LiveKit's attempts."""


class Line:
    """The fakes of one call, and its log."""

    def __init__(self, tts: FakeTTS, impairments: Collection[str] = ()) -> None:
        self.tts = tts
        self.log = CallLog()
        self._impairments = Impairments(impairments)
        self._is_clear = not impairments
        self.log.agent_began = self._make_noise
        self.log.heard_by = lambda: self._due
        self.stt = FakeSTT(self.log.recognised, tts.failed.append)
        self.turn_detection = FakeTurnDetector(self._end_of_turn)
        self.audio_turn_detection = FakeAudioTurnDetector(self._end_of_turn)
        self._vads: dict[float, FakeVAD] = {}
        self._input = FakeAudioInput(self._impairments.is_lost, self._is_heeded)
        self._speeches: list[SpeechHandle] = []
        self._synchronizer: TranscriptSynchronizer | None = None
        self._realtime: list[FakeRealtimeModel] = []
        self._quiet_at = 0.0

    def vad_like(self, theirs: vad.VAD | None) -> FakeVAD:
        """Return what waits for as much silence as `theirs` does."""
        patience = getattr(theirs, "min_silence_duration", None)  # which not every VAD has
        made = FakeVAD() if patience is None else FakeVAD(min_silence_duration=patience)
        made = self._vads.setdefault(made.min_silence_duration, made)
        self._input.patience = self._vads.keys()
        return made

    def join(self, model: FakeRealtimeModel) -> None:
        """Let a realtime model hear and speak on this line."""
        model.heard, model.spoken = self.log.heard, self.tts.spoken
        self._realtime.append(model)

    def connect(self, session: AgentSession[Any]) -> None:
        """Put the line into a session that has not started."""
        self._synchronizer = made = TranscriptSynchronizer(
            next_in_chain_audio=FakeAudioOutput(self.log),
            next_in_chain_text=FakeTextOutput(self.log.shown),
        )
        session.input.audio = self._input
        session.output.audio = made.audio_output
        session.output.transcription = WrittenOutput(
            self.log.wrote, self.log.has_written, next_in_chain=made.text_output
        )
        session.on("speech_created", listener(self._speech_begins))
        self.log.listen(session)

    def pick_up(self) -> None:
        """Begin the call."""
        self.log.begin()
        self._input.pick_up()

    def speak(self, utterance: Utterance) -> None:
        """Begin to say something now."""
        if utterance.heard is None:
            utterance = replace(utterance, heard=self._impairments.heard(utterance.text))
        self.log.user_speaks(utterance)
        self._quiet_at = self._input.speak(utterance)

    async def quiet(self, calm: Callable[[], Awaitable[None]]) -> None:
        """Wait until it is known of everything that was said that it was.

        `calm` lets what is on its way arrive: in real time, it comes a little later than it is due.
        """
        await calm()
        while (due := self._due) > asyncio.get_running_loop().time():
            await until(due)
            await calm()
        if not self.stt.is_up.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stt.is_up.wait(), _PATIENCE_SECONDS)
            self.stt.is_up.set()  # or LiveKit has given it up

    @property
    def _due(self) -> float:
        """The instant at which nobody has any more to make of what they heard so far."""
        callers = [one.caller for model in self._realtime for one in model.sessions]
        return max(self._quiet_at, self.stt.due, *(caller.due for caller in callers))

    def _speech_begins(self, event: SpeechCreatedEvent) -> None:
        self._speeches = [one for one in self._speeches if not one.done()]
        self._speeches.append(event.speech_handle)
        self._input.heed()

    def _is_heeded(self) -> bool:
        """Whether it matters at each instant for how long the user has been speaking."""
        is_talked_over = any(not speech.done() for speech in self._speeches)
        return is_talked_over or bool(self._realtime) or not self._is_clear

    def _make_noise(self) -> None:
        """Let something be heard while the agent speaks, if the line is like that."""
        if (noise := self._impairments.noise()) is not None:
            after, sound = noise
            asyncio.get_running_loop().call_later(after, self._input.sound, sound)

    def hang_up(self) -> None:
        """Send nothing any more."""
        self.log.user_stops()
        self._input.hang_up()

    async def aclose(self) -> None:
        """Let go of what the session has left."""
        self._input.hang_up()
        if self._synchronizer is not None:
            await self._synchronizer.aclose()
        self.log.end()

    def _end_of_turn(self) -> float:
        """How probable it is that the user is done."""
        return self.log.user[-1][2].end_of_turn if self.log.user else 1.0
