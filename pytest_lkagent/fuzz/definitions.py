"""What a JSON schema refers to, laid out where it is referred to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

from ..errors import UsageError
from .merging import merged

__all__ = ["Definitions", "Nothing", "Schema", "Where"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own

Schema: TypeAlias = Mapping[str, Any] | bool

_COUNT = (int, "a number")
_NUMBER = ((int, float), "a number")
_LIST = (list, "a list")
_OBJECT = (Mapping, "an object")
_SHAPES: Mapping[str, tuple[Any, str]] = {
    **dict.fromkeys(("properties", "propertyNames"), _OBJECT),
    **dict.fromkeys(("required", "enum", "allOf", "anyOf", "oneOf", "prefixItems"), _LIST),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
    **dict.fromkeys(("minProperties", "maxProperties"), _COUNT),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), _NUMBER),
    "pattern": (str, "a text"),
    "format": (str, "a text"),
}
"""What the keywords take that are read."""
_AGAIN = 2
"""How often a definition may be entered anew within itself. What terminates at all does so without,
since the least value of a definition holds no smaller one of the same."""


@dataclass(frozen=True)
class Nothing:
    """That no value satisfies a schema, and where that shows."""

    place: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Where:
    """A place in a schema, and the definitions that are being read around it."""

    place: tuple[str, ...] = ()
    inside: frozenset[str] = frozenset()
    again: int = _AGAIN

    def at(self, name: str) -> Where:
        return Where((*self.place, name), self.inside, self.again)

    def into(self, ref: str) -> Where | None:
        """Enter a definition; None where it was entered within itself too often."""
        again = self.again - (ref in self.inside)
        return Where(self.place, self.inside | {ref}, again) if again >= 0 else None

    def __str__(self) -> str:
        return f"{'.'.join(self.place)}: " if self.place else ""


@dataclass(frozen=True)
class Definitions:
    """The whole schema; `what` begins each message about it."""

    root: Mapping[str, Any]
    what: str

    def laid_out(self, schema: Schema, where: Where) -> tuple[Mapping[str, Any], Where] | Nothing:
        """Return the keywords of a schema with those that ``$ref`` and ``allOf`` add to them."""
        keywords: Mapping[str, Any] = {}
        parts = [schema]
        while parts:
            part = parts.pop(0)
            if part is True:
                continue
            if part is False:
                return Nothing(where.place, "the schema is false")
            if not isinstance(part, Mapping):
                raise self.unreadable(where, f"a schema is an object, true or false, not {part!r}")
            self._check(part, where)
            rest = dict(part)
            if (ref := rest.pop("$ref", None)) is not None:
                found = self._found(ref, where)
                inner = where.into(ref)
                if inner is None:
                    return Nothing(where.place, f"{ref} holds itself, without an end")
                where = inner
                parts.insert(0, found)
            parts[:0] = rest.pop("allOf", ())
            keywords = merged(keywords, rest)
        return keywords, where

    def _check(self, schema: Mapping[str, Any], where: Where) -> None:
        for name, value in schema.items():
            kind, shown = _SHAPES.get(name, (object, ""))
            if not isinstance(value, kind):
                raise self.unreadable(where, f"{name} is {shown}, not {value!r}")

    def _found(self, ref: Any, where: Where) -> Schema:
        found: Any = self.root
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise self.unreadable(where, f"$ref {ref!r} leads out of the schema: include it there")
        for part in ref[1:].split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or name not in found:
                raise self.unreadable(where, f"$ref {ref!r} leads nowhere")
            found = found[name]
        schema: Schema = found
        return schema

    def unreadable(self, where: Where, problem: str) -> UsageError:
        """Return the error that says what is wrong with the schema, and where."""
        return UsageError(f"{self.what}: its schema cannot be read: {where}{problem}")
