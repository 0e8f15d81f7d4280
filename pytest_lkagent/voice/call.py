"""`voice_call`: a telephone call, told as one would tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn, TypeVar

from livekit.agents import AgentSession

from ..build import check_call
from ..errors import ExpectationError, UsageError
from ..fake.instants import until
from ..fake.room import FakeRoom
from ..fake.sound import Utterance
from ..fake.tts import FakeTTS, seconds_of
from ..timeline import AgentSpeech, Timeline, UserSpeech
from .harness import VoiceHarness
from .log import Spoken

__all__ = ["VoiceCall"]

_Found = TypeVar("_Found")


class VoiceCall:
    """A call with the agent under test. Time passes while the user speaks, waits or listens.

    What the user does returns when it is done; what the agent is claimed to do returns once it
    does, and fails with the `timeline` where it does not. All times are seconds; `at` counts from
    the beginning of the call, which is the start of the session.
    """

    def __init__(self, harness: VoiceHarness, room: Any) -> None:
        self.harness = harness
        self._line = harness.line
        self._log = harness.line.log
        self._room = room
        self._speaks_until = 0.0
        self._since = 0
        """What an answer is counted from: the end of what the user did last."""
        self._claimed = 0

    @property
    def session(self) -> AgentSession[Any]:
        """The session under test."""
        return self.harness.session

    @property
    def tts(self) -> FakeTTS:
        """What the agent speaks with: ``call.tts.voice("Good evening.", lasts=2)``."""
        return self._line.tts

    @property
    def timeline(self) -> Timeline:
        """Who spoke when, what was heard, what was cut off, in milliseconds of the call."""
        return self._log.timeline

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return self._log.now / 1000

    # --- what the user does

    async def say(
        self, text: str, *, at: float | None = None, lasts: float | None = None, **how: Any
    ) -> UserSpeech:
        """Say something, and return when it is said.

        Args:
            text: What is said.
            at: When it begins, over the agent's words if need be; by default the user lets the
                agent finish, as one does.
            lasts: How long it takes, by default a second for 15 characters.
            how: What speech recognition and the turn detector make of it, as in `Utterance`:
                ``heard``, ``confidence``, ``language``, ``delay``, ``interim``, ``final``,
                ``preflight``, ``error``, ``attempts``, ``end_of_turn``.

        Raises:
            UsageError: It is later than `at` already, or a time makes no sense.
            BehaviourError: The session closed before, or the model was asked something that nobody
                scripted.
        """
        __tracebackhide__ = True
        utterance = _utterance("call.say", text, lasts, how)
        what = f"call.say({text!r})"
        if at is not None:
            self._refuse_past(what, at)
        with self._during(what, utterance.lasts + (at or 0.0)):
            if at is None:
                await self.harness.agent_is_heard_out()
            else:
                await until(self._instant(at))
            return await self._speak(what, utterance)

    async def interrupt(
        self, text: str, *, after: float, lasts: float | None = None, **how: Any
    ) -> UserSpeech:
        """Say something over the agent's words, `after` so many seconds of them.

        Raises:
            UsageError: The agent does not speak, or has come further than that.
        """
        __tracebackhide__ = True
        return await self._speak_over("interrupt", text, after, lasts, how)

    async def backchannel(
        self, text: str = "uh-huh", *, after: float, lasts: float | None = None, **how: Any
    ) -> UserSpeech:
        """Say a word to show that one listens; otherwise as `interrupt`."""
        __tracebackhide__ = True
        return await self._speak_over("backchannel", text, after, lasts, how)

    async def silence(self, seconds: float) -> None:
        """Let `seconds` pass in which the user says nothing."""
        __tracebackhide__ = True
        if not seconds > 0:
            raise UsageError(f"call.silence({seconds!r}): how many seconds?")
        self._since = self._log.now
        with self._during(f"call.silence({seconds:g})", seconds):
            await asyncio.sleep(seconds)

    async def dtmf(self, digits: str) -> None:
        """Press keys."""
        __tracebackhide__ = True
        if not isinstance(self._room, FakeRoom):
            raise UsageError("call.dtmf(): keys are pressed in our own room")
        with self._during(f"call.dtmf({digits!r})"):
            self._log.happened("dtmf", digits)
            self._since = self._log.now
            await self._room.receive_dtmf(digits, sender=self._caller())

    async def hang_up(self) -> None:
        """Hang up; LiveKit closes the session, with the reason ``participant_disconnected``."""
        __tracebackhide__ = True
        if not isinstance(self._room, FakeRoom):
            raise UsageError("call.hang_up(): one hangs up in our own room")
        with self._during("call.hang_up()"):
            self._log.happened("hang up")
            self._line.hang_up()
            self._room.remove_participant(self._caller())
            await self.harness.settled()

    async def agent_speaks(self) -> None:
        """Wait until the agent speaks, or will not by itself."""
        __tracebackhide__ = True
        with self._during("call.agent_speaks()"):
            await self._wait(self._talking)

    async def cut_in(self, *, after: float) -> None:
        """Have the session interrupted, without a word, `after` so many seconds of speech."""
        __tracebackhide__ = True
        with self._during("call.cut_in()", after):
            if await self._wait(self._talking) is None:
                raise self._usage("the agent does not speak: there is nothing to interrupt")
            await asyncio.sleep(after)
            await self.session.interrupt()

    async def settle(self) -> None:
        """Wait until nobody speaks, and nothing is under way that would make the agent speak."""
        __tracebackhide__ = True
        with self._during("call.settle()"):
            await self.harness.settled()

    # --- what the agent is claimed to do

    async def agent_answers(
        self, text: str | None = None, *, within: float | None = None
    ) -> AgentSpeech:
        """Wait for the agent to speak next, and return that.

        That is the first that it says after the user's last words, keys or `silence`; of several
        answers each is claimed once.

        Args:
            text: What it begins with, None for whatever it says.
            within: Seconds that it may take from the end of the user's words, from keys, from the
                beginning of a silence, or from that of the call.

        Raises:
            BehaviourError: It says nothing, comes later, or says something else.
        """
        __tracebackhide__ = True
        user = self._log.user[-1] if self._log.user else None
        to = f" {user[2].text!r}" if user and user[1] == self._since else ""
        with self._during("call.agent_answers()"):
            spoken = await self._wait(self._next_answer)
        if spoken is None:
            self._fail(f"the agent did not answer{to}")
        self._claimed = self._log.agent.index(spoken) + 1
        took = spoken.start - self._since
        if within is not None and took > round(within * 1000):
            self._fail(
                f"the agent answered{to} after {took} ms, and has to within {within * 1000:g} ms",
                spoken.start,
            )
        if text is not None:
            with self._during("call.agent_answers()"):
                await self._hear_out(lambda: spoken.is_over or None)
            said = self._log.agent_speech(spoken)
            whole = f"{said.text} {said.unsaid}".strip()
            if not whole.startswith(text):
                self._fail(f"the agent answered{to} with {whole!r}, not {text!r}", spoken.start)
        return self._log.agent_speech(spoken)

    async def agent_stops(self, *, within: float) -> AgentSpeech:
        """Wait for the agent to stop for the user's last words, and return what it was saying.

        `within` counts from their beginning. A pause is a stop: LiveKit may find that it was no
        interruption, and go on (`agent_resumes`).

        Raises:
            BehaviourError: It spoke on, or stopped later.
        """
        __tracebackhide__ = True
        start, _, utterance = self._last_words("agent_stops")
        spoken = self._talking_at(start)
        if spoken is None:
            self._fail(f"the agent did not speak when the user said {utterance.text!r}", start)
        with self._during("call.agent_stops()"):
            stopped = await self._wait(lambda: _stopped(spoken, start))
        if stopped is None or (spoken.is_over and not spoken.interrupted and not spoken.pauses):
            self._fail(f"the agent was not stopped by {utterance.text!r}", start)
        if stopped - start > round(within * 1000):
            self._fail(
                f"the agent stopped {stopped - start} ms into {utterance.text!r}, and has to "
                f"within {within * 1000:g} ms",
                stopped,
            )
        return self._log.agent_speech(spoken)

    async def agent_resumes(self, *, within: float | None = None) -> AgentSpeech:
        """Wait for the agent to go on after a false interruption, and return what it says.

        `within` counts from the end of the user's last words.
        """
        __tracebackhide__ = True
        start, end, utterance = self._last_words("agent_resumes")
        spoken = self._talking_at(start)
        with self._during("call.agent_resumes()"):
            resumed = await self._wait(lambda: None if spoken is None else _resumed(spoken, start))
        if spoken is None or resumed is None:
            self._fail(f"the agent did not go on after {utterance.text!r}", start)
        if within is not None and resumed - end > round(within * 1000):
            self._fail(
                f"the agent went on {resumed - end} ms after {utterance.text!r}, and has to within "
                f"{within * 1000:g} ms",
                resumed,
            )
        return self._log.agent_speech(spoken)

    async def agent_keeps_talking(self) -> AgentSpeech:
        """Wait for the agent to finish what it was saying through the user's last words.

        Raises:
            BehaviourError: It stopped or paused for them.
        """
        __tracebackhide__ = True
        start, _, utterance = self._last_words("agent_keeps_talking")
        spoken = self._talking_at(start)
        if spoken is None:
            self._fail(f"the agent did not speak when the user said {utterance.text!r}", start)
        with self._during("call.agent_keeps_talking()"):
            await self._hear_out(lambda: spoken.is_over or _stopped(spoken, start))
        if not spoken.is_over or spoken.interrupted or _stopped(spoken, start) != spoken.end:
            self._fail(
                f"the agent stopped for {utterance.text!r}", _stopped(spoken, start) or start
            )
        return self._log.agent_speech(spoken)

    async def agent_keeps_silent(self, seconds: float) -> None:
        """Let `seconds` pass, in which the agent does not begin to speak."""
        __tracebackhide__ = True
        known = len(self._log.agent)
        await self.silence(seconds)
        if len(self._log.agent) > known:
            spoken = self._log.agent[known]
            said = self._log.agent_speech(spoken)
            self._fail(f"the agent was to be silent, and said {said.text!r}", spoken.start)

    def talked_over(self) -> Spoken | None:
        """Return what the agent was saying when the user spoke last."""
        return self._talking_at(self._log.user[-1][0]) if self._log.user else None

    # --- how

    async def _speak(self, what: str, utterance: Utterance) -> UserSpeech:
        if self.now < self._speaks_until:
            raise UsageError(
                f"{what}: the user speaks already, until {self._speaks_until:g} s: one mouth says "
                "one thing at a time"
            )
        record = self.harness.record
        if record.closed is not None:
            raise UsageError(f"{what}: nobody hears it: the session closed ({record.closed})")
        record.begin(utterance.text)
        index = len(self._log.user)
        self._speaks_until = self.now + utterance.lasts
        self._line.speak(utterance)
        _, self._since, _ = self._log.user[-1]
        await until(asyncio.get_running_loop().time() + utterance.lasts)
        return self._log.user_speech(index)

    async def _speak_over(
        self, verb: str, text: str, after: float, lasts: float | None, how: Any
    ) -> UserSpeech:
        __tracebackhide__ = True
        what = f"call.{verb}({text!r}, after={after:g})"
        utterance = _utterance(f"call.{verb}", text, lasts, how)
        if not after >= 0:
            raise UsageError(f"{what}: seconds are not negative")
        with self._during(what, after + utterance.lasts):
            spoken = await self._wait(self._talking)
            if spoken is None:
                raise self._usage(f"{what}: the agent does not speak: there is nothing to {verb}")
            at = spoken.start / 1000 + after
            if self.now > at:
                raise self._usage(
                    f"{what}: the agent has spoken for {self.now - spoken.start / 1000:.3f} s "
                    "already"
                )
            await until(self._instant(at))
            if spoken.is_over:
                took = (spoken.end or 0) - spoken.start
                raise self._usage(f"{what}: the agent had finished after {took / 1000:g} s")
            return await self._speak(what, utterance)

    def _during(self, what: str, seconds: float = 0.0) -> AbstractContextManager[None]:
        __tracebackhide__ = True
        return self.harness.going_on(what, seconds=seconds)

    async def _wait(self, found: Callable[[], _Found | None]) -> _Found | None:
        """Wait until there is what `found` looks for, or nothing happens any more."""
        settled = asyncio.ensure_future(self.harness.settled())
        try:
            while (one := found()) is None and not settled.done():
                await asyncio.wait(
                    (settled, self._log.change()), return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            settled.cancel()
        return found() if one is None else one

    async def _hear_out(self, found: Callable[[], Any]) -> None:
        """Wait for what ends a speech, and for its last words, which are shown after it."""
        await self._wait(found)
        await self.harness.quiet()

    def _instant(self, at: float) -> float:
        return self._log.began + at

    def _refuse_past(self, what: str, at: float) -> None:
        if not at >= self.now:
            raise UsageError(f"{what}: at={at:g}, and it is {self.now:.3f} s into the call already")

    def _next_answer(self) -> Spoken | None:
        unclaimed = self._log.agent[self._claimed :]
        return next((one for one in unclaimed if one.start >= self._since), None)

    def _talking(self) -> Spoken | None:
        if not self._log.agent or self._log.agent[-1].is_over or self._log.agent[-1].is_paused:
            return None
        return self._log.agent[-1]

    def _talking_at(self, moment: int) -> Spoken | None:
        for spoken in reversed(self._log.agent):
            if spoken.start <= moment and (spoken.end is None or spoken.end > moment):
                return spoken
        return None

    def _last_words(self, claim: str) -> tuple[int, int, Utterance]:
        if not self._log.user:
            raise UsageError(f"call.{claim}(): the user has not said anything yet")
        return self._log.user[-1]

    def _caller(self) -> str:
        for identity in self._room.remote_participants:
            return str(identity)
        raise UsageError("nobody is in the room: job_options gave it no participant")

    def _fail(self, told: str, mark: int | None = None) -> NoReturn:
        __tracebackhide__ = True
        raise ExpectationError("\n".join([told, *self._drawn(mark)]))

    def _usage(self, told: str) -> UsageError:
        return UsageError("\n".join([told, *self._drawn(None)]))

    def _drawn(self, mark: int | None) -> list[str]:
        return [f"  {line}" for line in self.timeline.lanes(mark=mark)]


def _utterance(what: str, text: str, lasts: float | None, how: Any) -> Utterance:
    check_call(Utterance, what, text=text, lasts=lasts, **how)
    seconds = seconds_of(text) if lasts is None else lasts
    if not seconds > 0:
        raise UsageError(f"{text!r}: lasts={lasts!r}: how many seconds does it take to say?")
    return Utterance(text=text, lasts=seconds, **how)


def _stopped(spoken: Spoken, since: int) -> int | None:
    """When it fell silent first, from a moment on."""
    for began, _ in spoken.pauses:
        if began >= since:
            return began
    return spoken.end


def _resumed(spoken: Spoken, since: int) -> int | None:
    """When it went on after a pause that began from a moment on."""
    for began, ended in spoken.pauses:
        if began >= since and ended is not None:
            return ended
    return None
