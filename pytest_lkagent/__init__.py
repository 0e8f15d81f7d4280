"""Test how a LiveKit voice agent behaves: in-process, offline, in virtual time.

Steps for scripts are here (`say`, `call`, `reply`, `fail`, …), and the types of the fixtures for
annotations. Importing this package imports neither pytest nor livekit, and every name only when it
is asked for: the plugin is part of the start of every pytest run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import BehaviourError, UsageError
    from .fake import FakeLLM
    from .fake.realtime import FakeRealtimeModel, IncompleteResponse
    from .fake.room import FakeRoom, Sent
    from .fake.server import FakeLLMServer
    from .fake.tts import FakeTTS
    from .mocks import TaskMock, ToolMock
    from .protocols import MockTask, MockTool, StartSession, UserSays
    from .public_time import real_time, virtual_now, virtual_time
    from .record import Turn
    from .report.run_files import load_runs
    from .report.runs import run_summary
    from .script import Request, Step, call, fail, raw_call, reply, say, silence, stall
    from .simulation.remote import RemoteSession
    from .snapshot.extension import ChatSnapshot
    from .timeline import Timeline
    from .transcript import (
        AgentHandoff,
        Close,
        FunctionCall,
        FunctionCallOutput,
        Message,
        Transcript,
    )
    from .voice.call import VoiceCall

__version__ = "0.1.0"

__all__ = [
    "AgentHandoff",
    "BehaviourError",
    "ChatSnapshot",
    "Close",
    "FakeLLM",
    "FakeLLMServer",
    "FakeRealtimeModel",
    "FakeRoom",
    "FakeTTS",
    "FunctionCall",
    "FunctionCallOutput",
    "IncompleteResponse",
    "Message",
    "MockTask",
    "MockTool",
    "RemoteSession",
    "Request",
    "Sent",
    "StartSession",
    "Step",
    "TaskMock",
    "Timeline",
    "ToolMock",
    "Transcript",
    "Turn",
    "UsageError",
    "UserSays",
    "VoiceCall",
    "call",
    "fail",
    "load_runs",
    "raw_call",
    "real_time",
    "reply",
    "run_summary",
    "say",
    "silence",
    "stall",
    "virtual_now",
    "virtual_time",
]

_HOMES = {
    "errors": ("BehaviourError", "UsageError"),
    "fake": ("FakeLLM",),
    "fake.realtime": ("FakeRealtimeModel", "IncompleteResponse"),
    "fake.room": ("FakeRoom", "Sent"),
    "fake.server": ("FakeLLMServer",),
    "fake.tts": ("FakeTTS",),
    "mocks": ("TaskMock", "ToolMock"),
    "protocols": ("MockTask", "MockTool", "StartSession", "UserSays"),
    "public_time": ("real_time", "virtual_now", "virtual_time"),
    "record": ("Turn",),
    "report.run_files": ("load_runs",),
    "report.runs": ("run_summary",),
    "script": (
        "Request",
        "Step",
        "call",
        "fail",
        "raw_call",
        "reply",
        "say",
        "silence",
        "stall",
    ),
    "simulation.remote": ("RemoteSession",),
    "snapshot.extension": ("ChatSnapshot",),
    "timeline": ("Timeline",),
    "transcript": (
        "AgentHandoff",
        "Close",
        "FunctionCall",
        "FunctionCallOutput",
        "Message",
        "Transcript",
    ),
    "voice.call": ("VoiceCall",),
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
