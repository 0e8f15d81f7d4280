"""What is wrong with a line: noise, a bad microphone, lost packets; the same on every run."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from .sound import Utterance

__all__ = ["Impairments"]

_WORD_ERRORS = 0.15
"""How many words a bad microphone makes into others."""
_LOST = 0.08
"""How many frames are lost."""


class Impairments:
    """The impairments of one call, by LiveKit's names (``SimulationImpairments``).

    ``background_noise`` is heard while the agent speaks, and taken for speech by voice detection:
    for so long that with LiveKit's defaults the agent pauses;
    ``low_quality_microphone`` makes words into others; with ``packet_loss`` frames are missing.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = frozenset(names)
        self._noise = Random("background_noise")
        self._loss = Random("packet_loss")

    def noise(self) -> tuple[float, Utterance] | None:
        """Return a noise, and after how many seconds of the agent's speech it is heard."""
        if "background_noise" not in self._names:
            return None
        after = round(self._noise.uniform(0.2, 1.0), 2)
        return after, Utterance(text="", lasts=round(self._noise.uniform(0.3, 0.5), 2))

    def heard(self, text: str) -> str:
        """Return what is left of a text."""
        if "low_quality_microphone" not in self._names:
            return text
        fate = Random(text)
        return " ".join(filter(None, (_garbled(word, fate) for word in text.split())))

    def is_lost(self) -> bool:
        """Whether the next frame is."""
        return "packet_loss" in self._names and self._loss.random() < _LOST


def _garbled(word: str, fate: Random) -> str:
    """Drop a word, swap two of its letters, or let it be."""
    if fate.random() >= _WORD_ERRORS:
        return word
    if len(word) < 3 or fate.random() < 0.5:
        return ""
    place = fate.randrange(len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
