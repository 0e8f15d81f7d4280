import pytest

from .agent import server


@pytest.fixture
def entrypoint():
    return server


@pytest.fixture
def job_options():
    return {"metadata": {"hotel": "Harbour Hotel"}}


@pytest.fixture
def start_script():
    return ["Harbour Hotel, good evening."]
