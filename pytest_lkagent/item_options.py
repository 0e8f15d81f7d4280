"""What markers, the scenario and the ini file say of a test, the nearest winning."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from . import border
from .options import (
    DEFAULT_NOW,
    INPROCESS,
    JobOptions,
    read_job,
    read_marker,
    read_moment,
    read_seconds,
)
from .sites import Site
from .strict import check_allowed

if TYPE_CHECKING:
    from .scenarios.model import Ref, Scenario

__all__ = [
    "bounds_of",
    "entrypoint_of",
    "job_of",
    "marker_of",
    "named_entrypoint",
    "stage_arguments",
    "target_of",
    "time_of",
    "who_says_attributes",
]


def marker_of(item: pytest.Item) -> Mapping[str, Any]:
    """Return what the ``lk`` markers of a test say, the nearest winning, checked."""
    given: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("lk"))):
        given |= read_marker(marker.args, marker.kwargs, where=border.place_of(item))
    return given


def time_of(item: pytest.Item) -> tuple[datetime | None, bool]:
    """Return when this test is, None for the present, and whether its time is real."""
    given, scenario = marker_of(item), border.scenario_of(item)
    options = border.options_of(item.config)
    real = bool(given.get("real_time", options.real_time))
    now = options.now
    if scenario is not None and scenario.now is not None:
        now = scenario.now
    if "now" in given:
        now = read_moment(given["now"], where=f"{border.place_of(item)}: lk(now=…)")
    return (now if now is not None or real else DEFAULT_NOW), real


def target_of(item: pytest.Item) -> str:
    """Return where a scenario is played; a test in Python is at home."""
    if (scenario := border.scenario_of(item)) is None:
        return INPROCESS
    return border.options_of(item.config).target or scenario.target or INPROCESS


def entrypoint_of(item: pytest.Item) -> Ref | None:
    """Return the name of the entrypoint that a scenario runs, None where it has none."""
    return named_entrypoint(item.config, border.scenario_of(item))


def named_entrypoint(config: pytest.Config, scenario: Scenario | None) -> Ref | None:
    """Return the entrypoint that a scenario names, or else the ini file."""
    name = border.options_of(config).entrypoint
    if scenario is None or scenario.agent is not None:
        return None
    if scenario.entrypoint is not None or name is None:
        return scenario.entrypoint
    from .scenarios.model import Ref

    return Ref(name, Site(str(config.inipath), 1))


def bounds_of(item: pytest.Item) -> tuple[float, str, frozenset[str]]:
    """Return how long a turn of this test may take, who says so, and which findings it allows."""
    given = marker_of(item)
    scenario = border.scenario_of(item)
    timeout, bound = border.options_of(item.config).timeout, ""
    if scenario is not None and scenario.timeout is not None:
        timeout, bound = scenario.timeout, "as timeout: says"
    if "timeout" in given:
        timeout = read_seconds(given["timeout"], where=f"{border.place_of(item)}: lk(timeout=…)")
        bound = "as lk(timeout=…) says"
    allow: frozenset[str] = frozenset()
    if "allow" in given:
        allow = check_allowed(given["allow"], where=border.place_of(item))
    if scenario is not None:
        allow |= {ref.text for ref in scenario.allow}
    return timeout, bound, allow


def job_of(item: pytest.Item, given: object) -> JobOptions:
    """Return what the job of a test is like; `given` is what its fixture says."""
    where, scenario = "job_options", border.scenario_of(item)
    marked = marker_of(item)
    if "job" in marked:
        given, where = marked["job"], f"{border.place_of(item)}: lk(job=…)"
    options = read_job(given, where=where)
    if scenario is None or scenario.job is None:
        return options
    return read_job({**vars(options), **scenario.job.said}, where=f"{scenario.job.site}: job")


def who_says_attributes(item: pytest.Item) -> str:
    """Name what says which attributes the job of a test has."""
    scenario = border.scenario_of(item)
    if scenario is not None and scenario.job is not None and "attributes" in scenario.job.said:
        return f"{scenario.job.site}: job: attributes"
    if "job" in marker_of(item):
        return f"{border.place_of(item)}: lk(job=…): attributes"
    return "job_options: attributes"


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
        "words": Words() if border.scenario_of(item) is None else ScenarioWords(),
        "hosts": border.options_of(item.config).hosts,
        "real_time": time_of(item)[1],
        "job": job,
        "target": target_of(item),
    }
