"""Steps: how they are written, how they describe themselves, and what is refused."""

from __future__ import annotations

import datetime as dt
import inspect
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lkagent import (
    Request,
    Step,
    UsageError,
    call,
    fail,
    raw_call,
    reply,
    say,
    silence,
    stall,
)
from pytest_lkagent.script import ANYONE, as_step
from pytest_lkagent.transcript import FunctionCallOutput, Message


class FrontDesk:
    """Stands for an Agent class: floor 1 has never heard of livekit."""


def request(text: str = "hello", *, agent: Any = None) -> Request:
    messages = (Message(role="user", text=text),)
    return Request(
        number=1, agent=agent, tools={}, tool_choice=None, read=lambda: (messages, "Be kind.", None)
    )


def _text_of(_: Request) -> str:
    return "made"


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (say("Hi."), "say('Hi.')"),
        (say(_text_of), "say(<callable>)"),
        (call("book"), "call('book')"),
        (call("book", slot="2pm", guests=2), "call('book', slot='2pm', guests=2)"),
        (call("book", {"slot": "2pm"}), "call('book', slot='2pm')"),
        (call("book", slot=_text_of), "call('book', slot=<callable>)"),
        (raw_call("book", "{oops"), "raw_call('book', '{oops')"),
        (reply("Wait.", call("a"), call("b", x=1)), "reply('Wait.', call('a'), call('b', x=1))"),
        (reply(None, call("a"), raw_call("b", "{")), "reply(None, call('a'), raw_call('b', '{'))"),
        (reply("Hi."), "say('Hi.')"),
        (fail(ValueError("no")), "fail(ValueError('no'))"),
        (fail(ValueError), "fail(ValueError(''))"),
        (fail(OSError("x"), after="I", attempts=2), "fail(OSError('x'), after='I', attempts=2)"),
        (fail(OSError("no"), after=_text_of), "fail(OSError('no'), after=<callable>)"),
        (silence(), "silence()"),
        (stall(), "stall()"),
        (as_step(_text_of), "_text_of(request)"),
        (as_step("Hi."), "say('Hi.')"),
        (say("Hi.").by(FrontDesk), "say('Hi.') by FrontDesk"),
        (say("Hi.").by("FrontDesk"), "say('Hi.') by FrontDesk"),
        (say("Hi.").by(None), "say('Hi.') by code outside an agent"),
    ],
)  # fmt: skip
def test_every_step_describes_itself_in_one_line_as_one_writes_it(step: Step, line: str) -> None:
    assert step.describe() == line


def test_a_step_remembers_where_it_was_written() -> None:
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    step = say("Hi.").timed(ttft=1).chunked(1).with_usage(prompt_tokens=1).by(FrontDesk)
    assert str(step) == f"tests/engine/test_steps.py:{line}  say('Hi.') by FrontDesk"


def test_steps_are_values_and_the_place_where_they_stand_is_no_part_of_them() -> None:
    first = say("Hi.")
    assert first == say("Hi.")
    assert first.timed(ttft=1) != first


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (dt.date(2026, 6, 12), "date is no JSON"),
        ({1, 2}, "set is no JSON"),
        ([{"deep": object}], "type is no JSON"),
        (float("nan"), "Out of range float values are not JSON compliant"),
        ({("a", "b"): 1}, "keys must be str, int, float, bool or None, not tuple"),
    ],
)
def test_an_argument_that_no_model_could_send_is_refused_where_it_is_written(
    value: Any, why: str
) -> None:
    with pytest.raises(UsageError) as caught:
        call("book", slot=value)
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"call('book', slot={value!r}): a model sends JSON, and this does not ")
    assert why in line
    assert line.endswith("write it as the model would, such as a str")


def test_an_argument_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UsageError, match=r"Circular reference detected"):
        call("book", slot=loop)


def test_an_argument_too_deep_for_json_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UsageError, match=r"slot=<list>\): .*maximum recursion depth"):
        call("book", slot=deep)


def test_a_long_argument_is_cut_in_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        call("book", slot={"x" * 500})
    assert len(str(caught.value)) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(), json_values))
def test_everything_that_is_json_is_taken_and_said_as_it_is(arguments: dict[str, Any]) -> None:
    [made] = call("book", arguments).resolve(request()).calls
    assert json.loads(json.dumps(made.arguments)) == arguments


said = st.text(min_size=1, max_size=5)
calls = st.builds(call, said, st.dictionaries(said | st.sampled_from(["slot", "class"]), said)) | (
    st.builds(raw_call, said, st.text())
)
answers = st.one_of(
    st.builds(say, said),
    st.just(silence()),
    st.builds(lambda text, made: reply(text, *made), st.none() | said, st.lists(calls, min_size=1)),
)


