"""What happened in a call, and when: heard at the loudspeaker, and told by the session."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.voice import SpeechHandle

from .. import _livekit_items, _livekit_replies
from ..fake.sound import Utterance
from ..listeners import listener
from ..timeline import AgentSpeech, Moment, State, Timeline, ToolSpan, UserSpeech
from ..transcript import FunctionCall

__all__ = ["CallLog", "Spoken"]


_LAST_MS = 20_000
"""How much of a call is drawn where no moment of it matters more than another."""

_LAST_WORDS_MS = 250
"""How late the last words of a speech may be shown, in real time."""


@dataclass(eq=False)
class Spoken:
    """One stretch of the agent's speech, as the loudspeaker plays it."""

    start: int
    agent: str | None
    speech: SpeechHandle | None
    """What LiveKit knows it by."""
    asked: int
    """How many texts had been written when the one before it was over."""
    after: int | None = None
    """When the one before it began."""
    asked_in_all: int | None = None
    """How many when it was silent: what comes then may be of the next one."""
    end: int | None = None
    """When it was heard last."""
    gone: int | None = None
    """When it was clear that no more of it comes: later than `end`, where that was a pause."""
    text: str = ""
    interrupted: bool = False
    pauses: list[tuple[int, int | None]] = field(default_factory=list)

    @property
    def is_paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1][1] is None

    @property
    def is_over(self) -> bool:
        return self.end is not None

    @property
    def paused(self) -> int:
        """Milliseconds that the pauses took after which it went on."""
        return sum(end - start for start, end in self.pauses if end is not None)

    def heard_by(self, moment: int) -> int:
        """Return how many milliseconds of it have been heard, without the pauses."""
        if self.end is not None:
            moment = self.end
        elif self.is_paused:
            moment, _ = self.pauses[-1]
        return moment - self.start - self.paused

    def paused_from(self, moment: int) -> int | None:
        """Return when it paused first, from a moment on; None where it did not."""
        return next((start for start, _ in self.pauses if start >= moment), None)

    def had_paused(self, moment: int) -> bool:
        """Whether it paused from a moment on, though it may have been cut off in that pause."""
        cut_off_in_it = self.end is not None and moment <= self.end != self.gone
        return cut_off_in_it or self.paused_from(moment) is not None

    def was_paused(self, start: int, end: int) -> bool:
        """Whether it was silent all that time, in a pause after which it went on."""
        return any(began <= start and ended and end <= ended for began, ended in self.pauses)

    def resumed_from(self, moment: int) -> int | None:
        """Return when it went on first after a pause, from a moment on; None where it did not."""
        return next((end for _, end in self.pauses if end is not None and end >= moment), None)


