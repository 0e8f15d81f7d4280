"""A test of `fuzz_agent` is a test of hypothesis', and a test of the plugin's."""

from __future__ import annotations

import re

import pytest

AGENT = """
import asyncio
from contextvars import ContextVar
from datetime import datetime

from livekit.agents import Agent, RunContext, function_tool

PLAYED = []
KEPT = ContextVar("kept", default=None)


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")
        PLAYED.append((KEPT.get(), datetime.now().isoformat(), len(asyncio.all_tasks())))
        KEPT.set("from an example")
        asyncio.get_running_loop().call_later(3600, PLAYED.clear)

    @function_tool
    async def book(self, slot: str) -> str:
        \"\"\"Book a slot.\"\"\"
        asyncio.current_task().set_name(slot)
        return f"booked {slot}"


class Slow(Agent):
    def __init__(self):
        super().__init__(instructions="You are slow.")

    @function_tool
    async def think(self) -> str:
        await asyncio.sleep(700)
        return "thought"


class Leaky(Agent):
    def __init__(self):
        super().__init__(instructions="You leak.")

    async def on_enter(self):
        self.task = asyncio.create_task(asyncio.sleep(3600))


class Narrow(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, guests: int) -> str:
        assert guests < 5, f"{guests} guests"
        return "booked"
"""
HEAD = """
import pytest
from hypothesis import *
from pytest_lkagent.fuzz import fuzz_agent
from desk import *
"""
CONFTEST = """
from hypothesis import settings

settings.register_profile("ours", derandomize=True, database=None, max_examples=20)
settings.register_profile("ten", derandomize=True, database=None, max_examples=10)
settings.load_profile("ours")
"""
FOUND = re.compile(r"(?m)^E +AssertionError: .*$|\.lk_fuzz/\S+")


def files(test: str) -> dict[str, str]:
    ini = "[pytest]\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n"
    return {
        "pytest.ini": ini,
        "conftest.py": CONFTEST,
        "desk.py": AGENT,
        "test_desk.py": HEAD + test,
    }


def passing(project, test: str, *arguments: str) -> int:
    """Return how many examples passed."""
    result = project(files(test)).run("--hypothesis-show-statistics", *arguments)
    result.outcomes(passed=1)
    return max(map(int, re.findall(r"(\d+) passing", str(result))))


def test_settings_stand_on_top(project):
    assert passing(project, "test_desk = settings(max_examples=7)(fuzz_agent(Desk))") == 7


def test_a_class_may_hold_them_as_it_holds_other_tests(project):
    test = """
class TestDesks:
    test_desk = settings(max_examples=7)(fuzz_agent(Desk))
    test_narrow = fuzz_agent(Narrow)
"""
    result = project(files(test)).run("--hypothesis-show-statistics")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "*___ TestDesks.test_narrow ___*",
        "E       AssertionError: 5 guests",
        "test_desk.py::TestDesks::test_desk:",
        "*- 7 passing*",
    )


def test_the_profile_of_the_command_line_holds(project):
    test = "test_desk = fuzz_agent(Desk)"
    assert passing(project, test) == 20
    assert passing(project, test, "--hypothesis-profile=ten") == 10


def test_nothing_of_an_example_is_there_in_the_next(project):
    test = """
test_desk = fuzz_agent(Desk)

def test_alike():
    assert set(PLAYED) == {(None, "2026-06-12T09:00:00", PLAYED[0][2])}
"""
    desk = project(files("pytestmark = pytest.mark.lk(now='2026-06-12T09:00:00Z')\n" + test))
    desk.run().outcomes(passed=2)


@pytest.mark.slow
def test_a_run_in_ci_is_the_same_each_time(project):
    desk = project(files("test_narrow = fuzz_agent(Narrow)"))
    first, second = desk.run("--hypothesis-profile=ci"), desk.run("--hypothesis-profile=ci")
    first.outcomes(failed=1)
    found = FOUND.findall(str(first))
    assert found == FOUND.findall(str(second))
    assert found[0] == "E       AssertionError: 5 guests"


def test_an_example_is_reproduced_and_kept_in_the_database(project):
    narrow = "fuzz_agent(Narrow)"
    options = "max_examples=60, database=DirectoryBasedExampleDatabase('kept'), derandomize=False"
    imports = "from hypothesis.database import *\n"
    kept = f"{imports}test_narrow = settings({options}, print_blob=True)({narrow})"
    result = project(files(kept)).run()
    result.outcomes(failed=1)
    [decorator] = re.findall(r"@(reproduce_failure\(\S+ \S+\))", str(result))
    reproduced = project(files(f"test_narrow = {decorator}({narrow})")).run()
    reproduced.shows("E       AssertionError: 5 guests", "E * function_call * book(guests=5*)")
    again = kept.replace("max_examples=60", "max_examples=60, phases=[Phase.reuse]")
    project(files(again)).run().shows("E       AssertionError: 5 guests")
    other = again.replace("test_narrow", "test_other")  # which has an entry of its own
    project(files(other)).run().outcomes(skipped=1)


