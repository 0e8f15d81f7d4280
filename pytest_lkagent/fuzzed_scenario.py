"""A scenario whose conversation is drawn, as `fuzz.agent` plays it and `fuzz.found` writes it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .scenarios.model import MockOutcome, MockSpec, Scenario
from .transcript import FunctionCall, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from .defaults import Defaults
    from .fuzz.found import Names
    from .fuzz.play import Drawn
    from .harness import Harness
    from .references import References
    from .scenario_run import Play
    from .sites import Site
    from .stage import Stage

__all__ = ["FuzzedScenario"]

_FIXTURES = ("agent", "entrypoint", "job_options", "request", "session_options", "userdata")


class FuzzedScenario:
    """A scenario whose conversation is drawn: it has `fuzz`, and no turns."""

    def __init__(self, play: Play, references: References) -> None:
        fuzz = play.scenario.fuzz
        assert fuzz is not None, "it is to be fuzzed"
        self._play = play
        self._references = references
        self._defaults: Defaults | None = None
        self.set_stage: Callable[[], Stage] | None = None
        self.conditions: Mapping[str, Any] = {}
        self.turns = fuzz.turns
        self.without = frozenset(ref.text for ref in fuzz.without)
        self.invariants = play.names.invariants
        self.name = _name(play.scenario)
        self.site: Site = play.scenario.site

    def test(self) -> Any:
        """Make the test function that plays examples of it.

        Raises:
            UsageError: hypothesis is not installed.
        """
        from .fuzz.agent import fuzz_test

        fuzz = self._play.scenario.fuzz
        assert fuzz is not None, "it is to be fuzzed"
        names = sorted({*_FIXTURES, *self._play.names.fixtures})
        return fuzz_test(self, fixtures=names, take=self._take, examples=fuzz.examples)

    def _take(self, fixtures: Mapping[str, Any]) -> None:
        """Take what the session is built from, for each example anew."""
        from . import defaults

        request, agent, entrypoint = (fixtures[one] for one in ("request", "agent", "entrypoint"))
        userdata, options = fixtures["userdata"], fixtures["session_options"]
        made = defaults.of_scenario(request, agent, entrypoint, userdata, options, ())
        self._defaults = made
        if self._play.names.userdata is not ...:  # it was made for this example
            return
        try:
            self._defaults = replace(made, userdata=copy.deepcopy(made.userdata))
        except Exception as error:  # noqa: BLE001  (whatever copying it raises)
            raise UsageError(
                f"{self.site}: the userdata cannot be copied for each example ({error}); name "
                "what makes it, as in fuzz: {userdata: desk.py:Guest}"
            ) from None

    def stage(self) -> Stage:
        assert self.set_stage is not None, "it is an item"
        from .fake.judges import script_judges

        made, stage = self._made, self.set_stage()
        script_judges(stage.model, self._play.scenario.judges)
        entrypoint = made.entrypoint
        self._play.prepare(
            stage, self._references, made.agent if entrypoint is None else entrypoint.run
        )
        stage.job.simulation = made.simulation
        if entrypoint is not None:
            stage.run_in_job(entrypoint)
        return stage

    async def session(self, stage: Stage) -> Harness:
        return await replace(self._made, start=()).session_on(stage)

    @property
    def _made(self) -> Defaults:
        assert self._defaults is not None, "an example takes the fixtures first"
        return self._defaults

    def settings(self, names: Names, drawn: Drawn) -> tuple[dict[str, str], dict[str, Any]]:
        from .fuzz.found import written_delays

        scenario, fuzz = self._play.scenario, self._play.scenario.fuzz
        assert fuzz is not None, "it is to be fuzzed"
        claimed: dict[str, Any] = {}
        if fuzz.invariants:
            claimed["invariants"] = [names.moved(ref) for ref in fuzz.invariants]
        if fuzz.without:
            claimed["without"] = [ref.text for ref in fuzz.without]
        if fuzz.userdata is not None:
            claimed["userdata"] = names.moved(fuzz.userdata)
        if delays := written_delays(drawn):
            claimed["delays"] = delays
        keys: dict[str, Any] = {"fuzz": claimed, **self.conditions}
        if scenario.history:
            keys["history"] = [_past(one) for one in scenario.history]
        mocks: dict[str, Any] = {
            owner: _words(spec) if isinstance(spec, Mapping) else {"task": spec.returns}
            for owner, spec in scenario.mocks.items()
        }
        if mocks:
            keys["mocks"] = mocks
        tested = {"agent": scenario.agent, "entrypoint": scenario.entrypoint}
        return {key: names.moved(ref) for key, ref in tested.items() if ref is not None}, keys


def _name(scenario: Scenario) -> str:
    ref = scenario.agent or scenario.entrypoint
    return ref.text.rpartition(":")[2].rpartition(".")[2] if ref is not None else "agent"


def _past(one: Any) -> dict[str, Any]:
    """Return an entry of a history as a file has it."""
    if isinstance(one, Message):
        return {one.role: one.text}
    if isinstance(one, FunctionCall):
        return {one.type: {"name": one.name, "arguments": one.arguments}}
    failed = {"is_error": True} if one.is_error else {}
    return {one.type: {"name": one.name, "output": one.output, **failed}}


def _words(tools: Mapping[str, MockSpec]) -> dict[str, Any]:
    """Return the mocks of a class as a file has them."""
    return {tool: {**_outcome(spec), "optional": True} for tool, spec in tools.items()}


def _outcome(outcome: MockOutcome) -> dict[str, Any]:
    words: dict[str, Any] = {}
    if isinstance(outcome, MockSpec) and outcome.calls is not None:
        return {"calls": [_outcome(one) for one in outcome.calls]}
    if outcome.is_given and outcome.error is None and outcome.raises is None:
        words["returns"] = outcome.returns
    for key in ("error", "message"):
        if (said := getattr(outcome, key)) is not None:
            words[key] = said
    if outcome.raises is not None:
        words["raises"] = outcome.raises.text
    if outcome.delay:
        words["delay"] = f"{outcome.delay:g}s"
    return words
