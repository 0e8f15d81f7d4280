"""Whatever the file holds, the user gets scenarios or lines to act upon."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_lkagent.errors import LoadError
from pytest_lkagent.scenarios import (
    read_call,
    read_expect,
    read_failure,
    read_mocks,
    read_scenario,
    read_turns,
    read_voice,
)
from pytest_lkagent.scenarios.expect import match_turn
from pytest_lkagent.scenarios.expectations import (
    CallExpectation,
    CloseExpectation,
    HandoffExpectation,
    MessageExpectation,
    OutputExpectation,
    TextMatch,
)
from pytest_lkagent.scenarios.load import FILE_KEYS, load_text
from pytest_lkagent.scenarios.model import LlmCall, LlmEntry, ScenarioFile
from pytest_lkagent.sites import Site
from pytest_lkagent.transcript import (
    AgentHandoff,
    Close,
    FunctionCall,
    FunctionCallOutput,
    Message,
)

SITE = Site("desk.yaml", 1)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
LINE = re.compile(r"[^\n]*desk\.yaml:\d+:\d+: [^\n]+")


def model_or_mistakes(text: str | bytes) -> None:
    """Load the text; whatever is wrong with it is told in lines with a place."""
    try:
        file = load_text(text, Path("desk.yaml"))
    except LoadError as error:
        mistakes = error.problems
    else:
        assert isinstance(file, ScenarioFile)
        return
    assert mistakes
    assert [line for line in mistakes if not LINE.fullmatch(line)] == []


@unhurried
@given(st.binary())
@example(b"\xef\xbb\xbf")
@example(b"\xff\xfea\x00:\x00")
@example(b"%TAG ! tag:x,2000:\n---\n!a b")
@example(b"scenarios: &a [*a]")
@example(b"{? {a: b} : c}")
def test_any_bytes_give_a_model_or_a_usage_error(data):
    model_or_mistakes(data)


@unhurried
@given(st.text())
@example("\ud800")
@example("a: '\x85\u2028'")
@example("base: \ufeff")
@example("scenarios: [{label: a, turns: [], now: '\uff12026-06-12'}]")
@example("scenarios: [{label: a, turns: [], tags: {a: !!binary x}}]")
def test_any_text_gives_a_model_or_a_usage_error(text):
    model_or_mistakes(text)


KEYS = st.sampled_from(
    sorted(
        {
            *FILE_KEYS,
            *read_scenario.SCENARIO_KEYS,
            *read_scenario.HISTORY_KEYS,
            *read_turns.TURN_KEYS,
            *read_turns.ENTRY_KEYS,
            *read_failure.FAIL_KEYS,
            *read_turns.USER_KEYS,
            *read_call.INTERJECTION_KEYS,
            *read_voice.VOICE_KEYS,
            *read_mocks.MOCK_KEYS,
            *read_expect.KINDS,
            *read_expect.MESSAGE_KEYS,
            *read_expect.OUTPUT_KEYS,
            *read_expect.HANDOFF_KEYS,
            *("task", "<<", "userdata", "matches", "Desk", "${x}"),
        }
        - {"base"}
    )
)
SCALARS = st.sampled_from(
    ["", "~", "no", "true", "...", "1", "-1", "1e3", ".nan", "2s", "a.py:b", "${x}", "2026-06-12",
     "(", "'quoted'", "!!int 5", "!x y", "word", "*anchor", "&anchor a", "999999999999999999999"]
)  # fmt: skip


def _mapping(pairs: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"


NODES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(KEYS, inner), max_size=5).map(_mapping)
    ),
    max_leaves=15,
)
TREES = st.lists(st.tuples(KEYS, NODES), max_size=6).map(_mapping)


@unhurried
@given(st.lists(TREES, max_size=3), st.lists(TREES, max_size=3), TREES)
def test_anything_near_the_format_gives_a_model_or_a_usage_error(scenarios, turns, defaults):
    listed = "".join(
        f"- label: number {n}\n  <<: {tree}\n  turns: [{', '.join(turns)}]\n"
        for n, tree in enumerate(scenarios)
    )
    model_or_mistakes(f"id: &anchor a\ndefaults: {defaults}\nscenarios:\n{listed}")


@unhurried
@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()
    | st.floats(-(2**53), 2**53),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
))  # fmt: skip
def test_userdata_written_as_json_comes_back_as_it_was(value):
    """Any value that `lk` could send can be written in the file.

    Beyond 2**53 Go writes a whole float with fewer digits than it has, and so do we.
    """
    text = yaml.safe_dump({"scenarios": [{"label": "a", "turns": [], "userdata": {"v": value}}]},
                          default_style='"', allow_unicode=False)  # fmt: skip
    assert load_text(text, Path("desk.yaml")).scenarios[0].userdata == {"v": value}


WORDS = st.sampled_from(["a", "b", "c"])
EVENTS = st.one_of(
    st.builds(Message, role=st.sampled_from(["assistant", "user"]), text=WORDS),
    st.builds(FunctionCall, name=WORDS, arguments=st.fixed_dictionaries({"x": WORDS}),
              call_id=WORDS),
    st.builds(FunctionCallOutput, name=WORDS, output=WORDS, is_error=st.booleans(),
              call_id=WORDS),
    st.builds(AgentHandoff, old=st.none() | WORDS, new=WORDS),
    st.builds(Close, reason=WORDS),
)  # fmt: skip


def expectation_of(event):
    match event:
        case Message():
            text = TextMatch(equals=event.text)
            return MessageExpectation(role=event.role, text=text, site=SITE)
        case FunctionCall():
            return CallExpectation(name=event.name, arguments=event.arguments, site=SITE)
        case FunctionCallOutput():
            text = TextMatch(equals=event.output)
            return OutputExpectation(
                name=event.name, output=text, is_error=event.is_error, site=SITE
            )
        case AgentHandoff():
            return HandoffExpectation(old=event.old, new=event.new, site=SITE)
        case Close():
            return CloseExpectation(reason=event.reason, site=SITE)


def needs_listing(event) -> bool:
    return not (
        (isinstance(event, Message) and event.role == "user")
        or (isinstance(event, AgentHandoff) and event.old is None)
    )


@unhurried
@given(st.lists(EVENTS))
def test_what_happened_always_matches_itself(events):
    listed = [expectation_of(event) for event in events]
    assert match_turn(listed, events) is None
    assert match_turn([one for one in listed if needs_listing_of(one)], events) is None


def needs_listing_of(expected) -> bool:
    by_user = isinstance(expected, MessageExpectation) and expected.role == "user"
    from_nobody = isinstance(expected, HandoffExpectation) and expected.old is None
    return not by_user and not from_nobody


@unhurried
@given(st.lists(EVENTS, min_size=1), st.data())
def test_an_event_that_nobody_lists_never_passes(events, data):
    needed = [index for index, event in enumerate(events) if needs_listing(event)]
    if not needed:
        return
    left_out = data.draw(st.sampled_from(needed))
    listed = [expectation_of(events[index]) for index in needed if index != left_out]
    mismatch = match_turn(listed, events)
    assert mismatch is not None
    assert ">>> " in str(mismatch)


@unhurried
@given(st.lists(EVENTS), st.data())
def test_dots_stand_for_any_stretch_of_events(events, data):
    first = data.draw(st.integers(0, len(events)))
    last = data.draw(st.integers(first, len(events)))
    listed = [expectation_of(event) for event in events]
    assert match_turn([*listed[:first], ..., *listed[last:]], events) is None


@unhurried
@given(st.lists(EVENTS), st.data())
def test_what_never_happened_is_never_found(events, data):
    listed = [expectation_of(event) for event in events]
    position = data.draw(st.integers(0, len(listed)))
    stranger = CallExpectation(name="stranger", site=SITE)
    for expected in ([*listed[:position], stranger, *listed[position:]], [..., stranger, ...]):
        mismatch = match_turn(expected, events)
        assert mismatch is not None
        assert str(mismatch)


@unhurried
@given(st.lists(EVENTS))
def test_with_all_of_it_scripted_only_the_rest_needs_listing(events):
    script = [
        LlmEntry(text=event.text, site=SITE)
        if isinstance(event, Message)
        else LlmEntry(calls=(LlmCall(event.name, event.arguments),), site=SITE)
        for event in events
        if isinstance(event, (Message, FunctionCall))
    ]
    rest = [e for e in events if needs_listing(e) and not isinstance(e, (Message, FunctionCall))]
    assert match_turn([expectation_of(event) for event in rest], events, scripted=script) is None
    for event in rest[:1]:
        others = [expectation_of(other) for other in rest if other is not event]
        assert match_turn(others, events, scripted=script) is not None


@unhurried
@given(st.permutations(range(5)), st.integers(0, 4))
def test_parallel_outputs_match_in_every_order_and_only_all_of_them(order, missing):
    events = [FunctionCall(name=f"t{n}", arguments={}, call_id=str(n)) for n in range(5)]
    outputs = [FunctionCallOutput(name=f"t{n}", output="ok", call_id=str(n)) for n in range(5)]
    script = [LlmEntry(calls=tuple(LlmCall(f"t{n}") for n in range(5)), site=SITE)]
    expected = [expectation_of(outputs[n]) for n in order]
    assert match_turn(expected, [*events, *outputs], scripted=script) is None
    fewer = [one for n, one in enumerate(expected) if n != missing]
    assert match_turn(fewer, [*events, *outputs], scripted=script) is not None
    wrong = [*fewer, replace(expected[missing], is_error=True)]
    assert match_turn(wrong, [*events, *outputs], scripted=script) is not None


SEQUENCES = st.lists(
    EVENTS.filter(lambda event: not isinstance(event, FunctionCallOutput)), max_size=6
)


def explains(expected, events, *, is_first=True) -> bool:
    """Say by plain trial whether the expectations tell the events; outputs aside."""
    if not events:
        return all(one is ... for one in expected)
    event, *later = events
    ways = []
    if not needs_listing(event):
        ways.append((expected, later))
    if expected and expected[0] is ...:
        ways += [(expected[1:], events), (expected, later)]
    elif expected and next(differences_of(expected[0], event), None) is None:
        ways.append((expected[1:], later))
    return any(explains(rest, left) for rest, left in ways)


def differences_of(expected, event):
    found = expected.differences(event)
    return iter([True]) if found is None else found


@unhurried
@given(SEQUENCES, SEQUENCES, st.data())
def test_expectations_match_when_there_is_any_way_to_read_them_so(events, others, data):
    listed = [*map(expectation_of, data.draw(st.sampled_from([events, others])))]
    for _ in range(data.draw(st.integers(0, 2))):
        listed.insert(data.draw(st.integers(0, len(listed))), ...)
    if listed and data.draw(st.booleans()):
        listed.pop(data.draw(st.integers(0, len(listed) - 1)))
    assert (match_turn(listed, events) is None) == explains(listed, events)
