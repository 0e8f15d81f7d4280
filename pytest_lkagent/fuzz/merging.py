"""Two JSON schemas that hold at once, as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["merged"]

_UNSAID = {
    *("title", "description", "default", "examples", "deprecated", "discriminator"),
    *("readOnly", "writeOnly", "$schema", "$id", "$comment", "$defs", "definitions"),
}
"""What says nothing about which values there may be."""


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a schema for what satisfies both; of annotations it is free.

    Of two patterns, formats and the like the second counts: a value may then miss the first.
    """
    first, second = _plain(one), _plain(other)
    both = {
        name: _TOGETHER[name](first[name], second[name])
        for name in first.keys() & second.keys() & _TOGETHER.keys()
    }
    return {**first, **second, **both}


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Say ``const`` as ``enum`` and ``oneOf`` as ``anyOf``, and leave out what says nothing."""
    plain = {name: value for name, value in schema.items() if name not in _UNSAID}
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    if "oneOf" in plain:
        variants = plain.pop("oneOf")
        plain["anyOf"] = _each(plain["anyOf"], variants) if "anyOf" in plain else variants
    return plain


def _each(one: Any, other: Any) -> list[Any]:
    return [{"allOf": [x, y]} for x in one for y in other]


def _both(one: Any, other: Any) -> dict[str, Any]:
    return {"allOf": [one, other]}


def _common(one: Any, other: Any) -> list[Any]:
    return [value for value in one if value in other]


def _types(one: Any, other: Any) -> list[str]:
    ones, others = _named(one), _named(other)
    return [name for name in ones if name in others]


def _named(types: Any) -> list[str]:
    names = [types] if isinstance(types, str) else [*types]
    return [*names, "integer"] if "number" in names else names


def _properties(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    common = {name: _both(one[name], other[name]) for name in one if name in other}
    return {**one, **other, **common}


def _multiple(one: Any, other: Any) -> Any:
    whole = isinstance(one, int) and isinstance(other, int)
    return math.lcm(one, other) if whole else other


_TOGETHER: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    **dict.fromkeys(("additionalProperties", "items", "propertyNames", "contentSchema"), _both),
    "anyOf": _each,
    "enum": _common,
    "multipleOf": _multiple,
    "properties": _properties,
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "type": _types,
    "uniqueItems": lambda one, other: one or other,
}
