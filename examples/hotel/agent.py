"""A hotel's night desk on the phone, as LiveKit runs it: an AgentServer and its entrypoint.

Rooms and bookings are in a sqlite database. A simulation says in its userdata which bookings there
have to be in the end; the agent vetoes a call that leaves others behind.
"""

from __future__ import annotations

import json
import sqlite3

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobProcess,
    ToolError,
    cli,
    function_tool,
    get_job_context,
)
from livekit.agents.evals import JudgeGroup, task_completion_judge
from livekit.agents.simulation import SimulationContext

TABLES = """
    CREATE TABLE rooms (number TEXT PRIMARY KEY, price INTEGER);
    CREATE TABLE bookings (room TEXT PRIMARY KEY REFERENCES rooms, guest TEXT);
    INSERT INTO rooms VALUES ('101', 90), ('102', 120);
"""


def prewarm(proc: JobProcess) -> None:
    proc.userdata["prompt"] = "You are the night desk of the {hotel}. The caller is {caller}."


server = AgentServer(setup_fnc=prewarm)


def database() -> sqlite3.Connection:
    rows: sqlite3.Connection = get_job_context().proc.userdata["database"]
    return rows


class NightDesk(Agent):
    def __init__(self, instructions: str) -> None:
        super().__init__(instructions=instructions)

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller.")

    @function_tool
    async def free_rooms(self) -> str:
        """List the rooms that are free tonight, with their prices."""
        rows = database().execute(
            "SELECT number, price FROM rooms WHERE number NOT IN (SELECT room FROM bookings)"
        )
        return "; ".join(f"{number} for {price} euros" for number, price in rows) or "none"

    @function_tool
    async def book(self, room: str, guest: str) -> str:
        """Book a room for tonight."""
        try:
            database().execute("INSERT INTO bookings VALUES (?, ?)", (room, guest))
        except sqlite3.IntegrityError:
            raise ToolError(f"room {room} is taken") from None
        return f"room {room} is booked for {guest}"

    @function_tool
    async def cancel(self, guest: str) -> str:
        """Cancel the booking of a guest."""
        gone = database().execute("DELETE FROM bookings WHERE guest = ?", (guest,)).rowcount
        return f"{gone} bookings cancelled"

    @function_tool
    async def send_directions(self) -> str:
        """Send the way to the hotel to the caller's screen."""
        room = get_job_context().room
        await room.local_participant.send_text("12 Harbour Lane", topic="directions")
        return "sent"

    @function_tool
    async def hang_up(self) -> None:
        """End the call, once all is said."""
        get_job_context().shutdown("the call is over")


async def on_session_end(ctx: JobContext) -> None:
    """Have the call judged, and tag it for the dashboard."""
    judges = JudgeGroup(llm="openai/gpt-4.1-mini", judges=[task_completion_judge()])
    found = await judges.evaluate(ctx.make_session_report().chat_history)
    if found.all_passed:
        ctx.tagger.success(reason="the caller got what they called for")
    else:
        ctx.tagger.fail(reason="the caller did not get what they called for")


def on_simulation_end(ctx: SimulationContext) -> None:
    """Compare the rows that the call left behind with those that the scenario wants."""
    rows = ctx.job_context.proc.userdata["database"].execute("SELECT room, guest FROM bookings")
    found, wanted = dict(rows.fetchall()), ctx.userdata()["bookings"]
    if found != wanted:
        ctx.fail(f"the bookings are {found}, and should be {wanted}")


@server.rtc_session(
    agent_name="night-desk", on_session_end=on_session_end, on_simulation_end=on_simulation_end
)
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    caller = await ctx.wait_for_participant()
    known = json.loads(ctx.job.metadata or "{}")

    rows = ctx.proc.userdata["database"] = sqlite3.connect(":memory:")
    rows.executescript(TABLES)
    simulation = ctx.simulation_context()
    before = simulation.userdata().get("before", {}) if simulation else {}
    rows.executemany("INSERT INTO bookings VALUES (?, ?)", before.items())

    async def close(reason: str) -> None:
        rows.close()

    ctx.add_shutdown_callback(close)
    session = AgentSession[None](
        stt="deepgram/nova-3", llm="openai/gpt-4.1-mini", tts="cartesia/sonic-2"
    )
    prompt = ctx.proc.userdata["prompt"].format(
        hotel=known.get("hotel", "Harbour Hotel"),
        caller=caller.name or caller.attributes.get("sip.phoneNumber", "unknown"),
    )
    await session.start(agent=NightDesk(prompt), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
