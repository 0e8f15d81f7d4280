"""`fuzz_agent`: what a user writes, and what he reads when it finds something."""

from __future__ import annotations

import re
from itertools import cycle
from typing import Any

import pytest
from hypothesis import strategies as st
from livekit.agents import APIConnectionError
from project import Result

from pytest_lkagent import call, fail, reply, say
from pytest_lkagent.fuzz import play

AGENT = """
import asyncio

from livekit.agents import Agent, AgentTask, RunContext, ToolError, function_tool


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, slot: str) -> str:
        \"\"\"Book a slot.\"\"\"
        return f"booked {slot[0]}"


class Sound(Desk):
    @function_tool
    async def book(self, slot: str) -> str:
        \"\"\"Book a slot.\"\"\"
        if not slot:
            raise ToolError("which slot?")
        return f"booked {slot[0]}"


class Counter(Agent):
    def __init__(self):
        super().__init__(instructions="You count.")

    @function_tool
    async def add(self, context: RunContext, number: int) -> str:
        \"\"\"Add a number.\"\"\"
        context.userdata["sum"] += number
        return "added"


class AskName(AgentTask[dict]):
    def __init__(self):
        super().__init__(instructions="You ask for the name.")

    @function_tool
    async def tell(self, name: str) -> None:
        \"\"\"Tell the name.\"\"\"
        self.complete({"name": name})
"""

PROFILE = """
from hypothesis import settings

settings.register_profile("ours", derandomize=True, database=None, max_examples=40)
settings.load_profile("ours")
"""


def fuzzed(project: Any, test: str, *arguments: str, conftest: str = PROFILE) -> Result:
    head = (
        "from hypothesis import *\nfrom desk import *\nfrom pytest_lkagent.fuzz import fuzz_agent\n"
    )
    files = {
        "pytest.ini": "[pytest]\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n",
        "conftest.py": conftest,
        "desk.py": AGENT,
        "test_desk.py": head + test,
    }
    result: Result = project(files).run("-p", "no:randomly", *arguments)
    return result


def test_a_fault_is_shown_with_the_shortest_conversation_and_written_as_a_scenario(project):
    result = fuzzed(project, "test_desk = fuzz_agent(Desk)")
    result.outcomes(failed=1)
    result.shows(
        '>       return f"booked {slot[0]}"',
        "E       IndexError: string index out of range",
        "E       in this conversation:",
        "E * [0] agent_handoff          nobody -> Desk",
        "E * [1] user                   hi",
        "E * [2] function_call          book(slot='')",
        "E * [3] function_call_output   book failed 'An internal error occurred'",
        "E       as a scenario: pytest --lk-scenarios=.lk_fuzz/Desk-*.yaml",
        "desk.py:*: IndexError",
    )
    result.shows_no("*pytest_lkagent/*", "*hypothesis/core.py*", "*Failing test case*")


def test_the_scenario_fails_the_same_way_and_passes_once_the_agent_is_mended(project):
    result = fuzzed(project, "test_desk = fuzz_agent(Desk)")
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, "", command)
    again.outcomes(failed=1)
    again.shows(
        '>       return f"booked {slot[0]}"', "E       IndexError: string index out of range"
    )
    mended = project({"desk.py": AGENT.replace("slot[0]", "slot")}).run(command)
    mended.outcomes(passed=1)


