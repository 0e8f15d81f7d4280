"""The room of a test that may never look at it, as most do not."""

from __future__ import annotations

from typing import Any

from .connection import CONNECTED, DISCONNECTED, HUNG_UP
from .room import FakeRoom
from .wire import milliseconds

__all__ = ["UnseenRoom"]

_NO_LOOK = frozenset(
    {
        *("_connection_state", "_events", "_ffi_handle", "_info"),
        *("disconnect", "isconnected", "name", "on"),
    }
)
"""What LiveKit asks of the room of every job, whatever its agent does."""
_JOBS_OWN = frozenset({"participant_connected"})
"""The events for which LiveKit's job itself has handlers."""


class UnseenRoom(FakeRoom):
    """A room that is connected from the start, with a ``caller`` in it, for whoever looks.

    At the first look it becomes a `FakeRoom` like any other. Until then it has no participants:
    their messages take their time to make.
    """

    def __init__(self, *, name: str) -> None:
        _turn(self, FakeRoom)  # nobody looks yet
        FakeRoom.__init__(self, name=name)
        self._info.name = name
        self._connection_state = CONNECTED
        since = self._wire.now()
        self._wire.now = lambda: since
        _turn(self, UnseenRoom)

    def __getattribute__(self, name: str) -> Any:
        if name not in _NO_LOOK:
            is_over = not self.isconnected()
            _turn(self, FakeRoom)
            self._connection_state = DISCONNECTED
            self.add_participant()
            self.join_now()
            self._wire.now = milliseconds
            if is_over:
                self._hang_up(HUNG_UP)
        return object.__getattribute__(self, name)

    async def disconnect(self, **how: Any) -> None:
        if how or not self._events.keys() <= _JOBS_OWN:
            await super().disconnect(**how)
        else:  # nobody hears of it
            self._connection_state = DISCONNECTED


def _turn(room: Any, kind: type[FakeRoom]) -> None:
    room.__class__ = kind
