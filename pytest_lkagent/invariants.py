"""What holds of every agent, whatever its model and its user do.

Much of it the stage finds by itself: `Findings` has what was raised and where nobody heard of it,
the tasks that were left behind and the session that closed. `Invariants` adds what only shows in
the conversation. LiveKit's own answers to a broken model (an unknown tool, arguments that do not
fit, two hand-overs at once) are no fault of the agent's.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from livekit.agents import Agent, RunContext, llm

from . import _livekit_items
from .binding import received
from .errors import (
    BehaviourError,
    LeakedTask,
    SessionClosedError,
    SessionError,
    Stuck,
    UsageError,
    did_you_mean,
    one_of,
)
from .fitting import misfits
from .frames import raised_at
from .harness import Harness
from .record import Turn
from .references import fixture_names
from .strict import BACKGROUND_ERROR, HANDLER_ERROR, HOOK_ERROR, TOOL_ERROR
from .transcript import (
    AgentHandoff,
    Event,
    FunctionCall,
    FunctionCallOutput,
    Message,
    describe_call,
)

__all__ = [
    "GIVEN",
    "INVARIANTS",
    "Invariant",
    "Invariants",
    "Violation",
    "allowed",
    "check_own",
    "check_without",
    "refused",
    "unanswered",
]

Invariant = Callable[..., Any]

_RAISES_NOTHING = "raises_nothing"
_ENDS = "ends"
_KINDS: Mapping[str, Collection[str | None]] = {
    _ENDS: (Stuck.kind,),
    _RAISES_NOTHING: (
        *(BACKGROUND_ERROR, HANDLER_ERROR, HOOK_ERROR, TOOL_ERROR),
        SessionError.kind,
    ),
    "leaks_no_task": (LeakedTask.kind,),
    "goes_on": (SessionClosedError.kind,),
}
"""The invariants that are findings of the stage, each with its kinds."""

GIVEN = ("userdata", "transcript", "agent_session")
"""What an invariant of the user's own may ask for by name: as the fixtures of these names."""

_ROLES = frozenset({"assistant", "developer", "system", "user"})


