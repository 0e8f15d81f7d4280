"""How long the tests of fuzzing look: ``--hypothesis-profile=thorough`` before a release."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile(
    "thorough", derandomize=True, database=None, deadline=None, max_examples=500
)


@pytest.fixture(autouse=True)
def _own_profile(pytestconfig: pytest.Config) -> Iterator[None]:
    """Take back the profile that a project inside of a test loads for the whole process."""
    yield
    settings.load_profile(pytestconfig.getoption("--hypothesis-profile") or "deterministic")
