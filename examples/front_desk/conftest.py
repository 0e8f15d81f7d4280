from datetime import UTC, datetime, timedelta

import pytest

from .agent import Calendar, Desk, FrontDesk


@pytest.fixture
def agent():
    return FrontDesk


@pytest.fixture
def userdata(scenario):
    """The desk of a scenario has the scenario's free times; that of a Python test one, tomorrow."""
    if scenario is None:
        slots = [datetime.now(UTC).replace(hour=14, minute=0) + timedelta(days=1)]
    else:
        written = scenario.userdata["available_slots"]
        slots = [datetime.fromisoformat(slot).replace(tzinfo=UTC) for slot in written]
    return Desk(Calendar(slots))


@pytest.fixture
def start_script(scenario):
    """Every call begins with a greeting."""
    return ["Hello, this is the front desk. Shall we find you a time?"]
