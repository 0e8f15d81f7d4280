"""The options of a run and of a test, resolved once from command line, ini and marker."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from .errors import UsageError, did_you_mean, one_of
from .times import DURATIONS, LONGEST, MOMENT, YEARS, duration, moment

__all__ = [
    "DEFAULT_NOW",
    "DEFAULT_TIMEOUT",
    "INPROCESS",
    "MEMORY",
    "PROCESS",
    "TARGETS",
    "Host",
    "JobOptions",
    "Options",
    "read_count",
    "read_hosts",
    "read_job",
    "read_marker",
    "read_moment",
    "read_seconds",
    "read_tags",
    "read_target",
]

DEFAULT_NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
"""When virtual time begins: a Monday morning."""

DEFAULT_TIMEOUT = 600.0
"""Virtual seconds that a turn may take."""

INPROCESS = "inprocess"
MEMORY = "memory"
PROCESS = "process"
TARGETS = (INPROCESS, MEMORY, "tcp", PROCESS)
"""Where a scenario is played; ``tcp``, the way to it, is another name for ``process``."""

Host: TypeAlias = tuple[str, int | None]
"""A host that the guard lets pass, and its port; None is any port."""

_HOST = re.compile(r"(?:(?P<name>[\w.-]+)|\[(?P<address>[\da-f:.]+)\])(?::(?P<port>\d+))?")

_MARKER_KEYS = (
    *("agent", "allow", "entrypoint", "job", "now", "real_time", "start", "timeout", "userdata"),
)
_CALLER_KEYS = ("identity", "name", "metadata", "attributes", "kind")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What command line and ini file say."""

    scenarios: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    tags: Mapping[str, frozenset[str]]
    agent: str | None = None
    entrypoint: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    now: datetime | None = None
    real_time: bool = False
    target: str | None = None
    fuzz: int | None = None
    keys: tuple[str, ...] = ()
    hosts: frozenset[Host] = frozenset()


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What the job of a test is like, in the words of LiveKit's ``fake_job_context``.

    Attributes:
        metadata: What ``ctx.job.metadata`` is.
        attributes: What ``ctx.job.attributes`` holds.
        participant: Who is in the room: ``identity``, ``name``, ``metadata``, ``attributes`` and
            ``kind``; None for an empty room.
        room: The name of the room, or an ``rtc.Room`` to use instead of ours.
        job_id: The id of the job.
        agent_identity: The agent's own identity in the room.
        inference_executor: What local models are asked of; by default they are refused.
    """

    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    participant: Mapping[str, Any] | None = field(default_factory=dict)
    room: Any = "fake-room"
    job_id: str = "fake-job"
    agent_identity: str = "fake-agent"
    inference_executor: Any = None


_JOB_KEYS = tuple(one.name for one in fields(JobOptions))


def read_job(given: object, *, where: str) -> JobOptions:
    """Take what says what a job is like; metadata that is no text is written as JSON.

    Raises:
        UsageError: A key is unknown, or a value is of another type.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"{where} is a mapping with some of {one_of(_JOB_KEYS)}, not {given!r}")
    _refuse_unknown(given, _JOB_KEYS, where)
    job = dict(given)
    if not isinstance(job.get("metadata", ""), str):
        try:
            job["metadata"] = json.dumps(job["metadata"])
        except (TypeError, ValueError) as error:
            raise UsageError(f"{where}: metadata is a text or JSON: {error}") from None
    for name in ("job_id", "agent_identity"):
        if not isinstance(job.get(name, ""), str):
            raise UsageError(f"{where}: {name} is a text, not {job[name]!r}")
    _check_texts(job.get("attributes", {}), f"{where}: attributes")
    caller = job.get("participant", {})
    if caller is not None:
        if not isinstance(caller, Mapping):
            raise UsageError(
                f"{where}: participant is a mapping with some of {one_of(_CALLER_KEYS)}, or None "
                f"for an empty room, not {caller!r}"
            )
        _refuse_unknown(caller, _CALLER_KEYS, f"{where}: participant")
        for name in ("identity", "name", "metadata", "kind"):
            if not isinstance(caller.get(name, ""), str):
                raise UsageError(f"{where}: participant: {name} is a text, not {caller[name]!r}")
        _check_texts(caller.get("attributes", {}), f"{where}: participant: attributes")
    return JobOptions(**job)


def _refuse_unknown(given: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise UsageError(
                f"{where}: {key!r} is unknown; the keys are {one_of(known)}"
                f"{did_you_mean(str(key), known)}"
            )


def _check_texts(given: object, where: str) -> None:
    """Refuse attributes of a participant or a job that are no mapping of text to text."""
    if not isinstance(given, Mapping):
        raise UsageError(f"{where} is a mapping of text to text, not {given!r}")
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"{where} is a mapping of text to text, and {key!r} is {value!r}")


def read_seconds(value: object, *, where: str) -> float:
    """Read a duration, ``250ms``, ``2s``, ``1m`` or a number of seconds.

    Raises:
        UsageError: It is none.
    """
    seconds = duration(str(value).strip())
    if not seconds or seconds > LONGEST:
        most = ", a year at most" if seconds else ""
        raise UsageError(f"{where}: {value!r} is no time to wait; write {DURATIONS}{most}")
    return seconds


def read_moment(value: object, *, where: str) -> datetime:
    """Take a datetime, or read one; it is in UTC where it names no zone.

    Raises:
        UsageError: It is none.
    """
    if isinstance(value, datetime):
        read: datetime | None = value if value.tzinfo else value.replace(tzinfo=UTC)
    else:
        read = moment(value) if isinstance(value, str) else None
    if read is None:
        raise UsageError(f"{where}: {value!r} is no moment; write {MOMENT}")
    if read.year not in YEARS:
        raise UsageError(
            f"{where}: {value!r} is out of reach; write {MOMENT}, from {YEARS[0]} to {YEARS[-1]}"
        )
    return read


def read_hosts(names: Sequence[str], *, where: str) -> frozenset[Host]:
    """Read hosts, ``api.example.com``, ``api.example.com:443`` or ``[::1]:443``.

    Raises:
        UsageError: One of them is none.
    """
    return frozenset(_host(name, where) for name in names)


def _host(text: str, where: str) -> Host:
    found = _HOST.fullmatch(text.lower())
    if found is None:
        of_url = urlsplit(text).hostname if "//" in text else None
        raise UsageError(
            f"{where}: {text!r} is no host; write a name or an address, in brackets where it has "
            "colons, and a port where only that one is meant: api.example.com:443"
            + (f"; did you mean {of_url!r}?" if of_url else "")
        )
    return found["name"] or found["address"], int(found["port"]) if found["port"] else None


def read_target(name: str, *, where: str) -> str:
    """Return which of `TARGETS` is meant.

    Raises:
        UsageError: None is.
    """
    if name not in TARGETS:
        near = did_you_mean(name, TARGETS)
        raise UsageError(f"{where}: {name!r} is none; it is one of {one_of(TARGETS)}{near}")
    return PROCESS if name == "tcp" else name


def read_count(value: str, *, where: str) -> int:
    """Read a number of examples, from 1 on.

    Raises:
        UsageError: It is none.
    """
    if not value.isdecimal() or not int(value):
        raise UsageError(f"{where}={value}: write a whole number of examples, such as {where}=100")
    return int(value)


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
