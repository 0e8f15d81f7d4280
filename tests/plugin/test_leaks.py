"""Tasks that outlive their test, and those that have every right to; what is heard of whom."""

from __future__ import annotations

import pytest

REMINDER = """
class Reminder(FrontDesk):
    async def on_enter(self):
        self.reminding = asyncio.create_task(self.remind())

    async def remind(self):
        while True:
            await asyncio.sleep(30)
"""


@pytest.fixture
def leaking(desk):
    """Make a project whose test has a conversation with an agent that reminds the caller."""

    def make(agent: str, marker: str = "", **files: str):
        test = f"""
{agent}

@pytest.mark.lk(agent=Reminder)
{marker}
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")

async def test_after(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
"""
        return desk({"test_it.py": test, **files})

    return make


def test_a_task_that_outlives_the_session_fails_the_test_and_ends(leaking):
    result = leaking(REMINDER).run()
    result.outcomes(failed=1, passed=1)
    result.shows(
        "the task Reminder.remind() (made at test_it.py:12) is still running at the end of the "
        "test; it waits at test_it.py:16: await asyncio.sleep(30); keep a reference to it and "
        "cancel it in on_exit, or let it pass: @pytest.mark.lk(allow=['leaked_task'])",
        "FAILED test_it.py::test_it - *",
    )


def test_it_may_be_allowed(leaking):
    leaking(REMINDER, "@pytest.mark.lk(allow='leaked_task')").run().outcomes(passed=2)


CLEAN = {
    "cancelled in on_exit": """
    async def on_exit(self):
        self.reminding.cancel()
""",
    "awaited in on_exit": """
    async def on_exit(self):
        self.reminding.cancel()
        await asyncio.gather(self.reminding, return_exceptions=True)
""",
    "over by itself": """
    async def remind(self):
        await asyncio.sleep(0)
""",
}


@pytest.mark.parametrize("way", CLEAN)
def test_a_task_that_ends_with_its_agent_is_none(leaking, way):
    leaking(REMINDER + CLEAN[way]).run().outcomes(passed=2)


