"""A room that is connected to nobody: what an agent does with it works, and is kept.

LiveKit's own `rtc.Room` runs: its events in its order, its registries of handlers, its chain of
RPC interceptors. Only what would go to the native library ends in a `Wire` instead, so that nothing
is loaded, no thread is started and nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal, TypeVar

from livekit import rtc

from ...errors import UsageError, did_you_mean, one_of
from .connection import ACTIVE, JOINED, OfflineRoom
from .participants import FakeRemoteParticipant
from .private import participant_pb2, room_pb2, track_pb2
from .rpc import rpc_error
from .streams import byte_reader, text_reader
from .wire import Answer

__all__ = ["FakeRoom"]

_Kind = Literal["standard", "ingress", "egress", "sip", "agent", "connector", "bridge"]

_DTMF = "0123456789*#ABCD"
"""The digits, at the places of their codes (RFC 4733)."""

_KINDS = {
    name.removeprefix("PARTICIPANT_KIND_").lower(): kind
    for name, kind in rtc.ParticipantKind.items()
}

_Handler = TypeVar("_Handler")


class FakeRoom(OfflineRoom):
    """A real `rtc.Room` on the running loop, alone with the agent until a test adds somebody.

    `sent` is what the agent sent, oldest first. Whatever a participant is to do, the test does:
    `add_participant`, `receive_text`, `call_rpc` and their like. `name`, `sid` and `metadata` are
    the room's, `identity` and `attributes` those of the agent's own participant.
    """

    # --- who is there

    def add_participant(
        self,
        identity: str = "caller",
        *,
        name: str = "",
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
        kind: _Kind = "standard",
    ) -> rtc.RemoteParticipant:
        """Let somebody join; before the room is connected: be there already when it is.

        Raises:
            UsageError: Somebody of this identity is there, or there is no such kind.
        """
        if identity in {*self._remote_participants, *self._early, self._agent["identity"]}:
            raise UsageError(f"{identity!r} is in the room already: give another identity")
        info = self._new_participant(
            identity=identity,
            name=name,
            metadata=metadata,
            attributes=dict(attributes or {}),
            kind=_kind(kind),
            state=JOINED if self.isconnected() else ACTIVE,
        )
        owned = participant_pb2.OwnedParticipant(info=info)
        if not self.isconnected():
            self._early[identity] = FakeRemoteParticipant(self._wire, owned)
            return self._early[identity]
        self._wire.deliver(participant_connected=room_pb2.ParticipantConnected(info=owned))
        self._count()
        self._wire.deliver(
            participant_active=room_pb2.ParticipantActive(participant_identity=identity)
        )
        self._agent_end.be_heard()
        return self._remote_participants[identity]

    def remove_participant(
        self,
        identity: str = "caller",
        reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED,
    ) -> None:
        """Let somebody leave; a session that is linked to them closes, as it does on LiveKit."""
        participant = self._present(identity)
        for publication in list(participant.track_publications.values()):
            participant.unpublish(publication)
        self._wire.deliver(
            participant_disconnected=room_pb2.ParticipantDisconnected(
                participant_identity=identity, disconnect_reason=reason
            )
        )
        self._count()

    def change_attributes(self, identity: str, attributes: Mapping[str, str]) -> None:
        """Set attributes of a participant; an empty value takes one away."""
        self._wire.change_attributes(self._present(identity), attributes)

    def add_track(
        self,
        identity: str = "caller",
        *,
        name: str = "",
        kind: Literal["audio", "video"] = "audio",
        source: rtc.TrackSource.ValueType | None = None,
    ) -> rtc.RemoteTrackPublication:
        """Let a participant publish a track without frames: of a microphone, or a camera."""
        participant = self._present(identity)
        usual = {"audio": rtc.TrackSource.SOURCE_MICROPHONE, "video": rtc.TrackSource.SOURCE_CAMERA}
        publication = participant.publish(
            track_pb2.TrackPublicationInfo(
                sid=self._wire.new_id("TR"),
                name=name,
                kind=rtc.TrackKind.Value(f"KIND_{kind.upper()}"),
                source=usual[kind] if source is None else source,
                remote=True,
            )
        )
        self.emit("track_published", publication, participant)
        if self._subscribes:
            publication.set_subscribed(True)
        return publication

    # --- what they send

    async def receive_text(
        self,
        text: str,
        *,
        topic: str,
        sender: str = "caller",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Send a stream of text to the agent, such as a chat message on the topic ``lk.chat``.

        Raises:
            UsageError: Nobody of this identity is there, or the agent has no handler for the topic.
        """
        identity = self._present(sender).identity
        handler = _heard(self._text_stream_handlers, "text", topic)
        handler(text_reader(self._wire, text, topic=topic, attributes=attributes or {}), identity)
        await asyncio.sleep(0)

    async def receive_bytes(
        self,
        data: bytes,
        *,
        topic: str,
        sender: str = "caller",
        name: str = "unknown",
        mime_type: str = "application/octet-stream",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Send a stream of bytes, such as a file; otherwise like `receive_text`."""
        identity = self._present(sender).identity
        handler = _heard(self._byte_stream_handlers, "byte", topic)
        reader = byte_reader(
            self._wire,
            data,
            topic=topic,
            name=name,
            mime_type=mime_type,
            attributes=attributes or {},
        )
        handler(reader, identity)
        await asyncio.sleep(0)

    async def receive_data(
        self, data: bytes | str, *, topic: str = "", sender: str | None = "caller"
    ) -> None:
        """Send a packet of data; from no participant but a server where `sender` is None."""
        packet = rtc.DataPacket(
            data=data.encode() if isinstance(data, str) else bytes(data),
            kind=rtc.DataPacketKind.KIND_RELIABLE,
            participant=None if sender is None else self._present(sender),
            topic=topic,
        )
        self._connected()
        self.emit("data_received", packet)
        await asyncio.sleep(0)

    async def receive_dtmf(self, digits: str, *, sender: str = "caller") -> None:
        """Press keys of a telephone."""
        self._present(sender)
        if unknown := sorted(set(digits) - set(_DTMF)):
            raise UsageError(f"no telephone has {one_of(unknown)}; its keys are {one_of(_DTMF)}")
        for digit in digits:
            pressed = room_pb2.SipDTMF(code=_DTMF.index(digit), digit=digit)
            self._wire.deliver(
                data_packet_received=room_pb2.DataPacketReceived(
                    kind=rtc.DataPacketKind.KIND_RELIABLE,
                    participant_identity=sender,
                    sip_dtmf=pressed,
                )
            )
            await asyncio.sleep(0)

    async def call_rpc(
        self,
        method: str,
        payload: str = "",
        *,
        sender: str = "caller",
        timeout: float = 15.0,  # noqa: ASYNC109  (the caller's: the method goes on)
    ) -> str:
        """Call a method that the agent registered, and return its answer.

        Args:
            method: Its name.
            payload: What the method is given.
            sender: Who calls.
            timeout: Seconds that the caller waits; LiveKit keeps 7 of them for the way.

        Raises:
            rtc.RpcError: What the caller gets: the error that the method raised, 1400 where there
                is no such method, 1500 where it raised anything else, which is the cause then.
        """
        self._present(sender)
        call = self._loop.create_task(
            self._agent_end.be_called(method, payload, caller=sender, timeout=timeout)
        )
        self._rpc_invocation_tasks.add(call)
        call.add_done_callback(self._rpc_invocation_tasks.discard)
        await asyncio.wait([call])
        if call.cancelled():
            raise rpc_error(rtc.RpcError.ErrorCode.RECIPIENT_DISCONNECTED)
        return call.result()

    def answer_rpc(self, method: str, answer: Answer) -> None:
        """Say what participants answer when the agent calls `method` of theirs.

        Args:
            method: Its name.
            answer: The answer, an `rtc.RpcError`, or a function of the payload, which may be async.
        """
        self._wire.answers[method] = answer

    # --- the rest

    def _connected(self) -> None:
        if not self.isconnected():
            raise UsageError("the room is not connected: the agent has to connect() first")

    def _present(self, identity: str) -> FakeRemoteParticipant:
        self._connected()
        participant = self._remote_participants.get(identity)
        if not isinstance(participant, FakeRemoteParticipant):
            there = list(self._remote_participants)
            raise UsageError(
                f"nobody called {identity!r} is in the room, only {one_of(there)}"
                f"{did_you_mean(identity, there)}: room.add_participant({identity!r}) first"
            )
        return participant


def _kind(kind: str) -> rtc.ParticipantKind.ValueType:
    if kind not in _KINDS:
        raise UsageError(
            f"no participant is of kind {kind!r}{did_you_mean(kind, _KINDS)}; the kinds are "
            f"{one_of(sorted(_KINDS))}"
        )
    return _KINDS[kind]


def _heard(handlers: Mapping[str, _Handler], what: str, topic: str) -> _Handler:
    if topic not in handlers:
        raise UsageError(
            f"nobody hears the {what} stream on {topic!r}: the agent registered handlers for "
            f"{one_of(handlers)}{did_you_mean(topic, handlers)}"
        )
    return handlers[topic]
