"""Every exception of the plugin.

Two families, and the difference is whose fault it is: `UsageError` says that the test is set up
wrongly, `BehaviourError` that the agent did something wrong. Both carry the whole message that
a user reads; floor 4 shows it without a traceback of our own.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from .sites import Site

__all__ = [
    "BehaviourError",
    "BlockedLoop",
    "DroppedStep",
    "ExpectationError",
    "LeakedTask",
    "LoadError",
    "NeverAwaited",
    "NotAwaitable",
    "RefusedConnection",
    "RefusedOutput",
    "ScriptError",
    "SessionClosedError",
    "SessionError",
    "SnapshotMismatch",
    "Stuck",
    "UnheardSpeech",
    "UnscriptedRequest",
    "UnusedMock",
    "UnusedSnapshot",
    "UnusedStep",
    "UsageError",
    "Veto",
    "did_you_mean",
    "one_of",
    "with_causes",
]


class UsageError(Exception):
    """The test, the file or the option is wrong, not the agent."""


class LoadError(UsageError):
    """A scenario file has mistakes.

    `problems` holds one line for each, `file:line:column: what, and what to write instead`.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ScriptError(UsageError):
    """A scripted step asks for what the agent cannot do; `site` is where it was written."""

    def __init__(self, message: str, site: Site) -> None:
        super().__init__(message)
        self.site = site

    def __str__(self) -> str:
        return f"{self.site}: {self.args[0]}"


class BehaviourError(AssertionError):
    """The agent did wrong.

    `kind` is the name by which `allow` lets this finding pass; None means that nothing does.
    `about` is the key of a scenario that says what should have been, if one of its own does.
    """

    kind: ClassVar[str | None] = None
    about: Literal["expect_veto", "judges"] | None = None


class ExpectationError(BehaviourError):
    """The conversation is not the one that was expected."""


class SnapshotMismatch(ExpectationError):
    """A conversation is not the one of its snapshot; `turn` counts from 1, 0 is the start."""

    def __init__(self, message: str, turn: int | None = None) -> None:
        super().__init__(message)
        self.turn = turn


class BlockedLoop(BehaviourError):
    """Code of the user's own held the event loop up."""

    kind = "blocked_loop"


class LeakedTask(BehaviourError):
    """A task of the user's own outlives its test, or a job in a thread."""

    kind = "leaked_task"


class NeverAwaited(BehaviourError):
    """A coroutine was made and dropped: what it should do was never done."""

    kind = "never_awaited"


class NotAwaitable(TypeError, BehaviourError):
    """A tool or a hook is no coroutine function, and LiveKit awaits it.

    A `TypeError`, since that is what it is where nobody tests it.
    """


class RefusedOutput(TypeError, BehaviourError):
    """A tool returned what LiveKit can make no output for the model of."""


class UnscriptedRequest(BehaviourError):
    """The agent asked its model for a completion that nobody scripted."""

    kind = "unscripted_request"


class UnusedStep(BehaviourError):
    """A scripted step answered no request."""

    kind = "unused_step"


class DroppedStep(BehaviourError):
    """A scripted step answered a request, and nobody said or called what is in it."""

    kind = "dropped_step"


class UnheardSpeech(BehaviourError):
    """The agent said something in a call, and no sound came of it."""

    kind = "unheard_speech"


class UnusedMock(BehaviourError):
    """A mock was never called, and nobody looked whether it was."""

    kind = "unused_mock"


class UnusedSnapshot(BehaviourError):
    """A test asked for `chat_snapshot`, and compared nothing with it."""

    kind = "unused_snapshot"


class Veto(BehaviourError):
    """The agent's own ``on_simulation_end`` found the run to be a failure."""

    kind = "veto"


class SessionError(BehaviourError):
    """The session reported an error that nobody expected."""

    kind = "session_error"


class SessionClosedError(BehaviourError):
    """The session closed although nobody expected it."""

    kind = "unexpected_close"


class RefusedConnection(OSError, BehaviourError):
    """Code under test was about to reach out of the machine.

    An `OSError`, since that is what an unreachable network raises: libraries clean up after it, and
    code that copes with being offline copes with this.
    """

    kind = "refused_connection"

    def __init__(self, message: str, host: str = "") -> None:
        super().__init__(errno.ENETUNREACH, message)
        self.host = host

    def __str__(self) -> str:
        return str(self.args[-1])


class Stuck(BehaviourError):
    """Nothing can happen any more, and the test still waits.

    Its kind is not for `allow`: a fuzzed conversation that need not end lets it pass.
    """

    kind = "stuck"


def one_of(names: Iterable[str]) -> str:
    """List the valid choices for a message: ``a, b, c``, or ``none`` where there are none."""
    return ", ".join(names) or "none"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known name, or nothing where none is near."""
    from difflib import get_close_matches  # here: only a mistake needs it

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk an error, what caused it, and so on; ``raise error from error`` makes a circle."""
    passed: list[BaseException] = []
    while error is not None and not any(error is one for one in passed):
        yield error
        passed.append(error)
        error = error.__cause__
