"""The fixtures. Each takes what it gives from the test's `Stage`.

Nothing here depends on a fixture whose name a user may have taken, except on those that are there
to be overridden; what is ours and private begins with ``_lk_``.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from . import border, staging
from .errors import UsageError
from .loop_fixtures import of_its_loop

if TYPE_CHECKING:
    from livekit.agents import AgentSession, AgentTask, JobContext
    from livekit.agents.simulation import SimulationContext
    from livekit.agents.voice.run_result import RunResult

    from .defaults import Defaults
    from .expected import ExpectedClose, ExpectedError
    from .fake import FakeLLM
    from .fake.tts import FakeTTS
    from .harness import Harness
    from .mocks import TaskMock, ToolMock
    from .protocols import MockTask, MockTool, StartSession, UserSays
    from .script import StepSource
    from .snapshot.extension import ChatSnapshot
    from .stage import Stage
    from .transcript import Transcript
    from .voice.call import VoiceCall


# --- to be overridden


@pytest.fixture
def agent() -> Any:
    """The agent under test: an instance, a class or a factory. Override it in conftest.py."""
    return ...


@pytest.fixture
def entrypoint() -> Any:
    """The user's AgentServer, or the function that it runs, instead of an agent. Override it."""
    return ...


@pytest.fixture
def job_options() -> Mapping[str, Any]:
    """What the job is like: ``metadata``, ``attributes``, ``participant``, … Override it."""
    return {}


@pytest.fixture
def userdata(request: pytest.FixtureRequest) -> Any:
    """The session's ``userdata``: the scenario's, or none. Override it to give one."""
    scenario = border.scenario_of(request.node)
    if scenario is None or scenario.userdata is None:
        return ...
    request.node.stash[border.USERDATA_IS_SEEN] = True
    return copy.deepcopy(scenario.userdata)


@pytest.fixture
def session_options() -> Mapping[str, Any]:
    """Arguments for the AgentSession, such as ``max_tool_steps``. Override it to give some."""
    return {}


@pytest.fixture
def start_script() -> tuple[StepSource, ...]:
    """Steps that answer the requests of ``on_enter``, which runs before the test's body."""
    return ()


# --- the stage


@pytest.fixture
def _lk_bare_stage(request: pytest.FixtureRequest, job_options: Any) -> Iterator[Stage]:
    """The stage of this test, not yet on a loop."""
    with staging.stage_of(request.node, job_options) as stage:
        yield stage


def _stage_on_loop(**where: Any) -> Any:
    @pytest_asyncio.fixture(**where)
    async def stage_on_loop(_lk_bare_stage: Stage) -> AsyncIterator[JobContext]:
        with border.shown():
            async with _lk_bare_stage.on_loop() as context:
                yield context

    return stage_on_loop


def _session_on_loop(**where: Any) -> Any:
    @pytest_asyncio.fixture(**where)
    async def session_on_loop(
        _lk_defaults: Defaults, _lk_bare_stage: Stage
    ) -> AsyncIterator[Harness]:
        stage = _lk_bare_stage
        with border.shown():
            async with stage.on_loop():
                yield await _lk_defaults.session_on(stage)

    return session_on_loop


@pytest.fixture
def _lk_stage(request: pytest.FixtureRequest, _lk_bare_stage: Stage) -> Stage:
    """The stage, on the loop that this test runs on where it is a coroutine.

    A test with the session under test has it put there with the session: an async fixture costs
    more than all the rest of the stage.
    """
    if "_lk_defaults" in request.fixturenames:  # which is put into the job before it is entered
        try:
            request.getfixturevalue("_lk_defaults")
        except pytest.FixtureLookupError:  # they are being made, of fixtures that ask for this one
            return _lk_bare_stage
    _put_on_loop(request)
    return _lk_bare_stage


