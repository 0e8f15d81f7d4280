"""Scenario files as pytest collectors and items.

A file is a `pytest.Module` without a Python file behind it; each scenario a function on it that
goes through ``pytest_pycollect_makeitem``, so that pytest-asyncio, fixtures and every other plugin
treat it as any test.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from . import border, fuzz_option, item_options
from .errors import LoadError, UsageError, did_you_mean, one_of
from .frames import is_users
from .fuzzed_scenario import FuzzedScenario
from .options import INPROCESS
from .scenario_files import are_scenarios, labels_of
from .strict import KINDS

if TYPE_CHECKING:
    from .references import References
    from .scenario_run import Play
    from .scenarios.model import Scenario
    from .sites import Site

__all__ = ["ScenarioModule", "collect_file", "select_by_tag"]

_NO_TURNS = (
    "it has no turns: write what the user says and the model answers, such as turns: [{{user: "
    "hello, llm: [Hello.]}}], here or in a file of yours that begins with base: {file}"
)


def collect_file(path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Return a collector for `path` where it is a scenario file that this run is to play."""
    if not are_scenarios(path, parent.config):
        return None
    made: pytest.Module = ScenarioModule.from_parent(parent, path=path)
    return made


class ScenarioModule(pytest.Module):
    """A scenario file."""

    def _getobj(self) -> ModuleType:
        module = ModuleType(self.path.stem)
        module.__file__ = str(self.path)  # fixtures of the user's ask a module for it
        return module

    def istestfunction(self, obj: object, name: str) -> bool:
        return True

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Make an item of each scenario.

        Raises:
            CollectError: The file has mistakes; all of them, a line each.
        """
        from .scenarios.load import gc_paused, load

        models: dict[Any, Any] = {}
        try:
            with gc_paused():
                file = load(self.path, allow_kinds=KINDS)
                examples = border.options_of(self.config).fuzz
                drawn = fuzz_option.of_agents(file.scenarios, examples) if examples else ()
                plays = self._resolve([*file.scenarios, *drawn])
                items = [item for play in plays for item in self._items(play, models)]
                border.snapshots_of(self.config).scenarios(self.path, items)
                return self._wanted(items)
        except UsageError as error:
            raise self.CollectError(str(error)) from None

    def _wanted(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Return the items that ``--lk-scenarios=file::label`` names, all without."""
        labels = labels_of(self.path, self.config)
        if labels is None:
            return items
        names = {item: {item.name, item.name.partition("[")[0]} for item in items}
        known = set().union(*names.values())
        if unknown := sorted(labels - known):
            there = one_of(item.name for item in items)
            raise UsageError(
                f"--lk-scenarios={self.path.name}::{unknown[0]}: no scenario has this "
                f"label; the labels are {there}{did_you_mean(unknown[0], known)}"
            )
        return [item for item in items if names[item] & labels]

    def _resolve(self, scenarios: Sequence[Scenario]) -> list[Play]:
        from .scenario_run import Play, resolve

        references = border.references_of(self.config)
        problems: list[str] = []
        plays = [Play(one, resolve(one, references, problems)) for one in scenarios]
        problems += filter(None, (self._misplaced(one) for one in scenarios))
        if problems:
            raise LoadError(sorted(problems, key=_place))
        return plays

    def _misplaced(self, scenario: Scenario, target: str | None = None) -> str | None:
        """Say why a scenario cannot be played where it says, or at `target`."""
        at = target or scenario.target
        if not at or at == INPROCESS:
            return None
        from .scenarios.targets import why_not

        is_named = item_options.named_entrypoint(self.config, scenario) is not None
        found = why_not(scenario, at, entrypoint=is_named)
        if found is None:
            return None
        site, why = found
        if target is None:
            said = scenario.target_site
            return f"{site}: {scenario.label}: target: {at} ({said}) cannot play it: {why}"
        return f"--lk-target={at} cannot play it: {why} ({site})"

    def _items(self, play: Play, models: dict[Any, Any]) -> Iterator[pytest.Item]:
        name, is_drawn = play.scenario.label, play.scenario.is_drawn
        if is_drawn:
            function = _drawn(play, border.references_of(self.config))
        else:
            function = _function(play)
        function.pytestmark = marks = _marks(play.scenario)
        if not is_drawn and border.has_asyncio(self.config):
            marks.append(pytest.mark.asyncio.mark)
        target = border.options_of(self.config).target
        if target and (why := self._misplaced(play.scenario, target)):
            marks.append(pytest.mark.skip(reason=why).mark)
        setattr(self.obj, name, function)
        alike = (play.fixtures, repr(marks), is_drawn)
        for item in self._made(name, function, alike, models):
            item.stash[border.PLAY] = play
            item.extra_keyword_matches.update(play.scenario.tags.values())
            _point_at_yaml(item, self.path, play.scenario)
            yield item

    def _made(
        self, name: str, function: Any, alike: tuple[Any, ...], models: dict[Any, Any]
    ) -> list[Any]:
        """Make the items of a function; one with the fixtures and marks of another, after it.

        pytest and its plugins decide by the signature and the marks what becomes of a function.
        Where that is one plain item, the next of its kind is made like it, which takes a third of
        the time; not where a hook of the user's own may decide by the name.
        """
        model = models.get(alike)
        if model is not None:
            info = model._fixtureinfo  # noqa: SLF001  (as pytest-asyncio does for its items)
            item = type(model).from_parent(self, name=name, callobj=function, fixtureinfo=info)
            item.own_markers[:] = model.own_markers
            return [item]
        made: list[Any] = self.ihook.pytest_pycollect_makeitem(
            collector=self, name=name, obj=function
        )
        if len(made) == 1 and not hasattr(made[0], "callspec") and not self._are_looked_at():
            models[alike] = made[0]
        return made

    def _are_looked_at(self) -> bool:
        """Whether the user's own code makes items, or parametrizes them."""
        hooks = (self.ihook.pytest_pycollect_makeitem, self.ihook.pytest_generate_tests)
        impls = (impl for hook in hooks for impl in hook.get_hookimpls())
        codes = (getattr(inspect.unwrap(impl.function), "__code__", None) for impl in impls)
        return any(code is not None and is_users(code.co_filename) for code in codes)


