"""The fake room: LiveKit's own classes, connected to nobody, and a record of what is sent."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from livekit import rtc
from livekit.agents import Agent, AgentSession, JobContext, utils
from livekit.agents.voice.remote_session import RoomSessionTransport
from livekit.agents.voice.room_io import RoomOptions
from livekit.protocol.agent_pb import agent_session as protocol
from livekit.rtc._ffi_client import FfiClient
from livekit.rtc._proto import track_pb2
from livekit.rtc.participant import (
    PublishDataError,
    PublishDTMFError,
    PublishTrackError,
    PublishTranscriptionError,
    UnpublishTrackError,
)

from pytest_lkagent.errors import BehaviourError, UsageError
from pytest_lkagent.fake.room import FakeRoom, Sent
from pytest_lkagent.fake.room.streams import StreamError

EVENTS = (
    "participant_connected",
    "participant_active",
    "participant_disconnected",
    "participant_attributes_changed",
    "participant_metadata_changed",
    "participant_name_changed",
    "track_published",
    "track_subscribed",
    "track_unsubscribed",
    "track_unpublished",
    "local_track_published",
    "local_track_subscribed",
    "local_track_unpublished",
    "data_received",
    "sip_dtmf_received",
    "connection_state_changed",
    "disconnected",
)
Code = rtc.RpcError.ErrorCode


class _Asked:
    """Stands in for ``FfiClient.instance``, which loads the native library when it is asked."""

    def __init__(self) -> None:
        self.by: list[str] = []

    def __get__(self, *_: object) -> Any:
        self.by.append(inspect.stack()[1].function)
        raise RuntimeError("the native library was asked for")


@pytest.fixture(autouse=True)
def asked() -> Iterator[_Asked]:
    """Let no test of this file reach LiveKit's native library, swallowed or not."""
    asked, before = _Asked(), vars(FfiClient)["instance"]
    FfiClient.instance = asked
    try:
        yield asked
    finally:
        FfiClient.instance = before
    assert asked.by == []


@pytest_asyncio.fixture
async def room(fake_llm: Any) -> FakeRoom:
    """A connected room with one participant, ``caller``; `fake_llm` makes time virtual."""
    room = FakeRoom(attributes={"lk.agent.name": "desk"})
    room.join_now()
    room.add_participant()
    await asyncio.sleep(0)
    return room


def listen(room: FakeRoom) -> list[tuple[Any, ...]]:
    """Return the list to which the events of `room` will be appended."""
    heard: list[tuple[Any, ...]] = []

    def hear(event: str) -> Callable[..., None]:
        return lambda *args: heard.append((event, *args))

    for event in EVENTS:
        room.on(event, hear(event))
    return heard


def microphone(name: str = "mic") -> rtc.LocalAudioTrack:
    """Return a track without a source: one with a source needs the native library."""
    info = track_pb2.TrackInfo(name=name, kind=rtc.TrackKind.KIND_AUDIO)
    return rtc.LocalAudioTrack(track_pb2.OwnedTrack(info=info))


# --- the native library, and what a room costs


@pytest.mark.asyncio
async def test_whoever_asks_for_the_native_library_is_noticed_by_this_file(asked) -> None:
    with pytest.raises(RuntimeError, match="was asked for"):
        await rtc.Room().connect("wss://x", "token")
    assert asked.by == ["connect"]
    asked.by.clear()


async def test_a_room_starts_no_thread(room) -> None:
    threads = threading.active_count()
    await room.receive_data("x")
    await room.local_participant.publish_data("y")
    await room.disconnect()
    assert threading.active_count() == threads


@pytest.mark.asyncio
async def test_a_room_that_goes_asks_for_nothing_either() -> None:
    room = FakeRoom()
    room.join_now()
    await asyncio.sleep(0)
    gone = weakref.ref(room)
    del room
    gc.collect()
    assert gone() is None


async def test_two_rooms_share_nothing(room) -> None:
    other = FakeRoom()
    other.join_now()
    await room.local_participant.publish_data("x")
    assert (other.sent, dict(other.remote_participants)) == ([], {})
    assert other.local_participant.sid == room.local_participant.sid == "PA_1"


async def test_nothing_public_of_livekits_that_needs_the_native_library_is_left(room) -> None:
    """What LiveKit adds, and what goes to the native library there, has to be thought about."""
    readers: list[Any] = []
    room.register_text_stream_handler("t", lambda reader, _: readers.append(reader))
    room.register_byte_stream_handler("t", lambda reader, _: readers.append(reader))
    await room.receive_text("x", topic="t")
    await room.receive_bytes(b"x", topic="t")
    agent = room.local_participant
    parts = [
        *(room, agent, room.remote_participants["caller"], *readers),
        *(await agent.publish_track(microphone()), room.add_track()),
        *(await agent.stream_text(), await agent.stream_bytes("x")),
    ]
    native = [
        f"{type(part).__name__}.{name}"
        for part in parts
        for name, method in inspect.getmembers(type(part), inspect.isfunction)
        if not name.startswith("_") and "FfiClient" in inspect.getsource(method)
    ]
    assert (len(parts), native) == (9, [])


