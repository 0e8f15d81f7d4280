"""How long the tests of fuzzing look: ``--hypothesis-profile=thorough`` before a release."""

from collections.abc import Iterator

import pytest
from hypothesis import core, settings

settings.register_profile(
    "thorough", derandomize=True, database=None, deadline=None, max_examples=500
)


@pytest.fixture(autouse=True)
def _own_profile(pytestconfig: pytest.Config) -> Iterator[None]:
    """Take back the profile and the seed that a project inside of a test has for all of us."""
    yield
    core.global_force_seed = None
    settings.load_profile(pytestconfig.getoption("--hypothesis-profile") or "deterministic")
