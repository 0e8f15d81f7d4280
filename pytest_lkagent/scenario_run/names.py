"""What the names in a scenario mean: its agent, classes, exceptions and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

from livekit.agents import Agent, AgentServer, AgentTask

from ..errors import UsageError
from ..invariants import Invariant, check_own, check_without
from ..mocks import ToolMock
from ..references import References, fixture_names
from ..scenarios.model import (
    FuzzSpec,
    LlmEntry,
    MockOutcome,
    MockSpec,
    Ref,
    Scenario,
    ScenarioTurn,
    TaskSpec,
)
from ..simulation.entrypoint import Entrypoint
from ..tools import declared_tools

__all__ = ["Names", "resolve", "resolve_classes"]


@dataclass
class Names:
    """What the names in one scenario mean, found before it is played.

    `fixtures` are those that the agent and the checks take by parameter name; `module` is the one
    that the agent or the entrypoint comes from, in which bare names are looked up first.
    """

    agent: Any = ...
    entrypoint: Entrypoint | None = None
    module: ModuleType | None = None
    classes: dict[Ref, type[Agent]] = field(default_factory=dict)
    exceptions: dict[Ref, type[Exception]] = field(default_factory=dict)
    checks: dict[Ref, Callable[..., Any]] = field(default_factory=dict)
    invariants: tuple[Invariant, ...] = ()
    userdata: Any = ...

    def taker(self, fixture: str) -> str:
        """Name what takes a fixture, for a message."""
        checks = [ref for ref, check in self.checks.items() if fixture in fixture_names(check)]
        return f"the check {checks[0]}" if checks else "the agent"

    @cached_property
    def fixtures(self) -> frozenset[str]:
        """The fixtures that the agent and the checks take."""
        functions = [*self.checks.values(), *([] if self.agent is ... else [self.agent])]
        return frozenset(name for function in functions for name in fixture_names(function))

    def tools_of(self, spec: Mapping[str, MockSpec] | TaskSpec) -> Mapping[str, MockSpec]:
        """Return the mocked tools: one that is called task, where the class is no AgentTask."""
        if isinstance(spec, Mapping):
            return spec
        owner = self.classes.get(spec.task)
        if owner is None or issubclass(owner, AgentTask) or spec.tool is None:
            return {}
        tool = spec.tool.tool.text
        return {tool: spec.tool} if tool in declared_tools(owner) else {}


def resolve(scenario: Scenario, references: References, problems: list[str]) -> Names:
    """Resolve the names of `scenario`; what cannot be resolved is a line in `problems`.

    Class names need the agent's module: a scenario whose agent comes from a fixture has them
    resolved when it is set up, by the player.
    """
    found = Names()
    with _Noting(problems):
        if scenario.agent is not None:
            found.module = references.module(scenario.agent)
            found.agent = references.resolve(scenario.agent)
            if isinstance(found.agent, AgentServer):
                raise UsageError(
                    f"{scenario.agent.place}: {scenario.agent} is an AgentServer: write "
                    f"entrypoint: {scenario.agent} in the place of agent:"
                )
            if not (isinstance(found.agent, Agent) or callable(found.agent)):
                raise UsageError(
                    f"{scenario.agent.place}: {scenario.agent} is {found.agent!r}, neither an "
                    "Agent, nor its class, nor a factory"
                )
        if (ref := scenario.entrypoint) is not None:
            found.module = references.module(ref)
            source = references.resolve(ref)
            with _Noting(problems, ref.place):
                found.entrypoint = Entrypoint.of(source, name=ref.text)
    for ref in _checks(scenario):
        with _Noting(problems):
            check = references.resolve(ref)
            if not callable(check):
                raise UsageError(f"{ref.place}: the check {ref} is not callable: {check!r}")
            found.checks[ref] = check
    if scenario.fuzz is not None:
        _resolve_fuzz(scenario.fuzz, found, references, problems)
    if found.agent is not ... or found.entrypoint is not None:
        resolve_classes(scenario, found, references, problems)
    return found


def _resolve_fuzz(
    fuzz: FuzzSpec, found: Names, references: References, problems: list[str]
) -> None:
    for ref in fuzz.without:
        with _Noting(problems):
            check_without([ref.text], where=ref.place)
    for ref in fuzz.invariants:
        with _Noting(problems):
            found.invariants += check_own([references.resolve(ref)], where=ref.place)
    if (maker := fuzz.userdata) is not None:
        with _Noting(problems):
            found.userdata = references.resolve(maker)
            if not callable(found.userdata):
                raise UsageError(
                    f"{maker.place}: userdata: {maker} is {found.userdata!r}, and is to be a class "
                    "or a factory"
                )


def resolve_classes(
    scenario: Scenario, found: Names, references: References, problems: list[str]
) -> None:
    """Resolve the class names of mocks, askers and errors, and check the mocked tools."""
    for spec in scenario.mocks.values():
        with _Noting(problems):
            owner = spec.task if not isinstance(spec, Mapping) else _owner(spec)
            if owner is not None:
                found.classes[owner] = references.agent_class(owner, found.module)
    for spec in scenario.mocks.values():
        for tool, mock in found.tools_of(spec).items():
            if mock.owner in found.classes:
                with _Noting(problems, mock.tool.place):
                    ToolMock(found.classes[mock.owner], tool)
    for entry in _entries(scenario):
        if isinstance(entry.by, Ref):
            with _Noting(problems):
                found.classes[entry.by] = references.agent_class(entry.by, found.module)
    for ref in _exceptions(scenario, found):
        with _Noting(problems):
            found.exceptions[ref] = references.exception(ref, found.module)


def _exceptions(scenario: Scenario, found: Names) -> Iterator[Ref]:
    """Walk the classes of everything that is to fail."""
    failures = [entry.fail for entry in _entries(scenario)]
    failures += [voice.fail for voice in scenario.voices]
    for turn in scenario.turns or ():
        said = turn.interjection.said if turn.interjection is not None else turn.user
        failures.append(None if said is None else said.how.get("fail"))
    yield from (fail.type for fail in failures if fail is not None and fail.type is not None)
    yield from (one.raises for one in _outcomes(scenario, found) if one.raises is not None)


class _Noting:
    """Note a UsageError as a line, behind `place` where it has none of its own."""

    def __init__(self, problems: list[str], place: str | None = None) -> None:
        self._problems = problems
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, UsageError):
            return False
        line = f"{self._place}: {error}" if self._place else str(error)
        if line not in self._problems:
            self._problems.append(line)
        return True


def _owner(spec: Mapping[str, MockSpec]) -> Ref | None:
    return next((mock.owner for mock in spec.values()), None)


def _turns(scenario: Scenario) -> Iterator[ScenarioTurn]:
    if scenario.start is not None:
        yield scenario.start
    yield from scenario.turns or ()


def _entries(scenario: Scenario) -> Iterator[LlmEntry]:
    return (entry for turn in _turns(scenario) for entry in turn.llm)


def _checks(scenario: Scenario) -> Iterator[Ref]:
    for turn in _turns(scenario):
        if turn.check is not None:
            yield turn.check
    if scenario.check is not None:
        yield scenario.check


def _outcomes(scenario: Scenario, found: Names) -> Iterator[MockOutcome]:
    for spec in scenario.mocks.values():
        for mock in found.tools_of(spec).values():
            yield mock
            yield from mock.calls or ()
