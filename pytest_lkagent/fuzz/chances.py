"""How often something is drawn. Each of them shrinks to what is common."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

__all__ = ["mostly", "once_in"]

_T = TypeVar("_T")


def once_in(times: int) -> st.SearchStrategy[bool]:
    """Draw True once in so many times."""
    return st.sampled_from((False,) * (times - 1) + (True,))


@st.composite
def mostly(
    draw: st.DrawFn,
    common: st.SearchStrategy[_T],
    rare: st.SearchStrategy[_T],
    *,
    once: st.SearchStrategy[bool],
) -> _T:
    """Draw what is common, and `once` in a while what is rare."""
    return draw(rare if draw(once) else common)
