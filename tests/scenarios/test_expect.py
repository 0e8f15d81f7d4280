"""Comparing a turn with what was expected, and what the user reads where it differs."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

from pytest_lkagent.scenarios.expect import (
    match_absent,
    match_turn,
)
from pytest_lkagent.scenarios.expectations import (
    CallExpectation,
    CloseExpectation,
    HandoffExpectation,
    Matches,
    MessageExpectation,
    OutputExpectation,
    TextMatch,
)
from pytest_lkagent.scenarios.model import Failure, LlmCall, LlmEntry
from pytest_lkagent.sites import Site
from pytest_lkagent.transcript import (
    AgentHandoff,
    Close,
    FunctionCall,
    FunctionCallOutput,
    Message,
)

SITE = Site("desk.yaml", 41)


def user(text):
    return Message(role="user", text=text)


def said(text, *, interrupted=False):
    return Message(role="assistant", text=text, interrupted=interrupted)


def called(name, call_id="", **arguments):
    return FunctionCall(name=name, arguments=arguments, call_id=call_id or name)


def gave(name, output="", *, is_error=False, call_id=""):
    return FunctionCallOutput(name=name, output=output, is_error=is_error, call_id=call_id or name)


def message(text=None, **more):
    match = TextMatch(equals=text) if text is not None else TextMatch()
    return MessageExpectation(text=match, site=SITE, **more)


def call(name, **arguments):
    return CallExpectation(name=name, arguments=arguments or None, site=SITE)


def output(name=None, *, is_error=None, **text):
    return OutputExpectation(name=name, is_error=is_error, output=TextMatch(**text), site=SITE)


def say(text):
    return LlmEntry(text=text, site=SITE)


def calls(*made):
    return LlmEntry(calls=made, site=SITE)


def told(mismatch):
    """The text that a user reads."""
    assert mismatch is not None
    return str(mismatch)


def text_of(block):
    return dedent(block).strip("\n")


def test_the_failure_shows_the_nearest_event_and_what_differs():
    mismatch = match_turn([call("book", slot="2pm")], [user("book it"), called("book", slot="3pm")])
    assert told(mismatch) == text_of("""\
        expected function_call book(slot='2pm')
              [0] user            book it
          >>> [1] function_call   book(slot='3pm')
              closest: arguments differ at slot: expected '2pm', got '3pm'
        """)
    assert mismatch.site == SITE


def test_everything_listed_in_order_is_a_match():
    events = [user("hi"), called("look"), gave("look", "2 pm"), said("I have 2 pm.")]
    expected = [call("look"), output("look", contains="2"), message("I have 2 pm.")]
    assert match_turn(expected, events) is None


def test_what_nobody_listed_is_told_with_the_way_out():
    events = [user("hi"), gave("list_slots", "2 pm"), said("I have 2 pm.")]
    assert told(match_turn([message("I have 2 pm.")], events)) == text_of("""\
        not expected: function_call_output list_slots -> '2 pm'
              [0] user                   hi
          >>> [1] function_call_output   list_slots -> '2 pm'
              [2] assistant              I have 2 pm.
              extra: list it under expect, or write ... where other events may happen
        """)


def test_what_comes_after_all_that_was_listed_is_told():
    mismatch = match_turn([message("Bye.")], [said("Bye."), Close(reason="error", error="boom")])
    assert told(mismatch).splitlines()[0] == "not expected: close error: boom"
    assert ">>> [1]" in told(mismatch)
    assert mismatch.site is None


def test_an_empty_list_means_that_nothing_else_happens():
    entries = [say("Hello.")]
    free = [user("hi"), AgentHandoff(old=None, new="Desk")]
    assert match_turn([], [*free, said("Hello.")], scripted=entries) is None
    assert match_turn([], []) is None
    assert "not expected: assistant Hello." in told(match_turn([], [said("Hello.")]))


def test_what_is_missing_where_nothing_happened_at_all_is_told():
    assert told(match_turn([message("Hello.")], [])) == text_of("""\
        expected message 'Hello.'
              nothing happened
              closest: none, there was no other message
        """)
    assert told(match_turn([message("Hello.", interrupted=True)], [])).endswith("no other message")
    assert told(match_turn([message("Bye.", role="user")], [])).endswith("no other user message")


def test_dots_skip_any_number_of_events_anywhere():
    events = [called("a"), gave("a"), called("b"), gave("b"), said("Done.")]
    for expected in (
        [...],
        [..., message("Done.")],
        [call("a"), ...],
        [..., output("a"), ..., message("Done.")],
        [..., call("a"), output("a"), ..., call("b"), output("b"), message("Done."), ...],
        [..., ..., output("b"), ...],
    ):
        assert match_turn(expected, events) is None
    assert match_turn([...], []) is None
    assert match_turn([..., call("a"), ..., call("a"), ...], events) is not None
    assert match_turn([..., message("Done."), ..., call("b"), ...], events) is not None


def test_dots_do_not_settle_for_the_first_that_fits():
    events = [gave("look", "1"), called("book"), gave("look", "2"), said("Done.")]
    assert match_turn([..., output("look"), message("Done.")], events) is None


def test_what_the_user_says_and_the_first_hand_over_never_need_listing_but_may_be():
    events = [AgentHandoff(old=None, new="Desk"), user("hi"), AgentHandoff(old="Desk", new="Bill")]
    last = HandoffExpectation(old="Desk", new="Bill", site=SITE)
    assert match_turn([last], events) is None
    first = HandoffExpectation(new="Desk", site=SITE)
    assert match_turn([first, message("hi", role="user"), last], events) is None
    assert "not expected: agent_handoff Desk -> Bill" in told(match_turn([], events))


def test_what_the_turns_script_says_and_calls_may_be_left_out_or_listed():
    entries = [calls(LlmCall("look", {"day": "mon"})), say("I have 2 pm.")]
    events = [called("look", day="mon"), gave("look", "2 pm"), said("I have 2 pm. ")]
    for expected in (
        [output("look")],
        [call("look"), output("look")],
        [output("look"), message("I have 2 pm. ")],
        [call("look", day="mon"), output("look"), message()],
    ):
        assert match_turn(expected, events, scripted=entries) is None
    assert match_turn([output("look")], events) is not None


def test_a_call_with_other_arguments_than_the_script_has_needs_listing():
    entries = [calls(LlmCall("look", {"day": "mon"}))]
    mismatch = match_turn([], [called("look", day="tue")], scripted=entries)
    assert told(mismatch).startswith("not expected: function_call look(day='tue')")


def test_a_malformed_call_is_known_by_its_raw_text():
    entries = [
        calls(LlmCall("a", raw='{"x": '), LlmCall("b", raw='{"y": 1}'), LlmCall("c", raw="3"))
    ]
    events = [
        FunctionCall(name="a", arguments='{"x": ', call_id="1"),
        FunctionCall(name="b", arguments={"y": 1}, call_id="2"),
        FunctionCall(name="c", arguments="3", call_id="3"),
    ]
    assert match_turn([], events, scripted=entries) is None
    assert told(match_turn([call("a", x=1)], events, scripted=entries)).endswith(
        "closest: arguments are no JSON object: '{\"x\": '"
    )
    assert match_turn([call("a")], events, scripted=entries) is None


def test_what_livekit_makes_of_a_malformed_call_is_its_own_affair():
    entries = [calls(LlmCall("order", raw='{"dish": "soup'))]
    assert match_turn([], [called("order", dish="soup")], scripted=entries) is None
    mismatch = match_turn([], [called("order", dish="soup")] * 2, scripted=entries)
    assert told(mismatch).startswith("not expected: function_call order(dish='soup')")


def test_empty_arguments_are_those_of_a_call_without_any():
    nothing = CallExpectation(name="look", arguments={}, site=SITE)
    assert match_turn([nothing], [called("look")]) is None
    assert told(match_turn([nothing], [called("look", day="mon")])).endswith(
        "closest: arguments differ: expected nothing, got {'day': 'mon'}"
    )
    nested = CallExpectation(name="look", arguments={"day": {}}, site=SITE)
    assert told(match_turn([nested], [called("look", day=None)])).endswith(
        "closest: arguments differ at day: expected {}, got None"
    )


def test_what_the_user_cut_off_and_what_came_before_a_failure_are_the_scripts():
    entries = [
        say("I have two slots on Monday."),
        LlmEntry(fail=Failure(timeout=True, after="Let me"), site=SITE),
    ]
    events = [said("I have two", interrupted=True), said("Let me")]
    assert match_turn([], events, scripted=entries) is None
    assert match_turn([], [said("I have two")], scripted=entries) is not None
    assert match_turn([], [said("No", interrupted=True)], scripted=entries) is not None
    assert match_turn([], [Message(role="system", text="Let me")], scripted=entries) is not None


def test_what_was_cut_off_is_none_of_the_scripts_texts_that_were_said_whole():
    """It begins like this turn's answer, and is what the turn before was saying."""
    entries = [say("We have one at nine.")]
    events = [said("We have one", interrupted=True), said("We have one at nine.")]
    answer = message("We have one at nine.")
    missed = match_turn([answer], events, scripted=entries)
    assert told(missed).startswith("not expected: assistant We have one (interrupted)")
    assert match_turn([message(interrupted=True), answer], events, scripted=entries) is None


