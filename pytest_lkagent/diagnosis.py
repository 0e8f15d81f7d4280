"""Why a run cannot finish: which code waits, and where; and what was said until then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import FrameType, TracebackType
from typing import Any

from livekit.agents import Agent, AgentSession, AgentTask, RunContext

from . import tool_watch
from .errors import LeakedTask
from .frames import frames, is_users, nearest_users_line, site_of, source
from .known_as import is_known
from .real_work import PATIENCE
from .sites import Site
from .tasks import Stubborn, made_at
from .thread_jobs import ThreadJob
from .transcript import Event, render
from .words import Words

__all__ = [
    "Pending",
    "Standstill",
    "conversation",
    "describe_leak",
    "describe_outlasting",
    "describe_stubborn",
    "is_of_ours",
    "pending",
    "still_running",
    "up_to_user_line",
    "waiting",
]

_TOOL = "tool_exec_"
_HOOKS = {"AgentTask_on_enter": "on_enter", "AgentTask_on_exit": "on_exit"}
"""What LiveKit names the tasks in which it runs code of the user's."""

_TASKS_SHOWN = 10
_EVENTS_SHOWN = 20
_WIDTH = 160
"""How much of a failure fits on a screen: tasks, events, characters of a line."""


class _Rank(IntEnum):
    """Who is most likely to blame comes first."""

    TOOL = 0
    HOOK = 1
    TASK = 2
    TEST = 3
    AGENT_TASK = 4
    """It waits for the user, as it should."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A task that is not done: what it is in the user's words, and where it waits."""

    rank: _Rank
    what: str
    site: Site
    traceback: TracebackType | None = None
    """The way to where it waits, through the user's lines."""
    context: RunContext[Any] | None = None
    """That of the call which it answers, for a tool."""
    awaits: Agent | None = None
    """The AgentTask that it awaits."""

    @property
    def is_test(self) -> bool:
        return self.rank is _Rank.TEST

    def __str__(self) -> str:
        return _cut(f"{self.what} at {self.site}: {source(self.site)}")


def pending(
    tasks: Iterable[asyncio.Task[Any]], *, test: asyncio.Task[Any] | None = None
) -> list[Pending]:
    """Describe the tasks that run code of the user's own, tools first; `test` is the test's.

    Where there is none, the one task of a library that goes deepest.
    """
    stacks = [(task, list(frames(task.get_coro()))) for task in tasks]
    described = (_described(task, stack, is_test=task is test) for task, stack in stacks)
    found = [one for one in described if one is not None]
    if not found and (deep := [(task, stack) for task, stack in stacks if stack]):
        task, stack = max(deep, key=lambda pair: (len(pair[1]), pair[0].get_name()))
        found = [Pending(_Rank.TASK, _name(task), site_of(stack[-1]))]
    return sorted(found, key=lambda one: (one.rank, one.site.path, one.site.line, one.what))


class Standstill:
    """What stood still when the clock gave a run up last."""

    def __init__(self) -> None:
        self.stuck_on = ""
        self.pending: Sequence[Pending] = ()
        self.still_running: Sequence[str] = ()

    def look(self, tasks: set[asyncio.Task[Any]], answering: Sequence[str]) -> None:
        """Look at all that waits; `tasks` are those beside the test's, `answering` models."""
        everything = asyncio.all_tasks()
        test = next(iter(everything - tasks), None)
        self.pending = pending(everything, test=test)
        self.still_running = still_running(self.pending, answering)
        if asyncio.current_task() is not None:
            self.stuck_on = f"the event loop is blocked at {nearest_users_line()}"
        else:
            self.stuck_on = waiting(tasks) or next(
                iter(answering), "nothing of the test's own waits for anything that could come"
            )

    @property
    def where_it_waits(self) -> str:
        """Where what was given up was waiting, for a message."""
        itself = next((one for one in self.pending if one.is_test), None)
        return f"it waits at {itself.site}" if itself is not None else self.stuck_on


def waiting(tasks: Iterable[asyncio.Task[Any]], agent: Agent | None = None) -> str | None:
    """Say in one line what the tasks wait for; the code of tools before everything else.

    Who awaits an AgentTask waits for the user, unless that is the `agent` at work. None where
    nothing of the user's own waits.
    """
    found = [
        one for one in pending(tasks) if one.awaits in (None, agent) and is_users(one.site.path)
    ]
    for one in sorted(found, key=lambda one: one.awaits is None and one.rank > _Rank.HOOK):
        return f"{one.what} waits at {one.site}" if one.awaits is None else f"awaited at {one.site}"
    return None


def still_running(tasks: Sequence[Pending], answering: Sequence[str] = ()) -> list[str]:
    """Return a line for each task, as many as fit on a screen, and what models are still at."""
    if answering:  # then a library that waits, where no code of the user's does, is LiveKit for it
        tasks = [one for one in tasks if is_users(one.site.path)]
    lines = [f"    {one}" for one in tasks[:_TASKS_SHOWN]]
    if (rest := len(tasks) - _TASKS_SHOWN) > 0:
        lines.append(f"    and {rest} more")
    lines += [f"    {_cut(line)}" for line in answering]
    return ["  still running:", *lines] if lines else []