# --- connecting


async def test_before_it_is_connected_a_room_refuses_what_a_real_one_refuses(fake_llm) -> None:
    room = FakeRoom(name="support")
    assert isinstance(room, rtc.Room)
    assert not room.isconnected()
    assert room.connection_state == rtc.ConnectionState.CONN_DISCONNECTED
    with pytest.raises(Exception, match="cannot access local participant before connecting"):
        await room.local_participant.publish_data("x")
    with pytest.raises(RuntimeError, match="room is not connected"):
        await utils.wait_for_participant(room)
    with pytest.raises(UsageError, match="the room is not connected: the agent has to connect"):
        await room.receive_data("x", sender=None)


async def test_connecting_reaches_nobody_and_finds_those_who_are_there(fake_llm) -> None:
    room = FakeRoom(name="support", sid="RM_7", metadata="vip", identity="desk")
    early = room.add_participant("alice", kind="sip", attributes={"sip.phoneNumber": "+1"})
    heard = listen(room)
    assert dict(room.remote_participants) == {}
    await room.connect("wss://support.livekit.cloud", "token")  # the offline guard is on duty
    assert room.isconnected()
    assert (await room.sid, room.name, room.metadata) == ("RM_7", "support", "vip")
    assert room.num_participants == 2
    assert room.local_participant.identity == "desk"
    assert room.local_participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    assert room.remote_participants == {"alice": early}
    assert early.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
    assert (await utils.wait_for_participant(room)).attributes == {"sip.phoneNumber": "+1"}
    assert heard == []  # LiveKit too tells it after connect() has returned
    await asyncio.sleep(0)
    assert heard == [("connection_state_changed", rtc.ConnectionState.CONN_CONNECTED)]


async def test_a_room_that_is_connected_stays_as_it_is(room) -> None:
    agent = room.local_participant
    await room.connect("wss://x", "token")
    assert room.local_participant is agent
    assert list(room.remote_participants) == ["caller"]


@pytest.mark.lk(allow=["refused_connection"])
async def test_a_real_room_is_still_refused(fake_llm) -> None:
    with pytest.raises(OSError, match=r"connects a room to support.livekit.cloud"):
        await rtc.Room().connect("wss://support.livekit.cloud", "token")


async def test_disconnecting_tells_in_livekits_order_and_ends_what_can_be_sent(room) -> None:
    agent = room.local_participant
    await agent.publish_track(microphone())
    writer = await agent.stream_text(topic="ui")
    await asyncio.sleep(0)
    heard = listen(room)
    await room.disconnect()
    await room.disconnect()
    assert [event for event, *_ in heard] == [
        "local_track_unpublished",
        "connection_state_changed",
        "disconnected",
    ]
    assert heard[-1] == ("disconnected", rtc.DisconnectReason.CLIENT_INITIATED)
    assert agent.disconnect_reason == rtc.DisconnectReason.CLIENT_INITIATED
    assert not room.isconnected()
    room.sent.clear()
    for refused, sends in [
        (PublishDataError, agent.publish_data("x")),
        (PublishDTMFError, agent.publish_dtmf(code=1, digit="1")),
        (PublishTranscriptionError, agent.publish_transcription(rtc.Transcription("a", "b", []))),
        (PublishTrackError, agent.publish_track(microphone())),
        (StreamError, agent.stream_text()),
        (StreamError, agent.send_text("x")),
        (StreamError, agent.send_bytes(b"x")),
        (StreamError, writer.write("x")),
        (rtc.RpcError, agent.perform_rpc(destination_identity="caller", method="m", payload="")),
    ]:
        with pytest.raises(refused):
            await sends
    await agent.set_attributes({"mood": "sad"})  # LiveKit says nothing of these
    await agent.set_metadata("x")
    await agent.set_name("x")
    assert room.sent == []


async def test_the_reason_of_a_disconnection_is_told(room) -> None:
    heard = listen(room)
    await room.disconnect(reason=rtc.DisconnectReason.ROOM_DELETED)
    assert heard[-1] == ("disconnected", rtc.DisconnectReason.ROOM_DELETED)


async def test_what_comes_after_the_end_is_not_told(room) -> None:
    async def set_at_the_last_moment() -> None:
        await asyncio.sleep(0)
        await room.local_participant.set_attributes({"mood": "sad"})

    heard = listen(room)
    await asyncio.gather(set_at_the_last_moment(), room.disconnect(), room.disconnect())
    assert room.sent == [Sent("attributes", attributes={"mood": "sad"})]
    assert [event for event, *_ in heard] == ["connection_state_changed", "disconnected"]


