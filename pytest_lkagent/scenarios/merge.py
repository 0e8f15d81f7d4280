"""Laying a scenario file over the `base` it names: mappings merge, lists replace.

The merge works on nodes, so that whatever is wrong afterwards is still reported in the file and
line where it was written.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import LoadError
from .reading import Reading, is_null

__all__ = ["lay_over_base"]

_Compose = Callable[[Path], Node]


def lay_over_base(
    reading: Reading, root: Node, path: Path, compose: _Compose, *, above: tuple[str, ...] = ()
) -> Node:
    """Return the file's root merged with that of its base, and that with its own base.

    `compose` reads a file; `above` are the files that name this one, to refuse a circle.
    """
    written = _get(root, "base")
    if written is None:
        return root
    name = reading.raw(written, "base", "the path of a scenario file")
    if name is None:
        return root
    base_path = Path(path.parent, name)
    above = (*above, os.path.realpath(path))
    try:
        if os.path.realpath(base_path) in above:
            reading.problem(written, f"{name!r} leads back to this file; leave one base: out")
            return root
        base = compose(base_path)
    except OSError as error:
        hint = "write a path relative to this file"
        reading.problem(written, f"base {name!r} cannot be read: {error.strerror}; {hint}")
        return root
    except ValueError:  # a NUL in the path
        reading.problem(written, f"base {name!r} is no path; write one relative to this file")
        return root
    except LoadError as error:
        reading.foreign(error)
        return root
    base = lay_over_base(reading, base, base_path, compose, above=above)
    if not isinstance(base, MappingNode):
        reading.problem(base, "a scenario file is a mapping; write scenarios: and a list of them")
        return root
    return _merge_files(reading, base, root)


def _merge_files(reading: Reading, base: MappingNode, over: Node) -> Node:
    rest = _get(over, "rest")
    keep_rest = rest is not None and reading.flag(rest, "rest")
    theirs, ours = _scenarios(base), _scenarios(over)
    merged_root = _merge(reading, _without(base, "scenarios", "base", "rest"), over)
    by_label = {label: node for node in theirs if (label := _label(node)) is not None}
    named = {_label(node) for node in ours}
    merged = []
    for node in ours:
        label = _label(node)
        if label in by_label:
            merged.append(_merge(reading, by_label[label], node))
        else:
            _refuse_near_miss(reading, node, label, by_label)
            merged.append(node)
    if keep_rest:
        merged += [node for node in theirs if _label(node) not in named]
    key = _key(over, "scenarios") or _key(base, "scenarios")
    if key is None or not (merged or keep_rest):
        return merged_root
    scenarios = SequenceNode(key.tag, merged, key.start_mark, key.end_mark)
    kept = _without(merged_root, "scenarios")
    return MappingNode(kept.tag, [*kept.value, (key, scenarios)], kept.start_mark, kept.end_mark)


def _refuse_near_miss(
    reading: Reading, node: Node, label: str | None, by_label: dict[str, Node]
) -> None:
    """Note a label that is nearly one of the base's: a new scenario has instructions of its own."""
    near = get_close_matches(label or "", by_label, n=1, cutoff=0.8)
    written = _get(node, "label")
    if near and written is not None and _get(node, "instructions") is None:
        hint = f"did you mean {near[0]!r}? (a new scenario needs instructions of its own)"
        reading.problem(written, f"no scenario of the base is labelled {label!r}; {hint}")


def _merge(reading: Reading, base: Node, over: Node) -> Node:
    if not isinstance(base, MappingNode) or not isinstance(over, MappingNode):
        return over
    own = {key.value: (key, value) for key, value in reading.entries(over, "a mapping", "one")}
    merged = []
    for key, value in reading.entries(base, "a mapping", "one"):
        if key.value in own:
            own_key, own_value = own.pop(key.value)
            merged.append((own_key, _merge(reading, value, own_value)))
        else:
            merged.append((key, value))
    return MappingNode(over.tag, [*merged, *own.values()], over.start_mark, over.end_mark)


def _key(node: Node, name: str) -> ScalarNode | None:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next((k for k, _ in pairs if isinstance(k, ScalarNode) and k.value == name), None)


def _get(node: Node, name: str) -> Node | None:
    key = _key(node, name)
    return None if key is None else next(value for k, value in node.value if k is key)


def _without(node: Node, *names: str) -> MappingNode:
    kept = [(k, v) for k, v in node.value if not (isinstance(k, ScalarNode) and k.value in names)]
    return MappingNode(node.tag, kept, node.start_mark, node.end_mark)


def _scenarios(node: Node) -> list[Node]:
    scenarios = _get(node, "scenarios")
    return list(scenarios.value) if isinstance(scenarios, SequenceNode) else []


def _label(node: Node) -> str | None:
    label = _get(node, "label")
    return label.value if isinstance(label, ScalarNode) and not is_null(label) else None
