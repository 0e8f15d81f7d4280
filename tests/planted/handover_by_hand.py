"""Drops a hand-over when a parallel tool is slower.

The calls of a batch are told in the order in which they end, and the desk looks at the last one.
So did LiveKit itself (livekit/agents 5150, 7320), which is why people hand over by hand.

Breaks an invariant of its own: who asks for billing is answered by billing.
"""

import asyncio

from livekit.agents import Agent, FunctionToolsExecutedEvent, RunContext, function_tool


class Billing(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer questions about invoices.")

    async def on_enter(self) -> None:
        self.session.userdata["answered_by"] = "billing"


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer the phone of a shop.")

    async def on_enter(self) -> None:
        self.session.on("function_tools_executed", self._hand_over)

    async def on_exit(self) -> None:
        self.session.off("function_tools_executed", self._hand_over)

    def _hand_over(self, event: FunctionToolsExecutedEvent) -> None:
        called = [call.name for call, output in event.zipped() if not output.is_error]
        if called and self._asks_for_billing(called):
            self.session.update_agent(Billing())

    def _asks_for_billing(self, called: list[str]) -> bool:
        return called[-1] == "to_billing"

    @function_tool
    async def to_billing(self, context: RunContext) -> str:
        """Put the caller through to billing."""
        context.userdata["asked_for"] = "billing"
        return "billing takes over"

    @function_tool
    async def find_order(self, number: int) -> str:
        """Find an order."""
        await asyncio.sleep(1)
        return f"order {number} is on its way"


class Repaired(Faulty):
    def _asks_for_billing(self, called: list[str]) -> bool:
        return "to_billing" in called


def invariant(userdata: dict) -> None:
    assert userdata["answered_by"] == userdata["asked_for"], "the caller was not put through"
