"""Quarantine, for who interrupts a speech: LiveKit, which heard the user, or the program.

LiveKit 1.8 notes it for its traces, 1.7 does not; neither tells a program that interrupts because
of what it heard of the user from one that does so by itself.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from livekit.agents import AgentSession
from livekit.agents.voice import SpeechHandle, agent, agent_activity, agent_session

from .frames import module_of, nearest_users_line
from .sites import Site
from .stand_ins import Replacement

__all__ = ["INTERRUPTIONS", "ByProgram", "interrupted_by_program"]

_RECOGNITION = "livekit.agents.voice.audio_recognition"
_heard: ContextVar[float | None] = ContextVar("lk_heard", default=None)
"""When the user was heard of last in what this code comes of, on the loop's clock."""


@dataclass(frozen=True)
class ByProgram:
    """An interruption that LiveKit would not have made."""

    heard: float | None
    """When the user was heard of last in what led to it, on the loop's clock; None: not at all."""
    closing: bool
    """Whether the session was being closed."""
    site: Site | None


_interrupted: WeakKeyDictionary[SpeechHandle, ByProgram] = WeakKeyDictionary()


def interrupted_by_program(speech: SpeechHandle) -> ByProgram | None:
    """Return how the program interrupted a speech, None where it did not."""
    return _interrupted.get(speech)


def _noted(interrupt: Callable[..., SpeechHandle]) -> Callable[..., SpeechHandle]:
    @functools.wraps(interrupt)
    def interrupt_noted(self: SpeechHandle, *args: Any, **how: Any) -> SpeechHandle:
        caller, was_interrupted = sys._getframe(1), self.interrupted
        interrupt(self, *args, **how)
        if self.interrupted and not was_interrupted and (asks := _program(caller)) is not None:
            is_heard = _in_recognition(asks)
            heard = asyncio.get_running_loop().time() if is_heard else _heard.get()
            of_session = module_of(asks) == agent_session.__name__
            closing = of_session and asks.f_code.co_name != AgentSession.interrupt.__name__
            _interrupted[self] = ByProgram(heard, closing, nearest_users_line())
        return self

    return interrupt_noted


def _program(frame: FrameType | None) -> FrameType | None:
    """Return the frame that asks for an interruption, None where LiveKit's activity does."""
    if frame is None or module_of(frame) != agent_activity.__name__:
        return frame
    while frame is not None and module_of(frame) == agent_activity.__name__:
        frame = frame.f_back
    is_asked = frame and module_of(frame) in (agent_session.__name__, agent.__name__)
    return frame if is_asked else None


def _in_recognition(frame: FrameType | None) -> bool:
    """Whether this is code of a node or a handler in which LiveKit hears the user."""
    while frame is not None and module_of(frame) != asyncio.events.__name__:
        if module_of(frame) == _RECOGNITION:
            return True
        frame = frame.f_back
    return False


def _hearing(tell: Callable[..., Any]) -> Callable[..., Any]:
    """Mark what comes of what is heard by its context, which tasks that it begins inherit."""

    @functools.wraps(tell)
    def told(self: Any, *args: Any, **how: Any) -> Any:
        before = _heard.set(self._loop.time())
        try:
            return tell(self, *args, **how)
        finally:
            _heard.reset(before)

    return told


INTERRUPTIONS: Sequence[Replacement] = (
    (SpeechHandle, "interrupt", _noted),
    (AgentSession, "_update_user_state", _hearing),
    (AgentSession, "_user_input_transcribed", _hearing),
)
"""Where a speech is interrupted, and where the user is heard of."""
