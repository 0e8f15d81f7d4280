"""Keeps stale data after a correction: the total is added up but once.

Breaks an invariant of its own: the total is that of what was ordered.
"""

from livekit.agents import Agent, RunContext, function_tool

PRICE = 3


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You take orders for coffee.")

    @function_tool
    async def order(self, context: RunContext, cups: int) -> str:
        """Set how many cups the caller wants. Call it again when he corrects himself."""
        context.userdata["cups"] = cups
        self._add_up(context.userdata)
        return f"{cups} cups, {context.userdata['total']} euros"

    def _add_up(self, order: dict) -> None:
        order.setdefault("total", order["cups"] * PRICE)


class Repaired(Faulty):
    def _add_up(self, order: dict) -> None:
        order["total"] = order["cups"] * PRICE


def invariant(userdata: dict) -> None:
    if "cups" in userdata:
        due = userdata["cups"] * PRICE
        assert userdata["total"] == due, f"{userdata['total']} euros instead of {due}"
