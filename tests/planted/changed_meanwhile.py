"""Goes through a set that a parallel tool changes meanwhile.

Breaks the built-in invariant: no exception escapes.
"""

import asyncio
from collections.abc import Iterable

from livekit.agents import Agent, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You plan a party for Ada.")
        self._guests = {"Ada"}

    def _all(self) -> Iterable[str]:
        return self._guests

    @function_tool
    async def add(self, guest: str) -> str:
        """Add a guest."""
        self._guests.add(guest)
        return f"{len(self._guests)} guests"

    @function_tool
    async def invite(self) -> str:
        """Invite all guests."""
        for _guest in self._all():
            await asyncio.sleep(1)  # the mail goes out
        return "all are invited"


class Repaired(Faulty):
    def _all(self) -> Iterable[str]:
        return sorted(self._guests)
