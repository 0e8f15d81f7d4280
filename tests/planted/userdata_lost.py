"""Loses what the caller said on the way to another agent and back: each one begins anew.

Breaks an invariant of its own: what was noted stays noted.
"""

from livekit.agents import Agent, RunContext, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You note what callers wish.")

    async def on_enter(self) -> None:
        self._begin(self.session.userdata)

    def _begin(self, userdata: dict) -> None:
        userdata["wishes"] = []

    @function_tool
    async def note(self, context: RunContext, wish: str) -> str:
        """Note a wish."""
        context.userdata["noted"] += 1
        context.userdata["wishes"].append(wish)
        return "noted"

    @function_tool
    async def to_kitchen(self) -> Agent:
        """Put the caller through to the kitchen."""
        return Kitchen(back_to=type(self))


class Repaired(Faulty):
    def _begin(self, userdata: dict) -> None:
        userdata.setdefault("wishes", [])


class Kitchen(Agent):
    def __init__(self, back_to: type[Faulty]) -> None:
        super().__init__(instructions="You know what is in the food.")
        self._back_to = back_to

    @function_tool
    async def back(self) -> Agent:
        """Put the caller back."""
        return self._back_to()


def invariant(userdata: dict) -> None:
    wishes = userdata.get("wishes", [])
    assert len(wishes) == userdata["noted"], f"of {userdata['noted']} noted there is left: {wishes}"
