"""What a scenario expects: one class for each kind, which describes itself in one line.

An expectation compares itself with one event and says what differs, if anything; which events it
is compared with is decided in `expect.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..errors import did_you_mean
from ..sites import Site
from ..transcript import AgentHandoff, Close, Event, FunctionCall, FunctionCallOutput, Message

__all__ = [
    "CallExpectation",
    "CloseExpectation",
    "ErrorExpectation",
    "Expectation",
    "HandoffExpectation",
    "Matches",
    "MessageExpectation",
    "OutputExpectation",
    "TextMatch",
    "at",
    "differences",
    "show",
]


@dataclass(frozen=True, slots=True)
class Matches:
    """A value given as ``{matches: regex}``: the pattern is searched in its text."""

    pattern: re.Pattern[str]

    def __repr__(self) -> str:
        return f"matches {self.pattern.pattern!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMatch:
    """How a text is compared: all conditions that are given must hold."""

    equals: str | None = None
    contains: str | None = None
    matches: re.Pattern[str] | None = None

    def differences(self, text: str) -> Iterator[str]:
        """Say which conditions `text` does not meet."""
        if self.equals is not None and text != self.equals:
            yield f"expected {self.equals!r}, got {text!r}"
        if self.contains is not None and self.contains not in text:
            yield f"expected a text that contains {self.contains!r}, got {text!r}"
        if self.matches is not None and not self.matches.search(text):
            yield f"expected a text that matches {self.matches.pattern!r}, got {text!r}"

    def __str__(self) -> str:
        words = []
        if self.equals is not None:
            words.append(repr(self.equals))
        if self.contains is not None:
            words.append(f"that contains {self.contains!r}")
        if self.matches is not None:
            words.append(f"that matches {self.matches.pattern!r}")
        return " and ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageExpectation:
    """Something is said, by the assistant if no other role is named."""

    text: TextMatch = field(default_factory=TextMatch)
    role: str = "assistant"
    interrupted: bool | None = None
    site: Site

    def differences(self, event: Event) -> Iterator[str] | None:
        if not isinstance(event, Message) or event.role != self.role:
            return None
        return self._differences(event)

    def _differences(self, event: Message) -> Iterator[str]:
        for difference in self.text.differences(event.text):
            yield f"text differs: {difference}"
        if self.interrupted is not None and event.interrupted != self.interrupted:
            yield "it was interrupted" if event.interrupted else "it was not interrupted"

    def __str__(self) -> str:
        cut = {None: "", True: "interrupted ", False: "uninterrupted "}[self.interrupted]
        return f"{cut}{self.kind} {self.text}".rstrip()

    @property
    def kind(self) -> str:
        return "message" if self.role == "assistant" else f"{self.role} message"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallExpectation:
    """The model calls a tool; `arguments` are a subset of those it sends, None for any."""

    name: str
    arguments: Mapping[str, Any] | None = None
    site: Site

    def differences(self, event: Event) -> Iterator[str] | None:
        return self._differences(event) if isinstance(event, FunctionCall) else None

    def _differences(self, event: FunctionCall) -> Iterator[str]:
        if event.name != self.name:
            yield f"name differs: expected {self.name!r}, got {event.name!r}"
        if self.arguments is None:
            return
        if isinstance(event.arguments, str):
            yield f"arguments are no JSON object: {event.arguments!r}"
            return
        for path, difference in differences(self.arguments, event.arguments):
            yield f"arguments differ{at(path)}: {difference}"

    def __str__(self) -> str:
        if self.arguments is None:
            return f"function_call {self.name}"
        arguments = ", ".join(f"{key}={show(value)}" for key, value in self.arguments.items())
        return f"function_call {self.name}({arguments})"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputExpectation:
    """A tool gives something back to the model."""

    name: str | None = None
    output: TextMatch = field(default_factory=TextMatch)
    is_error: bool | None = None
    site: Site

    @property
    def tells_failure(self) -> bool:
        """Whether it says that the tool fails, or in which words: a mere name may be success."""
        return self.is_error is True or self.output != TextMatch()

    def differences(self, event: Event) -> Iterator[str] | None:
        return self._differences(event) if isinstance(event, FunctionCallOutput) else None

    def _differences(self, event: FunctionCallOutput) -> Iterator[str]:
        if self.name is not None and event.name != self.name:
            yield f"name differs: expected {self.name!r}, got {event.name!r}"
        if self.is_error is not None and event.is_error != self.is_error:
            yield "it is an error" if event.is_error else "it is no error"
        for difference in self.output.differences(event.output):
            yield f"output differs: {difference}"

    def __str__(self) -> str:
        kind = {None: "", True: "failed ", False: "successful "}[self.is_error]
        words = (f"{kind}function_call_output", self.name or "", str(self.output))
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffExpectation:
    """Another agent takes over. Class names; None for any."""

    old: str | None = None
    new: str | None = None
    site: Site

    def differences(self, event: Event) -> Iterator[str] | None:
        return self._differences(event) if isinstance(event, AgentHandoff) else None

    def _differences(self, event: AgentHandoff) -> Iterator[str]:
        if self.old is not None and event.old != self.old:
            yield f"from differs: expected {self.old!r}, got {event.old!r}"
        if self.new is not None and event.new != self.new:
            yield f"to differs: expected {self.new!r}, got {event.new!r}"

    def __str__(self) -> str:
        return f"agent_handoff {self.old or 'anybody'} -> {self.new or 'anybody'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseExpectation:
    """The session closes. `reason` is LiveKit's CloseReason as text."""

    reason: str
    site: Site

    def differences(self, event: Event) -> Iterator[str] | None:
        return self._differences(event) if isinstance(event, Close) else None

    def _differences(self, event: Close) -> Iterator[str]:
        if event.reason != self.reason:
            yield f"reason differs: expected {self.reason!r}, got {event.reason!r}"

    def __str__(self) -> str:
        return f"close {self.reason}"


