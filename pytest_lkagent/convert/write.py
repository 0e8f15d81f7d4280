"""A conversation as the text of a scenario file, worded as one would by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..errors import LoadError
from ..scenarios.expect_words import block_lines, entries_of, flow_text
from ..scenarios.load import load_text
from ..scenarios.model import Failure, LlmCall, LlmEntry
from ..snapshot.serialize import dump
from ..transcript import Event, Message
from .course import Part

__all__ = ["duration_text", "label_of", "playable_label", "scenario_text"]

_WIDTH = 88
_LABEL = 60
_SURROGATE = re.compile("[\ud800-\udfff]")
_REFUSED = re.compile(r"(?:Unknown function: [\w-]+)|(?:Error parsing arguments for `[\w-]+`)")
"""What LiveKit says of a call that it refuses, without what a version changes."""
_SPACED = "a scenario takes ${ for a capture, so it is written with a space here"
_HALF = "half of a character, which YAML cannot hold, is written as \ufffd"


def scenario_text(
    parts: Sequence[Part],
    *,
    label: str,
    tested: Mapping[str, str | None],
    settings: Mapping[str, Any],
    notes: Sequence[str],
) -> str:
    """Write a file with one scenario: the first of `parts` is the start, the others its turns.

    `settings` are its other keys, those with nothing under them left out, and `notes` what is to be
    said of them.
    """
    start, *turns = parts
    lines = [line for key, ref in tested.items() if ref for line in _key_lines(key, ref)]
    lines += ["scenarios:", *_indented(_key_lines("label", label), 2, is_item=True)]
    lines += _indented(_comments(notes), 4)
    for key, value in settings.items():
        lines += _indented(_lines(dump({key: _playable_in(value)})), 4)
    course = _course_lines(start)
    lines += _indented(_comments(start.notes), 4)
    if course:
        lines += ["    start:", *_indented(course, 6)]
    lines.append("    turns:" if turns else "    turns: []")
    for turn in turns:
        written = [*_input_lines(turn), *_course_lines(turn)]
        lines += _indented(_comments(turn.notes), 6)
        lines += _indented(written, 6, is_item=True)
    return "".join(f"{line}\n" for line in lines)


def label_of(parts: Sequence[Part]) -> str:
    """Return the name of a scenario: what the user says first."""
    said = (playable_label(part.user or "") for part in parts)
    return next(filter(None, said), "Nobody answers the agent")


def playable_label(text: str) -> str:
    """Return a text as the name of a scenario, cut where that would be long."""
    plain = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    plain = plain.replace("::", ":").replace("[", "(").replace("]", ")")
    if len(plain) > _LABEL:
        plain = f"{plain[:_LABEL].rpartition(' ')[0] or plain[:_LABEL]} …"
    return plain


# --- a turn


def _input_lines(part: Part) -> list[str]:
    if part.user is None:
        return [f"wait: {part.wait:g}s"]
    return _key_lines("user", _playable(part.user, part))


def _course_lines(part: Part) -> list[str]:
    """Write what follows the input, and note what it cannot say; nothing for an empty start."""
    llm = [_playable_entry(entry, part) for entry in part.llm]
    events = [_playable_event(event, part) for event in part.events if part.claims]
    entries, vague = entries_of(events, llm)
    part.notes += vague
    entries = [_worded(entry) for entry in entries]
    entries += [{"function_call_output": {"name": name}} for name in part.unknown]
    lines = _llm_lines([_words(entry) for entry in llm]) if llm else []
    if part.interrupt is not None:
        lines.append(f"interrupt: {duration_text(part.interrupt)}")
    if not part.settle:
        lines.append("settle: false")
    if part.fails:
        lines.append("expect_error: APIConnectionError")
    if entries:
        lines += ["expect:"]
        lines += _indented((line for e in entries for line in block_lines(e, _WIDTH)), 2)
    elif part.claims and not part.is_start:
        lines.append("expect: []")
    return lines


def _worded(entry: Any) -> Any:
    """Return an entry of `expect` that meets what the replay can have of it."""
    if entry is ...:
        return entry
    [(kind, words)] = entry.items()
    if not isinstance(words, dict):
        return entry
    if words.get("interrupted"):
        return {kind: {"contains": words["text"]}}  # what code let the agent say is said whole
    refused = _REFUSED.match(words.get("output", "")) if words.get("is_error") else None
    if refused is not None:
        return {kind: {"name": words["name"], "is_error": True, "contains": refused[0]}}
    if "matches" in words:
        # what a tool repeats has the space with which it was told
        return {kind: {**words, "matches": words["matches"].replace(r"\$\{", r"\$ ?\{")}}
    return entry


def _llm_lines(steps: Sequence[Any]) -> list[str]:
    line = f"llm: {flow_text(steps)}"
    if len(line) <= _WIDTH and "\\n" not in line:
        return [line]
    return ["llm:", *_indented((line for step in steps for line in _step_lines(step)), 2)]


def _step_lines(step: Any) -> list[str]:
    if isinstance(step, str):
        first, *others = _key_lines("say", step)
        return [f"-{first.removeprefix('say:')}", *others]
    lines = [line for key in step for line in block_lines({key: step[key]}, _WIDTH)]
    return [
        line if not index else line.replace("- ", "  ", 1) if line.startswith("- ") else line
        for index, line in enumerate(lines)
    ]


def _words(entry: LlmEntry) -> Any:
    """Return a step of `llm` as it is written."""
    words: dict[str, Any] = {} if entry.text is None else {"say": entry.text}
    words |= _called(entry.calls)
    if entry.silence:
        words["silence"] = True
    if entry.fail is not None:
        words["fail"] = _failure(entry.fail)
    if entry.chunks is not None:
        words["chunks"] = list(entry.chunks) if isinstance(entry.chunks, tuple) else entry.chunks
    if entry.ids:
        words["ids"] = list(entry.ids)
    for key, seconds in (("ttft", entry.ttft), ("duration", entry.duration)):
        if seconds:
            words[key] = duration_text(seconds)
    return entry.text if list(words) == ["say"] else words


def _called(calls: Sequence[LlmCall]) -> dict[str, Any]:
    """Return parallel calls as they are written, in their order: those of `raw_call` come last."""
    is_raw = [one.raw is not None for one in calls]
    if is_raw != sorted(is_raw):
        texts = [json.dumps(one.arguments, ensure_ascii=False) for one in calls]
        calls = [
            replace(one, raw=text if one.raw is None else one.raw)
            for one, text in zip(calls, texts, strict=True)
        ]
    given: dict[str, list[tuple[str, Any]]] = {
        "call": [(one.name, one.arguments) for one in calls if one.raw is None],
        "raw_call": [(one.name, one.raw) for one in calls if one.raw is not None],
    }
    return {key: _by_tool(some) for key, some in given.items() if some}


def _by_tool(given: Sequence[tuple[str, Any]]) -> Any:
    """Return what tools are given as a mapping, as a list of them where it has another order."""
    by_tool: dict[str, list[Any]] = {}
    for tool, one in given:
        by_tool.setdefault(tool, []).append(one)
    if [tool for tool, some in by_tool.items() for _ in some] != [tool for tool, _ in given]:
        return [{tool: one} for tool, one in given]
    return {tool: some if some[1:] else some[0] for tool, some in by_tool.items()}


def _failure(failure: Failure) -> dict[str, Any]:
    """Return how a request fails as it is written."""
    said = {one.name: getattr(failure, one.name) for one in fields(failure)}
    said["type"] = failure.type and failure.type.text
    return {key: value for key, value in said.items() if value not in (None, False)}


# --- texts that a scenario can hold


def _playable(text: str, part: Part | None = None) -> str:
    """Return a text without what a scenario would read as something else."""
    for found, note in (("${" in text, _SPACED), (_SURROGATE.search(text), _HALF)):
        if found and part is not None and note not in part.notes:
            part.notes.append(note)
    return _SURROGATE.sub("\ufffd", text).replace("${", "$ {")


def _playable_in(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _playable_in(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_playable_in(one) for one in value]
    return _playable(value) if isinstance(value, str) else value


def _playable_event(event: Event, part: Part) -> Event:
    return replace(event, text=_playable(event.text, part)) if isinstance(event, Message) else event


def _playable_entry(entry: LlmEntry, part: Part) -> LlmEntry:
    text = None if entry.text is None else _playable(entry.text, part)
    fail = entry.fail
    if fail is not None and fail.after is not None:
        fail = replace(fail, after=_playable(fail.after, part))
    return replace(
        entry,
        text=text,
        calls=tuple(_playable_call(c, part) for c in entry.calls),
        fail=fail,
        chunks=entry.chunks if text == entry.text else None,  # they make up the text
    )


def _playable_call(call: LlmCall, part: Part) -> LlmCall:
    """Return a call whose arguments are the same when they are read, as JSON if need be."""
    if call.raw is None:
        if _is_read_as(call.arguments):
            return call
        return replace(call, raw=_escaped(json.dumps(call.arguments, ensure_ascii=False)))
    try:
        json.loads(call.raw)
    except ValueError:
        return replace(call, raw=_playable(call.raw, part))
    return replace(call, raw=_escaped(call.raw))


def _escaped(text: str) -> str:
    """Return the same JSON without what YAML, or the format, cannot hold."""
    return _SURROGATE.sub(lambda one: f"\\u{ord(one[0]):04x}", text).replace("${", "\\u0024{")


def _is_read_as(arguments: Mapping[str, Any]) -> bool:
    """Whether a scenario that holds these arguments is read as having them."""
    call = f"[{{call: {{tool: {flow_text(arguments)}}}}}]"
    text = f"scenarios: [{{label: x, turns: [{{user: x, llm: {call}}}]}}]"
    try:
        [scenario] = load_text(text, Path("x.yaml")).scenarios
    except LoadError:
        return False
    [turn] = scenario.turns or ()
    return json.dumps(turn.llm[0].calls[0].arguments) == json.dumps(arguments)


# --- lines


def duration_text(seconds: float) -> str:
    """Write a duration: whole seconds, or milliseconds."""
    return f"{seconds:g}s" if seconds.is_integer() else f"{seconds * 1000:g}ms"


def _comments(notes: Iterable[str]) -> list[str]:
    return [f"# {''.join(c if c.isprintable() else ' ' for c in note)}" for note in notes]


def _key_lines(key: str, text: str) -> list[str]:
    return _lines(dump({key: text}))


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _indented(lines: Iterable[str], by: int, *, is_item: bool = False) -> Iterator[str]:
    for index, line in enumerate(lines):
        bullet = ("  " if index else "- ") if is_item else ""
        yield f"{' ' * by}{bullet}{line}" if line else ""
