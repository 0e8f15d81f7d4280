"""A session with a scripted realtime model: what the server would do, without one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from livekit import rtc
from livekit.agents import Agent, APIConnectionError, APIError, llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import aio, is_given

from ... import _livekit
from ...script import Request, Step, say
from ..instants import until
from ..llm import as_json, in_time, pieces_of
from .caller import Caller
from .response import Response

if TYPE_CHECKING:
    from .model import FakeRealtimeModel

__all__ = ["FakeRealtimeSession", "IncompleteResponse", "Truncation"]

_REPLY_SECONDS = 10.0
"""How long LiveKit's OpenAI plugin waits for a response to begin."""

_Created = asyncio.Future[llm.GenerationCreatedEvent]


class IncompleteResponse(llm.RealtimeError):
    """The response was cut short, which LiveKit takes for its end: ``fail(…, after="I can")``.

    The message is the one of LiveKit's OpenAI plugin for a response that met its token limit.
    """

    def __init__(self, message: str = "response incomplete: max_output_tokens") -> None:
        super().__init__(message)


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
        self.caller = Caller(self, silence=model.silence)
        self.truncations: list[Truncation] = []
        self.is_closed = False
        self._agent: Agent | None = None
        self._instructions = ""
        self._items: list[Any] = []
        self._tools = llm.ToolContext.empty()
        self._tool_choice: llm.ToolChoice | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._current: asyncio.Task[None] | None = None
        self._awaited: set[_Created] = set()

    def __repr__(self) -> str:
        return f"<FakeRealtimeSession: {len(self._items)} items>"

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
        self._agent = _livekit.listening_agent(callback) or self._agent
        return super().on(event, callback)

    async def update_instructions(self, instructions: str) -> None:
        self._instructions = instructions

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        known = {item.id: item for item in self._items}
        items = _livekit.told_items(chat_ctx)
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
            self._answer(self._ask())

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
        self._answer(self._ask())

    def add_item(self, item: Any) -> None:
        """Append an item of the server's own; of its text LiveKit learns elsewhere."""
        before = self._items[-1].id if self._items else None
        self._items.append(item)
        is_message = item.type == "message"
        self._tell_of(item.model_copy(update={"content": []}) if is_message else item, before)

    # --- responses

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> _Created:
        created = self._awaited_response()
        if self._current is not None and not self._current.done():
            busy = llm.RealtimeError(
                "Conversation already has an active response in progress",
                code="conversation_already_has_active_response",
            )
            self._reject(busy, created)
            self._report(busy)
            return created
        request = self._ask(
            instructions=instructions or None,
            tool_choice=tool_choice or None,
            tools=tools if is_given(tools) else None,
        )
        self._answer(request, created)
        return created

    def say(self, text: str | AsyncIterable[str]) -> _Created:
        if not self._capabilities.supports_say:
            return super().say(text)
        created = self._awaited_response()
        self._begin(self._say(text, created), created)
        return created

    def interrupt(self) -> None:
        if self._current is not None:
            self._current.cancel()
            self._current = None

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
            self._set_text(message_id, text)

    def reconnect(self, *, cause: Exception | None = None) -> None:
        """Lose the connection and get it back.

        What is under way is discarded, as by LiveKit's OpenAI plugin; the conversation is kept.
        """
        self._discard("pending response discarded due to session reconnection", cause)
        self.caller.clear()
        self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())

    async def aclose(self) -> None:
        self.is_closed = True
        self.caller.close()
        self._discard("realtime session closed")
        await aio.cancel_and_wait(*self._tasks)

    # --- from a request to the end of its response

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
                tuple(filter(None, map(_livekit.to_event, items))),
                ours,
                instructions,
            ),
        )

    def _answer(self, request: Request, created: _Created | None = None) -> None:
        try:
            step = self._script.take(request)
        except Exception as error:  # noqa: BLE001  (of the script, or of a callable in a step)
            self._reject(error, created)
            if created is None and error not in self._script.refused:
                self._report(error)
        else:
            self._begin(self._play(step, created), created)

    def _begin(self, playing: Coroutine[Any, Any, None], created: _Created | None = None) -> None:
        self.interrupt()
        task = self._current = self._run(playing)
        if created is not None:
            # nobody waits for it any more: it was interrupted, or took too long
            created.add_done_callback(lambda _: _has_failed(created) and task.cancel())

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _say(self, text: str | AsyncIterable[str], created: _Created) -> None:
        whole = text if isinstance(text, str) else "".join([piece async for piece in text])
        await self._play(say(whole), created)

    async def _play(self, step: Step, created: _Created | None) -> None:
        with self._script.at(step):
            if step.stalls:
                await asyncio.get_running_loop().create_future()
            if created is not None and _is_refusal(step):
                await until(asyncio.get_running_loop().time() + step.duration)
            else:
                await self._respond(step, created)
        if step.error is not None:
            self._fail(step, step.error.with_traceback(None), created)

    async def _respond(self, step: Step, created: _Created | None) -> None:
        pieces = pieces_of(step)
        response = Response(step, pieces=len(pieces), speaks=self._capabilities.audio_output)
        event = response.created(user_initiated=created is not None)
        if created is not None:
            created.set_result(event)
        self.emit("generation_created", event)
        is_cancelled = True
        try:
            async for piece in in_time(step, pieces):
                if not response.text:
                    self._add_message(response)
                response.say(piece)
            if step.error is None:
                self._call(step, response)
            is_cancelled = False
        finally:
            self._set_text(response.message_id, response.text)
            response.end()
            usage = response.usage(self._realtime_model, cancelled=is_cancelled)
            self.emit("metrics_collected", usage)

    def _add_message(self, response: Response) -> None:
        self.add_item(llm.ChatMessage(role="assistant", content=[], id=response.message_id))
        response.begin_message()

    def _call(self, step: Step, response: Response) -> None:
        for call, call_id in zip(step.calls, self._script.new_ids(step), strict=True):
            item = llm.FunctionCall(
                name=call.name, arguments=as_json(call.arguments), call_id=call_id
            )
            self.add_item(item)
            response.call(item)

    # --- what goes wrong

    def _fail(self, step: Step, error: BaseException, created: _Created | None) -> None:
        """Do what LiveKit's OpenAI plugin does when a response, or the request for it, fails."""
        assert isinstance(error, Exception), "fail() takes no other"
        if isinstance(error, APIConnectionError):
            self._run(self._lose_connection(error, attempts=step.attempts or math.inf))
        elif not isinstance(error, IncompleteResponse):
            self._reject(error, created)
            self._report(error)

    async def _lose_connection(self, error: Exception, *, attempts: float) -> None:
        options = self._realtime_model.conn_options
        failures = 0
        while failures < attempts:
            if failures == options.max_retry:
                self._report(error, recoverable=False)
                self._discard("realtime session closed", error)
                return
            self._report(error, recoverable=True)
            await asyncio.sleep(options.retry_interval if failures else 0.1)
            failures += 1
        self.reconnect(cause=error)

    def _reject(self, error: Exception, created: _Created | None) -> None:
        """Tell whoever waits for a response that there is none, in a way that reaches the run."""
        if created is None or created.done():
            return
        told: Exception = error
        if not isinstance(error, llm.RealtimeError):
            told = llm.RealtimeError(str(error) or type(error).__name__)
            told.__cause__ = error
        created.set_exception(told)

    def _report(self, error: Exception, *, recoverable: bool | None = None) -> None:
        if recoverable is None:
            recoverable = (
                error.retryable
                if isinstance(error, APIError)
                else isinstance(error, llm.RealtimeError)
            )
        event = llm.RealtimeModelError(
            timestamp=time.time(),
            label=self._realtime_model.label,
            error=error,
            recoverable=recoverable,
        )
        self.emit("error", event)

    def _discard(self, why: str, cause: Exception | None = None) -> None:
        self.interrupt()
        for created in tuple(self._awaited):
            error = llm.RealtimeError(why)
            error.__cause__ = cause
            self._reject(error, created)

    def _awaited_response(self) -> _Created:
        """Make the future of a response, which comes within `_REPLY_SECONDS`."""
        loop = asyncio.get_running_loop()
        created: _Created = loop.create_future()
        late = llm.RealtimeError("generate_reply timed out.")
        timer = loop.call_later(_REPLY_SECONDS, lambda: self._reject(late, created))
        self._awaited.add(created)

        def over(_: _Created) -> None:
            timer.cancel()
            self._awaited.discard(created)
            _has_failed(created)  # so that asyncio does not complain where LiveKit did not look

        created.add_done_callback(over)
        return created

    # --- the conversation

    def _tell_of(self, item: Any, before: str | None) -> None:
        self.emit("remote_item_added", llm.RemoteItemAddedEvent(previous_item_id=before, item=item))

    def _set_text(self, message_id: str, text: str) -> None:
        content = {"content": [text] if text else []}
        self._items = [
            item.model_copy(update=content) if item.id == message_id else item
            for item in self._items
        ]


def _is_empty(item: Any) -> bool:
    return item.type == "message" and not item.content


def _is_refusal(step: Step) -> bool:
    """Whether no response comes of a step at all."""
    return (
        step.error is not None and not step.text and not isinstance(step.error, IncompleteResponse)
    )


def _has_failed(created: _Created) -> bool:
    return created.cancelled() or created.exception() is not None
