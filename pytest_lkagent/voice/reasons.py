"""Why an agent did not do what was claimed of it, as far as the session itself knows.

Each returns what follows the claim's own line, and nothing where nothing is known.
"""

from __future__ import annotations

import math
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from livekit.agents import llm
from livekit.agents.tokenize import basic
from livekit.agents.utils import is_given

from .._livekit_interruptions import interrupted_by_program
from .log import Spoken

if TYPE_CHECKING:
    from .harness import VoiceHarness

__all__ = [
    "what_took",
    "why_cut_off",
    "why_late",
    "why_not_stopped",
    "why_passed_over",
    "why_silent",
    "why_stopped",
    "why_unanswered",
]


def what_took(harness: VoiceHarness, since: int, until: int) -> str:
    """Name what was at work between two moments, the model and the tools, and how long."""
    log = harness.line.log
    worked = [(tool.start, tool.end, tool.call) for tool in log.tools]
    for answer in harness.model.answers:
        ended = None if answer.ended is None else log.at(answer.ended)
        worked.append((log.at(answer.began), ended, f"the model ({answer.step.written_at})"))
    parts = [
        (who, min(until, until if ended is None else ended) - max(since, began))
        for began, ended, who in sorted(worked, key=itemgetter(0))
    ]
    took = ", ".join(f"{who} took {span} ms of that" for who, span in parts if span > 0)
    return took and f": {took}"


def why_silent(harness: VoiceHarness, since: int, *, is_silence: bool) -> str:
    """Say what kept the agent from speaking since a moment, with which a silence began or not."""
    closed, timeline = harness.record.closed, harness.line.log.timeline
    if closed is not None:
        on_error = closed.error and f" on an error: {closed.error}"
        return f": the session closed{on_error or f' ({closed})'}"
    errors = [one.text for one in timeline.moments if one.kind == "error" and one.at >= since]
    if errors:
        return f": {errors[-1]}"
    states = [one for one in timeline.states if one.who == "user"]
    if not is_silence or any(one.state == "away" and one.at >= since for one in states):
        return ""
    if states and states[-1].state == "away":
        return (
            f": LiveKit finds the user away since {states[-1].at / 1000:g} s, and tells so once, "
            "until the user speaks again"
        )
    timeout = harness.session.options.user_away_timeout
    if timeout is None:
        return ": LiveKit finds nobody away, as user_away_timeout is None"
    return f": user_away_timeout is {timeout:g} s, which had not passed since anybody spoke"


def why_unanswered(harness: VoiceHarness, since: int) -> str:
    """Say what became of the user's last words, or of the request that they led to."""
    log = harness.line.log
    if log.user and log.user[-1][1] == since and log.user_speech(-1).heard == "":
        return ": nothing was heard of it"
    for answer in harness.model.answers:
        step = answer.step
        is_silent = not (step.text or step.calls or step.error)
        if is_silent and answer.ended is not None and log.at(answer.ended) >= since:
            return f": the model answered with {step.describe()} ({step.written_at})"
    return ""


def why_not_stopped(harness: VoiceHarness, spoken: Spoken) -> str:
    """Say why the agent spoke on, whatever the user's last words were."""
    start, _, _ = harness.line.log.user[-1]
    if (why := why_passed_over(harness, spoken)) or spoken.end is None:
        return why
    return f": it had said all {spoken.end - start} ms after that began"


def why_late(harness: VoiceHarness, stopped: int, within: float | None) -> str:
    """Say what had to be heard of the user's last words before the agent stopped for them."""
    start, _, _ = harness.line.log.user[-1]
    rules = harness.session.options.interruption
    needed, took = rules["min_duration"], (stopped - start) / 1000
    if (detector := _of_the_agent(harness, "vad")) is not None and within is not None:
        until = needed + detector.capabilities.update_interval
        if within < needed <= took <= until:
            sooner = harness.words.interruption("min_duration", within)
            return f": min_duration is {needed:g} s; {sooner} lets it stop by then"
    if rules["min_words"] and _of_the_agent(harness, "stt") is not None:
        return f": min_words is {rules['min_words']}, and so many had not been heard before"
    return ""


def why_cut_off(harness: VoiceHarness, spoken: Spoken, since: int) -> str:
    """Say that the program cut off a speech, for nothing that the user has said since a moment."""
    if spoken.speech is None or not spoken.interrupted or spoken.had_paused(since):
        return ""
    cut = interrupted_by_program(spoken.speech)
    if cut is None or (cut.heard is not None and harness.line.log.at(cut.heard) >= since):
        return ""
    if cut.closing:
        return ": the session was closed"
    where = "" if cut.site is None else f" ({cut.site})"
    return f": the program interrupted it{where}, not the user's words"


def why_stopped(harness: VoiceHarness) -> str:
    """Say what made the user's last words an interruption, and what lets the agent speak on."""
    line, words = harness.line, harness.words
    _, _, utterance = line.log.user[-1]
    rules = harness.session.options.interruption
    model = _of_the_agent(harness, "llm")
    if isinstance(model, llm.RealtimeModel) and model.capabilities.turn_detection:
        return ": the server of its realtime model finds the turns"
    heard = utterance.as_heard
    if _of_the_agent(harness, "stt") is not None:
        count = len(basic.split_words(heard, split_character=True))
        was_heard = f"{heard!r} was" if heard else "nothing was"
        return (
            f": min_words is {rules['min_words']}, and {was_heard} heard; "
            f"{words.interruption('min_words', count + 1)} lets it speak on"
        )
    return (
        f": min_duration is {rules['min_duration']:g} s; "
        f"{words.interruption('min_duration', math.ceil(utterance.lasts) + 1)} lets it speak on"
    )


def why_passed_over(harness: VoiceHarness, spoken: Spoken) -> str:
    """Say what kept the user's last words from being an interruption."""
    line, session = harness.line, harness.session
    start, _, utterance = line.log.user[-1]
    rules = session.options.interruption
    if spoken.interrupted:
        return ""
    if spoken.paused_from(start) is not None:
        return ": it paused, and went on as after a false interruption"
    if spoken.speech is not None and not spoken.speech.allow_interruptions:
        return ": what it says allows no interruptions (allow_interruptions)"
    if _of_the_agent(harness, "stt") is not None:
        heard = line.log.user_speech(-1).heard or ""
        if len(basic.split_words(heard, split_character=True)) < rules["min_words"]:
            was_heard = f"{heard!r} was" if heard else "nothing was"
            return f": min_words is {rules['min_words']}, and {was_heard} heard"
    if (detector := _of_the_agent(harness, "vad")) is not None:
        counted = round(utterance.lasts + detector.min_silence_duration, 3)
        if counted < rules["min_duration"]:
            return (
                f": min_duration is {rules['min_duration']:g} s, and it was {counted:g} s, the "
                "silence counted that ends it"
            )
    return ""


def _of_the_agent(harness: VoiceHarness, name: str) -> Any:
    """Return what the agent hears with: one with a realtime model may have nothing."""
    own = getattr(harness.session.current_agent, name)
    return own if is_given(own) else getattr(harness.session, name)