def test_texts_that_begin_alike_are_cut_off_one_after_the_other():
    entries = [say("One moment, please."), say("One moment more."), say("One moment, again.")]
    events = [said("One moment, please."), *[said("One moment", interrupted=True)] * 2]
    assert match_turn([], events, scripted=entries) is None
    assert match_turn([message(interrupted=True)], events, scripted=entries) is None
    missed = match_turn([], [*events, events[-1]], scripted=entries)
    assert told(missed).startswith("not expected: assistant One moment (interrupted)")


def test_the_script_excuses_a_text_only_as_often_as_it_has_it():
    once, twice = [say("Hello.")], [say("Hello."), say("Hello.")]
    events = [said("Hello."), said("Hello.")]
    assert match_turn([], events, scripted=twice) is None
    assert told(match_turn([], events, scripted=once)).startswith("not expected: assistant Hello.")
    assert match_turn([message("Hello.")], events, scripted=once) is None
    assert match_turn([message("Hello.")] * 2, events, scripted=once) is None
    assert match_turn([message("Hello.")] * 3, events, scripted=once) is not None
    thrice = [*events, said("Hello.")]
    assert match_turn([message("Hello.")], thrice, scripted=twice) is None
    assert match_turn([], thrice, scripted=twice) is not None


PARALLEL = [
    called("look", "1"),
    called("weigh", "2"),
    called("ask", "3"),
    gave("look", "a", call_id="1"),
    gave("weigh", "b", call_id="2"),
    gave("ask", "c", call_id="3"),
]
SCRIPT = [calls(LlmCall("look"), LlmCall("weigh"), LlmCall("ask"))]


