"""Checked, recording mocks of tools and of AgentTasks.

LiveKit's ``mock_tools`` looks a mock up by the agent's exact class, ignores a misspelt name and
trims arguments by position. These are found along the class hierarchy, refuse what no tool could
ever call, and bind by name.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any
from unittest import mock

from livekit.agents import Agent, AgentTask, RunContext, llm

from . import _livekit
from .errors import BehaviourError, UsageError, did_you_mean, one_of
from .sites import Site, call_site

__all__ = ["Mocks", "Outcome", "TaskMock", "ToolMock", "declared_tools", "may_add_tools"]

_UNSET: Any = object()
_CONTEXT_NAMES = {"ctx", "context", "run_context", "run_ctx"}


@dataclass(frozen=True)
class Outcome:
    """What one call gives: `raises` where it is set, else `returns`, after `delay` seconds."""

    returns: Any = None
    raises: BaseException | type[BaseException] | None = None
    delay: float = 0.0


class _Recorder:
    """Calls by name, and the assertions of ``unittest.mock`` on them.

    Looking at the calls in any way is what tells a mock that nobody called from one of which the
    test wants exactly that.
    """

    def __init__(self, name: str, behaviour: _Behaviour, *, optional: bool) -> None:
        self.name = name
        self.optional = optional
        self.written_at: Site = call_site()
        self.looked_at = False
        self.told_to_raise: list[BaseException] = []
        self._behaviour = behaviour
        self._record = mock.Mock(name=name)

    def _looked(self) -> mock.Mock:
        self.looked_at = True
        return self._record

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
        self._looked().assert_called()

    def assert_not_called(self) -> None:
        __tracebackhide__ = True
        self._looked().assert_not_called()

    def assert_called_once(self) -> None:
        __tracebackhide__ = True
        self._looked().assert_called_once()

    def assert_called_with(self, **arguments: Any) -> None:
        __tracebackhide__ = True
        self._looked().assert_called_with(**arguments)

    def assert_called_once_with(self, **arguments: Any) -> None:
        __tracebackhide__ = True
        self._looked().assert_called_once_with(**arguments)

    def assert_any_call(self, **arguments: Any) -> None:
        __tracebackhide__ = True
        self._looked().assert_any_call(**arguments)

    @property
    def is_owed_a_call(self) -> bool:
        """Whether nobody called this mock, and nobody said that this is all right."""
        return not (self.optional or self.looked_at or self._record.called)

    async def _play(self, arguments: Mapping[str, Any], context: Any = None) -> Any:
        __tracebackhide__ = True
        number = self._record.call_count
        self._record(**arguments)
        behaviour = self._behaviour
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        effect = behaviour.effect
        if isinstance(effect, Outcome):
            return await self._give(effect)
        if callable(effect):
            result = _call_by_name(effect, arguments, context)
            return await result if inspect.isawaitable(result) else result
        if number >= len(effect):
            raise BehaviourError(
                f"{self.name} was called {number + 1} times, and its mock has "
                f"{len(effect)} result(s) ({self.written_at}): give it one for each call"
            )
        return await self._give(effect[number])

    async def _give(self, outcome: Outcome) -> Any:
        __tracebackhide__ = True
        if outcome.delay:
            await asyncio.sleep(outcome.delay)
        if outcome.raises is None:
            return outcome.returns
        error = outcome.raises() if isinstance(outcome.raises, type) else outcome.raises
        self.told_to_raise.append(error)
        raise error.with_traceback(None)


class ToolMock(_Recorder):
    """A mock of one tool, made by the `mock_tool` fixture.

    With no behaviour it is a spy: the real tool runs, and its calls are recorded. Used as a
    decorator, the function is what the tool does.
    """

    def __init__(
        self,
        target: type[Agent] | llm.FunctionTool[Any, Any] | llm.RawFunctionTool[Any, Any],
        name: str | None = None,
        *,
        returns: Any = _UNSET,
        raises: Any = _UNSET,
        side_effect: Any = _UNSET,
        delay: float = 0.0,
        optional: bool = False,
    ) -> None:
        self.owner, self.tool = _owner_and_tool(target, name)
        self.tool_name: str = name or self.tool.id  # type: ignore[union-attr]
        behaviour = _Behaviour.of(
            f"mock_tool({self.label!r})", returns=returns, raises=raises, effect=side_effect,
            delay=delay,
        )  # fmt: skip
        super().__init__(self.tool_name, behaviour, optional=optional)
        self.check(self.tool)

    @property
    def label(self) -> str:
        """The mocked tool as ``FrontDesk.book``."""
        return f"{self.owner.__name__}.{self.tool_name}" if self.owner else self.tool_name

    def __call__(self, function: Callable[..., Any]) -> ToolMock:
        if not self._behaviour.is_spy:
            raise UsageError(
                f"mock_tool({self.label!r}) has a behaviour already; as a decorator it takes none"
            )
        self._behaviour = _Behaviour(effect=function, delay=self._behaviour.delay)
        self.check(self.tool)
        return self

    def fits(self, agent: Agent, tool: Any) -> int | None:
        """How near this mock is to `tool` of `agent`: 0 is its own class, None not at all."""
        if tool.id != self.tool_name:
            return None
        if self.owner is None:
            same = self.tool is not None and _function_of(tool) is _function_of(self.tool)
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
        if self.tool is None:
            self.check(tool)
        arguments = _received(tool, args, kwargs)
        if not self._behaviour.is_spy:
            return await self._play(arguments, context)
        self._record(**arguments)
        if self._behaviour.delay:
            await asyncio.sleep(self._behaviour.delay)
        return await real()

    def check(self, tool: Any) -> None:
        """Refuse a function with a parameter that the tool does not have."""
        effect = self._behaviour.effect
        if tool is not None and callable(effect):
            known = set(_parameters(tool))
            for parameter in _wanted(effect):
                if parameter not in known:
                    raise UsageError(
                        f"mock_tool({self.label!r}): its function takes {parameter!r}, and the "
                        f"tool has {one_of(known)}{did_you_mean(parameter, known)}"
                    )


class TaskMock(_Recorder):
    """A mock of an AgentTask class, made by the `mock_task` fixture.

    Awaiting a task of that class gives the result at once, without a hand-over and without a
    request. `calls` holds what each task was constructed with.
    """

    def __init__(
        self,
        task: type[AgentTask[Any]],
        *,
        returns: Any = _UNSET,
        raises: Any = _UNSET,
        side_effect: Any = _UNSET,
        optional: bool = False,
    ) -> None:
        if not (isinstance(task, type) and issubclass(task, AgentTask)):
            raise UsageError(f"mock_task() takes a subclass of AgentTask, not {task!r}")
        if returns is raises is side_effect is _UNSET:
            raise UsageError(
                f"mock_task({task.__name__}) needs a result: returns=, raises= or side_effect="
            )
        behaviour = _Behaviour.of(
            f"mock_task({task.__name__})", returns=returns, raises=raises, effect=side_effect
        )
        super().__init__(task.__name__, behaviour, optional=optional)
        self.label = task.__name__
        self._task = task
        self._arguments: dict[int, dict[str, Any]] = {}
        self._originals = {name: task.__dict__.get(name) for name in ("__init__", "__await__")}

    def install(self) -> None:
        """Put the mock in the place of the class's own construction and awaiting."""
        construct = self._task.__init__

        @functools.wraps(construct)
        def remember(task: Any, *args: Any, **kwargs: Any) -> None:
            bound = inspect.signature(construct).bind(task, *args, **kwargs)
            bound.apply_defaults()
            self._arguments.setdefault(id(task), _flat(bound, skip=1))
            construct(task, *args, **kwargs)

        self._task.__init__ = remember  # type: ignore[method-assign]
        self._task.__await__ = lambda task: self._result(task).__await__()  # type: ignore[method-assign]

    def restore(self) -> None:
        """Give the class back as it was."""
        for name, original in self._originals.items():
            if original is None:
                delattr(self._task, name)
            else:
                setattr(self._task, name, original)

    async def _result(self, task: Any) -> Any:
        return await self._play(self._arguments.pop(id(task), {}))


