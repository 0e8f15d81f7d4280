"""Takes the history of the agent before over, and has it twice: the items that both know as well.

Breaks the built-in invariants: every call has exactly one output, in the history too; the chat
context stays one that a provider accepts.
"""

from livekit.agents import Agent, function_tool, llm


class Faulty(Agent):
    def __init__(self, chat_ctx: llm.ChatContext | None = None) -> None:
        super().__init__(instructions="You answer the phone of a shop.", chat_ctx=chat_ctx)
        self._before: llm.ChatContext | None = chat_ctx

    async def on_enter(self) -> None:
        if self._before is not None:
            mine = self.chat_ctx.copy()
            mine.items += self._new(self._before.items, mine.items)
            await self.update_chat_ctx(mine)

    def _new(self, before: list[llm.ChatItem], mine: list[llm.ChatItem]) -> list[llm.ChatItem]:
        return before

    @function_tool
    async def find_order(self, number: int) -> str:
        """Find an order."""
        return f"order {number} is on its way"

    @function_tool
    async def to_colleague(self) -> Agent:
        """Put the caller through to a colleague."""
        return type(self)(chat_ctx=self.chat_ctx.copy())


class Repaired(Faulty):
    def _new(self, before: list[llm.ChatItem], mine: list[llm.ChatItem]) -> list[llm.ChatItem]:
        known = {item.id for item in mine}
        return [item for item in before if item.id not in known]
