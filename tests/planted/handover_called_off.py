"""Drops a hand-over when a parallel tool is slower, as that tool has something to tell.

Outputs come in the order in which the tools end, and the last one decides for all.

Breaks the built-in invariant: a hand-over asked for happens.
"""

import asyncio

from livekit.agents import Agent, FunctionToolsExecutedEvent, function_tool
from livekit.agents.llm import FunctionCallOutput


class Billing(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer questions about invoices.")


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer the phone of a shop.")

    async def on_enter(self) -> None:
        self.session.on("function_tools_executed", self._decide)

    async def on_exit(self) -> None:
        self.session.off("function_tools_executed", self._decide)

    def _decide(self, event: FunctionToolsExecutedEvent) -> None:
        if self._stays(event.function_call_outputs):
            event.cancel_agent_handoff()

    def _stays(self, outputs: list[FunctionCallOutput]) -> bool:
        return outputs[-1].output != ""

    @function_tool
    async def to_billing(self) -> Agent:
        """Put the caller through to billing."""
        return Billing()

    @function_tool
    async def find_order(self, number: int) -> str:
        """Find an order."""
        await asyncio.sleep(1)
        return f"order {number} is on its way"


class Repaired(Faulty):
    def _stays(self, outputs: list[FunctionCallOutput]) -> bool:
        return False  # LiveKit tells the rest before it hands over
