"""Real time as the judge of virtual time: the same call, once as long as it takes.

On the virtual clock nothing takes time but what waits for it, so that it may be wrong in a way
that no test on it shows. Here a call is played on both, and has to be the same one.
`tox run -e realtime` runs this; the suite leaves it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.realtime

TOLERANCE = 20
"""Milliseconds by which a latency may differ: what LiveKit and we take to do the work."""
PLAYS = 5
"""How often a call is played that other programs disturb."""

CONFTEST = '''
import json
import selectors
import time

import pytest
from agent import FrontDesk


@pytest.fixture
def agent():
    return FrontDesk


@pytest.fixture
def waits(monkeypatch):
    """When the loop had waited, how long it was asked to, and what it had computed by then."""
    waits = []
    select = selectors.DefaultSelector.select

    def wait(self, timeout=None):
        began = now()
        ready = select(self, timeout)
        ended = now()
        if timeout:
            waits.append((ended, min(ended - began, timeout), time.thread_time()))
        return ready

    monkeypatch.setattr(selectors.DefaultSelector, "select", wait)
    return waits


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # the machine's: no test moves that


@pytest.fixture
def voice_call(waits, voice_call, request):
    """Write down what happens in the call, and what the machine took away from it."""
    yield voice_call
    is_real = request.config.getoption("--lk-real-time")
    told = {"spans": list(spans(voice_call.timeline))}
    if is_real:
        told["stolen"] = list(stolen(waits, voice_call._log.began))
    path = request.config.rootpath / ("real.json" if is_real else "virtual.json")
    path.write_text(json.dumps(told))


def stolen(waits, began):
    """Walk the milliseconds of the call in which the loop neither waited nor computed."""
    before, _, computed_before = waits[0]
    for ended, waited, computed in waits[1:]:
        lost = (ended - before) - waited - (computed - computed_before)
        yield 1000 * (ended - began), 1000 * lost
        before, computed_before = ended, computed


def spans(timeline):
    """Walk what happened: what it was, from when to when, and how long the user waited for it."""
    for one in timeline.user:
        yield f"user: {one.text!r}, heard {one.heard!r}", one.start, one.end, None
    for one in timeline.agent:
        said = f"{one.agent}: {one.text!r}, unsaid {one.unsaid!r}"
        yield said, one.start, one.end, one.latency
        for start, end in one.pauses:
            yield f"{one.agent} pauses", start, end, None
    for one in timeline.tools:
        yield one.call, one.start, one.end, None
    for one in timeline.states:
        yield f"{one.who} is {one.state}", one.at, None, None
    for one in timeline.moments:
        yield str(one), one.at, None, None
'''

HEAD = """
from livekit.agents import AgentTask, function_tool
from pytest_lkagent import FakeLLM, FakeRealtimeModel

LONG = "We have a table at seven, and one at nine on the terrace."
DOWN = APIConnectionError("down")
realtime = pytest.mark.lk(agent=lambda: FrontDesk(llm=FakeRealtimeModel(FakeLLM())))

class FrontDesk(Agent):
    def __init__(self, **options):
        super().__init__(instructions="You book tables.", **options)

    @function_tool
    async def book(self, people: int) -> str:
        await asyncio.sleep(1.5)
        return f"booked for {people}"

    @function_tool
    async def ask(self) -> str:
        return f"it is {await AskName()}"

class AskName(AgentTask[str]):
    def __init__(self):
        super().__init__(instructions="You ask for a name.")

    async def on_enter(self):
        self.session.say("What is your name?")

    @function_tool
    async def take_name(self, name: str):
        self.complete(name)

