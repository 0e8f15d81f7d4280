"""Reading what a turn of a call says: when the user speaks, over whom, and how it is heard."""

from __future__ import annotations

from typing import Any

from yaml.nodes import Node, ScalarNode

from ..errors import one_of
from ..times import LONGEST, LONGEST_SPEECH, LONGEST_WAIT
from .model import Interjection, UserInput
from .read_failure import only_true, read_failure
from .reading import Reading, too_long

__all__ = [
    "CALL_KEYS",
    "HOW_KEYS",
    "INPUT_KEYS",
    "INTERJECTION_KEYS",
    "read_call_keys",
    "read_delay",
    "read_how",
    "read_speech",
    "read_within",
    "refuse_by_mode",
]

_INTERJECTIONS = ("interrupt", "backchannel")
INPUT_KEYS = ("backchannel", "silence", "dtmf", "hang_up")
CALL_KEYS = (*INPUT_KEYS, "at", "lasts", "heard", "interrupted_at")
_TRANSCRIPTS = ("interim", "preflight", "final")
HOW_KEYS = ("heard", "confidence", "language", "delay", *_TRANSCRIPTS, "end_of_turn", "fail")
INTERJECTION_KEYS = ("text", "after", "lasts", *HOW_KEYS)
_SAY_WHEN = ("user", "silence", "dtmf", "hang_up")
"""What happens at a time that `at` gives."""


def refuse_by_mode(reading: Reading, *, is_call: bool) -> None:
    """Refuse what is of calls in a scenario that is none, and in a call what is none of it."""
    for node, problem in reading.wrong_in_calls if is_call else ():
        reading.problem(node, problem)
    for node, key in () if is_call else reading.only_in_calls:
        reading.problem(node, f"{key} is for calls; write mode: audio in the scenario")


def read_speech(reading: Reading, node: Node, key: str, **how: bool) -> float:
    """Read how long somebody speaks, or how far into that something is."""
    return reading.brief(node, key, LONGEST_SPEECH, "of speech", **how)


def read_delay(reading: Reading, node: Node, key: str) -> float:
    """Read how long a word is waited for."""
    return reading.brief(node, key, LONGEST_SPEECH, "of waiting")


def read_within(reading: Reading, node: Node, passed: float | None) -> float:
    """Read `within`, which bounds the answer in a call, and in text the whole turn.

    `passed` are the seconds of it that pass before anybody waits, None where nobody knows yet.
    """
    seconds = reading.seconds(node, "within")
    if passed is not None and LONGEST >= seconds > (longest := passed + LONGEST_WAIT):
        reading.wrong_in_calls.append((node, too_long(node, "within", longest, "of waiting")))
    return seconds


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
        turn["wait"] = reading.seconds(fields["silence"], "silence", bound=True)
    if "dtmf" in fields:
        turn["dtmf"] = reading.text(fields["dtmf"], "dtmf")
        if not turn["dtmf"]:
            reading.problem(fields["dtmf"], "dtmf: which keys? write a text, such as 12#")
    if "hang_up" in fields:
        turn["hang_up"] = only_true(reading, fields["hang_up"], "hang_up")
    if "heard" in fields and not fields.keys() & {"user", *_INTERJECTIONS}:
        reading.problem(fields["heard"], "heard is of what the user says; take it away")
    if "heard" in fields:
        turn["heard"] = reading.text(fields["heard"], "heard")
    if "at" in fields:
        turn["at"] = reading.seconds(fields["at"], "at")
    if "lasts" in fields:
        turn["lasts"] = read_speech(reading, fields["lasts"], "lasts", bound=True)
    if "interrupted_at" in fields:
        turn["interrupted_at"] = read_speech(reading, fields["interrupted_at"], "interrupted_at")
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
    after = read_speech(reading, fields["after"], "after")
    turn: dict[str, Any] = {"interjection": Interjection(verb=verb, said=said, after=after)}  # type: ignore[arg-type]
    if "lasts" in fields:
        turn["lasts"] = read_speech(reading, fields["lasts"], "lasts", bound=True)
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
        how["delay"] = read_delay(reading, fields["delay"], "delay")
    if "fail" in fields:
        how["fail"] = read_failure(reading, fields["fail"])
    return how
