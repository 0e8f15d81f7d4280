"""Reading how something fails: a request, speech recognition, a voice."""

from __future__ import annotations

from typing import Any

from yaml.nodes import Node, ScalarNode

from ..errors import one_of
from .model import Failure
from .reading import Reading, is_null

__all__ = ["FAIL_KEYS", "only_true", "read_failure"]

FAIL_KEYS = ("status", "timeout", "connection", "type", "message", "after", "attempts")


def read_failure(reading: Reading, node: Node) -> Failure:
    """Read how something fails: the class of an error, or a mapping that says more."""
    if isinstance(node, ScalarNode):
        return Failure(type=reading.class_ref(node, "fail"))
    fields = reading.fields(node, "fail", FAIL_KEYS)
    how = ("status", "timeout", "connection", "type")
    reading.only_one(node, fields, "fail", *how)
    if not fields.keys() & set(how):
        reading.missing(node, fields, f"fail does not say how; write one of {one_of(how)}")
    failure: dict[str, Any] = {}
    for key in ("status", "attempts"):
        if key in fields:
            failure[key] = reading.count(fields[key], key)
    for key in ("timeout", "connection"):
        if key in fields:
            failure[key] = only_true(reading, fields[key], key)
    if "type" in fields:
        failure["type"] = reading.class_ref(fields["type"], "type")
    for key in ("message", "after"):
        if key in fields:
            failure[key] = reading.text(fields[key], key)
    return Failure(**failure)


def only_true(reading: Reading, node: Node, what: str) -> bool:
    """Read a key that is there or not; ``false`` would say nothing."""
    if isinstance(node, ScalarNode) and (is_null(node) or node.value == "true"):
        return True
    reading.wrong(node, what, f"{what}: true, or leave it out")
    return True
