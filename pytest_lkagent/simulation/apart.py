"""The session of an agent in a process of its own, reached over TCP as LiveKit's console is.

Its model asks the script of this test over HTTP.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

from livekit.agents import AgentSession
from livekit.protocol.agent_pb import agent_session as protocol

from .._livekit_remote import Client, items_of
from ..errors import BehaviourError, UsageError
from ..fake import FakeLLM
from ..fake.server import FakeLLMServer
from ..harness import Harness
from ..record import Turn
from ..strict import TOOL_ERROR
from ..transcript import Close
from .entrypoint import Entrypoint
from .order import Order
from .process import ANSWER_SECONDS, AgentProcess
from .transports import TcpListener

if TYPE_CHECKING:
    from ..stage import Stage

__all__ = ["ProcessHarness"]

_Chain: TypeAlias = Sequence[tuple[Sequence[str], str]]
_START_SECONDS = 60.0
"""Real seconds that a process has to start a session; it takes about 2."""
_END_SECONDS = 20.0
"""Real seconds that a process has to end, its callbacks included, before it is killed."""


class ProcessHarness(Harness):
    """The session under test, in a process of its own."""

    def __init__(self, stage: Stage, model: FakeLLM, entrypoint: Entrypoint) -> None:
        super().__init__(stage, model)
        self.entrypoint = entrypoint
        self._process = AgentProcess(self._learn)
        self._client: _ProcessClient | None = None
        self._items: Sequence[Any] = ()
        self._found: list[BehaviourError] = []
        self._told: list[str] = []
        self._seen_to_fail: set[str] = set()
        self._raised: set[str] = set()
        self._shutdown = AsyncExitStack()
        self.record.history = lambda: self._items

    @property
    def has_session(self) -> bool:
        return self._client is not None and self._process.is_alive

    @property
    def session(self) -> AgentSession[Any]:
        raise UsageError("the session is in a process of its own: no fixture can give it")

    @property
    def userdata(self) -> Any:
        return None

    @property
    def client(self) -> Client:
        """The way to the session."""
        assert self._client is not None, "the process has a session"
        return self._client

    async def launch(self, order: Order) -> None:
        """Start the process, and the session in it."""

        async def start() -> None:
            server = await self._shutdown.enter_async_context(FakeLLMServer(self.model))
            self._shutdown.push_async_callback(self._end)
            way = await self._process.start(order, {**os.environ, **server.environment})
            client = _ProcessClient(way, self._process)
            self._shutdown.push_async_callback(client.aclose)
            await self._process.answering(client.start(), _START_SECONDS, "start a session")
            await client.wait_for_ready(_START_SECONDS)
            self._client = client

        await self.start_by(start, self.entrypoint.what)

    async def _end(self) -> None:
        # one that has no session has nothing to finish
        await self._process.end(_END_SECONDS if self.has_session else None)

    async def close(self) -> None:
        self._is_closing = self.record.is_over = True
        await self._shutdown.aclose()

    async def _say(
        self, turn: Turn, text: str, interrupt: float | None, options: Mapping[str, Any]
    ) -> None:
        __tracebackhide__ = True
        known = [*self.record.errors, *self.model.refused]
        seconds = min(self._stage.timeout, ANSWER_SECONDS)
        try:
            answer = await self.client.run(text, seconds)
        except RuntimeError as error:
            await self._process.ask(settle=True)
            now = [*self.record.errors, *self.model.refused]
            raise next((one for one in reversed(now) if one not in known), error) from None
        turn.answer = items_of(answer.items)

    async def _end_turn(self, *, settle: bool) -> None:
        await self._process.ask(settle=settle)
        self._items = items_of((await self.client.get_chat_history()).items)

    def _raise_for(self, turn: Turn) -> None:
        __tracebackhide__ = True
        for item in turn.items:
            told = self.tools.failed.get(getattr(item, "call_id", ""))
            if told is None or item.call_id in self._seen_to_fail:
                continue
            self._seen_to_fail.add(item.call_id)
            is_meant = item.name in self.tools.failing or item.call_id in self.tools.meant_to_fail
            if not (is_meant or TOOL_ERROR in self.allow):
                self._found.append(BehaviourError(f"in the agent's process: {told}"))
        if self._found:
            first, self._found = self._found[0], []
            raise first
        super()._raise_for(turn)

    def _learn(self, told: Mapping[str, Any]) -> None:
        """Take in what only the process could know."""
        if "found" in told:
            self._told.append(told["found"])
            if self._may_raise(told.get("raised", ())):
                return
            finding = BehaviourError(f"in the agent's process: {told['found']}")
            self._stage.findings.add(finding)
            self._found.append(finding)
        if "names" not in told:
            return
        self.record.learn(told["names"])
        if told["closed"] is not None and not self.record.is_over:
            self.record.closed = Close(**told["closed"])
        refused = [str(one).partition("\n")[0] for one in self.model.refused]
        self.record.errors += [
            _as_raised(chain)
            for chain in told["errors"]
            # which only say it in the client's words
            if not any(one in chain[0][1] for one in (*refused, *self._told))
        ]
        self.tools.failed.update(told["failed_tools"])
        self.tools.meant_to_fail.update(told["meant_to_fail"])
        raised = {call: chain for call, chain in told["raised"].items() if call not in self._raised}
        self._raised.update(raised)
        self.tools.meant_to_fail.update(
            call
            for call, chain in raised.items()
            if call not in self.tools.meant_to_fail and self._may_raise(chain)
        )
        for made in self._stage.mocks:
            made.was_reached |= made.label in told["called"]
        for name, tools in told["offered"].items():
            self._stage.offers.note_class(name, tools)
        for judge in told["judged"]:
            self.model.verdict_of(judge)

    def _may_raise(self, chain: _Chain) -> bool:
        """Whether what is raised in the process is expected."""
        return bool(chain) and self._stage.take_expected(_as_raised(chain))


class _ProcessClient(Client):
    """The client of a session in a process: once that has closed, what is ours there answers."""

    _transport: TcpListener

    def __init__(self, way: TcpListener, process: AgentProcess) -> None:
        super().__init__(way)
        self._process = process

    def _has_ended(self) -> bool:
        return self._transport.ended is not None

    async def _send_request(
        self,
        request: protocol.SessionRequest,
        timeout: float = ANSWER_SECONDS,  # noqa: ASYNC109  (as LiveKit's)
    ) -> protocol.SessionResponse:
        if not self._has_ended():
            seconds = timeout or ANSWER_SECONDS
            asked = super()._send_request(request, 2 * seconds)  # whose bound says less
            try:
                return await self._process.answering(asked, seconds, "answer")
            except RuntimeError:
                if not self._has_ended():
                    raise
                if request.HasField("run_input"):  # the session closed in the middle of it
                    return protocol.SessionResponse()
        body = base64.b64encode(request.SerializeToString()).decode()
        told = await self._process.ask(request=body)
        response = protocol.SessionResponse.FromString(base64.b64decode(told["response"]))
        if response.error:
            what = request.WhichOneof("request")
            raise RuntimeError(f"session request {what} failed: {response.error}")
        return response


def _as_raised(chain: _Chain) -> Exception:
    """Make an error that has the names of the one in the process, its text and its causes."""
    cause: Exception | None = None
    for classes, text in reversed(chain):
        kind: type[Exception] = Exception
        for name in reversed(classes[:-1]):
            kind = type(name, (kind,), {"__module__": "builtins"})
        error = kind(text)
        error.__cause__, cause = cause, error
    assert cause is not None, "a chain has a link"
    return cause
