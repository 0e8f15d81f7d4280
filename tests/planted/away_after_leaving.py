"""Looks after a caller who fell silent although another agent has taken over.

Breaks the built-in invariant: no exception escapes. LiveKit only logs what a handler raises.
"""

from livekit.agents import Agent, UserStateChangedEvent, function_tool


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer the phone of a shop.")

    async def on_enter(self) -> None:
        self.session.on("user_state_changed", self.look_after)

    def look_after(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "away":
            self.session.say("Are you still there?")

    @function_tool
    async def start_over(self) -> Agent:
        """Begin from the beginning."""
        return type(self)()


class Repaired(Faulty):
    async def on_exit(self) -> None:
        self.session.off("user_state_changed", self.look_after)
