"""A process of its own for an agent: its start, what it says, and its end.

It runs `child`, which starts ``python -m livekit.agents console``. It plays one scenario, and never
outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from itertools import count
from typing import Any, TypeVar

from ..errors import BehaviourError
from ..public_time import real_time
from .order import Order
from .transports import TcpListener

__all__ = ["ANSWER_SECONDS", "AgentProcess"]

ANSWER_SECONDS = 60.0
"""Real seconds that anything asked of a process may take."""

_HOST = "127.0.0.1"
_CHILD = f"{__package__}.child"
_WHERE_SECONDS = 2.0
_KILLED_SECONDS = 5.0
"""Real seconds in which a process that takes too long may say what it waits for."""
_SHOWN = 200
"""How many lines of what a process printed last are shown."""
_WIDE = 2000
"""How much of a line, in bytes."""
_LONG = 1 << 28
"""How long, in bytes, what a process tells may be at most: a whole history is in a line."""
_FOR_A_TERMINAL = re.compile(r"\r|\x1b\[[\d;]*m")
_FOR_DEBUGGING = re.compile(r"[\d:.]+ DEBUG ")
"""How such a line of LiveKit's log begins; the last one hardly says why a process ended."""

_T = TypeVar("_T")


class AgentProcess:
    """A process, the connection to what is ours in it, and what it prints.

    `learn` takes what it tells.
    """

    def __init__(self, learn: Callable[[Mapping[str, Any]], None]) -> None:
        self._learn = learn
        self._process: asyncio.subprocess.Process | None = None
        self._printed: deque[bytes] = deque(maxlen=_SHOWN)
        self._lines = 0
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._failed: asyncio.Future[str]
        self._way = TcpListener(_HOST)
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Future[Any]] = []
        self._shutdown = AsyncExitStack()

    @property
    def is_alive(self) -> bool:
        """Whether it can still answer."""
        process = self._process
        return process is not None and process.returncode is None and not self._failed.done()

    async def start(self, order: Order, environment: Mapping[str, str]) -> TcpListener:
        """Start the process, and return where its session will connect to."""
        self._failed = asyncio.get_running_loop().create_future()
        control = await asyncio.start_server(self._connected, _HOST, 0, limit=_LONG)
        self._shutdown.callback(control.close)
        await self._way.listen()
        self._shutdown.push_async_callback(self._way.close)
        ports = (control.sockets[0].getsockname()[1], self._way.port)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _CHILD, *(f"{_HOST}:{port}" for port in ports)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**environment, "PYTHONUNBUFFERED": "1"},  # nothing is lost where it dies
            start_new_session=True,
        )
        self._tasks += map(asyncio.ensure_future, (self._keep_output(), self._process.wait()))
        assert self._process.stdin is not None, "it has a pipe"
        with suppress(ConnectionError):  # it has ended already, which is told below
            self._process.stdin.write(pickle.dumps(order))
            await self._process.stdin.drain()
            self._process.stdin.close()
        return self._way

    async def answering(self, awaited: Awaitable[_T], seconds: float, what: str) -> _T:
        """Await what the process has to do, for as long as it can.

        Raises:
            BehaviourError: It ended or failed first, or took longer.
        """
        assert self._process is not None, "it was started"
        waiting = asyncio.ensure_future(awaited)
        ends: set[asyncio.Future[Any]] = {waiting, self._failed, self._tasks[1]}
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        raise BehaviourError(await self._why_not(seconds, what))

    async def _why_not(self, seconds: float, what: str) -> str:
        assert self._process is not None, "it was started"
        if self._failed.done():
            return f"in the agent's process: {self._failed.result()}"
        if (code := self._process.returncode) is None:
            where = await self._where() or self._last_words()
            return f"the agent's process did not {what} within {seconds:g} s; {where}"
        await self._tasks[0]  # until all that it printed is here
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the agent's process ended ({how}) before it could {what}; {self._last_words()}"

    async def _where(self) -> str | None:
        """Return what the code of the user's waits for, None where nobody can say."""
        if self._writer is None:
            return None
        answer = self._question(where=True)
        await asyncio.wait({answer}, timeout=_WHERE_SECONDS)
        return answer.result()["where"] if answer.done() else None

    def _last_words(self) -> str:
        texts = (line.decode(errors="replace") for line in reversed(self._printed))
        lines = list(filter(None, (_FOR_A_TERMINAL.sub("", text).strip() for text in texts)))
        telling = (line for line in lines if not _FOR_DEBUGGING.match(line))
        last = next(telling, lines[0] if lines else None)
        return f"it printed last: {last}" if last else "it printed nothing"

    async def ask(self, **question: Any) -> Mapping[str, Any]:
        """Ask what is ours in the process; what it tells besides is learned."""
        told = await self.answering(self._question(**question), ANSWER_SECONDS, "answer")
        if "error" in told:
            raise BehaviourError(f"in the agent's process: {told['error']}")
        return told

    def _question(self, **question: Any) -> asyncio.Future[Mapping[str, Any]]:
        number = next(self._numbers)
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        assert self._writer is not None, "it has told of a session, and so it is connected"
        self._writer.write(json.dumps({"number": number, **question}).encode() + b"\n")
        return answer

    async def end(self, seconds: float | None) -> None:
        """Let the process end within `seconds`, or kill it, and show what it printed."""
        process = self._process
        if process is None:
            await self._shutdown.aclose()
            return
        if seconds is not None:
            with suppress(ProcessLookupError):
                process.terminate()
            _, late = await asyncio.wait(self._tasks[1:2], timeout=seconds)
            if late:
                self._learn({"found": f"it did not end within {seconds:g} s, and was killed"})
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it left behind
        async with real_time():  # the system takes its time to end what was killed
            _, left = await asyncio.wait(self._tasks, timeout=_KILLED_SECONDS)
        for task in left:  # what left its group may hold on to what it printed on
            task.cancel()
        await self._shutdown.aclose()
        if (left_out := self._lines - len(self._printed)) > 0:
            sys.stderr.write(f"({left_out} lines of the agent's process are left out)\n")
        printed = b"".join(self._printed).decode(errors="replace")
        sys.stderr.write(_FOR_A_TERMINAL.sub("", printed))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._tasks.append(asyncio.ensure_future(self._listen(reader, writer)))

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # that the process has ended is told by its exit
            async for line in reader:
                told = json.loads(line)
                if "failed" in told and not self._failed.done():
                    self._failed.set_result(told["failed"])
                self._learn(told)
                answer = self._answers.pop(told.get("answers"), None)
                if answer is not None and not answer.done():
                    answer.set_result(told)
        writer.close()

    async def _keep_output(self) -> None:
        """Read what the process prints, whoever wants to see it, so that it never waits for us."""
        assert self._process is not None, "it was started"
        printed = self._process.stdout
        assert printed is not None, "it has a pipe"
        rest = b""
        while chunk := await printed.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[:_WIDE]
            self._printed.extend(line[:_WIDE] + b"\n" for line in lines)
            self._lines += len(lines)
        if rest:
            self._printed.append(rest + b"\n")
