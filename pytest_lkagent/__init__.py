"""Test how a LiveKit voice agent behaves: in-process, offline, in virtual time.

Steps for scripts are here (`say`, `call`, `reply`, `fail`, …), and the types of the fixtures for
annotations. Importing this package imports neither pytest nor livekit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import BehaviourError, UsageError
from .script import Request, Step, call, fail, raw_call, reply, say, silence, stall
from .transcript import AgentHandoff, Close, FunctionCall, FunctionCallOutput, Message, Transcript

if TYPE_CHECKING:
    from .fake import FakeLLM
    from .fixtures import MockTask, MockTool, StartSession, UserSays
    from .mocks import TaskMock, ToolMock
    from .record import Turn

__version__ = "0.1.0"

__all__ = [
    "AgentHandoff",
    "BehaviourError",
    "Close",
    "FakeLLM",
    "FunctionCall",
    "FunctionCallOutput",
    "Message",
    "MockTask",
    "MockTool",
    "Request",
    "StartSession",
    "Step",
    "TaskMock",
    "ToolMock",
    "Transcript",
    "Turn",
    "UsageError",
    "UserSays",
    "call",
    "fail",
    "raw_call",
    "reply",
    "say",
    "silence",
    "stall",
]

_LAZY = {
    "FakeLLM": "fake",
    "MockTask": "fixtures",
    "MockTool": "fixtures",
    "StartSession": "fixtures",
    "TaskMock": "mocks",
    "ToolMock": "mocks",
    "Turn": "record",
    "UserSays": "fixtures",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
