"""The scripted realtime model in a real AgentSession: it writes, it speaks, and it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    AgentTask,
    APIConnectionError,
    APIError,
    function_tool,
    llm,
)
from livekit.agents.utils import aio
from livekit.agents.voice import io

from pytest_lkagent import call, fail, raw_call, reply, say, silence, stall, virtual_time
from pytest_lkagent.clock import VirtualClock
from pytest_lkagent.errors import UnscriptedRequest, UsageError
from pytest_lkagent.fake import FakeLLM, FakeRealtimeModel, IncompleteResponse
from pytest_lkagent.fake.realtime import Truncation
from pytest_lkagent.fake.sound import Sound, Utterance, frame_of

pytestmark = pytest.mark.asyncio

_LEAN: dict[str, Any] = {"vad": None, "user_away_timeout": None, "aec_warmup_duration": None}


class Speaker(io.AudioOutput):
    """Plays what it is given in the time that it takes."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=io.AudioOutputCapabilities(pause=False))
        self.played: list[float] = []
        self._seconds = 0.0
        self._began = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self._began = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=0.0)
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._seconds:
            due = self._began + self._seconds
            self._end = asyncio.get_running_loop().call_at(due, self._finish, self._seconds)

    def clear_buffer(self) -> None:
        if self._end is not None:
            self._end.cancel()
        if self._seconds:
            self._finish(asyncio.get_running_loop().time() - self._began, interrupted=True)

    def _finish(self, position: float, *, interrupted: bool = False) -> None:
        self._seconds = 0.0
        self.played.append(round(position, 6))
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


class Microphone(io.AudioInput):
    """Hears what it is given."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self.frames = aio.Chan[rtc.AudioFrame]()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.recv()

    async def hear(self, utterance: Utterance, *, silence: float = 0.0) -> None:
        begin, step = 0.0, 0.05
        while begin < utterance.lasts:
            await asyncio.sleep(step)
            sound = Sound(utterance, begin, begin + step)
            self.frames.send_nowait(frame_of(step, sound))
            begin = round(begin + step, 6)
        await asyncio.sleep(silence)


class FrontDesk(Agent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="You book tables.", **options)

    @function_tool
    async def book(self, slot: str) -> str:
        """Book."""
        return f"booked {slot}"

    @function_tool
    async def note(self) -> None:
        """Note, and say nothing of it."""

    @function_tool
    async def hand_over(self) -> Agent:
        """Hand over."""
        return Waiter()

    @function_tool
    async def ask_name(self) -> str:
        """Ask."""
        return await NameTask()


class Waiter(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Take the order.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet.")


class NameTask(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the name.")

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def take(self, name: str) -> None:
        """Take it."""
        self.complete(name)


class Call:
    def __init__(self, session: AgentSession[Any], model: FakeRealtimeModel) -> None:
        self.session = session
        self.model = model
        self.speaker = Speaker()
        self.microphone = Microphone()
        self.errors: list[tuple[Exception, bool]] = []
        self.transcripts: list[tuple[str, bool]] = []
        session.on(
            "error", lambda event: self.errors.append((event.error.error, event.error.recoverable))
        )
        session.on(
            "user_input_transcribed",
            lambda event: self.transcripts.append((event.transcript, event.is_final)),
        )

    @property
    def caller(self) -> Any:
        return self.model.session_now.caller

    @property
    def texts(self) -> list[str]:
        return [
            f"{item.role}: {item.text_content}"
            for item in self.session.history.items
            if isinstance(item, llm.ChatMessage)
        ]

    @property
    def kinds(self) -> list[str]:
        return [item.type for item in self.session.history.items]


@asynccontextmanager
async def on_a_call(
    script: FakeLLM, agent: Agent | None = None, *, audio: bool = True, **options: Any
) -> AsyncIterator[Call]:
    """Have an agent with a realtime model on a call, in virtual time."""
    lean = {**_LEAN, **{key: options.pop(key) for key in tuple(options) if key in _SESSION}}
    async with virtual_time():
        model = FakeRealtimeModel(script, **options)
        session: AgentSession[Any] = AgentSession(llm=model, **lean)
        call = Call(session, model)
        if audio:
            session.output.audio = call.speaker
            session.input.audio = call.microphone
        try:
            await session.start(agent or FrontDesk())
            yield call
        finally:
            await session.aclose()


_SESSION = ("vad", "stt", "tts", "turn_handling", "aec_warmup_duration")


@pytest.fixture
def script() -> FakeLLM:
    return FakeLLM()


async def test_a_model_that_writes_answers_a_run(script: FakeLLM) -> None:
    script.script(say("Hello."))
    async with on_a_call(script, audio=False, audio_output=False) as call:
        result = await call.session.run(user_input="Hi")
        result.expect.next_event().is_message(role="assistant")
        assert call.texts == ["user: Hi", "assistant: Hello."]
    [request] = script.requests
    assert (request.last_input, request.instructions) == ("Hi", "You book tables.")
    assert request.asker == "FrontDesk"
    assert sorted(request.tools) == ["ask_name", "book", "hand_over", "note"]
    assert script.remaining == ()
