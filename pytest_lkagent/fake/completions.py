"""OpenAI's chat completions as they go over the wire: the request's body, the answer's JSON.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from livekit.agents import llm
from pydantic import BaseModel, Field, ValidationError, model_validator

from ..transcript import Event, FunctionCall, FunctionCallOutput, Message, arguments_of

__all__ = ["Body", "Completion", "describe_mistakes"]


class _Parameters(BaseModel, extra="allow"):
    properties: dict[str, dict[str, Any]] = {}
    required: list[str] = []


class _Named(BaseModel):
    name: str
    description: str | None = None
    parameters: _Parameters = _Parameters()
    strict: bool | None = None

    @property
    def raw_schema(self) -> dict[str, Any]:
        """The schema for LiveKit; a strict one requires all, and lets what is optional be null."""
        parameters = self.parameters.model_dump()
        if self.strict:
            fields = self.parameters.properties
            parameters["required"] = [
                name for name in self.parameters.required if not _may_be_null(fields.get(name, {}))
            ]
        return {"name": self.name, "description": self.description, "parameters": parameters}


class _Tool(BaseModel):
    type: Literal["function"]
    function: _Named


class _Called(BaseModel):
    name: str
    arguments: str


class _Call(BaseModel):
    id: str
    function: _Called


class _Part(BaseModel):
    type: str
    text: str = ""


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class _StreamOptions(BaseModel):
    include_usage: bool = False


class Body(BaseModel):
    """What is asked, as far as an answer depends on it; everything else is let pass."""

    model: str
    messages: list[_Message] = Field(min_length=1)
    tools: list[_Tool] | None = None
    tool_choice: Any = None
    response_format: Any = None
    stream: bool | None = False
    stream_options: _StreamOptions | None = None

    @model_validator(mode="after")
    def _answers_belong_to_calls(self) -> Self:
        known: set[str] = set()
        for place, message in enumerate(self.messages):
            known.update(call.id for call in message.tool_calls or ())
            if message.role == "tool" and message.tool_call_id not in known:
                raise ValueError(
                    f"messages.{place} answers the tool call {message.tool_call_id!r}, and no "
                    "message before it makes that call"
                )
        return self

    @property
    def wants_usage(self) -> bool:
        return not self.stream or bool(self.stream_options and self.stream_options.include_usage)

    @property
    def offered(self) -> dict[str, llm.RawFunctionTool[Any, Any]]:
        """The tools on offer, by name, as the schemas that came."""
        return {
            tool.function.name: llm.function_tool(_elsewhere, raw_schema=tool.function.raw_schema)
            for tool in self.tools or ()
        }

    def read(self) -> tuple[tuple[Event, ...], str, str | None]:
        """Return the conversation, the instructions, and those of this reply.

        A system message at the beginning is the instructions, one at the end those of this reply:
        who put it there does not go over the wire.
        """
        first, *rest = self.messages
        instructions = ""
        if first.role in ("system", "developer"):
            instructions = first.text
        else:
            rest.insert(0, first)
        reply = None
        if rest and rest[-1].role in ("system", "developer"):
            reply = rest.pop().text
        names = {call.id: call.function.name for one in rest for call in one.tool_calls or ()}
        return tuple(event for one in rest for event in _events(one, names)), instructions, reply


def _may_be_null(field: Mapping[str, Any]) -> bool:
    kind = field.get("type")
    others = [one for one in field.get("anyOf") or () if isinstance(one, dict)]
    return "null" in (kind if isinstance(kind, list) else [kind]) or any(map(_may_be_null, others))


async def _elsewhere(raw_arguments: dict[str, object]) -> None:
    """Stand for a tool that runs where the agent is."""


def _events(message: _Message, names: Mapping[str, str]) -> Iterator[Event]:
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        yield FunctionCallOutput(name=names[call_id], output=message.text, call_id=call_id)
        return
    if message.text:
        yield Message(role=message.role, text=message.text)
    for call in message.tool_calls or ():
        yield FunctionCall(
            name=call.function.name,
            arguments=arguments_of(call.function.arguments),
            call_id=call.id,
        )


def describe_mistakes(error: ValidationError) -> str:
    """Say in a line what is wrong with a body."""
    lines = []
    for mistake in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in mistake["loc"])
        told = mistake["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {told}" if place else told)
    return "; ".join(lines)


class Completion:
    """One answer, as the chunks of a stream or as a whole."""

    def __init__(self, body: Body, number: int) -> None:
        self._body = body
        self._number = number
        self._text: list[str] = []
        self._calls: list[llm.FunctionToolCall] = []
        self._usage: llm.CompletionUsage | None = None

    def take(self, chunk: llm.ChatChunk) -> Iterator[dict[str, Any]]:
        """Note a chunk of the model's, and yield what is streamed of it."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.delta is None:
            return
        if chunk.delta.content:
            self._text.append(chunk.delta.content)
            yield self._chunk({"role": "assistant", "content": chunk.delta.content})
        for call in chunk.delta.tool_calls:
            index = len(self._calls)
            self._calls.append(call)
            begun = {"index": index, **_as_call(call, arguments="")}
            yield self._chunk({"role": "assistant", "tool_calls": [begun]})
            half = len(call.arguments) // 2  # as providers stream them
            for piece in (call.arguments[:half], call.arguments[half:]):
                more = {"index": index, "function": {"arguments": piece}}
                yield self._chunk({"tool_calls": [more]})

    def end(self) -> Iterator[dict[str, Any]]:
        """Yield what ends the stream."""
        yield self._chunk({}, finish_reason=self._finish_reason)
        if self._usage is not None and self._body.wants_usage:
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": self._used()}

    def whole(self) -> dict[str, Any]:
        """Return the answer to one who did not ask for a stream."""
        calls = [_as_call(call, arguments=call.arguments) for call in self._calls]
        message = {
            "role": "assistant",
            "content": "".join(self._text) or None,
            **({"tool_calls": calls} if calls else {}),
        }
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason}
        answer = {**self._head("chat.completion"), "choices": [choice]}
        return answer if self._usage is None else {**answer, "usage": self._used()}

    @property
    def _finish_reason(self) -> str:
        return "tool_calls" if self._calls else "stop"

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._number}",
            "object": kind,
            "created": 0,
            "model": self._body.model,
        }

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _used(self) -> dict[str, Any]:
        usage = self._usage
        assert usage is not None, "the step has a usage"
        return {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.prompt_cached_tokens},
        }


def _as_call(call: llm.FunctionToolCall, *, arguments: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.call_id, "type": "function", "function": function}
