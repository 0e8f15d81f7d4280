"""A travel concierge: searches in the background for a minute, and talks on meanwhile."""

import asyncio
import os

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    RunContext,
    cli,
    function_tool,
    inference,
)

API_KEY = os.environ.get("TRAVEL_API_KEY")


class Agency:
    """Looks for trips, slowly. A real one would ask a travel service, with API_KEY."""

    async def find_flight(self, city: str) -> str:
        await asyncio.sleep(20)
        return f"a flight to {city} at 9"

    async def find_hotel(self, city: str) -> str:
        await asyncio.sleep(30)
        return f"a hotel in {city}"


class Concierge(Agent):
    def __init__(self, agency: Agency | None = None) -> None:
        super().__init__(
            instructions="You plan trips. While a search is running, keep the caller company.",
            stt="deepgram/nova-3",
            llm=inference.LLM("openai/gpt-4.1"),
            tts="cartesia/sonic-2",
        )
        self.agency = agency or Agency()

    @function_tool
    async def plan_trip(self, ctx: RunContext, city: str) -> str:
        """Find a flight and a hotel. It takes about a minute and reports what it has meanwhile.

        Args:
            city: Where the caller wants to go.
        """
        await ctx.update(f"looking for flights to {city}")
        flight = await self.agency.find_flight(city)
        await ctx.update(f"found {flight}, looking for a hotel")
        hotel = await self.agency.find_hotel(city)
        return f"{flight} and {hotel}"

    @function_tool
    async def weather(self, city: str) -> str:
        """Tell the weather in a city."""
        return f"it is sunny in {city}"


server = AgentServer()


@server.rtc_session()
async def concierge(ctx: JobContext) -> None:
    session = AgentSession[None](llm="openai/gpt-4.1-mini")
    await session.start(Concierge(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
