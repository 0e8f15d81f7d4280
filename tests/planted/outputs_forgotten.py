"""Forgets what tools said, and not that they were called: providers refuse such a history.

Real: "No tool output found for function call" (livekit/agents 1976, 5092).

Breaks the built-in invariants: every call has exactly one output, in the history too; the chat
context stays one that a provider accepts.
"""

from livekit.agents import Agent, RunContext, function_tool

FORGOTTEN = ("function_call", "function_call_output")


class Faulty(Agent):
    forgotten = ("function_call_output",)

    def __init__(self) -> None:
        super().__init__(instructions="You look up what patients ask for.")

    @function_tool
    async def look_up(self, patient: int) -> str:
        """Look up a patient."""
        return f"patient {patient} is well"

    @function_tool
    async def forget(self, context: RunContext) -> str:
        """Forget what was looked up so far."""
        kept = self.chat_ctx.copy()
        kept.items = [item for item in kept.items if item.type not in self.forgotten]
        await self.update_chat_ctx(kept)
        return "forgotten"


class Repaired(Faulty):
    forgotten = FORGOTTEN
