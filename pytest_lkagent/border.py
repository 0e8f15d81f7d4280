"""The border: where pytest ends and the engine begins.

Our exceptions become pytest's here, markers and ini values become `Options`, and everything that
belongs to one test hangs on ``item.stash``.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakSet

import pytest

from .environment import Dummies
from .errors import BehaviourError, NeverAwaited, Stuck, UsageError
from .frames import is_users
from .keys import set_dummies
from .known_as import with_near_argument
from .options import (
    DEFAULT_NOW,
    INPROCESS,
    JobOptions,
    Options,
    read_job,
    read_marker,
    read_moment,
    read_seconds,
)
from .phases import wall_clock_of
from .sites import Site
from .strict import check_allowed

if TYPE_CHECKING:
    from .references import References
    from .scenario_run import Play
    from .scenarios.model import Ref, Scenario
    from .snapshot.orphans import Account
    from .stage import Stage

__all__ = [
    "OPTIONS",
    "PLAY",
    "SNAPSHOTS",
    "USERDATA_IS_SEEN",
    "beside",
    "bounds_of",
    "entrypoint_of",
    "fixture_failure",
    "from_the_users_line",
    "has_asyncio",
    "has_stage",
    "is_ci",
    "is_coroutine",
    "is_coroutine_test",
    "is_message_only",
    "is_ours",
    "job_of",
    "lent_to",
    "loop_scope",
    "mark_for_asyncio",
    "marker_of",
    "missing_fixture",
    "named_entrypoint",
    "options_of",
    "place_of",
    "play_of",
    "plays",
    "references_of",
    "refuse_bad_start",
    "refuse_without_asyncio",
    "refuse_without_loop",
    "said_at",
    "scenario_of",
    "settle_verdict",
    "shown",
    "snapshots_of",
    "stage_arguments",
    "stage_of",
    "stop",
    "target_of",
    "time_of",
    "users_part",
    "who_says_attributes",
]

OPTIONS = pytest.StashKey[Options]()
SNAPSHOTS = pytest.StashKey["Account"]()
_USED_AGENTS = pytest.StashKey["WeakSet[Any]"]()
_STAGE = pytest.StashKey["Stage"]()
PLAY = pytest.StashKey["Play"]()
USERDATA_IS_SEEN = pytest.StashKey[bool]()
"""Whether a fixture took what a scenario says of its userdata."""

_REFERENCES = pytest.StashKey["References"]()
_STAGE_FIXTURE = "_lk_bare_stage"


def stop(error: UsageError) -> NoReturn:
    """Fail the test with the message of `error`, and nothing else."""
    pytest.fail(str(error), pytrace=False)


@contextmanager
def shown() -> Iterator[None]:
    """Show a UsageError as its message alone: for fixtures, where no line of the user's ran."""
    try:
        yield
    except (UsageError, BehaviourError) as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def from_the_users_line(error: BaseException) -> BaseException:
    """Leave out the way that one of our own errors took behind the user's line."""
    if isinstance(error, (UsageError, BehaviourError)):
        from .diagnosis import up_to_user_line

        error.__suppress_context__ = True
        return error.with_traceback(up_to_user_line(error.__traceback__))
    return error


def fixture_failure(error: BaseException, what: str) -> BaseException:
    """Show one of our own errors from the user's line, or alone where none of the user's ran."""
    from .clock import Stopped

    if isinstance(error, Stopped):
        told = f"{what} cannot finish: {error}, and it waits here"
        error = Stuck(told).with_traceback(error.__traceback__)
    error = from_the_users_line(error)
    if error.__traceback__ is None:
        return pytest.fail.Exception(str(error), pytrace=False)
    return error


