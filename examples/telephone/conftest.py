"""Which agent is under test, and how its session listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .agent import Diary, Host


@pytest.fixture
def agent() -> type[Host]:
    return Host


@pytest.fixture
def userdata() -> Diary:
    return Diary()


@pytest.fixture
def session_options() -> Mapping[str, Any]:
    """Two words are an interruption, one shows that somebody listens."""
    return {"turn_handling": {"interruption": {"min_words": 2}}}
