"""What a scenario file says, and what the player gets to see of it."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pytest_lkagent.errors import LoadError, UsageError
from pytest_lkagent.scenarios.expectations import (
    CallExpectation,
    CloseExpectation,
    HandoffExpectation,
    Matches,
    MessageExpectation,
    OutputExpectation,
)
from pytest_lkagent.scenarios.load import load, load_text
from pytest_lkagent.scenarios.model import (
    UNSET,
    LlmCall,
    MockSpec,
    ScenarioFile,
    TaskSpec,
    UserInput,
)
from pytest_lkagent.sites import Site

BOOKING = """\
name: Appointments
agent: agent.py:FrontDesk
defaults:
  start: {llm: ["Hi, how can I help?"]}
  timeout: 1m
scenarios:
  - label: Books the first free slot
    instructions: You want a slot.
    agent_expectations: It books one.
    tags: {feature: booking}
    userdata: {available_slots: ["2026-06-15T14:00:00"]}
    now: 2026-06-12T09:00:00Z
    mocks:
      FrontDesk:
        list_slots: "2 pm"
        book: {calls: [{error: taken}, {returns: booked, delay: 2s}]}
      GetEmailTask: {task: {email_address: a@b.c}}
    turns:
      - user: anything tomorrow?
        llm:
          - call: {list_slots: {range: +2week}}
          - I have 2 pm.
        expect:
          - function_call_output: {name: list_slots, contains: 2 pm}
      - user: book it
        llm: [{call: {book: {slot: 2pm}}}, "Taken, sorry."]
        expect:
          - function_call_output: {name: book, is_error: true, contains: taken}
        after: {userdata: {attempts: 1}}
      - user: again?
        llm: [{fail: {type: APIConnectionError, message: overloaded}}]
        expect_error: {type: APIConnectionError, matches: overloaded}
    absent: [{function_call: cancel}]
    check: checks.py:nothing_was_booked
    marks: [slow]
    xfail: not built yet
