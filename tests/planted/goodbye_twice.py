"""Says its goodbye twice: once in the tool that hands over, once more in ``on_exit``.

Breaks the built-in invariant: nothing is said twice.
"""

from livekit.agents import Agent, RunContext, function_tool


class Billing(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer questions about invoices.")


class Faulty(Agent):
    goodbye = "I put you through to billing."

    def __init__(self) -> None:
        super().__init__(instructions="You answer the phone of a shop.")
        self._goes_to_billing = False

    @function_tool
    async def to_billing(self, context: RunContext) -> Agent:
        """Put the caller through to billing."""
        self._goes_to_billing = True
        self._announce(context)
        return Billing()

    def _announce(self, context: RunContext) -> None:
        context.session.say(self.goodbye)

    async def on_exit(self) -> None:
        if self._goes_to_billing:
            await self.session.say(self.goodbye)


class Repaired(Faulty):
    def _announce(self, context: RunContext) -> None:
        pass  # on_exit does
