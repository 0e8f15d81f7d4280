"""What stands behind a fake room instead of LiveKit's native library: a record, and the events."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from livekit import rtc

from .private import room_pb2

__all__ = ["CLOSED", "Answer", "Sent", "Wire", "entries", "filled", "milliseconds"]

CLOSED = "engine: connection error: engine is closed"
"""What LiveKit says of whatever is sent after the end."""

Answer = str | rtc.RpcError | Callable[[str], str | Awaitable[str]]

_Kind = Literal[
    "data",
    "text",
    "bytes",
    "transcription",
    "dtmf",
    "rpc",
    "attributes",
    "metadata",
    "name",
    "track",
]


@dataclass(frozen=True)
class Sent:
    """One thing that the agent sent to its room.

    `topic` is the method of an RPC; `content` the text, the bytes, the payload, the digit, the new
    name or metadata, or the kind of a track; `to` the identities that it went to, nobody's where it
    went to all; `name` that of a track or a stream of bytes. A stream stands here from when it is
    opened, with what was written to it so far.
    """

    kind: _Kind
    topic: str = ""
    content: str | bytes = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    name: str = ""


class Wire:
    """The way out of a room: keeps what is sent, counts ids, brings events back to `receive`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receive: Callable[[room_pb2.RoomEvent], None],
    ) -> None:
        self.sent: list[Sent] = []
        self.answers: dict[str, Answer] = {}
        self.others: dict[str, rtc.RemoteParticipant] = {}
        self.is_open = False
        self._loop = loop
        self._receive = receive
        self._numbers: Counter[str] = Counter()

    def new_id(self, prefix: str) -> str:
        """Return the next id of its kind: ``PA_1``, then ``PA_2``."""
        self._numbers[prefix] += 1
        return f"{prefix}_{self._numbers[prefix]}"

    def check_open(self, refusal: Exception) -> None:
        """Raise what LiveKit raises of a room that is closed, where it is."""
        if not self.is_open:
            raise refusal

    def send(self, sent: Sent) -> Sent:
        self.sent.append(sent)
        return sent

    def amend(self, sent: Sent, **changes: Any) -> Sent:
        """Replace what was sent by what has become of it; anew where a test cleared the list."""
        amended = replace(sent, **changes)
        for place in reversed(range(len(self.sent))):  # where much is sent, it is near the end
            if self.sent[place] is sent:
                self.sent[place] = amended
                return amended
        return self.send(amended)

    def deliver(self, **event: Any) -> None:
        """Let an event arrive at once."""
        self._receive(room_pb2.RoomEvent(**event))

    def echo(self, happen: Callable[..., None], /, *args: Any, **event: Any) -> None:
        """Let `happen` happen in the loop's next turn, unless the room is closed until then.

        What comes of what the agent itself does comes so: a handler that raises is not the fault of
        the code that set an attribute.
        """

        def arrive() -> None:
            if self.is_open:
                happen(*args, **event)

        self._loop.call_soon(arrive)

    def change_attributes(self, who: rtc.Participant, attributes: Mapping[str, str]) -> None:
        """Merge as LiveKit's server does: an empty value takes the attribute away."""
        old = who.attributes
        changed = {key: new for key, new in attributes.items() if old.get(key, "") != new}
        if changed:
            new = {key: value for key, value in {**old, **changed}.items() if value}
            self.deliver(
                participant_attributes_changed={
                    "participant_identity": who.identity,
                    "attributes": entries(new),
                    "changed_attributes": entries(changed),
                }
            )


def milliseconds() -> int:
    """Return the time as LiveKit tells it."""
    return int(time.time() * 1000)


def filled(message: Any, **fields: Any) -> Any:
    """Return a message of LiveKit's with its fields set, as LiveKit sets those of a request.

    Raises:
        TypeError: A value is of another type: None, too, which a message's constructor passes over.
    """
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def entries(attributes: Mapping[str, str]) -> list[Any]:
    """Return attributes as LiveKit's messages take them."""
    return [{"key": key, "value": attributes[key]} for key in attributes]
