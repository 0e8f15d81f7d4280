"""The process of an agent that plays a scenario: what runs there before LiveKit's console command.

``python -m pytest_lkagent.simulation.child CONTROL SESSION`` reads an `Order` from its standard
input. The job of the console becomes that of the scenario, its mocks stand around the tools, and
what only this side can know is told to the test over `CONTROL`, in lines of JSON. `SESSION` is the
address to which the console connects.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any, TypeAlias

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIError,
    JobContext,
    JobProcess,
    RunContext,
)

from .. import _livekit, _livekit_job, _livekit_remote
from ..build import as_chat_context
from ..diagnosis import waiting
from ..environment import Dummies
from ..errors import BehaviourError, RefusedConnection, UsageError, with_causes
from ..fake import FakeLLM
from ..fake.judges import JudgeLLM, script_judges
from ..frames import is_users
from ..guard import Guard
from ..leftovers import Offers
from ..mocks import Mocks
from ..record import Record
from ..references import References
from ..scenario_run import resolve
from ..scenario_run.mocks import put_mocks
from ..settling import settled
from ..strict import Findings
from ..swallowed import CONTROL_FLOW, Swallowed
from ..tool_watch import EVERY_TOOL, ToolWatch
from ..wall_clock import WallClock
from ..words import ScenarioWords
from .adoption import Adoption
from .entrypoint import Entrypoint
from .job import introduce, outlast, room_of
from .order import Order

__all__ = ["main"]

_PAUSE = 0.01
"""Real seconds in which whatever is about to happen in a session has begun."""


def main() -> None:
    """Run the agent of one scenario until the test ends this process."""
    control, session = (_address(one) for one in sys.argv[1:])
    order: Order = pickle.load(sys.stdin.buffer)
    sys.path[:] = order.path
    link = _Link(control)
    try:
        child = _Child(order, link)
    except UsageError as error:
        link.tell(failed=str(error))
        raise SystemExit(1) from None
    if order.now is not None:
        WallClock(order.now, ticks=True).travel()
    _livekit_job.run_console(child.server, session)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


class _Link:
    """The connection to the test. Where that ends, nobody needs this process any more."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._lock = threading.Lock()
        self.asked: Callable[[Mapping[str, Any]], object] = _nobody_answers
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, **what: Any) -> None:
        with self._lock:
            self._socket.sendall(json.dumps(what).encode() + b"\n")

    def _listen(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                try:
                    self.asked(json.loads(line))
                except RuntimeError:  # its loop is closed
                    self.tell(failed="the agent's job has ended")
        os.killpg(0, signal.SIGKILL)  # and whatever the agent has started


def _nobody_answers(question: Mapping[str, Any]) -> None:
    """Leave a question open: the entrypoint does not run yet."""


class _Child:
    """What stands between the session and its tools here, as a harness does in the test."""

    speech: None = None

    def __init__(self, order: Order, link: _Link) -> None:
        self._order = order
        self._link = link
        scenario, problems = order.scenario, list[str]()
        led_by = {name: os.environ[name] for name in _LEADS if name in os.environ}
        references = References(lambda: Dummies(order.keys))
        names = resolve(scenario, references, problems)
        if problems:
            raise UsageError("\n".join(problems))
        os.environ.update(led_by)  # whatever a .env file put in their place
        assert names.entrypoint is not None, "the test looked"
        assert scenario.entrypoint is not None, "the test looked"
        self._entrypoint: Entrypoint = names.entrypoint
        self._mocks = Mocks()
        put_mocks(scenario, names, self._mocks)
        self._judges = FakeLLM()
        script_judges(self._judges, scenario.judges)
        self._findings = Findings({ref.text for ref in scenario.allow})
        self._swallowed = Swallowed(
            self._findings, is_expected=lambda _: False, is_shown=lambda _: False
        )
        self._tools = ToolWatch(self._mocks, self._swallowed)
        self._tools.failing = EVERY_TOOL  # whether it should have, the test sees by its output
        self.record = Record()
        self._offers = Offers()
        self._told: list[BaseException] = []
        self._raised: dict[str, _Chain] = {}
        """What tools raised that ends no call as LiveKit means it to, by the ids of the calls."""
        self._ended_by: str | None = None
        self._closing: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._adoption = Adoption(
            self._entrypoint.what,
            self,
            history=as_chat_context(list(scenario.history) or None),
            use=lambda _: None,
        )
        self._stack = ExitStack()  # for as long as the process lives
        self.server = self._server(references.resolve(scenario.entrypoint))

    def _server(self, source: Any) -> AgentServer:
        server = source if isinstance(source, AgentServer) else AgentServer()
        _livekit_job.run_instead(
            server,
            self._run,
            prewarm=self._prewarm if self._entrypoint.prewarm is not None else None,
            on_session_end=self._session_ended,
        )
        return server

    # --- the job

    def _prewarm(self, process: JobProcess) -> None:
        try:
            self._entrypoint.fill(process, self._order.hosts, found=self._refused)
        except UsageError as error:
            self._link.tell(failed=str(error))
            raise
        except BaseException as error:
            self._link.tell(failed=f"setup_fnc (prewarm) raised {_shown(error)}")
            raise

    async def _run(self, context: JobContext) -> None:
        """Run the entrypoint in the job of the scenario."""
        loop = asyncio.get_running_loop()
        options = self._order.job
        room = room_of(options, is_connected=False)
        _livekit_job.furnish(
            context,
            room,
            options,
            on_shutdown=self._shut_down,
        )
        introduce(context, room, self._entrypoint)
        _livekit_job.dispatch(context, **self._order.simulation)
        enter = self._stack.enter_context
        enter(_livekit.adopted_by(self._adoption, context))
        enter(_livekit_job.judged_by(lambda name: JudgeLLM(name, self._judges, _WORDS.judges)))
        enter(_livekit.quiet_log(self._is_reported))
        enter(
            Guard(
                loop,
                self._order.hosts,
                found=self._refused,
                waiting=waiting,
                for_llms=_FOR_LLMS,
            )
        )
        job = copy_context()  # in which LiveKit looks for it

        def answer(question: Mapping[str, Any]) -> None:
            answering = self._answering
            answering.add(task := loop.create_task(self._answer(question), context=job))
            task.add_done_callback(answering.discard)

        self._link.asked = lambda question: loop.call_soon_threadsafe(answer, question)
        try:
            session = asyncio.ensure_future(self._adoption.started.wait())
            before = asyncio.all_tasks()
            await self._entrypoint.begin(context)
            if self._ended_by is None:
                await outlast(session, before)
            if not self._adoption.started.is_set():
                raise UsageError(self._adoption.why_none(self._ended_by, self._entrypoint.where))
        except UsageError as error:
            self._link.tell(failed=str(error))
            raise
        except Exception as error:
            self._link.tell(failed=f"{self._entrypoint.what} raised {_shown(error)}")
            raise

    def _shut_down(self, reason: str) -> None:
        """Do at once what ``ctx.shutdown()`` is for; the rest comes with the end of the test."""
        if self._ended_by is None:
            self._ended_by = reason or "user requested"
            self._closing = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        if self._adoption.started.is_set():
            await self.session.aclose()

    async def _session_ended(self, context: JobContext) -> None:
        callbacks = _livekit_job.shutdown_callbacks(context)
        callbacks[:] = [self._watched(one, "a shutdown callback") for one in callbacks]
        try:
            if (ended := self._entrypoint.on_session_end) is not None:
                await self._watched(ended, "on_session_end")(context)
        finally:
            self._link.tell(**self._report())

    def _watched(
        self, callback: Callable[[Any], Awaitable[Any]], what: str
    ) -> Callable[[Any], Awaitable[Any]]:
        async def watched(argument: Any) -> None:
            try:
                await callback(argument)
            except Exception as error:
                self._found(error, f" (raised in {what})")
                raise

        return watched

    # --- the session, and what is told of it

    session: AgentSession[Any]

    def take(self, session: AgentSession[Any]) -> None:
        self.session = session
        _livekit.attach(session, self)
        self.record.listen(session)

    def stand_in(self, theirs: Any) -> None:
        """Let the session keep its own model, which asks the test's server."""

    def agent_starting(self, agent: Agent) -> None:
        tools = [tool.id for tool in _livekit.tools_of([*agent.tools, *self.session.tools])]
        self._offers.note(agent, tools)
        self._tools.watch_hooks(agent, self.session)
        _livekit_remote.name_asker(agent, self.session)

    def run_starting(self) -> None:
        """There is nothing to look at."""

    def tool_body(
        self,
        agent: Agent,
        tool: Any,
        context: RunContext[Any],
        user_mock: Callable[..., Any] | None,
    ) -> Callable[..., Awaitable[Any]]:
        body = self._tools.body(agent, tool, context, user_mock)

        async def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return await body(*args, **kwargs)
            except (SystemExit, KeyboardInterrupt) as error:  # by which the job's loop ends
                self._link.tell(failed=f"the tool {tool.id} raised {_shown(error)}")
                raise
            except Exception as error:
                self._raised[context.function_call.call_id] = _expectable(error)
                raise

        return run

    async def _answer(self, question: Mapping[str, Any]) -> None:
        told: dict[str, Any] = {}
        try:
            if "request" in question:
                body = base64.b64decode(question["request"])
                answer = await _livekit_remote.answer(self.session, body)
                told["response"] = base64.b64encode(answer).decode()
            elif "where" in question:
                told["where"] = waiting(asyncio.all_tasks())
            elif question["settle"]:
                await settled(self.session, self.record, lambda: asyncio.sleep(_PAUSE))
        except Exception as error:  # noqa: BLE001  (the test shows it)
            told["error"] = _shown(error)
        self._link.tell(answers=question["number"], **told, **self._report())

    def _report(self) -> dict[str, Any]:
        """Return what is known here alone; each error once."""
        record = self.record
        for error in [*self._swallowed.report(), *self._judges.refused]:
            self._found(error)
        self._judges.refused.clear()
        closing = [record.close_error] if record.close_error is not None else []
        errors, record.errors = [*record.errors, *closing], []
        record.close_error = None
        closed = record.closed
        return {
            "names": record.names,
            "closed": closed and {"reason": closed.reason, "error": closed.error},
            "errors": [_chain(error) for error in errors],
            "failed_tools": self._tools.failed,
            "raised": self._raised,
            "meant_to_fail": sorted(self._tools.meant_to_fail),
            "called": [one.label for one in self._mocks if not one.is_owed_a_call],
            "offered": self._offers.noted,
            "judged": self._judges.asked_judges,
        }

    def _is_reported(self, error: BaseException | None) -> bool:
        """Whether the test shows `error`, so that LiveKit's log of it only repeats it."""
        return self._findings.is_reported(error) or isinstance(error, APIError)

    def _refused(self, refusal: RefusedConnection) -> None:
        if self._findings.add(refusal):
            self._found(refusal)

    def _found(self, error: BaseException, where: str = "") -> None:
        if any(error is one for one in self._told):
            return
        self._told.append(error)
        self._link.tell(found=_shown(error) + where, raised=_expectable(error))


_FOR_LLMS = (
    "in a process of its own the script answers inference.LLM and OpenAI's clients alone; play it "
    "without target: process, where it answers any model"
)
_Chain: TypeAlias = list[tuple[list[str], str]]
"""The names of an error's classes, and its text; the same of what caused it, and so on."""
_LEADS = ("LIVEKIT_INFERENCE_URL", "OPENAI_BASE_URL")
_WORDS = ScenarioWords()


def _chain(error: BaseException) -> _Chain:
    """Name the classes of an error, and of all that caused it, each with its text."""
    return [
        ([kind.__name__ for kind in type(one).__mro__ if issubclass(kind, Exception)], str(one))
        for one in with_causes(error)
    ]


def _expectable(error: BaseException) -> _Chain:
    """Return what a test may expect of what was raised: nothing of our own words, and LiveKit's."""
    is_ours = isinstance(error, (UsageError, BehaviourError, *CONTROL_FLOW))
    return [] if is_ours else _chain(error)


def _shown(error: BaseException) -> str:
    """Say what was raised, and where."""
    if isinstance(error, (UsageError, BehaviourError)):
        return str(error)
    said = "".join(traceback.format_exception_only(error)).strip()
    way = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in way if is_users(frame.filename)]
    where = "".join(traceback.format_list(users)).rstrip()
    return f"{said}\n{where}" if where else said


if __name__ == "__main__":
    main()