def users_part(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out how pytest and its plugins came to the user's code, if it is the user's that fails.

    pytest does that itself where a test stands in a file of Python.
    """
    part = traceback
    while part is not None and not is_users(part.tb_frame.f_code.co_filename):
        part = part.tb_next
    return part or traceback


def is_ours(test: Any) -> bool:
    """Whether a test is one of ours, by its fixtures; all that is ours stands on the stage."""
    return _STAGE_FIXTURE in getattr(test, "fixturenames", ())


def is_coroutine(function: Any) -> bool:
    """Whether a test function is a coroutine function, hypothesis' ``@given`` looked through."""
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", None)
    return inspect.iscoroutinefunction(inner or function)


def is_coroutine_test(item: Any) -> bool:
    return is_coroutine(item.obj)


def refuse_without_loop(item: Any) -> None:
    """Stop a plain function that asks for a session: it could never say anything to it."""
    if not is_coroutine_test(item):
        stop(
            UsageError(
                f"{item.nodeid} asks for a session, and a session needs a running loop; write the "
                "test as async def"
            )
        )


def has_asyncio(config: pytest.Config) -> bool:
    """Whether pytest-asyncio is there: it is installed with us, and may be turned off."""
    return hasattr(config.option, "asyncio_mode")


def refuse_without_asyncio(item: pytest.Item) -> None:
    """Stop a coroutine test of ours that nobody could run."""
    if has_asyncio(item.config) or not (is_ours(item) and is_coroutine_test(item)):
        return
    if item.config.pluginmanager.is_blocked("asyncio"):
        hint = "take -p no:asyncio away"
    else:  # plugins are not loaded by themselves
        hint = "say -p pytest_asyncio.plugin"
    stop(UsageError(f"{place_of(item)} needs pytest-asyncio, which is turned off: {hint}"))


def mark_for_asyncio(node: Any) -> None:
    """Let pytest-asyncio run a test that uses our fixtures, in strict mode too."""
    if has_asyncio(node.config) and not any(
        node.get_closest_marker(mark) for mark in ("asyncio", "anyio", "trio")
    ):
        node.add_marker(pytest.mark.asyncio)


def loop_scope(item: pytest.Item) -> str:
    """Return the scope of the loop that pytest-asyncio runs `item` on."""
    marker = item.get_closest_marker("asyncio")
    given = (marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")) if marker else None
    return str(given or item.config.getini("asyncio_default_test_loop_scope") or "function")


def snapshots_of(config: pytest.Config) -> Account:
    """Return what this run knows of the snapshots beside its tests."""
    return config.stash[SNAPSHOTS]


def is_ci() -> bool:
    """Whether this is a machine on which nobody looks at a new snapshot."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def plays(config: pytest.Config) -> bool:
    """Whether this run plays what it collects, and does not only list it or set it up."""
    lists = ("collectonly", "setuponly", "showfixtures", "show_fixtures_per_test")
    return not any(config.getoption(one) for one in lists)


def options_of(config: pytest.Config) -> Options:
    return config.stash[OPTIONS]


def references_of(config: pytest.Config) -> References:
    """Return the names resolved in this run so far."""
    from .references import References

    if _REFERENCES not in config.stash:
        keys = options_of(config).keys
        config.stash[_REFERENCES] = References(lambda: Dummies(keys))
    return config.stash[_REFERENCES]


def beside(node: pytest.Item | pytest.Collector) -> AbstractContextManager[None]:
    """Let bare names of modules that scenarios imported mean those of the folder of `node`."""
    if (references := node.config.stash.get(_REFERENCES, None)) is None:
        return nullcontext()
    folders = [node.path if isinstance(node, pytest.Directory) else node.path.parent]
    play = node.stash.get(PLAY, None)
    if play is not None and (file := getattr(play.names.module, "__file__", None)):
        folders.insert(0, Path(file).parent)  # the agent's, as it was when that was imported
    return references.siblings.of(folders)


def marker_of(item: pytest.Item) -> Mapping[str, Any]:
    """Return what the ``lk`` markers of a test say, the nearest winning, checked."""
    given: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("lk"))):
        given |= read_marker(marker.args, marker.kwargs, where=place_of(item))
    return given


def place_of(item: pytest.Item) -> str:
    """Name a test for a message about it: where it is written, its decorators included."""
    path, line, name = item.location
    return f"{Site(str(item.config.rootpath / path), (line or 0) + 1)}: {name}"


def time_of(item: pytest.Item) -> tuple[datetime | None, bool]:
    """Return when this test is, None for the present, and whether its time is real."""
    given, options, scenario = marker_of(item), options_of(item.config), scenario_of(item)
    real = bool(given.get("real_time", options.real_time))
    now = options.now
    if scenario is not None and scenario.now is not None:
        now = scenario.now
    if "now" in given:
        now = read_moment(given["now"], where=f"{place_of(item)}: lk(now=…)")
    return (now if now is not None or real else DEFAULT_NOW), real


def target_of(item: pytest.Item) -> str:
    """Return where a scenario is played; a test in Python is at home."""
    if (scenario := scenario_of(item)) is None:
        return INPROCESS
    return options_of(item.config).target or scenario.target or INPROCESS


def entrypoint_of(item: pytest.Item) -> Ref | None:
    """Return the name of the entrypoint that a scenario runs, None where it has none."""
    return named_entrypoint(item.config, scenario_of(item))


def named_entrypoint(config: pytest.Config, scenario: Scenario | None) -> Ref | None:
    """Return the entrypoint that a scenario names, or else the ini file."""
    name = options_of(config).entrypoint
    if scenario is None or scenario.agent is not None:
        return None
    if scenario.entrypoint is not None or name is None:
        return scenario.entrypoint
    from .scenarios.model import Ref

    return Ref(name, Site(str(config.inipath), 1))


def bounds_of(item: pytest.Item) -> tuple[float, str, frozenset[str]]:
    """Return how long a turn of this test may take, who says so, and which findings it allows."""
    given = marker_of(item)
    scenario = scenario_of(item)
    timeout, bound = options_of(item.config).timeout, ""
    if scenario is not None and scenario.timeout is not None:
        timeout, bound = scenario.timeout, "as timeout: says"
    if "timeout" in given:
        timeout = read_seconds(given["timeout"], where=f"{place_of(item)}: lk(timeout=…)")
        bound = "as lk(timeout=…) says"
    allow: frozenset[str] = frozenset()
    if "allow" in given:
        allow = check_allowed(given["allow"], where=place_of(item))
    if scenario is not None:
        allow |= {ref.text for ref in scenario.allow}
    return timeout, bound, allow


def job_of(item: pytest.Item, given: object) -> JobOptions:
    """Return what the job of a test is like; `given` is what its fixture says."""
    where, scenario = "job_options", scenario_of(item)
    marked = marker_of(item)
    if "job" in marked:
        given, where = marked["job"], f"{place_of(item)}: lk(job=…)"
    options = read_job(given, where=where)
    if scenario is None or scenario.job is None:
        return options
    return read_job({**vars(options), **scenario.job.said}, where=f"{scenario.job.site}: job")


def who_says_attributes(item: pytest.Item) -> str:
    """Name what says which attributes the job of a test has."""
    scenario = scenario_of(item)
    if scenario is not None and scenario.job is not None and "attributes" in scenario.job.said:
        return f"{scenario.job.site}: job: attributes"
    marked = "job" in marker_of(item)
    return f"{place_of(item)}: lk(job=…): attributes" if marked else "job_options: attributes"


def stage_arguments(item: pytest.Item, job_options: object) -> dict[str, Any]:
    """Return what the stage of a test is like, apart from its clock and from other tests.

    Raises:
        UsageError: A marker, or what the fixture says of the job, is not as it should be.
    """
    from ._livekit_job import check_dispatch
    from .words import ScenarioWords, Words

    timeout, bound, allow = bounds_of(item)
    job = job_of(item, job_options)
    check_dispatch(job.attributes, where=who_says_attributes(item))
    return {
        "timeout": timeout,
        "bound": bound,
        "allow": allow,
        "words": Words() if scenario_of(item) is None else ScenarioWords(),
        "hosts": options_of(item.config).hosts,
        "real_time": time_of(item)[1],
        "job": job,
        "target": target_of(item),
    }


@contextmanager
def stage_of(item: pytest.Item, job_options: object) -> Iterator[Stage]:
    """Set the stage for `item`, and clear it afterwards."""
    for mark in ("anyio", "trio"):
        if item.get_closest_marker(mark) is not None:
            stop(
                UsageError(
                    f"{item.nodeid} is marked for {mark}, and LiveKit's sessions run on asyncio: "
                    "take the mark away, or the fixtures of pytest-lkagent"
                )
            )
    from .stage import Stage

    with shown():
        arguments = stage_arguments(item, job_options)
    stage = Stage(
        **arguments,
        used=item.config.stash.setdefault(_USED_AGENTS, WeakSet()),
        wall=wall_clock_of(item),
    )
    stage.before_session = lambda: set_dummies(item)
    item.stash[_STAGE] = stage
    yield stage
    stage.give_back()
    stage.mocks.restore()
    del item.stash[_STAGE]
    # not where it came to light: pytest-asyncio does not reset the context of a fixture that raises
    for late in stage.late:
        raise late


def missing_fixture(item: pytest.Item, error: pytest.FixtureLookupError) -> UsageError | None:
    """Say of a scenario which of its names takes a fixture that is not there."""
    play = play_of(item)
    if play is None or error.argname not in play.names.fixtures:
        return None
    scenario = play.scenario
    return UsageError(
        f"{scenario.site}: {scenario.label}: {play.names.taker(error.argname)} takes a fixture "
        f"{error.argname!r}, and there is none"
    )


def refuse_bad_start(item: pytest.Item) -> None:
    """Fail a test whose session did not start well before its body runs."""
    if item.stash[_STAGE].findings:
        raise _StartFailed


class _StartFailed(Exception):
    """The start left findings, which the verdict shows."""


def has_stage(item: pytest.Item) -> bool:
    """Whether `item` is a test of ours; nothing of any other is touched."""
    return _STAGE in item.stash


@contextmanager
def lent_to(fixture: str, item: pytest.Item) -> Iterator[None]:
    """Let what a fixture of the user's begins be its own affair, and tell it where it hangs."""
    stage = item.stash.get(_STAGE, None)
    clock = stage.clock if stage is not None else None
    if stage is None or clock is None:
        yield
        return
    from .clock import Stopped

    is_ours = fixture.startswith("_lk_")
    before, clock.tasks.is_lent = clock.tasks.is_lent, not is_ours
    try:
        yield
    except Stopped as stopped:
        what = "the start of the session" if is_ours else f"the fixture {fixture!r}"
        told = f"{what} cannot finish: {stopped}; {stage.standstill.where_it_waits}"
        raise Stuck(told).with_traceback(stopped.__traceback__) from None
    finally:
        clock.tasks.is_lent = before


def settle_verdict(item: pytest.Item, failure: BaseException | None) -> BaseException | None:
    """Return what `item` fails with once its call phase is over, None where it passes."""
    from .unheard import forgotten_await

    with_near_argument(failure)
    stage = item.stash[_STAGE]
    reason = stage.clock.take_halt() if stage.clock is not None else None
    if reason is not None:
        failure = _halted(item, failure, reason)
    elif NeverAwaited.kind not in stage.findings.allow:
        failure = forgotten_await(failure) or failure
    if isinstance(failure, pytest.exit.Exception) or not isinstance(
        failure, (Exception, pytest.fail.Exception, type(None))
    ):
        return failure  # skipped, interrupted, or the end of the whole run
    if failure is None:
        stage.hear_out()
    stage.ask_for_verdict(failure)
    stage.close()
    ended_early = isinstance(failure, (UsageError, BehaviourError, _StartFailed))
    stage.settle_account(went_through=not ended_early)
    if isinstance(failure, _StartFailed):
        failure = None
    verdict = stage.findings.verdict(failure)
    if verdict is not None and (verdict is failure or scenario_of(item) is None):
        verdict = from_the_users_line(verdict)
    if verdict is None or verdict is failure:
        return verdict
    scenario = scenario_of(item)
    if not isinstance(verdict, (UsageError, BehaviourError)):
        if scenario is not None:
            verdict.add_note(f"in {scenario.site}: {scenario.label}")
        return verdict.with_traceback(users_part(verdict.__traceback__))
    if scenario is not None:
        verdict.args = (f"{said_at(verdict, scenario)}: {scenario.label}: {verdict}",)
        verdict.__suppress_context__ = True
        return verdict
    notes = getattr(verdict, "__notes__", ())
    return pytest.fail.Exception("\n".join([str(verdict), *notes]), pytrace=False)


def _halted(item: pytest.Item, failure: BaseException | None, reason: str) -> BaseException:
    """Say why the clock cancelled the test, from the line on which it waits."""
    from .clock import Stopped
    from .diagnosis import up_to_user_line

    stage, scenario = item.stash[_STAGE], scenario_of(item)
    what = "the test" if scenario is None else f"{scenario.site}: {scenario.label}: the scenario"
    test = next((one for one in stage.standstill.pending if one.is_test), None)
    where = stage.standstill.where_it_waits
    line = f"{what} cannot finish: {reason}; {where}"
    if isinstance(failure, Stopped):
        traceback = failure.__traceback__
    else:  # it went on as if nothing had been
        line = f"{what} was cancelled, since {reason}, and did not end by that; {where}"
        traceback = test.traceback if test is not None else None
    pictures = (shown for harness in stage.sessions for shown in harness.picture())
    stuck = Stuck("\n".join([line, *pictures, *stage.standstill.still_running]))
    return stuck.with_traceback(up_to_user_line(traceback))


def play_of(item: pytest.Item) -> Play | None:
    """Return what `item` plays where it comes from a scenario file."""
    return item.stash.get(PLAY, None)


def scenario_of(item: pytest.Item) -> Scenario | None:
    """Return the scenario that `item` plays, None for other tests."""
    play = play_of(item)
    return play.scenario if play is not None else None


def said_at(error: BaseException, scenario: Scenario) -> Site:
    """Return the line of a scenario that says what should have been where `error` came up."""
    about = getattr(error, "about", None)
    own: Site | None = getattr(scenario, f"{about}_site", None)
    return own or scenario.site


def is_message_only(error: BaseException) -> bool:
    """Whether `error` says it all: it comes without a traceback."""
    return isinstance(error, (UsageError, BehaviourError)) or (
        isinstance(error, pytest.fail.Exception) and not error.pytrace
    )
