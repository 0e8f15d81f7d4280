"""The rows of a lane: every bar at its time, every word in a place of its own near its bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeAlias

from .axis import Paper
from .spans import Span, Strip

__all__ = ["Bar", "Label", "Piece", "Rows", "StateBar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span, or as much of it as stands on this stave, with the words that stand within."""

    start: int
    end: int
    span: Span
    begins: bool
    ends: bool
    pauses: Sequence[tuple[int, int]]
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Label:
    """Words of a span near its bar; `waiting` if they say how long it was waited for."""

    start: int
    end: int
    text: str
    span: Span
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class StateBar:
    """A state; its name has room up to `room`."""

    start: int
    end: int
    room: int
    strip: Strip


Piece: TypeAlias = Bar | Label | StateBar


@dataclass
class Rows:
    """What is placed first has the better place; where no row has room, there is one more."""

    paper: Paper
    room: int
    rows: list[list[Piece]] = field(default_factory=list)

    def speech(self, bars: Iterable[Bar]) -> None:
        """Place all bars, then how long they were waited for, then the words."""
        placed = [(self._first_free(bar), bar, words) for bar, words in map(self._within, bars)]
        for row, bar, _ in placed:
            if bar.begins and bar.span.lead is not None:
                text = f"+{bar.span.lead} ms"
                end = bar.start - self.paper.gap
                label = Label(end - self.paper.measure(text), end, text, bar.span, waiting=True)
                if self._free(row, label):
                    self.rows[row].append(label)
        for row, bar, words in placed:
            label = self._beside(bar, words)
            if words and self._free(row, label):
                self.rows[row].append(label)
            elif words:
                self._below(row, bar, words)

    def apart(self, bars: Iterable[Bar]) -> None:
        """Place each bar together with its words, if need be in a row of their own."""
        for bar, words in map(self._within, bars):
            label = self._beside(bar, words)
            if not words:
                self._first_free(bar)
            elif not 0 <= label.start <= label.end <= self.room:
                self._below(self._first_free(bar), bar, words)
            else:
                row = next(
                    row for row in count() if self._free(row, bar) and self._free(row, label)
                )
                self._row(row).extend((bar, label))

    def _within(self, bar: Bar) -> tuple[Bar, str]:
        """Return the bar with the words that there is room for in it, and the others."""
        words = " ".join(filter(None, (bar.text, bar.note)))
        fits = self.paper.measure(bar.text) + self.paper.ends <= bar.end - bar.start
        if fits and not bar.pauses:
            return bar, bar.note
        return replace(bar, text=""), words

    def _beside(self, bar: Bar, words: str) -> Label:
        """Return the words right of their bar, or left of it at the end of the stave."""
        width, gap = self.paper.measure(words), self.paper.gap
        start = bar.end + gap
        if start + width > self.room:
            start = bar.start - gap - width
        return Label(start, start + width, words, bar.span)

    def _below(self, row: int, bar: Bar, words: str) -> None:
        """Place words in the rows below their bar, in lines where they are long."""
        lines = self.paper.wrap(words, self.room)
        start = max(0, min(bar.start, self.room - max(map(self.paper.measure, lines))))
        for line in lines:
            label = Label(start, start + self.paper.measure(line), line, bar.span)
            row = self._first_free(label, row + 1)

    def _first_free(self, piece: Bar | Label, first: int = 0) -> int:
        row = next(row for row in count(first) if self._free(row, piece))
        self._row(row).append(piece)
        return row

    def _row(self, row: int) -> list[Piece]:
        while len(self.rows) <= row:
            self.rows.append([])
        return self.rows[row]

    def _free(self, row: int, piece: Bar | Label) -> bool:
        """Return whether a row has room: bars may touch each other, words need a gap."""
        if row >= len(self.rows):
            return True
        return (isinstance(piece, Bar) or 0 <= piece.start <= piece.end <= self.room) and all(
            piece.end + gap <= other.start or other.end + gap <= piece.start
            for other in self.rows[row]
            for gap in [0 if isinstance(piece, Bar) and isinstance(other, Bar) else self.paper.gap]
        )
