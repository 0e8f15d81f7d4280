"""The offline guard: while a test of ours runs, its code reaches nothing outside of the machine.

One seam sees every connection and every look-up that Python's own sockets make, whichever library
asks and however it got hold of the function: the audit events of CPython's ``socket`` (PEP 578).
An audit hook cannot be removed, so there is one for the process, installed with the first guard;
it does nothing while no guard is on duty. What the events do not tell has stand-ins for as long
as the guard is on duty: ``connect`` and ``sendto`` resolve a name before they raise theirs, and
``rtc.Room.connect``, in native code, raises none.

The test's code is what runs on its loop, the threads that it begins, and the jobs that it gives to
thread pools, with what either of those begins and gives. Nobody else is refused anything: not a
hook of a plugin on the same thread, not a server that was there before.

What native code does by itself (gRPC, pycares, the rest of the rtc SDK) and what other processes
do is out of sight.
"""

from __future__ import annotations

import _socket
import asyncio
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, copy_context
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import FrameType
from typing import Any, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

from livekit import rtc
from livekit.agents import Agent, AgentTask, llm

from . import _livekit, _livekit_replies
from .errors import RefusedConnection
from .options import Host
from .sites import OUR_FOLDER, Site
from .stand_ins import Replacement, StandIns

__all__ = ["STAND_INS", "Guard"]

_VERBS = {
    "socket.connect": "connects to",
    "socket.sendto": "sends to",
    "socket.sendmsg": "sends to",
    "socket.getaddrinfo": "looks up",
    "socket.gethostbyname": "looks up",
    "socket.gethostbyaddr": "looks up",
    "socket.getnameinfo": "looks up",
}
_METHODS = (
    ("connect", "socket.connect", 0),
    ("connect_ex", "socket.connect", 0),
    ("sendto", "socket.sendto", -1),
    ("sendmsg", "socket.sendmsg", 3),
)
"""Methods of a socket, the events that they raise, and where their address stands."""

_OF_NUMBERS = ("socket.gethostbyaddr", "socket.getnameinfo")
"""The look-ups that ask somebody even for an address; the others only parse it."""

_NOT_THE_USERS = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {OUR_FOLDER, "<"}
)


_FOR_LLMS = (
    "mock the tool that does it, let the script answer it (the fixture fake_llm_server leads it "
    "there)"
)

_IN_NO_SESSION_OF_OURS = (
    "start the session with start_session(…), where the script answers each agent, whatever model "
    "of its own it has"
)


_Waiting: TypeAlias = Callable[[Iterable[asyncio.Task[Any]], Agent | None], str | None]


