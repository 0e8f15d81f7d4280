"""What one reads where a conversation is not the one of its snapshot."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_lkagent.snapshot.compare import explain, side_by_side
from pytest_lkagent.snapshot.serialize import document, dump, parse
from pytest_lkagent.transcript import (
    AgentHandoff,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Transcript,
    Turn,
)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ACCEPT = "pytest test_desk.py::test_it --snapshot-update"


def said(*texts):
    return document([Message(role="assistant", text=text) for text in texts])


def explained(recalled, content, *, is_ci=False):
    return explain(recalled, content, file="desk.yaml", accept=ACCEPT, is_ci=is_ci)


def marked(lines):
    """Return the only line with the mark."""
    [line] = [line for line in lines if ">>>" in line]
    return line


CONVERSATION = Transcript(
    start=Turn(user=None, events=[Message(role="assistant", text="Hello.")]),
    turns=[
        Turn(
            user="2 pm",
            events=[
                FunctionCall(name="book", arguments={"slot": "2pm"}, call_id="call_1"),
                FunctionCallOutput(name="book", output="taken", is_error=True),
                Message(role="assistant", text="Sorry, it is", interrupted=True),
                AgentHandoff(old="FrontDesk", new="Waiter"),
            ],
            error=ValueError("no"),
        ),
        Turn(user=None, events=[Message(role="assistant", text="Still there?")]),
    ],
)


def test_the_rows_that_differ_are_shown_with_their_neighbours_the_first_marked():
    was, now = said(*"abcdefghijklmn"), said(*"abcdXfghijklYn")
    assert side_by_side(was, now) == [
        "                                expected                                 actual",
        "           \u2026",
        "       [2] assistant            c",
        "       [3] assistant            d",
        "  >>>  [4] assistant            e                                      | X",
        "       [5] assistant            f",
        "       [6] assistant            g",
        "           \u2026",
        "      [10] assistant            k",
        "      [11] assistant            l",
        "      [12] assistant            m                                      | Y",
        "      [13] assistant            n",
    ]


def test_a_conversation_is_shown_in_the_words_of_transcripts():
    now = copy.deepcopy(CONVERSATION)
    now.turns[0].events[0].arguments["slot"] = "3pm"
    lines = side_by_side(document(CONVERSATION), document(now))
    assert [line.rstrip() for line in lines[1:]] == [
        "          \u2026",
        "      [1] turn                 1",
        "      [2] user                 2 pm",
        "  >>> [3] function_call        book(slot='2pm')                       | book(slot='3pm')",
        "      [4] function_call_output book failed 'taken'",
        "      [5] assistant            Sorry, it is (interrupted)",
        "          \u2026",
    ]
    now.turns[1].events = []
    now.turns[0].error = None
    shown = "\n".join(side_by_side(document(CONVERSATION), document(now)))
    assert "[6] agent_handoff        FrontDesk -> Waiter\n" in shown
    error = 'error {"message": "no", "type": "Value'
    assert (
        f"[7]                      {error}\u2026 | (nothing)".replace("e\u2026", "\u2026") in shown
    )
    assert "[9]                      assistant Still there?                 | (nothing)" in shown


def test_what_is_missing_and_what_is_more_stand_beside_nothing():
    assert "assistant b                            | (nothing)" in marked(
        side_by_side(said("a", "b", "c"), said("a", "c"))
    )
    assert "(nothing)                              | assistant b" in marked(
        side_by_side(said("a", "c"), said("a", "b", "c"))
    )


def test_another_kind_of_event_is_told_with_its_kind():
    was = document([Message(role="user", text="hi")])
    assert "user hi                                | assistant hi" in marked(
        side_by_side(was, said("hi"))
    )


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("x" * 1000 + "left", "x" * 1000 + "right"),
        ("x" * 1000, "x" * 1000 + "right"),
        ("x" * 1000 + "left", "x" * 1000),
        ("x" * 500 + "left" + "y" * 500, "x" * 500 + "right" + "y" * 500),
        ("left" + "x" * 1000, "right" + "x" * 1000),
    ],
)
def test_long_texts_are_shown_where_they_begin_to_differ(was, now):
    left, right = marked(side_by_side(said(was), said(now))).split(" | ")
    assert len(right) <= 38
    assert ("left" in left) is ("left" in was)
    assert ("right" in right) is ("right" in now)
    assert left[-38:].strip() != right


@pytest.mark.parametrize(
    ("was", "now", "left", "right"),
    [
        ("a", "a ", '"a"', '"a "'),
        ("a b", "a  b", '"a b"', '"a  b"'),
        ("", " ", '""', '" "'),
        (5, "5", "5", '"5"'),
        (True, "True", "true", '"True"'),
        (None, "None", "null", '"None"'),
        (["a"], "['a']", '["a"]', "\"['a']\""),
    ],
)
def test_a_difference_that_one_would_not_see_is_shown_as_json(was, now, left, right):
    lines = side_by_side({"events": [{"message": was}]}, {"events": [{"message": now}]})
    shown_left, shown_right = marked(lines).split(" | ")
    assert shown_left.split("assistant")[1].strip() == left
    assert shown_right == right


def test_what_transcripts_do_not_show_of_an_event_is_shown_where_it_differs():
    was = {"events": [{"message": {"role": "user", "text": "hi", "mood": 1}}]}
    now = {"events": [{"message": {"role": "user", "text": "hi"}}]}
    shown = marked(side_by_side(was, now))
    assert '\u2026od": 1' not in shown
    assert '"mood": 1' in shown
    assert '"role": "user"' in shown


def test_control_characters_never_reach_the_screen():
    [line] = side_by_side(said("\x1b[1m\n", "same\r"), said("\x07", "same\r"))[1:2]
    assert "\\x1b[1m\\n" in line
    assert "| \\x07" in line


def test_the_order_of_keys_is_no_difference():
    was = {"events": [{"function_call": {"name": "t", "arguments": {"a": 1, "b": 2}}}, 1]}
    now = {"events": [{"function_call": {"arguments": {"b": 2, "a": 1}, "name": "t"}}, 2]}
    lines = side_by_side(was, now)
    assert "t(a=1, b=2)" in lines[1]
    assert marked(lines) == lines[2]


# --- whatever a hand made of it

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.sets(st.text(), max_size=1)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.dates(), inner, max_size=4)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["message", "function_call", "function_call_output", "agent_handoff", "close", "error"]
)
FIELDS = st.sampled_from(["role", "text", "interrupted", "name", "arguments", "output", "from"])
ENTRIES = VALUES | st.dictionaries(KINDS, VALUES | st.dictionaries(FIELDS, VALUES), max_size=2)
TURNS = st.dictionaries(
    st.sampled_from(["user", "events", "error"]), st.lists(ENTRIES, max_size=6) | VALUES
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "format": st.just(1) | VALUES,
        "start": st.lists(ENTRIES, max_size=3) | VALUES,
        "events": st.lists(ENTRIES, max_size=6) | VALUES,
        "turns": st.lists(TURNS | VALUES, max_size=3) | VALUES,
        "error": VALUES,
    },
)


@unhurried
@given(DOCUMENTS, DOCUMENTS | VALUES)
@example({"events": [{"function_call": {"name": 5, "arguments": [1]}}]}, {"turns": [None]})
@example({"events": [{"message": {"role": ["a"], "text": {"b": b"c"}}}]}, {"start": {"a": 1}})
def test_whatever_a_hand_made_of_a_snapshot_its_differences_are_shown(was, now):
    lines = side_by_side(was, now)
    assert [line for line in lines if not line.isprintable()] == []
    assert sum(line[2:5] == ">>>" for line in lines) == (len(lines) > 1)


@unhurried
@given(DOCUMENTS)
def test_equal_documents_have_no_difference(content):
    assert len(side_by_side(content, copy.deepcopy(content))) == 1


@unhurried
@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_every_difference_is_shown_and_both_sides_in_their_order(was, now):
    lines = side_by_side(said(*was), said(*now))
    assert (len(lines) > 1) is (was != now)
    assert [n for n, line in enumerate([n for n in lines if "|" in n]) if ">>>" in line] == (
        [0] if was != now else []
    )
    left, right = [], []
    for line in lines[1:]:
        if "|" in line:
            for side, cell in zip((left, right), line.split("|"), strict=True):
                if "(nothing)" not in cell:
                    side.append(cell.split()[-1])
    assert is_within(left, was)
    assert is_within(right, now)


def is_within(some, of_all):
    rest = iter(of_all)
    return all(one in rest for one in some)


def test_an_alias_of_what_it_stands_in_is_shown_all_the_same():
    assert ">>>" in "\n".join(side_by_side(parse("events: &a [*a]"), said("a")))


# --- the whole message


def test_a_difference_is_told_with_the_file_and_the_command_that_accepts_it():
    told = str(explained(dump(said("a")), said("b"))).splitlines()
    assert told[0] == "the conversation is not the one in desk.yaml:"
    assert marked(told) == (
        "  >>> [0] assistant            a                                      | b"
    )
    assert told[-1] == f"      if this is right: {ACCEPT}"


def test_in_ci_one_is_told_to_accept_it_elsewhere():
    for recalled in (None, dump(said("a")), "a: ["):
        told = str(explained(recalled, said("b"), is_ci=True))
        assert told.endswith(
            "      CI is set, so nothing is written here: do that on your machine, look at it and "
            f"commit it: {ACCEPT}"
        )


def test_a_snapshot_that_is_not_there_is_shown_as_it_would_be():
    told = str(explained(None, said("a"))).splitlines()
    assert told == [
        "there is no snapshot desk.yaml yet; this would be in it:",
        "      format: 1",
        "      events:",
        "      - message: a",
        f"      if this is right: {ACCEPT}",
    ]
    long = str(explained(None, said(*map(str, range(100))))).splitlines()
    assert long[-3:] == [
        "      - message: '57'",
        "      \u2026 and 42 lines more",
        f"      if this is right: {ACCEPT}",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("format: 1\nevents: [", "desk.yaml:3:1: the snapshot is no YAML any more: "),
        ("format: 1\nevents: a: b", "desk.yaml:2:10: the snapshot is no YAML any more: mapping v"),
        ("a: !!int x", "desk.yaml: the snapshot is no YAML any more: invalid literal for int"),
        ("format: 1\na: caf\udce9", "desk.yaml:2:7: the snapshot is no YAML any more: not UTF-8 t"),
    ],
)
def test_a_snapshot_that_is_no_yaml_any_more_is_told_with_its_place(text, told):
    shown = str(explained(text, said("a")))
    assert shown.startswith(told)
    assert shown.endswith(f"\n      to write it anew: {ACCEPT}")


@pytest.mark.parametrize(
    ("text", "version"),
    [("format: 2\nevents: []", "2"), ("events: []", "None"), ("- a", "None"), ("", "None")],
)
def test_a_snapshot_of_another_format_is_told_by_its_version(text, version):
    told = f"the snapshot desk.yaml is of the format {version}, and this version of pytest-lkagent"
    shown = str(explained(text, said("a")))
    assert shown.startswith(f"{told} reads and writes 1\n")
    assert shown.endswith(f"\n      to write it anew: {ACCEPT}")


# --- at which turn


def changed(**turns):
    content = document(CONVERSATION)
    return {**content, **turns}


@pytest.mark.parametrize(
    ("now", "turn"),
    [
        (changed(start=[]), 0),
        (changed(turns=document(CONVERSATION)["turns"][:1]), 2),
        (changed(turns=[*document(CONVERSATION)["turns"], {"events": []}]), 3),
        (changed(turns=[{"user": "3 pm"}, *document(CONVERSATION)["turns"][1:]]), 1),
        (changed(outcome="failed"), None),
        (changed(turns="none"), 1),
    ],
)
def test_the_first_turn_that_differs_is_known(now, turn):
    assert explained(dump(document(CONVERSATION)), now).turn == turn


def test_what_yaml_has_and_json_has_not_is_shown_as_python_writes_it():
    event = {"function_call": {"name": "book", "arguments": {"slot": {"day": b"\x00"}}}}
    shown = "\n".join(side_by_side({"events": [event]}, {"events": []}))
    assert "book(slot={'day': b'" in shown
