"""What a session is built from: marker and scenario, the fixtures below them, ini last."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from . import border
from .collect import references_of
from .errors import UsageError
from .script import Step, as_step
from .sites import Site

if TYPE_CHECKING:
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
    without_agent: str = (
        "which agent is under test? define a fixture `agent` in conftest.py that returns an Agent, "
        "its class or a factory; or mark the test @pytest.mark.lk(agent=FrontDesk)"
    )
    options_of: str = "session_options"
    advice: str = (
        "it was asked while the session started: script that with the start_script fixture, or "
        "with @pytest.mark.lk(start=[say('…')])"
    )

    def arguments(self, agent: Any = None, **given: Any) -> dict[str, Any]:
        """Return arguments for `Stage.start_session`; `given` wins."""
        from .build import check_session_options

        what = self.what if agent is None else "start_session()"
        agent = self.agent if agent is None else agent
        if agent is ...:
            raise UsageError(self.without_agent)
        if not hasattr(self.options, "keys"):
            raise UsageError(
                f"session_options is a mapping of AgentSession arguments, not {self.options!r}"
            )
        made = {
            "agent": agent,
            "what": what,
            "userdata": given.pop("userdata", self.userdata),
            "start": given.pop("start", self.start),
            "history": given.pop("history", self.history),
            "model": given.pop("llm", None),
            "advice": self.advice,
            "owes_start": self.owes_start,
        }
        options = {**self.options, **given}
        check_session_options(options, where=self.options_of)
        return {**made, "options": options}


def of_test(
    request: pytest.FixtureRequest, agent: Any, userdata: Any, options: Any, start: Any
) -> Defaults:
    """Return what holds for a Python test: its markers over the fixtures, ini below them."""
    marker = border.marker_of(request.node)
    if "agent" in marker:
        agent = marker["agent"]
    elif agent is ...:
        agent = _agent_of_ini(request)
    return Defaults(
        agent=agent,
        what="the agent under test",
        userdata=copy.deepcopy(marker["userdata"]) if "userdata" in marker else userdata,
        options=options,
        start=_steps(marker["start"], "lk(start=…)", request)
        if "start" in marker
        else _steps(start, "start_script", request),
    )


def of_scenario(
    request: pytest.FixtureRequest, agent: Any, userdata: Any, options: Any, start: Any
) -> Defaults:
    """Return what holds for a scenario: what its file says over the fixtures, ini below them."""
    play = border.play_of(request.node)
    assert play is not None
    scenario = play.scenario
    if scenario.userdata and not (
        border.USERDATA_IS_SEEN in request.node.stash or "scenario" in request.fixturenames
    ):
        raise UsageError(
            f"{scenario.site}: {scenario.label}: the scenario says what its userdata is, and your "
            "fixture `userdata` does not look: let it take `scenario`, None in other tests, and "
            "make it of that, as in return Guest(**(scenario and scenario.userdata or {}))"
        )
    site = scenario.agent.site if scenario.agent is not None else scenario.site
    if scenario.agent is not None:
        agent = play.names.agent
    elif agent is ...:
        agent = _agent_of_ini(request)
    return Defaults(
        agent=_with_fixtures(agent, request) if scenario.agent is not None else agent,
        what=f"{site}: the agent",
        userdata=userdata,
        options={**options, **scenario.session},
        start=_steps(start, "start_script", request)
        if scenario.start is None
        else play.start_steps(),
        history=scenario.history or None,
        options_of=f"{scenario.session_site or scenario.site}: {scenario.label}: session",
        owes_start=scenario.start is None,  # what its file says, the player judges
        without_agent=f"{scenario.site}: {scenario.label}: which agent is under test? write agent: "
        "agent.py:FrontDesk at the top of the file, or define a fixture `agent` in conftest.py",
        advice=f"it was asked while the session started: add it to start: {{llm: […]}} "
        f"({(scenario.start or scenario).site})",
    )


def set_the_scene(request: pytest.FixtureRequest, stage: Stage, agent: Any) -> None:
    """Put the mocks of a scenario on the stage."""
    play = border.play_of(request.node)
    if play is not None:
        play.prepare(stage, references_of(request.config), agent)


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
        raise UsageError(f"{request.node.nodeid}: {what} takes a list of steps, not {start!r}")
    site = Site(str(request.config.rootpath / path), (line or 0) + 1)
    return [
        one if isinstance(one, Step) else replace(as_step(one), written_at=site) for one in start
    ]


def _agent_of_ini(request: pytest.FixtureRequest) -> Any:
    reference = border.options_of(request.config).agent
    if reference is None:
        return ...
    from .scenarios.model import Ref

    ref = Ref(reference, Site(str(request.config.inipath), 1))
    return references_of(request.config).resolve(ref)
