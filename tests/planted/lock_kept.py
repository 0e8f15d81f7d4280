"""Keeps a lock when it refuses: the next call waits for ever.

Breaks the built-in invariant: the run ends.
"""

import asyncio

from livekit.agents import Agent, ToolError, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You park cars.")
        self._gate = asyncio.Lock()

    async def _park(self, bay: int) -> None:
        await self._gate.acquire()
        self._check(bay)
        self._gate.release()

    def _check(self, bay: int) -> None:
        if not 1 <= bay <= 9:
            raise ToolError("the bays are 1 to 9")

    @function_tool
    async def park(self, bay: int) -> str:
        """Park a car."""
        await self._park(bay)
        return f"it stands in bay {bay}"


class Repaired(Faulty):
    async def _park(self, bay: int) -> None:
        async with self._gate:
            self._check(bay)
