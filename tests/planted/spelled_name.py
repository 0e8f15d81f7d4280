"""Raises a KeyError on a name that is not of plain letters alone.

Breaks the built-in invariant: no exception escapes.
"""

from livekit.agents import Agent, function_tool

WORDS = {
    word[0]: word
    for word in (
        "Alfa", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel", "India", "Juliett",
        "Kilo", "Lima", "Mike", "November", "Oscar", "Papa", "Quebec", "Romeo", "Sierra", "Tango",
        "Uniform", "Victor", "Whiskey", "Xray", "Yankee", "Zulu",
    )
}  # fmt: skip


class Faulty(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You spell names.")

    def _word(self, letter: str) -> str:
        return WORDS[letter]

    @function_tool
    async def spell(self, name: str) -> str:
        """Spell a name."""
        return " ".join(self._word(letter) for letter in name.upper())


class Repaired(Faulty):
    def _word(self, letter: str) -> str:
        return WORDS.get(letter, letter)
