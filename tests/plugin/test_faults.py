"""What goes wrong in a user's tool, fixture or loop gets a clear line, and the rest runs on."""

from __future__ import annotations

import pytest

AFTER = """
async def test_after(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
"""


@pytest.fixture
def faulty(desk):
    """Make a project whose agent's tool has this body, and one more test after it."""

    def make(body: str, test: str = "await user_says('2 pm')"):
        lines = "\n        ".join(body.strip().splitlines())
        return desk(
            {
                "test_it.py": f"""
import threading
import time
from livekit.agents import RunContext, function_tool

class Faulty(FrontDesk):
    @function_tool
    async def book(self, context: RunContext, slot: str) -> str:
        "Book a slot."
        {lines}
        return "booked"

@pytest.mark.lk(agent=Faulty)
async def test_it(user_says, fake_llm, agent_session, start_session, transcript):
    fake_llm.script(call("book", slot="2pm"), say("Booked."))
    {test}
{AFTER}
"""
            }
        )

    return make


def test_a_tool_that_blocks_the_loop_fails_at_its_line_and_costs_no_time(faulty):
    result = faulty("time.sleep(60)").run()
    result.outcomes(failed=1, passed=1)
    result.shows(
        "time.sleep(60) blocks the event loop (test_it.py:17): nobody in this worker hears or "
        "says anything meanwhile; write await asyncio.sleep(60), or run what blocks with "
        "asyncio.to_thread"
    )


def test_it_may_be_allowed_and_takes_its_virtual_time(faulty):
    result = faulty(
        "time.sleep(5)",
        "turn = await user_says('2 pm')\n    assert turn.took == 5\n\n"
        "test_it.pytestmark.append(pytest.mark.lk(allow='blocked_loop').mark)",
    ).run()
    result.outcomes(passed=2)


@pytest.mark.parametrize(
    "look", ["time.time", "time.monotonic", "time.perf_counter", "asyncio.get_running_loop().time"]
)
def test_a_wait_that_looks_at_the_clock_again_and_again_ends(faulty, look):
    result = faulty(f"end = {look}() + 2\nwhile {look}() < end: pass").run()
    result.outcomes(failed=1, passed=1)
    result.shows(
        "a wait that looks at the clock again and again blocks the event loop (test_it.py:18): "
        "nobody in this worker hears or says anything meanwhile; write await asyncio.sleep(…), or "
        "run what blocks with asyncio.to_thread"
    )


def test_such_a_wait_takes_the_same_virtual_time_each_time(faulty):
    result = faulty(
        "end = datetime.datetime.now() + datetime.timedelta(seconds=2)\n"
        "while datetime.datetime.now() < end: pass",
        "turn = await user_says('2 pm')\n    assert turn.took == 2\n\n"
        "import datetime\n"
        "test_it.pytestmark.append(pytest.mark.lk(allow='blocked_loop').mark)",
    ).run()
    result.outcomes(passed=2)


def test_one_that_never_ends_is_made_to(faulty):
    result = faulty("while True: time.time()").run("--lk-timeout=20s")
    result.outcomes(failed=1, passed=1)
    result.shows(
        "E *Stuck: user_says('2 pm') cannot finish: it went on for more than 20 virtual seconds "
        "(set another bound with --lk-timeout or lk(timeout=…)); the event loop is blocked at "
        "test_it.py:17",
    )
    result.shows_no("*CancelledError*")


def test_other_threads_look_at_the_clock_as_often_as_they_like(faulty):
    result = faulty("await asyncio.to_thread(lambda: [time.time() for _ in range(250_000)])").run()
    result.outcomes(passed=2)


def test_other_threads_sleep_as_ever(faulty):
    result = faulty("await asyncio.to_thread(time.sleep, 0.01)").run()
    result.outcomes(passed=2)


def test_a_tool_may_have_threads(faulty):
    result = faulty(
        "seen = []\n"
        "threads = [threading.Thread(target=seen.append, args=(one,)) for one in range(5)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: await asyncio.to_thread(thread.join)\n"
        "assert sorted(seen) == list(range(5))"
    ).run()
    result.outcomes(passed=2)


def test_a_second_loop_inside_of_a_tool_is_the_tools_own_error(faulty):
    # closed, or Python warns of it when garbage is collected, in whichever test that is
    body = "nap = asyncio.sleep(0)\ntry:\n    asyncio.run(nap)\nfinally:\n    nap.close()"
    result = faulty(body).run()
    result.outcomes(failed=1, passed=1)
    result.shows(
        "*asyncio.run(nap)",
        "E *RuntimeError: asyncio.run() cannot be called from a running event loop",
    )


def test_a_second_loop_in_a_thread_of_a_tool_works(faulty):
    result = faulty("await asyncio.to_thread(asyncio.run, asyncio.sleep(0.01))").run()
    result.outcomes(passed=2)


