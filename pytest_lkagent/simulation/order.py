"""What a process of its own is told about the test that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..options import Host, JobOptions
from ..scenarios.model import Scenario

__all__ = ["Order"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """One scenario to be played by an agent in a process of its own.

    Attributes:
        scenario: With the entrypoint that is run; its mocks, judges and history are the process's.
        simulation: What its job says of the simulation.
        now: When it is, None for the present.
        path: Where Python looks for modules.
        keys: Further variables that hold dummies.
        hosts: Hosts that it may connect to.
    """

    scenario: Scenario
    job: JobOptions
    simulation: Mapping[str, Any]
    now: datetime | None
    path: Sequence[str]
    keys: Sequence[str]
    hosts: Sequence[Host]
