"""Writing the `expect:` lists that a scenario file lacks, without touching anything else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lkagent.errors import LoadError, UsageError
from pytest_lkagent.scenarios.expect import match_failures, match_turn
from pytest_lkagent.scenarios.load import load_text
from pytest_lkagent.scenarios.model import LlmCall, LlmEntry
from pytest_lkagent.scenarios.write_expect import Happened, write_expect
from pytest_lkagent.sites import Site
from pytest_lkagent.transcript import (
    AgentHandoff,
    Close,
    FunctionCall,
    FunctionCallOutput,
    Message,
)

ROOT = Path(__file__).parents[2]
LIVEKITS = ROOT.parent / "shared" / "data" / "livekit_scenarios"
DESK = Path("desk.yaml")
SITE = Site("desk.yaml", 1)


def said(text, **more):
    return Message(role="assistant", text=text, **more)


def called(name, arguments=None, call_id="1"):
    return FunctionCall(name=name, arguments=arguments or {}, call_id=call_id)


def gave(name, output="", **more):
    return FunctionCallOutput(name=name, output=output, call_id=more.pop("call_id", "1"), **more)


def written(text, *turns, start=None, scripted=None):
    """What comes out for the only scenario, called `it`, result the events of its turns."""
    happened = {k: Happened(events, scripted) for k, events in enumerate(turns)}
    if start is not None:
        happened["start"] = Happened(start, scripted)
    return write_expect(text, DESK, {"it": happened})


def lines(text):
    return dedent(text).lstrip("\n")


LOOKED = [
    Message(role="user", text="anything tomorrow?"),
    called("list_slots", {"range": "+2week"}),
    gave("list_slots", "2 pm"),
    said("I have 2 pm."),
]
MOVED = AgentHandoff(old="Desk", new="Billing")


# --- styles


def test_what_the_script_does_not_say_is_written_below_it():
    text = lines("""
        # Our front desk.
        agent: agent.py:FrontDesk

        scenarios:
          - label: it     # the first
            turns:
              - user: "anything tomorrow?"
                llm:
                  - call: {list_slots: {range: +2week}}
                  - I have 2 pm.   # so it says
                after: {userdata: {attempts: 1}}

              # and then
              - user: 'no'
                llm: [Bye.]
        """)
    result = written(text, LOOKED, [said("Bye."), MOVED])
    assert result.text == lines("""
        # Our front desk.
        agent: agent.py:FrontDesk

        scenarios:
          - label: it     # the first
            turns:
              - user: "anything tomorrow?"
                llm:
                  - call: {list_slots: {range: +2week}}
                  - I have 2 pm.   # so it says
                expect:
                  - function_call_output: {name: list_slots, output: 2 pm}
                after: {userdata: {attempts: 1}}

              # and then
              - user: 'no'
                llm: [Bye.]
                expect:
                  - agent_handoff: {from: Desk, to: Billing}
        """)
    assert (result.skipped, result.inexact) == ((), ())


def test_lists_are_indented_as_those_of_the_turn_and_comments_stay_with_what_they_follow():
    text = lines("""
        scenarios:
        - label: it
          turns: &all
          - user: anything tomorrow?
            llm:
            - call: {list_slots: {range: +2week}}
            - I have 2 pm.
                # the calendar says so

              # and is right

            # once it is over
            check: checks.py:one
          - wait: 3s
            # nobody speaks
          - wait: 3s
            llm:
                - Hm.
          - user: hi
        """)
    assert written(text, LOOKED, [], [MOVED], [said("Hi.")]).text == lines("""
        scenarios:
        - label: it
          turns: &all
          - user: anything tomorrow?
            llm:
            - call: {list_slots: {range: +2week}}
            - I have 2 pm.
                # the calendar says so

              # and is right
            expect:
            - function_call_output: {name: list_slots, output: 2 pm}

            # once it is over
            check: checks.py:one
          - wait: 3s
            expect: []
            # nobody speaks
          - wait: 3s
            llm:
                - Hm.
            expect:
                - agent_handoff: {from: Desk, to: Billing}
          - user: hi
            expect:
            - message: Hi.
        """)


def test_a_turn_in_braces_stays_in_braces():
    text = lines("""
        scenarios:
          - label: it
            start: {}
            turns:
              - {user: hi, llm: [Hello.], within: 2s}   # one line
              - { user: anything?,  # two
                  llm: [{call: {look: {}}}, Hello.] }
              - {user: hi}
        """)
    long = [gave("look", "Monday at two and Tuesday at half past nine"), MOVED]
    result = written(text, [said("Hello.")], [gave("look", "2 pm")], long, start=[said("Hi, you.")])
    assert result.text == lines("""
        scenarios:
          - label: it
            start: {expect: [{message: 'Hi, you.'}]}
            turns:
              - {user: hi, llm: [Hello.], expect: [], within: 2s}   # one line
              - { user: anything?,  # two
                  llm: [{call: {look: {}}}, Hello.],
                 expect: [{function_call_output: {name: look, output: 2 pm}}] }
              - {user: hi,
                 expect: [{function_call_output: {name: look, output: Monday at two and Tuesday at half past nine}},
                          {agent_handoff: {from: Desk, to: Billing}}]}
        """)  # noqa: E501


def test_line_ends_stay_what_they_are_and_a_missing_one_stays_missing():
    head = "scenarios:\r\n- label: it\r\n  turns:\r\n"
    text = head + "  - user: hi\r\n    llm: [Hello.]\r\n  - user: x"
    result = written(text, [gave("look", "a\nb")], [said("One."), said("Two.")])
    assert result.text == head + (
        "  - user: hi\r\n    llm: [Hello.]\r\n"
        "    expect:\r\n    - function_call_output:\r\n        name: look\r\n"
        "        output: |-\r\n          a\r\n          b\r\n"
        "  - user: x\r\n"
        "    expect:\r\n    - message: One.\r\n    - message: Two."
    )


def test_a_file_of_one_line_after_a_byte_order_mark_is_still_one():
    text = "\ufeff--- {scenarios: [{label: it, turns: [{user: häh? 🦊}]}]}"
    assert written(text, [said("Oh 🦊")]).text == (
        "\ufeff--- {scenarios: [{label: it, turns: [{user: häh? 🦊, expect: [{message: Oh 🦊}]}]}]}"
    )


def test_lines_of_text_keep_the_empty_ones_that_are_theirs():
    text = lines("""
        ---
        scenarios:
          - label: it
            turns:
              - user: |
                  Two
                  lines.


              - user: |+
                  And all that follows.

              - llm: [Hello.]
                user: >-
                  Folded.

        ...
        """)
    assert written(text, [], [], [said("Hello.")]).text == lines("""
        ---
        scenarios:
          - label: it
            turns:
              - user: |
                  Two
                  lines.
                expect: []


              - user: |+
                  And all that follows.

                expect: []
              - llm: [Hello.]
                user: >-
                  Folded.
                expect: []

        ...
        """)


def test_a_turn_keeps_the_aliases_and_merge_keys_in_it():
    text = lines("""
        scenarios:
          - label: other
            instructions: &busy You are busy.
            turns:
              - user: hi
                llm: &hello [Hello.]
                expect: []
              - wait: 1s
                after: &nothing {userdata: {n: 0}}
                expect: []
          - label: it
            turns:
              - user: *busy
                llm: *hello
                after: *nothing
              - <<: {llm: *hello}
                user: again
        """)
    result = written(text, [said("Hello."), MOVED], [said("Hello.")])
    assert result.text == text.replace(
        "        llm: *hello\n        after: *nothing\n",
        "        llm: *hello\n"
        "        expect:\n          - agent_handoff: {from: Desk, to: Billing}\n"
        "        after: *nothing\n",
    ).replace("        user: again\n", "        user: again\n        expect: []\n")


# --- turns that are left alone


def test_a_turn_that_has_an_expect_is_not_touched():
    text = lines("""
        scenarios:
          - label: it
            start: {llm: [Hi.], expect: []}
            turns:
              - {user: a, expect: []}
              - user: b
                expect: [{message: Something else.}]
        """)
    result = written(text, [said("One.")], [said("Two.")], start=[said("Three.")])
    assert result.text == text
    assert result.skipped == ()


def test_a_second_run_changes_nothing():
    text = "scenarios:\n- label: it\n  turns:\n  - user: hi\n  - {wait: 1s}\n"
    once = written(text, [MOVED], [said("Hm.")]).text
    assert once != text
    assert written(once, [said("Other.")], [said("Other.")]).text == once


def test_text_that_several_turns_share_is_left_alone_and_told():
    text = lines("""
        scenarios:
          - label: other
            turns: &turns
              - user: hi
                llm: [Hello.]
              - &bye {user: bye}
          - label: it
            turns: *turns
          - label: third
            turns:
              - *bye
              - &unused {user: me}
        """)
    one = Happened([said("Hm.")])
    result = write_expect(
        text, DESK, {"other": {1: one}, "it": {0: one}, "third": {0: one, 1: one}}
    )
    shared = "no expect was written: its text is shared by what says"
    assert result.text == text.replace("{user: me}", "{user: me, expect: [{message: Hm.}]}")
    assert result.skipped == (
        f"desk.yaml:6: 'other', turn 2: {shared} *turns; write the turn out",
        f"desk.yaml:4: 'it', turn 1: {shared} *turns; write the turn out",
        f"desk.yaml:6: 'third', turn 1: {shared} *bye; write the turn out",
    )


def test_turns_that_stand_elsewhere_are_left_alone_and_told(tmp_path):
    base, over = tmp_path / "base.yaml", tmp_path / "over.yaml"
    base.write_text(
        lines("""
        scenarios:
          - label: Theirs
            turns: [{user: hi}]
          - label: it
            start: {llm: [Hi.]}
            turns: [{user: hi}]
        """),
        encoding="utf-8",
    )
    text = lines("""
        base: base.yaml
        rest: true
        defaults: {start: {llm: [Hello.]}}
        scenarios:
          - label: Ours
            instructions: &hurry Hurry up, and call again.
            turns: [user: hi]
          - label: it
            turns: [{user: *hurry}]
          - label: Merged
            <<: {turns: [{user: hi}]}
        """)
    turns = {0: Happened([said("Hm.")]), "start": Happened([MOVED])}
    labels = ("Ours", "it", "Merged", "Theirs")
    result = write_expect(text, over, dict.fromkeys(labels, turns))
    assert result.text == text.replace("*hurry}", "*hurry, expect: [{message: Hm.}]}")
    elsewhere = (
        "no expect was written: its text does not stand in this scenario but in a base file, under "
        "defaults: or behind <<; write it there, or write it out here"
    )
    braceless = "no expect was written: it is written without braces; write - {user: …}"
    assert result.skipped == (
        f"{over}:7: 'Ours', turn 1: {braceless}",
        f"{over}:3: 'Ours', start: {elsewhere}",
        f"{base}:5: 'it', start: {elsewhere}",
        f"{over}:11: 'Merged', turn 1: {elsewhere}",
        f"{over}:3: 'Merged', start: {elsewhere}",
        f"{base}:3: 'Theirs', turn 1: {elsewhere}",
        f"{over}:3: 'Theirs', start: {elsewhere}",
    )


def test_a_start_that_nobody_wrote_is_told_only_if_something_happened_in_it():
    text = "scenarios:\n- label: it\n  turns: [{user: hi}]\n"
    came = AgentHandoff(old=None, new="Desk")
    assert written(text, start=[came]).skipped == ()
    for same in (text, text + "  start:\n"):
        [line] = written(same, start=[came, said("Hi.")]).skipped
        assert line.startswith("desk.yaml:2: 'it', start: no expect was written: its text does not")


# --- what has to be listed


def test_what_the_script_has_once_is_left_out_once():
    text = "scenarios:\n- label: it\n  turns:\n  - user: hi\n    llm: [Hello.]\n"
    result = written(text, [said("Hello."), gave("look", "x"), said("Hello.")])
    assert result.text == text + (
        "    expect:\n    - function_call_output: {name: look, output: x}\n    - message: Hello.\n"
    )


def test_what_the_script_says_with_a_capture_is_left_out_when_it_is_filled_in():
    text = lines("""
        scenarios:
        - label: it
          turns:
          - user: book it
            llm:
            - call: {book: {slot: "${slot}"}}
            capture: {slot: 'slot_\\w+'}
        """)
    filled = [LlmEntry(calls=(LlmCall("book", {"slot": "slot_7"}),), site=SITE)]
    events = [called("book", {"slot": "slot_7"}), gave("book", "slot_7 is yours")]
    outputs = "    - function_call_output: {name: book, output: slot_7 is yours}\n"
    assert outputs in written(text, events).text
    assert "function_call: {name: book, arguments: {slot: slot_7}}" in written(text, events).text
    assert "    expect:\n" + outputs in written(text, events, scripted=filled).text


# --- words


def entries(*events):
    """The entries of `expect` for events that no script has, and how many say less."""
    text = "scenarios:\n- label: it\n  turns:\n  - user: hi\n"
    result = written(text, list(events))
    assert result.text.startswith(text + "    expect:\n")
    listed = result.text.removeprefix(text + "    expect:\n").splitlines()
    return [line.removeprefix("    ") for line in listed], [
        line.partition("lets more pass than happened: ")[2] for line in result.inexact
    ]


def test_each_kind_of_event_is_written_in_a_line_of_its_own():
    assert entries(
        said("Sorry: no."),
        said("I have", interrupted=True),
        Message(role="system", text="Be brief."),
        Message(role="user", text="No!"),
        called("look"),
        called("book", {"slot": "1e3", "at": [1, None, {"a": 1.5}]}),
        gave("book", "", is_error=True),
        AgentHandoff(old=None, new="Desk"),
        MOVED,
        Close(reason="user_initiated"),
    ) == (
        [
            "- message: 'Sorry: no.'",
            "- message: {text: I have, interrupted: true}",
            "- message: {role: system, text: Be brief.}",
            "- function_call: {name: look, arguments: {}}",
            "- function_call: {name: book, arguments: {at: [1, null, {a: 1.5}], slot: '1e3'}}",
            "- function_call_output: {name: book, is_error: true, output: ''}",
            "- agent_handoff: {from: Desk, to: Billing}",
            "- close: user_initiated",
        ],
        [],
    )


def test_a_text_is_shown_line_by_line_unless_something_of_it_would_be_lost_to_the_eye():
    text = "scenarios:\n- label: it\n  turns:\n  - user: hi\n"
    assert written(text, [gave("look", "2 pm\n\n3 pm")]).text.endswith("  2 pm\n\n          3 pm\n")
    assert entries(gave("look", "2 pm\n\n  3 pm # late"))[0] == [
        "- function_call_output:",
        "    name: look",
        "    output: |-",
        "      2 pm",
        "",
        "        3 pm # late",
    ]
    for text, shown in (
        (" 2 pm\n3 pm", r" 2 pm\n3 pm"),
        ("2 pm \n3 pm", r"2 pm \n3 pm"),
        ("2 pm\n3 pm\n", r"2 pm\n3 pm\n"),
        ("2 pm\u2028\n3 pm", r"2 pm\L\n3 pm"),
        ("2 pm\r\n3 pm", r"2 pm\r\n3 pm"),
    ):
        assert entries(said(text))[0] == [f'- message: "{shown}"']


def test_a_line_that_would_be_too_long_is_folded():
    text = "There is nothing on Monday. " * 4
    assert entries(gave("look", text.strip()))[0] == [
        "- function_call_output:",
        "    name: look",
        f"    output: {text[:90].strip()}",
        f"      {text[90:].strip()}",
    ]


def test_what_a_file_would_read_as_a_capture_is_written_as_a_pattern():
    assert entries(
        said("Pay ${amount}."),
        called("pay", {"what": "${a}"}),
        gave("pay", "${"),
        said("half of a \ud83d"),
    ) == (
        [
            r"- message: {matches: '\APay \$\{amount\}\.\Z'}",
            r"- function_call: {name: pay, arguments: {what: {matches: '\A\$\{a\}\Z'}}}",
            r"- function_call_output: {name: pay, matches: '\A\$\{\Z'}",
            r"- message: {matches: \Ahalf of a \ud83d\Z}",
        ],
        [],
    )


def test_what_has_no_words_is_written_as_far_as_there_are_some_and_told():
    dots = "there is no word for it, so `...` stands for it and any that come with it"
    moved = AgentHandoff(old="<lambda>", new="Desk")
    any_value = "- function_call: {name: c, arguments: {n: {matches: .*}, of: [{matches: .*}]}}"
    assert entries(
        called("a", {"matches": "x"}),
        called("b", "[1"),
        called("c", {"of": [{"matches": "x"}], "n": 2**64 + 1}),
        called("d", {"n": float("inf"), "\udc00": 1}),
        Close(reason="out_of_milk"),
        called("${e}"),
        gave("${e}", "x"),
        moved,
        Close(reason="error", error="boom"),
    ) == (
        [
            "- function_call: a",
            "- function_call: b",
            any_value,
            "- function_call: {name: d, arguments: {n: {matches: .*}}}",
            "- ...",
            "- function_call_output: {output: x}",
            "- agent_handoff: {to: Desk}",
            "- close: error",
        ],
        [
            "function_call a(matches='x'): any arguments are expected",
            "function_call b(<[1>): its arguments are no JSON object, and any are expected",
            *(
                f"function_call c(of=[{{'matches': 'x'}}], n=18446744073709551617): arguments at "
                f"{where!r}: anything is expected"
                for where in ("n", "of[0]")
            ),
            "function_call d(n=inf, \udc00=1): arguments at 'n': anything is expected",
            "function_call d(n=inf, \udc00=1): arguments at '\\udc00': any or none is expected",
            f"close out_of_milk: {dots}",
            f"function_call ${{e}}(): {dots}",
            "function_call_output ${e} -> 'x': any tool is expected",
            f"agent_handoff {moved}: from: '<lambda>' is no class name, and any is expected",
            "close error: boom: any error is expected with it",
        ],
    )


def test_what_is_said_less_exactly_is_told_at_the_line_where_it_is_now():
    text = "scenarios:\n- label: it\n  turns:\n  - user: hi\n  - user: bye\n"
    [line] = written(text, [MOVED], [Close(reason="error", error="boom")]).inexact
    assert line == (
        "desk.yaml:7: 'it', turn 2: expect lets more pass than happened: close error: boom: "
        "any error is expected with it"
    )


# --- what is refused


def refused(text, happened, path=DESK):
    with pytest.raises(UsageError) as caught:
        write_expect(text, path, happened)
    return str(caught.value)


def test_a_file_that_cannot_be_read_is_told_as_ever():
    with pytest.raises(LoadError, match=r"^desk.yaml:1:1: unknown key 'scenario' in a scenario"):
        write_expect("scenario: []", DESK, {})


def test_what_was_not_played_from_this_file_is_refused():
    text = "scenarios:\n- label: Books it\n  turns: [{user: hi}]\n"
    one = Happened([])
    assert refused(text, {"Books": {0: one}}) == (
        "desk.yaml: there is no scenario 'Books'; did you mean 'Books it'?"
    )
    assert refused(text, {"x": {0: one}}) == (
        "desk.yaml: there is no scenario 'x'; there are 'Books it'"
    )
    for position in (1, -1):
        assert refused(text, {"Books it": {position: one}}) == (
            f"desk.yaml:2: 'Books it' has no turn {position + 1}: it is not the scenario that was "
            "played; play it again"
        )


def test_nothing_is_written_where_the_last_text_would_become_another():
    text = "scenarios:\n- label: it\n  turns:\n  - user: |\n      hi"
    assert refused(text, {"it": {0: Happened([])}}) == (
        "desk.yaml:4: 'it', turn 1: nothing was written, the file would not mean the same with "
        "what was to be expected; write the turns as `- user: …`, one key a line, and end the file "
        "with a line end"
    )
    assert written(text + "\n", []).text == text + "\n    expect: []\n"


def test_nothing_is_written_where_the_file_could_not_be_read_with_it():
    text = "scenarios:\n- label: it\n  turns:\n  - ? user\n    : hi\n"
    assert refused(text, {"it": {0: Happened([])}}) == (
        "desk.yaml: nothing was written, the file could not be read with what was to be expected "
        "(desk.yaml:6:13: not valid YAML: mapping values are not allowed in this context; a text "
        "with a colon stands in quotes); write the turns as `- user: …`, one key a line, and end "
        "the file with a line end"
    )


def test_nothing_is_written_that_the_same_events_would_not_meet(monkeypatch):
    monkeypatch.setattr("pytest_lkagent.scenarios.write_expect.entries_of", lambda *_: ([], []))
    text = "scenarios:\n- label: it\n  turns:\n  - user: hi\n"
    assert "would not mean the same" in refused(text, {"it": {0: Happened([said("Hi.")])}})


# --- real files


def unlike(file):
    """A file as loaded, without any `expect` of a turn and without line numbers."""

    def bare(turn):
        return turn and replace(turn, expect=None)

    scenarios = tuple(
        replace(one, start=bare(one.start), turns=one.turns and tuple(map(bare, one.turns)))
        for one in file.scenarios
    )
    return re.sub(r"line=\d+", "", repr(replace(file, scenarios=scenarios)))


def without_insertions(text, shorter):
    """Whether a text is another one with something inserted."""
    rest = iter(text)
    return all(sign in rest for sign in shorter)


HAPPENED = [called("look", {"day": "mon"}), gave("look", "2 pm\n3 pm"), said("Hm."), MOVED]


@pytest.mark.parametrize(
    "name", ["data_capture_sim.yaml", "frontdesk.yaml", "hotel_receptionist.yaml"]
)
def test_of_livekits_files_with_turns_every_other_byte_stays(name):
    if not LIVEKITS.is_dir():
        pytest.skip(f"LiveKit's scenario files are not beside this checkout, in {LIVEKITS}")
    original = (LIVEKITS / name).read_bytes().decode()
    label = re.compile(r"^( *)- label: .*\n", re.MULTILINE)
    turns = r"\g<0>\1  turns:\n\1  - user: hi\n\1    llm: [Hm.]\n{}\1  - {{user: bye{}}}\n"
    text = label.sub(turns.format("", ""), original)
    labels = [scenario.label for scenario in load_text(text, DESK).scenarios]
    happened = {0: Happened(HAPPENED), 1: Happened([said("Bye.")])}
    result = write_expect(text, DESK, dict.fromkeys(labels, happened))
    below = (
        r"\1    expect:\n"
        r"\1    - function_call: {name: look, arguments: {day: mon}}\n"
        r"\1    - function_call_output:\n\1        name: look\n\1        output: |-\n"
        r"\1          2 pm\n\1          3 pm\n"
        r"\1    - agent_handoff: {from: Desk, to: Billing}\n"
    )
    assert len(labels) > 5
    assert result.text == label.sub(turns.format(below, ", expect: [{message: Bye.}]"), original)
    assert (result.skipped, result.inexact) == ((), ())


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*/*.yaml")), ids=lambda path: path.stem
)
def test_the_examples_get_an_expect_in_each_turn_and_nothing_else(path):
    text = path.read_bytes().decode()
    file = load_text(text, path)
    happened = {
        scenario.label: {k: Happened(HAPPENED) for k, _ in enumerate(scenario.turns or ())}
        for scenario in file.scenarios
        if scenario.site.path == str(path)
    }
    result = write_expect(text, path, happened)
    again = load_text(result.text, path)
    assert result.skipped == ()
    assert without_insertions(result.text, text)
    assert unlike(again) == unlike(file)
    for scenario in again.scenarios:
        if scenario.label in happened:
            assert [turn.site for turn in scenario.turns or () if turn.expect is None] == []


# --- any file, any events

WORDS = st.sampled_from(["Hello.", "2 pm", "a: b", "- x", "${a}", "null", "...", "Two\nlines.\n"])
TEXTS = WORDS | st.text(st.characters(exclude_categories=()))
KEYS = st.sampled_from(["matches", "slot", "<<", "12", "true"]) | TEXTS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["look", "book", "Desk", "${a}", "<lambda>", "null"])
IDS = st.sampled_from("1234")
EVENTS = st.one_of(
    st.builds(
        Message,
        role=st.sampled_from(["assistant", "user", "system"]),
        text=TEXTS,
        interrupted=st.booleans(),
    ),
    st.builds(
        FunctionCall,
        name=NAMES,
        arguments=st.dictionaries(KEYS, JSON, max_size=3) | TEXTS,
        call_id=IDS,
    ),
    st.builds(FunctionCallOutput, name=NAMES, output=TEXTS, is_error=st.booleans(), call_id=IDS),
    st.builds(AgentHandoff, old=st.none() | NAMES, new=NAMES),
    st.builds(
        Close, reason=st.sampled_from(["error", "user_initiated", "other"]), error=st.none() | TEXTS
    ),
)
BLOCK_TURNS = [
    ["user: hi"],
    ["user: hi", "llm: [Hello., 2 pm]"],
    ["wait: 3s", "llm:", "- Hello.", "- call: {look: {}}", "- Hello.", "within: 2s"],
    ["llm:", "  - say: 'häh'  # what?", "    # deeper", "user: 'hi", "  there'", "check: a.py:b"],
    ["user: |", "  Two", "  lines.", "", "", "# not a text", "within: 2s"],
    ["user: hi", "llm:", "  - |+", "    Hello.", ""],
    ["<<: {user: hi}", "# nothing else", "settle: false"],
    ["user: &u hi", "after: {userdata: {}}", "interrupt: 1s"],
]
FLOW_TURNS = ["{user: hi}", "{user: 'x, }', llm: [Hello.]}   # why", "{ wait: 1s, within: 2s, }"]


@st.composite
def files(draw):
    """A file in one of many styles, with two scenarios, and the number of turns of each."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    inner, flat = draw(st.sampled_from(["", "  ", "    "])), draw(st.booleans())
    rows = [*draw(st.sampled_from([[], ["---"], ["# häh? 🦊", "", "name: x"]])), "scenarios:"]
    counts = []
    for label in ("it", "'other: one'"):
        rows += [f"{inner}- label: {label}"]
        rows += draw(st.sampled_from([[], [f"{inner}  start: {{}}"]]))
        turns = draw(st.lists(st.sampled_from([*FLOW_TURNS, *BLOCK_TURNS]), min_size=1, max_size=4))
        counts.append(len(turns))
        rows.append(f"{inner}  turns:")
        for turn in turns:
            dash = f"{inner}  {'' if flat else '  '}"
            if isinstance(turn, str):
                rows.append(f"{dash}- {turn}")
            else:
                for k, row in enumerate(turn):
                    unique = row.replace("&u", f"&u{len(rows)}")
                    rows.append(f"{dash}{'  ' if k else '- '}{unique}".rstrip())
            rows += draw(st.sampled_from([[], [""], [f"{dash}# next"], ["", "# far left"]]))
    end = newline if draw(st.booleans()) else ""
    return draw(st.sampled_from(["", "\ufeff"])) + newline.join(rows) + end, counts


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(files(), st.data())
def test_whatever_happened_in_whatever_file_is_expected_afterwards_and_all_else_stays(file, data):
    text, counts = file
    before = load_text(text, DESK)
    positions = {
        scenario.label: [*range(count), *(["start"] if scenario.start else [])]
        for scenario, count in zip(before.scenarios, counts, strict=True)
    }
    happened = {
        label: {position: Happened(data.draw(st.lists(EVENTS, max_size=6))) for position in some}
        for label, some in positions.items()
    }
    result = write_expect(text, DESK, happened)
    after = load_text(result.text, DESK)
    assert result.skipped == ()
    assert without_insertions(result.text, text)
    assert unlike(after) == unlike(before)
    for scenario in after.scenarios:
        for position, one in happened[scenario.label].items():
            turn = scenario.start if position == "start" else scenario.turns[position]
            assert match_turn(turn.expect, one.events, scripted=turn.llm) is None
            assert match_failures(turn.expect, one.events, scripted=turn.llm) is None
    assert write_expect(result.text, DESK, happened).text == result.text
