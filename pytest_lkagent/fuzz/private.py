"""Quarantine: every private name of hypothesis that fuzzing touches.

Checked against hypothesis 6.120.0 and 6.170.15.
"""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import Phase, settings
from hypothesis.control import current_build_context
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

__all__ = [
    "Drawing",
    "is_final",
    "is_flaky",
    "is_machines",
    "is_of",
    "seed_of",
    "tell_apart",
    "untimed",
]

_T = TypeVar("_T")
_EVENT = 1
"""How hypothesis knows them from other spans; its own labels are hashes."""
_DEEPEST = 50
"""hypothesis gives up an example that lies a hundred deep."""


class Drawing:
    """Draws for the running example as ``data.draw`` does, without a line of output for each."""

    def __init__(self) -> None:
        self._data: Any = current_build_context().data

    def __call__(self, strategy: SearchStrategy[_T], /) -> _T:
        value: _T = self._data.draw(strategy)
        return value

    def begin(self) -> None:
        """Let all that was drawn from here up to another such place go, where an example shrinks.

        What begins here lasts to the end of the example, and so what begins later lies within it:
        hypothesis puts what is within in the place of the whole, where both are of one kind.
        """
        data = self._data
        begin = getattr(data, "start_span", None) or data.start_example
        if not data.frozen and data.depth < _DEEPEST:
            begin(_EVENT)


def is_final() -> bool:
    """Whether the example that is running is the minimal one, which is shown to the user."""
    return bool(current_build_context().is_final)


def is_flaky(error: BaseException) -> bool:
    """Whether an example went another way when it was played again."""
    return isinstance(error, Flaky)


def seed_of(test: Any) -> int | None:
    """Return the seed that hypothesis took for the run of `test`, None where it was given one."""
    seed: int | None = getattr(test, "_hypothesis_internal_use_generated_seed", None)
    return seed


def tell_apart(test: Any, name: str) -> None:
    """Give a test its own entry in the example database, and its own seed where that is derived.

    Both come from the source of the function, which all tests of `fuzz_agent` share.
    """
    test.hypothesis.inner_test._hypothesis_internal_add_digest = name.encode()


def is_of(test_case: Any, subject: object) -> None:
    """Note what the test of a state machine is about, and what it needs as `untimed` says."""
    test_case.runTest.lk_fuzzed = subject
    test_case.settings = _without_explaining(test_case.settings)


def is_machines(test: Any) -> bool:
    """Whether a test is that of a state machine, which hypothesis makes by itself."""
    return not hasattr(test, "hypothesis")


def untimed(test: Any) -> None:
    """Let no example of `test` be too slow, whatever its settings say of that.

    Time is virtual, and how long an example takes says how busy the machine is. Nor are the lines
    traced that a failure goes through: that is all of LiveKit, and takes ten times as long.
    """
    function = getattr(test, "__func__", test)  # of a method
    given = function._hypothesis_internal_use_settings
    function._hypothesis_internal_use_settings = _without_explaining(given)


def _without_explaining(given: settings) -> settings:
    phases = [phase for phase in given.phases if phase is not Phase.explain]
    return settings(given, deadline=None, phases=phases)
