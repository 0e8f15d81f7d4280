"""What a turn lacks may have come in another one, or may still come: where to list it."""

from __future__ import annotations

from collections.abc import Iterator

from ..scenarios.align import fits
from ..scenarios.expectations import Expectation, MessageExpectation
from ..scenarios.model import Scenario
from ..transcript import Transcript, Turn

__all__ = ["elsewhere"]

_AT_THE_START = "it came at the start, before the first turn: list it under start: expect:"


def elsewhere(
    expected: Expectation, scenario: Scenario, transcript: Transcript, played: Turn, saying: str
) -> Iterator[str]:
    """Say where what the turn `played` lacks is listed; `saying` is what the agent just says."""
    turns = scenario.turns or ()
    happened = (transcript.start, *transcript.turns)
    number = next(index for index, one in enumerate(happened) if one is played)
    for index, turn in enumerate((scenario.start, *turns)[:number]):
        is_listed = turn is not None and turn.expect is not None
        if not is_listed and any(fits(expected, event) for event in happened[index].events):
            yield f"it came in turn {index}: list it there" if index else _AT_THE_START
    if saying and isinstance(expected, MessageExpectation) and number < len(turns):
        over = f"turn {number + 1} talks over that, and lists it"
        yield f"the agent is still saying {saying!r}: {over}"
