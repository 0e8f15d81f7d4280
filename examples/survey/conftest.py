import pytest

from pytest_lkagent import say

from .agent import Answers, AskConsent, Surveyor


@pytest.fixture
def agent():
    return Surveyor


@pytest.fixture
def userdata():
    return Answers()


@pytest.fixture
def start_script(scenario):
    """In Python tests the survey begins with its first question; scenarios say so themselves."""
    return [] if scenario else [say("May I ask you two questions?").by(AskConsent)]
