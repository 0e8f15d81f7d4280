"""The session under test, driven from outside through LiveKit's own protocol.

A `Host` of LiveKit's is attached to the session, and a client speaks to it, over a pair in memory
or over TCP on loopback, on the loop of the session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from livekit.agents import AgentSession
from livekit.protocol.agent_pb import agent_session as protocol

from .._livekit_remote import Client, Host, SessionTransport, TcpSessionTransport
from ..errors import UsageError, did_you_mean, one_of
from ..harness import Harness
from .transports import TcpListener, memory_pair

__all__ = ["WAYS", "RemoteSession", "check_way", "drive"]

WAYS = ("memory", "tcp")
_Remote = TypeVar("_Remote", bound=Client)


class RemoteSession(Client):
    """LiveKit's ``RemoteSession``, connected to the session under test.

    The protocol carries the text of an error alone; what the session reported meanwhile is the
    cause of the RuntimeError that a request raises.
    """

    def __init__(self, transport: SessionTransport, harness: Harness) -> None:
        super().__init__(transport)
        self._harness = harness

    async def run(
        self,
        text: str,
        timeout: float = 60.0,  # noqa: ASYNC109  (as LiveKit's)
    ) -> protocol.SessionResponse.RunInputResponse:
        """Say `text` as the user, in a turn of the transcript, and return what came of it.

        Raises:
            RuntimeError: The run failed, or the connection ended.
            TimeoutError: There was no answer within `timeout` virtual seconds.
            UnscriptedRequest: The model was asked something that nobody scripted.
        """
        __tracebackhide__ = True
        record = self._harness.record
        record.begin(text)
        before = list(record.errors)
        try:
            return await super().run(text, timeout)
        except TimeoutError as error:
            lines = [f"run({text!r}) had no answer within {timeout:g} s", *self._harness.picture()]
            error.add_note("\n".join(lines))
            raise
        except RuntimeError as error:
            if (refused := self._harness.model.unraised()) is not None:
                raise refused.with_traceback(None) from None
            cause = None
            for reported in [one for one in record.errors if one not in before]:
                self._harness.told(reported)
                cause = self._without_ours(reported)
            raise error.with_traceback(None) from cause

    def _without_ours(self, error: BaseException) -> BaseException:
        """Leave out the way that a scripted error took: it begins in our code."""
        step = self._harness.model.script_of(error)
        if step is None:
            return error
        error.add_note(f"scripted at {step.written_at}: {step.describe()}")
        error.__suppress_context__ = True
        return error.with_traceback(None)


def check_way(way: object) -> str:
    """Return `way` if it is one of `WAYS`.

    Raises:
        UsageError: It is none.
    """
    if way not in WAYS:
        raise UsageError(
            f"remote_transport: {way!r} is no way to a session; the ways are {one_of(WAYS)}"
            f"{did_you_mean(str(way), WAYS)}"
        )
    return str(way)


@asynccontextmanager
async def drive(
    session: AgentSession[Any], way: str, make: Callable[[SessionTransport], _Remote]
) -> AsyncIterator[_Remote]:
    """Attach a host to `session`, and connect the client that `make` makes, ready inside."""
    async with AsyncExitStack() as stack:
        ours, theirs = await _ends(way, stack)
        host = Host(theirs)
        host.register_session(session)
        stack.push_async_callback(host.aclose)
        await host.start()
        remote = make(ours)
        stack.push_async_callback(remote.aclose)
        await remote.start()
        await remote.wait_for_ready()
        yield remote


async def _ends(way: str, stack: AsyncExitStack) -> tuple[SessionTransport, SessionTransport]:
    if way == "memory":
        return memory_pair()
    listener = TcpListener()
    stack.push_async_callback(listener.close)
    await listener.listen()
    return listener, TcpSessionTransport(listener.host, listener.port)
