"""Fails on a silent completion: there is no last piece of a text that has none.

Breaks the built-in invariant: no exception escapes.
"""

from livekit.agents import Agent, llm


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You tell stories.")
        self.last_words = ""

    async def llm_node(self, chat_ctx, tools, model_settings):
        chunks = []
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            chunks.append(chunk)
            yield chunk
        self._remember(chunks)

    def _remember(self, chunks: list[llm.ChatChunk]) -> None:
        delta = chunks[-1].delta
        self.last_words = (delta and delta.content) or ""


class Repaired(Faulty):
    def _remember(self, chunks: list[llm.ChatChunk]) -> None:
        if chunks:
            super()._remember(chunks)