def _put_on_loop(request: pytest.FixtureRequest) -> None:
    if border.is_coroutine_test(request.node) and "_lk_main" not in request.fixturenames:
        of_its_loop(request, "stage", _stage_on_loop)


@pytest.fixture
def _lk_defaults(
    request: pytest.FixtureRequest,
    _lk_bare_stage: Stage,
    agent: Any,
    entrypoint: Any,
    userdata: Any,
    session_options: Any,
    start_script: Any,
) -> Defaults:
    """What a session is built from where the test says nothing else."""
    from . import defaults

    of = defaults.of_test if border.play_of(request.node) is None else defaults.of_scenario
    with border.shown():
        made = of(request, agent, entrypoint, userdata, session_options, start_script)
        defaults.set_the_scene(request, _lk_bare_stage, made)
    return made


@pytest.fixture
def _lk_main(request: pytest.FixtureRequest, _lk_defaults: Defaults) -> Harness:
    """The session under test."""
    border.refuse_without_loop(request.node)
    harness: Harness = of_its_loop(request, "session", _session_on_loop)
    return harness


# --- to use


@pytest.fixture
def agent_session(_lk_main: Harness) -> AgentSession[Any]:
    """A real, started ``AgentSession`` with the agent under test and a scripted model."""
    if not _lk_main.has_session:  # the verdict says why, before the test's body runs
        return None  # type: ignore[return-value]
    return _lk_main.session


@pytest.fixture
def start_result(_lk_main: Harness) -> RunResult[Any] | None:
    """LiveKit's RunResult of the start, with what ``on_enter`` said and did.

    None where an entrypoint starts the session. A call has none: it begins with the session.
    """
    if _lk_main.speech is not None:
        with border.shown():
            raise UsageError(
                "start_result: a call begins with the session, and its start ends in the midst of "
                "it: take voice_call.agent_answers(), or transcript.start"
            )
    return _lk_main.start_result


@pytest.fixture
def user_says(_lk_main: Harness) -> UserSays:
    """``await user_says("2 pm please")``: run one turn, settle, and return it as a `Turn`.

    ``interrupt=0.4`` makes the user cut in 0.4 seconds into the turn; other options go to
    LiveKit's ``session.run``. Raises what the run raises, unless `expect_error` names it.
    """
    return _lk_main.user_says


@pytest.fixture
def settle(_lk_main: Harness) -> Callable[[], Any]:
    """``await settle()``: wait until no speech, no tool and no reply to one is open."""
    return _lk_main.settle


@pytest.fixture
def transcript(_lk_main: Harness) -> Transcript:
    """The conversation so far, as neutral values: `.turns`, `.events`."""
    return _lk_main.transcript


@pytest.fixture
def fake_llm(_lk_stage: Stage) -> FakeLLM:
    """The scripted model that answers every agent of the test. Works before a session starts."""
    return _lk_stage.model


@pytest.fixture
def mock_tool(_lk_stage: Stage) -> MockTool:
    """``mock_tool(FrontDesk, "book", returns="booked")``: replace a tool, and record its calls."""

    def make(target: Any, name: str | None = None, **behaviour: Any) -> ToolMock:
        from .build import check_call
        from .mocks import ToolMock

        check_call(ToolMock, "mock_tool", (), target, name, **behaviour)
        return _lk_stage.mocks.add_tool(ToolMock(target, name, **behaviour))

    return make


@pytest.fixture
def mock_task(_lk_stage: Stage) -> MockTask:
    """``mock_task(GetEmailTask, returns=…)``: awaiting that AgentTask gives this at once."""

    def make(task: type[AgentTask[Any]], **behaviour: Any) -> TaskMock:
        from .build import check_call
        from .mocks import TaskMock

        check_call(TaskMock, "mock_task", (), task, **behaviour)
        return _lk_stage.mocks.add_task(TaskMock(task, **behaviour))

    return make