pytestmark = pytest.mark.lk(agent=FrontDesk)
"""


@dataclass(frozen=True)
class Span:
    """Something that happened in a call, in its milliseconds; a mere moment has no end."""

    what: str
    start: int
    end: int | None
    latency: int | None

    @property
    def took(self) -> int:
        return 0 if self.end is None else self.end - self.start


@dataclass(frozen=True)
class Play:
    """A call as it was played, and when other programs had how much of its time."""

    spans: Sequence[Span]
    stolen: Sequence[tuple[float, float]] = ()
    failure: str | None = None

    @property
    def events(self) -> list[tuple[int, str]]:
        """What began and ended, each in the order in which its kind of it happened."""
        starts = [(one.start, one.what) for one in self.spans]
        return starts + [
            (one.end, f"end of {one.what}") for one in self.spans if one.end is not None
        ]

    @property
    def lost(self) -> float:
        """Return the milliseconds that other programs had in all."""
        return sum(lost for _, lost in self.stolen)

    def tolerance(self, start: int, end: int) -> float:
        """Return how far a latency may be off that ran from `start` to `end`."""
        return TOLERANCE + sum(lost for at, lost in self.stolen if start < at <= end + TOLERANCE)


def differences(virtual: Play, real: Play) -> list[str]:
    """Say in what a call in real time was not the one on the virtual clock."""
    there, here = ([one.what for one in play.spans] for play in (virtual, real))
    if there != here:
        return [
            *(f"on the virtual clock alone: {what}" for what in there if what not in here),
            *(f"in real time alone: {what}" for what in here if what not in there),
        ] or [f"in another order: {there} on the virtual clock, {here} in real time"]
    told = []
    for was, now in zip(virtual.spans, real.spans, strict=True):
        if abs(now.took - was.took) > real.tolerance(now.start, now.start + now.took):
            told.append(f"{was.what} took {now.took} ms in real time, and not {was.took}")
        latency, expected = now.latency or 0, was.latency or 0
        if abs(latency - expected) > real.tolerance(now.start - latency, now.start):
            told.append(f"{was.what} came after {latency} ms in real time, and not {expected}")
    return [*told, *_out_of_step(virtual, real)]


def _out_of_step(virtual: Play, real: Play) -> Iterator[str]:
    """Walk what came as far from its time as nothing before it that it could follow from."""
    both = sorted(zip(virtual.events, real.events, strict=True), key=lambda pair: pair[0][0])
    before = [(0, 0)]
    for (then, what), (this, _) in both:
        delay = this - then
        if all(abs(delay - one) > real.tolerance(at, this) for at, one in before):
            yield f"{what}: {this} ms in real time, and not {then}"
        before.append((this, delay))


@pytest.fixture
def judged(desk, pytester):
    """Play a call on the virtual clock and in real time, and require that it is the same.

    Other programs do more harm than they take time, such as to the machine's caches: a call that
    they disturbed is played again. A clock that is wrong is so each time.
    """

    def play(body: str, *arguments: str) -> Play:
        files = {"conftest.py": CONFTEST, "test_it.py": HEAD + body}
        result = desk(files).run(*arguments)
        failure = None if result.exit_status == pytest.ExitCode.OK else str(result)
        path = pytester.path / ("real.json" if arguments else "virtual.json")
        told = json.loads(path.read_text(encoding="utf-8"))
        return Play([Span(*one) for one in told.pop("spans")], **told, failure=failure)

    def judge(body: str) -> None:
        virtual = play(body)
        assert not virtual.failure, virtual.failure
        for _ in range(PLAYS):
            real = play(body, "--lk-real-time")
            told = [real.failure] if real.failure else differences(virtual, real)
            if not told or real.lost < TOLERANCE:
                break
        lost = f"other programs took {real.lost:.0f} ms of the call"
        assert not told, "\n".join([*told, lost])

    return judge


# --- turns


def test_a_turn_and_a_tool(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(say("For how many?"), call("book", people=2), say("It is booked."))
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.agent_answers("For how many?")
    await voice_call.say("for two", lasts=0.5)
    await voice_call.agent_answers("It is booked.")
""")


def test_a_turn_that_seemed_not_to_be_over(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(say("(never said)"), say("For what time?"))
    await voice_call.say("a table", at=0.5, lasts=0.5, end_of_turn=0.1)
    await voice_call.say("for two", at=2.5, lasts=0.5)
    await voice_call.agent_answers("For what time?")
""")


def test_a_transcript_that_is_late(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(say("For what time?").timed(ttft=0.3))
    await voice_call.say("a table for two", at=0.5, lasts=0.8, delay=0.9)
    await voice_call.agent_answers("For what time?")
""")


