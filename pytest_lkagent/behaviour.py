"""What a mock does when it is called, and the record of its calls.

Free of livekit: a mock of a tool and a mock of an AgentTask behave and remember alike.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from livekit.agents import Agent

from .binding import call_by_name
from .errors import BehaviourError, UsageError
from .sites import Site, call_site

__all__ = ["UNSET", "Behaviour", "Outcome", "Recorder"]

UNSET: Any = object()


@dataclass(frozen=True)
class Outcome:
    """What one call gives: `raises` where it is set, else `returns`, after `delay` seconds."""

    returns: Any = None
    raises: BaseException | type[BaseException] | None = None
    delay: float = 0.0


@dataclass
class _Series:
    """One outcome for each call; the source may be endless, and is read as calls come."""

    source: Iterator[Any]
    given: int = 0

    def next(self) -> Outcome | None:
        """Return what the next call gives, None where nothing is left."""
        for one in self.source:
            self.given += 1
            if isinstance(one, Outcome):
                return one
            return Outcome(raises=one) if _is_error(one) else Outcome(one)
        return None


@dataclass(frozen=True)
class Behaviour:
    """What a mock does: a function, one outcome for all calls, or one for each.

    None is a spy, which leaves it to the real tool.
    """

    effect: Callable[..., Any] | Outcome | _Series | None = None
    delay: float = field(default=0.0)

    @property
    def is_spy(self) -> bool:
        return self.effect is None

    @property
    def function(self) -> Callable[..., Any] | None:
        """The user's function, where that is what the mock does."""
        return self.effect if callable(self.effect) else None

    @classmethod
    def of(
        cls, what: str, *, returns: Any, raises: Any, effect: Any, delay: float = 0.0
    ) -> Behaviour:
        """Read the arguments of a mock.

        Raises:
            UsageError: They contradict each other, or are none that a mock could act on.
        """
        seconds: Any = delay
        if not (isinstance(seconds, (int, float)) and seconds >= 0):
            raise UsageError(f"{what}: delay= is in seconds, 0 or more, not {delay!r}")
        given = [n for n, v in (("returns", returns), ("raises", raises), ("side_effect", effect))
                 if v is not UNSET]  # fmt: skip
        if len(given) > 1:
            raise UsageError(f"{what} takes one of returns=, raises= and side_effect=, not "
                             f"{' and '.join(given)}")  # fmt: skip
        if returns is not UNSET:
            if isinstance(returns, type) and issubclass(returns, Agent):
                name = returns.__name__
                raise UsageError(
                    f"{what}: returns={name} is a class, and a hand-over is an instance: {name}()"
                )
            return cls(Outcome(returns), delay)
        if raises is not UNSET:
            return cls(Outcome(raises=_checked_error(what, raises)), delay)
        if effect is UNSET or effect is None:
            return cls(None, delay)
        return cls(_checked_effect(what, effect), delay)


def _checked_effect(what: str, effect: Any) -> Callable[..., Any] | Outcome | _Series:
    if isinstance(effect, Outcome):
        return effect
    if _is_error(effect):
        return Outcome(raises=_checked_error(what, effect))
    if callable(effect):
        return effect  # type: ignore[no-any-return]
    if isinstance(effect, Iterable) and not isinstance(effect, (str, bytes, Mapping)):
        return _Series(iter(effect))
    raise UsageError(
        f"{what}: side_effect= takes a function, an exception, or an iterable with a result "
        f"for each call, not {effect!r}"
    )


def _checked_error(what: str, error: Any) -> Any:
    if not _is_error(error):
        raise UsageError(f"{what}: raises= takes an exception, not {error!r}")
    if isinstance(error, type):
        try:
            error()
        except TypeError as problem:
            raise UsageError(f"{what}: {problem}; give an instance, such as "
                             f"{error.__name__}('taken')") from None  # fmt: skip
    return error


def _is_error(value: Any) -> bool:
    return isinstance(value, BaseException) or (
        isinstance(value, type) and issubclass(value, BaseException)
    )


