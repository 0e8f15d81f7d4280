"""The conversion itself, without a session: what is read, what is refused, what is taken out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lkagent.__main__ import main
from pytest_lkagent.convert import Redaction, convert
from pytest_lkagent.errors import UsageError
from pytest_lkagent.scenarios.align import fits
from pytest_lkagent.scenarios.load import load_text
from pytest_lkagent.transcript import FunctionCallOutput

GENERATED = {"llm_node_ttft": 0.2}


def said(role: str, text: str, **more: Any) -> dict[str, Any]:
    metrics = GENERATED if role == "assistant" else {}
    return {"type": "message", "role": role, "content": [text], "metrics": metrics, **more}


def called(name: str, arguments: str = "{}", call_id: str = "c1", **more: Any) -> dict[str, Any]:
    return {
        "type": "function_call", "name": name, "arguments": arguments, "call_id": call_id, **more
    }  # fmt: skip


def returned(name: str, output: str, call_id: str = "c1", **more: Any) -> dict[str, Any]:
    return {
        "type": "function_call_output", "name": name, "output": output, "call_id": call_id,
        "is_error": False, **more,
    }  # fmt: skip


def converted(*items: Any, report: dict[str, Any] | None = None, **how: Any) -> str:
    """Convert a history, or a report with it, and hold that nothing of note was lost."""
    made = convert(_data(items, report), "call.json", **how)
    assert made.notes == ()
    return made.text


def _data(items: Any, report: dict[str, Any] | None = None) -> bytes:
    history = {"items": list(items)}
    return json.dumps(history if report is None else {**report, "chat_history": history}).encode()


# --- what is written


def test_a_call_reads_as_one_would_write_it():
    assert converted(
        said("user", "2 pm please"),
        said("assistant", "One moment.", id="a"),
        called("book", '{"slot": "2pm"}', "c1", id="a/fnc_0"),
        called("note", '{"text": "window", "seats": 2}', "c2", id="a/fnc_1"),
        returned("book", "booked", "c1"),
        returned("note", "no", "c2"),
        said("assistant", "Booked: 2 pm."),
        said("user", "bye"),
        said("assistant", "Bye."),
        agent="desk.py:Desk",
        label="Books: a slot",
    ) == (
        """\
agent: desk.py:Desk
scenarios:
  - label: 'Books: a slot'
    turns:
      - user: 2 pm please
        llm:
          - say: One moment.
            call: {book: {slot: 2pm}, note: {text: window, seats: 2}}
          - 'Booked: 2 pm.'
        expect:
          - function_call_output: {name: book, output: booked}
          - function_call_output: {name: note, output: 'no'}
      - user: bye
        llm: [Bye.]
        expect: []
