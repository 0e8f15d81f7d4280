"""What never reaches a snapshot: what differs from run to run, and what the user leaves out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..errors import UsageError

__all__ = ["Exclude", "Redaction", "listed"]

_Path: TypeAlias = tuple[tuple[Any, type], ...]
"""The way to a value, as syrupy tells it: keys and indexes, each with the type found there."""

Exclude: TypeAlias = str | Callable[..., bool]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_PYDANTIC = re.compile(r"(?<=errors\.pydantic\.dev/)\d+\.\d+(?=/)")
"""Its version, in the output of a call whose arguments pydantic refused."""

_LIVEKITS = ("function_call", "function_call_output", "system", "developer")
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
                raise _no_exclude(one)
        for name, given, home in (
            ("include", self.include, "filters"),
            ("matcher", self.matcher, "matchers"),
        ):
            if given is not None and not callable(given):
                raise UsageError(f"{name}={given!r}: give one of syrupy.{home}")
        if not isinstance(self.replace, Mapping):
            raise UsageError(f"replace={self.replace!r}: give a mapping of a regex to a text")
        for pattern, name in self.replace.items():
            if not isinstance(name, str):
                raise UsageError(f"replace={{{pattern!r}: {name!r}}}: the replacement is a text")
            if not pattern:
                raise UsageError(
                    f"replace={{{pattern!r}: {name!r}}}: it fits every text; write a regex of what "
                    "is to be replaced"
                )
            try:
                re.compile(pattern).sub("", "")
            except (re.error, TypeError, OverflowError, RecursionError) as error:
                raise UsageError(f"replace={{{pattern!r}: …}}: not a regex: {error}") from None

    def but(
        self,
        *,
        exclude: Exclude | Iterable[Exclude] | None = None,
        include: Callable[..., bool] | None = None,
        matcher: Callable[..., Any] | None = None,
        replace: Mapping[str, str] | None = None,
    ) -> Redaction:
        """Return one that has what is given here in the place of its own."""
        how: dict[str, Any] = {"exclude": listed(exclude), "include": include}
        how |= {"matcher": matcher, "replace": replace}
        given = {name: one for name, one in how.items() if one not in (None, (), {})}
        return dataclasses.replace(self, **given)

    def folded(self, content: Any) -> Any:
        """Return a document of another machine in which the folders of this one are named."""
        try:
            return Redaction(folders=self.folders).apply(content, {})
        except RecursionError:  # by a slip of the hand it refers to itself
            return content

    def apply(self, content: Any, call_ids: Mapping[str, str]) -> Any:
        """Return the document without it; `call_ids` is how calls are named instead."""
        swaps = [(_ADDRESS, "0x…"), (_PYDANTIC, "…")]
        for folder in sorted(self.folders, key=len, reverse=True):
            whole = re.compile(rf"(?<![\w.-]){re.escape(folder)}(?![\w-]|\.\w)")
            swaps.append((whole, self.folders[folder]))
        own = [(re.compile(pattern), name) for pattern, name in self.replace.items()]
        return _Walk(self, [*swaps, *own], call_ids).value(content, ())


def listed(exclude: Exclude | Iterable[Exclude] | None) -> tuple[Exclude, ...]:
    """Return what ``exclude=`` names, be it one or several."""
    if exclude is None or isinstance(exclude, str) or callable(exclude):
        return () if exclude is None else (exclude,)
    if not isinstance(exclude, Iterable):
        raise _no_exclude(exclude)
    return tuple(exclude)


def _no_exclude(given: object) -> UsageError:
    return UsageError(
        f"exclude={given!r}: leave out a kind of event or a key by its name, "
        "'agent_config_update' or 'arguments.token', or by one of syrupy.filters"
    )


class _Walk:
    """One way through a document."""

    def __init__(
        self, redaction: Redaction, swaps: list[tuple[re.Pattern[str], str]], ids: Mapping[str, str]
    ) -> None:
        self._redaction = redaction
        self._swaps = swaps
        self._ids = ids
        any_id = "|".join(map(re.escape, sorted(ids, key=len, reverse=True))) or "(?!)"
        self._id = re.compile(rf"(?<![^\W_])(?:{any_id})(?![^\W_])")
        self._excluded = [one for one in redaction.exclude if callable(one)]
        self._ends = tuple(f".{one}" for one in redaction.exclude if isinstance(one, str))

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
                if self._stays(index, path)
            ]
            # an event of which nothing stays is no event; a list that a tool gets keeps its length
            return read if is_livekits else [one for one in read if one != {}]
        if isinstance(value, str):
            return self._text(value, is_livekits=is_livekits)
        return value if isinstance(value, (int, float, type(None))) else str(value)

    def _stays(self, key: Any, path: _Path) -> bool:
        if key == "format" and not path:
            return True
        keys = (*(one for one, _ in path), key)
        way = "".join(f".{one}" for one in keys if isinstance(one, str))
        if isinstance(key, str) and way.endswith(self._ends):
            return False
        if any(excludes(prop=key, path=path) for excludes in self._excluded):
            return False
        include = self._redaction.include
        return include is None or bool(include(prop=key, path=path))

    def _text(self, text: str, *, is_livekits: bool) -> str:
        for pattern, name in self._swaps:
            # an empty text is nothing to replace: a pattern such as x* finds it everywhere
            text = pattern.sub(lambda found, name=name: found[0] and name, text)  # type: ignore[misc]
        return self._id.sub(lambda found: self._ids[found[0]], text) if is_livekits else text
