"""Reading YAML nodes as texts, numbers, mappings, with every mistake noted at its place.

A reader never raises: it notes the mistake, goes on with a stand-in, and whoever started the
reading raises one LoadError with everything that was noted.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import LoadError, did_you_mean, one_of
from ..sites import Site
from ..times import DURATIONS, LONGEST, MOMENT, YEARS, duration, moment
from .expectations import Matches
from .model import Ref
from .scalars import NULLS, resolve

__all__ = ["Reading", "is_null", "site_of", "too_long"]

_CORE = "tag:yaml.org,2002:"
_KINDS = {"str", "bool", "null", "int", "float", "timestamp"}
_TAGS = {None, "!", *(f"{_CORE}{name}" for name in (*_KINDS, "map", "seq", "merge"))}
_NAME = re.compile(r"[^\W\d]\w*")
_TOOL = re.compile(r"[\w-]+")
_PLACEHOLDER = re.compile(r"\$\{([^}\n]*)\}?")
_REFERENCE = re.compile(r"(?:[^:]*[^:/\\.]\.py|[^\W\d]\w*(?:\.[^\W\d]\w*)*|[A-Za-z]:[^:]+\.py)"
                        r":[^\W\d]\w*(?:\.[^\W\d]\w*)*")  # fmt: skip
_CLASS = re.compile(rf"[^\W\d]\w*(?:\.[^\W\d]\w*)*|{_REFERENCE.pattern}")


def site_of(node: Node) -> Site:
    """Return the file and line where a node was written."""
    mark = node.start_mark
    return Site(mark.name, mark.line + 1)


def _quotes(node: MappingNode, what: str) -> str:
    """Say how to write a text with a colon, where a mapping looks like one, ``Sorry: it is so``."""
    pairs = node.value
    if len(pairs) != 1 or not all(isinstance(part, ScalarNode) for part in pairs[0]):
        return ""
    key, value = pairs[0]
    if " " not in value.value and what not in ("an llm step", "user"):
        return ""
    return f'; a text with a colon stands in quotes: "{key.value}: {value.value}"'


def is_null(node: Node) -> bool:
    """Whether nothing stands there: an empty value, ``~`` or ``null``, not in quotes."""
    return isinstance(node, ScalarNode) and not node.style and node.value in NULLS


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return "nothing" if is_null(node) else f"{node.value[:40]!r}"


def too_long(node: Node, what: str, longest: float, of: str) -> str:
    """Say what a duration means, and what may have been meant: a bare number is in seconds."""
    seconds = duration(node.value) or 0.0
    instead = f"{node.value}ms" if node.value[-1].isdigit() else f"{longest / 60:g}m at most"
    return f"{what}: {node.value} means {seconds / 60:.3g} minutes {of}; write {instead}"


class Reading:
    """The mistakes found so far, and the readers of everything that a node can be."""

    def __init__(self, *, allow_kinds: Collection[str] | None = None) -> None:
        self.allow_kinds = allow_kinds
        self.captured: set[str] = set()
        self.only_in_calls: list[tuple[Node, str]] = []
        """Keys of the scenario that make sense in a call alone, and where they stand."""
        self.wrong_in_calls: list[tuple[Node, str]] = []
        """Mistakes of the scenario that are one in a call alone."""
        self.labels: dict[str, Site] = {}
        self._problems: dict[tuple[str, int, int, str], None] = {}
        self._foreign: list[str] = []

    def problem(self, node: Node, text: str) -> None:
        """Note a mistake: what it is, and what to write instead."""
        mark = node.start_mark
        self._problems[mark.name, mark.line, mark.column, text] = None

    def wrong(self, node: Node, what: str, instead: str) -> None:
        """Note that a node is of the wrong type."""
        self.problem(node, f"{what} cannot be {_kind(node)}; write {instead}")

    def foreign(self, error: LoadError) -> None:
        """Note the mistakes of another file that could not even be composed."""
        self._foreign += error.problems

    @property
    def has_problems(self) -> bool:
        return bool(self._problems or self._foreign)

    def refuse(self) -> None:
        """Raise LoadError if anything was noted, ordered as in the files."""
        lines = [
            f"{Site(path, line + 1)}:{column + 1}: {text}"
            for path, line, column, text in sorted(self._problems)
        ]
        if lines or self._foreign:
            raise LoadError([*lines, *self._foreign])

    # --- mappings and lists

    def entries(self, node: Node, what: str, instead: str) -> list[tuple[ScalarNode, Node]]:
        """Return the pairs of a mapping, ``<<`` expanded; a second pair of one key is a mistake."""
        if not isinstance(node, MappingNode):
            self.wrong(node, what, instead)
            return []
        self._check_tag(node)
        own: dict[str, tuple[ScalarNode, Node]] = {}
        merged: list[Node] = []
        for pair in node.value:
            key, value = pair
            if not isinstance(key, ScalarNode):
                self.problem(key, f"a key cannot be {_kind(key)}; write a text")
                continue
            name = key.value
            if name == "<<" and not key.style:
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif name in own:
                first = own[name][0].start_mark.line + 1
                self.problem(
                    key, f"the key {name!r} stands here twice, first in line {first}; keep one"
                )
            else:
                own[name] = pair
        for source in merged:
            for key, value in self.entries(source, "what << merges in", "an alias of a mapping"):
                own.setdefault(key.value, (key, value))
        return list(own.values())

    def fields(
        self, node: Node, what: str, known: tuple[str, ...], *, elsewhere: Mapping[str, str] = {}
    ) -> dict[str, Node]:
        """Return the values of a mapping by their keys; a key that is not known is a mistake.

        `elsewhere` says of keys that belong to another mapping to which.
        """
        fields: dict[str, Node] = {}
        if not isinstance(node, MappingNode):
            self.wrong(node, what, f"a mapping with some of {one_of(known)}")
            return fields
        for key, value in self.entries(node, what, "a mapping"):
            if key.value in known:
                fields[key.value] = value
            else:
                near = (
                    elsewhere.get(key.value)
                    or did_you_mean(key.value, known)
                    or f"; the keys of {what}: {one_of(known)}{_quotes(node, what)}"
                )
                self.problem(key, f"unknown key {key.value!r} in {what}{near}")
        return fields

    def items(self, node: Node, what: str, instead: str) -> list[Node]:
        """Return the items of a list."""
        if isinstance(node, SequenceNode):
            self._check_tag(node)
            items: list[Node] = node.value
            return items
        self.wrong(node, what, instead)
        return []

    def missing(self, node: Node, fields: dict[str, Node], text: str) -> None:
        """Note what a mapping lacks, unless an unknown key in it is the likelier mistake."""
        if isinstance(node, MappingNode) and len(fields) >= len(node.value):
            self.problem(node, text)

    def only_one(self, node: Node, fields: dict[str, Node], what: str, *keys: str) -> None:
        """Note a mistake where more than one of `keys` is given."""
        given = [key for key in keys if key in fields]
        if len(given) > 1:
            self.problem(node, f"{what} cannot have {' and '.join(given)} together; keep one")

    # --- scalars

    def raw(self, node: Node, what: str, instead: str) -> str | None:
        """Return a scalar as written; None, with the mistake noted, where there is none."""
        if not isinstance(node, ScalarNode) or (not node.style and node.value in NULLS):
            self.wrong(node, what, instead)
            return None
        self._check_tag(node)
        written: str = node.value
        return written

    def text(self, node: Node, what: str) -> str:
        """Return a text as written, its ``${name}`` checked."""
        text = self.raw(node, what, "a text, in quotes if need be")
        if text is None:
            return ""
        if "${" in text:
            self._check_placeholders(node, text)
        return text

    def flag(self, node: Node, what: str) -> bool:
        text = self.raw(node, what, "true or false")
        kind, value = resolve(text) if text is not None else ("bool", False)
        if kind != "bool":
            self.wrong(node, what, "true or false")
        return value is True

    def count(self, node: Node, what: str) -> int:
        """Return a whole number from 1 on."""
        text = self.raw(node, what, "a whole number from 1 on")
        kind, value = resolve(text) if text is not None else ("int", 1)
        if kind != "int" or value < 1:
            self.wrong(node, what, "a whole number from 1 on")
            return 1
        return int(value)

    def share(self, node: Node, what: str) -> float:
        """Return a number from 0 to 1."""
        text = self.raw(node, what, "a number from 0 to 1")
        kind, value = resolve(text) if text is not None else ("int", 1)
        if kind not in ("int", "float") or not 0 <= value <= 1:
            self.wrong(node, what, "a number from 0 to 1")
            return 1.0
        return float(value)

    def seconds(self, node: Node, what: str, *, bound: bool = False) -> float:
        """Return a duration; one that is a `bound` on what may happen is not nothing."""
        text = self.raw(node, what, DURATIONS)
        seconds = duration(text) if text is not None else 1.0
        if seconds is None:
            self.wrong(node, what, DURATIONS)
        elif seconds > LONGEST:
            self.wrong(node, what, f"{DURATIONS}, a year at most")
        elif bound and not seconds:
            self.wrong(node, what, f"{DURATIONS}, more than nothing")
        return seconds or 0.0

    def brief(self, node: Node, what: str, longest: float, of: str, **how: bool) -> float:
        """Return a duration of at most `longest` seconds; more are milliseconds by mistake."""
        seconds = self.seconds(node, what, **how)
        if longest < seconds <= LONGEST:
            self.problem(node, too_long(node, what, longest, of))
        return seconds

    def moment(self, node: Node, what: str) -> datetime | None:
        text = self.raw(node, what, MOMENT)
        read = moment(text) if text is not None else None
        if text is not None and read is None:
            self.wrong(node, what, MOMENT)
        elif read is not None and read.year not in YEARS:
            self.wrong(node, what, f"{MOMENT}, from {YEARS[0]} to {YEARS[-1]}")
        return read

    def regex(self, node: Node, what: str) -> re.Pattern[str]:
        text = self.raw(node, what, "a regular expression, in quotes if need be")
        if text == "":
            self.wrong(node, what, "a regular expression that does not fit every text")
        try:
            with warnings.catch_warnings(action="ignore"):
                return re.compile(text or "")
        except (re.error, OverflowError, RecursionError) as error:
            self.problem(node, f"{what} is no regular expression: {error}; write \\ before a sign")
            return re.compile("")

    def ref(self, node: Node, text: str) -> Ref:
        """Return a name with its place."""
        return Ref(text, site_of(node), node.start_mark.column + 1)

    def reference(self, node: Node, what: str) -> Ref:
        """Return a reference to an object in a module."""
        return self._reference(node, what, _REFERENCE, "package.module:name or file.py:name")

    def class_ref(self, node: Node, what: str) -> Ref:
        """Return the name of a class, or a reference to it."""
        return self._reference(node, what, _CLASS, "a class name, or module:Class")

    def name(self, node: Node, what: str) -> Ref:
        """Return an identifier."""
        return self._reference(node, what, _NAME, "a name of letters, digits and _")

    def tool(self, node: Node) -> Ref:
        """Return the name of a tool: models know some by names that Python has not."""
        what = "the name of a tool"
        return self._reference(node, what, _TOOL, "a name of letters, digits, _ and -")

    def _reference(self, node: Node, what: str, form: re.Pattern[str], instead: str) -> Ref:
        text = self.raw(node, what, instead)
        if text is not None and not form.fullmatch(text):
            self.wrong(node, what, instead)
        return self.ref(node, text or "")

    # --- values

    def value(self, node: Node, what: str, *, ours: bool = True, patterns: bool = False) -> Any:
        """Return what JSON can hold: texts, numbers, booleans, null, lists and mappings.

        Scalars follow the rules of `lk`, but where the value is `ours` a date stays as written and
        ``${name}`` is checked. With `patterns`, ``{matches: regex}`` is a pattern.
        """
        if isinstance(node, ScalarNode):
            return self._scalar(node, what, ours=ours)
        if isinstance(node, SequenceNode):
            self._check_tag(node)
            return [self.value(item, what, ours=ours, patterns=patterns) for item in node.value]
        pairs = self.entries(node, what, "a value")
        if patterns and [key.value for key, _ in pairs] == ["matches"]:
            return Matches(self.regex(pairs[0][1], "matches"))
        result = {}
        for key, child in pairs:
            if not key.style and resolve(key.value)[0] != "str":
                self.problem(
                    key, f"a key of {what} cannot be {key.value!r} unquoted; write {key.value!r}"
                )
            result[key.value] = self.value(child, what, ours=ours, patterns=patterns)
        return result

    def mapping(self, node: Node, what: str, **how: bool) -> dict[str, Any]:
        """Return a mapping of values."""
        if not isinstance(node, MappingNode):
            self.wrong(node, what, "a mapping")
            return {}
        value = self.value(node, what, **how)
        if isinstance(value, Matches):
            self.problem(node, f"{what} is a mapping by itself; write a key before the pattern")
            return {}
        return dict(value)

    def _scalar(self, node: ScalarNode, what: str, *, ours: bool) -> Any:
        self._check_tag(node)
        text: str = node.value
        tag = (node.tag or "").removeprefix(_CORE)
        value: object
        if tag == "str" or (node.style and tag in ("", "!")):
            kind, value = "str", text
        else:
            kind, value = resolve(text)
        if tag in _KINDS and tag != kind and (tag, kind) != ("float", "int"):
            self.problem(node, f"{text!r} in {what} is no !!{tag}; leave the tag out")
        if isinstance(value, float) and not math.isfinite(value):
            self.problem(node, f"{what} cannot hold {text}: JSON has no such number; write a text")
        if ours and "${" in text:
            self._check_placeholders(node, text)
        return text if ours and kind == "timestamp" else value

    def _check_tag(self, node: Node) -> None:
        if node.tag not in _TAGS:
            self.problem(node, f"the tag {node.tag!r} means nothing here; leave it out")

    def _check_placeholders(self, node: Node, text: str) -> None:
        for match in _PLACEHOLDER.finditer(text):
            name = match[1]
            if not match[0].endswith("}") or not _NAME.fullmatch(name):
                self.problem(node, f"{match[0]!r} names no capture; write ${{name}}")
            elif name not in self.captured:
                near = did_you_mean(name, self.captured)
                hint = near or f"; captured before: {one_of(sorted(self.captured))}"
                self.problem(node, f"{match[0]!r} was captured by no earlier turn{hint}")