@given(answers)
def test_a_step_describes_itself_as_what_makes_it_again(step: Step) -> None:
    names = {"say": say, "silence": silence, "reply": reply, "call": call, "raw_call": raw_call}
    assert eval(step.describe(), names) == step


def test_callables_are_resolved_at_any_depth_and_what_they_give_is_checked() -> None:
    step = call("book", slots=[{"at": lambda r: r.last_input}], who=lambda r: r.number)
    [made] = step.resolve(request("2 pm")).calls
    assert made.arguments == {"slots": [{"at": "2 pm"}], "who": 1}
    with pytest.raises(UsageError, match=r"slot=<.*this does not serialise"):
        call("book", slot=lambda r: object()).resolve(request())


def test_arguments_come_as_a_mapping_or_by_name_or_both() -> None:
    [made] = call("book", {"first-name": "Ann"}, slot="2pm").calls
    assert made.arguments == {"first-name": "Ann", "slot": "2pm"}
    with pytest.raises(UsageError, match="has the argument 'slot' twice"):
        call("book", {"slot": "2pm"}, slot="3pm")


class _Tool:
    id = "book"


def test_a_tool_may_be_named_by_the_tool_itself() -> None:
    assert call(_Tool()).calls[0].name == "book"  # type: ignore[arg-type]


refused = [
    (lambda: say(""), r"say\(''\) says nothing: write silence\(\)"),
    (lambda: say(5), r"say\(5\): text is a str or a callable of the request"),
    (lambda: call(""), r"a call names its tool, such as call\('book', slot='2pm'\), not ''"),
    (lambda: call(FrontDesk), "a call names its tool"),
    (lambda: call("book", ["2pm"]), r"are a mapping or given by name: call\('book', slot='2pm'\)"),
    (
        lambda: call("book", "2pm", 2),  # type: ignore[arg-type]
        r"^call\('book', '2pm', 2\): arguments are a mapping or given by name: call\('book', slot=",
    ),
    (lambda: call("book", "{oops"), r"text that the model sends, raw_call\('book', '\{oops'\)"),
    (lambda: call("book", {1: "a"}), "an argument has a name, and 1 is no str"),
    (lambda: raw_call("book", {"slot": 1}), "takes the text that the model sends"),
    (lambda: reply("x", say("y")), r"takes calls after the text, not say\('y'\)"),
    (lambda: reply("x", "y"), "takes calls after the text, not 'y'"),
    (
        lambda: reply(call("book", slot="2pm")),  # type: ignore[arg-type]
        r"call\('book', slot='2pm'\) is no text, which comes first: write reply\(None, call",
    ),
    (lambda: say(say("Hi.")), r"say\(say\('Hi.'\)\): text is a str"),  # type: ignore[arg-type]
    (lambda: reply(None), "neither text nor calls says nothing"),
    (lambda: reply(5, call("a")), r"reply\(5\): text is a str"),
    (lambda: reply("x", call("a").timed(ttft=1)), r"with_usage\(\) and by\(\) belong to the whole"),
    (lambda: fail("no"), r"fail\('no'\) takes an exception that a model may raise"),
    (lambda: fail(KeyboardInterrupt), "takes an exception that a model may raise"),
    (lambda: fail(UnicodeDecodeError), r"fail\(UnicodeDecodeError\): .*give an instance, such as"),
    (lambda: fail(ValueError, attempts=0), "at least one attempt fails"),
    (lambda: fail(ValueError, after=5), r"fail\(5\): text is"),
    (lambda: say("x").timed(ttft=-1), "both are seconds, 0 or more"),
    (lambda: say("x").timed(duration="2s"), "both are seconds, 0 or more"),
    (lambda: say("x").timed(ttft=float("inf")), "both are seconds, 0 or more"),
    (lambda: say("x").timed(ttft=3, duration=2), "the duration is that of the whole answer"),
    (lambda: say("x").chunked(0), "a chunk has at least one character"),
    (lambda: say("xy").chunked(["x", "z"]), "the pieces do not make up the text 'xy'"),
    (lambda: say("xy").chunked(["xy", 1]), "the pieces do not make up"),
    (lambda: call("book").chunked(3), r"call\('book'\) has no text to be cut up"),
    (lambda: say("x").with_id("a"), r"is the id of one call, and say\('x'\) has 0"),
    (lambda: reply(None, call("a"), call("b")).with_id("a"), "has 2; give each its own"),
    (lambda: say("x").by(FrontDesk()), "name who asks by the class, as in by=FrontDesk"),
    (
        lambda: as_step([say("a")]),  # type: ignore[arg-type]
        r"a script takes steps one by one, script\(\*steps\), not in a list",
    ),
    (lambda: as_step(5), r"a script takes steps such as say\(…\) or call\(…\), not 5"),
]  # fmt: skip