def test_a_tool_that_waits_for_the_user_is_none(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import AgentTask, function_tool

            class Ask(AgentTask):
                def __init__(self):
                    super().__init__(instructions="Ask for the name.")

            class Asking(FrontDesk):
                @function_tool
                async def book(self, slot: str) -> str:
                    "Book a slot."
                    return await Ask()

            @pytest.mark.lk(agent=Asking)
            async def test_it(user_says, fake_llm):
                fake_llm.script(call("book", slot="2pm"))
                await user_says("2 pm")
            """
        }
    ).run()
    result.outcomes(passed=1)


SERVER = """
import asyncio
import pytest
import pytest_asyncio
from agent import FrontDesk

@pytest.fixture
def agent():
    return FrontDesk

@pytest_asyncio.fixture(loop_scope="SCOPE"SCOPED)
async def ticks():
    "As a server would: a task of its own, and one more for each caller."
    seen = []
    async def tick():
        while True:
            seen.append(asyncio.create_task(asyncio.sleep(3600)))
            await asyncio.sleep(1)
    task = asyncio.create_task(tick())
    yield seen
    assert not task.done()
    for one in (task, *seen):
        one.cancel()
"""


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("order", ["ticks, user_says", "user_says, ticks"])
def test_tasks_of_the_users_own_fixtures_are_none(desk, scope, order):
    scoped = "" if scope == "function" else f', scope="{scope}"'
    result = desk(
        {
            "conftest.py": SERVER.replace("SCOPED", scoped).replace("SCOPE", scope),
            "test_it.py": f"""
            pytestmark = pytest.mark.asyncio(loop_scope="{scope}")

            async def test_it({order}, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")
                await asyncio.sleep(3)
                assert len(ticks) >= 3

            async def test_again({order}, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")
                assert not ticks[-1].cancelled()
            """,
        }
    ).run()
    result.outcomes(passed=2)


def test_a_task_of_the_test_itself_is_one(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says, fake_llm):
                task = asyncio.create_task(asyncio.sleep(3600))
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "the task sleep() (made at test_it.py:10) is still running at the end of the test; keep *"
    )


def test_in_a_scenario_too_and_allow_lets_it_pass(desk):
    scenario = """
name: Reminders
agent: reminder.py:Reminder
scenarios:
  - label: Leaks
    turns: [{user: hi, llm: [Hello.]}]
  - label: May leak
    allow: [leaked_task]
    turns: [{user: hi, llm: [Hello.]}]
"""
    agent = f"import asyncio\nfrom agent import FrontDesk\n{REMINDER}"
    result = desk({"reminder.py": agent, "s.yaml": scenario}).run("--lk-scenarios=s.yaml")
    result.outcomes(failed=1, passed=1)
    result.shows(
        "s.yaml:4: Leaks: the task Reminder.remind() (made at reminder.py:6) is still running *"
    )


def test_a_task_that_a_callback_makes_belongs_to_whom_the_callback_belongs(desk):
    result = desk(
        {
            "test_it.py": """
            import pytest_asyncio

            pytestmark = pytest.mark.asyncio(loop_scope="module")

            def later():
                loop = asyncio.get_running_loop()
                loop.call_later(0.5, lambda: made.append(loop.create_task(asyncio.sleep(3_600))))

            made = []

            @pytest_asyncio.fixture(loop_scope="module", scope="module")
            async def ticker():
                later()
                yield
                assert not made[0].cancelled()
                made[0].cancel()

            async def test_of_the_fixture(ticker, agent_session):
                await asyncio.sleep(1)
                assert len(made) == 1

            async def test_of_the_test(ticker, agent_session):
                later()
                await asyncio.sleep(1)
                assert len(made) == 2
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows("the task sleep() * is still running at the end of the test*")
    result.shows("FAILED test_it.py::test_of_the_test - *")


def test_the_loop_of_several_tests_reports_as_ever_after_ours(desk):
    result = desk(
        {
            "test_it.py": """
            pytestmark = pytest.mark.asyncio(loop_scope="module")

            async def test_ours(agent_session): ...

            async def test_theirs():
                told = []
                loop = asyncio.get_running_loop()
                assert "call_exception_handler" not in vars(loop)
                loop.set_exception_handler(lambda loop, context: told.append(context["message"]))
                loop.call_soon(lambda: 1 / 0)
                await asyncio.sleep(0)
                assert told[0].startswith("Exception in callback")
            """
        }
    ).run()
    result.outcomes(passed=2)


# --- what is heard, and what is its owner's affair


def test_a_task_with_a_context_of_its_own_is_heard_too(desk):
    result = desk(
        {
            "test_it.py": """
            import contextvars

            async def save():
                raise LookupError("no calendar")

            async def test_it(agent_session):
                asyncio.create_task(save(), context=contextvars.Context())
                await asyncio.sleep(1)
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *LookupError: no calendar", "E *raised in the task save (test_it.py:*)*")


def test_a_task_of_the_tests_own_that_was_asked_how_it_ended_is_heard(desk):
    """Although it was the session's code that called the user's."""
    result = desk(
        {
            "test_it.py": """
            async def pieces():
                raise LookupError("no transcript")
                yield

            async def preview(agent):
                async for _ in Agent.default.transcription_node(agent, pieces(), None): ...

            async def test_it(agent_session):
                task = asyncio.create_task(preview(agent_session.current_agent))
                await asyncio.sleep(1)
                assert isinstance(task.exception(), LookupError)
            """
        }
    ).run()
    result.outcomes(passed=1)


def test_a_future_that_nobody_asks_is_nobodys_and_asyncio_logs_it_as_ever(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(agent_session):
                asyncio.get_running_loop().create_future().set_exception(LookupError("no answer"))
            """
        }
    ).run("-rP")
    result.outcomes(passed=1)
    result.shows("ERROR *Future exception was never retrieved")


def test_what_a_plain_fixture_of_the_users_begins_is_its_own_affair(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit import rtc

            async def nap(): ...

            @pytest.fixture
            def calendar(user_says):
                def breaks():
                    raise LookupError("no calendar")
                with pytest.warns(RuntimeWarning, match="coroutine 'nap' was never awaited"):
                    nap()
                calendar = rtc.EventEmitter()
                calendar.on("tick", breaks)
                return calendar

            async def test_it(calendar):
                calendar.emit("tick")
            """
        }
    ).run()
    result.outcomes(passed=1)


def test_a_coroutine_that_is_kept_after_a_turn_is_told_with_the_line_that_made_it(desk):
    result = desk(
        {
            "test_it.py": """
            async def nap(): ...

            async def test_it(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")
                later = [nap(), 1]
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("*nap() was never awaited (test_it.py:14): write await nap()")


def test_a_coroutine_of_one_test_is_not_put_down_to_another_in_which_garbage_is_collected(desk):
    result = desk(
        {
            "test_it.py": """
            import gc

            class Kept:
                pass

            async def test_in_a_cycle(user_says, fake_llm):
                gc.disable()
                kept = Kept()
                kept.itself, kept.nap = kept, asyncio.sleep(0)

            async def test_later(user_says, fake_llm):
                gc.collect()
                gc.enable()
            """
        },
        ini="filterwarnings = ignore\n",
    ).run()
    result.outcomes(passed=2)


@pytest.mark.parametrize("closing", ["raise RuntimeError('Event loop is closed')", "sleep(3_600)"])
def test_what_garbage_of_one_test_begins_is_not_put_down_to_another(desk, closing):
    """Such as AsyncOpenAI, whose ``__del__`` closes it on whichever loop runs."""
    closing = closing.replace("sleep", "await asyncio.sleep")
    result = desk(
        {
            "test_it.py": f"""
            import gc

            class Client:
                def __del__(self):
                    asyncio.get_running_loop().create_task(self.aclose())

                async def aclose(self):
                    closing.append(asyncio.current_task())
                    {closing}

            closing = []

            async def test_in_a_cycle(user_says, fake_llm):
                gc.disable()
                client = Client()
                client.itself = client

            async def test_later(user_says, fake_llm):
                gc.collect()
                gc.enable()
                await asyncio.sleep(0)
                assert len(closing) == 1
            """
        },
        ini="filterwarnings = ignore\n",
    ).run()
    result.outcomes(passed=2)


def test_who_debugs_reads_where_an_allowed_coroutine_was_made(desk):
    result = desk(
        {
            "test_it.py": """

            import sys

            @pytest.fixture(autouse=True)
            def debugging():
                before = sys.get_coroutine_origin_tracking_depth()
                sys.set_coroutine_origin_tracking_depth(5)
                yield
                sys.set_coroutine_origin_tracking_depth(before)

            @pytest.mark.lk(allow="never_awaited")
            async def test_it(agent_session):
                asyncio.sleep(0.5)
            """
        },
        ini="filterwarnings = default\n",
    )._made.run()
    result.outcomes(passed=1, warnings=1)
    result.shows(
        "*RuntimeWarning: coroutine 'sleep' was never awaited",
        "*Coroutine created at *",
        "*test_it.py*, in test_it",
    )


def test_what_a_test_had_is_gone_when_it_is_over(desk):
    """A suite of thousands of tests would keep all their sessions, 120 KB each."""
    result = desk(
        {
            "kept.py": """
            from weakref import WeakSet
            from agent import FrontDesk

            SESSIONS, STARTED = WeakSet(), []

            class Desk(FrontDesk):
                async def on_enter(self):
                    SESSIONS.add(self.session)
                    STARTED.append("one")
            """,
            "kept.lk.yaml": """
            agent: kept:Desk
            scenarios:
              - label: in text
                turns: [{user: hi, llm: [Hello.]}]
              - label: as a call
                mode: audio
                turns: [{user: hi, llm: [Hello.]}]
              - label: drawn
                fuzz: {examples: 3}
            """,
            "test_it.py": """
            import gc
            from livekit.agents import function_tool
            from kept import SESSIONS, STARTED, Desk

            pytestmark = pytest.mark.lk(agent=Desk)

            async def test_it(user_says, fake_llm):
                fake_llm.script(call("book", slot="2pm"), say("Booked."))
                await user_says("2 pm")

            async def test_a_call(voice_call, fake_llm):
                fake_llm.script("Hello.")
                await voice_call.say("hi")
                await voice_call.agent_answers()

            @pytest.mark.lk(real_time=True)
            async def test_in_real_time(user_says, fake_llm):
                fake_llm.script("Hello.")
                await user_says("hi")

            async def test_with_a_tool_that_knows_the_test(user_says, fake_llm, agent_session):
                @function_tool
                async def wait() -> str:
                    "Wait for what is said."
                    return fake_llm.requests[-1].last_input
                await agent_session.current_agent.update_tools([wait])
                fake_llm.script(call("wait"), "Hello.")
                await user_says("hi")

            def test_after():
                gc.collect()
                assert len(STARTED) >= 9
                assert not SESSIONS, [*SESSIONS]
            """,
        },
    ).run("--lk-scenarios=kept.lk.yaml", "kept.lk.yaml", "test_it.py")
    result.outcomes(passed=8)
