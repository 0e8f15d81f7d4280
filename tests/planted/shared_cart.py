"""Shares what it knows between sessions: the list belongs to the class.

The next caller finds in his cart what the last one put into his. One session alone shows nothing.

Breaks an invariant of its own: what is in the cart was put there by this caller.
"""

from livekit.agents import Agent, RunContext, function_tool


class Faulty(Agent):
    cart: list[str] = []

    def __init__(self) -> None:
        super().__init__(instructions="You sell flowers.")

    @function_tool
    async def add(self, context: RunContext, flower: str) -> str:
        """Add a flower to the cart."""
        self.cart.append(flower)
        context.userdata["asked_for"] += 1
        context.userdata["in_cart"] = len(self.cart)
        return f"in the cart: {', '.join(self.cart)}"


class Repaired(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self.cart = []


def invariant(userdata: dict) -> None:
    asked_for, in_cart = userdata["asked_for"], userdata["in_cart"]
    assert in_cart == asked_for, f"{in_cart} flowers for one who asked for {asked_for}"
