"""Handlers of events that cost LiveKit nothing to call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["listener"]

_ONE_EVENT = inspect.Signature([inspect.Parameter("event", inspect.Parameter.POSITIONAL_ONLY)])


def listener(handle: Callable[[Any], None]) -> Callable[[Any], None]:
    """Give a handler its signature ready made: LiveKit asks for it whenever it emits."""

    def listen(event: Any, /) -> None:
        handle(event)

    listen.__signature__ = _ONE_EVENT  # type: ignore[attr-defined]
    return listen
