"""The script of a scenario: the `llm` entries of a turn as steps of the fake model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import zip_longest

from livekit.agents import APIConnectionError, APIStatusError, APITimeoutError

from ..errors import UsageError
from ..scenarios.model import Failure, LlmEntry, Ref, ScenarioTurn
from ..script import ANYONE, Asker, Request, Step, ToolCall
from .captures import Captures, mentions
from .names import Names

__all__ = ["error_of", "make_error", "steps_of"]


def steps_of(
    turn: ScenarioTurn, names: Names, captures: Callable[[ScenarioTurn, Request], Captures]
) -> list[Step]:
    """Make the steps of a turn; one with ``${name}`` waits for what will have been captured.

    What the turn itself captures may stand in the output that the model answers just then.
    """
    return [_step(entry, names, partial(captures, turn)) for entry in turn.llm]


def _step(entry: LlmEntry, names: Names, captures: Callable[[Request], Captures]) -> Step:
    def filled(request: Request) -> Step:
        return _made(captures(request).fill(entry), names)

    step = replace(_made(entry, names), asker=_asker(entry, names))
    return replace(step, make=filled) if mentions(entry) else step


def _asker(entry: LlmEntry, names: Names) -> Asker:
    if isinstance(entry.by, Ref):
        return names.classes.get(entry.by, entry.by.text)
    return None if entry.by is None else ANYONE


def _made(entry: LlmEntry, names: Names) -> Step:
    failure = entry.fail
    step = Step(
        text=failure.after if failure is not None else entry.text,
        calls=tuple(
            ToolCall(c.name, c.arguments if c.raw is None else c.raw, call_id)
            for c, call_id in zip_longest(entry.calls, entry.ids)
        ),
        error=error_of(failure, names) if failure is not None else None,
        attempts=failure.attempts if failure is not None else None,
        stalls=entry.stall,
        chunks=entry.chunks,
        written_at=entry.site,
    )
    return step.timed(ttft=entry.ttft or 0.0, duration=entry.duration or 0.0)


def error_of(failure: Failure, names: Names) -> Exception:
    """Make the error with which something fails."""
    if failure.status is not None:
        return APIStatusError(failure.message or "", status_code=failure.status)
    if failure.timeout:
        return APITimeoutError(failure.message or "Request timed out.")
    if failure.type is None:
        return APIConnectionError(failure.message or "Connection error.")
    return make_error(names.exceptions[failure.type], failure.message, failure.type)


def make_error(kind: type[Exception], message: str | None, ref: Ref) -> Exception:
    """Make an exception that the file names.

    Raises:
        UsageError: Its class takes other arguments than a message.
    """
    try:
        return kind(message) if message is not None else kind()
    except TypeError as error:
        given = "nothing" if message is None else f"the message {message!r}"
        raise UsageError(f"{ref.place}: {ref} cannot be made from {given}: {error}") from None
