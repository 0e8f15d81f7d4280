"""A call as a picture: plain SVG that a page, a report or a browser shows as it is.

Every width is measured with a monospaced font, so that no words run into others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from .axis import Paper
from .cells import clip, seconds
from .layout import Lane, Stave, lay_out
from .rows import Bar, Label, Piece, StateBar
from .style import STYLE

if TYPE_CHECKING:
    from .model import Timeline

__all__ = ["svg"]

_XMLNS = "http://www.w3.org/2000/svg"
_IMAGE = 'class="lk-call" role="img"'
_PAPER = Paper(
    room=1000, steps=(1, 2, 5, 10), cell=6.7, least=3, ends=12, gap=6, margin=110, ticks=100
)
_LEFT, _RIGHT, _TOP = 92, 16, 14
_RULER, _ROW, _BAR, _STRIP = 24, 24, 18, 14
_BETWEEN = 18  # staves
_STATES = {"initializing", "idle", "listening", "thinking", "speaking", "away"}


def svg(timeline: Timeline, *, mark: int | None = None) -> str:
    """Return the picture of `Timeline.to_svg`, one element a line."""
    sheet = lay_out(timeline, _PAPER, mark=mark, whole=True)
    drawn: list[str] = []
    y = _TOP
    for stave in sheet.staves:
        height = _RULER + sum(map(_height, stave.lanes))
        drawn += _stave(stave, y, height, mark)
        y += height + _BETWEEN + (_ROW if stave.mark is not None else 0)
    legend = list(_legend(list(_bars(sheet.staves)), y))
    width, height = _LEFT + _PAPER.room + _RIGHT, y + (_ROW if legend else 0)
    size = f'width="{width}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="{_XMLNS}" {size} viewBox="0 0 {width} {height}" {_IMAGE}>',
            _title(f"A voice call of {seconds(sheet.end)}"),
            f"<desc>{_description(timeline, mark)}</desc>",
            f"<style>{STYLE}</style>",
            f'<rect class="card" {size} rx="8"/>',
            *drawn,
            *legend,
            "</svg>\n",
        ]
    )


_KINDS = {
    "user": "user",
    "noise": "noise",
    "agent": "agent",
    "tool": "tool at work",
    "failed": "tool that failed",
}


def _description(timeline: Timeline, mark: int | None) -> str:
    said = (
        f"The user speaks {len(timeline.user)} times, the agent {len(timeline.agent)} times "
        f"(cut off: {sum(it.interrupted for it in timeline.agent)}). "
        f"Tool calls: {len(timeline.tools)}."
    )
    return said if mark is None else f"{said} Marked: {seconds(mark)}."


def _bars(staves: Iterable[Stave]) -> Iterator[Bar]:
    for stave in staves:
        for lane in stave.lanes:
            yield from (piece for row in lane.rows for piece in row if isinstance(piece, Bar))


def _height(lane: Lane) -> int:
    return sum(_STRIP + 4 if isinstance(row[0], StateBar) else _ROW for row in lane.rows)


def _stave(stave: Stave, top: int, height: int, mark: int | None) -> Iterator[str]:
    bottom = top + height
    for start, end, text in stave.folds:
        yield (
            f'<rect class="fold" x="{_LEFT + start}" y="{top}" '
            f'width="{end - start}" height="{height}"/>'
        )
        yield _text(_LEFT + start + _PAPER.gap, top + 14, text, "time")
    for column, text in stave.ruler:
        yield _line(_LEFT + column, top, bottom, "grid")
        yield _text(_LEFT + column + 4, top + 14, text, "time")
    if stave.mark is not None and mark is not None:
        yield _line(_LEFT + stave.mark, top, bottom + 6, "mark")
        left = stave.mark + _PAPER.measure(seconds(mark)) + 12 > _PAPER.room
        anchor = "mark-time left" if left else "mark-time"
        yield _text(_LEFT + stave.mark + (-5 if left else 5), bottom + 8, seconds(mark), anchor)
    y = top + _RULER
    for lane in stave.lanes:
        yield _text(_LEFT - 12, y + (11 if lane.name.endswith(" is") else 13), lane.name, "name")
        for row in lane.rows:
            for piece in row:
                yield from _piece(piece, y)
            y += _height(Lane(lane.name, [row]))


def _piece(piece: Piece, y: int) -> Iterator[str]:
    x = _LEFT + piece.start
    if isinstance(piece, StateBar):
        who, state = piece.strip.who, piece.strip.state
        known = state if state in _STATES else "other"
        yield f'<g class="state {who} {known}">{_title(f"{who} is {state}")}'
        yield f'<rect x="{x}" y="{y}" width="{piece.end - piece.start}" height="{_STRIP}"/>'
        room = int((piece.room - piece.start - 6) / _PAPER.cell)
        if room > 2:
            yield _text(x + 4, y + 10, clip(state, room), "")
        yield "</g>"
    elif isinstance(piece, Label):
        kind = "waiting" if piece.waiting else f"said {piece.span.kind}"
        said, note = piece.text, ""
        if piece.span.note and said.endswith(piece.span.note):
            said, note = said.removesuffix(piece.span.note), piece.span.note
        yield f'<g class="{kind}">{_title(str(piece.span))}'
        yield _text(x, y + 13, said, "", note) + "</g>"
    else:
        yield f'<g class="bar {piece.span.kind}">{_title(str(piece.span))}'
        yield from _bar(piece, x, y)
        yield "</g>"


def _bar(bar: Bar, x: int, y: int) -> Iterator[str]:
    width = bar.end - bar.start
    if bar.span.kind == "moment":
        yield _line(x, y + 1, y + _BAR, "")
        return
    yield f'<rect x="{x}" y="{y}" width="{width}" height="{_BAR}" rx="{min(4, width // 2)}"/>'
    for start, end in bar.pauses:
        left, right = _LEFT + start, _LEFT + end
        yield f'<rect class="pause" x="{left}" y="{y}" width="{right - left}" height="{_BAR}"/>'
        if right - left > 12:
            middle = (left + right) // 2
            yield _line(middle - 3, y + 5, y + 13, "sign") + _line(
                middle + 3, y + 5, y + 13, "sign"
            )
    if not bar.begins:
        yield _line(x, y, y + _BAR, "torn")
    if not bar.ends:
        yield _line(x + width, y, y + _BAR, "torn")
    elif bar.span.cut:
        yield _line(x + width, y - 2, y + _BAR + 2, "cut")
    if bar.text:
        yield f'<svg x="{x}" y="{y}" width="{width}" height="{_BAR}">'
        yield _text(6, 13, bar.text, "") + "</svg>"


def _legend(bars: Sequence[Bar], y: int) -> Iterator[str]:
    x, kinds = _LEFT, {bar.span.kind for bar in bars}
    pauses = any(bar.pauses for bar in bars)
    cut = any(bar.span.cut and bar.ends for bar in bars)
    goes_on = any(not bar.ends for bar in bars)
    for kind, text in [
        *((kind, text) for kind, text in _KINDS.items() if kind in kinds),
        *[("pause", "paused")] * pauses,
        *[("cut", "cut off")] * cut,
        *[("torn", "goes on")] * goes_on,
    ]:
        swatch = f'<rect x="{x}" y="{y - 4}" width="18" height="12" rx="3"'
        if kind in _KINDS:
            yield f'<g class="bar {kind}">{swatch}/></g>'
        elif kind == "pause":
            yield f'<g class="bar agent">{swatch} class="pause"/></g>'
        else:
            end = _line(x + 18, y - 5, y + 9, kind)
            yield f'<g class="bar agent">{swatch}/>{end}</g>'
        yield _text(x + 26, y + 6, text, "time")
        x += 26 + _PAPER.measure(text) + 20


def _title(text: str) -> str:
    return f"<title>{escape(text, quote=False)}</title>"


def _text(x: int, y: int, text: str, kind: str, note: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    more = f'<tspan class="note">{escape(note, quote=False)}</tspan>' if note else ""
    return f'<text{name} x="{x}" y="{y}">{escape(text, quote=False)}{more}</text>'


def _line(x: int, top: int, bottom: int, kind: str) -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<line{name} x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>'
