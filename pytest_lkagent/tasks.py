"""The ending of tasks: no task outlives the test that began it, whatever it does about that.

Cancelling is a request. A task may swallow it, once or for ever; tasks that wait for each other
in a circle cannot even be asked (asyncio recurses). At a closing loop, asyncio itself would wait
for such a task for ever. So `end` asks a few times, and then makes it end.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from .frames import frames, is_users, nearest_users_line, site_of
from .sites import Site

__all__ = ["Stubborn", "TestOver", "ask", "end", "made_at", "note_maker", "patiently"]

_REQUESTS = 3
"""How often a task is asked to end."""
_THROWS = 10
"""How many exceptions a coroutine gets that goes on after each."""
_ROUNDS = 5
"""How often to look for tasks that were begun while others ended."""
_TURNS = 10
"""Turns of the loop in which what waited for a task hears of its end."""


class TestOver(BaseException):
    """Ends a coroutine that swallows CancelledError, at the line on which it waits."""

    __test__ = False  # no test class, whatever pytest thinks of its name


@dataclass(frozen=True, slots=True)
class Stubborn:
    """A task that was asked to end and did not.

    `site` is the user's line on which it waited after it had swallowed the last request, None
    where no code of the user's was under way; `error` is what it raised when it was made to end.
    """

    task: asyncio.Task[Any]
    site: Site | None
    error: BaseException | None = None


async def end(
    tasks: Iterable[asyncio.Task[Any]],
    *,
    take_halt: Callable[[], str | None] = lambda: None,
    within: float = 1.0,
) -> list[Stubborn]:
    """Cancel `tasks` and see to it that they end; return those that had to be made to.

    Each has `within` seconds after each of a few requests, for what it has to clean up. Where
    `tasks` grows meanwhile, what is new ends as well; the running task is left alone. `take_halt`
    says whether it was the clock that cancelled us: a task runs in circles then.
    """
    stubborn: list[Stubborn] = []
    with _unsurprised():
        for _ in range(_ROUNDS):
            if not (left := _pending(tasks)):
                break
            for _ in range(_REQUESTS):
                ask(left)
                if not (left := _pending(left)):
                    break
                patient = await patiently(asyncio.wait(left, timeout=within), take_halt)
                left = _pending(left)
                if not patient:
                    break
            stubborn += [Stubborn(task, _users_line(task), _make_end(task)) for task in left]
            for _ in range(_TURNS):
                await asyncio.sleep(0)
    return stubborn


async def patiently(awaitable: Awaitable[Any], take_halt: Callable[[], str | None]) -> bool:
    """Await; return False where the clock cancelled us instead, since that would never end."""
    try:
        await awaitable
    except asyncio.CancelledError:
        if take_halt() is None:
            raise
        current = asyncio.current_task()
        assert current is not None, "this runs in a task"
        current.uncancel()
        return False
    return True


def ask(tasks: Iterable[Any], message: str | None = None) -> None:
    """Request each to end; where tasks wait for each other in a circle, open it."""
    circle = [task for task in tasks if not _cancel(task, message)]
    while circle:
        opened, *rest = circle
        _make_end(opened, asyncio.CancelledError())
        circle = [task for task in rest if not _cancel(task)]


_makers: WeakKeyDictionary[asyncio.Task[Any], Site] = WeakKeyDictionary()


def note_maker(task: asyncio.Task[Any]) -> None:
    """Remember which line of the user's own is making `task`."""
    if (site := nearest_users_line()) is not None:
        _makers[task] = site


def made_at(task: asyncio.Task[Any]) -> Site | None:
    """Return the line that made `task`, None where it is not known or not the user's."""
    return _makers.get(task)


def _pending(tasks: Iterable[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    current = asyncio.current_task()
    return [task for task in tasks if not task.done() and task is not current]


def _cancel(task: asyncio.Task[Any], message: str | None = None) -> bool:
    """Cancel `task`; return whether that could be done at all."""
    try:
        task.cancel(message)
    except RecursionError:
        return False
    return True


def _users_line(task: asyncio.Task[Any]) -> Site | None:
    users = [one for one in frames(task.get_coro()) if is_users(one.f_code.co_filename)]
    return site_of(users[-1]) if users else None


def _make_end(task: asyncio.Task[Any], *first: asyncio.CancelledError) -> BaseException | None:
    """End `task` at the line on which it waits; return what it raised there instead."""
    raised = _throw(task, first)
    _cancel(task)  # what the loop would wake it by is used up now, and not in the next test
    super(asyncio.Task, task).cancel()  # as a mere Future, which cannot refuse
    return raised


def _throw(
    task: asyncio.Task[Any], first: Iterable[asyncio.CancelledError]
) -> BaseException | None:
    coroutine: Any = task.get_coro()
    context = _context_of(task)
    for over in [*first, *(TestOver("the test is over") for _ in range(_THROWS))]:
        try:
            context.run(coroutine.throw, over)
        except (StopIteration, asyncio.CancelledError, TestOver):
            return None
        except BaseException as error:  # noqa: BLE001  (what its clean-up raised is told)
            return error
    _never_collect(coroutine)
    return None


def _never_collect(coroutine: Any) -> None:
    """Leave a coroutine that no exception ends as it is, to the end of the process and beyond.

    Python would throw one more into it when it collects it. With no loop running any ``await``
    fails at once, so that what goes on after everything would go on for ever, in the collector.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))


def _context_of(task: asyncio.Task[Any]) -> Context:
    """Return the context of `task`: what it set there it may reset only there."""
    # Task.get_context came with Python 3.12
    return next(one for one in gc.get_referents(task) if isinstance(one, Context))


@contextmanager
def _unsurprised() -> Iterator[None]:
    """Let the loop not report that it woke a task which had been made to end."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, asyncio.InvalidStateError) and "step(): already done" in str(error):
            return
        (before or type(loop).default_exception_handler)(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)
