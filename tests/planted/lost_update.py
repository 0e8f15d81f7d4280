"""Loses an update when two calls run at once: both read before either writes.

Breaks an invariant of its own: a ticket is either left or sold.
"""

import asyncio

from livekit.agents import Agent, RunContext, ToolError, function_tool

TICKETS = 20


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You sell tickets.")

    async def _pay(self, tickets: dict) -> None:
        left = tickets["left"]
        await asyncio.sleep(1)  # the bank takes its time
        tickets.update(left=left - 1, sold=tickets["sold"] + 1)

    @function_tool
    async def sell(self, context: RunContext) -> str:
        """Sell a ticket."""
        if not context.userdata["left"]:
            raise ToolError("sold out")
        await self._pay(context.userdata)
        return f"{context.userdata['left']} are left"


class Repaired(Faulty):
    async def _pay(self, tickets: dict) -> None:
        await asyncio.sleep(1)
        tickets.update(left=tickets["left"] - 1, sold=tickets["sold"] + 1)


def invariant(userdata: dict) -> None:
    left, sold = userdata["left"], userdata["sold"]
    assert left + sold == TICKETS, f"{left} are left and {sold} sold, of {TICKETS}"
