"""_Values that satisfy a JSON schema, as far as pydantic and tools write such schemas.

hypothesis-jsonschema is the library for this, and is not used: it knows no recursive schema, and
its last release breaks on a hypothesis of today, whose private names it imports.

Read are ``type``, ``enum``, ``const``, ``$ref``, ``allOf``, ``anyOf``, ``oneOf``, and the bounds of
numbers, texts, lists and objects. Of what else a schema may demand (``not``, ``if``, ``contains``)
nothing is known here, nor of bounds beside an ``enum`` and of tuples that are to be unique: a value
may miss it, as that of a model may.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import strategies as st

from ..errors import UsageError, did_you_mean, one_of
from .definitions import Definitions, Nothing, Schema, Where
from .numbers import BOUND, numbers
from .strings import strings

__all__ = ["objects_of"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own

_Values: TypeAlias = st.SearchStrategy[Any]

_ROOM = 4
"""How many more than it must an object or a list holds where nothing bounds it."""

_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")

_SCALARS = st.text(max_size=10) | st.integers(-BOUND, BOUND) | st.booleans() | st.none()
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def objects_of(schema: Mapping[str, Any], *, what: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw objects that satisfy `schema`, shrinking towards the simplest.

    Raises:
        UsageError: The schema cannot be read, or nothing satisfies it; `what` begins the message.
    """
    values = _Reader(Definitions(schema, what)).read(
        {"allOf": [schema, {"type": "object"}]}, Where()
    )
    if isinstance(values, Nothing):
        raise UsageError(
            f"{what}: no JSON satisfies its schema ({Where(values.place)}{values.why}); loosen it"
        )
    return values


