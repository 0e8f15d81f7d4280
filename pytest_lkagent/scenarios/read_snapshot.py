"""Reading what is compared with a snapshot: a whole conversation, or one turn."""

from __future__ import annotations

from typing import Any

from yaml.nodes import Node, ScalarNode

from .model import SnapshotSpec
from .reading import Reading, site_of

__all__ = ["SNAPSHOT_KEYS", "read_snapshot"]

SNAPSHOT_KEYS = ("exclude", "replace")


def read_snapshot(reading: Reading, node: Node) -> SnapshotSpec | None:
    """Read ``snapshot``: true, or what to leave out and to replace; false takes it back."""
    if isinstance(node, ScalarNode):
        return SnapshotSpec(site=site_of(node)) if reading.flag(node, "snapshot") else None
    fields = reading.fields(node, "snapshot", SNAPSHOT_KEYS)
    said: dict[str, Any] = {}
    if "exclude" in fields:
        items = reading.items(fields["exclude"], "exclude", "a list, like [agent_handoff]")
        said["exclude"] = tuple(reading.text(item, "exclude") for item in items)
    if "replace" in fields:
        instead = "a mapping of a regex to a text, like {'O_\\w+': order}"
        pairs = reading.entries(fields["replace"], "replace", instead)
        said["replace"] = tuple(
            (reading.regex(key, "replace"), reading.text(value, "replace")) for key, value in pairs
        )
    return SnapshotSpec(site=site_of(node), **said)
