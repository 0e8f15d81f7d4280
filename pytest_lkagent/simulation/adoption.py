"""The session that an entrypoint starts becomes the one under test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from livekit.agents import Agent, AgentSession, llm

from .. import _livekit
from ..errors import UsageError
from ..frames import nearest_users_line

__all__ = ["Adoption"]


class _Taker(Protocol):
    """What has the session under test."""

    def stand_in(self, theirs: Any) -> _livekit.Model | None:
        """Return the model for the place of the session's, None where it keeps its own."""

    @property
    def speech(self) -> _livekit.Speech | None:
        """What the session hears and speaks with, None where it is text alone."""

    def take(self, session: AgentSession[Any]) -> None:
        """Have `session`, which has not started, under test."""


class Adoption:
    """Puts the first session that an entrypoint starts into `harness`, with the scripted model.

    `use` takes the agent that it starts with, and refuses one that was used before.
    """

    def __init__(
        self,
        what: str,
        harness: _Taker,
        *,
        history: llm.ChatContext | None,
        use: Callable[[Agent], None],
    ) -> None:
        self.started = asyncio.Event()
        self._what = what
        self._harness = harness
        self._history = history
        self._use = use
        self._first = ""

    def stand_in(self, theirs: Any) -> _livekit.Model | None:
        """Return the scripted model, None where it is asked from outside of this process."""
        return self._harness.stand_in(theirs)

    async def session_starting(self, session: AgentSession[Any], agent: Agent) -> None:
        """Take the first session, and refuse a second one."""
        line = nearest_users_line()
        if self._first:
            raise UsageError(
                f"{self._what} starts a second session ({line}), and one is under test at a time: "
                f"the first started at {self._first}"
            )
        self._first = str(line)
        self._use(agent)
        if self._history is not None:
            await agent.update_chat_ctx(self._history)
        _livekit.replace_model(session, self.stand_in)
        if self._harness.speech is not None:
            _livekit.replace_speech(session, self._harness.speech)
        self._harness.take(session)

    def session_starting_again(self) -> None:
        """Refuse what LiveKit ignores without a word, another agent included."""
        raise UsageError(
            f"{self._what} starts a session again ({nearest_users_line()}), which LiveKit ignores: "
            f"the first start was at {self._first}; take it away, or hand over to another agent "
            "with session.update_agent(…)"
        )

    def session_started(self, session: AgentSession[Any]) -> None:
        """Note that the session is there."""
        self.started.set()

    def why_none(self, ended_by: str | None, where: str) -> str:
        """Say of an entrypoint that is over, and is written `where`, why there is no session."""
        if ended_by is not None:
            return (
                f"{self._what}{where} shut the job down ({ended_by!r}) before a session had "
                "started; give the test a job in which it goes on: metadata, attributes and "
                "participant of job"
            )
        return (
            f"{self._what}{where} returned without starting a session: there is nobody to "
            "talk to; await session.start(…) in it"
        )
