"""What is under way outside of the loop gets the real time that it needs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import aiosqlite
import pytest
import trustme
from loops import elapsed, run, virtual

from pytest_lkagent import clock as clock_module
from pytest_lkagent.clock import VirtualClock
from pytest_lkagent.real_work import PATIENCE


def test_jobs_in_threads_get_the_real_time_that_they_need() -> None:
    gate = threading.Event()

    async def race() -> str:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(None, gate.wait)
        threading.Timer(0.02, gate.set).start()
        slow = asyncio.ensure_future(asyncio.sleep(30, "the timer of 30 s"))
        done, _ = await asyncio.wait([job, slow], return_when=asyncio.FIRST_COMPLETED)
        slow.cancel()
        return "the job" if job in done else "the timer"

    with virtual() as clock:
        assert run(clock, race()) == "the job"
        assert 0 < clock.now < 30


def test_timers_that_come_due_while_a_job_is_in_a_thread_fire_exactly_then() -> None:
    gate = threading.Event()

    async def tick() -> float:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(None, gate.wait)
        passed = await elapsed(0.01)
        gate.set()
        await job
        return passed

    with virtual() as clock:
        assert run(clock, tick()) == pytest.approx(0.01, abs=1e-9)


def test_when_the_job_is_done_time_is_virtual_again() -> None:
    async def work() -> None:
        await asyncio.to_thread(int)
        await asyncio.sleep(3_600)

    with virtual() as clock:
        run(clock, work())
        assert clock.now >= 3_600


def test_a_subprocess_is_waited_for_although_a_timeout_hangs_over_it() -> None:
    async def ask() -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('done')", stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        return said

    with virtual() as clock:
        clock._loop.run_until_complete(_with_child_watcher(ask()))
        assert clock.now < 60


async def _with_child_watcher(coroutine: Coroutine[Any, Any, bytes]) -> None:
    assert await coroutine == b"done\n"


def test_a_subprocess_that_has_exited_does_not_make_time_real_again() -> None:
    async def work(clock: VirtualClock) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        assert await process.wait() == 0
        assert clock.work.lasts([]) is None
        await asyncio.sleep(3_600)

    with virtual() as clock:
        run(clock, work(clock))
        assert clock.now >= 3_600


def test_a_shell_command_is_waited_for() -> None:
    async def ask() -> bytes:
        process = await asyncio.create_subprocess_shell("echo done", stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        return said

    with virtual() as clock:
        assert run(clock, ask()) == b"done\n"


async def _ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"how are you?\n")
        return await reader.readline()
    finally:
        writer.close()


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readline()
        writer.write(b"fine\n")
        await reader.read()  # until the other side hangs up
    finally:
        writer.close()


def test_a_server_on_the_same_loop_answers_before_any_timeout() -> None:
    async def talk() -> None:
        server = await asyncio.start_server(_greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.wait_for(_ask(port), 30) == b"fine\n"
        await asyncio.sleep(3_600)
        server.close()
        await server.wait_closed()

    with virtual() as clock:
        run(clock, talk())
        assert clock.now >= 3_600


def test_an_open_connection_that_was_answered_does_not_make_time_real_again() -> None:
    async def talk(clock: VirtualClock) -> None:
        server = await asyncio.start_server(_greet, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        open_files = range(1_000)
        assert clock.work.lasts(open_files) is None
        writer.write(b"how are you?\n")
        assert clock.work.lasts(open_files) is not None
        assert clock.work.lasts([]) is None  # it was closed meanwhile
        writer.write(b"and they?\n")
        assert await reader.readline() == b"fine\n"
        assert clock.work.lasts(open_files) is None
        before = clock.now
        await asyncio.sleep(3_600)
        assert clock.now - before == 3_600
        writer.close()
        await asyncio.sleep(1)
        server.close()
        await server.wait_closed()

    with virtual() as clock:
        run(clock, talk(clock))


def test_between_two_ends_on_the_same_loop_time_is_real_only_while_something_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pytest_lkagent.real_work._ON_ITS_WAY", 30.0)  # longer than PATIENCE
    files = range(1_000)
    seen: list[float | None] = []

    async def talk(clock: VirtualClock) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.readline():
                seen.append(clock.work.lasts(files))
                writer.write(b"fine\n")
                seen.append(clock.work.lasts(files))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        _, idle = await asyncio.open_connection(*address)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"how are you?\n")
        seen.append(clock.work.lasts(files))
        assert await reader.readline() == b"fine\n"
        seen.append(clock.work.lasts(files))
        for one in (idle, writer):
            one.close()
        await asyncio.sleep(1)
        server.close()
        await server.wait_closed()

    with virtual() as clock:
        run(clock, talk(clock))
    asked, heard, answered, read = seen
    assert asked is not None
    assert asked > PATIENCE
    assert heard is None
    assert answered is not None
    assert answered > PATIENCE
    assert read is None


@contextmanager
def _server_in_a_thread(answer: Callable[[], bytes]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)  # where nobody comes

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


def test_a_connection_that_was_quiet_for_long_is_owed_the_next_answer_all_the_same() -> None:
    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(3_600)
        writer.write(b"how are you?\n")
        answer = await asyncio.wait_for(reader.readline(), 3_600)
        writer.close()
        return answer

    def fine() -> bytes:
        time.sleep(0.05)
        return b"fine\n"

    with _server_in_a_thread(fine) as port, virtual() as clock:
        assert run(clock, ask(port)) == b"fine\n"
        assert clock.now < 3_700


def test_a_question_that_takes_its_time_to_leave_is_no_answer() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    question = bytes(10_000_000)  # more than fits into the buffers of a connection

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            left = len(question)
            while left:
                left -= len(connection.recv(left))
            time.sleep(0.05)
            connection.sendall(b"at last\n")

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(question)
        answer = await asyncio.wait_for(reader.readline(), 3_600)
        writer.close()
        return answer

    thread = threading.Thread(target=serve)
    thread.start()
    with virtual() as clock:
        assert run(clock, ask()) == b"at last\n"
        assert clock.now < 3_600
    thread.join()
    listener.close()


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_server_in_a_thread_gets_the_time_to_answer(timeout: float | None) -> None:
    gate = threading.Event()

    def slowly() -> bytes:
        gate.wait(10)
        return b"at last\n"

    async def ask(port: int) -> bytes:
        return await asyncio.wait_for(_ask(port), timeout)

    with _server_in_a_thread(slowly) as port, virtual() as clock:
        # longer than the grace of a loop on which nothing can happen
        threading.Timer(clock_module.GRACE + 0.1, gate.set).start()
        assert run(clock, ask(port)) == b"at last\n"


def test_an_answer_that_never_comes_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pytest_lkagent.real_work.PATIENCE", 0.05)
    gate = threading.Event()

    def never() -> bytes:
        gate.wait(10)
        return b""

    async def ask(port: int) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_ask(port), 3_600)
        gate.set()

    with _server_in_a_thread(never) as port, virtual() as clock:
        run(clock, ask(port))
        assert clock.now == 3_600


def test_a_server_in_a_thread_gets_its_time_by_the_sockets_own_coroutines_too() -> None:
    def slowly() -> bytes:
        time.sleep(0.05)
        return b"at last"

    async def ask(port: int) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, b"how are you?")
            return await asyncio.wait_for(loop.sock_recv(client, 100), 3_600)

    with _server_in_a_thread(slowly) as port, virtual() as clock:
        assert run(clock, ask(port)) == b"at last"
        assert clock.now < 3_600


def test_a_connection_that_is_being_made_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    async def connect(loop: Any, sock: Any, address: Any) -> None:
        # as over a network: the answer comes from outside of the loop, and later
        answer: asyncio.Future[None] = asyncio.Future()  # which nobody sees who waits for a thread
        _in_a_thread(lambda: loop.call_soon_threadsafe(answer.set_result, gate.wait()))
        await answer
        monkeypatch.undo()
        await loop.sock_connect(sock, address)

    with _server_in_a_thread(lambda: b"fine\n") as port, virtual() as clock:
        monkeypatch.setattr(type(clock._loop), "sock_connect", connect)
        threading.Timer(0.05, gate.set).start()
        assert run(clock, asyncio.wait_for(_ask(port), 3_600)) == b"fine\n"
        assert clock.now < 3_600


def _in_a_thread(job: Callable[[], object]) -> Any:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(job)
    pool.shutdown(wait=False)
    return future


def test_a_job_in_a_pool_of_the_users_own_is_waited_for() -> None:
    gate = threading.Event()

    async def work() -> None:
        threading.Timer(0.05, gate.set).start()
        await asyncio.wait_for(asyncio.wrap_future(_in_a_thread(gate.wait)), 3_600)

    with virtual() as clock:
        run(clock, work())
        assert clock.now < 3_600


def _certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return how a client and a server speak TLS that trust each other."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert("localhost").configure_cert(theirs)
    return ours, theirs


def test_tls_is_waited_for_in_its_handshake_and_after_every_question() -> None:
    ours, theirs = _certified()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        time.sleep(0.05)
        with theirs.wrap_socket(connection, server_side=True) as secured:
            secured.recv(100)
            time.sleep(0.05)
            secured.sendall(b"at last\n")

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(
            *listener.getsockname(), ssl=ours, server_hostname="localhost"
        )
        writer.write(b"how are you?")
        answer = await asyncio.wait_for(reader.readline(), 3_600)
        writer.transport.abort()
        return answer

    thread = threading.Thread(target=serve)
    thread.start()
    with virtual() as clock:
        assert run(clock, ask()) == b"at last\n"
        assert clock.now < 60, "asyncio gives up the handshake after 60 s"
    thread.join()
    listener.close()


def test_a_session_ticket_is_no_answer() -> None:
    ours, theirs = _certified()
    listener = socket.create_server(("127.0.0.1", 0))
    asked = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(1, socket.MSG_PEEK)
        secured = theirs.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        secured.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            secured.do_handshake()
        asked.wait(10)
        secured.setblocking(True)
        secured.do_handshake()  # it ends with the tickets, which come after the question
        secured.recv(100)
        time.sleep(0.05)
        secured.sendall(b"at last\n")
        secured.close()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(
            *listener.getsockname(), ssl=ours, server_hostname="localhost"
        )
        writer.write(b"how are you?")
        asked.set()
        answer = await asyncio.wait_for(reader.readline(), 3_600)
        writer.transport.abort()
        return answer

    thread = threading.Thread(target=serve)
    thread.start()
    with virtual() as clock:
        assert run(clock, ask()) == b"at last\n"
        assert clock.now < 3_600
    thread.join()
    listener.close()


def test_a_tls_server_on_the_same_loop_is_owed_nothing_for_its_answer() -> None:
    ours, theirs = _certified()

    async def talk(clock: VirtualClock) -> None:
        server = await asyncio.start_server(_greet, "127.0.0.1", 0, ssl=theirs)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=ours, server_hostname="localhost"
        )
        open_files = range(1_000)
        writer.write(b"how are you?\n")
        assert clock.work.lasts(open_files) is not None
        assert await reader.readline() == b"fine\n"
        assert clock.work.lasts(open_files) is None
        writer.close()
        await writer.wait_closed()
        server.close()
        await asyncio.sleep(1)

    with virtual() as clock:
        run(clock, talk(clock))


def test_a_connection_to_elsewhere_may_have_the_number_that_a_server_s_had_here() -> None:
    async def talk() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connected = socket.create_connection(listener.getsockname())
            elsewhere, _ = listener.accept()
        served = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number = writer.get_extra_info("socket").fileno()
            await reader.read()
            writer.close()
            await writer.wait_closed()
            served.set_result(number)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        _, here = await asyncio.open_connection(*server.sockets[0].getsockname())
        here.close()
        number = await served
        with connected:
            os.dup2(connected.fileno(), number)
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=number))
        writer.write(b"how are you?\n")
        with elsewhere:
            answering = threading.Timer(0.05, elsewhere.sendall, (b"at last\n",))
            answering.start()
            answer = await asyncio.wait_for(reader.readline(), 3_600)
        writer.close()
        server.close()
        await server.wait_closed()
        return answer

    with virtual() as clock:
        assert run(clock, talk()) == b"at last\n"
        assert clock.now < 3_600


def test_a_plain_connection_may_have_the_number_that_a_secured_one_had() -> None:
    ours, theirs = _certified()
    number = 900

    def numbered(server: asyncio.Server) -> socket.socket:
        with socket.create_connection(server.sockets[0].getsockname()) as connected:
            os.dup2(connected.fileno(), number)
        return socket.socket(fileno=number)

    async def talk(clock: VirtualClock) -> None:
        for context, how in ((theirs, {"ssl": ours, "server_hostname": "localhost"}), (None, {})):
            server = await asyncio.start_server(_greet, "127.0.0.1", 0, ssl=context)
            reader, writer = await asyncio.open_connection(sock=numbered(server), **how)
            writer.write(b"how are you?\n")
            assert await reader.readline() == b"fine\n"
            assert clock.work.lasts([number]) is None
            writer.close()
            await writer.wait_closed()
            server.close()
            await asyncio.sleep(1)

    with virtual() as clock:
        run(clock, talk(clock))


SLOW = (
    "WITH RECURSIVE counting(number) AS "
    "(SELECT 1 UNION ALL SELECT number + 1 FROM counting WHERE number < 400000) "
    "SELECT count(*) FROM counting"
)


def test_a_database_with_a_thread_of_its_own_is_waited_for() -> None:
    async def ask() -> int:
        async with aiosqlite.connect(":memory:") as database, asyncio.timeout(3_600):
            async with database.execute(SLOW) as cursor:
                [row] = [row async for row in cursor]
            await asyncio.sleep(60)
            return int(row[0])

    with virtual() as clock:
        assert run(clock, ask()) == 400_000
        assert 60 <= clock.now < 120


def test_what_a_thread_answers_while_the_clock_looks_who_is_at_work_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(clock: VirtualClock) -> float:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()

        def lasts(_: object) -> None:
            if not answer.done():
                loop.call_soon_threadsafe(answer.set_result, None)  # and then the thread ends

        monkeypatch.setattr(clock.work, "lasts", lasts)
        async with asyncio.timeout(3_600):
            await answer
        return clock.now

    with virtual() as clock:
        assert run(clock, work(clock)) == 0


def test_a_future_of_code_without_a_thread_costs_no_real_time() -> None:
    async def work(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(3_600, future.set_result, None)
        assert clock.work.lasts([]) is None
        await future

    idle = threading.Event()
    thread = threading.Thread(target=idle.wait)
    thread.start()
    while sys._current_frames()[thread.ident].f_code.co_name != "wait":  # it is only starting
        time.sleep(0.001)
    with virtual() as clock:
        run(clock, work(clock))
        assert clock.now == 3_600
    idle.set()
    thread.join()


def test_a_future_that_a_thread_owes_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pytest_lkagent.real_work.PATIENCE", 0.05)
    gate = threading.Event()

    def of_this_module() -> None:
        gate.wait(10)

    async def work(clock: VirtualClock) -> None:
        future = asyncio.get_running_loop().create_future()
        assert clock.work.lasts([]) is not None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(future, 3_600)

    thread = threading.Thread(target=of_this_module)
    thread.start()
    with virtual() as clock:
        run(clock, work(clock))
        assert clock.now == 3_600
        assert thread.is_alive()
    gate.set()
    thread.join()


def test_a_future_that_has_come_and_is_kept_is_owed_no_more() -> None:
    gate = threading.Event()

    def of_this_module() -> None:
        gate.wait(10)

    async def work(clock: VirtualClock) -> None:
        future = asyncio.get_running_loop().create_future()
        assert clock.work.lasts([]) is not None
        future.set_result(None)
        assert clock.work.lasts([]) is None

    thread = threading.Thread(target=of_this_module)
    thread.start()
    with virtual() as clock:
        run(clock, work(clock))
    gate.set()
    thread.join()


def test_a_thread_that_only_starts_may_be_anybodys_but_livekits() -> None:
    gate = threading.Lock()
    gate.acquire()
    scope: dict[str, Any] = {"__name__": "livekit.agents.voice"}
    exec(compile("def make(loop): return loop.create_future()", "of_livekit.py", "exec"), scope)

    async def work(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        livekits = scope["make"](loop)
        assert clock.work.lasts([]) is None
        users = loop.create_future()
        assert clock.work.lasts([]) is not None
        del livekits, users

    thread = threading.Thread(target=gate.acquire)  # in no code but that of threading
    thread.start()
    while sys._current_frames()[thread.ident].f_code.co_name != "run":
        time.sleep(0.001)
    with virtual() as clock:
        run(clock, work(clock))
    gate.release()
    thread.join()
