"""The two ends of a telephone: a microphone that is spoken into, a loudspeaker with a clock.

The loudspeaker plays what it gets at the speed of speech, on the loop's clock: it may be paused,
goes on where it was, and knows when cleared how far it had come.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice import io

from .sound import SAMPLE_RATE, Sound, Utterance, frame_of

__all__ = ["FakeAudioInput", "FakeAudioOutput", "FakeTextOutput", "Listener", "WrittenOutput"]

_FRAME_SECONDS = 0.05


class FakeAudioInput(io.AudioInput):
    """The microphone: what the user says, in frames that come when they would.

    Silence is as long as nobody speaks, and not sent for ever: `patience` are the seconds of it
    after which somebody takes note, the longest of them the last. `is_lost` says of each frame in
    turn whether it never arrives. While not `is_heeded`, frames of which nobody takes note go with
    the next: how long the user has been speaking matters where that interrupts somebody. Who begins
    to say something calls `heed`.
    """

    def __init__(
        self,
        is_lost: Callable[[], bool] = lambda: False,
        is_heeded: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(label="voice_call")
        self._loop = asyncio.get_running_loop()
        self.patience: Collection[float] = ()
        self._frames: utils.aio.Chan[rtc.AudioFrame] = utils.aio.Chan()
        self._timers: list[asyncio.TimerHandle] = []
        self._is_lost = is_lost
        self._is_heeded = is_heeded
        self._utterance: Utterance | None = None
        """What is being said in such long frames, `_sent` seconds of which were sent."""
        self._sent = self._began = 0.0
        self._speaks_until = 0.0

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.__anext__()

    def pick_up(self) -> None:
        """Be there: LiveKit counts the seconds of the audio from where its first frame began."""
        self._frames.send_nowait(frame_of(1 / SAMPLE_RATE))

    def speak(self, utterance: Utterance) -> float:
        """Begin to say something now; whatever is being said is over.

        Returns:
            When its end is known, too: after the silence that follows it.
        """
        self._break_off()
        self._began, self._sent = self._loop.time(), 0.0
        self._speaks_until = self._began + utterance.lasts
        if self._is_heeded():
            ends = self._ends_of_frames(utterance)
        else:
            self._utterance = utterance
            ends = _ends_to_note(utterance, *self.patience)
        self._say(utterance, ends)
        return self._began + ends[-1]

    def heed(self) -> None:
        """Let the user be heard frame by frame from now on, in what is being said."""
        if (utterance := self._utterance) is not None:
            self._break_off()
            ends = self._ends_of_frames(utterance)
            self._say(utterance, [end for end in ends if end > self._sent])

    def _say(self, utterance: Utterance, ends: Sequence[float]) -> None:
        """Send what is left of an utterance in frames that end at these seconds of it."""
        for start, end in pairwise((self._sent, *ends)):
            if end <= utterance.lasts and self._is_lost():
                continue
            due = round(self._began + end, 6)  # what is due together is so to the digit
            self._timers.append(self._loop.call_at(due, self._send, utterance, start, end))

    def sound(self, noise: Utterance) -> None:
        """Let a noise be heard, unless the user speaks over it."""
        if self._loop.time() >= self._speaks_until:
            self.speak(noise)

    def _break_off(self) -> None:
        """Say no more of what is being said; what passed of it and was held back is heard."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        utterance, self._utterance = self._utterance, None
        if utterance is not None:
            now = round(self._loop.time() - self._began, 6)
            passed = [end for end in self._ends_of_frames(utterance) if end <= now]
            for end in sorted({*_ends_to_note(utterance, *self.patience), *passed[-1:]}):
                if self._sent < end <= now:
                    self._send(utterance, self._sent, end)

    def hang_up(self) -> None:
        """Send nothing any more."""
        for timer in self._timers:
            timer.cancel()
        self._frames.close()

    def _send(self, utterance: Utterance, start: float, end: float) -> None:
        is_silent = start >= utterance.lasts
        sound = None if is_silent else Sound(utterance, start, end)
        self._frames.send_nowait(frame_of(end - start, sound))
        self._sent = end

    def _ends_of_frames(self, utterance: Utterance) -> Sequence[float]:
        """Return the seconds of an utterance, and of the silence after it, at which frames end."""
        return _ends(utterance.lasts, max(self.patience, default=0.0))


@lru_cache
def _ends(lasts: float, patience: float) -> Sequence[float]:
    """Return when the frames of so many seconds of speech end, and of so many of silence."""
    said = (min(lasts, _end(step)) for step in range(1, _frames_in(lasts) + 1))
    silent = (round(lasts + _end(step), 6) for step in range(1, _frames_in(patience) + 1))
    return (*said, *silent)


