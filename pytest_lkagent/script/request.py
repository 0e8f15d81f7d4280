"""What the agent sent to its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from reprlib import repr as shorten
from typing import Any

from ..transcript import Event, FunctionCallOutput, Message
from .steps import Asker, asker_name, short

__all__ = ["Request"]

_UNDER_WAY = "The tool call is still in progress."
"""What LiveKit has a model read at the end of a request for a tool that is not done yet."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Request:
    """One ``chat()`` of the agent, as the fake model received it.

    `agent` is the agent that asked, None for code outside an agent; `tools` maps the names on
    offer to LiveKit's tool objects; `tool_choice` is None where LiveKit gave none, and so is
    `response_format` (a class, or OpenAI's mapping) where nobody asked for structured output. Of an
    agent in another process there are only the names of its `classes`, its own first.
    """

    number: int
    agent: Any
    tools: Mapping[str, Any]
    tool_choice: Any
    read: Callable[[], tuple[tuple[Event, ...], str, str | None]]
    classes: Sequence[str] = ()
    response_format: Any = None

    def __repr__(self) -> str:
        said, tools = shorten(self.last_input), shorten(list(self.tools))
        return f"<Request {self.number}, by {self.asker}: last input {said}, tools {tools}>"

    @cached_property
    def _content(self) -> tuple[tuple[Event, ...], str, str | None]:
        return self.read()

    @property
    def messages(self) -> tuple[Event, ...]:
        """The conversation as the model sees it, without the instructions."""
        return self._content[0]

    @property
    def instructions(self) -> str:
        """The agent's instructions, as rendered for this request."""
        return self._content[1]

    @property
    def reply_instructions(self) -> str | None:
        """What ``generate_reply(instructions=…)`` asked for, None in an ordinary turn.

        Of a request over HTTP it is the system message at the end, whoever put it there.
        """
        return self._content[2]

    @cached_property
    def last_input(self) -> str:
        """What the model has to answer: the last user message, or the last tool outputs."""
        outputs: list[str] = []
        for event in reversed(self.messages):
            if isinstance(event, FunctionCallOutput):
                if event.output != _UNDER_WAY:
                    outputs.insert(0, event.output)
            elif outputs:
                break
            elif isinstance(event, Message) and event.role == "user":
                return event.text
        return "\n".join(outputs)

    @property
    def asker(self) -> str:
        if self.agent is None and self.classes:
            return self.classes[0]
        return asker_name(None if self.agent is None else type(self.agent))

    def may_take(self, asker: Asker) -> bool:
        """Whether a step that wants `asker` may answer this request."""
        if asker is None:
            return self.agent is None and not self.classes
        if isinstance(asker, type):
            return isinstance(self.agent, asker) or asker.__name__ in self.classes
        if isinstance(asker, str):
            bases = (base.__name__ for base in type(self.agent).__mro__)
            return asker in (*self.classes, *bases)
        return True

    def answered(self) -> str:
        """Say of a step whom it answered, and when."""
        if self.reply_instructions:
            return f"answered {self.asker} asked to {short(self.reply_instructions)}"
        after = f" after {short(self.last_input)}" if self.last_input else ""
        return f"answered {self.asker}{after}"

    def describe(self) -> str:
        """Describe the request in one line."""
        return f"request {self.number}, by {self.asker}, last input {self.last_input!r}"
