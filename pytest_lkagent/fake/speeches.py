"""What becomes of the steps that answer for an agent's speech.

LiveKit throws answers away that it asked for before it knew that the turn is over: their steps
answer something else then. And an ``llm_node`` may let nothing of an answer through, of which
nobody would hear: LiveKit takes that for a model with nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .._livekit_replies import Inference
from ..script import Step

__all__ = ["Speeches"]


@dataclass(eq=False)
class _Given:
    """A step for an inference, as it was scripted, and resolved for its request."""

    inference: Inference
    step: Step
    answer: Step


class Speeches:
    """The answers for speeches; `give_back` takes the steps that were thrown away."""

    def __init__(self, give_back: Callable[[Step], None]) -> None:
        self._give_back = give_back
        self._early: list[_Given] = []
        self._wanted: dict[Inference, Step] = {}
        """For each inference of a speech to be spoken the last answer: a node may ask several."""
        self._lost: list[Step] = []

    def note(self, inference: Inference, step: Step, answer: Step) -> None:
        """Note what is given to an inference."""
        self._early.append(_Given(inference, step, answer))

    def take_back(self, asking: Inference | None = None, *, at_rest: bool = False) -> None:
        """Give steps back whose answers LiveKit threw away before it wanted them.

        As it will do with any answer that is still early when it is `asking` for another speech:
        that one changes the conversation. And of one that is early when all are `at_rest` it does
        not think any more.
        """
        early, self._early = self._early, []
        kept, thrown_away = [], []
        for given in early:
            speech = given.inference.speech
            if speech.scheduled:
                self._wanted[given.inference] = given.answer
            elif (
                at_rest
                or speech.interrupted
                or (asking is not None and asking.speech is not speech)
            ):
                thrown_away.append(given.step)
            else:
                kept.append(given)
        self._early = kept
        for step in reversed(thrown_away):
            self._give_back(step)
        self._look_what_came()

    def _look_what_came(self) -> None:
        """Keep what was lost, and nothing else of what is over: a call may be long."""
        for inference in [one for one in self._wanted if one.is_over]:
            step = self._wanted.pop(inference)
            if _is_lost(step, inference):
                self._lost.append(step)

    def take_dropped(self) -> Sequence[Step]:
        """Return the answers of inferences that are over which came to nothing, once."""
        self.take_back()
        lost, self._lost = self._lost, []
        return lost


def _is_lost(step: Step, inference: Inference) -> bool:
    """Whether text or calls are missing, and nothing else is said or called in their place."""
    said, given = inference.text.strip(), str(step.text or "").strip()
    called, names = inference.calls, [call.name for call in step.calls]
    is_less = len(called) < len(names) or (given != "" and said == "")
    is_other = said not in ("", given) or not set(called) <= set(names)
    return inference.is_whole and is_less and not is_other
