"""Where everything of a call stands on paper: staves of lanes, lanes of rows.

Text and picture differ in their paper and in how they draw; this is what they have in common. All
columns count from the beginning of their stave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

from .axis import Axis, Paper, axis
from .cells import seconds
from .rows import Bar, Piece, Rows, StateBar
from .spans import Span, Strip, spans, strips

if TYPE_CHECKING:
    from .model import Timeline

__all__ = ["Lane", "Sheet", "Stave", "lay_out"]

_BEFORE = 30_000
"""Milliseconds that are shown before a marked moment, where nobody says since when."""

_AFTER = 5_000
"""Milliseconds that are shown after a marked moment."""

_SPOKEN = ("user", "agent")

_LANES = (*_SPOKEN, "tools", "moments")


@dataclass(frozen=True, slots=True)
class Lane:
    name: str
    rows: Sequence[Sequence[Piece]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stave:
    """One line of the call. `clipped` are the spans whose words are too long for any line."""

    end: int
    ruler: Sequence[tuple[int, str]]
    folds: Sequence[tuple[int, int, str]]
    lanes: Sequence[Lane]
    clipped: Sequence[Span]
    mark: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    staves: Sequence[Stave]
    before: str
    after: str
    start: int
    end: int
    empty: bool


def lay_out(
    timeline: Timeline,
    paper: Paper,
    *,
    mark: int | None = None,
    since: int | None = None,
    whole: bool = False,
) -> Sheet:
    """Arrange a call on paper: from `since` on, what is around `mark`, or the `whole` of it."""
    now = max(timeline.now, mark or 0)
    found = spans(timeline, now)
    states = list(strips(timeline, now))
    now = max([now, *(span.end for span in found)])
    end = now if mark is None or whole else min(now, mark + _AFTER)
    if since is None:
        since = 0 if mark is None or whole else mark - _BEFORE
    start = max(0, min(since, end if mark is None else mark))
    shown = [it for it in found if it.start <= end and (it.end > start or it.start >= start)]
    spoken = [it for it in shown if it.spoken]
    knots = [time for it in shown for pause in ((it.start, it.end), *it.pauses) for time in pause]
    knots += [it.start for it in states] + ([] if mark is None else [mark])
    ruler = axis(paper, start, end, knots, [(it.start, it.end) for it in spoken])
    starts = ruler.staves(paper, [(it.start - (it.lead or 0), it.end) for it in spoken])
    made = [
        _Engraver(paper, ruler, first, after).stave(shown, states, mark)
        for first, after in zip_longest(starts, starts[1:])
    ]
    return Sheet(
        staves=made,
        before=_left_out("first", start, [it for it in found if it.end <= start > it.start]),
        after=_left_out("last", now - end, [it for it in found if it.start > end]),
        start=start,
        end=end,
        empty=not found and not states,
    )


def _left_out(which: str, time: int, left: Sequence[Span]) -> str:
    if not time:
        return ""
    kinds = {
        "utterances": sum(it.spoken for it in left),
        "tool calls": sum(it.lane == "tools" for it in left),
    }
    counts = [
        f"{count} {kind if count > 1 else kind[:-1]}" for kind, count in kinds.items() if count
    ]
    return f"… left out: the {which} {seconds(time)}{', ' * bool(counts)}{', '.join(counts)} …"


@dataclass
class _Engraver:
    """Sets one stave, from column `first` of the axis to `after`; None is the end of the call."""

    paper: Paper
    axis: Axis
    first: int
    after: int | None
    clipped: list[Span] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.paper.room if self.after is None else self.after - self.first

    def has(self, start: int, end: int) -> bool:
        after = self.first + self.room
        return start < after and (end > self.first or start >= self.first)

    def within(self, start: int, end: int) -> tuple[int, int]:
        first = max(start - self.first, 0)
        return first, max(min(end - self.first, self.room), first + self.paper.least)

    def stave(self, shown: Iterable[Span], states: Iterable[Strip], mark: int | None) -> Stave:
        bars = [bar for span in shown for bar in self.bars(span)]
        lanes = [self.lane(name, [bar for bar in bars if bar.span.lane == name]) for name in _LANES]
        state_bars = [bar for strip in states for bar in self.state_bars(strip)]
        for who in ("user", "agent"):
            row = [bar for bar in state_bars if bar.strip.who == who]
            lanes.append(Lane(f"{who} is", [row] if row else []))
        folds = [(*self.within(a, b), text) for a, b, text in self.axis.folds() if self.has(a, b)]
        at = None if mark is None else self.axis.column(mark)
        return Stave(
            end=min(self.axis.column(self.axis.end) - self.first, self.room),
            ruler=list(self.ruler(folds)),
            folds=folds,
            lanes=[lane for lane in lanes if lane.rows],
            clipped=self.clipped,
            mark=at - self.first if at is not None and self.has(at, at) else None,
        )

    def ruler(self, folds: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, str]]:
        """Yield the round times that there is room for, each with its column."""
        free = 0
        for time, column in self.axis.ticks(self.paper.ticks):
            text, at = seconds(time), column - self.first
            end = at + self.paper.gap + self.paper.measure(text)
            folded = any(start < end and at < after for start, after, _ in folds)
            if free <= at and end <= self.paper.room and self.has(column, column) and not folded:
                free = end + self.paper.gap
                yield at, text

    def lane(self, name: str, bars: Sequence[Bar]) -> Lane:
        rows = Rows(self.paper, self.paper.room)
        (rows.speech if name in _SPOKEN else rows.apart)(bars)
        self.clipped += rows.clipped
        return Lane(name, rows.rows)

    def bars(self, span: Span) -> Iterator[Bar]:
        start, end = self.axis.column(span.start), self.axis.column(span.end)
        if self.has(start, end):
            whole = end <= self.first + self.room
            pauses = [(self.axis.column(a), self.axis.column(b)) for a, b in span.pauses]
            first, after = self.within(start, end)
            yield Bar(
                start=first,
                end=after,
                span=span,
                begins=start >= self.first and span.start >= self.axis.start,
                ends=whole and span.end <= self.axis.end and not span.open,
                pauses=[self.within(*pause) for pause in pauses if self.has(*pause)],
                text=span.text if start >= self.first else "",
                note=span.note if whole else "",
            )

    def state_bars(self, strip: Strip) -> Iterator[StateBar]:
        start, end = self.axis.column(strip.start), self.axis.column(strip.end)
        last = self.after is None and strip.start <= self.axis.end <= strip.end
        if self.has(start, end) and (start < end or last):
            first, after = self.within(start, end)
            yield StateBar(first, after, self.room if last else after, strip)
