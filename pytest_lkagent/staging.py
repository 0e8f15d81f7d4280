"""A test on its stage: set up before it, asked for its verdict after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

import pytest

from . import border, item_options
from .errors import BehaviourError, NeverAwaited, Stuck, UnusedSnapshot, UsageError
from .keys import set_dummies
from .known_as import with_near_argument
from .phases import wall_clock_of
from .words import lacks_userdata

if TYPE_CHECKING:
    from livekit.agents import Agent

    from .stage import Stage

__all__ = ["has_stage", "lent_to", "refuse_bad_start", "settle_verdict", "stage_of"]

_STAGE = pytest.StashKey["Stage"]()
_USED_AGENTS = pytest.StashKey[WeakSet["Agent"]]()


@contextmanager
def stage_of(item: pytest.Item, job_options: object) -> Iterator[Stage]:
    """Set the stage for `item`, and clear it afterwards."""
    for mark in ("anyio", "trio"):
        if item.get_closest_marker(mark) is not None:
            border.stop(
                UsageError(
                    f"{item.nodeid} is marked for {mark}, and LiveKit's sessions run on asyncio: "
                    "take the mark away, or the fixtures of pytest-lkagent"
                )
            )
    from .stage import Stage

    with border.shown():
        arguments = item_options.stage_arguments(item, job_options)
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
    if failure is None and (told := border.unused_snapshot(item)) is not None:
        advice = "write assert agent_session.history == chat_snapshot, take it away, or let it pass"
        allow = stage.words.allow(str(UnusedSnapshot.kind))
        stage.findings.add(UnusedSnapshot(f"{told}; {advice}: {allow}"))
    ended_early = isinstance(failure, (UsageError, BehaviourError, _StartFailed))
    stage.settle_account(went_through=not ended_early)
    if isinstance(failure, _StartFailed):
        failure = None
    verdict = stage.findings.verdict(failure)
    if verdict is not None and (verdict is failure or border.scenario_of(item) is None):
        verdict = border.from_the_users_line(verdict)
    if lacks_userdata(verdict):
        verdict.add_note(f"say what that is: {stage.words.userdata}")
    if verdict is None or verdict is failure:
        return verdict
    scenario = border.scenario_of(item)
    if not isinstance(verdict, (UsageError, BehaviourError)):
        if scenario is not None:
            verdict.add_note(f"in {scenario.site}: {scenario.label}")
        return verdict.with_traceback(border.users_part(verdict.__traceback__))
    if scenario is not None:
        verdict.args = (f"{border.said_at(verdict, scenario)}: {scenario.label}: {verdict}",)
        verdict.__suppress_context__ = True
        return verdict
    notes = getattr(verdict, "__notes__", ())
    return pytest.fail.Exception("\n".join([str(verdict), *notes]), pytrace=False)


def _halted(item: pytest.Item, failure: BaseException | None, reason: str) -> BaseException:
    """Say why the clock cancelled the test, from the line on which it waits."""
    from .clock import Stopped
    from .diagnosis import up_to_user_line

    stage, scenario = item.stash[_STAGE], border.scenario_of(item)
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
