"""What goes wrong and nobody hears of: tasks and callbacks that raise, coroutines never awaited.

asyncio hands what a callback raised, and what ended a task that nobody can await any more, to the
loop's exception handler, which logs it; of a coroutine that was dropped Python warns. `Unheard`
stands in front of both for what a test of ours began. All of it is told when the object goes, by
reference count: nothing here collects garbage. For tasks that are still referred to at the end
there is `take_failed_tasks`. What a gather or a shield hands on, and a job that the user's own code
gives to an executor, is told as a task is; any other future is nobody's.

This is the quarantine for ``Future._log_traceback``, by which asyncio notes that nobody asked for
an exception, for its own callbacks of gathers and shields, and for
``warnings._warn_unawaited_coroutine``, which CPython calls before any filter.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import Context, ContextVar
from traceback import walk_tb
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self
from weakref import WeakKeyDictionary

from .errors import NeverAwaited
from .frames import is_users, site_of, source
from .sites import Site
from .stand_ins import StandIns
from .task_watch import TaskWatch

__all__ = ["Unheard", "forgotten_await", "origins_noted"]

_SESSION = "livekit.agents.voice."
_PARTICIPANT = "part-entry-"
"""How LiveKit's name of a task begins that is a participant entrypoint."""


class _Failure(NamedTuple):
    """What raised, and through how many frames the error came: through more once it is heard."""

    what: str
    frames: int


