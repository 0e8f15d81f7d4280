"""Sends the model the last few items, and cuts a call from its output.

Breaks the built-in invariant: the chat context stays one that a provider accepts.
"""

from livekit.agents import Agent, function_tool, llm

LAST = 3


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You talk about the weather.")

    async def llm_node(self, chat_ctx, tools, model_settings):
        short = chat_ctx.copy()
        self._shorten(short)
        async for chunk in Agent.default.llm_node(self, short, tools, model_settings):
            yield chunk

    def _shorten(self, chat_ctx: llm.ChatContext) -> None:
        chat_ctx.items = chat_ctx.items[-LAST:]

    @function_tool
    async def weather(self, town: str) -> str:
        """Look the weather up."""
        return f"it rains in {town}"


class Repaired(Faulty):
    def _shorten(self, chat_ctx: llm.ChatContext) -> None:
        chat_ctx.truncate(max_items=LAST)
