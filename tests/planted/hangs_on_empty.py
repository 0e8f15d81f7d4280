"""Hangs when an argument is empty: what should wake the tool never comes.

Breaks the built-in invariant: the run ends.
"""

import asyncio

from livekit.agents import Agent, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You take messages for a team.")

    def _is_done(self, waiting: set[str], told: asyncio.Event) -> bool:
        return told.is_set()

    @function_tool
    async def tell(self, colleagues: list[str], message: str) -> str:
        """Tell colleagues something.

        Args:
            colleagues: Their names.
            message: What they are told.
        """
        waiting, told = set(colleagues), asyncio.Event()

        async def tell(colleague: str) -> None:
            await asyncio.sleep(0.5)
            waiting.discard(colleague)
            if not waiting:
                told.set()

        telling = [asyncio.create_task(tell(colleague)) for colleague in waiting]
        try:
            if not self._is_done(waiting, told):
                await told.wait()
        finally:
            for one in telling:
                one.cancel()
        return "told"


class Repaired(Faulty):
    def _is_done(self, waiting: set[str], told: asyncio.Event) -> bool:
        return not waiting