"""


@pytest.fixture
def booking() -> ScenarioFile:
    return load_text(BOOKING, Path("desk.yaml"))


def test_the_file_says_what_it_is_called_and_which_agent_it_is_for(booking):
    assert (booking.name, str(booking.agent)) == ("Appointments", "agent.py:FrontDesk")
    assert booking.path == Path("desk.yaml")
    assert booking.agent.place == "desk.yaml:2:8"


def test_livekits_own_keys_are_read_unchanged(booking):
    (scenario,) = booking.scenarios
    assert scenario.label == "Books the first free slot"
    assert scenario.instructions == "You want a slot."
    assert scenario.agent_expectations == "It books one."
    assert scenario.tags == {"feature": "booking"}
    assert scenario.userdata == {"available_slots": ["2026-06-15T14:00:00"]}


def test_a_turn_knows_its_line_and_what_each_side_says(booking):
    first, second, third = booking.scenarios[0].turns
    assert (first.user, str(first.site)) == (UserInput("anything tomorrow?"), "desk.yaml:19")
    call, text = first.llm
    assert call.calls == (LlmCall("list_slots", {"range": "+2week"}),)
    assert (text.text, str(text.site)) == ("I have 2 pm.", "desk.yaml:22")
    assert second.llm[0].calls == (LlmCall("book", {"slot": "2pm"}),)
    assert (str(third.llm[0].fail.type), third.llm[0].fail.message) == (
        "APIConnectionError",
        "overloaded",
    )


def test_expectations_describe_themselves_in_one_line(booking):
    first, second, third = booking.scenarios[0].turns
    assert [str(one) for one in first.expect] == [
        "function_call_output list_slots that contains '2 pm'"
    ]
    assert [str(one) for one in second.expect] == [
        "failed function_call_output book that contains 'taken'"
    ]
    assert str(third.expect_error) == "APIConnectionError that matches 'overloaded'"
    assert second.after.userdata == {"attempts": 1}
    assert [str(one) for one in booking.scenarios[0].absent] == ["function_call cancel"]


def test_mocks_know_their_class_tool_and_line(booking):
    mocks = booking.scenarios[0].mocks
    listed = mocks["FrontDesk"]["list_slots"]
    assert isinstance(listed, MockSpec)
    assert (listed.returns, listed.owner.text, listed.tool.place) == (
        "2 pm",
        "FrontDesk",
        "desk.yaml:15:9",
    )
    taken, booked = mocks["FrontDesk"]["book"].calls
    assert (taken.error, taken.returns, taken.delay) == ("taken", UNSET, 0.0)
    assert (booked.error, booked.returns, booked.delay) == (None, "booked", 2.0)
    task = mocks["GetEmailTask"]
    assert isinstance(task, TaskSpec)
    assert (task.task.text, task.returns) == ("GetEmailTask", {"email_address": "a@b.c"})


def test_what_later_checks_need_is_kept_with_its_place(booking):
    (scenario,) = booking.scenarios
    assert scenario.check.place == "desk.yaml:34:12"
    assert [mark.text for mark in scenario.marks] == ["slow"]
    assert scenario.xfail == "not built yet"
    assert scenario.site == Site("desk.yaml", 7)


def test_a_scenario_falls_back_to_the_files_agent_and_defaults(read):
    plain, own = read("""\
        agent: agent.py:Desk
        defaults:
          start: {llm: [hello]}
          timeout: 1m
          mocks: {Desk: {book: booked}}
          session: {max_tool_steps: 5}
          history: [{user: earlier}]
          now: 2026-06-12
          allow: [unused_step]
        scenarios:
        - {label: plain, turns: []}
        - label: own
          turns: []
          agent: other:make
          start: null
          timeout: 500ms
          mocks:
          session: {}
          allow: ~
          history: []
          now: 2026-06-12T09:00:00+02:00
        """).scenarios
    assert str(plain.agent) == "agent.py:Desk"
    assert plain.start.llm[0].text == "hello"
    assert plain.start.user is None
    assert (plain.timeout, plain.session) == (60.0, {"max_tool_steps": 5})
    assert str(plain.session_site) == "desk.yaml:6"
    assert plain.mocks["Desk"]["book"].returns == "booked"
    assert [message.text for message in plain.history] == ["earlier"]
    assert plain.now == datetime(2026, 6, 12, tzinfo=UTC)
    assert [kind.text for kind in plain.allow] == ["unused_step"]

    assert str(own.agent) == "other:make"
    assert (own.start, own.timeout, own.mocks, own.session) == (None, 0.5, {}, {})
    assert (own.allow, own.history) == ((), ())
    assert own.now == datetime(2026, 6, 12, 9, tzinfo=timezone(timedelta(hours=2)))


def test_a_scenario_without_turns_has_none_and_one_with_an_empty_list_has_no_turn(read):
    told, played = read("""\
        scenarios:
        - {label: a, instructions: Ask for a slot.}
        - {label: b, turns: []}
        """).scenarios
    assert told.turns is None
    assert (told.userdata, told.now, told.start, told.agent) == (None, None, None, None)
    assert played.turns == ()


def test_calls_in_a_list_have_its_order(read_one):
    (turn,) = read_one("""\
        turns:
        - user: go
          llm:
          - call: [{add: {x: 1}}, {clear: , look: }, {add: [{x: 2}, ~]}]
            ids: [a, b, c, d, e]
          - {call: [{add: }], raw_call: [{add: '{'}, {clear: [x, y]}, {add: ''}]}
        """).turns
    called, raw = turn.llm
    assert called.calls == (
        LlmCall("add", {"x": 1}),
        LlmCall("clear"),
        LlmCall("look"),
        LlmCall("add", {"x": 2}),
        LlmCall("add"),
    )
    assert [(call.name, call.raw) for call in raw.calls] == [
        ("add", None),
        ("add", "{"),
        ("clear", "x"),
        ("clear", "y"),
        ("add", ""),
    ]


def test_everything_that_the_model_can_answer(read_one):
    (turn,) = read_one("""\
        turns:
        - user: go
          llm:
          - {say: One moment., call: {a: {x: 1}, b: }, ttft: 300ms, duration: 2, by: Desk}
          - call: {look: [{at: one}, {at: two}, ~]}
          - {raw_call: {a: '{"x": '}, by: null}
          - {fail: {status: 429, attempts: 1}}
          - {fail: {timeout: true, after: I was}}
          - {fail: {connection: true}}
          - fail: ToolError
          - silence: true
          - {stall: , by: desk:Desk}
        """).turns
    both, thrice, raw, status, timeout, connection, named, silence, stall = turn.llm
    assert both.text == "One moment."
    assert both.calls == (LlmCall("a", {"x": 1}), LlmCall("b", {}))
    assert (both.ttft, both.duration, str(both.by)) == (0.3, 2.0, "Desk")
    assert thrice.calls == (
        LlmCall("look", {"at": "one"}),
        LlmCall("look", {"at": "two"}),
        LlmCall("look"),
    )
    assert raw.calls == (LlmCall("a", raw='{"x": '),)
    assert (raw.by, thrice.by) == (None, UNSET)
    assert (status.fail.status, status.fail.attempts, status.fail.type) == (429, 1, None)
    assert (timeout.fail.timeout, timeout.fail.after) == (True, "I was")
    assert connection.fail.connection is True
    assert str(named.fail.type) == "ToolError"
    assert (silence.silence, silence.stall) == (True, False)
    assert (stall.stall, str(stall.by)) == (True, "desk:Desk")


def test_everything_that_can_be_expected(read_one):
    (turn,) = read_one("""\
        turns:
        - user: go
          expect:
          - message: Good evening.
          - message: {role: system, contains: be, matches: '^b'}
          - message: {text: I can, interrupted: true}
          - ...
          - function_call: look
          - function_call: {name: book, arguments: {slot: 2pm, n: 2, at: {matches: '^\\d'}}}
          - function_call_output: {output: booked, is_error: false}
          - agent_handoff: Billing
          - agent_handoff: {from: desk:Desk, to: Billing}
          - close: error
        """).turns
    kinds = [type(one) for one in turn.expect]
    assert kinds == [
        *[MessageExpectation] * 3,
        type(...),
        *[CallExpectation] * 2,
        OutputExpectation,
        *[HandoffExpectation] * 2,
        CloseExpectation,
    ]
    assert [str(one) for one in turn.expect if one is not ...] == [
        "message 'Good evening.'",
        "system message that contains 'be' and that matches '^b'",
        "interrupted message 'I can'",
        "function_call look",
        "function_call book(slot='2pm', n=2, at=matches '^\\\\d')",
        "successful function_call_output 'booked'",
        "agent_handoff anybody -> Billing",
        "agent_handoff Desk -> Billing",
        "close error",
    ]
    assert isinstance(turn.expect[5].arguments["at"], Matches)
    assert str(turn.expect[4].site) == "desk.yaml:10"


def test_the_other_kinds_of_turn(read_one):
    quiet, cut, heard = read_one("""\
        turns:
        - {wait: 30s, check: checks.py:idle, within: 1m}
        - {user: stop, interrupt: 400ms, settle: false}
        - {user: {text: hello, modality: audio}, expect: [], expect_error: ValueError}
        """).turns
    assert (quiet.user, quiet.wait, quiet.within, str(quiet.check)) == (
        None,
        30.0,
        60.0,
        "checks.py:idle",
    )
    assert (cut.interrupt, cut.settle, cut.expect) == (0.4, False, None)
    assert (heard.user, heard.settle, heard.expect) == (UserInput("hello", "audio"), True, ())
    assert heard.expect_error.type == "ValueError"


def test_what_a_turn_captures_may_be_used_from_there_on(read_one):
    scenario = read_one("""\
        start: {llm: ['Order O_1'], capture: {first: 'O_\\d+'}}
        turns:
        - user: is it ${first}?
          llm: [{call: {look: {id: '${first}'}}}, 'It is ${second}.']
          capture: {second: 'S_\\w+'}
          expect: [{message: 'It is ${second}.'}]
        """)
    assert scenario.turns[0].capture["second"].search("S_9")[0] == "S_9"
    assert scenario.turns[0].llm[0].calls[0].arguments == {"id": "${first}"}


def test_text_stays_as_written_where_text_is_expected(read_one):
    scenario = read_one("""\
        mocks: {Desk: {a: 2pm, b: no, c: 1.10, d: 2026-06-12, e: ~}}
        turns:
        - {user: no, llm: [yes, 12:30, 1.10], expect: [{message: 1e3}, {message: {contains: on}}]}
        """)
    returned = [mock.returns for mock in scenario.mocks["Desk"].values()]
    assert returned == ["2pm", "no", "1.10", "2026-06-12", None]
    (turn,) = scenario.turns
    assert turn.user.text == "no"
    assert [entry.text for entry in turn.llm] == ["yes", "12:30", "1.10"]
    assert [str(one) for one in turn.expect] == ["message '1e3'", "message that contains 'on'"]


def test_values_have_types_but_a_date_stays_a_text(read_one):
    scenario = read_one("""\
        mocks: {Desk: {a: {returns: 5}, b: {returns: [1, no, ~, 2026-06-12]}}}
        turns:
        - {user: go, llm: [call: {book: {day: 2026-06-12, at: 12:30, n: 1e3, ok: true}}]}
        """)
    assert [mock.returns for mock in scenario.mocks["Desk"].values()] == [
        5,
        [1, "no", None, "2026-06-12"],
    ]
    assert scenario.turns[0].llm[0].calls[0].arguments == {
        "day": "2026-06-12",
        "at": "12:30",
        "n": 1000,
        "ok": True,
    }


def test_a_mock_may_raise_be_optional_or_only_watch(read_one):
    mocks = read_one("""\
        turns: []
        mocks:
          desk:Desk:
            a: {raises: desk:NoSlot, message: none left, delay: 10ms}
            b: {optional: true}
            c: {calls: [one, {raises: ValueError}, ~]}
        """).mocks["desk:Desk"]
    assert (str(mocks["a"].raises), mocks["a"].message, mocks["a"].delay) == (
        "desk:NoSlot",
        "none left",
        0.01,
    )
    assert (mocks["a"].is_given, mocks["a"].optional) == (True, False)
    assert (mocks["b"].is_given, mocks["b"].calls, mocks["b"].optional) == (False, None, True)
    assert [call.returns for call in mocks["c"].calls] == ["one", UNSET, None]
    assert [call.is_given for call in mocks["c"].calls] == [True, True, True]
    assert repr(mocks["b"].returns) == "UNSET"


def test_history_is_what_the_transcript_of_it_would_be(read_one):
    history = read_one("""\
        turns: []
        history:
        - system: Be brief.
        - user: book 2 pm
        - function_call: {name: book, arguments: {slot: 2pm}}
        - function_call: {name: log}
        - function_call_output: {name: book, output: booked}
        - function_call_output: {name: log, is_error: true}
        - assistant: Done.
        """).history
    assert [f"{event.label}: {event}" for event in history] == [
        "system: Be brief.",
        "user: book 2 pm",
        "function_call: book(slot='2pm')",
        "function_call: log()",
        "function_call_output: book -> 'booked'",
        "function_call_output: log failed ''",
        "assistant: Done.",
    ]
    assert history[2].call_id == history[4].call_id != history[3].call_id == history[5].call_id


def test_merge_keys_are_expanded_and_what_stands_beside_them_wins(read_one):
    scenario = read_one("""\
        userdata: &base {a: 1, b: {c: 2}}
        turns:
        - &turn {user: go, llm: [one]}
        - {<<: *turn, user: again}
        - {<<: [{user: first}, *turn]}
        mocks: {Desk: {x: {returns: {<<: *base, a: 3}}}}
        """)
    assert [turn.user.text for turn in scenario.turns] == ["go", "again", "first"]
    assert [turn.llm[0].text for turn in scenario.turns] == ["one", "one", "one"]
    assert scenario.mocks["Desk"]["x"].returns == {"b": {"c": 2}, "a": 3}


@pytest.mark.parametrize("label", ["x" * 300, "予約を取る", "a / b: c (d) 100%", 'it\'s "quoted"'])
def test_long_foreign_and_punctuated_labels_are_fine(label):
    text = f"scenarios:\n- {{turns: [], label: '{label.replace(chr(39), chr(39) * 2)}'}}"
    assert load_text(text, Path("desk.yaml")).scenarios[0].label == label


def test_what_may_pass_is_checked_only_where_the_kinds_are_known():
    text = "scenarios: [{label: a, turns: [], allow: [unused_step, leaked_task]}]"
    for kinds in (None, ["leaked_task", "unused_step"]):
        (scenario,) = load_text(text, Path("desk.yaml"), allow_kinds=kinds).scenarios
        assert [kind.place for kind in scenario.allow] == ["desk.yaml:1:43", "desk.yaml:1:56"]


def test_a_file_with_a_byte_order_mark_is_read():
    text = b"\xef\xbb\xbfscenarios: [{label: a, turns: []}]"
    assert load_text(text, Path("desk.yaml")).scenarios[0].label == "a"


def test_ten_thousand_scenarios_in_one_file_load_each_with_its_line():
    one = "- label: number {n}\n  turns:\n  - user: go\n    llm: [ok]\n"
    text = "scenarios:\n" + "".join(one.replace("{n}", str(n)) for n in range(10_000))
    scenarios = load_text(text, Path("desk.yaml")).scenarios
    assert len(scenarios) == 10_000
    assert (scenarios[-1].label, scenarios[-1].site.line) == ("number 9999", 2 + 4 * 9_999)


def test_the_garbage_collector_is_off_only_while_loading(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "pytest_lkagent.scenarios.load.compose", lambda *args: seen.append(gc.isenabled()) or 1 / 0
    )
    for was_on in (True, False):
        (gc.enable if was_on else gc.disable)()
        try:
            with pytest.raises(ZeroDivisionError):
                load_text("", Path("desk.yaml"))
            assert gc.isenabled() is was_on
        finally:
            gc.enable()
    assert seen == [False, False]


def test_a_file_is_loaded_from_disk_and_reports_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(tmp_path, "booking.yaml").write_text(BOOKING)
    assert load(Path(tmp_path, "booking.yaml")).scenarios[0].site.line == 7
    Path(tmp_path, "bad.yaml").write_text("scenarios: 3")
    with pytest.raises(LoadError, match=r"^bad.yaml:1:12: scenarios cannot be '3'; write a list"):
        load(Path(tmp_path, "bad.yaml"))


@pytest.mark.parametrize("name", ["missing.yaml", "", "a\0b"])
def test_what_is_no_file_is_a_usage_error(tmp_path, name):
    with pytest.raises(UsageError, match=r"cannot be read: .*; name a scenario file"):
        load(Path(tmp_path, name))


def test_a_tool_may_have_a_name_that_python_has_not(read_one):
    scenario = read_one("""\
        mocks: {Desk: {get-weather: rain}}
        turns:
        - {user: hi, llm: [{call: {get-weather: {}}}, {raw_call: {get-weather: "no json"}}]}
        """)
    [turn] = scenario.turns
    assert [[one.name for one in entry.calls] for entry in turn.llm] == [["get-weather"]] * 2
    assert list(scenario.mocks["Desk"]) == ["get-weather"]