def test_words_that_begin_where_time_has_just_come(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(say("(never said)"), say(LONG), say("Yes?"))
    await voice_call.say("a table", at=0, lasts=0.5, end_of_turn=0.1)
    await voice_call.say("for two", at=0.5, lasts=0.5)
    await voice_call.interrupt("oh no please wait", after=0, lasts=1)
    await voice_call.agent_answers("Yes?")
""")


# --- interruptions


def test_an_interruption(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(say(LONG), say("Fine."))
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.interrupt("no wait please", after=1, lasts=1.2)
    await voice_call.agent_stops()
    await voice_call.agent_answers("Fine.")
""")


def test_a_noise_that_is_no_interruption(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(say(LONG))
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.interrupt("", after=1, lasts=0.6)
    await voice_call.agent_resumes()
""")


def test_words_before_the_answer_is_heard(judged):
    judged("""
async def test_it(voice_call, fake_llm, fake_tts):
    fake_tts.voice(ttfb=1.5)
    fake_llm.script(say(LONG), say("Fine."))
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.say("for eight", at=1.8, lasts=0.5)
    await voice_call.agent_answers("Fine.")
""")


def test_words_while_a_tool_is_at_work(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(call("book", people=2), say("(never said)"), say("For three then."))
    await voice_call.say("a table for two", at=0.5, lasts=0.5)
    await voice_call.say("no for three", at=1.8, lasts=0.5)
    await voice_call.agent_answers("For three")
""")


def test_words_over_the_question_of_a_task(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(call("ask"), call("take_name", name="Ann"), say("Hello Ann."))
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.interrupt("Ann", after=0.5, lasts=0.2)
    await voice_call.agent_stops()
    await voice_call.agent_answers("Hello Ann.")
""")


# --- faults


def test_a_voice_that_fails_twice(judged):
    judged("""
async def test_it(voice_call, fake_llm, fake_tts):
    fake_tts.voice("Hello.", fails=DOWN, attempts=2)
    fake_llm.script(say("Hello."))
    await voice_call.say("hi there", at=0.5, lasts=0.5)
    await voice_call.agent_answers("Hello.")
""")


def test_recognition_that_fails(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    await voice_call.say("hi there", at=0.5, lasts=0.5, error=DOWN)
    fake_llm.script(say("Hello."))
    await voice_call.say("hi again", at=2.5, lasts=0.5)
    await voice_call.agent_answers("Hello.")
""")


def test_a_caller_who_hangs_up(judged):
    judged("""
async def test_it(voice_call, fake_llm):
    fake_llm.script(say(LONG))
    await voice_call.say("hi there", at=0.5, lasts=0.5)
    await voice_call.agent_answers()
    await voice_call.silence(1)
    await voice_call.hang_up()
""")


# --- a realtime model


def test_a_turn_of_a_realtime_model(judged):
    judged("""
@realtime
async def test_it(voice_call, fake_llm):
    fake_llm.script(say("For how many?"), call("book", people=2), say("It is booked."))
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.agent_answers("For how many?")
    await voice_call.say("for two", lasts=0.5)
    await voice_call.agent_answers("It is booked.")
""")


def test_a_realtime_model_is_interrupted(judged):
    judged("""
@realtime
async def test_it(voice_call, fake_llm):
    fake_llm.script(say(LONG), say("Fine."))
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.interrupt("no wait please", after=1, lasts=1.2)
    await voice_call.agent_stops()
    await voice_call.agent_answers("Fine.")
""")


def test_a_realtime_model_that_loses_its_connection(judged):
    judged("""
@realtime
async def test_it(voice_call, fake_llm):
    fake_llm.script(fail(APIConnectionError("gone"), attempts=2), "Where were we?")
    await voice_call.say("a table", at=0.5, lasts=0.5)
    await voice_call.silence(4)
    await voice_call.say("hello?", lasts=0.5)
    await voice_call.agent_answers("Where were we?")
""")
