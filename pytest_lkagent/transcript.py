"""The neutral record of a conversation, and how it reads as text.

LiveKit's own items carry ids, timestamps and metrics. What a test compares and a failure shows
is less than that, the same on every run, and free of livekit: these frozen dataclasses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from reprlib import repr as shorten
from typing import Any, ClassVar, Literal, TypeAlias

__all__ = [
    "AgentConfigUpdate",
    "AgentHandoff",
    "Close",
    "Event",
    "FunctionCall",
    "FunctionCallOutput",
    "Message",
    "Transcript",
    "Turn",
    "arguments_of",
    "describe_call",
    "render",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something that was said. `agent` is the class name of the agent that said it."""

    type: ClassVar[Literal["message"]] = "message"
    role: str
    text: str
    interrupted: bool = False
    agent: str | None = None

    @property
    def label(self) -> str:
        return self.role

    def __str__(self) -> str:
        return f"{self.text} (interrupted)" if self.interrupted else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A call of a tool. `arguments` is the raw text where the model sent no JSON object."""

    type: ClassVar[Literal["function_call"]] = "function_call"
    name: str
    arguments: Mapping[str, Any] | str
    call_id: str

    @property
    def label(self) -> str:
        return self.type

    def __str__(self) -> str:
        return describe_call(self.name, self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCallOutput:
    """What a tool gave back to the model."""

    type: ClassVar[Literal["function_call_output"]] = "function_call_output"
    name: str
    output: str
    is_error: bool = False
    call_id: str = ""

    @property
    def label(self) -> str:
        return self.type

    def __str__(self) -> str:
        return f"{self.name} {'failed' if self.is_error else '->'} {self.output!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHandoff:
    """Another agent took over. Class names; `old` is None when the session starts."""

    type: ClassVar[Literal["agent_handoff"]] = "agent_handoff"
    old: str | None
    new: str

    @property
    def label(self) -> str:
        return self.type

    def __str__(self) -> str:
        return f"{self.old or 'nobody'} -> {self.new}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The session closed. `reason` is LiveKit's CloseReason as text."""

    type: ClassVar[Literal["close"]] = "close"
    reason: str
    error: str | None = None

    @property
    def label(self) -> str:
        return self.type

    def __str__(self) -> str:
        return f"{self.reason}: {self.error}" if self.error else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfigUpdate:
    """The agent that speaks has other instructions or tools than before.

    It stands in a chat context, not among the events of a turn.
    """

    type: ClassVar[Literal["agent_config_update"]] = "agent_config_update"
    instructions: str | None = None
    tools_added: Sequence[str] = ()
    tools_removed: Sequence[str] = ()


Event: TypeAlias = Message | FunctionCall | FunctionCallOutput | AgentHandoff | Close


@dataclass(kw_only=True)
class Turn:
    """What followed one input of the user, up to the moment when the session had settled.

    `user` is None for the start of the session and for time that merely passed; `error` is the
    error that the run raised; `took` is in virtual seconds.
    """

    user: str | None
    events: Sequence[Event] = ()
    error: BaseException | None = None
    took: float = 0.0

    def __str__(self) -> str:
        return "\n".join(render(self.events))

    def __repr__(self) -> str:
        user = "" if self.user is None else f" {shorten(self.user)}"
        error = "" if self.error is None else f", {type(self.error).__name__}"
        return f"<Turn{user}: {_counted(self.events, 'event')}{error}>"


@dataclass(repr=False)
class Transcript:
    """The conversation so far: the start, then a turn for each input."""

    start: Turn = field(default_factory=lambda: Turn(user=None))
    turns: list[Turn] = field(default_factory=list)

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for turn in (self.start, *self.turns) for event in turn.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __str__(self) -> str:
        return "\n".join(render(self.events))

    def __repr__(self) -> str:
        return f"<Transcript: {_counted(self.turns, 'turn')}, {_counted(self.events, 'event')}>"


def _counted(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def arguments_of(raw: str) -> dict[str, Any] | str:
    """Read the arguments of a call as a model sends them; what is no JSON object stays a text."""
    try:
        parsed = json.loads(raw or "{}")
    except ValueError:
        return raw
    return parsed if isinstance(parsed, dict) else raw


def describe_call(name: str, arguments: Mapping[str, Any] | str) -> str:
    """Write a call as code, ``book(slot='2pm')``; raw arguments as ``book(<not json>)``."""
    if isinstance(arguments, str):
        return f"{name}(<{arguments}>)"
    return f"{name}({', '.join(f'{key}={_literal(value)}' for key, value in arguments.items())})"


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        with suppress(TypeError):  # what a hand wrote into a snapshot, YAML has it and JSON has not
            return json.dumps(value, ensure_ascii=False)
    return repr(value)


def render(events: Iterable[Event], *, mark: int | None = None) -> list[str]:
    """Return one line an event, ``[1] function_call   book(slot='3pm')``, the marked with >>>."""
    events = list(events)
    width = max([13, *(len(event.label) for event in events)]) + 3
    digits = len(str(len(events) - 1))
    return [
        f"{'  >>>' if index == mark else '     '} {f'[{index}]':>{digits + 2}} "
        f"{event.label:<{width}}{event}".rstrip()
        for index, event in enumerate(events)
    ]
