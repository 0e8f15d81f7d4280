"""What a plain scalar means: the rules of LiveKit's command line, and our dates.

`lk` reads a scenario file with Go's yaml.v3 and sends `userdata` on as JSON; one file must mean
one thing, so these are its rules (yaml.v3 `resolve.go`, then `encoding/json`, then Python's
`json`), not PyYAML's: ``no`` is a text, ``12:30`` is a text, ``1e3`` is the number 1000.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from decimal import Decimal
from typing import Any

__all__ = ["NULLS", "resolve"]

NULLS = frozenset(("", "~", "null", "Null", "NULL"))
"""What stands for nothing where it is not in quotes."""

_CONSTANTS: dict[str, tuple[str, Any]] = {
    **dict.fromkeys(("true", "True", "TRUE"), ("bool", True)),
    **dict.fromkeys(("false", "False", "FALSE"), ("bool", False)),
    **dict.fromkeys(NULLS, ("null", None)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), ("float", math.nan)),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), ("float", math.inf)),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), ("float", -math.inf)),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO]?(?P<o>[0-7]+)"
    r"|(?P<d>0|[1-9][0-9]*))"
)
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2})"
    r"(?:(?P<t>[Tt ])(?P<time>[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2})(?P<fraction>[.,][0-9]+)?"
    r"(?P<zone>Z|[-+][0-9]{2}:[0-9]{2})?)?"
)


def resolve(text: str) -> tuple[str, Any]:
    """Return kind and value of an unquoted scalar, as a Python program behind `lk` sees it.

    The kind is one of ``str bool null int float timestamp``; what JSON cannot hold comes back as
    a float that is not finite.
    """
    known = _CONSTANTS.get(text)
    if known is not None:
        return known
    if text[0] not in "0123456789+-.":
        return "str", text
    timestamp = _timestamp(text)
    if timestamp is not None:
        return "timestamp", timestamp
    plain = text if text[0] == "." else text.replace("_", "")
    integer = _integer(plain)
    if integer is not None:
        return "int", integer
    if _FLOAT.fullmatch(plain) and math.isfinite(number := float(plain)):
        return "float", _through_json(number)
    return "str", text


def _integer(plain: str) -> int | None:
    """Read an integer that fits into 64 bits; Go makes a float of a longer decimal one."""
    match = _INTEGER.fullmatch(plain)
    if match is None or len(plain) > 70:
        return None
    digits, base = next((d, base) for key, base in _BASES.items() if (d := match[key]))
    value = int(digits, base) * (-1 if match["sign"] == "-" else 1)
    return value if -(2**63) <= value < (2**63 if match["sign"] else 2**64) else None


def _through_json(number: float) -> int | float:
    """Write a number as Go's JSON encoder and read it as Python's: 1000.0 becomes 1000."""
    if number.is_integer() and abs(number) < 1e21:
        return int(Decimal(repr(number)))
    return number


def _timestamp(text: str) -> str | None:
    """Read what Go takes for a time and write it as Go does, RFC 3339 in full."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    zone, separator = match["zone"], match["t"]
    if separator and (separator == " ") is (zone is not None):
        return None
    year, month, day = map(int, match["date"].split("-"))
    hour, minute, second = map(int, (match["time"] or "0:0:0").split(":"))
    in_range = 1 <= month <= 12 and 1 <= day <= monthrange(year or 2000, month)[1]
    if not in_range or hour > 23 or minute > 59 or second > 59:
        return None
    fraction = (match["fraction"] or "")[1:10].rstrip("0")
    return (
        f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        f"{'.' + fraction if fraction else ''}"
        f"{'Z' if zone in (None, '+00:00', '-00:00') else zone}"
    )
