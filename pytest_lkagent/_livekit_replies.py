"""Quarantine, for what a piece of code works on: which agent's reply, with which model.

`Inference` is the completion that an ``llm_node`` generates: what asks for it, what becomes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from livekit.agents import Agent, AgentSession, llm, stt, tts
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.agent_activity import AgentActivity, _AgentActivityContextVar

from .stand_ins import Replacement

__all__ = [
    "MODELS_AT_WORK",
    "Inference",
    "asking_agent",
    "at_work",
    "begin_reply",
    "infer",
    "inference_here",
    "listening_agent",
    "speaker",
    "speaking_agent",
    "speech_here",
]


class Inference:
    """A completion that an ``llm_node`` generates for a speech of its agent.

    Where LiveKit asks before it knows that the turn is over (``preemptive_generation``), the
    `speech` is not `scheduled` until then; if it is `interrupted` first, LiveKit has thrown the
    answer away. `asked` is what ``generate_reply(instructions=…)`` asked for: LiveKit makes a
    system message of it, which by itself is like any that an agent may add.
    """

    def __init__(self, speech: SpeechHandle, asked: str | None) -> None:
        self.speech = speech
        self.asked = asked
        self._task: asyncio.Task[bool] | None = None
        self._generated: Any = None

    @property
    def is_over(self) -> bool:
        return self._task is not None and self._task.done()

    @property
    def is_whole(self) -> bool:
        """Whether the node came to its end: nothing was raised, and nobody cut it off."""
        task = self._task
        return task is not None and not task.cancelled() and task.exception() is None

    @property
    def text(self) -> str:
        """What the node gave out to be said."""
        return str(self._generated.generated_text)

    @property
    def calls(self) -> Sequence[str]:
        """Which tools it gave out to be called."""
        return [call.name for call in self._generated.generated_functions]

    async def wanted(self) -> None:
        """Wait until the speech is to be spoken; what generates one that is not is cancelled."""
        await self.speech._wait_for_scheduled()


_reply: ContextVar[tuple[SpeechHandle, str | None]] = ContextVar("lk_reply")
_inference: ContextVar[Inference | None] = ContextVar("lk_inference", default=None)
_model_at_work: ContextVar[Any] = ContextVar("lk_model_at_work", default=None)


def begin_reply(speech: SpeechHandle, asked: str | None) -> None:
    """Mark the task that makes a reply, from inside."""
    _reply.set((speech, asked))
    _inference.set(None)  # one that is asked for in an llm_node is no part of that


def infer(perform: Callable[..., tuple[asyncio.Task[bool], Any]], **how: Any) -> Any:
    """Mark the task of an ``llm_node`` by its context, which tasks that it begins inherit."""
    inference = Inference(*_reply.get())
    before = _inference.set(inference)
    try:
        inference._task, inference._generated = perform(**how)
    finally:
        _inference.reset(before)
    return inference._task, inference._generated


def inference_here() -> Inference | None:
    """Return the inference that this code is a part of; what goes on without it is none."""
    found = _inference.get()
    return None if found is None or found.is_over else found


def speech_here() -> SpeechHandle | None:
    """Return the speech for which this code makes a reply, if it is a part of that."""
    found = _reply.get(None)
    return None if found is None else found[0]


def asking_agent() -> Agent | None:
    """Return the agent whose ``llm_node`` is asking its model, None for other code."""
    return speaking_agent() if inference_here() is not None else None


def speaking_agent() -> Agent | None:
    """Return the agent in whose activity this code runs, if any."""
    activity = _AgentActivityContextVar.get(None)
    return activity.agent if activity is not None else None


def speaker(session: AgentSession[Any]) -> Agent:
    """Return the agent that says what is said now, by code of nobody's activity the current one."""
    return speaking_agent() or session.current_agent


def listening_agent(listener: Any) -> Agent | None:
    """Return the agent in whose activity `listener` is a method, None where it is another's."""
    owner = getattr(listener, "__self__", None)
    return owner.agent if isinstance(owner, AgentActivity) else None


def at_work() -> tuple[Any, Agent | None]:
    """Return the model (LLM, STT or TTS) that does this for the agent, each where there is one."""
    return _model_at_work.get(), speaking_agent()


def _marked(model_of: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(work: Callable[..., Any]) -> Callable[..., Any]:
        async def work_marked(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = _model_at_work.set(model_of(self))
            try:
                return await work(self, *args, **kwargs)
            finally:
                with suppress(ValueError):  # it was thrown away, which happens in any context
                    _model_at_work.reset(before)

        return work_marked

    return make


MODELS_AT_WORK: Sequence[Replacement] = (
    (llm.LLMStream, "_main_task", _marked(lambda stream: stream._llm)),
    (stt.RecognizeStream, "_main_task", _marked(lambda stream: stream._stt)),
    (stt.STT, "recognize", _marked(lambda model: model)),
    (tts.ChunkedStream, "_main_task", _marked(lambda stream: stream._tts)),
    (tts.SynthesizeStream, "_main_task", _marked(lambda stream: stream._tts)),
)
"""Where models do their work, and what to put around each so that `at_work` knows of it."""
