"""Two ends that LiveKit's session messages go between, and messages to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from livekit.agents.voice.remote_session import SessionTransport, TcpSessionTransport
from livekit.protocol.agent_pb import agent_session as protocol

from pytest_lkagent.simulation.transports import TcpListener, memory_pair

__all__ = [
    "WAYS",
    "Ends",
    "in_memory",
    "ping",
    "saying",
    "started",
    "to_an_agent_that_connects",
    "to_an_agent_that_listens",
]

Ends = tuple[SessionTransport, SessionTransport]


def ping(number: str) -> protocol.AgentSessionMessage:
    request = protocol.SessionRequest(request_id=number, ping=protocol.SessionRequest.Ping())
    return protocol.AgentSessionMessage(request=request)


def saying(text: str) -> protocol.AgentSessionMessage:
    request = protocol.SessionRequest(run_input=protocol.SessionRequest.RunInput(text=text))
    return protocol.AgentSessionMessage(request=request)


async def in_memory() -> Ends:
    return memory_pair()


async def to_an_agent_that_connects() -> Ends:
    listener = TcpListener()
    await listener.listen()
    return listener, TcpSessionTransport(listener.host, listener.port)


async def to_an_agent_that_listens() -> Ends:
    agents, ours = await to_an_agent_that_connects()
    return ours, agents


WAYS: dict[str, Callable[[], Awaitable[Ends]]] = {
    way.__name__: way for way in (in_memory, to_an_agent_that_connects, to_an_agent_that_listens)
}


@asynccontextmanager
async def started(ends: Awaitable[Ends]) -> AsyncIterator[Ends]:
    one, other = await ends
    await asyncio.gather(one.start(), other.start())
    try:
        yield one, other
    finally:
        await asyncio.gather(one.close(), other.close())