SHOP = """
from hypothesis import settings
from livekit.agents import Agent, RunContext, function_tool
from pytest_lkagent.fuzz import fuzz_agent
{imports}

class Shop(Agent):
    def __init__(self):
        super().__init__(instructions="You sell flowers.")

    @function_tool
    async def sell(self, context: RunContext, flower: str) -> str:
        \"\"\"Sell a flower.\"\"\"
        context.userdata["sold"].append(flower)
        return "sold"

def nothing():
    return {{"sold": []}}

def sells_nothing(userdata):
    assert userdata["sold"] == [], "it was sold"

test_shop = settings(max_examples=20, derandomize=True, database=None)(
    fuzz_agent(Shop, userdata=nothing, invariants=[sells_nothing])
)
"""
PACKAGES = {
    "a package": ("", {"unit/__init__.py": ""}),
    "a package in another": ("", {"unit/__init__.py": "", "__init__.py": ""}),
    "relative imports": ("from .rose import R", {"unit/__init__.py": "", "unit/rose.py": "R = 1"}),
    "imports by name": ("import unit.rose", {"unit/__init__.py": "", "unit/rose.py": "R = 1"}),
    "no package": ("", {}),
}


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_found_in_a_package_can_be_played_without_its_tests(project, package, mode):
    imports, files = PACKAGES[package]
    shop = project({"unit/test_shop.py": SHOP.format(imports=imports), **files})
    result = shop.run(f"--import-mode={mode}", "-p", "no:randomly")
    result.outcomes(failed=1)
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = shop.run(f"--import-mode={mode}", command)
    again.outcomes(failed=1)
    again.shows("E       AssertionError: it was sold")


def test_an_agent_that_copes_passes(project):
    fuzzed(project, "test_desk = fuzz_agent(Sound)").outcomes(passed=1)


@pytest.mark.slow
def test_an_invariant_of_the_users_own_is_asked_after_each_turn(project):
    test = """
def never_negative(userdata):
    assert userdata["sum"] >= 0, f"the sum is {userdata['sum']}"

test_counter = fuzz_agent(Counter, userdata={"sum": 0}, invariants=[never_negative])
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows(
        "E       AssertionError: the sum is -1",
        "E * [2] function_call          add(number=-1)",
        "E       as a scenario: pytest --lk-scenarios=.lk_fuzz/Counter-*.yaml",
    )
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test, command)
    again.outcomes(failed=1)
    again.shows("E       AssertionError: the sum is -1")


@pytest.mark.parametrize("path", ["pythonpath = .\n", ""])
def test_a_file_that_is_played_alone_knows_the_classes_that_its_invariants_know(project, path):
    test = """
from desk import *
from pytest_lkagent.fuzz import fuzz_agent

def never_counts(agent_session):
    assert not isinstance(agent_session.current_agent, Counter), "is counting"

test_counter = fuzz_agent(Counter, userdata={"sum": 0}, invariants=[never_counts])
"""
    ini = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
    files = {"desk.py": AGENT, "test_desk.py": test}
    result = project({"pytest.ini": f"{ini}pythonpath = .\n", **files}).run()
    result.outcomes(failed=1)
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = project({"pytest.ini": ini + path}).run(command)
    again.outcomes(failed=1)
    again.shows("E       AssertionError: is counting")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            "return userdata['sum'] >= 0",
            "the invariant odd returned True; an invariant asserts, and returns nothing",
        ),
        (
            "assert userdata['total'] >= 0",
            (
                "the invariant odd raised KeyError: 'total' (test_desk.py:5); an invariant "
                "asserts, and raises nothing else"
            ),
        ),
    ],
)
def test_an_invariant_asserts_and_does_nothing_else(project, body, line):
    test = f"""