class CallLog:
    """Everything that a `Timeline` is made of."""

    def __init__(self) -> None:
        self.began = 0.0
        self._time: Callable[[], float] = float
        self.agent_began: Callable[[], None] = lambda: None
        self.heard_by: Callable[[], float] = float
        """Return the instant by which everything that was said will have been heard."""
        self.user: list[tuple[int, int, Utterance]] = []
        self.agent: list[Spoken] = []
        self._written: list[str] = []
        """The texts of the agent, each for one stretch of speech; some are never spoken."""
        self._is_written = True
        self._asked = 0
        self._heard: dict[Utterance, str] = {}
        self._recognised: Utterance | None = None
        """What recognition made something of last: of that is what the session is told."""
        self._tools: dict[str, ToolSpan] = {}
        self._states: list[State] = []
        self._moments: list[Moment] = []
        self._changes: set[asyncio.Future[None]] = set()
        self._session: AgentSession[Any] | None = None

    # --- time

    @property
    def now(self) -> int:
        """Milliseconds since the call began."""
        return self.at(self._time())

    def at(self, instant: float) -> int:
        """Return an instant of the loop in milliseconds since the call began."""
        return round(round(instant - self.began, 6) * 1000)

    def begin(self) -> None:
        """Count time from now on."""
        self._time = asyncio.get_running_loop().time
        self.began = self._time()

    def end(self) -> None:
        """Count no further: whoever looks at the call later sees it as it ended."""
        ended = self._time()
        self._time = lambda: ended

    def change(self) -> asyncio.Future[None]:
        """Return a future that is done when anything happens."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        return change

    def _changed(self) -> None:
        for change in tuple(self._changes):
            if not change.done():
                change.set_result(None)

    # --- the user

    def user_speaks(self, utterance: Utterance) -> None:
        """Note that the user begins to say something now."""
        start, self._recognised = self.now, None
        self.user.append((start, start + round(utterance.lasts * 1000), utterance))

    def user_stops(self) -> None:
        """Note that the user says no more from now on."""
        if self.user and self.user[-1][1] > self.now:
            start, _, utterance = self.user[-1]
            self.user[-1] = (start, self.now, utterance)

    def heard(self, utterance: Utterance, text: str) -> None:
        """Note what a realtime model made of it."""
        self._heard[utterance] = text

    def recognised(self, utterance: Utterance) -> None:
        """Note that recognition made something of it, which an ``stt_node`` may change or drop."""
        self._recognised = utterance

    def _transcribed(self, event: Any) -> None:
        """Note what the session was told that the user said."""
        if event.is_final and (utterance := self._recognised) is not None:
            self._heard[utterance] = _in_a_line((self._heard.get(utterance, ""), event.transcript))

    def happened(self, kind: str, text: str = "") -> None:
        """Note something that takes no time."""
        self._moments.append(Moment(at=self.now, kind=kind, text=text))
        self._changed()

    # --- the loudspeaker

    def playout_started(self) -> None:
        assert self._session is not None, "a session speaks"
        # who hands over may still speak when the next one is the current agent
        speaker = _livekit_replies.speaking_agent() or self._session.current_agent
        speech = self._session.current_speech
        after = self.agent[-1].start if self.agent else None
        self.agent.append(Spoken(self.now, type(speaker).__name__, speech, self._asked, after))
        self.agent_began()
        self._changed()

    def playout_paused(self) -> None:
        self.agent[-1].pauses.append((self.now, None))
        self.agent[-1].asked_in_all = len(self._written)
        self._changed()

    def playout_resumed(self) -> None:
        began, _ = self.agent[-1].pauses.pop()
        self.agent[-1].pauses.append((began, self.now))
        self.agent[-1].asked_in_all = None
        self._changed()

    def playout_finished(self, *, interrupted: bool) -> None:
        spoken = self.agent[-1]
        spoken.interrupted = interrupted
        # cut off in a pause, it was last heard where that began
        spoken.gone = self.now
        spoken.end = spoken.pauses.pop()[0] if spoken.is_paused else spoken.gone
        if spoken.asked_in_all is None:
            spoken.asked_in_all = len(self._written)
        self._asked = spoken.asked_in_all
        self._changed()

    def wrote(self, text: str) -> None:
        """Note words that the agent is about to say."""
        if self._is_written:
            self._is_written = False
            self._written.append("")
        self._written[-1] += text

    def has_written(self) -> None:
        """Note that these were all for one stretch of speech."""
        self._is_written = True

    def shown(self, text: str) -> None:
        """Note words of the agent, which come in step with its speech.

        LiveKit shows the word that was about to come when a realtime model is cut off. What comes
        when nobody has spoken for long is only written.
        """
        if not self.agent or self.agent[-1].interrupted:
            return
        spoken = self.agent[-1]
        if spoken.end is None or self.now <= spoken.end + _LAST_WORDS_MS:
            spoken.text += text

    # --- the session

    def listen(self, session: AgentSession[Any]) -> None:
        """Follow the events of `session` from here on."""
        self._session = session
        handlers: Mapping[str, Callable[[Any], None]] = {
            "user_state_changed": lambda event: self._state("user", event.new_state),
            "user_input_transcribed": self._transcribed,
            "agent_state_changed": lambda event: self._state("agent", event.new_state),
            "conversation_item_added": self._on_item,
            "tool_execution_updated": self._on_tool,
            "error": lambda event: self.happened("error", _name(event.error.error)),
            "close": lambda event: self.happened("close", event.reason.value),
        }
        for name, handler in handlers.items():
            session.on(name, listener(handler))  # type: ignore[arg-type]

    def _state(self, who: str, state: str) -> None:
        self._states.append(State(at=self.now, who=who, state=state))
        self._changed()

    def _on_item(self, event: Any) -> None:
        item = event.item
        if item.type == "message" and item.role == "user":
            self.happened("turn", item.text_content or "")
        elif item.type == "agent_handoff" and item.old_agent_id is not None:
            assert self._session is not None, "it is what told"
            self.happened("hand-over", type(self._session.current_agent).__name__)

    def _on_tool(self, event: Any) -> None:
        update = event.update
        if update.type == "tool_call_started":
            made = _livekit_items.to_event(update.function_call)
            assert isinstance(made, FunctionCall), "it is one"
            self._tools[made.call_id] = ToolSpan(start=self.now, call=str(made))
        elif update.type == "tool_call_ended" and (known := self._tools.get(update.call_id)):
            self._tools[update.call_id] = ToolSpan(
                start=known.start, end=self.now, call=known.call, is_error=update.status == "error"
            )
        self._changed()

    # --- what it comes to

    @property
    def moments(self) -> Sequence[Moment]:
        """What took no time, so far."""
        return self._moments

    @property
    def tools(self) -> Collection[ToolSpan]:
        """The tools that were at work, and are."""
        return self._tools.values()

    @property
    def timeline(self) -> Timeline:
        """The call up to now."""
        now = self.now
        return Timeline(
            now=now,
            user=tuple(self.user_speech(index) for index in range(len(self.user))),
            agent=tuple(map(self.agent_speech, self.agent)),
            tools=tuple(self._tools.values()),
            states=tuple(self._states),
            moments=tuple(self._moments),
        )

    def lanes(self, mark: int | None = None) -> list[str]:
        """Draw the call for a failure: what is around the moment `mark`, or the end of it."""
        since = self.now - _LAST_MS if mark is None else None
        return [f"  {line}" for line in self.timeline.lanes(mark=mark, since=since)]

    def user_speech(self, index: int) -> UserSpeech:
        """Return what the user said, and what was heard of it."""
        start, end, utterance = self.user[index]
        is_awaited = utterance is self.user[-1][2] and self.heard_by() > self._time()
        heard = self._heard.get(utterance, None if is_awaited else "")
        return UserSpeech(start=start, end=end, text=utterance.text, heard=heard)

    def agent_speech(self, spoken: Spoken) -> AgentSpeech:
        """Return a stretch of speech as it is by now."""
        text = spoken.text.strip()
        return AgentSpeech(
            start=spoken.start,
            end=spoken.end,
            text=text,
            unsaid=self._unsaid(spoken, text) if spoken.interrupted else "",
            interrupted=spoken.interrupted,
            pauses=tuple(spoken.pauses),
            agent=spoken.agent,
            latency=self._latency(spoken),
        )

    def words_of(self, spoken: Spoken) -> str:
        """Return all that the agent is to say in a stretch of speech, as far as it is written."""
        return _in_a_line(self._written_for(spoken))

    def _written_for(self, spoken: Spoken) -> Sequence[str]:
        return self._written[spoken.asked : spoken.asked_in_all]

    def _latency(self, spoken: Spoken) -> int | None:
        """Return how long the user waited for it: from the end of what it answers."""
        before = bisect_right(self.user, spoken.start, key=_ended)
        if not before:
            return None
        asked = _ended(self.user[before - 1])
        if spoken.after is not None and spoken.after >= asked:
            return None  # that one was the answer
        return spoken.start - asked

    def _unsaid(self, spoken: Spoken, said: str) -> str:
        """Find what was written beyond what was heard of it."""
        written = self._written_for(spoken)
        said = _in_a_line([said])
        for first in reversed(range(len(written))):
            whole = _in_a_line(written[first:])
            if whole.startswith(said):
                return whole[len(said) :].strip()
        return ""


def _ended(said: tuple[int, int, Utterance]) -> int:
    _, end, _ = said
    return end


def _in_a_line(texts: Iterable[str]) -> str:
    return " ".join(" ".join(texts).split())


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