def _drawn(play: Play, references: References) -> Any:
    """Make the test function of a scenario that is drawn; it fails where nothing can draw."""
    try:
        return FuzzedScenario(play, references).test()
    except UsageError as error:
        told = UsageError(f"{play.scenario.site}: {play.scenario.label}: {error}")
        return lambda: border.stop(told)


def _place(problem: str) -> tuple[str, tuple[int, ...]]:
    """Return where a problem stands, for an order in which one goes down the file once."""
    found = re.match(r"(.*?):(\d+):(\d+): ", problem)
    return (found[1], (int(found[2]), int(found[3]))) if found else ("", ())


def _function(play: Play) -> Any:
    """Make the test function of a scenario; pytest gives it what its signature names."""

    async def scenario(**fixtures: Any) -> None:
        __tracebackhide__ = True
        stage = fixtures.pop("_lk_bare_stage")
        harness = fixtures.pop("_lk_main")
        await play.run(stage, harness, fixtures)

    scenario.__signature__ = _signature(play.fixtures)  # type: ignore[attr-defined]
    return scenario


@lru_cache
def _signature(fixtures: frozenset[str]) -> inspect.Signature:
    names = sorted(fixtures | {"_lk_bare_stage", "_lk_main"})
    return inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names])


def _marks(scenario: Scenario) -> list[pytest.MarkDecorator | pytest.Mark]:
    marks: list[pytest.MarkDecorator | pytest.Mark] = []
    for ref in scenario.marks:
        try:
            marks.append(getattr(pytest.mark, ref.text).mark)
        except pytest.fail.Exception:  # --strict-markers
            raise UsageError(
                f"{ref.place}: the mark {ref} is not registered; add it to markers in the ini file"
            ) from None
    if scenario.xfail is not None:
        marks.append(pytest.mark.xfail(reason=scenario.xfail).mark)
    if scenario.turns is None and not scenario.is_drawn:
        file = Path(scenario.site.path).name
        marks.append(pytest.mark.skip(reason=_NO_TURNS.format(file=file)).mark)
    return marks


def _point_at_yaml(item: Any, path: Path, scenario: Scenario) -> None:
    """Let reports of `item` name the scenario's line, and its failures the line that failed."""
    line = scenario.site.line
    item.reportinfo = lambda: (path, line - 1, scenario.label)
    default = item.repr_failure

    def repr_failure(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        error = excinfo.value
        notes = getattr(error, "__notes__", ())
        if not border.is_message_only(error):
            shown = default(excinfo)
            places = (one.removeprefix("in ") for one in notes if f": {scenario.label}" in one)
            crash = getattr(shown, "reprcrash", None)
            if crash is not None and (place := next(places, None)):
                crash.message = f"{place}: {crash.message}"  # the one line of the summary
            return shown
        message = "\n".join([str(error), *notes])
        return _located(excinfo, message, getattr(error, "site", border.said_at(error, scenario)))

    item.repr_failure = repr_failure


def _located(excinfo: pytest.ExceptionInfo[BaseException], message: str, site: Site) -> Any:
    """Show the message alone, at a line of the YAML file."""
    shown: Any = excinfo.getrepr(style="value")
    traceback = shown.reprtraceback
    entry = traceback.reprentries[-1]
    traceback.reprentries = [entry]
    traceback.extraline = None
    entry.lines = message.splitlines()
    for location in (shown.reprcrash, entry.reprfileloc):
        if location is not None:
            location.path, location.lineno = site.path, site.line
            location.message = message.splitlines()[0]
    return shown


def select_by_tag(
    items: list[pytest.Item], tags: Mapping[str, frozenset[str]]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Split items into those to run and those whose scenario has other tags.

    Raises:
        UsageError: No scenario has such a tag; it names those that there are.
    """
    scenarios = {item: play.scenario for item in items if (play := border.play_of(item))}
    for key, values in tags.items():
        known = {s.tags[key] for s in scenarios.values() if key in s.tags}
        for value in values - known:
            keys = {tag for s in scenarios.values() for tag in s.tags}
            if known:
                there = f"{key} is one of {one_of(sorted(known))}{did_you_mean(value, known)}"
            elif keys:
                there = f"the tags are {one_of(sorted(keys))}{did_you_mean(key, keys)}"
            else:
                there = "none has any tags"
            raise UsageError(f"--lk-tag {key}={value}: no scenario of this run has it; {there}")
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        scenario = scenarios.get(item)
        fits = scenario is None or all(scenario.tags.get(k) in tags[k] for k in tags)
        (kept if fits else left).append(item)
    return kept, left
