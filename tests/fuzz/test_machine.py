"""`AgentMachine`: what a user writes, and what he reads when it finds something."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import __version__
from project import Result

AGENT = '''
import asyncio
from dataclasses import dataclass

from livekit.agents import Agent, RunContext, ToolError, function_tool
from livekit.agents.llm import ToolFlag


@dataclass
class Stock:
    left: int = 1


class Shop(Agent):
    def __init__(self):
        super().__init__(instructions="You sell.")

    @function_tool
    async def sell(self, context: RunContext) -> str:
        """Sell one."""
        await asyncio.sleep(0)
        context.userdata.left -= 1
        return "sold"


class SoundShop(Shop):
    @function_tool
    async def sell(self, context: RunContext) -> str:
        """Sell one."""
        await asyncio.sleep(0)
        if not context.userdata.left:
            raise ToolError("sold out")
        context.userdata.left -= 1
        return "sold"


class Notes(Agent):
    def __init__(self):
        super().__init__(instructions="You take notes.")

    @function_tool
    async def first(self, context: RunContext) -> None:
        """Do the first thing."""
        await asyncio.sleep(0)
        context.userdata.append("first")

    @function_tool
    async def second(self, context: RunContext) -> None:
        """Do the second thing."""
        await asyncio.sleep(0)
        context.userdata.append("second")


class Waits(Agent):
    """Answers `first` only when `second` was called."""

    def __init__(self):
        super().__init__(instructions="You wait.")
        self.called = asyncio.Event()

    @function_tool
    async def first(self) -> str:
        """Do the first thing."""
        await self.called.wait()
        return "first"

    @function_tool
    async def second(self) -> str:
        """Do the second thing."""
        self.called.set()
        return "second"


class Greets(Agent):
    def __init__(self):
        super().__init__(instructions="You greet.")

    async def on_enter(self):
        raise ValueError("nobody there")
'''

PROFILE = """
from hypothesis import Phase, settings

ours = dict(
    derandomize=True, database=None, stateful_step_count=6, report_multiple_bugs=False
)
settings.register_profile("shrinks", **ours, max_examples=200)
settings.register_profile("ours", **ours, max_examples=200, phases=[Phase.generate])
settings.register_profile("few", **ours, max_examples=20)
ours["stateful_step_count"] = 20
settings.register_profile("twenty", **ours, max_examples=50, phases=[Phase.generate])
settings.load_profile("ours")
"""

MACHINE = """
from desk import *
from hypothesis import *
from hypothesis import strategies as st
from hypothesis.stateful import *
from pytest_lkagent import *
from pytest_lkagent.fuzz import AgentMachine


class Machine(AgentMachine):
    agent = Shop
    userdata_of = Stock

    @invariant()
    def sells_what_it_has(self):
        assert self.userdata.left >= 0
"""


@pytest.fixture
def machine(project) -> Any:
    def run(test: str, *arguments: str) -> Result:
        files = {
            "pytest.ini": "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
            "pythonpath = .\n",
            "conftest.py": PROFILE,
            "desk.py": AGENT,
            "test_desk.py": f"{MACHINE}\n{test}",
        }
        result: Result = project(files).run("-p", "no:randomly", *arguments)
        return result

    return run


@pytest.mark.slow
def test_a_fault_is_shown_with_the_steps_and_the_conversation_that_led_there(machine):
    result = machine("TestShop = Machine.TestCase", "--hypothesis-profile=shrinks")
    result.outcomes(failed=1)
    result.shows(
        ">       assert self.userdata.left >= 0",
        "E       in this conversation:",
        "E * function_call *sell()",
        "E       state = Machine()",
        "E       state.user_says(text='hi')",
        "E       state.tool_ends(which=0)",
        "test_desk.py:15: AssertionError",
    )


def test_nothing_is_found_in_what_is_sound(machine):
    test = "class M(Machine):\n    agent = SoundShop\nTestShop = M.TestCase"
    machine(test, "--hypothesis-profile=few").outcomes(passed=1)


@pytest.mark.slow
def test_a_turn_has_time_for_the_tools_that_are_held(machine):
    test = "class M(Machine):\n    agent = SoundShop\nTestShop = M.TestCase"
    machine(test, "--lk-timeout=70s").outcomes(passed=1)


@pytest.mark.slow
def test_who_does_not_let_himself_be_interrupted_is_not(machine):
    result = machine("""
