"""A pytest plugin that says how long collecting took, with livekit imported beforehand."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import livekit.agents  # noqa: F401  (every contender's agent needs it: it is not what is measured)
import pytest

_TOOK = pytest.StashKey[float]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    began = time.process_time()
    result = yield
    session.config.stash[_TOOK] = time.process_time() - began
    return result


def pytest_unconfigure(config: pytest.Config) -> None:
    print(f"\ncollecting took {config.stash[_TOOK]}")
