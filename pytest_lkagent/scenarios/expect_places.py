"""Where the turns of a scenario file stand in its text, and where an `expect` has its place.

The parser says where everything begins and ends; what is inserted takes over the indent, the line
ends and the style of what is around it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from .expect_words import block_lines, flow_text

__all__ = ["LeftAlone", "Part", "Source"]

_Path: TypeAlias = tuple[str | int, ...]
_WIDTH = 100
_EOL = r"(?:\r\n|\r|\n)"
_LINE_END = re.compile(_EOL)
_BREAK = re.compile(rf"{_EOL}|[\x85\u2028\u2029]")
_BLOCK_TEXT = re.compile(r"(?:[&!]\S*[ \t]+)*[|>]([-+0-9]*)")
_BRACE = re.compile(r"(?:[&!]\S*\s+)*\{")
_INPUT_KEYS = ("user", "wait", "interrupt", "settle", "llm")
_ELSEWHERE = (
    "its text does not stand in this scenario but in a base file, under defaults: or behind <<; "
    "write it there, or write it out here"
)
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class LeftAlone(Exception):
    """Why a turn gets no `expect`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A node as it stands in the text; in `parts` of a mapping, keys and values alternate.

    Places are offsets in the text; `said` is what it says and how, without its parts.
    """

    kind: str
    said: tuple[Any, ...]
    anchor: str | None
    is_flow: bool = False
    parts: tuple[Part, ...] = ()
    start: int
    end: int
    column: int

    @property
    def pairs(self) -> list[tuple[Part, Part]]:
        return list(zip(self.parts[::2], self.parts[1::2], strict=True))

    def index(self, key: str | int) -> int | None:
        """Return where in `parts` a key's value stands, if it does."""
        if isinstance(key, int):
            return key if key < len(self.parts) else None
        keys = enumerate(self.parts[::2] if self.kind == "mapping" else ())
        return next((2 * k + 1 for k, part in keys if part.is_key(key)), None)

    def is_key(self, *names: str) -> bool:
        return self.kind == "scalar" and self.said[0] in names

    def is_in(self, other: Part, turns: Collection[int]) -> bool:
        """Whether `other` is the same, but for an `expect` in each mapping that starts at `turns`.

        The starts are those of this part and the parts in it.
        """
        parts = other.parts
        if self.kind == "mapping" and self.start in turns:
            kept = (pair for pair in other.pairs if not pair[0].is_key("expect"))
            parts = tuple(part for pair in kept for part in pair)
        says = (self.kind, self.said, len(self.parts))
        return says == (other.kind, other.said, len(parts)) and all(
            part.is_in(its, turns) for part, its in zip(self.parts, parts, strict=True)
        )


