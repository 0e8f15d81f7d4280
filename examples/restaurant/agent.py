"""A restaurant on the phone: a host, a waiter and a cashier who hand the caller over."""

from dataclasses import dataclass, field

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    RunContext,
    ToolError,
    cli,
    function_tool,
)

PRICES = {"margherita": 9.0, "lasagne": 12.5, "tiramisu": 6.0}


@dataclass
class Order:
    """What the three know of the caller."""

    name: str | None = None
    dishes: list[str] = field(default_factory=list)
    paid: bool = False

    @property
    def total(self) -> float:
        return sum(PRICES[dish] for dish in self.dishes)


class PaymentService:
    """Charges cards. A real one would ask a bank."""

    async def charge(self, card: str, amount: float) -> str:
        raise NotImplementedError("no bank is connected")


class Host(Agent):
    def __init__(self) -> None:
        super().__init__(
            instructions="You answer the phone of a restaurant. Find out who calls and what for.",
            llm="openai/gpt-4.1-mini",
            tts="cartesia/sonic-2",
        )

    @function_tool
    async def take_order(self, ctx: RunContext[Order], name: str) -> Agent:
        """Hand a caller who wants to order over to the waiter.

        Args:
            name: The caller's name.
        """
        ctx.userdata.name = name
        return Waiter(chat_ctx=self.chat_ctx)


class Waiter(Agent):
    def __init__(self, **options) -> None:
        super().__init__(
            instructions=f"You take the order. There are {', '.join(PRICES)}.",
            llm="openai/gpt-4.1",
            **options,
        )

    async def on_enter(self) -> None:
        name = self.session.userdata.name
        self.session.generate_reply(instructions=f"Ask {name} what it shall be.")

    @function_tool
    async def add_dish(self, ctx: RunContext[Order], dish: str) -> str:
        """Add a dish to the order."""
        if dish not in PRICES:
            raise ToolError(f"there is no {dish}; there are {', '.join(PRICES)}")
        ctx.userdata.dishes.append(dish)
        return f"{dish}: {PRICES[dish]:.2f}"

    @function_tool
    async def remove_dish(self, ctx: RunContext[Order], dish: str) -> str:
        """Take a dish off the order."""
        if dish not in ctx.userdata.dishes:
            raise ToolError(f"no {dish} was ordered")
        ctx.userdata.dishes.remove(dish)
        return f"no {dish}"

    @function_tool
    async def to_cashier(self, ctx: RunContext[Order]) -> tuple[Agent, str]:
        """Hand the caller over to the cashier once the order is complete."""
        if not ctx.userdata.dishes:
            raise ToolError("nothing was ordered yet")
        return Cashier(chat_ctx=self.chat_ctx), f"the total is {ctx.userdata.total:.2f}"


class Cashier(Agent):
    def __init__(self, **options) -> None:
        super().__init__(instructions="You take the payment, by card.", **options)
        self.payments = PaymentService()

    @function_tool
    async def pay(self, ctx: RunContext[Order], card: str) -> str:
        """Charge the caller's card.

        Args:
            card: The number of the card.
        """
        receipt = await self.payments.charge(card, ctx.userdata.total)
        ctx.userdata.paid = True
        return f"paid {ctx.userdata.total:.2f}, receipt {receipt}"

    @function_tool
    async def back_to_waiter(self) -> Agent:
        """Hand the caller back to the waiter, to change the order."""
        return Waiter(chat_ctx=self.chat_ctx)


server = AgentServer()


@server.rtc_session()
async def restaurant(ctx: JobContext) -> None:
    session = AgentSession[Order](
        userdata=Order(),
        stt="deepgram/nova-3",
        llm="openai/gpt-4.1-mini",
        tts="cartesia/sonic-2",
    )
    await session.start(Host(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
