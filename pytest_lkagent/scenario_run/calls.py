"""Playing the turns of a scenario as a telephone call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..fake.tts import Voice, seconds_of
from ..scenarios.expect import Mismatch
from ..scenarios.model import Scenario, ScenarioTurn, UserInput
from ..times import means_milliseconds
from ..transcript import Turn
from .steps import error_of

if TYPE_CHECKING:
    from ..fake.tts import FakeTTS
    from ..voice.call import VoiceCall
    from .names import Names

__all__ = ["check_call_turn", "give_voices", "hear_start", "play_call_turn", "why_otherwise"]

_FRAME = 50
"""Milliseconds by which a claim about an interruption may be off: a frame of the user's speech."""


def give_voices(tts: FakeTTS, scenario: Scenario, names: Names) -> None:
    """Say how texts are spoken."""
    for voice in scenario.voices:
        fail = voice.fail
        lasts = seconds_of(voice.text) if voice.lasts is None else voice.lasts
        said = "" if fail is None else fail.after or ""
        tts.add(
            Voice(
                text=voice.text,
                lasts=lasts,
                ttfb=voice.ttfb,
                error=None if fail is None else error_of(fail, names),
                after=lasts * len(said) / len(voice.text),
                attempts=1 if fail is None else fail.attempts or 1,
                written_at=voice.site,
                is_owed=scenario.owes_voices,
                name=f"the voice of {voice.text!r}",
            )
        )


async def hear_start(call: VoiceCall, scenario: Scenario) -> None:
    """Let the agent say what it says by itself, or begin to, where the first turn says when."""
    if scenario.start is not None and scenario.start.within is not None:
        await call.agent_answers(within=scenario.start.within)
    first = next(iter(scenario.turns or ()), None)
    if first is None or (first.interjection is None and first.at is None):
        await call.settle()
    elif scenario.start is not None:
        await call.agent_speaks()


async def play_call_turn(
    turn: ScenarioTurn,
    after: ScenarioTurn | None,
    call: VoiceCall,
    names: Names,
    fill: Callable[[Any], Any],
) -> Turn:
    """Play one turn of a call.

    It ends when nobody speaks any more; where the turn `after` it talks over the agent, when the
    agent speaks; where that comes at a given time over its words, then.
    """
    __tracebackhide__ = True
    record = call.harness.record
    known = list(record.errors)
    await _do(turn, call, names, fill)
    if after is not None and after.interjection is not None:
        await call.agent_speaks(after.interjection.after)
    elif turn.settle and not turn.hang_up:
        if after is None or after.at is None:
            await call.settle()
        else:
            await call.settle_by(after.at)
    for error in record.errors:
        if not any(error is one for one in known):
            record.current.error = error  # as the run of a text would raise it
            call.harness.told(error)
            raise call.harness.as_scripted(error)
    return record.current


async def _do(
    turn: ScenarioTurn, call: VoiceCall, names: Names, fill: Callable[[Any], Any]
) -> None:
    """Do what the user does in a turn, and hear the agent where it says within which time."""
    __tracebackhide__ = True
    record = call.harness.record
    if turn.wait is not None:
        record.begin(None)
        await call.silence(turn.wait, at=turn.at)
    elif turn.dtmf is not None:
        record.begin(None)
        await call.dtmf(fill(turn.dtmf), at=turn.at)
    elif turn.hang_up:
        record.begin(None)
        await call.hang_up(at=turn.at)
    elif (over := turn.interjection) is not None:
        speak = call.interrupt if over.verb == "interrupt" else call.backchannel
        text, how = _said(over.said, turn, names, fill)
        await speak(text, after=over.after, lasts=turn.lasts, **how)
    else:
        assert turn.user is not None, "a turn has an input"
        text, how = _said(turn.user, turn, names, fill)
        await call.say(text, at=turn.at, lasts=turn.lasts, **how)
        if turn.interrupt is not None:
            await call.cut_in(after=turn.interrupt)
    if turn.within is not None:
        await call.agent_answers(within=turn.within)


def _said(
    said: UserInput, turn: ScenarioTurn, names: Names, fill: Callable[[Any], Any]
) -> tuple[str, dict[str, Any]]:
    how = {key: fill(value) if isinstance(value, str) else value for key, value in said.how.items()}
    if (fail := how.pop("fail", None)) is not None:
        how["error"] = error_of(fill(fail), names)
        how["attempts"] = fail.attempts or 1
        how["written_at"] = turn.site
    return fill(said.text), how


def why_otherwise(turn: ScenarioTurn, call: VoiceCall) -> Iterator[str]:
    """Walk what may explain that a turn had other events than its file says."""
    if turn.wait is not None and not call.has_spoken and (why := call.why_silent()):
        yield f"nothing was said{why}"
    verb = None if turn.interjection is None else turn.interjection.verb
    if verb == "interrupt" and (why := call.why_not_stopped()):
        yield f"the agent was not stopped{why}"
    if verb == "backchannel" and (why := call.why_stopped()):
        spoken = call.talked_over()
        went_on = spoken is not None and not spoken.interrupted
        yield f"the agent {'paused' if went_on else 'stopped'} for the backchannel{why}"


def check_call_turn(
    turn: ScenarioTurn, call: VoiceCall, fill: Callable[[Any], Any]
) -> Mismatch | None:
    """Compare what was heard, and where the agent was cut off, with what the turn says."""
    timeline, log = call.timeline, call.harness.line.log
    if turn.heard is not None:
        expected, heard = fill(turn.heard), (timeline.user[-1].heard or "") if timeline.user else ""
        if heard != expected:
            return Mismatch(
                f"expected {expected!r} to be heard, and it was {heard!r}", tuple(log.lanes())
            )
    if turn.interrupted_at is not None:
        spoken = call.cut_off() if turn.hang_up else call.talked_over()
        took = 0 if spoken is None or spoken.end is None else spoken.heard_by(spoken.end)
        wanted = round(turn.interrupted_at * 1000)
        if spoken is None or not spoken.interrupted:
            told = f"and it was not cut off{call.why_not_stopped()}"
        elif abs(took - wanted) <= _FRAME:
            return None
        else:
            told = f"and it was after {took} ms"
        if took and means_milliseconds(turn.interrupted_at, took):
            meant = call.harness.words.milliseconds(turn.interrupted_at)
            told += f"; {turn.interrupted_at:g} means seconds: write {meant}"
        return Mismatch(
            f"expected the agent to be cut off after {wanted} ms of its words, {told}",
            tuple(log.lanes()),
        )
    return None
