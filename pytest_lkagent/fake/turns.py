"""A turn detector that finds what the test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["FakeTurnDetector"]


class FakeTurnDetector:
    """A turn detector on text; `probability` says how probable it is that the user is done.

    Below a half it is unlikely, and LiveKit waits for ``max_delay`` instead of ``min_delay``.
    """

    model = "fake"
    provider = "pytest-lkagent"

    def __init__(self, probability: Callable[[], float]) -> None:
        self._probability = probability

    async def unlikely_threshold(self, language: Any) -> float | None:
        return 0.5

    async def supports_language(self, language: Any) -> bool:
        return True

    async def predict_end_of_turn(self, chat_ctx: Any, *, timeout: float | None = None) -> float:  # noqa: ASYNC109  (LiveKit's)
        return self._probability()
