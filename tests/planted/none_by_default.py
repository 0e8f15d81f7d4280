"""Calls a number what is None by default: nobody checks a default, and the tool adds to it.

Breaks the built-in invariants: no exception escapes; tools see only arguments that fit their
annotations.
"""

from livekit.agents import Agent, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book tables.")

    @function_tool
    async def book(self, name: str, guests: int = None) -> str:  # noqa: RUF013
        """Book a table.

        Args:
            name: Who comes.
            guests: How many come with him.
        """
        return f"a table for {1 + guests}, under {name}"


class Repaired(Faulty):
    @function_tool
    async def book(self, name: str, guests: int = 0) -> str:
        """Book a table.

        Args:
            name: Who comes.
            guests: How many come with him.
        """
        return f"a table for {1 + guests}, under {name}"
