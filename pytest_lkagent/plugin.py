"""The plugin: options, markers, fixtures and hooks, each handed over to a lower floor."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from . import (
    border,
    collect,
    fixtures,
    fuzz_option,
    fuzzing,
    item_options,
    keys,
    phases,
    remote_fixtures,
    scenario_files,
    staging,
)
from .errors import BehaviourError, UsageError, one_of
from .options import (
    DEFAULT_TIMEOUT,
    TARGETS,
    Options,
    read_count,
    read_hosts,
    read_moment,
    read_seconds,
    read_tags,
    read_target,
)
from .snapshot.orphans import Account


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lkagent", "LiveKit agents")
    group.addoption(
        "--lk-scenarios",
        action="append",
        default=[],
        metavar="PATH",
        help="play the scenarios of this file, folder or glob (repeatable)",
    )
    group.addoption(
        "--lk-tag",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="play only scenarios with this tag (repeatable: all keys, any value of a key)",
    )
    group.addoption(
        "--lk-timeout",
        default=None,
        metavar="SECONDS",
        help=f"virtual seconds that a turn may take (default {DEFAULT_TIMEOUT:g})",
    )
    group.addoption(
        "--lk-real-time",
        action="store_true",
        default=False,
        help="let time pass as it does, instead of virtual time",
    )
    group.addoption(
        "--lk-target",
        default=None,
        metavar="TARGET",
        help=f"play scenarios there, skip those that cannot be: {one_of(TARGETS)}",
    )
    group.addoption(
        "--lk-fuzz",
        default=None,
        metavar="N",
        help="draw N conversations with each agent and entrypoint that a scenario file names",
    )
    group.addoption(
        "--lk-write-expect",
        action="store_true",
        default=False,
        help="write what happens into the expect: of each turn without one, if the scenario passes",
    )
    group.addoption(
        "--lk-run-export",
        default=None,
        metavar="FILE.json",
        help="write what became of each scenario, as LiveKit's SimulationRun",
    )
    parser.addini("lk_agent", "the agent of scenario files that name none", default="")
    parser.addini("lk_entrypoint", "the entrypoint of those that name neither", default="")
    parser.addini("lk_scenarios", "globs of files that are scenario files", "args", default=[])
    parser.addini("lk_timeout", "virtual seconds that a turn may take", default="")
    parser.addini("lk_now", "when virtual time begins (default 2026-06-01T09:00:00Z)", default="")
    parser.addini("lk_real_time", "as --lk-real-time", "bool", default=False)
    parser.addini(
        "lk_allow_hosts", "hosts, or host:port, that tests may connect to", "args", default=[]
    )
    parser.addini("lk_env", "further variables that hold dummy keys", "args", default=[])


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    finder = keys.ConftestFinder(early_config)
    finder.install()
    early_config.add_cleanup(finder.remove)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "lk(agent=, entrypoint=, userdata=, job=, start=, now=, timeout=, real_time=, allow=): "
        "what pytest-lkagent needs to know about a test",
    )
    # not by pytest_plugins: that looks through the metadata of all that is installed once more
    config.pluginmanager.register(fixtures, "lkagent-fixtures")
    config.pluginmanager.register(remote_fixtures, "lkagent-remote-fixtures")
    try:
        options = config.stash[border.OPTIONS] = _options(config)
        config.stash[border.SNAPSHOTS] = Account(config)
        scenario_files.add_scenarios(config, options.scenarios)
        if config.getoption("--lk-write-expect"):
            from . import rewrite

            rewrite.refuse_where_nobody_reads(config)
            config.pluginmanager.register(rewrite.Rewrite(config), "lkagent-write-expect")
        if config.getoption("--lk-run-export") is not None and border.plays(config):
            from .run_export import plugin_of

            config.pluginmanager.register(plugin_of(config), "lkagent-run-export")
        config.pluginmanager.register(_WholeRun(config), "lkagent-run")
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def _options(config: pytest.Config) -> Options:
    timeout, where = config.getoption("--lk-timeout"), "--lk-timeout"
    if timeout is None:
        timeout, where = config.getini("lk_timeout"), "lk_timeout"
    now = config.getini("lk_now")
    target = config.getoption("--lk-target")
    fuzz = config.getoption("--lk-fuzz")
    return Options(
        scenarios=tuple(config.getoption("--lk-scenarios")),
        globs=tuple(config.getini("lk_scenarios")),
        tags=read_tags(config.getoption("--lk-tag")),
        agent=config.getini("lk_agent") or None,
        entrypoint=config.getini("lk_entrypoint") or None,
        timeout=read_seconds(timeout, where=where) if timeout else DEFAULT_TIMEOUT,
        now=read_moment(now, where="lk_now") if now else None,
        real_time=config.getoption("--lk-real-time") or config.getini("lk_real_time"),
        target=read_target(target, where="--lk-target") if target is not None else None,
        fuzz=read_count(fuzz, where="--lk-fuzz") if fuzz is not None else None,
        keys=tuple(config.getini("lk_env")),
        hosts=read_hosts(config.getini("lk_allow_hosts"), where="lk_allow_hosts"),
    )


@pytest.hookimpl(wrapper=True)
def pytest_ignore_collect(
    collection_path: Path, config: pytest.Config
) -> Generator[None, bool | None, bool | None]:
    ignored = yield
    return scenario_files.is_left_out(collection_path, config, ignored=ignored)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return collect.collect_file(file_path, parent)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Import a test module again, with dummies, if all that it lacked was a provider's key."""
    with border.beside(collector):
        report = yield
        with keys.is_to_try_again(collector, report) as again:
            if again:
                return collector.ihook.pytest_make_collect_report(collector=collector)  # type: ignore[no-any-return]
    return report


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    options = border.options_of(config)
    kept, left = items, list[pytest.Item]()
    try:
        if options.fuzz and not session.testsfailed:  # what is not collected shows its own errors
            fuzz_option.refuse_vain(items, options.fuzz)
        if options.tags:
            kept, left = collect.select_by_tag(items, options.tags)
        if told := scenario_files.why_none(config):
            _warn(told)
    except UsageError as error:
        if not hasattr(config, "workerinput"):
            raise pytest.UsageError(str(error)) from None
        # xdist takes an error here for a crash of the worker
        _warn(str(error), pytest.PytestWarning)
        kept, left = [], list(items)
    if left:
        items[:] = kept
        config.hook.pytest_deselected(items=left)