@lru_cache(maxsize=8)
def _ends_to_note(utterance: Utterance, *patience: float) -> Sequence[float]:
    """Return of these the first, with which speech begins, and those of which note is taken.

    With these a word ends, all of the words do, or enough silence has passed.
    """
    lasts = utterance.lasts
    noted = (0.0, *utterance.ends_of_words, lasts)
    said = {min(lasts, _end(_frames_in(seconds))) for seconds in noted}
    silent = {round(lasts + _end(_frames_in(seconds)), 6) for seconds in patience}
    return sorted(said | silent)


def _frames_in(seconds: float) -> int:
    """Count the frames that so many seconds take, one at least."""
    return max(1, math.ceil(round(seconds / _FRAME_SECONDS, 6)))


def _end(frame: int) -> float:
    """Return the second at which a frame ends, of those counted from one."""
    return round(frame * _FRAME_SECONDS, 6)


class Listener(Protocol):
    """Who wants to know what comes out of the loudspeaker."""

    def playout_started(self) -> None:
        """The first audio of a segment is heard."""

    def playout_paused(self) -> None:
        """It is silent in the middle of a segment."""

    def playout_resumed(self) -> None:
        """It goes on where it was."""

    def playout_finished(self, *, interrupted: bool) -> None:
        """The segment is over, or was cut off."""


class FakeAudioOutput(io.AudioOutput):
    """The loudspeaker: takes audio as fast as it comes, and plays it at its own speed."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            label="voice_call",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=None,
        )
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._is_paused = False
        self._end: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        """Be ready for a segment."""
        self._pushed = 0.0
        self._played = 0.0
        self._since: float | None = None
        """Since when it has been playing without a break."""
        self._is_complete = False
        self._is_heard = False

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._catch_up()
        self._pushed = round(self._pushed + frame.duration, 6)
        self._play()

    def flush(self) -> None:
        super().flush()
        self._is_complete = True
        self._catch_up()
        self._play()

    def clear_buffer(self) -> None:
        if not self._pending_playback_count:
            return
        self._catch_up()
        self._finish(interrupted=True)

    def pause(self) -> None:
        if self._is_paused:
            return
        self._catch_up()
        self._is_paused, self._since = True, None
        self._stop_waiting()
        if self._is_heard:
            self._listener.playout_paused()

    def resume(self) -> None:
        if not self._is_paused:
            return
        self._is_paused = False
        if self._is_heard:
            self._listener.playout_resumed()
        self._play()

    # --- the clock

    def _catch_up(self) -> None:
        """Count what was played since; audio that has not come cannot have been."""
        if self._since is not None:
            now = self._loop.time()
            self._played = min(self._pushed, round(self._played + now - self._since, 6))
            self._since = now

    def _play(self) -> None:
        """Go on with what there is, and wake up when that comes to its end."""
        self._stop_waiting()
        if self._is_paused or not self._pushed:
            return
        if self._since is None:
            self._since = self._loop.time()
        if not self._is_heard:
            self._is_heard = True
            self._listener.playout_started()
            self.on_playback_started(created_at=time.time())
        if self._is_complete:
            left = self._pushed - self._played
            self._end = self._loop.call_later(left, self._finish_playing)

    def _stop_waiting(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _finish_playing(self) -> None:
        self._played = self._pushed
        self._finish(interrupted=False)

    def _finish(self, *, interrupted: bool) -> None:
        self._stop_waiting()
        played, was_heard = self._played, self._is_heard
        self._begin()
        if was_heard:
            self._listener.playout_finished(interrupted=interrupted)
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


class WrittenOutput(io.TextOutput):
    """What the agent writes, before its words come in step with its speech."""

    def __init__(
        self,
        write: Callable[[str], None],
        end: Callable[[], None],
        *,
        next_in_chain: io.TextOutput,
    ) -> None:
        super().__init__(label="voice_call", next_in_chain=next_in_chain)
        self._write = write
        self._end = end
        self._next = next_in_chain

    async def capture_text(self, text: str) -> None:
        self._write(text)
        await self._next.capture_text(text)

    def flush(self) -> None:
        self._end()
        self._next.flush()


class FakeTextOutput(io.TextOutput):
    """What is shown of the agent's words, in step with what is heard."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(label="voice_call", next_in_chain=None)
        self._show = show

    async def capture_text(self, text: str) -> None:
        self._show(text)

    def flush(self) -> None:
        """Nothing is held back."""