class _Reach(NamedTuple):
    """What some code wants to do, such as ``connects to`` `host`."""

    verb: str
    host: str
    port: int | None

    @property
    def target(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


class _Begun(NamedTuple):
    """What a thread does for the test: where in the user's code, in which context it was begun."""

    line: Site | None
    context: Context


class Guard:
    """The guard of one test on `loop`, on duty inside of a ``with``.

    Without a loop it guards the thread that enters it. `found` takes the first refusal for each
    host, since code under test may swallow the exception. `waiting` says in a line what tasks wait
    for while an agent is at work, None where it is nothing of the user's own. `who` is the user's
    code where it is no agent's, `advice` what may be done about it, `for_llms` where it is an LLM.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None,
        hosts: Collection[Host],
        *,
        found: Callable[[RefusedConnection], object],
        waiting: _Waiting = lambda *_: None,
        who: str = "the test",
        advice: str = "mock the tool that does it",
        for_llms: str = _FOR_LLMS,
    ) -> None:
        self._loop = loop
        self._thread: int | None = None
        self._hosts = frozenset(hosts)
        self._found = found
        self._waiting = waiting
        self._who = who
        self._advice = advice
        self._for_llms = for_llms
        self._is_on = False
        self._told: set[str] = set()
        self._names: dict[str, str] = {}  # of addresses that an allowed name was resolved to
        self._threads: list[tuple[threading.Thread, _Begun]] = []
        self._jobs: dict[int, _Begun] = {}
        self._in_place = ExitStack()

    def __enter__(self) -> Self:
        self._in_place.enter_context(STAND_INS)
        if self._hosts:
            own: Replacement = (_socket, "getaddrinfo", self._remember_addresses)
            self._in_place.enter_context(StandIns(own))
        _on_duty().append(self)
        self._thread = threading.get_ident()
        self._is_on = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_on = False
        _on_duty().remove(self)
        self._in_place.close()

    # --- what is let pass, and what is not

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Look at one audit event.

        Raises:
            RefusedConnection: It leads out of the machine, and the test did it.
        """
        __tracebackhide__ = True
        reach = _reach(event, args)
        if reach is None or _is_local(reach.host) or self._allows(reach) or not self._is_ours():
            return
        raise self._refusal(reach)

    def _allows(self, reach: _Reach) -> bool:
        names = {reach.host, self._names.get(reach.host)}
        if reach.port is None or reach.verb == "looks up":
            return any(host in names for host, _ in self._hosts)
        return any(host in names and port in (None, reach.port) for host, port in self._hosts)

    def _is_ours(self) -> bool:
        """Whether the guard is on duty, and the code that runs here is the test's."""
        return self._is_on and (self._is_in_turn() or self._begun() is not None)

    def _is_in_turn(self) -> bool:
        """Whether this thread is in a turn of the loop."""
        if self._loop is None:
            return threading.get_ident() == self._thread
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _begun(self) -> _Begun | None:
        """Return what this thread does for the test, None for other threads."""
        here = threading.get_ident()
        for thread, begun in self._threads:
            if thread.ident == here and thread.is_alive():
                return self._jobs.get(here, begun)
        return self._jobs.get(here)

    def _refusal(self, reach: _Reach) -> RefusedConnection:
        begun = self._begun()
        context = begun.context if begun is not None else copy_context()
        model, agent = context.run(_livekit_replies.at_work)
        who = self._who if agent is None else type(agent).__name__
        if model is not None:
            kind = _name_of(type(model))
            who = kind if agent is None else f"{kind} of {who}"
        line = _users_line(sys._getframe(1)) or (begun.line if begun is not None else None)
        # a library may do it in a task of its own: what waits for it meanwhile?
        tasks = asyncio.all_tasks(self._loop) if self._loop is not None else ()
        where = line or self._waiting(tasks, agent) or "in none of your lines"
        advice = self._advice
        if isinstance(model, llm.LLM):
            is_strange = agent is not None and not _livekit.is_under_test(agent)
            advice = _IN_NO_SESSION_OF_OURS if is_strange else self._for_llms
        if reach.host:
            told = (
                f"{reach.target} ({where}), and nothing leaves the machine while a test of an "
                f"agent runs: {advice}, or let it pass in the ini file: lk_allow_hosts = "
                f"{reach.host}"
            )
        else:
            if isinstance(agent, AgentTask):
                advice = f"mock it, mock_task({who}, returns=…), or task: in a scenario"
            told = f"no server ({where}), as the job of a test has none: {advice}"
        refusal = RefusedConnection(f"{who} {reach.verb} {told}", reach.host)
        if reach.host not in self._told:
            self._told.add(reach.host)
            self._found(refusal)
        return refusal

    def ask_for_room(self, url: str) -> None:
        """Look at where a room connects to, which raises no audit event.

        Raises:
            RefusedConnection: It leads anywhere that is not allowed, and the test did it.
        """
        __tracebackhide__ = True
        server = urlsplit(url)
        reach = _Reach("connects a room to", server.hostname or url, server.port)
        if self._is_ours() and not self._allows(reach):
            raise self._refusal(reach)

    def remember_thread(self, thread: threading.Thread) -> None:
        """Note that `thread` works for the test, if it is the test that starts it."""
        if self._is_ours():
            self._threads.append((thread, _begin()))

    def remember_job(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work` such that its thread works for the test, if it is the test that gives it.

        The thread may be older than the test: that of a pool which several tests share.
        """
        if not self._is_ours():
            return work
        begun = _begin()

        def working(*args: Any, **how: Any) -> Any:
            __tracebackhide__ = True
            here = threading.get_ident()
            self._jobs[here] = begun
            try:
                return work(*args, **how)
            finally:
                del self._jobs[here]

        return working

    # --- its own stand-in, which may outlive it where somebody keeps it

    def _remember_addresses(self, look_up: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: Any, *args: Any, **how: Any) -> Any:
            found = look_up(host, *args, **how)
            name = _text(host)
            if any(name == allowed for allowed, _ in self._hosts):
                self._names.update((entry[4][0], name) for entry in found)
            return found

        return getaddrinfo


# --- the stand-ins that all guards share, which ask those on duty


def _asked_first(event: str, place: int) -> Callable[[Callable[..., Any]], Any]:
    def make(method: Callable[..., Any]) -> Callable[..., Any]:
        def asked(sock: Any, *args: Any) -> Any:
            __tracebackhide__ = True
            if args[place:]:
                for guard in _on_duty():
                    guard.audit(event, (sock, args[place]))
            return method(sock, *args)

        return asked

    return make


def _remember_threads(start: Callable[..., Any]) -> Callable[..., Any]:
    def remembered(thread: threading.Thread) -> None:
        for guard in _on_duty():
            guard.remember_thread(thread)
        start(thread)

    return remembered


def _remember_jobs(submit: Callable[..., Any]) -> Callable[..., Any]:
    def remembered(pool: Any, work: Callable[..., Any], /, *args: Any, **how: Any) -> Any:
        for guard in _on_duty():
            work = guard.remember_job(work)
        return submit(pool, work, *args, **how)

    return remembered


def _room_asked_first(connect: Callable[..., Any]) -> Callable[..., Any]:
    async def asked(room: Any, url: str, *args: Any, **how: Any) -> None:
        __tracebackhide__ = True
        for guard in _on_duty():
            guard.ask_for_room(url)
        await connect(room, url, *args, **how)

    return asked


STAND_INS = StandIns(
    *((socket.socket, name, _asked_first(event, place)) for name, event, place in _METHODS),
    (rtc.Room, "connect", _room_asked_first),
    (threading.Thread, "start", _remember_threads),
    (ThreadPoolExecutor, "submit", _remember_jobs),
    *_livekit_replies.MODELS_AT_WORK,
)


@cache
def _on_duty() -> list[Guard]:
    """Return the guards on duty, the list that the process' one audit hook looks at."""
    guards: list[Guard] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if guards and event in _VERBS:
            __tracebackhide__ = True
            for guard in guards:
                guard.audit(event, args)

    sys.addaudithook(hook)
    return guards


def _begin() -> _Begun:
    return _Begun(_users_line(sys._getframe(1)), copy_context())


def _reach(event: str, args: tuple[Any, ...]) -> _Reach | None:
    """Return what an event of a socket is about, None where it stays on this machine anyway."""
    verb = _VERBS[event]
    if verb != "looks up":
        sock, address = args
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return None
    else:
        address = args[0] if event == "socket.getnameinfo" else args
    host = address[0] if isinstance(address, tuple) and address else None
    if not isinstance(host, (str, bytes, bytearray)):
        return None  # nobody, the peer of a connected socket, or a mistake that Python will tell
    host = _text(host)
    if verb == "looks up" and event not in _OF_NUMBERS and _number(host) is not None:
        return None
    port = address[1] if len(address) > 1 else None
    return _Reach(verb, host, port if isinstance(port, int) else None)


def _name_of(kind: type) -> str:
    """Name a class; a module that we named ourselves is nothing that the user knows."""
    module = kind.__module__
    return kind.__qualname__ if module.startswith("_lk_") else f"{module}.{kind.__qualname__}"


def _text(host: Any) -> str:
    text = host if isinstance(host, str) else bytes(host or b"").decode("ascii", "replace")
    return text.lower().removesuffix(".")


def _number(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_local(host: str) -> bool:
    address = _number(host)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return host in ("", "localhost", socket.gethostname().lower()) or host.endswith(".localhost")


def _users_line(frame: FrameType | None) -> Site | None:
    """Return the innermost line of the user's own code that leads to `frame`, within one task."""
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_NOT_THE_USERS):
            return Site(code.co_filename, frame.f_lineno)
        if (code.co_filename, code.co_name) == (asyncio.events.__file__, "_run"):
            break  # a step of the task; below it is whoever runs the loop
        frame = frame.f_back
    return None
