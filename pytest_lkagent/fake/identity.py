"""What every fake says of itself, where LiveKit asks which model of whom it is."""

from __future__ import annotations

__all__ = ["Fake"]


class Fake:
    """A model that is none; the first base of a fake, before LiveKit's own."""

    @property
    def model(self) -> str:
        return "fake"

    @property
    def provider(self) -> str:
        return "pytest-lkagent"
