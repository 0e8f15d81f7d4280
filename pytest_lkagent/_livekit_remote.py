"""Quarantine: LiveKit's remote sessions, whose host and transports it does not export.

Checked against livekit-agents 1.7.0 and 1.8.9. The client and the host are LiveKit's own; what is
added is an answer where LiveKit's leaves the other side waiting for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from livekit.agents import Agent, AgentSession, llm
from livekit.agents.types import NOT_GIVEN
from livekit.agents.utils import is_given, shortuuid
from livekit.agents.version import __version__
from livekit.agents.voice import RemoteSession, remote_session
from livekit.protocol.agent_pb import agent_session as protocol

from ._livekit_replies import asking_agent

__all__ = [
    "ASKER_HEADER",
    "MAX_FRAME",
    "Client",
    "Host",
    "SessionTransport",
    "TcpSessionTransport",
    "answer",
    "items_of",
    "name_asker",
]

ASKER_HEADER: Final = "X-Lk-Agent"
"""By which a model in another process says whose it is: the names of the agent's classes."""

SessionTransport = remote_session.SessionTransport
TcpSessionTransport = remote_session.TcpSessionTransport

MAX_FRAME: Final = remote_session._TCP_MAX_MESSAGE_SIZE
"""How many bytes a message may have: LiveKit's side drops the connection at a longer one."""


def _end_of(transport: SessionTransport) -> str | None:
    return getattr(transport, "ended", None)


class Host(remote_session.SessionHost):
    """LiveKit's host of a session, which also answers a request that it does not know.

    Where a transport of ours has ended, nobody is left to be answered or told anything.
    """

    async def _handle_request(self, req: protocol.SessionRequest) -> None:
        if req.WhichOneof("request") is None:
            error = f"unknown request: livekit-agents {__version__} has no answer to it"
            response = protocol.SessionResponse(request_id=req.request_id, error=error)
            await self._transport.send_message(protocol.AgentSessionMessage(response=response))
            return
        try:
            await super()._handle_request(req)
        except RuntimeError:
            if _end_of(self._transport) is None:
                raise

    def _send_event(
        self, event: protocol.AgentSessionEvent, created_at: float | None = None
    ) -> None:
        if _end_of(self._transport) is None:
            super()._send_event(event, created_at)


class Client(RemoteSession):
    """LiveKit's `RemoteSession` with the whole request list, which keeps the events that came.

    A transport of ours says in `ended` why it ended, and so does a request that got no answer.
    """

    def __init__(self, transport: SessionTransport) -> None:
        super().__init__(transport)
        self.events: list[protocol.AgentSessionEvent] = []
        """What the session reported so far, oldest first; ``on`` calls handlers as it comes."""

    def emit(self, event: Any, *args: Any) -> None:
        self.events.extend(args)
        super().emit(event, *args)

    async def get_session_usage(self) -> protocol.SessionResponse.GetSessionUsageResponse:
        """Return the tokens that each model has used so far."""
        asked = protocol.SessionRequest.GetSessionUsage()
        answer = await self._ask(protocol.SessionRequest(get_session_usage=asked))
        return answer.get_session_usage

    async def get_rtc_stats(self) -> protocol.SessionResponse.GetRTCStatsResponse:
        """Return what the session's room measures; empty without a room."""
        asked = protocol.SessionRequest.GetRTCStats()
        answer = await self._ask(protocol.SessionRequest(get_rtc_stats=asked))
        return answer.get_rtc_stats

    async def _ask(self, request: protocol.SessionRequest) -> protocol.SessionResponse:
        request.request_id = shortuuid("req_")
        return await self._send_request(request)

    async def _send_request(
        self,
        request: protocol.SessionRequest,
        timeout: float = 60.0,  # noqa: ASYNC109  (as LiveKit's)
    ) -> protocol.SessionResponse:
        __tracebackhide__ = True
        what = request.WhichOneof("request")
        if (length := protocol.AgentSessionMessage(request=request).ByteSize()) > MAX_FRAME:
            raise RuntimeError(
                f"session request {what} was not sent: it has {length} bytes, and LiveKit's "
                f"session protocol takes {MAX_FRAME} at most"
            )
        try:
            return await super()._send_request(request, timeout)
        except RuntimeError as error:
            if (why := _end_of(self._transport)) is None:
                raise error.with_traceback(None) from None
            raise RuntimeError(f"session request {what} was not answered: {why}") from None

    async def _recv_loop(self) -> None:
        await super()._recv_loop()
        for future in self._pending_requests.values():  # 1.7.0 leaves them to their timeouts
            if not future.done():
                future.set_exception(RuntimeError("remote session transport closed"))


def items_of(encoded: Iterable[protocol.ChatContext.ChatItem]) -> list[Any]:
    """Return the items of a chat context that came over the wire, by the ids that they have there.

    Without what an agent's own instructions and tools became: it is no part of a conversation.
    """
    return [_DECODED[kind](getattr(one, kind)) for one in encoded if (kind := _kind(one))]


def _kind(item: protocol.ChatContext.ChatItem) -> str | None:
    kind = item.WhichOneof("item")
    return kind if kind in _DECODED else None


_DECODED: Mapping[str, Callable[[Any], Any]] = {
    "message": lambda one: llm.ChatMessage(
        id=one.id,
        role=protocol.ChatRole.Name(one.role).lower(),
        content=[content.text for content in one.content],
        interrupted=one.interrupted,
    ),
    "function_call": lambda one: llm.FunctionCall(
        id=one.id, call_id=one.call_id, name=one.name, arguments=one.arguments
    ),
    "function_call_output": lambda one: llm.FunctionCallOutput(
        id=one.id, call_id=one.call_id, name=one.name, output=one.output, is_error=one.is_error
    ),
    "agent_handoff": lambda one: llm.AgentHandoff(
        id=one.id,
        old_agent_id=one.old_agent_id or None,
        new_agent_id=one.new_agent_id,
    ),
}


class _Caught(SessionTransport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.message = protocol.AgentSessionMessage()

    async def start(self) -> None:
        """There is nothing to start."""

    async def send_message(self, msg: protocol.AgentSessionMessage) -> None:
        self.message = msg

    async def close(self) -> None:
        """There is nothing to close."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> protocol.AgentSessionMessage:
        raise StopAsyncIteration


async def answer(session: AgentSession[Any], request: bytes) -> bytes:
    """Let LiveKit's host of a session answer a request that came another way than by its own."""
    caught = _Caught()
    host = Host(caught)
    host._session = session
    await host._handle_request_safe(protocol.SessionRequest.FromString(request))
    return caught.message.response.SerializeToString()


def name_asker(agent: Agent, session: AgentSession[Any]) -> None:
    """Let the model of `agent` say in a header who asks, if it asks over HTTP."""
    model: Any = agent.llm if is_given(agent.llm) and agent.llm is not None else session.llm
    if model is None or "chat" in vars(model):
        return
    chat = model.chat

    def chat_named(*, extra_kwargs: Any = NOT_GIVEN, **how: Any) -> Any:
        given = dict(extra_kwargs) if is_given(extra_kwargs) else {}
        asking = asking_agent()
        if asking is not None:
            names = ",".join(kind.__name__ for kind in type(asking).__mro__)
            given["extra_headers"] = {**given.get("extra_headers", {}), ASKER_HEADER: names}
        return chat(extra_kwargs=given, **how)

    model.chat = chat_named
