"""Waits inside a tool until all is said, which is after the tool has ended.

Real: livekit/agents 2165. LiveKit refuses the circle, and the model reads of an internal error.

Breaks the built-in invariant: no exception escapes.
"""

from livekit.agents import Agent, RunContext, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You find flights.")

    async def _is_announced(self, context: RunContext) -> None:
        await context.speech_handle.wait_for_playout()

    @function_tool
    async def search(self, context: RunContext, to: str) -> str:
        """Search a flight, once the caller has heard that it takes a moment."""
        await self._is_announced(context)
        return f"there is one flight to {to}"


class Repaired(Faulty):
    async def _is_announced(self, context: RunContext) -> None:
        await context.wait_for_playout()
