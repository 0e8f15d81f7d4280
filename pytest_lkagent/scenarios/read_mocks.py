"""Reading the `mocks` of a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yaml.nodes import Node, ScalarNode, SequenceNode

from .model import UNSET, MockOutcome, Mocks, MockSpec, Ref, TaskSpec
from .reading import Reading, is_null, site_of

__all__ = [
    "MOCK_KEYS",
    "OUTCOME_KEYS",
    "read_mocks",
]

OUTCOME_KEYS = ("returns", "error", "raises", "message", "delay")
_SHAPE = "a mapping of class names to their tools, like {FrontDesk: {book: booked}}"
MOCK_KEYS = (*OUTCOME_KEYS, "calls", "optional")


def read_mocks(reading: Reading, node: Node) -> Mocks:
    """Read the mocks: under each class its tools, or `task` where the class is an AgentTask."""
    mocks: dict[str, dict[str, MockSpec] | TaskSpec] = {}
    for key, value in reading.entries(node, "mocks", _SHAPE):
        owner = reading.class_ref(key, "the class of a mock")
        instead = (
            "its tools and what they return, like {book: booked}, or the AgentTask's result, like "
            "{task: Maya}"
        )
        pairs = reading.entries(value, f"the mocks of {owner}", instead)
        named = {tool.value: (tool, outcome) for tool, outcome in pairs}
        fields = {name: outcome for name, (_, outcome) in named.items()}
        if "task" in fields and fields.keys() <= {"task", "optional"}:
            is_optional = _is_optional(reading, fields)
            mocks[owner.text] = TaskSpec(
                task=owner,
                returns=_returned(reading, fields["task"]),
                tool=_called_task(owner, *named["task"], is_optional=is_optional),
                optional=is_optional,
                site=site_of(key),
            )
        else:
            mocks[owner.text] = {
                tool.value: _mock(reading, owner, tool, outcome) for tool, outcome in pairs
            }
    return mocks


def _called_task(owner: Ref, key: ScalarNode, node: Node, *, is_optional: bool) -> MockSpec | None:
    """Read `task` as a tool that is called so; None where it can only be a result."""
    apart = Reading()
    mock = _mock(apart, owner, key, node)
    if apart.has_problems:
        return None
    return replace(mock, optional=mock.optional or is_optional)


def _mock(reading: Reading, owner: Ref, tool: ScalarNode, node: Node) -> MockSpec:
    name = reading.tool(tool)
    site = site_of(tool)
    if isinstance(node, ScalarNode):
        return MockSpec(owner=owner, tool=name, returns=_returned(reading, node), site=site)
    what = f"the mock of {name}"
    fields = _fields(reading, node, what, MOCK_KEYS)
    calls = fields.get("calls")
    if calls is not None:
        for key in OUTCOME_KEYS:
            reading.only_one(node, fields, what, "calls", key)
    return MockSpec(
        owner=owner,
        tool=name,
        calls=_calls(reading, calls, what) if calls is not None else None,
        optional=_is_optional(reading, fields),
        site=site,
        **_outcome(reading, node, fields, what),
    )


def _is_optional(reading: Reading, fields: Mapping[str, Node]) -> bool:
    return reading.flag(fields["optional"], "optional") if "optional" in fields else False


def _calls(reading: Reading, node: Node, what: str) -> tuple[MockOutcome, ...]:
    """Read the outcomes of the first call, of the second, and so on."""
    outcomes = []
    for item in reading.items(
        node, "calls", "a list with one outcome for each call, like [booked, {error: full}]"
    ):
        if isinstance(item, ScalarNode):
            outcomes.append(MockOutcome(returns=_returned(reading, item), site=site_of(item)))
            continue
        fields = _fields(reading, item, f"a call of {what}", OUTCOME_KEYS)
        outcome = _outcome(reading, item, fields, f"a call of {what}")
        if fields.keys() == {"delay"}:
            told = f"a call of {what} has no outcome; write returns:, error: or raises:"
            reading.missing(item, fields, told)
        outcomes.append(MockOutcome(site=site_of(item), **outcome))
    return tuple(outcomes)


def _fields(reading: Reading, node: Node, what: str, known: tuple[str, ...]) -> dict[str, Node]:
    if isinstance(node, SequenceNode):
        hint = "{returns: […]} for a list to return"
        if "calls" in known:
            hint += ", or {calls: [booked, {error: full}]} for one outcome for each call"
        reading.wrong(node, what, hint)
        return {}
    fields = reading.fields(node, what, known)
    if not fields:
        hint = "returns:, error:, raises:, or optional: true to watch the real tool"
        reading.missing(node, fields, f"{what} says nothing; write {hint}")
    return fields


def _outcome(reading: Reading, node: Node, fields: dict[str, Node], what: str) -> dict[str, Any]:
    reading.only_one(node, fields, what, "returns", "error", "raises")
    if "message" in fields and "raises" not in fields:
        reading.problem(fields["message"], f"message in {what} belongs to raises:; write error:")
    outcome: dict[str, Any] = {"returns": UNSET}
    if "returns" in fields:
        outcome["returns"] = reading.value(fields["returns"], "returns")
    if "error" in fields:
        outcome["error"] = reading.text(fields["error"], "error")
    if "raises" in fields:
        outcome["raises"] = reading.class_ref(fields["raises"], "raises")
    if "message" in fields:
        outcome["message"] = reading.text(fields["message"], "message")
    if "delay" in fields:
        outcome["delay"] = reading.seconds(fields["delay"], "delay")
    return outcome


def _returned(reading: Reading, node: Node) -> Any:
    """Read what is returned without `returns:`: a scalar is the text as written, or nothing."""
    if isinstance(node, ScalarNode):
        return None if is_null(node) else reading.text(node, "a mock")
    return reading.value(node, "task")
