"""Where a time stands: how many milliseconds a column has, what is folded, where a stave ends."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from .cells import cells, wrap

__all__ = ["Axis", "Paper", "axis"]

_LONG = 4_000
"""Milliseconds of silence that are folded."""

_LONG_SPEECH = 15_000
"""Milliseconds of speech that are folded: in less of it, its words have their place."""

_BESIDE = 1_000
"""Milliseconds that are kept at both ends of what is folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is drawn on; a column is a character in a terminal, a pixel in a picture.

    A call gets the finest of `steps` (milliseconds a column) with which it fits on one stave of
    `room` columns, or else the last. A character takes `cell` columns, a bar at least `least`, its
    ends `ends` if words are to stand in it; `gap` keeps things apart, `margin` stays free at the
    end of the call. `ticks` are the columns from one tick of the ruler to the next.
    """

    room: int
    steps: Sequence[int]
    cell: float
    least: int
    ends: int
    gap: int
    margin: int
    ticks: int

    def measure(self, text: str) -> int:
        return ceil(cells(text) * self.cell)

    def wrap(self, text: str, room: int) -> list[str]:
        return wrap(text, int(room / self.cell))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Times from `start` on, which stand at `column` and right of it, unless they are folded."""

    start: int
    column: int
    folded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    step: int
    stretches: Sequence[_Stretch]
    start: int
    end: int

    def column(self, time: int) -> int:
        """Return where a time stands; one that is not shown, at the nearest end."""
        time = min(max(time, self.start), self.end)
        index = bisect_right(self.stretches, time, key=lambda stretch: stretch.start) - 1
        stretch = self.stretches[index]
        return stretch.column + (0 if stretch.folded else (time - stretch.start) // self.step)

    def folds(self) -> Iterator[tuple[int, int, str]]:
        for fold, after in pairwise(self.stretches):
            if fold.folded:
                yield fold.column, after.column, fold.folded

    def ticks(self, every: int) -> Iterator[tuple[int, int]]:
        """Yield the round times that are shown, each with its column."""
        tick = self.step * every
        ends = [*(stretch.start for stretch in self.stretches[1:]), self.end]
        for stretch, end in zip(self.stretches, ends, strict=True):
            if not stretch.folded:
                for time in range(-(-stretch.start // tick) * tick, end + 1, tick):
                    yield time, self.column(time)

    def staves(self, paper: Paper, spoken: Iterable[tuple[int, int]]) -> list[int]:
        """Return where each stave begins: never in a fold, not amid speech where that can be."""
        folds = [(start, end) for start, end, _ in self.folds()]
        speech = _union([*folds, *((self.column(a), self.column(b)) for a, b in spoken)])
        starts, end = [0], self.column(self.end)
        while end - starts[-1] > paper.room - paper.margin:
            most = min(starts[-1] + paper.room, end - paper.margin)
            cut = _outside(speech, most)
            if cut < starts[-1] + paper.room // 2:
                cut = _outside(folds, most)
            if cut <= starts[-1]:
                break
            starts.append(cut)
        return starts


def axis(
    paper: Paper, start: int, end: int, times: Iterable[int], spoken: Iterable[tuple[int, int]]
) -> Axis:
    """Return the axis from `start` to `end`, at whose `times` something begins or ends."""
    knots = sorted({start, end, *(time for time in times if start < time < end)})
    talk = _union(spoken)
    axes = [
        Axis(step=step, stretches=_stretches(paper, step, knots, talk), start=start, end=end)
        for step in paper.steps
    ]
    return next((it for it in axes if it.column(end) <= paper.room - paper.margin), axes[-1])


def _stretches(
    paper: Paper, step: int, knots: Sequence[int], talk: Sequence[tuple[int, int]]
) -> list[_Stretch]:
    stretches = [_Stretch(knots[0], 0)]
    for before, after in pairwise(knots):
        spoken = _outside(talk, before + 1) <= before
        if after - before <= (_LONG_SPEECH if spoken else _LONG):
            continue
        last = stretches[-1]
        text = f"… {(after - before - 2 * _BESIDE) / 1000:.1f} s …"
        column = last.column + (before + _BESIDE - last.start) // step
        stretches += (
            _Stretch(before + _BESIDE, column, text),
            _Stretch(after - _BESIDE, column + paper.measure(text) + 2 * paper.gap),
        )
    return stretches


def _union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join the spans that overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _outside(spans: Sequence[tuple[int, int]], place: int) -> int:
    """Return the place, or the start of the one of these spans that it is within."""
    index = bisect_right(spans, place - 1, key=lambda span: span[0]) - 1
    return spans[index][0] if index >= 0 and spans[index][1] > place else place
