"""The steps of a script: what a model says when it is asked.

A step answers one request, that is one ``chat()`` with all its retries. Steps are values: the
functions here make them, the methods of `Step` return changed copies.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, Final, Never, TypeAlias

from ..errors import UsageError
from ..known_as import known_as
from ..sites import Site, call_site

if TYPE_CHECKING:
    from .request import Request

__all__ = [
    "ANYONE",
    "Anyone",
    "Asker",
    "Step",
    "StepSource",
    "Text",
    "ToolCall",
    "as_step",
    "asker_name",
    "call",
    "check_takes_request",
    "checked_asker",
    "fail",
    "raw_call",
    "reply",
    "say",
    "short",
    "silence",
    "stall",
]

# pytest looks for it here too: a mistake in a step is shown at the line where the step is written
__tracebackhide__ = True


class Anyone(Enum):
    """The asker of a step that does not mind who asks; None would mean code outside an agent."""

    ANYONE = "anyone"


ANYONE: Final = Anyone.ANYONE

Text: TypeAlias = "str | Callable[[Request], str]"
Asker: TypeAlias = type | str | Anyone | None
StepSource: TypeAlias = "Step | str | Callable[[Request], Step | str]"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call in a completion; `arguments` is a str where the model sends malformed JSON."""

    name: str
    arguments: Mapping[str, Any] | str
    call_id: str | None = None

    def resolve(self, request: Request) -> ToolCall:
        """Return the call with every callable in its arguments replaced by what it gives."""
        if isinstance(self.arguments, str):
            return self
        arguments = _resolved(self.arguments, request)
        _check_arguments(self.name, arguments)
        return replace(self, arguments=arguments)

    def describe(self) -> str:
        """Describe the call as one writes it in a script."""
        if isinstance(self.arguments, str):
            return f"raw_call({self.name!r}, {self.arguments!r})"
        if all(name.isidentifier() and not iskeyword(name) for name in self.arguments):
            given = [f"{name}={_shown(value)}" for name, value in self.arguments.items()]
        else:  # as a model invents names, Python takes them in a mapping alone
            shown = (f"{name!r}: {_shown(value)}" for name, value in self.arguments.items())
            given = [f"{{{', '.join(shown)}}}"]
        return f"call({', '.join([repr(self.name), *given])})"


@known_as("Step")
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the model does when it is asked. Made by `say`, `call`, `reply`, `fail` and so on."""

    text: Text | None = None
    calls: tuple[ToolCall, ...] = ()
    error: BaseException | None = None
    attempts: int | None = None
    stalls: bool = False
    make: Callable[[Request], Step | str] | None = None
    ttft: float = 0.0
    duration: float = 0.0
    chunks: int | tuple[str, ...] | None = None
    usage: Mapping[str, int] | None = None
    asker: Asker = ANYONE
    written_at: Site = field(default_factory=call_site, compare=False)
    rule: str = field(default="", compare=False)
    """The rule that the step belongs to, such as ``when('2 pm')``; none in the queue."""

    def timed(self, *, ttft: float = 0.0, duration: float = 0.0) -> Step:
        """Let `ttft` seconds pass before the first chunk, and `duration` in all."""
        for seconds in (ttft, duration):
            if not _is_number(seconds) or not 0 <= seconds < math.inf:
                raise UsageError(
                    f"timed(ttft={ttft!r}, duration={duration!r}): both are seconds, 0 or more"
                )
        if 0 < duration < ttft:
            raise UsageError(
                f"timed(ttft={ttft!r}, duration={duration!r}): the duration is that of the whole "
                "answer, the time to its first chunk included"
            )
        return replace(self, ttft=ttft, duration=max(ttft, duration))

    def chunked(self, size: int | Iterable[str]) -> Step:
        """Stream the text in chunks of `size` characters, or in the pieces given."""
        if self.text is None:
            raise UsageError(f"chunked({size!r}): {self.describe()} has no text to be cut up")
        if isinstance(size, int):
            if size < 1:
                raise UsageError(f"chunked({size!r}): a chunk has at least one character")
            return replace(self, chunks=size)
        pieces = tuple(size)
        if isinstance(self.text, str):
            _check_pieces(pieces, self.text)
        return replace(self, chunks=pieces)

    def with_usage(
        self, *, prompt_tokens: int = 0, completion_tokens: int = 0, prompt_cached_tokens: int = 0
    ) -> Step:
        """Report token usage with the completion; it adds up in ``session.usage``."""
        return replace(
            self,
            usage={
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "prompt_cached_tokens": prompt_cached_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        )

    def with_id(self, call_id: str) -> Step:
        """Give the step's only call this id. LiveKit wants ids unique within a turn."""
        if len(self.calls) != 1:
            raise UsageError(
                f"with_id({call_id!r}) is the id of one call, and {self.describe()} has "
                f"{len(self.calls)}; give each its own: reply(text, call(…).with_id(…), …)"
            )
        return replace(self, calls=(replace(self.calls[0], call_id=call_id),))

    def by(self, asker: Asker) -> Step:
        """Say who must be asking: an Agent class (or its name); None for code outside an agent."""
        return replace(self, asker=checked_asker(asker))

    def resolve(self, request: Request) -> Step:
        """Return the step with every callable in it replaced by what it says of `request`."""
        if self.make is not None:
            made = as_step(self.make(request))
            return replace(made, asker=self.asker, written_at=self.written_at).resolve(request)
        text = self.text
        if callable(text):
            text = text(request)
            if not isinstance(text, str):
                raise UsageError(f"{self}: the text is to be a str, and its callable gave {text!r}")
            if isinstance(self.chunks, tuple):
                _check_pieces(self.chunks, text)
        elif not self.calls:
            return self
        return replace(self, text=text, calls=tuple(c.resolve(request) for c in self.calls))

    def describe(self) -> str:
        """Describe the step in one line, as one would write it."""
        return f"{self._what()}{self._how()}"

    def _what(self) -> str:
        if self.stalls:
            return "stall()"
        text = "<callable>" if callable(self.text) else repr(self.text)
        if self.error is not None:
            after = f", after={text}" if self.text else ""
            attempts = f", attempts={self.attempts}" if self.attempts else ""
            return f"fail({_brief(self.error)}{after}{attempts})"
        if self.text is None and not self.calls:
            if self.make is not None:
                return f"{getattr(self.make, '__name__', 'callable')}(request)"
            return "silence()"
        if not self.calls:
            return f"say({text})"
        if self.text is None and len(self.calls) == 1:
            return self.calls[0].describe()
        return f"reply({', '.join([text, *(call.describe() for call in self.calls)])})"

    def _how(self) -> str:
        return "" if self.asker is ANYONE else f" by {asker_name(self.asker)}"

    def __str__(self) -> str:
        return f"{self.written_at}  {self.describe()}"


