"""What a test calls a function of ours by: the fixture that it comes from, and not our class.

Python names a function in its errors, and so does everybody who tells of a coroutine.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import did_you_mean

__all__ = ["is_known", "known_as", "with_near_argument"]

_Named = TypeVar("_Named", bound=Callable[..., Any])

_UNKNOWN = re.compile(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'")
_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def is_known(name: str) -> bool:
    """Whether a function of ours goes by this name."""
    return name in _FUNCTIONS


def known_as(name: str) -> Callable[[_Named], _Named]:
    """Let a function, or all public ones of a class, go by the name that a test has for them."""

    def rename(named: _Named) -> _Named:
        if not isinstance(named, type):
            named.__qualname__ = name
            _FUNCTIONS[name] = named
            return named
        for key, function in vars(named).items():
            if inspect.isfunction(function) and not key.startswith("_"):
                known_as(f"{name}.{key}")(function)
        return named

    return rename


def with_near_argument(error: BaseException | None) -> None:
    """Say in Python's error about an argument of one of these which one may be meant.

    Python does so itself from 3.13 on.
    """
    if type(error) is not TypeError or (unknown := _UNKNOWN.fullmatch(str(error))) is None:
        return
    if (function := _FUNCTIONS.get(unknown[1])) is not None:
        near = did_you_mean(unknown[2], inspect.signature(function).parameters)
        error.args = (f"{error}{near}",)
