"""What a test expects although it would otherwise be red: errors, and a session that closes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from livekit.agents import CloseReason

from .errors import BehaviourError, UsageError, did_you_mean, one_of, with_causes
from .sites import Site, call_site
from .transcript import Close

if TYPE_CHECKING:
    from .harness import Harness

__all__ = ["ErrorKind", "Expected", "ExpectedClose", "ExpectedError"]

ErrorKind = type[BaseException] | tuple[type[BaseException], ...]


_REASONS = tuple(reason.value for reason in CloseReason)


class Expected(Protocol):
    """What lets an error pass."""

    def takes(self, error: BaseException) -> bool:
        """Whether `error` is one that is expected."""


class _Within:
    """What expects something inside of a ``with``, and nothing without one."""

    name: str
    is_entered = False
    written_at: Site

    @property
    def why_vain(self) -> str:
        return (
            f"{self.written_at}: {self.name}(…) expects nothing by itself: write with "
            f"{self.name}(…): and inside of that what does it"
        )


class ExpectedError(_Within):
    """``with expect_error(APIConnectionError, match="overloaded"):`` wants such an error inside.

    `error` is the first one that came. It is enough that one in the chain of causes fits; `match`
    is searched in its text, as in ``pytest.raises``.
    """

    name = "expect_error"

    def __init__(
        self,
        kind: ErrorKind,
        match: str | None,
        open_ones: list[Expected],
        sessions: Sequence[Harness],
    ) -> None:
        kinds: Any = kind if isinstance(kind, tuple) else (kind,)
        if not all(isinstance(one, type) and issubclass(one, BaseException) for one in kinds):
            raise UsageError(f"expect_error() takes an exception class, not {kind!r}")
        self._kinds: tuple[type[BaseException], ...] = kinds
        self._match = match
        self._open_ones = open_ones
        self._sessions = sessions
        self._known: Mapping[Harness, int] = {}
        """How many errors that are scripted had come before."""
        self.error: BaseException | None = None
        self.written_at = call_site()

    def takes(self, error: BaseException) -> bool:
        """Whether `error` is the one that is expected."""
        found = self._found(error)
        self.error = self.error or found
        return found is not None

    def _found(self, error: BaseException) -> BaseException | None:
        for cause in with_causes(error):
            if isinstance(cause, self._kinds) and (
                self._match is None or re.search(self._match, str(cause))
            ):
                return cause
        return None

    def __enter__(self) -> Self:
        self.is_entered = True
        self._open_ones.append(self)
        self._known = {one: len(one.scripted_errors) for one in self._sessions}
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        __tracebackhide__ = True
        taken = error is not None and self.takes(error)
        for harness in self._sessions:
            harness.take_expected_errors()
        self._open_ones.remove(self)
        if error is None and self.error is None:
            raise BehaviourError(f"expected {self}, and no such error came{self._why_none()}")
        if error is not None and not taken:
            error.add_note(f"expected {self}")
        return taken

    def _why_none(self) -> str:
        came = [
            harness.recovered_from(error)
            for harness in self._sessions
            for error in harness.scripted_errors[self._known.get(harness, 0) :]
            if self._found(error) is not None
        ]
        return f": {came[-1]}" if came else ""

    def __str__(self) -> str:
        names = " or ".join(kind.__name__ for kind in self._kinds)
        return f"{names} matching {self._match!r}" if self._match else names


class ExpectedClose(_Within):
    """``with expect_close(reason="error"):`` wants a session to close by itself inside.

    `close` is how it did.
    """

    name = "expect_close"

    def __init__(self, reason: str | None, sessions: Sequence[Harness]) -> None:
        if reason is not None and reason not in _REASONS:
            raise UsageError(
                f"expect_close(reason={reason!r}) is unknown; the reasons are {one_of(_REASONS)}"
                f"{did_you_mean(reason, _REASONS)}"
            )
        self._reason = reason
        self._sessions = sessions
        self._closed_before: list[Harness] = []
        self.close: Close | None = None
        self.written_at = call_site()

    def __enter__(self) -> Self:
        self.is_entered = True
        self._closed_before = [h for h in self._sessions if h.record.closed is not None]
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        __tracebackhide__ = True
        for harness in self._sessions:
            if harness.record.closed is not None and harness not in self._closed_before:
                self.close = harness.record.closed
                harness.close_is_expected = True
        if error is not None:
            return
        wanted = f" with reason {self._reason!r}" if self._reason else ""
        if self.close is None:
            raise BehaviourError(f"expected the session to close{wanted}, and it is still open")
        if self._reason not in (None, self.close.reason):
            raise BehaviourError(
                f"expected the session to close{wanted}, and it closed with {self.close}"
            )
