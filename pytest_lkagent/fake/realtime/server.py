"""What the server of a realtime model does with a request: a response, or what goes wrong."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from livekit.agents import APIConnectionError, APIError, llm
from livekit.agents.types import APIConnectOptions
from livekit.agents.utils import aio

from ...script import Request, Step, say
from ..instants import until
from ..llm import FakeLLM, as_json, in_time, pieces_of
from .response import Response

if TYPE_CHECKING:
    from .session import FakeRealtimeSession

__all__ = ["Created", "IncompleteResponse", "Server"]

_REPLY_SECONDS = 10.0
"""How long LiveKit's OpenAI plugin waits for a response to begin."""

Created: TypeAlias = asyncio.Future[llm.GenerationCreatedEvent]


class IncompleteResponse(llm.RealtimeError):
    """The response was cut short, which LiveKit takes for its end: ``fail(…, after="I can")``.

    The message is the one of LiveKit's OpenAI plugin for a response that met its token limit.
    """

    def __init__(self, message: str = "response incomplete: max_output_tokens") -> None:
        super().__init__(message)


class Server:
    """Plays the steps of a script, one response at a time."""

    def __init__(
        self, session: FakeRealtimeSession, script: FakeLLM, conn_options: APIConnectOptions
    ) -> None:
        self._session = session
        self._script = script
        self._conn_options = conn_options
        self._tasks: set[asyncio.Task[None]] = set()
        self._current: asyncio.Task[None] | None = None
        self._awaited: set[Created] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a response is under way."""
        return self._current is not None and not self._current.done()

    def answer(self, request: Request, created: Created | None = None) -> None:
        """Answer a request with the step that the script has for it."""
        try:
            step = self._script.take(request)
        except Exception as error:  # noqa: BLE001  (of the script, or of a callable in a step)
            self._reject(error, created)
            if created is None and error not in self._script.refused:
                self._report(error)
        else:
            self._begin(self._play(step, created), created)

    def refuse(self, error: llm.RealtimeError, created: Created) -> None:
        """Refuse a request as a server does."""
        self._reject(error, created)
        self._report(error)

    def say(self, text: str | AsyncIterable[str], created: Created) -> None:
        """Say what the agent wants said, which is in no script."""
        self._begin(self._say(text, created), created)

    def interrupt(self) -> None:
        """Stop the response that is under way."""
        if self._current is not None:
            self._current.cancel()
            self._current = None

    def discard(self, why: str, cause: Exception | None = None) -> None:
        """Stop it, and tell whoever waits for one that there is none."""
        self.interrupt()
        for created in tuple(self._awaited):
            error = llm.RealtimeError(why)
            error.__cause__ = cause
            self._reject(error, created)

    async def close(self) -> None:
        """Stop all there is."""
        self.discard("realtime session closed")
        await aio.cancel_and_wait(*self._tasks)

    def awaited_response(self) -> Created:
        """Make the future of a response, which comes within `_REPLY_SECONDS`."""
        loop = asyncio.get_running_loop()
        created: Created = loop.create_future()
        late = llm.RealtimeError("generate_reply timed out.")
        timer = loop.call_later(_REPLY_SECONDS, lambda: self._reject(late, created))
        self._awaited.add(created)

        def over(_: Created) -> None:
            timer.cancel()
            self._awaited.discard(created)
            _has_failed(created)  # so that asyncio does not complain where LiveKit did not look

        created.add_done_callback(over)
        return created

    # --- a response

    def _begin(self, playing: Coroutine[Any, Any, None], created: Created | None = None) -> None:
        self.interrupt()
        task = self._current = self._run(playing)
        if created is not None:
            # nobody waits for it any more: it was interrupted, or took too long
            created.add_done_callback(lambda _: _has_failed(created) and task.cancel())

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _say(self, text: str | AsyncIterable[str], created: Created) -> None:
        try:
            whole = text if isinstance(text, str) else "".join([piece async for piece in text])
        except Exception as error:  # noqa: BLE001  (of the agent's own code)
            self._reject(error, created)
        else:
            await self._play(say(whole), created)

    async def _play(self, step: Step, created: Created | None) -> None:
        with self._script.at(step):
            if step.stalls:
                await asyncio.get_running_loop().create_future()
            if created is not None and _is_refusal(step):
                await until(asyncio.get_running_loop().time() + step.duration)
            else:
                await self._respond(step, created)
        if step.error is not None:
            self._fail(step, step.error.with_traceback(None), created)

    async def _respond(self, step: Step, created: Created | None) -> None:
        if created is not None and created.done():
            return  # it was given up before the server heard of it
        pieces = pieces_of(step)
        response = Response(
            step,
            pieces=len(pieces),
            speaks=self._session.capabilities.audio_output,
            spoken=self._session.realtime_model.spoken,
        )
        event = response.created(user_initiated=created is not None)
        if created is not None:
            created.set_result(event)
        self._session.emit("generation_created", event)
        is_cancelled = True
        try:
            async for piece in in_time(step, pieces):
                if not response.text:
                    self._add_message(response)
                response.say(piece)
            self._call(step, response)
            is_cancelled = False
        finally:
            self._session.set_text(response.message_id, response.text)
            response.end()
            usage = response.usage(self._session.realtime_model, cancelled=is_cancelled)
            self._session.emit("metrics_collected", usage)

    def _add_message(self, response: Response) -> None:
        self._session.add_item(
            llm.ChatMessage(role="assistant", content=[], id=response.message_id)
        )
        response.begin_message()

    def _call(self, step: Step, response: Response) -> None:
        for call, call_id in zip(step.calls, self._script.new_ids(step), strict=True):
            item = llm.FunctionCall(
                name=call.name, arguments=as_json(call.arguments), call_id=call_id
            )
            self._session.add_item(item)
            response.call(item)

    # --- what goes wrong

    def _fail(self, step: Step, error: BaseException, created: Created | None) -> None:
        """Do what LiveKit's OpenAI plugin does when a response, or the request for it, fails."""
        assert isinstance(error, Exception), "fail() takes no other"
        if isinstance(error, APIConnectionError):
            self._run(self._lose_connection(error, attempts=step.attempts or math.inf))
        elif not isinstance(error, IncompleteResponse):
            self._reject(error, created)
            self._report(error)

    async def _lose_connection(self, error: Exception, *, attempts: float) -> None:
        options = self._conn_options
        failures = 0
        while failures < attempts:
            if failures == options.max_retry:
                self._report(error, recoverable=False)
                self.discard("realtime session closed", error)
                return
            self._report(error, recoverable=True)
            await asyncio.sleep(options.retry_interval if failures else 0.1)
            failures += 1
        self._session.reconnect(cause=error)

    def _reject(self, error: Exception, created: Created | None) -> None:
        """Tell whoever waits for a response that there is none, in a way that reaches the run."""
        if created is None or created.done():
            return
        told: Exception = error
        if not isinstance(error, llm.RealtimeError):
            told = llm.RealtimeError(str(error) or type(error).__name__)
            told.__cause__ = error
        created.set_exception(told)

    def _report(self, error: Exception, *, recoverable: bool | None = None) -> None:
        if recoverable is None:
            recoverable = (
                error.retryable
                if isinstance(error, APIError)
                else isinstance(error, llm.RealtimeError)
            )
        event = llm.RealtimeModelError(
            timestamp=time.time(),
            label=self._session.realtime_model.label,
            error=error,
            recoverable=recoverable,
        )
        self._session.emit("error", event)


def _is_refusal(step: Step) -> bool:
    """Whether no response comes of a step at all."""
    return (
        step.error is not None and not step.text and not isinstance(step.error, IncompleteResponse)
    )


def _has_failed(created: Created) -> bool:
    return created.cancelled() or created.exception() is not None
