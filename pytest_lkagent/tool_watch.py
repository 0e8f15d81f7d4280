"""The watch around every tool: its mock in its place, and no exception lost.

LiveKit turns what a tool raises into an output for the model: an assertion becomes "An internal
error occurred", `pytest.fail` an empty output. Here it is kept, with the traceback that it had
inside the tool.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Mapping
from textwrap import shorten
from typing import Any

from livekit.agents import Agent, AgentSession, RunContext, StopResponse, ToolError

from . import _livekit, _livekit_work
from .errors import BehaviourError, NotAwaitable, RefusedOutput
from .frames import raised_at
from .mocks import Mocks, ToolMock
from .sites import place_of
from .slowed import Slowed
from .strict import HOOK_ERROR, TOOL_ERROR
from .swallowed import CONTROL_FLOW, Swallowed
from .tools import function_of
from .unheard import origins_noted

__all__ = ["EVERY_TOOL", "ToolWatch"]


class _Every:
    def __contains__(self, name: object) -> bool:
        return True


EVERY_TOOL: Container[str] = _Every()

_EMPTY = ("on_enter", "on_exit", "on_user_turn_completed")
"""The hooks that do nothing, and so raise nothing, in an agent which does not define them."""
_HOOKS = (*_EMPTY, "on_user_turn_exceeded")


class ToolWatch:
    """The watch around the tools of one session."""

    def __init__(self, mocks: Mocks, swallowed: Swallowed) -> None:
        self._mocks = mocks
        self._swallowed = swallowed
        self.failing: Container[str] = ()
        """Tools whose exceptions, assertions aside, are what the test expects."""
        self.failed: dict[str, str] = {}
        """What a tool that is expected to fail raised, and where, by the id of its call."""
        self.meant_to_fail: set[str] = set()
        """The calls in which a mock raised what it was told to, or a tool what is expected."""
        self.calling: Callable[
            [Agent, Any, tuple[Any, ...], Mapping[str, Any]], Callable[[], Awaitable[None]] | None
        ] = lambda *_: None
        """Called with each call of an agent's tool; gives what makes it take longer, if it does."""
        self.returned: Callable[[RunContext[Any], Any], object] = lambda *_: None
        """Called with what a tool gave back."""
        self.times_given: Callable[[str], int] = lambda _: 0
        """Called with an id; says how many calls the model made of it, 0 where nobody knows."""
        self._runs: Counter[str] = Counter()
        self.takes_any_output = False
        """Whether somebody else judges what tools give back."""
        self.is_over = False
        """Whether the session closes, so that a tool which is still at work can be refused."""

    def body(
        self,
        agent: Agent,
        tool: Any,
        context: RunContext[Any],
        user_mock: Callable[..., Any] | None,
    ) -> Callable[..., Awaitable[Any]]:
        """Return what runs in the place of `tool`: its mock, or LiveKit's own, or the tool.

        Raises:
            BehaviourError: It runs for this call already, which LiveKit refuses.
        """
        self._look_for_repeat(agent, tool, context)
        made = self._mocks.find(agent, tool)

        async def watched(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True

            async def real() -> Any:
                __tracebackhide__ = True
                if user_mock is not None:
                    return await _livekit.run_user_mock(user_mock, args, kwargs)
                return await _awaitable(tool(*args, **kwargs), f"the tool {tool.id}", tool)

            try:
                with origins_noted(noted=True):
                    pause = self.calling(agent, tool, args, kwargs)
                    body = real() if made is None else made.play(tool, context, real, args, kwargs)
                    given = await (body if pause is None else Slowed(body, pause))
            except BaseException as error:
                if is_told := self._mocks.raised(error):
                    self.meant_to_fail.add(context.function_call.call_id)
                elif self._is_stray(error):
                    self._keep_stray(
                        TOOL_ERROR, f"the tool {tool.id}", error, ", or raise ToolError"
                    )
                if is_told or isinstance(error, CONTROL_FLOW):
                    raise
                is_expected = self._swallowed.is_expected(error)
                if is_expected:
                    self.meant_to_fail.add(context.function_call.call_id)
                is_listed = tool.id in self.failing and not isinstance(error, AssertionError)
                if is_expected or is_listed:
                    site = raised_at(error.__traceback__)
                    told = f"the tool {tool.id} raised {error!r}{f' at {site}' if site else ''}"
                    self.failed[context.function_call.call_id] = told
                    self._swallowed.know(error)
                elif not (self.is_over and _livekit_work.refuses_as_closed(error)):
                    self._swallowed.keep_raised(TOOL_ERROR, error)
                raise
            self.returned(context, given)
            self._judge(given, tool, context, made)
            return given

        return watched

    def _look_for_repeat(self, agent: Agent, tool: Any, context: RunContext[Any]) -> None:
        """Keep that a tool runs oftener than it was called: an ``llm_node`` repeats itself."""
        call_id = context.function_call.call_id
        self._runs[call_id] += 1
        if not 0 < self.times_given(call_id) < self._runs[call_id]:
            return
        told = BehaviourError(
            f"the tool {tool.id}{place_of(tool)} is run again for a call that the model made once "
            f"({call_id}): llm_node of {type(agent).__name__}{place_of(type(agent).llm_node)} "
            "yields it again; yield each chunk once"
        )
        self._swallowed.keep_raised(TOOL_ERROR, told)
        if call_id in _livekit_work.running_calls(context.session):
            raise told

    def _judge(
        self, given: Any, tool: Any, context: RunContext[Any], made: ToolMock | None
    ) -> None:
        """Keep that LiveKit refuses what a tool returned, of which it tells the model alone."""
        refusal = _refusal(given, context)
        if refusal is None or self.takes_any_output:
            return
        who = f"the tool {tool.id}{place_of(tool)}"
        if made is not None and not made.is_spy:
            who = f"the mock of {made.label} ({made.written_at})"
        shown = shorten(repr(given), 80, placeholder=" …")
        told = f"{who} returned {shown} ({type(given).__name__})"
        if tool.id in self.failing:
            self.failed[context.function_call.call_id] = told
            return
        self._swallowed.keep_raised(TOOL_ERROR, RefusedOutput(told + refusal))

    def watch_hooks(self, agent: Agent, session: AgentSession[Any]) -> None:
        """Stand around what LiveKit calls on an agent, and whose exceptions it only logs."""
        for name in _HOOKS:
            is_empty = name in _EMPTY and getattr(type(agent), name) is getattr(Agent, name)
            if name not in vars(agent) and not is_empty:
                setattr(agent, name, self._hook(agent, name, session))

    def _hook(self, agent: Agent, name: str, session: AgentSession[Any]) -> Callable[..., Any]:
        hook: Callable[..., Awaitable[None]] = getattr(agent, name)

        @functools.wraps(hook)
        async def watched(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            try:
                with origins_noted(noted=True):
                    await _awaitable(
                        hook(*args, **kwargs), f"{name} of {type(agent).__name__}", hook
                    )
            except BaseException as error:
                if self._is_stray(error):
                    self._keep_stray(HOOK_ERROR, f"{name} of {type(agent).__name__}", error)
                elif not _is_meant(error, name, session):
                    self._swallowed.keep_raised(HOOK_ERROR, error)
                if (task := asyncio.current_task()) is not None:
                    task.add_done_callback(_retrieve)  # asyncio need not report it once more
                raise

        return watched

    def _is_stray(self, error: BaseException) -> bool:
        """Whether it is a CancelledError of something that was awaited: nobody cancels the task.

        The clock has one of its own, which cuts off who goes on without giving the loop a turn.
        """
        task = asyncio.current_task()
        is_cancelled = task is None or task.cancelling() > 0 or self.is_over
        return type(error) is asyncio.CancelledError and not is_cancelled

    def _keep_stray(self, kind: str, who: str, error: BaseException, instead: str = "") -> None:
        site = raised_at(error.__traceback__)
        told = BehaviourError(
            f"{who} raised CancelledError{f' ({site})' if site else ''}, and nobody cancelled it: "
            "LiveKit takes it for cancelled, and the agent says nothing about it; catch "
            f"it{instead}"
        )
        self._swallowed.keep_raised(kind, told.with_traceback(error.__traceback__))


def _is_meant(error: BaseException, hook: str, session: AgentSession[Any]) -> bool:
    """Whether LiveKit means a hook to raise `error`: what ends tools is no answer there."""
    if isinstance(error, ToolError):  # of an AgentTask that the end of the session calls off
        return _livekit_work.is_closing(session) and _livekit_work.refuses_as_closed(error)
    if isinstance(error, StopResponse):
        return hook == "on_user_turn_completed"
    return isinstance(error, asyncio.CancelledError)


def _refusal(given: Any, context: RunContext[Any]) -> str | None:
    """Say why LiveKit does nothing with what a tool returned, and what to do about it."""
    if _livekit_work.hands_over_late(given, context):
        return (
            " after ctx.update(), when LiveKit hands over no more; return it without an update, "
            "or give it to session.update_agent()"
        )
    read = _livekit.refusal_of(given, context.function_call)
    if read is None:
        return None
    return (
        f", which LiveKit does not take: the model reads {read!r}; return text, numbers, or lists "
        "and dicts of these, beside one agent at most"
    )


def _awaitable(made: Any, what: str, function: Any) -> Awaitable[Any]:
    """Return what a tool or a hook made.

    Raises:
        NotAwaitable: It is not a coroutine function, and LiveKit awaits whatever it returns.
    """
    if inspect.isawaitable(made):
        return made
    name = getattr(function_of(function), "__name__", "it")
    raise NotAwaitable(
        f"{what}{place_of(function)} returned {made!r}, and LiveKit awaits it: write async def "
        f"{name}"
    )


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
