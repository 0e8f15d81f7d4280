"""The ways of LiveKit's session messages: what goes over them, and what comes that is no frame."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from loops import run, virtual
from ways import WAYS, in_memory, ping, saying, started, to_an_agent_that_connects

from pytest_lkagent._livekit_remote import MAX_FRAME
from pytest_lkagent.errors import UsageError
from pytest_lkagent.simulation.transports import TcpListener


@pytest.fixture(params=WAYS)
def ends(request: pytest.FixtureRequest):
    return WAYS[request.param]


# --- frames


def test_messages_arrive_in_the_order_in_which_they_were_sent(ends) -> None:
    async def both_ways() -> None:
        async with started(ends()) as (one, other):
            for sender, receiver in ((one, other), (other, one)):
                for number in range(100):
                    await sender.send_message(ping(str(number)))
                got = [(await anext(receiver)).request.request_id for _ in range(100)]
                assert got == [str(number) for number in range(100)]

    with virtual() as clock:
        run(clock, both_ways())


def test_nothing_real_and_no_virtual_time_passes_in_memory() -> None:
    async def there_and_back() -> None:
        async with started(in_memory()) as (one, other):
            waiting = asyncio.ensure_future(anext(other))
            await one.send_message(saying("hi"))
            assert (await waiting).request.run_input.text == "hi"

    with virtual() as clock:
        clock._wait_really = pytest.fail
        run(clock, there_and_back())
        assert clock.now == 0


def test_what_was_sent_before_the_end_still_arrives(ends) -> None:
    async def leave() -> None:
        async with started(ends()) as (one, other):
            await one.send_message(saying("bye"))
            await one.close()
            assert [msg.request.run_input.text async for msg in other] == ["bye"]
            with pytest.raises(RuntimeError, match="closed"):
                await one.send_message(saying("hello?"))

    with virtual() as clock:
        run(clock, leave())


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("in_memory", "the other end was closed"),
        ("to_an_agent_that_connects", "the connection ended"),
    ],
)
def test_an_end_that_was_left_says_so_to_who_goes_on(way, why) -> None:
    async def left() -> None:
        async with started(WAYS[way]()) as (ours, agents):
            await agents.close()
            assert [msg async for msg in ours] == []
            with pytest.raises(RuntimeError, match=why):
                await ours.send_message(saying("hello?"))

    with virtual() as clock:
        run(clock, left())


def test_a_frame_over_1_mib_ends_a_pair_in_memory_too() -> None:
    async def too_long() -> None:
        async with started(in_memory()) as (one, other):
            rest = saying("x" * MAX_FRAME).ByteSize() - MAX_FRAME
            await one.send_message(saying("x" * (MAX_FRAME - rest)))
            assert len((await anext(other)).request.run_input.text) == MAX_FRAME - rest
            await one.send_message(saying("x" * (MAX_FRAME - rest + 1)))
            assert [msg async for msg in other] == []
            assert other.ended == _too_long(MAX_FRAME + 1)
            assert [msg async for msg in one] == []
            assert one.ended == "the other end was closed"

    with virtual() as clock:
        run(clock, too_long())


# --- what comes over TCP and is no frame


def _too_long(length: int) -> str:
    return (
        f"a frame of {length} bytes came, and LiveKit's session protocol takes {MAX_FRAME} at most"
    )


FAULTS = {
    "nothing": (b"", "the connection ended"),
    "half a header": (b"\0\0", "the connection ended within a frame, after 2 of 4 bytes"),
    "half a frame": (b"\0\0\0\x09half", "the connection ended within a frame, after 4 of 9 bytes"),
    "a header alone": (b"\0\0\0\x04", "the connection ended within a frame, after 0 of 4 bytes"),
    "a frame over 1 MiB": (
        struct.pack(">I", MAX_FRAME + 1),
        _too_long(MAX_FRAME + 1),
    ),
    "another protocol": (
        b"GET / HTTP/1.1\r\n\r\n",
        _too_long(int.from_bytes(b"GET ")),
    ),
    "no message": (
        b"\0\0\0\x04\xff\xff\xff\xff",
        "a frame came that is no message of LiveKit's session protocol",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_connection_and_says_what_came(fault) -> None:
    sent, why = FAULTS[fault]

    async def hear() -> None:
        listener = TcpListener()
        await listener.listen()
        reader, writer = await asyncio.open_connection(listener.host, listener.port)
        await listener.start()
        writer.write(sent)
        writer.write_eof()
        assert [msg async for msg in listener] == []
        assert listener.ended == why
        assert await reader.read() == b"", "the connection is closed"
        await listener.close()
        writer.close()
        await writer.wait_closed()

    with virtual() as clock:
        run(clock, hear())


def test_a_connection_that_breaks_says_so() -> None:
    async def hear() -> None:
        listener = TcpListener()
        await listener.listen()
        _, writer = await asyncio.open_connection(listener.host, listener.port)
        await listener.start()
        linger = struct.pack("ii", 1, 0)  # a close is then a reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        assert [msg async for msg in listener] == []
        assert listener.ended is not None
        assert listener.ended.startswith("the connection broke: ")
        await listener.close()

    with virtual() as clock:
        run(clock, hear())


def test_a_port_in_use_is_refused_with_a_way_out() -> None:
    async def listen_twice() -> None:
        first = TcpListener()
        await first.listen()
        second = TcpListener(port=first.port)
        refused = rf"^127\.0\.0\.1:{first.port} is in use; leave the port away, and a free one"
        with pytest.raises(UsageError, match=refused):
            await second.listen()
        await second.close()
        await first.close()

    with virtual() as clock:
        run(clock, listen_twice())


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def test_there_is_one_connection_and_then_the_port_is_closed() -> None:
    async def connect() -> None:
        async with started(to_an_agent_that_connects()) as (listener, _):
            assert isinstance(listener, TcpListener)
            assert not await is_open(listener.port)

    with virtual() as clock:
        run(clock, connect())


def test_of_two_that_connect_at_once_the_second_is_left_out() -> None:
    async def connect() -> None:
        listener = TcpListener()
        await listener.listen()
        address = listener.host, listener.port
        streams = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(2)))
        await listener.start()
        await listener.send_message(saying("hi"))
        await listener.close()
        heard = [await reader.read() for reader, _ in streams]
        assert sorted(map(bool, heard)) == [False, True]
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()

    with virtual() as clock:
        run(clock, connect())


def test_a_listener_to_whom_nobody_came_leaves_no_port_open() -> None:
    async def wait_in_vain() -> None:
        listener = TcpListener()
        await listener.listen()
        waiting = asyncio.ensure_future(listener.start())
        await asyncio.sleep(0)
        await listener.close()
        await asyncio.wait([waiting], timeout=1)
        assert waiting.cancelled()
        assert not await is_open(listener.port)

    with virtual() as clock:
        run(clock, wait_in_vain())


async def send_for_ever(listener: TcpListener) -> None:
    while True:
        await listener.send_message(saying("x" * 10**6))


def test_closing_does_not_wait_for_one_who_does_not_read() -> None:
    async def fill_up() -> None:
        listener = TcpListener()
        await listener.listen()
        _, writer = await asyncio.open_connection(listener.host, listener.port, limit=1)
        writer.transport.pause_reading()
        await listener.start()
        filling = asyncio.ensure_future(send_for_ever(listener))
        await asyncio.sleep(1)
        async with asyncio.timeout(1):
            await listener.close()
        filling.cancel()
        writer.transport.abort()

    with virtual() as clock:
        run(clock, fill_up())
