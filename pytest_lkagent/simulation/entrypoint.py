"""The user's real entrypoint: the function behind ``@server.rtc_session``, and its callbacks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentServer, JobContext, JobProcess, WorkerOptions
from livekit.agents.simulation import SimulationContext

from .. import _livekit_job
from ..errors import RefusedConnection, UsageError
from ..guard import Guard
from ..options import Host
from ..sites import place_of

__all__ = ["Entrypoint", "awaitable"]


def awaitable(made: Any, what: str) -> Awaitable[Any]:
    """Return what a function of the user's `made`, for LiveKit to await.

    Raises:
        UsageError: It cannot be.
    """
    if not inspect.isawaitable(made):
        raise UsageError(f"{what} returned {made!r}, and LiveKit awaits it; write it as async def")
    return made


_PREWARM = "setup_fnc (prewarm)"
_ADVICE = "replace what does it (monkeypatch)"


@dataclass(frozen=True, kw_only=True)
class Entrypoint:
    """What a job runs: `run` with its context, and the callbacks around it.

    Attributes:
        what: How messages name it, ``the entrypoint agent.py:server``.
        end_timeout: Seconds that `on_session_end` may take.
        agent_name: The name under which the server has its jobs.
    """

    what: str
    run: Callable[[JobContext], Any]
    prewarm: Callable[[JobProcess], Any] | None = None
    on_session_end: Callable[[JobContext], Any] | None = None
    on_simulation_end: Callable[[SimulationContext], Any] | None = None
    end_timeout: float = 300.0
    agent_name: str = ""

    @classmethod
    def of(cls, source: Any, *, name: str | None = None) -> Entrypoint:
        """Take a server, or its options, or the function alone; `name` is how the user writes it.

        Raises:
            UsageError: It is neither, or the server has no function.
        """
        what = f"the entrypoint {name}" if name is not None else "the entrypoint"
        if isinstance(source, WorkerOptions):
            source = AgentServer.from_server_options(source)
        if isinstance(source, AgentServer):
            parts = _livekit_job.parts_of(source)
            if parts.entrypoint is None:
                raise UsageError(
                    f"{what}: this AgentServer has no entrypoint; decorate a function with "
                    "@server.rtc_session()"
                )
            return cls(
                what=what if name is not None else f"{what} {_named(parts.entrypoint)}",
                run=parts.entrypoint,
                prewarm=parts.prewarm,
                on_session_end=parts.on_session_end,
                on_simulation_end=parts.on_simulation_end,
                end_timeout=parts.session_end_timeout,
                agent_name=parts.agent_name,
            )
        if isinstance(source, type) and issubclass(source, Agent):
            raise UsageError(f"{what}: {source.__name__} is an Agent: write agent: in its place")
        if isinstance(source, type) or not callable(source):
            raise UsageError(
                f"{what}: expected an AgentServer, or the coroutine function that it runs, not "
                f"{source!r}"
            )
        return cls(what=what if name else f"{what} {_named(source)}", run=source)

    @property
    def where(self) -> str:
        """Where its function is written, `` (server.py:40)``; nothing of one that has no lines."""
        return _place_of(self.run)

    def begin(self, context: JobContext) -> Awaitable[Any]:
        """Call its function, and return what LiveKit awaits then.

        Raises:
            UsageError: It cannot be awaited.
        """
        return awaitable(self.run(context), f"{self.what}{self.where}")

    def warm_up(
        self, hosts: Collection[Host], *, found: Callable[[RefusedConnection], object]
    ) -> JobProcess:
        """Return a process object, filled as the server fills each new process.

        For outside of the loop, where LiveKit does it too.
        """
        process = _livekit_job.make_process()
        try:
            self.fill(process, hosts, found=found)
        except Exception as error:
            if not isinstance(error, (RefusedConnection, UsageError)):
                error.add_note(f"raised in {_PREWARM} of {self.what}")
            raise
        return process

    def fill(
        self,
        process: JobProcess,
        hosts: Collection[Host],
        *,
        found: Callable[[RefusedConnection], object],
    ) -> None:
        """Fill a new process, and let that reach `hosts` alone outside of the machine.

        Raises:
            UsageError: LiveKit would have to await it.
        """
        if self.prewarm is None:
            return
        with Guard(None, hosts, found=found, who=_PREWARM, advice=_ADVICE):
            made: Any = self.prewarm(process)
        if inspect.isawaitable(made):
            if inspect.iscoroutine(made):
                made.close()
            raise UsageError(
                f"{self.what}: {_PREWARM} returned a {type(made).__name__}"
                f"{_place_of(self.prewarm)}, and LiveKit does not await it: write def"
            )


def _place_of(called: Callable[..., Any]) -> str:
    written = inspect.unwrap(_written(called))
    return place_of(written if inspect.isroutine(written) else type(written).__call__)


def _written(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return what the user wrote of what is called: of a partial, its function."""
    while isinstance(run, functools.partial):
        run = run.func
    return run


def _named(run: Callable[..., Any]) -> str:
    written = _written(run)
    return f"{getattr(written, '__name__', type(written).__name__)}()"
