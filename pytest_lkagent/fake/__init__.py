"""Stand-ins at LiveKit's own seams."""

from .llm import FakeLLM
from .realtime import FakeRealtimeModel, FakeRealtimeSession, IncompleteResponse

__all__ = ["FakeLLM", "FakeRealtimeModel", "FakeRealtimeSession", "IncompleteResponse"]