class Source:
    """The text of a file, and where in it everything stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._shared: set[str] = set()
        self._turns: set[int] = set()
        events = iter(yaml.parse(text.encode("utf-8"), Loader=_BaseLoader))
        self.root = self._part(next(event for event in events if _is_node(event)), events)

    def _part(self, event: Any, events: Iterator[Any]) -> Part:
        bom = self._text.startswith("\ufeff")  # the parser does not count it
        mark = event.start_mark
        start, end = mark.index + bom, event.end_mark.index + bom
        said = [getattr(event, name, None) for name in ("value", "tag", "anchor", "flow_style")]
        kind, is_flow, parts = "scalar", False, []
        if isinstance(event, yaml.AliasEvent):
            self._shared.add(str(event.anchor))
            kind = "alias"
        elif isinstance(event, yaml.ScalarEvent):
            said.append(event.style)
            end = self._end_of_block_text(start, end) if event.style in ("|", ">") else end
        else:
            kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
            is_flow = bool(event.flow_style)
            while _is_node(inner := next(events)):
                parts.append(self._part(inner, events))
            # a list in block style ends, for the parser, where the next thing begins
            end = inner.end_mark.index + bom if is_flow else parts[-1].end
        return Part(
            kind=kind, said=tuple(said), anchor=event.anchor, is_flow=is_flow, parts=tuple(parts),
            start=start, end=end, column=mark.column,
        )  # fmt: skip

    def _end_of_block_text(self, start: int, end: int) -> int:
        """Return where the lines of a text end, without empty lines that are none of it."""
        header = _BLOCK_TEXT.match(self._text, start)
        if header is None or "+" in header[1] or self._text[end - 1] not in "\r\n":
            return end
        while self._text[end - 1] in "\r\n":
            end -= 1
        return self._next_line(end)

    def _next_line(self, place: int) -> int:
        found = _BREAK.search(self._text, place)
        return found.end() if found else len(self._text)

    # --- what is inserted

    def insertion(self, path: _Path, entries: Sequence[Any]) -> tuple[int, str]:
        """Return the text of an `expect`, and the place where it has to be put.

        Raises:
            LeftAlone: The turn has no text of its own.
        """
        turn, list_indent = self._find(path)
        if turn.kind != "mapping":
            raise LeftAlone(_ELSEWHERE)
        self._turns.add(turn.start)
        inputs = [pair for pair in turn.pairs if pair[0].is_key(*_INPUT_KEYS)] or turn.pairs
        if turn.is_flow:
            return self._within_line(turn, inputs[-1][1].end if inputs else None, entries)
        for key, value in inputs:
            list_indent = _indent_of_list(key, value, list_indent)
        key, value = inputs[-1]
        return self._as_lines(turn, value.end, list_indent, entries)

    def _find(self, path: _Path) -> tuple[Part, int]:
        """Return the part at a path, and how far lists are indented on the way there."""
        part, list_indent = self.root, 2
        for key in path:
            index = part.index(key)
            if index is None:
                raise LeftAlone(_ELSEWHERE)
            if isinstance(key, str):
                list_indent = _indent_of_list(part.parts[index - 1], part.parts[index], list_indent)
            part = part.parts[index]
            if part.kind == "alias" or part.anchor in self._shared:
                name = part.anchor
                raise LeftAlone(f"its text is shared by what says *{name}; write the turn out")
        return part, list_indent

    def _within_line(self, turn: Part, end: int | None, entries: Sequence[Any]) -> tuple[int, str]:
        brace = _BRACE.match(self._text, turn.start)
        if brace is None:
            raise LeftAlone("it is written without braces; write - {user: …}")
        items = [flow_text(entry) for entry in entries]
        line = f"expect: [{', '.join(items)}]"
        if end is None:
            return brace.end(), line
        rest = self._text[end : self._next_line(end)].rstrip()
        if self._column(end) + len(f", {line}{rest}") <= _WIDTH:
            return end, f", {line}"
        newline = self._newline(turn.start) + " " * self._column(brace.end())
        between = "," + newline + " " * len("expect: [")
        return end, f",{newline}expect: [{between.join(items)}]"

    def _as_lines(
        self, turn: Part, end: int, list_indent: int, entries: Sequence[Any]
    ) -> tuple[int, str]:
        column = turn.parts[0].column
        width = _WIDTH - column - list_indent
        lines = [
            " " * list_indent + line for entry in entries for line in block_lines(entry, width)
        ]
        lines = ["expect:", *lines] if entries else ["expect: []"]
        newline = self._newline(turn.start)
        text = newline.join(" " * column + line if line.strip() else "" for line in lines)
        place = end if self._text[end - 1] in "\r\n" else self._next_line(end)
        # comments that are indented further belong to what they follow
        deeper = rf"(?:(?:[ \t]*{_EOL})*[ ]{{{column + 1},}}#[^\r\n]*(?:{_EOL}|\Z))*"
        followed = re.compile(deeper).match(self._text, place)
        place = followed.end() if followed else place
        if self._text[place - 1] in "\r\n":
            return place, text + newline
        return place, newline + text

    def _column(self, place: int) -> int:
        newline = self._text.rfind("\n", 0, place)
        return place - 1 - max(newline, self._text.rfind("\r", newline + 1, place))

    def _newline(self, place: int) -> str:
        """Return the line end that is usual around there."""
        found = _LINE_END.search(self._text, place) or _LINE_END.search(self._text)
        return found[0] if found else "\n"

    def is_in(self, text: str) -> bool:
        """Whether a text says the same, but for an `expect` in each turn that was to get one."""
        return self.root.is_in(Source(text).root, self._turns)

    def with_inserted(self, insertions: Sequence[tuple[int, str]]) -> str:
        pieces, done = [], 0
        for place, text in sorted(insertions):
            pieces += [self._text[done:place], text]
            done = place
        return "".join((*pieces, self._text[done:]))


def _is_node(event: Any) -> bool:
    return isinstance(event, yaml.NodeEvent)


def _indent_of_list(key: Part, value: Part, usual: int) -> int:
    is_block = value.kind == "list" and not value.is_flow and value.anchor is None
    return value.column - key.column if is_block else usual
