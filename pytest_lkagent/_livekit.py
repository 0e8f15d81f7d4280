"""Quarantine: private or unexported names of livekit that the plugin touches.

Checked against livekit-agents 1.7.0 and 1.8.9; when LiveKit moves, the modules `_livekit*` are the
files to open. Nothing here decides anything: it reads, and puts a `Seam` between a session and the
models and tools it would otherwise reach.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

from livekit.agents import (
    Agent,
    AgentSession,
    JobContext,
    RunContext,
    get_job_context,
    inference,
    llm,
    stt,
    tts,
    vad,
)
from livekit.agents.llm.chat_context import Instructions
from livekit.agents.log import logger
from livekit.agents.types import NOT_GIVEN
from livekit.agents.utils import is_given
from livekit.agents.voice import agent_activity, run_result
from livekit.agents.voice.agent_activity import (
    ActivityClosedError,
    AgentActivity,
)
from livekit.agents.voice.generation import make_tool_output, perform_llm_inference
from livekit.agents.voice.tool_executor import _ToolExecutor
from livekit.agents.voice.turn import (
    TurnDetectionEvent,
    _migrate_turn_handling,
    _StreamingTurnDetector,
)
from livekit.rtc.log import logger as rtc_logger

from . import _livekit_interruptions, _livekit_replies
from .stand_ins import StandIns

__all__ = [
    "SPEECH",
    "STAND_INS",
    "Adopter",
    "Model",
    "Seam",
    "Speech",
    "adopted_by",
    "attach",
    "detach",
    "hears_by_itself",
    "is_duplex",
    "is_under_test",
    "mark_defaults",
    "model_named",
    "prediction",
    "quiet_log",
    "refusal_of",
    "replace_model",
    "replace_speech",
    "run_user_mock",
    "silent_log",
    "speech_for",
    "tools_of",
    "turn_handling_of",
]

Model: TypeAlias = llm.LLM[Any] | llm.RealtimeModel

_FunctionTool = llm.FunctionTool[Any, Any] | llm.RawFunctionTool[Any, Any]

SPEECH = ("stt", "tts", "vad", "turn_detection")
"""What an agent, or a session, may have of its own to hear and to speak with."""


class Speech(Protocol):
    """What a session under test hears and speaks with."""

    @property
    def stt(self) -> stt.STT[Any]: ...
    @property
    def tts(self) -> tts.TTS[Any]: ...
    @property
    def turn_detection(self) -> Any:
        """In the place of a detector on text."""

    @property
    def audio_turn_detection(self) -> Any:
        """In the place of one on audio, as LiveKit's default is (``inference.TurnDetector``)."""

    def vad_like(self, theirs: vad.VAD | None) -> vad.VAD:
        """Return what is as patient as `theirs`, or as LiveKit's default where nobody has one."""


class Seam(Protocol):
    """What stands between a session under test and the world."""

    @property
    def speech(self) -> Speech | None:
        """What every agent of the session hears and speaks with, None for text alone."""

    def stand_in(self, theirs: Any) -> Model | None:
        """Return the model for the place of an agent's own, None where that is kept."""

    def agent_starting(self, agent: Agent) -> None:
        """Look at an agent before it becomes the session's current one."""

    def run_starting(self) -> None:
        """Look around before a run starts."""

    def tool_body(
        self,
        agent: Agent,
        tool: _FunctionTool,
        context: RunContext[Any],
        user_mock: Callable[..., Any] | None,
    ) -> Callable[..., Awaitable[Any]]:
        """Return what runs in the place of `tool`; `user_mock` is LiveKit's own mock for it."""


class Adopter(Protocol):
    """What takes the sessions under its wing that the code of a job makes by itself."""

    def stand_in(self, theirs: Any) -> Model | None:
        """Return the model for the place of theirs, None where that is kept."""

    async def session_starting(self, session: AgentSession[Any], agent: Agent) -> None:
        """Look at a session before it starts; `attach` it for instance."""

    def session_started(self, session: AgentSession[Any]) -> None:
        """Look at it once it has started."""

    def session_starting_again(self) -> None:
        """Look at the start of one that has started already."""


