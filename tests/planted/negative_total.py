"""Lets a total go below nothing: what was never ordered can be taken back.

Breaks an invariant of its own: nobody is owed anything for an order.
"""

from typing import Literal

from livekit.agents import Agent, RunContext, ToolError, function_tool

PRICES = {"cake": 4, "tea": 2}
Item = Literal["cake", "tea"]


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You take orders for a café.")

    @function_tool
    async def add(self, context: RunContext, item: Item) -> str:
        """Add something to the order."""
        context.userdata["items"].append(item)
        context.userdata["total"] += PRICES[item]
        return f"{context.userdata['total']} euros"

    @function_tool
    async def take_back(self, context: RunContext, item: Item) -> str:
        """Take something off the order."""
        self._check(context.userdata["items"], item)
        context.userdata["total"] -= PRICES[item]
        return f"{context.userdata['total']} euros"

    def _check(self, items: list[str], item: str) -> None:
        pass


class Repaired(Faulty):
    def _check(self, items: list[str], item: str) -> None:
        if item not in items:
            raise ToolError(f"there is no {item} in the order")
        items.remove(item)


def invariant(userdata: dict) -> None:
    assert userdata["total"] >= 0, f"the total is {userdata['total']}"
