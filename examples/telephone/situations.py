"""Agents of a restaurant's telephone, each with one habit that a call may meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any

from livekit import rtc
from livekit.agents import (
    Agent,
    ChatContext,
    ChatMessage,
    ModelSettings,
    StopResponse,
    function_tool,
    llm,
    stt,
)


class Waiter(Agent):
    """Looks things up while the caller waits, and puts them through to the kitchen."""

    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="You take orders for the Trattoria Aurora.", **options)

    @function_tool
    async def look_up(self, dish: str) -> str:
        """Look up whether there is a dish today.

        Args:
            dish: Its name.
        """
        await asyncio.sleep(3)
        return f"there is {dish}"

    @function_tool
    async def kitchen(self) -> Agent:
        """Put the caller through to the kitchen."""
        return Cook()


class Cook(Agent):
    """Speaks as soon as it has the floor, and hangs up when all is said."""

    def __init__(self) -> None:
        super().__init__(instructions="You cook.")

    async def on_enter(self) -> None:
        self.session.say("This is the kitchen, and we are rather busy, so be brief, please.")

    @function_tool
    async def hang_up(self) -> None:
        """End the call, whoever speaks."""
        self.session.shutdown(drain=False)


class Discreet(Waiter):
    """Hears with forbearance, and says nothing to who wants a moment."""

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        text = new_message.text_content or ""
        if text == "one moment":
            raise StopResponse
        new_message.content = [text.replace("cable", "table")]


class Articulate(Waiter):
    """Knows the names of its dishes, and how prices are read out."""

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent | str]:
        async for event in Agent.default.stt_node(self, audio, model_settings):
            if isinstance(event, stt.SpeechEvent):
                for heard in event.alternatives:
                    heard.text = heard.text.replace("sauce o book oh", "ossobuco")
            yield event

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterable[rtc.AudioFrame]:
        async def read_out() -> AsyncIterable[str]:
            async for piece in text:
                yield piece.replace("€24", "twenty-four euros")

        async for frame in Agent.default.tts_node(self, read_out(), model_settings):
            yield frame


class HearsAndSpeaks(llm.RealtimeModel):
    """Stands where the realtime model of your provider does; a test never opens its session."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=llm.RealtimeCapabilities(
                message_truncation=True,
                turn_detection=True,
                user_transcription=True,
                auto_tool_reply_generation=False,
                audio_output=True,
                manual_function_calls=True,
            )
        )

    def session(self, **_: Any) -> llm.RealtimeSession[str]:
        raise ConnectionError("this needs the provider")

    async def aclose(self) -> None:
        """Nothing was opened."""


class Fluent(Waiter):
    """Has a model that hears and speaks by itself."""

    def __init__(self) -> None:
        super().__init__(llm=HearsAndSpeaks())
