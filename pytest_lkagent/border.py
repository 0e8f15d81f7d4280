"""The border: where pytest ends and the engine begins.

Our exceptions become pytest's here, and what is known of one test hangs on its ``item.stash``.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from .environment import Dummies
from .errors import BehaviourError, Stuck, UsageError
from .frames import is_users
from .options import Options
from .sites import Site

if TYPE_CHECKING:
    from .references import References
    from .scenario_run import Play
    from .scenarios.model import Scenario
    from .snapshot.orphans import Account

__all__ = [
    "CHAT_SNAPSHOT",
    "OPTIONS",
    "PLAY",
    "SNAPSHOTS",
    "USERDATA_IS_SEEN",
    "beside",
    "fixture_failure",
    "from_the_users_line",
    "has_asyncio",
    "is_ci",
    "is_coroutine",
    "is_coroutine_test",
    "is_message_only",
    "is_ours",
    "loop_scope",
    "mark_for_asyncio",
    "missing_fixture",
    "options_of",
    "place_of",
    "play_of",
    "plays",
    "references_of",
    "refuse_without_asyncio",
    "refuse_without_loop",
    "said_at",
    "scenario_of",
    "shown",
    "snapshots_of",
    "stop",
    "unused_snapshot",
    "users_part",
]

OPTIONS = pytest.StashKey[Options]()
SNAPSHOTS = pytest.StashKey["Account"]()
CHAT_SNAPSHOT = pytest.StashKey[Any]()
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


def unused_snapshot(item: Any) -> str | None:
    """Say that a test of Python takes `chat_snapshot`, and compared nothing with it.

    One with several sets of parameters may well compare in a branch, and whoever has it by way of
    a fixture may not want it.
    """
    snapshot = item.stash.get(CHAT_SNAPSHOT, None)
    if snapshot is None or scenario_of(item) is not None:
        return None
    takes_it = "chat_snapshot" in inspect.signature(item.obj).parameters
    told = snapshot.why_unused(wants_one=takes_it and not hasattr(item, "callspec"))
    return told and f"{place_of(item)}: {told}"


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


def place_of(item: pytest.Item) -> str:
    """Name a test for a message about it: where it is written, its decorators included."""
    path, line, name = item.location
    return f"{Site(str(item.config.rootpath / path), (line or 0) + 1)}: {name}"


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
