"""The record of a session: what its events and its history say, as a `Transcript`.

``RunResult.events`` is not enough for that: later updates of a background tool, their replies and
unknown tools are in no RunResult. The session's history has all items in LiveKit's own order; its
events add which agent spoke, and how the session closed.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, AgentSession

from . import _livekit_items, _livekit_replies
from .listeners import listener
from .transcript import Close, Event, Transcript
from .transcript import Turn as _Turn

if TYPE_CHECKING:
    from livekit.agents.voice.run_result import RunAssert, RunResult

__all__ = ["Record", "Turn"]


def _nothing() -> None:
    pass


_Handoff = tuple[Agent | None, Agent]
_CHANGES = ("agent_state_changed", "close", "conversation_item_added", "tool_execution_updated")


@dataclass(kw_only=True, repr=False)
class Turn(_Turn):
    """What followed one input of the user, until the next.

    `events` is the neutral record; `expect` is LiveKit's own assertion object over all of them,
    those after ``run()`` returned too; `result` is LiveKit's RunResult, and `answer` what came in
    its place where the session was talked to from outside. `look` is called before anybody looks
    at these: the session goes on without telling us.
    """

    items: Sequence[Any] = ()
    handoffs: Mapping[str, _Handoff] = field(default_factory=dict)
    result: RunResult[Any] | None = None
    answer: Sequence[Any] = ()
    look: Callable[[], object] = field(default=_nothing, repr=False, compare=False)
    _shown: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    @property  # type: ignore[misc]
    def events(self) -> Sequence[Event]:
        self.look()
        return self._events

    @events.setter
    def events(self, events: Sequence[Event]) -> None:
        self._events = events

    @property
    def expect(self) -> RunAssert:
        self.look()
        shown = (item for item in self.items if getattr(item, "role", None) != "user")
        self._shown[:] = _livekit_items.run_events(shown, self.handoffs)
        return self._expect

    @cached_property
    def _expect(self) -> RunAssert:
        """The same one each time: it knows how far the test has come."""
        made: RunAssert = _livekit_items.expect(self._shown)
        return made


class Record:
    """What one session did so far."""

    def __init__(self) -> None:
        self.transcript = Transcript(start=Turn(user=None, look=self.collect))
        self.closed: Close | None = None
        self.errors: list[BaseException] = []
        self.close_error: BaseException | None = None
        self.is_over = False
        """Whether the test is over: how the session closes then is not its doing."""
        self._earlier: set[str] = set()  # the items of the turns before the current one
        self._before: list[Any] = []  # the history when the current turn began
        self._collected: tuple[Any, ...] = ()
        self._names: dict[str, Any] = {}
        self._handoffs: dict[str, _Handoff] = {}
        self._current: Agent | None = None
        self._session: AgentSession[Any] | None = None
        self.history: Callable[[], Sequence[Any]] = tuple
        """What LiveKit's history of the session holds."""
        self.place_of: Callable[[str], tuple[int, int] | None] = lambda _: None
        """Of which completion a call is, by its id, and which of that completion's calls."""

    def listen(self, session: AgentSession[Any]) -> None:
        """Follow the events of `session` from here on."""
        self._session = session
        self.history = lambda: session.history.items
        session.on("conversation_item_added", listener(self._on_item))
        session.on("error", listener(self._on_error))
        session.on("close", listener(self._on_close))

    @contextmanager
    def change(self) -> Iterator[asyncio.Future[None]]:
        """Give a future that is done as soon as the session reports anything inside."""
        session: Any = self._session
        change = asyncio.get_running_loop().create_future()

        def tell(_: Any) -> None:
            if not change.done():
                change.set_result(None)

        told = listener(tell)
        for event in _CHANGES:
            session.on(event, told)
        try:
            yield change
        finally:
            for event in _CHANGES:
                session.off(event, told)

    @property
    def names(self) -> Mapping[str, Any]:
        """What is known of items beyond themselves, by their ids: see `_livekit_items.to_event`."""
        return self._names

    def learn(self, names: Mapping[str, Any]) -> None:
        """Take over what another record knows of items; a pair may have become a list."""
        for key, name in names.items():
            self._names[key] = tuple(name) if isinstance(name, list) else name

    @property
    def current(self) -> Turn:
        """The turn that is under way, or the last one."""
        turns = self.transcript.turns
        turn = turns[-1] if turns else self.transcript.start
        assert isinstance(turn, Turn)
        return turn

    def begin(self, user: str | None) -> Turn:
        """Begin a turn; what the session does from now on belongs to it."""
        self.collect()
        before = self.current
        before.look = _nothing
        self._earlier.update(item.id for item in before.items)
        self._before = list(self.history())
        turn = Turn(user=user, look=self.collect)
        self.transcript.turns.append(turn)
        return turn

    def collect(self) -> None:
        """Give the current turn what the history has that no earlier turn took."""
        if self.is_over:
            return
        turn = self.current
        made = _made_by_run(turn)
        state = (id(turn), len(self.history()), len(made), len(self._names), self.closed)
        if state == self._collected:
            return
        self._collected = state
        turn.items = self._items(made)
        turn.handoffs = self._handoffs
        converted = (_livekit_items.to_event(item, self._names) for item in turn.items)
        events: list[Event] = [event for event in converted if event is not None]
        if self.closed is not None and not self._closed_before(turn):
            events.append(self.closed)
        turn.events = tuple(events)

    def _items(self, made: Sequence[Any]) -> list[Any]:
        """Return what the history has anew, with the calls of the run whose tools are not done yet.

        A tool that awaits an AgentTask is done turns later, and only then are its call and its
        output in the history; LiveKit's RunResult has the call when it begins, before what comes
        of it. The clock cannot tell which was first where no time passes between them.
        """
        items = self._later(self.history())
        items = _calls_as_made(items, self.place_of)
        places = {item.id: place for place, item in enumerate(items)}
        place = len(items)
        for item in reversed(made):
            if item.id in places:
                place = places[item.id]
            elif item.id not in self._earlier:
                items.insert(place, item)
        return items

    def _later(self, items: Sequence[Any]) -> list[Any]:
        """Return the items that no earlier turn took."""
        before = len(self._before)
        if before <= len(items) and all(map(operator.is_, self._before, items)):
            items = items[before:]
        return [item for item in items if item.id not in self._earlier]

    def _closed_before(self, turn: Turn) -> bool:
        return any(
            isinstance(event, Close)
            for other in self._turns()
            if other is not turn
            for event in other.events
        )

    def _turns(self) -> Iterator[_Turn]:
        yield self.transcript.start
        yield from self.transcript.turns

    def _on_item(self, event: Any) -> None:
        item, session = event.item, self._session
        assert session is not None
        if item.type == "message" and item.role == "assistant":
            self._names[item.id] = type(_livekit_replies.speaker(session)).__name__
        elif item.type == "agent_handoff":
            old, new = self._current, session.current_agent
            self._current = new
            self._handoffs[item.id] = (old, new)
            self._names[item.id] = (type(old).__name__ if old else None, type(new).__name__)

    def _on_error(self, event: Any) -> None:
        if not event.error.recoverable:
            self.errors.append(event.error.error)

    def _on_close(self, event: Any) -> None:
        if self.is_over:
            return
        error = self.close_error = getattr(event.error, "error", None)
        self.errors = [known for known in self.errors if known is not error]  # the close says it
        shown = f"{type(error).__name__}: {error}" if error is not None else None
        self.closed = Close(reason=event.reason.value, error=shown)


def _calls_as_made(
    items: Sequence[Any], place_of: Callable[[str], tuple[int, int] | None]
) -> list[Any]:
    """Put the calls of a completion together, in the order in which the model made them.

    A tool begins while the model still writes its next call, so that where a call stands among the
    outputs is a matter of microseconds. Where no time passes at all, LiveKit's history has the
    calls in the order in which their tools were done.
    """
    began: dict[int, int] = {}
    met: set[str] = set()
    placed = []
    for index, item in enumerate(items):
        place = (index, 1, 0)
        if item.type == "function_call" and item.call_id not in met:  # a second one is an update
            met.add(item.call_id)
            if (made := place_of(item.call_id)) is not None:
                completion, number = made
                place = (began.setdefault(completion, index), 0, number)
        placed.append((place, item))
    placed.sort(key=lambda one: one[0])
    return [item for _, item in placed]


def _made_by_run(turn: Turn) -> Sequence[Any]:
    return turn.answer if turn.result is None else [event.item for event in turn.result.events]
