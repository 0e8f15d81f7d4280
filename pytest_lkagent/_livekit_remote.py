"""Quarantine: LiveKit's remote sessions, whose host and transports it does not export.

Checked against livekit-agents 1.7.0 and 1.8.9. The client and the host are LiveKit's own; what is
added is an answer where LiveKit's leaves the other side waiting for one.
"""

from __future__ import annotations

from typing import Any, Final

from livekit.agents.utils import shortuuid
from livekit.agents.version import __version__
from livekit.agents.voice import RemoteSession, remote_session
from livekit.protocol.agent_pb import agent_session as protocol

__all__ = ["MAX_FRAME", "Client", "Host", "SessionTransport", "TcpSessionTransport"]

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