def say(text: Text) -> Step:
    """Answer with text. For a model that says nothing, use `silence`."""
    if text == "":
        raise UsageError("say('') says nothing: write silence()")
    return Step(text=_text(text, "say"))


def call(
    tool: str, arguments: Mapping[str, Any] | None = None, /, *others: Never, **named: Any
) -> Step:
    """Answer with one tool call. Arguments as a mapping, by name, or both.

    A value may be a callable of the request, at any depth; every other one has to be JSON.
    """
    name = _tool_name(tool)
    given: Any = {} if arguments is None else arguments
    if others or not isinstance(given, Mapping):
        advice = f"call({name!r}, slot='2pm')"
        if isinstance(given, str) and not others:
            advice = f"or, as the text that the model sends, raw_call({name!r}, {given!r})"
        shown = ", ".join(map(repr, (name, given, *others)))
        raise UsageError(f"call({shown}): arguments are a mapping or given by name: {advice}")
    if twice := sorted(given.keys() & named.keys()):
        raise UsageError(f"call({name!r}, …) has the argument {twice[0]!r} twice")
    given = {**given, **named}
    _check_arguments(name, given)
    return Step(calls=(ToolCall(name, given),))


def raw_call(tool: str, text: str, /) -> Step:
    """Answer with a tool call whose arguments are `text`, malformed JSON included."""
    name = _tool_name(tool)
    if not isinstance(text, str):
        raise UsageError(f"raw_call({name!r}, …) takes the text that the model sends, not {text!r}")
    return Step(calls=(ToolCall(name, text),))


def reply(text: Text | None, /, *calls: Step) -> Step:
    """Answer with text and, at the same time, with any number of parallel calls.

    What holds for the whole answer is said of the reply, not of its calls:
    ``reply("One moment.", call("book")).timed(ttft=0.5)``.
    """
    given: tuple[Any, ...] = (text, *calls)
    if isinstance(given[0], Step):
        shown = given[0].describe()
        raise UsageError(
            f"reply(): {shown} is no text, which comes first: write reply(None, {shown})"
        )
    for step in given[1:]:
        shown = step.describe() if isinstance(step, Step) else repr(step)
        if not getattr(step, "calls", ()) or step.text is not None:
            raise UsageError(f"reply(text, call(…), …) takes calls after the text, not {shown}")
        if step != Step(calls=step.calls):
            raise UsageError(
                f"reply(…, {shown}): timed(), with_usage() and by() belong to the whole "
                "answer: write them behind the reply"
            )
    if not text and not calls:
        raise UsageError("reply() with neither text nor calls says nothing: write silence()")
    made = tuple(c for step in calls for c in step.calls)
    return Step(text=_text(text, "reply") if text else None, calls=made)


