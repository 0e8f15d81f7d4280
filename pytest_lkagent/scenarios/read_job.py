"""Reading what the job of a scenario is like, which its entrypoint runs in."""

from __future__ import annotations

from typing import Any

from yaml.nodes import Node, ScalarNode

from ..script.verdicts import VERDICTS
from .model import JobSpec
from .reading import Reading, is_null, site_of

__all__ = ["CALLER_KEYS", "JOB_KEYS", "read_job", "read_judges"]

_VERDICT = "one of " + ", ".join(VERDICTS)
JOB_KEYS = ("metadata", "attributes", "participant")
CALLER_KEYS = ("identity", "name", "metadata", "attributes", "kind")
_KINDS = ("standard", "sip", "connector", "agent", "ingress", "egress")


def read_job(reading: Reading, node: Node) -> JobSpec:
    """Read ``job``: its metadata and attributes, and who is in the room."""
    fields = reading.fields(node, "job", JOB_KEYS)
    said: dict[str, Any] = {}
    if "metadata" in fields:
        said["metadata"] = _metadata(reading, fields["metadata"])
    if "attributes" in fields:
        said["attributes"] = _texts(reading, fields["attributes"], "attributes")
    if "participant" in fields:
        said["participant"] = _caller(reading, fields["participant"])
    return JobSpec(said=said, site=site_of(node))


def read_judges(reading: Reading, node: Node) -> dict[str, str] | str:
    """Read what LiveKit's judges find: one verdict for all, or one for each by its name."""
    if isinstance(node, ScalarNode):
        return _verdict(reading, node)
    pairs = reading.entries(node, "judges", f"{_VERDICT}, or a mapping of a judge to that")
    return {key.value: _verdict(reading, value) for key, value in pairs}


def _verdict(reading: Reading, node: Node) -> str:
    found = reading.raw(node, "judges", _VERDICT) or ""
    if isinstance(node, ScalarNode) and found not in VERDICTS:
        reading.wrong(node, "judges", _VERDICT)
    return found


def _metadata(reading: Reading, node: Node) -> Any:
    """Read metadata: a text as written, a mapping or a list for its JSON."""
    if isinstance(node, ScalarNode):
        return reading.raw(node, "metadata", "a text, or a mapping for its JSON") or ""
    return reading.value(node, "metadata", ours=False)


def _texts(reading: Reading, node: Node, what: str) -> dict[str, str]:
    pairs = reading.entries(node, what, "a mapping of text to text")
    return {key.value: reading.raw(value, what, "a text") or "" for key, value in pairs}


def _caller(reading: Reading, node: Node) -> dict[str, Any] | None:
    """Read who is in the room; null is nobody."""
    if is_null(node):
        return None
    fields = reading.fields(node, "participant", CALLER_KEYS)
    caller: dict[str, Any] = {
        key: reading.raw(fields[key], key, "a text") or ""
        for key in ("identity", "name", "metadata", "kind")
        if key in fields
    }
    if caller.get("kind", "standard") not in _KINDS:
        reading.wrong(fields["kind"], "kind", "one of " + ", ".join(_KINDS))
    if "attributes" in fields:
        caller["attributes"] = _texts(reading, fields["attributes"], "attributes")
    return caller
