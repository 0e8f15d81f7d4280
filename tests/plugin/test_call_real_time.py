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
"""Milliseconds by which a latency may differ, for LiveKit and we compute in it."""
ROUNDING = 5
"""Those that are left when all the time is known in which the loop did not wait.

On a machine that does other things as well that is more than 20, and no fault of a clock.
"""

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
    """From when to when the loop waited, no longer than it was asked to."""
    waits = []
    select = selectors.DefaultSelector.select

    def wait(self, timeout=None):
        began = now()
        ready = select(self, timeout)
        if timeout:
            waits.append((began, min(now(), began + timeout)))
        return ready

    monkeypatch.setattr(selectors.DefaultSelector, "select", wait)
    return waits


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # the machine's: no test moves that


@pytest.fixture
def voice_call(waits, voice_call, request):
    """Write down what happens in the call, and when the loop had nothing to do but wait."""
    yield voice_call
    is_real = request.config.getoption("--lk-real-time")
    told = {"spans": list(spans(voice_call.timeline))}
    if is_real:
        began = voice_call._log.began
        told["waits"] = [[1000 * (one - began) for one in wait] for wait in waits]
    path = request.config.rootpath / ("real.json" if is_real else "virtual.json")
    path.write_text(json.dumps(told))


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
    """A call as it was played, and from when to when its loop waited."""

    spans: Sequence[Span]
    waits: Sequence[tuple[float, float]] = ()

    @property
    def events(self) -> list[tuple[int, str, bool]]:
        """What began and ended, and whether nothing else says when that has to be."""
        starts = [(one.start, one.what, one.latency is None) for one in self.spans]
        ends = [(one.end, one.what, False) for one in self.spans if one.end is not None]
        return starts + ends

    def tolerance(self, start: int, end: int) -> float:
        """Return how far a latency may be off that ran from `start` to `end`."""
        waited = sum(max(0, min(to, end) - max(since, start)) for since, to in self.waits)
        return max(TOLERANCE, ROUNDING + (end - start) - waited)


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
    """Walk what came neither at its time nor as late as what it may have followed from.

    That is what happened in the second before it, or last.
    """
    both = sorted(zip(virtual.events, real.events, strict=True), key=lambda pair: pair[0][0])
    before = [(0, 0, 0)]
    for (then, what, is_judged), (this, _, _) in both:
        delay = this - then
        causes = [one for one in before if then - one[0] <= 1000] or before[-1:]
        if (
            is_judged
            and abs(delay) > TOLERANCE
            and all(abs(delay - other) > real.tolerance(at, this) for _, at, other in causes)
        ):
            yield f"{what}: {this} ms in real time, and not {then}"
        before.append((then, this, delay))


@pytest.fixture
def judged(desk, pytester):
    """Play a call on the virtual clock and in real time, and require that it is the same."""

    def play(body: str, *arguments: str) -> Play:
        files = {"conftest.py": CONFTEST, "test_it.py": HEAD + body}
        desk(files).run(*arguments).outcomes(passed=1)
        path = pytester.path / ("real.json" if arguments else "virtual.json")
        told = json.loads(path.read_text(encoding="utf-8"))
        return Play([Span(*one) for one in told["spans"]], told.get("waits", ()))

    def judge(body: str) -> None:
        virtual = play(body)
        told = differences(virtual, play(body, "--lk-real-time"))
        if told:  # the machine may have stood still; what the virtual clock does wrong stays so
            told = differences(virtual, play(body, "--lk-real-time"))
        assert not told, "\n".join(told)

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
    fake_llm.script(say("For what time?"))
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
    fake_llm.script(say(LONG), say("Yes?"))
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
    fake_llm.script(call("book", people=2), say("For three then."))
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