class Recorder:
    """Calls by name, and the assertions of ``unittest.mock`` on them.

    Looking at the calls in any way is what tells a mock that nobody called from one of which the
    test wants exactly that.
    """

    label: str
    """What is mocked, as ``FrontDesk.book``."""

    def __init__(self, name: str, behaviour: Behaviour, *, optional: bool) -> None:
        self.name = name
        self.optional = optional
        self.written_at: Site = call_site()
        self.looked_at = False
        self.was_reached = False
        self.is_late = False
        """Whether the real one was played before this stood in its place."""
        self.told_to_raise: list[BaseException] = []
        self._behaviour = behaviour
        self._calls = mock.Mock(name=name)

    @property
    def is_spy(self) -> bool:
        """Whether the real one is what runs."""
        return self._behaviour.is_spy

    def _record(self, arguments: Mapping[str, Any]) -> None:
        self._calls(**{name: _as_it_is(given) for name, given in arguments.items()})

    def _looked(self) -> mock.Mock:
        __tracebackhide__ = True
        self.looked_at = True
        if self.is_late and not self.was_reached:
            raise UsageError(self.why_late)
        return self._calls

    @property
    def why_late(self) -> str:
        """Say that the real one was called before, of which this one knows nothing."""
        return (
            f"{self.label} is mocked ({self.written_at}) after the real one was called, and was "
            "not called since; mock it before that, and what the start calls in a fixture that is "
            "named before agent_session"
        )

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The arguments of each call by name, as the real one would have received them."""
        return [dict(call.kwargs) for call in self._looked().call_args_list]

    @property
    def call_count(self) -> int:
        return self._looked().call_count

    @property
    def called(self) -> bool:
        return self._looked().called

    def assert_called(self) -> None:
        __tracebackhide__ = True
        self._assert("assert_called")

    def assert_not_called(self) -> None:
        __tracebackhide__ = True
        self._assert("assert_not_called")

    def assert_called_once(self) -> None:
        __tracebackhide__ = True
        self._assert("assert_called_once")

    def assert_called_with(self, **arguments: Any) -> None:
        __tracebackhide__ = True
        self._assert("assert_called_with", **arguments)

    def assert_called_once_with(self, **arguments: Any) -> None:
        __tracebackhide__ = True
        self._assert("assert_called_once_with", **arguments)

    def assert_any_call(self, **arguments: Any) -> None:
        __tracebackhide__ = True
        self._assert("assert_any_call", **arguments)

    def assert_has_calls(self, calls: Sequence[Any], *, any_order: bool = False) -> None:
        """Check for several calls, each as ``unittest.mock.call(slot="2pm")``."""
        __tracebackhide__ = True
        self._assert("assert_has_calls", calls, any_order=any_order)

    def _assert(self, assertion: str, /, *given: Any, **named: Any) -> None:
        """Assert as ``unittest.mock`` does, without showing how."""
        __tracebackhide__ = True
        check = getattr(self._looked(), assertion)
        try:
            check(*given, **named)
        except AssertionError as error:
            raise error.with_traceback(None) from None

    @property
    def is_owed_a_call(self) -> bool:
        """Whether nobody called this mock, and nobody said that this is all right."""
        return not (self.optional or self.looked_at or self.was_reached)

    async def _play(self, arguments: Mapping[str, Any], context: Any = None) -> Any:
        """Record one call, and do for it what the mock was told to do."""
        __tracebackhide__ = True
        self.was_reached = True
        self._record(arguments)
        effect = self._behaviour.effect
        outcome = effect.next() if isinstance(effect, _Series) else effect  # in order of the calls
        if self._behaviour.delay:
            await asyncio.sleep(self._behaviour.delay)
        if isinstance(outcome, Outcome):
            return await self._give(outcome)
        if callable(outcome):
            result = call_by_name(outcome, arguments, context)
            return await result if inspect.isawaitable(result) else result
        assert isinstance(effect, _Series), "a spy plays nothing"
        raise BehaviourError(
            f"{self.name} was called {self._calls.call_count} times, and its mock "
            f"({self.written_at}) has {effect.given} result(s): give it one for each call"
        )

    async def _give(self, outcome: Outcome) -> Any:
        __tracebackhide__ = True
        if outcome.delay:
            await asyncio.sleep(outcome.delay)
        if outcome.raises is None:
            return outcome.returns
        error = outcome.raises() if isinstance(outcome.raises, type) else outcome.raises
        self.told_to_raise.append(error)
        raise error.with_traceback(None)


def _as_it_is(given: Any) -> Any:
    """Copy what a tool may change: lists, dicts and sets, and those inside of them."""
    if type(given) is dict:
        return {key: _as_it_is(value) for key, value in given.items()}
    if type(given) in (list, set, tuple):
        return type(given)(map(_as_it_is, given))
    return given
