"""Fuzzing finds every planted fault of tests/planted, and nothing in the agents repaired.

The conversations are the same in each run. A repaired agent has as many as the profile of
hypothesis says: 500 with ``--hypothesis-profile=thorough``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from pytest_lkagent.errors import LeakedTask, NeverAwaited, Stuck
from pytest_lkagent.fuzz import fuzz_agent
from pytest_lkagent.invariants import Violation
from pytest_lkagent.scenarios.load import load_text

LIVEKIT = tuple(map(int, version("livekit-agents").split(".")[:3]))
"""Before 1.8.3 it drops a hand-over before a slower tool by itself: livekit/agents 7320."""
PLANTED = Path(__file__).parent.parent / "planted"

FINDS = {
    "answers_on_hold": (AssertionError, "^on hold, the model was asked what to say$"),
    "changed_meanwhile": (RuntimeError, "^Set changed size during iteration$"),
    "closes_from_inside": (Stuck, "the tool hang_up waits at "),
    "double_booking": (AssertionError, "^booked twice: "),
    "exit_without_entry": (IndexError, "^list index out of range$"),
    "forgotten_await": (NeverAwaited, r"^self\.update_instructions\(instructions\) was never "),
    "goodbye_twice": (Violation, "^says_once: 'I put you through to billing.' was said 2 times$"),
    "greeting_remembered": (IndexError, "^list index out of range$"),
    "handler_empty_text": (IndexError, "^list index out of range$"),
    "handover_by_hand": (AssertionError, "^the caller was not put through$"),
    "handover_called_off": (
        Violation,
        "^hands_over: to_billing handed over to Billing, which never took over$",
    ),
    "hangs_on_empty": (Stuck, "the tool tell waits at "),
    "history_doubled": (Violation, "^(answers_calls|valid_context): "),
    "leaked_reminder": (LeakedTask, r"^the task Faulty\._remind\(\) .* is still running at the "),
    "lock_kept": (Stuck, "the tool park waits at "),
    "lost_update": (AssertionError, "are left and [0-9]+ sold, of 20$"),
    "mute_after_failure": (Violation, "^goes_on: "),
    "negative_total": (AssertionError, "^the total is -"),
    "none_by_default": (TypeError, "'int' and 'NoneType'$"),
    "not_for_the_model": (Violation, "^answers_calls: look_up gave back what no model can read: "),
    "one_try_too_many": (AssertionError, "^4 tries$"),
    "outputs_forgotten": (Violation, "^(answers_calls|valid_context): .* without its output"),
    "shared_cart": (AssertionError, "flowers for one who asked for "),
    "silent_completion": (IndexError, "^list index out of range$"),
    "spelled_name": (KeyError, "."),
    "stale_total": (AssertionError, "euros instead of "),
    "trusts_enum": ((KeyError, TypeError), "."),  # another text, or no text at all
    "userdata_lost": (AssertionError, "^of [0-9]+ noted there is left: "),
    "waits_for_itself": (RuntimeError, r"^cannot call `SpeechHandle\.wait_for_playout\(\)` "),
    "window_cut": (Violation, "^valid_context: Faulty sent its model an output without its call"),
}
"""What is raised for each fault, and what the user reads."""


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let what is found be written outside of the tree."""
    monkeypatch.setattr("pytest_lkagent.fuzz.found.FOLDER", tmp_path)


SAME_EACH_TIME = settings(derandomize=True, database=None, deadline=None)


def fuzzed(name: str, agent: str, how: settings = SAME_EACH_TIME) -> Callable[[], None]:
    """Make the test of one of the two agents, its userdata as in the scenario."""
    module = importlib.import_module(f"planted.{name}")
    path = PLANTED / f"{name}.yaml"
    userdata = load_text(path.read_text(encoding="utf-8"), path).scenarios[0].userdata
    invariants = [module.invariant] if hasattr(module, "invariant") else []
    is_livekits = LIVEKIT < (1, 8, 3) and (name, agent) != ("handover_called_off", "Faulty")
    without = ["hands_over"] if is_livekits else []
    made = getattr(module, agent)
    return how(fuzz_agent(made, userdata=userdata, invariants=invariants, without=without))


@pytest.mark.parametrize("name", FINDS)
def test_every_planted_fault_is_found_within_500_conversations(name):
    raised, told = FINDS[name]
    find = settings(SAME_EACH_TIME, max_examples=500, phases=[Phase.generate])
    with pytest.raises(raised) as caught:
        fuzzed(name, "Faulty", find)()
    assert re.search(told, str(caught.value))  # the conversation stands in its notes


@pytest.mark.parametrize("name", FINDS)
def test_nothing_is_found_in_the_repaired_agents(name):
    fuzzed(name, "Repaired")()


def test_every_planted_fault_is_looked_for():
    assert FINDS.keys() == {path.stem for path in PLANTED.glob("*.yaml")}
