"""What is raised where nobody hears it, kept until the test can: with its type and its traceback.

LiveKit turns what a tool raises into an output, and only logs what a hook or a handler of an event
raises; asyncio only logs what ends a task that nobody awaits. A turn raises the first of these to
the test once it is over; the verdict has all.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import cached_property
from types import MethodType, TracebackType
from typing import Any, Self

from livekit import rtc
from livekit.agents import RoomIO, StopResponse, llm
from livekit.agents.voice import SpeechHandle

from .errors import BehaviourError, NeverAwaited, UsageError
from .frames import begun_by_user, is_users, raised_at
from .sites import OUR_FOLDER
from .stand_ins import StandIns
from .strict import BACKGROUND_ERROR, HANDLER_ERROR, Findings

__all__ = ["CONTROL_FLOW", "STAND_INS", "HandlerWatch", "Swallowed"]

CONTROL_FLOW = (asyncio.CancelledError, llm.ToolError, StopResponse)
"""What LiveKit means to be raised in tools."""


class Swallowed:
    """What the test will show although it was swallowed.

    `is_expected` says whether an exception is meant to be, `is_shown` whether the test shows it
    anyway, or what caused it.
    """

    def __init__(
        self,
        findings: Findings,
        *,
        is_expected: Callable[[BaseException], bool],
        is_shown: Callable[[BaseException], bool],
    ) -> None:
        self._findings = findings
        self.is_expected = is_expected
        self._is_shown = is_shown
        self._kept: list[_Kept] = []

    @property
    def holds_any(self) -> bool:
        """Whether something is kept that the test was not told of yet."""
        return bool(self._kept)

    def keep(self, kind: str, error: BaseException, *, where: str = "") -> bool:
        """Keep what somebody raised, once, unless it is expected; return whether it is kept."""
        if any(error is one.error for one in self._kept):
            return True
        if self.is_expected(error):
            return False
        # LiveKit raises it on through its own frames: keep the way it came to us
        self._kept.append(_Kept(kind, error, error.__traceback__, where))
        return True

    def keep_raised(self, kind: str, error: BaseException, *, where: str = "") -> None:
        """Keep what a tool, a hook or a handler raised; to whom LiveKit tells it is no matter."""
        if self.keep(kind, error, where=where):
            self.know(error)

    def know(self, error: BaseException) -> None:
        """Take `error` for known to the test, so that LiveKit's log of it only repeats it."""
        self._findings.known.append(error)

    def keep_background(self, error: BaseException, what: str) -> bool:
        """Keep what ended a task that nobody awaits; return whether asyncio need not log it."""
        own_kind = error.kind if isinstance(error, BehaviourError) else None
        # an AgentTask that the end of the session cancels raises ToolError in LiveKit's own tasks
        is_meant = isinstance(error, CONTROL_FLOW) and not begun_by_user(error)
        if is_meant or isinstance(error, asyncio.CancelledError) or self._is_shown(error):
            return True
        if self._findings.allows(error, BACKGROUND_ERROR, own_kind):
            return False
        self.keep(BACKGROUND_ERROR, error, where=what)
        return True

    def keep_dropped(self, error: NeverAwaited) -> bool:
        """Keep that a coroutine was never awaited; return whether Python need not warn."""
        if NeverAwaited.kind in self._findings.allow:
            return False
        return self.keep(NeverAwaited.kind, error)

    def report(self) -> list[BaseException]:
        """Make what was raised findings, and return those that are not allowed."""
        kept, self._kept = self._kept, []
        unheard = (
            one for one in kept if not (one.kind == BACKGROUND_ERROR and self._was_heard(one))
        )
        return [
            one.explained()
            for one in map(_Kept.thawed, unheard)
            if self._findings.add(one.error, kind=one.kind)
        ]

    def _was_heard(self, one: _Kept) -> bool:
        """Whether the test shows it by now, or it came to code of the user's."""
        reached = one.error.__traceback__
        came_to = reached.tb_frame.f_code.co_filename if reached is not None else ""
        has_gone_on = reached is not one.traceback
        return (has_gone_on and is_users(came_to)) or self._is_shown(one.error)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was raised, with the traceback that it had there."""

    kind: str
    error: BaseException
    traceback: TracebackType | None
    where: str

    def thawed(self) -> _Kept:
        """Tell of an error that cannot be raised: Python's contextlib writes on each one."""
        try:
            self.error.__traceback__ = self.error.__traceback__
        except AttributeError:
            told = BehaviourError(
                f"{type(self.error).__name__} was raised{self._place()}: {self.error}; it is a "
                "frozen dataclass, and Python cannot write on it which way it takes, so that "
                "FrozenInstanceError comes out of any contextmanager: take frozen=True away"
            )
            return replace(self, error=told)
        return self

    def explained(self) -> BaseException:
        """Return the error as it was, with a note that says where nobody heard of it."""
        if self.where:
            note = f"raised in {self.where}{self._place()}, where nobody hears of it"
            if not isinstance(self.error, UsageError):
                note += f"; allow {self.kind!r} if that is right"
            self.error.add_note(note)
        return self.error.with_traceback(self.traceback)

    def _place(self) -> str:
        site = raised_at(self.traceback)
        return "" if site is None else f" ({site})"


