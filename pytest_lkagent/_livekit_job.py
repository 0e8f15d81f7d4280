"""Quarantine: the private names of livekit that make a job and an AgentServer what they are.

Checked against livekit-agents 1.7.0 and 1.8.9. `_livekit` has those of sessions and models.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import aiohttp
from google.protobuf import json_format
from livekit import api, rtc
from livekit.agents import (
    AgentServer,
    AgentSession,
    JobContext,
    JobExecutorType,
    JobProcess,
    job,
    llm,
)
from livekit.agents.inference_runner import _InferenceRunner
from livekit.agents.simulation import SimulationContext
from livekit.agents.testing import fake_job_context
from livekit.agents.types import ATTRIBUTE_SIMULATOR_DISPATCH
from livekit.agents.utils import http_context
from livekit.protocol import agent_simulation as proto

from .errors import UsageError
from .options import JobOptions

__all__ = [
    "Parts",
    "check_dispatch",
    "close_http_sessions",
    "dispatch",
    "enter_job",
    "furnish",
    "judged_by",
    "make_process",
    "on_simulation_end",
    "parts_of",
    "primary_session",
    "refuse_dispatch",
    "run_console",
    "run_instead",
    "shutdown_callbacks",
]

_SECRET = "nobody-verifies-what-this-signs-0000"
_RUN_ID = "pytest-lkagent"


class Parts(NamedTuple):
    """What an AgentServer was given."""

    entrypoint: Callable[[JobContext], Any] | None
    prewarm: Callable[[JobProcess], Any] | None
    on_session_end: Callable[[JobContext], Any] | None
    on_simulation_end: Callable[[SimulationContext], Any] | None
    session_end_timeout: float
    agent_name: str


def parts_of(server: AgentServer) -> Parts:
    """Take an AgentServer apart."""
    return Parts(
        server._entrypoint_fnc,
        server._setup_fnc,
        server._session_end_fnc,
        server._simulation_end_fnc,
        server._session_end_timeout,
        server._agent_name,
    )


def make_process() -> JobProcess:
    """Make the process object of a job, for a ``prewarm`` to fill."""
    return JobProcess(executor_type=JobExecutorType.THREAD, user_arguments=None, http_proxy=None)


@contextmanager
def enter_job(
    room: rtc.Room,
    *,
    attributes: Mapping[str, str],
    process: JobProcess | None,
    on_shutdown: Callable[[str], None],
    **how: Any,
) -> Iterator[JobContext]:
    """Enter LiveKit's fake job, and take away at its end the folder that it has.

    Other than there, ``connect()`` connects a `room` that is not connected yet, ``shutdown()`` and
    the end of the room are heard, and the job has attributes, a token and, where it is given, a
    process that was warmed up.
    """
    with ExitStack() as stack:
        with _folders_on_demand():
            context = stack.enter_context(fake_job_context(room=room, **how))
        stack.callback(context._tempdir.cleanup)
        context._session_directory = context._tempdir
        context._connected = room.isconnected()
        context._on_shutdown = on_shutdown
        stack.callback(room.off, "disconnected", _end_with(room, on_shutdown))
        context.job.attributes.update(attributes)
        http_context._ContextVar.set(_HttpSessions())
        context._info.token = _token(how["agent_identity"])
        if process is not None:
            context._proc = process
        yield context


def _end_with(room: rtc.Room, on_shutdown: Callable[[str], Any]) -> Callable[[], None]:
    """End a job with its `room`, as LiveKit does; returns the handler that hears of it."""

    def ended() -> None:
        on_shutdown("room disconnected")

    room.on("disconnected", ended)
    return ended


class _Folder:
    """A `TemporaryDirectory` that is made when somebody asks for its path.

    Hardly a test does, and to make it and to take it away waits for the disk.
    """

    name = ""  # LiveKit asks at once, and for nobody

    @functools.cached_property
    def _made(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory()

    def __fspath__(self) -> str:
        return self._made.name

    def cleanup(self) -> None:
        if "_made" in vars(self):
            self._made.cleanup()


@contextmanager
def _folders_on_demand() -> Iterator[None]:
    """Let the jobs that LiveKit makes inside have such folders."""
    module: Any = job
    before, module.tempfile = module.tempfile, SimpleNamespace(TemporaryDirectory=_Folder)
    try:
        yield
    finally:
        module.tempfile = before


@functools.cache
def _token(identity: str) -> str:
    return api.AccessToken("fake", _SECRET).with_identity(identity).to_jwt()


class _HttpSessions:
    """The HTTP session of a job, made when somebody asks (``ctx.api`` does)."""

    def __init__(self) -> None:
        self._made: aiohttp.ClientSession | None = None

    def __call__(self) -> aiohttp.ClientSession:
        if self._made is None or self._made.closed:
            self._made = aiohttp.ClientSession()
        return self._made

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()


async def close_http_sessions() -> None:
    """Close the HTTP session of the job, where somebody asked for one."""
    sessions = http_context._ContextVar.get(None)
    if isinstance(sessions, _HttpSessions):
        await sessions.close()


_MODES = {
    "text": proto.SimulationMode.SIMULATION_MODE_TEXT,
    "audio": proto.SimulationMode.SIMULATION_MODE_AUDIO,
}


def dispatch(
    context: JobContext,
    *,
    job_id: str,
    label: str,
    instructions: str,
    agent_expectations: str,
    tags: Mapping[str, str],
    userdata: str,
    mode: Literal["text", "audio"],
) -> None:
    """Make the job one of a simulation; in text, LiveKit keeps its session from audio.

    For before anybody asks: LiveKit looks once.
    """
    scenario = proto.Scenario(
        label=label,
        instructions=instructions,
        agent_expectations=agent_expectations,
        tags=tags,
        userdata=userdata,
    )
    message = proto.SimulationDispatch(
        simulation_run_id=_RUN_ID,
        job_id=job_id,
        scenario=scenario,
        mode=_MODES[mode],
    )
    context.job.attributes[ATTRIBUTE_SIMULATOR_DISPATCH] = json_format.MessageToJson(message)


def check_dispatch(attributes: Mapping[str, str], *, where: str) -> None:
    """Look at the dispatch of a simulation that a test gives its job, if it gives one.

    Raises:
        UsageError: LiveKit would ignore it without a word, or take it for something else.
    """
    if (text := attributes.get(ATTRIBUTE_SIMULATOR_DISPATCH)) is None:
        return
    message, modes, wrong = proto.SimulationDispatch(), proto.SimulationMode, ""
    try:
        json_format.Parse(text, message)
    except json_format.ParseError as error:
        wrong = "cannot be read: " + str(error).partition("\n")[0].rstrip(".")
    else:
        if not message.simulation_run_id:
            wrong = "has no simulationRunId"
        elif message.mode not in modes.values():
            wrong = f"has an unknown mode, {message.mode}"
    if wrong:
        raise UsageError(
            f"{where}: {ATTRIBUTE_SIMULATOR_DISPATCH} {wrong}; it is a SimulationDispatch in JSON, "
            f"with a simulationRunId, and a mode of {' or '.join(modes.keys()[1:])}"
        )


def refuse_dispatch(attributes: Mapping[str, str], *, where: str) -> None:
    """Refuse the dispatch that a test gives its job, where it would lose against ours.

    Raises:
        UsageError: There is one.
    """
    if ATTRIBUTE_SIMULATOR_DISPATCH in attributes:
        raise UsageError(
            f"{where}: {ATTRIBUTE_SIMULATOR_DISPATCH} is ours to write in a simulation, of what "
            "the test and its scenario say; take it away, and say userdata"
        )


def primary_session(context: JobContext) -> AgentSession[Any] | None:
    """Return the session of a job, None before one started."""
    return context._primary_agent_session


def shutdown_callbacks(context: JobContext) -> list[Callable[[str], Any]]:
    """Return what is called, with the reason, when the job is over."""
    return context._shutdown_callbacks


@contextmanager
def judged_by(model: Callable[[str], llm.LLM[Any]]) -> Iterator[None]:
    """Let each judge of a ``JudgeGroup`` ask ``model(its name)`` inside, whatever it was given."""
    from livekit.agents import evals  # 20 ms, for tests of entrypoints alone

    group: Any = evals.JudgeGroup
    original = group.evaluate

    async def evaluate(self: Any, *args: Any, **how: Any) -> Any:
        judging = copy.copy(self)
        judging._judges = [_Judge(one, model(one.name)) for one in self._judges]
        return await original(judging, *args, **how)

    group.evaluate = evaluate
    try:
        yield
    finally:
        group.evaluate = original


class _Judge:
    """A judge that asks this model."""

    def __init__(self, judge: Any, model: llm.LLM[Any]) -> None:
        self._judge = judge
        self._model = model
        self.name = judge.name

    async def evaluate(self, **what: Any) -> Any:
        return await self._judge.evaluate(**{**what, "llm": self._model})


def on_simulation_end(
    context: JobContext, callback: Callable[[SimulationContext], Any] | None
) -> None:
    """Let `callback` be what ``finalize_simulation`` calls from now on."""
    context._simulation_end_fnc = callback


# --- a process of its own


def run_instead(
    server: AgentServer,
    entrypoint: Callable[[JobContext], Any],
    *,
    prewarm: Callable[[JobProcess], Any] | None,
    on_session_end: Callable[[JobContext], Any],
) -> None:
    """Let a server run these in the place of its own."""
    server._entrypoint_fnc = entrypoint
    server._session_end_fnc = on_session_end
    if prewarm is not None:
        server._setup_fnc = prewarm


def furnish(
    context: JobContext,
    room: rtc.Room,
    options: JobOptions,
    *,
    on_shutdown: Callable[[str], Any],
) -> None:
    """Make the job of LiveKit's console, which nobody has looked into, what `enter_job` enters."""
    job = context.job
    job.id, job.metadata, job.room.name = options.job_id, options.metadata, room.name
    job.attributes.update(options.attributes)
    context._info.token = _token(options.agent_identity)
    context._room = room
    context._on_shutdown = on_shutdown
    _end_with(room, on_shutdown)
    context._simulation_resolved = False


def run_console(server: AgentServer, address: tuple[str, int]) -> None:
    """Run ``python -m livekit.agents console`` for this server, until a signal ends it."""
    from livekit.agents import __main__
    from livekit.agents.cli import AgentsConsole

    # as under `lk agent simulate`: no port of its own, no models for audio that nobody hears
    server._simulation = True
    _InferenceRunner.registered_runners.clear()
    AgentsConsole.get_instance().console_mode = "text"
    command: Any = __main__
    command._discover_server = lambda _: server
    command.main(["console", "--connect-addr", "{}:{}".format(*address)])
