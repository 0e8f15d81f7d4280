"""The scripted model, at LiveKit's own seam: a subclass of ``llm.LLM``."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from livekit.agents import llm
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
)

from .. import _livekit_items
from .._livekit_replies import Inference, asking_agent, inference_here
from ..binding import check_calls
from ..errors import UnscriptedRequest, UsageError, one_of, with_causes
from ..known_as import known_as
from ..script import ANYONE, Asker, Matcher, Request, Script, Step, StepSource, silence
from ..script.verdicts import VERDICTS
from .identity import Fake
from .instants import until
from .speeches import Speeches

__all__ = ["Answer", "FakeLLM", "as_json", "in_time", "pieces_of"]


@dataclass(eq=False)
class Answer:
    """The playing of a step: from when to when, on the loop's clock; `ended` is None until then."""

    step: Step
    began: float
    ended: float | None = None


class FakeLLM(Fake, llm.LLM[Literal["metrics_collected"]]):
    """An ``llm.LLM`` that says what the script says, and fails loudly where the script is silent.

    `script` appends steps to a queue, `when` adds rules that are tried before it, `requests` is
    what the agent sent, `remaining` what answered nothing yet. A request that nothing answers
    raises `UnscriptedRequest` into the run, a call that no tool on offer takes `UsageError`; both
    are kept in `refused`, since an agent may swallow them, with what else was asked in vain.
    """

    def __init__(self) -> None:
        super().__init__()
        self._script = Script()
        self._requests: list[Request] = []
        self._call_numbers = count(1)
        self.refused: list[UnscriptedRequest | UsageError] = []
        self._speeches = Speeches(self._script.give_back)
        self.answers: list[Answer] = []
        self.called: dict[str, Step] = {}
        self._made: dict[str, tuple[int, int]] = {}
        self._given: Counter[str] = Counter()
        self._told = 0
        self.failed: list[Step] = []
        self.allow_unscripted = False
        self.allow_misuse = False
        """Whether a call that no tool on offer takes is sent all the same."""
        self._verdicts: dict[str | None, str] = {}
        self._judges_asked: set[str] = set()
        self.improvised: Callable[[Request], Step] | None = None
        """What answers every request in the place of a script, where nobody writes one."""
        self.taking: Callable[[], object] = lambda: None
        """Called before each request is answered."""
        self.advice = "add a step for it: fake_llm.script(say('…'))"
        self.why_asked: Callable[[str], str] = lambda _: ""
        """Return why a last input led to a request, if that is not what one would expect."""

    def __repr__(self) -> str:
        return f"<FakeLLM: {len(self._requests)} requests, {len(self.remaining)} steps left>"

    def script(self, *steps: StepSource) -> None:
        """Append steps to the queue; each answers one request, in order."""
        self._script.add(steps)

    @known_as("fake_llm.when")
    def when(
        self, matcher: Matcher, /, *steps: StepSource, by: Asker = ANYONE, times: int | None = 1
    ) -> None:
        """Answer the requests whose input matches with `steps`; tried before the queue.

        Args:
            matcher: The exact last input, a compiled pattern searched in it, or a predicate of the
                request.
            steps: The first answers the request that matched, the others those that follow it.
            by: Who must be asking, an Agent class or its name; None for code outside an agent.
            times: How often the rule is played; None for any number of times, even none.
        """
        self._script.when(matcher, steps, by=by, times=times)

    def judges(self, verdict: str | None = None, /, **by_name: str) -> None:
        """Say what LiveKit's judges find: ``judges("pass", accuracy="maybe")``.

        For those that an entrypoint asks (``JudgeGroup``), with whatever model.

        Args:
            verdict: What each judge finds that is not named: ``pass``, ``fail`` or ``maybe``.
            by_name: What the judge of this name finds.

        Raises:
            UsageError: A verdict is none.
        """
        every: dict[str | None, str] = {} if verdict is None else {None: verdict}
        for name, found in (*every.items(), *by_name.items()):
            if found not in VERDICTS:
                where = f"{name}=" if name else ""
                raise UsageError(f"judges({where}{found!r}): a judge finds {one_of(VERDICTS)}")
            self._verdicts[name] = found

    def verdict_of(self, judge: str) -> str | None:
        """Return what the judge of this name finds, None where nobody said."""
        self._judges_asked.add(judge)
        return self._verdicts.get(judge, self._verdicts.get(None))

    @property
    def asked_judges(self) -> Sequence[str]:
        """The judges that asked what they find."""
        return sorted(self._judges_asked)

    @property
    def unasked_judges(self) -> Sequence[str]:
        """The judges that were scripted by name, and did not judge."""
        return [name for name in self._verdicts if name and name not in self._judges_asked]

    @property
    def requests(self) -> Sequence[Request]:
        """The requests so far, oldest first."""
        return tuple(self._requests)

    @property
    def remaining(self) -> tuple[Step, ...]:
        """The steps that answered nothing yet."""
        self._speeches.take_back()
        return self._script.remaining

    def refuse(self, error: UnscriptedRequest) -> None:
        """Keep what was asked by other ways than `chat`, and had no answer."""
        if not self.allow_unscripted:
            self.refused.append(error)

    def unraised(self) -> UnscriptedRequest | UsageError | None:
        """Return the first request that was refused and nobody was told of yet, once."""
        told, self._told = self._told, len(self.refused)
        return next(iter(self.refused[told:]), None)

    def script_of(self, error: BaseException | None) -> Step | None:
        """Return the step that raised `error`, or something in the chain of its causes."""
        for one in with_causes(error):
            for step in self.failed:
                if step.error is one:
                    return step
        return None

    def new_ids(self, step: Step) -> Sequence[str]:
        """Return ids for the calls of a completion; a well-formed one is known by it afterwards."""
        ids = [call.call_id or self.call_id() for call in step.calls]
        batch = len(self._made)
        self._given.update(ids)
        for number, (call_id, call) in enumerate(zip(ids, step.calls, strict=True)):
            self._made.setdefault(call_id, (batch, number))
            if not isinstance(call.arguments, str):
                self.called[call_id] = step
        return ids

    def place_of(self, call_id: str) -> tuple[int, int] | None:
        """Return of which completion a call was, and which of its calls; None for one of others."""
        return self._made.get(call_id)

    def times_given(self, call_id: str) -> int:
        """Return how many calls had this id, 0 for one of others."""
        return self._given[call_id]

    def discard(self, steps: Sequence[Step] | None = None) -> tuple[Step, ...]:
        """Take away the steps, of these alone, that answered nothing yet, and return them."""
        self._speeches.take_back()
        return self._script.discard(steps)

    def rest(self) -> None:
        """Let what was asked for before its time, and is not wanted by now, answer what comes."""
        self._speeches.take_back(at_rest=True)

    def take_dropped(self) -> Sequence[Step]:
        """Return the steps that answered, and that nobody said or called, once."""
        return self._speeches.take_dropped()

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        response_format: NotGivenOr[Any] = NOT_GIVEN,
        inference_class: NotGivenOr[str] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """Ask, with all that ``inference.LLM`` takes."""
        items, inference = tuple(chat_ctx.items), inference_here()
        asked_for = None if inference is None else inference.asked
        request = self.asked(
            agent=asking_agent(),
            tools={tool.id: tool for tool in tools or ()},
            tool_choice=tool_choice or None,
            response_format=response_format or None,
            read=lambda: _livekit_items.read_request(items, asked_for),
        )
        return _FakeStream(
            self,
            request,
            inference,
            chat_ctx=chat_ctx,
            tools=tools or [],
            conn_options=conn_options,
        )

    def asked(self, **content: Any) -> Request:
        """Keep a request of this content, and return it."""
        request = Request(number=len(self._requests) + 1, **content)
        self._requests.append(request)
        return request

    @contextmanager
    def at(self, step: Step) -> Iterator[None]:
        """Note that `step` is being played inside."""
        time = asyncio.get_running_loop().time
        answer = Answer(step, time())
        self.answers.append(answer)
        try:
            yield
        finally:
            answer.ended = time()

    @property
    def answering(self) -> list[Step]:
        """The steps that are being played."""
        return [answer.step for answer in self.answers if answer.ended is None]

    def take(self, request: Request, inference: Inference | None = None) -> Step:
        """Return the step that answers `request`, as the stream of that request asks for it.

        `inference` is what the answer is for, if it is an agent's.
        """
        self._speeches.take_back(inference)
        self.taking()
        if self.improvised is not None:
            step = self.improvised(request).resolve(request)
        else:
            try:
                taken = self._script.take(request, advice=self._advise)
            except UnscriptedRequest as error:
                if self.allow_unscripted:
                    return silence()
                self.refused.append(error)
                raise
            step = taken.resolve(request)
            if inference is not None:
                self._speeches.note(inference, taken, step)
        if not self.allow_misuse:
            self._check_calls(step, request)
        if step.error is not None:
            self.failed.append(step)
        return step

    def is_early(self, request: Request, inference: Inference) -> bool:
        """Whether nothing answers this request, and it is not known if an answer is wanted."""
        if inference.speech.scheduled or self.allow_unscripted:
            return False
        self._speeches.take_back(inference)
        return not self._script.answers(request)

    def _advise(self, request: Request) -> str:
        return "\n  ".join(filter(None, [self.advice, self.why_asked(request.last_input)]))

    def _check_calls(self, step: Step, request: Request) -> None:
        try:
            check_calls(step, request)
        except UsageError as error:
            self.refused.append(error)
            raise

    def call_id(self) -> str:
        return f"call_{next(self._call_numbers)}"