@known_as("fail")
def fail(
    error: Exception | type[Exception],
    /,
    *,
    after: Text | None = None,
    attempts: int | None = None,
) -> Step:
    """Raise `error` instead of answering, or once the partial text `after` was sent.

    Every attempt of the request fails, unless `attempts` says how many do; the attempt after
    those is answered by the next step. LiveKit retries a retryable APIError three times by default
    (``SessionConnectOptions``); other exceptions end the request at once.
    """
    if attempts is not None and not (_is_number(attempts) and attempts >= 1):
        raise UsageError(f"fail(attempts={attempts!r}): at least one attempt fails")
    made: Any = error
    if isinstance(error, type) and issubclass(error, Exception):
        try:
            made = error()
        except TypeError as problem:
            raise UsageError(
                f"fail({error.__name__}): {problem}; give an instance, such as "
                f"fail({error.__name__}('overloaded'))"
            ) from None
    if not isinstance(made, Exception):
        raise UsageError(f"fail({error!r}) takes an exception that a model may raise, an instance "
                         "or a class, such as fail(APIConnectionError())")  # fmt: skip
    return Step(text=_text(after, "fail") if after else None, error=made, attempts=attempts)


def silence() -> Step:
    """Answer with an empty completion. LiveKit takes it as a turn without a reply."""
    return Step()


def stall() -> Step:
    """Never answer: the stream stays open until somebody interrupts the agent."""
    return Step(stalls=True)


def as_step(source: StepSource) -> Step:
    """Take what a script accepts, a step, a text or a callable of the request, as a step."""
    if isinstance(source, Step):
        return source
    if isinstance(source, str):
        return say(source)
    if callable(source):
        check_takes_request(source)
        return Step(make=source)
    raise UsageError(_no_step(source))


def check_takes_request(function: Callable[..., Any]) -> None:
    """Raise UsageError, in the line that scripts it, where a function cannot be given a request."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # one in C does not tell
        return
    try:
        signature.bind(...)
    except TypeError as error:
        raise UsageError(f"{function!r} is to be a function of the request: {error}") from None


def _no_step(given: object) -> str:
    if isinstance(given, (list, tuple)):
        kind = type(given).__name__
        return f"a script takes steps one by one, script(*steps), not in a {kind}"
    return f"a script takes steps such as say(…) or call(…), not {given!r}"


def asker_name(asker: Asker) -> str:
    """Name who asks, for a message."""
    if asker is None:
        return "code outside an agent"
    return asker.__name__ if isinstance(asker, type) else str(asker)


def checked_asker(asker: Asker) -> Asker:
    """Return `asker`, or raise UsageError where nobody can be it."""
    if asker is None or isinstance(asker, (type, str, Anyone)):
        return asker
    raise UsageError(
        f"by={asker!r}: name who asks by the class, as in by={type(asker).__name__}; None is code "
        "outside an agent"
    )


def _tool_name(tool: Any) -> str:
    name = tool if isinstance(tool, str) else getattr(tool, "id", None)
    if not isinstance(name, str) or not name:
        raise UsageError(f"a call names its tool, such as call('book', slot='2pm'), not {tool!r}")
    return name


def _text(text: Any, step: str) -> Text:
    if callable(text):
        check_takes_request(text)
    if isinstance(text, str) or callable(text):
        made: Text = text
        return made
    shown = text.describe() if isinstance(text, Step) else repr(text)
    raise UsageError(f"{step}({shown}): text is a str or a callable of the request")


def _check_pieces(pieces: tuple[str, ...], text: str) -> None:
    if not all(isinstance(piece, str) for piece in pieces) or "".join(pieces) != text:
        raise UsageError(f"chunked({list(pieces)!r}): the pieces do not make up the text {text!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_arguments(tool: str, arguments: Mapping[str, Any]) -> None:
    """Refuse what a model could not have sent, each argument by its name."""
    for name, value in arguments.items():
        if not isinstance(name, str):
            raise UsageError(f"call({tool!r}, …): an argument has a name, and {name!r} is no str")
        try:
            json.dumps(value, allow_nan=False, default=_callable_aside)
        except (TypeError, ValueError, RecursionError) as problem:
            raise UsageError(
                f"call({tool!r}, {name}={short(value)}): a model sends JSON, and this does not "
                f"serialise ({problem}); write it as the model would, such as a str"
            ) from None


def _callable_aside(value: Any) -> Any:
    if callable(value) and not isinstance(value, type):
        check_takes_request(value)
        return None
    raise TypeError(f"{type(value).__name__} is no JSON")


def _resolved(value: Any, request: Request) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolved(inner, request) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolved(inner, request) for inner in value]
    return value(request) if callable(value) else value


def _shown(value: Any) -> str:
    return "<callable>" if callable(value) else repr(value)


def short(value: Any) -> str:
    """Show a value in at most 80 characters."""
    try:
        shown = repr(value)
    except RecursionError:
        shown = f"<{type(value).__name__}>"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}({str(error)!r})"
