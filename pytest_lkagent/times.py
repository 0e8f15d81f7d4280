"""Times as a user writes them: durations like ``250ms``, dates like ``2026-06-12T09:00:00Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

__all__ = [
    "DURATIONS",
    "LONGEST",
    "LONGEST_SPEECH",
    "LONGEST_WAIT",
    "MOMENT",
    "YEARS",
    "duration",
    "means_milliseconds",
    "moment",
]

DURATIONS = "250ms, 2s, 1m or a number of seconds"
"""How to write a duration, for messages."""

MOMENT = "a date and time like 2026-06-12T09:00:00Z"
"""How to write a moment, for messages."""

LONGEST = 366 * 86400.0
"""Seconds that anything may take: a year."""

LONGEST_SPEECH = 300.0
"""Seconds for which nobody speaks without a break, and for which nobody waits for a word: more are
milliseconds by mistake."""

LONGEST_WAIT = 60.0
"""Seconds that a claim of a call may take beyond what has passed already, for the same reason."""

YEARS = range(1900, 3000)
"""When a test may be: the clocks of the machine end somewhere beyond."""

_FEWEST_MILLISECONDS = 10
"""As many as anybody would write: fewer are seconds indeed."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|)")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "": Decimal(1)}


def duration(text: str) -> float | None:
    """Return the seconds that `text` means; None where it is no duration."""
    match = _DURATION.fullmatch(text)
    if match is None or len(text) > 20:
        return None
    return float(Decimal(match[1]) * _SECONDS[match[2]])


def means_milliseconds(seconds: float, took: float) -> bool:
    """Whether so many seconds are milliseconds by mistake, as what they are of `took` so many."""
    return seconds >= _FEWEST_MILLISECONDS and seconds * 1000 > took * 10


def moment(text: str) -> datetime | None:
    """Read a date with or without time, in UTC where no zone is written; None for other text."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
