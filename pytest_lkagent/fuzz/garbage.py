"""The garbage of an example goes with it, instead of with one that comes later."""

from __future__ import annotations

import gc

__all__ = ["garbage_apart"]

_MANY = 20_000
"""So many new objects wait for the end of an example; a lean one leaves less than a thousand."""


class garbage_apart:  # noqa: N801  (as contextlib's; that one's frames would be in each failure)
    """Let Python collect what an example leaves when it is over, and not in the midst of another.

    A session leaves hundreds of objects that refer to each other in circles. Left to itself, Python
    looks for those in the midst of nearly every example, finds its objects in use, and looks at
    them again ten examples later: a tenth of all the time that fuzzing takes. Whoever has turned
    the collector off is taken at their word, and so is who sets its thresholds inside.
    """

    def __enter__(self) -> None:
        self._before = gc.get_threshold()
        first, *others = self._before  # nothing is collected where it is 0
        self._inside = (max(first, _MANY) if first else 0, *others)
        gc.set_threshold(*self._inside)

    def __exit__(self, *_: object) -> None:
        if gc.get_threshold() == self._inside:
            gc.set_threshold(*self._before)  # by which it is due, where it is on