class Mocks:
    """The mocks of one test: found along the agent's class hierarchy, the nearest first."""

    def __init__(self) -> None:
        self._tools: list[ToolMock] = []
        self._tasks: list[TaskMock] = []

    def __iter__(self) -> Iterator[ToolMock | TaskMock]:
        yield from self._tools
        yield from self._tasks

    @property
    def tools(self) -> tuple[ToolMock, ...]:
        return tuple(self._tools)

    def add_tool(self, made: ToolMock) -> ToolMock:
        """Take a mock in; one for the same tool replaces an earlier one."""
        same = (made.owner, made.tool_name)
        self._tools = [old for old in self._tools if (old.owner, old.tool_name) != same]
        self._tools.append(made)
        return made

    def add_task(self, made: TaskMock) -> TaskMock:
        made.install()
        self._tasks.append(made)
        return made

    def restore(self) -> None:
        for made in reversed(self._tasks):
            made.restore()

    def find(self, agent: Agent, tool: Any) -> ToolMock | None:
        """Return the mock that stands for `tool` of `agent`."""
        near = [(fit, m) for m in self._tools if (fit := m.fits(agent, tool)) is not None]
        return min(near, key=lambda found: found[0])[1] if near else None

    def raised(self, error: BaseException) -> bool:
        """Whether a mock was told to raise exactly this."""
        return any(error is told for made in self for told in made.told_to_raise)


