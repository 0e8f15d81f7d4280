"""What an agent on the telephone is claimed to do: waited for, and failed with the call drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NoReturn, TypeVar

from ..errors import ExpectationError, UsageError
from ..fake.instants import until
from ..fake.sound import Utterance, check_seconds
from ..known_as import known_as
from ..timeline import AgentSpeech, Timeline
from ..times import LONGEST_WAIT
from .harness import VoiceHarness
from .log import Spoken
from .reasons import (
    what_took,
    why_cut_off,
    why_late,
    why_not_stopped,
    why_passed_over,
    why_silent,
    why_stopped,
    why_unanswered,
)

__all__ = ["Claims"]

_Found = TypeVar("_Found")


@known_as("voice_call")
class Claims:
    """The half of a call that is the agent's. Each claim returns once it has come true.

    All times are seconds. What does not come true raises `BehaviourError` with the `timeline`.
    """

    def __init__(self, harness: VoiceHarness) -> None:
        self.harness = harness
        self._log = harness.line.log
        self._since = 0
        """What an answer is counted from: the end of what the user did last."""
        self._begin = "the beginning of the call"
        """What that is, in words."""
        self._asked = ""
        """What an answer is to, where the user asked something."""
        self._is_silence = False
        """Whether that was to say nothing."""
        self._claimed = 0
        self._backchannel: int | None = None
        """Which of the user's words, counted from 1, were meant as a backchannel last."""
        harness.model.why_asked = self._why_asked

    @property
    def timeline(self) -> Timeline:
        """Who spoke when, what was heard, what was cut off, in milliseconds of the call."""
        return self._log.timeline

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return self._log.now / 1000

    async def agent_answers(
        self, text: str | None = None, *, within: float | None = None
    ) -> AgentSpeech:
        """Wait for the agent to speak next, and return that.

        That is the first that it says after the user's last words, keys or `silence`; of several
        answers each is claimed once.

        Args:
            text: What it begins with, None for whatever it says. Where the program, and not the
                user, cuts it off, it has been heard before.
            within: Seconds that it may take from the end of the user's words, from keys, from the
                beginning of a silence, or from that of the call.

        Raises:
            BehaviourError: It says nothing, comes later, or says something else.
        """
        __tracebackhide__ = True
        if text is not None and not (text and isinstance(text, str)):
            raise UsageError(
                f"{self._act('agent_answers', text)}: what it begins with is a text; none is any "
                "answer"
            )
        self._check_within(within, "agent_answers", self._since)
        to = self._asked and f" {self._asked}"
        by = None if within is None else self._since / 1000 + within
        with self._during(self._act("agent_answers"), max((by or 0) - self.now, 0)):
            spoken = await self._wait(self._next_answer, by)
        if spoken is None:
            self._fail(self._unanswered(to))
        self._claimed = self._log.agent.index(spoken) + 1
        took = spoken.start - self._since
        why = partial(what_took, self.harness, self._since, spoken.start)
        told = f"the agent answered {took} ms after {self._begin}"
        self._hold(told, took, within, spoken.start, why)
        if text is not None:
            with self._during(self._act("agent_answers")):
                await self._hear_out(lambda: spoken.is_over or None)
            said = self._log.agent_speech(spoken)
            whole = f"{said.text} {said.unsaid}".strip()
            if not whole.startswith(text):
                self._fail(
                    f"the agent answered{to} with {whole!r}, and has to begin with {text!r}",
                    spoken.start,
                )
            cut = self._why_cut_off(spoken)
            if cut and not said.text.startswith(text):  # what the user cuts off is the test's doing
                self._fail(
                    f"the agent was cut off after {said.text!r}, and has to say {text!r}{cut}",
                    spoken.end,
                )
        return self._log.agent_speech(spoken)

    async def agent_stops(self, *, within: float | None = None) -> AgentSpeech:
        """Wait for the agent to stop for the user's last words, and return what it was saying.

        `within` counts from their beginning, or from that of the speech where the agent began to
        speak during them. A pause is a stop: LiveKit may find that it was no
        interruption, and go on (`agent_resumes`).

        Raises:
            BehaviourError: It spoke on, or stopped later.
        """
        __tracebackhide__ = True
        start, _, utterance = self._last_words("agent_stops")
        self._check_within(within, "agent_stops", start)
        spoken = self._talked_over("agent_stops")
        words = f"{utterance.text!r}"
        into = (
            f"into {words}" if spoken.start <= start else f"after it began to speak during {words}"
        )
        start = max(start, spoken.start)
        with self._during(self._act("agent_stops")):
            stopped = await self._wait(lambda: _stopped(spoken, start))
        has_stopped = spoken.interrupted or spoken.paused_from(start) is not None
        other = self._why_other(spoken, stopped)
        if stopped is None or not has_stopped or other:
            because = other or self.why_not_stopped()
            self._fail(f"the agent was not stopped by {utterance.text!r}{because}", start)
        took = max(stopped - start, 0)  # it may have been silent already, in a pause
        why = partial(why_late, self.harness, stopped, within)
        self._hold(f"the agent stopped {took} ms {into}", took, within, stopped, why)
        return self._log.agent_speech(spoken)

    async def agent_resumes(self, *, within: float | None = None) -> AgentSpeech:
        """Wait for the agent to go on after a false interruption, and return what it says.

        `within` counts from the end of the user's last words.
        """
        __tracebackhide__ = True
        start, end, utterance = self._last_words("agent_resumes")
        self._check_within(within, "agent_resumes", end)
        spoken = self._talked_over("agent_resumes")
        with self._during(self._act("agent_resumes")):
            resumed = await self._wait(lambda: _resumed(spoken, start, end))
        if resumed is None:
            self._fail(f"the agent did not go on after {utterance.text!r}", start)
        took = resumed - end
        told = f"the agent went on {took} ms after the end of {utterance.text!r}"
        self._hold(told, took, within, resumed)
        return self._log.agent_speech(spoken)

    async def agent_keeps_talking(self) -> AgentSpeech:
        """Wait for the agent to finish what it was saying through the user's last words.

        Raises:
            BehaviourError: It stopped or paused for them, or was silent in a pause already.
        """
        __tracebackhide__ = True
        start, end, utterance = self._last_words("agent_keeps_talking")
        spoken = self._talked_over("agent_keeps_talking")
        with self._during(self._act("agent_keeps_talking")):
            await self._hear_out(lambda: spoken.is_over or _stopped(spoken, start))
        if not spoken.is_over or spoken.interrupted or _stopped(spoken, start) != spoken.end:
            stopped = _stopped(spoken, start)
            if other := self._why_other(spoken, stopped):
                told = f"the agent did not finish what it was saying{other}"
            else:
                told = f"the agent stopped for {utterance.text!r}{self.why_stopped()}"
            self._fail(told, stopped or start)
        if spoken.was_paused(start, end):
            self._fail(
                f"the agent had paused already, and was silent through all of {utterance.text!r}: "
                "claim first that it goes on (agent_resumes)",
                start,
            )
        return self._log.agent_speech(spoken)

    async def agent_keeps_silent(self, seconds: float) -> None:
        """Let `seconds` pass, in which the agent says nothing.

        Raises:
            BehaviourError: It begins to speak, goes on after a pause, or is speaking already.
        """
        __tracebackhide__ = True
        what = self._act("agent_keeps_silent", seconds)
        check_seconds(seconds, what, some=True)
        known, since = len(self._log.agent), self._log.now
        if (spoken := self._talking()) is not None:
            saying = self._log.agent_speech(spoken).text or self.saying
            self._fail(
                f"the agent was to be silent, and is saying {saying!r}: claim first that it stops "
                "(agent_stops), or let it finish (settle)",
                since,
            )
        with self._during(what, seconds):
            await asyncio.sleep(seconds)
        for spoken in self._log.agent[max(known - 1, 0) :]:
            spoke = spoken.start if spoken.start >= since else spoken.resumed_from(since)
            if spoke is not None:
                said, went_on = self._log.agent_speech(spoken), spoke > spoken.start
                told = f"went on with {said.text!r}" if went_on else f"said {said.text!r}"
                self._fail(f"the agent was to be silent, and {told}", spoke)

    @property
    def has_spoken(self) -> bool:
        """Whether the agent began to speak since the user's last act."""
        return any(one.start >= self._since for one in self._log.agent)

    def why_silent(self) -> str:
        """Say why the agent said nothing, or nothing more, since the user's last act."""
        why = why_silent(self.harness, self._since, is_silence=self._is_silence)
        if why or self._is_silence:
            return why
        spoken = self._met()
        why = why_passed_over(self.harness, spoken) if spoken is not None else ""
        return why or why_unanswered(self.harness, self._since)

    def why_not_stopped(self) -> str:
        """Say why the user's last words did not stop the agent; empty if they did."""
        spoken = self._met()
        if spoken is None or spoken.interrupted or spoken.is_paused:
            return ""
        return why_not_stopped(self.harness, spoken)

    def why_stopped(self) -> str:
        """Say why the user's last words stopped the agent; empty if they did not."""
        spoken = self._met()
        if spoken is None:
            return ""
        start, _, _ = self._log.user[-1]
        has_stopped = spoken.interrupted or spoken.paused_from(start) is not None
        return why_stopped(self.harness) if has_stopped else ""

    def _why_asked(self, last_input: str) -> str:
        """Say that a backchannel was taken for a turn, if it was that."""
        if len(self._log.user) == self._backchannel:
            _, _, said = self._log.user[-1]
            if last_input == said.as_heard:
                why = why_stopped(self.harness)
                return f"the backchannel {said.text!r} was taken for a turn{why}"
        return ""

    @property
    def saying(self) -> str:
        """What the agent is saying now, with what was not heard of it yet; empty if nothing."""
        spoken = self._talking()
        return "" if spoken is None else self._log.words_of(spoken)

    def cut_off(self) -> Spoken | None:
        """Return what the end of the call cut off, or what the agent said last before it."""
        return self._log.agent[-1] if self._log.agent else None

    def talked_over(self) -> Spoken | None:
        """Return what the user's last words were said over, or what was cut off after them."""
        if not self._log.user:
            return None
        start, _, _ = self._log.user[-1]
        cut = (one for one in self._log.agent if one.start >= start and one.interrupted)
        return self._talking_at(start) or next(cut, None)

    # --- how

    def _begin_waiting(
        self, begin: str, since: int | None = None, *, asked: str = "", is_silence: bool = False
    ) -> None:
        """Count an answer from a moment on, by default from now; `begin` says what that is."""
        self._since = self._log.now if since is None else since
        self._begin, self._asked = begin, asked
        self._is_silence = is_silence

    def _act(self, verb: str, *given: object, **named: object) -> str:
        """Name an act of this call in the author's words."""
        return self.harness.words.act(verb, *given, **named)

    def _during(self, what: str, seconds: float = 0.0) -> AbstractContextManager[None]:
        __tracebackhide__ = True
        return self.harness.going_on(what, seconds=seconds)

    async def _wait(
        self, found: Callable[[], _Found | None], by: float | None = None
    ) -> _Found | None:
        """Wait until there is what `found` looks for, or nothing happens any more.

        Something may still happen up to `by` that second of the call: an agent has timers.
        """
        settled = asyncio.ensure_future(self._settled(by))
        try:
            while (one := found()) is None and not settled.done():
                await asyncio.wait(
                    (settled, self._log.change()), return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            settled.cancel()
        return found() if one is None else one

    async def _settled(self, by: float | None) -> None:
        await self.harness.settled()
        if by is not None and by > self.now:
            await until(self._instant(by))
            await self.harness.settled()

    def _instant(self, at: float) -> float:
        """Return when it is that second of the call, on the loop's clock."""
        return self._log.began + at

    async def _hear_out(self, found: Callable[[], Any]) -> None:
        """Wait for what ends a speech, and for its last words, which are shown after it."""
        await self._wait(found)
        await self.harness.quiet()

    def _unanswered(self, to: str) -> str:
        """Say what did not come, where an answer was claimed, and why."""
        why = self.why_silent()
        claimed = self._log.agent[: self._claimed]
        if claimed and claimed[-1].start >= self._since:
            spoken = claimed[-1]
            said = self._log.agent_speech(spoken).text or self._log.words_of(spoken)
            why = why or self._why_cut_off(spoken)
            return f"the agent said nothing after {said!r}, which the claim before is about{why}"
        if not (why or self._log.user or self._asked or self._since):
            return "the agent says nothing by itself, and the user has said nothing"
        return f"the agent did not answer{to}{why}"

    def _next_answer(self) -> Spoken | None:
        for spoken in self._log.agent[self._claimed :]:
            is_heard = not spoken.interrupted or spoken.end != spoken.start
            if spoken.start >= self._since and is_heard:
                return spoken
        return None

    def _talking(self) -> Spoken | None:
        if not self._log.agent or self._log.agent[-1].is_over or self._log.agent[-1].is_paused:
            return None
        return self._log.agent[-1]

    def _talking_at(self, moment: int) -> Spoken | None:
        for spoken in reversed(self._log.agent):
            if spoken.start <= moment and (spoken.gone is None or spoken.gone > moment):
                return spoken
        return None

    def _talked_over(self, claim: str) -> Spoken:
        """Return what the agent said when the user's last words began, or began to say in them."""
        __tracebackhide__ = True
        start, _, utterance = self._last_words(claim)
        spoken = self._met()
        if spoken is None:
            self._fail(f"the agent did not speak when the user said {utterance.text!r}", start)
        return spoken

    def _met(self) -> Spoken | None:
        if not self._log.user:
            return None
        start, end, _ = self._log.user[-1]
        during = (one for one in self._log.agent if start < one.start < end)
        return self._talking_at(start) or next(during, None)

    def _last_words(self, claim: str) -> tuple[int, int, Utterance]:
        if not self._log.user:
            raise UsageError(f"{self._act(claim)}: the user has not said anything yet")
        return self._log.user[-1]

    def _why_other(self, spoken: Spoken, stopped: int | None) -> str:
        """Say what the agent stopped for, if that is not the user's last words."""
        if stopped is None:
            return ""
        if self._hung_up_by(stopped):
            return ": the user hung up"
        start, _, _ = self._log.user[-1]
        return why_cut_off(self.harness, spoken, start)

    def _why_cut_off(self, spoken: Spoken) -> str:
        """Say that the program cut off a speech, if it was neither heard out nor the user's end."""
        if spoken.end is None or self._hung_up_by(spoken.end):
            return ""
        return why_cut_off(self.harness, spoken, self._since)

    def _hung_up_by(self, moment: int) -> bool:
        return any(one.at <= moment for one in self._log.moments if one.kind == "hang up")

    def _check_within(self, within: float | None, claim: str, since: int) -> None:
        """Refuse what is no time, or so long a one that milliseconds must be meant."""
        if within is None:
            return
        what = self._act(claim, within=within)
        check_seconds(within, what)
        if within > (self._log.now - since) / 1000 + LONGEST_WAIT:
            raise UsageError(
                f"{what}: that is {within:g} seconds, and nobody waits for more than "
                f"{LONGEST_WAIT:g}; write {self.harness.words.milliseconds(within)}"
            )

    def _hold(
        self,
        told: str,
        took: int,
        within: float | None,
        mark: int,
        why: Callable[[], str] = str,
    ) -> None:
        """Fail where what is told of took longer than it may."""
        __tracebackhide__ = True
        if within is not None and took > round(within * 1000):
            self._fail(f"{told}, and has to within {within * 1000:g} ms{why()}", mark)

    def _fail(self, told: str, mark: int | None = None) -> NoReturn:
        __tracebackhide__ = True
        raise ExpectationError("\n".join([told, *self._log.lanes(mark)]))

    def _usage(self, told: str) -> UsageError:
        return UsageError("\n".join([told, *self._log.lanes()]))


def _stopped(spoken: Spoken, since: int) -> int | None:
    """When it fell silent first, from a moment on."""
    paused = spoken.paused_from(since)
    return spoken.end if paused is None else paused


def _resumed(spoken: Spoken, start: int, end: int) -> int | None:
    """When it went on after a pause that began with the user's words or later, or outlasts them."""
    for began, ended in spoken.pauses:
        if ended is not None and (began >= start or ended > end):
            return ended
    return None