def odd(userdata): {body}
test_counter = fuzz_agent(Counter, userdata={{"sum": 0}}, invariants=[odd])
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows(line)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            "fuzz_agent('desk.py:Desk')",
            "fuzz_agent(str): 'desk.py:Desk' is a text; import the class, and give that",
        ),
        (
            "fuzz_agent(Desk())",
            (
                "fuzz_agent(Desk): each example needs an agent of its own; give the class, or a "
                "factory such as lambda: Desk(…)"
            ),
        ),
        (
            "fuzz_agent(Named)",
            (
                "fuzz_agent(Named): Named() missing a required argument: 'name'; give a factory "
                "such as lambda: Named(…)"
            ),
        ),
        (
            "fuzz_agent(Desk, mocks={'bok': 1})",
            "Desk has no tool 'bok'; *; did you mean 'book'?",
        ),
        (
            "fuzz_agent(lambda: Desk(), mocks={'book': 1})",
            (
                "fuzz_agent(<lambda>): whose tool is 'book'? name the class, as in "
                "mocks={FrontDesk: {'book': …}}"
            ),
        ),
        (
            "fuzz_agent(Desk, mocks={Desk: 1})",
            "fuzz_agent(Desk): mocks[Desk] is a mapping of its tools, not 1",
        ),
        (
            "fuzz_agent(Desk, mocks={AskName: {'name': 'Maya'}})",
            (
                "fuzz_agent(Desk): mocks[AskName] is a mapping of its tools, and it has tell; for "
                "its result write mocks={AskName: lambda: {'name': 'Maya'}}"
            ),
        ),
        (
            "fuzz_agent(Desk, without=['says_onse'])",
            (
                "fuzz_agent(Desk): without names 'says_onse', which is no invariant; they are *; "
                "did you mean 'says_once'?"
            ),
        ),
        (
            "fuzz_agent(Desk, invariants=[lambda user_data: None])",
            (
                "fuzz_agent(Desk): the invariant <lambda> takes 'user_data', and there is "
                "userdata, transcript, agent_session; did you mean 'userdata'?"
            ),
        ),
        (
            "fuzz_agent(Desk, invariants=['never'])",
            "fuzz_agent(Desk): an invariant is a function that asserts, not 'never'",
        ),
        (
            "fuzz_agent(Desk, session_options={'max_steps': 1})",
            "fuzz_agent(Desk): session_options: AgentSession takes no 'max_steps'*",
        ),
        (
            "fuzz_agent(Desk, mocks={'bok': 'booked'})",
            "Desk has no tool 'bok'; it has *; did you mean 'book'?",
        ),
        ("fuzz_agent(Site)", "fuzz_agent(Site): Site is no Agent; give its class, or a factory"),
        (
            "fuzz_agent(Desk, userdata=lambda shop: {})",
            (
                "fuzz_agent(Desk): userdata=<lambda>: missing a required argument: 'shop'; each "
                "example has its own, made without arguments: write lambda: …"
            ),
        ),
        (
            "fuzz_agent(Desk, turns=0)",
            "fuzz_agent(Desk): turns=0: write a whole number from 1 on",
        ),
        (
            "fuzz_agent(Desk, turns='3')",
            "fuzz_agent(Desk): turns='3': write a whole number from 1 on",
        ),
        (
            "fuzz_agent(Desk, invariants=print)",
            "fuzz_agent(Desk): invariants is a list of functions: invariants=[print]",
        ),
        (
            "fuzz_agent(Desk, max_examples=5)",
            (
                "fuzz_agent(Desk): max_examples is a setting of hypothesis': write test_it = "
                "settings(max_examples=5)(fuzz_agent(Desk)), or say it in a profile of its"
            ),
        ),
        (
            "fuzz_agent(Desk, mock={})",
            (
                "fuzz_agent(Desk) takes no 'mock'; it takes mocks, invariants, without, userdata, "
                "session_options, turns; did you mean 'mocks'?"
            ),
        ),
    ],
)
def test_what_no_agent_could_be_fuzzed_with_is_refused_in_one_line(project, call, line):
    test = (
        "class Named(Desk):\n    def __init__(self, name): ...\n\nclass Site: ...\n\n"
        f"test_desk = {call}\n"
    )
    result = fuzzed(project, test)
    result.outcomes(errors=1)
    result.shows("test_desk.py:*: in <module>", f"E * pytest_lkagent.errors.UsageError: {line}")
    result.shows_no("*/pytest_lkagent/*.py:*: in *")


NO_DECORATOR = (
    "fuzz_agent is no decorator: write test_it = fuzz_agent({}) at the top level of the module, "
    "with an Agent class or a factory in the brackets"
)


