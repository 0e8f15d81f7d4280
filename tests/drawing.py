"""What a strategy draws, and what it shrinks to: as values, for tests of the strategy itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st

__all__ = ["drawn_from", "simplest"]

_EACH = 20
"""Drawn in one example: hypothesis shows no example twice, which would hide how often is what."""
_EXAMPLES = 10
"""Of one seed: after those, hypothesis varies what it has more than it draws anew."""


def drawn_from(strategy: st.SearchStrategy[Any], number: int) -> list[Any]:
    """Return about so many values, as often each as it is drawn; the same ones each time."""
    drawn: list[Any] = []

    @settings(
        max_examples=_EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow],
    )
    @given(st.lists(strategy, min_size=_EACH, max_size=_EACH))
    def draw(values: list[Any]) -> None:
        drawn.extend(values)

    for chosen in range(-(-number // (_EACH * _EXAMPLES))):
        seed(chosen)(draw)()
    return drawn


def simplest(
    strategy: st.SearchStrategy[Any], is_wanted: Callable[[Any], Any] = lambda _: True
) -> Any:
    """Return what hypothesis shrinks to, of what is wanted."""
    quiet = settings(
        max_examples=1_000,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
    )
    return find(strategy, is_wanted, settings=quiet, random=random.Random(0))