Expectation: TypeAlias = (
    MessageExpectation | CallExpectation | OutputExpectation | HandoffExpectation | CloseExpectation
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorExpectation:
    """The run raises an error. `type` is a class name, of a base class too; None for any."""

    type: str | None = None
    text: TextMatch = field(default_factory=TextMatch)
    site: Site

    def __str__(self) -> str:
        return f"{self.type or 'an error'} {self.text}".rstrip()


def at(path: str) -> str:
    """Say where values differ; nothing for the values as a whole."""
    return f" at {path}" if path else ""


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield ``(path, what differs)`` wherever `actual` does not contain `expected`.

    Mappings are subsets, of keys or of an object's attributes, and an empty one is for one with
    nothing in it; lists are equal in length; a `Matches` is searched in the text of the value.
    """
    if isinstance(expected, Matches):
        if not expected.pattern.search(actual if isinstance(actual, str) else str(actual)):
            yield path, f"expected a text that {expected!r}, got {show(actual)}"
    elif isinstance(expected, Mapping) and not expected:
        if actual:
            yield path, f"expected nothing, got {show(actual)}"
        elif isinstance(actual, (str, list, tuple)) or not isinstance(actual, Sized):
            yield path, f"expected {{}}, got {show(actual)}"
    elif isinstance(expected, Mapping):
        for key, value in expected.items():
            here = f"{path}.{key}" if path else str(key)
            try:
                there = actual[key] if isinstance(actual, Mapping) else getattr(actual, key)
            except (KeyError, AttributeError):
                near = did_you_mean(str(key), _names_in(actual))
                yield here, f"expected {show(value)}, but {_nothing_there(actual)}{near}"
            else:
                yield from differences(value, there, here)
    elif isinstance(expected, list) and isinstance(actual, (list, tuple)):
        if len(expected) != len(actual):
            yield path, f"expected {len(expected)} items, got {len(actual)}: {show(actual)}"
        for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
            yield from differences(one, other, f"{path}[{index}]")
    elif isinstance(expected, bool) is not isinstance(actual, bool) or expected != actual:
        yield path, f"expected {show(expected)}, got {show(actual)}"


def _nothing_there(actual: Any) -> str:
    if isinstance(actual, Mapping):
        return f"there is only {', '.join(map(str, actual))}" if actual else "there is nothing"
    return f"got {show(actual)}"


def _names_in(actual: Any) -> Iterable[str]:
    """Name the keys, or an object's own attributes."""
    if isinstance(actual, Mapping):
        return map(str, actual)
    own: Iterable[str] = getattr(actual, "__dict__", ())
    return own or getattr(type(actual), "__slots__", ())


def show(value: Any) -> str:
    """Write an expected or actual value as in code, patterns as ``matches '…'``."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(show, value)) + "]"
    return repr(value)
