"""Planted faults: small agents with a mistake that people make, and beside each the repaired one.

Each is a module of tests/planted with the classes `Faulty` and `Repaired`; where its author would
hold something of the userdata, that is its `invariant`. The scenario file of the same name shows
the fault by itself. What only fuzzing looks at, the pairs of calls and outputs, it asks checks.py.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from livekit.agents import Agent
from project import Result

PLANTED = Path(__file__).parent.parent / "planted"
LIVEKIT = tuple(map(int, version("livekit-agents").split(".")[:3]))

FAULTS = {
    "answers_on_hold": "E   AssertionError: on hold, the model was asked what to say",
    "away_after_leaving": "E   RuntimeError: no activity context found, the agent is not running",
    "changed_meanwhile": "E   RuntimeError: Set changed size during iteration",
    "closes_from_inside": (
        "closes_from_inside.yaml:6: The caller is rude, turn 1: user_says('You fool.') cannot "
        "finish: nothing can happen any more; the tool hang_up waits at closes_from_inside.py:14"
    ),
    "double_booking": "E   AssertionError: booked twice: ['window', 'window']",
    "exit_without_entry": "E   IndexError: list index out of range",
    "forgotten_await": (
        "forgotten_await.yaml:6: French, please, turn 1: self.update_instructions(instructions) "
        "was never awaited (forgotten_await.py:14): write await "
        "self.update_instructions(instructions)"
    ),
    "goodbye_twice": (
        "goodbye_twice.yaml:6: The caller is put through, turn 1: not expected: assistant I put "
        "you through to billing."
    ),
    "greeting_remembered": "E   IndexError: list index out of range",
    "handler_empty_text": "E   IndexError: list index out of range",
    "handover_by_hand": "E   AssertionError: the caller was not put through",
    "handover_called_off": (
        "handover_called_off.yaml:10: The order is found after the hand-over, turn 1: expected "
        "agent_handoff anybody -> Billing"
    ),
    "hangs_on_empty": (
        "hangs_on_empty.yaml:6: Nobody is told, turn 1: user_says('Tell everybody.') cannot "
        "finish: nothing can happen any more; the tool tell waits at hangs_on_empty.py:37"
    ),
    "history_doubled": "E   AssertionError: request 3 has a call twice: ['call_1', 'call_1']",
    "leaked_reminder": (
        "leaked_reminder.yaml:4: The caller hangs up: the task Faulty._remind() (made at "
        "leaked_reminder.py:24) is still running at the end of the test; it waits at "
        "leaked_reminder.py:29: await asyncio.sleep(seconds); *"
    ),
    "lock_kept": (
        "lock_kept.yaml:6: A bay that there is not, and one that there is, turn 1: user_says('Bay "
        "10. No, 9.') cannot finish: nothing can happen any more; the tool park waits at "
        "lock_kept.py:17"
    ),
    "lost_update": "E   AssertionError: 19 are left and 2 sold, of 20",
    "mute_after_failure": (
        "mute_after_failure.yaml:10: The model fails once, turn 2: scripted, and never asked for: "
        "say('Because.')"
    ),
    "negative_total": "E   AssertionError: the total is -4",
    "none_by_default": "E   TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'",
    "not_for_the_model": (
        "not_for_the_model.yaml:6: A room is free, turn 1: the tool look_up "
        "(not_for_the_model.py:29) returned Room(number=11, is_free=True) (Room), which LiveKit *"
    ),
    "one_try_too_many": "E   AssertionError: 4 tries",
    "outputs_forgotten": (
        "E   AssertionError: the history has the calls ['call_1', 'call_2'] and the outputs "
        "['call_2']"
    ),
    "shared_cart": "E   AssertionError: 2 flowers for one who asked for 1",
    "silent_completion": (
        "silent_completion.yaml:6: The model says nothing, turn 1: the run raised IndexError: "
        "list index out of range; *"
    ),
    "spelled_name": "E   KeyError: ' '",
    "stale_total": "E   AssertionError: 3 euros instead of 6",
    "trusts_enum": "the tool order raised KeyError('huge') at trusts_enum.py:28",
    "userdata_lost": "E   AssertionError: of 1 noted there is left: []",
    "waits_for_itself": (
        "E   RuntimeError: cannot call `SpeechHandle.wait_for_playout()` from inside the function "
        "tool `search` that owns this SpeechHandle. *"
    ),
    "window_cut": "E   AssertionError: request 3 has the calls [] and the outputs ['call_1']",
}
"""The line that the user reads, for each module."""

INVARIANTS = {
    "the run ends",
    "no exception escapes",
    "every call has exactly one output, in the history too",
    "a hand-over asked for happens",
    "no task leaks",
    "the session can take another turn afterwards",
    "the chat context stays one that a provider accepts",
    "tools see only arguments that fit their annotations",
    "nothing is said twice",
}

Play = Callable[[str, str], Result]


@pytest.fixture
def play(project) -> Play:
    """Play the scenarios of a module, on one of its agents, in an empty folder."""

    def play(name: str, agent: str) -> Result:
        files = (f"{name}.py", f"{name}.yaml", "checks.py")
        texts = {file: (PLANTED / file).read_text(encoding="utf-8") for file in files}
        scenarios = texts[f"{name}.yaml"].replace(f"{name}.py:Faulty", f"{name}.py:{agent}")
        made = project({**texts, f"{name}.yaml": scenarios})
        return made.run(f"--lk-scenarios={name}.yaml", "--tb=short")

    return play


def planted(name: str) -> ModuleType:
    return importlib.import_module(f"planted.{name}")


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails_its_scenario(play, name):
    result = play(name, "Faulty")
    before = 1 if name == "shared_cart" else 0  # the caller whose flowers the next one finds
    result.outcomes(failed=1, passed=before)
    result.shows(FAULTS[name])


@pytest.mark.parametrize("name", FAULTS)
def test_the_repaired_agent_passes_the_scenario(play, name, request):
    if name == "handover_called_off" and LIVEKIT < (1, 8, 3):
        reason = "LiveKit itself drops a hand-over before a slower tool: livekit/agents 7320"
        request.applymarker(pytest.mark.xfail(reason=reason))
    play(name, "Repaired").outcomes(passed=2 if name == "shared_cart" else 1)


def test_every_planted_fault_has_its_line():
    modules = {path.stem for path in PLANTED.glob("*.py")} - {"checks"}
    assert modules == FAULTS.keys() == {path.stem for path in PLANTED.glob("*.yaml")}


@pytest.mark.parametrize("name", FAULTS)
def test_the_repaired_agent_differs_by_no_tool_and_no_instruction(name):
    module = planted(name)
    faulty, repaired = module.Faulty(), module.Repaired()
    assert isinstance(faulty, Agent)
    assert [tool.id for tool in faulty.tools] == [tool.id for tool in repaired.tools]
    assert faulty.instructions == repaired.instructions


def test_each_invariant_is_broken_by_a_planted_fault():
    broken = set()
    for name in FAULTS:
        module = planted(name)
        text = " ".join((module.__doc__ or "").split())
        if own := re.search(r"Breaks an invariant of its own: (.+?)\.(?: |$)", text):
            assert own[1]
            assert callable(module.invariant)
            continue
        told = re.search(r"Breaks the built-in invariants?: (.+?)\.(?: |$)", text)
        assert told, f"{name} does not say which invariant it breaks"
        assert not hasattr(module, "invariant")
        broken |= set(told[1].split("; "))
    assert broken == INVARIANTS
