"""When things happen: how long tools and completions take, and when the user interrupts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

__all__ = ["Schedule", "delays", "interruptions", "schedules"]

_DELAYS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 30.0)
_SIMPLE = (0.1, 0.5, 1.0, 2.0, 5.0)
_INSTANTS = tuple(tenths / 10 for tenths in range(2, 100))
# one choice, with the simple ones first: what is drawn as a choice of choices shrinks worse
_INTERRUPTIONS: st.SearchStrategy[float | None] = st.sampled_from(
    (*[None] * 240, *(instant for instant in _SIMPLE for _ in range(10)), *_INSTANTS)
)
_MOST = 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long each thing of a conversation takes, in virtual seconds.

    `tools` are the calls of tools in the order in which they begin, `completions` the requests of
    the agent. `interruptions` are the turns: how long after the user's words somebody interrupts
    the agent, None where nobody does. What comes after the last one takes no time, and is not
    interrupted.
    """

    tools: tuple[float, ...] = ()
    completions: tuple[float, ...] = ()
    interruptions: tuple[float | None, ...] = ()

    def tool(self, number: int) -> float:
        """Return how long a call takes; the first is 0."""
        return _nth(self.tools, number) or 0.0

    def completion(self, number: int) -> float:
        """Return how long a completion takes; the first is 0."""
        return _nth(self.completions, number) or 0.0

    def interruption(self, turn: int) -> float | None:
        """Return how long after its beginning a turn is interrupted; the first is 0."""
        return _nth(self.interruptions, turn)


def _nth(seconds: Sequence[float | None], number: int) -> float | None:
    return seconds[number] if number < len(seconds) else None


def delays() -> st.SearchStrategy[float]:
    """Draw how long something takes, in seconds: few values, so that some are equal."""
    return st.sampled_from(_DELAYS)


def interruptions() -> st.SearchStrategy[float | None]:
    """Draw when the user cuts in, in seconds: any tenth of the first ten, or never."""
    return _INTERRUPTIONS


def schedules() -> st.SearchStrategy[Schedule]:
    """Draw how long tools, completions and interruptions take, so that their order varies.

    On virtual time the longest costs as little as none. Shrinks towards a schedule in which
    everything happens at once and nobody interrupts.
    """
    return _SCHEDULES


_SCHEDULES = st.builds(
    Schedule,
    tools=st.lists(delays(), max_size=_MOST).map(tuple),
    completions=st.lists(delays(), max_size=_MOST).map(tuple),
    interruptions=st.lists(interruptions(), max_size=_MOST).map(tuple),
)
