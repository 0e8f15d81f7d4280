"""Where everything of a call stands on paper: staves of lanes, lanes of rows.

Text and picture differ in their paper and in how they draw; this is what they have in common. All
columns count from the beginning of their stave.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

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
    """One line of the call."""

    ruler: Sequence[tuple[int, str]]
    folds: Sequence[tuple[int, int, str]]
    lanes: Sequence[Lane]
    mark: int | None


@dataclass(frozen=True, slots=True)
class _Fold:
    text: str


@dataclass(frozen=True, slots=True)
class _Tick:
    time: int


@dataclass(frozen=True, slots=True)
class _Mark:
    pass


_Thing: TypeAlias = Span | Strip | _Fold | _Tick | _Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A call on paper. `before` and `after` say what was left out, if anything was."""

    staves: Sequence[Stave]
    before: str
    after: str
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
    everything: list[tuple[int, int, _Thing]] = [
        *((ruler.column(it.start), ruler.column(it.end), it) for it in shown),
        *((ruler.column(it.start), ruler.column(it.end), it) for it in states),
        *((start, end, _Fold(text)) for start, end, text in ruler.folds()),
        *((column, column, _Tick(time)) for time, column in ruler.ticks(paper.ticks)),
    ]
    if mark is not None:
        everything.append((ruler.column(mark), ruler.column(mark), _Mark()))
    made = [
        _Engraver(paper, ruler, first, after, things).stave()
        for first, after, things in zip_longest(starts, starts[1:], _share(starts, everything))
    ]
    return Sheet(
        staves=made,
        before=_left_out("first", start, [it for it in found if it.end <= start > it.start]),
        after=_left_out("last", now - end, [it for it in found if it.start > end]),
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


def _share(
    starts: Sequence[int], things: Iterable[tuple[int, int, _Thing]]
) -> list[list[tuple[int, int, _Thing]]]:
    """Return what stands on each stave; what is longer than one stands on several."""
    shares: list[list[tuple[int, int, _Thing]]] = [[] for _ in starts]
    for start, end, thing in things:
        first = bisect_right(starts, start) - 1
        for share in shares[first : max(first + 1, bisect_left(starts, end))]:
            share.append((start, end, thing))
    return shares


@dataclass
class _Engraver:
    """Sets one stave, from column `first` of the axis to `after`; None is the end of the call."""

    paper: Paper
    axis: Axis
    first: int
    after: int | None
    things: Sequence[tuple[int, int, _Thing]]

    @property
    def room(self) -> int:
        return self.paper.room if self.after is None else self.after - self.first

    def within(self, start: int, end: int) -> tuple[int, int]:
        first = max(start - self.first, 0)
        return first, max(min(end - self.first, self.room), first + self.paper.least)

    def stave(self) -> Stave:
        bars = [self.bar(a, b, it) for a, b, it in self.things if isinstance(it, Span)]
        lanes = [self.lane(name, [bar for bar in bars if bar.span.lane == name]) for name in _LANES]
        states = list(self.states())
        for who in ("user", "agent"):
            row = [bar for bar in states if bar.strip.who == who]
            lanes.append(Lane(f"{who} is", [row] if row else []))
        folds = [(*self.within(a, b), it.text) for a, b, it in self.things if isinstance(it, _Fold)]
        marks = (start - self.first for start, _, it in self.things if isinstance(it, _Mark))
        return Stave(
            ruler=list(self.ruler(folds)),
            folds=folds,
            lanes=[lane for lane in lanes if lane.rows],
            mark=next(marks, None),
        )

    def ruler(self, folds: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, str]]:
        """Yield the round times that there is room for, each with its column."""
        free = 0
        for column, _, tick in self.things:
            if isinstance(tick, _Tick):
                text, at = seconds(tick.time), column - self.first
                end = at + self.paper.gap + self.paper.measure(text)
                folded = any(start < end and at < after for start, after, _ in folds)
                if free <= at and end <= self.paper.room and not folded:
                    free = end + self.paper.gap
                    yield at, text

    def lane(self, name: str, bars: Sequence[Bar]) -> Lane:
        rows = Rows(self.paper, self.paper.room)
        (rows.speech if name in _SPOKEN else rows.apart)(bars)
        return Lane(name, rows.rows)

    def bar(self, start: int, end: int, span: Span) -> Bar:
        whole = end <= self.first + self.room
        pauses = ((self.axis.column(a), self.axis.column(b)) for a, b in span.pauses)
        left, right = self.within(start, end)
        return Bar(
            start=left,
            end=right,
            span=span,
            begins=start >= self.first and span.start >= self.axis.start,
            ends=whole and span.end <= self.axis.end and not span.open,
            pauses=[
                self.within(a, b)
                for a, b in pauses
                if a < self.first + self.room and b > self.first
            ],
            text=span.text if start >= self.first else "",
            note=span.note if whole else "",
        )

    def states(self) -> Iterator[StateBar]:
        """Yield the states that last at least a column, and those at the end of the call."""
        strips = [(a, b, it) for a, b, it in self.things if isinstance(it, Strip)]
        until_now = [it for _, _, it in strips if it.start <= self.axis.end <= it.end]
        # one ends where the next begins: the later one is the last
        ends = {it.who: it for it in sorted(until_now, key=attrgetter("start"))}
        for start, end, strip in strips:
            last = self.after is None and strip is ends.get(strip.who)
            if start < end or last:
                left, right = self.within(start, end)
                yield StateBar(left, right, self.room if last else right, strip)
