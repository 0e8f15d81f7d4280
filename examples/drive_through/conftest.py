import pytest

from .agent import DriveThrough, Tray


@pytest.fixture
def agent():
    return DriveThrough


@pytest.fixture
def userdata():
    return Tray()