_seams: dict[int, tuple[AgentSession[Any], Seam]] = {}
_adopters: dict[int, tuple[JobContext, Adopter]] = {}
_originals: dict[Callable[..., Any], Callable[..., Any]] = {}


def attach(session: AgentSession[Any], seam: Seam) -> None:
    """Put `seam` around the models and tools of `session`, until `detach`."""
    if id(session) not in _seams:
        STAND_INS.__enter__()
    _seams[id(session)] = (session, seam)


def detach(session: AgentSession[Any]) -> None:
    """Leave `session` to itself; with the last one gone, LiveKit's classes are as they were."""
    if _seams.pop(id(session), None) is not None:
        STAND_INS.__exit__()


@contextmanager
def adopted_by(adopter: Adopter, job: JobContext) -> Iterator[None]:
    """Show `adopter` the sessions that start in this job inside."""
    with STAND_INS:
        _adopters[id(job)] = (job, adopter)
        try:
            yield
        finally:
            del _adopters[id(job)]


def replace_model(session: AgentSession[Any], stand_in: Callable[[Any], Model | None]) -> None:
    """Give a session that has not started the stand-in of its model, if there is one."""
    session._llm = stand_in(session._llm) or session._llm


def replace_speech(session: AgentSession[Any], speech: Speech) -> None:
    """Give a session that has not started `speech` in the place of its own."""
    own: Any = session
    for name in SPEECH:
        setattr(own, f"_{name}", speech_for(name, getattr(own, f"_{name}"), speech))


def _seam_of(session: Any) -> Seam | None:
    found = _seams.get(id(session))
    return found[1] if found is not None else None


def _adopter() -> Adopter | None:
    _, adopter = _adopters.get(id(get_job_context(required=False)), (None, None))
    return adopter


@functools.wraps(AgentSession.__init__)
def _init(self: Any, *args: Any, **given: Any) -> None:
    adopter = _adopter()
    if adopter is not None and isinstance(name := given.get("llm"), str):
        # LiveKit takes any name, and 70 ms for a client with all certificates there are
        given["llm"] = adopter.stand_in(name) or name
    _originals[_init](self, *args, **given)


@functools.wraps(llm.LLM.prewarm)
def _prewarm(self: Any, **how: Any) -> None:
    if _adopter() is None:  # else the session gets another model before it asks any
        _originals[_prewarm](self, **how)


@functools.wraps(AgentSession.start)
async def _start(self: Any, agent: Agent, **options: Any) -> Any:
    adopter = _adopter()
    if adopter is not None and self._started:
        adopter.session_starting_again()
    if adopter is None or self._started or _seam_of(self) is not None:
        return await _originals[_start](self, agent, **options)
    await adopter.session_starting(self, agent)
    result = await _originals[_start](self, agent, **options)
    adopter.session_started(self)
    return result


@functools.wraps(AgentSession.run)
def _run(self: Any, **options: Any) -> Any:
    if (seam := _seam_of(self)) is not None:
        seam.run_starting()
    return _originals[_run](self, **options)


@functools.wraps(_ToolExecutor.execute)
async def _execute(self: Any, **call: Any) -> Any:
    context = call["run_ctx"]
    if (seam := _seam_of(context.session)) is not None:
        owner = self._owning_activity
        agent = owner.agent if owner is not None else context.session.current_agent
        tool = call["tool"]
        body = seam.tool_body(agent, tool, context, call.get("mock"))
        body.__signature__ = inspect.signature(tool)  # type: ignore[attr-defined]
        call["mock"] = body
    return await _originals[_execute](self, **call)


@functools.wraps(AgentSession._update_activity)
async def _update_activity(self: Any, agent: Agent, **how: Any) -> None:
    if (seam := _seam_of(self)) is not None:
        _take_models(agent, seam)
        seam.agent_starting(agent)
    await _originals[_update_activity](self, agent, **how)


