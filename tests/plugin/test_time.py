"""What time it is in a test of ours, and that it is everyone else's again afterwards."""

from __future__ import annotations

import time
from textwrap import dedent

import pytest

WHEN = """
import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from pydantic import BaseModel, Field

import pytest
from pytest_lkagent import real_time, virtual_now, virtual_time
from livekit.agents import Agent, function_tool

class Note(BaseModel):
    at: float = Field(default_factory=time.time)
    day: datetime = Field(default_factory=datetime.now)

def machine():
    "The real clock of the machine, which nothing moves."
    return time.clock_gettime(time.CLOCK_MONOTONIC)

START = datetime(2026, 6, 1, 9, tzinfo=UTC)
"""


@pytest.fixture
def when(desk):
    """Make a project whose tests look at the clock."""

    def make(test: str, files: dict[str, str] | None = None, *, ini: str = ""):
        return desk({"test_time.py": WHEN + dedent(test), **(files or {})}, ini=ini)

    return make


def test_every_test_begins_at_one_instant_and_every_clock_follows(when):
    result = when(
        """
        @pytest.mark.parametrize("again", [1, 2])
        async def test_clocks(fake_llm, again):
            assert datetime.now(UTC) == START == virtual_now()
            assert datetime.now() == START.replace(tzinfo=None) and date.today() == START.date()
            began = time.time(), time.monotonic(), time.perf_counter(), time.monotonic_ns()
            began_ns = time.perf_counter_ns()
            really = machine()
            await asyncio.sleep(3600)
            assert time.time() == began[0] + 3600 == Note().at == Note().day.timestamp()
            assert time.monotonic() == began[1] + 3600
            assert time.perf_counter() < time.perf_counter(), "LiveKit divides by the difference"
            assert time.perf_counter() == pytest.approx(began[2] + 3600, abs=0.001)
            assert time.monotonic_ns() == pytest.approx(began[3] + 3600 * 10**9, abs=1000)
            assert time.perf_counter_ns() < time.perf_counter_ns()
            assert time.perf_counter_ns() == pytest.approx(began_ns + 3600 * 10**9, abs=10**6)
            assert virtual_now() == START + timedelta(hours=1)
            assert machine() - really < 60

        def test_without_a_loop(fake_llm, mock_tool):
            mock_tool(FrontDesk, "book", optional=True)
            assert datetime.now(UTC) == START
        """
    ).run()
    result.outcomes(passed=3)


CLOCKS = """
import asyncio
import time as named
from time import asctime, ctime, monotonic, monotonic_ns, perf_counter, perf_counter_ns, sleep
from time import monotonic as clock

measure = named.perf_counter

def look():
    return {
        "monotonic": monotonic(), "clock": clock(), "monotonic_ns": monotonic_ns() / 1e9,
        "perf_counter": perf_counter(), "measure": measure(), "_ns": perf_counter_ns() / 1e9,
    }
"""


def test_the_clocks_that_a_module_imported_by_name_follow_and_are_given_back(when):
    result = when(
        """
        import clocks

        KEPT = vars(clocks).copy()

        @pytest.mark.parametrize("again", [1, 2])
        async def test_clocks(fake_llm, again):
            began = clocks.look()
            await asyncio.sleep(3600)
            for name, shown in clocks.look().items():
                assert shown == pytest.approx(began[name] + 3600, abs=0.001), name
            assert clocks.monotonic() == time.monotonic()
            real = await asyncio.to_thread(clocks.monotonic)
            assert real == pytest.approx(machine(), abs=60)
            assert {time.ctime(), clocks.ctime(), clocks.asctime(), time.ctime(None)} == {
                "Mon Jun  1 10:00:00 2026"
            }
            assert time.ctime(0) == clocks.asctime(time.gmtime(0)) == "Thu Jan  1 00:00:00 1970"

        @pytest.mark.lk(allow=["blocked_loop"])
        async def test_a_sleep(fake_llm):
            clocks.sleep(0.5)
            assert datetime.now(UTC) == START + timedelta(seconds=0.5)

        async def test_a_module_that_came_anew(fake_llm, monkeypatch, request):
            import importlib, sys
            monkeypatch.delitem(sys.modules, "clocks")
            anew = importlib.import_module("clocks")
            began = anew.monotonic()
            await asyncio.sleep(3600)
            assert anew.monotonic() == began + 3600

        def test_theirs():
            assert vars(clocks) == KEPT
            assert clocks.monotonic is time.monotonic
        """,
        {"clocks.py": CLOCKS},
    ).run()
    result.outcomes(passed=5)


