"""The offline guard: what leads out of the machine, and whose code is refused it.

Mostly by audit events, as CPython raises them: nothing here depends on what a network would answer.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, llm, stt, tts

from pytest_lkagent.errors import RefusedConnection, UsageError
from pytest_lkagent.guard import Guard
from pytest_lkagent.options import read_hosts

TCP = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
TCP6 = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
UDP = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
UNIX = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
FAR = ("socket.connect", TCP, ("192.0.2.1", 443))


@pytest.fixture(scope="module", autouse=True)
def _sockets():
    yield
    for one in (TCP, TCP6, UDP, UNIX):
        one.close()


@contextmanager
def guarded(*hosts: str, found: Callable[[RefusedConnection], object] = lambda _: None):
    """Guard the running loop, as the stage does."""
    read = read_hosts(hosts, where="lk_allow_hosts")
    loop = asyncio.get_running_loop()
    with Guard(loop, read, found=found, waiting=lambda *_: None) as guard:
        yield guard


def refused(*event: object) -> str | None:
    """Return what the refusal of an audit event says, None where it passes."""
    try:
        sys.audit(*event)
    except RefusedConnection as refusal:
        return str(refusal)
    return None


REFUSED = [
    (("socket.connect", TCP, ("192.0.2.1", 443)), "the test connects to 192.0.2.1:443 ("),
    (("socket.connect", TCP6, ("2001:db8::1", 443, 0, 0)), "the test connects to 2001:db8::1:443"),
    (("socket.connect", TCP, ("API.example.com.", 80)), "the test connects to api.example.com:80"),
    (("socket.sendto", TCP, ("192.0.2.1", 53)), "the test sends to 192.0.2.1:53"),
    (("socket.sendmsg", TCP, ("192.0.2.1", 53)), "the test sends to 192.0.2.1:53"),
    (("socket.getaddrinfo", "a.example.com", 443, 0, 0, 0), "the test looks up a.example.com:443"),
    (("socket.getaddrinfo", b"a.example.com", "https", 0, 0, 0), "the test looks up a.example.com"),
    (("socket.gethostbyname", "a.example.com"), "the test looks up a.example.com ("),
    (("socket.gethostbyaddr", "192.0.2.1"), "the test looks up 192.0.2.1 ("),
    (("socket.getnameinfo", ("192.0.2.1", 80)), "the test looks up 192.0.2.1:80"),
    (("socket.connect", TCP, ("localhost.example.com", 80)), "the test connects to localhost.ex"),
    (("socket.connect", TCP, ("<broadcast>", 80)), "the test connects to <broadcast>:80"),
]
LET_PASS = [
    ("socket.connect", TCP, ("127.0.0.1", 80)),
    ("socket.connect", TCP, ("127.8.8.8", 80)),
    ("socket.connect", TCP, ("localhost", 80)),
    ("socket.connect", TCP, ("", 80)),
    ("socket.connect", TCP, ("0.0.0.0", 80)),
    ("socket.connect", TCP6, ("::1", 80, 0, 0)),
    ("socket.connect", TCP6, ("::1%lo", 80, 0, 1)),
    ("socket.connect", TCP6, ("::ffff:127.0.0.1", 80, 0, 0)),
    ("socket.connect", UNIX, "/run/desk.sock"),
    ("socket.connect", UNIX, b"\0desk"),
    ("socket.connect", TCP, 80),
    ("socket.sendmsg", TCP, None),
    ("socket.bind", TCP, ("192.0.2.1", 80)),
    ("socket.getaddrinfo", None, 80, 0, 0, 0),
    ("socket.getaddrinfo", "LOCALHOST", 80, 0, 0, 0),
    ("socket.getaddrinfo", "desk.localhost", 80, 0, 0, 0),
    ("socket.getaddrinfo", socket.gethostname(), 80, 0, 0, 0),
    ("socket.getaddrinfo", "192.0.2.1", 80, 0, 0, 0),
    ("socket.getnameinfo", ("127.0.0.1", 80)),
    ("open", "/tmp/desk", "r", 0),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("event", "message"), REFUSED, ids=lambda value: str(value)[:60])
async def test_what_leads_out_of_the_machine_is_refused(event, message):
    with guarded() as guard:
        assert (refused(*event) or "").startswith(message)
        with pytest.raises(RefusedConnection):  # once more where coverage sees it: not in a hook
            guard.audit(event[0], event[1:])
    assert refused(*event) is None


@pytest.mark.asyncio
@pytest.mark.parametrize("event", LET_PASS, ids=str)
async def test_what_stays_on_the_machine_passes(event):
    with guarded() as guard:
        assert refused(*event) is None
        if event[0] not in ("open", "socket.bind"):  # the hook leaves these alone
            guard.audit(event[0], event[1:])


@pytest.mark.asyncio
async def test_a_refusal_says_who_does_what_where_and_what_to_do():
    with guarded():
        said = refused(*FAR) or ""
    who, _, rest = said.partition(" (")
    line, _, rest = rest.partition(")")
    assert who == "the test connects to 192.0.2.1:443"
    assert line.endswith(f"test_guard.py:{_line_of('sys.audit(*event)')}")
    assert rest == (
        ", and nothing leaves the machine while a test of an agent runs: mock the tool that does "
        "it, or let it pass in the ini file: lk_allow_hosts = 192.0.2.1"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "do",
    [
        lambda: TCP.connect(("a.example.com", 80)),
        lambda: TCP.connect_ex(("a.example.com", 80)),
        lambda: UDP.sendto(b"", ("a.example.com", 53)),
        lambda: UDP.sendto(b"", 0, ("a.example.com", 53)),
        lambda: UDP.sendmsg([b""], [], 0, ("a.example.com", 53)),
        lambda: socket.create_connection(("a.example.com", 80)),
        lambda: socket.gethostbyname("a.example.com"),
        lambda: socket.gethostbyname_ex("a.example.com"),
        lambda: socket.getfqdn("192.0.2.1"),
        lambda: socket.getnameinfo(("192.0.2.1", 80), 0),
    ],
)
async def test_a_name_is_refused_before_anybody_is_asked_for_it(do):
    # and not by a socket.gaierror, which is what no network would say
    found: list[RefusedConnection] = []
    with guarded(found=found.append), suppress(RefusedConnection):
        do()
    assert len(found) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["connect", "connect_ex", "sendto", "sendmsg"])
async def test_a_call_without_its_arguments_is_pythons_own_mistake(method):
    with guarded(), pytest.raises(TypeError):
        getattr(UDP, method)()


@pytest.mark.asyncio
async def test_it_is_a_finding_once_for_each_host_and_refused_each_time():
    found: list[RefusedConnection] = []
    with guarded(found=found.append):
        assert refused(*FAR)
        assert refused("socket.connect", TCP, ("192.0.2.1", 80))
        assert refused("socket.connect", TCP, ("192.0.2.2", 80))
    said = [str(refusal).partition(" (")[0] for refusal in found]
    assert said == ["the test connects to 192.0.2.1:443", "the test connects to 192.0.2.2:80"]
    assert found[0].strerror == str(found[0])  # what libraries quote, aiohttp for one


# --- hosts that may pass


@pytest.mark.asyncio
async def test_an_allowed_host_passes_on_any_port_or_on_the_one_that_is_named():
    with guarded("a.example.com", "192.0.2.1:443", "[2001:db8::1]:80", "[2001:db8::2]"):
        assert refused("socket.getaddrinfo", "A.example.com", 80, 0, 0, 0) is None
        assert refused("socket.connect", TCP, ("192.0.2.1", 443)) is None
        assert refused("socket.connect", TCP, ("192.0.2.1", 80))
        assert refused("socket.connect", TCP6, ("2001:db8::1", 80, 0, 0)) is None
        assert refused("socket.connect", TCP6, ("2001:db8::1", 81, 0, 0))
        assert refused("socket.connect", TCP6, ("2001:db8::2", 81, 0, 0)) is None
        assert refused("socket.getaddrinfo", "b.example.com", 80, 0, 0, 0)


@pytest.mark.asyncio
async def test_the_addresses_of_an_allowed_name_pass_and_others_do_not(monkeypatch):
    table = {"a.example.com": "192.0.2.7", "localhost": "192.0.2.8"}

    def look_up(host, port, *_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (table[host], port))]

    monkeypatch.setattr("_socket.getaddrinfo", look_up)
    with guarded("a.example.com:443"):
        assert refused("socket.connect", TCP, ("192.0.2.7", 443))
        socket.getaddrinfo("a.example.com", 443)
        socket.getaddrinfo("localhost", 443)
        assert refused("socket.connect", TCP, ("192.0.2.7", 443)) is None
        assert refused("socket.connect", TCP, ("192.0.2.7", 80))
        assert refused("socket.connect", TCP, ("192.0.2.8", 443))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("https://api.example.com/v1", "; did you mean 'api.example.com'?"),
        ("api.example.com/v1", ""),
        ("api.example.com:https", ""),
        ("*.example.com", ""),
        ("2001:db8::1", ""),
    ],
)
def test_what_is_no_host_is_refused_with_the_form_of_one(text, line):
    with pytest.raises(UsageError) as told:
        read_hosts([text], where="lk_allow_hosts")
    assert str(told.value) == (
        f"lk_allow_hosts: {text!r} is no host; write a name or an address, in brackets where it "
        f"has colons, and a port where only that one is meant: api.example.com:443{line}"
    )


# --- whose code it is


@pytest.mark.asyncio
async def test_threads_that_the_test_begins_and_those_that_they_begin_are_the_tests():
    said: list[str | None] = []

    def outer():
        inner = threading.Thread(target=lambda: said.append(refused(*FAR)))
        inner.start()
        inner.join()
        said.append(refused(*FAR))

    with guarded():
        thread = threading.Thread(target=outer)
        thread.start()
        thread.join()
    assert len(said) == 2
    assert all(said)


def test_the_same_thread_is_not_the_tests_while_its_loop_does_not_run(monkeypatch):
    async def connect(*_):
        connected.append(True)

    connected: list[bool] = []
    monkeypatch.setattr(rtc.Room, "connect", connect)

    async def enter():
        guard = guarded()
        guard.__enter__()
        assert refused(*FAR)
        return guard

    async def leave(guard):
        guard.__exit__(None, None, None)

    async def on_another_loop():
        await rtc.Room().connect("wss://live.example.com", "token")
        return refused(*FAR)

    with asyncio.Runner() as runner, asyncio.Runner() as other:
        guard = runner.run(enter())
        assert refused(*FAR) is None
        assert other.run(on_another_loop()) is None
        assert connected
        runner.run(leave(guard))


@pytest.mark.asyncio
async def test_a_thread_that_was_there_before_is_nobody_of_ours_unless_the_test_gives_it_a_job():
    loop = asyncio.get_running_loop()
    begin = threading.Event()
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as theirs:
        pool.submit(int).result()
        await loop.run_in_executor(None, int)
        of_others = theirs.submit(lambda: begin.wait() and pool.submit(refused, *FAR).result())
        with guarded():
            begin.set()
            assert of_others.result() is None
            assert pool.submit(refused, *FAR).result()
            assert list(pool.map(lambda far: bool(refused(*far)), [FAR])) == [True]
            assert theirs.submit(lambda: pool.submit(refused, *FAR).result()).result()
            assert await loop.run_in_executor(pool, refused, *FAR)
            assert await loop.run_in_executor(None, refused, *FAR)
            assert await asyncio.to_thread(refused, *FAR)
        assert await loop.run_in_executor(pool, refused, *FAR) is None
        assert pool.submit(refused, *FAR).result() is None


@pytest.mark.asyncio
async def test_what_goes_to_another_kind_of_executor_goes_as_it_is():
    class ToAProcess(Executor):
        def submit(self, function, /, *args):
            assert (function, args) == (int, ("3",))  # it has to be pickled
            done: Future[int] = Future()
            done.set_result(3)
            return done

    with guarded():
        assert await asyncio.get_running_loop().run_in_executor(ToAProcess(), int, "3") == 3


@pytest.mark.asyncio
async def test_the_line_of_a_job_is_the_one_that_waits_for_it():
    with guarded():
        with pytest.raises(RefusedConnection) as told:
            await asyncio.get_running_loop().getaddrinfo("a.example.com", 80)
        assert f"test_guard.py:{_line_of('loop().getaddrinfo(')})" in str(told.value)


def _line_of(code: str) -> int:
    with open(__file__, encoding="utf-8") as source:  # noqa: PTH123
        return next(number for number, line in enumerate(source, 1) if code in line)


# --- models and rooms


class Ears(stt.STT):
    def __init__(self):
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, buffer, **_):
        reach()

    def stream(self, **_):
        return EarsStream(stt=self, conn_options=APIConnectOptions())


class EarsStream(stt.RecognizeStream):
    async def _run(self):
        reach()


class Voice(tts.TTS):
    def __init__(self):
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True), sample_rate=8000, num_channels=1
        )

    def synthesize(self, text, **_):
        return VoiceChunked(tts=self, input_text=text, conn_options=APIConnectOptions())

    def stream(self, **_):
        return VoiceStream(tts=self, conn_options=APIConnectOptions())


class VoiceChunked(tts.ChunkedStream):
    async def _run(self, output_emitter):
        reach()


class VoiceStream(tts.SynthesizeStream):
    async def _run(self, output_emitter):
        reach()


class Brain(llm.LLM):
    def chat(self, *, chat_ctx, **_):
        return BrainStream(self, chat_ctx=chat_ctx, tools=[], conn_options=APIConnectOptions())


class BrainStream(llm.LLMStream):
    async def _run(self):
        reach()


def reach():
    sys.audit(*FAR)


async def _read(stream):
    async with stream:
        async for _ in stream:
            pass


async def _speak():
    stream = Voice().stream()
    stream.push_text("hello")
    stream.end_input()
    await _read(stream)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("work", "model"),
    [
        (lambda: _read(Brain().chat(chat_ctx=llm.ChatContext.empty())), "Brain"),
        (lambda: Ears().recognize([]), "Ears"),
        (lambda: _read(Ears().stream()), "Ears"),
        (lambda: _read(Voice().synthesize("hello")), "Voice"),
        (_speak, "Voice"),
    ],
    ids=["chat", "recognize", "recognize a stream", "synthesize", "synthesize a stream"],
)
async def test_a_model_is_named_by_its_class_while_it_works(work, model):
    found: list[RefusedConnection] = []
    with guarded(found=found.append):
        with pytest.raises(RefusedConnection):
            await work()
        refused("socket.connect", TCP, ("192.0.2.2", 443))
    said = [str(refusal) for refusal in found]
    assert f".{model} connects to 192.0.2.1:443 (" in said[0]
    assert said[1].startswith("the test connects to 192.0.2.2:443 (")


@pytest.mark.asyncio
async def test_a_room_connects_only_where_its_host_is_named(monkeypatch):
    connected = []

    async def connect(self, url, token):
        connected.append(url)

    monkeypatch.setattr(rtc.Room, "connect", connect)
    room = rtc.Room()
    with guarded("live.example.com"):
        await room.connect("wss://live.example.com", "token")
        for url in ("wss://other.example.com:7880", "ws://localhost:7880"):
            with pytest.raises(RefusedConnection, match=r"connects a room to \w.*:7880 \("):
                await room.connect(url, "token")
    await room.connect("ws://localhost:7880", "token")
    assert connected == ["wss://live.example.com", "ws://localhost:7880"]


# --- coming and going


def _seams():
    owners = (socket.socket, rtc.Room, threading.Thread, ThreadPoolExecutor, llm.LLMStream)
    return [dict(vars(owner)) for owner in owners]


@pytest.mark.asyncio
async def test_everything_is_as_before_once_the_guard_is_gone():
    loop = asyncio.get_running_loop()
    before, of_loop = _seams(), dict(vars(loop))
    with guarded("a.example.com"):
        assert _seams() != before
    assert _seams() == before
    assert vars(loop).keys() == of_loop.keys()


@pytest.mark.asyncio
async def test_what_somebody_else_put_in_its_place_stays_and_a_stand_in_they_kept_does_nothing(
    monkeypatch,
):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: "before", raising=False)
    far = ("192.0.2.1", 80)
    with guarded(), pytest.raises(RefusedConnection):
        TCP.connect(far)
    assert TCP.connect(far) == "before"
    with guarded():
        kept = socket.socket.connect
        monkeypatch.setattr(socket.socket, "connect", lambda *_: "theirs")
    assert TCP.connect(far) == "theirs"
    assert kept(TCP, far) == "before"
