"""Quarantine: every private name of hypothesis that fuzzing touches.

Checked against hypothesis 6.120.0 and 6.170.15.
"""

from __future__ import annotations

from typing import Any

from hypothesis import Phase, settings
from hypothesis.control import current_build_context

from .play import Draw

__all__ = ["drawing", "is_final", "tell_apart", "untimed"]


def drawing(data: Any) -> Draw:
    """Return what draws as ``data.draw`` does, without a line of output for each value."""
    draw: Draw = data.conjecture_data.draw
    return draw


def is_final() -> bool:
    """Whether the example that is running is the minimal one, which is shown to the user."""
    return bool(current_build_context().is_final)


def tell_apart(test: Any, name: str) -> None:
    """Give a test its own entry in the example database, and its own seed where that is derived.

    Both come from the source of the function, which all tests of `fuzz_agent` share.
    """
    test.hypothesis.inner_test._hypothesis_internal_add_digest = name.encode()


def untimed(test: Any) -> None:
    """Let no example of `test` be too slow, whatever its settings say of that.

    Time is virtual, and how long an example takes says how busy the machine is. Nor are the lines
    traced that a failure goes through: that is all of LiveKit, and takes ten times as long.
    """
    given = test._hypothesis_internal_use_settings
    phases = [phase for phase in given.phases if phase is not Phase.explain]
    test._hypothesis_internal_use_settings = settings(given, deadline=None, phases=phases)