async def test_what_has_no_fake_says_what_to_do(room) -> None:
    with pytest.raises(UsageError, match=r"no data tracks .the agent publishes 'lidar'.: replace"):
        await room.local_participant.publish_data_track(name="lidar")
    with pytest.raises(UsageError, match="no connection that could break: use disconnect"):
        await room.simulate_scenario(0)
    assert (await room.get_rtc_stats()).publisher_stats == []
    room.local_participant.set_track_subscription_permissions(allow_all_participants=True)
    await room.disconnect()
    with pytest.raises(RuntimeError, match="isn't connected"):
        await room.get_rtc_stats()


# --- who is there


async def test_a_participant_comes_and_goes(room) -> None:
    heard = listen(room)
    alice = room.add_participant("alice", name="Alice", metadata="m", attributes={"vip": "yes"})
    assert isinstance(alice, rtc.RemoteParticipant)
    assert (alice.name, alice.metadata, alice.attributes) == ("Alice", "m", {"vip": "yes"})
    assert alice.state == rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
    assert alice.joined_at is not None
    assert room.num_participants == 3
    room.remove_participant("alice", rtc.DisconnectReason.USER_REJECTED)
    assert alice.disconnect_reason == rtc.DisconnectReason.USER_REJECTED
    assert list(room.remote_participants) == ["caller"]
    assert room.num_participants == 2
    assert heard == [
        ("participant_connected", alice),
        ("participant_active", alice),
        ("participant_disconnected", alice),
    ]


async def test_mistakes_in_who_is_there_are_told(room) -> None:
    with pytest.raises(UsageError, match="'caller' is in the room already: give another identity"):
        room.add_participant("caller")
    with pytest.raises(UsageError, match="'fake-agent' is in the room already"):
        room.add_participant("fake-agent")
    with pytest.raises(UsageError, match="no participant is of kind 'sipp'; did you mean 'sip'"):
        room.add_participant("bob", kind="sipp")
    nobody = re.escape(
        "nobody called 'calller' is in the room, only caller; did you mean 'caller'?: "
        "room.add_participant('calller') first"
    )
    for wrong in (room.remove_participant, room.add_track):
        with pytest.raises(UsageError, match=nobody):
            wrong("calller")
    with pytest.raises(UsageError, match=nobody):
        room.change_attributes("calller", {})
    for sends in (
        room.receive_text("x", topic="t", sender="calller"),
        room.receive_bytes(b"x", topic="t", sender="calller"),
        room.receive_data("x", sender="calller"),
        room.receive_dtmf("1", sender="calller"),
        room.call_rpc("m", sender="calller"),
    ):
        with pytest.raises(UsageError, match=nobody):
            await sends


async def test_attributes_of_a_participant_change_as_on_the_server(room) -> None:
    room.change_attributes("caller", {"a": "1", "b": "2"})
    heard = listen(room)
    room.change_attributes("caller", {"a": "", "b": "2", "c": "3", "d": ""})
    room.change_attributes("caller", {"b": "2"})  # nothing changes, and nothing is told
    caller = room.remote_participants["caller"]
    assert caller.attributes == {"b": "2", "c": "3"}
    assert heard == [("participant_attributes_changed", {"a": "", "c": "3"}, caller)]


async def test_what_the_agent_says_of_itself_is_recorded_and_comes_back_as_events(room) -> None:
    agent = room.local_participant
    heard = listen(room)
    await agent.set_attributes({"mood": "calm"})
    await agent.set_metadata("second shift")
    await agent.set_name("Desk")
    assert agent.attributes == {"lk.agent.name": "desk", "mood": "calm"}
    assert (agent.metadata, agent.name) == ("second shift", "Desk")
    assert room.sent == [
        Sent("attributes", attributes={"mood": "calm"}),
        Sent("metadata", content="second shift"),
        Sent("name", content="Desk"),
    ]
    assert heard == [
        ("participant_attributes_changed", {"mood": "calm"}, agent),
        ("participant_metadata_changed", agent, "", "second shift"),
        ("participant_name_changed", agent, "", "Desk"),
    ]


async def test_livekits_own_ways_of_waiting_work(room) -> None:
    waiting = [
        asyncio.ensure_future(utils.wait_for_participant(room, identity="alice")),
        asyncio.ensure_future(utils.wait_for_track_publication(room, identity="caller")),
        asyncio.ensure_future(
            utils.participant.wait_for_participant_attribute(
                room, identity="caller", attribute="ready", value="yes"
            )
        ),
    ]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    alice = room.add_participant("alice")
    track = room.add_track("caller")
    room.change_attributes("caller", {"ready": "yes"})
    assert await asyncio.gather(*waiting) == [alice, track, None]
    gone = asyncio.ensure_future(utils.wait_for_participant(room, identity="bob"))
    await asyncio.sleep(0)
    await room.disconnect()
    with pytest.raises(RuntimeError, match="room disconnected while waiting for participant"):
        await gone


