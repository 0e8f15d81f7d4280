"""What a model answers: text, calls, silence, failure, and everything that models do wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError, llm

from ..script import Step, call, fail, raw_call, reply, say, silence
from .arguments import Offered, offered_arguments
from .chances import once_in
from .near_misses import spoilt
from .offers import tools_of
from .schedules import delays
from .texts import long_texts, texts

__all__ = ["completions", "completions_for"]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own

_SIMPLE = ("a", "Yes.", "One moment, please.", "It is done. Anything else?")
_TEXTS = texts(_SIMPLE)
_LONG = long_texts()
_ERRORS: tuple[Callable[[], APIError], ...] = (
    APIConnectionError,
    APITimeoutError,
    lambda: APIStatusError("overloaded", status_code=503),
    lambda: APIStatusError("rate limited", status_code=429),
    lambda: APIStatusError("context too long", status_code=400),
)
# How often the model does what, the simplest first. What draws nothing more is the simplest to
# hypothesis, and silence is no answer to begin with: so the plainest text is a kind of its own.
# After a call the same choice says whether there is another one in the same breath: "calls" is one,
# "again" the same, all else none. So two completions shrink to one, where what lies between goes.
_WITHOUT_TOOLS = (
    *("plain",) * 2,
    *("say",) * 10,
    *("long", "silence", "silence", "fail", "fail", "unknown"),
)
_WITH_TOOLS = (
    "plain",
    *("calls",) * 5,
    "again",
    *("call",) * 10,
    *("say",) * 5,
    *("long", "silence", "unknown", "fail"),
)
_FORBIDDEN = tuple(kind for kind in _WITHOUT_TOOLS if kind != "unknown")
_NAMED = (*("call",) * 10, *("calls",) * 5, "again", "silence", "fail")
_REQUIRED = (*_NAMED, "unknown")
_NO_CUTS = 20  # chunks of a text that is longer than this say nothing new


def completions(agent: Any, *, tool_choice: llm.ToolChoice | None = None) -> SearchStrategy[Step]:
    """Draw what the model of `agent` answers to one request, as a step of a script.

    Half of all are calls of the agent's tools with arguments that fit, alone or in parallel, some
    twice and some under the same id. The others are text, in any chunks, and very long; silence;
    errors before and after text; calls with broken arguments, beside others too, and of unknown
    tools. Shrinks towards ``say("a")``.

    `agent` is an agent, its class, a factory, or a collection of tools. The tools are those of the
    beginning: after a hand-over the calls that are drawn are unknown to the new agent.

    `tool_choice` is the request's, and holds as providers have it hold: "none" leaves no call, of
    unknown tools neither; "required" and a named tool leave no answer in words, though silence and
    errors, and shrink towards the simplest call.

    Raises:
        UsageError: The agent cannot be made without arguments, or there is a tool of which
            LiveKit can make no schema.
    """
    return completions_for(tools_of(agent, what="completions()"), tool_choice)


def completions_for(
    tools: Mapping[str, Any], tool_choice: llm.ToolChoice | None = None
) -> SearchStrategy[Step]:
    """Draw completions for the tools that a request offers, and what it wants of them."""
    offered = offered_arguments(tools)
    kinds: tuple[str, ...] = _WITH_TOOLS
    if tool_choice == "none":
        kinds = _FORBIDDEN
    elif tool_choice == "required":
        kinds = _REQUIRED
    elif isinstance(tool_choice, Mapping):
        wanted = tool_choice["function"]["name"]
        offered = tuple(one for one in offered if one[0] == wanted)
        kinds = _NAMED
    if not offered and kinds is not _FORBIDDEN:  # nothing that it could want
        kinds = _WITHOUT_TOOLS
    return _completions_for(offered, kinds)


@lru_cache(maxsize=256)
def _completions_for(offered: Offered, kinds: tuple[str, ...]) -> SearchStrategy[Step]:
    how = st.sampled_from(kinds)
    calls = _calls(offered, how, None)
    for _ in range(_MOST_CALLS - 1):
        calls = _calls(offered, how, calls)
    return _completions(offered, how, _called(calls))


@st.composite
def _completions(
    draw: st.DrawFn, offered: Offered, kinds: SearchStrategy[str], called: SearchStrategy[Step]
) -> Step:
    kind = draw(kinds)
    if kind in _CALLED:
        return draw(called)
    step = _DRAW[kind](draw, offered)
    return _timed(draw, step) if kind in _MAY_TAKE_TIME and draw(_IN_EIGHT) else step


def _timed(draw: st.DrawFn, step: Step) -> Step:
    ttft = draw(_DELAYS)
    return step.timed(ttft=ttft, duration=ttft + draw(_DELAYS))


_CALLED = ("calls", "again", "call")
_MAY_TAKE_TIME = ("say", "silence", "unknown", "long")
_MOST_CALLS = 3
_ASIDE = st.sampled_from(
    (*("",) * 11, *("text", "text", "time", "time"), *("same id", "spoilt") * 3)
)
"""What is odd about a completion that calls, if anything is.