class Unheard:
    """The watch over what one test begins on `loop`, on duty inside of a ``with``.

    `raised` takes an exception and what raised it, `never_awaited` a coroutine that was dropped;
    what they do not want (they return False) is told as if nobody had asked.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: TaskWatch,
        *,
        raised: Callable[[BaseException, str], bool],
        never_awaited: Callable[[NeverAwaited], bool],
    ) -> None:
        self._loop: Any = loop
        self._tasks = tasks
        self._raised = raised
        self._never_awaited = never_awaited
        self._failed: WeakKeyDictionary[asyncio.Future[Any], _Failure] = WeakKeyDictionary()
        self._jobs = StandIns((loop, "run_in_executor", self._watch_jobs))
        self._depth = 0
        self._warn: Callable[[Any], None] = lambda _: None

    def __enter__(self) -> Self:
        _on_duty.set(self)
        self._tasks.failed = self._task_failed
        self._loop.call_exception_handler = self._call_exception_handler
        self._jobs.__enter__()
        module: Any = warnings
        self._warn = module._warn_unawaited_coroutine
        module._warn_unawaited_coroutine = self._warn_unawaited_coroutine
        self._depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(self._depth, 1))
        gc.callbacks.append(self._tasks.note_collection)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._tasks.note_collection)
        sys.set_coroutine_origin_tracking_depth(self._depth)
        module: Any = warnings
        module._warn_unawaited_coroutine = self._warn
        self._jobs.__exit__()
        del self._loop.call_exception_handler
        self._tasks.failed = lambda *_: None
        self._log_failed_tasks()

    def is_ours(self) -> bool:
        """Whether the code that runs just now is the test's, on its loop or anywhere else."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # between two runs of the loop, or in a thread
            return _on_duty.get() is self and not self._tasks.is_lent
        if (task := asyncio.current_task(loop)) is not None:
            return task in self._tasks.begun
        return _on_duty.get() is self

    def take_failed_tasks(self, take: Callable[[BaseException, str], bool]) -> None:
        """Offer what ended a task and nobody asked for so far; asyncio forgets what is taken."""
        for future, failure in list(self._failed.items()):
            seen: Any = future
            is_news = seen._log_traceback and _is_news(seen, failure)
            if is_news and take(seen._exception, failure.what):
                seen._log_traceback = False

    def _log_failed_tasks(self) -> None:
        """Let the loop log what was allowed to pass: with this test, not with whichever is next.

        By itself it does when the task goes: in a cycle, that is when garbage is collected.
        """
        for future in list(self._failed):
            seen: Any = future
            if seen._log_traceback:
                seen._log_traceback = False
                context = {
                    "message": f"{type(future).__name__} exception was never retrieved",
                    "exception": seen._exception,
                    "future": future,
                }
                type(self._loop).call_exception_handler(self._loop, context)

    def _task_failed(self, task: Any, made_by_user: object) -> None:
        """Look at how a task failed; of one that LiveKit made it may only have logged that."""
        error = task._exception
        self._note(task, _name(task), handed_on=bool(made_by_user))
        if made_by_user:
            task.cancel = _cancel_none
        if task.get_name().startswith(_PARTICIPANT) or (
            not made_by_user and (_session_called_user(error.__traceback__) or _is_closing(task))
        ):
            self._raised(error, _name(task))

    def _note(self, failed: Any, what: str, *, handed_on: bool) -> None:
        """Note what failed just now, and what that is handed on to, of which somebody may ask."""
        failure = _Failure(what, _frames(failed._exception))
        self._failed[failed] = failure
        for outer in self._handing_on(failed) if handed_on else ():
            self._failed[outer] = failure

    def _handing_on(self, ended: asyncio.Future[Any]) -> Iterator[asyncio.Future[Any]]:
        """Yield the gathers and shields that are about to hear how `ended` did."""
        callbacks = [
            handle._callback
            for handle in list(self._loop._ready)  # as a thread may add to it
            if handle._args and handle._args[0] is ended
        ]
        while callbacks:
            callback = callbacks.pop()
            if getattr(callback, "__module__", None) == "asyncio.tasks":
                outer = inspect.getclosurevars(callback).nonlocals.get("outer")
                if outer is not None and not outer.done():
                    yield outer
                    callbacks += [one for one, _ in outer._callbacks or ()]

    def _watch_jobs(self, run_in_executor: Callable[..., Any]) -> Callable[..., Any]:
        def ended(job: Any) -> None:
            if not job.cancelled() and job._exception is not None:
                self._note(job, "a job of an executor", handed_on=True)

        def run(*args: Any) -> Any:
            job = run_in_executor(*args)
            if is_users(sys._getframe(1).f_code.co_filename) and self.is_ours():
                job.add_done_callback(ended)
            return job

        return run

    def _call_exception_handler(self, context: dict[str, Any]) -> None:
        """Stand in for the loop's own method."""
        if not self._takes(context):
            type(self._loop).call_exception_handler(self._loop, context)

    def _takes(self, context: Mapping[str, Any]) -> bool:
        error, future = context.get("exception"), context.get("future")
        if error is None or _is_afterlife(error):
            return False
        if future is not None and (failure := self._failed.get(future)) is not None:
            return _is_news(future, failure) and self._raised(error, failure.what)
        if isinstance(future, asyncio.Task):
            # of what the garbage collector takes there is no weak reference any more
            return self._owns(future) and self._raised(error, _name(future))
        handle = context.get("handle")
        if handle is None:  # a future is nobody's, a transport's troubles are the network's
            return False
        return self._owns(handle) and self._raised(error, "a callback of the event loop")

    def _owns(self, maker: asyncio.Task[Any] | asyncio.Handle) -> bool:
        return _context_of(maker).get(_on_duty) is self

    def _warn_unawaited_coroutine(self, coroutine: Any) -> None:
        """Stand in for what CPython calls when a coroutine goes that never began.

        One that the garbage collector takes may be of any test before.
        """
        __tracebackhide__ = True
        site = _users_line(coroutine, sys._getframe(1))
        if (
            site is not None
            and not self._tasks.is_collecting
            and self.is_ours()
            and self._never_awaited(NeverAwaited(_describe(coroutine, site)))
        ):
            return
        if self._depth:
            self._warn(coroutine)
        else:  # as it does where nobody tracks origins, at the line that drops it
            told = f"coroutine '{coroutine.__qualname__}' was never awaited"
            warnings.warn(told, RuntimeWarning, stacklevel=2, source=coroutine)


