"""What is left over at the end of a test: steps that answered nothing, mocks that nobody called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from livekit.agents import Agent

from .errors import (
    BehaviourError,
    DroppedStep,
    UnusedMock,
    UnusedStep,
    UsageError,
    did_you_mean,
    one_of,
)
from .fake.tts import FakeTTS
from .mocks import TaskMock, ToolMock
from .script import Request, Step
from .words import Words

__all__ = ["DROPPED", "UNUSED", "LeftOver", "Offers", "unasked", "uncalled", "unspoken"]


class LeftOver(NamedTuple):
    """Why steps are left over, how it is told, and what to do if it is right."""

    kind: type[BehaviourError]
    told: str
    advice: str

    def finding(self, steps: Sequence[Step], words: Words, when: str = "") -> BehaviourError:
        """Say that it is so of these steps."""
        first, *rest = [
            f"{step.rule and f'{step.rule} … '}{step.describe()} ({step.written_at})"
            for step in steps
        ]
        lines = [f"{self.told}{when and f' {when}'}: {first}", *(f"  and {one}" for one in rest)]
        return self.kind("\n".join([*lines, f"  {self.advise(words)}"]))

    def advise(self, words: Words) -> str:
        return f"{self.advice} let it pass: {words.allow(str(self.kind.kind))}"


UNUSED = LeftOver(UnusedStep, "scripted, and never asked for", "take it out, or")
DROPPED = LeftOver(
    DroppedStep,
    "answered, and nobody said or called it",
    "the agent's llm_node did not let it through; if that is right,",
)


class Offers:
    """Which tools the agents of a test had, for each class that one of them belongs to."""

    def __init__(self) -> None:
        self._at_first: dict[str, set[str]] = {}

    def note(self, agent: Agent, tools: Iterable[str]) -> None:
        """Note what an agent offers as it starts."""
        for base in type(agent).__mro__:
            self.note_class(base.__name__, tools)

    def note_class(self, name: str, tools: Iterable[str]) -> None:
        """Note what an agent of a class of this name offers."""
        self._at_first.setdefault(name, set()).update(tools)

    @property
    def noted(self) -> Mapping[str, Sequence[str]]:
        """What was noted, by the names of the classes."""
        return {name: sorted(tools) for name, tools in self._at_first.items()}

    def of(self, owner: type[Agent], requests: Iterable[Request]) -> set[str] | None:
        """Name the tools that agents of a class ever had, None where there was no such agent."""
        if owner.__name__ not in self._at_first:
            return None
        theirs = (request for request in requests if request.may_take(owner))
        later = (name for request in theirs for name in request.tools)  # by update_tools
        return self._at_first[owner.__name__] | set(later)


def unasked(judges: Sequence[str], words: Words) -> UnusedStep:
    """Say that these judges found nothing: nobody asked them."""
    told = UnusedStep(
        f"scripted, and never asked: the judge {one_of(judges)}; take it out, or let it pass: "
        f"{words.allow(UnusedStep.kind)}"
    )
    told.about = "judges"
    return told


def unspoken(tts: FakeTTS, words: Words, *, is_call: bool) -> UsageError:
    """Say that the voice was told how to say what the agent never said."""
    first = tts.unused[0]
    if not is_call:
        return UsageError(
            f"{first.name} ({first.written_at}): nobody speaks in a test in text; take "
            "voice_call, or that away"
        )
    told = f"{first.name} ({first.written_at}): the agent never said that"
    if tts.was_thrown_away(first):
        return UsageError(f"{told}: LiveKit threw that answer away (preemptive_tts)")
    if _was_said(first.text or "", tts.said):
        return UsageError(
            f"{first.name} ({first.written_at}): it was said before that; say so before "
            "the call begins, in a fixture such as start_script"
        )
    if first.text in tts.spoken:
        return UsageError(
            f"{first.name} ({first.written_at}): a realtime model said that, and has a "
            f"voice of its own; give its step a duration: {words.timed}"
        )
    if not tts.spoken:
        return UsageError(f"{told}, nor anything else")
    near = did_you_mean(first.text or "", tts.spoken)
    return UsageError(
        f"{told}{near or f'; it said {one_of(map(repr, dict.fromkeys(tts.spoken)))}'}"
    )


def _was_said(text: str, sentences: Sequence[str]) -> bool:
    """Whether some of the sentences, one after the other, are the text."""
    words = text.split()
    for first in range(len(sentences)):
        said: list[str] = []
        for sentence in sentences[first:]:
            said += sentence.split()
            if said == words:
                return True
            if len(said) >= len(words):
                break
    return False


def uncalled(
    made: ToolMock | TaskMock, offers: Offers, requests: Iterable[Request]
) -> UnusedMock | UsageError:
    """Say why a mock was never called: a tool that its agent never had is a slip of the test."""
    where = f"{made.label} is mocked ({made.written_at})"
    if made.is_late:
        return UnusedMock(made.why_late)
    if isinstance(made, ToolMock) and made.owner is not None:
        offered = offers.of(made.owner, requests)
        if offered is None:
            return UnusedMock(f"{where}, and no {made.owner.__name__} ever took over")
        if made.tool_name not in offered:
            return UsageError(
                f"{where}, and {made.owner.__name__} never had that tool; it had "
                f"{one_of(sorted(offered))}{did_you_mean(made.tool_name, offered)}"
            )
    return UnusedMock(
        f"{where}, and was never called; if that is right, make it optional, or assert that it "
        "was not called"
    )
