"""Reading one scenario, and the `defaults` that it may fall back to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from yaml.nodes import Node, ScalarNode

from ..errors import UsageError, did_you_mean, one_of
from ..options import TARGETS, read_target
from ..transcript import FunctionCall, FunctionCallOutput, Message
from .model import Ref, Scenario
from .read_call import refuse_by_mode
from .read_expect import read_absent
from .read_fuzz import read_fuzz
from .read_job import read_job, read_judges
from .read_mocks import read_mocks
from .read_snapshot import read_snapshot
from .read_turns import TURN_KEYS, read_start, read_turns
from .read_voice import read_impairments, read_mode, read_voices
from .reading import Reading, is_null, site_of
from .scalars import resolve

__all__ = [
    "DEFAULT_KEYS",
    "HISTORY_KEYS",
    "SCENARIO_KEYS",
    "read_defaults",
    "read_scenario",
    "read_tested",
]

_LIVEKIT_KEYS = ("id", "label", "instructions", "agent_expectations", "tags", "userdata")
DEFAULT_KEYS = (
    *("start", "mocks", "session", "history", "job", "judges", "target", "now", "allow"),
    *("timeout", "mode", "voices", "impairments"),
)
SCENARIO_KEYS = (
    *_LIVEKIT_KEYS,
    *("agent", "entrypoint", "turns", "absent", "check", "expect_veto", "snapshot"),
    *("marks", "xfail", "fuzz"),
    *DEFAULT_KEYS,
)
_DUNDER = re.compile("__(.+)__")
_IN_A_TURN = dict.fromkeys(
    TURN_KEYS, "; it belongs to a turn: indent it as far as its user: or wait:"
)
_OF_TURNS = {"start", "absent", "check", "snapshot", "expect_veto"}
_TESTED = ("agent", "entrypoint")
_MESSAGE_ROLES = ("user", "assistant", "system", "developer")
HISTORY_KEYS = (*_MESSAGE_ROLES, "function_call", "function_call_output")
_ALSO_SETTLED: dict[str, Any] = {
    "mocks": {},
    "session": {},
    "history": (),
    "allow": (),
    "mode": "text",
    "voices": (),
    "impairments": (),
}


def read_defaults(reading: Reading, node: Node) -> dict[str, Any]:
    """Read `defaults` as fields of a Scenario."""
    return _settings(reading, reading.fields(node, "defaults", DEFAULT_KEYS))


def read_tested(
    reading: Reading, node: Node, fields: dict[str, Node], what: str
) -> dict[str, Ref | None]:
    """Read what is under test, an agent or an entrypoint; nothing where neither is written."""
    reading.only_one(node, fields, what, *_TESTED)
    return {
        key: reading.reference(fields[key], key) if key in fields else None
        for key in _TESTED
        if fields.keys() & set(_TESTED)
    }


def read_scenario(
    reading: Reading, node: Node, *, tested: dict[str, Ref | None], defaults: dict[str, Any]
) -> Scenario:
    """Read a scenario; what it does not say, `tested` and `defaults` say."""
    fields = reading.fields(node, "a scenario", SCENARIO_KEYS, elsewhere=_IN_A_TURN)
    reading.captured.clear()
    reading.only_in_calls.clear()
    reading.wrong_in_calls.clear()
    said: dict[str, Any] = {**tested, **defaults, **_settings(reading, fields)}
    said |= read_tested(reading, node, fields, "a scenario")
    if said.get("start"):
        reading.captured.update(said["start"].capture)
    for key in ("id", "instructions", "agent_expectations"):
        if key in fields and not is_null(fields[key]):
            said[key] = reading.raw(fields[key], key, "a text")
    for key, read in _READERS.items():
        if key in fields:
            said[key] = read(reading, fields[key])
    said["owes_voices"] = "voices" in fields
    refuse_by_mode(reading, is_call=said.get("mode") == "audio")
    if said.get("fuzz") and "turns" not in fields:
        for key in fields.keys() & _OF_TURNS:
            hint = "write turns:, or leave it out"
            reading.problem(fields[key], f"{key} is for a conversation that is not drawn; {hint}")
        if said["fuzz"].delays:
            drawn = "delays are drawn where the conversation is; write turns:, or leave them out"
            reading.problem(fields["fuzz"], drawn)
    if said.get("fuzz") and said.get("mode") == "audio":
        reading.problem(fields["fuzz"], "fuzz is for conversations in text; leave mode: out")
    if "expect_veto" in fields:
        said["expect_veto_site"] = site_of(fields["expect_veto"])
    hint = "write what the user says, such as turns: [{user: hello, llm: [Hello.]}]"
    if not fields.keys() & {"turns", "instructions", "fuzz"}:
        reading.missing(node, fields, f"a scenario in which nothing happens; {hint}")
    if said.get("turns") == () and "instructions" in fields and not fields.keys() & _OF_TURNS:
        told = f"nothing is played of the instructions; {hint}, or leave turns out"
        reading.problem(fields["turns"], told)
    return Scenario(label=_label(reading, node, fields), site=site_of(node), **said)


def _settings(reading: Reading, fields: dict[str, Node]) -> dict[str, Any]:
    """Read what may stand in `defaults` too; null takes a default back."""
    settings: dict[str, Any] = {}
    for key, read in _SETTINGS.items():
        if key in fields:
            node = fields[key]
            settings[key] = _ALSO_SETTLED.get(key) if is_null(node) else read(reading, node)
    for key in ("session", "target", "judges", "mode"):
        if key in fields:
            settings[f"{key}_site"] = site_of(fields[key])
    return settings


def _label(reading: Reading, node: Node, fields: dict[str, Node]) -> str:
    if "label" not in fields:
        hint = "write label: and a name for it"
        reading.missing(node, fields, f"a scenario without a label; {hint}")
        return ""
    written = fields["label"]
    label = reading.raw(written, "label", "a name for the scenario")
    if label is None:
        return ""
    if not label.strip():
        reading.problem(written, "the label is empty; write a name for the scenario")
    elif label in reading.labels:
        hint = f"already used in {reading.labels[label]}; write another"
        reading.problem(written, f"the label {label!r} is {hint}")
    reading.labels.setdefault(label, site_of(written))
    for bad, instead in (("::", "':'"), ("[", "'('")):
        if bad in label:
            hint = f"test ids would not survive it; write {instead}"
            reading.problem(written, f"a label cannot contain {bad!r}: {hint}")
    if dunder := _DUNDER.fullmatch(label):
        hint = f"Python gives it a meaning; write {dunder[1]!r}"
        reading.problem(written, f"a label cannot be {label!r}: {hint}")
    odd = next((c for c in label if c < " " or c in "\x7f\x85\u2028\u2029"), None)
    if odd is not None:
        reading.problem(written, f"a label cannot contain {odd!r}; write it in one line of text")
    return label


def _tags(reading: Reading, node: Node) -> dict[str, str]:
    """Read `tags`: text as written, as `lk` does, and an empty text where nothing stands."""
    if is_null(node):
        return {}
    pairs = reading.entries(node, "tags", "a mapping of text to text, like {feature: booking}")
    tags = {}
    for key, value in pairs:
        text = None if is_null(value) else reading.raw(value, f"the tag {key.value}", "a text")
        tags[key.value] = text or ""
    return tags


def _userdata(reading: Reading, node: Node) -> dict[str, Any] | None:
    return None if is_null(node) else reading.mapping(node, "userdata", ours=False)


def _names(what: str) -> Callable[[Reading, Node], tuple[Ref, ...]]:
    def read(reading: Reading, node: Node) -> tuple[Ref, ...]:
        return tuple(reading.name(item, what) for item in reading.items(node, what, "a list"))

    return read


def _allow(reading: Reading, node: Node) -> tuple[Ref, ...]:
    """Read the kinds of finding that may pass; which kinds there are is known elsewhere."""
    names = _names("allow")(reading, node)
    kinds = reading.allow_kinds
    if kinds is not None:
        for item, name in zip(node.value, names, strict=False):
            if name.text not in kinds:
                near = did_you_mean(name.text, kinds) or f"; the kinds are {one_of(sorted(kinds))}"
                reading.problem(item, f"allow knows no kind {name.text!r}{near}")
    return names


def _session(reading: Reading, node: Node) -> dict[str, Any]:
    return reading.mapping(node, "session")


def _history(
    reading: Reading, node: Node
) -> tuple[Message | FunctionCall | FunctionCallOutput, ...]:
    """Read what was said before; an output belongs to the last call of its tool."""
    said: list[Message | FunctionCall | FunctionCallOutput] = []
    open_calls: dict[str, str] = {}
    for item in reading.items(node, "history", "a list of messages, like {user: hello}"):
        fields = reading.fields(item, "history", HISTORY_KEYS)
        reading.only_one(item, fields, "an entry of history", *HISTORY_KEYS)
        for kind, value in fields.items():
            if kind in _MESSAGE_ROLES:
                said.append(Message(role=kind, text=reading.text(value, kind)))
            elif kind == "function_call":
                call_id = f"history_{len(said)}"
                call = _past_call(reading, value, call_id)
                open_calls[call.name] = call_id
                said.append(call)
            else:
                said.append(_past_output(reading, value, open_calls))
    return tuple(said)


def _past_call(reading: Reading, node: Node, call_id: str) -> FunctionCall:
    fields = reading.fields(node, "function_call", ("name", "arguments"))
    name = _past_name(reading, node, fields, "function_call")
    arguments = fields.get("arguments")
    given = reading.mapping(arguments, "arguments") if arguments is not None else {}
    return FunctionCall(name=name, arguments=given, call_id=call_id)


def _past_output(reading: Reading, node: Node, open_calls: dict[str, str]) -> FunctionCallOutput:
    fields = reading.fields(node, "function_call_output", ("name", "output", "is_error"))
    name = _past_name(reading, node, fields, "function_call_output")
    if "name" in fields and name not in open_calls:
        hint = did_you_mean(name, open_calls) or "; write the function_call before it"
        reading.problem(fields["name"], f"no call of {name!r} waits for an output{hint}")
    failed = fields.get("is_error")
    return FunctionCallOutput(
        name=name,
        output=reading.text(fields["output"], "output") if "output" in fields else "",
        is_error=reading.flag(failed, "is_error") if failed is not None else False,
        call_id=open_calls.pop(name, ""),
    )


def _past_name(reading: Reading, node: Node, fields: dict[str, Node], what: str) -> str:
    if "name" in fields:
        return reading.text(fields["name"], "name")
    reading.missing(node, fields, f"{what} names no tool; write name: and the tool's name")
    return ""


def _target(reading: Reading, node: Node) -> str:
    target = reading.raw(node, "target", f"one of {one_of(TARGETS)}")
    try:
        return read_target(target, where="target") if target else ""
    except UsageError as error:
        reading.problem(node, str(error))
        return ""


def _xfail(reading: Reading, node: Node) -> str | None:
    """Read the reason; false takes it back, and what means the same in other YAML is none."""
    instead = "the reason why it fails, or false"
    reason = reading.raw(node, "xfail", instead)
    is_plain = isinstance(node, ScalarNode) and not node.style
    if reason is None or (is_plain and resolve(reason) == ("bool", False)):
        return None
    if reason.strip().lower() in ("", "false", "no", "off"):
        reading.wrong(node, "xfail", instead)
    return reason


_SETTINGS: dict[str, Callable[[Reading, Node], Any]] = {
    "mocks": read_mocks,
    "session": _session,
    "history": _history,
    "now": lambda reading, node: reading.moment(node, "now"),
    "job": read_job,
    "judges": read_judges,
    "target": _target,
    "allow": _allow,
    "timeout": lambda reading, node: reading.seconds(node, "timeout", bound=True),
    "mode": read_mode,
    "voices": read_voices,
    "impairments": read_impairments,
    "start": read_start,  # last: what it captures is not known to what is made before it
}
_READERS: dict[str, Callable[[Reading, Node], Any]] = {
    "tags": _tags,
    "userdata": _userdata,
    "fuzz": read_fuzz,
    "expect_veto": lambda reading, node: reading.raw(node, "expect_veto", "a text of the reason"),
    "turns": read_turns,
    "absent": read_absent,
    "check": lambda reading, node: reading.reference(node, "check"),
    "snapshot": read_snapshot,
    "marks": _names("marks"),
    "xfail": _xfail,
}
