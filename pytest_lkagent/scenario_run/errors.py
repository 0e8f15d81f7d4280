"""The errors that a turn expects, wherever they are raised, and the tools that fail in it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import TYPE_CHECKING

from .._livekit_items import INTERNAL_ERROR
from ..errors import BehaviourError, UsageError
from ..scenarios.expect import match_error
from ..scenarios.expectations import OutputExpectation, TextMatch
from ..scenarios.model import ScenarioTurn
from ..tool_watch import EVERY_TOOL
from .captures import Captures

if TYPE_CHECKING:
    from ..stage import Stage

__all__ = ["Expecting", "failing"]


class Expecting:
    """Lets what a turn's `expect_error` describes pass from `begin` to `end`.

    `error` is the first one. A text in which the turn's own captures stand is compared when the
    turn is over. It has no hold on the stage: the play that has it lives as long as its item.
    """

    def __init__(self, turn: ScenarioTurn | None, captures: Captures) -> None:
        self._expected = None if turn is None else turn.expect_error
        if self._expected is not None:
            try:
                self._expected = captures.fill(self._expected)
            except UsageError:
                self._expected = replace(self._expected, text=TextMatch())
        self.error: BaseException | None = None

    def takes(self, error: BaseException) -> bool:
        """Whether `error` is the one that is expected, and none of ours."""
        if self._expected is None or isinstance(error, (BehaviourError, UsageError)):
            return False
        is_expected = match_error(self._expected, error) is None
        self.error = self.error or (error if is_expected else None)
        return is_expected

    def begin(self, stage: Stage) -> None:
        stage.expected.append(self)

    def end(self, stage: Stage) -> None:
        """Take the errors that only the sessions reported, and go."""
        for harness in stage.sessions if self._expected is not None else ():
            harness.take_expected_errors()
        stage.expected.remove(self)


def failing(turn: ScenarioTurn | None) -> Container[str]:
    """Name the tools of which an output is expected that they give when they raise."""
    expected = (turn and turn.expect) or ()
    names = {one.name for one in expected if isinstance(one, OutputExpectation) and _tells(one)}
    return EVERY_TOOL if None in names else {name for name in names if name is not None}


def _tells(expected: OutputExpectation) -> bool:
    if expected.is_error is None and expected.tells_failure:
        return next(expected.output.differences(INTERNAL_ERROR), None) is None
    return bool(expected.is_error)