async def test_a_participant_entrypoint_runs_for_whoever_comes(job_context) -> None:
    from livekit.agents.testing import fake_job_context

    met = []

    async def meet(ctx: JobContext, participant: rtc.RemoteParticipant) -> None:
        met.append((ctx.room.name, participant.identity))

    room = FakeRoom(name="lobby")
    with fake_job_context(room=room) as ctx:
        ctx._connected = False  # LiveKit's fake job leaves connecting to its caller
        ctx.add_participant_entrypoint(meet)
        room.add_participant("early")
        await ctx.connect()
        room.add_participant("late")
        await asyncio.sleep(0)
        ctx._tempdir.cleanup()
    assert met == [("lobby", "early"), ("lobby", "late")]


# --- what the agent sends


async def test_packets_are_recorded(room) -> None:
    agent = room.local_participant
    await agent.publish_data("hi", topic="ui", destination_identities=["caller"])
    await agent.publish_data(b"\x00\x01", reliable=False)
    await agent.publish_dtmf(code=5, digit="5")
    segment = {"start_time": 0, "end_time": 0, "language": "en"}
    await agent.publish_transcription(
        rtc.Transcription(
            "fake-agent",
            "TR_1",
            [
                rtc.TranscriptionSegment(id="S1", text="Hel", final=False, **segment),
                rtc.TranscriptionSegment(id="S1", text="Hello", final=True, **segment),
            ],
        )
    )
    of_segment = {"lk.segment_id": "S1", "lk.transcribed_track_id": "TR_1"}
    assert room.sent == [
        Sent("data", "ui", b"hi", to=("caller",)),
        Sent("data", content=b"\x00\x01"),
        Sent("dtmf", content="5", attributes={"code": "5"}),
        Sent("transcription", "", "Hel", {**of_segment, "lk.transcription_final": "false"}),
        Sent("transcription", "", "Hello", {**of_segment, "lk.transcription_final": "true"}),
    ]


async def test_a_stream_of_text_is_recorded_from_when_it_opens(room) -> None:
    agent = room.local_participant
    writer = await agent.stream_text(
        topic="ui", attributes={"card": "1"}, destination_identities=["caller"]
    )
    assert isinstance(writer, rtc.TextStreamWriter)
    assert room.sent == [Sent("text", "ui", "", {"card": "1"}, ("caller",))]
    await writer.write("Hel")
    await agent.publish_data("between")
    await writer.write("lo")
    await writer.aclose(attributes={"done": "yes"})
    assert room.sent == [
        Sent("text", "ui", "Hello", {"card": "1", "done": "yes"}, ("caller",)),
        Sent("data", content=b"between"),
    ]
    with pytest.raises(RuntimeError, match="Cannot write after stream is closed"):
        await writer.write("x")
    with pytest.raises(RuntimeError, match="Stream already closed"):
        await writer.aclose()


async def test_two_streams_that_say_the_same_stay_two(room) -> None:
    first = await room.local_participant.stream_text(topic="ui")
    second = await room.local_participant.stream_text(topic="ui")
    await second.write("b")
    await first.write("a")
    assert [one.content for one in room.sent] == ["a", "b"]
    assert (first.info.stream_id, second.info.stream_id) == ("ST_1", "ST_2")


async def test_the_record_may_be_cleared_while_a_stream_is_open(room) -> None:
    writer = await room.local_participant.stream_text(topic="ui")
    await writer.write("before, ")
    room.sent.clear()
    await writer.write("after")
    assert room.sent == [Sent("text", "ui", "before, after")]


async def test_texts_bytes_and_files_that_are_sent_whole_are_recorded(room, tmp_path) -> None:
    agent = room.local_participant
    told = await agent.send_text("grüezi", topic="ui", attributes={"a": "b"})
    assert (told.topic, told.size, told.attributes) == ("ui", 7, {"a": "b"})
    sent = await agent.send_bytes(b"\x89PNG", topic="image", name="a.png", mime_type="image/png")
    assert (sent.name, sent.mime_type, sent.size) == ("a.png", "image/png", 4)
    writer = await agent.stream_bytes("log", topic="logs", stream_id="mine")
    assert isinstance(writer, rtc.ByteStreamWriter)
    assert writer.info.stream_id == "mine"
    await writer.write(b"1")
    await writer.write(b"2")
    await writer.aclose()
    (tmp_path / "bill.pdf").write_bytes(b"%PDF")
    file = await agent.send_file(str(tmp_path / "bill.pdf"), topic="bills")
    assert (file.name, file.mime_type, file.size) == ("bill.pdf", "application/pdf", 4)
    assert room.sent == [
        Sent("text", "ui", "grüezi", {"a": "b"}),
        Sent("bytes", "image", b"\x89PNG", name="a.png"),
        Sent("bytes", "logs", b"12", name="log"),
        Sent("bytes", "bills", b"%PDF", name="bill.pdf"),
    ]
    with pytest.raises(StreamError, match=r"I/O error.*no.pdf"):
        await agent.send_file(str(tmp_path / "no.pdf"))