@pytest.mark.parametrize(
    ("decorated", "name"),
    [
        ("class TestDesk(Desk): ...", "TestDesk"),
        ("def test_desk():\n    return Desk()", "test_desk"),
    ],
)
def test_as_a_decorator_it_would_test_nothing_and_says_so(project, decorated, name):
    result = fuzzed(project, f"@fuzz_agent\n{decorated}")
    result.outcomes(errors=1)
    result.shows(
        "test_desk.py:4: in <module>",
        f"E * pytest_lkagent.errors.UsageError: {NO_DECORATOR.format(name)}",
    )


@pytest.mark.parametrize("phase", ["def test_desk():", "@pytest.fixture\ndef desk():"])
def test_a_test_that_another_one_makes_would_never_run_and_is_refused(project, phase):
    test = f"""
import pytest

{phase}
    fuzz_agent(Desk)

def test_with_fixture(request):
    if "desk" in globals():
        request.getfixturevalue("desk")
"""
    result = fuzzed(project, test)
    result.shows(
        ">       fuzz_agent(Desk)",
        "E       pytest_lkagent.errors.UsageError: fuzz_agent(Desk) makes a test, and inside of "
        "another nobody runs it: write test_it = fuzz_agent(Desk) at the top level of the module",
    )


def test_a_function_of_a_module_may_make_it_and_so_may_a_module_that_a_test_imports(project):
    test = """
def of(agent):
    return fuzz_agent(agent)

test_sound = of(Sound)

def test_the_module_of_another():
    import other
"""
    other = "from desk import Sound\nfrom pytest_lkagent.fuzz import fuzz_agent\n"
    project({"other.py": f"{other}test_it = fuzz_agent(Sound)\n"}).write()
    fuzzed(project, test).outcomes(passed=2)


MISTAKES = {
    "a tool without an annotation": (
        """
class Bare(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, slot) -> str:
        return "booked"
""",
        "fuzz_agent(Bare)",
        (
            "test_desk.py:10: the tool 'book': 'slot' has no annotation, so LiveKit cannot tell a "
            "model what it is; write slot: str, or whatever it takes"
        ),
    ),
    "an invariant that fails itself": (
        "def odd(userdata):\n    assert userdata['total'] >= 0\n",
        "fuzz_agent(Counter, userdata={'sum': 0}, invariants=[odd])",
        (
            "the invariant odd raised KeyError: 'total' (test_desk.py:6); an invariant asserts, "
            "and raises nothing else"
        ),
    ),
}


