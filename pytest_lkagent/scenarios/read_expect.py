"""Reading what a scenario expects: `expect`, `absent`, `expect_error` and `after`."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType

from yaml.nodes import MappingNode, Node, ScalarNode

from ..errors import did_you_mean, one_of
from .expectations import (
    CallExpectation,
    CloseExpectation,
    ErrorExpectation,
    Expectation,
    HandoffExpectation,
    MessageExpectation,
    OutputExpectation,
    TextMatch,
)
from .model import After
from .reading import Reading, site_of

__all__ = [
    "AFTER_KEYS",
    "CALL_KEYS",
    "CLOSE_REASONS",
    "ERROR_KEYS",
    "HANDOFF_KEYS",
    "KINDS",
    "MESSAGE_KEYS",
    "OUTPUT_KEYS",
    "read_absent",
    "read_after",
    "read_expect",
    "read_expect_error",
]

ERROR_KEYS = ("type", "contains", "matches")
AFTER_KEYS = ("userdata",)
MESSAGE_KEYS = ("role", "text", "contains", "matches", "interrupted")
CALL_KEYS = ("name", "arguments")
OUTPUT_KEYS = ("name", "output", "contains", "matches", "is_error")
HANDOFF_KEYS = ("from", "to")
CLOSE_REASONS = (
    "error",
    "job_shutdown",
    "participant_disconnected",
    "user_initiated",
    "task_completed",
)
"""LiveKit's ``CloseReason``, which this floor does not import."""

_ROLES = ("assistant", "user", "system", "developer")


def read_expect(reading: Reading, node: Node) -> tuple[Expectation | EllipsisType, ...]:
    """Read the list under `expect`, in which ``...`` skips any number of events."""
    items = reading.items(node, "expect", "a list of events, or [] where nothing else may happen")
    read = [... if _is_dots(item) else _expectation(reading, item) for item in items]
    return tuple(one for one in read if one is not None)


def read_absent(reading: Reading, node: Node) -> tuple[Expectation, ...]:
    """Read the list under `absent`."""
    read = [_expectation(reading, item) for item in reading.items(node, "absent", "a list")]
    return tuple(one for one in read if one is not None)


def read_expect_error(reading: Reading, node: Node) -> ErrorExpectation:
    """Read ``expect_error``: a class name, or a mapping."""
    if isinstance(node, ScalarNode):
        return ErrorExpectation(type=_class_name(reading, node, "expect_error"), site=site_of(node))
    fields = reading.fields(node, "expect_error", ERROR_KEYS)
    kind = _class_name(reading, fields["type"], "type") if "type" in fields else None
    return ErrorExpectation(type=kind, text=_text_match(reading, fields), site=site_of(node))


def read_after(reading: Reading, node: Node) -> After:
    """Read what holds after the turn."""
    fields = reading.fields(node, "after", AFTER_KEYS)
    userdata = fields.get("userdata")
    values = reading.mapping(userdata, "userdata", patterns=True) if userdata else {}
    return After(userdata=values, site=site_of(node))


