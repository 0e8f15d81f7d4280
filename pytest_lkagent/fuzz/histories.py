"""What was said before: chat contexts that a provider accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from livekit.agents import llm

from .arguments import Offered, arguments_of, offered_arguments
from .chances import once_in
from .inputs import user_inputs
from .offers import tools_of
from .texts import texts

__all__ = ["chat_contexts"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own

_INVENTED = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
_TEXTS = texts()
_INPUTS = user_inputs()
_OUTPUTS = st.sampled_from(("", "ok", "null", "[]", '{"id": 1}')) | _TEXTS
_IN_FIVE = once_in(5)


def chat_contexts(agent: Any = None) -> st.SearchStrategy[llm.ChatContext]:
    """Draw conversations that a session may begin with: ``start_session(history=…)``.

    Each is one that a provider accepts: turns of the user, answers of the assistant, of which some
    were interrupted, and calls that each have their output after them, parallel ones too. Some
    begin with an instruction, and some end with a question that nobody answered yet. Calls are
    those of the `agent`'s tools, or of invented ones without it. Ids and times are the same in
    each, and long past. Shrinks towards the empty context.

    Raises:
        UsageError: The agent cannot be made without arguments, or there is a tool of which
            LiveKit can make no schema.
    """
    if agent is None:
        return _contexts((("search", arguments_of(_INVENTED)),))
    return _contexts(offered_arguments(tools_of(agent, what="chat_contexts()")))


@st.composite
def _contexts(draw: st.DrawFn, tools: Offered) -> llm.ChatContext:
    items: list[llm.ChatItem] = []
    if draw(_IN_FIVE):
        items.append(_message("system", draw(_TEXTS)))
    for turn in range(draw(st.integers(0, 3))):
        items.append(_message("user", draw(_INPUTS)))
        if draw(st.booleans()) and tools:
            items += _calls(draw, tools, turn)
        items.append(_message("assistant", draw(_TEXTS), interrupted=draw(_IN_FIVE)))
    if draw(_IN_FIVE):
        items.append(_message("user", draw(_INPUTS)))
    for number, item in enumerate(items):
        item.id, item.created_at = f"item_{number}", float(number)
    return llm.ChatContext(items)


def _message(role: llm.ChatRole, text: str, *, interrupted: bool = False) -> llm.ChatMessage:
    return llm.ChatMessage(role=role, content=[text], interrupted=interrupted)


def _calls(
    draw: st.DrawFn, tools: Offered, turn: int
) -> Iterator[llm.FunctionCall | llm.FunctionCallOutput]:
    """Yield one or two calls, and then the output of each."""
    made = draw(st.lists(st.sampled_from(tools), min_size=1, max_size=2))
    for number, (name, arguments) in enumerate(made):
        text = json.dumps(draw(arguments.valid), ensure_ascii=False)
        yield llm.FunctionCall(call_id=f"past_{turn}_{number}", name=name, arguments=text)
    for number, (name, _) in enumerate(made):
        yield llm.FunctionCallOutput(
            call_id=f"past_{turn}_{number}",
            name=name,
            output=draw(_OUTPUTS),
            is_error=draw(_IN_FIVE),
        )
