"""Counts one try too few: after three wrong PINs there is a fourth.

Breaks an invariant of its own: nobody tries more than three times.
"""

from livekit.agents import Agent, RunContext, ToolError, function_tool

TRIES = 3


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You check PINs.")

    def _is_locked(self, tries: int) -> bool:
        return tries > TRIES

    @function_tool
    async def check(self, context: RunContext, pin: int) -> str:
        """Check the PIN of the caller."""
        if self._is_locked(context.userdata["tries"]):
            raise ToolError("the card is locked")
        context.userdata["tries"] += 1
        return "wrong"


class Repaired(Faulty):
    def _is_locked(self, tries: int) -> bool:
        return tries >= TRIES


def invariant(userdata: dict) -> None:
    assert userdata["tries"] <= TRIES, f"{userdata['tries']} tries"