@functools.wraps(AgentActivity._update_models)
def _update_models(self: Any, **models: Any) -> Any:
    if (seam := _seam_of(self.session)) is not None:
        theirs = models.get("new_llm", NOT_GIVEN)
        ours = seam.stand_in(theirs) if is_given(theirs) else None
        models = {**dict.fromkeys(models, NOT_GIVEN), "new_llm": ours or theirs}
    return _originals[_update_models](self, **models)


@functools.wraps(AgentActivity._pipeline_reply_task)
async def _pipeline_reply_task(self: Any, **how: Any) -> None:
    speech, asked = how["speech_handle"], how.get("instructions")
    if isinstance(asked, Instructions):
        asked = asked.render(modality=speech.input_details.modality)
    _livekit_replies.begin_reply(speech, asked)  # in the context of its own task
    await _originals[_pipeline_reply_task](self, **how)


@functools.wraps(perform_llm_inference)
def _perform_llm_inference(**how: Any) -> Any:
    return _livekit_replies.infer(_originals[_perform_llm_inference], **how)


@functools.wraps(AgentSession.wait_for_idle)
async def _wait_for_idle(self: Any) -> Any:
    """Say that the session closes, as LiveKit's own does unless ``aclose()`` was called.

    Tools of an `AsyncToolset` end after the last activity did, and hand in their results.
    """
    if _seam_of(self) is not None and self._activity is None and self._is_closing():
        raise ActivityClosedError("session is closing")
    return await _originals[_wait_for_idle](self)


