"""A call as lanes of text, for a terminal and for the log of a run.

ASCII and the ellipsis alone, apart from what was said: no font and no code page is without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .axis import Paper
from .cells import cells, head, seconds, wrap
from .layout import Sheet, Stave, lay_out
from .rows import Bar, Label, Piece

if TYPE_CHECKING:
    from .model import Timeline

__all__ = ["text_lanes"]

_NARROWEST = 40
"""Columns that lanes take at least: with fewer there is nothing to see."""

_NAMES = 10
"""Columns for the names of the lanes."""


def text_lanes(
    timeline: Timeline, *, mark: int | None = None, width: int = 100, since: int | None = None
) -> list[str]:
    """Return the lines of `Timeline.lanes`."""
    paper = Paper(
        room=max(width, _NARROWEST) - _NAMES,
        steps=(10, 20, 50, 100),
        cell=1,
        least=1,
        ends=2,
        gap=1,
        margin=12,
        ticks=10,
    )
    sheet = lay_out(timeline, paper, mark=mark, since=since)
    if sheet.empty:
        return [f"nothing happened in a call of {seconds(sheet.end)}"]
    lines = [sheet.before] if sheet.before else []
    for index, stave in enumerate(sheet.staves):
        lines += [""] * bool(index)
        lines += _stave(stave, mark, paper)
    lines += [sheet.after] if sheet.after else []
    lines += _key(sheet)
    return [line for text in lines for line in wrap(text, _NAMES + paper.room)]


def _stave(stave: Stave, mark: int | None, paper: Paper) -> Iterator[str]:
    ruler = [(column, f"|{time}") for column, time in stave.ruler]
    yield _line("", [*ruler, *((start + 1, text) for start, _, text in stave.folds)])
    for lane in stave.lanes:
        for index, row in enumerate(lane.rows):
            yield _line("" if index else lane.name, [(piece.start, _draw(piece)) for piece in row])
    if stave.mark is not None and mark is not None:
        text = f"^ {seconds(mark)}"
        if stave.mark + len(text) > paper.room:
            text = f"{seconds(mark)} ^"
        yield _line("", [(stave.mark - (0 if text[0] == "^" else len(text) - 1), text)])


def _line(name: str, pieces: Iterable[tuple[int, str]]) -> str:
    line = name
    for column, text in sorted(pieces):
        line += " " * (_NAMES + column - cells(line)) + text
    return line.rstrip()


def _draw(piece: Piece) -> str:
    if isinstance(piece, Label):
        return piece.text
    if isinstance(piece, Bar):
        return _bar(piece)
    return "|" + head(piece.strip.state, piece.room - piece.start - 1)


def _bar(bar: Bar) -> str:
    width = bar.end - bar.start
    last = ">" if not bar.ends else "x" if bar.span.cut else "]"
    if bar.span.kind == "moment":
        return "*"
    if width == 1:
        return "|" if last == "]" else last
    inside = bar.text + " " * (width - 2 - cells(bar.text))
    if not bar.text:
        held = {column for pause in bar.pauses for column in range(*pause)}
        columns = range(bar.start + 1, bar.end - 1)
        inside = "".join("." if column in held else "=" for column in columns)
    return f"{'[' if bar.begins else '<'}{inside}{last}"


def _key(sheet: Sheet) -> Iterator[str]:
    """Explain the signs that are not plain, as far as they occur."""
    pieces = [
        piece
        for stave in sheet.staves
        for lane in stave.lanes
        for row in lane.rows
        for piece in row
    ]
    bars = [piece for piece in pieces if isinstance(piece, Bar)]
    signs = {
        "x cut off": any(bar.span.cut and bar.ends for bar in bars),
        ".... paused": any(bar.pauses for bar in bars),
        "> goes on": any(not bar.ends for bar in bars),
        "+ms since the user's end": any(isinstance(it, Label) and it.waiting for it in pieces),
    }
    if any(signs.values()):
        yield " " * _NAMES + "   ".join(sign for sign, occurs in signs.items() if occurs)
