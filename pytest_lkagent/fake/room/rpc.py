"""Both ends of an RPC in a fake room: what the agent answers, and what it is answered.

LiveKit's own chain of interceptors, deadline and handler runs between the two.
"""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

from livekit import rtc
from livekit.rtc.log import logger

from ...errors import BehaviourError, UsageError
from .private import HAS_INTERCEPTORS, participant_pb2, rpc_pb2
from .wire import Sent, Wire, filled

__all__ = ["RpcEnd", "rpc_error"]

_MOST_BYTES = 15360
"""How long a request or an answer may be, LiveKit's own limit."""

_ROUND_TRIP = 7.0
"""Seconds that LiveKit gives a request to reach somebody, and takes from the time to answer."""

_RESPONSE = 15.0
"""Seconds that LiveKit waits for an answer."""

_Code = rtc.RpcError.ErrorCode


class RpcEnd(rtc.LocalParticipant):
    """The agent's end; the other one is `Wire.answers`."""

    def __init__(
        self, room_queue: Any, wire: Wire, owned_info: participant_pb2.OwnedParticipant
    ) -> None:
        super().__init__(room_queue, owned_info)
        self._wire = wire

    # --- the agent calls

    async def perform_rpc(
        self,
        *,
        destination_identity: str,
        method: str,
        payload: str,
        response_timeout: float | None = None,
        max_round_trip_latency: float | None = None,
    ) -> str:
        call: dict[str, Any] = {
            "destination_identity": destination_identity,
            "method": method,
            "payload": payload,
            "response_timeout": response_timeout,
            "max_round_trip_latency": max_round_trip_latency,
        }
        if HAS_INTERCEPTORS:
            return await super().perform_rpc(**call)
        return await self._perform_rpc_ffi(SimpleNamespace(**call))

    async def _perform_rpc_ffi(self, call: Any) -> str:
        to, method, payload = call.destination_identity, call.method, call.payload
        request = rpc_pb2.PerformRpcRequest()
        filled(request, destination_identity=to, method=method, payload=payload)
        if len(payload.encode()) > _MOST_BYTES:
            raise rpc_error(_Code.REQUEST_PAYLOAD_TOO_LARGE)
        self._wire.check_open(rpc_error(_Code.SEND_FAILED))
        self._wire.send(Sent("rpc", method, payload, to=(to,)))
        if to not in self._wire.others:  # LiveKit too waits for somebody who never answers
            await asyncio.sleep(call.max_round_trip_latency or _ROUND_TRIP)
            raise rpc_error(_Code.CONNECTION_TIMEOUT)
        await asyncio.sleep(0)
        bound = asyncio.timeout(call.response_timeout or _RESPONSE)
        try:
            async with bound:
                answer = await self._answer(method, payload)
        except TimeoutError:
            if bound.expired():
                raise rpc_error(_Code.RESPONSE_TIMEOUT) from None
            raise
        if len(answer.encode()) > _MOST_BYTES:
            raise rpc_error(_Code.RESPONSE_PAYLOAD_TOO_LARGE)
        return answer

    async def _answer(self, method: str, payload: str) -> str:
        """Return what the test gave to `answer_rpc`; what its own function raises goes through."""
        answer: Any = self._wire.answers.get(method, rpc_error(_Code.UNSUPPORTED_METHOD))
        if callable(answer):
            answer = answer(payload)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, rtc.RpcError):
            raise answer.with_traceback(None)
        if not isinstance(answer, str):
            raise UsageError(
                f"answer_rpc({method!r}, …) answers {answer!r}: participants answer with a str, "
                "such as json.dumps(…), or an rtc.RpcError"
            )
        return answer

    # --- the agent is called

    def register_rpc_method(self, method_name: str, handler: Any = None) -> Any:
        def register(handler: Any) -> Any:
            self._rpc_handlers[method_name] = handler
            return handler

        return register if handler is None else register(handler)

    def unregister_rpc_method(self, method: str) -> None:
        self._rpc_handlers.pop(method, None)

    async def be_called(self, method: str, payload: str, *, caller: str, timeout: float) -> str:  # noqa: ASYNC109  (the caller's, who hangs up by himself)
        """Return what the agent answers to `caller`, who waits for `timeout` seconds.

        Raises:
            rtc.RpcError: What the caller gets; what the agent's method raised is its cause.
            BehaviourError: The method returned what LiveKit cannot send.
        """
        if len(payload.encode()) > _MOST_BYTES:
            raise rpc_error(_Code.REQUEST_PAYLOAD_TOO_LARGE)
        seconds = max(timeout - _ROUND_TRIP, 1)
        try:
            answer: Any = await self._run_handler(method, payload, caller, seconds)
        except rtc.RpcError:
            raise
        except Exception as error:
            logger.exception("Uncaught error returned by RPC handler for %s", method)
            raise rpc_error(_Code.APPLICATION_ERROR) from error
        if not isinstance(answer, str | None):
            raise BehaviourError(
                f"the method {method!r} returned {answer!r}: LiveKit sends a str alone, and the "
                "caller would wait in vain; return one, such as json.dumps(…)"
            )
        if len((answer or "").encode()) > _MOST_BYTES:
            raise rpc_error(_Code.RESPONSE_PAYLOAD_TOO_LARGE)
        return answer or ""

    async def _run_handler(self, method: str, payload: str, caller: str, seconds: float) -> Any:
        call = rtc.RpcInvocationData(self._wire.new_id("RPC"), caller, payload, seconds)
        if HAS_INTERCEPTORS:
            call.method = method
            return await self._run_incoming_chain(call)
        handler: Any = self._rpc_handlers.get(method)
        if handler is None:
            raise rpc_error(_Code.UNSUPPORTED_METHOD)
        if not inspect.iscoroutinefunction(handler):
            return handler(call)
        try:
            return await asyncio.wait_for(handler(call), seconds)
        except TimeoutError:
            raise rpc_error(_Code.RESPONSE_TIMEOUT) from None
        except asyncio.CancelledError:
            raise rpc_error(_Code.RECIPIENT_DISCONNECTED) from None


def rpc_error(code: rtc.RpcError.ErrorCode) -> rtc.RpcError:
    """Return one of LiveKit's own errors."""
    return rtc.RpcError(code, rtc.RpcError.ErrorMessage[code])
