"""Quarantine, for what a session is at: its speech, its tools, a hand-over, its end."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from livekit.agents import Agent, AgentSession, RunContext, llm
from livekit.agents.voice.agent_activity import ActivityClosedError, _IdleHoldContextVar
from livekit.agents.voice.tool_executor import _RunningTasks, _ToolExecutor

__all__ = [
    "hands_over_late",
    "is_closing",
    "is_cut_short",
    "is_final_output",
    "may_be_interrupted",
    "open_work",
    "refuses_as_closed",
    "refuses_as_interrupted",
    "release_run",
    "running_calls",
    "running_tools",
    "user_is_back",
    "wait_for_idle",
]


def is_closing(session: AgentSession[Any]) -> bool:
    """Whether a session closes, or has closed, whoever asked for that."""
    return session._is_closing()


async def wait_for_idle(session: AgentSession[Any]) -> None:
    """Wait until nobody speaks; a session that closes meanwhile is idle too.

    So is one in which a tool holds the floor (``ctx.foreground()``): it may do so for the user.
    """
    floor = _IdleHoldContextVar.set(True)
    try:
        with suppress(ActivityClosedError, RuntimeError):
            await session.wait_for_idle()
    finally:
        _IdleHoldContextVar.reset(floor)


async def user_is_back(session: AgentSession[Any]) -> None:
    """Let a user who was away be there again, as LiveKit's own text input does.

    ``session.run()`` does not: the user would be away for good, and go away no second time.
    """
    if session.user_state == "away":
        async with session._claim_user_turn():
            pass


def may_be_interrupted(session: AgentSession[Any]) -> bool:
    """Whether the agent lets itself be interrupted in what it says just now, if anything."""
    if session._activity is None:
        return False
    speech = session._activity.current_speech
    return speech is None or speech.allow_interruptions


def open_work(session: AgentSession[Any]) -> list[asyncio.Future[Any]]:
    """Return what may still make the session speak by itself.

    The tools that run (not those of an agent that is paused by an AgentTask: they wait for the
    user), the replies to their updates, ``on_enter`` of the current agent, a hand-over under way
    and a turn of the user that is about to end.
    """
    activity = session._activity
    if activity is None:
        return [task for task in [session._closing_task] if task is not None and not task.done()]
    work: list[Any] = [
        running.exe_task
        for running in _RunningTasks.get(session, {}).values()
        if running.executor._owning_activity in (None, activity)
    ]
    executors = [activity._tool_executor]
    for toolset in _toolsets([*session.tools, *activity.agent.tools]):
        if isinstance(executor := getattr(toolset, "_executor", None), _ToolExecutor):
            executors.append(executor)
    work += [executor._reply_task for executor in executors]
    work += [activity._on_enter_task, session._update_activity_atask, session._closing_task]
    if (recognition := activity._audio_recognition) is not None:
        work += [recognition._commit_user_turn_atask, recognition._end_of_turn_task]
    return [task for task in work if task is not None and not task.done()]


def _toolsets(tools: Iterable[Any]) -> Iterator[llm.Toolset]:
    for tool in tools:
        if isinstance(tool, llm.Toolset):
            yield tool
            yield from _toolsets(tool.tools)


def running_calls(session: AgentSession[Any]) -> frozenset[str]:
    """Return the ids of the calls whose tools are at work, those that wait for the user too."""
    return frozenset(_RunningTasks.get(session, {}))


def running_tools(session: AgentSession[Any]) -> list[asyncio.Task[Any]]:
    """Return the tools that run, none where one of them may be what closes the session."""
    if session._closing_task is not None:
        return []
    return [running.exe_task for running in _RunningTasks.get(session, {}).values()]


def release_run(session: AgentSession[Any]) -> None:
    """Forget a run that was given up, so that LiveKit takes the next one."""
    session._global_run_state = None


def is_final_output(session: AgentSession[Any], error: BaseException) -> bool:
    """Whether the current run raises `error` because an AgentTask completed with it.

    Whoever awaits that task has it too, and may well deal with it: LiveKit raises it all the same.
    """
    run: Any = session._global_run_state
    speech = run and run._RunResult__last_speech_handle
    return speech is not None and speech._maybe_run_final_output is error


def is_cut_short(session: AgentSession[Any], error: BaseException) -> bool:
    """Whether the current run raises `error` because the session closed meanwhile, as it was to."""
    run: Any = session._global_run_state
    is_runs = run is not None and run.done() and run._done_fut.exception() is error
    return is_runs and isinstance(error, RuntimeError) and str(error) == "session closed"


def refuses_as_closed(error: BaseException) -> bool:
    """Whether LiveKit itself raised `error`, at what a session that closes does not do any more."""
    if not isinstance(error, (ActivityClosedError, RuntimeError, llm.ToolError)):
        return False
    return _is_livekits(error)


def refuses_as_interrupted(error: BaseException) -> bool:
    """Whether LiveKit raised `error` in a tool whose answer was interrupted before.

    It does where the tool awaits an AgentTask then, or would disallow interruptions.
    """
    return isinstance(error, RuntimeError) and "interrupted" in str(error) and _is_livekits(error)


def _is_livekits(error: BaseException) -> bool:
    """Whether LiveKit's own code raised `error`."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and frames[-1][0].f_globals["__name__"].startswith("livekit.agents.")


def hands_over_late(output: Any, context: RunContext[Any]) -> bool:
    """Whether a tool returned an agent after an update, when LiveKit hands over no more.

    Where the answer was interrupted, LiveKit may have made that update itself.
    """
    if not context._updates or context.speech_handle.interrupted:
        return False
    given = output if isinstance(output, (tuple, list, set, frozenset)) else (output,)
    return any(isinstance(one, Agent) for one in given)
