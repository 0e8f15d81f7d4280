"""What a virtual clock cannot hurry: work outside of the loop that is under way.

A job of ``run_in_executor`` (``asyncio.to_thread``, name look-ups), a subprocess that has not
exited, and a connection that wrote last and is owed an answer. While there is any, time is real.

Its limits: it knows nothing of threads that a library starts for itself (aiosqlite), of TLS
connections and of ``loop.sock_recv``. Who waits on those with a timeout may see it expire early.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic  # the real one: the name in `time` follows virtual time
from typing import Any

__all__ = ["PATIENCE", "RealWork"]

PATIENCE = 5.0
"""Real seconds for which a connection is owed the answer to what it wrote last."""


class RealWork:
    """The work of one loop that is under way in threads, processes and on connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Any = loop
        self._jobs = 0
        self._processes: list[asyncio.SubprocessTransport] = []
        self._owed: dict[int, float] = {}

    @property
    def stand_ins(self) -> Mapping[str, Callable[..., Any]]:
        """The methods of the loop, by name, that have to be ours to see the work begin."""
        return {
            "run_in_executor": self._run_in_executor,
            "subprocess_exec": self._starting("subprocess_exec"),
            "subprocess_shell": self._starting("subprocess_shell"),
            "_make_socket_transport": self._make_socket_transport,
        }

    def lasts(self, open_files: Collection[int]) -> float | None:
        """Return for how many real seconds to wait for it at most; None: nothing is under way.

        `open_files` are the file descriptors that the loop still listens to.
        """
        self._processes = [one for one in self._processes if one.get_returncode() is None]
        if self._jobs or self._processes:
            return float("inf")
        now = monotonic()
        self._owed = {
            file: until for file, until in self._owed.items() if file in open_files and until > now
        }
        return max(self._owed.values()) - now if self._owed else None

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count what is waited for inside as such work."""
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1

    def answered(self, ready: Iterable[tuple[selectors.SelectorKey, int]]) -> None:
        """Take note of the connections on which something came in."""
        if self._owed:
            for key, mask in ready:
                if mask & selectors.EVENT_READ:
                    self._owed.pop(key.fd, None)

    def _run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = type(self._loop).run_in_executor(self._loop, executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._landed)
        return future

    def _landed(self, _: asyncio.Future[Any]) -> None:
        self._jobs -= 1

    def _starting(self, name: str) -> Callable[..., Any]:
        original = getattr(type(self._loop), name)

        async def start(*args: Any, **kwargs: Any) -> Any:
            self._jobs += 1
            try:
                transport, protocol = await original(self._loop, *args, **kwargs)
            finally:
                self._jobs -= 1
            self._processes.append(transport)
            return transport, protocol

        return start

    def _make_socket_transport(self, sock: Any, *args: Any, **kwargs: Any) -> Any:
        make = getattr(type(self._loop), "_make_socket_transport")  # noqa: B009  a private name
        transport = make(self._loop, sock, *args, **kwargs)
        if kwargs.get("server") is None:  # the server's side owes the answer
            file = sock.fileno()
            for name in ("write", "writelines"):
                setattr(transport, name, self._owing(file, getattr(transport, name)))
        return transport

    def _owing(self, file: int, write: Callable[..., None]) -> Callable[..., None]:
        def write_and_wait(data: Any) -> None:
            self._owed[file] = monotonic() + PATIENCE
            write(data)

        return write_and_wait
