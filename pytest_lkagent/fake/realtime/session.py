"""A session with a scripted realtime model, as LiveKit and the other side talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from livekit import rtc
from livekit.agents import Agent, llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given

from ... import _livekit_items, _livekit_replies
from ...script import Request
from .caller import Caller
from .server import Created, Server

if TYPE_CHECKING:
    from .model import FakeRealtimeModel

__all__ = ["FakeRealtimeSession", "Truncation"]


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """How much of a message was played, as LiveKit told the model after an interruption."""

    message_id: str
    audio_end_ms: int
    text: str | None
    modalities: tuple[str, ...]


class FakeRealtimeSession(llm.RealtimeSession[Any]):
    """What LiveKit talks to; `caller` is the other side of it.

    `truncations` is what LiveKit took back of messages that were not played to their end.
    """

    _realtime_model: FakeRealtimeModel

    def __init__(self, model: FakeRealtimeModel, capabilities: llm.RealtimeCapabilities) -> None:
        super().__init__(model)
        self._capabilities = capabilities
        self._script = model.script_model
        self._server = Server(self, model.script_model, model.conn_options)
        self.caller = Caller(self, silence=model.silence)
        self.truncations: list[Truncation] = []
        self.is_closed = False
        self._agent: Agent | None = None
        self._instructions = ""
        self._items: list[Any] = []
        self._tools = llm.ToolContext.empty()
        self._tool_choice: llm.ToolChoice | None = None

    def __repr__(self) -> str:
        return f"<FakeRealtimeSession: {len(self._items)} items>"

    @property
    def realtime_model(self) -> FakeRealtimeModel:
        return self._realtime_model

    # --- what LiveKit sets

    @property
    def capabilities(self) -> llm.RealtimeCapabilities:
        return self._capabilities

    @property
    def detects_turns(self) -> bool:
        """Whether the server says when the caller's turn is over, and not LiveKit."""
        return self._capabilities.turn_detection

    @property
    def chat_ctx(self) -> llm.ChatContext:
        return llm.ChatContext(list(self._items))

    @property
    def tools(self) -> llm.ToolContext:
        return self._tools.copy()

    def on(self, event: Any, callback: Any = None) -> Any:
        # a session goes on with the next agent: whose it is shows in who listens
        self._agent = _livekit_replies.listening_agent(callback) or self._agent
        return super().on(event, callback)

    async def update_instructions(self, instructions: str) -> None:
        self._instructions = instructions

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        known = {item.id: item for item in self._items}
        items = _livekit_items.told_items(chat_ctx)
        told = [item for item in items if item.id in known or not _is_empty(item)]
        # what LiveKit holds empty is a place for what only the model knows as yet
        self._items = [known[item.id] if _is_empty(item) else item for item in told]
        before = None
        for item in told:
            if item.id not in known:
                self._tell_of(item, before)
            before = item.id
        if self._capabilities.auto_tool_reply_generation and any(
            item.type == "function_call_output" and item.id not in known for item in told
        ):
            self._server.answer(self._ask())

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        self._tools = llm.ToolContext(tools)

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        if is_given(tool_choice):
            self._tool_choice = tool_choice

    # --- audio

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        self.caller.hear(frame)

    def push_video(self, frame: rtc.VideoFrame) -> None:
        """See nothing: a script does not depend on pictures."""

    def commit_audio(self) -> None:
        self.caller.commit()

    def clear_audio(self) -> None:
        self.caller.clear()

    def yield_to_caller(self) -> None:
        """Stop for a caller who speaks, unless the model may speak at the same time."""
        if not getattr(self._capabilities, "supports_overlapping_speech", False):
            self.interrupt()

    def answer_caller(self) -> None:
        """Answer what the caller said, unasked."""
        self._server.answer(self._ask())

    # --- responses

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> Created:
        created = self._server.awaited_response()
        if self._server.is_busy:
            busy = llm.RealtimeError(
                "Conversation already has an active response in progress",
                code="conversation_already_has_active_response",
            )
            self._server.refuse(busy, created)
            return created
        request = self._ask(
            instructions=instructions or None,
            tool_choice=tool_choice or None,
            tools=tools if is_given(tools) else None,
        )
        self._server.answer(request, created)
        return created

    def say(self, text: str | AsyncIterable[str]) -> Created:
        if not self._capabilities.supports_say:
            return super().say(text)
        created = self._server.awaited_response()
        self._server.say(text, created)
        return created

    def interrupt(self) -> None:
        self._server.interrupt()

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        text = audio_transcript if is_given(audio_transcript) else None
        self.truncations.append(
            Truncation(
                message_id=message_id,
                audio_end_ms=audio_end_ms,
                text=text,
                modalities=tuple(modalities),
            )
        )
        if "audio" in modalities and audio_end_ms <= 0:
            self._items = [item for item in self._items if item.id != message_id]
        elif text is not None:
            self.set_text(message_id, text)

    def reconnect(self, *, cause: Exception | None = None) -> None:
        """Lose the connection and get it back.

        What is under way is discarded, as by LiveKit's OpenAI plugin; the conversation is kept.
        """
        self._server.discard("pending response discarded due to session reconnection", cause)
        self.caller.clear()
        self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())

    async def aclose(self) -> None:
        self.is_closed = True
        self.caller.close()
        await self._server.close()

    def _ask(
        self,
        *,
        instructions: str | None = None,
        tool_choice: llm.ToolChoice | None = None,
        tools: Sequence[llm.Tool] | None = None,
    ) -> Request:
        items, ours = tuple(self._items), self._instructions
        offered = self._tools.flatten() if tools is None else tools
        return self._script.asked(
            agent=self._agent,
            tools={tool.id: tool for tool in offered},
            tool_choice=tool_choice or self._tool_choice,
            read=lambda: (
                tuple(filter(None, map(_livekit_items.to_event, items))),
                ours,
                instructions,
            ),
        )

    # --- the conversation

    def add_item(self, item: Any) -> None:
        """Append an item of the server's own; of its text LiveKit learns elsewhere."""
        before = self._items[-1].id if self._items else None
        self._items.append(item)
        is_message = item.type == "message"
        self._tell_of(item.model_copy(update={"content": []}) if is_message else item, before)

    def set_text(self, message_id: str, text: str) -> None:
        """Let a message, if there is one, be of this text."""
        content = {"content": [text] if text else []}
        self._items = [
            item.model_copy(update=content) if item.id == message_id else item
            for item in self._items
        ]

    def _tell_of(self, item: Any, before: str | None) -> None:
        self.emit("remote_item_added", llm.RemoteItemAddedEvent(previous_item_id=before, item=item))


def _is_empty(item: Any) -> bool:
    return item.type == "message" and not item.content
