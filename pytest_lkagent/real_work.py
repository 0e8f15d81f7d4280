"""What a virtual clock cannot hurry: work outside of the loop that is under way.

A job in an executor's thread (``asyncio.to_thread``, name look-ups), a subprocess that has not
exited, a connection that is being made, or that wrote last and is owed an answer, and a future of
code that has a thread of its own at work (aiosqlite). While there is any, time is real.

Its limits: it does not see what native code does, nor who waits on a bare ``asyncio.Future()`` for
a thread. Who waits on those with a timeout may see it expire early, and says `real_time`.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic  # the real one: the name in `time` follows virtual time
from types import FrameType, MethodType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from .frames import module_of

__all__ = ["PATIENCE", "RealWork"]

PATIENCE = 5.0
"""Real seconds for which a connection is owed an answer to what it wrote, a future its end."""
_ON_ITS_WAY = 0.02
"""Real seconds for which something is on its way between two ends on the same loop."""

_STARTING = "<a thread that starts>"
_WITHOUT_THREADS = ("asyncio.", "livekit.", "pytest_lkagent.")
_without_threads: set[str] = set()
"""The modules of those that were met so far: a future is made for every step of a conversation."""


class RealWork:
    """The work of one loop that is under way in threads, processes and on connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Any = loop
        self.is_noted = False
        """Whether any was seen to begin, which may have ended meanwhile; nearly always none was."""
        self._waits = 0
        self._jobs: WeakSet[asyncio.Future[Any]] = WeakSet()
        self._promised: WeakKeyDictionary[asyncio.Future[Any], tuple[str, float]]
        self._promised = WeakKeyDictionary()
        self._processes: list[asyncio.SubprocessTransport] = []
        self._owed: dict[int, float] = {}
        self._ours: dict[int, Any] = {}  # of a client's file, the address of its end
        self._theirs: dict[int, Any] = {}  # of a server's file on this loop, that of its client
        self._secured: set[int] = set()

    @property
    def stand_ins(self) -> Mapping[str, Callable[..., Any]]:
        """The methods of the loop, by name, that have to be ours to see the work begin."""
        return {
            "create_future": self._maker_of_futures(),
            "sock_connect": self._sock_connect,
            "sock_sendall": self._sock_sendall,
            "subprocess_exec": self._starting("subprocess_exec"),
            "subprocess_shell": self._starting("subprocess_shell"),
            "_make_socket_transport": self._make_socket_transport,
            "_make_ssl_transport": self._make_ssl_transport,
        }

    def lasts(self, open_files: Collection[int]) -> float | None:
        """Return for how many real seconds to wait for it at most; None: nothing is under way.

        `open_files` are the file descriptors that the loop still listens to.
        """
        self._processes = [one for one in self._processes if one.get_returncode() is None]
        if self._waits or self._processes or not all(job.done() for job in self._jobs):
            return float("inf")
        now = monotonic()
        self._owed = {
            file: until for file, until in self._owed.items() if file in open_files and until > now
        }
        ends = [*self._owed.values(), *self._promises(now)]
        self.is_noted = bool(self._processes or self._jobs or self._promised or self._owed)
        return max(ends) - now if ends else None

    def _promises(self, now: float) -> list[float]:
        """Return until when to wait for futures of packages that have a thread at work."""
        promised = [
            (package, until)
            for future, (package, until) in self._promised.items()
            if until > now and not future.done()
        ]
        if not promised:
            return []
        at_work = _packages_at_work()
        is_starting = _STARTING in at_work  # a thread that is in no package yet
        return [until for package, until in promised if is_starting or package in at_work]

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count what is waited for inside as such work."""
        self.is_noted = True
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    def answered(self, ready: Iterable[tuple[selectors.SelectorKey, int]]) -> None:
        """Take note of the connections on which something came in."""
        if self._owed:
            for key, mask in ready:
                if mask & selectors.EVENT_READ and key.fd not in self._secured:
                    # what has come to a server on this loop is not under way any more
                    self._owed.pop(self._client_of(key.fd) or key.fd, None)

    def _client_of(self, file: int) -> int | None:
        """Return the file of the client on this loop that a server's connection leads to."""
        address = self._theirs.get(file)
        return next((one for one, its in self._ours.items() if its == address), None)

    def _maker_of_futures(self) -> Callable[[], asyncio.Future[Any]]:
        # a closure over what it needs: every step of a conversation makes one
        make = MethodType(type(self._loop).create_future, self._loop)
        caller_of, without = sys._getframe, _without_threads

        def create_future() -> asyncio.Future[Any]:
            future: asyncio.Future[Any] = make()
            caller = caller_of(1)
            try:
                if caller.f_globals["__name__"] in without:
                    return future
            except KeyError:
                pass  # code of an exec()
            self._note_future(future, caller)
            return future

        return create_future

    def _note_future(self, future: asyncio.Future[Any], maker: FrameType) -> None:
        module = module_of(maker)
        if module == "asyncio.futures":  # wrap_future, of what a thread computes
            self._jobs.add(future)
        elif module.startswith(_WITHOUT_THREADS):
            _without_threads.add(module)
            return
        else:
            self._promised[future] = (_package(maker), monotonic() + PATIENCE)
        self.is_noted = True

    async def _sock_connect(self, sock: Any, address: Any) -> None:
        with self.under_way():
            await type(self._loop).sock_connect(self._loop, sock, address)

    async def _sock_sendall(self, sock: Any, data: Any) -> None:
        self._owe(sock.fileno())
        await type(self._loop).sock_sendall(self._loop, sock, data)

    def _starting(self, name: str) -> Callable[..., Any]:
        original = getattr(type(self._loop), name)

        async def start(*args: Any, **kwargs: Any) -> Any:
            with self.under_way():
                transport, protocol = await original(self._loop, *args, **kwargs)
            self._processes.append(transport)
            return transport, protocol

        return start

    def _make_socket_transport(self, sock: Any, *args: Any, **kwargs: Any) -> Any:
        make = getattr(type(self._loop), "_make_socket_transport")  # noqa: B009  a private name
        transport = make(self._loop, sock, *args, **kwargs)
        file = sock.fileno()
        self._secured.discard(file)
        if kwargs.get("server") is None:  # the server's side owes the answer
            self._theirs.pop(file, None)
            self._ours[file] = sock.getsockname()
        else:
            self._theirs[file] = sock.getpeername()
        self._owe_after_writing(transport, file)
        return transport

    def _make_ssl_transport(self, rawsock: Any, *args: Any, **kwargs: Any) -> Any:
        make = getattr(type(self._loop), "_make_ssl_transport")  # noqa: B009  a private name
        transport = make(self._loop, rawsock, *args, **kwargs)
        if not kwargs.get("server_side"):
            self._owe(rawsock.fileno())  # the handshake
            self._owe_after_writing(transport, rawsock.fileno())
        return transport

    def _owe_after_writing(self, transport: Any, file: int) -> None:
        def owing(write: Callable[..., None]) -> Callable[..., None]:
            def write_and_wait(data: Any) -> None:
                self._look_for_data(transport.get_extra_info("ssl_object"), file)
                self._owe(file)
                write(data)

            return write_and_wait

        transport.write = owing(transport.write)
        transport.writelines = owing(transport.writelines)

    def _look_for_data(self, secured: Any, file: int) -> None:
        """Take a TLS connection for answered by data alone: a session ticket is no answer."""
        if secured is None or "read" in vars(secured):
            return
        self._secured.add(file)

        def read(*args: Any) -> Any:
            if got := type(secured).read(secured, *args):
                self._owed.pop(file, None)
            return got

        secured.read = read

    def _owe(self, file: int) -> None:
        """Note that `file` wrote: its peer owes an answer, or has it soon if it is on this loop."""
        self.is_noted = True
        if file in self._theirs:
            if (client := self._client_of(file)) is not None:
                self._owed[client] = monotonic() + _ON_ITS_WAY
        elif self._ours.get(file) in self._theirs.values():
            self._owed[file] = monotonic() + _ON_ITS_WAY
        else:
            self._owed[file] = monotonic() + PATIENCE


def _package(frame: FrameType) -> str:
    return module_of(frame).partition(".")[0]


def _packages_at_work() -> set[str]:
    """Name the packages whose code the other threads are in."""
    here = threading.get_ident()
    packages = set()
    for thread, frame in sys._current_frames().items():  # noqa: SLF001  (documented)
        its, caller = set(), frame if thread != here else None
        while caller is not None:
            its.add(_package(caller))
            caller = caller.f_back
        if its == {"threading"} and frame.f_code.co_name != "wait":
            its = {_STARTING}
        packages |= its
    return packages
