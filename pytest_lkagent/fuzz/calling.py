"""How `fuzz_agent` is called: where it makes a test, and with what beside what it takes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from hypothesis import settings

from ..errors import UsageError, did_you_mean, one_of
from ..frames import source
from ..sites import Site

__all__ = ["refuse_elsewhere", "refuse_unknown"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own

_MODULE = "<module>"
_PLAYING = "pytest_runtest_protocol"
"""The hook in which pytest runs a test; what it makes there, nobody collects."""


def refuse_elsewhere(name: str, site: Site) -> None:
    """Refuse to make a test where nobody would run it.

    Raises:
        UsageError: The call at `site` decorates something, or a test makes it while it runs.
    """
    if source(site).startswith("@"):
        raise UsageError(
            f"fuzz_agent is no decorator: write test_it = fuzz_agent({name}) at the top level of "
            "the module, with an Agent class or a factory in the brackets"
        )
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != _MODULE:
        if frame.f_code.co_name == _PLAYING:
            raise UsageError(
                f"fuzz_agent({name}) makes a test, and inside of another nobody runs it: write "
                f"test_it = fuzz_agent({name}) at the top level of the module"
            )
        frame = frame.f_back


def refuse_unknown(name: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse what `fuzz_agent` does not take.

    Raises:
        UsageError: Something was `given`.
    """
    for key, value in given.items():
        if key in inspect.signature(settings).parameters:
            raise UsageError(
                f"fuzz_agent({name}): {key} is a setting of hypothesis': write test_it = "
                f"settings({key}={value!r})(fuzz_agent({name})), or say it in a profile of its"
            )
        raise UsageError(
            f"fuzz_agent({name}) takes no {key!r}; it takes {one_of(known)}"
            f"{did_you_mean(key, known)}"
        )
