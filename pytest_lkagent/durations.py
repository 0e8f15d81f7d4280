"""Durations as a user writes them: ``250ms``, ``2s``, ``1m`` or a number of seconds."""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["DURATIONS", "duration"]

DURATIONS = "250ms, 2s, 1m or a number of seconds"
"""How to write one, for messages."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|)")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "": Decimal(1)}


def duration(text: str) -> float | None:
    """Return the seconds that `text` means; None where it is no duration."""
    match = _DURATION.fullmatch(text)
    if match is None or len(text) > 20:
        return None
    return float(Decimal(match[1]) * _SECONDS[match[2]])
