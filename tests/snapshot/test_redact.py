"""What never reaches a snapshot, and what does all the same."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.filters import paths, paths_include, props
from syrupy.matchers import path_type

from pytest_lkagent.errors import UsageError
from pytest_lkagent.snapshot.extension import folders_of
from pytest_lkagent.snapshot.redact import Redaction, listed
from pytest_lkagent.snapshot.serialize import document, dump, parse
from pytest_lkagent.transcript import (
    AgentConfigUpdate,
    AgentHandoff,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Turn,
)


def redacted(content, call_ids=None, **how):
    return Redaction(**how).apply(content, call_ids or {})


def text_of(text, **how):
    [event] = redacted(document([Message(role="assistant", text=text)]), **how)["events"]
    return event["message"]


CONVERSATION = document(
    [
        AgentConfigUpdate(instructions="You book.", tools_added=("book",)),
        Message(role="user", text="2 pm"),
        FunctionCall(
            name="book",
            arguments={"slot": "2pm", "token": "s3cret", "by": [{"token": "x"}, {"name": "Ada"}]},
            call_id="call_1",
        ),
        FunctionCallOutput(name="book", output="booked", call_id="call_1"),
        AgentHandoff(old="FrontDesk", new="Waiter"),
    ]
)


def kinds(content):
    return [kind for [kind] in content["events"]]


def arguments_of(content):
    return next(e["function_call"] for e in content["events"] if "function_call" in e)["arguments"]


# --- addresses, folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<Order object at 0x7f3a2c1b9d60>", "<Order object at 0x\u2026>"),
        ("0xDEADBEEF and 0x123456", "0x\u2026 and 0x\u2026"),
        ("colour 0xff00, x0x7f3a2c1b9d60", "colour 0xff00, x0x7f3a2c1b9d60"),
    ],
)
def test_addresses_of_objects_are_not_told(text, shown):
    assert text_of(text) == shown


def test_the_version_of_pydantic_is_not_told():
    text = "For further information visit https://errors.pydantic.dev/2.14/v/literal_error"
    assert text_of(text) == text.replace("2.14", "\u2026")


FOLDERS = {"/tmp": "<tmp>", "/tmp/proj": "<rootdir>", "/home/ada": "<home>", "C:\\Ada": "<home>"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/proj/a.py and /tmp/other", "<rootdir>/a.py and <tmp>/other"),
        ("in /tmp/proj.", "in <rootdir>."),
        ("'/tmp', (/home/ada): /home/ada", "'<tmp>', (<home>): <home>"),
        ("file:///tmp/a", "file://<tmp>/a"),
        (r"C:\Ada\notes.txt", r"<home>\notes.txt"),
        ("/tmp/projects /tmp/proj-2 /tmp/proj.bak", "<tmp>/projects <tmp>/proj-2 <tmp>/proj.bak"),
        ("/tmpfiles /home/adam /data/tmp/a ../tmp/b", "/tmpfiles /home/adam /data/tmp/a ../tmp/b"),
    ],
)
def test_folders_of_this_machine_have_names_the_longest_first(text, shown):
    assert text_of(text, folders=FOLDERS) == shown


def test_where_python_is_part_of_the_system_its_packages_alone_are_named(monkeypatch):
    """In a container /usr/local is of everybody; in an environment all is Python's."""
    packages = "lib/python3.11/site-packages"
    monkeypatch.setattr("sysconfig.get_path", lambda name: f"{sys.prefix}/{packages}")
    config = SimpleNamespace(rootpath=Path("/desk"))
    for prefix, shown in ("/usr/local", "/usr/local"), ("/desk/.venv", "<python>"):
        monkeypatch.setattr("sys.prefix", prefix)
        monkeypatch.setattr("sys.base_prefix", "/usr/local")
        said = f"{prefix}/share/tone.wav, {prefix}/{packages}/agent.py"
        told = text_of(said, folders=folders_of(config))
        assert told == f"{shown}/share/tone.wav, <python>/{packages}/agent.py"


# --- ids of calls

IDS = {"call_1": "call#1", "call_10": "call#2", "call_1_b": "call#3"}


def told(text):
    """Write a text wherever an event can hold one, and return what is read there."""
    raw = FunctionCall(name="cancel", arguments=f"[{text}", call_id="call_1")
    arguments = {"call_id": text, "of": [text]}
    events = [
        Message(role="user", text=text),
        Message(role="assistant", text=text),
        Message(role="assistant", text=text, interrupted=True),
        Message(role="system", text=text),
        Message(role="developer", text=text),
        FunctionCall(name="cancel", arguments=arguments, call_id="call_1"),
        raw,
        FunctionCallOutput(name="cancel", output=text, call_id="call_1"),
    ]
    turn = Turn(user=text, events=events[1:], error=ValueError(text))
    return redacted(document(turn), IDS)