That a call does not fit is drawn after it, so that it shrinks to the one that does.
"""
_IN_EIGHT = once_in(8)
_IN_THREE = once_in(3)
_DELAYS = delays()


def _said(draw: st.DrawFn, _: Offered) -> Step:
    text = draw(_TEXTS)
    step = say(text)
    if len(text) > _NO_CUTS or not draw(_IN_THREE):
        return step
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=3)))
    edges = zip([0, *cuts], [*cuts, len(text)], strict=True)
    return step.chunked([text[start:end] for start, end in edges])


@st.composite
def _called(draw: st.DrawFn, some: SearchStrategy[list[Step]]) -> Step:
    calls = draw(some)
    match draw(_ASIDE):
        case "text":
            return reply(draw(_TEXTS), *calls)
        case "time":
            return _timed(draw, reply(None, *calls))
        case "same id" if len(calls) > 1:
            calls = [one.with_id("call_same") for one in calls]
        case "spoilt":
            which = draw(st.integers(0, len(calls) - 1)) if len(calls) > 1 else 0
            calls[which] = _spoilt(draw, calls[which])
    return reply(None, *calls) if len(calls) > 1 else calls[0]


@st.composite
def _calls(
    draw: st.DrawFn,
    offered: Offered,
    kinds: SearchStrategy[str],
    others: SearchStrategy[list[Step]] | None,
) -> list[Step]:
    """Draw a call, and in the same breath `others`; those take its place where it shrinks.

    Which is why the last one draws as much as the first, though no other may follow.
    """
    name, arguments = draw(st.sampled_from(offered))
    first = call(name, draw(arguments.valid))
    kind = draw(kinds)
    if kind == "again":
        return [first, first]
    return [first, *draw(others)] if kind == "calls" and others is not None else [first]


def _spoilt(draw: st.DrawFn, fitting: Step) -> Step:
    [one] = fitting.calls
    assert isinstance(one.arguments, Mapping), "it was drawn as what fits"
    sent = spoilt(draw, dict(one.arguments))
    text = sent if isinstance(sent, str) else json.dumps(sent, ensure_ascii=False)
    return raw_call(one.name, text)


def _unknown(draw: st.DrawFn, offered: Offered) -> Step:
    known = [name for name, _ in offered]
    misspelt = [form.format(name) for form in ("{}s", "functions.{}", "{}()") for name in known]
    name = draw(st.sampled_from(["search_web", *misspelt]))
    while name in known:
        name += "_"
    return raw_call(name, draw(st.sampled_from(("{}", '{"query": "a"}', ""))))


def _failed(draw: st.DrawFn, _: Offered) -> Step:
    error = draw(st.sampled_from(_ERRORS))()
    attempts = draw(st.sampled_from((1, None)))
    return fail(error, after=draw(_TEXTS) if draw(_IN_THREE) else None, attempts=attempts)


_DRAW: Mapping[str, Callable[[st.DrawFn, Offered], Step]] = {
    "plain": lambda *_: say("a"),
    "say": _said,
    "silence": lambda *_: silence(),
    "fail": _failed,
    "unknown": _unknown,
    "long": lambda draw, _: say(draw(_LONG)),
}
