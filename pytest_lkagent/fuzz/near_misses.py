"""What a model sends instead of what the schema says: nearly right, and broken text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st

__all__ = ["Arguments", "near_misses", "spoilt"]

Arguments: TypeAlias = dict[str, Any] | str
"""What a model sends as the arguments of a call: a dict for JSON of an object, a str for text that
is sent as it stands, JSON or not."""

_Path: TypeAlias = tuple[str | int, ...]

_HUGE = "a" * 10_000
_STRANGERS = ("extra", "", "self", "ctx", "__class__")
_NO_OBJECTS = ("", "null", "[]", "{", "{}}", '"{}"', "true", "I don't know.")


@st.composite
def near_misses(draw: st.DrawFn, valid: st.SearchStrategy[dict[str, Any]]) -> Arguments:
    """Draw arguments that are `valid` but for one thing."""
    return spoilt(draw, draw(valid))


def spoilt(draw: st.DrawFn, arguments: dict[str, Any]) -> Arguments:
    """Draw one thing that is wrong with `arguments`, and return them with it."""
    # by what is there: a place, a name that goes, a name that comes, the text of the whole
    places = list(_places(arguments))
    kinds = ["value", "value", "missing", "extra", "text"] if places else ["extra", "text"]
    match draw(st.sampled_from(kinds)):
        case "value":
            path = draw(st.sampled_from(places))
            new = draw(st.sampled_from(_instead_of(_at(arguments, path))))
            return dict(_put(arguments, path, new))
        case "missing":
            return dict(_put(arguments, draw(st.sampled_from(places)), _GONE))
        case "extra":
            name = draw(st.sampled_from((*_STRANGERS, *_misspelt(arguments))))
            return {**arguments, name: draw(st.sampled_from((None, "a", 1)))}
    text = json.dumps(arguments, ensure_ascii=False)
    return draw(st.sampled_from((*_broken(text), *_NO_OBJECTS, str(arguments))))


def _broken(text: str) -> Sequence[str]:
    """Return the text of an object as models break it: cut off, encoded twice, wrapped, spoilt."""
    return (
        *(text[:end] for end in {1, len(text) // 2, len(text) - 2, len(text) - 1}),
        json.dumps(text),
        f"```json\n{text}\n```",
        f"{text[:-1]},}}",
        f"[{text}]",
        f"{text}{text}",
        f"<|tool_call|>{text}<|im_end|>",
    )


def _misspelt(arguments: dict[str, Any]) -> Iterator[str]:
    for name in arguments:
        yield f"{name}s"
        yield name.upper()


def _instead_of(value: Any) -> Sequence[Any]:
    """Return what a model may put where `value` belongs, the simplest first."""
    others: tuple[Any, ...] = (None, "", 0, [], {}, [value])
    match value:
        case bool():
            return (*others, str(value), int(value))
        case str():
            changed = (f" {value}", value.upper(), value[:-1], f"{value}s")
            return (*others, *(one for one in changed if one != value), "a", -1, _HUGE)
        case int() | float():
            return (*others, str(value), -1, value + 1, value - 1, -value, 0.5, 10**30)
        case list():
            return (*others, json.dumps(value), *value[:1], value * 2, ["a"] * 1_000)
        case dict():
            return (*others, json.dumps(value), {"extra": 1, **value})
    return (*others, "null", "None", _HUGE)


_GONE: Any = object()


def _places(value: Any, path: _Path = ()) -> Iterator[_Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*path, key)
        if isinstance(one, (dict, list)):
            yield from _places(one, (*path, key))


def _at(value: Any, path: _Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(value: Any, path: _Path, new: Any) -> Any:
    """Return a copy of `value` with `new` at `path`, or without what is there."""
    key, *rest = path
    inner = _put(value[key], tuple(rest), new) if rest else new
    items = dict(value.items() if isinstance(value, dict) else enumerate(value))
    items[key] = inner
    kept = {name: one for name, one in items.items() if one is not _GONE}
    return kept if isinstance(value, dict) else list(kept.values())
