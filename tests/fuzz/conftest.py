"""How long the tests of fuzzing look: ``--hypothesis-profile=thorough`` before a release."""

from hypothesis import settings

settings.register_profile(
    "thorough", derandomize=True, database=None, deadline=None, max_examples=500
)
