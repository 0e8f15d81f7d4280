"""Raises in ``on_exit`` where the caller never got as far as that.

Breaks the built-in invariant: no exception escapes. LiveKit only logs what ``on_exit`` raises.
"""

from livekit.agents import Agent, RunContext, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You lend books.")
        self._readers: list[str] = []
        self.goodbye = ""

    @function_tool
    async def register(self, name: str) -> str:
        """Register a reader."""
        self._readers.append(name)
        return "registered"

    @function_tool
    async def to_desk(self, context: RunContext) -> Agent:
        """Put the caller through to the desk."""
        return Agent(instructions="You know where the books stand.")

    async def on_exit(self) -> None:
        self.goodbye = f"Goodbye, {self._name()}."

    def _name(self) -> str:
        return self._readers[-1]


class Repaired(Faulty):
    def _name(self) -> str:
        return self._readers[-1] if self._readers else "stranger"