@pytest.mark.parametrize("order", ["look weigh ask", "ask weigh look", "weigh look ask"])
def test_outputs_of_parallel_calls_match_in_any_order(order):
    assert match_turn([output(name) for name in order.split()], PARALLEL, scripted=SCRIPT) is None


def test_each_parallel_output_answers_for_one_expectation_only():
    assert match_turn([output("ask"), ...], PARALLEL, scripted=SCRIPT) is None
    assert match_turn([..., output("ask"), output("look")], PARALLEL, scripted=SCRIPT) is None
    assert match_turn([output("ask"), output("look")], PARALLEL, scripted=SCRIPT) is not None
    twice = [output("ask"), output("ask"), output("look")]
    assert told(match_turn(twice, PARALLEL, scripted=SCRIPT)).startswith(
        "expected function_call_output ask"
    )


def test_expectations_that_overlap_find_the_output_that_each_needs():
    expected = [output(), output("look"), output(matches=re.compile("[ab]"))]
    assert match_turn(expected, PARALLEL, scripted=SCRIPT) is None


def test_a_parallel_output_that_came_first_is_still_a_candidate_for_the_nearest():
    expected = [output("weigh"), output("ask"), output("look", equals="x")]
    mismatch = match_turn(expected, PARALLEL, scripted=SCRIPT)
    assert told(mismatch).splitlines()[4:] == [
        "  >>> [3] function_call_output   look -> 'a'",
        "      [4] function_call_output   weigh -> 'b'",
        "      [5] function_call_output   ask -> 'c'",
        "      closest: output differs: expected 'x', got 'a'",
    ]


def test_of_parallel_outputs_the_one_that_nobody_listed_is_told():
    expected = [output("ask"), output("look"), message("Done.")]
    mismatch = match_turn(expected, [*PARALLEL, said("Done.")], scripted=SCRIPT)
    assert told(mismatch).startswith("not expected: function_call_output weigh -> 'b'")


def test_outputs_of_calls_one_after_the_other_keep_their_order():
    events = [called("look"), gave("look"), called("ask"), gave("ask")]
    script = [calls(LlmCall("look")), calls(LlmCall("ask"))]
    assert match_turn([output("look"), output("ask")], events, scripted=script) is None
    mismatch = match_turn([output("ask"), output("look")], events, scripted=script)
    assert told(mismatch) == text_of("""\
        expected function_call_output ask earlier
              [0] function_call          look()
              [1] function_call_output   look -> ''
              [2] function_call          ask()
          >>> [3] function_call_output   ask -> ''
              order: [1] came before it; list the events in the order in which they came
        """)


