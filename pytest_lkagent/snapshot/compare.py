"""What differs between two snapshots, side by side, with what stands around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, NamedTuple

import yaml

from ..errors import SnapshotMismatch
from ..transcript import describe_call
from .serialize import FORMAT, dump, parse

__all__ = ["explain", "side_by_side"]

_LINES = 60
"""How much of a snapshot is shown that is not there yet."""

_COLUMN = 38
_LABEL = 21
_AROUND = 2
"""How many events are shown before and after one that differs."""


class _Line(NamedTuple):
    """An event, or another thing, as one reads it; `whole` is all there is to it."""

    label: str
    text: str
    whole: str


class _Row(NamedTuple):
    expected: _Line | None
    actual: _Line | None

    @property
    def differs(self) -> bool:
        return self.expected is None or self.actual is None or _differ(self.expected, self.actual)

    def __str__(self) -> str:
        expected, actual = self
        if expected is None or actual is None:
            label, (left, right) = "", map(_alone, self)
        elif not self.differs:
            label = _cut(expected.label, _LABEL - 1)
            return f"{label:<{_LABEL}}{_cut(expected.text, 2 * _COLUMN)}"
        elif expected.label != actual.label:
            label, left, right = "", _alone(expected), _alone(actual)
        elif expected.text.split() != actual.text.split():
            label, left, right = expected.label, expected.text, actual.text
        else:
            label, left, right = expected.label, expected.whole, actual.whole
        start = 0
        if max(len(left), len(right)) > _COLUMN:
            pairs = enumerate(zip(left, right, strict=False))
            end = min(len(left), len(right))
            start = max(0, next((n for n, (a, b) in pairs if a != b), end) - _COLUMN // 2)
        left, right = _cut(left, _COLUMN, start), _cut(right, _COLUMN, start)
        return f"{_cut(label, _LABEL - 1):<{_LABEL}}{left:<{_COLUMN}} | {right}"


def _differ(one: _Line, other: _Line) -> bool:
    return (one.label, one.whole) != (other.label, other.whole)


def _alone(line: _Line | None) -> str:
    return "(nothing)" if line is None else f"{line.label} {line.text}"


def side_by_side(expected: Any, actual: Any) -> list[str]:
    """Return the events that differ with their neighbours, the first that does marked by >>>."""
    rows = list(_rows(list(_lines(expected)), list(_lines(actual))))
    differing = [index for index, row in enumerate(rows) if row.differs]
    near = {n for i in differing for n in range(i - _AROUND, i + _AROUND + 1) if 0 <= n < len(rows)}
    digits = len(str(max(near, default=0)))
    indent = " " * (digits + 9)
    told = [f"{indent}{'':<{_LABEL}}{'expected':<{_COLUMN}}   actual"]
    last = -1
    for index in sorted(near):
        if index != last + 1:
            told.append(f"{indent}…")
        mark = ">>>" if index == differing[0] else "   "
        told.append(f"  {mark} {f'[{index}]':>{digits + 2}} {rows[index]}".rstrip())
        last = index
    if near and last != len(rows) - 1:
        told.append(f"{indent}…")
    return told


def _rows(expected: Sequence[_Line], actual: Sequence[_Line]) -> Iterator[_Row]:
    # autojunk: without it, 2,000 events of which most are alike take a minute
    was, now = ([(line.label, line.whole) for line in lines] for lines in (expected, actual))
    for _, a, b, c, d in SequenceMatcher(None, was, now).get_opcodes():
        yield from (_Row(*pair) for pair in zip_longest(expected[a:b], actual[c:d]))


def _lines(content: Any) -> Iterator[_Line]:
    """Yield a line for each event and for each other thing that a snapshot holds."""
    if not isinstance(content, Mapping):
        yield _line("", content)
        return
    for key, value in content.items():
        if key == "format":
            continue
        if key in ("events", "start") and isinstance(value, list):
            yield from map(_entry, value)
        elif key == "turns" and isinstance(value, list):
            for number, turn in enumerate(value, start=1):
                yield _line("turn", str(number))
                yield from _lines(turn)
        else:
            yield _line(key, value)


def _entry(entry: Any) -> _Line:
    """Write an event as transcripts do, and one that a hand has changed as it is."""
    if not isinstance(entry, Mapping) or len(entry) != 1:
        return _line("", entry)
    ((kind, value),) = entry.items()
    fields = value if isinstance(value, Mapping) else {}
    if kind == "message" and ("text" in fields or not fields):
        cut = " (interrupted)" if fields.get("interrupted") else ""
        said = f"{fields.get('text', value)}{cut}"
        return _line(fields.get("role", "assistant"), value, said)
    if kind == "function_call" and isinstance(arguments := fields.get("arguments"), (Mapping, str)):
        return _line(kind, value, describe_call(str(fields.get("name")), arguments))
    if kind == "function_call_output" and "output" in fields:
        arrow = "failed" if fields.get("is_error") else "->"
        return _line(kind, value, f"{fields.get('name')} {arrow} {fields['output']!r}")
    if kind == "agent_handoff" and fields:
        return _line(kind, value, f"{fields.get('from')} -> {fields.get('to')}")
    return _line(kind, value)


def _line(label: Any, value: Any, shown: str | None = None) -> _Line:
    try:
        whole = json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError):  # no JSON, or an alias of what it stands in
        whole = repr(value)
    text = shown or (value if isinstance(value, str) else whole)
    parts = (str(label), text, whole)
    return _Line(*(one if one.isprintable() else repr(one)[1:-1] for one in parts))


def _cut(text: str, width: int, start: int = 0) -> str:
    if start:
        text = "…" + text[start + 1 :]
    return text if len(text) <= width else text[: width - 1] + "…"


def explain(
    recalled: str | None,
    content: Mapping[str, Any],
    *,
    file: str,
    accept: str,
    is_ci: bool,
    folded: Callable[[Any], Any] = lambda content: content,
) -> SnapshotMismatch:
    """Say what differs between a snapshot, as it was read from `file`, and the document now.

    `recalled` is None where there is none; `accept` is the command that writes it; `folded` names
    the folders of this machine in what another one has recorded.
    """
    ci = "CI is set, so nothing is written here: do that on your machine, look at it and commit it"
    advice = f"      {ci if is_ci else 'if this is right'}: {accept}"
    anew = f"      {ci if is_ci else 'to write it anew'}: {accept}"
    if recalled is None:
        lines = dump(content).splitlines()
        shown = [f"      {line}" for line in lines[:_LINES]]
        if (more := len(lines) - _LINES) > 0:
            shown.append(f"      … and {more} lines more")
        told = [f"there is no snapshot {file} yet; this would be in it:", *shown, advice]
        return SnapshotMismatch("\n".join(told))
    try:
        expected = folded(parse(recalled))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark is not None else file
        problem = getattr(error, "problem", None) or error
        return SnapshotMismatch(f"{where}: the snapshot is no YAML any more: {problem}\n{anew}")
    if not isinstance(expected, dict) or expected.get("format") != FORMAT:
        version = expected.get("format") if isinstance(expected, dict) else None
        return SnapshotMismatch(
            f"the snapshot {file} is of the format {version!r}, and this version of "
            f"pytest-lkagent reads and writes {FORMAT}\n{anew}"
        )
    told = [f"the conversation is not the one in {file}:", *side_by_side(expected, content)]
    return SnapshotMismatch("\n".join([*told, advice]), _first_turn(expected, content))


def _first_turn(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> int | None:
    """Return the turn with the first difference, None where it is in none."""
    if expected.get("start") != actual.get("start"):
        return 0
    turns = (one.get("turns") for one in (expected, actual))
    was, now = (one if isinstance(one, list) else [] for one in turns)
    pairs = enumerate(zip_longest(was, now), start=1)
    return next((number for number, (a, b) in pairs if a != b), None)
