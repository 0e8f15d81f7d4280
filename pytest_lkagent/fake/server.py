"""The scripted model behind HTTP, for models that have to run their real code.

`FakeLLMServer` answers what OpenAI's chat completions endpoint is asked, from the script of one
`FakeLLM`: LiveKit's ``inference.LLM`` and the OpenAI plugin talk to it as to their providers.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self

from aiohttp import web
from livekit.agents import APIConnectionError, APITimeoutError, llm
from livekit.agents.utils import aio
from pydantic import ValidationError

from .._livekit_remote import ASKER_HEADER
from ..errors import BehaviourError, UnscriptedRequest, UsageError
from .completions import Body, Completion, describe_mistakes
from .llm import FakeLLM, _FakeStream
from .ports import taking_port

__all__ = ["FakeLLMServer"]

_COMPLETIONS = "/chat/completions"
_REFUSED = 422
"""The status for what the script has no answer to: no client asks again."""
_PATIENCE = 0.01
"""Seconds for an answer to end by itself when the server closes; aiohttp takes 0 for no bound."""


class FakeLLMServer:
    """An OpenAI-compatible endpoint on loopback that says what the script of `model` says.

    It runs on the loop that starts it; `port` 0 is a free one. Each request is one of the model's
    `requests`, its retries included: one with the very body of one that failed is its retry.

    A step that fails does so as a provider would: an ``APIStatusError`` is a status, an
    ``APITimeoutError`` says nothing until the client gives up, any other ``APIConnectionError``
    drops the connection, everything else is a 500. What nobody scripted is a 422. What no step
    could answer is refused as well: a malformed request is a 400, another path a 404.
    """

    def __init__(self, model: FakeLLM, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.model = model
        self.host = host
        self.port = port
        self._failed: dict[bytes, _Answer] = {}
        self._web: web.Server | None = None
        self._listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The base URL, for those that do not look into the environment."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead LiveKit's ``inference`` and OpenAI's client here, not a proxy."""
        direct = {
            name: ",".join(filter(None, [os.environ.get(name), self.host]))
            for name in ("no_proxy", "NO_PROXY")
        }
        return {"LIVEKIT_INFERENCE_URL": self.url, "OPENAI_BASE_URL": self.url, **direct}

    async def start(self) -> None:
        """Open the port.

        Raises:
            UsageError: It is in use.
        """
        # a client that goes away interrupts the answer, as an interruption does within a process
        self._web = web.Server(self._handle, handler_cancellation=True, access_log=None)
        with taking_port(self.host, self.port):
            self._listening = await asyncio.get_running_loop().create_server(
                self._web, self.host, self.port
            )
        self.port = self._listening.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Close the port and all connections, whoever still waits for an answer."""
        if self._listening is not None and self._web is not None:
            self._listening.close()
            await self._web.shutdown(_PATIENCE)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = f"{request.method} {request.path}"
        if asked.startswith("GET ") and asked.endswith("/models"):
            return web.json_response({"object": "list", "data": []})  # LiveKit warms up with it
        if not (asked.startswith("POST ") and asked.endswith(_COMPLETIONS)):
            told = (
                f"the scripted model answers POST {self.url}{_COMPLETIONS}, and not {asked}; mock "
                "what asks for it"
            )
            if request.method == "POST":  # with the rest, as LiveKit's TTS, clients only warm up
                self.model.refuse(UnscriptedRequest(told))
            return _refusal(404, told, "not_found_error")
        content = await request.content.read()
        try:
            body = Body.model_validate_json(content)
        except ValidationError as error:
            told = f"what was sent to the scripted model is no request: {describe_mistakes(error)}"
            self.model.refuse(UnscriptedRequest(told))
            return _refusal(400, told, "invalid_request_error")
        classes = request.headers.get(ASKER_HEADER)
        answer = self._failed.pop(content, None) or _Answer(
            self.model, body, classes.split(",") if classes else ()
        )
        completion = Completion(body, answer.number)
        stream = _Events()
        try:
            async with aclosing(answer.attempt()) as chunks:
                async for chunk in chunks:
                    for piece in completion.take(chunk):
                        if body.stream:
                            await stream.send(request, json.dumps(piece))
        except Exception as error:  # noqa: BLE001  (it goes to whoever asked, in HTTP's words)
            if answer.is_scripted(error):
                self._failed[content] = answer
                return await _fail_as_told(request, stream, error)
            return await _refuse(request, stream, _REFUSED, error)
        if not body.stream:
            return web.json_response(completion.whole())
        for piece in completion.end():
            await stream.send(request, json.dumps(piece))
        await stream.send(request, "[DONE]")
        return stream


class _Answer(_FakeStream):
    """What answers one request: the attempts of LiveKit's stream, each when it is asked for."""

    def __init__(self, model: FakeLLM, body: Body, classes: Sequence[str]) -> None:
        # without LiveKit's own, by which a stream begins to play, and tries again, by itself
        self._llm = model
        self._step = None
        self._inference = None
        self._failures = 0
        self._request = model.asked(
            agent=None,
            tools=body.offered,
            tool_choice=body.tool_choice,
            response_format=body.response_format,
            read=body.read,
            classes=classes,
        )

    @property
    def number(self) -> int:
        return self._request.number

    def is_scripted(self, error: BaseException) -> bool:
        """Whether it is the step that raised `error`, and not the script that has none."""
        return self._step is not None and error is self._step.error

    async def attempt(self) -> AsyncGenerator[llm.ChatChunk, None]:
        """Play the step that is due."""
        chunks: Any = aio.Chan[llm.ChatChunk]()
        self._event_ch = chunks
        playing = asyncio.ensure_future(self._run())
        playing.add_done_callback(lambda _: chunks.close())
        try:
            async for chunk in chunks:
                yield chunk
            await playing
        finally:
            await aio.cancel_and_wait(playing)


class _Events(web.StreamResponse):
    """An answer as server-sent events; its head goes out with the first of them."""

    def __init__(self) -> None:
        super().__init__(headers={"Content-Type": "text/event-stream"})

    async def send(self, request: web.BaseRequest, data: str) -> None:
        if not self.prepared:
            await self.prepare(request)
        await self.write(f"data: {data}\n\n".encode())


async def _fail_as_told(
    request: web.BaseRequest, stream: _Events, error: Exception
) -> web.StreamResponse:
    """Fail as the provider would of whose failure a client makes such an exception."""
    if isinstance(error, (APITimeoutError, TimeoutError)):
        await asyncio.get_running_loop().create_future()  # until the client has enough of it
    if isinstance(error, (APIConnectionError, ConnectionError)):
        assert request.transport is not None, "the client is there"
        request.transport.abort()
        return stream
    status = int(getattr(error, "status_code", 500))
    return await _refuse(request, stream, status if 400 <= status < 600 else 500, error)


async def _refuse(
    request: web.BaseRequest, stream: _Events, status: int, error: Exception
) -> web.StreamResponse:
    """Answer with an error: as a status, or within the stream where that has begun."""
    kind = type(error).__name__
    whole = str(error) if isinstance(error, (UsageError, BehaviourError)) else f"{kind}: {error}"
    told = str(getattr(error, "message", whole))
    if not stream.prepared:
        return _refusal(status, told, kind)
    await stream.send(request, json.dumps(_as_error(status, told, kind)))
    return stream


def _refusal(status: int, told: str, kind: str) -> web.Response:
    return web.json_response(_as_error(status, told, kind), status=status)


def _as_error(status: int, told: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": told, "type": kind, "code": status, "param": None}}
