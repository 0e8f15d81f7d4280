"""Reading what a turn of a call says: when the user speaks, over whom, and how it is heard."""

from __future__ import annotations

from typing import Any

from yaml.nodes import Node, ScalarNode

from ..errors import one_of
from .model import Interjection, UserInput
from .read_failure import only_true, read_failure
from .reading import Reading

__all__ = [
    "CALL_KEYS",
    "HOW_KEYS",
    "INPUT_KEYS",
    "INTERJECTION_KEYS",
    "read_call_keys",
    "read_how",
    "refuse_without_call",
]

_INTERJECTIONS = ("interrupt", "backchannel")
INPUT_KEYS = ("backchannel", "silence", "dtmf", "hang_up")
CALL_KEYS = (*INPUT_KEYS, "at", "lasts", "heard", "interrupted_at")
_TRANSCRIPTS = ("interim", "preflight", "final")
HOW_KEYS = ("heard", "confidence", "language", "delay", *_TRANSCRIPTS, "end_of_turn", "fail")
INTERJECTION_KEYS = ("text", "after", "lasts", *HOW_KEYS)
_SAY_WHEN = ("user", "silence", "dtmf", "hang_up")
"""What happens at a time that `at` gives."""


def refuse_without_call(reading: Reading, *, is_call: bool) -> None:
    """Refuse what was read of calls, in a scenario that is none."""
    for node, key in () if is_call else reading.only_in_calls:
        reading.problem(node, f"{key} is for calls; write mode: audio in the scenario")


def read_call_keys(reading: Reading, fields: dict[str, Node]) -> dict[str, Any]:
    """Read the keys of a turn that it has in a call alone."""
    turn: dict[str, Any] = {}
    reading.only_in_calls += [(fields[key], key) for key in CALL_KEYS if key in fields]
    for verb in _INTERJECTIONS:
        if verb in fields and (verb == "backchannel" or not fields.keys() & {"user", "wait"}):
            turn |= _interjection(reading, fields[verb], verb)
    if "at" in fields and not fields.keys() & set(_SAY_WHEN):
        reading.problem(fields["at"], f"at says when, of {one_of(_SAY_WHEN)}; take it away")
    if "lasts" in fields and "user" not in fields:
        reading.problem(fields["lasts"], "lasts is for user:, what is said then; take it away")
    if "silence" in fields:
        turn["wait"] = reading.seconds(fields["silence"], "silence")
    if "dtmf" in fields:
        turn["dtmf"] = reading.text(fields["dtmf"], "dtmf")
    if "hang_up" in fields:
        turn["hang_up"] = only_true(reading, fields["hang_up"], "hang_up")
    if "heard" in fields:
        turn["heard"] = reading.text(fields["heard"], "heard")
    for key in ("at", "lasts", "interrupted_at"):
        if key in fields:
            turn[key] = reading.seconds(fields[key], key)
    return turn


def _interjection(reading: Reading, node: Node, verb: str) -> dict[str, Any]:
    """Read what is said over the agent's words; a plain text lacks when."""
    reading.only_in_calls.append((node, verb))
    if isinstance(node, ScalarNode):
        text = reading.text(node, verb)
        reading.problem(node, f"{verb}: when? write {verb}: {{text: {text}, after: 400ms}}")
        return {}
    fields = reading.fields(node, verb, INTERJECTION_KEYS)
    text = reading.text(fields["text"], "text") if "text" in fields else ""
    if "after" not in fields:
        reading.missing(node, fields, f"{verb}: when? write after: 400ms")
        return {}
    said = UserInput(text, how=read_how(reading, fields))
    after = reading.seconds(fields["after"], "after")
    turn: dict[str, Any] = {"interjection": Interjection(verb=verb, said=said, after=after)}  # type: ignore[arg-type]
    if "lasts" in fields:
        turn["lasts"] = reading.seconds(fields["lasts"], "lasts")
    return turn


def read_how(reading: Reading, fields: dict[str, Node]) -> dict[str, Any]:
    """Read what speech recognition and the turn detector make of what the user says."""
    reading.only_in_calls += [(fields[key], key) for key in HOW_KEYS if key in fields]
    how: dict[str, Any] = {}
    for key in ("heard", "language"):
        if key in fields:
            how[key] = reading.text(fields[key], key)
    for key in ("confidence", "end_of_turn"):
        if key in fields:
            how[key] = reading.share(fields[key], key)
    for key in _TRANSCRIPTS:
        if key in fields:
            how[key] = reading.flag(fields[key], key)
    if "delay" in fields:
        how["delay"] = reading.seconds(fields["delay"], "delay")
    if "fail" in fields:
        how["fail"] = read_failure(reading, fields["fail"])
    return how
