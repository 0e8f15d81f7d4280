"""What the agent sent to its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..transcript import Event, FunctionCallOutput, Message
from .steps import Asker, asker_name

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One ``chat()`` of the agent, as the fake model received it.

    `agent` is the agent that asked, None for code outside an agent; `tools` maps the names on
    offer to LiveKit's tool objects; `tool_choice` is None where LiveKit gave none.
    """

    number: int
    agent: Any
    tools: Mapping[str, Any]
    tool_choice: Any
    read: Callable[[], tuple[tuple[Event, ...], str, str | None]]

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
        """What ``generate_reply(instructions=…)`` asked for, None in an ordinary turn."""
        return self._content[2]

    @cached_property
    def last_input(self) -> str:
        """What the model has to answer: the last user message, or the last tool outputs."""
        outputs: list[str] = []
        for event in reversed(self.messages):
            if isinstance(event, FunctionCallOutput):
                outputs.insert(0, event.output)
            elif outputs:
                break
            elif isinstance(event, Message) and event.role == "user":
                return event.text
        return "\n".join(outputs)

    @property
    def asker(self) -> str:
        return asker_name(None if self.agent is None else type(self.agent))

    def may_take(self, asker: Asker) -> bool:
        """Whether a step that wants `asker` may answer this request."""
        if asker is None:
            return self.agent is None
        if isinstance(asker, type):
            return isinstance(self.agent, asker)
        if isinstance(asker, str):
            return any(base.__name__ == asker for base in type(self.agent).__mro__)
        return True

    def describe(self) -> str:
        """Describe the request in one line."""
        return f"request {self.number}, by {self.asker}, last input {self.last_input!r}"
