"""A session that is talked to from outside, through LiveKit's session protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession

from .. import _livekit_work
from .._livekit_remote import Client, items_of
from ..fake import FakeLLM
from ..harness import Harness
from ..record import Turn
from .remote import drive

if TYPE_CHECKING:
    from ..stage import Stage

__all__ = ["WireHarness"]


class WireHarness(Harness):
    """The session under test, at the other end of a pair in memory.

    What the user says goes over it, and the record is made of what comes back: the answer, and the
    history. The protocol has the texts of errors alone; which they were is known here.
    """

    def __init__(self, stage: Stage, model: FakeLLM) -> None:
        super().__init__(stage, model)
        self._wire = AsyncExitStack()
        self._client: Client | None = None
        self._items: Sequence[Any] = ()

    def take(self, session: AgentSession[Any]) -> None:
        super().take(session)
        self.record.history = lambda: self._items

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self._wire.aclose()

    async def _say(
        self, turn: Turn, text: str, interrupt: float | None, options: Mapping[str, Any]
    ) -> None:
        __tracebackhide__ = True
        assert self._client is not None, "the start of the session was settled"
        await _livekit_work.user_is_back(self.session)
        known = [*self.record.errors, *self.model.refused]
        async with self._interruption(interrupt):
            try:
                answer = await self._client.run(text, self._stage.timeout)
            except RuntimeError as error:
                now = [*self.record.errors, *self.model.refused]
                raise next((one for one in reversed(now) if one not in known), error) from None
        turn.answer = items_of(answer.items)

    async def _end_turn(self, *, settle: bool) -> None:
        await super()._end_turn(settle=settle)
        if self._client is None:
            self._client = await self._wire.enter_async_context(
                drive(self.session, "memory", Client)
            )
        self._items = items_of((await self._client.get_chat_history()).items)

    def picture(self) -> list[str]:
        if self._session is not None:  # nobody answers any more
            self._items = self.session.history.items
        return super().picture()