def test_ids_of_calls_are_numbered_where_livekit_writes_them():
    content = told("Task call_10, call_1 and 'call_1_b': call_1_update_2")
    shown = "Task call#2, call#1 and 'call#3': call#1_update_2"
    _, _, system, developer, call, raw, output = content["events"]
    assert system["message"]["text"] == developer["message"]["text"] == shown
    assert call["function_call"]["arguments"] == {"call_id": shown, "of": [shown]}
    assert raw["function_call"]["arguments"] == f"[{shown}"
    assert output["function_call_output"]["output"] == shown


def test_what_people_say_of_calls_stays_as_it_was_said():
    content = told("call_1")
    said, cut, *_ = content["events"]
    assert (content["user"], said["message"], cut["message"]["text"]) == ("call_1",) * 3
    assert content["error"]["message"] == "call_1"


def test_an_id_within_another_word_is_none():
    output = FunctionCallOutput(name="t", output="recall_1 call_11 \u00e9call_1 call_1!")
    [event] = redacted(document([output]), IDS)["events"]
    assert event["function_call_output"]["output"] == "recall_1 call_11 \u00e9call_1 call#1!"


def test_what_an_id_became_is_not_taken_for_another_id():
    output = FunctionCallOutput(name="t", output="call_1 and call and 1")
    [event] = redacted(document([output]), {"call_1": "call#1", "call": "call#2", "1": "call#3"})[
        "events"
    ]
    assert event["function_call_output"]["output"] == "call#1 and call#2 and call#3"


# --- exclude


@pytest.mark.parametrize("given", ["agent_handoff", ["agent_handoff"], ("agent_handoff",)])
def test_a_kind_of_event_is_left_out(given):
    kept = ["agent_config_update", "message", "function_call", "function_call_output"]
    assert kinds(redacted(CONVERSATION, exclude=listed(given))) == kept


def test_a_key_is_left_out_wherever_it_is_and_a_list_of_arguments_keeps_its_length():
    content = redacted(CONVERSATION, exclude=["token"])
    assert arguments_of(content) == {"by": [{}, {"name": "Ada"}], "slot": "2pm"}


def test_the_end_of_a_way_leaves_out_what_is_there_and_nothing_else():
    content = redacted(CONVERSATION, exclude=["by.token", "agent_config_update.tools_added"])
    assert arguments_of(content) == {
        "by": [{}, {"name": "Ada"}],
        "slot": "2pm",
        "token": "s3cret",
    }
    assert content["events"][0] == {"agent_config_update": {"instructions": "You book."}}
    assert redacted(CONVERSATION, exclude=["oken", "y.token", "call.name"]) == CONVERSATION


def test_the_name_of_a_key_may_have_a_dot_in_it():
    call = FunctionCall(name="t", arguments={"a.b": 1, "b": 2}, call_id="")
    content = redacted(document([call]), exclude=["arguments.a.b"])
    assert arguments_of(content) == {"b": 2}


@pytest.mark.parametrize(
    "how",
    [{"exclude": ["format"]}, {"exclude": [props("format")]}, {"include": props("events")}],
)
def test_the_version_of_the_format_always_stays(how):
    assert redacted(CONVERSATION, **how)["format"] == 1


def test_an_argument_that_is_called_format_is_like_any_other():
    content = document([FunctionCall(name="t", arguments={"format": "pdf"}, call_id="")])
    assert arguments_of(redacted(content, exclude=["format"])) == {}


def test_the_filters_of_syrupy_leave_out_keys_and_events():
    content = redacted(CONVERSATION, exclude=listed(props("token")))
    assert arguments_of(content) == {"by": [{}, {"name": "Ada"}], "slot": "2pm"}
    exclude = paths("events.2.function_call.arguments.by.0", "events.1", "events.4.agent_handoff")
    content = redacted(CONVERSATION, exclude=[exclude, "agent_config_update"])
    assert kinds(content) == ["function_call", "function_call_output"]
    assert arguments_of(content)["by"] == [{"name": "Ada"}]


def test_include_takes_nothing_but_what_it_names():
    include = paths_include(["events", "1", "message", "text"], ["events", "4", "agent_handoff"])
    assert redacted(CONVERSATION, include=include) == {
        "format": 1,
        "events": [{"message": {"text": "2 pm"}}, {"agent_handoff": {}}],
    }


