"""The options of a run and of a test, resolved once from command line, ini and marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .durations import DURATIONS, duration
from .errors import UsageError, did_you_mean, one_of

__all__ = ["DEFAULT_TIMEOUT", "Options", "read_marker", "read_seconds", "read_tags"]

DEFAULT_TIMEOUT = 600.0
"""Virtual seconds that a turn may take."""

_MARKER_KEYS = ("agent", "allow", "start", "timeout", "userdata")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What command line and ini file say."""

    scenarios: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    tags: Mapping[str, frozenset[str]]
    agent: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    keys: tuple[str, ...] = ()


def read_seconds(value: object, *, where: str) -> float:
    """Read a duration, ``250ms``, ``2s``, ``1m`` or a number of seconds.

    Raises:
        UsageError: It is none.
    """
    seconds = duration(str(value).strip())
    if not seconds:
        raise UsageError(f"{where}: {value!r} is no time to wait; write {DURATIONS}")
    return seconds


def read_tags(pairs: Sequence[str]) -> dict[str, frozenset[str]]:
    """Read ``KEY=VALUE`` pairs; several values of one key are alternatives.

    Raises:
        UsageError: One of them has no ``=``.
    """
    tags: dict[str, frozenset[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--lk-tag {pair!r}: write it as KEY=VALUE, such as feature=booking")
        tags[key] = tags.get(key, frozenset()) | {value}
    return tags


def read_marker(args: Sequence[Any], given: Mapping[str, Any], *, where: str) -> Mapping[str, Any]:
    """Check what a marker ``lk(…)`` says.

    Raises:
        UsageError: A key is unknown, or a value stands without one.
    """
    if args:
        raise UsageError(f"{where}: lk({args[0]!r}) has no key; write lk(agent=…) or another of "
                         f"{one_of(_MARKER_KEYS)}")  # fmt: skip
    for key in given:
        if key not in _MARKER_KEYS:
            raise UsageError(
                f"{where}: lk({key}=…) is unknown; the keys are {one_of(_MARKER_KEYS)}"
                f"{did_you_mean(key, _MARKER_KEYS)}"
            )
    return given
