"""Real input: LiveKit's own scenario files, an overlay that gives them turns, and very many."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FRONT_DESK = ROOT / "examples" / "front_desk"
LIVEKITS = ROOT.parent / "shared" / "data" / "livekit_scenarios"
FILES = ("data_capture_sim.yaml", "frontdesk.yaml", "hotel_receptionist.yaml")


@pytest.fixture
def livekits_files() -> dict[str, bytes]:
    """The scenario files of three of LiveKit's example agents, unchanged."""
    if not LIVEKITS.is_dir():
        pytest.skip(f"LiveKit's scenario files are not beside this checkout, in {LIVEKITS}")
    return {name: (LIVEKITS / name).read_bytes() for name in FILES}


OVERLAY = r"""
base: frontdesk.yaml
agent: agent.py:FrontDesk
defaults:
  now: 2026-06-12T09:00:00Z
scenarios:
  - label: Caller opens with a specific date
    turns:
      - user: Do you have any availability on July 16?
        llm:
          - call: {list_slots: {days: 40}}
          - On July 16 there is half past nine, and one o'clock.
        expect:
          - function_call_output: {contains: "Thursday, July 16 at 13:00"}
        capture: {slot: '(slot_\w+): Thursday, July 16 at 13:00'}
      - user: One o'clock.
        llm:
          - call: {book: {slot_id: "${slot}"}}
          - {say: "Your email address, please?", by: GetEmailTask}
      - user: t.okafor@example.com
        llm:
          - call: {update_email_address: {email: t.okafor@example.com}}
          - You are booked.
        expect:
          - function_call_output: {name: update_email_address}
          - agent_handoff: FrontDesk
          - function_call_output: {name: book, contains: July 16 at 13:00}
    check: expected.py:only_the_expected_time_is_booked

  - label: No availability at all
    turns:
      - user: When is the next appointment?
        llm:
          - call: {list_slots: {days: 90}}
          - I am afraid nothing is free.
        expect:
          - function_call_output: {contains: Nothing is free}
      - user: And further out?
        llm: [We do not plan further ahead. Please call again next month.]
    absent: [{function_call: book}]
    check: expected.py:only_the_expected_time_is_booked

  - label: Booked slot disappears from later listings
    mocks:
      GetEmailTask: {task: {email_address: leo.marsh@example.com}}
    turns:
      - user: What do you have next week? Tuesday at nine would be best.
        llm:
          - call: {list_slots: {days: 7}}
          - call: {book: {slot_id: "${slot}"}}
          - You are booked for Tuesday at nine.
        capture: {slot: '(slot_\w+): Tuesday, June 16 at 09:00'}
      - user: What times do you still have left?
        llm:
          - call: {list_slots: {days: 7}}
          - Tuesday at three, or Wednesday at half past ten.
        expect:
          - function_call_output:
              matches: '^slot_\w+: Tuesday, June 16 at 15:00\nslot_\w+: Wednesday.* 10:30$'
    check: expected.py:only_the_expected_time_is_booked

  - label: Change of mind before confirming
    turns:
      - user: Something this week? Wednesday at eleven.
        llm:
          - call: {list_slots: {days: 7}}
          - call: {book: {slot_id: "${wednesday}"}}
          - {say: "Your email address, please?", by: GetEmailTask}
        capture:
          wednesday: '(slot_\w+): Wednesday'
          thursday: '(slot_\w+): Thursday, June 18 at 14:30'
      - user: No, wait, Thursday at half past two.
        llm:
          - call: {decline_email_capture: {reason: the caller wants another time}}
          - {call: {book: {slot_id: "${thursday}"}}, by: FrontDesk}
          - {say: "Gladly. Your email address, please?", by: GetEmailTask}
        expect:
          - function_call_output: {name: decline_email_capture}
          - agent_handoff: FrontDesk
          - function_call_output: {name: book, is_error: true, contains: another time}
          - agent_handoff: GetEmailTask
      - user: sofia.ruiz@example.com
        llm:
          - call: {update_email_address: {email: sofia.ruiz@example.com}}
          - You are booked for Thursday.
    check: expected.py:only_the_expected_time_is_booked
"""

