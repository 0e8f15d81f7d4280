"""A fault that takes two sessions: what one of them leaves to the next is named, and written."""

from __future__ import annotations

import re

import pytest

AGENT = """
from livekit.agents import Agent, RunContext, function_tool

SEEN = {}


class Shy:
    def __repr__(self):
        raise TypeError("nobody looks")


SHY = [Shy()]


class Shop(Agent):
    cart = []
    flowers = ["rose"]

    def __init__(self):
        super().__init__(instructions="You sell flowers.")

    @function_tool
    async def add(self, context: RunContext) -> str:
        \"\"\"Add a flower to the cart.\"\"\"
        self.cart.append(self.flowers[0])
        context.userdata["asked_for"] += 1
        assert len(self.cart) == context.userdata["asked_for"], "flowers of another caller"
        return "added"


class Till(Agent):
    cart = []

    def __init__(self):
        super().__init__(instructions="You sell flowers.")

    @function_tool
    async def add(self, flower: str) -> str:
        \"\"\"Add a flower to the cart.\"\"\"
        self.cart.append(flower)
        return "added"

    async def on_enter(self):
        assert not self.cart, "a new caller has an empty cart"


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You look up guests.")

    @function_tool
    async def look_up(self, guest: str) -> str:
        \"\"\"Look a guest up.\"\"\"
        SEEN[guest] = guest[0]
        return "here"
"""
PROFILE = """
from hypothesis import settings

settings.register_profile("ours", derandomize=True, database=None, max_examples=40)
settings.load_profile("ours")
"""
TEST = """
from desk import *
from pytest_lkagent.fuzz import fuzz_agent

{} = fuzz_agent({}, userdata={{"asked_for": 0}})
"""
INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n"


@pytest.fixture
def fuzzed(project):
    def fuzzed(agent):
        test = TEST.format(f"test_{agent.lower()}", agent)
        files = {"pytest.ini": INI, "conftest.py": PROFILE, "desk.py": AGENT, "test_desk.py": test}
        return project(files)

    return fuzzed


def test_a_list_of_the_class_is_named_and_the_file_plays_the_conversation_twice(fuzzed):
    shop = fuzzed("Shop")
    result = shop.run()
    result.outcomes(failed=1)
    result.shows(
        "E       AssertionError: flowers of another caller",
        "E       as a scenario: pytest --lk-scenarios=.lk_fuzz/Shop-*.yaml",
        "E       sessions before this one changed Shop.cart: if that is the fault, it takes two "
        "sessions to show, so the file plays the conversation twice",
    )
    [command] = re.findall(r"--lk-scenarios=\S+", str(result))
    again = shop.run(command)
    again.outcomes(passed=1, failed=1)
    again.shows(
        "E       AssertionError: flowers of another caller",
        "FAILED .lk_fuzz/Shop-*.yaml::AssertionError: flowers of another caller",
    )
    alone = AGENT.replace("Agent):\n    cart = []", "Agent):").replace(
        '"You sell flowers.")', '"You sell flowers.")\n        self.cart = []'
    )
    shop.with_files({"desk.py": alone}).run(command).outcomes(passed=2)


def test_a_cache_that_is_not_the_fault_is_named_too_and_either_scenario_fails(fuzzed):
    desk = fuzzed("Desk")
    result = desk.run()
    result.shows(
        "E       IndexError: string index out of range",
        "E       sessions before this one changed desk.SEEN: if that is the fault, *",
    )
    [command] = re.findall(r"--lk-scenarios=\S+", str(result))
    desk.run(command).outcomes(failed=2)


def test_a_list_of_the_class_is_named_where_it_makes_a_conversation_go_another_way(fuzzed):
    result = fuzzed("Till").run()
    result.outcomes(failed=1)
    result.shows(
        "Till: a conversation went another way when it was played again, *",
        "sessions changed Till.cart, and those after them found it so",
        "what it did first: AssertionError: a new caller has an empty cart",
        "in this conversation:",
        "* agent_handoff * nobody -> Till",
    )
