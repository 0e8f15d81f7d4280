"""What hypothesis draws, as pytest items: tests of `fuzz_agent`, and scenarios without turns.

The options of the run hold for each example.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest

from . import border, item_options
from .errors import BehaviourError, UsageError
from .fuzzed_scenario import FuzzedScenario
from .keys import set_dummies
from .sites import Site

if TYPE_CHECKING:
    from .fuzz.play import Subject
    from .stage import Stage

__all__ = [
    "ask_for_fixtures",
    "fuzzed",
    "playing",
    "point_at_user",
    "refuse_machine",
    "show_of_machine",
    "shown",
]

_ARGUMENTS: tuple[str, ...] = ("Falsifying example: ", "Failing test case: ")
"""How hypothesis begins to show the arguments of a test, which here say nothing."""
_DECORATOR = "\nYou can reproduce this "
"""How it begins to say which decorator plays the example again; a file has none."""
_FLAKY = (
    "{name}: a conversation went another way when it was played again, in a session of its own; "
    "what does it keep from one session to the next (a list of the class, a global, a cache), or "
    "take from outside (the real clock, a random number of its own)?"
)
_OF_SCENARIO = ("instructions", "agent_expectations", "tags", "userdata", "session", "judges")
"""What else is copied of a scenario that is drawn, where it says it."""
_OF_FIXTURES = ("userdata", "session_options", "job_options")
"""What a test of `fuzz_agent` has of them."""


def fuzzed(item: Any) -> Subject | None:
    """Return what `item` fuzzes, None where it is any other test."""
    return getattr(getattr(item, "obj", None), "lk_fuzzed", None)


def ask_for_fixtures(test: Any) -> None:
    """Let a test of `fuzz_agent` or of a machine have what others have, where it is one."""
    if not isinstance(test, (type, FunctionType)):
        return
    mark = pytest.mark.usefixtures(*_OF_FIXTURES).mark
    marks = getattr(test, "pytestmark", [])
    if hasattr(getattr(test, "runTest", test), "lk_fuzzed") and mark not in marks:
        test.pytestmark = [*marks, mark]  # type: ignore[union-attr]


def refuse_machine(machine: Any, collector: pytest.Class | pytest.Module) -> None:
    """Refuse a state machine that pytest takes for a class of tests, and can do nothing with.

    Raises:
        CollectError: It stands where its test should be.
    """
    subject, test_case = getattr(machine, "lk_fuzzed", None), getattr(machine, "TestCase", None)
    if subject is None or test_case is None or test_case in vars(collector.obj).values():
        return
    name = machine.__name__
    raise collector.CollectError(
        f"{subject.site}: {name} is a state machine, and its TestCase is the test: call it "
        f"{name.removeprefix('Test')}Machine, and write {name} = "
        f"{name.removeprefix('Test')}Machine.TestCase below it"
    )


def point_at_user(item: Any, subject: Any) -> None:
    """Let reports of `item` name the line that says what is fuzzed."""
    path, line = subject.site.path, subject.site.line
    item.reportinfo = lambda: (path, line - 1, item.getmodpath())


@contextmanager
def playing(item: Any, subject: Any) -> Iterator[None]:
    """Play the examples of `item` under the options of this run."""
    from .fuzz import private
    from .stage import Stage, seams_held
    from .wall_clock import WallClock

    with border.shown():
        arguments = item_options.stage_arguments(item, item.funcargs["job_options"])
        now, real_time = item_options.time_of(item)

    def set_stage() -> Stage:
        wall = WallClock(now or datetime.now(UTC), ticks=real_time)
        stage = Stage(**arguments, used=WeakSet(), wall=wall)
        stage.before_session = lambda: set_dummies(item)
        return stage

    if not private.is_machines(item.obj):
        private.tell_apart(item.obj, item.nodeid)
        private.untimed(item.obj)
    before, subject.set_stage = subject.set_stage, set_stage
    subject.conditions = _conditions(item)
    if not isinstance(subject, FuzzedScenario):  # which takes more of them
        given = item_options.marker_of(item)
        subject.fixtures = {name: given.get(name, item.funcargs[name]) for name in _OF_FIXTURES}
    try:
        with seams_held():
            yield
    finally:
        subject.set_stage = before


def _conditions(item: Any) -> dict[str, Any]:
    """Return what a marker, or the scenario, says for this test alone, as a scenario says it."""
    marked, scenario = item_options.marker_of(item), border.scenario_of(item)
    keys: dict[str, Any] = {}
    if scenario is not None:
        keys = {key: said for key in _OF_SCENARIO if (said := getattr(scenario, key))}
    job = {**(scenario.job.said if scenario and scenario.job else {}), **marked.get("job", {})}
    if job:
        keys["job"] = job
    now, (timeout, bound, allow) = item_options.time_of(item)[0], item_options.bounds_of(item)
    if "userdata" in marked:
        keys["userdata"] = marked["userdata"]
    if now is not None and ("now" in marked or (scenario and scenario.now)):
        keys["now"] = now.isoformat()
    if bound:  # somebody says so
        keys["timeout"] = f"{timeout:g}s"
    if allow:
        keys["allow"] = sorted(allow)
    return keys


def show_of_machine(item: Any, call: pytest.CallInfo[Any]) -> None:
    """Show what the test of a machine fails with as `shown` does: unittest lets nothing through."""
    subject = fuzzed(item)
    if subject is None or call.when != "call" or call.excinfo is None:
        return
    from .fuzz import private

    if private.is_machines(item.obj) and isinstance(call.excinfo.value, Exception):
        error, raised = call.excinfo.value, call.excinfo.value.__traceback__
        told = shown(error, subject, item)
        told = told if told.__traceback__ else told.with_traceback(raised)
        call.excinfo = pytest.ExceptionInfo.from_exception(told)


def shown(error: BaseException, subject: Any, item: Any) -> BaseException:
    """Show what was found from the user's line, or as its message where none of the user's ran."""
    from .fuzz import private

    seed = private.seed_of(item.obj)
    sown = [] if seed is None else [f"the same draws again: pytest --hypothesis-seed={seed}"]
    found = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    if private.is_flaky(error):
        lines = [_FLAKY.format(name=subject.name)]
        earlier: list[str] = getattr(item.obj, "lk_earlier", list)()
        if found != (error,) and not earlier:
            earlier = ["what it did before:", *(f"  {_first_line(one)}" for one in found)]
        lines += earlier
        return pytest.fail.Exception("\n".join([*lines, *sown]), pytrace=False)
    if mistake := next((one for one in found if isinstance(one, UsageError)), None):
        return pytest.fail.Exception(str(mistake), pytrace=False)  # first: it falsifies the rest
    vain = () if private.is_machines(item.obj) else _ARGUMENTS  # there they are its steps
    if isinstance(subject, FuzzedScenario):
        vain = (*_ARGUMENTS, _DECORATOR)
    for one in found:
        if notes := getattr(one, "__notes__", None):
            one.__notes__ = [note for note in notes if not note.startswith(vain)]
    if isinstance(error, BaseExceptionGroup):
        return _shown_together(error, subject, sown)
    for line in sown:
        error.add_note(line)
    if not isinstance(error, BehaviourError):
        return error.with_traceback(border.users_part(error.__traceback__))
    return pytest.fail.Exception(_with_notes(error), pytrace=False)


def _shown_together(
    group: BaseExceptionGroup[Any], subject: Any, sown: Sequence[str]
) -> BaseException:
    """Show several faults, the first of them in the one line that a summary has."""
    first, *others = found = group.exceptions
    if not all(isinstance(one, BehaviourError) for one in found):
        for one in found:
            is_told = isinstance(one, BehaviourError)  # its message says all
            one.with_traceback(None if is_told else border.users_part(one.__traceback__))
        named = BaseExceptionGroup(f"{_first_line(first)}, and {len(others)} more", found)
        for line in sown:
            named.add_note(line)
        return named.with_traceback(_traceback_at(subject.site))
    message = str(first).partition("\n")[0]
    told = [f"{message}, and {len(others)} more:", *map(_with_notes, found), *sown]
    return pytest.fail.Exception("\n\n".join(told), pytrace=False)


def _traceback_at(site: Site) -> TracebackType | None:
    """Make a traceback that leads to this line alone: pytest shows no group without one."""
    try:
        exec(compile("\n" * (site.line - 1) + "raise Exception", site.path, "exec"))
    except Exception as error:  # noqa: BLE001  (the one above)
        return error.__traceback__ and error.__traceback__.tb_next
    return None


def _with_notes(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