@pytest.mark.parametrize(("code", "call", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_the_users_is_one_line_and_no_scenario(project, code, call, line):
    random = "settings(derandomize=False, max_examples=20)"  # of a fault its seed would be told
    result = fuzzed(
        project, f"from livekit.agents import Agent\n{code}\ntest_it = {random}({call})"
    )
    result.outcomes(failed=1)
    start = next(i for i, shown in enumerate(result.lines) if shown.strip("_ ") == "test_it")
    assert result.lines[start + 1] == line
    assert result.lines[start + 2].startswith("=====")
    assert not (project().pytester.path / ".lk_fuzz").exists()


@pytest.mark.parametrize("marked", ["", "pytest.mark.lk(userdata={'sum': 7})"])
def test_userdata_session_and_job_are_those_of_the_projects_fixtures(project, marked):
    test = f"""
import pytest
from livekit.agents import get_job_context

class Asks(Counter):
    async def on_enter(self):
        assert self.session.options.max_tool_steps == 5, "the fixture session_options"
        assert get_job_context().job.metadata == "gold", "the fixture job_options"

def counts(userdata):
    assert userdata["sum"] < 12, f"the sum is {{userdata['sum']}}"

test_counter = {marked}(fuzz_agent(Asks, invariants=[counts], turns=1))
"""
    conftest = f"""{PROFILE}
import pytest

@pytest.fixture
def userdata(scenario):
    return dict((scenario and scenario.userdata) or {{"sum": {100 if marked else 7}}})

@pytest.fixture
def session_options():
    return {{"max_tool_steps": 5}}

@pytest.fixture
def job_options():
    return {{"metadata": "gold"}}
"""
    result = fuzzed(project, test, conftest=conftest)
    result.outcomes(failed=1)
    shortest = ("E       AssertionError: the sum is 1?", "E * function_call * add(number=?)")
    result.shows(*shortest)
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test, command, conftest=conftest)
    again.outcomes(failed=1)
    again.shows(shortest[0])


def test_userdata_of_a_fixture_that_cannot_be_copied_is_refused_in_one_line(project):
    fixtures = f"{PROFILE}\nimport pytest, threading\n\n@pytest.fixture\ndef userdata():\n"
    result = fuzzed(
        project,
        "test_counter = fuzz_agent(Counter)",
        conftest=f"{fixtures}    return threading.Lock()\n",
    )
    result.outcomes(failed=1)
    result.shows(
        "test_desk.py:4: what the fixture userdata gives cannot be copied for each example (cannot "
        "pickle '_thread.lock' object); say what makes it instead: a class, or a function"
    )


def test_mocks_are_written_and_what_a_file_cannot_name_is_told(project):
    test = """
def never(transcript):
    assert not [one for one in transcript.events if one.type == "function_call_output"]

test_desk = fuzz_agent(
    lambda: Desk(), mocks={Desk: {"book": ToolError("taken")}}, invariants=[never],
    userdata=lambda: {},
)
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows(
        "E       as a scenario: pytest --lk-scenarios=.lk_fuzz/lambda-*.yaml",
        "E         which lacks something: the userdata's factory <lambda> has no name *",
        "E         which lacks something: the agent <lambda> has no name that a file could give it",
    )
    [path] = re.findall(r"--lk-scenarios=(\S+)", str(result))
    written = (project().pytester.path / path).read_text(encoding="utf-8")
    assert "# the agent <lambda> has no name that a file could give it\n" in written
    assert (
        "      Desk:\n        book:\n          error: taken\n          optional: true\n" in written
    )
    conftest = (
        f"{PROFILE}\nimport pytest\nfrom desk import Desk\n\nagent = pytest.fixture(lambda: Desk)\n"
    )
    again = fuzzed(project, test, f"--lk-scenarios={path}", conftest=conftest)
    again.outcomes(failed=1)
    again.shows("*in .lk_fuzz/lambda-*.yaml:*, turn 1")


def test_a_mock_that_raises_an_exception_of_pythons_is_written(project):
    test = """
def books(transcript):
    failed = [one.name for one in transcript.events if getattr(one, "is_error", False)]
    assert "book" not in failed, f"{failed} failed"

down = ConnectionError("the calendar is down")
test_desk = fuzz_agent(
    Sound, mocks={"book": down}, invariants=[books], without=["raises_nothing"], userdata=dict
)
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows("E       AssertionError: ['book'] failed")
    assert "which lacks" not in str(result)
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test, command)
    again.outcomes(failed=1)
    again.shows("E       AssertionError: ['book'] failed")


ASKING = """
class Asking(Agent):
    def __init__(self):
        super().__init__(instructions="You ask for the name.")

    @function_tool
    async def ask(self) -> str:
        return (await AskName())["name"]

def greets(transcript):
    said = [one for one in transcript.events if getattr(one, "name", "") == "ask"]
    assert not said, str(said[-1])

"""


@pytest.mark.parametrize(
    ("does", "lines"),
    [
        ("lambda: {'name': 'Maya'}", ["E       AssertionError: ask -> 'Maya'"]),
        ("LookupError('gone')", ["E       AssertionError: ask failed '*"]),
    ],
)
def test_an_agent_task_is_mocked_as_a_tool_is(project, does, lines):
    test = f"test_asking = fuzz_agent(Asking, mocks={{AskName: {does}}}, invariants=[greets])"
    result = fuzzed(project, ASKING + test)
    result.outcomes(failed=1)
    result.shows(
        *lines,
        "E         which lacks something: what the mock of AskName does is known to Python alone; "
        "write what it gives as task:",
    )