@dataclass(frozen=True)
class _Behaviour:
    """What a mock does: a function, one outcome for all calls, or one for each.

    None is a spy, which leaves it to the real tool.
    """

    effect: Callable[..., Any] | Outcome | list[Outcome] | None
    delay: float = 0.0

    @property
    def is_spy(self) -> bool:
        return self.effect is None

    @classmethod
    def of(
        cls, what: str, *, returns: Any, raises: Any, effect: Any, delay: float = 0.0
    ) -> _Behaviour:
        given = [n for n, v in (("returns", returns), ("raises", raises), ("side_effect", effect))
                 if v is not _UNSET]  # fmt: skip
        if len(given) > 1:
            raise UsageError(f"{what} takes one of returns=, raises= and side_effect=, not "
                             f"{' and '.join(given)}")  # fmt: skip
        if returns is not _UNSET:
            return cls(Outcome(returns), delay)
        if raises is not _UNSET or _is_error(effect):
            error = effect if raises is _UNSET else raises
            if not _is_error(error):
                raise UsageError(f"{what}: raises= takes an exception, not {error!r}")
            return cls(Outcome(raises=error), delay)
        if isinstance(effect, Outcome):
            return cls(effect, delay)
        if effect is _UNSET or effect is None:
            return cls(None, delay)
        if callable(effect):
            return cls(effect, delay)
        if isinstance(effect, Iterable) and not isinstance(effect, (str, bytes, Mapping)):
            return cls([_outcome(one) for one in effect], delay)
        raise UsageError(
            f"{what}: side_effect= takes a function, an exception, or an iterable with a result "
            f"for each call, not {effect!r}"
        )


def _outcome(one: Any) -> Outcome:
    if isinstance(one, Outcome):
        return one
    return Outcome(raises=one) if _is_error(one) else Outcome(one)


def _is_error(value: Any) -> bool:
    return isinstance(value, BaseException) or (
        isinstance(value, type) and issubclass(value, BaseException)
    )


def _owner_and_tool(target: Any, name: str | None) -> tuple[type[Agent] | None, Any]:
    if isinstance(target, (llm.FunctionTool, llm.RawFunctionTool)):
        if name is not None and name != target.id:
            raise UsageError(f"mock_tool({target.id!r}, {name!r}): the tool is called {target.id}")
        return None, target
    if not (isinstance(target, type) and issubclass(target, Agent)):
        raise UsageError(
            f"mock_tool() takes an Agent class and the name of a tool, or a function tool, "
            f"not {target!r}"
        )
    if not isinstance(name, str):
        raise UsageError(f"mock_tool({target.__name__}, …) needs the name of a tool: one of "
                         f"{one_of(declared_tools(target))}")  # fmt: skip
    declared = declared_tools(target)
    if name not in declared and not may_add_tools(target):
        raise UsageError(
            f"{target.__name__} has no tool {name!r}; it has {one_of(declared)}"
            f"{did_you_mean(name, declared)}"
        )
    return target, declared.get(name)