RANDOM = "settings(derandomize=False, max_examples=30, phases=[Phase.generate])"


@pytest.mark.slow
def test_the_seed_is_shown_and_honoured(project):
    narrow = project(files(f"test_narrow = {RANDOM}(fuzz_agent(Narrow))"))
    first = narrow.run("--hypothesis-verbosity=verbose")
    first.outcomes(failed=1)
    first.shows("E       the same draws again: pytest --hypothesis-seed=*")
    [seed] = re.findall(r"--hypothesis-seed=\d+", str(first))
    tried = trials(first)
    assert tried
    again = narrow.run(seed, "--hypothesis-verbosity=verbose")
    again.shows_no("*the same draws again*")
    assert trials(again) == tried
    seeds = [f"--hypothesis-seed={number}" for number in range(1, 5)]
    others = [trials(narrow.run(one, "--hypothesis-verbosity=verbose")) for one in seeds]
    assert any(one != others[0] for one in others)
    fixed = project(files("test_narrow = fuzz_agent(Narrow)")).run()  # always the same
    fixed.shows_no("*the same draws again*")


def trials(result) -> list[str]:
    """Return the guests of each booking that was refused, in the order in which it was tried."""
    return re.findall(r"AssertionError: (\d+ guests)", result.stdout)


def test_the_seed_is_shown_where_nothing_is_the_same_again(project):
    test = f"""
class Counts(Agent):
    def __init__(self):
        super().__init__(instructions="You count.")
        PLAYED.append(self)

    async def on_enter(self):
        assert len(PLAYED) != 3, "the third"

test_counts = {RANDOM}(fuzz_agent(Counts))
"""
    result = project(files(test)).run()
    result.outcomes(failed=1)
    result.shows(
        "Counts: a conversation went another way when it was played again, *",
        "the same draws again: pytest --hypothesis-seed=*",
    )


TWICE = """
class Twice(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")
        self.caller, self.booked = "", 0

    @function_tool
    async def identify(self, name: str) -> str:
        self.caller = name
        return "hello"

    @function_tool
    async def book(self) -> str:
        self.booked += bool(self.caller)
        assert self.booked < 2, "booked twice"
        return "booked"

test_twice = settings(derandomize=False, max_examples=500)(fuzz_agent(Twice))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_whatever_the_seed_what_is_found_shrinks_to_one_completion(project, seed):
    """Three calls in a row, the later ones of which do nothing without the first."""
    result = project(files(TWICE)).run(f"--hypothesis-seed={seed}")
    result.outcomes(failed=1)
    [path] = re.findall(r"--lk-scenarios=(\S+)", str(result))
    turns = (project({}).pytester.path / path).read_text(encoding="utf-8").partition("turns:\n")[2]
    calls = "identify: {name: a}, book: [{}, {}]"
    assert " ".join(turns.split()) == f"- user: hi llm: [{{call: {{{calls}}}}}]"


def test_what_closing_the_session_asks_of_the_model_is_no_part_of_what_is_found(project):
    test = """
class Forgets(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self) -> str:
        raise ValueError("nowhere")

    async def on_exit(self):
        self.session.generate_reply(user_input="bye")

test_forgets = fuzz_agent(Forgets)
"""
    result = project(files(test)).run()
    result.outcomes(failed=1)
    [path] = re.findall(r"--lk-scenarios=(\S+)", str(result))
    turns = (project({}).pytester.path / path).read_text(encoding="utf-8").partition("turns:\n")[2]
    assert " ".join(turns.split()) == "- user: hi llm: [{call: {book: {}}}]"


def test_hosts_that_may_be_asked_are_so_in_each_example(project):
    test = """
class Asks(Agent):
    def __init__(self):
        super().__init__(instructions="You look things up.")

    async def on_enter(self):
        loop = asyncio.get_running_loop()
        try:
            await loop.getaddrinfo("desk.invalid", 443)
        except OSError as error:
            assert "desk.invalid" not in str(error), error