class M(AgentMachine):
    agent = SoundShop
    userdata_of = Stock
    session_options = {"turn_handling": {"interruption": {"enabled": False}}}
    def completions(self, request):
        return st.just(say("a").timed(ttft=20))
TestFirm = M.TestCase
""")
    result.outcomes(passed=1)


@pytest.mark.slow
def test_a_tool_that_the_session_ends_is_not_held_any_more(machine):
    result = machine("""
class Notes(Agent):
    def __init__(self):
        super().__init__(instructions="You keep the last note.")

    @function_tool(flags=ToolFlag.CANCELLABLE, on_duplicate="replace")
    async def note(self) -> None:
        'Note it.'

class M(AgentMachine):
    agent = Notes
    def completions(self, request):
        return st.sampled_from([reply(None, call("note"), call("note")), say("a")])
TestNotes = M.TestCase
""")
    result.outcomes(passed=1)


def test_what_is_asked_while_a_session_ends_that_failed_is_no_part_of_the_fault(machine):
    result = machine(
        """
class Recaps(Agent):
    def __init__(self):
        super().__init__(instructions="You sum up.")

    async def on_exit(self):
        async with self.session.llm.chat(chat_ctx=self.chat_ctx) as stream:
            print("said at the end:", [chunk async for chunk in stream])

class M(AgentMachine):
    agent = Recaps
    def completions(self, request):
        return st.just(say("Well."))
    @invariant()
    def is_silent(self):
        assert self.agent_session.history.messages() == [], "it speaks"
TestRecaps = M.TestCase
""",
        "--hypothesis-profile=shrinks",
    )
    result.outcomes(failed=1)
    result.shows("E       AssertionError: it speaks", "said at the end: []")
    result.shows_no("said at the end: *fake_2*")  # after the first answer, which is the fault


@pytest.mark.slow
def test_an_agent_may_hang_up(machine):
    result = machine("""
class HangsUp(Agent):
    def __init__(self):
        super().__init__(instructions="You end calls.")

    @function_tool
    async def hang_up(self, context: RunContext) -> None:
        'End the call.'
        context.session.shutdown()

class M(AgentMachine):
    agent = HangsUp
TestHangsUp = M.TestCase
""")
    result.outcomes(passed=1)


def test_each_turn_has_requests_of_its_own(machine):
    result = machine(
        """
class M(AgentMachine):
    agent = Notes
    userdata_of = list
    def completions(self, request):
        return st.just(call("third"))  # which there is not
    @invariant()
    def asks_in_few_turns(self):
        asked = [
            turn for turn in self.transcript.turns
            if any(isinstance(one, FunctionCall) for one in turn.events)
        ]
        assert len(asked) < 5, "asked in five turns"
TestNotes = M.TestCase
""",
        "--hypothesis-profile=twenty",
    )
    result.outcomes(failed=1)
    result.shows("E *AssertionError: asked in five turns")


def test_what_comes_to_light_is_told_before_an_invariant_that_it_may_have_broken(machine):
    result = machine("""
class Forgets(Agent):
    def __init__(self):
        super().__init__(instructions="You forget.")

    @function_tool
    async def sell(self) -> object:
        self.update_instructions("You remember.")
        return object()

class M(AgentMachine):
    agent = Forgets
TestForgets = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows("*update_instructions('You remember.') was never awaited*")
    result.shows_no("*answers_calls*")


