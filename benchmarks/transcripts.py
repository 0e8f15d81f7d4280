"""A pytest plugin: what was said in every session of a run, and when, into one file.

For the loops of the run the machine has been up for as long as LKAGENT_UPTIME says, in seconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_AHEAD = float(os.environ["LKAGENT_UPTIME"]) - time.monotonic()
_monotonic = time.monotonic  # the name in `time` follows virtual time


def _time(_: asyncio.SelectorEventLoop) -> float:
    return _AHEAD + _monotonic()


def pytest_configure() -> None:
    asyncio.SelectorEventLoop.time = _time  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _write_transcript(request: pytest.FixtureRequest) -> Iterator[None]:
    if "_lk_main" not in request.fixturenames:
        yield
        return
    transcript = request.getfixturevalue("transcript")
    session = request.getfixturevalue("agent_session")
    harness = request.getfixturevalue("_lk_main")
    yield
    lines = [request.node.nodeid]
    for turn in (transcript.start, *transcript.turns):
        lines += [f"{turn.user!r} took {turn.took!r}", *map(repr, turn.events)]
    lines += [f"{item.created_at!r} {item.type}" for item in session.history.items]
    if (line := harness.speech) is not None:
        lines += line.log.timeline.lanes(width=200)
    with Path(os.environ["LKAGENT_TRANSCRIPTS"]).open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
