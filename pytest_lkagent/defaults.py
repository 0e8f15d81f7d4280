"""What a session is built from: marker and scenario, the fixtures below them, ini last."""

from __future__ import annotations

import copy
import functools
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from . import border, item_options
from .errors import UsageError, one_of
from .options import PROCESS
from .script import Step, as_step
from .sites import Site

if TYPE_CHECKING:
    from .harness import Harness
    from .scenarios.model import Scenario
    from .simulation.entrypoint import Entrypoint
    from .simulation.order import Order
    from .stage import Stage

__all__ = ["Defaults", "of_scenario", "of_test", "set_the_scene"]


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """The arguments of a session where the test gives no others; ``...`` is what nobody gave."""

    agent: Any
    what: str
    userdata: Any
    options: Any
    start: Any
    history: Any = None
    owes_start: bool = True
    without_agent: str
    entrypoint: Entrypoint | None = None
    simulation: Mapping[str, Any] | None = None
    order: Order | None = None
    options_of: str = "session_options"
    advice: str = (
        "it was asked while the session started: script that with the start_script fixture, or "
        "with @pytest.mark.lk(start=[say('…')])"
    )

    async def session_on(self, stage: Stage) -> Harness:
        """Start the session under test: build one, or let the entrypoint."""
        from .starting import run_entrypoint, run_process, start_session

        if self.entrypoint is None:
            return await start_session(stage, **self.arguments())
        if self.options:
            raise UsageError(
                f"{self.options_of}: the entrypoint builds its own session; take "
                f"{one_of(sorted(self.options))} away, or test an agent"
            )
        script = {"start": self.start, "advice": self.advice, "owes_start": self.owes_start}
        if self.order is not None:
            return await run_process(stage, self.entrypoint, self.order, **script)
        return await run_entrypoint(stage, history=self.history, **script)

    def arguments(self, agent: Any = None, **given: Any) -> dict[str, Any]:
        """Return arguments for `starting.start_session`; `given` wins."""
        from .build import check_session_options
        from .fake import FakeLLM

        if self.entrypoint is not None:
            raise UsageError(
                f"start_session() builds a session of its own, and {self.entrypoint.what} starts "
                "the one under test; take agent_session, or test an agent"
            )
        what = self.what if agent is None else "start_session()"
        agent = self.agent if agent is None else agent
        if agent is ...:
            raise UsageError(self.without_agent)
        if not hasattr(self.options, "keys"):
            raise UsageError(
                f"session_options is a mapping of AgentSession arguments, not {self.options!r}"
            )
        model = given.pop("llm", None)
        if model is not None and not isinstance(model, FakeLLM):
            given["llm"], model = model, None  # it is replaced, as one in session_options is
        made = {
            "agent": agent,
            "what": what,
            "userdata": given.pop("userdata", self.userdata),
            "start": given.pop("start", self.start),
            "history": given.pop("history", self.history),
            "model": model,
            "advice": self.advice,
            "owes_start": self.owes_start,
        }
        options = {**self.options, **given}
        check_session_options(options, where=self.options_of)
        return {**made, "options": options}


def of_test(
    request: pytest.FixtureRequest,
    agent: Any,
    entrypoint: Any,
    userdata: Any,
    options: Any,
    start: Any,
) -> Defaults:
    """Return what holds for a Python test: its markers over the fixtures, ini below them."""
    marker = item_options.marker_of(request.node)
    if marked := {"agent", "entrypoint"} & marker.keys():
        _refuse_both(marked, f"{border.place_of(request.node)}: lk(…)")
        agent, entrypoint = marker.get("agent", ...), marker.get("entrypoint", ...)
        entrypoint = _entrypoint_of_marker(entrypoint, request)
    else:
        agent, entrypoint = _of_fixtures(request, agent, entrypoint)
    if "userdata" in marker:
        userdata = copy.deepcopy(marker["userdata"])
    made = _entrypoint(entrypoint)
    return Defaults(
        agent=agent,
        what="the agent under test",
        without_agent=_without_agent(request),
        userdata=userdata,
        options=options,
        entrypoint=made,
        # an entrypoint makes its session, and that its userdata: the fixture is for agents
        simulation=_simulation(
            request,
            request.node.name,
            userdata if made is None else marker.get("userdata", ...),
            made,
        ),
        start=_steps(marker["start"], "lk(start=…)", request)
        if "start" in marker
        else _steps(start, "start_script", request),
    )