def test_what_is_listed_too_late_is_told_to_be_out_of_order():
    events = [called("look"), gave("look"), said("Seven."), said("Or eight.")]
    script = [calls(LlmCall("look")), say("Seven."), say("Or eight.")]
    for expected in ([output("look"), call("look")], [..., message("Seven."), call("look"), ...]):
        mismatch = match_turn(expected, events, scripted=script)
        assert told(mismatch) == text_of("""\
            expected function_call look later
              >>> [0] function_call          look()
                  [1] function_call_output   look -> ''
                  [2] assistant              Seven.
                  [3] assistant              Or eight.
                  order: it came before what is listed above it; list the events in the order \
in which they came
            """)
    once = [call("look"), output("look"), call("look")]
    assert told(match_turn(once, events, scripted=script)).endswith(
        "closest: none, there was no other function_call"
    )


def test_many_parallel_calls_are_matched_without_trying_all_orders():
    names = [f"tool_{n}" for n in range(60)]
    events = [*(called(name) for name in names), *(gave(name, "ok") for name in names)]
    script = [calls(*(LlmCall(name) for name in names))]
    assert match_turn([output(name) for name in reversed(names)], events, scripted=script) is None
    assert match_turn([output()] * 60, events, scripted=script) is None
    assert match_turn([output()] * 61, events, scripted=script) is not None
    assert match_turn([..., output("tool_7"), ...], events, scripted=script) is None


def test_a_turn_of_thousands_of_events_needs_no_recursion():
    events = [said(str(n)) for n in range(3_000)]
    assert match_turn([..., message("2999")], events) is None
    assert match_turn([..., message("3000")], events) is not None


def test_the_nearest_event_has_the_right_name_before_the_right_arguments():
    events = [called("book", slot="3pm", guest="Ann"), called("cancel", slot="2pm"), said("Done.")]
    mismatch = match_turn([..., call("book", slot="2pm", guest="Bob"), ...], events)
    assert told(mismatch) == text_of("""\
        expected function_call book(slot='2pm', guest='Bob')
          >>> [0] function_call   book(slot='3pm', guest='Ann')
              [1] function_call   cancel(slot='2pm')
              [2] assistant       Done.
              closest: arguments differ at slot: expected '2pm', got '3pm'
              closest: arguments differ at guest: expected 'Bob', got 'Ann'
        """)


def test_the_nearest_of_several_messages_is_the_one_most_like_it():
    events = [said("Good morning."), said("You are booked for 3 pm."), said("Bye.")]
    mismatch = match_turn([..., message("You are booked for 2 pm."), ...], events)
    assert ">>> [1]" in told(mismatch)


def test_the_furthest_expectation_is_the_one_to_blame():
    events = [called("a"), gave("a"), said("Well.")]
    mismatch = match_turn([..., call("a"), output("a"), message("Done."), ...], events)
    assert told(mismatch).startswith("expected message 'Done.'\n")
    assert told(mismatch).endswith("closest: text differs: expected 'Done.', got 'Well.'")


def test_a_call_of_another_tool_is_told_by_its_name():
    mismatch = match_turn([call("book")], [called("cancel")])
    assert told(mismatch).endswith("closest: name differs: expected 'book', got 'cancel'")


@pytest.mark.parametrize(
    ("expected", "arguments", "difference"),
    [
        ({"guest": {"name": "Ann"}}, {"guest": {"name": "Bob", "age": 3}},
         "guest.name: expected 'Ann', got 'Bob'"),
        ({"slots": ["a", "b"]}, {"slots": ["a", "c"]}, "slots[1]: expected 'b', got 'c'"),
        ({"slots": ["a"]}, {"slots": ["a", "c"]}, "slots: expected 1 items, got 2: ['a', 'c']"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a[0].b: expected 1, got 2"),
        ({"a": {"b": 1}}, {"a": 3}, "a.b: expected 1, but got 3"),
        ({"n": 1}, {"n": True}, "n: expected 1, got True"),
        ({"n": None}, {"n": 0}, "n: expected None, got 0"),
        ({"n": [1]}, {"n": 1}, "n: expected [1], got 1"),
        ({"slot": 1}, {"at": 1, "to": 2}, "slot: expected 1, but there is only at, to"),
        ({"slot": {"x": "y"}}, {}, "slot: expected {'x': 'y'}, but there is nothing"),
        ({"at": Matches(re.compile("^2"))}, {"at": "3pm"},
         "at: expected a text that matches '^2', got '3pm'"),
        ({"a": {"n": Matches(re.compile("5"))}}, {"a": {"n": 42}},
         "a.n: expected a text that matches '5', got 42"),
    ],
)  # fmt: skip
def test_arguments_differ_at_a_path(expected, arguments, difference):
    mismatch = match_turn([call("book", **expected)], [called("book", **arguments)])
    assert told(mismatch).splitlines()[-1] == f"      closest: arguments differ at {difference}"


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        ({"a": 1}, {"a": 1.0, "b": 2}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "c": 3}]}),
        ({"at": Matches(re.compile("2p"))}, {"at": "at 2pm"}),
        ({"n": Matches(re.compile("^42$"))}, {"n": 42}),
        ({"ok": True}, {"ok": True}),
    ],
)
def test_arguments_are_a_subset(expected, arguments):
    assert match_turn([call("book", **expected)], [called("book", **arguments)]) is None