def test_the_mock_of_a_tool_that_is_called_task_is_written_too(project):
    test = """
class Office(Agent):
    def __init__(self):
        super().__init__(instructions="You give work away.")

    @function_tool
    async def task(self) -> str:
        \"\"\"Give a task.\"\"\"
        return "given"

def gives(transcript):
    failed = [one.output for one in transcript.events if getattr(one, "is_error", False)]
    assert not failed, f"said {failed}"

busy = ToolError("nobody is free")
test_office = fuzz_agent(Office, mocks={"task": busy}, invariants=[gives])
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows("E       AssertionError: said ['nobody is free']")
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test, command)
    again.outcomes(failed=1)
    again.shows("E       AssertionError: said ['nobody is free']")


def test_a_mock_that_raises_what_no_file_can_make_is_told_and_the_file_can_be_played(project):
    test = """
class Declined(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)

class Bank(Desk):
    @function_tool
    async def pay(self) -> str:
        \"\"\"Pay.\"\"\"
        return "paid"

test_bank = fuzz_agent(Bank, mocks={"pay": Declined(5, "no")})
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows(
        "E         which lacks something: a file makes an exception from its message alone, and "
        "the mock of pay raises Declined(5, 'no'); write raises: with a class that makes it",
    )
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test, command)
    again.outcomes(failed=1)
    again.shows("E       IndexError: string index out of range")


def test_what_a_marker_says_of_the_test_is_written_too(project):
    test = """
import pytest
from datetime import datetime
from livekit.agents import get_job_context

class Clock(Agent):
    def __init__(self):
        super().__init__(instructions="You tell the time.")

    async def on_enter(self):
        self.reminder = asyncio.create_task(asyncio.sleep(3600))

    @function_tool
    async def tell(self) -> str:
        await asyncio.sleep(700)
        raise ValueError(f"{get_job_context().job.metadata} {datetime.now():%d.%m.%Y}")

conditions = dict(now="2031-02-03", timeout=900, job={"metadata": "Ada"}, allow=["leaked_task"])
speed = {"tools": [], "max_tool_steps": 4, "turn_detection": object()}
test_clock = pytest.mark.lk(**conditions)(fuzz_agent(Clock, session_options=speed))
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows(
        "E       ValueError: Ada 03.02.2031",
        "E         which lacks something: turn_detection is known to Python alone: <object *",
    )
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test, command)
    again.outcomes(failed=1)
    again.shows("E       ValueError: Ada 03.02.2031")


def test_a_start_that_hangs_is_found_unless_a_run_need_not_end(project):
    test = """
class Waits(Agent):
    def __init__(self):
        super().__init__(instructions="You wait.")

    async def on_enter(self):
        await asyncio.get_running_loop().create_future()

test_waits = fuzz_agent(Waits{})
"""
    result = fuzzed(project, test.format(""))
    result.outcomes(failed=1)
    result.shows(
        "the start of the session cannot finish: nothing can happen any more; on_enter of Waits "
        "waits at test_desk.py:*",
        "as a scenario: pytest --lk-scenarios=.lk_fuzz/Waits-*.yaml",
    )
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test.format(""), command)
    again.outcomes(failed=1)
    again.shows("*the start of the session cannot finish: *; on_enter of Waits waits at *")
    fuzzed(project, test.format(", without=['ends']")).outcomes(passed=1)


SEARCHES = """
class Searches(Agent):
    def __init__(self):
        super().__init__(instructions="You look for flights.")
        self.searches = 0

    @function_tool
    async def search(self) -> str:
        await asyncio.sleep(500)
        self.searches += 1
        assert self.searches != {}, "that many searches"
        return "none yet"

