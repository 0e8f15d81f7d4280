"""Conversations as stable text: YAML in the words of scenario files.

A snapshot is read in a pull request and lives for years. It holds what a conversation *is*: who
said what, which tools were called with what, who took over, what failed; nothing that differs from
run to run, such as ids, times, metrics and addresses. An entry of ``events`` can stand in the
``expect:`` of a scenario as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import singledispatch
from textwrap import shorten
from typing import Any, ClassVar

import yaml

from ..errors import UsageError
from ..scenarios.model import ScenarioResult
from ..scenarios.scalars import resolve
from ..transcript import (
    AgentConfigUpdate,
    AgentHandoff,
    Close,
    Event,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Transcript,
    Turn,
)

__all__ = [
    "FORMAT",
    "canonical",
    "document",
    "dump",
    "entry_of",
    "parse",
    "shorten_call_ids",
]

FORMAT = 1
"""The version of the format, written into each snapshot."""

_WIDTH = 96
_SHORT = 88
"""How long an event may be, in characters, to stand in one line."""

_ESCAPED = "!escaped"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DERIVED = re.compile(r"(_update_\d+|_final)+$")
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def document(value: Any) -> dict[str, Any]:
    """Return what a snapshot holds of `value`, as mappings, lists, texts and numbers.

    Raises:
        UsageError: It is nothing that a snapshot can be made of.
    """
    return {"format": FORMAT, **_content(value)}


@singledispatch
def _content(value: Any) -> dict[str, Any]:
    shown, hint = shorten(repr(value), 80, placeholder=" …"), ""
    if isinstance(value, Coroutine):
        value.close()  # Python need not say that it was never awaited: the line after this does
        hint = "; write await before it"
    elif hasattr(value, "history"):
        hint = "; compare its history"
    raise UsageError(
        "a snapshot is made of a chat context, a RunResult, a turn or its events, the transcript, "
        f"a scenario's result or an exception, not of {shown}{hint}"
    )


@_content.register
def _(value: Transcript) -> dict[str, Any]:
    start = {"start": _entries(value.start)} if value.start.events else {}
    return {**start, "turns": [_content(turn) for turn in value.turns]}


@_content.register
def _(value: Turn) -> dict[str, Any]:
    user = {} if value.user is None else {"user": value.user}
    error = {} if value.error is None else {"error": _error(value.error)}
    return {**user, "events": _entries(value), **error}


@_content.register
def _(value: ScenarioResult) -> dict[str, Any]:
    outcome = {} if value.outcome == "passed" else {"outcome": value.outcome}
    message = {} if value.message is None else {"message": value.message}
    return {**_content(value.transcript), **outcome, **message}


@_content.register
def _(value: BaseException) -> dict[str, Any]:
    return {"error": _error(value)}


@_content.register(list)
@_content.register(tuple)
def _(value: Sequence[Any]) -> dict[str, Any]:
    return {"events": [entry_of(event) for event in value]}


def _entries(turn: Turn) -> list[dict[str, Any]]:
    """Return the events of a turn without the input that began it."""
    match list(turn.events):
        case [Message(role="user", text=text), *events] if text == turn.user:
            pass
        case events:
            pass
    return [entry_of(event) for event in events]


@singledispatch
def entry_of(event: Event | AgentConfigUpdate) -> dict[str, Any]:
    """Return one event as an entry of ``expect:``, ``{function_call: {name: book, …}}``.

    A call whose arguments are no JSON object, what changes an agent and the error of a close have
    no words in ``expect:``; they are there all the same, as is half a surrogate pair in a text.
    """
    return _content(event)


@entry_of.register
def _(event: Message) -> dict[str, Any]:
    if event.role == "assistant" and not event.interrupted:
        return {"message": event.text}
    role = {} if event.role == "assistant" else {"role": event.role}
    cut = {"interrupted": True} if event.interrupted else {}
    return {"message": {**role, "text": event.text, **cut}}


@entry_of.register
def _(event: FunctionCall) -> dict[str, Any]:
    return {"function_call": {"name": event.name, "arguments": _sorted(event.arguments)}}


@entry_of.register
def _(event: FunctionCallOutput) -> dict[str, Any]:
    failed = {"is_error": True} if event.is_error else {}
    return {"function_call_output": {"name": event.name, **failed, "output": event.output}}


@entry_of.register
def _(event: AgentHandoff) -> dict[str, Any]:
    if event.old is None:
        return {"agent_handoff": event.new}
    return {"agent_handoff": {"from": event.old, "to": event.new}}


@entry_of.register
def _(event: AgentConfigUpdate) -> dict[str, Any]:
    changes = {
        "instructions": event.instructions,
        "tools_added": sorted(event.tools_added),
        "tools_removed": sorted(event.tools_removed),
    }
    return {"agent_config_update": {key: value for key, value in changes.items() if value}}


@entry_of.register
def _(event: Close) -> dict[str, Any]:
    if event.error is None:
        return {"close": event.reason}
    return {"close": {"reason": event.reason, "error": event.error}}


def _sorted(value: Any) -> Any:
    """Return JSON values with the keys of their objects in order."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    return [_sorted(one) for one in value] if isinstance(value, (list, tuple)) else value


def _error(error: BaseException, *seen: BaseException) -> dict[str, Any]:
    """Return an exception with what caused it and, of a group, with those in it.

    LiveKit's APIError says how it may be met again.
    """
    given = {"status_code": getattr(error, "status_code", None)}
    given["retryable"] = getattr(error, "retryable", None)
    message = getattr(error, "message", None)
    seen, cause = (*seen, error), error.__cause__
    held = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return {
        "type": type(error).__name__,
        "message": message if isinstance(message, str) else str(error),
        **{key: value for key, value in given.items() if isinstance(value, int)},
        **({"errors": [_error(one, *seen) for one in held]} if held else {}),
        **({} if cause is None or cause in seen else {"cause": _error(cause, *seen)}),
    }


