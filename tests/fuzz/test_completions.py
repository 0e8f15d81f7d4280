"""What models answer, and whole conversations: mostly something happens, and everything may."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product

import pytest
from drawing import drawn_from, simplest
from hypothesis import strategies as st
from livekit.agents import Agent, APIConnectionError, APITimeoutError, function_tool

from pytest_lkagent.fuzz import completions, conversations, schedules, user_inputs
from pytest_lkagent.fuzz.completions import completions_for
from pytest_lkagent.fuzz.play import completions_of
from pytest_lkagent.fuzz.schedules import Schedule, delays, interruptions
from pytest_lkagent.script import Request, call, raw_call, reply, say


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, slot: str, guests: int = 1) -> str: ...

    @function_tool
    async def cancel(self) -> str: ...


class Mute(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You listen.")


TOOLS = {"book", "cancel"}


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(completions(Desk), 3_000)


def is_valid(made):
    return made.name in TOOLS and isinstance(made.arguments, dict)


def test_about_half_of_all_completions_are_calls_that_fit(drawn):
    share = sum(any(map(is_valid, step.calls)) for step in drawn) / len(drawn)
    assert 0.4 < share < 0.65


def is_half_broken(step):
    return len(step.calls) == 2 and len([*filter(is_valid, step.calls)]) == 1


def ids(step):
    return [made.call_id for made in step.calls if made.call_id]


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        ("text", lambda step: step.text and not step.calls and not step.error),
        ("silence", lambda step: step.describe() == "silence()"),
        ("text with a call", lambda step: step.text and any(map(is_valid, step.calls))),
        ("parallel calls", lambda step: {made.name for made in step.calls} == TOOLS),
        ("three calls", lambda step: len(step.calls) == 3),
        (
            "the same call twice",
            lambda step: len(step.calls) == 2 and step.calls[0] == step.calls[1] and not ids(step),
        ),
        ("the same id twice", lambda step: len(ids(step)) == 2 and len({*ids(step)}) == 1),
        ("an unknown tool", lambda step: any(made.name == "search_web" for made in step.calls)),
        ("a misspelt tool", lambda step: any(made.name == "books" for made in step.calls)),
        (
            "arguments of another type",
            lambda step: step.calls and step.calls[0].arguments == '{"slot": null}',
        ),
        ("a broken call beside one that fits", is_half_broken),
        ("no JSON", lambda step: step.calls and step.calls[0].arguments == "I don't know."),
        ("an error at once", lambda step: step.error and not step.text),
        ("an error after text", lambda step: step.error and step.text),
        ("one failed attempt", lambda step: step.error and step.attempts == 1),
        ("every attempt fails", lambda step: step.error and step.attempts is None),
        ("no connection", lambda step: type(step.error) is APIConnectionError),
        ("no answer in time", lambda step: type(step.error) is APITimeoutError),
        ("overloaded", lambda step: step.error and getattr(step.error, "status_code", 0) == 503),
        ("not to be tried again", lambda step: step.error and not step.error.retryable),
        ("odd chunks", lambda step: isinstance(step.chunks, tuple) and "" in step.chunks),
        ("cut up", lambda step: isinstance(step.chunks, tuple) and all(step.chunks)),
        ("a long text", lambda step: len(step.text or "") > 4_000),
        ("no latin letters", lambda step: step.text and not step.text.isascii()),
        ("slow", lambda step: step.ttft >= 5),
        ("slowly spoken", lambda step: step.duration > step.ttft > 0),
    ],
)
def test_models_answer_like_this(drawn, kind, is_one):
    assert any(is_one(step) for step in drawn), kind


def test_a_call_that_fits_can_be_scripted_and_all_others_are_raw(drawn):
    """The script checks the calls of known tools; what a model gets wrong has to be raw."""
    for step in drawn:
        for made in step.calls:
            if isinstance(made.arguments, dict):
                assert made.name in TOOLS
                assert {"slot"} <= made.arguments.keys() or made.name == "cancel"


def test_without_tools_a_model_talks_and_calls_what_there_is_not():
    kinds = Counter("raw" if step.calls else "other" for step in drawn_from(completions(Mute), 300))
    assert 0 < kinds["raw"] < 60


def test_what_a_request_offers_is_what_is_called():
    offered = {"cancel": Desk.cancel}
    names = {
        made.name
        for step in drawn_from(completions_for(offered), 200)
        for made in step.calls
        if isinstance(made.arguments, dict)
    }
    assert names == {"cancel"}


def answers(tool_choice):
    """Draw what is answered to requests of the desk with this `tool_choice`."""
    request = Request(
        number=1,
        agent=None,
        tools={"book": Desk.book, "cancel": Desk.cancel},
        tool_choice=tool_choice,
        read=lambda: ((), "", None),
    )
    return drawn_from(completions_of(request), 300)


def test_where_a_request_forbids_calls_there_are_none():
    drawn = answers("none")
    assert not any(step.calls for step in drawn)
    assert any(step.text for step in drawn)
    assert any(step.error for step in drawn)
    assert simplest(completions(Desk, tool_choice="none")) == say("a")


def test_where_a_request_wants_calls_there_is_nothing_else_to_hear():
    drawn = answers("required")
    assert all(step.calls or step.error or step.describe() == "silence()" for step in drawn)
    called = {made.name for step in drawn for made in step.calls}
    assert called > TOOLS  # and unknown ones: not every provider holds a model to the offered
    assert simplest(completions(Desk, tool_choice="required")) == call("book", slot="")


def test_where_a_request_names_a_tool_no_other_is_called():
    cancel = {"type": "function", "function": {"name": "cancel"}}
    drawn = answers(cancel)
    assert {made.name for step in drawn for made in step.calls} == {"cancel"}
    assert any(len(step.calls) > 1 for step in drawn)
    assert all(step.calls or step.error or step.describe() == "silence()" for step in drawn)


def test_a_tool_that_is_wanted_and_not_offered_is_not_called():
    gone = {"type": "function", "function": {"name": "pay"}}
    for tool_choice in (gone, "required"):
        drawn = drawn_from(completions_for({}, tool_choice), 100)
        assert any(step.text for step in drawn)
        assert "pay" not in {made.name for step in drawn for made in step.calls}


def test_the_same_offer_is_drawn_from_the_same_strategy():
    assert completions(Desk) is completions(Desk())
    assert completions(Desk) is not completions(Mute)


def test_completions_shrink_to_the_simplest_of_their_kind():
    assert simplest(completions(Desk)) == say("a")
    assert simplest(completions(Mute)) == say("a")
    assert simplest(completions(Desk), lambda step: step.calls) == call("book", slot="")
    assert simplest(completions(Desk), is_slow_to_speak).text == "a"
    both = st.tuples(completions(Desk), completions(Desk))
    first, second = simplest(both, lambda steps: steps[1].error)
    assert first == say("a")
    assert second.describe() == "fail(APIConnectionError('Connection error.'), attempts=1)"
    two = simplest(completions(Desk), lambda step: len(step.calls) > 1)
    simple = (call("book", slot=""), call("cancel"))
    assert two in [reply(None, *calls) for calls in product(simple, repeat=2)]
    broken = simplest(completions(Desk), lambda step: is_broken_call_of("book", step))
    assert broken in (raw_call("book", '{"slot": null}'), raw_call("book", "{"))


def is_slow_to_speak(step):
    return step.ttft and step.text and not step.calls and not step.error


def is_broken_call_of(name, step):
    return any(made.name == name and isinstance(made.arguments, str) for made in step.calls)


# --- users, schedules, conversations


def test_users_say_something_and_shrink_to_hi():
    said = drawn_from(user_inputs(), 400)
    assert "" not in said
    assert simplest(user_inputs()) == "hi"
    assert any(len(text) > 4_000 for text in said)
    assert sum(text in {"hi", "yes", "no", "bye"} for text in said) > 10


def test_schedules_vary_what_is_over_first():
    drawn = drawn_from(schedules(), 300)
    orders = {(one.tool(0) > one.tool(1)) - (one.tool(0) < one.tool(1)) for one in drawn}
    assert orders == {-1, 0, 1}
    assert any(one.interruption(0) is None for one in drawn)
    assert any(one.interruption(1) for one in drawn)
    assert any(one.completion(0) > one.tool(0) > 0 for one in drawn)


def test_the_user_cuts_in_at_any_tenth_of_a_second_and_shrinks_to_never():
    drawn = drawn_from(interruptions(), 400)
    instants = {instant for instant in drawn if instant is not None}
    assert 0.5 < drawn.count(None) / len(drawn) < 0.75
    assert len(instants) > 40
    assert min(instants) == 0.1
    assert max(instants) > 9
    assert simplest(interruptions()) is None
    assert simplest(interruptions(), bool) == 0.1
    assert simplest(interruptions(), lambda instant: (instant or 0) > 1.2) in (1.3, 2.0)
    assert simplest(interruptions(), lambda instant: 1.2 < (instant or 0) < 2) == 1.3


def test_what_a_schedule_does_not_say_takes_no_time():
    assert simplest(schedules()) == Schedule()
    assert simplest(delays()) == 0
    nothing = Schedule(tools=(1.0,), completions=(2.0,), interruptions=(None, 3.0))
    assert [nothing.tool(n) for n in range(2)] == [1.0, 0.0]
    assert [nothing.completion(n) for n in range(2)] == [2.0, 0.0]
    assert [nothing.interruption(n) for n in range(3)] == [None, 3.0, None]


def test_conversations_have_turns_of_several_completions_and_shrink_to_one():
    drawn = drawn_from(conversations(Desk), 100)
    assert {len(one.turns) for one in drawn} >= {1, 2, 3}
    assert max(len(turn.completions) for one in drawn for turn in one.turns) > 1
    [turn] = simplest(conversations(Desk)).turns
    assert (turn.user, turn.completions) == ("hi", (say("a"),))


def test_what_is_drawn_is_written_as_json(drawn):
    for step in drawn:
        for made in step.calls:
            if isinstance(made.arguments, dict):
                assert json.loads(json.dumps(made.arguments, allow_nan=False)) == made.arguments
