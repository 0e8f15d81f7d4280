"""A restaurant's telephone: it takes bookings, knows when to be quiet, and connects by key."""

from __future__ import annotations

from dataclasses import dataclass, field

from livekit import rtc
from livekit.agents import Agent, RunContext, UserStateChangedEvent, function_tool, get_job_context

CLOSED = ("Monday",)


@dataclass
class Diary:
    """What was booked in this call."""

    tables: list[tuple[str, int]] = field(default_factory=list)
    wants_a_human: bool = False


class Host(Agent):
    """Takes bookings. Its greeting is heard in full: it tells about the keys."""

    def __init__(self) -> None:
        super().__init__(instructions="You take bookings for the Trattoria Aurora.")

    async def on_enter(self) -> None:
        self.session.on("user_state_changed", self.look_after)
        get_job_context().room.on("sip_dtmf_received", self.connect)
        self.session.say("Trattoria Aurora! For a human press nine.", allow_interruptions=False)

    def look_after(self, event: UserStateChangedEvent) -> None:
        """Ask somebody who fell silent, once."""
        if event.new_state == "away":
            self.session.say("Are you still there?")

    def connect(self, event: rtc.SipDTMF) -> None:
        """Hand the caller over to a human."""
        if event.digit == "9":
            self.session.userdata.wants_a_human = True
            self.session.say("One moment, please.")

    @function_tool
    async def book(self, context: RunContext[Diary], day: str, people: int) -> str:
        """Book a table.

        Args:
            day: The day of the week.
            people: How many will come.
        """
        if day in CLOSED:
            return f"closed on {day}"
        context.userdata.tables.append((day, people))
        return f"booked for {people} on {day}"
