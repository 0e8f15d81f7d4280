"""One call, converted: what is read, what becomes of it, and that it is a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import LoadError, UsageError
from ..scenarios.load import load_text
from .course import course_of
from .history import read
from .names import AgentNames
from .redaction import Redaction
from .tool_mocks import mocks_of
from .write import label_of, scenario_text

__all__ = ["Converted", "convert"]


@dataclass(frozen=True, slots=True)
class Converted:
    """A scenario file, and lines for the user about what no line of it can say."""

    text: str
    notes: tuple[str, ...] = ()


def convert(
    data: bytes,
    source: str,
    *,
    agent: str | None = None,
    entrypoint: str | None = None,
    label: str | None = None,
    redact: bool = False,
    mock_tools: bool = False,
) -> Converted:
    """Make a scenario file of a session report or of a chat context, both as JSON.

    `source` is its name in messages. `agent` or `entrypoint` is the reference that the file gets;
    the classes that hand-overs and mocks name are looked up in its module, which is relative to
    this folder.

    Raises:
        UsageError: There is nothing to convert, in one line.
    """
    try:
        history = read(data, source, redaction=Redaction() if redact else None)
        names = AgentNames(agent or entrypoint, is_agent=agent is not None)
        parts = course_of(history, names)
        mocks, mock_notes = mocks_of(history, parts, names) if mock_tools else ({}, [])
        text = scenario_text(
            parts,
            label=label_of(parts) if label is None else label,
            tested={"agent": agent, "entrypoint": entrypoint},
            settings={"mocks": mocks} if mocks else {},
            notes=mock_notes,
        )
        load_text(text, Path("scenario.yaml"))
    except LoadError as error:
        raise UsageError(f"{source}: this would be no scenario: {error.problems[0]}") from None
    except RecursionError:
        raise UsageError(f"{source}: something in it is nested too deeply") from None
    return Converted(text, (*history.notes, *names.notes))