test_searches = settings(max_examples=1)(fuzz_agent(Searches, turns=1))
"""


def test_each_answer_of_the_model_has_the_time_of_a_turn(project, monkeypatch):
    answers = [*[reply(None, call("search"))] * 4, say("There is none.")]
    monkeypatch.setattr(play, "completions_of", lambda asked: st.just(answers[asked.number - 1]))
    fuzzed(project, SEARCHES.format(5)).outcomes(passed=1)
    result = fuzzed(project, SEARCHES.format(4))
    result.outcomes(failed=1)
    result.shows("E       AssertionError: that many searches")
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, SEARCHES.format(4), command)
    again.outcomes(failed=1)
    again.shows("E       AssertionError: that many searches")


def test_an_agent_that_asks_the_model_for_ever_is_found(project):
    test = """
class Insists(Agent):
    def __init__(self):
        super().__init__(instructions="You insist on an answer.")

    async def on_enter(self):
        while True:
            await self.session.generate_reply()
            await asyncio.sleep(500)

test_insists = settings(max_examples=5)(fuzz_agent(Insists))
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    stuck = (
        "*the start of the session cannot finish: it went on for more than 600 virtual seconds "
        "(set another bound with *on_enter of Insists waits at test_desk.py:*"
    )
    result.shows(stuck)
    [command] = re.findall(r"(--lk-scenarios=\S+)", str(result))
    again = fuzzed(project, test, command)
    again.outcomes(failed=1)
    again.shows(stuck)


@pytest.mark.slow
def test_each_call_of_a_tool_takes_a_time_of_its_own(project):
    test = """
def overtaken(userdata):
    begun, ended = (list(dict.fromkeys(ids)) for ids in userdata.values())  # a model may repeat one
    assert ended == [one for one in begun if one in ended], "overtaken"

class Pad(Agent):
    def __init__(self):
        super().__init__(instructions="You take notes.")

    async def llm_node(self, chat_ctx, tools, model_settings):
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            for call in (chunk.delta and chunk.delta.tool_calls) or []:
                self.session.userdata["begun"].append(call.call_id)
            yield chunk

    @function_tool
    async def note(self, context: RunContext) -> str:
        \"\"\"Take a note.\"\"\"
        await asyncio.sleep(0)
        context.userdata["ended"].append(context.function_call.call_id)
        return "noted"

test_pad = settings(max_examples=200)(
    fuzz_agent(Pad, userdata={"begun": [], "ended": []}, invariants=[overtaken])
)
"""
    result = fuzzed(project, test)
    result.outcomes(failed=1)
    result.shows(
        "E       AssertionError: overtaken",
        "E             note takes 100ms",
        "E       as a scenario: pytest --lk-scenarios=.lk_fuzz/Pad-*.yaml",
    )
    [path] = re.findall(r"--lk-scenarios=(\S+)", str(result))
    written = (project().pytester.path / path).read_text(encoding="utf-8")
    assert "      delays:\n        note:\n        - 100ms\n" in written
    again = fuzzed(project, test, f"--lk-scenarios={path}")
    again.outcomes(failed=1)
    again.shows("E       AssertionError: overtaken")


def test_a_model_that_fails_while_the_session_closes_is_no_fault_of_the_agent(project, monkeypatch):
    wants = call("wants", anything=False).with_id("same")
    answers = cycle([reply(None, wants, wants), fail(APIConnectionError("down"), attempts=9)])
    monkeypatch.setattr(play, "completions_for", lambda *_: st.just(next(answers)))
    result = fuzzed(
        project,
        """
from livekit.agents import Agent, AgentTask, function_tool

class Asks(AgentTask[bool]):
    def __init__(self):
        super().__init__(instructions="You ask whether the caller wants anything.")

    async def on_enter(self):
        self.session.generate_reply()

    @function_tool
    async def wants(self, anything: bool) -> None:
        "Note whether the caller wants anything."
        if not self.done():
            self.complete(anything)

class Leaves(Agent):
    def __init__(self):
        super().__init__(instructions="You leave who wants nothing.")

    async def on_enter(self):
        if not await Asks():
            await self.session.say("Goodbye!")
            self.session.shutdown()

test_leaves = settings(max_examples=4)(fuzz_agent(Leaves))
""",
    )
    result.outcomes(passed=1)