@pytest.mark.parametrize(("write", "message"), refused)
def test_a_step_that_makes_no_sense_is_refused_in_one_line(write: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        write()
    assert "\n" not in str(caught.value)


def test_callables_of_the_request_give_the_text_and_whole_steps() -> None:
    assert say(lambda r: r.last_input.upper()).resolve(request("hi")).text == "HI"
    made = as_step(lambda r: call("book", slot=r.last_input)).by(FrontDesk).resolve(request("2pm"))
    assert made.calls[0].arguments == {"slot": "2pm"}
    assert made.asker is FrontDesk
    assert as_step(lambda r: "Hi.").resolve(request()).text == "Hi."


def test_a_callable_that_gives_no_text_or_no_step_is_named_with_its_place() -> None:
    with pytest.raises(UsageError, match=r"test_steps.py:\d+  say\(<callable>\): .*gave None"):
        say(lambda r: None).resolve(request())  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match=r"a script takes steps .*not None"):
        as_step(lambda r: None).resolve(request())  # type: ignore[arg-type,return-value]


def test_pieces_are_checked_against_a_text_that_is_known_only_later() -> None:
    step = say(lambda r: "Hello you").chunked(["Hello", " you"])
    assert step.resolve(request()).chunks == ("Hello", " you")
    with pytest.raises(UsageError, match="do not make up the text 'Bye'"):
        say(lambda r: "Bye").chunked(["Hello"]).resolve(request())


def test_time_to_the_first_token_alone_makes_the_duration() -> None:
    step = say("x").timed(ttft=2)
    assert (step.ttft, step.duration) == (2, 2)
    assert say("x").timed(duration=2).ttft == 0


def test_usage_names_the_total() -> None:
    usage = say("x").with_usage(prompt_tokens=5, completion_tokens=3, prompt_cached_tokens=2).usage
    assert usage == {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "prompt_cached_tokens": 2,
        "total_tokens": 8,
    }


# --- the request that they answer


def _asked(*messages: Any) -> Request:
    return Request(
        number=3, agent=FrontDesk(), tools={}, tool_choice=None, read=lambda: (messages, "I", "R")
    )


def _said(role: str, text: str) -> Message:
    return Message(role=role, text=text)


def _gave(output: str) -> FunctionCallOutput:
    return FunctionCallOutput(name="book", output=output)


@pytest.mark.parametrize(
    ("messages", "last"),
    [
        ([], ""),
        ([_said("user", "a"), _said("assistant", "b")], "a"),
        ([_said("user", "a"), _gave("x")], "x"),
        ([_gave("old"), _said("user", "a"), _gave("x"), _gave("y")], "x\ny"),
        ([_gave("x"), _said("assistant", "b"), _said("user", "c")], "c"),
    ],
)
def test_the_last_input_is_the_last_user_message_or_the_outputs_after_it(
    messages: list[Any], last: str
) -> None:
    assert _asked(*messages).last_input == last


def test_a_request_describes_itself() -> None:
    asked = _asked(_said("user", "2 pm"))
    assert asked.describe() == "request 3, by FrontDesk, last input '2 pm'"
    assert (asked.instructions, asked.reply_instructions) == ("I", "R")
    assert asked.asker == "FrontDesk"


class _Night(FrontDesk):
    pass


@pytest.mark.parametrize(
    ("asker", "agent", "may"),
    [
        (ANYONE, None, True),
        (ANYONE, FrontDesk(), True),
        (None, None, True),
        (None, FrontDesk(), False),
        (FrontDesk, _Night(), True),
        (_Night, FrontDesk(), False),
        ("FrontDesk", _Night(), True),
        ("Night", FrontDesk(), False),
    ],
)
def test_who_asks_is_matched_along_the_class_hierarchy(asker: Any, agent: Any, may: bool) -> None:
    assert request(agent=agent).may_take(asker) is may


@dataclass
class _Plan:
    step: Step = field(default_factory=silence)


def test_a_step_that_a_dataclass_makes_by_itself_was_written_where_that_was_made():
    made, line = _Plan().step, inspect.currentframe().f_lineno
    assert (made.written_at.path, made.written_at.line) == (__file__, line)
