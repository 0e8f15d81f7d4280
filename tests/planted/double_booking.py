"""Double-books on a retried call: the model did not hear back, and books again.

Breaks an invariant of its own: nobody pays for the same table twice.
"""

from typing import Literal

from livekit.agents import Agent, RunContext, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book tables.")

    def _is_booked(self, tables: list[str], table: str) -> bool:
        return False

    @function_tool
    async def book(self, context: RunContext, table: Literal["window", "garden"]) -> str:
        """Book a table."""
        tables = context.userdata["tables"]
        if self._is_booked(tables, table):
            return f"the table at the {table} is yours already"
        tables.append(table)
        return f"the table at the {table} is yours"


class Repaired(Faulty):
    def _is_booked(self, tables: list[str], table: str) -> bool:
        return table in tables


def invariant(userdata: dict) -> None:
    tables = userdata["tables"]
    assert len(tables) == len(set(tables)), f"booked twice: {tables}"
