"""How the sessions of a test begin: built, scripted, started, by an entrypoint or without."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from . import _livekit, _livekit_job
from .build import as_chat_context, make_agent
from .errors import Stuck, UsageError
from .fake.judges import JudgeLLM
from .harness import Harness
from .leftovers import UNUSED
from .options import MEMORY
from .script import Step, StepSource, as_step
from .simulation.adoption import Adoption
from .tasks import patiently

if TYPE_CHECKING:
    from livekit.agents import Agent

    from .fake import FakeLLM
    from .simulation.entrypoint import Entrypoint
    from .simulation.order import Order
    from .stage import Stage

__all__ = ["run_entrypoint", "run_process", "start_session"]


async def start_session(
    stage: Stage,
    agent: Any,
    *,
    what: str = "agent",
    userdata: Any = ...,
    start: Iterable[StepSource] = (),
    history: Any = None,
    model: FakeLLM | None = None,
    options: Mapping[str, Any] | None = None,
    advice: str | None = None,
    owes_start: bool = True,
) -> Harness:
    """Build and start a session; see the `start_session` fixture.

    `what` names the agent in messages, `advice` says how to script what the start asks for.
    Where the start `owes` its steps, one that is left over is a finding, and answers nothing.
    """
    if stage.clock is None:
        raise UsageError(f"{what}: a session needs a running loop; write the test as async def")
    model = model or stage.model
    if model not in stage.models:
        stage.models.append(model)
    stage.check_time("start_session()")
    stage.before_session()
    made = await _made(stage, agent, what)
    _use(stage, made, what)
    harness = _harness(stage, model)
    arguments = harness.arguments(options or {})
    if userdata is not ...:
        _refuse_class(userdata)
        arguments["userdata"] = userdata
    if isinstance(start, str) or not isinstance(start, Iterable):
        raise UsageError(f"start_session(start=…) takes a list of steps, not {start!r}")
    harness = stage.open(harness)
    owes_start = owes_start and harness.speech is None  # a call goes on from there
    with _start_script(stage, model, start, advice, owes_start=owes_start):
        await harness.start(made, history=as_chat_context(history), **arguments)
    return harness


def _refuse_class(userdata: Any) -> None:
    """Refuse a class for what its instances are made to be; one that only holds values may be.

    And a function that would make it, as `agent` may be one: nobody calls it.
    """
    if inspect.isfunction(userdata):
        raise UsageError(
            f"userdata is the function {userdata.__name__}, which nobody calls: give what it "
            "returns, made by the fixture userdata for each test"
        )
    made_by = getattr(userdata, "__init__", None)
    if isinstance(userdata, type) and made_by is not object.__init__:
        name = userdata.__name__
        raise UsageError(
            f"userdata is the class {name}, and what the agent notes would stay in it from test to "
            f"test: give an instance, {name}(…), made by the fixture userdata for each test"
        )


async def run_entrypoint(
    stage: Stage,
    *,
    history: Any = None,
    start: Iterable[StepSource] = (),
    advice: str | None = None,
    owes_start: bool = True,
) -> Harness:
    """Run the entrypoint of the job, and have the session under test that it starts."""
    entrypoint = stage.job.entrypoint
    assert entrypoint is not None, "the job has an entrypoint"
    harness = stage.open(_harness(stage, stage.model))
    adoption = Adoption(
        entrypoint.what,
        harness,
        history=as_chat_context(history),
        use=lambda agent: _use(stage, agent, entrypoint.what),
    )

    async def run() -> None:
        try:
            if not await stage.job.begin(adoption.started.wait()):
                raise UsageError(adoption.why_none(stage.job.ended_by, entrypoint.where))
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001  (the test shows it as it is)
            error.add_note(f"raised in {entrypoint.what}")
            stage.findings.add(error)

    stage.before_session()
    stage.watches.enter_context(_livekit.adopted_by(adoption, stage.job.context))
    stage.watches.enter_context(
        _livekit_job.judged_by(lambda name: JudgeLLM(name, stage.model, stage.words.judges))
    )
    with _start_script(stage, stage.model, start, advice, owes_start=owes_start):
        await harness.start_by(run, entrypoint.what)
    return harness


async def run_process(
    stage: Stage,
    entrypoint: Entrypoint,
    order: Order,
    *,
    start: Iterable[StepSource] = (),
    advice: str | None = None,
    owes_start: bool = True,
) -> Harness:
    """Run the entrypoint in a process of its own, and have its session under test."""
    from .simulation.apart import ProcessHarness

    stage.before_session()
    harness = stage.apart = ProcessHarness(stage, stage.model, entrypoint)
    stage.open(harness)
    with _start_script(stage, stage.model, start, advice, owes_start=owes_start):
        await harness.launch(order)
    return harness


def _harness(stage: Stage, model: FakeLLM) -> Harness:
    if stage.target == MEMORY:
        from .simulation.wire import WireHarness

        return WireHarness(stage, model)
    if stage.is_call and not stage.sessions:
        from .voice.harness import VoiceHarness
        from .voice.line import Line

        return VoiceHarness(stage, model, Line(stage.tts, stage.impairments))
    return Harness(stage, model)


def _use(stage: Stage, agent: Agent, what: str) -> None:
    """Refuse an agent that another session had before."""
    if agent in stage.used:
        raise UsageError(
            f"{what}: this {type(agent).__name__} was used by a session before, and keeps what "
            "was said there; give the class or a factory, so that each session gets its own"
        )
    stage.used.add(agent)


def _start_script(
    stage: Stage,
    model: FakeLLM,
    start: Iterable[StepSource],
    advice: str | None,
    *,
    owes_start: bool,
) -> AbstractContextManager[None]:
    """Script what the start inside asks for; what it owes and does not ask is a finding."""
    steps = [as_step(one) for one in start]  # of which the line is still to be seen
    return _starting(stage, model, steps, advice, owes_start=owes_start)


@contextmanager
def _starting(
    stage: Stage, model: FakeLLM, steps: Sequence[Step], advice: str | None, *, owes_start: bool
) -> Iterator[None]:
    model.script(*steps)
    usual, model.advice = model.advice, advice or model.advice
    known = len(list(stage.findings))
    try:
        yield
    finally:
        model.advice = usual
    went_well = len(list(stage.findings)) == known
    if owes_start and went_well and (left := model.discard(steps)):
        stage.findings.add(UNUSED.finding(left, stage.words, "while the session started"))


async def _made(stage: Stage, agent: Any, what: str) -> Agent:
    clock, made, reasons = stage.clock, [], []
    assert clock is not None, "a session needs a loop"

    async def make() -> None:
        made.append(await make_agent(agent, what=what))

    def take_halt() -> str | None:
        reasons.append(clock.take_halt())
        return reasons[-1]

    with clock.budget(stage.timeout):
        if not await patiently(make(), take_halt):
            raise Stuck(f"{what} cannot finish: {reasons[-1]}; {stage.standstill.where_it_waits}")
    return made[0]
