"""The steps of a script: what a model says when it is asked.

A step answers one request, that is one ``chat()`` with all its retries. Steps are values: the
functions here make them, the methods of `Step` return changed copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import UsageError
from ..sites import Site, call_site
from ..transcript import describe_call

if TYPE_CHECKING:
    from .request import Request

__all__ = [
    "ANYONE",
    "Anyone",
    "Asker",
    "Step",
    "StepSource",
    "ToolCall",
    "as_step",
    "asker_name",
    "call",
    "fail",
    "raw_call",
    "reply",
    "say",
    "silence",
    "stall",
]


class Anyone(Enum):
    """The asker of a step that does not mind who asks; None would mean code outside an agent."""

    ANYONE = "anyone"


ANYONE: Final = Anyone.ANYONE

Text: TypeAlias = "str | Callable[[Request], str]"
Asker: TypeAlias = type | str | None | Anyone
StepSource: TypeAlias = "Step | str | Callable[[Request], Step | str]"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call in a completion; `arguments` is a str where the model sends malformed JSON."""

    name: str
    arguments: Mapping[str, Any] | str
    call_id: str | None = None

    def __str__(self) -> str:
        if isinstance(self.arguments, str):
            return f"raw_call({self.name!r}, {self.arguments!r})"
        return describe_call(self.name, self.arguments)


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

    def timed(self, *, ttft: float = 0.0, duration: float = 0.0) -> Step:
        """Let `ttft` seconds pass before the first chunk, and `duration` in all."""
        if ttft < 0 or duration < 0:
            raise UsageError(f"timed(ttft={ttft!r}, duration={duration!r}): no time runs backwards")
        return replace(self, ttft=ttft, duration=max(ttft, duration))

    def chunked(self, size: int | tuple[str, ...] | list[str]) -> Step:
        """Stream the text in chunks of `size` characters, or in the pieces given."""
        if isinstance(size, int):
            if size < 1:
                raise UsageError(f"chunked({size!r}): a chunk has at least one character")
            return replace(self, chunks=size)
        pieces = tuple(size)
        if isinstance(self.text, str) and "".join(pieces) != self.text:
            raise UsageError(
                f"chunked({list(pieces)!r}): the pieces do not make up the text {self.text!r}"
            )
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
            raise UsageError(f"with_id({call_id!r}) names one call; {self.describe()} has none such")
        return replace(self, calls=(replace(self.calls[0], call_id=call_id),))

    def by(self, asker: Asker) -> Step:
        """Say who must be asking: an Agent class (or its name); None for code outside an agent."""
        return replace(self, asker=asker)

    def resolve(self, request: Request) -> Step:
        """Return the step with every callable in it replaced by what it says of `request`."""
        if self.make is not None:
            made = as_step(self.make(request))
            return replace(made, asker=self.asker, written_at=self.written_at).resolve(request)
        text = self.text(request) if callable(self.text) else self.text
        return replace(self, text=text, calls=tuple(_resolved(c, request) for c in self.calls))

    @property
    def is_silent(self) -> bool:
        return not (self.text or self.calls or self.error or self.stalls or self.make)

    def describe(self) -> str:
        """Describe the step in one line, as one would write it."""
        return f"{self._what()}{self._how()}"

    def _what(self) -> str:
        if self.make is not None:
            return f"{getattr(self.make, '__name__', 'callable')}(request)"
        if self.stalls:
            return "stall()"
        if self.error is not None:
            after = f", after={self.text!r}" if self.text else ""
            attempts = f", attempts={self.attempts}" if self.attempts else ""
            return f"fail({_brief(self.error)}{after}{attempts})"
        if self.text is None and not self.calls:
            return "silence()"
        text = "<callable>" if callable(self.text) else repr(self.text)
        calls = ", ".join(map(str, self.calls))
        if not self.calls:
            return f"say({text})"
        if self.text is None and len(self.calls) == 1:
            return calls if calls.startswith("raw_call(") else f"call {calls}"
        return f"reply({text}, {calls})"

    def _how(self) -> str:
        return "" if self.asker is ANYONE else f" by {asker_name(self.asker)}"

    def __str__(self) -> str:
        return f"{self.written_at}  {self.describe()}"


def say(text: Text) -> Step:
    """Answer with text. For a model that says nothing, use `silence`."""
    if text == "":
        raise UsageError("say('') says nothing: write silence()")
    return Step(text=text)


def call(tool: str, arguments: Mapping[str, Any] | None = None, /, **named: Any) -> Step:
    """Answer with one tool call. Arguments as a mapping, by name, or both."""
    return Step(calls=(ToolCall(_tool_name(tool), {**(arguments or {}), **named}),))


def raw_call(tool: str, text: str, /) -> Step:
    """Answer with a tool call whose arguments are `text`, malformed JSON included."""
    return Step(calls=(ToolCall(_tool_name(tool), text),))


def reply(text: Text | None, /, *calls: Step) -> Step:
    """Answer with text and, at the same time, with any number of parallel calls."""
    for step in calls:
        if not isinstance(step, Step) or not step.calls or step.text is not None:
            shown = step.describe() if isinstance(step, Step) else repr(step)
            raise UsageError(f"reply(text, call(…), …) takes calls after the text, not {shown}")
    if not text and not calls:
        raise UsageError("reply() with neither text nor calls says nothing: write silence()")
    return Step(text=text or None, calls=tuple(c for step in calls for c in step.calls))


def fail(
    error: BaseException | type[BaseException],
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
    if attempts is not None and attempts < 1:
        raise UsageError(f"fail(attempts={attempts!r}): at least one attempt fails")
    if isinstance(error, type) and issubclass(error, BaseException):
        error = error()
    if not isinstance(error, BaseException):
        raise UsageError(f"fail({error!r}) takes an exception, not {type(error).__name__}")
    return Step(text=after, error=error, attempts=attempts)


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
        return Step(make=source)
    raise UsageError(f"a script takes steps such as say(…) or call(…), not {source!r}")


def asker_name(asker: Asker) -> str:
    """Name who asks, for a message."""
    if asker is None:
        return "code outside an agent"
    return asker.__name__ if isinstance(asker, type) else str(asker)


def _tool_name(tool: Any) -> str:
    name = tool if isinstance(tool, str) else getattr(tool, "id", None)
    if not isinstance(name, str) or not name:
        raise UsageError(f"a call names its tool, such as call('book', slot='2pm'), not {tool!r}")
    return name


def _resolved(call: ToolCall, request: Request) -> ToolCall:
    if isinstance(call.arguments, str):
        return call
    return replace(
        call,
        arguments={k: v(request) if callable(v) else v for k, v in call.arguments.items()},
    )


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}({str(error)!r})"