# --- matcher, replace


def test_a_matcher_of_syrupy_says_what_is_written_instead():
    where = {r"events\.\d+\.function_call\.arguments\.(.*\.)?token": (str,)}
    content = redacted(CONVERSATION, matcher=path_type(where, regex=True))
    assert arguments_of(content)["token"] == "str"
    assert arguments_of(content)["by"] == [{"token": "str"}, {"name": "Ada"}]
    assert parse(dump(content)) == content


def test_what_a_matcher_returns_is_written_as_text_where_yaml_has_no_word_for_it():
    now = datetime(2026, 6, 12, 9)  # noqa: DTZ001
    content = redacted(CONVERSATION, matcher=lambda data, path: now if data == "2pm" else data)
    assert arguments_of(content)["slot"] == "2026-06-12 09:00:00"


def test_what_a_pattern_finds_is_replaced_by_the_text_as_written():
    replace = {r"O_\w+": r"<order \1>", "[0-9]{4}": "year", re.compile("(?i)MONDAY"): "a day"}
    said = "O_ab12 on monday 2026-06"
    assert text_of(said, replace=replace) == r"<order \1> on a day year-06"


def test_a_pattern_finds_in_arguments_outputs_and_errors_but_not_in_keys():
    events = [
        FunctionCall(name="t", arguments={"O_1": ["O_2"], "raw": 7}, call_id=""),
        FunctionCallOutput(name="t", output="O_3"),
    ]
    turn = Turn(user="O_4", events=events, error=ValueError("O_5"))
    content = redacted(document(turn), replace={r"O_\d": "order"})
    assert content["user"] == content["error"]["message"] == "order"
    assert arguments_of(content) == {"O_1": ["order"], "raw": 7}
    assert content["events"][1]["function_call_output"]["output"] == "order"


def test_an_empty_text_is_nothing_to_replace():
    """Such a pattern finds it between all the letters, and at the end of what it has found."""
    assert text_of("order 4711, seat 7", replace={r"\d*": "N"}) == "order N, seat N"


# --- bad values


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"exclude": [5]}, "exclude=5: leave out a kind of event or a key by its name, "),
        ({"exclude": ["a", None]}, "exclude=None: leave out a kind of event or a key"),
        ({"include": "message"}, "include='message': give one of syrupy.filters"),
        ({"matcher": {"a": 1}}, "matcher={'a': 1}: give one of syrupy.matchers"),
        ({"replace": ["a"]}, "replace=['a']: give a mapping of a regex to a text"),
        ({"replace": {"a": 5}}, "replace={'a': 5}: the replacement is a text"),
        (
            {"replace": {"": "a"}},
            "replace={'': 'a'}: it fits every text; write a regex of what is to ",
        ),
        ({"replace": {"(": "a"}}, "replace={'(': \u2026}: not a regex: missing ), unterminated"),
        ({"replace": {5: "a"}}, "replace={5: \u2026}: not a regex: "),
        ({"replace": {b"a": "b"}}, "replace={b'a': \u2026}: not a regex: "),
        ({"replace": {"a{99999999999}": "b"}}, "replace={'a{99999999999}': \u2026}: not a regex: "),
    ],
)
def test_a_bad_value_is_refused_in_one_line(how, told):
    with pytest.raises(UsageError) as caught:
        Redaction(**how)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [5, 0, False])
def test_an_exclude_that_names_nothing_is_refused_in_one_line(given):
    with pytest.raises(UsageError, match=f"exclude={given}: leave out a kind of event or a key"):
        listed(given)


def test_no_exclude_leaves_out_nothing():
    assert listed(None) == listed([]) == ()
    assert redacted(CONVERSATION) == CONVERSATION


KEYS = st.sampled_from(["events", "message", "role", "text", "arguments", "format", "a.b"])
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=10,
    ),
)


def keys_of(value):
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


@given(DOCUMENTS, st.sets(KEYS, max_size=2))
def test_a_key_that_is_left_out_is_nowhere_and_every_other_is_where_it_was(content, names):
    left = redacted(content, exclude=sorted(names))
    assert keys_of({key: one for key, one in left.items() if key != "format"}) & names == set()
    everywhere = {key: {"a": one} for key, one in content.items()}
    assert redacted(everywhere, exclude=["no such key"]) == redacted(everywhere)
    if not names & keys_of(content):
        assert left == redacted(content)
