"""Who spoke from when to when, what was heard and what was cut off, in virtual milliseconds.

Every time counts from the beginning of the call. What is still under way has no `end` yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .lanes import text_lanes
from .svg import svg

__all__ = ["AgentSpeech", "Moment", "State", "Timeline", "ToolSpan", "UserSpeech"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeech:
    """The user spoke. `heard` is what speech recognition made of it, None while that is to come.

    `text` is empty where it was no speech but a noise.
    """

    start: int
    end: int
    text: str
    heard: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpeech:
    """The agent spoke: from the first to the last of it that the user could hear.

    `text` is what was said, `unsaid` what an interruption cut off. `pauses` are times in which the
    agent held its tongue and went on; one that it did not come back from yet has no end. `latency`
    runs from the end of the user's speech that it answers, None where it answers none.
    """

    start: int
    end: int | None = None
    text: str = ""
    unsaid: str = ""
    interrupted: bool = False
    pauses: Sequence[tuple[int, int | None]] = ()
    agent: str | None = None
    latency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpan:
    """A tool was at work; `call` is the call as code."""

    start: int
    end: int | None = None
    call: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The session's state of ``user`` or ``agent`` changed, in LiveKit's words."""

    at: int
    who: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something happened that takes no time: a key was pressed, a turn ended, an error came."""

    at: int
    kind: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A call up to `now`."""

    now: int
    user: Sequence[UserSpeech] = ()
    agent: Sequence[AgentSpeech] = ()
    tools: Sequence[ToolSpan] = ()
    states: Sequence[State] = ()
    moments: Sequence[Moment] = ()

    def __str__(self) -> str:
        return "\n".join(self.lanes())

    def lanes(
        self, *, mark: int | None = None, width: int = 100, since: int | None = None
    ) -> list[str]:
        """Draw the call as lanes of text, in lines of at most `width` columns (40 or more).

        With `mark`, what is around that moment, which has a ``^`` below; `since` says from when on.
        """
        return text_lanes(self, mark=mark, width=width, since=since)

    def to_svg(self, *, mark: int | None = None) -> str:
        """Draw the call as a picture, with a line at the moment `mark`."""
        return svg(self, mark=mark)
