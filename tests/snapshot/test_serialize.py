"""A conversation as text: nothing of it is lost, and nothing of one run is in it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from textwrap import dedent, indent

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from livekit.agents import APIConnectionError, APIStatusError

from pytest_lkagent.errors import UsageError
from pytest_lkagent.scenarios.expect import match_turn
from pytest_lkagent.scenarios.load import load_text
from pytest_lkagent.scenarios.model import ScenarioResult
from pytest_lkagent.scenarios.read_expect import CLOSE_REASONS
from pytest_lkagent.snapshot.redact import Redaction
from pytest_lkagent.snapshot.serialize import (
    document,
    dump,
    entry_of,
    parse,
    shorten_call_ids,
)
from pytest_lkagent.transcript import (
    AgentConfigUpdate,
    AgentHandoff,
    Close,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Transcript,
    Turn,
)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ODD = st.sampled_from(
    ["", " ", "\n", "\t", "a\n", "a\n\n", "\na", "a \nb", " a\nb", "a\n b\n\nc", "a\r\nb\r\n", "\r",
     "\x00", "\x07\x1b[1m", "\x7f", "\x85", "a\x85b", "\u2028", "a\u2029b", "\ufeff", "a\ufeff\nb",
     "\ufffe", "\uffff", "\xa0", "caf\u00e9 \u65e5\u672c\u8a9e", "\U0001f44b\U0001f3fd", "e\u0301",
     "\ue001\ue402 \U0010ffff", "\ue001\U0001f44b", "\ue001", "\ue402", "\\U0001f44b",
     "\ud83d", "a\udc4bb", "\\ud83d", "no", "Off", "y", "true", "TRUE", "null", "~", "1", "-1",
     "0777", "0o17", "0x1F", "0b11", "1_000", "1e3", "1.10", ".5", ".inf", "-.INF", ".nan", "08001",
     "12:30", "190:20:30", "2026-06-12", "2026-02-30", "2026-06-12T09:00:00Z", "6-1",
     "<<", "=", "...", "---", "- a", "? a", "a: b", "a #b", "#a", "a:", ": a", "{a", "[a]", "&a",
     "*a", "!a", "!!int 1", "!escaped a", "%a", "@a", "`a`", "'", '"', "'a'", '"a\\n"', "|", ">-",
     "a\n---\nb", "a\n...\nb", "a\n# b", "\\", "\\n", "x" * 3000, "two words " * 300, "a  b " * 90]
)  # fmt: skip
TEXT = ODD | st.text() | st.text(st.characters()) | st.lists(ODD, max_size=3).map("".join)
NUMBERS = st.integers() | st.floats(allow_nan=False)


def json_of(keys=TEXT, numbers=NUMBERS, texts=TEXT):
    leaves = st.none() | st.booleans() | numbers | texts
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=8
    )


NAMES = st.text(min_size=1)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["assistant", "user", "system", "developer"]),
    text=TEXT,
    interrupted=st.booleans(),
    agent=st.none() | NAMES,
)
CALLS = st.builds(
    FunctionCall,
    name=NAMES,
    arguments=TEXT | st.dictionaries(TEXT, json_of()),
    call_id=NAMES,
)
OUTPUTS = st.builds(
    FunctionCallOutput, name=NAMES, output=TEXT, is_error=st.booleans(), call_id=st.text()
)
HANDOFFS = st.builds(AgentHandoff, old=st.none() | NAMES, new=NAMES)
CLOSES = st.builds(Close, reason=st.sampled_from(CLOSE_REASONS), error=st.none() | TEXT)
UPDATES = st.builds(
    AgentConfigUpdate,
    instructions=st.none() | TEXT,
    tools_added=st.lists(NAMES, max_size=3),
    tools_removed=st.lists(NAMES, max_size=3),
)
EVENTS = MESSAGES | CALLS | OUTPUTS | HANDOFFS | CLOSES


def caused_by(error, cause):
    error.__cause__ = cause
    return error


ERRORS = st.recursive(
    st.builds(ValueError, TEXT)
    | st.builds(APIConnectionError, TEXT, retryable=st.booleans())
    | st.builds(APIStatusError, TEXT, status_code=st.integers(100, 599)),
    lambda inner: st.builds(caused_by, st.builds(RuntimeError, TEXT), inner),
    max_leaves=3,
)
TURNS = st.builds(
    Turn,
    user=st.none() | TEXT,
    events=st.lists(EVENTS, max_size=5),
    error=st.none() | ERRORS,
    took=st.floats(0, 100),
)
TRANSCRIPTS = st.builds(Transcript, start=TURNS, turns=st.lists(TURNS, max_size=3))
RESULTS = st.builds(
    ScenarioResult,
    label=TEXT,
    outcome=st.sampled_from(["passed", "failed"]),
    transcript=TRANSCRIPTS,
    message=st.none() | TEXT,
    duration=st.floats(0, 100),
)
VALUES = TRANSCRIPTS | TURNS | RESULTS | ERRORS | st.lists(EVENTS | UPDATES)


@unhurried
@given(VALUES)
def test_whatever_is_written_is_read_as_the_same(value):
    content = document(value)
    text = dump(content)
    text.encode()  # a file can hold it
    assert parse(text) == content


@unhurried
@given(TEXT, TEXT)
@example("a" * 1_000_000, "")
@example("zwei W\u00f6rter " * 70_000, "\U0001f600" * 250_000)
@example("line\n" * 200_000, " \n" * 300_000)
@example("\ud800" + "x" * 1_000_000, "'\"\\" * 300_000)
def test_any_text_comes_back_as_it_was(said, key):
    content = document([Message(role="user", text=said), call("t", {key: said})])
    assert parse(dump(content)) == content


@pytest.mark.parametrize("number", [math.inf, -math.inf, 2**70, -(10**30), 1e300, 5e-324, 1e22])
def test_a_number_beyond_json_comes_back_as_it_was(number):
    content = document([call("t", {"n": number})])
    assert parse(dump(content)) == content


def call(name, arguments, call_id="call_1"):
    return FunctionCall(name=name, arguments=arguments, call_id=call_id)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\nb", "- message: |-\n    a\n\n    b\n"),
        ("a\n  b\n", "- message: |\n    a\n      b\n"),
        ("a \nb", '- message: "a \\nb"\n'),
        ("a\tb\nc", '- message: "a\\tb\\nc"\n'),
        ("a\n\n", '- message: "a\\n\\n"\n'),
        ("a\x07\nb", '- message: "a\\a\\nb"\n'),
        ("2026-06-12", "- message: '2026-06-12'\n"),
        ("\U0001f44b \U0010ffff\n\U00020000", '- message: "\U0001f44b \U0010ffff\\n\U00020000"\n'),
        ("\U0001f44b\n\U00020000", "- message: |-\n    \U0001f44b\n    \U00020000\n"),
        ("caf\u00e9 \U0001f44b", "- message: caf\u00e9 \U0001f44b\n"),
    ],
)
def test_lines_stand_one_below_the_other_where_that_shows_all_of_them(text, shown):
    content = document([Message(role="assistant", text=text)])
    assert dump(content) == f"format: 1\nevents:\n{shown}"


# --- what one run has and another has not


def reordered(value):
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(one) for one in value] if isinstance(value, list) else value


def of_another_run(event):
    match event:
        case FunctionCall():
            arguments = reordered(event.arguments)
            return replace(event, call_id=OTHER_IDS[event.call_id], arguments=arguments)
        case FunctionCallOutput():
            base = re.match(r"call_\d+", event.call_id)[0]
            derived = event.call_id.removeprefix(base)
            output = event.output.replace(base, OTHER_IDS[base])
            return replace(event, call_id=OTHER_IDS[base] + derived, output=output)
        case AgentConfigUpdate():
            return replace(event, tools_added=event.tools_added[::-1])
    return event


IDS = st.sampled_from(["call_1", "call_10", "call_2"])
OTHER_IDS = {"call_1": "call_xYz1", "call_10": "call_1", "call_2": "fc_0a-b"}


@st.composite
def outputs_of_calls(draw):
    """What LiveKit says of a call: under its id or one derived from it, which stands in it too."""
    call_id = draw(IDS)
    derived = draw(st.sampled_from(["", "_update_1", "_update_12", "_final"]))
    told = draw(st.sampled_from(["done", f"running {call_id}", f"{call_id}: started, {call_id}."]))
    return FunctionCallOutput(name="t", output=told, call_id=call_id + derived)


LIVEKITS = st.lists(
    MESSAGES.filter(lambda one: one.role in ("user", "assistant"))
    | st.builds(call, NAMES, st.dictionaries(TEXT, json_of(texts=st.just("x"))), IDS)
    | outputs_of_calls()
    | UPDATES
)


def written(events, took=0.0):
    transcript = Transcript(turns=[Turn(user="hi", events=events, took=took)])
    return dump(Redaction().apply(document(transcript), shorten_call_ids(events)))


@unhurried
@given(LIVEKITS)
def test_ids_clocks_and_the_order_of_keys_change_no_byte(events):
    again = [of_another_run(event) for event in events]
    assert written(again, took=3.5).encode() == written(events).encode()


def test_calls_are_numbered_by_their_first_appearance_with_the_ids_derived_from_them():
    ids = ["call_7", "call_7_update_1", "call_70", "call_7_final", "late_update_2", "", "late"]
    events = [FunctionCallOutput(name="t", output="", call_id=one) for one in ids]
    named = {"call_7": "call#1", "call_70": "call#2", "late": "call#3"}
    assert shorten_call_ids([Message(role="user", text="hi"), *events]) == named


# --- what can be made a snapshot of


def test_a_transcript_reads_like_the_scenario_that_it_was():
    start = Turn(user=None, events=[Message(role="assistant", text="Hello.")])
    events = [
        Message(role="user", text="2 pm please"),
        call("book", {"slot": "2pm", "guests": 2, "by": {"b": None, "a": True}}),
        FunctionCallOutput(name="book", output="taken", is_error=True, call_id="call_1"),
        call("list_slots", {}),
        call("book", "[oops"),
        FunctionCallOutput(name="list_slots", output="3 pm\n4 pm"),
        Message(role="assistant", text="Is 3 pm", interrupted=True, agent="FrontDesk"),
        AgentHandoff(old="FrontDesk", new="Waiter"),
        Message(role="system", text="Be brief."),
        Close(reason="error", error="ValueError: no"),
    ]
    turn = Turn(user="2 pm please", events=events, took=1.5)
    assert dump(document(Transcript(start=start, turns=[turn]))) == dedent("""\
        format: 1
        start:
        - message: Hello.
        turns:
        - user: 2 pm please
          events:
          - function_call: {name: book, arguments: {by: {a: true, b: null}, guests: 2, slot: 2pm}}
          - function_call_output: {name: book, is_error: true, output: taken}
          - function_call: {name: list_slots, arguments: {}}
          - function_call: {name: book, arguments: '[oops'}
          - function_call_output:
              name: list_slots
              output: |-
                3 pm
                4 pm
          - message: {text: Is 3 pm, interrupted: true}
          - agent_handoff: {from: FrontDesk, to: Waiter}
          - message: {role: system, text: Be brief.}
          - close: {reason: error, error: 'ValueError: no'}
        """)


def test_the_words_of_the_user_are_told_once_where_they_began_the_turn():
    said = Message(role="user", text="hi")
    assert document(Turn(user="hi", events=[said, said]))["events"] == [entry_of(said)]
    assert document(Turn(user=None, events=[said]))["events"] == [entry_of(said)]
    assert document(Turn(user="hi", events=[replace(said, role="system")]))["events"] != []


def test_what_changes_an_agent_is_told_by_what_changed():
    update = AgentConfigUpdate(instructions="Book.", tools_added=("b", "a"), tools_removed=("z",))
    changes = {"instructions": "Book.", "tools_added": ["a", "b"], "tools_removed": ["z"]}
    assert entry_of(update) == {"agent_config_update": changes}
    only = AgentConfigUpdate(tools_removed=("z",))
    assert entry_of(only) == {"agent_config_update": {"tools_removed": ["z"]}}


def test_an_exception_is_told_with_what_caused_it():
    first = APIStatusError("overloaded", status_code=503, body={"id": 7})
    error = caused_by(RuntimeError("no answer"), caused_by(APIConnectionError("lost"), first))
    error.__cause__.__cause__.__cause__ = error  # a circle ends
    assert document(error) == {
        "format": 1,
        "error": {
            "type": "RuntimeError",
            "message": "no answer",
            "cause": {
                "type": "APIConnectionError",
                "message": "lost",
                "retryable": True,
                "cause": {
                    "type": "APIStatusError",
                    "message": "overloaded",
                    "status_code": 503,
                    "retryable": True,
                },
            },
        },
    }


def test_a_group_of_exceptions_is_told_with_each():
    inner = ExceptionGroup("again", [ValueError("two")])
    group = ExceptionGroup("both failed", [caused_by(LookupError("one"), inner), inner])
    told = {"type": "ExceptionGroup", "message": "again"}
    told["errors"] = [{"type": "ValueError", "message": "two"}]
    assert document(group)["error"] == {
        "type": "ExceptionGroup",
        "message": "both failed",
        "errors": [{"type": "LookupError", "message": "one", "cause": told}, told],
    }


def test_a_turn_is_told_with_its_error():
    turn = Turn(user="hi", events=[Message(role="user", text="hi")], error=ValueError("no"))
    error = {"type": "ValueError", "message": "no"}
    assert document(turn) == {"format": 1, "user": "hi", "events": [], "error": error}


def test_a_scenario_that_did_not_pass_is_told_with_its_outcome():
    transcript = Transcript(turns=[Turn(user="hi")])
    result = ScenarioResult(label="it", outcome="passed", transcript=transcript, duration=2.0)
    assert document(result) == {"format": 1, "turns": [{"user": "hi", "events": []}]}
    failed = replace(result, outcome="failed", message="no")
    assert document(failed) == {**document(result), "outcome": "failed", "message": "no"}


@pytest.mark.parametrize("value", [None, 5, "text", {"events": []}, ["text"], [None]])
def test_what_no_snapshot_can_be_made_of_is_refused(value):
    with pytest.raises(UsageError, match=r"a snapshot is made of a chat context, .* not of "):
        document(value)


# --- edited by hand


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: !!int x", "a: !!bool x", "a: !!timestamp x", "a: !!float x", "? [a]\n: b", "!x a",
     '!escaped "\u00e9"', '!escaped "\\\\x"', "!escaped [a]", "a: \udce9", "\x00", "- a\nb: c"],
)  # fmt: skip
def test_what_is_no_yaml_any_more_is_one_kind_of_error(text):
    with pytest.raises(yaml.YAMLError):
        parse(text)


def test_a_file_in_another_encoding_is_told_with_its_place():
    with pytest.raises(yaml.MarkedYAMLError, match="not UTF-8 text") as caught:
        parse("format: 1\na: caf\udce9")
    assert (caught.value.problem_mark.line, caught.value.problem_mark.column) == (1, 6)


def test_a_date_that_a_hand_wrote_is_a_text_as_in_scenarios():
    written = {"message": "2026-06-12", "other": "2026-02-30"}
    assert parse("message: 2026-06-12\nother: 2026-02-30") == written


# --- pasted into a scenario

WORDS = TEXT.filter(lambda text: "${" not in text and not holds_half_a_pair(text))
CLASSES = st.from_regex(r"[A-Za-z_\u00e9\u65e5]\w{0,8}", fullmatch=True)
EXACT = st.integers(-(2**63), 2**64 - 1) | st.floats(-(2**53), 2**53)


def holds_half_a_pair(text):
    return any("\ud800" <= character <= "\udfff" for character in text)


def is_no_pattern(value):
    """Whether ``{matches: …}`` alone is nowhere in it."""
    if isinstance(value, dict):
        return list(value) != ["matches"] and all(map(is_no_pattern, value.values()))
    return all(map(is_no_pattern, value)) if isinstance(value, list) else True


PASTED = st.one_of(
    st.builds(replace, MESSAGES, text=WORDS),
    st.builds(
        call,
        WORDS.filter(bool),
        st.dictionaries(WORDS, json_of(WORDS, EXACT, WORDS)).filter(is_no_pattern),
    ),
    st.builds(replace, OUTPUTS, name=WORDS.filter(bool), output=WORDS),
    st.builds(AgentHandoff, old=st.none() | CLASSES, new=CLASSES),
    st.builds(Close, reason=st.sampled_from(CLOSE_REASONS)),
)


@unhurried
@given(st.lists(PASTED, max_size=4))
def test_what_a_snapshot_holds_can_be_pasted_into_a_scenario(events):
    entries = parse(dump(document(events)))["events"]
    pasted = indent(dump({"expect": entries}), "    ", lambda line: True)
    file = f"scenarios:\n- label: it\n  turns:\n  - user: hi\n{pasted}"
    [scenario] = load_text(file, Path("desk.yaml")).scenarios
    [turn] = scenario.turns
    assert match_turn(turn.expect, events) is None
