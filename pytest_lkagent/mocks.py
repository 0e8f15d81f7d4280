"""Checked, recording mocks of tools and of AgentTasks.

LiveKit's ``mock_tools`` looks a mock up by the agent's exact class, ignores a misspelt name and
trims arguments by position. These are found along the class hierarchy, refuse what no tool could
ever call, and bind by name.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from livekit.agents import Agent, AgentTask, RunContext, llm

from .behaviour import UNSET, Behaviour, Recorder
from .behaviour import Outcome as Outcome  # what a scenario's mock gives, beside the mocks
from .binding import check_wanted, named, names_of, parameters_of, received
from .errors import UsageError, one_of
from .tools import declared_tools, function_of, is_tool, tool_of

__all__ = ["Mocks", "TaskMock", "ToolMock"]


class ToolMock(Recorder):
    """A mock of one tool, made by the `mock_tool` fixture.

    With no behaviour it is a spy: the real tool runs, and its calls are recorded. Used as a
    decorator, the function is what the tool does.
    """

    def __init__(
        self,
        target: type[Agent] | llm.FunctionTool[Any, Any] | llm.RawFunctionTool[Any, Any],
        name: str | None = None,
        *,
        returns: Any = UNSET,
        raises: Any = UNSET,
        side_effect: Any = UNSET,
        delay: float = 0.0,
        optional: bool = False,
    ) -> None:
        __tracebackhide__ = True
        self.owner, self.tool = _owner_and_tool(target, name)
        self.tool_name: str = name or self.tool.id
        self.label = f"{self.owner.__name__}.{self.tool_name}" if self.owner else self.tool_name
        behaviour = Behaviour.of(
            f"mock_tool({self.label!r})",
            returns=returns,
            raises=raises,
            effect=side_effect,
            delay=delay,
        )
        super().__init__(self.tool_name, behaviour, optional=optional)
        self.check(self.tool)

    @property
    def target(self) -> tuple[object, str]:
        """What it is a mock of: a tool of a class, or a function; two of these may share a name."""
        return self.owner or function_of(self.tool), self.tool_name

    def __call__(self, function: Callable[..., Any]) -> ToolMock:
        if not self._behaviour.is_spy:
            raise UsageError(
                f"mock_tool({self.label!r}) has a behaviour already; as a decorator it takes none"
            )
        if not callable(function):
            raise UsageError(f"mock_tool({self.label!r}) decorates a function, not {function!r}")
        self._behaviour = Behaviour(function, self._behaviour.delay)
        self.check(self.tool)
        return self

    def fits(self, agent: Agent, tool: Any) -> int | None:
        """How near this mock is to `tool` of `agent`: 0 is its own class, None not at all."""
        if tool.id != self.tool_name:
            return None
        if self.owner is None:
            same = function_of(tool) is function_of(self.tool)
            return len(type(agent).__mro__) if same else None
        return type(agent).__mro__.index(self.owner) if isinstance(agent, self.owner) else None

    async def play(
        self,
        tool: Any,
        context: RunContext[Any],
        real: Callable[[], Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Answer one call of `tool`; a spy awaits `real`."""
        __tracebackhide__ = True
        self.was_reached = True
        self.check(tool)
        arguments = received(tool, args, kwargs)
        if not self._behaviour.is_spy:
            return await self._play(arguments, context)
        self._record(arguments)
        if self._behaviour.delay:
            await asyncio.sleep(self._behaviour.delay)
        return await real()

    def check(self, tool: Any) -> None:
        """Refuse a function with a parameter that the tool does not have."""
        if tool is not None and (function := self._behaviour.function) is not None:
            what = f"mock_tool({self.label!r})"
            check_wanted(function, parameters_of(tool), what=what, has="the tool has")