class _FakeStream(llm.LLMStream):
    """One completion: plays a step, and with the attempts of a `fail` the step after it."""

    _llm: FakeLLM

    def __init__(
        self, model: FakeLLM, request: Request, inference: Inference | None, **options: Any
    ) -> None:
        super().__init__(model, **options)
        self._request = request
        self._inference = inference
        self._step: Step | None = None
        self._failures = 0

    async def _run(self) -> None:
        step = self._step
        if step is None or (step.attempts is not None and self._failures >= step.attempts):
            inference = self._inference
            if inference is not None and self._llm.is_early(self._request, inference):
                await inference.wanted()
            step = self._step = self._llm.take(self._request, inference)
            self._failures = 0
        with self._llm.at(step):
            await self._play(step)

    async def _play(self, step: Step) -> None:
        async for piece in in_time(step, pieces_of(step)):
            self._send(delta=llm.ChoiceDelta(role="assistant", content=piece))
        if step.error is not None:
            self._failures += 1
            raise step.error.with_traceback(None)
        if step.stalls:
            await asyncio.get_running_loop().create_future()
        if step.calls:
            self._send(
                delta=llm.ChoiceDelta(
                    role="assistant",
                    tool_calls=[
                        llm.FunctionToolCall(
                            name=call.name, arguments=as_json(call.arguments), call_id=call_id
                        )
                        for call, call_id in zip(step.calls, self._llm.new_ids(step), strict=True)
                    ],
                )
            )
        if step.usage is not None:
            self._send(usage=llm.CompletionUsage(**step.usage))

    def _send(self, **content: Any) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id=f"fake_{self._request.number}", **content))


async def in_time(step: Step, pieces: Sequence[str]) -> AsyncIterator[str]:
    """Yield the pieces of a step's text, each when it is due, and end when the step does."""
    began = asyncio.get_running_loop().time()
    await until(began + step.ttft)
    for position, piece in enumerate(pieces):
        # towards instants, not in pauses: no error adds up however many pieces there are
        share = position / len(pieces) * (step.duration - step.ttft)
        await until(began + step.ttft + share)
        yield piece
    await until(began + step.duration)


def pieces_of(step: Step) -> Sequence[str]:
    """Return the text of a step in the pieces in which it is streamed."""
    text = step.text
    assert text is None or isinstance(text, str), "a step is resolved before it is played"
    if not text:
        return ()
    if isinstance(step.chunks, tuple):
        return step.chunks
    if step.chunks is not None:
        return [text[start : start + step.chunks] for start in range(0, len(text), step.chunks)]
    if step.duration > step.ttft:
        return re.findall(r"\s*\S+|\s+$", text)
    return (text,)


def as_json(arguments: Any) -> str:
    """Return the arguments of a call as a model sends them."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