async def test_what_is_no_text_is_refused_as_livekit_refuses_it(room) -> None:
    agent: Any = room.local_participant
    for sends in (
        lambda: agent.publish_data("x", topic=None, destination_identities=[1]),
        lambda: agent.set_attributes({"count": 3}),
        lambda: agent.set_metadata({"a": 1}),
        lambda: agent.set_name(1),
        lambda: agent.send_text("x", attributes={"count": 3}),
        lambda: agent.perform_rpc(destination_identity="caller", method="m", payload={"a": 1}),
        # what is not known is no text either
        lambda: agent.publish_data("x", topic=None),
        lambda: agent.publish_dtmf(code=1, digit=None),
        lambda: agent.set_attributes({"count": None}),
        lambda: agent.set_metadata(None),
        lambda: agent.set_name(None),
        lambda: agent.send_text("x", attributes={"count": None}),
        lambda: agent.perform_rpc(destination_identity="caller", method="m", payload=None),
        lambda: agent.perform_rpc(destination_identity="caller", method=None, payload=""),
    ):
        with pytest.raises(TypeError):
            await sends()
    assert room.sent == []


async def test_what_is_sent_gives_others_a_turn_as_the_native_library_does(room) -> None:
    order = []

    async def other() -> None:
        order.append("other")

    task = asyncio.ensure_future(other())
    await room.local_participant.publish_data("x")
    order.append("sent")
    await task
    assert order == ["other", "sent"]


# --- what the agent receives


async def test_a_stream_of_text_reaches_the_handler_of_its_topic(room) -> None:
    read = []

    def on_text(reader: rtc.TextStreamReader, identity: str) -> None:
        async def read_it() -> None:
            read.append((identity, await reader.read_all(), reader.info))

        assert isinstance(reader, rtc.TextStreamReader)
        tasks.append(asyncio.ensure_future(read_it()))

    tasks: list[asyncio.Task[None]] = []
    room.register_text_stream_handler("lk.chat", on_text)
    await room.receive_text("grüezi", topic="lk.chat", attributes={"a": "b"})
    await asyncio.gather(*tasks)
    [(identity, text, info)] = read
    assert (identity, text) == ("caller", "grüezi")
    assert isinstance(info, rtc.TextStreamInfo)
    assert (info.topic, info.size, info.attributes, info.mime_type) == (
        "lk.chat",
        7,
        {"a": "b"},
        "text/plain",
    )


async def test_long_streams_come_in_the_pieces_that_livekit_makes(room) -> None:
    readers: list[Any] = []
    room.register_text_stream_handler("text", lambda reader, _: readers.append(reader))
    room.register_byte_stream_handler("bytes", lambda reader, _: readers.append(reader))
    await room.receive_text("ü" * 8_000, topic="text")
    await room.receive_bytes(b"x" * 15_001, topic="bytes", name="a.bin", mime_type="image/png")
    await room.receive_text("", topic="text")
    text, data, nothing = [[piece async for piece in reader] for reader in readers]
    assert (text, nothing) == (["ü" * 7_500, "ü" * 500], [])
    assert data == [b"x" * 15_000, b"x"]
    assert isinstance(readers[1], rtc.ByteStreamReader)
    info = readers[1].info
    assert (info.name, info.mime_type, info.size) == ("a.bin", "image/png", 15_001)
    assert [piece async for piece in readers[0]] == []  # once is enough


@pytest.mark.skipif(not hasattr(rtc.TextStreamReader, "close"), reason="livekit 1.1.18 has it")
async def test_a_reader_that_is_closed_ends(room) -> None:
    readers: list[Any] = []
    room.register_text_stream_handler("t", lambda reader, _: readers.append(reader))
    room.register_byte_stream_handler("t", lambda reader, _: readers.append(reader))
    await room.receive_text("x", topic="t")
    await room.receive_bytes(b"x", topic="t")
    for reader in readers:
        reader.close()
        assert [piece async for piece in reader] == []


async def test_a_stream_that_nobody_hears_is_told(room) -> None:
    room.register_text_stream_handler("lk.chat", lambda *_: None)
    with pytest.raises(
        UsageError,
        match=r"nobody hears the text stream on 'lk.chats': the agent registered handlers for "
        r"lk.chat; did you mean 'lk.chat'",
    ):
        await room.receive_text("x", topic="lk.chats")
    with pytest.raises(UsageError, match=r"the byte stream on 'f': .* handlers for none$"):
        await room.receive_bytes(b"x", topic="f")


