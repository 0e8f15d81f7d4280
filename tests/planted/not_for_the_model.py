"""Returns for some input what no model can read: the row, where it is a text otherwise.

Breaks the built-in invariant: no exception escapes. LiveKit logs an error, and tells the model that
the tool returned an invalid output.
"""

from dataclasses import dataclass
from typing import Any, Literal

from livekit.agents import Agent, function_tool


@dataclass
class Room:
    number: int
    is_free: bool


ROOMS = {"single": Room(11, is_free=True), "double": Room(12, is_free=False)}


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You know which rooms are free.")

    def _describe(self, room: Room) -> Any:
        return room

    @function_tool
    async def look_up(self, kind: Literal["single", "double"]) -> Any:
        """Look a room up."""
        room = ROOMS[kind]
        return self._describe(room) if room.is_free else "all taken"


class Repaired(Faulty):
    def _describe(self, room: Room) -> Any:
        return f"room {room.number} is free"
