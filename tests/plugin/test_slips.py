"""Slips that LiveKit would let pass, and what their author reads."""

from __future__ import annotations

AGENT = """
from livekit.agents import Agent, function_tool


class Complaints(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You listen.")

    @function_tool
    async def refund(self) -> str:
        "Give the money back."
        return "refunded"


class Pizza(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You sell pizza.")

    @function_tool
    async def order(self, kind: str, count: int = 1) -> str:
        "Order."
        return f"{count} {kind}"

    @function_tool
    async def complain(self) -> Agent:
        "Hand over."
        return Complaints()
"""
CONFTEST = """
import pytest
from shop import Pizza

@pytest.fixture
def agent():
    return Pizza
"""
HEADER = "from shop import Complaints, Pizza\nfrom pytest_lkagent import call, raw_call, say\n"


def test_an_argument_of_the_wrong_type_is_a_slip_of_the_script(desk):
    test = """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("order", kind="x", count="many"), say("Done."))
    await user_says("many")

async def test_meant(user_says, fake_llm):
    fake_llm.script(raw_call("order", '{"kind": "x", "count": "many"}'), say("How many?"))
    turn = await user_says("many")
    turn.expect.contains_function_call_output(is_error=True)
"""
    result = desk({"shop.py": AGENT, "conftest.py": CONFTEST, "test_shop.py": HEADER + test}).run()
    result.outcomes(passed=1, failed=1)
    result.shows(
        "E *ScriptError: test_shop.py:*: the script calls call('order', kind='x', count='many'); "
        "Error parsing arguments for `order`: 1 validation error for OrderArgs",
        "E *count",
        "E *(if the model is meant to do that, make it a raw_call)",
    )


def test_a_mock_that_hands_over_to_a_class_is_refused(desk):
    test = """
async def test_it(mock_tool):
    mock_tool(Pizza, "complain", returns=Complaints)
"""
    result = desk({"shop.py": AGENT, "conftest.py": CONFTEST, "test_shop.py": HEADER + test}).run()
    result.outcomes(failed=1)
    result.shows(
        "E *UsageError: mock_tool('Pizza.complain'): returns=Complaints is a class, and a "
        "hand-over is an instance: Complaints()"
    )


def test_a_mock_on_the_wrong_agent_names_the_right_one(desk):
    test = """
async def test_it(mock_tool):
    mock_tool(Pizza, "refund", returns="no")
"""
    result = desk({"shop.py": AGENT, "conftest.py": CONFTEST, "test_shop.py": HEADER + test}).run()
    result.shows("E *UsageError: Pizza has no tool 'refund'; it has *; Complaints has it")


def test_the_start_of_a_scenario_takes_the_place_of_the_fixtures(desk):
    conftest = (
        CONFTEST
        + """
from livekit.agents import Agent

class Greeter(Pizza):
    async def on_enter(self):
        self.session.generate_reply(instructions="Greet.")

@pytest.fixture
def agent():
    return Greeter

@pytest.fixture
def start_script():
    return ["From the fixture."]
"""
    )
    content = """
scenarios:
- label: Its own
  start: {llm: [From the file.], expect: [{message: From the file.}]}
  turns: [{user: hi, llm: [Hello.]}]
- label: The fixture's
  turns: [{user: hi, llm: [Hello.]}]
"""
    result = desk({"shop.py": AGENT, "conftest.py": conftest, "shop.yaml": content}).run(
        "--lk-scenarios=shop.yaml"
    )
    result.outcomes(passed=2)


def test_a_start_that_nobody_scripted_is_told_without_what_livekit_made_of_it(desk):
    conftest = (
        CONFTEST
        + """
class Greeter(Pizza):
    async def on_enter(self):
        self.session.generate_reply(instructions="Greet.")

@pytest.fixture
def agent():
    return Greeter
"""
    )
    content = "scenarios:\n- label: Silent\n  turns: [{user: hi, llm: [Hello.]}]\n"
    result = desk({"shop.py": AGENT, "conftest.py": conftest, "shop.yaml": content}).run(
        "--lk-scenarios=shop.yaml"
    )
    result.outcomes(failed=1)
    result.shows(
        "shop.yaml:2: Silent: Greeter asked its model for a completion that nobody scripted",
        "asked to: 'Greet.'",
        "it was asked while the session started: add it to start: {llm: […]} (shop.yaml:2)",
    )
    result.shows_no("During handling*")
