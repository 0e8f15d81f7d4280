"""What an example leaves behind goes with it: it costs no later one anything."""

from __future__ import annotations

DESK = """
import weakref

from livekit.agents import Agent

ALIVE = weakref.WeakSet()
AT_ONCE = []


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You look up guests.")
        self.myself = self  # a circle, as sessions are full of them
        ALIVE.add(self)
        AT_ONCE.append(len(ALIVE))
"""
TEST = """
import gc

from hypothesis import Phase, settings
import pytest

import desk
from pytest_lkagent.fuzz import AgentMachine, fuzz_agent

generate = settings(max_examples=50, phases=[Phase.generate])
"""


def fuzzed(project, test):
    return project({"desk.py": DESK, "test_desk.py": TEST + test}).run()


def test_most_agents_are_gone_before_the_next_example_begins(project):
    test = """
test_desk = generate(fuzz_agent(desk.Desk))

def test_there_were_never_many():
    # not all: hypothesis holds an example that it gives up a little longer
    assert len(desk.AT_ONCE) >= 50
    assert sum(desk.AT_ONCE) / len(desk.AT_ONCE) < 4, str(desk.AT_ONCE)
"""
    fuzzed(project, test).outcomes(passed=2)


def test_the_garbage_of_a_machine_is_not_looked_for_in_its_midst(project):
    test = """
class Machine(AgentMachine):
    agent = desk.Desk

    def teardown(self):
        INSIDE.append(gc.get_threshold())

INSIDE, BEFORE = [], gc.get_threshold()
TestDesk = Machine.TestCase
TestDesk.settings = settings(generate, max_examples=10, stateful_step_count=5)

def test_as_before():
    assert {first for first, *_ in INSIDE} == {20_000}
    assert gc.get_threshold() == BEFORE
"""
    fuzzed(project, test).outcomes(passed=2)


def test_python_looks_for_garbage_as_before_once_the_test_is_over(project):
    test = """
BEFORE = gc.get_threshold()
gc.set_threshold(650, 9, 9)

def never_angry(userdata):
    raise AssertionError("angry")

test_desk = generate(fuzz_agent(desk.Desk))
test_angry = fuzz_agent(desk.Desk, invariants=[never_angry])

def test_as_before():
    assert gc.get_threshold() == (650, 9, 9)
    gc.set_threshold(*BEFORE)
"""
    fuzzed(project, test).outcomes(passed=2, failed=1)


def test_who_has_turned_the_collector_off_is_taken_at_their_word(project):
    test = """
@pytest.fixture
def userdata():
    before = gc.get_threshold()
    gc.set_threshold(0)
    yield {}
    assert gc.get_threshold()[0] == 0
    gc.set_threshold(*before)

test_desk = generate(fuzz_agent(desk.Desk))

def test_nobody_collected():
    assert max(desk.AT_ONCE) >= 50
"""
    fuzzed(project, test).outcomes(passed=2)


def test_thresholds_that_an_agent_sets_stay_as_it_set_them(project):
    test = """
BEFORE = gc.get_threshold()

class Own(desk.Desk):
    def __init__(self):
        super().__init__()
        gc.set_threshold(1234, 5, 6)

test_own = generate(fuzz_agent(Own))

def test_they_stay():
    assert gc.get_threshold() == (1234, 5, 6)
    gc.set_threshold(*BEFORE)
"""
    fuzzed(project, test).outcomes(passed=2)
