"""``test_front_desk = fuzz_agent(FrontDesk)``: a test against any model, any user, any timing."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Never, Protocol
from weakref import WeakSet

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit.agents import Agent

from ..build import check_session_options
from ..errors import UsageError
from ..harness import Harness
from ..invariants import Invariant, allowed, check_own, check_without
from ..mocks import TaskMock, ToolMock
from ..options import DEFAULT_NOW, DEFAULT_TIMEOUT
from ..sites import Site, call_site
from ..stage import Stage
from ..starting import start_session
from ..wall_clock import WallClock
from . import private
from .calling import refuse_elsewhere, refuse_unknown
from .found import Findable, Names, left_behind, mocked, remembered, tell, written_delays
from .garbage import garbage_apart
from .kept import Kept
from .mocked import by_owner, made_of
from .play import Drawn, Example, Subject

__all__ = ["Fuzzed", "FuzzedAgent", "fuzz_agent", "fuzz_test", "fuzzed_agent"]

# pytest looks for it here too: a mistake in a call is shown at the line where it is written
__tracebackhide__ = True


def fuzz_agent(
    agent: Any,
    /,
    *,
    mocks: Mapping[Any, Any] | None = None,
    invariants: Iterable[Invariant] = (),
    without: Iterable[str] = (),
    userdata: Any = None,
    session_options: Mapping[str, Any] | None = None,
    turns: int = 3,
    **_others: Never,
) -> Callable[[], None]:
    """Make a test of an agent: ``test_desk = fuzz_agent(FrontDesk)``; hypothesis draws the rest.

    The model answers anything, with the tools that it is offered; the user says anything and cuts
    in; tools take any time. Whatever they do, the invariants hold. It is a test of hypothesis: put
    ``@settings(…)`` on top, or ``@reproduce_failure``.

    Not for what an agent does *right*: which tool it is to call when, a scenario says. Nor for the
    body of a test: it makes one.

    Args:
        agent: Its class, or a factory, which may be async. Each example makes its own.
        mocks: What tools do instead: ``{"book": "booked"}``, or ``{FrontDesk: {"book": …}}`` where
            several agents talk. A function is called with the arguments that it names, an exception
            is raised, anything else returned. So does an AgentTask class with its result; a mapping
            is what a function gives: ``{Ask: lambda: {…}}``.
        invariants: Functions that assert, after the start and each turn. They take what they name:
            ``userdata``, ``transcript``, ``agent_session``.
        without: Built-in invariants that need not hold.
        userdata: The session's: a class or factory that makes it, or a value that is copied.
        session_options: Arguments for the AgentSession.
        turns: How many turns a conversation has at most.

    Raises:
        UsageError: An argument is none of this, or nobody would run the test that it makes.
    """
    name, site = _name(agent), call_site()
    refuse_elsewhere(name, site)
    refuse_unknown(name, _others, _KEYS)
    return fuzz_test(
        fuzzed_agent(
            agent,
            where=f"fuzz_agent({name})",
            site=site,
            mocks=mocks,
            invariants=invariants,
            without=without,
            userdata=userdata,
            session_options=session_options,
            turns=turns,
        )
    )


_KEYS = ("mocks", "invariants", "without", "userdata", "session_options", "turns")


def fuzzed_agent(
    agent: Any,
    *,
    where: str,
    site: Site,
    mocks: Mapping[Any, Any] | None,
    invariants: Iterable[Invariant],
    without: Iterable[str],
    userdata: Any,
    session_options: Mapping[str, Any] | None,
    turns: int,
) -> FuzzedAgent:
    """Check what `fuzz_agent` takes, written at `site`; messages begin with `where`.

    Raises:
        UsageError: An argument is none of this.
    """
    if isinstance(agent, str):
        raise UsageError(f"{where}: {agent!r} is a text; import the class, and give that")
    if isinstance(agent, Agent) or not callable(agent):
        raise UsageError(
            f"{where}: each example needs an agent of its own; give the class, or a factory such "
            f"as lambda: {type(agent).__name__}(…)"
        )
    try:
        inspect.signature(agent).bind()
    except TypeError as error:
        raise UsageError(
            f"{where}: {_name(agent)}() {error}; give a factory such as lambda: {_name(agent)}(…)"
        ) from None
    if inspect.isclass(agent) and not issubclass(agent, Agent):
        raise UsageError(f"{where}: {_name(agent)} is no Agent; give its class, or a factory")
    if callable(userdata):
        try:
            inspect.signature(userdata).bind()
        except TypeError as error:
            raise UsageError(
                f"{where}: userdata={_name(userdata)}: {error}; each example has its own, made "
                "without arguments: write lambda: …"
            ) from None
        except ValueError:
            pass  # one of Python's own, which does not say
    if not _is_count(turns):
        raise UsageError(f"{where}: turns={turns!r}: write a whole number from 1 on")
    if not isinstance(invariants, Iterable):
        raise UsageError(
            f"{where}: invariants is a list of functions: invariants=[{_name(invariants)}]"
        )
    check_session_options(session_options or {}, where=f"{where}: session_options")
    subject = FuzzedAgent(
        agent=agent,
        name=_name(agent),
        mocks=by_owner(mocks or {}, agent, where=where),
        invariants=check_own(list(invariants), where=where),
        without=check_without(without, where=where),
        userdata=userdata,
        options=dict(session_options or {}),
        turns=turns,
        site=site,
    )
    subject.mocked()
    return subject


class Fuzzed(Subject, Findable, Protocol):
    """What is fuzzed, and can be told of in a file."""


def fuzz_test(
    subject: Fuzzed,
    *,
    fixtures: Sequence[str] = (),
    take: Callable[[Mapping[str, Any]], object] = lambda _: None,
    examples: int | None = None,
) -> Callable[[], None]:
    """Make a test function of hypothesis' that plays examples of `subject`.

    It has these `fixtures` as parameters, and lets `take` have their values before each example.
    """

    @lru_cache
    def before() -> Kept:
        return Kept()

    first: list[str] = []

    def test(*_self: Any, data: Any, **values: Any) -> None:  # noqa: ARG001  (hypothesis' to draw)
        __tracebackhide__ = True
        before()
        take(values)
        with garbage_apart():
            play()

    def play() -> None:
        __tracebackhide__ = True
        is_final = private.is_final()
        example = Example(subject, private.Drawing(), is_shown=is_final)
        try:
            example.play()
        except Exception as error:
            if is_final:
                tell(error, example, subject, kept=before().changed())
            elif not first and error is not example.left:
                first.extend(remembered(error, example))
            raise

    made: Any = test
    instance = inspect.Parameter("_self", inspect.Parameter.VAR_POSITIONAL)  # of a test class
    parameters = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in ("data", *fixtures)]
    made.__signature__ = inspect.Signature([instance, *parameters])
    made = given(data=st.data())(made)
    if fixtures:  # the values are copied for each example
        made = settings(
            max_examples=examples or settings().max_examples,
            suppress_health_check=[
                *settings().suppress_health_check,
                HealthCheck.function_scoped_fixture,
            ],
        )(made)
    made.lk_fuzzed = subject
    made.lk_earlier = lambda: [*left_behind(before().changed()), *first]
    private.tell_apart(made, subject.name)
    return made  # type: ignore[no-any-return]


@dataclass(kw_only=True)
class FuzzedAgent:
    """An agent to be fuzzed, as `fuzz_agent` takes it.

    `set_stage` makes the bare stage of an example, `conditions` are what holds for the test as
    keys of a scenario, and `fixtures` what its fixtures say of userdata and session; the plugin
    sets them for the time of the test.
    """

    agent: Any
    name: str
    mocks: Mapping[Any, Any]
    invariants: Sequence[Invariant]
    without: frozenset[str]
    userdata: Any
    options: Mapping[str, Any]
    turns: int
    site: Site
    set_stage: Callable[[], Stage] = field(default=lambda: _bare_stage())
    conditions: Mapping[str, Any] = field(default_factory=dict)
    fixtures: Mapping[str, Any] = field(default_factory=dict)

    def stage(self) -> Stage:
        stage = self.set_stage()
        stage.findings.allow |= allowed(self.without)
        for made in self.mocked():
            if isinstance(made, ToolMock):
                stage.mocks.add_tool(made)
            else:
                stage.mocks.add_task(made)
        return stage

    async def session(self, stage: Stage) -> Harness:
        options = self.fixtures.get("session_options", {})
        check_session_options(options, where="session_options")
        return await start_session(
            stage,
            self.agent,
            what=self.name,
            userdata=self._userdata(),
            options={**options, **self.options},
        )

    def _userdata(self) -> Any:
        """Make the userdata of an example; ``...`` is none."""
        if callable(self.userdata):
            return self.userdata()
        if self.userdata is not None:
            return copy.deepcopy(self.userdata)
        try:
            return copy.deepcopy(self.fixtures.get("userdata", ...))
        except Exception as error:  # noqa: BLE001  (whatever copying it raises)
            raise UsageError(
                f"{self.site}: what the fixture userdata gives cannot be copied for each example "
                f"({error}); say what makes it instead: a class, or a function"
            ) from None

    def settings(self, names: Names, drawn: Drawn) -> tuple[dict[str, str], dict[str, Any]]:
        fuzz: dict[str, Any] = {}
        own = [names.of(one, "the invariant") for one in self.invariants]
        if any(own):
            fuzz["invariants"] = [one for one in own if one is not None]
        if self.without:
            fuzz["without"] = sorted(self.without)
        keys: dict[str, Any] = {"fuzz": fuzz, **names.plain(self.conditions)}
        if callable(self.userdata):
            if (made_by := names.of(self.userdata, "the userdata's factory")) is not None:
                fuzz["userdata"] = made_by
        elif self.userdata is not None:
            keys |= names.plain({"userdata": self.userdata})
        if session := names.plain(self.options):
            keys["session"] = session
        if delays := written_delays(drawn):
            fuzz["delays"] = delays
        if mocks := mocked(names, self.mocks):
            keys["mocks"] = mocks
        agent = names.of(self.agent, "the agent")
        return ({} if agent is None else {"agent": agent}), keys

    def mocked(self) -> Sequence[ToolMock | TaskMock]:
        """Make the mocks anew: one that gives something else each time begins at its first.

        Raises:
            UsageError: There is no such tool.
        """
        return made_of(self.mocks)


def _bare_stage() -> Stage:
    return Stage(timeout=DEFAULT_TIMEOUT, allow=(), used=WeakSet(), wall=WallClock(DEFAULT_NOW))


def _is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def _name(agent: Any) -> str:
    return getattr(agent, "__name__", type(agent).__name__)
