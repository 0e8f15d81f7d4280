"""The half of a fake room that LiveKit's own `rtc.Room` has with a server: to come and to go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from livekit import rtc

from ...errors import UsageError
from .participants import FakeLocalParticipant, FakeRemoteParticipant
from .private import participant_pb2, room_pb2
from .wire import Sent, Wire, milliseconds

__all__ = ["ACTIVE", "JOINED", "OfflineRoom"]

# looked up once: an enum of protobuf looks for a name for as long as the rest of a room takes
_CONNECTED = rtc.ConnectionState.CONN_CONNECTED
_DISCONNECTED = rtc.ConnectionState.CONN_DISCONNECTED
ACTIVE = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
JOINED = rtc.ParticipantState.PARTICIPANT_STATE_JOINED
_AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class OfflineRoom(rtc.Room):
    """An `rtc.Room` whose way out is a `Wire`; see `FakeRoom`."""

    def __init__(
        self,
        *,
        name: str = "fake-room",
        sid: str = "RM_fake",
        metadata: str = "",
        identity: str = "fake-agent",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(asyncio.get_running_loop())
        self._info.name = name  # of a job, LiveKit says it before it is connected
        self._agent_end: FakeLocalParticipant
        self._wire = Wire(self._loop, self._on_room_event)
        self._wire.others = self._remote_participants
        self.sent: list[Sent] = self._wire.sent
        self._as_it_will_be: dict[str, Any] = {"name": name, "sid": sid, "metadata": metadata}
        self._agent: dict[str, Any] = {"identity": identity, "attributes": dict(attributes or {})}
        self._early: dict[str, rtc.RemoteParticipant] = {}
        self._subscribes = True

    @property
    def sid_once_connected(self) -> str:
        """What `sid` comes to: a job knows it before."""
        return str(self._as_it_will_be["sid"])

    async def connect(
        self,
        url: str,
        token: str,
        options: rtc.RoomOptions = rtc.RoomOptions(),  # noqa: B008  (LiveKit's)
    ) -> None:
        """Be connected, whatever `url` and `token` are."""
        await asyncio.sleep(0)
        self._server_url, self._token = url, token
        self._subscribes = options.auto_subscribe
        if self.isconnected():
            return
        self.join_now()
        self._wire.echo(
            self._wire.deliver,
            connection_state_changed=room_pb2.ConnectionStateChanged(state=_CONNECTED),
        )

    def join_now(self) -> None:
        """Be connected at once: for a room that is from the start."""
        if self.isconnected():
            return
        self._info = room_pb2.RoomInfo(creation_time=milliseconds(), **self._as_it_will_be)
        self._resolve_first_sid(self._info.sid)
        self._e2ee_manager = rtc.E2EEManager(0, None)
        info = self._new_participant(kind=_AGENT, state=ACTIVE, **self._agent)
        self._local_participant = FakeLocalParticipant(self._room_queue, self._wire, info)
        self._agent_end = self._local_participant
        self._remote_participants.update(self._early)
        self._early.clear()
        self._count()
        self._connection_state = _CONNECTED
        self._wire.is_open = True

    def isconnected(self) -> bool:
        return self._connection_state != _DISCONNECTED

    async def disconnect(
        self,
        *,
        reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED,
    ) -> None:
        if not self.isconnected():
            return
        await self._drain_rpc_invocation_tasks()
        for sid in list(self._agent_end.track_publications):
            await self._agent_end.unpublish_track(sid)
        await asyncio.sleep(0)
        if not self.isconnected():
            return  # somebody else was quicker
        self._wire.is_open = False
        self._agent_end.leave(reason)
        self._wire.deliver(
            connection_state_changed=room_pb2.ConnectionStateChanged(state=_DISCONNECTED)
        )
        self._wire.deliver(disconnected=room_pb2.Disconnected(reason=reason))

    async def get_rtc_stats(self) -> rtc.RtcStats:
        if not self.isconnected():
            raise RuntimeError("the room isn't connected")
        return rtc.RtcStats([], [])

    async def simulate_scenario(self, scenario: Any) -> None:
        raise UsageError("the fake room has no connection that could break: use disconnect()")

    def _create_remote_participant(
        self, owned_info: participant_pb2.OwnedParticipant
    ) -> rtc.RemoteParticipant:
        participant = FakeRemoteParticipant(self._wire, owned_info)
        self._remote_participants[participant.identity] = participant
        return participant

    def _new_participant(self, **info: Any) -> participant_pb2.ParticipantInfo:
        return participant_pb2.ParticipantInfo(
            sid=self._wire.new_id("PA"),
            joined_at=milliseconds(),
            **info,
        )

    def _count(self) -> None:
        self._info.num_participants = 1 + len(self._remote_participants)
