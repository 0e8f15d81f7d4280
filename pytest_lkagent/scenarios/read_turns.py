"""Reading the turns of a scenario, and what the model answers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import did_you_mean, one_of
from .model import LlmCall, LlmEntry, ScenarioTurn, UserInput
from .read_call import CALL_KEYS, HOW_KEYS, INPUT_KEYS, read_call_keys, read_how, read_within
from .read_expect import read_after, read_expect, read_expect_error
from .read_failure import only_true, read_failure
from .read_snapshot import read_snapshot
from .reading import Reading, is_null, site_of

__all__ = [
    "ENTRY_KEYS",
    "START_KEYS",
    "TURN_KEYS",
    "USER_KEYS",
    "read_start",
    "read_turns",
]

START_KEYS = (
    *("llm", "expect", "expect_error", "after", "check", "capture", "within", "snapshot"),
)
TURN_KEYS = ("user", "wait", *START_KEYS, "interrupt", "settle", *CALL_KEYS)
USER_KEYS = ("text", "modality", *HOW_KEYS)
_TIMING_KEYS = ("ttft", "duration", "by", "chunks", "ids")
_SPEECH_KEYS = ("say", "call", "raw_call")
ENTRY_KEYS = (*_SPEECH_KEYS, "fail", "silence", "stall", *_TIMING_KEYS)
_MODALITIES = ("text", "audio")


def read_turns(reading: Reading, node: Node) -> tuple[ScenarioTurn, ...]:
    """Read the list under `turns`."""
    items = reading.items(node, "turns", "a list of turns, each with user: or wait:")
    return tuple(_turn(reading, item) for item in items)


def read_start(reading: Reading, node: Node) -> ScenarioTurn:
    """Read `start`: a turn without input."""
    fields = reading.fields(node, "start", START_KEYS)
    turn = _course(reading, fields)
    if "within" in fields:
        turn["within"] = read_within(reading, fields["within"], None)
    return ScenarioTurn(site=site_of(node), **turn)


def _turn(reading: Reading, node: Node) -> ScenarioTurn:
    fields = reading.fields(node, "a turn", TURN_KEYS)
    reading.only_one(node, fields, "a turn", "user", "wait", *INPUT_KEYS)
    reading.only_one(node, fields, "a turn", "wait", "interrupt")
    if not fields.keys() & {"user", "wait", "interrupt", *INPUT_KEYS}:
        hint = "write user: and what is said, or wait: 30s"
        reading.missing(node, fields, f"a turn without input; {hint}")
    turn: dict[str, Any] = {}
    if "user" in fields:
        turn["user"] = _user(reading, fields["user"])
    turn |= read_call_keys(reading, fields)
    if "wait" in fields:
        turn["wait"] = reading.seconds(fields["wait"], "wait")
    if "interrupt" in fields and "user" in fields:
        turn["interrupt"] = reading.seconds(fields["interrupt"], "interrupt")
    if "settle" in fields:
        turn["settle"] = reading.flag(fields["settle"], "settle")
    if "within" in fields and turn.get("hang_up"):
        told = "within: nobody answers a user who has hung up; take it away"
        reading.problem(fields["within"], told)
    elif "within" in fields:
        is_waited_for = not turn.keys() & {"interrupt", "hang_up"}
        passed = turn.get("wait", 0.0) if is_waited_for else None
        turn["within"] = read_within(reading, fields["within"], passed)
    return ScenarioTurn(site=site_of(node), **turn, **_course(reading, fields))


def _course(reading: Reading, fields: dict[str, Node]) -> dict[str, Any]:
    """Read what follows an input. What the turn captures may be used in it already."""
    course: dict[str, Any] = {}
    if "capture" in fields:
        pairs = reading.entries(fields["capture"], "capture", "names and regular expressions")
        names = [reading.name(key, "the name of a capture").text for key, _ in pairs]
        patterns = [reading.regex(value, f"capture {key.value}") for key, value in pairs]
        course["capture"] = dict(zip(names, patterns, strict=True))
        reading.captured.update(names)
    if "llm" in fields:
        items = reading.items(fields["llm"], "llm", "a list of what the model answers")
        course["llm"] = tuple(_entry(reading, item) for item in items)
    for key, read in (
        ("expect", read_expect),
        ("expect_error", read_expect_error),
        ("after", read_after),
        ("snapshot", read_snapshot),
    ):
        if key in fields:
            course[key] = read(reading, fields[key])
    if "check" in fields:
        course["check"] = reading.reference(fields["check"], "check")
    return course


def _user(reading: Reading, node: Node) -> UserInput:
    if isinstance(node, ScalarNode):
        return UserInput(reading.text(node, "user"))
    fields = reading.fields(node, "user", USER_KEYS)
    if "text" not in fields:
        reading.missing(node, fields, "user says nothing; write text: and what is said")
    text = reading.text(fields["text"], "text") if "text" in fields else ""
    modality: Literal["text", "audio"] = "text"
    if "modality" in fields:
        written = reading.text(fields["modality"], "modality")
        if written not in _MODALITIES:
            hint = did_you_mean(written, _MODALITIES) or f"; there are {one_of(_MODALITIES)}"
            reading.problem(fields["modality"], f"unknown modality {written!r}{hint}")
        modality = "audio" if written == "audio" else "text"
    return UserInput(text, modality, read_how(reading, fields))


def _entry(reading: Reading, node: Node) -> LlmEntry:
    """Read what the model answers to one request; a plain text is what it says."""
    if isinstance(node, ScalarNode):
        return LlmEntry(text=reading.text(node, "what the model says"), site=site_of(node))
    what = "an llm step"
    fields = reading.fields(node, what, ENTRY_KEYS)
    speech = [key for key in _SPEECH_KEYS if key in fields][:1]
    reading.only_one(node, fields, what, *speech, "fail", "silence", "stall")
    if not fields.keys() - set(_TIMING_KEYS):
        hint = f"write one of {one_of(ENTRY_KEYS[:6])}"
        reading.missing(node, fields, f"{what} does nothing; {hint}")
    entry: dict[str, Any] = {}
    if "say" in fields:
        entry["text"] = reading.text(fields["say"], "say")
    if "call" in fields or "raw_call" in fields:
        entry["calls"] = (*_calls(reading, fields), *_raw_calls(reading, fields))
    if "fail" in fields:
        entry["fail"] = read_failure(reading, fields["fail"])
    for key in ("silence", "stall"):
        if key in fields:
            entry[key] = only_true(reading, fields[key], key)
    for key in ("ttft", "duration"):
        if key in fields:
            entry[key] = reading.seconds(fields[key], key)
    if "chunks" in fields:
        entry["chunks"] = _chunks(reading, fields["chunks"], entry.get("text"))
    if "ids" in fields:
        entry["ids"] = _ids(reading, fields["ids"], entry.get("calls", ()))
    by = fields.get("by")
    if by is not None:
        entry["by"] = None if is_null(by) else reading.class_ref(by, "by")
    return LlmEntry(site=site_of(node), **entry)


def _chunks(reading: Reading, node: Node, text: str | None) -> tuple[str, ...] | int:
    """Read how a text is streamed: in the pieces given, or in pieces of so many characters."""
    if isinstance(node, ScalarNode):
        return reading.count(node, "chunks")
    pieces = tuple(
        reading.text(item, "a chunk")
        for item in reading.items(node, "chunks", "a number of characters, or the pieces of say")
    )
    if "".join(pieces) != text:
        reading.problem(node, f"chunks: {list(pieces)!r} do not make up the text {text!r}")
    return pieces


def _ids(reading: Reading, node: Node, calls: Sequence[LlmCall]) -> tuple[str, ...]:
    items = reading.items(node, "ids", "a list with the id of each call")
    if len(items) != len(calls):
        reading.problem(node, f"ids: there are {len(calls)} calls, and {len(items)} ids")
    return tuple(reading.text(item, "an id") for item in items)


def _calls(reading: Reading, fields: dict[str, Node]) -> list[LlmCall]:
    """Read parallel calls: tool → arguments."""
    if "call" not in fields:
        return []
    node = fields["call"]
    if isinstance(node, ScalarNode) and not is_null(node):
        tool = node.value.partition("(")[0].strip()
        form = "{argument: value}" if "(" in node.value else "{}"
        reading.problem(node, f"call cannot be {node.value!r}; write call: {{{tool}: {form}}}")
        return []
    calls = []
    instead = "a mapping of a tool to its arguments"
    for key, value in _given(reading, node, "call", instead, "{argument: value}"):
        name = reading.tool(key).text
        what = f"the arguments of {name}"
        calls.append(LlmCall(name, {} if is_null(value) else reading.mapping(value, what)))
    return calls


def _raw_calls(reading: Reading, fields: dict[str, Node]) -> list[LlmCall]:
    if "raw_call" not in fields:
        return []
    instead = "a mapping of a tool to the text of its arguments"
    return [
        LlmCall(key.value, raw=reading.text(text, "raw_call"))  # a model may invent any name
        for key, text in _given(reading, fields["raw_call"], "raw_call", instead, "text")
    ]


def _given(
    reading: Reading, node: Node, what: str, instead: str, form: str
) -> list[tuple[ScalarNode, Node]]:
    """Return each call's tool with what it is given: a tool may have a list, for several calls.

    A list of mappings is their calls one after the other, in an order that one may not have.
    """
    parts = reading.items(node, what, instead) if isinstance(node, SequenceNode) else [node]
    given = [
        (tool, one)
        for part in parts
        for tool, value in reading.entries(part, what, instead)
        for one in (value.value if isinstance(value, SequenceNode) else [value])
    ]
    if not given and all(isinstance(part, MappingNode) for part in parts):
        reading.problem(node, f"{what} names no tool; write {what}: {{tool: {form}}}")
    return given
