"""Closes the session from inside a tool, and waits for it: the session waits for the tool.

Breaks the built-in invariant: the run ends.
"""

from livekit.agents import Agent, AgentSession, RunContext, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You hang up when the caller is rude.")

    async def _hang_up(self, session: AgentSession) -> None:
        await session.aclose()

    @function_tool
    async def hang_up(self, context: RunContext) -> None:
        """Hang up."""
        await self._hang_up(context.session)


class Repaired(Faulty):
    async def _hang_up(self, session: AgentSession) -> None:
        session.shutdown()
