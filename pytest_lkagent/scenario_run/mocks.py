"""The mocks of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, get_args, is_typeddict

from livekit.agents import Agent, AgentTask, ToolError

from ..errors import UsageError
from ..mocks import Mocks, Outcome, TaskMock, ToolMock
from ..scenarios.model import UNSET, MockOutcome, MockSpec, Scenario, TaskSpec
from .names import Names
from .steps import make_error

__all__ = ["put_mocks"]


def put_mocks(scenario: Scenario, names: Names, mocks: Mocks) -> None:
    """Put the mocks that the file asks for among those of the test."""
    for spec in scenario.mocks.values():
        tools = names.tools_of(spec)
        for tool, mock in tools.items():
            mocks.add_tool(_tool_mock(names.classes[mock.owner], tool, mock, names))
        if isinstance(spec, TaskSpec) and not tools:
            mocks.add_task(_task_mock(names.classes[spec.task], spec))


def _tool_mock(owner: type[Agent], tool: str, spec: MockSpec, names: Names) -> ToolMock:
    if spec.calls is not None:
        effect: Any = [_outcome(call, names) for call in spec.calls]
    else:
        effect = _outcome(spec, names) if spec.is_given else None
    delay = 0.0 if spec.is_given else spec.delay
    made = ToolMock(owner, tool, side_effect=effect, delay=delay, optional=spec.optional)
    made.written_at = spec.site
    return made


def _outcome(written: MockOutcome, names: Names) -> Outcome:
    if written.error is not None:
        return Outcome(raises=ToolError(written.error), delay=written.delay)
    if written.raises is not None:
        error = make_error(names.exceptions[written.raises], written.message, written.raises)
        return Outcome(raises=error, delay=written.delay)
    returned = None if written.returns is UNSET else deepcopy(written.returns)
    return Outcome(returned, delay=written.delay)


def _task_mock(owner: type[Agent], spec: TaskSpec) -> TaskMock:
    if not issubclass(owner, AgentTask):
        raise UsageError(
            f"{spec.task.place}: {owner.__name__} is no AgentTask; mock its tools by their names, "
            "as in {book: booked} or {book: {returns: [1, 2]}}"
        )
    _as_result(owner, spec)  # what cannot be made is refused now
    made = TaskMock(owner, side_effect=lambda: _as_result(owner, spec), optional=spec.optional)
    made.written_at = spec.site
    return made


def _as_result(task: type[AgentTask[Any]], spec: TaskSpec) -> Any:
    """Make the task's own result type from a mapping, such as ``GetEmailResult(…)``.

    A new one each time: the agent may change it.
    """
    returned = deepcopy(spec.returns)
    if not isinstance(returned, Mapping):
        return returned
    for result in _result_types(task):
        try:
            return result(**returned)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{spec.task.place}: {task.__name__} gives a {result.__name__}, and that cannot "
                f"be made: {error}"
            ) from None
    return returned


def _result_types(task: type[AgentTask[Any]]) -> Iterator[type]:
    """Name the class in ``AgentTask[Result]``, unless it is some kind of dict."""
    for base in getattr(task, "__orig_bases__", ()):
        for result in get_args(base):
            if isinstance(result, type) and result is not dict and not is_typeddict(result):
                yield result