"""
    )


def test_nothing_of_a_report_but_the_conversation_reaches_the_file():
    report = {
        "job_id": "AJ_secret", "room_id": "RM_secret", "room": "secret-room", "tags": ["secret"],
        "options": {"max_tool_steps": 317}, "timestamp": 1780304431.0, "agent_name": "secret",
        "events": [{"type": "session_usage_updated", "created_at": 1780304431.0}],
    }  # fmt: skip
    text = converted(
        said("user", "hi", id="item_secret", created_at=1780304431.0, extra={"k": "secret"}),
        report=report,
    )
    assert "secret" not in text
    assert "317" not in text
    assert "1780304431" not in text


@pytest.mark.parametrize(
    ("user", "label"),
    [
        ("\x00 a::b [c]\n", "a:b (c)"),
        ("word " * 20, "word " * 12 + "…"),
        ("w" * 100, "w" * 60 + " …"),
        ("\x00 \x00", "Nobody answers the agent"),
    ],
)
def test_the_label_is_what_the_user_says_first(user, label):
    [scenario] = load_text(converted(said("user", user)), Path("x.yaml")).scenarios
    assert scenario.label == label


def test_calls_without_ids_of_their_completion_are_parallel_where_they_stand_together():
    text = converted(
        said("user", "both"),
        called("book", '{"slot": "2pm"}', "c1"),
        called("book", '{"slot": "3pm"}', "c2"),
        returned("book", "a", "c1"),
        returned("book", "b", "c2"),
        called("book", '{"slot": "4pm"}', "c3"),
        returned("book", "c", "c3"),
        said("assistant", "Three."),
    )
    [turn] = load_text(text, Path("x.yaml")).scenarios[0].turns or ()
    assert [[call.arguments["slot"] for call in entry.calls] for entry in turn.llm] == [
        ["2pm", "3pm"],
        ["4pm"],
        [],
    ]


def test_parallel_calls_of_which_one_ended_before_the_other_began_are_one_completion():
    text = converted(
        said("user", "both"),
        called("book", '{"slot": "2pm"}', "c1", id="a/fnc_0"),
        returned("book", "a", "c1"),
        called("book", '{"slot": "3pm"}', "c2", id="a/fnc_1"),
        returned("book", "b", "c2"),
        said("assistant", "One moment.", id="a"),  # with a voice it is heard after they ended
        said("assistant", "Both."),
    )
    assert "llm: [{say: One moment., call: {book: [{slot: 2pm}, {slot: 3pm}]}}, Both.]" in text
    assert "silence" not in text


@pytest.mark.parametrize(
    ("sent", "llm"),
    [
        (
            [("add", "{}"), ("clear", "{}"), ("add", '{"what": "rose"}')],
            "call: [{add: {}}, {clear: {}}, {add: {what: rose}}]",
        ),
        ([("clear", "{}"), ("add", "{}"), ("add", "{}")], "call: {clear: {}, add: [{}, {}]}"),
        ([("clear", "{}"), ("add", "{")], "call: {clear: {}}, raw_call: {add: '{'}"),
        ([("add", "{"), ("clear", "{}")], "raw_call: {add: '{', clear: '{}'}"),
        (
            [("add", "{"), ("clear", "{}"), ("add", "{}")],
            "raw_call: [{add: '{'}, {clear: '{}'}, {add: '{}'}]",
        ),
    ],
)
def test_parallel_calls_are_written_in_the_order_in_which_they_were_called(sent, llm):
    called_ones = [called(name, text, f"c{n}") for n, (name, text) in enumerate(sent)]
    returned_ones = [returned(name, "done", f"c{n}") for n, (name, _) in enumerate(sent)]
    text = converted(said("user", "go"), *called_ones, *returned_ones, said("assistant", "Done."))
    assert f"llm: [{{{llm}}}, Done.]" in text


def test_users_who_speak_twice_get_a_silence_for_the_first():
    text = converted(said("user", "hi"), said("user", "are you there?"), said("assistant", "Yes."))
    assert (
        "      # the model's answer is not in the history; it says nothing here\n"
        "      - user: hi\n"
        "        llm: [{silence: true}]\n"
        "        expect: []\n"
        "      - user: are you there?\n"
    ) in text


def test_a_user_who_sends_more_than_words_is_told_of():
    image = {"type": "image_content", "image": "https://example.com/a.png"}
    text = converted(
        said("user", "") | {"content": [image]},
        said("assistant", "A cat."),
        said("user", "") | {"content": []},
        said("assistant", "Pardon?"),
    )
    assert "# there was more than words in what the user sent; it is left out\n" in text
    assert "# there were no words in what the user sent\n      - user: ''\n" in text


def test_an_agents_context_is_told_without_its_instructions():
    text = converted(
        said("system", "You are kind.", id="lk.agent_task.instructions"),
        {"type": "agent_config_update", "instructions": "You are kind."},
        said("user", "hi"),
        said("developer", "Be brief."),
        said("assistant", "Hi."),
    )
    assert "kind" not in text
    assert "      # a developer message of the agent's context is left out\n" in text


def test_a_system_message_of_a_session_is_expected():
    text = converted(
        {"type": "agent_handoff", "new_agent_id": "agent"},
        said("user", "hi"),
        said("system", "Be brief."),
        said("assistant", "Hi."),
        agent="livekit.agents:Agent",
    )
    assert "- message: {role: system, text: Be brief.}" in text


def test_what_code_says_and_the_user_cuts_off_is_said_whole():
    text = converted(
        said("assistant", "Welcome to the", metrics={"started_speaking_at": 1.0}, interrupted=True),
        said("user", "hi"),
        said("assistant", "Hi."),
    )
    assert "    start:\n      expect:\n        - message: {contains: Welcome to the}\n" in text


def test_a_message_that_cannot_be_cut_off_is_said_as_far_as_it_is_known():
    text = converted(
        said("assistant", "Welcome to the", interrupted=True),
        said("user", "hi"),
        said("assistant", "Hi."),
    )
    assert "    # the user cut in, and here nobody does\n    start:\n" in text
    assert "llm: [Welcome to the]" in text


def test_a_call_that_never_ended_is_told_of():
    report = {
        "events": [
            {
                "type": "tool_execution_updated",
                "created_at": 11.0,
                "update": {
                    "type": "tool_call_started",
                    "function_call": called("book", created_at=11.0),
                },
            }
        ]
    }
    text = converted(
        said("user", "book it", created_at=10.0),
        said("user", "hello?", created_at=12.0),
        said("assistant", "Yes.", created_at=13.0),
        report=report,
    )
    assert (
        "      # the output of book is not in the history\n"
        "      # the model's answer is not in the history; it says nothing here\n"
        "      - user: book it\n"
        "        llm: [{call: {book: {}}}, {silence: true}]\n"
        "        expect:\n"
        "          - function_call_output: {name: book}\n"
    ) in text


def test_what_no_scenario_can_call_is_told_of_and_left_out():
    text = converted(
        said("user", "weather?"),
        called("get weather"),
        returned("get weather", "rain"),
        said("assistant", "Rain."),
    )
    assert "# 'get weather' was called, which no scenario can: " in text
    assert "llm: [Rain.]\n        expect: []" in text


def test_of_a_call_that_livekit_refused_only_what_no_version_changes_is_expected():
    parsing = "Error parsing arguments for `book`: 1 validation error, see pydantic.dev/2.14/v/"
    text = converted(
        said("user", "book it"),
        called("book", '{"slot": 2}', "c1"),
        called("cancel", "{}", "c2"),
        returned("book", parsing, "c1", is_error=True),
        returned("cancel", "Unknown function: cancel - available tools: a", "c2", is_error=True),
        said("assistant", "Sorry."),
    )
    [scenario] = yaml.safe_load(text)["scenarios"]
    [turn] = scenario["turns"]
    assert turn["llm"][0] == {"raw_call": {"book": '{"slot": 2}', "cancel": "{}"}}
    failed = {"is_error": True, "contains": "Unknown function: cancel"}
    assert turn["expect"] == [
        {
            "function_call_output": {
                "name": "book",
                "is_error": True,
                "contains": "Error parsing arguments for `book`",
            }
        },
        {"function_call_output": {"name": "cancel", **failed}},
    ]


def test_what_a_tool_repeats_may_have_the_space_with_which_it_was_said():
    text = converted(
        said("user", "${a}"), called("book"), returned("book", "${a}"), said("assistant", "${a}")
    )
    [turn] = load_text(text, Path("x.yaml")).scenarios[0].turns or ()
    [expected] = turn.expect or ()
    for output in ("${a}", "$ {a}"):
        assert fits(expected, FunctionCallOutput(name="book", output=output))
    assert not fits(expected, FunctionCallOutput(name="book", output="$  {a}"))


def test_errors_that_are_not_replayed_are_told_of():
    error = {"type": "tts_error", "recoverable": False}
    again = {"type": "llm_error", "recoverable": True}
    events = [{"type": "error", "error": one, "created_at": 1.0} for one in (error, again, again)]
    made = convert(_data([said("user", "hi")], {"events": events}), "call.json")
    assert made.notes == (
        "the report has an error, tts_error: this is not replayed",
        "the report has an error, llm_error: it was tried again, which is not replayed",
    )


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("user_initiated", "# then the session closed (user_initiated); if the agent does that, "),
        ("error", "# then the session closed (error); if the agent does that, "),
        ("task_completed", "- close: task_completed"),
        ("participant_disconnected", None),
    ],
)
def test_a_close_is_expected_where_it_is_the_agents(reason, told):
    text = converted(
        said("user", "hi"),
        said("assistant", "Hi."),
        report={"events": [{"type": "close", "reason": reason}]},
    )
    assert ("close" in text) is (told is not None)
    assert told is None or told in text


def test_a_report_of_an_entrypoint_becomes_a_scenario_of_it():
    items = [
        {"type": "agent_handoff", "new_agent_id": "lobby_desk"},
        said("user", "my bill"),
        said("assistant", "Here it is."),
    ]
    made = convert(_data(items), "call.json", entrypoint="nowhere.py:server")
    assert made.text.startswith("entrypoint: nowhere.py:server\nscenarios:\n")
    assert made.notes[0] == (
        "--entrypoint nowhere.py:server: there is no file nowhere.py here; its classes were not "
        "looked up"
    )


def test_agents_are_named_by_their_ids_where_nobody_says_which_classes_there_are():
    items = [
        {"type": "agent_handoff", "new_agent_id": "lobby_desk"},
        said("user", "my bill"),
        called("bill"),
        returned("bill", "", reply_required=False),
        {"type": "agent_handoff", "old_agent_id": "lobby_desk", "new_agent_id": "http_billing"},
        said("assistant", "Hello."),
    ]
    made = convert(_data(items), "call.json")
    assert "- agent_handoff: {from: LobbyDesk, to: HttpBilling}" in made.text
    assert made.notes == (
        "the agent 'lobby_desk' is taken for the class LobbyDesk; --agent looks the classes up",
        "the agent 'http_billing' is taken for the class HttpBilling; --agent looks the classes up",
    )
    made = convert(_data(items), "call.json", agent="nowhere.py:Desk")
    assert made.notes[0] == (
        "--agent nowhere.py:Desk: there is no file nowhere.py here; its classes were not looked up"
    )
    text = converted(*items, agent="livekit.agents:Agent")  # imported, and it has no such class
    assert "# agent_handoff 'lobby_desk' -> 'http_billing': from: " in text
    assert "- agent_handoff: {}\n" in text


def test_an_id_that_two_classes_have_is_the_name_of_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classes = "from livekit.agents import Agent\nclass LOOPDesk(Agent): ...\n"
    Path("two.py").write_text(f"{classes}class LoopDesk(Agent): ...\nclass LoopBill(Agent): ...\n")
    items = [
        {"type": "agent_handoff", "new_agent_id": "loop_bill"},
        said("user", "hi"),
        said("assistant", "Hi."),
        {"type": "agent_handoff", "old_agent_id": "loop_bill", "new_agent_id": "loop_desk"},
    ]
    text = converted(*items, agent="two.py:LoopBill")
    assert "- agent_handoff: {from: LoopBill}\n" in text
    assert "# agent_handoff LoopBill -> 'loop_desk': to: " in text


# --- tools as mocks


def test_tools_give_back_what_they_gave_back():
    text = converted(
        {"type": "agent_handoff", "new_agent_id": "default_agent"},
        said("user", "go"),
        called("book", '{"slot": "9pm"}', "c1"),
        returned("book", "closed", "c1", is_error=True),
        called("book", '{"slot": "2pm"}', "c2"),
        returned("book", "costs ${x}", "c2"),
        called("look", call_id="c3"),
        returned("look", "An internal error occurred", "c3", is_error=True),
        called("look", "{", call_id="c4"),
        returned("look", "Error parsing arguments for `look`: x", "c4", is_error=True),
        called("note", call_id="c5"),
        returned("note", "", "c5", reply_required=False),
        said("user", "my bill"),
        called("bill", call_id="c7"),
        {"type": "agent_handoff", "old_agent_id": "default_agent", "new_agent_id": "x"},
        returned("bill", "", "c7", reply_required=False),
        said("user", "maps"),
        called("search", call_id="c6"),
        returned("search", "searching", "c6"),
        called("search", call_id="c6_final"),
        returned("search", "found", "c6_final"),
        said("assistant", "Found."),
        mock_tools=True,
        agent="livekit.agents:Agent",
    )
    scenario = yaml.safe_load(text)["scenarios"][0]
    assert scenario["mocks"] == {
        "Agent": {
            "book": {"calls": [{"error": "closed"}, "costs $ {x}"]},
            "look": {"raises": "RuntimeError"},
            "note": None,
        }
    }
    assert (
        "    # bill is not mocked: it may be what handed over to another agent\n"
        "    # search is not mocked: it works in the background\n"
        "    mocks:\n"
    ) in text


def test_mocks_need_to_know_whose_tools_they_are():
    items = [said("user", "go"), called("book"), returned("book", "done")]
    with pytest.raises(
        UsageError, match=r"^the history does not say whose tools were called; give"
    ):
        convert(_data(items), "call.json", mock_tools=True)
    assert "Desk:\n        book: done" in converted(*items, mock_tools=True, agent="desk.py:Desk")


# --- personal data

PERSONAL = {
    "a.b+c@mail.example.com": "person1@mail.example",
    "A@B.co, a@b.co!": "person1@mail.example, person1@mail.example!",
    "+1 (555) 234-5678": "+1 (555) 555-0100",
    "+1 555 234 5678 or 555-234-5678": "+1 555 555 0100 or 555-555-0100",
    "0170/2345678": "0170/5550100",
    "+49 170 2345678.": "+49 170 5550100.",
    "+123 456 789 012 345": "+123 456 785 550 100",
    "01 23 45 67 89": "01 25 55 01 00",
    "call 2025550187": "call 2025550100",
    "234-5678": "555-0100",
    "4111 1111 1111 1111": "4100 0000 0000 0019",
    "4111-1111-1111-1111, 4111111111111111": "4100-0000-0000-0019, 4100000000000019",
    "4111111111111111 123 12/28": "4100000000000019 123 12/28",
    "378282246310005": "370000000000010",
    "4111 1111 1111 1112": "4111 1111 1111 1112",  # no check digit
    "2026-06-12 09:00": "2026-06-12 09:00",
    "06.12.2026 10:30": "06.12.2026 10:30",
    "order 12345678, 2 pm, 3.50": "order 12345678, 2 pm, 3.50",
    "550e8400-e29b-41d4-a716-446655440000": "550e8400-e29b-41d4-a716-446655440000",
    "1780304431": "1780304431",
    "a@b and @c.de": "a@b and @c.de",
}


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data_is_replaced_in_its_shape(text):
    assert Redaction().text(text) == PERSONAL[text]


def test_one_value_has_one_replacement_in_words_arguments_and_outputs():
    text = converted(
        said("user", "I am maya@home.net, 555 234 5678, card 4111 1111 1111 1111"),
        called("pay", '{"mail": "Maya@home.net", "card": 4111111111111111, "tel": ["5552345678"]}'),
        returned("pay", '{"to": "maya@home.net", "cc": "max@home.net"}'),
        said("assistant", "Paid, Maya@home.net."),
        redact=True,
    )
    assert "home.net" not in text
    assert "label: I am person1@mail.example, 555 555 0100, card 4100 0000 …" in text
    [turn] = load_text(text, Path("x.yaml")).scenarios[0].turns or ()
    assert turn.llm[0].calls[0].arguments == {
        "mail": "person1@mail.example",
        "card": 4100000000000019,
        "tel": ["5555550100"],
    }
    assert '"to": "person1@mail.example", "cc": "person2@mail.example"' in text


def test_without_being_asked_for_nothing_is_taken_out():
    assert "- user: I am maya@home.net\n" in converted(said("user", "I am maya@home.net"))


@settings(deadline=None)
@given(st.text(alphabet="0123456789 -+()./:,@ab", max_size=60))
def test_taking_out_keeps_the_length_of_all_but_emails(text):
    cleaned = Redaction().text(text)
    assert "@" in text or len(cleaned) == len(text)


def test_long_texts_take_no_long_time_to_clean():
    for text in ("a" * 100_000, "1" * 100_000, "1 " * 50_000, "a." * 50_000, "a@" * 50_000):
        assert Redaction().text(text) == text


# --- texts of any kind

TEXTS = st.text(st.characters(codec=None), max_size=20)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=8,
)


@given(
    user=TEXTS, answer=TEXTS.filter(bool), arguments=st.dictionaries(TEXTS, ANYTHING, max_size=3)
)
def test_what_is_read_is_what_was_said(user, answer, arguments):
    text = converted(
        said("user", user),
        called("keep", json.dumps(arguments)),
        returned("keep", answer),
        said("assistant", answer),
    )
    scenario = load_text(text.encode(), Path("x.yaml")).scenarios[0]
    [turn] = scenario.turns or ()
    assert turn.user is not None
    assert turn.user.text == _playable(user)
    [call] = turn.llm[0].calls
    sent = call.arguments if call.raw is None else json.loads(call.raw)
    assert json.dumps(sent) == json.dumps(arguments)
    assert turn.llm[1].text == _playable(answer)


def _playable(text: str) -> str:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return (
        whole.replace("${", "$ {")
        if whole == text
        else "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text).replace(
            "${", "$ {"
        )
    )


# --- bad input

HALF = json.dumps({"chat_history": {"items": [said("user", "hi")]}}).encode()[:40]
BAD = {
    b"": "call.json: there is nothing in it; give a session report, ",
    b"scenarios: []": "call.json:1:1: this is no JSON: Expecting value; give a session report, ",
    HALF: "call.json:1:",
    b"\xff\xfe": "call.json: this is no UTF-8 text; ",
    b"[" * 100_000: "call.json: its JSON is nested too deeply; ",
    b"3": "call.json: this is another JSON; give a session report, make_session_report()",
    b"[]": "call.json: this is another JSON; ",
    b'{"name": 1, "scenarios": 2}': "call.json: this is a mapping with 'name', 'scenarios'; give ",
    b'{"items": 3}': "call.json: this is a mapping with 'items'; ",
    b'{"job_id": "a", "room": "b"}': "call.json: the report has no chat history; write it with ",
    b'{"items": []}': "call.json: the history is empty, so there is nothing to replay",
    b'{"chat_history": {"items": []}, "events": 3}': "call.json: the history is empty, so ",
    b'{"items": [{"type": "agent_handoff", "new_agent_id": "a"}]}': (
        "call.json: nobody says anything in the history, so there is nothing to replay"
    ),
    b'{"items": [3]}': "call.json: item 1 of the history cannot be read: Input should be ",
    b'{"items": [{"type": "song"}]}': "call.json: item 1 of the history cannot be read: Input tag ",
    _data([said("user", "hi"), {"type": "function_call", "name": "book"}]): (
        "call.json: item 2 of the history cannot be read: function_call: call_id: Field required"
    ),
    _data([said("user", "hi"), called("book", "[" * 100_000)]): (
        "call.json: something in it is nested too deeply"
    ),
}


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:20]))
def test_bad_input_is_told_in_one_line(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("call.json").write_bytes(data)
    assert main(["convert", "call.json"]) == 2
    written, told = capsys.readouterr()
    assert written == ""
    assert told.startswith(f"error: {BAD[data]}")
    assert told.count("\n") == 1


def test_half_a_report_is_told_as_that():
    with pytest.raises(UsageError, match=r"the JSON ends in the middle; give the whole file$"):
        convert(b'{"chat_history": {"items": [', "call.json")


def test_a_file_that_is_not_there_is_told(capsys, tmp_path):
    assert main(["convert", str(tmp_path / "call.json")]) == 2
    assert capsys.readouterr().err.endswith(
        "call.json: cannot be read: No such file or directory; name a file, or - for stdin\n"
    )


def test_a_label_that_no_scenario_can_have_is_refused(capsys, tmp_path):
    (tmp_path / "call.json").write_bytes(_data([said("user", "hi")]))
    assert main(["convert", str(tmp_path / "call.json"), "--label=a::b"]) == 2
    assert "this would be no scenario: scenario.yaml:2:12: a label cannot contain '::'" in (
        capsys.readouterr().err
    )


# --- the command


def test_it_reads_stdin_and_writes_utf_8_whatever_the_terminal_has(monkeypatch):
    data = _data([said("user", "Grüße 😀")])
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["convert", "-"]) == 0
    assert "- user: Grüße 😀\n" in out.buffer.getvalue().decode()


def test_the_schema_is_printed_without_livekit():
    code = (
        "import sys; from pytest_lkagent.__main__ import main; main(['schema']); "
        "sys.exit('livekit' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
