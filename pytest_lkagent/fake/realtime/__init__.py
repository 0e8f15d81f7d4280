"""A scripted realtime model: it hears and speaks, and is answered by the script of a `FakeLLM`."""

from .caller import Caller
from .model import FakeRealtimeModel
from .server import IncompleteResponse
from .session import FakeRealtimeSession, Truncation

__all__ = [
    "Caller",
    "FakeRealtimeModel",
    "FakeRealtimeSession",
    "IncompleteResponse",
    "Truncation",
]
