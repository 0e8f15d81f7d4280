"""The quarantine of the fake room: the private names of ``livekit.rtc`` that it is made of.

Beside these, its classes override private methods of the classes they inherit from.
"""

from __future__ import annotations

from livekit import rtc
from livekit.rtc._proto import participant_pb2 as participant_pb2
from livekit.rtc._proto import room_pb2 as room_pb2
from livekit.rtc._proto import rpc_pb2 as rpc_pb2
from livekit.rtc._proto import track_pb2 as track_pb2
from livekit.rtc._utils import split_utf8 as split_utf8

__all__ = ["HAS_INTERCEPTORS", "set_track_sid"]

HAS_INTERCEPTORS = hasattr(rtc.LocalParticipant, "_run_incoming_chain")
"""Whether interceptors stand around an RPC (livekit 1.1.18)."""


def set_track_sid(track: rtc.LocalTrack, sid: str) -> None:
    """Give a track the sid of its publication, as LiveKit does where one is published."""
    track._info.sid = sid  # noqa: SLF001