def test_a_session_that_waits_for_ever_is_found(machine):
    result = machine("""
class M(AgentMachine):
    agent = Waits
TestWaits = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows(
        "user_says(*) cannot finish: nothing can happen any more; the tool first waits at *"
    )


def test_what_on_enter_raises_is_found_before_the_first_step(machine):
    result = machine("class M(AgentMachine):\n    agent = Greets\nTestGreets = M.TestCase")
    result.outcomes(failed=1)
    result.shows("*nobody there*", "E       in this conversation:")


def test_an_invariant_may_be_switched_off(machine):
    test = """
class M(AgentMachine):
    agent = Greets
    without = ["raises_nothing"]
TestGreets = M.TestCase
"""
    machine(test, "--hypothesis-profile=few").outcomes(passed=1)


def test_rules_of_ones_own_talk_to_the_session(machine):
    result = machine("""
class M(AgentMachine):
    agent = SoundShop
    userdata_of = Stock
    without = ["says_once"]
    @rule()
    def the_door_bell_rings(self):
        self.run(self.agent_session.say, "One moment.")
    @rule()
    def somebody_waits(self):
        async def wait():
            await asyncio.sleep(1)
            self.agent_session.say("Here I am.")
        self.run(wait)
    @invariant()
    def says_not_both(self):
        said = str(self.transcript)
        assert not ("One moment." in said and "Here I am." in said)
TestBell = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows(
        "E *AssertionError*",
        "E * assistant * One moment.",
    )
    result.shows("E       state.the_door_bell_rings()")
    result.shows("E       state.somebody_waits()")


@pytest.mark.slow
def test_parallel_tools_end_in_any_order(machine):
    result = machine("""
class M(AgentMachine):
    agent = Notes
    userdata_of = list
    def completions(self, request):
        return st.sampled_from([say("a"), reply(None, call("first"), call("second"))])
    @invariant()
    def the_first_is_done_first(self):
        calls = [one.name for one in self.transcript.events if isinstance(one, FunctionCall)]
        assert not (calls == ["first", "second"] and self.userdata == ["second", "first"])
TestOrder = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows("E       state.tool_ends(which=1)")


ANSWERS = """
    async def llm_node(self, chat_ctx, tools, model_settings):
        {}
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk
"""
TOOL = """
    @function_tool
    async def sell(self, context: RunContext) -> None:
        await asyncio.sleep(0)
"""
FOUND = {
    "time passes while a tool is at work": (
        ANSWERS.format("self.asked = asyncio.get_running_loop().time()")
        + f"{TOOL}        took = asyncio.get_running_loop().time() - self.asked\n"
        "        assert took < 20, 'sold too late'",
        'call("sell")',
        ("E * AssertionError: sold too late", "E       state.silence(seconds=30.0)"),
    ),
    "the user cuts in while a tool is at work": (
        f"{TOOL}        assert not context.speech_handle.interrupted, 'cut off'",
        'call("sell")',
        ("E * AssertionError: cut off", "E       state.user_cuts_in()"),
    ),
    "the end of the session is looked at": (
        "    async def on_exit(self):\n        raise ValueError('gone')",
        'say("a")',
        ("E * ValueError: gone", "E       state.teardown()"),
    ),
    "the arguments of a tool are looked at": (
        (
            "    @function_tool\n"
            "    async def sell(self, to: Annotated[int, pydantic.AfterValidator(str)] = 1):\n"
            "        pass"
        ),
        'call("sell", to=2)',
        (
            "*fitting_arguments: sell was called with to='2', which is annotated as int",
            "*state.user_says(text=*)",
        ),
    ),
    "what a run raises is not lost": (
        (
            "    async def llm_node(self, chat_ctx, tools, model_settings):\n"
            "        raise LookupError('no model')\n"
            "        yield"
        ),
        'say("a")',
        ("E * LookupError: no model", "E       state.user_says(text=*)"),
    ),
}


def test_between_turns_a_silence_is_a_turn_of_its_own(machine):
    result = machine("""
class M(AgentMachine):
    agent = Notes
    userdata_of = list
    @invariant()
    def nobody_is_silent_for_long(self):
        took = [turn.took for turn in self.transcript.turns if turn.user is None]
        assert all(seconds < 20 for seconds in took), "a long silence"
TestSilence = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows("E       AssertionError: a long silence", "E       state.silence(seconds=30.0)")


@pytest.mark.parametrize(("agent", "step", "lines"), FOUND.values(), ids=FOUND)
def test_what_a_step_brings_to_light_is_shown_with_it(machine, agent, step, lines):
    if "AfterValidator" in agent and __version__.startswith("1.7."):
        pytest.skip("LiveKit 1.7 looks at no validator beside an annotation")
    result = machine(f"""
import asyncio
from typing import Annotated
import pydantic
from livekit.agents import Agent, RunContext, function_tool

class Plain(Agent):
    def __init__(self):
        super().__init__(instructions="You sell.")

{agent}

class M(AgentMachine):
    agent = Plain
    def completions(self, request):
        return st.just({step} if request.tools else say("a"))

TestPlain = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows(lines[0])
    result.shows(lines[1])


@pytest.mark.slow
def test_a_machine_has_what_the_projects_fixtures_give(machine):
    result = machine("""
import pytest

@pytest.fixture
def userdata():
    return Stock(left=2)

class M(AgentMachine):
    agent = Shop
    def completions(self, request):
        return st.sampled_from([say("a"), reply(None, call("sell"), call("sell"), call("sell"))])
    @invariant()
    def nothing_is_sold_that_there_is_not(self):
        assert self.userdata.left >= 0, f"{self.userdata.left} are left"
TestShop = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows("E       AssertionError: -1 are left")


def test_a_machine_in_the_place_of_its_test_is_refused(machine):
    result = machine("class TestShop(AgentMachine):\n    agent = Shop\n")
    result.outcomes(errors=1)
    result.shows(
        "test_desk.py:*: TestShop is a state machine, and its TestCase is the test: call it "
        "ShopMachine, and write TestShop = ShopMachine.TestCase below it"
    )


def test_a_machine_with_its_test_beside_it_may_have_any_name(machine):
    result = machine(
        """
class TestMachine(AgentMachine):
    agent = SoundShop
    userdata_of = Stock
TestShop = TestMachine.TestCase
TestShop.settings = settings(TestShop.settings, max_examples=3)
""",
        "-W",
        "ignore::pytest.PytestCollectionWarning",
    )
    result.outcomes(passed=1)


def test_a_mistake_of_the_users_in_a_machine_is_one_line(machine):
    result = machine("""
class Bare(Shop):
    @function_tool
    async def sell(self, to) -> None: ...
class M(AgentMachine):
    agent = Bare
    userdata_of = Stock
TestBare = M.TestCase
""")
    result.outcomes(failed=1)
    result.shows("test_desk.py:*: the tool 'sell': 'to' has no annotation, *")
    result.shows_no("*in this conversation:*", "*state.user_says*")


def test_a_user_who_is_silent_for_long_is_found_away_as_livekit_does(machine):
    result = machine("""
class LooksAfter(SoundShop):
    async def on_enter(self):
        self.session.on("user_state_changed", self.look_after)

    def look_after(self, event):
        assert event.new_state != "away", "nobody looks after them"

class Silent(AgentMachine):
    agent = LooksAfter
    userdata_of = Stock

class Patient(Silent):
    session_options = {"user_away_timeout": None}

TestSilent, TestPatient = Silent.TestCase, Patient.TestCase
TestPatient.settings = settings(TestPatient.settings, max_examples=20)
""")
    result.outcomes(passed=1, failed=1)
    result.shows("E *AssertionError: nobody looks after them*")


def test_a_teardown_of_ones_own_need_not_call_ours(machine):
    """As with hypothesis, whose own does nothing; the next test begins in the real time again."""
    result = machine("""
import pytest

torn_down = []

class Base(AgentMachine):
    def teardown(self):
        torn_down.append(self.userdata)

class Orders(Base):
    agent = SoundShop
    userdata_of = Stock

class Calls(Orders):
    def teardown(self):
        super().teardown()

class Mixin:
    def teardown(self):
        torn_down.append(self.userdata)

class Mixed(Mixin, AgentMachine):
    agent = SoundShop
    userdata_of = Stock

class Faulty(Orders):
    def teardown(self):
        raise LookupError("no such shelf")

few = settings(Orders.TestCase.settings, max_examples=3)
TestOrders, TestCalls, TestMixed = Orders.TestCase, Calls.TestCase, Mixed.TestCase
TestFaulty = Faulty.TestCase
for each in (TestOrders, TestCalls, TestMixed, TestFaulty):
    each.settings = few
del each

def test_it():
    assert torn_down and all(isinstance(one, Stock) for one in torn_down)

@pytest.mark.lk(agent=SoundShop, userdata=Stock())
async def test_the_next(agent_session): ...
""")
    result.outcomes(passed=5, failed=1)
    result.shows("*LookupError: no such shelf*", "FAILED test_desk.py::TestFaulty::runTest - *")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            (
                "class M(AgentMachine):\n    agent = SoundShop\n    def __init__(self): ...\n"
                "TestM = M.TestCase"
            ),
            "*M: its __init__ (test_desk.py:*) begins no session; call super().__init__() in it",
        ),
        (
            (
                "class M(AgentMachine):\n    agent = SoundShop\n    userdata_of = Stock\n"
                "    def completions(self, request):\n        return 'x'\nTestM = M.TestCase"
            ),
            "*M: completions() (test_desk.py:*) returned 'x', and has to return a strategy",
        ),
        (
            (
                "class M(AgentMachine):\n    agent = SoundShop\n    userdata_of = Stock\n"
                "    def completions(self, request):\n        return st.just('Hello.')\n"
                "TestM = M.TestCase"
            ),
            (
                "*M: completions() (test_desk.py:*): its strategy draws 'Hello.', and has to draw "
                "what a model answers, such as say('hello')"
            ),
        ),
        (
            "class M(AgentMachine): ...\nTestM = M.TestCase",
            "*M (test_desk.py:*): which agent? write agent = FrontDesk in it",
        ),
        ("TestIt = AgentMachine.TestCase", "*AgentMachine: which agent? write agent = FrontDesk *"),
        (
            "class M(AgentMachine):\n    agent = Shop()",
            "*M: each example needs an agent of its own; give the class, or a factory such as *",
        ),
        (
            "class M(AgentMachine):\n    agent = Shop\n    without = ['end']",
            "*M: without names 'end', which is no invariant; * did you mean 'ends'?",
        ),
        (
            "class M(AgentMachine):\n    agent = Shop\n    invariants = [lambda userdata: None]",
            "*M: invariants are fuzz_agent's; here they are methods: put @invariant() of *",
        ),
        (
            "class M(AgentMachine):\n    agent = Shop\n    userdata = dict",
            "*M: userdata is what the session has; write userdata_of = … for what makes it",
        ),
    ],
)
def test_a_mistake_in_a_machine_is_one_line(machine, body, line):
    machine(body).shows(line)


def test_what_completions_raises_is_shown_at_its_line(machine):
    result = machine(
        """
class M(AgentMachine):
    agent = SoundShop
    userdata_of = Stock

    def completions(self, request):
        return {}["order"]

TestM = M.TestCase
"""
    )
    result.shows('>       return {}["order"]', "E       KeyError: 'order'", "test_desk.py:*: *")
    assert "generation.py" not in str(result)  # LiveKit's, which would swallow it
