"""What must not pass: the findings of one test, and the verdict over them.

LiveKit swallows much of what goes wrong. Each finding fails the test once, when its call phase
ends, unless `allow` names its kind; when the test failed already, the findings are notes on that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from .errors import (
    BehaviourError,
    BlockedLoop,
    DroppedStep,
    LeakedTask,
    NeverAwaited,
    RefusedConnection,
    SessionClosedError,
    SessionError,
    UnheardSpeech,
    UnscriptedRequest,
    UnusedMock,
    UnusedSnapshot,
    UnusedStep,
    UsageError,
    Veto,
    did_you_mean,
    one_of,
    with_causes,
)
from .frames import raised_at

__all__ = [
    "BACKGROUND_ERROR",
    "HANDLER_ERROR",
    "HOOK_ERROR",
    "KINDS",
    "TOOL_ERROR",
    "Findings",
    "check_allowed",
    "describe",
]

BACKGROUND_ERROR = "background_error"
"""An exception raised in a task that nobody awaited, or in a callback of the event loop."""

HANDLER_ERROR = "handler_error"
"""An exception raised in a handler of an event (``session.on``), or in a callback of a speech."""

HOOK_ERROR = "hook_error"
"""An exception raised in ``on_enter`` or another hook; it too keeps its type and traceback."""

TOOL_ERROR = "tool_error"
"""An exception raised inside a tool or a mock, which keeps its own type and traceback.

So is an output that LiveKit refuses.
"""

KINDS = frozenset(
    {
        BACKGROUND_ERROR,
        HANDLER_ERROR,
        HOOK_ERROR,
        TOOL_ERROR,
        *(
            str(kind.kind)
            for kind in (
                BlockedLoop,
                DroppedStep,
                LeakedTask,
                NeverAwaited,
                RefusedConnection,
                SessionClosedError,
                SessionError,
                UnheardSpeech,
                UnscriptedRequest,
                UnusedMock,
                UnusedSnapshot,
                UnusedStep,
                Veto,
            )
        ),
    }
)


def check_allowed(names: Iterable[str], *, where: str) -> frozenset[str]:
    """Return the kinds that `allow` names.

    Raises:
        UsageError: One of them is no kind of finding.
    """
    if not isinstance(names, Iterable):
        raise UsageError(f"{where}: allow takes a kind of finding or a list of them, not {names!r}")
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in KINDS:
            raise UsageError(
                f"{where}: allow names {name!r}, which is no kind of finding; the kinds are "
                f"{one_of(sorted(KINDS))}{did_you_mean(str(name), KINDS)}"
            )
    return frozenset(names)


class Findings:
    """The findings of one test, in order, without those that are allowed."""

    def __init__(self, allow: Collection[str] = ()) -> None:
        self.allow = frozenset(allow)
        self.known: list[BaseException] = []
        self._found: list[BaseException] = []

    def add(self, error: BaseException, *, kind: str | None = None) -> bool:
        """Take a finding in, once; return whether it is one, and not allowed."""
        kind = kind or (error.kind if isinstance(error, BehaviourError) else None)
        if self.allows(error, kind):
            return False
        if not any(error is found for found in self._found):
            self._found.append(error)
        return True

    def allows(self, error: BaseException, *kinds: str | None) -> bool:
        """Whether `error`, of one of these kinds, is allowed; a mistake of the test's never is."""
        return not isinstance(error, UsageError) and not self.allow.isdisjoint(kinds)

    def is_reported(self, error: BaseException | None) -> bool:
        """Whether the test shows `error` anyway, so that LiveKit's log of it only repeats it."""
        return any(
            isinstance(one, (BehaviourError, UsageError))
            or any(one is known for known in self.known)
            for one in with_causes(error)
        )

    def __iter__(self) -> Iterator[BaseException]:
        return iter(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def verdict(self, failure: BaseException | None) -> BaseException | None:
        """Return what the test fails with: `failure` or the first finding, the others as notes."""
        told = (failure, failure.__context__) if failure is not None else ()
        rest = [error for error in self._found if not any(error is one for one in told)]
        self._found = []
        if failure is None:
            if not rest:
                return None
            failure, *rest = rest
        elif (first := self._refused_before(failure) or _unscripted(failure, rest)) is not None:
            kind, site = type(failure), raised_at(failure.__traceback__)
            came_as = f"it came to the test as {kind.__module__}.{kind.__qualname__}"
            first.add_note(f"{came_as} ({site})" if site is not None else came_as)
            failure, rest = first, [error for error in rest if not _is_told_by(first, error)]
        itself = describe(failure)  # such as a handler that fails the same way each time
        for error in rest:
            described = describe(error)
            note = f"also: {described}"
            if described != itself and note not in getattr(failure, "__notes__", ()):
                failure.add_note(note)
        return failure

    def _refused_before(self, failure: BaseException) -> RefusedConnection | None:
        """Return the refused connection that a library made `failure` of, in many frames."""
        if isinstance(failure, AssertionError) or RefusedConnection.kind in self.allow:
            return None
        link: BaseException | None = failure
        passed: list[BaseException] = []
        while link is not None and not any(link is one for one in passed):
            if isinstance(link, RefusedConnection):
                return link
            passed.append(link)
            link = link.__cause__ or link.__context__
        return None


def _is_told_by(first: BaseException, error: BaseException) -> bool:
    """Whether it is `first`, or of the same host: LiveKit warms a model up before it asks it."""
    hosts = [one.host for one in (first, error) if isinstance(one, RefusedConnection)]
    return error is first or (len(hosts) == 2 and hosts[0] == hosts[1])


def _unscripted(failure: BaseException, found: Iterable[BaseException]) -> UnscriptedRequest | None:
    """Return the request of which a client over HTTP made `failure`, in words of its own."""
    if isinstance(failure, AssertionError):
        return None
    for one in found:
        if isinstance(one, UnscriptedRequest) and str(one).partition("\n")[0] in str(failure):
            return one
    return None


def describe(error: BaseException) -> str:
    """Name an error for a note; our own carry their whole message."""
    if isinstance(error, (BehaviourError, UsageError)):
        return str(error)
    return ", ".join([repr(error), *getattr(error, "__notes__", ())])