def _without_agent(request: pytest.FixtureRequest) -> str:
    message = (
        "which agent is under test? define a fixture `agent` in conftest.py that returns an Agent, "
        "its class or a factory, or `entrypoint` that returns an AgentServer; or mark the test "
        "@pytest.mark.lk(agent=FrontDesk)"
    )
    if "start_session" in request.fixturenames:
        message += (
            " (user_says and agent_session are about the session of that agent: speak to one of "
            "start_session() by session.run(user_input=…))"
        )
    return message


def of_scenario(
    request: pytest.FixtureRequest,
    agent: Any,
    entrypoint: Any,
    userdata: Any,
    options: Any,
    start: Any,
) -> Defaults:
    """Return what holds for a scenario: what its file says over the fixtures, ini below them."""
    play = border.play_of(request.node)
    assert play is not None
    scenario = play.scenario
    if scenario.agent is not None:
        agent = _with_fixtures(play.names.agent, request)
    elif scenario.entrypoint is not None:
        entrypoint = play.names.entrypoint
    else:
        agent, entrypoint = _of_fixtures(request, agent, entrypoint)
    made = _entrypoint(entrypoint) if scenario.agent is None else None
    if made is not None:
        userdata = scenario.userdata or {}
    elif play.names.userdata is not ...:
        userdata = play.names.userdata()
    elif scenario.userdata and not (
        border.USERDATA_IS_SEEN in request.node.stash or "scenario" in request.fixturenames
    ):
        raise UsageError(
            f"{scenario.site}: {scenario.label}: the scenario says what its userdata is, and your "
            "fixture `userdata` does not look: let it take `scenario`, None in other tests, and "
            "make it of that, as in return Guest(**(scenario and scenario.userdata or {}))"
        )
    site = scenario.agent.site if scenario.agent is not None else scenario.site
    return Defaults(
        agent=agent,
        what=f"{site}: the agent",
        entrypoint=made,
        simulation=(simulation := _simulation(request, scenario.label, userdata, made)),
        order=_order(request, scenario, simulation),
        userdata=userdata,
        options={**options, **scenario.session},
        start=_steps(start, "start_script", request)
        if scenario.start is None
        else play.start_steps(),
        history=scenario.history or None,
        options_of=f"{scenario.session_site or scenario.site}: {scenario.label}: session",
        owes_start=scenario.start is None,  # what its file says, the player judges
        without_agent=f"{scenario.site}: {scenario.label}: which agent is under test? write agent: "
        "agent.py:FrontDesk or entrypoint: server.py:server at the top of the file, or define a "
        "fixture `agent` or `entrypoint` in conftest.py",
        advice=f"it was asked while the session started: add it to start: {{llm: […]}} "
        f"({(scenario.start or scenario).site})",
    )


def set_the_scene(request: pytest.FixtureRequest, stage: Stage, made: Defaults) -> None:
    """Put the mocks of a scenario on the stage, and into its job what runs there."""
    from ._livekit_job import refuse_dispatch

    play = border.play_of(request.node)
    entrypoint = made.entrypoint
    if play is not None:
        owner = made.agent if entrypoint is None else entrypoint.run
        from .fake.judges import script_judges

        play.prepare(stage, border.references_of(request.config), owner)
        script_judges(stage.model, play.scenario.judges)
        stage.expect_veto = play.scenario.expect_veto
        _refuse_vain_veto(play.scenario, entrypoint)
    stage.is_call = _is_call(request)
    if made.simulation is not None:
        where = item_options.who_says_attributes(request.node)
        refuse_dispatch(stage.job.options.attributes, where=where)
    stage.job.simulation = made.simulation
    if entrypoint is not None and made.order is None:
        stage.run_in_job(entrypoint)


def _refuse_vain_veto(scenario: Scenario, entrypoint: Entrypoint | None) -> None:
    if scenario.expect_veto is not None and (
        entrypoint is None or entrypoint.on_simulation_end is None
    ):
        lack = "an agent has none: write entrypoint:"
        if entrypoint is not None:
            lack = f"{entrypoint.what} has none: @server.rtc_session(on_simulation_end=…)"
        raise UsageError(
            f"{scenario.expect_veto_site}: {scenario.label}: on_simulation_end is what vetoes "
            f"(expect_veto), and {lack}"
        )


def _of_fixtures(request: pytest.FixtureRequest, agent: Any, entrypoint: Any) -> tuple[Any, Any]:
    """Return what the fixtures say is under test, or else the ini file."""
    given = [name for name, one in (("agent", agent), ("entrypoint", entrypoint)) if one is not ...]
    if given:
        _refuse_both(given, "the fixtures")
        return agent, entrypoint
    options = border.options_of(request.config)
    named = {"lk_agent": options.agent, "lk_entrypoint": options.entrypoint}
    _refuse_both([name for name, text in named.items() if text], "the ini file")
    of_ini = {name: _of_ini(request, text) for name, text in named.items()}
    return of_ini["lk_agent"], of_ini["lk_entrypoint"]


