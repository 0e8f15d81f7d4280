"""Stays mute once the model has failed: it still takes itself for busy.

Breaks the built-in invariant: the session can take another turn afterwards.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from livekit.agents import Agent, llm


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer one question at a time.")
        self._is_busy = False

    async def llm_node(self, chat_ctx, tools, model_settings) -> AsyncIterator[llm.ChatChunk]:
        if self._is_busy:
            return
        with self._busy():
            async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
                yield chunk

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._is_busy = True
        yield
        self._is_busy = False


class Repaired(Faulty):
    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False