def test_a_session_closed_inside_of_a_tool_ends_at_its_line(faulty):
    result = faulty("await context.session.aclose()").run()
    result.outcomes(failed=1, passed=1)
    result.shows("*cannot finish: *; the tool book waits at test_it.py:17*")


def test_a_tool_may_shut_its_session_down(faulty):
    result = faulty("context.session.shutdown()").run()
    result.outcomes(passed=2)


def test_two_sessions_at_once_may_talk_at_the_same_time(faulty):
    result = faulty(
        "await asyncio.sleep(30)",
        "other = await start_session(FrontDesk, llm=None)\n"
        "    fake_llm.script(say('Hello.'))\n"
        "    await user_says('2 pm')\n"
        "    await other.run(user_input='hi')\n"
        "    assert [event.type for event in transcript.events if event.type == 'message']",
    ).run()
    result.outcomes(passed=2)


@pytest.mark.slow
def test_an_interrupt_in_a_turn_stops_the_run_as_ever(faulty, warm):
    result = faulty("raise KeyboardInterrupt").run(subprocess=True)
    assert result.exit_status == pytest.ExitCode.INTERRUPTED
    result.shows("*KeyboardInterrupt*")


HALF_WAY = {
    "before ours": "def broken():\n    raise LookupError('no calendar')",
    "after ours": "def broken(agent_session):\n    raise LookupError('no calendar')",
    "in its teardown": "def broken(settle):\n    yield\n    raise LookupError('no calendar')",
    "awaiting": (
        "async def broken(user_says, fake_llm):\n"
        "    fake_llm.script(say('Hello.'))\n"
        "    await user_says('hi')\n"
        "    raise LookupError('no calendar')"
    ),
}


@pytest.mark.parametrize("way", HALF_WAY)
def test_a_fixture_that_fails_half_way_is_an_error_and_the_rest_runs_on(desk, way):
    body = HALF_WAY[way]
    decorator = "@pytest_asyncio.fixture" if "async" in body else "@pytest.fixture"
    result = desk(
        {
            "test_it.py": f"import pytest_asyncio\n\n{decorator}\n{body}\n\n"
            "async def test_it(broken, agent_session):\n    pass\n" + AFTER
        }
    ).run()
    result.outcomes(errors=1, passed=2 if way == "in its teardown" else 1)
    result.shows("E *LookupError: no calendar")


def test_uvloop_is_refused_in_one_line_and_the_rest_runs_on(desk):
    pytest.importorskip("uvloop")
    result = desk(
        {
            "ours/conftest.py": """
            import pytest
            import uvloop
            from agent import FrontDesk

            @pytest.fixture(scope="session")
            def event_loop_policy():
                return uvloop.EventLoopPolicy()

            @pytest.fixture
            def agent():
                return FrontDesk
            """,
            "ours/test_it.py": "async def test_it(user_says):\n    pass\n",
            "test_zafter.py": AFTER,
        },
        ini="pythonpath = .\n",
    ).run()
    assert (result.counts["errors"], result.counts["passed"]) == (1, 1)
    result.shows(
        "virtual time needs asyncio's own event loop, and this test runs on uvloop.Loop; leave the "
        "loop factory or policy away for tests that use pytest-lkagent"
    )


HANGING = {
    "a factory of the agent": (
        """
@pytest.fixture
def agent():
    async def make():
        await asyncio.Event().wait()
    return make

async def test_it(user_says):
    pass
""",
        "the agent under test cannot finish: nothing can happen any more; it waits at test_it.py:*",
    ),
    "a fixture of the user's": (
        """
@pytest_asyncio.fixture
async def slow(agent_session):
    await asyncio.Event().wait()

async def test_it(slow):
    pass
""",
        "E *Stuck: the fixture 'slow' cannot finish: nothing can happen any more; it waits at *:13",
    ),
    "its teardown": (
        """
@pytest_asyncio.fixture
async def slow(agent_session):
    yield
    await asyncio.Event().wait()

async def test_it(slow):
    pass
""",
        "E *Stuck: a fixture's teardown cannot finish: nothing can happen any more, and it waits *",
    ),
}


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("way", HANGING)
def test_a_fixture_that_hangs_is_an_error_at_its_line_and_the_rest_runs_on(desk, way, scope):
    test, line = HANGING[way]
    if scope == "session":
        test = test.replace("asyncio.fixture", "asyncio.fixture(loop_scope='session')")
    result = desk(
        {
            "test_it.py": f"import pytest_asyncio\n{test}",
            "test_zafter.py": AFTER,
        },
        ini=f"asyncio_default_test_loop_scope = {scope}\n",
    ).run()
    result.outcomes(errors=1, passed=2 if way == "its teardown" else 1)
    if "agent" not in way:
        result.shows("> * await asyncio.Event().wait()")
        result.shows_no("*asyncio/locks.py*")
    result.shows(line)