async def test_packets_arrive_as_livekits_events(room) -> None:
    heard = listen(room)
    caller = room.remote_participants["caller"]
    await room.receive_data("hi", topic="ui")
    await room.receive_data(b"\x00", sender=None)
    await room.receive_dtmf("5#")
    kind = rtc.DataPacketKind.KIND_RELIABLE
    assert heard == [
        ("data_received", rtc.DataPacket(b"hi", kind, caller, "ui")),
        ("data_received", rtc.DataPacket(b"\x00", kind, None, "")),
        ("sip_dtmf_received", rtc.SipDTMF(5, "5", caller)),
        ("sip_dtmf_received", rtc.SipDTMF(11, "#", caller)),
    ]
    with pytest.raises(UsageError, match=r"no telephone has x; its keys are 0, 1, .*, D"):
        await room.receive_dtmf("5x")


async def test_a_handler_that_does_not_fit_is_told_to_the_test(room) -> None:
    def handler(reader: Any) -> None:
        raise AssertionError

    room.register_text_stream_handler("t", handler)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        await room.receive_text("x", topic="t")


# --- RPC


async def test_a_participant_calls_a_method_of_the_agent(room) -> None:
    agent = room.local_participant

    @agent.register_rpc_method("greet")
    async def greet(call: rtc.RpcInvocationData) -> str:
        await asyncio.sleep(1)
        return f"{call.caller_identity}: {call.payload} ({call.response_timeout:g} s)"

    agent.register_rpc_method("ping", lambda call: None)
    assert await room.call_rpc("greet", "hi") == "caller: hi (8 s)"
    assert await room.call_rpc("ping") == ""
    agent.unregister_rpc_method("ping")
    with pytest.raises(rtc.RpcError, match="Method not supported at destination") as refused:
        await room.call_rpc("ping")
    assert refused.value.code == Code.UNSUPPORTED_METHOD


async def test_what_a_method_raises_reaches_the_caller_as_on_the_wire(room, caplog) -> None:
    agent = room.local_participant

    async def own(call: Any) -> str:
        raise rtc.RpcError(4711, "sold out", "data")

    def broken(call: Any) -> str:
        raise LookupError("no such table")

    async def slow(call: Any) -> str:
        await asyncio.sleep(60)
        return "late"

    for method in (own, broken, slow):
        agent.register_rpc_method(method.__name__, method)
    with pytest.raises(rtc.RpcError, match="sold out") as raised:
        await room.call_rpc("own")
    assert (raised.value.code, raised.value.data) == (4711, "data")
    with pytest.raises(rtc.RpcError, match="Application error in method handler") as raised:
        await room.call_rpc("broken")
    assert raised.value.code == Code.APPLICATION_ERROR
    assert repr(raised.value.__cause__) == "LookupError('no such table')"
    assert "Uncaught error returned by RPC handler for broken" in caplog.text
    began = asyncio.get_running_loop().time()
    with pytest.raises(rtc.RpcError, match="Response timeout"):
        await room.call_rpc("slow", timeout=10)
    assert asyncio.get_running_loop().time() - began == pytest.approx(3)


async def test_a_method_that_returns_no_text_is_told(room) -> None:
    room.local_participant.register_rpc_method("state", lambda call: {"a": 1})
    with pytest.raises(
        BehaviourError,
        match=r"the method 'state' returned {'a': 1}: LiveKit sends a str alone, and the caller "
        r"would wait in vain; return one, such as json.dumps",
    ):
        await room.call_rpc("state")


async def test_requests_and_answers_have_livekits_bound(room) -> None:
    agent = room.local_participant
    agent.register_rpc_method("long", lambda call: "x" * 15_361)
    room.answer_rpc("long", "x" * 15_361)
    for code, sends in [
        (Code.REQUEST_PAYLOAD_TOO_LARGE, room.call_rpc("long", "x" * 15_361)),
        (Code.RESPONSE_PAYLOAD_TOO_LARGE, room.call_rpc("long", "x" * 15_360)),
        (Code.REQUEST_PAYLOAD_TOO_LARGE, _ask(room, "long", "x" * 15_361)),
        (Code.RESPONSE_PAYLOAD_TOO_LARGE, _ask(room, "long", "x" * 15_360)),
    ]:
        with pytest.raises(rtc.RpcError) as raised:
            await sends
        assert raised.value.code == code


async def test_a_call_under_way_when_the_room_is_left_is_answered(room) -> None:
    async def slow(call: Any) -> str:
        await asyncio.sleep(60)
        return "late"

    room.local_participant.register_rpc_method("slow", slow)
    under_way = asyncio.ensure_future(room.call_rpc("slow", timeout=100))
    await asyncio.sleep(1)
    just_begun = asyncio.ensure_future(room.call_rpc("slow", timeout=100))
    leaving = asyncio.ensure_future(room.disconnect())
    for call in (under_way, just_begun):
        with pytest.raises(rtc.RpcError, match="Recipient disconnected"):
            await call
    await leaving


