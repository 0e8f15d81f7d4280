"""Reading what LiveKit keeps of a call: a ``SessionReport`` or a chat context, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.agents.llm import ChatContext
from pydantic import ValidationError

from ..errors import UsageError, one_of
from .redaction import Redaction

__all__ = ["History", "read"]

_MODELS = {"llm_error": "the model", "realtime_model_error": "the model"}
_WANTED = (
    "give a session report, make_session_report().to_dict(), or a chat context, "
    "session.history.to_dict()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A conversation as LiveKit kept it.

    `has_times` says whether `items` know when they were made; `failures` is when the model failed
    for good, in seconds since 1970; `closed` is the reason why the session closed, if it did.
    """

    items: Sequence[Any]
    has_times: bool = False
    failures: Sequence[float] = ()
    closed: str | None = None
    notes: list[str] = field(default_factory=list)


def read(data: bytes, source: str, *, redaction: Redaction | None = None) -> History:
    """Read a report or a chat context; `source` is its name in messages.

    Raises:
        UsageError: It is neither, or nobody says anything in it.
    """
    content = _parsed(data, source)
    keys = list(content) if isinstance(content, dict) else []
    context = content["chat_history"] if "chat_history" in keys else content
    given = context.get("items") if isinstance(context, dict) else None
    if not isinstance(given, list):
        if {"job_id", "room"} <= set(keys):
            raise UsageError(
                f"{source}: the report has no chat history; write it with include_chat_history=True"
            )
        what = f"a mapping with {one_of(map(repr, keys[:5]))}" if keys else "another JSON"
        raise UsageError(f"{source}: this is {what}; {_WANTED}")
    events = content.get("events") if context is not content else None
    reported = [one for one in events if isinstance(one, dict)] if isinstance(events, list) else []
    begun = _unfinished(given, reported)
    if redaction is not None:
        given, begun = ([_redacted(one, redaction) for one in some] for some in (given, begun))
    failures, notes = _errors(reported)
    return History(
        items=_items(given, begun, source),
        has_times=all("created_at" in one for one in given),
        failures=failures,
        closed=next((_text(e, "reason") for e in reported if e.get("type") == "close"), None),
        notes=notes,
    )


def _parsed(data: bytes, source: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{source}: this is no UTF-8 text; {_WANTED}") from None
    except json.JSONDecodeError as error:
        place = f"{source}:{error.lineno}:{error.colno}"
        if not error.doc.strip():
            raise UsageError(f"{source}: there is nothing in it; {_WANTED}") from None
        if error.pos >= len(error.doc.rstrip()):
            raise UsageError(f"{place}: the JSON ends in the middle; give the whole file") from None
        raise UsageError(f"{place}: this is no JSON: {error.msg}; {_WANTED}") from None
    except RecursionError:
        raise UsageError(f"{source}: its JSON is nested too deeply; {_WANTED}") from None


def _items(given: Sequence[Any], begun: Sequence[Any], source: str) -> Sequence[Any]:
    """Return LiveKit's own items, with those that only began where they did."""
    try:
        context = ChatContext.from_dict({"items": [*given, *begun]})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        index, *where = first["loc"]
        place = "".join(f" {part}:" for part in where)
        raise UsageError(
            f"{source}: item {int(index) + 1} of the history cannot be read:{place} {first['msg']}"
        ) from None
    items = context.items[: len(given)]
    context.items, later = items, context.items[len(given) :]
    context.insert(later)
    if not any(item.type in ("message", "function_call") for item in items):
        what = "the history is empty" if not items else "nobody says anything in the history"
        raise UsageError(f"{source}: {what}, so there is nothing to replay")
    return items


def _unfinished(given: Sequence[Any], events: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the calls whose tools began: LiveKit's history has only those that also ended."""
    known = {one.get("call_id") for one in given if isinstance(one, dict)}
    updates = [one["update"] for one in events if isinstance(one.get("update"), dict)]
    calls = [update.get("function_call") for update in updates]
    return [one for one in calls if isinstance(one, dict) and one.get("call_id") not in known]


def _redacted(item: Any, redaction: Redaction) -> Any:
    """Return an item whose texts have no personal data; what is no item fails to be read later."""
    if not isinstance(item, dict):
        return item
    cleaned = dict(item)
    if isinstance(content := item.get("content"), list):
        cleaned["content"] = [
            redaction.text(one) if isinstance(one, str) else one for one in content
        ]
    if isinstance(arguments := item.get("arguments"), str):
        cleaned["arguments"] = redaction.json(arguments)
    if isinstance(output := item.get("output"), str):
        cleaned["output"] = redaction.text(output)
    return cleaned


def _errors(events: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[str]]:
    """Return when the model failed for good, and a line for each error that is not replayed."""
    failures: list[float] = []
    notes: dict[str, None] = {}
    for kind, recoverable, at in _error_events(events):
        if kind in _MODELS and not recoverable:
            failures.append(at)
        elif recoverable:
            notes[f"{kind}: it was tried again, which is not replayed"] = None
        else:
            notes[f"{kind}: this is not replayed"] = None
    return failures, [f"the report has an error, {note}" for note in notes]


def _error_events(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, bool, float]]:
    for event in events:
        error = event.get("error")
        if event.get("type") == "error" and isinstance(error, dict):
            at = event.get("created_at")
            yield (
                _text(error, "type") or "error",
                error.get("recoverable") is True,
                float(at) if isinstance(at, (int, float)) else 0.0,
            )


def _text(mapping: Mapping[str, Any], key: str) -> str | None:
    value = mapping.get(key)
    return value if isinstance(value, str) else None