class origins_noted:  # noqa: N801  (as contextlib's; that one sets what a frozen error lacks)
    """Let Python note where each coroutine is made inside, or not.

    It does in the code of the user's test, tools and hooks. LiveKit makes hundreds in a turn, and
    noting where costs a thirtieth of it. Of the user's other code, a `llm_node` for one, the line
    is known that drops a coroutine.
    """

    def __init__(self, *, noted: bool) -> None:
        self._noted = noted

    def __enter__(self) -> None:
        self._before = sys.get_coroutine_origin_tracking_depth()
        if self._before <= 1:  # deeper is a debugging user's
            sys.set_coroutine_origin_tracking_depth(int(self._noted))

    def __exit__(self, *_: object) -> None:
        sys.set_coroutine_origin_tracking_depth(self._before)


def _cancel_none(msg: object = None) -> bool:  # noqa: ARG001  (as Task.cancel has it)
    """Stand in for the ``cancel`` of a task that has failed: asyncio's takes its error for heard.

    Who cleans up, as in ``on_exit``, cancels what may have failed long ago, and asks for nothing.
    """
    return False


def forgotten_await(error: object) -> NeverAwaited | None:
    """Say of an error that it comes of a coroutine which was taken for its result."""
    made: Any = getattr(error, "obj", None)
    if not isinstance(error, AttributeError) or not inspect.iscoroutine(made):
        return None
    if inspect.getcoroutinestate(made) != inspect.CORO_CREATED or not made.cr_origin:
        return None
    path, line, _ = made.cr_origin[0]
    made.close()  # Python need not say it once more
    return NeverAwaited(_describe(made, Site(path, line))).with_traceback(error.__traceback__)


_on_duty: ContextVar[Unheard | None] = ContextVar("pytest_lkagent_unheard", default=None)


def _context_of(maker: Any) -> Context:
    """Return the context of a task or a handle, which has no name before Python 3.12."""
    return next(one for one in gc.get_referents(maker) if isinstance(one, Context))


def _is_afterlife(error: BaseException) -> bool:
    """Whether the loop woke a task that had been made to end."""
    return isinstance(error, asyncio.InvalidStateError) and "step(): already done" in str(error)


def _frames(error: BaseException) -> int:
    return sum(1 for _ in walk_tb(error.__traceback__))


def _is_news(failed: Any, failure: _Failure) -> bool:
    """Whether nobody heard of it by another way, as who awaits the task beside its shield."""
    return isinstance(failed, asyncio.Task) or _frames(failed._exception) == failure.frames


def _session_called_user(traceback: TracebackType | None) -> bool:
    """Whether it was the user's own code that raised, called by LiveKit's session."""
    by_session = False
    while traceback is not None:
        frame = traceback.tb_frame
        by_session = by_session or frame.f_globals.get("__name__", "").startswith(_SESSION)
        if by_session and is_users(frame.f_code.co_filename):
            return True
        traceback = traceback.tb_next
    return False


def _is_closing(task: asyncio.Task[Any]) -> bool:
    """Whether it is a toolset's ``aclose()``, which the session gathers without a look at it."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_name == "aclose" and is_users(code.co_filename)


def _name(task: asyncio.Task[Any]) -> str:
    coroutine: Any = task.get_coro()
    return f"the task {getattr(coroutine, '__qualname__', task.get_name())}"


def _users_line(coroutine: Any, dropping: FrameType) -> Site | None:
    """Return the line of the user's own that made a coroutine, or drops one that an AsyncMock made.

    For what a library calls and drops, where it is defined. None where it is a library's affair.
    """
    code = coroutine.cr_code
    made = [Site(path, line) for path, line, _ in (coroutine.cr_origin or ())[:1]]
    known = (*made, site_of(dropping), Site(code.co_filename, code.co_firstlineno))
    return next((site for site in known if is_users(site.path)), None)


def _describe(coroutine: Any, site: Site) -> str:
    line = source(site)
    if line.startswith(("async def ", "@")):
        return f"{coroutine.__name__}(…) was never awaited (it is defined at {site})"
    call = _call_in(line, coroutine.__name__)
    if call is None:
        return f"{coroutine.__name__}(…) was never awaited ({site}): write await in front of it"
    return f"{call} was never awaited ({site}): write await {call}"


def _call_in(line: str, name: str) -> str | None:
    """Return the call that made a coroutine as it is written, None where one line does not say."""
    try:
        calls = [node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return None
    named = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == name]
    found = named or calls
    return ast.unparse(found[0]) if len(found) == 1 else None
