"""Stand-ins at LiveKit's own seams."""

from .llm import FakeLLM

__all__ = ["FakeLLM"]