async def test_a_participant_answers_the_agent(room) -> None:
    async def later(payload: str) -> str:
        await asyncio.sleep(1)
        return f"{payload}!"

    room.answer_rpc("show", "shown")
    room.answer_rpc("echo", lambda payload: payload.upper())
    room.answer_rpc("later", later)
    room.answer_rpc("no", rtc.RpcError(4711, "not now"))
    answers = [await _ask(room, method, "card") for method in ("show", "echo", "later")]
    assert answers == ["shown", "CARD", "card!"]
    assert room.sent[0] == Sent("rpc", "show", "card", to=("caller",))
    for _ in range(2):
        with pytest.raises(rtc.RpcError, match="not now"):
            await _ask(room, "no")
    with pytest.raises(rtc.RpcError) as raised:
        await _ask(room, "unknown")
    assert raised.value.code == Code.UNSUPPORTED_METHOD
    assert [one.topic for one in room.sent] == ["show", "echo", "later", "no", "no", "unknown"]


async def test_who_does_not_answer_is_waited_for_as_long_as_livekit_waits(room) -> None:
    async def never(payload: str) -> str:
        await asyncio.sleep(3600)
        return ""

    room.answer_rpc("never", never)
    clock = asyncio.get_running_loop()
    for options, code, seconds in [
        ({}, Code.RESPONSE_TIMEOUT, 15),
        ({"response_timeout": 2.0}, Code.RESPONSE_TIMEOUT, 2),
        ({"destination_identity": "bob"}, Code.CONNECTION_TIMEOUT, 7),
    ]:
        began = clock.time()
        with pytest.raises(rtc.RpcError) as raised:
            await _ask(room, "never", **options)
        assert (raised.value.code, clock.time() - began) == (code, pytest.approx(seconds))


async def test_a_mistake_in_an_answer_is_the_tests(room) -> None:
    async def times_out(payload: str) -> str:
        raise TimeoutError("its own")

    room.answer_rpc("dict", {"a": 1})
    with pytest.raises(UsageError, match=r"answer_rpc.'dict', ….* answers {'a': 1}: participants"):
        await _ask(room, "dict")
    room.answer_rpc("late", times_out)
    with pytest.raises(TimeoutError, match="its own"):
        await _ask(room, "late")


@pytest.mark.skipif(not hasattr(rtc, "RpcInterceptor"), reason="livekit 1.1.18 has them")
async def test_interceptors_stand_around_calls_both_ways(room) -> None:
    class Loud(rtc.RpcInterceptor):
        async def intercept_incoming(self, invocation: Any, next: Any) -> str:  # noqa: A002
            return f"<{await next(invocation)}>"

        async def intercept_outgoing(self, call: Any, next: Any) -> str:  # noqa: A002
            return f"[{await next(call)}]"

    room.local_participant.add_rpc_interceptor(Loud())
    room.local_participant.register_rpc_method("m", lambda call: call.method)
    room.answer_rpc("m", "yes")
    assert (await room.call_rpc("m"), await _ask(room, "m")) == ("<m>", "[yes]")


async def test_livekits_tracing_of_rpc_stands_around_it(room) -> None:
    tracing = pytest.importorskip("livekit.agents.telemetry.rpc")
    assert tracing.install(room.local_participant) == hasattr(rtc, "RpcInterceptor")
    room.local_participant.register_rpc_method("m", lambda call: "yes")
    room.answer_rpc("m", "yes")
    assert (await room.call_rpc("m"), await _ask(room, "m")) == ("yes", "yes")


async def _ask(room: FakeRoom, method: str, payload: str = "", **options: Any) -> str:
    options = {"destination_identity": "caller", **options}
    return await room.local_participant.perform_rpc(method=method, payload=payload, **options)


# --- tracks


async def test_a_track_of_the_agent_is_published_heard_and_taken_back(room) -> None:
    agent, track = room.local_participant, microphone()
    heard = listen(room)
    publication = await agent.publish_track(
        track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    )
    assert heard == []  # the event comes after the answer, as it does from LiveKit
    await publication.wait_for_subscription()
    assert isinstance(publication, rtc.LocalTrackPublication)
    assert (publication.sid, track.sid, publication.name) == ("TR_1", "TR_1", "mic")
    assert publication.source == rtc.TrackSource.SOURCE_MICROPHONE
    assert agent.track_publications == {"TR_1": publication}
    assert await utils.wait_for_track_publication(room, include_local=True) is publication
    assert room.sent == [Sent("track", content="audio", name="mic")]
    await agent.unpublish_track("TR_1")
    assert agent.track_publications == {}
    assert publication.track is None
    assert heard == [
        ("local_track_published", publication, track),
        ("local_track_subscribed", track),
        ("local_track_unpublished", publication),
    ]
    with pytest.raises(UnpublishTrackError):
        await agent.unpublish_track("TR_1")


