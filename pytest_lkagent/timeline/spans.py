"""What a timeline shows, lane by lane: spans with their words, and states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from .cells import clean, seconds

if TYPE_CHECKING:
    from .model import AgentSpeech, Timeline, ToolSpan, UserSpeech

__all__ = ["Span", "Strip", "spans", "strips"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something from `start` to `end`; `open` is what is still under way, `cut` what was cut off.

    `note` says more than `text` does, once it is over; `lead` is how long it was waited for.
    """

    lane: str
    kind: str
    start: int
    end: int
    text: str
    note: str = ""
    pauses: tuple[tuple[int, int], ...] = ()
    open: bool = False
    cut: bool = False
    lead: int | None = None

    @property
    def spoken(self) -> bool:
        return self.lane in {"user", "agent"}

    def __str__(self) -> str:
        lasts = "" if self.kind == "moment" else f" to {'now' if self.open else seconds(self.end)}"
        more = [self.text, self.note]
        if self.lead is not None:
            more.append(f"(after {self.lead} ms)")
        more += (f"(paused {seconds(start)} to {seconds(end)})" for start, end in self.pauses)
        said = " ".join(filter(None, more))
        return f"{self.lane}, {seconds(self.start)}{lasts}{': ' if said else ''}{said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The state that `who` was in, from `start` to `end`."""

    who: str
    state: str
    start: int
    end: int


def spans(timeline: Timeline, now: int) -> list[Span]:
    """Return what began in a call, in its order; what is still under way lasts until `now`."""
    found = [
        *(_user(speech, now) for speech in timeline.user),
        *_agent(timeline.agent, now),
        *(_tool(tool, now) for tool in timeline.tools),
        *(
            Span(lane="moments", kind="moment", start=it.at, end=it.at, text=clean(str(it)))
            for it in timeline.moments
        ),
    ]
    return sorted(found, key=lambda span: span.start)


def _user(speech: UserSpeech, now: int) -> Span:
    text = clean(speech.text)
    heard = text if speech.heard is None else clean(speech.heard)
    return Span(
        lane="user",
        kind="user" if text else "noise",
        start=speech.start,
        end=max(speech.start, min(speech.end, now)),
        text=text or "(noise)",
        note=f"(heard: {heard or 'nothing'})" if heard != text else "",
        open=speech.end > now,
    )


def _agent(speeches: Sequence[AgentSpeech], now: int) -> Iterator[Span]:
    several = len({speech.agent for speech in speeches} - {None}) > 1
    before: str | None = None
    for speech in speeches:
        name = ""
        if speech.text or speech.end is not None:  # else it has no word yet, and no room for a name
            name = f"{speech.agent}: " if several and speech.agent not in {None, before} else ""
            before = speech.agent or before
        unsaid = clean(speech.unsaid)
        yield Span(
            lane="agent",
            kind="agent",
            start=speech.start,
            end=now if speech.end is None else speech.end,
            text=clean(name + speech.text),
            note=f"(unsaid: {unsaid})" if unsaid else "",
            pauses=tuple((begin, now if end is None else end) for begin, end in speech.pauses),
            open=speech.end is None,
            cut=speech.interrupted,
            lead=speech.latency,
        )


def _tool(tool: ToolSpan, now: int) -> Span:
    return Span(
        lane="tools",
        kind="failed" if tool.is_error else "tool",
        start=tool.start,
        end=now if tool.end is None else tool.end,
        text=clean(tool.call),
        note="(failed)" if tool.is_error else "",
        open=tool.end is None,
    )


def strips(timeline: Timeline, now: int) -> Iterator[Strip]:
    """Yield the states of the user, then those of the agent; the last lasts until `now`.

    One that lasted no time is none of them.
    """
    for who in ("user", "agent"):
        changes = sorted((s for s in timeline.states if s.who == who), key=lambda s: s.at)
        for change, after in zip_longest(changes, changes[1:]):
            end = after.at if after else now
            if after and end == change.at:
                continue
            yield Strip(who=who, state=clean(change.state), start=change.at, end=end)