class HandlerWatch:
    """The watch around the handlers of events that a test registers, inside of a ``with``.

    Of any emitter: the session's, the room's, one of the user's own; and around the callbacks of a
    speech and for the texts of the room. `is_ours` says whether the code that runs just now is the
    test's. A watched handler equals itself, so ``off`` finds it.
    """

    def __init__(self, swallowed: Swallowed, is_ours: Callable[[], bool]) -> None:
        self._swallowed = swallowed
        self._is_ours = is_ours

    def __enter__(self) -> Self:
        STAND_INS.__enter__()
        _on_duty.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _on_duty.remove(self)
        STAND_INS.__exit__()

    def around(self, callback: Any, what: str, *, is_awaited: bool) -> Any:
        """Return what is to be registered: a handler of the test's tells its errors."""
        if not self._watches(callback):
            return callback
        made = _Awaited if is_awaited else _Handler
        return made(callback, functools.partial(self._raised, what))

    def _raised(self, what: str, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self._swallowed.keep_raised(HANDLER_ERROR, error, where=what)

    def _watches(self, callback: Any) -> bool:
        """Whether it is a handler that the test registers, and none of this package's own."""
        code = getattr(callback, "__code__", None)
        if callback is None or (code and code.co_filename.startswith(OUR_FOLDER)):
            return False
        if isinstance(callback, MethodType) and callback.__module__.startswith("livekit."):
            return False  # what the session's own parts tell each other
        return self._is_ours()


_on_duty: list[HandlerWatch] = []


def _around(callback: Any, what: str, *, is_awaited: bool = False) -> Any:
    for watch in _on_duty:
        if (handler := watch.around(callback, what, is_awaited=is_awaited)) is not callback:
            return handler
    return callback


def _watched(on: Callable[..., Any]) -> Callable[..., Any]:
    def on_watched(emitter: Any, event: Any, callback: Any = None) -> Any:
        handler = _around(callback, f"a handler of {event!r}")
        if handler is callback or inspect.iscoroutinefunction(callback):  # LiveKit refuses it
            return on(emitter, event, callback)
        on(emitter, event, handler)
        return callback

    return on_watched


def _registering(
    what: str, *, is_awaited: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def watched(register: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(register)
        def register_watched(owner: Any, callback: Any) -> Any:
            if not str(getattr(callback, "__module__", "")).startswith("livekit."):
                callback = _around(callback, what, is_awaited=is_awaited)
            return register(owner, callback)

        return register_watched

    return watched


STAND_INS = StandIns(
    (rtc.EventEmitter, "on", _watched),
    (SpeechHandle, "add_done_callback", _registering("a callback of a SpeechHandle")),
    (RoomIO, "register_text_input", _registering("text_input_cb", is_awaited=True)),
)


class _Handler:
    """A handler that tells what it raises."""

    def __init__(self, handler: Any, tell: Callable[[BaseException], None]) -> None:
        self._handler = handler
        self._tell = tell

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return self._handler(*args, **kwargs)
        except BaseException as error:
            self._tell(error)
            raise

    @cached_property
    def __signature__(self) -> inspect.Signature:
        # LiveKit asks whenever it emits
        try:
            return inspect.signature(self._handler)
        except ValueError as error:
            told = BehaviourError(
                f"LiveKit never calls {self._handler!r}: {error}; register a function instead"
            )
            self._tell(told)
            raise told from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._handler == other)

    def __hash__(self) -> int:
        return hash(self._handler)


class _Awaited(_Handler):
    """One that LiveKit awaits where it is a coroutine function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        return self._heard(made) if inspect.iscoroutine(made) else made

    async def _heard(self, made: Coroutine[Any, Any, Any]) -> Any:
        __tracebackhide__ = True
        try:
            return await made
        except BaseException as error:
            self._tell(error)
            raise
