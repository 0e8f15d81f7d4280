"""`voice_call`: a telephone call, told as one would tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from livekit.agents import AgentSession

from ..build import check_call
from ..errors import UsageError
from ..fake.instants import until
from ..fake.room import FakeRoom
from ..fake.sound import Utterance, check_attempts, check_error, check_seconds
from ..fake.tts import FakeTTS, seconds_of
from ..known_as import known_as
from ..sites import call_site
from ..timeline import UserSpeech
from ..times import means_milliseconds
from .claims import Claims
from .harness import VoiceHarness
from .log import Spoken

__all__ = ["VoiceCall"]


@known_as("voice_call")
class VoiceCall(Claims):
    """A call with the agent under test. Time passes while the user speaks, waits or listens.

    What the user does returns when it is done; what the agent is claimed to do returns once it
    does, and fails with the `timeline` where it does not. All times are seconds; `at` counts from
    the beginning of the call, which is the start of the session.
    """

    def __init__(self, harness: VoiceHarness, room: Any) -> None:
        super().__init__(harness)
        self._line = harness.line
        self._room = room
        self._speaks_until = 0.0

    @property
    def session(self) -> AgentSession[Any]:
        """The session under test."""
        return self.harness.session

    @property
    def tts(self) -> FakeTTS:
        """What the agent speaks with: ``voice_call.tts.voice("Good evening.", lasts=2)``."""
        return self._line.tts

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
        utterance = _utterance("voice_call.say", text, lasts, how)
        what = self._act("say", text, at=at)
        with self._during(what, utterance.lasts + self._seconds_until(at, what)):
            if at is None:
                await self.harness.agent_is_heard_out()
            await self._until(at)
            return await self._speak(what, utterance)

    async def interrupt(
        self, text: str, *, after: float | None = None, lasts: float | None = None, **how: Any
    ) -> UserSpeech:
        """Say something over the agent's words, `after` so many seconds of them.

        Raises:
            UsageError: The agent does not speak, or has come further than that; or nobody says
                `after` how many seconds: without it, when would be anybody's guess.
        """
        __tracebackhide__ = True
        return await self._speak_over("interrupt", text, after, lasts, how)

    async def backchannel(
        self,
        text: str = "uh-huh",
        *,
        after: float | None = None,
        lasts: float | None = None,
        **how: Any,
    ) -> UserSpeech:
        """Say a word to show that one listens; otherwise as `interrupt`."""
        __tracebackhide__ = True
        return await self._speak_over("backchannel", text, after, lasts, how)

    async def silence(self, seconds: float, *, at: float | None = None) -> None:
        """Let `seconds` pass in which the user says nothing, from now or from `at` on."""
        __tracebackhide__ = True
        check_seconds(seconds, f"voice_call.silence({seconds!r})")
        what = self._act("silence", seconds, at=at)
        with self._during(what, seconds + self._seconds_until(at, what)):
            await self._until(at)
            self._begin_waiting("the beginning of the silence", is_silence=True)
            await asyncio.sleep(seconds)

    async def dtmf(self, digits: Any, *, at: float | None = None) -> None:
        """Press keys, now or `at` that second of the call."""
        __tracebackhide__ = True
        if not isinstance(self._room, FakeRoom):
            raise UsageError(f"{self._act('dtmf', digits)}: keys are pressed in our own room")
        if not isinstance(digits, str) or not digits:
            raise UsageError(
                f"voice_call.dtmf({digits!r}): which keys? write a text, such as '12#'"
            )
        what = self._act("dtmf", digits, at=at)
        with self._during(what, self._seconds_until(at, what)):
            await self._until(at)
            self._log.happened("dtmf", digits)
            self._begin_waiting(keys := f"the keys {digits!r}", asked=keys)
            await self._room.receive_dtmf(digits, sender=self._caller())

    async def hang_up(self, *, at: float | None = None) -> None:
        """Hang up, now or `at` that second of the call, whoever is speaking.

        LiveKit closes the session, with the reason ``participant_disconnected``.
        """
        __tracebackhide__ = True
        if not isinstance(self._room, FakeRoom):
            raise UsageError(f"{self._act('hang_up')}: one hangs up in our own room")
        what = self._act("hang_up", at=at)
        with self._during(what, self._seconds_until(at, what)):
            await self._until(at)
            self._log.happened("hang up")
            self._line.hang_up()
            self._room.remove_participant(self._caller())
            await self.harness.settled()

    async def agent_speaks(self, after: float | None = None) -> None:
        """Wait until the agent speaks, or will not by itself.

        With `after`, so that something can be said that many seconds into it.
        """
        __tracebackhide__ = True
        with self._during(self._act("agent_speaks")):
            await (self._wait(self._talking) if after is None else self._meant_by(after))

    async def cut_in(self, *, after: float) -> None:
        """Have the session interrupted, without a word, `after` so many seconds of speech."""
        __tracebackhide__ = True
        what = f"interrupt: {after:g}s"
        with self._during(what, after):
            await self._get_into("interrupt", what, after)
            await self.session.interrupt()

    async def settle(self) -> None:
        """Wait until nobody speaks, and nothing is under way that would make the agent speak."""
        __tracebackhide__ = True
        with self._during(self._act("settle")):
            await self.harness.settled()

    async def settle_by(self, at: float) -> None:
        """Wait as `settle` does, or until that second of the call where the agent speaks then."""
        __tracebackhide__ = True
        with self._during(self._act("settle")):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._instant(at)):
                    await self.harness.settled()
            await self._wait(self._talking)

    # --- how

    async def _speak(self, what: str, utterance: Utterance) -> UserSpeech:
        time = asyncio.get_running_loop().time
        if round(self._speaks_until - time() - self.harness.lateness, 6) > 0:
            ends = self._log.at(self._speaks_until) / 1000
            raise UsageError(
                f"{what}: the user speaks already, until {ends:g} s: one mouth says one thing at a "
                "time"
            )
        record = self.harness.record
        if record.closed is not None:
            raise UsageError(f"{what}: nobody hears it: the session closed ({record.closed})")
        record.begin(utterance.text)
        index = len(self._log.user)
        self._speaks_until = time() + utterance.lasts
        self._line.speak(utterance)
        _, end, _ = self._log.user[-1]
        asked = utterance.text and repr(utterance.text)  # a mere noise asks nothing
        self._begin_waiting(f"the end of {utterance.text!r}", end, asked=asked)
        await until(self._speaks_until)
        return self._log.user_speech(index)

    async def _speak_over(
        self, verb: str, text: str, after: float | None, lasts: float | None, how: Any
    ) -> UserSpeech:
        __tracebackhide__ = True
        utterance = _utterance(f"voice_call.{verb}", text, lasts, how)
        if after is None:
            raise UsageError(
                f"voice_call.{verb}({text!r}): when? write after= so many seconds of the agent's "
                "words, such as after=0.4"
            )
        check_seconds(after, f"voice_call.{verb}({text!r}, after={after!r})")
        what = self._act(verb, text, after=after)
        with self._during(what, after + utterance.lasts):
            await self._get_into(verb, what, after)
            if verb == "backchannel":
                self._backchannel = len(self._log.user) + 1
            return await self._speak(what, utterance)

    async def _get_into(self, verb: str, what: str, after: float) -> None:
        """Wait until the agent has spoken for `after` seconds."""
        __tracebackhide__ = True
        spoken = await self._meant_by(after)
        if spoken is None:
            ends = [one.end for one in self._log.agent if one.end is not None]
            before = f" any more, it finished at {ends[-1] / 1000:g} s" if ends else ""
            raise self._usage(
                f"{what}: the agent does not speak{before}: there is nothing to {verb}"
            )
        heard = spoken.heard_by(self._log.now) / 1000
        if heard - self.harness.lateness > after:
            raise self._usage(f"{what}: the agent has spoken for {heard:.3f} s already")
        paused = None
        while paused != spoken.paused and not spoken.is_over:
            paused = spoken.paused
            await until(self._heard_at(spoken, after))
            if spoken.is_paused:
                await self._wait(lambda: spoken.is_over or not spoken.is_paused or None)
        if spoken.is_over:
            took = spoken.heard_by(self._log.now)
            told = f"{what}: the agent had finished after {took / 1000:g} s"
            if means_milliseconds(after, took):
                told += f"; {after:g} means seconds: write {self.harness.words.milliseconds(after)}"
            raise self._usage(told)

    async def _meant_by(self, after: float) -> Spoken | None:
        """Wait for the agent to speak, where words come `after` so many seconds of that.

        The speech in which the user spoke last is meant where it goes on until then, or goes on at
        all when it is known that those words did not stop it.
        """
        spoken = await self._wait(self._talking)
        if spoken is None or spoken is not self._met():
            return spoken
        known = asyncio.ensure_future(self.harness.line.quiet(self.harness.quiet))
        comes_later = self._heard_at(spoken, after) > asyncio.get_running_loop().time()
        try:
            if comes_later:
                come = asyncio.ensure_future(until(self._heard_at(spoken, after)))
                await asyncio.wait((known, come), return_when=asyncio.FIRST_COMPLETED)
                come.cancel()
            else:
                await known
        finally:
            known.cancel()
        return await self._wait(self._talking)

    def _heard_at(self, spoken: Spoken, seconds: float) -> float:
        """Return the instant at which so much of a speech has been heard, if it does not pause."""
        return self._instant(round((spoken.start + spoken.paused) / 1000 + seconds, 6))

    def _seconds_until(self, at: float | None, what: str) -> float:
        """Return how long it is until that second of the call, and refuse one that has passed."""
        if at is None:
            return 0.0
        check_seconds(at, what)
        if at < self.now - self.harness.lateness:
            raise UsageError(
                f"{what}: it is {self.now:.3f} s into the call already: times count from its "
                "beginning"
            )
        if at - self.now > self.harness.timeout:
            raise UsageError(
                f"{what}: that is {(at - self.now) / 60:.0f} minutes from now: write "
                f"{self.harness.words.milliseconds(at)}, or let a silence pass before"
            )
        return at - self.now

    async def _until(self, at: float | None) -> None:
        if at is not None:
            await until(self._instant(at))

    def _caller(self) -> str:
        for identity in self._room.remote_participants:
            return str(identity)
        if (closed := self.harness.record.closed) is not None:
            raise UsageError(f"nobody is on the line any more: the session closed ({closed})")
        raise UsageError("nobody is in the room: its job has no participant")


_HOW = frozenset(field.name for field in fields(Utterance))
_KINDS: Mapping[str, tuple[Any, str]] = {
    "heard": (str | None, "a text"),
    "language": (str, "a code, such as 'de'"),
    **dict.fromkeys(("interim", "final", "preflight"), (bool, "True or False")),
}
"""What some of these have to be, and how to say so."""


def _utterance(what: str, text: str, lasts: float | None, how: Any) -> Utterance:
    if not how.keys() <= _HOW:
        check_call(Utterance, what, ("at", "after"), text=text, lasts=lasts, **how)
    if not isinstance(text, str):
        raise UsageError(f"{what}({text!r}): what is said is a text")
    what = f"{what}({text!r}, …)"
    seconds = seconds_of(text) if lasts is None else lasts
    check_seconds(seconds, f"{what}: lasts={seconds!r}", some=True, of_speech=lasts is not None)
    if "delay" in how:
        check_seconds(how["delay"], f"{what}: delay={how['delay']!r}", of_speech=True)
    check_error(how.get("error"), f"{what}: error=…")
    if "attempts" in how:
        fails = how.get("error") is not None
        check_attempts(how["attempts"], f"{what}: attempts={how['attempts']!r}", fails=fails)
    for name in ("confidence", "end_of_turn"):
        share = how.get(name, 1.0)
        if not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise UsageError(f"{what}: {name}={share!r}: write a number from 0 to 1")
    for name, (kind, told) in _KINDS.items():
        if name in how and not isinstance(how[name], kind):
            raise UsageError(f"{what}: {name}={how[name]!r}: write {told}")
    if "error" in how:
        how = {"written_at": call_site(), **how}
    return Utterance(text=text, lasts=seconds, **how)
