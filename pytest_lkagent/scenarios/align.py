"""Which expectation is met by which event: an exact search, and where it came to an end.

The events of a turn are walked once, with the set of all states in which the expectations may be
by then; a state says which expectation is next. So ``...``, events that may be left out and
outputs in any order combine without a guess, and without recursion.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import EllipsisType
from typing import Any
from unittest.mock import ANY

from ..transcript import AgentHandoff, Event, FunctionCall, FunctionCallOutput, Message
from .expectations import Expectation, OutputExpectation
from .model import LlmEntry

__all__ = ["Alignment", "State", "fits"]


def fits(expectation: Expectation, event: Event) -> bool:
    """Whether the event is what is expected."""
    differences = expectation.differences(event)
    return differences is not None and next(differences, None) is None


def _tells_failure(expectation: Expectation) -> bool:
    return isinstance(expectation, OutputExpectation) and expectation.tells_failure


@dataclass(frozen=True, slots=True)
class State:
    """How far the expectations are.

    `matched` are those of the current parallel outputs that are used up already, `spent` how many
    events of each scarce kind were left out as scripted.
    """

    expectation: int = 0
    matched: frozenset[int] = frozenset()
    spent: tuple[tuple[int, int], ...] = ()


@dataclass
class Alignment:
    """The search through the events of one turn.

    Those in `failures` are outputs that only an expectation which tells a failure covers.
    `reached` says, for each expectation that came to be the next, the first and the last event
    at which it was, and the state at the first.
    """

    expectations: Sequence[Expectation | EllipsisType]
    events: Sequence[Event]
    scripted: Sequence[LlmEntry] = ()
    failures: frozenset[int] = frozenset()
    reached: dict[int, tuple[int, int, State]] = field(default_factory=dict)

    def succeeds(self) -> bool:
        """Walk the events; whether everything that is expected came, and nothing else."""
        states = {State()}
        for index in range(len(self.events)):
            states = {after for state in self._opened(states, index)
                      for after in self._consume(state, index)}  # fmt: skip
        states = set(self._opened(states, len(self.events)))
        return any(state.expectation == len(self.expectations) for state in states)

    def stuck_at(self, expectation: int) -> int:
        """Return the last event at which an expectation was the next, their number for the end."""
        _, last, state = self.reached[expectation]
        return next((k for k in self._parallel.get(last, ()) if k not in state.matched), last)

    def candidates(self, expectation: int, *, after: int | None = None) -> list[int]:
        """Return the events by which an expectation, once it was the next, could be met."""
        first, _, state = self.reached[expectation]
        start = first if after is None else after + 1
        passed = self._parallel.get(first, ()) if after is None else ()
        return sorted({*passed, *range(start, len(self.events))} - state.matched)

    def _opened(self, states: set[State], index: int) -> Iterator[State]:
        """Yield the states, and those behind each ``...``, and remember how far they are."""
        for state in states:
            while True:
                first, _, known = self.reached.get(state.expectation, (index, index, state))
                self.reached[state.expectation] = (first, index, known)
                yield state
                if not self._is_dots(state.expectation):
                    break
                state = replace(state, expectation=state.expectation + 1)

    def _consume(self, state: State, index: int) -> Iterator[State]:
        """Yield the states after an event was matched or left out."""
        group = self._parallel.get(index, ())
        done = frozenset(group) if group and index == group[-1] else frozenset()
        owed = self.failures & done
        current = state.expectation
        if self._is_skipped(state, index) or self._is_free(index):
            if owed <= state.matched:
                yield replace(state, matched=state.matched - done)
        else:
            yield from self._leave_to_script(state, index)
        if current < len(self.expectations) and not self._is_dots(current):
            for candidate in self._distinct(group, state) if group else (index,):
                if self._fits(current, candidate):
                    used = (state.matched | {candidate}) if group else state.matched
                    if owed <= used:
                        yield replace(state, expectation=current + 1, matched=used - done)

    def _leave_to_script(self, state: State, index: int) -> Iterator[State]:
        key = self._script_key(index)
        if key is None:
            return
        spent = dict(state.spent)
        if key not in self._scarce:
            yield state
        elif spent.get(key, 0) < self._scarce[key]:
            spent[key] = spent.get(key, 0) + 1
            yield replace(state, spent=tuple(sorted(spent.items())))

    def _is_dots(self, expectation: int) -> bool:
        return expectation < len(self.expectations) and self.expectations[expectation] is ...

    def _is_skipped(self, state: State, index: int) -> bool:
        """Whether ``...`` is next, and may stand for the event; one of a group is not yet known."""
        may_be = index in self._parallel or index not in self.failures
        return self._is_dots(state.expectation) and may_be

    def _is_free(self, index: int) -> bool:
        """Whether it is something the user said, or the hand-over from nobody."""
        event = self.events[index]
        return (isinstance(event, Message) and event.role == "user") or (
            isinstance(event, AgentHandoff) and event.old is None
        )

    # --- outputs of parallel calls

    @cached_property
    def _parallel(self) -> dict[int, tuple[int, ...]]:
        """The outputs whose calls were made together, for each of them."""
        batches: dict[str, int] = {}
        batch = 0
        for event in self.events:
            if isinstance(event, FunctionCall):
                batches[event.call_id] = batch
            else:
                batch += 1
        groups: dict[int, list[int]] = {}
        for index, event in enumerate(self.events):
            if isinstance(event, FunctionCallOutput) and event.call_id in batches:
                groups.setdefault(batches[event.call_id], []).append(index)
        return {k: tuple(group) for group in groups.values() if len(group) > 1 for k in group}

    def _distinct(self, group: tuple[int, ...], state: State) -> Iterator[int]:
        """Yield the unused outputs of a group, one of those that fit the same expectations."""
        seen = set()
        for index in group:
            if index not in state.matched:
                fitting = (self._fits(i, index) for i in range(len(self.expectations)))
                signature = (index in self.failures, *fitting)
                if signature not in seen:
                    seen.add(signature)
                    yield index

    @cached_property
    def _known_fits(self) -> dict[tuple[int, int], bool]:
        return {}

    def _fits(self, expectation: int, index: int) -> bool:
        known = self._known_fits
        if (expectation, index) not in known:
            expected = self.expectations[expectation]
            known[expectation, index] = isinstance(expected, EllipsisType) or (
                fits(expected, self.events[index])
                and (index not in self.failures or _tells_failure(expected))
            )
        return known[expectation, index]

    # --- events that the script has

    @cached_property
    def _script(self) -> list[Any]:
        """What the script says and calls, comparable with `_said`."""
        script: list[Any] = []
        for entry in self.scripted:
            partial = entry.fail.after if entry.fail else None
            script += [text.strip() for text in (entry.text, partial) if text is not None]
            script += [(call.name, _arguments(call.raw, call.arguments)) for call in entry.calls]
        return script

    @cached_property
    def _script_keys(self) -> list[int | None]:
        """What of the script each event is; cut-off messages share what is not said whole."""
        keys = [self._find_in_script(event) for event in self.events]
        said_whole, taken = Counter(keys), Counter(keys)
        for index, event in enumerate(self.events):
            if keys[index] is None and isinstance(event, Message) and event.interrupted:
                begins = [k for k in self._begin_like(event) if said_whole[k] < self._has(k)]
                keys[index] = min(begins, key=lambda k: taken[k] >= self._has(k), default=None)
                taken[keys[index]] += 1
        return keys

    def _script_key(self, index: int) -> int | None:
        return self._script_keys[index]

    def _find_in_script(self, event: Event) -> int | None:
        said: Any
        if isinstance(event, FunctionCall):
            said = (event.name, event.arguments)
        elif isinstance(event, Message) and event.role == "assistant":
            said = event.text.strip()
        else:
            return None
        return next((key for key, scripted in enumerate(self._script) if scripted == said), None)

    def _begin_like(self, message: Message) -> Iterator[int]:
        """Yield the texts of the script that begin like a message, each where it comes first."""
        text = message.text.strip()
        for key, said in enumerate(self._script):
            if isinstance(said, str) and said.startswith(text) and self._script.index(said) == key:
                yield key

    def _has(self, key: int) -> int:
        return self._script.count(self._script[key])

    @cached_property
    def _scarce(self) -> dict[int, int]:
        """How often the script has what came more often than that."""
        came = Counter(key for key in self._script_keys if key is not None)
        return {key: self._has(key) for key, count in came.items() if count > self._has(key)}


def _arguments(raw: str | None, arguments: Any) -> Any:
    """Return what a call's event holds: the object that was sent.

    What LiveKit makes of a text that is none, whether it repairs it or not, is its own affair.
    """
    if raw is None:
        return arguments
    try:
        sent = json.loads(raw)
    except (ValueError, RecursionError):
        return ANY
    return sent if isinstance(sent, dict) else ANY
