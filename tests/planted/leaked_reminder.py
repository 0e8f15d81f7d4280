"""Leaks a background task: a reminder goes on when the caller has hung up.

Real: livekit/agents 1993. Breaks the built-in invariant: no task leaks.
"""

import asyncio

from livekit.agents import Agent, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You keep an eye on the oven.")
        self._reminders: set[asyncio.Task[None]] = set()
        self.reminded = 0

    @function_tool
    async def remind(self, minutes: int) -> str:
        """Remind the caller again and again.

        Args:
            minutes: How long to wait each time.
        """
        self._reminders.add(asyncio.create_task(self._remind(max(minutes, 1) * 60)))
        return f"every {max(minutes, 1)} minutes"

    async def _remind(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self.reminded += 1


class Repaired(Faulty):
    async def on_exit(self) -> None:
        for reminder in self._reminders:
            reminder.cancel()
