"""What a scenario captures, and where it stands for what came."""

from __future__ import annotations

import pytest

CAPTURED = """\
agent: agent.py:FrontDesk
scenarios:
- label: Keeps it secret
  turns:
  - {user: 2 pm please, capture: {slot: 'booked (.*)'}, llm: [call: {book: {slot: 2pm}}, Booked.]}
  - {user: when is it?, llm: ['It is at ${slot}.']}
  absent:
"""


def test_what_was_captured_stands_under_absent_too(desk):
    for absent in ("message: {contains: '${slot}'}", "message: {matches: '${slot}'}"):
        files = {"desk.yaml": f"{CAPTURED}  - {absent}\n"}
        result = desk(files).run("--lk-scenarios=desk.yaml")
        result.outcomes(failed=1)
        result.shows(
            "desk.yaml:8: Keeps it secret: not expected: message that * '2pm'",
            ">>> [6] assistant              It is at 2pm.",
            "absent: this must not happen",
        )
    files = {"desk.yaml": f"{CAPTURED}  - message: 'It was at ${{slot}}.'\n"}
    desk(files).run("--lk-scenarios=desk.yaml").outcomes(passed=1)


def test_a_pattern_under_absent_with_what_was_never_captured_is_told_at_its_line(desk):
    result = desk({"desk.yaml": f"{CAPTURED}  - message: {{matches: '${{slt}}'}}\n"}).run(
        "--lk-scenarios=desk.yaml"
    )
    result.outcomes(failed=1)
    result.shows(
        "desk.yaml:8: Keeps it secret: ${slt} was not captured before; captured so far: slot"
    )


FOUND = """\
agent: agent.py:FrontDesk
scenarios:
- label: Reads it back
  turns:
  - user: 2 pm please
    capture: {slot: 'PATTERN'}
    llm: [call: {book: {slot: 2pm}}, It is.]
  - {user: is it?, llm: [It is booked.], expect: [message: {contains: '${slot}'}]}
"""


@pytest.mark.parametrize("pattern", ["booked (now)?", "booked (now)|2pm", "[0-9]*$"])
def test_a_capture_of_an_empty_text_finds_nothing(desk, pattern):
    """Every text contains it, and so a claim with it would always hold."""
    result = desk({"desk.yaml": FOUND.replace("PATTERN", pattern)}).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(
        f"desk.yaml:5: Reads it back, turn 1: capture slot: all that {pattern!r} finds is empty; "
        "let it find a text",
        "[2] function_call_output   book -> 'booked 2pm'",
    )


def test_a_capture_goes_on_until_it_finds_a_text(desk):
    found = FOUND.replace("PATTERN", "(booked)?")
    whole = found.replace("{contains: '${slot}'}", "'It is ${slot}.'")
    desk({"desk.yaml": whole}).run("--lk-scenarios=desk.yaml").outcomes(passed=1)


TWICE = """\
agent: agent.py:FrontDesk
scenarios:
- label: Says which
  turns:
  - {user: 1 pm please, llm: [call: {book: {slot: 1pm}}, Booked.]}
  - user: 2 pm, and 3 pm
    capture: {slot: 'booked (.*)'}
    llm:
    - call: {book: {slot: 2pm}}
    - {say: 'First ${slot}.', call: {book: {slot: 3pm}}}
    - It is ${slot}.
    expect: [function_call_output: {}, function_call_output: {}, message: It is 2pm.]
  - {user: and then?, llm: ['Come at ${slot}.'], expect: [message: Come at 2pm.]}
"""


@pytest.mark.parametrize("target", ["inprocess", "memory"])
def test_the_first_that_a_turn_finds_is_captured_wherever_it_stands(desk, target):
    """The model answers before the turn is over, when nobody knows of a later one."""
    files = {"desk.yaml": TWICE}
    desk(files).run("--lk-scenarios=desk.yaml", f"--lk-target={target}").outcomes(passed=1)


LONG = "a" * 250
ANYWHERE = f"""\
agent: agent.py:FrontDesk
scenarios:
- label: Fails with it
  turns:
  - {{user: 2 pm, capture: {{slot: 'booked (.*)'}}, llm: [call: {{book: {{slot: 2pm}}}}, Yes.]}}
  - user: again?
    llm: [fail: {{status: 503, after: 'At ${{slot}}. ', attempts: 1}}, Bye.]
    expect: [message: At 2pm. Bye.]
  - user: again?
    llm: [fail: {{type: APIConnectionError, message: 'no ${{slot}}'}}]
    expect_error: {{contains: no 2pm}}
  - user: again?
    llm: [{LONG} 2pm]
    expect: [message: {{matches: '{LONG} ${{slot}}'}}]
- label: Is never said
  turns:
  - {{user: 2 pm, capture: {{slot: 'booked (.*)'}}, llm: [call: {{book: {{slot: 2pm}}}}, Yes.]}}
  - {{user: again?, llm: [Bye., 'At ${{slot}}.']}}
"""