class Violation(BehaviourError):
    """An agent broke the invariant of this name."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


def check_without(names: Iterable[str], *, where: str) -> frozenset[str]:
    """Return the invariants that are switched off.

    Raises:
        UsageError: One of them is none.
    """
    __tracebackhide__ = True
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in INVARIANTS:
            raise UsageError(
                f"{where}: without names {name!r}, which is no invariant; they are "
                f"{one_of(INVARIANTS)}{did_you_mean(str(name), INVARIANTS)}"
            )
    return frozenset(names)


def check_own(invariants: Sequence[Any], *, where: str) -> tuple[Invariant, ...]:
    """Return the invariants of the user's own.

    Raises:
        UsageError: One of them cannot be called with what there is.
    """
    __tracebackhide__ = True
    for own in invariants:
        if not callable(own):
            raise UsageError(f"{where}: an invariant is a function that asserts, not {own!r}")
        for name in fixture_names(own):
            if name not in GIVEN:
                raise UsageError(
                    f"{where}: the invariant {own.__name__} takes {name!r}, and there is "
                    f"{one_of(GIVEN)}{did_you_mean(name, GIVEN)}"
                )
    return tuple(invariants)


def allowed(without: Iterable[str]) -> frozenset[str]:
    """Return the kinds of finding that pass where these invariants are switched off."""
    return frozenset(str(kind) for name in without for kind in _KINDS.get(name, ()))


class Invariants:
    """What has to hold of one session; it looks on from before its start.

    Raises:
        UsageError: An invariant of the user's own cannot be asked.
    """

    def __init__(
        self, harness: Harness, *, without: Collection[str] = (), own: Sequence[Invariant] = ()
    ) -> None:
        self._harness = harness
        self._without = without
        self._own = own
        self._asked_for: list[tuple[RunContext[Any], Agent]] = []
        self._given: dict[str, Any] = {}
        self._misfits: list[str] = []
        self._requests = 0
        harness.tools.returned = self._returned
        harness.tools.takes_any_output = True  # answers_calls says of one that it is none

    @property
    def are_settled(self) -> bool:
        """Whether nothing more can be said to the session: it has closed, or is stuck."""
        harness = self._harness
        return harness.is_stuck or not harness.has_session or harness.record.closed is not None

    def lets_pass(self, error: BaseException) -> bool:
        """Whether what a turn raised is nothing that an invariant forbids."""
        if isinstance(error, Stuck):
            return _ENDS in self._without
        if isinstance(error, UsageError):
            return False
        return self._harness.is_scripted(error) or _RAISES_NOTHING in self._without

    def calling(self, tool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Look at what a tool is called with."""
        if isinstance(tool, llm.FunctionTool):
            self._misfits += misfits(tool, received(tool, args, kwargs))

    async def check(self) -> None:
        """Look at the turn that has just ended.

        Raises:
            Violation: It broke an invariant.
            AssertionError: It broke one of the user's own.
            UsageError: One of those raised something else, or returned something.
        """
        __tracebackhide__ = True
        harness = self._harness
        harness.take_expected_errors()
        turn = harness.record.current
        for name, broken in _BROKEN.items():
            if name not in self._without:
                for message in broken(self, turn):
                    raise Violation(name, message)
        for own in self._own:
            await self._check_own(own)

    # --- the built-in ones, each yields what is wrong

    def answers_calls(self, turn: Turn) -> Iterator[str]:
        """Every call has exactly one output, which a model can read."""
        yield from unanswered(self._harness.record.history(), self._harness.running_calls)
        outputs = [one for one in turn.events if isinstance(one, FunctionCallOutput)]
        if not outputs:
            return
        times = Counter(one.call_id for one in outputs)
        for output in outputs:
            given = self._given.get(output.call_id)
            was_given = not (given is None or isinstance(given, (Agent, BaseException)))
            if output.is_error and was_given and times[output.call_id] == 1:
                yield f"{output.name} gave back what no model can read: {given!r}"

    def hands_over(self, turn: Turn) -> Iterator[str]:
        """A hand-over that a tool asks for happens, once all tools of its completion have ended."""
        if not self._asked_for:
            return
        batch_of, closed = self._batch, self._harness.record.closed
        running = {batch_of(call_id) for call_id in self._harness.running_calls}
        asked_for, self._asked_for = self._asked_for, []
        batches = Counter(batch_of(context.function_call.call_id) for context, _ in asked_for)
        entered = [new for _, new in turn.handoffs.values()]
        for context, agent in asked_for:
            call = context.function_call
            batch = batch_of(call.call_id)
            cut = context.speech_handle.interrupted or closed is not None
            if cut or any(agent is one for one in entered):
                continue
            if batch in running:
                self._asked_for.append((context, agent))
            elif batches[batch] == 1:  # of several LiveKit makes none
                yield f"{call.name} handed over to {type(agent).__name__}, which never took over"

    def goes_on(self, turn: Turn) -> Iterator[str]:
        """An agent that was asked for answers goes on to be, where no tool told it otherwise."""
        asked = len(self._harness.model.requests) > self._requests
        came = [one for one in turn.events if not isinstance(one, Message) or one.role != "user"]
        calls = (isinstance(one, FunctionCall) for one in self._harness.transcript.events)
        if turn.user is not None and not (asked or came) and self._requests and not any(calls):
            yield f"nothing comes of what the user says, and the model is not asked: {turn.user!r}"

    def valid_context(self, turn: Turn) -> Iterator[str]:
        """A provider accepts what it is sent."""
        requests = self._harness.model.requests[self._requests :]
        self._requests += len(requests)
        for request in requests:
            for message in refused(request.messages):
                yield f"{request.asker} sent its model {message}"
        agent = self._harness.session.current_agent if not self.are_settled else None
        items = agent.chat_ctx.items if agent is not None else ()
        if len({item.id for item in items}) == len(items):
            return
        for item_id, times in Counter(item.id for item in items).items():
            if times > 1:
                item = next(one for one in items if one.id == item_id)
                shown = _livekit_items.to_event(item) or item.type
                yield f"{type(agent).__name__} has the same {times} times in its context: {shown}"

    def fitting_arguments(self, turn: Turn) -> Iterator[str]:
        """Tools see only arguments of the types that they are annotated with."""
        return iter(self._misfits)

    def says_once(self, turn: Turn) -> Iterator[str]:
        """Code lets the agent say something as often as one piece of it ran, and no oftener."""
        said = Counter(
            " ".join((item.text_content or "").split())
            for item in turn.items
            if _livekit_items.is_said_by_code(item)
        )
        if not said:
            return
        ran = Counter(
            one.name if isinstance(one, FunctionCall) else one.new
            for one in turn.events
            if isinstance(one, (FunctionCall, AgentHandoff))
        )
        for text, times in said.items():
            if text and times > max(ran.values(), default=1):
                yield f"{text!r} was said {times} times"

    # --- what it looks at

    def _returned(self, context: RunContext[Any], given: Any) -> None:
        self._given[context.function_call.call_id] = given
        for one in given if isinstance(given, tuple) else (given,):
            if isinstance(one, Agent):
                self._asked_for.append((context, one))
                self._given[context.function_call.call_id] = one  # cut off, it is no output

    def _batch(self, call_id: str) -> object:
        """Return what tells the completion that a call is of."""
        place = self._harness.model.place_of(call_id)
        return call_id if place is None else place[0]

    async def _check_own(self, own: Invariant) -> None:
        __tracebackhide__ = True
        harness, name = self._harness, getattr(own, "__name__", repr(own))
        values: dict[str, Any] = {
            "userdata": harness.userdata,
            "transcript": harness.transcript,
            "agent_session": harness.session,
        }
        try:
            result = own(**{given: values[given] for given in fixture_names(own)})
            if inspect.isawaitable(result):
                result = await result
        except AssertionError:
            raise
        except Exception as error:
            raise UsageError(
                f"the invariant {name} raised {type(error).__name__}: {error} "
                f"({raised_at(error.__traceback__)}); an invariant asserts, and raises nothing else"
            ) from error
        if result is not None:
            raise UsageError(
                f"the invariant {name} returned {result!r}; an invariant asserts, and returns "
                "nothing"
            )


