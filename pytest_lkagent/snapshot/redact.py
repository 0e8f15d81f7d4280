"""What never reaches a snapshot: what differs from run to run, and what the user leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..errors import UsageError

__all__ = ["Exclude", "Redaction"]

_Path: TypeAlias = tuple[tuple[Any, type], ...]
"""The way to a value, as syrupy tells it: keys and indexes, each with the type found there."""

Exclude: TypeAlias = str | Callable[..., bool]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_LIVEKITS = frozenset({"function_call", "function_call_output", "system", "developer"})
"""Where LiveKit writes the ids of calls: what models and tools tell each other."""


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """Take out of a document what does not belong into a snapshot.

    Attributes:
        exclude: Kinds of events, keys or ends of dotted ways, ``arguments.token``; or syrupy's
            filters, called with ``prop=`` and ``path=``.
        include: syrupy's filter of what alone stays.
        matcher: syrupy's, called with ``data=`` and ``path=``; what it returns is taken instead.
        replace: Regular expressions, and the text to write for what they find.
        folders: Folders of this machine, and what to call them.
    """

    exclude: Sequence[Exclude] = ()
    include: Callable[..., bool] | None = None
    matcher: Callable[..., Any] | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.exclude:
            if not isinstance(one, str) and not callable(one):
                raise UsageError(
                    f"exclude={one!r}: leave out a kind of event or a key by its name, "
                    "'agent_config_update' or 'arguments.token', or by a filter of syrupy's"
                )
        for pattern, name in self.replace.items():
            if not isinstance(name, str):
                raise UsageError(f"replace={{{pattern!r}: {name!r}}}: the replacement is a text")
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(f"replace={{{pattern!r}: …}}: not a regex: {error}") from None

    def apply(self, content: Any, call_ids: Mapping[str, str]) -> Any:
        """Return the document without it; `call_ids` is how calls are named instead."""
        swaps = [(_ADDRESS, "0x…")]
        for folder in sorted(self.folders, key=len, reverse=True):
            swaps.append((re.compile(re.escape(folder) + r"(?![\w.-])"), self.folders[folder]))
        own = [(re.compile(pattern), name) for pattern, name in self.replace.items()]
        ids = [
            (re.compile(rf"(?<![^\W_]){re.escape(one)}(?![^\W_])"), call_ids[one])
            for one in sorted(call_ids, key=len, reverse=True)
        ]
        return _Walk(self, [*swaps, *own], ids).value(content, ())


class _Walk:
    """One way through a document."""

    def __init__(self, redaction: Redaction, swaps: list[Any], ids: list[Any]) -> None:
        self._redaction = redaction
        self._swaps = swaps
        self._ids = ids
        self._excluded = [one for one in redaction.exclude if callable(one)]
        self._names = [tuple(o.split(".")) for o in redaction.exclude if isinstance(o, str)]

    def value(self, value: Any, path: _Path, *, is_livekits: bool = False) -> Any:
        if self._redaction.matcher is not None and path:
            value = self._redaction.matcher(data=value, path=path)
        if isinstance(value, Mapping):
            is_livekits = is_livekits or value.get("role") in _LIVEKITS
            return {
                key: self.value(
                    one, (*path, (key, type(one))), is_livekits=is_livekits or key in _LIVEKITS
                )
                for key, one in value.items()
                if self._stays(key, path)
            }
        if isinstance(value, (list, tuple)):
            read = [
                self.value(one, (*path, (index, type(one))), is_livekits=is_livekits)
                for index, one in enumerate(value)
            ]
            # an event of which nothing stays is no event
            return [one for one, was in zip(read, value, strict=True) if one != {} or was == {}]
        if isinstance(value, str):
            return self._text(value, is_livekits=is_livekits)
        return value if isinstance(value, (int, float, type(None))) else str(value)

    def _stays(self, key: Any, path: _Path) -> bool:
        keys = (*(one for one, _ in path if isinstance(one, str)), key)
        if any(keys[-len(name) :] == name for name in self._names):
            return False
        if any(excludes(prop=key, path=path) for excludes in self._excluded):
            return False
        include = self._redaction.include
        return include is None or key == "format" or bool(include(prop=key, path=path))

    def _text(self, text: str, *, is_livekits: bool) -> str:
        swaps: Iterable[Any] = [*self._swaps, *self._ids] if is_livekits else self._swaps
        for pattern, name in swaps:
            text = pattern.sub(lambda _, name=name: name, text)
        return text
