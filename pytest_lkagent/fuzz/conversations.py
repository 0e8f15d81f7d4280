"""Whole conversations: what users say, what the model answers, how long everything takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from ..script import Step
from .completions import completions_for
from .inputs import user_inputs
from .offers import tools_of
from .schedules import Schedule, schedules

__all__ = ["Conversation", "FuzzedTurn", "conversations"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own

_MOST_TURNS = 4
_MOST_COMPLETIONS = 4


@dataclass(frozen=True, slots=True)
class FuzzedTurn:
    """What the user says, and what the model answers to the requests of that turn."""

    user: str
    completions: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns, and how long everything in them takes."""

    turns: tuple[FuzzedTurn, ...]
    schedule: Schedule = field(default_factory=Schedule)


def conversations(agent: Any) -> st.SearchStrategy[Conversation]:
    """Draw conversations with `agent`: an agent, its class, a factory, or a collection of tools.

    A turn has at least one completion, and an agent may ask for fewer or more than it has: what is
    over is not asked for, and what is missing is nobody's answer. `fuzz_agent` draws each
    completion when it is asked for; use this where the conversation has to be known beforehand.
    Shrinks towards one turn, ``hi`` answered by ``say("a")``, in which nothing takes any time.

    Raises:
        UsageError: The agent cannot be made without arguments, or there is a tool of which
            LiveKit can make no schema.
    """
    steps = completions_for(tools_of(agent, what="conversations()"))
    turns = st.builds(
        FuzzedTurn,
        user=user_inputs(),
        completions=st.lists(steps, min_size=1, max_size=_MOST_COMPLETIONS).map(tuple),
    )
    return st.builds(
        Conversation,
        turns=st.lists(turns, min_size=1, max_size=_MOST_TURNS).map(tuple),
        schedule=schedules(),
    )