def declared_tools(agent: type[Agent]) -> dict[str, Any]:
    """Return the tools declared on the class and its bases, by name."""
    found = (getattr(agent, name, None) for name in dir(agent))
    return {
        tool.id: tool for tool in found if isinstance(tool, (llm.FunctionTool, llm.RawFunctionTool))
    }


def may_add_tools(agent: type[Agent]) -> bool:
    """Whether instances may have tools that the class does not declare.

    They may when code of the class, or of a base below LiveKit's own, names ``tools`` or
    ``update_tools``: ``super().__init__(tools=…)``, a toolset, a change at run time.
    """
    return any(
        {"tools", "update_tools"} & set(_names(code))
        for base in agent.__mro__
        if base.__module__.split(".")[0] != "livekit" and base is not object
        for code in map(_code_of, vars(base).values())
        if code is not None
    )


def _code_of(value: Any) -> CodeType | None:
    value = getattr(value, "__func__", value)
    value = inspect.unwrap(value) if callable(value) else value
    return getattr(value, "__code__", None)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, tuple):
            yield from (name for name in const if isinstance(name, str))
        elif isinstance(const, CodeType):
            yield from _names(const)


def _function_of(tool: Any) -> Any:
    return inspect.unwrap(tool)


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    origin = getattr(annotation, "__origin__", annotation)
    if isinstance(origin, type):
        return issubclass(origin, RunContext)
    return isinstance(annotation, str) and "RunContext" in annotation


def _parameters(tool: Any) -> list[str]:
    """Name the parameters that a model fills in."""
    if isinstance(tool, llm.RawFunctionTool):
        schema: Any = tool.info.raw_schema.get("parameters", {})
        return list(schema.get("properties", {}))
    parameters = list(inspect.signature(tool).parameters.values())
    return [p.name for p in parameters if not _is_context(p) and p.name != "self"]


def _received(tool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the tool would receive, by name: validated, with defaults, without context."""
    bound = inspect.signature(tool).bind(*args, **kwargs)
    bound.apply_defaults()
    values = {k: v for k, v in _flat(bound).items() if not isinstance(v, RunContext)}
    if isinstance(tool, llm.RawFunctionTool):
        return dict(values["raw_arguments"])
    return values


def _flat(bound: inspect.BoundArguments, *, skip: int = 0) -> dict[str, Any]:
    values = dict(list(bound.arguments.items())[skip:])
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            values.update(values.pop(name, {}))
    return values


def _wanted(function: Callable[..., Any]) -> list[str]:
    """Name the parameters of a mock's function that a tool has to fill."""
    parameters = _signature(function)
    return [
        p.name
        for p in parameters
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        and p.default is p.empty
        and not (_is_context(p) or p.name in _CONTEXT_NAMES)
    ]


def _signature(function: Callable[..., Any]) -> list[inspect.Parameter]:
    anything = [inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)]
    if isinstance(function, mock.NonCallableMock):
        return anything
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return anything


def _call_by_name(function: Callable[..., Any], arguments: Mapping[str, Any], context: Any) -> Any:
    """Call `function` with those of `arguments` that it names, and the context if it wants one."""
    __tracebackhide__ = True
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in _signature(function):
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= {k: v for k, v in arguments.items() if k not in named}
        elif parameter.kind is parameter.VAR_POSITIONAL:
            continue
        elif parameter.name in arguments:
            value = arguments[parameter.name]
        elif _is_context(parameter) or parameter.name in _CONTEXT_NAMES:
            value = context
        else:
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            named[parameter.name] = value
    return function(*positional, **named)
