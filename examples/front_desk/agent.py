"""A front desk: finds a free time, asks for an email address and books the visit."""

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    RunContext,
    ToolError,
    cli,
    function_tool,
    get_job_context,
    inference,
)
from livekit.agents.beta.workflows import GetEmailTask
from pydantic import Field

try:
    from dotenv import load_dotenv
except ImportError:  # the keys are in the environment already
    pass
else:
    load_dotenv()


class SlotTaken(Exception):
    """Somebody else was faster."""


class Calendar:
    """The free times of the practice. A real one would ask a booking service."""

    def __init__(self, free: list[datetime]) -> None:
        self.free = sorted(free)
        self.visits: dict[datetime, str] = {}

    def between(self, start: datetime, end: datetime) -> list[datetime]:
        return [slot for slot in self.free if start <= slot < end]

    async def book(self, slot: datetime, email: str) -> None:
        if slot not in self.free:
            raise SlotTaken
        self.free.remove(slot)
        self.visits[slot] = email


@dataclass
class Desk:
    """What one call knows."""

    calendar: Calendar
    offered: dict[str, datetime] = field(default_factory=dict)
    too_late: int = 0


def spoken(slot: datetime) -> str:
    return f"{slot:%A, %B} {slot.day} at {slot:%H:%M}"


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(
            instructions=(
                "You are the front desk of a small practice, and you speak with a caller. "
                f"Today is {datetime.now(UTC):%A, %B %d}. Offer two or three free times, never "
                "others, and book the one that the caller picks. Be brief."
            ),
            llm=inference.LLM("openai/gpt-4.1-mini"),
        )

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller and offer to find a time.")

    @function_tool
    async def list_slots(
        self, ctx: RunContext[Desk], days: Annotated[int, Field(ge=1, le=366)] = 14
    ) -> str:
        """List the free times.

        Args:
            days: How many days to look ahead.
        """
        now = datetime.now(UTC)
        slots = ctx.userdata.calendar.between(now, now + timedelta(days=days))
        lines = []
        for slot in slots:
            slot_id = f"slot_{zlib.crc32(slot.isoformat().encode()):08x}"
            ctx.userdata.offered[slot_id] = slot
            lines.append(f"{slot_id}: {spoken(slot)}")
        return "\n".join(lines) or f"Nothing is free in the next {days} days."

    @function_tool
    async def book(self, ctx: RunContext[Desk], slot_id: str) -> str:
        """Book a free time. Do not ask for an email address before, that happens here.

        Args:
            slot_id: The id of the time, from the list.
        """
        desk = ctx.userdata
        if slot_id not in desk.offered:
            raise ToolError(f"there is no {slot_id}: list the free times first")
        slot = desk.offered[slot_id]
        caller = await GetEmailTask(chat_ctx=self.chat_ctx)
        try:
            await desk.calendar.book(slot, caller.email_address)
        except SlotTaken:
            desk.too_late += 1
            get_job_context().tagger.add("slot:taken")
            raise ToolError(f"{spoken(slot)} was taken a moment ago") from None
        return f"Booked for {spoken(slot)}, confirmation sent to {caller.email_address}."

    @function_tool
    async def cancel(self, ctx: RunContext[Desk], email: str) -> str:
        """Cancel the visit that was booked under an email address."""
        calendar = ctx.userdata.calendar
        for slot, booked_by in calendar.visits.items():
            if booked_by == email:
                del calendar.visits[slot]
                return f"{spoken(slot)} is cancelled."
        raise ToolError(f"nothing is booked under {email}")


server = AgentServer()


@server.rtc_session()
async def front_desk(ctx: JobContext) -> None:
    session = AgentSession[Desk](
        userdata=Desk(Calendar([])),
        stt="deepgram/nova-3",
        tts="cartesia/sonic-2",
    )
    await session.start(FrontDesk(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