def _warn(told: str, kind: type[Warning] = pytest.PytestConfigWarning) -> None:
    try:
        warnings.warn_explicit(told, kind, filename="pytest-lkagent", lineno=1)
    except kind:  # the user's filters make it one that is raised
        raise UsageError(told) from None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, Any, Any]:
    """Mark the definition of a coroutine test of ours, before pytest-asyncio looks at it."""
    if border.is_ours(metafunc) and border.is_coroutine(metafunc.function):
        border.mark_for_asyncio(metafunc.definition)
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(
    collector: pytest.Class | pytest.Module, obj: object
) -> Generator[None, Any, Any]:
    """Mark the items of coroutine tests of ours, before pytest-asyncio converts them."""
    fuzzing.ask_for_fixtures(obj)
    made = yield
    if isinstance(made, pytest.Class):
        fuzzing.refuse_machine(obj, collector)
    for item in made if isinstance(made, list) else [made]:
        if (
            isinstance(item, pytest.Function)
            and border.is_ours(item)
            and border.is_coroutine_test(item)
        ):
            border.mark_for_asyncio(item)
        if (subject := fuzzing.fuzzed(item)) is not None:
            fuzzing.point_at_user(item, subject)
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    with border.beside(item):
        if not border.is_ours(item) and fuzzing.fuzzed(item) is None:
            return (yield)
        with keys.hold_dummies(item):
            return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what a fixture of the user's did wrong at the user's line, or the YAML's."""
    __tracebackhide__ = True
    border.refuse_without_asyncio(item)
    try:
        if not border.is_ours(item):
            return (yield)
        now, real_time = item_options.time_of(item)
        with phases.setup(item, now, real_time=real_time):
            return (yield)
    except (UsageError, BehaviourError) as error:
        raise border.fixture_failure(error, "a fixture's set-up") from None
    except pytest.FixtureLookupError as error:
        if (told := border.missing_fixture(item, error)) is None:
            raise
    except Exception as error:
        if (scenario := border.scenario_of(item)) is not None:
            error.add_note(f"in {scenario.site}: {scenario.label}")
        if border.is_ours(item):
            error.with_traceback(border.users_part(error.__traceback__))
        raise
    border.stop(told)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Give the verdict when the call phase ends, so that there is one and xfail applies to it."""
    if (subject := fuzzing.fuzzed(item)) is not None:
        with fuzzing.playing(item, subject):
            try:
                return (yield)
            except Exception as error:  # noqa: BLE001  (it is raised, from the user's line)
                told = fuzzing.shown(error, subject, item)
                __tracebackhide__ = told is error or isinstance(told, BaseExceptionGroup)
                raise told from None
    if not staging.has_stage(item):
        return (yield)
    failure: BaseException | None = None
    result = None
    with phases.phase(item):
        try:
            staging.refuse_bad_start(item)
            result = yield
        except BaseException as error:  # noqa: BLE001  (the verdict raises it)
            failure = error
        verdict = staging.settle_verdict(item, failure)
    if verdict is not None:
        # a finding that nobody raised has no other line than this one
        __tracebackhide__ = verdict is failure or verdict.__traceback__ is not None
        raise verdict
    return result


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    fuzzing.show_of_machine(item, call)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what a fixture of the user's does wrong at its end as at its beginning."""
    __tracebackhide__ = True
    try:
        with phases.teardown(item):
            return (yield)
    except BehaviourError as error:
        raise border.fixture_failure(error, "a fixture's teardown") from None


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    __tracebackhide__ = True
    item = phases.current_item(request.config)
    if item is None:
        return (yield)
    with phases.fixture_setup(item, fixturedef.scope), staging.lent_to(fixturedef.argname, item):
        return (yield)


class _WholeRun:
    """What looks at the run as a whole: at the end it is known which snapshots nobody needs."""

    def __init__(self, config: pytest.Config) -> None:
        self._snapshots = border.snapshots_of(config)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._snapshots.collecting(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """See what is left out, whoever does it: not everybody says so."""
        self._snapshots.offered(items)
        return (yield)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._snapshots.collected(session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._snapshots.report(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._snapshots.hear(node)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look for snapshots that no test needs, when syrupy has written what is new."""
        self._snapshots.tell()
        self._snapshots.finish(session)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in self._snapshots.lines():
            terminalreporter.write_line(line)