def _in_place_of(stand_in: Callable[..., Any]) -> Callable[[Any], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        if original is not stand_in:  # as who replaced it meanwhile may have put it back
            _originals[stand_in] = original
        return stand_in

    return make


STAND_INS = StandIns(
    *(
        (owner, stand_in.__name__, _in_place_of(stand_in))
        for owner, stand_in in (
            (AgentSession, _init),
            (llm.LLM, _prewarm),
            (AgentSession, _start),
            (AgentSession, _run),
            (AgentSession, _update_activity),
            (AgentSession, _wait_for_idle),
            (AgentActivity, _update_models),
            (AgentActivity, _pipeline_reply_task),
            (agent_activity, _perform_llm_inference),
            (_ToolExecutor, _execute),
        )
    ),
    *_livekit_interruptions.INTERRUPTIONS,
)
"""What stands at LiveKit's seams while there is a session, or an adopter of those to come."""


def _take_models(agent: Agent, seam: Seam) -> None:
    """Give `agent` the fake models in the place of its own, and no speech where there is none."""
    own: Any = agent
    if is_given(own._llm) and own._llm is not None:
        own._llm = seam.stand_in(own._llm) or own._llm
    for name in SPEECH:
        setattr(own, f"_{name}", speech_for(name, getattr(own, f"_{name}"), seam.speech))


_TURN_ARGUMENTS = inspect.signature(_migrate_turn_handling).parameters.keys()
"""The deprecated ones; to read them anew for each session would take a hundredth of it."""


def turn_handling_of(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the deprecated arguments of a session say of ``turn_handling``."""
    names = _TURN_ARGUMENTS & options.keys()
    return _migrate_turn_handling(**{name: options[name] for name in names})


def speech_for(name: str, own: Any, speech: Speech | None) -> Any:
    """Return what is to be there in the place of an own model for speech.

    `own` is ``...`` where a session takes LiveKit's default. One that was taken away stays away,
    and a way to detect turns that is no model stays as it is.
    """
    if speech is None:
        return NOT_GIVEN
    if not is_given(own) or own is None or (name == "turn_detection" and isinstance(own, str)):
        return own
    if name == "vad":
        return speech.vad_like(None if own is ... else own)
    if name == "turn_detection" and (own is ... or isinstance(own, _StreamingTurnDetector)):
        return speech.audio_turn_detection
    return getattr(speech, name)


def prediction(probability: float) -> TurnDetectionEvent:
    """Make what a turn detector on audio finds: how probable it is that the user is done."""
    return TurnDetectionEvent(
        type="eot_prediction",
        end_of_turn_probability=probability,
        last_speaking_time=time.time(),
    )


def mark_defaults(session: AgentSession[Any], brought: Collection[str]) -> None:
    """Let LiveKit know what nobody `brought`: it trusts its own VAD less than one that is given.

    Its default turn detector gives way to a realtime model's server, and so does its default VAD.
    """
    own: Any = session
    own._using_default_vad = "vad" not in brought
    own._turn_detection_explicit = "turn_detection" in brought


def hears_by_itself(agent: Agent) -> None:
    """Keep the session's STT away from an agent that brings none."""
    own: Any = agent
    if not is_given(own._stt):
        own._stt = None


def model_named(name: str) -> Any:
    """Return the model that LiveKit makes of a name, None where that is no realtime model.

    Since 1.8 names such as ``openai/gpt-realtime`` are those of realtime models.
    """
    is_any = (getattr(inference, f"is_{kind}_model", None) for kind in ("realtime", "duplex"))
    if any(is_one is not None and is_one(name) for is_one in is_any):
        return inference.llm_from_model_string(name)
    return None


def is_duplex(model: Any) -> bool:
    """Whether a model hears and speaks at the same time, which LiveKit has since 1.8."""
    kinds = (getattr(llm, f"Duplex{kind}", ()) for kind in ("Model", "RealtimeAdapter"))
    return any(isinstance(model, kind) for kind in kinds)


def run_user_mock(mock: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a mock of LiveKit's ``mock_tools`` as LiveKit does."""
    return run_result._run_mock(mock, *args, **kwargs)


def is_under_test(agent: Agent) -> bool:
    """Whether the session of an agent at work is one that has a seam, and no other."""
    activity = agent._activity
    return activity is None or _seam_of(activity.session) is not None


def refusal_of(output: Any, call: llm.FunctionCall) -> str | None:
    """Return what the model gets to read where LiveKit refuses what a tool returned."""
    if output is None or isinstance(output, (str, BaseException)):
        return None  # as nearly always; an exception is taken as if it were raised
    with silent_log():
        made = make_tool_output(fnc_call=call, output=output, exception=None).fnc_call_out
    return made.output if made.is_error else None


def tools_of(tools: Iterable[Any]) -> Iterator[_FunctionTool]:
    """Walk the function tools in `tools`, those of toolsets within toolsets included."""
    for tool in tools:
        if isinstance(tool, llm.Toolset):
            yield from tools_of(tool.tools)
        elif isinstance(tool, (llm.FunctionTool, llm.RawFunctionTool)):
            yield tool


def _told_as_text() -> BaseException | None:
    """Return the error of a realtime model, of which LiveKit logs the mere text."""
    handled = sys.exception()
    return handled if isinstance(handled, llm.RealtimeError) else None


_UNANSWERED = (
    "skipping user input, speech scheduling is paused",
    "skipping on_user_turn_completed, speech scheduling is paused",
)
"""What LiveKit logs of words that it does not answer, as it hands over or closes."""


@contextmanager
def quiet_log(is_reported: Callable[[BaseException | None], bool]) -> Iterator[None]:
    """Keep out of LiveKit's log what is nobody's business: tracebacks that the test reports anyway.

    So is that the last words of a call are not answered: a session that closes keeps them.
    """

    def unless_reported(record: logging.LogRecord) -> bool:
        if record.msg in _UNANSWERED and any(one._closing for one, _ in _seams.values()):
            return False
        error = record.exc_info[1] if record.exc_info else _told_as_text()
        # a cancelled tool is one that we, or the user's interruption, cancelled
        return not (isinstance(error, asyncio.CancelledError) or (error and is_reported(error)))

    for log in (logger, rtc_logger):
        log.addFilter(unless_reported)
    try:
        yield
    finally:
        for log in (logger, rtc_logger):
            log.removeFilter(unless_reported)


@contextmanager
def silent_log() -> Iterator[None]:
    """Keep LiveKit from logging at all inside."""
    before = [(log, log.disabled) for log in (logger, rtc_logger)]
    for log, _ in before:
        log.disabled = True
    try:
        yield
    finally:
        for log, was_disabled in before:
            log.disabled = was_disabled