@pytest.fixture
def expect_error(_lk_stage: Stage) -> Callable[..., ExpectedError]:
    """``with expect_error(APIConnectionError, match="overloaded"):`` such an error is wanted."""
    return _lk_stage.expect_error


@pytest.fixture
def expect_close(_lk_stage: Stage) -> Callable[..., ExpectedClose]:
    """``with expect_close(reason="error"):`` the session is meant to close inside."""
    return _lk_stage.expect_close


@pytest.fixture
def chat_snapshot(request: pytest.FixtureRequest, _lk_bare_stage: Stage) -> Iterator[ChatSnapshot]:
    """``assert agent_session.history == chat_snapshot``: the same conversation as last time.

    Takes a chat context, a RunResult, a turn, the transcript or an exception. ``--snapshot-update``
    writes what is new or has changed into ``__lk_snapshots__``, beside the test's file.
    """
    from .snapshot.extension import chat_snapshot_of

    with border.shown():
        used = border.snapshots_of(request.config).used
        made = chat_snapshot_of(request, _lk_bare_stage.neutral, used)
    request.node.stash[border.CHAT_SNAPSHOT] = made
    yield made
    del request.node.stash[border.CHAT_SNAPSHOT]  # it holds the stage


@pytest.fixture
def job_context(request: pytest.FixtureRequest, _lk_defaults: Defaults) -> JobContext:
    """The fake ``JobContext`` in which the test runs; its ``room`` is a `FakeRoom`."""
    if _lk_defaults.entrypoint is not None or "_lk_main" in request.fixturenames:
        request.getfixturevalue("_lk_main")
    context: JobContext = of_its_loop(request, "stage", _stage_on_loop)
    return context


@pytest.fixture
def simulation(job_context: JobContext) -> SimulationContext:
    """The ``SimulationContext`` of the job, which a test of an entrypoint runs under."""
    context = job_context.simulation_context()
    assert context is not None, "the job has a dispatch"
    return context


@pytest.fixture
def start_session(
    request: pytest.FixtureRequest, _lk_defaults: Defaults, _lk_stage: Stage
) -> StartSession:
    """A factory of sessions: several in one test, or one for each hypothesis example.

    What is left out comes from the fixtures. A used agent instance is refused. Not for calls: there
    is one session on the line.
    """
    _put_on_loop(request)

    async def start(agent: Any = None, **given: Any) -> AgentSession[Any]:
        if _lk_stage.is_call:
            raise UsageError(
                "start_session(): a call has one session, that of voice_call, and nobody would "
                "hear another; say what it is like with lk(agent=…), or the fixtures agent, "
                "userdata and session_options"
            )
        if _lk_stage.clock is None and "_lk_main" in request.fixturenames:
            raise UsageError(
                "start_session(): the test has a session under test as well, which starts first, "
                "and has not yet; let the fixture that calls this take agent_session"
            )
        from .starting import start_session as start_on

        harness = await start_on(_lk_stage, **_lk_defaults.arguments(agent, **given))
        return harness.session

    return start


@pytest.fixture
def fake_tts(_lk_bare_stage: Stage) -> FakeTTS:
    """What the agent speaks with in a `voice_call`. Works before the call begins."""
    return _lk_bare_stage.tts


@pytest.fixture
def voice_call(request: pytest.FixtureRequest, _lk_main: Harness) -> VoiceCall:
    """A telephone call with the agent: ``await voice_call.say("a table for two", at=1.0)``."""
    from .voice.call import VoiceCall
    from .voice.harness import VoiceHarness

    assert isinstance(_lk_main, VoiceHarness), "the stage was told that it is a call"
    return VoiceCall(_lk_main, request.getfixturevalue("job_context").room)


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Any:
    """The scenario that is being played, None outside of scenario files."""
    scenario = border.scenario_of(request.node)
    # each run has userdata of its own: the agent may change what is made of it
    return scenario and replace(scenario, userdata=copy.deepcopy(scenario.userdata))
