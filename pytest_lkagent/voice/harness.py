"""A session under test that is on the telephone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, AgentSession, APIError, llm, room_io
from livekit.agents.utils import is_given

from .. import _livekit, _livekit_replies
from ..errors import UnheardSpeech, UsageError
from ..fake import FakeLLM
from ..fake.realtime import FakeRealtimeModel
from ..fake.sound import Utterance
from ..fake.tts import seconds_of
from ..harness import Harness
from ..listeners import listener
from ..record import Turn
from ..settling import settled
from ..sites import place_of
from .line import Line

if TYPE_CHECKING:
    from ..stage import Stage

__all__ = ["VoiceHarness"]

_PAUSE_SECONDS = 0.3
"""How long people wait before they answer."""

_OUR_LINE = room_io.RoomOptions(audio_input=False, audio_output=False, text_output=False)
"""Nothing of what is said goes through the room."""


class VoiceHarness(Harness):
    """The session under test at the other end of a `Line`, in the job's room.

    The start is not settled: the call begins with it, and what the agent says at once can be
    interrupted. What `user_says` says is spoken.
    """

    def __init__(self, stage: Stage, model: FakeLLM, line: Line) -> None:
        super().__init__(stage, model)
        self.line = line
        self._stand_ins: dict[llm.RealtimeModel, FakeRealtimeModel] = {}
        self._brought: Collection[str] | None = None
        """What the session under test has of its own to hear with, None where it is the user's."""
        self._soundless: list[tuple[str, Agent, str]] = []
        """What was said and not heard, who said it, and what was heard in its place."""
        self._voiced = 0
        """How much the voice had said by then."""
        self._failures = 0
        """How often the voice had failed when the agent last said something."""

    @property
    def speech(self) -> Line:
        return self.line

    @property
    def lateness(self) -> float:
        """Seconds by which what is due may come late."""
        return self._clock.lateness

    def stand_in(self, theirs: Any) -> _livekit.Model:
        """Return the scripted model, which hears and speaks in the place of one that does."""
        if isinstance(theirs, str):
            theirs = _livekit.model_named(theirs)
        if _livekit.is_duplex(theirs):
            raise UsageError(
                "a DuplexModel listens while it speaks, which no scripted model does: test the "
                "agent in text, or give it an llm.RealtimeModel"
            )
        if not isinstance(theirs, llm.RealtimeModel):
            return self.model
        if theirs not in self._stand_ins:
            # one for each of theirs: LiveKit keeps a session as long as the model is the same
            if isinstance(theirs, FakeRealtimeModel):
                made, made.script_model = theirs, self.model
            else:
                made = FakeRealtimeModel(self.model, capabilities=theirs.capabilities)
            self.line.join(made)
            self._stand_ins[theirs] = self._stand_ins[made] = made
        return self._stand_ins[theirs]

    def arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        made = super().arguments(options)
        given = {**options, **options.get("turn_handling", {})}
        self._brought = [name for name in _livekit.SPEECH if name in given]
        return made

    async def _start(self, session: AgentSession[Any], agent: Agent) -> None:
        room = self._stage.job.context.room
        await session.start(agent, room=room, room_options=_OUR_LINE, session_host=False)

    def take(self, session: AgentSession[Any]) -> None:
        super().take(session)
        if self._brought is not None:
            _livekit.mark_defaults(session, self._brought)
        session.on("conversation_item_added", listener(self._hear))
        self.line.connect(session)
        self.line.pick_up()

    def _hear(self, event: Any) -> None:
        """Note what LiveKit takes for said to its end, and has not begun to play.

        Before 1.8 that is so of what the voice failed at, too, which is told.
        """
        item = event.item
        if item.type != "message" or item.role != "assistant":
            return
        known, self._failures = self._failures, len(self.line.tts.failed)
        voiced, self._voiced = self.line.tts.said[self._voiced :], len(self.line.tts.said)
        if item.interrupted or self._failures > known:
            return  # that is told
        text, heard = item.text_content or "", None
        if "started_speaking_at" not in item.metrics:
            heard = "no audio" if text.strip() else None
        elif voiced and _has_words(text) and not any(map(_has_words, voiced)):
            heard = f"only {' '.join(voiced)!r}"  # such as the full stop that a node has left
        if heard is not None:
            self._soundless.append((text, _livekit_replies.speaker(self.session), heard))

    def agent_starting(self, agent: Agent) -> None:
        super().agent_starting(agent)
        model = agent.llm if is_given(agent.llm) else self.session.llm
        if isinstance(model, llm.RealtimeModel):
            if self._brought is not None and "stt" not in self._brought:
                _livekit.hears_by_itself(agent)
            if model.capabilities.audio_output:
                return
        if agent.tts is None or (not is_given(agent.tts) and self.session.tts is None):
            self._stage.findings.add(
                UsageError(
                    f"{type(agent).__name__} has no TTS: nobody would hear what it says in a call; "
                    "give one to it or to its session, or test it in text"
                )
            )

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self.line.aclose()

    async def _say(
        self, turn: Turn, text: str, interrupt: float | None, options: Mapping[str, Any]
    ) -> None:
        __tracebackhide__ = True
        if options:
            raise UsageError(
                f"user_says({text!r}, …): in a call it is heard, and is no run of a text: take "
                f"{', '.join(options)} away"
            )
        known = list(self.record.errors)
        await self.agent_is_heard_out()
        self.line.speak(Utterance(text=text, lasts=seconds_of(text)))
        async with self._interruption(interrupt):
            await self._end_turn(settle=True)
        for error in self.record.errors:
            if not any(error is one for one in known):
                raise error  # as the run of a text does

    async def hear_out(self) -> None:
        if self.record.closed is None:
            await self.settled()

    def settle_account(self) -> None:
        super().settle_account()
        for text, speaker, heard in self._soundless:
            node = type(speaker).tts_node
            of = "it" if node is Agent.tts_node else f"its tts_node{place_of(node)}"
            told = (
                f"{type(speaker).__name__} said {text!r}, and nobody heard it: {heard} came of "
                f"{of}; if that is right, let it pass: {self.words.allow(UnheardSpeech.kind)}"
            )
            self._stage.findings.add(UnheardSpeech(told))
        for error in (one.error for one in self.line.tts.failed):
            # of what is none of its own errors, LiveKit tells nobody
            if not isinstance(error, APIError) and not self._stage.take_expected(error):
                self._stage.findings.add(self._as_finding(error, "the voice"))

    @property
    def scripted_errors(self) -> Sequence[BaseException]:
        return [*super().scripted_errors, *(one.error for one in self.line.tts.failed)]

    def recovered_from(self, error: BaseException) -> str:
        is_voices = any(one.error is error for one in self.line.tts.failed)
        if is_voices or not self._stand_ins:
            return super().recovered_from(error)
        return (
            f"after {type(error).__name__}: {error} LiveKit went on, and the user has no answer: "
            "nobody asks a realtime model again"
        )

    def picture(self) -> list[str]:
        return [*super().picture(), *self.line.log.lanes()]

    async def _settle_start(self) -> None:
        """Let the call begin."""

    async def _end_turn(self, *, settle: bool) -> None:
        if settle:
            await self.settled()

    async def quiet(self) -> None:
        """Let happen what is about to."""
        await self._clock.quiet()

    async def agent_is_heard_out(self) -> None:
        """Wait until it is the user's turn to speak, as one does."""
        await self.settled()
        await asyncio.sleep(_PAUSE_SECONDS)

    async def settled(self) -> None:
        """Wait until the user has been heard, and nobody says or does anything any more."""
        await self.line.quiet(self.quiet)
        await settled(self.session, self.record, self._clock.quiet)
        self.model.rest()


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))
