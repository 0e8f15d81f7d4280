import pytest

from .agent import Concierge


@pytest.fixture
def agent():
    return Concierge