def test_what_was_captured_is_filled_in_wherever_it_stands(desk):
    result = desk({"desk.yaml": ANYWHERE}).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "desk.yaml:18: Is never said, turn 2: scripted, and never asked for: say('At ${slot}.')"
    )


def test_what_was_captured_is_filled_in_where_recognition_fails(desk):
    file = """
    agent: agent.py:FrontDesk
    scenarios:
    - label: Is not heard
      mode: audio
      turns:
      - {user: 2 pm please, capture: {slot: 'booked (.*)'}, llm: [call: {book: {slot: 2pm}}, Yes.]}
      - user: {text: again?, fail: {type: APIConnectionError, message: 'no ${slot}', attempts: 4}}
        expect_error: {contains: no 2pm}
    """
    desk({"desk.yaml": file}).run("--lk-scenarios=desk.yaml").outcomes(passed=1)


def test_mocks_are_made_before_anything_is_captured(desk):
    file = """
    agent: agent.py:Greeter
    scenarios:
    - label: Greets
      start: {llm: [Hello.], capture: {greeting: Hello}}
      mocks: {FrontDesk: {book: 'booked ${greeting}'}}
      turns: [{user: hi, llm: ['${greeting}']}]
    """
    result = desk({"desk.yaml": file}).run("--lk-scenarios=desk.yaml")
    result.shows(
        "desk.yaml:5:29: '${greeting}' was captured by no earlier turn; captured before: none"
    )
    result.shows_no("*desk.yaml:6*")


def test_what_came_before_a_turn_is_not_captured_in_it(desk):
    files = {
        "desk.yaml": """
        agent: desk.py:make
        scenarios:
        - label: Of history and of the agent itself
          history: [{user: 8 pm please}, {assistant: booked 8pm}]
          turns:
          - user: 2 pm please
            capture: {slot: 'booked (.*)'}
            llm: [call: {book: {slot: 2pm}}, 'It is ${slot}.']
            expect: [function_call_output: {}, message: It is 2pm.]
          - user: 3 pm please
            capture: {slot: 'booked (.*)'}
            llm: [call: {book: {slot: 3pm}}, 'It is ${slot}.']
            expect: [function_call_output: {}, message: It is 3pm.]
        """,
        "desk.py": """
        from agent import FrontDesk
        from livekit.agents import llm

        def make():
            agent = FrontDesk()
            agent._chat_ctx.add_message(role="assistant", content="booked 7pm")
            return agent
        """,
    }
    desk(files).run("--lk-scenarios=desk.yaml").outcomes(passed=1)


REPLACED = """\
agent: agent.py:FrontDesk
scenarios:
- label: The slot may change
  turns:
  - user: a visit please
    capture: {slot: 'booked (.*)'}
    llm: [call: {book: {slot: SLOT}}, SLOT it is.]
    snapshot: {replace: {'^${slot}': So}, exclude: [function_call, function_call_output]}
  snapshot: {replace: {'${slot}': a slot}}
"""


def test_what_was_captured_stands_for_what_a_snapshot_leaves_out(desk, pytester, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    for slot, *update in (("2 pm (sharp)", "--snapshot-update"), ("3 pm",)):
        made = desk({"desk.yaml": REPLACED.replace("SLOT", slot)})
        made.run("--lk-scenarios=desk.yaml", *update).outcomes(passed=1)
    turn, whole = (path.read_text() for path in sorted(pytester.path.glob("__lk*/*/*.yaml")))
    assert "message: So it is." in turn
    assert "message: a slot it is." in whole


@pytest.mark.parametrize("how", ["{replace: {'${slt}': a}}", "{exclude: ['${slt}']}"])
def test_what_no_turn_captured_is_refused_where_a_snapshot_names_it(desk, how):
    text = CAPTURED.replace("absent:", f"snapshot: {how}")
    result = desk({"desk.yaml": text}).run("--lk-scenarios=desk.yaml")
    result.shows("desk.yaml:7:*${slt}*captured*slot*")
    assert not result.counts.get("passed")
