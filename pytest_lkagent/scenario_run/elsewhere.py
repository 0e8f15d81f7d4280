"""What a turn lacks may have come in another one, or may still come: where to list it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..scenarios.align import fits
from ..scenarios.expectations import Expectation, MessageExpectation, OutputExpectation
from ..scenarios.model import Scenario
from ..transcript import FunctionCall, Transcript, Turn

__all__ = ["elsewhere"]

_AT_THE_START = "it came at the start, before the first turn: list it under start: expect:"


def elsewhere(
    expected: Expectation,
    scenario: Scenario,
    transcript: Transcript,
    played: Turn,
    *,
    saying: str,
    running: Collection[str],
) -> Iterator[str]:
    """Say where what the turn `played` lacks is listed.

    `saying` is what the agent just says, `running` the ids of the calls whose tools are at work.
    """
    turns = scenario.turns or ()
    happened = (transcript.start, *transcript.turns)
    number = next(index for index, one in enumerate(happened) if one is played)
    for index, turn in enumerate((scenario.start, *turns)[:number]):
        is_listed = turn is not None and turn.expect is not None
        if not is_listed and any(fits(expected, event) for event in happened[index].events):
            yield f"it came in turn {index}: list it there" if index else _AT_THE_START
    if saying and isinstance(expected, MessageExpectation) and number < len(turns):
        comes = "talks over that" if turns[number].at is None else "begins before that is over"
        over = f"turn {number + 1} {comes}, and lists it"
        yield f"the agent is still saying {saying!r}: {over}"
    if isinstance(expected, OutputExpectation):
        calls = (event for event in transcript if isinstance(event, FunctionCall))
        for name in [call.name for call in calls if call.call_id in running]:
            if expected.name in (None, name):
                yield f"{name} is still at work: its output is listed in the turn in which it comes"