@dataclass
class _Reader:
    definitions: Definitions

    def read(self, schema: Schema, where: Where) -> _Values | Nothing:
        laid_out = self.definitions.laid_out(schema, where)
        return laid_out if isinstance(laid_out, Nothing) else self._read(*laid_out)

    def _read(self, keywords: Mapping[str, Any], where: Where) -> _Values | Nothing:
        if "anyOf" in keywords:
            rest = {name: value for name, value in keywords.items() if name != "anyOf"}
            return _any_of(
                [self.read({"allOf": [rest, one]}, where) for one in keywords["anyOf"]],
                Nothing(where.place, "anyOf of nothing"),
            )
        types = self._types(keywords, where)
        if "enum" in keywords:
            listed = _listed(keywords, types)
            return st.sampled_from(listed) if listed else _contradiction(keywords, where)
        if types >= {*_TYPES}:
            return _ANYTHING
        if "number" in types:
            types -= {"integer"}
        found = [self._of_type(name, keywords, where) for name in _TYPES if name in types]
        return _any_of(found, _contradiction(keywords, where))

    def _types(self, keywords: Mapping[str, Any], where: Where) -> set[str]:
        """Return the types that a value may have; unsaid, the keywords tell."""
        told = keywords.get("type")
        if told is None:
            told = [name for name, own in _KEYWORDS.items() if keywords.keys() & {*own}] or _TYPES
        types = {told} if isinstance(told, str) else {*told}
        if unknown := sorted(types - {*_TYPES}):
            hint = did_you_mean(unknown[0], _TYPES) or f"; there are {one_of(_TYPES)}"
            raise self.definitions.unreadable(where, f"unknown type {unknown[0]!r}{hint}")
        return types

    def _of_type(self, name: str, keywords: Mapping[str, Any], where: Where) -> _Values | Nothing:
        match name:
            case "object":
                return self._objects(keywords, where)
            case "array":
                return self._arrays(keywords, where)
            case "string":
                return self._strings(keywords, where)
            case "integer" | "number":
                found = numbers(keywords, whole=name == "integer")
                return _contradiction(keywords, where) if found is None else found
            case "boolean":
                return st.booleans()
        return st.none()

    def _strings(self, keywords: Mapping[str, Any], where: Where) -> _Values | Nothing:
        if keywords.get("contentMediaType") == "application/json":
            inner = self.read(keywords.get("contentSchema", True), where)
            return inner if isinstance(inner, Nothing) else inner.map(json.dumps)
        try:
            found = strings(keywords)
        except ValueError as problem:
            raise self.definitions.unreadable(where, str(problem)) from None
        return _contradiction(keywords, where) if found is None else found

    def _objects(self, keywords: Mapping[str, Any], where: Where) -> _Values | Nothing:
        properties: Mapping[str, Schema] = keywords.get("properties", {})
        required = keywords.get("required", ())
        others: Schema = keywords.get("additionalProperties", True)
        fixed: dict[str, _Values] = {}
        for name in required:
            values = self.read(properties.get(name, others), where.at(name))
            if isinstance(values, Nothing):
                return values
            fixed[name] = values
        optional = {
            name: values
            for name, schema in properties.items()
            if name not in fixed
            and not isinstance(values := self.read(schema, where.at(name)), Nothing)
        }
        least = keywords.get("minProperties", 0)
        most = keywords.get("maxProperties", math.inf)
        named = st.fixed_dictionaries(fixed, optional=optional)
        # pydantic lets further names pass and ignores them: no model is told to send some
        is_open = bool(others) and (
            "additionalProperties" in keywords or "properties" not in keywords
        )
        more = self._others(keywords, where, max(0, least - len(fixed))) if is_open else None
        if len(fixed) > most or (more is None and len(fixed) + len(optional) < least):
            return _contradiction(keywords, where)
        if more is not None:
            named = st.builds(lambda free, own: {**free, **own}, more, named)
        if least <= len(fixed) and len(fixed) + len(optional) <= most and more is None:
            return named
        return named.filter(lambda drawn: least <= len(drawn) <= most)

    def _others(self, keywords: Mapping[str, Any], where: Where, least: int) -> _Values | None:
        """Draw what an object holds beside its properties; None where it holds nothing."""
        known = keywords.get("properties", {})
        names = self.read({"type": "string", **keywords.get("propertyNames", {})}, where)
        values = self.read(keywords.get("additionalProperties", True), where.at("*"))
        most = min(keywords.get("maxProperties", math.inf), least + _ROOM)
        if isinstance(names, Nothing) or isinstance(values, Nothing) or most < least:
            return None
        if known:
            names = names.filter(lambda name: name not in known)
        return st.dictionaries(names, values, min_size=least, max_size=int(most))

    def _arrays(self, keywords: Mapping[str, Any], where: Where) -> _Values | Nothing:
        first, rest = keywords.get("prefixItems", ()), keywords.get("items", True)
        if isinstance(rest, list):  # as schemas were until 2019
            first, rest = rest, keywords.get("additionalItems", True)
        least = keywords.get("minItems", 0)
        most = keywords.get("maxItems", max(least, len(first)) + _ROOM)
        heads = [self.read(one, where.at(str(n))) for n, one in enumerate(first)][:most]
        for head in heads:
            if isinstance(head, Nothing):
                return head
        items = self.read(rest, where.at("*"))
        least, most = max(0, least - len(heads)), most - len(heads)
        if isinstance(items, Nothing):
            if least:
                return items
            items, most = st.nothing(), 0
        unique = bool(keywords.get("uniqueItems"))
        if unique and isinstance(choices := self._choices(rest, where), int):
            most = min(most, choices)
        if least > most:
            return _contradiction(keywords, where)
        by = _as_text if unique else None
        tail: _Values = st.lists(items, min_size=least, max_size=most, unique_by=by)
        if not heads:
            return tail
        return st.builds(lambda drawn, more: [*drawn, *more], st.tuples(*heads), tail)

    def _choices(self, schema: Schema, where: Where) -> int | None:
        """Return how many values there are, where they are listed."""
        laid_out = self.definitions.laid_out(schema, where)
        if isinstance(laid_out, Nothing):
            return 0
        keywords, where = laid_out
        types = self._types(keywords, where)
        if "enum" in keywords:
            return len({*map(_as_text, _listed(keywords, types))})
        return {"boolean": 2, "null": 1}.get(min(types)) if len(types) == 1 else None


def _any_of(found: Iterable[_Values | Nothing], otherwise: Nothing) -> _Values | Nothing:
    found = list(found)
    values = [one for one in found if not isinstance(one, Nothing)]
    missing = [one for one in found if isinstance(one, Nothing)]
    return st.one_of(values) if values else (*missing, otherwise)[0]


def _contradiction(keywords: Mapping[str, Any], where: Where) -> Nothing:
    return Nothing(where.place, f"nothing is {json.dumps(keywords, default=repr)}")


def _listed(keywords: Mapping[str, Any], types: set[str]) -> list[Any]:
    return [value for value in keywords["enum"] if types & _types_of(value)]


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _types_of(value: Any) -> set[str]:
    match value:
        case None:
            return {"null"}
        case bool():
            return {"boolean"}
        case str():
            return {"string"}
        case int():
            return {"integer", "number"}
        case float():
            return {"integer", "number"} if value.is_integer() else {"number"}
        case list():
            return {"array"}
    return {"object"}