def test_metrics_of_the_model_are_in_virtual_time(when):
    result = when(
        """
        async def test_ttft(agent_session, user_says, fake_llm):
            took = []
            agent_session.on("metrics_collected", lambda event: took.append(event.metrics))
            slow = say("Hello.").timed(ttft=2, duration=5)
            fake_llm.script(slow.with_usage(prompt_tokens=9, completion_tokens=1))
            await user_says("hi")
            [metrics] = took
            assert metrics.ttft == pytest.approx(2, abs=0.01)
            assert metrics.duration == pytest.approx(5, abs=0.01)
        """
    ).run()
    result.outcomes(passed=1)


@pytest.mark.parametrize(
    ("how", "ini", "shown"),
    [
        ("", "lk_now = 2026-12-24\n", "2026-12-24T00:00:00"),
        ("@pytest.mark.lk(now='2026-12-24T20:00:00+02:00')", "", "2026-12-24T18:00:00"),
        ("@pytest.mark.lk(now=datetime(2026, 12, 24))", "lk_now = 2020-01-01", "2026-12-24T00:00"),
        (
            "@pytest.mark.lk(now=datetime(2026, 12, 24, 20, tzinfo=ZoneInfo('America/New_York')))",
            "",
            "2026-12-24T20:00:00",
        ),
    ],
)  # fmt: skip
def test_when_it_is_may_be_said(when, how, ini, shown):
    result = when(
        f"""
        from zoneinfo import ZoneInfo
        {how}
        async def test_when(agent_session):
            assert datetime.now().isoformat().startswith({shown!r})
        """,
        ini=ini,
    ).run()
    result.outcomes(passed=1)


