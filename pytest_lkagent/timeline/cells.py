"""How much room a text takes in a terminal, and how it is made to fit."""

from __future__ import annotations

from unicodedata import category, east_asian_width

__all__ = ["cells", "clean", "clip", "head", "seconds", "wrap"]


def seconds(milliseconds: int) -> str:
    """Write a time as seconds, exactly: ``1.25 s``."""
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") + " s"


def clean(text: str) -> str:
    """Return the text on one line, without what would move the cursor or is not allowed in XML."""
    shown = (
        char
        if char.isprintable()
        else ""  # joiners and marks of direction
        if category(char) == "Cf"
        else char.encode("unicode_escape").decode()
        for char in " ".join(text.split())
    )
    return "".join(shown)


def cells(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(char: str) -> int:
    if category(char) in {"Mn", "Me"}:
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def clip(text: str, room: int) -> str:
    """Shorten the text to so many columns, with an ellipsis where something is missing."""
    return text if cells(text) <= room else head(text, room - 1).rstrip() + "…"


def wrap(text: str, room: int) -> list[str]:
    """Break a clean text into lines of so many columns, between words where that can be."""
    lines = []
    while cells(text) > room:
        line = head(text, room)
        whole = line if text[len(line)] == " " else line.rpartition(" ")[0] or line
        lines.append(whole.rstrip())
        text = text[len(whole) :].lstrip()
    return [*lines, text]


def head(text: str, room: int) -> str:
    """Return as much of the text as fits into so many columns."""
    taken = 0
    for index, char in enumerate(text):
        taken += _cells(char)
        if taken > room:
            return text[:index]
    return text
