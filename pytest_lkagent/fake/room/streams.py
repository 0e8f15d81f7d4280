"""Streams of text and bytes, as a fake room has them: LiveKit's classes without the native half."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from livekit import rtc

from .private import split_utf8
from .wire import Sent, Wire, milliseconds

__all__ = [
    "ByteWriter",
    "StreamError",
    "TextWriter",
    "byte_reader",
    "text_reader",
]

_CHUNK_BYTES = 15_000
"""How much of a stream travels in one piece."""

StreamError: type[ConnectionError] = getattr(
    rtc, "StreamError", ConnectionError
)  # livekit < 1.1.18


class _TextReader(rtc.TextStreamReader):
    """A stream that is whole already: the pieces are at hand."""

    def __init__(self, info: rtc.TextStreamInfo, pieces: Iterable[str]) -> None:
        self._info = info
        self._pieces = iter(pieces)

    async def __anext__(self) -> str:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    def _close(self) -> None:
        self._pieces = iter(())


class _ByteReader(rtc.ByteStreamReader):
    """The same for bytes."""

    def __init__(self, info: rtc.ByteStreamInfo, pieces: Iterable[bytes]) -> None:
        self._info = info
        self._pieces = iter(pieces)

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    def _close(self) -> None:
        self._pieces = iter(())


def text_reader(
    wire: Wire, text: str, *, topic: str, attributes: Mapping[str, str]
) -> rtc.TextStreamReader:
    info = rtc.TextStreamInfo(
        stream_id=wire.new_id("ST"),
        mime_type="text/plain",
        topic=topic,
        timestamp=milliseconds(),
        size=len(text.encode()),
        attributes=dict(attributes),
        attachments=[],
    )
    pieces = [piece.decode() for piece in split_utf8(text, _CHUNK_BYTES) if piece]
    return _TextReader(info, pieces)


def byte_reader(
    wire: Wire,
    data: bytes,
    *,
    topic: str,
    name: str,
    mime_type: str,
    attributes: Mapping[str, str],
) -> rtc.ByteStreamReader:
    info = rtc.ByteStreamInfo(
        stream_id=wire.new_id("ST"),
        mime_type=mime_type,
        topic=topic,
        timestamp=milliseconds(),
        size=len(data),
        attributes=dict(attributes),
        name=name,
    )
    starts = range(0, len(data), _CHUNK_BYTES)
    return _ByteReader(info, [data[start : start + _CHUNK_BYTES] for start in starts])


class _Record:
    """The record of a stream that is being written."""

    def __init__(self, wire: Wire, sent: Sent) -> None:
        self._wire = wire
        self._sent = wire.send(sent)
        self._is_closed = False

    async def add(self, piece: Any) -> None:
        if self._is_closed:
            raise RuntimeError("Cannot write after stream is closed")
        await self._amend(content=self._sent.content + piece)

    async def close(self, attributes: Mapping[str, str] | None) -> None:
        if self._is_closed:
            raise RuntimeError("Stream already closed")
        self._is_closed = True
        await self._amend(attributes={**self._sent.attributes, **(attributes or {})})

    async def _amend(self, **changes: Any) -> None:
        self._wire.check_open(StreamError("unable to send packet"))
        self._sent = self._wire.amend(self._sent, **changes)
        await asyncio.sleep(0)


class TextWriter(rtc.TextStreamWriter):
    """A stream of text, open from the start; what is written goes to the record."""

    def __init__(
        self,
        participant: rtc.LocalParticipant,
        wire: Wire,
        *,
        stream_id: str | None,
        destination_identities: Sequence[str] | None,
        **options: Any,
    ) -> None:
        super().__init__(
            participant,
            stream_id=stream_id or wire.new_id("ST"),
            destination_identities=list(destination_identities or ()),
            **options,
        )
        wire.check_open(StreamError("unable to send packet"))
        self._record = _Record(wire, _opened("text", self.info, destination_identities))

    async def write(self, text: str) -> None:
        await self._record.add(text)

    async def aclose(self, *, reason: str = "", attributes: dict[str, str] | None = None) -> None:
        await self._record.close(attributes)


class ByteWriter(rtc.ByteStreamWriter):
    """The same for bytes."""

    def __init__(
        self,
        participant: rtc.LocalParticipant,
        wire: Wire,
        *,
        stream_id: str | None,
        destination_identities: Sequence[str] | None,
        **options: Any,
    ) -> None:
        super().__init__(
            participant,
            stream_id=stream_id or wire.new_id("ST"),
            destination_identities=list(destination_identities or ()),
            **options,
        )
        wire.check_open(StreamError("unable to send packet"))
        self._record = _Record(wire, _opened("bytes", self.info, destination_identities))

    async def write(self, data: bytes) -> None:
        await self._record.add(bytes(data))

    async def aclose(self, *, reason: str = "", attributes: dict[str, str] | None = None) -> None:
        await self._record.close(attributes)


def _opened(
    kind: Literal["text", "bytes"],
    info: rtc.TextStreamInfo | rtc.ByteStreamInfo,
    to: Sequence[str] | None,
) -> Sent:
    return Sent(
        kind,
        topic=info.topic,
        content="" if kind == "text" else b"",
        attributes=dict(info.attributes or {}),
        to=tuple(to or ()),
        name=getattr(info, "name", ""),
    )