def _refuse_both(given: Collection[str], where: str) -> None:
    if len(given) > 1:
        raise UsageError(
            f"{where}: {' and '.join(sorted(given))} are both given, and one is under test; let "
            "the other return ..., or take it away"
        )


def _entrypoint_of_marker(given: Any, request: pytest.FixtureRequest) -> Any:
    """Resolve what a marker names as ``agent.py:server``, beside the test's file."""
    if not isinstance(given, str):
        return given
    from .scenarios.model import Ref

    path, line, _ = request.node.location
    ref = Ref(given, Site(str(request.config.rootpath / path), (line or 0) + 1))
    from .simulation.entrypoint import Entrypoint

    return Entrypoint.of(border.references_of(request.config).resolve(ref), name=given)


def _entrypoint(source: Any) -> Entrypoint | None:
    """Take what a marker, a fixture or the ini file gave as entrypoint, None where it is none."""
    from .simulation.entrypoint import Entrypoint

    if source is ... or isinstance(source, Entrypoint):
        return None if source is ... else source
    return Entrypoint.of(source)


def _simulation(
    request: pytest.FixtureRequest, label: str, userdata: Any, entrypoint: Entrypoint | None
) -> Mapping[str, Any] | None:
    """Return what the job says of the simulation, None where it is not to be one.

    An entrypoint always runs in a simulation; in one in text, LiveKit keeps its session from audio.
    The code of an agent sees one only where the test asks for it.
    """
    if entrypoint is None and "simulation" not in request.fixturenames:
        return None
    if entrypoint is None and not isinstance(userdata, Mapping):
        userdata = {}
    try:
        text = json.dumps({} if userdata is ... else dict(userdata))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{border.place_of(request.node)}: the userdata of a simulation is a mapping that "
            f"JSON can hold, not {userdata!r}: {error}"
        ) from None
    scenario = border.scenario_of(request.node)
    return {
        "job_id": request.node.nodeid,
        "label": label,
        "instructions": (scenario and scenario.instructions) or "",
        "agent_expectations": (scenario and scenario.agent_expectations) or "",
        "tags": scenario.tags if scenario else {},
        "userdata": text,
        "mode": "audio" if _is_call(request) else "text",
    }


def _is_call(request: pytest.FixtureRequest) -> bool:
    """Whether the session under test is spoken to."""
    scenario = border.scenario_of(request.node)
    return "voice_call" in request.fixturenames or (
        scenario is not None and scenario.mode == "audio"
    )


def _order(
    request: pytest.FixtureRequest, scenario: Scenario, simulation: Mapping[str, Any] | None
) -> Order | None:
    """Say what a process of its own has to play, None where the scenario is played here."""
    if item_options.target_of(request.node) != PROCESS:
        return None
    from .simulation.order import Order

    assert simulation is not None, "it has an entrypoint"
    options = border.options_of(request.config)
    job = item_options.job_of(request.node, request.getfixturevalue("job_options"))
    return Order(
        scenario=replace(scenario, entrypoint=item_options.entrypoint_of(request.node)),
        job=job,
        simulation=simulation,
        now=item_options.time_of(request.node)[0],
        path=tuple(sys.path),
        keys=options.keys,
        hosts=tuple(options.hosts),
    )


def _with_fixtures(agent: Any, request: pytest.FixtureRequest) -> Any:
    """Give a class or factory the fixtures that its parameters name."""
    from .references import fixture_names

    names = fixture_names(agent)
    if not names:
        return agent
    return functools.partial(agent, **{name: request.getfixturevalue(name) for name in names})


def _steps(start: Any, what: str, request: pytest.FixtureRequest) -> list[Step]:
    """Take the steps of the start; those that are plain texts were written with the test."""
    path, line, _ = request.node.location
    if isinstance(start, str) or not hasattr(start, "__iter__"):
        given = start.describe() if isinstance(start, Step) else repr(start)
        raise UsageError(
            f"{border.place_of(request.node)}: {what} takes a list of steps, not {given}"
        )
    site = Site(str(request.config.rootpath / path), (line or 0) + 1)
    return [
        one if isinstance(one, Step) else replace(as_step(one), written_at=site) for one in start
    ]


def _of_ini(request: pytest.FixtureRequest, reference: str | None) -> Any:
    if reference is None:
        return ...
    from .scenarios.model import Ref

    ref = Ref(reference, Site(str(request.config.inipath), 1))
    return border.references_of(request.config).resolve(ref)
