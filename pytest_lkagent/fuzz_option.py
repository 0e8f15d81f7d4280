"""``--lk-fuzz=N``: a scenario to be drawn for each agent and entrypoint that is under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import border
from .errors import UsageError
from .scenarios.model import FuzzSpec, MockOutcome, MockSpec, Scenario

if TYPE_CHECKING:
    import pytest

__all__ = ["of_agents", "refuse_vain"]

_OPTION = "--lk-fuzz="


def refuse_vain(items: Sequence[pytest.Item], examples: int) -> None:
    """Refuse a run in which the option draws nothing.

    Raises:
        UsageError: None of its scenarios is among `items`.
    """
    plays = filter(None, map(border.play_of, items))
    if not any(play.scenario.label.startswith(_OPTION) for play in plays):
        raise UsageError(
            f"{_OPTION}{examples}: nothing is drawn; it takes the agents and the entrypoints of "
            "the scenarios that are collected, and there is none: add --lk-scenarios=FILE.yaml (a "
            "test of fuzz_agent draws as often as hypothesis' profile says: --hypothesis-profile)"
        )


def of_agents(scenarios: Sequence[Scenario], examples: int) -> Iterator[Scenario]:
    """Make a scenario to be fuzzed for each agent and entrypoint of these.

    It is like the first one of it that has `fuzz`, or else like the first that is played.
    """
    chosen: dict[tuple[str, ...], Scenario] = {}
    for scenario in scenarios:
        is_played = scenario.turns is not None or scenario.is_drawn
        if not (is_played or _tested(scenario)):
            continue
        first = chosen.setdefault(_tested(scenario), scenario)
        if first.fuzz is None and scenario.fuzz is not None:
            chosen[_tested(scenario)] = scenario
    for tested, scenario in chosen.items():
        name = tested[0].replace("::", ":") if tested else "the agent under test"
        fuzz = scenario.fuzz or FuzzSpec(site=scenario.site)
        yield Scenario(
            label=f"{_OPTION}{examples} {name}",
            site=scenario.site,
            agent=scenario.agent,
            entrypoint=scenario.entrypoint,
            fuzz=replace(fuzz, examples=examples, delays={}),
            mocks={name: _always(spec) for name, spec in scenario.mocks.items()},
            userdata=scenario.userdata,
            session=scenario.session,
            session_site=scenario.session_site,
            job=scenario.job,
            judges=scenario.judges,
            now=scenario.now,
            allow=scenario.allow,
            timeout=scenario.timeout,
        )


def _tested(scenario: Scenario) -> tuple[str, ...]:
    """Return what tells one agent or entrypoint from another, nothing where none is named."""
    ref = scenario.agent or scenario.entrypoint
    return () if ref is None else (ref.text, ref.site.path)


def _always(spec: Any) -> Any:
    """Return mocks that need not be called, and give the same each time."""
    if not isinstance(spec, Mapping):
        return spec
    return {tool: _any_number(one) for tool, one in spec.items()}


def _any_number(spec: MockSpec) -> MockSpec:
    first = _parts(spec.calls[0]) if spec.calls else {}
    return replace(spec, **first, calls=None, optional=True)


def _parts(outcome: MockOutcome) -> dict[str, Any]:
    """Return what an outcome is."""
    keys = ("returns", "error", "raises", "message", "delay")
    return {key: getattr(outcome, key) for key in keys}