def shorten_call_ids(events: Iterable[Any]) -> dict[str, str]:
    """Return ``call#1`` and so on for the ids of calls, by their first appearance.

    LiveKit derives further ids from the first, ``…_update_1``; they are none of their own.
    """
    given = (_DERIVED.sub("", getattr(event, "call_id", "")) for event in events)
    known = dict.fromkeys(filter(None, given))
    return {one: f"call#{number}" for number, one in enumerate(known, start=1)}


# --- the text


class _Dumper(_Base):  # type: ignore[misc]
    """Write texts so that they are easy to read, and are the same when they are read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> Any:
        if _SURROGATE.search(text):
            # YAML has no such characters, and JSON's way to write them is in no way of its own
            text = text.encode("unicode_escape", "surrogatepass").decode("ascii")
            return self.represent_scalar(_ESCAPED, text, style='"')
        style = None
        if "\n" in text:
            style = "|" if _is_block(text) else '"'
        elif text and resolve(text)[0] != "str":
            style = "'"
        return self.represent_scalar("tag:yaml.org,2002:str", self.shown(text), style=style)

    def shown(self, text: str) -> str:
        return text


class _PairDumper(_Dumper):
    """Write an emoji as two private characters, since libyaml would write it as an escape."""

    def shown(self, text: str) -> str:
        return _BEYOND.sub(_pair, text)


_Dumper.add_representer(str, _Dumper.represent_text)


class _InLine(dict[str, Any]):
    """A mapping that is written in one line, as scenario files have it."""


_Dumper.add_representer(
    _InLine,
    lambda dumper, value: dumper.represent_mapping(
        "tag:yaml.org,2002:map", value.items(), flow_style=True
    ),
)


def _laid_out(content: Any) -> Any:
    """Put each short event into one line: what changes is one line of a diff then."""
    if isinstance(content, Mapping):
        return {
            key: [_event_laid_out(entry) for entry in value]
            if key in ("events", "start") and isinstance(value, list)
            else _laid_out(value)
            for key, value in content.items()
        }
    return [_laid_out(one) for one in content] if isinstance(content, list) else content


def _event_laid_out(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    return {
        kind: _InLine(body) if isinstance(body, Mapping) and _is_short(kind, body) else body
        for kind, body in entry.items()
    }


def _is_short(kind: str, body: Mapping[str, Any]) -> bool:
    text = f"{kind}: {json.dumps(body, ensure_ascii=False, default=repr)}".replace('"', "")
    return len(text) <= _SHORT and "\\" not in text and text.isprintable()


_BEYOND = re.compile(r"[\U00010000-\U0010ffff]")
_PAIR = re.compile(r"([\ue000-\ue3ff])([\ue400-\ue7ff])")


def _pair(found: re.Match[str]) -> str:
    high, low = divmod(ord(found[0]) - 0x10000, 0x400)
    return chr(0xE000 + high) + chr(0xE400 + low)


def _one_of(pair: re.Match[str]) -> str:
    high, low = ord(pair[1]) - 0xE000, ord(pair[2]) - 0xE400
    return chr(0x10000 + high * 0x400 + low)


def _is_block(text: str) -> bool:
    """Whether a literal block shows all that is in a text; where lines end in blanks none does."""
    shows_all = all(map(str.isprintable, text.split("\n")))
    return shows_all and not text[0].isspace() and not text.endswith("\n\n")


class _Loader(_BaseLoader):  # type: ignore[misc]
    """Read what `_Dumper` wrote; a date that a hand wrote is a text, as in scenarios."""

    yaml_implicit_resolvers: ClassVar[Any] = {
        first: [one for one in known if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, known in _BaseLoader.yaml_implicit_resolvers.items()
    }

    def construct_escaped(self, node: Any) -> str:
        text = str(self.construct_scalar(node))
        return text.encode("ascii").decode("unicode_escape", "surrogatepass")


_Loader.add_constructor(_ESCAPED, _Loader.construct_escaped)


def dump(content: Mapping[str, Any]) -> str:
    """Write a document as YAML."""
    content = _laid_out(content)
    how: dict[str, Any] = {"allow_unicode": True, "sort_keys": False, "width": _WIDTH}
    text: str = yaml.dump(content, Dumper=_Dumper, **how)
    if "\\U00" in text and not _PAIR.search(text):
        text = _PAIR.sub(_one_of, yaml.dump(content, Dumper=_PairDumper, **how))
    return text


def canonical(content: Any) -> str:
    """Return what a document says, however it was laid out; 1, 1.0 and true are three things."""
    return dump(_sorted(content))


def parse(text: str) -> Any:
    """Read a document again.

    Raises:
        yaml.YAMLError: It is no YAML, as after a slip of the hand.
    """
    if (odd := _SURROGATE.search(text)) is not None:
        before = text[: odd.start()].split("\n")
        mark = yaml.Mark("", odd.start(), len(before) - 1, len(before[-1]), None, 0)
        raise yaml.MarkedYAMLError(problem="not UTF-8 text", problem_mark=mark)
    try:
        return yaml.load(text, Loader=_Loader)
    except (ValueError, LookupError, AttributeError) as error:
        # PyYAML lets these through where a value is not what its tag says
        raise yaml.YAMLError(str(error)) from error
