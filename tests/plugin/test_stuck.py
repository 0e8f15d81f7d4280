"""Runs that never return: each ends by itself, says which line waits, and leaves no trace.

The first four are the hangs of livekit-agents' own sessions; the others are what user code adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

DESKS = '''\
import asyncio
import contextlib

from agent import FrontDesk
from livekit.agents import Agent, AgentTask, function_tool


class Other(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You take over.")


class Waits(FrontDesk):
    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        await asyncio.get_running_loop().create_future()


class NeverLeaves(FrontDesk):
    @function_tool
    async def hand_over(self) -> Agent:
        """Hand over."""
        return Other()

    async def on_exit(self) -> None:
        await asyncio.Event().wait()  # on_exit


class HangsUp(FrontDesk):
    @function_tool
    async def leave(self) -> str:
        """Leave."""
        await self.session.aclose()


class NeverEnters(FrontDesk):
    async def on_enter(self) -> None:
        await asyncio.Event().wait()  # on_enter


class Asks(Waits):
    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Book something.")


class Ticks(Waits):
    async def on_enter(self) -> None:
        self.ticker = asyncio.create_task(self.tick())

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(1)


class Spins(FrontDesk):
    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        while True:
            await asyncio.sleep(0)


class SpinsForGood(FrontDesk):
    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        self.spinner = asyncio.create_task(self.spin())

    async def spin(self) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # spin


class Deaf(FrontDesk):
    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        while True:
            with contextlib.suppress(BaseException):
                await asyncio.Event().wait()  # deaf


class Gathers(FrontDesk):
    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        await asyncio.gather(self.look(), asyncio.sleep(1))

    async def look(self) -> None:
        await asyncio.Event().wait()  # look


class GetEmail(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the email address.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask.")


class NeedsEmail(FrontDesk):
    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        return await GetEmail()
'''


def at(text: str) -> str:
    """Return the place and the text of the one line of desks.py that ends so."""
    ((number, line),) = [
        (number, line.strip())
        for number, line in enumerate(DESKS.splitlines(), 1)
        if line.endswith(text)
    ]
    return f"desks.py:{number}: {line}"


def place(text: str) -> str:
    return at(text).partition(": ")[0]


@dataclass(frozen=True)
class Hang:
    """A test that never returns, and what its reader sees."""

    agent: str
    steps: str
    lines: tuple[str, ...]
    says: str = "await user_says('book it')"


BOOK = "call('book', slot='2pm')"
STARTS = "the start of the session cannot finish: "
NOTHING = "nothing can happen any more"
CIRCLES = "it runs in circles, without any time passing"
SAYS = "user_says('book it') cannot finish: "

HANGS = {
    "a model that never answers": Hang(
        "FrontDesk",
        "stall()",
        (
            f"E *Stuck: {SAYS}{NOTHING}; the model is still at stall() (test_stuck.py:*)",
            "E *[1] user            book it",
            "E *FrontDesk is thinking, the user is listening",
            "E *still running:",
            "E *the test itself at test_stuck.py:*: await user_says('book it')",
            "E *the model is still at stall() (test_stuck.py:*)",
        ),
    ),
    "a tool that waits for ever": Hang(
        "Waits",
        BOOK,
        (
            f"E *Stuck: {SAYS}{NOTHING}; the tool book waits at {place('create_future()')}",
            "E *[0] agent_handoff   nobody -> Waits",
            "E *[1] user            book it",
            "E *[2] function_call   book(slot='2pm')",
            "E *Waits is thinking, the user is listening",
            f"E *the tool book at {at('create_future()')}",
        ),
    ),
    "an on_exit that blocks a hand-over": Hang(
        "NeverLeaves",
        "call('hand_over'), say('Hello.')",
        (
            f"E *Stuck: {SAYS}{NOTHING}; on_exit of NeverLeaves waits at {place('# on_exit')}",
            "E *[2] function_call * hand_over()",
            f"E *on_exit of NeverLeaves at {at('# on_exit')}",
        ),
    ),
    "a tool that closes its session": Hang(
        "HangsUp",
        "call('leave'), say('Bye.')",
        (
            f"E *Stuck: {SAYS}{NOTHING}; the tool leave waits at {place('aclose()')}",
            "E *[2] function_call * leave()",
            f"E *the tool leave at {at('aclose()')}",
        ),
    ),
    "a ticker that hides a tool which waits": Hang(
        "Ticks",
        BOOK,
        (
            (
                f"E *Stuck: {SAYS}it went on for more than 600 virtual seconds (set another bound "
                f"with --lk-timeout or lk(timeout=…)); the tool book waits at "
                f"{place('create_future()')}"
            ),
            f"E *the tool book at {at('create_future()')}",
            f"E *the task Ticks.tick() (made at {place('create_task(self.tick())')}) at desks.py:*",
        ),
    ),
    "a tool that spins": Hang(
        "Spins",
        BOOK,
        (
            f"E *Stuck: {SAYS}{CIRCLES}; the tool book waits at desks.py:*",
            "E *the tool book at desks.py:*: await asyncio.sleep(0)",
        ),
    ),
    "a task that spins and swallows its cancellation": Hang(
        "SpinsForGood",
        f"{BOOK}, say('Booked.')",
        (
            (
                f"E *Stuck: {SAYS}{CIRCLES}; the task SpinsForGood.spin() (made at "
                f"{place('create_task(self.spin())')}) waits at {place('# spin')}"
            ),
            (
                f"E *also: the task SpinsForGood.spin() (made at "
                f"{place('create_task(self.spin())')}) went on after it was cancelled, at "
                f"{at('# spin')}; let CancelledError through: catch Exception, or raise it again"
            ),
        ),
    ),
    "a tool that swallows everything": Hang(
        "Deaf",
        BOOK,
        (
            f"E *Stuck: {SAYS}{NOTHING}; the tool book waits at {place('# deaf')}",
            (
                f"E *also: the tool book went on after it was cancelled, at {at('# deaf')}; let "
                "CancelledError through: catch Exception, or raise it again"
            ),
        ),
    ),
    "a tool that gathers": Hang(
        "Gathers",
        BOOK,
        (
            f"E *Stuck: {SAYS}{NOTHING}; the tool book waits at {place('asyncio.sleep(1))')}",
            f"E *the tool book at {at('asyncio.sleep(1))')}",
            f"E *the task Gathers.look() (made at {place('asyncio.sleep(1))')}) at {at('# look')}",
        ),
    ),
    "a model that stalls inside of an AgentTask": Hang(
        "NeedsEmail",
        f"{BOOK}, say('Your email?'), stall()",
        (
            (
                f"E *Stuck: user_says('a@b.c') cannot finish: {NOTHING}; the model "
                "is still at stall() (test_stuck.py:*)"
            ),
            "E *GetEmail is thinking, the user is listening",
            (
                "E *the AgentTask GetEmail, which waits for the user, at "
                f"{at('return await GetEmail()')}"
            ),
            "E *the model is still at stall() (test_stuck.py:*)",
        ),
        "await user_says('book it'); await user_says('a@b.c')",
    ),
    "a start whose on_enter waits for ever": Hang(
        "NeverEnters",
        "",
        (
            f"{STARTS}{NOTHING}; on_enter of NeverEnters waits at {place('# on_enter')}",
            "[0] agent_handoff   nobody -> NeverEnters",
            "NeverEnters is listening, the user is listening",
            "still running:",
            f"on_enter of NeverEnters at {at('# on_enter')}",
        ),
        "raise AssertionError('unreachable')",
    ),
    "a start whose tool waits for ever": Hang(
        "Asks",
        "",
        (
            f"{STARTS}{NOTHING}; the tool book waits at {place('create_future()')}",
            "[1] function_call   book(slot='2pm')",
            "Asks is thinking, the user is listening",
        ),
        "raise AssertionError('unreachable')",
    ),
    "a body that waits outside of any turn": Hang(
        "FrontDesk",
        "say('Hello.')",
        (
            "> * await asyncio.Event().wait()",
            f"E *Stuck: the test cannot finish: {NOTHING}; it waits at test_stuck.py:*",
            "E *[2] assistant       Hello.",
            "E *FrontDesk is listening, the user is listening",
            "E *the test itself at test_stuck.py:*: await asyncio.Event().wait()",
        ),
        "await user_says('book it')\n    await asyncio.Event().wait()",
    ),
    "a body that swallows its cancellation": Hang(
        "FrontDesk",
        "",
        (
            "> * await asyncio.Event().wait()",
            (
                f"E *Stuck: the test was cancelled, since {NOTHING}, and did not end by that; "
                "it waits at test_stuck.py:*"
            ),
            (
                "E *also: the task test_it() went on after it was cancelled, at test_stuck.py:*: "
                "await asyncio.Event().wait(); let CancelledError through: *"
            ),
        ),
        "while True:\n        with contextlib.suppress(BaseException):\n"
        "            await asyncio.Event().wait()",
    ),
}

# The next tests find the loop, its time and LiveKit's classes as they were, and no task.
NEXT = """

