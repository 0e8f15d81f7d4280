"""Takes it for granted that there was a greeting: the model may have said nothing, or failed.

Breaks the built-in invariant: no exception escapes. LiveKit only logs what ``on_enter`` raises.
"""

from livekit.agents import Agent, ChatMessage


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer the phone of a hotel.")
        self.greeting: str | None = None

    async def on_enter(self) -> None:
        said = await self.session.generate_reply(instructions="Greet the caller.")
        self.greeting = self._text([item for item in said.chat_items if item.type == "message"])

    def _text(self, said: list[ChatMessage]) -> str | None:
        return said[0].text_content


class Repaired(Faulty):
    def _text(self, said: list[ChatMessage]) -> str | None:
        return said[0].text_content if said else None
