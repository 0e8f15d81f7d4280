"""A drive-through: its tools are made from the menu, when the agent is."""

import itertools
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    FunctionTool,
    JobContext,
    RunContext,
    ToolError,
    cli,
    function_tool,
    inference,
)

DAY = {"burger": 5.0, "wrap": 6.0, "salad": 4.5}
EVENING = {"burger": 5.0, "ribs": 9.5}


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Tray:
    """What was ordered so far, line by line."""

    lines: dict[str, str] = field(default_factory=dict)
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def count(self) -> int:
        return len(self.lines)

    def put(self, what: str) -> str:
        line = f"L_{next(self.numbers)}"
        self.lines[line] = what
        return line


class DriveThrough(Agent):
    def __init__(self, menu: dict[str, float] = DAY) -> None:
        super().__init__(
            instructions="You take orders at a drive-through. Repeat what you have understood.",
            llm=inference.LLM("openai/gpt-4.1-mini"),
            tools=[_order_tool(menu), _change_tool(), _remove_tool()],
        )


def _order_tool(menu: dict[str, float]) -> FunctionTool:
    Dish = Literal[tuple(menu)]  # type: ignore[valid-type]  # noqa: N806  (known only now)

    @function_tool
    async def order(
        ctx: RunContext[Tray],
        dish: Dish,  # type: ignore[valid-type]
        size: Size = Size.SMALL,
    ) -> str:
        """Put a dish on the tray.

        Args:
            dish: What is ordered.
            size: How big it is.
        """
        line = ctx.userdata.put(f"{size.value} {dish}")
        return f"{line}: {size.value} {dish}, {menu[dish]:.2f}"

    return order


def _change_tool() -> FunctionTool:
    @function_tool
    async def change_size(ctx: RunContext[Tray], line: str, size: Size) -> str:
        """Change the size of what stands on a line of the order.

        Args:
            line: The id of the line, L_1 for instance.
            size: How big it shall be.
        """
        tray = ctx.userdata
        if line not in tray.lines:
            raise ToolError(f"there is no {line}; there are {', '.join(tray.lines) or 'none'}")
        tray.lines[line] = f"{size.value} {tray.lines[line].split()[1]}"
        return f"{line}: {tray.lines[line]}"

    return change_size


def _remove_tool() -> FunctionTool:
    @function_tool
    async def remove(ctx: RunContext[Tray], lines: list[str]) -> str:
        """Take lines off the order."""
        for line in lines:
            if ctx.userdata.lines.pop(line, None) is None:
                raise ToolError(f"there is no {line}")
        return "removed"

    return remove


def evening_shift() -> DriveThrough:
    """Make the agent that works after six, with another menu."""
    return DriveThrough(EVENING)


server = AgentServer()


@server.rtc_session()
async def drive_through(ctx: JobContext) -> None:
    session = AgentSession[Tray](
        userdata=Tray(), stt=inference.STT("deepgram/nova-3"), tts="cartesia/sonic-2"
    )
    await session.start(DriveThrough(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