EXPECTED = """
from datetime import UTC, datetime

def only_the_expected_time_is_booked(scenario, userdata):
    written = scenario.userdata["expected_booking"]
    wanted = [datetime.fromisoformat(written).replace(tzinfo=UTC)] if written else []
    assert list(userdata.calendar.visits) == wanted
"""

PLAYED = [
    "Caller opens with a specific date",
    "No availability at all",
    "Booked slot disappears from later listings",
    "Change of mind before confirming",
]


@pytest.fixture
def front_desk(project, livekits_files):
    """The front desk of the examples, with LiveKit's scenarios and turns for some of them."""
    agent = {
        f"desk/{name}": (FRONT_DESK / name).read_bytes()
        for name in ("__init__.py", "agent.py", "conftest.py")
    }
    return project(
        {
            **agent,
            "desk/frontdesk.yaml": livekits_files["frontdesk.yaml"],
            "desk/expected.py": EXPECTED,
            "desk/overlay.yaml": OVERLAY,
        }
    )


def test_livekits_scenarios_are_skipped_and_say_what_they_need(project, livekits_files):
    named = [f"--lk-scenarios={name}" for name in livekits_files]
    result = project(livekits_files).run("-rs", *named)
    result.outcomes(skipped=120)
    result.shows(
        "SKIPPED [*] frontdesk.yaml:*: it has no turns: write what the user says and the "
        "model answers, such as turns: [{user: hello, llm: [Hello.]}], here or in a file of yours "
        "that begins with base: frontdesk.yaml"
    )
    assert result.exit_status == 0


def test_an_overlay_plays_livekits_scenarios_against_the_example(front_desk):
    result = front_desk.run("-v", "--lk-scenarios=desk/overlay.yaml")
    result.outcomes(passed=4)
    result.shows(*(f"desk/overlay.yaml::{label} PASSED*" for label in PLAYED))


def test_the_userdata_that_the_overlay_plays_with_is_livekits(front_desk):
    livekits = front_desk.files["desk/frontdesk.yaml"]
    moved = livekits.replace(b'"2026-06-16T15:00:00"', b'"2026-06-16T16:00:00"')
    result = front_desk.with_files({"desk/frontdesk.yaml": moved}).run(
        "--lk-scenarios=desk/overlay.yaml"
    )
    result.outcomes(passed=3, failed=1)
    result.shows(
        "desk/overlay.yaml:*: Booked slot disappears from later listings, turn 2: expected "
        "function_call_output that matches *",
        ">>> [*] function_call_output   list_slots -> *Tuesday, June 16 at 16:00*",
    )


def test_with_rest_the_scenarios_that_have_no_turns_yet_are_skipped(front_desk):
    with_rest = OVERLAY.replace("base: frontdesk.yaml", "base: frontdesk.yaml\nrest: true")
    result = front_desk.with_files({"desk/overlay.yaml": with_rest}).run(
        "-rs", "--lk-scenarios=desk/overlay.yaml"
    )
    result.outcomes(passed=4, skipped=6)


@pytest.mark.slow
def test_ten_thousand_scenarios_in_one_file_are_collected(project):
    one = """\
  - label: Caller {number} asks for a time
    tags: {{group: "{group}"}}
    userdata: {{available_slots: ["2026-06-15T14:00:00"]}}
    turns:
      - user: Do you have anything on day {number}?
        llm:
          - call: {{list_slots: {{days: {number}}}}}
          - I do.
        expect:
          - function_call_output: {{name: list_slots, contains: slot_}}
"""
    many = "".join(one.format(number=number, group=number % 7) for number in range(10_000))
    files = {
        "desk/__init__.py": "",
        "desk/agent.py": (FRONT_DESK / "agent.py").read_bytes(),
        "desk/many.yaml": f"agent: agent.py:FrontDesk\nscenarios:\n{many}",
    }
    result = project(files).run("--collect-only", "-q", "--lk-scenarios=desk/many.yaml")
    assert result.exit_status == 0
    result.shows(
        "desk/many.yaml::Caller 0 asks for a time",
        "desk/many.yaml::Caller 9999 asks for a time",
        "10000 tests collected in *",
    )
    assert len({line for line in result.lines if "::Caller" in line}) == 10_000
