"""What happened, in the words of `expect`: as few entries as meet it, and as text.

The words are those of snapshots. What a file would read as something else is worded so that it
does not: a ``${`` is no capture in a pattern, and an argument that looks like a pattern becomes
one that anything meets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from operator import not_
from typing import Any

import yaml

from ..snapshot.serialize import entry_of
from ..transcript import Event
from .align import Alignment
from .model import LlmEntry
from .read_expect import CLOSE_REASONS
from .scalars import resolve

__all__ = ["block_lines", "entries_of", "flow_text"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_ANYTHING = {"matches": ".*"}
_CLASS_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_SIGNS = re.compile(r"[\\.^$*+?{}\[\]()|\ud800-\udfff]")
_Worded = tuple[Any, list[str]]


def entries_of(events: Sequence[Event], scripted: Sequence[LlmEntry]) -> _Worded:
    """Return the entries of an `expect` that these events meet, and what they do not say."""
    entries: list[Any] = []
    vague: list[str] = []
    for event in _listed(events, scripted):
        [(kind, content)] = entry_of(event).items()
        words, lacks = _WORDS[kind](content)
        vague += (f"{event.label} {event}: {lack}" for lack in lacks)
        if words is not ...:
            entries.append({kind: words})
        elif entries[-1:] != [...]:
            entries.append(...)
    return entries, vague


def _listed(events: Sequence[Event], scripted: Sequence[LlmEntry]) -> list[Event]:
    """Return the events that `expect` has to list."""

    def may_be_left_out(some: Sequence[Event]) -> bool:
        return Alignment([], some, scripted).succeeds()

    scripted_or_free = [may_be_left_out([event]) for event in events]
    if may_be_left_out([*compress(events, scripted_or_free)]):
        return [*compress(events, map(not_, scripted_or_free))]
    left: list[Event] = []  # something came more often than the script has it
    listed = []
    for event in events:
        if may_be_left_out([*left, event]):
            left.append(event)
        else:
            listed.append(event)
    return listed


# --- each kind of event


def _none(_: object) -> _Worded:
    return ..., ["there is no word for it, so `...` stands for it and any that come with it"]


def _message(content: Any) -> _Worded:
    if isinstance(content, str):
        return (content, []) if _is_text(content) else (_text("text", content), [])
    words: dict[str, Any] = {}
    for key, value in content.items():
        words |= _text("text", value) if key == "text" else {key: value}
    return words, []


def _call(content: Any) -> _Worded:
    name, arguments = content["name"], content["arguments"]
    if not _is_text(name):
        return _none(content)
    if isinstance(arguments, str):
        return name, ["its arguments are no JSON object, and any are expected"]
    if not arguments:
        return {"name": name, "arguments": {}}, []
    words, lacks = _mapping(arguments, "")
    if not words or list(words) == ["matches"]:
        return name, ["any arguments are expected"]
    return {"name": name, "arguments": words}, lacks


def _output(content: Any) -> _Worded:
    named = {"name": content["name"]} if _is_text(content["name"]) else {}
    failed = {"is_error": True} if content.get("is_error") else {}
    lacks = [] if named else ["any tool is expected"]
    return {**named, **failed, **_text("output", content["output"])}, lacks


def _handoff(content: Any) -> _Worded:
    parts = {"to": content} if isinstance(content, str) else content
    words = {key: name for key, name in parts.items() if _CLASS_NAME.fullmatch(name)}
    lacks = [f"{key}: {name!r} is no class name, and any is expected"
             for key, name in parts.items() if key not in words]  # fmt: skip
    return (words["to"] if isinstance(content, str) and words else words), lacks


def _close(content: Any) -> _Worded:
    reason = content if isinstance(content, str) else content["reason"]
    if reason not in CLOSE_REASONS:
        return _none(content)
    return reason, [] if isinstance(content, str) else ["any error is expected with it"]


_WORDS: Mapping[str, Callable[[Any], _Worded]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "agent_handoff": _handoff,
    "close": _close,
}


# --- texts and values


def _is_text(text: str) -> bool:
    """Whether YAML can hold a text, and nobody takes a part of it for a capture."""
    return "${" not in text and not _SURROGATE.search(text)


def _text(key: str, text: str) -> dict[str, str]:
    return {key: text} if _is_text(text) else {"matches": _exactly(text)}


def _exactly(text: str) -> str:
    """Return the pattern of a whole text, in which ``${`` is none."""
    return rf"\A{_SIGNS.sub(_escape, text)}\Z"


def _escape(match: re.Match[str]) -> str:
    sign = match[0]
    return f"\\{sign}" if sign.isascii() else f"\\u{ord(sign):04x}"


def _mapping(value: Mapping[str, Any], path: str) -> _Worded:
    words: dict[str, Any] = {}
    vague: list[str] = []
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        if _SURROGATE.search(key):
            vague.append(f"arguments at {here!r}: any or none is expected")
            continue
        words[key], lacks = _value(item, here)
        vague += lacks
    return words, vague


def _value(value: Any, path: str) -> _Worded:
    """Return what stands for an argument: itself, or a pattern where it would be read as other."""
    if isinstance(value, str):
        return (value if _is_text(value) else {"matches": _exactly(value)}), []
    if isinstance(value, list):
        worded = [_value(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return [words for words, _ in worded], [lack for _, lacks in worded for lack in lacks]
    if isinstance(value, Mapping):
        words, vague = _mapping(value, path)
        if (words or not value) and list(words) != ["matches"]:
            return words, vague
    elif value is None or isinstance(value, bool) or _is_number(value):
        return value, []
    return _ANYTHING, [f"arguments at {path!r}: anything is expected"]


def _is_number(value: float) -> bool:
    """Whether a number is finite, and is read again as the same."""
    _, read = resolve(flow_text(value))
    return bool(read == value) and abs(value) != math.inf


# --- as text


class _Writer(yaml.SafeDumper):
    """Write texts in one line, and so that the format reads them as texts."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None
        if not text.isprintable():
            style = self.style_of_lines(text)
        elif text and resolve(text)[0] != "str":
            style = "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def style_of_lines(self, text: str) -> str:
        return '"'


class _BlockWriter(_Writer):
    """Show the lines of a text as lines, where nothing of it would be lost to the eye."""

    def style_of_lines(self, text: str) -> str:
        lines = text.split("\n")
        shows = all(line.isprintable() for line in lines)
        return "|" if shows and not text[0].isspace() and lines[-1] else '"'


_Writer.add_representer(str, _Writer.represent_text)
_BlockWriter.add_representer(str, _BlockWriter.represent_text)


def flow_text(words: Any) -> str:
    """Write an entry, or a part of one, within a line."""
    if words is ...:
        return "..."
    return _dump([words], _Writer, is_flow=True, width=math.inf).strip()[1:-1]


def block_lines(entry: Any, width: int) -> list[str]:
    """Write an entry as an item of a list: in one line if it fits, and has no lines itself."""
    if entry is ...:
        return ["- ..."]
    [(kind, words)] = entry.items()
    line = f"- {kind}: {flow_text(words)}"
    if len(line) <= width and "\\n" not in line:
        return [line]
    return _dump([entry], _BlockWriter, is_flow=False, width=width).rstrip("\n").split("\n")


def _dump(value: Any, writer: type[_Writer], *, is_flow: bool, width: float) -> str:
    return yaml.dump(
        value,
        Dumper=writer,
        default_flow_style=is_flow,
        width=width,
        allow_unicode=True,
        sort_keys=False,
    )
