"""A run as LiveKit's ``SimulationRun``: from results to protojson.

What tests tell of themselves is plain JSON in the words of LiveKit's protocol, so that it gets
through xdist, and becomes LiveKit's types at the end. A field that the installed livekit-protocol
does not know yet is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message as ProtoMessage
from livekit.protocol.agent_simulation import SimulationRun, SimulationRunSummary

from ..errors import UsageError
from ..scenarios.model import Scenario
from ..transcript import AgentHandoff, Event, FunctionCall, FunctionCallOutput, Message

__all__ = [
    "JobResult",
    "RunResult",
    "Status",
    "as_chat",
    "as_json",
    "as_scenario",
    "parse",
    "put_summary",
    "run_summary",
    "simulation_run",
]

_M = TypeVar("_M", bound=ProtoMessage)
Status: TypeAlias = Literal["completed", "failed", "cancelled"]
"""How a job or a run ended. A run that came to its end is completed, whatever its jobs did."""


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What became of one scenario; `scenario` and `chat` are what `as_scenario`, `as_chat` make.

    `started` and `ended` are seconds since the epoch, 0 where it never ran; so are those of a run.
    """

    id: str
    scenario: Mapping[str, Any]
    status: Status
    error: str = ""
    started: float = 0.0
    ended: float = 0.0
    chat: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What became of a run; `error` says why it is not completed, `ci` is `ci_of` its machine."""

    id: str
    status: Status
    started: float
    ended: float
    error: str = ""
    jobs: Sequence[JobResult] = ()
    ci: Mapping[str, str] | None = None


# --- from what the plugin knows to the words of the protocol


def as_scenario(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as LiveKit's ``Scenario``."""
    return {
        "label": scenario.label,
        "instructions": scenario.instructions,
        "agent_expectations": scenario.agent_expectations,
        "tags": dict(scenario.tags),
        "userdata": None if scenario.userdata is None else json.dumps(scenario.userdata),
        "id": scenario.id,
    }


def as_chat(events: Iterable[Event]) -> dict[str, Any]:
    """Return a conversation as LiveKit's ``ChatContext``, which has no place for a close.

    Without ids and times: those of a session are random, and virtual.
    """
    return {"items": [item for event in events if (item := _item_of(event))]}


def _item_of(event: Event) -> dict[str, Any] | None:
    match event:
        case Message():
            content = [{"text": event.text}]
            message = {"role": event.role.upper(), "content": content}
            return {"message": {**message, "interrupted": event.interrupted}}
        case FunctionCall(name=name, call_id=call_id, arguments=given):
            arguments = given if isinstance(given, str) else json.dumps(given, default=str)
            return {"function_call": {"call_id": call_id, "name": name, "arguments": arguments}}
        case FunctionCallOutput(name=name, call_id=call_id, output=text, is_error=is_error):
            output = {"name": name, "call_id": call_id, "output": text, "is_error": is_error}
            return {"function_call_output": output}
        case AgentHandoff(old=old, new=new):
            return {"agent_handoff": {"old_agent_id": old, "new_agent_id": new}}
    return None


# --- the run


def simulation_run(result: RunResult) -> SimulationRun:
    """Return a run as LiveKit's ``SimulationRun``; its conversations are in the summary."""
    jobs = result.jobs
    passed = sum(job.status == "completed" for job in jobs)
    failed = sum(job.status == "failed" for job in jobs)
    chats = {job.id: job.chat for job in jobs if job.chat is not None}
    files = dict.fromkeys(job.id.partition("::")[0] for job in jobs)
    run = parse(
        {
            "id": result.id,
            "status": f"STATUS_{result.status.upper()}",
            "error": result.error,
            "created_at": _instant(result.started),
            "ended_at": _instant(result.ended),
            "mode": "SIMULATION_MODE_TEXT",
            "scenario_group": {
                "name": ", ".join(files),
                "scenarios": [job.scenario for job in jobs],
            },
            "jobs": [_job(job) for job in jobs],
            "job_count": len(jobs),
            "num_simulations": len(jobs),
            "passed_count": passed,
            "failed_count": failed,
            "ci": result.ci,
        },
        SimulationRun(),
    )
    summary = {"passed": passed, "failed": failed, "chat_history": chats}
    put_summary(run, parse(summary, SimulationRunSummary()))
    return run


def _job(job: JobResult) -> dict[str, Any]:
    scenario = job.scenario
    return {
        "id": job.id,
        "scenario_id": scenario["id"],
        "label": scenario["label"],
        "instructions": scenario["instructions"],
        "agent_expectations": scenario["agent_expectations"],
        "tags": [f"{key}={value}" for key, value in scenario["tags"].items()],
        "status": f"STATUS_{job.status.upper()}",
        "error": job.error,
        "started_at": _instant(job.started),
        "ended_at": _instant(job.ended),
    }


def _instant(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def parse(value: Mapping[str, Any], message: _M) -> _M:
    """Read protojson into `message`, and leave out what it does not know.

    Half a surrogate pair, which protobuf refuses, becomes a question mark.

    Raises:
        ParseError: It is no such message.
    """
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace")
    return json_format.Parse(text, message, ignore_unknown_fields=True)


def as_json(run: SimulationRun) -> str:
    """Write a run as protojson, with the names and the defaults as ``lk`` writes them."""
    return json_format.MessageToJson(
        run,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        ensure_ascii=False,
    )


# --- the summary, which a run holds as a zstd frame

# A frame (RFC 8878) with a content size of four bytes and a window of 128 KiB.
_FRAME = bytes.fromhex("28b52ffd 80 38")
_BLOCK = 128 * 1024


def put_summary(run: SimulationRun, summary: SimulationRunSummary) -> None:
    """Store a summary, uncompressed: in blocks that zstd calls raw, as Python 3.11 has no zstd."""
    content = summary.SerializeToString(deterministic=True)
    frame = _FRAME + len(content).to_bytes(4, "little")
    for start in range(0, max(len(content), 1), _BLOCK):
        block = content[start : start + _BLOCK]
        is_last = start + _BLOCK >= len(content)
        frame += (len(block) << 3 | is_last).to_bytes(3, "little") + block
    run.summary_zstd = frame


def run_summary(run: SimulationRun) -> SimulationRunSummary:
    """Return the summary of a run, whose `chat_history` has a ``ChatContext`` for each job's id.

    Raises:
        UsageError: It is compressed, as in an answer of LiveKit Cloud.
    """
    frame, content = run.summary_zstd, b""
    is_raw = frame.startswith(_FRAME) or not frame
    at = len(_FRAME) + 4
    while is_raw and at < len(frame):
        header = int.from_bytes(frame[at : at + 3], "little")
        is_raw, size = header >> 1 & 3 == 0, header >> 3
        content += frame[at + 3 : at + 3 + size]
        at += 3 + size
    if not is_raw:
        raise UsageError(
            f"the summary of run {run.id} is compressed; read it with a zstd library, or take what "
            f"lk agent simulate --export {run.id} writes"
        )
    return SimulationRunSummary.FromString(content)
