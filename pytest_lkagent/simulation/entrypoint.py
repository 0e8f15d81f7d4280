"""The user's real entrypoint: the function behind ``@server.rtc_session``, and its callbacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentServer, JobContext, JobProcess
from livekit.agents.simulation import SimulationContext

from .. import _livekit_job
from ..errors import RefusedConnection, UsageError
from ..guard import Guard
from ..options import Host
from ..sites import Site

__all__ = ["Entrypoint"]

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
        """Take an AgentServer, or the function alone; `name` is how the user writes it.

        Raises:
            UsageError: It is neither, or the server has no function.
        """
        what = f"the entrypoint {name}" if name is not None else "the entrypoint"
        if isinstance(source, AgentServer):
            parts = _livekit_job.parts_of(source)
            if parts.entrypoint is None:
                raise UsageError(
                    f"{what}: this AgentServer has no entrypoint; decorate a function with "
                    "@server.rtc_session()"
                )
            _refuse_plain(parts.entrypoint, what)
            return cls(
                what=what if name is not None else f"{what} {parts.entrypoint.__name__}()",
                run=parts.entrypoint,
                prewarm=parts.prewarm,
                on_session_end=parts.on_session_end,
                on_simulation_end=parts.on_simulation_end,
                end_timeout=parts.session_end_timeout,
                agent_name=parts.agent_name,
            )
        if isinstance(source, type) and issubclass(source, Agent):
            raise UsageError(f"{what}: {source.__name__} is an Agent: write agent: in its place")
        if inspect.isfunction(source):
            _refuse_plain(source, what)
        if not inspect.iscoroutinefunction(source):
            raise UsageError(
                f"{what}: expected an AgentServer, or the coroutine function that it runs, not "
                f"{source!r}"
            )
        return cls(what=what if name else f"{what} {source.__name__}()", run=source)

    @property
    def where(self) -> str:
        """Where its function is written, `` (server.py:40)``; nothing of one that has no lines."""
        return _place_of(self.run)

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


def _place_of(function: Any) -> str:
    function = inspect.unwrap(function)
    if not inspect.isfunction(function):
        return ""
    code = function.__code__
    return f" ({Site(code.co_filename, code.co_firstlineno)})"


def _refuse_plain(function: Any, what: str) -> None:
    """Refuse a function that LiveKit could only await in vain."""
    if inspect.isfunction(function) and not inspect.iscoroutinefunction(function):
        code = function.__code__
        raise UsageError(
            f"{what}: {function.__name__}() ({Site(code.co_filename, code.co_firstlineno)}) is a "
            "plain function, and LiveKit awaits it: write async def"
        )
