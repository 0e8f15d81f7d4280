"""The two ends of a telephone: a microphone that is spoken into, a loudspeaker with a clock.

The loudspeaker plays what it gets at the speed of speech, on the loop's clock: it may be paused,
goes on where it was, and knows when cleared how far it had come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice import io

from .sound import SAMPLE_RATE, Sound, Utterance, frame_of, sound_in

__all__ = ["FRAME_SECONDS", "FakeAudioInput", "FakeAudioOutput", "FakeTextOutput", "Listener"]

FRAME_SECONDS = 0.05


class FakeAudioInput(io.AudioInput):
    """The microphone: what the user says, in frames that come when they would.

    Silence is as long as nobody speaks, and not sent for ever: `patience` is the longest that
    anybody listens for, in seconds. `is_lost` says of each frame in turn whether it never arrives.
    While not `is_heeded`, frames in which no word comes to its end go with the next: how long the
    user has been speaking matters where that interrupts somebody. Who begins to say something
    calls `heed`.
    """

    def __init__(
        self,
        is_lost: Callable[[], bool] = lambda: False,
        is_heeded: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(label="voice_call")
        self.patience = 0.0
        self._frames: utils.aio.Chan[rtc.AudioFrame] = utils.aio.Chan()
        self._timers: list[asyncio.TimerHandle] = []
        self._is_lost = is_lost
        self._is_heeded = is_heeded
        self._words: list[asyncio.TimerHandle] = []
        self._utterance: Utterance | None = None
        """What is being said in such long frames, `_said` seconds of which were sent."""
        self._said = self._began = 0.0
        self._speaks_until = 0.0

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.__anext__()

    def pick_up(self) -> None:
        """Be there: LiveKit counts the seconds of the audio from where its first frame began."""
        self._send(frame_of(1 / SAMPLE_RATE))

    def speak(self, utterance: Utterance) -> None:
        """Begin to say something now; whatever is being said is over."""
        loop = asyncio.get_running_loop()
        self.hush()
        self._began, self._said = loop.time(), 0.0
        self._speaks_until = ended = self._began + utterance.lasts
        ends = _ends_of_frames(utterance)
        if not self._is_heeded():
            self._utterance = utterance
            ends = list(_ends_of_words(utterance, ends))
        self._say(utterance, ends)
        silent = frame_of(FRAME_SECONDS)
        for step in range(1, 2 + round(self.patience / FRAME_SECONDS)):
            due = round(ended + FRAME_SECONDS * step, 6)  # what is due together is so to the digit
            self._timers.append(loop.call_at(due, self._send, silent))

    def heed(self) -> None:
        """Let the user be heard frame by frame from now on, in what is being said."""
        utterance, self._utterance = self._utterance, None
        passed = round(asyncio.get_running_loop().time() - self._began, 6)
        if utterance is None or passed >= utterance.lasts:
            return
        for timer in self._words:
            timer.cancel()
        ends = [end for end in _ends_of_frames(utterance) if end > self._said]
        missed = [end for end in ends if end <= passed]
        if missed:
            self._send(frame_of(missed[-1] - self._said, Sound(utterance, self._said, missed[-1])))
        self._say(utterance, ends[len(missed) :])

    def _say(self, utterance: Utterance, ends: Sequence[float]) -> None:
        """Send what is left of an utterance in frames that end at these seconds of it."""
        loop = asyncio.get_running_loop()
        for start, end in pairwise((self._said, *ends)):
            if self._is_lost():
                continue
            frame = frame_of(end - start, Sound(utterance, start, end))
            self._words.append(loop.call_at(round(self._began + end, 6), self._send, frame))

    def sound(self, noise: Utterance) -> None:
        """Let a noise be heard, unless the user speaks over it."""
        if asyncio.get_running_loop().time() >= self._speaks_until:
            self.speak(noise)

    def hush(self) -> None:
        """Break off whatever is being said."""
        for timer in (*self._words, *self._timers):
            timer.cancel()
        self._words.clear()
        self._timers.clear()
        self._utterance = None

    def hang_up(self) -> None:
        """Send nothing any more."""
        self.hush()
        self._frames.close()

    def _send(self, frame: rtc.AudioFrame) -> None:
        if (sound := sound_in(frame)) is not None:
            self._said = sound.end
        self._frames.send_nowait(frame)


def _ends_of_frames(utterance: Utterance) -> list[float]:
    """Return the seconds of an utterance at which its frames end."""
    steps = max(1, -(-utterance.lasts // FRAME_SECONDS))
    return [min(utterance.lasts, FRAME_SECONDS * (step + 1)) for step in range(int(steps))]


def _ends_of_words(utterance: Utterance, ends: Sequence[float]) -> Iterator[float]:
    """Yield of these the first, with which speech begins, those with which words do, the last."""
    for start, end in pairwise((0.0, *ends)):
        if start == 0 or end == ends[-1] or utterance.words(start, end):
            yield end


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
            now = asyncio.get_running_loop().time()
            self._played = min(self._pushed, round(self._played + now - self._since, 6))
            self._since = now

    def _play(self) -> None:
        """Go on with what there is, and wake up when that comes to its end."""
        self._stop_waiting()
        if self._is_paused or not self._pushed:
            return
        loop = asyncio.get_running_loop()
        if self._since is None:
            self._since = loop.time()
        if not self._is_heard:
            self._is_heard = True
            self._listener.playout_started()
            self.on_playback_started(created_at=time.time())
        if self._is_complete:
            self._end = loop.call_later(self._pushed - self._played, self._finish_playing)

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


class FakeTextOutput(io.TextOutput):
    """What is shown of the agent's words, in step with what is heard."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(label="voice_call", next_in_chain=None)
        self._show = show

    async def capture_text(self, text: str) -> None:
        self._show(text)

    def flush(self) -> None:
        """Nothing is held back."""