_BROKEN: Mapping[str, Callable[[Invariants, Turn], Iterator[str]]] = {
    "answers_calls": Invariants.answers_calls,
    "hands_over": Invariants.hands_over,
    "goes_on": Invariants.goes_on,
    "valid_context": Invariants.valid_context,
    "fitting_arguments": Invariants.fitting_arguments,
    "says_once": Invariants.says_once,
}
INVARIANTS = tuple(dict.fromkeys([*_KINDS, *_BROKEN]))
"""The names of the built-in invariants."""


def unanswered(items: Sequence[Any], running: Collection[str]) -> Iterator[str]:
    """Name the calls in a history that have no output, or several; not those still `running`.

    Ids that a model used twice tell nothing.
    """
    calls = Counter(item.call_id for item in items if item.type == "function_call")
    if not calls:
        return
    outputs = Counter(item.call_id for item in items if item.type == "function_call_output")
    for item in items:
        if item.type == "function_call" and calls[item.call_id] == 1:
            times = outputs[item.call_id]
            if times != 1 and item.call_id not in running:
                event = _livekit_items.to_event(item)
                yield f"the call {event} has {times or 'no'} output{'s' * (times > 1)}"


def refused(messages: Sequence[Event]) -> Iterator[str]:
    """Say what of a conversation a provider refuses; ids that a model used twice tell nothing."""
    calls = Counter(one.call_id for one in messages if isinstance(one, FunctionCall))
    open_calls: dict[str, FunctionCall] = {}
    for one in messages:
        if isinstance(one, FunctionCall):
            open_calls[one.call_id] = one
        elif isinstance(one, FunctionCallOutput):
            if open_calls.pop(one.call_id, None) is None and calls[one.call_id] < 2:
                yield f"an output without its call: {one}"
        elif isinstance(one, Message) and one.role not in _ROLES:
            yield f"a message of the role {one.role!r}: {one}"
    for call_id, call in open_calls.items():
        if calls[call_id] == 1:
            yield f"a call without its output: {describe_call(call.name, call.arguments)}"