@pytest.fixture
def machine_in_tokyo(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("machine_in_tokyo")
@pytest.mark.parametrize("now", ["2026-12-24", "2026-12-24T02:00:00+02:00"])
def test_the_zone_of_the_machine_never_shows_in_local_time(when, now):
    result = when(
        f"""
        @pytest.mark.lk(now={now!r})
        async def test_when(agent_session):
            assert datetime.now().isoformat() == "2026-12-24T00:00:00"

        def test_theirs():
            assert datetime.now().astimezone().utcoffset() == timedelta(hours=9)
        """
    ).run()
    result.outcomes(passed=2)


def test_an_agent_is_built_and_greets_at_that_time(when):
    result = when(
        """
        class Caller(Agent):
            def __init__(self):
                super().__init__(instructions=f"Today is {date.today()}.")

            async def on_enter(self):
                assert date.today() == date(2026, 12, 24)

        @pytest.mark.lk(agent=Caller, now="2026-12-24T20:00:00Z")
        async def test_when(agent_session):
            assert agent_session.current_agent.instructions == "Today is 2026-12-24."
        """
    ).run()
    result.outcomes(passed=1)


def test_fixtures_of_broader_scopes_and_other_tests_have_the_real_time(when):
    result = when(
        """
        BEGAN = datetime.now(UTC)

        @pytest.fixture(scope="module")
        def token():
            assert is_now(), "set up in virtual time"
            yield "token"
            assert is_now(), "torn down in virtual time"

        @pytest.fixture
        def note():
            assert datetime.now(UTC) == START, "set up in real time"
            yield
            assert datetime.now(UTC) == START + timedelta(hours=1), "torn down in real time"

        def is_now():
            return datetime.now(UTC) > BEGAN

        async def test_first(note, user_says, token, fake_llm):
            assert datetime.now(UTC) == START
            await asyncio.sleep(3600)

        def test_theirs(token):
            assert is_now()

        async def test_last(fake_llm, request):
            request.getfixturevalue("token")
            assert datetime.now(UTC) == START
        """
    ).run()
    result.outcomes(passed=3)


def test_a_broader_fixture_that_a_test_asks_for_late_takes_virtual_time_all_the_same(when):
    """It runs on the test's own loop, with the wall clock given back meanwhile."""
    result = when(
        """
        import pytest_asyncio

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def server():
            await asyncio.to_thread(print)
            await asyncio.sleep(3600)
            return datetime.now(UTC)

        @pytest.fixture
        def late(user_says, request):
            return request.getfixturevalue("server")

        @pytest.mark.asyncio(loop_scope="module")
        async def test_it(late):
            assert late != START and late.year == datetime.fromtimestamp(REALLY).year
            assert timedelta(hours=1) <= virtual_now() - START < timedelta(hours=1, minutes=1)
            shown = datetime.now(UTC)
            assert abs(virtual_now() - shown) < timedelta(milliseconds=1)

        REALLY = time.time()
        """
    ).run()
    result.outcomes(passed=1)


@pytest.mark.parametrize("real", [False, True])
def test_reports_keep_real_durations(when, real):
    result = when(
        f"""
        @pytest.mark.lk(now="2000-01-01", real_time={real})
        async def test_long(user_says, fake_llm):
            await asyncio.sleep({0 if real else 3600})
            assert datetime.now(UTC).year == 2000
        """,
        {
            "conftest.py": """
            import pytest
            from agent import FrontDesk

            @pytest.fixture
            def agent():
                return FrontDesk

            def pytest_runtest_logreport(report):
                really = report.start > 1_700_000_000 and report.stop >= report.start
                print(report.when, "real" if really and report.duration < 60 else report.start)
            """
        },
    ).run("-s")
    result.outcomes(passed=1)
    for phase in ("setup", "call", "teardown"):
        result.shows(f"*{phase} real*")


REAL = {
    "--lk-real-time": ("", ["--lk-real-time"], ""),
    "the ini file": ("", [], "lk_real_time = true\n"),
    "the marker": ("@pytest.mark.lk(real_time=True)", [], ""),
}


@pytest.mark.parametrize("way", REAL)
def test_time_may_be_real(when, way):
    marker, arguments, ini = REAL[way]
    result = when(
        f"""
        {marker}
        async def test_real(user_says, fake_llm, agent_session):
            really, loops = machine(), asyncio.get_running_loop().time()
            assert datetime.now(UTC) != START and virtual_now() != START
            fake_llm.script(say("Hello.").timed(ttft=0.05))
            turn = await user_says("hi")
            assert turn.took >= 0.05 and machine() - really >= 0.05
            assert asyncio.get_running_loop().time() - loops == pytest.approx(
                machine() - really, abs=0.01
            )
        """,
        ini=ini,
    ).run(*arguments)
    result.outcomes(passed=1)


def test_in_real_time_the_wall_clock_may_still_begin_elsewhere(when):
    result = when(
        """
        @pytest.mark.lk(real_time=True, now="2026-12-24T20:00:00Z")
        async def test_real(user_says):
            await asyncio.sleep(0.01)
            gone = datetime.now(UTC) - datetime(2026, 12, 24, 20, tzinfo=UTC)
            assert timedelta(seconds=0.01) <= gone < timedelta(minutes=1)
        """
    ).run()
    result.outcomes(passed=1)


def test_in_real_time_the_wall_clock_goes_on_from_phase_to_phase(when):
    result = when(
        """
        @pytest.fixture
        def began(user_says):
            began = datetime.now(UTC)
            yield began
            assert datetime.now(UTC) > began

        @pytest.mark.lk(real_time=True, now="2000-01-01")
        async def test_real(began):
            called = datetime.now(UTC)
            assert called.year == 2000 and called > began
            await asyncio.sleep(0.001)
            assert datetime.now(UTC) > called

        def test_theirs():
            assert datetime.now(UTC).year > 2000
        """
    ).run()
    result.outcomes(passed=2)


def test_in_real_time_too_nothing_hangs(when):
    result = when(
        """
        class Stuck(FrontDesk):
            @function_tool
            async def book(self, slot: str) -> str:
                "Book a slot."
                await asyncio.Event().wait()

        @pytest.mark.lk(real_time=True, agent=Stuck)
        async def test_no_event_will_come(user_says, fake_llm):
            fake_llm.script(call("book", slot="2pm"))
            await user_says("2 pm")

        @pytest.mark.lk(real_time=True, agent=Stuck, timeout=0.05)
        async def test_a_ticker(user_says, fake_llm):
            async def tick():
                while True:
                    await asyncio.sleep(0.001)
            ticker = asyncio.create_task(tick())
            fake_llm.script(call("book", slot="2pm"))
            try:
                await user_says("2 pm")
            finally:
                ticker.cancel()
        """
    ).run()
    result.outcomes(failed=2)
    result.shows("*cannot finish: nothing can happen any more*")
    result.shows("*cannot finish: it went on for more than 0.05 seconds*")


HELD = {
    "a fixture that froze": """
        from freezegun import freeze_time

        @pytest.fixture
        def frozen():
            with freeze_time("2020-01-01"):
                yield

        async def test_it(frozen, user_says):
            raise AssertionError("unreachable")
    """,
    "a fixture that travelled": """
        import time_machine

        @pytest.fixture
        def travelled():
            with time_machine.travel("2020-01-01"):
                yield

        async def test_it(user_says, travelled):
            raise AssertionError("unreachable")
    """,
    "a broader fixture that travelled": """
        import time_machine

        @pytest.fixture(scope="module", autouse=True)
        def travelled():
            with time_machine.travel("2020-01-01"):
                yield

        async def test_it(user_says):
            raise AssertionError("unreachable")
    """,
    "a broader fixture that froze": """
        from freezegun import freeze_time

        @pytest.fixture(scope="module", autouse=True)
        def frozen():
            with freeze_time("2020-01-01"):
                yield

        async def test_it(user_says):
            raise AssertionError("unreachable")
    """,
    "a decorator": """
        from freezegun import freeze_time

        @freeze_time("2020-01-01")
        async def test_it(user_says, fake_llm):
            fake_llm.script(say("Hello."))
            await user_says("hi")
            raise AssertionError("unreachable")
    """,
    "the body, after a thread for which the clock ran": """
        import time_machine

        def see_the_clock_run():
            began = time.time()
            while time.time() == began:
                pass

        async def test_it(user_says):
            await asyncio.to_thread(see_the_clock_run)
            with time_machine.travel("2020-01-01"):
                await user_says("hi")
            raise AssertionError("unreachable")
    """,
    "the body": """
        import time_machine

        async def test_it(user_says, fake_llm):
            fake_llm.script(say("Hello."))
            with time_machine.travel("2020-01-01"):
                await user_says("hi")
            raise AssertionError("unreachable")
    """,
}


@pytest.mark.parametrize("way", HELD)
def test_a_clock_that_something_else_holds_is_refused_and_the_rest_runs_on(when, way):
    if "freezegun" in HELD[way]:
        pytest.importorskip("freezegun")
    result = when(
        HELD[way],
        {
            "test_zafter.py": f"{WHEN}\n"
            "async def test_after(user_says):\n    assert datetime.now(UTC) == START\n\n"
            "def test_theirs():\n    assert datetime.now(UTC) != START\n"
        },
    ).run()
    assert result.counts["passed"] == 2
    assert result.counts.get("failed", 0) + result.counts.get("errors", 0) == 1
    result.shows(
        "*holds the clock, and pytest-lkagent moves it itself; take that away and say when the "
        "test is: @pytest.mark.lk(now='2026-06-12T09:00:00Z'), now: in a scenario, lk_now in the "
        "ini file"
    )
    result.shows_no("*unreachable*")


@pytest.mark.parametrize(
    ("marker", "ini", "line"),
    [
        (
            "now='tomorrow'",
            "",
            "test_time.py:*: test_it: lk(now=…): 'tomorrow' is no moment; write a *",
        ),
        (
            "now=5",
            "",
            "*lk(now=…): 5 is no moment; write a date and time like 2026-06-12T09:00:00Z",
        ),
        (
            "now='9999-12-31'",
            "",
            (
                "*lk(now=…): '9999-12-31' is out of reach; write a date and time like "
                "2026-06-12T09:00:00Z, from 1900 to 2999"
            ),
        ),
        (
            "now=datetime(1, 1, 1)",
            "",
            (
                "*lk(now=…): datetime.datetime(1, 1, 1, 0, 0) is out of reach; write a date and "
                "time like 2026-06-12T09:00:00Z, from 1900 to 2999"
            ),
        ),
    ],
)
def test_what_is_no_moment_is_refused_in_one_line(when, marker, ini, line):
    result = when(
        f"""
        @pytest.mark.lk({marker})
        async def test_it(user_says):
            raise AssertionError("unreachable")
        """,
        ini=ini,
    ).run()
    result.outcomes(errors=1)
    result.shows(line)
    result.shows_no("*Traceback*", "*raise *")


def test_a_moment_of_the_ini_file_that_is_none_ends_the_run_in_one_line(when, refused):
    result = when("", ini="lk_now = tomorrow\n").run()
    refused(
        result, "lk_now: 'tomorrow' is no moment; write a date and time like 2026-06-12T09:00:00Z"
    )


def test_users_own_async_tests_may_have_virtual_time(when):
    result = when(
        """
        pytestmark = pytest.mark.asyncio

        async def test_virtual():
            really = machine()
            async with virtual_time("2026-12-24T20:00:00Z") as clock:
                await asyncio.sleep(3600)
                assert clock.now == 3600
                assert virtual_now() == datetime(2026, 12, 24, 21, tzinfo=UTC) == datetime.now(UTC)
            assert machine() - really < 60 and datetime.now(UTC) != START

        async def test_by_default():
            async with virtual_time():
                assert datetime.now(UTC) == START

        async def test_stuck():
            async with virtual_time():
                await asyncio.Event().wait()

        async def test_twice():
            async with virtual_time():
                async with virtual_time():
                    pass

        async def test_ours(fake_llm):
            async with virtual_time():
                pass

        async def test_after():
            assert datetime.now(UTC) != START
        """
    ).run()
    result.outcomes(passed=3, failed=3)
    result.shows("*Stuck: the test cannot finish: nothing can happen any more*")
    result.shows("*UsageError: time is virtual here already, *take virtual_time() away")


def test_a_wait_for_a_thread_that_nobody_sees_is_real_inside_of_real_time(when):
    result = when(
        """
        import threading

        def answer_later(seconds):
            loop, future = asyncio.get_running_loop(), asyncio.Future()
            answer = lambda: loop.call_soon_threadsafe(future.set_result, 7)
            threading.Timer(seconds, answer).start()
            return future

        async def test_real(fake_llm):
            async with asyncio.timeout(60), real_time():
                assert await answer_later(0.05) == 7

        @pytest.mark.asyncio
        async def test_theirs():
            async with real_time():
                assert await answer_later(0.01) == 7
        """
    ).run()
    result.outcomes(passed=2)


def test_a_conversation_is_the_same_every_time_to_the_byte_and_with_its_times(when):
    made = when(
        """
        import random

        class Desk(Agent):
            def __init__(self):
                super().__init__(instructions="You book visits.")

            @function_tool
            async def find(self, number: int) -> str:
                "Find a slot."
                await asyncio.sleep(number % 7 / 10)
                return f"slot {number}"

        @pytest.mark.lk(agent=Desk)
        async def test_it(user_says, fake_llm, agent_session, transcript):
            chance = random.Random(7)
            for number in range(20):
                fake_llm.script(
                    reply("I look.", *(call("find", number=n) for n in chance.sample(range(9), 3))),
                    say("Found.").timed(ttft=chance.random(), duration=1 + chance.random()),
                )
                turn = await user_says(f"turn {number}")
                print(f"{turn.took!r} {turn.events!r}")
            for item in agent_session.history.items:
                print(f"{item.created_at!r} {item.type}")
        """
    )
    told = [
        [line for line in made.run("-s").lines if line[:1].isdigit() and " passed in " not in line]
        for _ in range(3)
    ]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) > 100
