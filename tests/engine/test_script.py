"""The script: which step answers which request, and what is told when none does."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lkagent import Request, UsageError, call, say
from pytest_lkagent.errors import UnscriptedRequest
from pytest_lkagent.script import Script, Step
from pytest_lkagent.transcript import Message


class FrontDesk:
    """Stands for an Agent class."""


class Waiter:
    """Stands for another one."""


def asked(text: str, agent: Any = None, **more: Any) -> Request:
    return Request(
        number=more.get("number", 1),
        agent=agent or FrontDesk(),
        tools=more.get("tools", {}),
        tool_choice=None,
        read=lambda: ((Message(role="user", text=text),), "", more.get("to")),
    )


def add_one(_: Request) -> str:
    return "add one"


def take(script: Script, text: str, agent: Any = None) -> str:
    return script.take(asked(text, agent), advice=add_one).describe()


def here() -> int:
    return inspect.currentframe().f_back.f_lineno  # type: ignore[union-attr]


def test_the_queue_answers_in_order() -> None:
    script = Script()
    script.add([say("one"), "two"])
    assert [take(script, "x"), take(script, "y")] == ["say('one')", "say('two')"]
    assert script.remaining == ()


@pytest.mark.parametrize(
    "matcher", ["2 pm", re.compile(r"\d pm"), lambda r: r.last_input.startswith("2")]
)
def test_rules_match_the_exact_input_a_pattern_or_a_predicate_before_the_queue(
    matcher: Any,
) -> None:
    script = Script()
    script.add(["from the queue"])
    script.when(matcher, ["from the rule"])
    assert take(script, "at noon") == "say('from the queue')"
    assert take(script, "2 pm") == "say('from the rule')"


def test_a_rule_is_played_as_often_as_it_says() -> None:
    script = Script()
    script.when("again", ["yes"], times=2)
    assert [step.describe() for step in script.remaining] == ["say('yes')"]
    take(script, "again")
    assert script.remaining
    take(script, "again")
    assert not script.remaining
    with pytest.raises(UnscriptedRequest):
        take(script, "again")


def test_a_rule_for_any_number_of_times_owes_nothing() -> None:
    script = Script()
    script.when("again", ["yes"], times=None)
    assert script.remaining == ()
    for _ in range(5):
        take(script, "again")
    assert script.remaining == ()


def test_a_step_that_is_left_over_names_its_rule() -> None:
    script = Script()
    script.add(["queue"])
    script.when("again", ["yes"], times=2)
    script.when(re.compile("p.m"), [call("book"), say("Done.").by(Waiter)], by=FrontDesk)
    script.when(_positive, ["x"])
    take(script, "again")
    assert [(step.rule, step.describe()) for step in script.remaining] == [
        ("", "say('queue')"),
        ("when('again')", "say('yes')"),
        ("when(/p.m/, by=FrontDesk)", "call('book')"),
        ("when(/p.m/, by=FrontDesk)", "say('Done.') by Waiter"),
        ("when(_positive)", "say('x')"),
    ]


def test_a_rule_of_several_steps_goes_on_whatever_the_input() -> None:
    script = Script()
    script.when("book", [call("book"), say("Done.")], times=None)
    script.add(["from the queue"])
    assert take(script, "book") == "call('book')"
    assert [step.describe() for step in script.remaining] == [
        "say('from the queue')",
        "say('Done.')",
    ]
    assert take(script, "output of book") == "say('Done.')"
    assert take(script, "something else") == "say('from the queue')"
    assert take(script, "book") == "call('book')"


def test_the_rules_asker_holds_for_all_its_steps_unless_one_names_its_own() -> None:
    script = Script()
    script.add(["queue"])
    script.when("go", ["one", say("two").by(Waiter), "three"], by=FrontDesk)
    with pytest.raises(UnscriptedRequest):
        Script(rules=script.rules).take(asked("go", Waiter()), advice=add_one)
    assert take(script, "go", FrontDesk()) == "say('one')"
    assert take(script, "x", FrontDesk()) == "say('queue')"
    assert take(script, "x", Waiter()) == "say('two') by Waiter"
    assert take(script, "x", FrontDesk()) == "say('three')"


def test_a_rules_first_step_may_name_who_asks_as_well() -> None:
    script = Script()
    script.when("go", [say("hi").by(Waiter)])
    with pytest.raises(UnscriptedRequest):
        take(script, "go", FrontDesk())
    assert take(script, "go", Waiter()) == "say('hi') by Waiter"


def test_a_step_of_the_queue_waits_for_whom_it_names() -> None:
    script = Script()
    script.add([say("for the waiter").by(Waiter)])
    with pytest.raises(UnscriptedRequest, match="the next step waits for Waiter, not for F"):
        take(script, "hi")
    assert take(script, "hi", Waiter()) == "say('for the waiter') by Waiter"


def _positive(request: Request) -> bool:
    return False


def test_an_unscripted_request_tells_the_whole_story() -> None:
    script = Script()
    used = here() + 1
    script.add([say("one")])
    greeted = here() + 1
    script.add([say("Hello.")])
    waiting = here() + 1
    script.add([say("two").by(Waiter)])
    pattern = here() + 1
    script.when(re.compile("p.m"), ["x"], by=FrontDesk, times=2)
    predicate = here() + 1
    script.when(_positive, ["x"], times=None)
    exact = here() + 1
    script.when("go", ["x", "y"])
    take(script, "hi")
    script.take(asked("hi", to="greet them"), advice=add_one)
    take(script, "go")
    script.rules[2].asker = Waiter
    with pytest.raises(UnscriptedRequest) as caught:
        script.take(
            asked("and now?", number=7, tools={"book": 1, "list": 2}, to="greet them"),
            advice=add_one,
        )
    place = "tests/engine/test_script.py"
    assert str(caught.value).splitlines() == [
        "FrontDesk asked its model for a completion that nobody scripted",
        "  request 7, last input: 'and now?'",
        "  asked to: 'greet them'",
        "  tools on offer: book, list",
        f"  used      {place}:{used}  say('one'), answered FrontDesk after 'hi'",
        f"  used      {place}:{greeted}  say('Hello.'), answered FrontDesk asked to 'greet them'",
        f"  used      {place}:{exact}  say('x'), answered FrontDesk after 'go'",
        f"  waiting   {place}:{waiting}  say('two') by Waiter",
        f"  rule      {place}:{pattern}  when(/p.m/, by=FrontDesk), played 0 of 2",
        f"  rule      {place}:{predicate}  when(_positive), played 0 times, any number will do",
        f"  rule      {place}:{exact}  when('go', by=Waiter), played 0 of 1, next say('y')",
        "  the next step waits for Waiter, not for FrontDesk",
    ]


def test_without_anything_scripted_the_advice_ends_the_story() -> None:
    with pytest.raises(UnscriptedRequest) as caught:
        Script().take(asked("hi"), advice=lambda request: f"of {request.last_input!r}: add a step")
    assert str(caught.value).splitlines()[1:] == [
        "  request 1, last input: 'hi'",
        "  tools on offer: none",
        "  of 'hi': add a step",
    ]


refused: list[tuple[Callable[[Script], None], str]] = [
    (lambda s: s.when(5, ["x"]), "a predicate of the request, not 5"),  # type: ignore[arg-type]
    (lambda s: s.when(FrontDesk, ["x"]), "a predicate of the request, not <class"),  # type: ignore[arg-type]
    (lambda s: s.when("x", []), "at least one step to answer with"),
    (lambda s: s.when("x", ["y"], times=0), "a positive number, or None for any"),
    (lambda s: s.when("x", ["y"], times="2"), "times='2'.: a positive number, or None for any"),
    (lambda s: s.when(lambda: True, ["y"]), "a function of the request: too many positional arg"),
    (lambda s: s.add([lambda: "y"]), "<lambda>.* is to be a function of the request: too many"),
    (lambda s: s.add([call("x", y=[lambda: 1])]), "a function of the request: too many positional"),
    (lambda s: s.add([say(lambda: "y")]), "a function of the request: too many positional arg"),
    (lambda s: s.add([lambda request, more: "y"]), "of the request: missing a required arg"),
    (lambda s: s.when("x", ["y"], by=FrontDesk()), "name who asks by the class"),  # type: ignore[arg-type]
    (lambda s: s.add([5]), "a script takes steps"),  # type: ignore[list-item]
]  # fmt: skip


@pytest.mark.parametrize(("write", "message"), refused)
def test_a_rule_that_could_never_answer_is_refused(
    write: Callable[[Script], None], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write(Script())


def test_discarding_empties_the_queue_and_leaves_the_rules() -> None:
    script = Script()
    script.add(["one", "two"])
    script.when("x", ["y"])
    assert [step.describe() for step in script.discard()] == ["say('one')", "say('two')"]
    assert [step.describe() for step in script.remaining] == ["say('y')"]


inputs = st.sampled_from(["a", "b", "c"])
rules = st.tuples(inputs, st.integers(1, 3), st.none() | st.integers(1, 2))


@settings(deadline=None)
@given(
    queued=st.integers(0, 5),
    ruled=st.lists(rules, max_size=4),
    requests=st.lists(st.tuples(inputs, st.sampled_from([FrontDesk, Waiter])), max_size=25),
)
def test_every_step_is_handed_out_at_most_once_and_none_is_lost(
    queued: int, ruled: list[tuple[str, int, int | None]], requests: list[tuple[str, type]]
) -> None:
    script = Script()
    script.add([f"queue {number}" for number in range(queued)])
    owed: dict[str, int | None] = {f"queue {number}": 1 for number in range(queued)}
    for number, (matcher, length, times) in enumerate(ruled):
        steps = [f"rule {number}.{place}" for place in range(length)]
        owed |= dict.fromkeys(steps, times)
        script.when(matcher, steps, times=times)
    taken: list[str] = []
    for text, agent in requests:
        before = script.remaining
        try:
            taken.append(str(script.take(asked(text, agent()), advice=add_one).text))
        except UnscriptedRequest:
            assert script.remaining == before
    for text in taken:
        limit = owed[text]
        assert limit is None or taken.count(text) <= limit
    assert [text for text in taken if text.startswith("queue")] == [
        f"queue {number}" for number in range(queued) if f"queue {number}" in taken
    ]
    left = [str(step.text) for step in script.remaining if isinstance(step, Step)]
    for text, limit in owed.items():
        if limit is not None:
            assert (text in left) == (taken.count(text) < limit)
