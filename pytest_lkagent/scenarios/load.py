"""Loading scenario files: YAML in, a `ScenarioFile` out, or one LoadError with every mistake."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from yaml.nodes import Node, SequenceNode

from ..errors import UsageError
from .compose import compose
from .merge import lay_over_base
from .model import ScenarioFile
from .read_scenario import DEFAULT_KEYS, read_defaults, read_scenario, read_tested
from .reading import Reading

__all__ = [
    "FILE_KEYS",
    "gc_paused",
    "load",
    "load_text",
]

FILE_KEYS = ("id", "name", "agent", "entrypoint", "base", "rest", "defaults", "scenarios")
_IN_DEFAULTS = dict.fromkeys(DEFAULT_KEYS, "; write it under defaults:, or in a scenario")


def load(path: Path, *, allow_kinds: Collection[str] | None = None) -> ScenarioFile:
    """Load a scenario file.

    `allow_kinds` are the names that `allow` may hold, None for any. Raises LoadError with all
    mistakes of the file, UsageError where there is no file to read.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: cannot be read: {why}; name a scenario file") from None
    return load_text(data, path, allow_kinds=allow_kinds)


def load_text(
    text: str | bytes, path: Path, *, allow_kinds: Collection[str] | None = None
) -> ScenarioFile:
    """Load the content of a scenario file that stands, or would stand, at `path`."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    with gc_paused():
        root = compose(data, path)
        reading = Reading(allow_kinds=allow_kinds)
        root = lay_over_base(reading, root, path, _compose_file)
        return _read_file(reading, root, path)


def _compose_file(path: Path) -> Node:
    return compose(path.read_bytes(), path)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Keep the garbage collector off: it would walk the growing tree again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read_file(reading: Reading, root: Node, path: Path) -> ScenarioFile:
    """Read the whole file, then raise LoadError with everything that was noted on the way."""
    fields = reading.fields(root, "a scenario file", FILE_KEYS, elsewhere=_IN_DEFAULTS)
    tested = read_tested(reading, root, fields, "a scenario file")
    rest = reading.flag(fields["rest"], "rest") if "rest" in fields else False
    if "rest" in fields and "base" not in fields:
        reading.problem(fields["rest"], "rest says what to take of a base; write base: too")
    defaults = read_defaults(reading, fields["defaults"]) if "defaults" in fields else {}
    scenarios = tuple(
        read_scenario(reading, node, tested=tested, defaults=defaults)
        for node in _scenario_nodes(reading, root, fields)
    )
    file_id = reading.raw(fields["id"], "id", "a text") if "id" in fields else None
    name = reading.raw(fields["name"], "name", "a text") if "name" in fields else None
    reading.refuse()
    return ScenarioFile(
        path=path,
        id=file_id,
        name=name,
        **tested,
        base=Path(path.parent, fields["base"].value) if "base" in fields else None,
        rest=rest,
        scenarios=scenarios,
    )


def _scenario_nodes(reading: Reading, root: Node, fields: dict[str, Node]) -> list[Node]:
    if "scenarios" in fields:
        node = fields["scenarios"]
        items = reading.items(node, "scenarios", "a list of scenarios, each with a label")
        if not items and isinstance(node, SequenceNode):
            reading.problem(node, "there is no scenario; write a list of them, each with a label")
        return items
    if "base" in fields and reading.has_problems:
        return []  # they may be in a base that cannot be read
    hint = ", or rest: true" if "base" in fields else ""
    lack = "there are no scenarios; write scenarios: and a list of them"
    reading.missing(root, fields, lack + hint)
    return []
