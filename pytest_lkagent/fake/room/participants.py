"""The participants of a fake room: the agent's own, and those that a test adds."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID,
    ATTRIBUTE_TRANSCRIPTION_TRACK_ID,
)
from livekit.rtc import participant as rtc_participant

from ...errors import UsageError
from .private import participant_pb2, room_pb2, track_pb2
from .rpc import RpcEnd
from .streams import ByteWriter, StreamError, TextWriter
from .tracks import LocalPublication, RemotePublication
from .wire import CLOSED, Sent, Wire, filled

__all__ = ["FakeLocalParticipant", "FakeRemoteParticipant"]

_MAY = participant_pb2.ParticipantPermission(
    can_subscribe=True, can_publish=True, can_publish_data=True, can_update_metadata=True
)


class FakeLocalParticipant(RpcEnd):
    """The agent's participant; what it sends ends in the record of the `Wire`.

    Every value goes through LiveKit's own messages, so that one of the wrong type is refused as
    LiveKit refuses it.
    """

    def __init__(self, room_queue: Any, wire: Wire, info: participant_pb2.ParticipantInfo) -> None:
        info.permission.CopyFrom(_MAY)
        super().__init__(room_queue, wire, participant_pb2.OwnedParticipant(info=info))

    # --- packets

    async def publish_data(
        self,
        payload: bytes | str,
        *,
        reliable: bool = True,
        destination_identities: Sequence[str] = (),
        topic: str = "",
    ) -> None:
        data = payload.encode() if isinstance(payload, str) else bytes(payload)
        request = filled(room_pb2.PublishDataRequest(), reliable=reliable, topic=topic)
        request.destination_identities.extend(destination_identities)
        self._wire.check_open(rtc_participant.PublishDataError(CLOSED))
        self._wire.send(Sent("data", topic, data, to=tuple(destination_identities)))
        await asyncio.sleep(0)

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        filled(room_pb2.PublishSipDtmfRequest(), code=code, digit=digit)
        self._wire.check_open(rtc_participant.PublishDTMFError(CLOSED))
        self._wire.send(Sent("dtmf", content=digit, attributes={"code": str(code)}))
        await asyncio.sleep(0)

    async def publish_transcription(self, transcription: rtc.Transcription) -> None:
        self._wire.check_open(rtc_participant.PublishTranscriptionError(CLOSED))
        for segment in transcription.segments:
            attributes = {
                ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID: segment.id,
                ATTRIBUTE_TRANSCRIPTION_FINAL: str(segment.final).lower(),
                ATTRIBUTE_TRANSCRIPTION_TRACK_ID: transcription.track_sid,
            }
            self._wire.send(Sent("transcription", content=segment.text, attributes=attributes))
        await asyncio.sleep(0)

    # --- what others see of it; of a closed room LiveKit says nothing here

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        for key, value in attributes.items():
            filled(room_pb2.AttributesEntry(), key=key, value=value)
        if self._wire.is_open:
            sent = self._wire.send(Sent("attributes", attributes=dict(attributes)))
            self._wire.echo(self._wire.change_attributes, self, sent.attributes)
        await asyncio.sleep(0)

    async def set_metadata(self, metadata: str) -> None:
        changed = filled(
            room_pb2.ParticipantMetadataChanged(),
            participant_identity=self.identity,
            metadata=metadata,
        )
        if self._wire.is_open:
            self._wire.send(Sent("metadata", content=metadata))
            self._wire.echo(self._wire.deliver, participant_metadata_changed=changed)
        await asyncio.sleep(0)

    async def set_name(self, name: str) -> None:
        changed = filled(
            room_pb2.ParticipantNameChanged(), participant_identity=self.identity, name=name
        )
        if self._wire.is_open:
            self._wire.send(Sent("name", content=name))
            self._wire.echo(self._wire.deliver, participant_name_changed=changed)
        await asyncio.sleep(0)

    # --- streams

    async def stream_text(
        self,
        *,
        destination_identities: list[str] | None = None,
        topic: str = "",
        attributes: dict[str, str] | None = None,
        stream_id: str | None = None,
        reply_to_id: str | None = None,
        total_size: int | None = None,
        sender_identity: str | None = None,
    ) -> rtc.TextStreamWriter:
        writer = TextWriter(
            self,
            self._wire,
            topic=topic,
            attributes=attributes,
            stream_id=stream_id,
            reply_to_id=reply_to_id,
            destination_identities=destination_identities,
            total_size=total_size,
            sender_identity=sender_identity,
        )
        await asyncio.sleep(0)
        return writer

    async def send_text(
        self,
        text: str,
        *,
        destination_identities: list[str] | None = None,
        topic: str = "",
        attributes: dict[str, str] | None = None,
        reply_to_id: str | None = None,
        compress: bool = True,
    ) -> rtc.TextStreamInfo:
        writer = await self.stream_text(
            destination_identities=destination_identities,
            topic=topic,
            attributes=attributes,
            reply_to_id=reply_to_id,
            total_size=len(text.encode()),
        )
        await writer.write(text)
        await writer.aclose()
        return writer.info

    async def stream_bytes(
        self,
        name: str,
        *,
        total_size: int | None = None,
        mime_type: str = "application/octet-stream",
        attributes: dict[str, str] | None = None,
        stream_id: str | None = None,
        destination_identities: list[str] | None = None,
        topic: str = "",
    ) -> rtc.ByteStreamWriter:
        writer = ByteWriter(
            self,
            self._wire,
            name=name,
            topic=topic,
            attributes=attributes,
            stream_id=stream_id,
            total_size=total_size,
            mime_type=mime_type,
            destination_identities=destination_identities,
        )
        await asyncio.sleep(0)
        return writer

    async def send_bytes(
        self,
        data: bytes,
        *,
        topic: str = "",
        name: str | None = None,
        mime_type: str | None = None,
        destination_identities: list[str] | None = None,
        attributes: dict[str, str] | None = None,
        stream_id: str | None = None,
        compress: bool = True,
    ) -> rtc.ByteStreamInfo:
        writer = await self.stream_bytes(
            name or "unknown",
            total_size=len(data),
            mime_type=mime_type or "application/octet-stream",
            attributes=attributes,
            stream_id=stream_id,
            destination_identities=destination_identities,
            topic=topic,
        )
        await writer.write(data)
        await writer.aclose()
        return writer.info

    async def send_file(
        self,
        file_path: str,
        *,
        topic: str = "",
        destination_identities: list[str] | None = None,
        attributes: dict[str, str] | None = None,
        stream_id: str | None = None,
        compress: bool = True,
    ) -> rtc.ByteStreamInfo:
        path = Path(file_path)
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise StreamError(f"I/O error: {error}") from error
        return await self.send_bytes(
            data,
            topic=topic,
            name=path.name,
            mime_type=mimetypes.guess_type(file_path)[0],
            destination_identities=destination_identities,
            attributes=attributes,
            stream_id=stream_id,
        )

    # --- tracks

    async def publish_track(
        self,
        track: rtc.LocalTrack,
        options: rtc.TrackPublishOptions = rtc.TrackPublishOptions(),  # noqa: B008  (LiveKit's)
    ) -> rtc.LocalTrackPublication:
        self._wire.check_open(rtc_participant.PublishTrackError(CLOSED))
        info = track_pb2.TrackPublicationInfo(
            sid=self._wire.new_id("TR"), name=track.name, kind=track.kind, source=options.source
        )
        await asyncio.sleep(0)
        publication = LocalPublication(info, track)
        self._track_publications[info.sid] = publication
        kind = rtc.TrackKind.Name(track.kind).removeprefix("KIND_").lower()
        self._wire.send(Sent("track", content=kind, name=track.name))
        published = room_pb2.LocalTrackPublished(track_sid=info.sid)
        self._wire.echo(self._wire.deliver, local_track_published=published)
        self._wire.echo(self.be_heard)
        return publication

    async def unpublish_track(self, track_sid: str) -> None:
        if track_sid not in self._track_publications:
            raise rtc_participant.UnpublishTrackError("room failure: track not found")
        unpublished = room_pb2.LocalTrackUnpublished(publication_sid=track_sid)
        self._wire.echo(self._wire.deliver, local_track_unpublished=unpublished)
        await asyncio.sleep(0)

    def leave(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._info.disconnect_reason = reason

    def be_heard(self) -> None:
        """Let those who are there subscribe to the tracks that nobody has subscribed to yet."""
        for sid, publication in list(self._track_publications.items()):
            is_heard = isinstance(publication, LocalPublication) and publication.is_heard
            if self._wire.others and not is_heard:
                heard = room_pb2.LocalTrackSubscribed(track_sid=sid)
                self._wire.deliver(local_track_subscribed=heard)

    def set_track_subscription_permissions(self, **permissions: Any) -> None:
        """Take note of nothing: nobody's subscription depends on it."""

    async def publish_data_track(self, *, name: str) -> rtc.LocalDataTrack:
        raise UsageError(
            f"the fake room has no data tracks (the agent publishes {name!r}): replace "
            "room.local_participant.publish_data_track in the test"
        )


class FakeRemoteParticipant(rtc.RemoteParticipant):
    """Somebody whom the test adds, and whose tracks are made of nothing."""

    def __init__(self, wire: Wire, owned_info: participant_pb2.OwnedParticipant) -> None:
        super().__init__(owned_info)
        self._wire = wire

    def publish(self, info: track_pb2.TrackPublicationInfo) -> rtc.RemoteTrackPublication:
        publication = RemotePublication(self._wire, self.identity, info)
        self._track_publications[info.sid] = publication
        return publication

    def unpublish(self, publication: rtc.RemoteTrackPublication) -> None:
        if publication.subscribed:
            publication.set_subscribed(subscribed=False)
        self._wire.deliver(
            track_unpublished=room_pb2.TrackUnpublished(
                participant_identity=self.identity, publication_sid=publication.sid
            )
        )