EVENTS = [
    (message("a"), said("b"), "text differs: expected 'a', got 'b'"),
    (MessageExpectation(text=TextMatch(contains="a"), site=SITE), said("b"),
     "text differs: expected a text that contains 'a', got 'b'"),
    (MessageExpectation(text=TextMatch(matches=re.compile("^a")), site=SITE), said("ba"),
     "text differs: expected a text that matches '^a', got 'ba'"),
    (message(interrupted=True), said("a"), "it was not interrupted"),
    (message(interrupted=False), said("a", interrupted=True), "it was interrupted"),
    (output("a"), gave("b"), "name differs: expected 'a', got 'b'"),
    (output(is_error=True), gave("a", "x"), "it is no error"),
    (output(is_error=False), gave("a", "x", is_error=True), "it is an error"),
    (output(equals="x"), gave("a", "y"), "output differs: expected 'x', got 'y'"),
    (HandoffExpectation(new="A", site=SITE), AgentHandoff(old="B", new="C"),
     "to differs: expected 'A', got 'C'"),
    (HandoffExpectation(old="A", site=SITE), AgentHandoff(old="B", new="C"),
     "from differs: expected 'A', got 'B'"),
    (CloseExpectation(reason="error", site=SITE), Close(reason="user_initiated"),
     "reason differs: expected 'error', got 'user_initiated'"),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "event", "difference"), EVENTS)
def test_each_kind_of_event_says_what_differs(expected, event, difference):
    mismatch = match_turn([expected], [event])
    assert told(mismatch).splitlines()[0] == f"expected {expected}"
    assert told(mismatch).splitlines()[-1] == f"      closest: {difference}"


@pytest.mark.parametrize(
    ("expected", "event"),
    [
        (message("a"), said("a")),
        (message(interrupted=True), said("a", interrupted=True)),
        (message("be brief", role="system"), Message(role="system", text="be brief")),
        (output("a", is_error=True, contains="x"), gave("a", "axb", is_error=True)),
        (output("a", matches=re.compile("x.$")), gave("a", "axb")),
        (HandoffExpectation(old="A", new="B", site=SITE), AgentHandoff(old="A", new="B")),
        (CloseExpectation(reason="error", site=SITE), Close(reason="error", error="boom")),
    ],
)
def test_each_kind_of_event_can_be_met(expected, event):
    assert match_turn([expected], [event]) is None


def test_a_message_of_another_role_is_no_candidate():
    mismatch = match_turn([message("hi")], [user("hi")])
    assert told(mismatch).endswith("closest: none, there was no other message")


def test_what_must_appear_nowhere_is_shown_where_it_did():
    events = [said("hi"), called("cancel", slot="2pm")]
    assert match_absent([call("book"), message("bye")], events) is None
    mismatch = match_absent([call("book"), call("cancel")], events)
    assert told(mismatch) == text_of("""\
        not expected: function_call cancel
              [0] assistant       hi
          >>> [1] function_call   cancel(slot='2pm')
              absent: this must not happen
        """)
    assert mismatch.site == SITE


def test_that_the_first_agent_starts_is_no_hand_over_that_must_not_happen():
    events = [AgentHandoff(old=None, new="Desk"), said("hi"), AgentHandoff(old="Desk", new="Bill")]
    anybody, to_desk = HandoffExpectation(site=SITE), HandoffExpectation(new="Desk", site=SITE)
    assert match_absent([anybody, to_desk], events[:2], names_agent=True) is None
    assert match_absent([to_desk], events, names_agent=True) is None
    assert ">>> [2] agent_handoff   Desk -> Bill" in told(match_absent([anybody], events))


def test_but_an_entrypoint_may_start_with_an_agent_that_must_not_be_reached():
    events = [AgentHandoff(old=None, new="Desk"), said("hi")]
    anybody, to_desk = HandoffExpectation(site=SITE), HandoffExpectation(new="Desk", site=SITE)
    assert match_absent([anybody], events) is None
    assert ">>> [0] agent_handoff   nobody -> Desk" in told(match_absent([to_desk], events))
