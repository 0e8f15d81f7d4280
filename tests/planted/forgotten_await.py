"""Forgets to await: the new instructions are never given.

Breaks the built-in invariant: no exception escapes. Python only warns, and nothing was done.
"""

from livekit.agents import Agent, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You speak English.")

    async def _learn(self, instructions: str) -> None:
        self.update_instructions(instructions)

    @function_tool
    async def speak(self, language: str) -> str:
        """Speak another language."""
        await self._learn(f"You speak {language}.")
        return f"from now on it is {language}"


class Repaired(Faulty):
    async def _learn(self, instructions: str) -> None:
        await self.update_instructions(instructions)