async def test_next(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    turn = await user_says("hi")
    assert [str(event) for event in turn.events] == ["hi", "Hello."]

async def test_last():
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert "time" not in vars(asyncio.get_running_loop())
    await asyncio.sleep(0.001)
"""
NOISE = ("Exception in callback", "was destroyed", "never retrieved", "Task exception", "ignored")


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("kind", HANGS)
def test_a_run_that_never_returns_is_diagnosed_and_the_next_tests_run_clean(desk, kind, scope):
    hang = HANGS[kind]
    start = f"start=[{BOOK}], " if hang.agent == "Asks" else ""
    test = f"""
import contextlib
from desks import *
from pytest_lkagent import stall

pytestmark = pytest.mark.asyncio(loop_scope={scope!r})

@pytest.mark.lk({start}agent={hang.agent})
async def test_it(user_says, fake_llm):
    fake_llm.script({hang.steps})
    {hang.says}
"""
    made = desk({"desks.py": DESKS, "test_stuck.py": test + NEXT})
    result = made.run("-s", "-p", "no:logging")
    result.outcomes(failed=1, passed=2)
    result.shows(*hang.lines)
    result.shows_no("*unreachable*", "*/site-packages/*", "E *Error: *")
    assert [noise for noise in NOISE if noise in result.stderr] == []


def test_a_session_that_does_not_close_is_diagnosed_with_its_conversation(desk):
    test = """
from desks import *

pytestmark = pytest.mark.asyncio

@pytest.mark.lk(agent=NeverLeaves)
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
"""
    result = desk({"desks.py": DESKS, "test_stuck.py": test + NEXT}).run()
    result.outcomes(failed=1, passed=2)
    result.shows(
        "closing the session cannot finish: nothing can happen any more; on_exit of NeverLeaves "
        f"waits at {place('# on_exit')}",
        "[2] assistant       Hello.",
        "NeverLeaves is closing, the user is listening",
        f"on_exit of NeverLeaves at {at('# on_exit')}",
    )


SCENARIOS = """
agent: desks.py:Waits
scenarios:
  - label: Waits
    turns:
      - user: book it
        llm: [{call: {book: {slot: 2pm}}}]
  - label: Stalls
    turns:
      - user: book it
        llm: [{stall: true}]
  - label: Checks
    turns:
      - {user: hi, llm: [Hello.]}
    check: checks.py:waits
  - label: Is fine
    turns:
      - {user: hi, llm: [Hello.]}
"""


def test_a_scenario_that_cannot_finish_is_told_at_its_line(desk):
    result = desk(
        {
            "desks.py": DESKS,
            "checks.py": "import asyncio\n\nasync def waits():\n    await asyncio.Event().wait()\n",
            "stuck.yaml": SCENARIOS,
        }
    ).run("--lk-scenarios=stuck.yaml")
    result.outcomes(failed=3, passed=1)
    result.shows(
        "stuck.yaml:5: Waits, turn 1: user_says('book it') cannot finish: nothing can happen any "
        f"more; the tool book waits at {place('create_future()')}",
        "[2] function_call   book(slot='2pm')",
        "Waits is thinking, the user is listening",
        f"the tool book at {at('create_future()')}",
        "stuck.yaml:9: Stalls, turn 1: user_says('book it') cannot finish: nothing can happen any "
        "more; the model is still at stall() (stuck.yaml:10)",
        "stuck.yaml:11: Checks: the scenario cannot finish: nothing can happen any more; it waits "
        "at checks.py:4",
        "[2] assistant       Hello.",
        "the test itself at checks.py:4: await asyncio.Event().wait()",
    )


def test_after_a_turn_that_was_given_up_the_conversation_can_go_on(desk):
    test = """
from pytest_lkagent import stall

async def test_it(agent_session, user_says, fake_llm):
    fake_llm.script(stall(), say("Yes?"), say("Here I am."))
    for text in ("book it", "hello?"):
        with pytest.raises(AssertionError, match=f"{text}.*the model is still at stall"):
            await user_says(text)
    await agent_session.interrupt(force=True)
    turn = await user_says("are you there?")
    assert turn.events[-1].text == "Here I am."
"""
    desk({"test_stuck.py": test}).run().outcomes(passed=1)


def test_a_bound_of_ones_own_ends_a_ticker_sooner(desk):
    test = """
from desks import *

@pytest.mark.lk(agent=Ticks)
async def test_it(user_says, fake_llm):
    fake_llm.script(call("book", slot="2pm"))
    await user_says("book it")
"""
    result = desk({"desks.py": DESKS, "test_stuck.py": test}).run("--lk-timeout=30s")
    result.outcomes(failed=1)
    result.shows("E *it went on for more than 30 virtual seconds (set another bound with *")


def test_the_bound_is_one_for_a_turn_however_often_the_model_is_asked_in_it(desk):
    test = """
async def test_it(user_says, fake_llm):
    fake_llm.script(*[call("book", slot="2pm").timed(duration=400)] * 2)
    await user_says("book it")
"""
    result = desk({"test_stuck.py": test}).run()
    result.outcomes(failed=1)
    result.shows(f"E *Stuck: {SAYS}it went on for more than 600 virtual seconds (set another *")


SUITE = """
from desks import *

@pytest.mark.parametrize("number", range(300))
async def test_it(start_session, fake_llm, number):
    fake_llm.script(call("book", slot="2pm") if number % 10 == 5 else say("Hello."))
    session = await start_session(Waits)
    await session.run(user_input="book it")
"""


@pytest.mark.slow
def test_a_suite_in_which_every_tenth_test_hangs_ends_by_itself(desk):
    result = desk({"desks.py": DESKS, "test_suite.py": SUITE}).run("-q")
    result.outcomes(failed=30, passed=270)
    diagnosed = f"E *Stuck: the test cannot finish: {NOTHING}; it waits at test_suite.py:*"
    result.shows(*[diagnosed, f"E *the tool book at {at('create_future()')}"] * 30)


@pytest.mark.slow
def test_it_ends_by_itself_on_several_processes_too(desk, warm):
    pytest.importorskip("xdist")
    suite = SUITE.replace("range(300)", "range(20)")
    made = desk({"desks.py": DESKS, "test_suite.py": suite})
    result = made.run("-n", "2", "-q", subprocess=True)
    result.outcomes(failed=2, passed=18)
    result.shows(*[f"E *the tool book at {at('create_future()')}"] * 2)


# --- jobs in threads, which nobody can end

THREADS = """
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from desks import *

pytestmark = pytest.mark.asyncio
never, own = queue.Queue(), ThreadPoolExecutor()

class Blocks(FrontDesk):
    @function_tool
    async def book(self, slot: str) -> str:
        "Book a slot."
        return await asyncio.to_thread(never.get)

def take():
    return never.get()

def give(work, pool=None):
    return asyncio.get_running_loop().run_in_executor(pool, work)

@pytest.mark.lk(agent=Blocks, timeout=0.1)
async def test_of_a_tool(user_says, fake_llm):
    fake_llm.script(call("book", slot="2pm"))
    await user_says("book it")

async def test_that_gives_it_up(agent_session):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await asyncio.to_thread(take)

async def test_in_a_task(agent_session):
    task = asyncio.create_task(asyncio.to_thread(never.get))

async def test_of_a_pool(agent_session):
    give(take, own)

@pytest.mark.lk(allow="leaked_task")
async def test_allowed(agent_session):
    give(take)

async def test_skipped(agent_session):
    give(take)
    pytest.skip("no time")

async def test_that_ends_soon(agent_session):
    for _ in range(3):
        give(lambda: time.sleep(0.01))
"""


@pytest.mark.slow
def test_a_job_in_a_thread_that_never_ends_is_told_and_pytest_goes_on_and_ends(desk):
    soon = "import pytest_lkagent.thread_jobs\n\npytest_lkagent.thread_jobs.PATIENCE = 0.5\n"
    made = desk({"desks.py": DESKS, "test_stuck.py": THREADS + NEXT, "soon.py": soon})
    result = made.run("-p", "soon", subprocess=True)
    result.outcomes(failed=4, passed=4, skipped=1)
    ending = (
        "has not ended 5 s after the test, and no thread can be made to: pytest goes on without "
        "it; give its wait a timeout, or let it pass: @pytest.mark.lk(allow=['leaked_task'])"
    )
    result.shows(
        f"E *Stuck: {SAYS}it went on for more than 0.1 virtual *; the tool book waits at *",
        f"E *also: a job in a thread (test_stuck.py:*: return await asyncio.to_thread(*)) {ending}",
        "a job in a thread (test_stuck.py:*: await asyncio.to_thread(take); it is at "
        f"test_stuck.py:*: return never.get()) {ending}",
        "the task to_thread() * is still running at the end of the test; *",
        f"also: a job in a thread (test_stuck.py:*: task = *) {ending}",
        f"a job in a thread (test_stuck.py:*; it is at test_stuck.py:*: *) {ending}",
    )
    assert [noise for noise in NOISE if noise in result.stderr] == []
