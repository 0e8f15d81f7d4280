"""Trusts an argument outside its enum: LiveKit holds no call of a raw tool to its schema.

Breaks the built-in invariant: no exception escapes. The tool's annotation is a mapping, and what it
gets is one.
"""

from livekit.agents import Agent, RunContext, ToolError, function_tool

PRICES = {"small": 2, "large": 3}
ORDER = {
    "type": "function",
    "name": "order",
    "description": "Order a coffee.",
    "parameters": {
        "type": "object",
        "properties": {"size": {"type": "string", "enum": list(PRICES)}},
        "required": ["size"],
        "additionalProperties": False,
    },
}


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You take orders for coffee.")

    def _price(self, arguments: dict[str, object]) -> int:
        return PRICES[arguments["size"]]

    @function_tool(raw_schema=ORDER)
    async def order(self, raw_arguments: dict[str, object], context: RunContext) -> str:
        return f"{self._price(raw_arguments)} euros"


class Repaired(Faulty):
    def _price(self, arguments: dict[str, object]) -> int:
        size = arguments.get("size")
        if not isinstance(size, str) or size not in PRICES:
            raise ToolError(f"size is one of {', '.join(PRICES)}")
        return PRICES[size]