def conversation(
    session: AgentSession[Any], events: Sequence[Event], *, is_closing: bool = False
) -> list[str]:
    """Return the conversation so far, its end where it is long, and what state it is in."""
    lines = [_cut(line) for line in render(events)]
    if (rest := len(lines) - _EVENTS_SHOWN) > 0:
        lines[:rest] = [f"      {rest} events before these"]
    state = "closing" if is_closing else session.agent_state  # LiveKit goes back to the first one
    return [*lines, f"  {_agent_of(session)} is {state}, the user is {session.user_state}"]


def describe_leak(task: asyncio.Task[Any], words: Words) -> str:
    """Say of a task that outlives its test which one it is, where it waits, and what to do."""
    if is_of_ours(task):
        return f"{_name(task)} is still running at the end of the test: await it"
    waits = (one.site for one in pending([task]) if is_users(one.site.path))
    where = next((f"; it waits at {site}: {source(site)}" for site in waits), "")
    return (
        f"{_name(task)} is still running at the end of the test{where}; keep a reference to it and "
        f"cancel it in on_exit, or let it pass: {words.allow(LeakedTask.kind)}"
    )


def describe_outlasting(job: ThreadJob, words: Words) -> str:
    """Say of a job in a thread that outlasts its test which one it is, and what to do."""
    return (
        f"{job} has not ended {PATIENCE:g} s after the test, and no thread can be made to: pytest "
        "goes on without it; give its wait a timeout, or let it pass: "
        f"{words.allow(LeakedTask.kind)}"
    )


def is_of_ours(task: asyncio.Task[Any]) -> bool:
    """Whether it is a call of a fixture, such as `user_says`, and of nothing else."""
    return is_known(getattr(task.get_coro(), "__qualname__", ""))


def describe_stubborn(stubborn: Stubborn) -> str:
    """Say of a task that had to be made to end where it swallows CancelledError."""
    site, error = stubborn.site, stubborn.error
    where = "" if site is None else f", at {site}: {source(site)}"
    raised = "" if error is None else f", and then raised {type(error).__name__}: {error}"
    return (
        f"{_name(stubborn.task)} went on after it was cancelled{where}{raised}; let CancelledError "
        "through: catch Exception, or raise it again"
    )


def up_to_user_line(traceback: TracebackType | None) -> TracebackType | None:
    """Cut a traceback off behind the last line that is the user's own; None without one."""
    last = None
    entry = traceback
    while entry is not None:
        if is_users(entry.tb_frame.f_code.co_filename):
            last = entry
        entry = entry.tb_next
    if last is None:
        return None
    last.tb_next = None
    return traceback


def _described(
    task: asyncio.Task[Any], stack: Sequence[FrameType], *, is_test: bool
) -> Pending | None:
    """Describe a task by the user's lines on its stack; None where there are none."""
    users = [frame for frame in stack if is_users(frame.f_code.co_filename)]
    if not users:
        return None
    begun, site, way = users[0], site_of(users[-1]), _traceback(users)
    for awaited in map(_self, stack[stack.index(users[-1]) + 1 :]):
        if isinstance(awaited, AgentTask):
            what = f"the AgentTask {type(awaited).__name__}, which waits for the user,"
            return Pending(_Rank.AGENT_TASK, what, site, way, awaits=awaited)
    if is_test:
        return Pending(_Rank.TEST, "the test itself", site, way)
    if task.get_name().startswith(_TOOL):
        return Pending(_Rank.TOOL, _name(task), site, way, _context(stack))
    if begun is not stack[0] and isinstance(agent := _self(begun), Agent):  # LiveKit runs it
        what = f"{begun.f_code.co_name} of {type(agent).__name__}"
        return Pending(_Rank.HOOK, what, site, way)
    return Pending(_Rank.TASK, _name(task), site, way)


def _traceback(stack: Sequence[FrameType]) -> TracebackType | None:
    """Make a traceback of suspended frames, as if something were raised where they wait."""
    traceback = None
    for frame in reversed(stack):
        traceback = TracebackType(traceback, frame, max(frame.f_lasti, 0), frame.f_lineno)
    return traceback


def _name(task: asyncio.Task[Any]) -> str:
    """Name a task in the user's words: a tool, a hook, or what it runs and where it was made."""
    name = task.get_name()
    if name.startswith(_TOOL):
        return f"the tool {name.removeprefix(_TOOL)}"
    if name in _HOOKS:
        return _HOOKS[name]
    coroutine: Any = task.get_coro()
    runs = coroutine.__qualname__.rpartition("<locals>.")[2]
    made = made_at(task)
    return f"the task {runs}()" + (f" (made at {made})" if made is not None else "")


def _self(frame: FrameType) -> Any:
    return frame.f_locals.get("self")


def _context(stack: Iterable[FrameType]) -> RunContext[Any] | None:
    """Return the context of the call that a tool answers: the watch around the tool has it."""
    for frame in stack:
        if frame.f_code.co_filename == tool_watch.__file__:
            context: RunContext[Any] | None = frame.f_locals.get("context")
            return context
    return None


def _agent_of(session: AgentSession[Any]) -> str:
    try:
        return type(session.current_agent).__name__
    except RuntimeError:  # it has none yet, or no more
        return "no agent"


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
