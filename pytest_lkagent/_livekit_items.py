"""LiveKit's chat items and our events, the one made of the other: a part of the quarantine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from livekit.agents import Agent, llm
from livekit.agents.llm import chat_context
from livekit.agents.voice import run_result
from livekit.agents.voice.generation import INSTRUCTIONS_MESSAGE_ID

from .transcript import (
    AgentConfigUpdate,
    AgentHandoff,
    Event,
    FunctionCall,
    FunctionCallOutput,
    Message,
    arguments_of,
)

__all__ = [
    "INTERNAL_ERROR",
    "call_item",
    "expect",
    "is_argument_error",
    "is_said_by_code",
    "neutral",
    "output_item",
    "read_request",
    "run_events",
    "to_event",
    "told_items",
]

INTERNAL_ERROR = "An internal error occurred"
"""What the model reads of what a tool raises."""
_OF_A_MODEL = frozenset({"llm_metadata", "llm_node_ttft", "provider_request_ids"})
"""What LiveKit notes with a message that a model made, and not with one that code made."""
_OWN_MESSAGES = "lk."
"""LiveKit's own messages in a request (instructions, markup guides) have ids that begin so."""
_INSTRUCTIONS = {
    INSTRUCTIONS_MESSAGE_ID,
    getattr(chat_context, "DYNAMIC_INSTRUCTIONS_MESSAGE_ID", ""),  # not in 1.7
}
"""Those that hold the agent's: what changes from call to call has a message of its own."""


def read_request(
    items: Sequence[Any], asked_for: str | None
) -> tuple[tuple[Event, ...], str, str | None]:
    """Split a chat context into its conversation, the instructions and those of this reply.

    These are the last system message that says what is `asked_for`.
    """
    instructions = []
    conversation = []
    for item in items:
        if item.type == "message" and item.id.startswith(_OWN_MESSAGES):
            if item.id in _INSTRUCTIONS:
                instructions.append(item.text_content or "")
            continue
        conversation.append(item)
    reply = None
    for place, item in reversed(list(enumerate(conversation if asked_for else ()))):
        if item.type == "message" and item.role == "system" and item.raw_text_content == asked_for:
            del conversation[place]
            reply = asked_for
            break
    # as `Instructions.render()` puts them together
    told = "\n".join(filter(None, instructions))
    return tuple(filter(None, map(to_event, conversation))), told, reply


def told_items(context: llm.ChatContext) -> list[Any]:
    """Return what of a chat context a realtime model is told; instructions come by themselves."""
    return [
        item
        for item in context.items
        if item.type in ("message", "function_call", "function_call_output")
        and not item.id.startswith(_OWN_MESSAGES)
    ]


def to_event(item: Any, agents: Mapping[str, Any] | None = None) -> Event | None:
    """Convert an item of a chat context; None for what is no event of a conversation.

    `agents` maps item ids to what a recorder knows beyond the item: the name of the agent that
    said a message, the names on both sides of a hand-over.
    """
    known = (agents or {}).get(item.id)
    if item.type == "message":
        return Message(
            role=item.role,
            text=item.text_content or "",
            interrupted=bool(item.interrupted),
            agent=known,
        )
    if item.type == "function_call":
        return FunctionCall(
            name=item.name, arguments=arguments_of(item.arguments), call_id=item.call_id
        )
    if item.type == "function_call_output":
        return FunctionCallOutput(
            name=item.name, output=item.output, is_error=item.is_error, call_id=item.call_id
        )
    if item.type == "agent_handoff":
        old, new = known or (item.old_agent_id, item.new_agent_id)
        return AgentHandoff(old=old, new=new)
    return None


def neutral(value: Any, agents: Mapping[str, Any]) -> Any:
    """Convert LiveKit's ways to hold a conversation into events; anything else stays as it is.

    An agent's context has its instructions twice, in a message and where they changed: once is
    enough. `agents` is what recorders know beyond the items, as in `to_event`.
    """
    if isinstance(value, llm.ChatContext):
        value = value.items
    elif isinstance(value, run_result.RunResult):
        known = {
            event.item.id: (_class_name(event.old_agent), _class_name(event.new_agent))
            for event in value.events
            if event.type == "agent_handoff"
        }
        value, agents = [event.item for event in value.events], {**agents, **known}
    if not isinstance(value, (list, tuple)):
        return value
    told = {getattr(item, "instructions", None) for item in value}
    return [
        _config_update(item)
        if (kind := getattr(item, "type", None)) == "agent_config_update"
        else to_event(item, agents)
        if kind is not None and hasattr(item, "id")
        else item
        for item in value
        if getattr(item, "id", "") != INSTRUCTIONS_MESSAGE_ID or item.text_content not in told
    ]


def _class_name(agent: Agent | None) -> str | None:
    return None if agent is None else type(agent).__name__


def _config_update(item: Any) -> AgentConfigUpdate:
    return AgentConfigUpdate(
        instructions=item.instructions,
        tools_added=tuple(item.tools_added or ()),
        tools_removed=tuple(item.tools_removed or ()),
    )


def is_argument_error(item: Any) -> bool:
    """Whether LiveKit refused the arguments of a call before its tool could run."""
    if item.type != "function_call_output" or not item.is_error:
        return False
    return str(item.output).startswith("Error parsing arguments for ")


def call_item(event: FunctionCall) -> llm.FunctionCall:
    """Make the chat item of a call, for a conversation that came before."""
    arguments = event.arguments
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return llm.FunctionCall(name=event.name, arguments=text, call_id=event.call_id)


def output_item(event: FunctionCallOutput) -> llm.FunctionCallOutput:
    """Make the chat item of a tool's output, for a conversation that came before."""
    return llm.FunctionCallOutput(
        name=event.name, output=event.output, is_error=event.is_error, call_id=event.call_id
    )


def run_events(items: Iterable[Any], agents: Mapping[str, tuple[Agent | None, Agent]]) -> list[Any]:
    """Return the events that LiveKit's own RunResult would have of `items`."""
    makers: dict[str, Callable[[Any], Any]] = {
        "message": lambda item: run_result.ChatMessageEvent(item=item),
        "function_call": lambda item: run_result.FunctionCallEvent(item=item),
        "function_call_output": lambda item: run_result.FunctionCallOutputEvent(item=item),
        "agent_handoff": lambda item: run_result.AgentHandoffEvent(
            item=item, old_agent=agents[item.id][0], new_agent=agents[item.id][1]
        ),
    }
    return [makers[item.type](item) for item in items if item.type in makers]


def expect(events: list[Any]) -> Any:
    """Return LiveKit's own ``RunAssert`` over `events`, which may grow, and be of several runs."""
    return run_result.RunAssert(SimpleNamespace(events=events))  # type: ignore[arg-type]


def is_said_by_code(item: Any) -> bool:
    """Whether the agent said it because code let it (``say()``), and not its model."""
    is_said = item.type == "message" and item.role == "assistant"
    return is_said and not (item.metrics or {}).keys() & _OF_A_MODEL
