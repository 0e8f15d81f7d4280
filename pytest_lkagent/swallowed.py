"""What is raised where nobody hears it, kept until the test can: with its type and its traceback.

LiveKit turns what a tool raises into an output, and only logs what a hook or a handler of an event
raises; asyncio only logs what ends a task that nobody awaits. A turn raises the first of these to
the test once it is over; the verdict has all.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from livekit import rtc

from .errors import BehaviourError, NeverAwaited
from .frames import is_users, site_of
from .sites import OUR_FOLDER
from .strict import BACKGROUND_ERROR, HANDLER_ERROR, Findings

__all__ = ["HandlerWatch", "Swallowed"]


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
        self._is_expected = is_expected
        self._is_shown = is_shown
        self._kept: list[tuple[str, BaseException, TracebackType | None]] = []

    def keep(self, kind: str, error: BaseException) -> bool:
        """Keep what somebody raised, unless it is expected; return whether it is kept."""
        if self._is_expected(error):
            return False
        # LiveKit raises it on through its own frames: keep the way it came to us
        self._kept.append((kind, error, error.__traceback__))
        self._findings.known.append(error)
        return True

    def keep_handler(self, event: object, error: BaseException) -> None:
        """Keep what a handler of `event` raised."""
        if not isinstance(error, asyncio.CancelledError) and self.keep(HANDLER_ERROR, error):
            _explain(error, f"raised in a handler of {event!r}", HANDLER_ERROR)

    def keep_background(self, error: BaseException, what: str) -> bool:
        """Keep what ended a task that nobody awaits; return whether asyncio need not log it."""
        if isinstance(error, BehaviourError) and error.kind in self._findings.allow:
            return False
        if self._is_shown(error):
            return True
        if BACKGROUND_ERROR in self._findings.allow:
            return False
        if not self._is_expected(error):
            self._kept.append((BACKGROUND_ERROR, error, error.__traceback__))
            _explain(error, f"raised in {what}", BACKGROUND_ERROR)
        return True

    def keep_dropped(self, error: NeverAwaited) -> bool:
        """Keep that a coroutine was never awaited; return whether Python need not warn."""
        if NeverAwaited.kind in self._findings.allow:
            return False
        self._kept.append((NeverAwaited.kind, error, None))
        return True

    def report(self) -> list[BaseException]:
        """Make what was raised findings, and return those that are not allowed."""
        kept, self._kept = self._kept, []
        return [
            error.with_traceback(traceback)
            for kind, error, traceback in kept
            if not (kind == BACKGROUND_ERROR and self._is_shown(error))
            and self._findings.add(error, kind=kind)
        ]


def _explain(error: BaseException, where: str, kind: str) -> None:
    traceback, site = error.__traceback__, ""
    while traceback is not None:
        if is_users(traceback.tb_frame.f_code.co_filename):
            site = f" ({site_of(traceback.tb_frame)})"
        traceback = traceback.tb_next
    note = f"{where}{site}, where nobody hears of it; allow {kind!r} if that is right"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


class HandlerWatch:
    """The watch around the handlers of events that a test registers, inside of a ``with``.

    Of any emitter: the session's, the room's, one of the user's own. `is_ours` says whether the
    code that runs just now is the test's. A watched handler equals itself, so ``off`` finds it.
    """

    def __init__(self, swallowed: Swallowed, is_ours: Callable[[], bool]) -> None:
        self._swallowed = swallowed
        self._is_ours = is_ours
        self._on: Any = None

    def __enter__(self) -> Self:
        on = self._on = rtc.EventEmitter.on

        def on_watched(emitter: Any, event: Any, callback: Any = None) -> Any:
            if not self._watches(callback):
                return on(emitter, event, callback)
            on(emitter, event, _Handler(callback, event, self._swallowed.keep_handler))
            return callback

        emitters: Any = rtc.EventEmitter
        emitters.on = on_watched
        return self

    def __exit__(self, *_: object) -> None:
        emitters: Any = rtc.EventEmitter
        emitters.on = self._on

    def _watches(self, callback: Any) -> bool:
        """Whether it is a handler that the test registers, and none of this package's own."""
        if callback is None or inspect.iscoroutinefunction(callback):  # which LiveKit refuses
            return False
        code = getattr(callback, "__code__", None)
        return not (code and code.co_filename.startswith(OUR_FOLDER)) and self._is_ours()


class _Handler:
    """A handler that tells what it raises."""

    def __init__(
        self, handler: Any, event: object, tell: Callable[[object, BaseException], None]
    ) -> None:
        self._handler = handler
        self._event = event
        self._tell = tell

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return self._handler(*args, **kwargs)
        except BaseException as error:
            self._tell(self._event, error)
            raise

    @cached_property
    def __signature__(self) -> inspect.Signature:
        # LiveKit asks whenever it emits, and where there is none only logs that
        try:
            return inspect.signature(self._handler)
        except ValueError as error:
            self._tell(self._event, error)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._handler == (other._handler if isinstance(other, _Handler) else other))

    def __hash__(self) -> int:
        return hash(self._handler)
