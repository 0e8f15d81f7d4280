"""From bytes to a tree of YAML nodes in which everything knows where it was written.

Only the tree is built here, by the C parser; what the nodes mean is up to `reading`. Everything
that would make reading the tree endless is refused: recursion, deep nesting, aliases that blow up.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from ..errors import LoadError
from ..sites import Site

__all__ = ["compose", "top_of"]

_MAX_DEPTH = 100
_TOO_DEEP = "nested too deeply; a scenario needs no more than a few levels"
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Refused(Exception):
    """A mistake that ends the reading of the file. Lines and columns count from 0."""

    def __init__(self, line: int, column: int, problem: str) -> None:
        self.line, self.column, self.problem = line, column, problem


class _Stream(io.BytesIO):
    """Bytes with a name, which the parser writes into every position."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


class _Loader(_BaseLoader):  # type: ignore[misc]  # the C loader has no types
    """Leave scalars as written: a tag that nobody wrote is None, where PyYAML would guess one."""

    depth = 0

    def resolve(self, kind: object, value: object, implicit: object) -> None:
        return None

    def descend_resolver(self, parent: Node | None, index: object) -> None:
        """Count how deep we are: the C parser recurses, and would crash on 100,000 levels."""
        self.depth += 1
        if self.depth > _MAX_DEPTH and parent is not None:
            raise _Refused(parent.start_mark.line, parent.start_mark.column, _TOO_DEEP)

    def ascend_resolver(self) -> None:
        self.depth -= 1


def compose(data: bytes, path: Path) -> Node:
    """Return the root node of a YAML file, or raise LoadError with the one line that says why."""
    try:
        _refuse_binary(data)
        root = _single_document(data, path)
        if b"*" in data:
            _Aliases().check(root)
    except _Refused as refused:
        where = f"{Site(str(path), refused.line + 1)}:{refused.column + 1}"
        raise LoadError([f"{where}: {refused.problem}"]) from None
    return root


def top_of(data: bytes) -> Iterator[tuple[str, str]]:
    """Walk the keys at the top of a YAML file, each with its text, as far as it can be read.

    What is no text is an empty one. Nothing is read that comes after what is asked for.
    """
    depth, key = 0, None
    try:
        for event in yaml.parse(data, Loader=_BaseLoader):
            if isinstance(event, yaml.NodeEvent) and depth == 1:
                text = event.value if isinstance(event, yaml.ScalarEvent) else ""
                if key is None:
                    key = text
                else:
                    yield key, text
                    key = None
            if isinstance(event, yaml.CollectionStartEvent):
                if depth == 0 and not isinstance(event, yaml.MappingStartEvent):
                    return
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.DocumentEndEvent):
                return
    except yaml.YAMLError:
        return


def _refuse_binary(data: bytes) -> None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - before.rfind(b"\n") - 1
        hint = "not UTF-8 text; save the file as UTF-8"
        raise _Refused(before.count(b"\n"), column, hint) from None
    if "\0" in text:
        before_nul = text[: text.index("\0")]
        column = len(before_nul) - before_nul.rfind("\n") - 1
        hint = "a binary file, not YAML; name a scenario file"
        raise _Refused(before_nul.count("\n"), column, hint)


def _single_document(data: bytes, path: Path) -> Node:
    try:
        loader = _Loader(_Stream(data, str(path)))
        root: Node | None = loader.get_node() if loader.check_node() else None
        if root is None or (isinstance(root, ScalarNode) and not root.value and not root.style):
            raise _Refused(0, 0, "the file is empty; write `scenarios:` and a list of scenarios")
        if loader.check_node():
            mark = loader.get_node().start_mark
            hint = "a second document begins; put all scenarios into one, without `---`"
            raise _Refused(mark.line, mark.column, hint)
    except yaml.reader.ReaderError as error:
        before = data.decode("utf-8").partition(chr(error.character))[0]
        column = len(before) - before.rfind("\n") - 1
        problem = f"the character {chr(error.character)!r} is not allowed; write it as an escape"
        raise _Refused(before.count("\n"), column, problem) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.problem, error.context) if part)
        line, column = (mark.line, mark.column) if mark else (0, 0)
        hint = _hint(str(error.problem), data.decode("utf-8-sig").splitlines(), line, column)
        raise _Refused(line, column, f"not valid YAML: {words}{hint}") from None
    return root


def _hint(problem: str, lines: list[str], line: int, column: int) -> str:
    """Say what to write, where what the parser complains of shows it."""
    for number, text in enumerate(lines[: line + 1], 1):
        if text.lstrip(" ").startswith("\N{NO-BREAK SPACE}"):
            return f"; line {number} is indented with no-break spaces; indent with spaces"
    quote = "".join(lines[line : line + 1])[max(column - 1, 0) : column]
    if quote in ("'", '"'):
        return f"; the text ends at the {quote} before this; put it in other quotes"
    return _HINTS.get(problem, "")


_HINTS = {
    "mapping values are not allowed in this context": "; a text with a colon stands in quotes",
    "found a tab character that violates indentation": "; indent with spaces",
    "found character that cannot start any token": "; indent with spaces, not with tabs, and put "
    "a text that begins with @, ` or % in quotes",
    "did not find expected alphabetic or numeric character": "; a text that begins with * or & "
    "stands in quotes",
    "did not find expected '-' indicator": "; keys and entries that belong together are indented "
    "alike",
}


class _Aliases:
    """Refuse a tree that contains itself, or that its aliases make enormous."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._measured: dict[int, tuple[int, int]] = {}

    def check(self, root: Node) -> None:
        size, _ = self._measure(root)
        if size > 100_000 + 10 * len(self._measured):
            raise _Refused(0, 0, f"aliases repeat so much that {size:,} values result; use fewer")

    def _measure(self, node: Node) -> tuple[int, int]:
        """Return the size and depth of what the node stands for, aliases expanded."""
        if not isinstance(node, CollectionNode):
            self._measured[id(node)] = (1, 1)
            return 1, 1
        known = self._measured.get(id(node))
        if known is not None:
            return known
        if id(node) in self._open:
            mark = node.start_mark
            hint = "this contains itself through an alias; write the inner part out"
            raise _Refused(mark.line, mark.column, hint)
        self._open.add(id(node))
        pairs = isinstance(node, MappingNode)
        children = [n for pair in node.value for n in pair] if pairs else node.value
        measured = [self._measure(child) for child in children]
        self._open.remove(id(node))
        size = 1 + sum(size for size, _ in measured)
        depth = 1 + max((depth for _, depth in measured), default=0)
        if depth > _MAX_DEPTH:
            raise _Refused(node.start_mark.line, node.start_mark.column, _TOO_DEEP)
        self._measured[id(node)] = size, depth
        return size, depth
