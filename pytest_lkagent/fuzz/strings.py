"""Texts as the schema of a tool demands them: by length, by pattern, by format."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

__all__ = ["strings"]

_ROOM = 30
"""How many more characters than it must a text has where nothing bounds it."""
_PLAIN = (
    *("", "a", "0", "7", "yes", "none", "Ada Lovelace", "2 pm", "14:00", "tomorrow", "2026-06-15"),
    *("+1 555 0100", "ada@example.com", "A-1207", "12.50", "the usual", " ", "a, b"),
)
"""What callers say and models send; hypothesis' own texts are others, and take longer to draw."""
_NEW_YEAR = date(2026, 1, 1)
_DAYS = 20 * 365
"""How far off a day may be: at the ends of the calendar any code overflows, and no agent works."""
_END = re.compile(r"(?<!\\)\$(?=$|[|)])")
"""The end of a text. Before a last line break too is what "$" means to Python, and to no other."""
_ZONES = ("+00:00", "Z", "+02:00", "-09:30", "")

_LABELS = st.text("abcxyz019", min_size=1, max_size=8)
_MINUTES = st.integers(0, 24 * 60 - 1)
_DATES = st.integers(-_DAYS, _DAYS).map(lambda days: f"{_NEW_YEAR + timedelta(days)}")
_TIMES = st.builds(
    lambda minutes, zone: f"{minutes // 60:02}:{minutes % 60:02}:00{zone}",
    _MINUTES,
    st.sampled_from(_ZONES),
)


def _joined(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    drawn = (st.just(part) if isinstance(part, str) else part for part in parts)
    return st.tuples(*drawn).map("".join)


_FORMATS: Mapping[str, st.SearchStrategy[str]] = {
    "date": _DATES,
    "date-time": _joined(_DATES, "T", _TIMES),
    "time": _TIMES,
    "duration": _MINUTES.map(lambda minutes: f"PT{minutes}M"),
    "email": _joined(_LABELS, "@", _LABELS, ".com"),
    "hostname": _joined(_LABELS, ".com"),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "uri": _joined("https://", _LABELS, ".com/", _LABELS),
    "uuid": st.uuids(version=4).map(str),
}


def strings(keywords: Mapping[str, Any]) -> st.SearchStrategy[str] | None:
    """Draw the texts that the keywords of a schema allow; None where they contradict each other.

    A format that is unknown is no demand, as JSON Schema has it.

    Raises:
        ValueError: The pattern is no regular expression.
    """
    least, most = keywords.get("minLength", 0), keywords.get("maxLength", math.inf)
    if least > most:
        return None
    found = _FORMATS.get(keywords.get("format", ""))
    if (pattern := keywords.get("pattern")) is not None:
        found = _matching(pattern)
    if found is None:
        plain = [text for text in _PLAIN if least <= len(text) <= most]
        others = st.text(min_size=least, max_size=int(min(most, least + _ROOM)))
        return st.sampled_from(plain) | others if plain else others
    if keywords.keys() & {"minLength", "maxLength"}:
        return found.filter(lambda text: least <= len(text) <= most)
    return found


def _matching(pattern: str) -> st.SearchStrategy[str]:
    try:
        # re.ASCII: ECMA's \d and \w, which lie within those of the others
        compiled = re.compile(_END.sub(r"\\Z", pattern), re.ASCII)
    except (re.error, TypeError) as problem:
        raise ValueError(f"pattern {pattern!r} is no regular expression: {problem}") from None
    return st.from_regex(compiled)