def _is_dots(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value == "..." and not node.style


def _expectation(reading: Reading, node: Node) -> Expectation | None:
    """Read one event: a mapping whose only key is the kind of the event."""
    if _is_dots(node):
        reading.problem(node, "`...` skips events, which only expect can do; leave it out")
        return None
    instead = f"an event with one of the keys {one_of(KINDS)}"
    pairs = reading.entries(node, "what is expected", instead)
    if not pairs:
        if isinstance(node, MappingNode):
            reading.problem(node, f"what is expected is empty; write {instead}")
        return None
    key, value = pairs[0]
    if len(pairs) > 1:
        reading.problem(
            pairs[1][0],
            f"{key.value} and {pairs[1][0].value!r} stand in one event; begin each event with `- `",
        )
    read = KINDS.get(key.value)
    if read is None:
        near = did_you_mean(key.value, KINDS) or f"; the kinds of event: {one_of(KINDS)}"
        if key.value == "absent":
            near = "; absent: stands beside turns:, and holds for the whole scenario"
        reading.problem(key, f"unknown kind of event {key.value!r}{near}")
        return None
    return read(reading, value)


def _message(reading: Reading, node: Node) -> MessageExpectation:
    if isinstance(node, ScalarNode):
        text = TextMatch(equals=reading.text(node, "message"))
        return MessageExpectation(text=text, site=site_of(node))
    fields = reading.fields(node, "message", MESSAGE_KEYS)
    role = reading.text(fields["role"], "role") if "role" in fields else "assistant"
    if role not in _ROLES:
        hint = did_you_mean(role, _ROLES) or f"; the roles are {one_of(_ROLES)}"
        reading.problem(fields["role"], f"unknown role {role!r}{hint}")
    cut = fields.get("interrupted")
    return MessageExpectation(
        text=_text_match(reading, fields, equals="text"),
        role=role,
        interrupted=reading.flag(cut, "interrupted") if cut is not None else None,
        site=site_of(node),
    )


def _call(reading: Reading, node: Node) -> CallExpectation:
    if isinstance(node, ScalarNode):
        return CallExpectation(name=reading.text(node, "function_call"), site=site_of(node))
    fields = reading.fields(node, "function_call", CALL_KEYS)
    if "name" not in fields:
        hint = "write name: and the tool's name"
        reading.missing(node, fields, f"function_call names no tool; {hint}")
    arguments = fields.get("arguments")
    return CallExpectation(
        name=reading.text(fields["name"], "name") if "name" in fields else "",
        arguments=reading.mapping(arguments, "arguments", patterns=True) if arguments else None,
        site=site_of(node),
    )


def _output(reading: Reading, node: Node) -> OutputExpectation:
    if isinstance(node, ScalarNode):  # of which tool, or what it returned: one may mean either
        instead = f"{{name: {node.value}}}, or {{output: {node.value}}} for what a tool returned"
        reading.wrong(node, "function_call_output", instead)
        return OutputExpectation(site=site_of(node))
    fields = reading.fields(node, "function_call_output", OUTPUT_KEYS)
    failed = fields.get("is_error")
    return OutputExpectation(
        name=reading.text(fields["name"], "name") if "name" in fields else None,
        output=_text_match(reading, fields, equals="output"),
        is_error=reading.flag(failed, "is_error") if failed is not None else None,
        site=site_of(node),
    )


def _handoff(reading: Reading, node: Node) -> HandoffExpectation:
    if isinstance(node, ScalarNode):
        new = _class_name(reading, node, "agent_handoff")
        return HandoffExpectation(new=new, site=site_of(node))
    fields = reading.fields(node, "agent_handoff", HANDOFF_KEYS)
    return HandoffExpectation(
        old=_class_name(reading, fields["from"], "from") if "from" in fields else None,
        new=_class_name(reading, fields["to"], "to") if "to" in fields else None,
        site=site_of(node),
    )


def _close(reading: Reading, node: Node) -> CloseExpectation:
    reason = reading.raw(node, "close", one_of(CLOSE_REASONS))
    if reason is not None and reason not in CLOSE_REASONS:
        near = did_you_mean(reason, CLOSE_REASONS) or f"; the reasons are {one_of(CLOSE_REASONS)}"
        reading.problem(node, f"close knows no reason {reason!r}{near}")
    return CloseExpectation(reason=reason or "", site=site_of(node))


KINDS: dict[str, Callable[[Reading, Node], Expectation]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "agent_handoff": _handoff,
    "close": _close,
}


def _class_name(reading: Reading, node: Node, what: str) -> str:
    """Read a class name; of ``module:Class`` the class counts, as events know no modules."""
    return reading.class_ref(node, what).text.rpartition(":")[2]


def _text_match(reading: Reading, fields: dict[str, Node], *, equals: str = "") -> TextMatch:
    return TextMatch(
        equals=reading.text(fields[equals], equals) if equals in fields else None,
        contains=_part(reading, fields["contains"]) if "contains" in fields else None,
        matches=reading.regex(fields["matches"], "matches") if "matches" in fields else None,
    )


def _part(reading: Reading, node: Node) -> str:
    part = reading.text(node, "contains")
    if not part and isinstance(node, ScalarNode) and node.style:
        reading.wrong(node, "contains", "a part of the text, as nothing is a part of every text")
    return part
