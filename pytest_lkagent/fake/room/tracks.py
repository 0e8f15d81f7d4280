"""Publications of tracks in a fake room."""

from __future__ import annotations

from typing import Any

from livekit import rtc

from .private import room_pb2, set_track_sid, track_pb2
from .wire import Wire

__all__ = ["LocalPublication", "RemotePublication"]


class LocalPublication(rtc.LocalTrackPublication):
    """What the agent published."""

    def __init__(self, info: track_pb2.TrackPublicationInfo, track: rtc.LocalTrack) -> None:
        super().__init__(track_pb2.OwnedTrackPublication(info=info))
        self._track = track
        set_track_sid(track, info.sid)

    @property
    def is_heard(self) -> bool:
        return self._first_subscription.done()


class RemotePublication(rtc.RemoteTrackPublication):
    """What a participant published; subscribing to it gives a track without frames."""

    def __init__(self, wire: Wire, identity: str, info: track_pb2.TrackPublicationInfo) -> None:
        super().__init__(track_pb2.OwnedTrackPublication(info=info))
        self._wire = wire
        self._identity = identity

    def set_subscribed(self, subscribed: bool) -> None:  # noqa: FBT001  (LiveKit's)
        if subscribed == self.subscribed:
            return
        if not subscribed:
            gone = room_pb2.TrackUnsubscribed(
                participant_identity=self._identity, track_sid=self.sid
            )
            self._wire.deliver(track_unsubscribed=gone)
            return
        info = track_pb2.TrackInfo(sid=self.sid, name=self.name, kind=self.kind, remote=True)
        self._wire.deliver(
            track_subscribed=room_pb2.TrackSubscribed(
                participant_identity=self._identity, track=track_pb2.OwnedTrack(info=info)
            )
        )

    def set_video_quality(self, quality: Any) -> None:
        """Take note of nothing: there are no frames."""
