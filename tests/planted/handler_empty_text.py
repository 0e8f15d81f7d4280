"""Raises in a handler when a text has no words.

Breaks the built-in invariant: no exception escapes. LiveKit only logs what a handler raises.
"""

from livekit.agents import Agent, ConversationItemAddedEvent


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer the phone of a hotel.")
        self.first_words: list[str] = []

    async def on_enter(self) -> None:
        self.session.on("conversation_item_added", self._note)

    async def on_exit(self) -> None:
        self.session.off("conversation_item_added", self._note)

    def _note(self, event: ConversationItemAddedEvent) -> None:
        if event.item.type == "message":
            words = (event.item.text_content or "").split()
            self.first_words += self._first(words)

    def _first(self, words: list[str]) -> list[str]:
        return [words[0]]


class Repaired(Faulty):
    def _first(self, words: list[str]) -> list[str]:
        return words[:1]
