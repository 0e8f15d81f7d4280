"""Building a session: the agent under test from whatever names it, and AgentSession's arguments."""

from __future__ import annotations

import inspect
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

from livekit.agents import Agent, AgentSession, llm

from . import _livekit, _livekit_items
from .errors import UsageError, did_you_mean, one_of
from .transcript import FunctionCall, FunctionCallOutput, Message

__all__ = [
    "as_chat_context",
    "called",
    "check_call",
    "check_session_options",
    "make_agent",
    "session_arguments",
]

_LEAN: Mapping[str, Any] = {"vad": None, "aec_warmup_duration": None}
"""What makes a text session start in under a millisecond (reference: 500 ms with the defaults)."""

_NEVER_AWAY: Mapping[str, Any] = {"user_away_timeout": None}
"""What lets time pass in a test, and nobody is found away."""

_OURS = ("llm", "loop")
_SPOKEN: Mapping[str, Any] = {"aec_warmup_duration": None}
"""What a session on our line needs otherwise: there is no echo on it."""


async def make_agent(source: Any, *, what: str) -> Agent:
    """Make the agent under test from an instance, a class or a factory, inside the loop.

    Raises:
        UsageError: It cannot be made, or what comes out is no agent.
    """
    made = source
    if not isinstance(source, Agent) and callable(source):
        made = called(source, what=what)
        if inspect.isawaitable(made) and not isinstance(made, Agent):  # as an AgentTask is
            made = await made
    if not isinstance(made, Agent):
        told = f"{what}: expected an Agent, its class or a factory, not {made!r}"
        if isinstance(made, str):
            told += (
                "; a name as text belongs into a scenario file (agent:) or the ini file "
                "(lk_agent), in Python import it"
            )
        raise UsageError(told)
    return made


def called(source: Callable[[], Any], *, what: str) -> Any:
    """Return what an agent's class or factory gives.

    Raises:
        UsageError: It wants arguments.
    """
    try:
        return source()
    except TypeError:
        _check_arguments(source, what)
        raise


def check_call(
    function: Callable[..., Any], name: str, own: Iterable[str], /, *args: Any, **given: Any
) -> None:
    """Refuse arguments that `function` does not take, in the name of the fixture that takes them.

    `own` are those that the fixture takes itself.

    Raises:
        UsageError: One is unknown, or one is missing.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **given)
    except TypeError as error:
        known = [*own, *signature.parameters]
        near = (did_you_mean(one, known) for one in given if one not in known)
        raise UsageError(f"{name}() {error}{next(near, '')}") from None


def _check_arguments(source: Any, what: str) -> None:
    """Refuse a class or factory that cannot be called without arguments."""
    try:
        inspect.signature(source).bind()
    except TypeError as error:
        name = getattr(source, "__name__", repr(source))
        raise UsageError(
            f"{what}: {name}() {error}; give an instance, or a factory such as lambda: {name}(…)"
        ) from None


def check_session_options(options: Mapping[str, Any], *, where: str) -> None:
    """Refuse what is no argument of an ``AgentSession``, and keys of these that LiveKit ignores.

    Raises:
        UsageError: One is unknown.
    """
    __tracebackhide__ = True
    known = _session_parameters()
    for name, value in options.items():
        if name not in known:
            raise UsageError(f"{where}: AgentSession takes no {name!r}{did_you_mean(name, known)}")
        if isinstance(value, Mapping):
            with suppress(NameError):  # of what type checkers alone import
                _check_keys(value, _hint_of(name), name, where)


@cache
def _hint_of(name: str) -> Any:
    """Return the type of one of AgentSession's parameters, which is written as a text."""
    written = SimpleNamespace(__annotations__={name: _session_parameters()[name].annotation})
    return get_type_hints(written, vars(sys.modules[AgentSession.__module__]))[name]


def _check_keys(given: Any, hint: Any, name: str, where: str) -> None:
    """Refuse keys that are none of the TypedDict which `hint` is, or has in it."""
    __tracebackhide__ = True
    dicts = [one for one in (hint, *get_args(hint)) if hasattr(one, "__required_keys__")]
    if not dicts or not isinstance(given, Mapping):
        return
    known = ChainMap(*map(_hints_of, dicts))
    for key, value in given.items():
        if key not in known:
            raise UsageError(
                f"{where}: {name} takes no {key!r}; it takes {one_of(known)}"
                f"{did_you_mean(str(key), known)}"
            )
        _check_keys(value, known[key], f"{name}.{key}", where)


_hints_of = cache(get_type_hints)


@cache
def _session_parameters() -> Mapping[str, Any]:
    return inspect.signature(AgentSession).parameters


def session_arguments(
    options: Mapping[str, Any],
    stand_in: Callable[[Any], _livekit.Model],
    speech: _livekit.Speech | None = None,
    *,
    is_fuzzed: bool = False,
) -> dict[str, Any]:
    """Return AgentSession arguments: with the fake models, and the user's options over the rest.

    `stand_in` makes the model for the place of theirs. Without `speech` they are lean; with it
    they are LiveKit's defaults. With `is_fuzzed` a user who is silent is found away.
    """
    if not isinstance(options, Mapping):
        raise UsageError(f"session_options is a mapping of AgentSession arguments, not {options!r}")
    given = {name: value for name, value in options.items() if name not in _OURS}
    own = {name: given.pop(name, ...) for name in _livekit.SPEECH}
    model = stand_in(options.get("llm"))
    turn_handling = given.pop("turn_handling", None)
    if turn_handling is None:
        turn_handling = _livekit.turn_handling_of(given)  # as we give one, LiveKit would not look
    if speech is None:
        turn_handling = {**turn_handling, "turn_detection": None}
        lean = _LEAN if is_fuzzed else {**_LEAN, **_NEVER_AWAY}
        return {**lean, **given, "turn_handling": turn_handling, "llm": model}
    own["turn_detection"] = turn_handling.get("turn_detection", own["turn_detection"])
    heard = {name: _livekit.speech_for(name, one, speech) for name, one in own.items()}
    turn_handling = {**turn_handling, "turn_detection": heard.pop("turn_detection")}
    return {**_SPOKEN, **given, **heard, "turn_handling": turn_handling, "llm": model}


def as_chat_context(history: Any) -> llm.ChatContext | None:
    """Take a ChatContext, or a conversation as events, as what was said before."""
    if history is None or isinstance(history, llm.ChatContext):
        return history
    context = llm.ChatContext.empty()
    for event in history:
        if isinstance(event, Message):
            context.add_message(role=event.role, content=event.text, interrupted=event.interrupted)  # type: ignore[arg-type]
        elif isinstance(event, FunctionCall):
            context.items.append(_livekit_items.call_item(event))
        elif isinstance(event, FunctionCallOutput):
            context.items.append(_livekit_items.output_item(event))
        else:
            raise UsageError(
                "history takes a ChatContext, or messages, function calls and their outputs, "
                f"not {event!r}"
            )
    return context
