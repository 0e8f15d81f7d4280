"""Reading `fuzz`: what holds of a conversation, whatever the model and the user do in it."""

from __future__ import annotations

from typing import Any

from yaml.nodes import Node

from .model import FuzzSpec
from .reading import Reading, is_null, site_of

__all__ = ["FUZZ_KEYS", "read_fuzz"]

FUZZ_KEYS = ("examples", "turns", "invariants", "without", "userdata", "delays")


def read_fuzz(reading: Reading, node: Node) -> FuzzSpec:
    """Read the mapping under `fuzz`, which may be empty."""
    said: dict[str, Any] = {}
    fields = {} if is_null(node) else reading.fields(node, "fuzz", FUZZ_KEYS)
    for key in ("examples", "turns"):
        if key in fields:
            said[key] = reading.count(fields[key], key)
    if "invariants" in fields:
        items = reading.items(fields["invariants"], "invariants", "a list of functions")
        said["invariants"] = tuple(reading.reference(item, "an invariant") for item in items)
    if "without" in fields:
        items = reading.items(fields["without"], "without", "a list of invariants")
        said["without"] = tuple(reading.name(item, "without") for item in items)
    if "userdata" in fields:
        said["userdata"] = reading.reference(fields["userdata"], "userdata")
    if "delays" in fields:
        said["delays"] = _delays(reading, fields["delays"])
    return FuzzSpec(site=site_of(node), **said)


def _delays(reading: Reading, node: Node) -> dict[str, tuple[float, ...]]:
    """Read how much longer each call of a tool takes, by the tool."""
    pairs = reading.entries(node, "delays", "a mapping of tools to lists of durations")
    return {
        key.value: tuple(
            reading.seconds(item, f"a delay of {key.value}")
            for item in reading.items(value, f"delays of {key.value}", "one duration for each call")
        )
        for key, value in pairs
    }
