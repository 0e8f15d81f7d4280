"""The caller, as the server of a realtime model hears them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit import rtc
from livekit.agents import llm
from livekit.agents.utils import shortuuid

from ..sound import Utterance, sound_in

if TYPE_CHECKING:
    from .session import FakeRealtimeSession

__all__ = ["Caller"]


class _Turn:
    """What the caller says until somebody, the server or the agent, takes it for a turn."""

    def __init__(self, item_id: str, began: float) -> None:
        self.item_id = item_id
        self.began = began
        self.words: list[str] = []
        self.heard: dict[Utterance, list[str]] = {}
        self.confidence: float | None = None
        self.delay = 0.0

    @property
    def text(self) -> str:
        return " ".join(self.words)


class Caller:
    """The caller's side of a realtime session.

    Audio that reaches the session moves it by itself; without audio a test does, with
    `starts_speaking`, `says` and `stops_speaking`. A server that detects turns interrupts the
    agent as soon as the caller speaks (a model that overlaps goes on until it answers), and answers
    when it has heard nothing for `silence` seconds; with one that does not, what is said waits for
    ``commit_audio()``. A noise without words interrupts, and is no turn.
    """

    def __init__(self, session: FakeRealtimeSession, *, silence: float) -> None:
        self._session = session
        self._silence = silence
        self._turn: _Turn | None = None
        self._is_speaking = False
        self._heard_at = 0.0
        self.due = 0.0
        """The instant at which the last of what was heard so far has been taken for something."""
        self._timers: set[asyncio.TimerHandle] = set()

    def starts_speaking(self) -> None:
        """Begin to speak."""
        self._is_speaking = True
        if self._session.detects_turns:
            self._session.emit("input_speech_started", llm.InputSpeechStartedEvent())
            self._session.yield_to_caller()

    def says(self, words: str) -> None:
        """Say more words, which are transcribed at once."""
        turn = self._current_turn()
        turn.words.append(words)
        self._transcribe(turn, turn.text)

    def stops_speaking(self) -> None:
        """Stop, which ends the turn where the server detects turns."""
        self._is_speaking = False
        if not self._session.detects_turns:
            return
        self._session.emit(
            "input_speech_stopped",
            llm.InputSpeechStoppedEvent(
                user_transcription_enabled=self._session.capabilities.user_transcription
            ),
        )
        if self.commit():
            self._session.answer_caller()

    def hear(self, frame: rtc.AudioFrame) -> None:
        """Take a frame of audio that reached the server."""
        sound = sound_in(frame)
        if sound is None:
            return
        self._heard_at = asyncio.get_running_loop().time()
        if not self._is_speaking:
            self.starts_speaking()
            self._wait_for_silence()
        turn = self._current_turn(sound.end - sound.start)
        turn.confidence, turn.delay = sound.utterance.confidence, sound.utterance.delay
        if words := sound.words:
            turn.words += words
            turn.heard.setdefault(sound.utterance, []).extend(words)
            if sound.utterance.interim and not sound.is_last:
                text = turn.text
                self._at(self._heard_at + turn.delay, lambda: self._transcribe(turn, text))

    def commit(self) -> bool:
        """Take what was said so far for a turn, and return whether there are any words in it."""
        turn, self._turn = self._turn, None
        if turn is None or not turn.words:
            return False
        self._session.add_item(llm.ChatMessage(role="user", content=[turn.text], id=turn.item_id))
        self._at(self._heard_at + turn.delay, lambda: self._understand(turn))
        return True

    def clear(self) -> None:
        """Forget what was said, and is no turn yet."""
        self._turn = None

    def close(self) -> None:
        """Hear nothing more, nor transcribe it."""
        for timer in self._timers:
            timer.cancel()

    def _current_turn(self, lasted: float = 0.0) -> _Turn:
        if self._turn is None:
            self._turn = _Turn(shortuuid("item_"), time.time() - lasted)
        return self._turn

    def _wait_for_silence(self) -> None:
        heard_at = self._heard_at

        def look() -> None:
            if self._heard_at == heard_at:
                self.stops_speaking()
            else:
                self._wait_for_silence()

        self._at(heard_at + self._silence, look)

    def _understand(self, turn: _Turn) -> None:
        """Tell what a turn was taken for."""
        for utterance, words in turn.heard.items():
            self._session.realtime_model.heard(utterance, " ".join(words))
        self._transcribe(turn, is_final=True)

    def _transcribe(self, turn: _Turn, text: str = "", *, is_final: bool = False) -> None:
        """Report the transcript of a turn, `text` while there is no final one."""
        if not self._session.capabilities.user_transcription:
            return
        self._session.emit(
            "input_audio_transcription_completed",
            llm.InputTranscriptionCompleted(
                item_id=turn.item_id,
                transcript=turn.text if is_final else text,
                is_final=is_final,
                confidence=turn.confidence if is_final else None,
                turn_started_at=turn.began if is_final else None,
            ),
        )

    def _at(self, instant: float, act: Callable[[], None]) -> None:
        """Act at an instant, at once where it is there."""
        self.due = max(self.due, instant)
        loop = asyncio.get_running_loop()
        if instant <= loop.time():
            act()
            return

        def arrive() -> None:
            self._timers.discard(timer)
            act()

        timer = loop.call_at(instant, arrive)
        self._timers.add(timer)
