"""Numbers as the schema of a tool demands them: between bounds, and multiples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

__all__ = ["BOUND", "numbers"]

BOUND = 2**53
"""As far as every reader of JSON takes a number for what it is."""
_FEW = 12
"""As far as callers count, mostly: guests, hours, rooms, one of each."""


def numbers(keywords: Mapping[str, Any], *, whole: bool) -> st.SearchStrategy[Any] | None:
    """Draw the numbers between the bounds; None where there are none."""
    low, above = _bound(keywords, "minimum", "exclusiveMinimum", max)
    high, below = _bound(keywords, "maximum", "exclusiveMaximum", min)
    low = max(-BOUND, (high or 0) - BOUND) if low is None else low
    high = max(BOUND, low + BOUND) if high is None else high
    step = Fraction(str(keywords.get("multipleOf", 1)))
    integers = _multiples(low, high, Fraction(step.numerator), above=above, below=below)
    if whole:
        return None if integers is None else integers.map(int)
    if "multipleOf" in keywords:
        found = _multiples(low, high, step, above=above, below=below)
        return None if found is None else found.map(float)
    if low > high or (low == high and (above or below)):
        return None
    floats = st.floats(
        float(low),
        float(high),
        exclude_min=above,
        exclude_max=below,
        allow_nan=False,
        allow_infinity=False,
    )
    return floats if integers is None else integers.map(int) | floats


def _bound(
    keywords: Mapping[str, Any], name: str, exclusive: str, tightest: Callable[..., Any]
) -> tuple[Any, bool]:
    """Return a bound, None where there is none, and whether it is itself outside."""
    bound, strict = keywords.get(name), keywords.get(exclusive)
    if isinstance(strict, bool):  # as schemas were until 2017: a flag beside the bound
        return bound, strict and bound is not None
    if bound is None or strict is None:
        return (strict, True) if bound is None and strict is not None else (bound, False)
    return tightest(bound, strict), tightest(bound, strict) == strict


def _multiples(
    low: Any, high: Any, step: Fraction, *, above: bool, below: bool
) -> st.SearchStrategy[Fraction] | None:
    least, most = Fraction(low) / step, Fraction(high) / step
    first = math.floor(least) + 1 if above else math.ceil(least)
    last = math.ceil(most) - 1 if below else math.floor(most)
    if first > last:
        return None
    found = st.integers(first, last)
    if max(first, 0) <= _FEW < last - _FEW:  # of so many hypothesis hardly ever draws so few
        found = st.integers(max(first, 0), _FEW) | found
    return found.map(lambda n: n * step)
