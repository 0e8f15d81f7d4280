"""What a scenario captured, and where ``${name}`` stands for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from ..errors import UsageError, one_of
from ..sites import Site
from ..transcript import Event, FunctionCallOutput, Message, Turn

__all__ = ["Captures", "mentions", "part_of"]

_NAME = re.compile(r"\$\{(\w+)\}")

_Value = TypeVar("_Value")


def mentions(value: object) -> bool:
    """Whether ``${name}`` stands anywhere in `value`."""
    return any(_NAME.search(text) for text in _parts(value))


def _parts(value: Any) -> Iterator[str]:
    """Walk the texts and patterns of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, re.Pattern):
        yield value.pattern
    elif isinstance(value, Mapping):
        yield from _parts(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts(item)
    elif is_dataclass(value) and not isinstance(value, (type, Site)):
        for field in fields(value):
            yield from _parts(getattr(value, field.name))


class Captures:
    """The texts that were captured so far, by name."""

    def __init__(self, found: Mapping[str, str] | None = None) -> None:
        self._found = dict(found or {})

    def search(
        self, patterns: Mapping[str, re.Pattern[str]], events: Iterable[Event]
    ) -> tuple[Captures, dict[str, str]]:
        """Return the captures with what `patterns` find in `events`, and why others find nothing.

        It is the first that is found: a model answers before the turn is over, when no later one
        is there. An empty text is none: every text contains it.
        """
        texts = list(_texts(events))
        found, missing = dict(self._found), dict[str, str]()
        for name, pattern in patterns.items():
            matches = [match for match in map(pattern.search, texts) if match is not None]
            captured = (match[1] if pattern.groups else match[0] for match in matches)
            if text := next(filter(None, captured), None):
                found[name] = text
            elif matches:
                missing[name] = f"all that {pattern.pattern!r} finds is empty; let it find a text"
            else:
                missing[name] = f"nothing matches {pattern.pattern!r}"
        return Captures(found), missing

    def fill(self, value: _Value) -> _Value:
        """Replace ``${name}`` in every text of a value, of an expectation or of an entry.

        Raises:
            UsageError: A name was not captured before.
        """
        filled: _Value = self._fill(value) if mentions(value) else value
        return filled

    def _fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return _NAME.sub(lambda match: self._text(match[1]), value)
        if isinstance(value, re.Pattern):
            pattern = _NAME.sub(lambda match: re.escape(self._text(match[1])), value.pattern)
            return re.compile(pattern, value.flags)
        if isinstance(value, Mapping):
            return {key: self._fill(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._fill(item) for item in value)
        if is_dataclass(value) and not isinstance(value, (type, Site)):
            parts = {f.name: self._fill(getattr(value, f.name)) for f in fields(value)}
            return replace(value, **parts)
        return value

    def _text(self, name: str) -> str:
        if name not in self._found:
            raise UsageError(
                f"${{{name}}} was not captured before; captured so far: {one_of(self._found)}"
            )
        return self._found[name]


def part_of(turn: Turn, messages: Sequence[Event], before: Iterable[Event]) -> Sequence[Event]:
    """Return those of a request's messages that are of `turn`, and not of what was `before` it.

    An agent may know more of the past than the session: the user's words begin the turn as well.
    """
    known = Counter(_texts(before))
    begin = 0
    for index, event in enumerate(messages):
        for text in _texts([event]):
            if known[text]:
                known[text] -= 1
                begin = index + 1
    rest = messages[begin:]
    words = [event for event in rest if isinstance(event, Message) and event.role == "user"]
    said = next((event for event in words if event.text == turn.user), None)
    return rest if said is None else rest[rest.index(said) :]


def _texts(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if isinstance(event, Message):
            yield event.text
        elif isinstance(event, FunctionCallOutput):
            yield event.output