async def test_a_track_is_heard_once_somebody_is_there(fake_llm) -> None:
    room = FakeRoom()
    room.join_now()
    publication = await room.local_participant.publish_track(microphone())
    waiting = asyncio.ensure_future(publication.wait_for_subscription())
    await asyncio.sleep(60)
    assert not waiting.done()
    heard = listen(room)
    room.add_participant()
    room.add_participant("alice")
    await waiting
    assert [event for event, *_ in heard].count("local_track_subscribed") == 1


async def test_tracks_of_a_participant_come_and_go(room) -> None:
    heard = listen(room)
    caller = room.remote_participants["caller"]
    sound = room.add_track(name="mic")
    picture = room.add_track(kind="video", source=rtc.TrackSource.SOURCE_SCREENSHARE)
    assert isinstance(sound, rtc.RemoteTrackPublication)
    assert isinstance(sound.track, rtc.RemoteAudioTrack)
    assert isinstance(picture.track, rtc.RemoteVideoTrack)
    assert sound.source == rtc.TrackSource.SOURCE_MICROPHONE
    assert picture.source == rtc.TrackSource.SOURCE_SCREENSHARE
    assert caller.track_publications == {"TR_1": sound, "TR_2": picture}
    track = sound.track
    picture.set_subscribed(False)
    picture.set_subscribed(False)
    picture.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
    room.remove_participant()
    assert [event for event, *_ in heard] == [
        *("track_published", "track_subscribed") * 2,
        *("track_unsubscribed", "track_unsubscribed", "track_unpublished", "track_unpublished"),
        "participant_disconnected",
    ]
    assert heard[1] == ("track_subscribed", track, sound, caller)
    assert caller.track_publications == {}


async def test_without_auto_subscription_the_agent_subscribes_by_itself(fake_llm) -> None:
    room = FakeRoom()
    await room.connect("", "", rtc.RoomOptions(auto_subscribe=False))
    room.add_participant()
    publication = room.add_track()
    assert not publication.subscribed
    publication.set_subscribed(True)
    assert publication.subscribed


# --- a session in it


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book appointments.")


LEAN: dict[str, Any] = {
    "vad": None,
    "turn_handling": {"turn_detection": None},
    "user_away_timeout": None,
    "aec_warmup_duration": None,
}


async def start(room: FakeRoom, model: Any) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=model, **LEAN)
    options = RoomOptions(audio_input=False, audio_output=False)
    await session.start(Desk(), room=room, room_options=options)
    return session


async def test_a_session_answers_a_chat_message_of_a_participant(room, fake_llm) -> None:
    fake_llm.script("You are booked.")
    session = await start(room, fake_llm)
    try:
        await room.receive_text("2 pm please", topic="lk.chat")
        await asyncio.sleep(5)
    finally:
        await session.aclose()
    assert fake_llm.requests[0].last_input == "2 pm please"
    [reply] = [one for one in room.sent if one.topic == "lk.transcription"]
    assert (reply.kind, reply.content) == ("text", "You are booked.")
    assert reply.attributes["lk.transcription_final"] == "true"
    states = [
        one.attributes["lk.agent.state"] for one in room.sent if "lk.agent.state" in one.attributes
    ]
    assert states == ["listening", "thinking", "speaking", "listening"]
    with pytest.raises(UsageError, match=r"nobody hears the text stream on 'lk.chat'"):
        await room.receive_text("still there?", topic="lk.chat")


async def test_a_session_closes_when_its_participant_hangs_up(room, fake_llm) -> None:
    closed = []
    session = await start(room, fake_llm)
    session.on("close", lambda event: closed.append(event.reason.value))
    await asyncio.sleep(1)
    room.remove_participant()
    await asyncio.sleep(1)
    assert closed == ["participant_disconnected"]


async def test_livekits_session_transport_runs_over_streams_of_bytes(room) -> None:
    transport = RoomSessionTransport(room, remote_identity="caller")
    await transport.start()
    asked = protocol.AgentSessionMessage(
        request=protocol.SessionRequest(request_id="1", ping=protocol.SessionRequest.Ping())
    )
    try:
        await room.receive_bytes(asked.SerializeToString(), topic="lk.agent.session")
        assert await transport.__anext__() == asked
        await transport.send_message(asked)
    finally:
        await transport.close()
    [sent] = room.sent
    assert (sent.kind, sent.topic, sent.to) == ("bytes", "lk.agent.session", ("caller",))
    assert protocol.AgentSessionMessage.FromString(sent.content) == asked