test_asks = settings(max_examples=3)(fuzz_agent(Asks))
"""
    asks = files(test)
    result = project(asks).run()
    result.outcomes(failed=1)
    result.shows("*desk.invalid*lk_allow_hosts*")
    allowed = asks["pytest.ini"] + "lk_allow_hosts = desk.invalid\n"
    project({**asks, "pytest.ini": allowed}).run().outcomes(passed=1)


@pytest.mark.slow
def test_the_options_of_the_plugin_hold(project):
    slow = project(files("test_slow = fuzz_agent(Slow)"))
    result = slow.run()
    result.outcomes(failed=1)
    result.shows(
        "*cannot finish: it went on for more than 600 virtual seconds (set another bound with "
        "--lk-timeout or lk(timeout=…)); the tool think waits at desk.py:*",
        "as a scenario: pytest --lk-scenarios=.lk_fuzz/Slow-*.yaml",
    )
    slow.run("--lk-timeout=60m").outcomes(passed=1)
    leaky = project(files("test_leaky = fuzz_agent(Leaky)")).run()
    leaky.shows("the task sleep() (made at desk.py:*) is still running at the end of the test; *")
    allowed = "test_leaky = pytest.mark.lk(allow=['leaked_task'])(fuzz_agent(Leaky))"
    project(files(allowed)).run().outcomes(passed=1)


def test_reports_name_the_line_that_says_what_is_fuzzed(project):
    result = project(files("\ntest_slow = fuzz_agent(Slow)")).run("--co", "-q")
    result.shows("test_desk.py::test_slow")
    junit = project(files("\ntest_slow = fuzz_agent(Slow)")).run("--junitxml=report.xml", "-rf")
    junit.shows("FAILED test_desk.py::test_slow - *user_says(*) cannot finish: *")


@pytest.mark.slow
def test_several_faults_are_all_told(project):
    test = """
class Many(Agent):
    def __init__(self):
        super().__init__(instructions="You fail.")

    @function_tool
    async def look_up(self, number: int) -> str:
        raise KeyError("nothing")

    @function_tool
    async def book(self, number: int) -> str:
        raise ValueError("nowhere")

    @function_tool
    async def cancel(self, number: int) -> str:
        raise RuntimeError("never")

test_many = settings(max_examples=200)(fuzz_agent(Many))
"""
    result = project(files(test)).run()
    result.outcomes(failed=1)
    result.shows_no("*pytest_lkagent/*")
    told = re.findall(r"(KeyError: 'nothing'|ValueError: nowhere|RuntimeError: never)", str(result))
    assert len(set(told)) > 1
    heading = f"{told[0]}, and {len(set(told)) - 1} more ({len(set(told))} sub-exceptions)"
    result.shows(
        "*test_desk.py*, in <module>",
        "| * test_many = settings(max_examples=200)(fuzz_agent(Many))",
        f"| ExceptionGroup: {heading}",
    )
    result.shows(f"FAILED test_desk.py::test_many - ExceptionGroup: {told[0][:8]}*")
    assert len(set(re.findall(r"[.]lk_fuzz/\S+", str(result)))) == len(set(told))


def test_of_several_that_need_no_traceback_the_first_is_told_at_once(project):
    test = """
class Waits(Agent):
    def __init__(self):
        super().__init__(instructions="You wait.")

    @function_tool
    async def look_up(self) -> str:
        await asyncio.get_running_loop().create_future()

    @function_tool
    async def book(self) -> object:
        return object()  # which no model can read

test_waits = seed(4)(settings(max_examples=60, derandomize=False)(fuzz_agent(Waits)))
"""
    result = project(files(test)).run("-p", "no:randomly")
    result.outcomes(failed=1)
    told = re.findall(r"(?m)^(?:answers_calls: |user_says).*$", str(result))
    assert told[0] == f"{told[1]}, and 1 more:"
    assert {one[:9] for one in told[1:]} == {"answers_c", "user_says"}
    result.shows(f"FAILED test_desk.py::test_waits - Failed: {told[0][:20]}*")


def test_what_stands_in_for_others_code_does_so_for_all_examples_and_is_gone_afterwards(project):
    agent = """
import socket

from livekit.agents import Agent, AgentSession
from livekit.rtc import EventEmitter

MET = []


def code():
    return socket.socket.connect, AgentSession.start, AgentSession.run, EventEmitter.on


BEFORE = code()


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")
        MET.append(code())
"""
    test = """
test_desk = fuzz_agent(Desk)

def test_afterwards():
    assert len(MET) > 1
    assert len({*MET}) == 1, "they were made anew"
    assert not {*BEFORE} & {*MET[0]}, "not all are there from the start"
    assert code() == BEFORE
"""
    project({**files(test), "desk.py": agent}).run().outcomes(passed=2)