class TaskMock(Recorder):
    """A mock of an AgentTask class, made by the `mock_task` fixture.

    Awaiting a task of that class gives the result at once, without a hand-over and without a
    request. `calls` holds what each task was constructed with.
    """

    def __init__(
        self,
        task: type[AgentTask[Any]],
        *,
        returns: Any = UNSET,
        raises: Any = UNSET,
        side_effect: Any = UNSET,
        optional: bool = False,
    ) -> None:
        target: Any = task
        if not (isinstance(target, type) and issubclass(target, AgentTask)):
            raise UsageError(f"mock_task() takes a subclass of AgentTask, not {target!r}")
        what = f"mock_task({task.__name__})"
        behaviour = Behaviour.of(what, returns=returns, raises=raises, effect=side_effect)
        if behaviour.is_spy:
            raise UsageError(f"{what} needs a result: returns=, raises= or side_effect=")
        super().__init__(task.__name__, behaviour, optional=optional)
        if behaviour.function is not None:
            known = names_of(task)
            check_wanted(behaviour.function, known, what=what, has="the task is constructed with")
        self.label = task.__name__
        self.task = task
        self._arguments: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
        self._replaced: dict[str, Any] = {}

    def install(self) -> None:
        """Put the mock in the place of the class's own construction and awaiting."""
        construct: Any = self.task.__init__

        @functools.wraps(construct)
        def remember(task: Any, *args: Any, **kwargs: Any) -> None:
            self._arguments[task] = _constructed_with(construct, task, args, kwargs)
            construct(task, *args, **kwargs)

        def give_result(task: Any) -> Any:
            return self._play(self._arguments.get(task, {})).__await__()

        for name, stand_in in (("__init__", remember), ("__await__", give_result)):
            self._replaced[name] = vars(self.task).get(name, UNSET)
            setattr(self.task, name, stand_in)

    def restore(self) -> None:
        """Give the class back as it was."""
        for name, original in self._replaced.items():
            if original is UNSET:
                delattr(self.task, name)
            else:
                setattr(self.task, name, original)
        self._replaced.clear()


class Mocks:
    """The mocks of one test: found along the agent's class hierarchy, the nearest first."""

    def __init__(self) -> None:
        self._tools: list[ToolMock] = []
        self._tasks: list[TaskMock] = []
        self._real: dict[tuple[type[Agent], str], tuple[Agent, Any]] = {}
        """The tools that were called and no mock stood for, one of each agent class."""
        self._begun: set[type[Agent]] = set()

    def __iter__(self) -> Iterator[ToolMock | TaskMock]:
        yield from self._tools
        yield from self._tasks

    @property
    def tools(self) -> tuple[ToolMock, ...]:
        return tuple(self._tools)

    def add_tool(self, made: ToolMock) -> ToolMock:
        """Take a mock in; one for the same tool replaces an earlier one."""
        self._tools = [*(old for old in self._tools if old.target != made.target), made]
        made.is_late = any(
            made.fits(agent, tool) is not None for agent, tool in self._real.values()
        )
        return made

    def add_task(self, made: TaskMock) -> TaskMock:
        """Take a mock in and install it; one for the same class replaces an earlier one."""
        self.restore()
        self._tasks = [*(old for old in self._tasks if old.task is not made.task), made]
        made.is_late = any(issubclass(kind, made.task) for kind in self._begun)
        for task in self._tasks:
            task.install()
        return made

    def restore(self) -> None:
        """Give all classes back, the last one changed first."""
        for made in reversed(self._tasks):
            made.restore()

    def find(self, agent: Agent, tool: Any) -> ToolMock | None:
        """Return the mock that stands for `tool` of `agent`, which is called."""
        near = [(fit, m) for m in self._tools if (fit := m.fits(agent, tool)) is not None]
        if not near:
            self._real.setdefault((type(agent), tool.id), (agent, tool))
            return None
        return min(near, key=lambda found: found[0])[1]

    def begins(self, agent: Agent) -> None:
        """Note that an agent begins, which no mock stands for."""
        self._begun.add(type(agent))

    def raised(self, error: BaseException) -> bool:
        """Whether a mock was told to raise exactly this."""
        return any(error is told for made in self for told in made.told_to_raise)


def _owner_and_tool(target: Any, name: str | None) -> tuple[type[Agent] | None, Any]:
    __tracebackhide__ = True
    if is_tool(target):
        if name is not None and name != target.id:
            raise UsageError(f"mock_tool({target.id!r}, {name!r}): the tool is called {target.id}")
        return None, target
    if not (isinstance(target, type) and issubclass(target, Agent)):
        raise UsageError(
            f"mock_tool() takes an Agent class and the name of a tool, or a function tool, "
            f"not {target!r}"
        )
    if not isinstance(name, str) or not name:
        raise UsageError(f"mock_tool({target.__name__}, …) needs the name of a tool: one of "
                         f"{one_of(declared_tools(target))}")  # fmt: skip
    return target, tool_of(target, name)


def _constructed_with(
    construct: Any, task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        bound = inspect.signature(construct).bind(task, *args, **kwargs)
    except TypeError:  # which the constructor itself says better, in a moment
        return {}
    bound.apply_defaults()
    return named(bound, skip=1)
