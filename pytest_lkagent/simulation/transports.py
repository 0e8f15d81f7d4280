"""Ways for LiveKit's session messages: a pair in memory, and the listening side of TCP.

LiveKit's ``TcpSessionTransport`` is the connecting side, that of the agent; it and `TcpListener`
speak the same frames, four bytes of length and then the message. Both ways here say in `ended` why
no more messages come.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import Self

from google.protobuf.message import DecodeError
from livekit.agents.utils import aio
from livekit.protocol.agent_pb import agent_session as protocol

from .._livekit_remote import MAX_FRAME, SessionTransport
from ..fake.ports import taking_port

__all__ = ["MemoryTransport", "TcpListener", "memory_pair"]

_HEADER = 4


class _Ended(Exception):
    """No more frames come; its text says why."""


def _check_length(length: int) -> None:
    if length > MAX_FRAME:
        raise _Ended(
            f"a frame of {length} bytes came, and LiveKit's session protocol takes {MAX_FRAME} at "
            "most"
        )


class _Transport(SessionTransport):
    """What the ways have in common: messages as frames, in order, until there are no more."""

    def __init__(self) -> None:
        self.ended: str | None = None
        """Why no more messages come or go, None while they do."""

    async def send_message(self, msg: protocol.AgentSessionMessage) -> None:
        """Send a message.

        Raises:
            RuntimeError: The way has ended.
        """
        if self.ended is not None:
            raise RuntimeError(self.ended)
        await self._write(msg.SerializeToString())

    async def close(self) -> None:
        self._end("the transport is closed")
        await self._close()

    def _end(self, why: str) -> None:
        self.ended = self.ended or why  # what comes later only follows from the first

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> protocol.AgentSessionMessage:
        msg = protocol.AgentSessionMessage()
        if self.ended is None:
            try:
                msg.ParseFromString(await self._read())
                return msg
            except _Ended as end:
                self._end(str(end))
            except DecodeError:
                self._end("a frame came that is no message of LiveKit's session protocol")
            await self._close()  # so that the other side need not wait for an answer
        raise StopAsyncIteration

    @abstractmethod
    async def _write(self, frame: bytes) -> None: ...

    @abstractmethod
    async def _read(self) -> bytes: ...

    @abstractmethod
    async def _close(self) -> None: ...


class MemoryTransport(_Transport):
    """One end of a pair; see `memory_pair`."""

    def __init__(self, inbox: aio.Chan[bytes], outbox: aio.Chan[bytes]) -> None:
        super().__init__()
        self._inbox = inbox
        self._outbox = outbox

    async def start(self) -> None:
        """There is nothing to start."""

    async def _write(self, frame: bytes) -> None:
        try:
            self._outbox.send_nowait(frame)
        except aio.ChanClosed:
            raise RuntimeError("the other end is closed") from None

    async def _read(self) -> bytes:
        try:
            frame = await self._inbox.recv()
        except aio.ChanClosed:
            raise _Ended("the other end was closed") from None
        _check_length(len(frame))
        return frame

    async def _close(self) -> None:
        self._inbox.close()
        self._outbox.close()


def memory_pair() -> tuple[MemoryTransport, MemoryTransport]:
    """Make two ends: what one sends the other receives, in order, without any real time passing."""
    one, other = aio.Chan[bytes](), aio.Chan[bytes]()
    return MemoryTransport(one, other), MemoryTransport(other, one)


class TcpListener(_Transport):
    """The listening side of TCP, to which the agent connects, as LiveKit's console does.

    `listen` opens the port, 0 being a free one, and `port` is then known; `start` waits for the
    agent. There is one connection: the port is closed as soon as it is there.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__()
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._streams: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

    async def listen(self) -> None:
        """Open the port.

        Raises:
            UsageError: It is in use.
        """
        self._streams = asyncio.get_running_loop().create_future()
        with taking_port(self.host, self.port):
            self._server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def start(self) -> None:
        """Wait until the agent has connected."""
        if self._server is None:
            await self.listen()
        await self._streams

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server is not None, "it listens"
        self._server.close()
        if self._streams.done():  # a second one that was accepted in the same moment
            writer.transport.abort()
            return
        self._streams.set_result((reader, writer))

    async def _write(self, frame: bytes) -> None:
        _, writer = self._streams.result()
        writer.write(len(frame).to_bytes(_HEADER) + frame)
        await writer.drain()

    async def _read(self) -> bytes:
        length = int.from_bytes(await self._exactly(_HEADER))
        _check_length(length)
        return await self._exactly(length, within_frame=True)

    async def _exactly(self, size: int, *, within_frame: bool = False) -> bytes:
        reader, _ = self._streams.result()
        try:
            return await reader.readexactly(size)
        except asyncio.IncompleteReadError as end:
            if within_frame or end.partial:
                raise _Ended(
                    f"the connection ended within a frame, after {len(end.partial)} of {size} bytes"
                ) from None
            raise _Ended("the connection ended") from None
        except ConnectionError as error:
            raise _Ended(f"the connection broke: {error}") from None

    async def _close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        if not self._streams.done():
            self._streams.cancel()
        elif not self._streams.cancelled():
            _, writer = self._streams.result()
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # nobody reads what is left
            writer.close()
            with suppress(ConnectionError):  # it had broken before
                await writer.wait_closed()
