import pytest

from .agent import Host, Order


@pytest.fixture
def agent():
    return Host


@pytest.fixture
def userdata(scenario):
    """Begin with what the scenario's userdata says of the order, else with an empty one."""
    return Order(**(scenario.userdata or {}) if scenario else {})


@pytest.fixture
def session_options():
    return {"max_tool_steps": 5}
