"""Every mistake is one line: file, line, column, what it is, and what to write instead."""

from __future__ import annotations

import re

import pytest


def test_all_mistakes_of_a_file_come_at_once_in_their_order(mistakes):
    assert mistakes("""\
        nme: Desk
        scenarios:
        - label: a
          turns:
          - usr: hi
          - {user: hi, within: soon}
        - labl: b
          turns: []
        """) == [
        "desk.yaml:1:1: unknown key 'nme' in a scenario file; did you mean 'name'?",
        "desk.yaml:5:5: unknown key 'usr' in a turn; did you mean 'user'?",
        "desk.yaml:6:24: within cannot be 'soon'; write 250ms, 2s, 1m or a number of seconds",
        "desk.yaml:7:3: unknown key 'labl' in a scenario; did you mean 'label'?",
    ]


ROOT = [
    ("", "1:1: the file is empty; write `scenarios:` and a list of scenarios"),
    ("# only a comment\n", "1:1: the file is empty; write `scenarios:` and a list of scenarios"),
    ("---\n", "1:1: the file is empty; write `scenarios:` and a list of scenarios"),
    (b"a: b\n\0", "2:1: a binary file, not YAML; name a scenario file"),
    (b"a:\n  \xff\xfe", "2:3: not UTF-8 text; save the file as UTF-8"),
    (
        "a: b\n---\nc: d\n",
        "3:1: a second document begins; put all scenarios into one, without `---`",
    ),
    ("a: é\x01\n", "1:5: the character '\\x01' is not allowed; write it as an escape"),
    (
        "a: [\n",
        "2:1: not valid YAML: did not find expected node content, while parsing a flow node",
    ),
    ("a: *b\n", "1:4: not valid YAML: found undefined alias"),
    ("%YAML 9.9\n---\n", "1:1: not valid YAML: found incompatible YAML document"),
    ("a: &a [*a]\n", "1:4: this contains itself through an alias; write the inner part out"),
    ("[" * 101, "1:100: nested too deeply; a scenario needs no more than a few levels"),
    ("- " * 200_000, "1:199: nested too deeply; a scenario needs no more than a few levels"),
    (
        "- 1\n",
        (
            "1:1: a scenario file cannot be a list; write a mapping with some of id, name, agent, "
            "entrypoint, base, rest, defaults, scenarios"
        ),
    ),
    ("{}", "1:1: there are no scenarios; write scenarios: and a list of them"),
    ("scenarios: []", "1:12: there is no scenario; write a list of them, each with a label"),
    (
        "scenarios:\n",
        ("1:11: scenarios cannot be nothing; write a list of scenarios, each with a label"),
    ),
    (
        "scenarios: {a: b}",
        ("1:12: scenarios cannot be a mapping; write a list of scenarios, each with a label"),
    ),
]


@pytest.mark.parametrize(("content", "line"), ROOT, ids=[line for _, line in ROOT])
def test_a_file_that_cannot_be_read_at_all(content, line, mistakes):
    assert mistakes(content) == [f"desk.yaml:{line}"]


def test_levels_that_only_aliases_make_too_deep_are_refused(mistakes):
    lines = ["a0: &a0 [1]", *(f"a{n}: &a{n} [[*a{n - 1}]]" for n in range(1, 60))]
    (line,) = mistakes("\n".join(lines))
    assert re.fullmatch(r"desk.yaml:\d+:\d+: nested too deeply; .*", line)


def test_aliases_that_blow_up_are_refused(mistakes):
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    (line,) = mistakes("\n".join(lines))
    assert re.fullmatch(
        r"desk.yaml:1:1: aliases repeat so much that [\d,]+ values result; use fewer", line
    )


LABELS = [
    ("'a::b'", "a label cannot contain '::': test ids would not survive it; write ':'"),
    ("'a[b'", "a label cannot contain '[': test ids would not survive it; write '('"),
    (r'"a\nb"', r"a label cannot contain '\n'; write it in one line of text"),
    (r'"a\0b"', r"a label cannot contain '\x00'; write it in one line of text"),
    (r'"a\Lb"', r"a label cannot contain '\u2028'; write it in one line of text"),
    ("__class__", "a label cannot be '__class__': Python gives it a meaning; write 'class'"),
    ("''", "the label is empty; write a name for the scenario"),
    ("'  '", "the label is empty; write a name for the scenario"),
    ("", "label cannot be nothing; write a name for the scenario"),
    ("[a]", "label cannot be a list; write a name for the scenario"),
]


@pytest.mark.parametrize(("label", "problem"), LABELS)
def test_a_label_that_cannot_name_a_test_is_refused(label, problem, mistakes):
    (line,) = mistakes(f"scenarios:\n- turns: []\n  label: {label}\n")
    assert re.fullmatch(rf"desk.yaml:3:\d+: {re.escape(problem)}", line)


def test_a_label_used_twice_says_where_it_was_used_first(mistakes):
    text = "scenarios:\n" + "- {label: a, turns: []}\n" * 3
    assert mistakes(text) == [
        "desk.yaml:3:11: the label 'a' is already used in desk.yaml:2; write another",
        "desk.yaml:4:11: the label 'a' is already used in desk.yaml:2; write another",
    ]


def test_a_key_given_twice_says_where_it_stood_first(mistakes):
    assert mistakes("""\
        scenarios:
        - label: a
          turns: []
          userdata: {a: 1, b: {c: 1, c: 2}}
          turns: [~]
        """) == [
        "desk.yaml:4:30: the key 'c' stands here twice, first in line 4; keep one",
        "desk.yaml:5:3: the key 'turns' stands here twice, first in line 3; keep one",
    ]


SCENARIO = [
    (
        "nothing: 1",
        (
            "1: unknown key 'nothing' in a scenario; the keys of a scenario: id, label, "
            "instructions, agent_expectations, tags, userdata, agent, entrypoint, turns, "
            "absent, check, expect_veto, snapshot, marks, xfail, "
            "fuzz, start, mocks, session, history, job, judges, target, now, allow, timeout, "
            "mode, voices, impairments"
        ),
    ),
    ("agent: foo", "8: agent cannot be 'foo'; write package.module:name or file.py:name"),
    ("agent: 'a b.py'", "8: agent cannot be 'a b.py'; write package.module:name or file.py:name"),
    ("check: [a]", "8: check cannot be a list; write package.module:name or file.py:name"),
    ("check:", "7: check cannot be nothing; write package.module:name or file.py:name"),
    ("marks: slow", "8: marks cannot be 'slow'; write a list"),
    ("marks: [slow(5)]", "9: marks cannot be 'slow(5)'; write a name of letters, digits and _"),
    ("xfail:", "7: xfail cannot be nothing; write the reason why it fails, or false"),
    ("xfail: ' '", "8: xfail cannot be ' '; write the reason why it fails, or false"),
    ("xfail: no", "8: xfail cannot be 'no'; write the reason why it fails, or false"),
    ("xfail: 'False'", "8: xfail cannot be 'False'; write the reason why it fails, or false"),
    (
        "now: tomorrow",
        ("6: now cannot be 'tomorrow'; write a date and time like 2026-06-12T09:00:00Z"),
    ),
    ("now: [1]", "6: now cannot be a list; write a date and time like 2026-06-12T09:00:00Z"),
    ("timeout: -1", "10: timeout cannot be '-1'; write 250ms, 2s, 1m or a number of seconds"),
    ("timeout: [1]", "10: timeout cannot be a list; write 250ms, 2s, 1m or a number of seconds"),
    (
        "tags: [a]",
        ("7: tags cannot be a list; write a mapping of text to text, like {feature: booking}"),
    ),
    ("tags: {a: [b]}", "11: the tag a cannot be a list; write a text"),
    ("userdata: [a]", "11: userdata cannot be a list; write a mapping"),
    ("userdata: {a: .nan}", "15: userdata cannot hold .nan: JSON has no such number; write a text"),
    ("userdata: {a: {1: b}}", "16: a key of userdata cannot be '1' unquoted; write '1'"),
    ("userdata: {[a]: b}", "12: a key cannot be a list; write a text"),
    ("userdata: {a: !!int x}", "15: 'x' in userdata is no !!int; leave the tag out"),
    ("userdata: {a: !color red}", "15: the tag '!color' means nothing here; leave it out"),
    ("userdata: {<<: 3}", "16: what << merges in cannot be '3'; write an alias of a mapping"),
    ("session: 3", "10: session cannot be '3'; write a mapping"),
    ("allow: unused_step", "8: allow cannot be 'unused_step'; write a list"),
    ("allow: [unused_stp]", "9: allow knows no kind 'unused_stp'; did you mean 'unused_step'?"),
    ("allow: [x]", "9: allow knows no kind 'x'; the kinds are leaked_task, unused_step"),
    (
        "start: hi",
        (
            "8: start cannot be 'hi'; write a mapping with some of llm, expect, expect_error, "
            "after, check, capture, within, snapshot"
        ),
    ),
    (
        "start: {user: hi}",
        (
            "9: unknown key 'user' in start; the keys of start: llm, expect, "
            "expect_error, after, check, capture, within, snapshot"
        ),
    ),
    ("history: [{usr: x}]", "12: unknown key 'usr' in history; did you mean 'user'?"),
    (
        "history: [{user: x, assistant: y}]",
        ("11: an entry of history cannot have user and assistant together; keep one"),
    ),
    (
        "history: [{function_call: {}}]",
        ("27: function_call names no tool; write name: and the tool's name"),
    ),
    (
        "history: [{function_call_output: {name: book}}]",
        ("41: no call of 'book' waits for an output; write the function_call before it"),
    ),
    (
        "history: [{function_call: {name: book}}, {function_call_output: {name: bok}}]",
        ("72: no call of 'bok' waits for an output; did you mean 'book'?"),
    ),
    ("absent: [...]", "10: `...` skips events, which only expect can do; leave it out"),
    (
        "absent: [{}]",
        (
            "10: what is expected is empty; write an event with one of the keys message, "
            "function_call, function_call_output, agent_handoff, close"
        ),
    ),
    (
        "absent: [x]",
        (
            "10: what is expected cannot be 'x'; write an event with one of the keys message, "
            "function_call, function_call_output, agent_handoff, close"
        ),
    ),
    (
        "llm: [Hello.]",
        (
            "1: unknown key 'llm' in a scenario; it belongs to a turn: indent it as far as its "
            "user: or wait:"
        ),
    ),
    (
        "mocks: [a]",
        (
            "8: mocks cannot be a list; write a mapping of class names to their tools, like "
            "{FrontDesk: {book: booked}}"
        ),
    ),
    (
        "mocks: {a b: {}}",
        ("9: the class of a mock cannot be 'a b'; write a class name, or module:Class"),
    ),
    (
        "mocks: {Desk: x}",
        (
            "15: the mocks of Desk cannot be 'x'; write its tools and what they return, like {book"
            ": booked}, or the AgentTask's result, like {task: Maya}"
        ),
    ),
    (
        "mocks: {Desk: {a b: x}}",
        ("16: the name of a tool cannot be 'a b'; write a name of letters, digits, _ and -"),
    ),
    (
        "mocks: {Desk: {a: [x]}}",
        (
            "19: the mock of a cannot be a list; write {returns: […]} for a list to return, or "
            "{calls: [booked, {error: full}]} for one outcome for each call"
        ),
    ),
    (
        "mocks: {Desk: {a: {}}}",
        (
            "19: the mock of a says nothing; write returns:, error:, raises:, or "
            "optional: true to watch the real tool"
        ),
    ),
    (
        "mocks: {Desk: {a: {retuns: 1}}}",
        ("20: unknown key 'retuns' in the mock of a; did you mean 'returns'?"),
    ),
    (
        "mocks: {Desk: {a: {returns: 1, error: x}}}",
        ("19: the mock of a cannot have returns and error together; keep one"),
    ),
    (
        "mocks: {Desk: {a: {calls: [], delay: 1}}}",
        ("19: the mock of a cannot have calls and delay together; keep one"),
    ),
    (
        "mocks: {Desk: {a: {calls: [[]]}}}",
        ("28: a call of the mock of a cannot be a list; write {returns: […]} for a list to return"),
    ),
    (
        "mocks: {Desk: {a: {calls: [{delay: 2s}, x]}}}",
        "28: a call of the mock of a has no outcome; write returns:, error: or raises:",
    ),
    (
        "mocks: {Desk: {a: {error: x, message: y}}}",
        ("39: message in the mock of a belongs to raises:; write error:"),
    ),
    (
        "mocks: {Desk: {a: {raises: 'x y'}}}",
        ("28: raises cannot be 'x y'; write a class name, or module:Class"),
    ),
]


@pytest.mark.parametrize(("keys", "problem"), SCENARIO, ids=[keys for keys, _ in SCENARIO])
def test_a_mistake_in_a_scenario(keys, problem, mistakes):
    text = f"scenarios:\n- label: a\n  instructions: x\n  {keys}\n"
    (line,) = mistakes(text, allow_kinds={"unused_step", "leaked_task"})
    column, _, told = problem.partition(": ")
    assert line == f"desk.yaml:4:{int(column) + 2}: {told}"


def test_instructions_of_which_no_turn_is_played_are_refused(mistakes):
    """Without `turns` it would be skipped; with an empty list it passed, and nobody was heard."""
    told = (
        "nothing is played of the instructions; write what the user says, such as turns: [{user: "
        "hello, llm: [Hello.]}], or leave turns out"
    )
    text = "scenarios:\n- label: a\n  instructions: You book.\n  turns: []\n"
    assert mistakes(text) == [f"desk.yaml:4:10: {told}"]


@pytest.mark.parametrize("key", ["start: {llm: [Hi.]}", "absent: [message: Hi]", "check: c.py:c"])
def test_instructions_may_have_no_turns_where_something_is_said_of_the_start(key, read):
    text = f"scenarios:\n- label: a\n  instructions: You book.\n  turns: []\n  {key}\n"
    assert read(text).scenarios[0].turns == ()


def test_a_scenario_in_which_nothing_happens_is_refused(mistakes):
    assert mistakes("scenarios:\n- {label: a, tags: {}}\n- {turns: []}\n- ~\n") == [
        (
            "desk.yaml:2:3: a scenario in which nothing happens; write what the user says, such as "
            "turns: [{user: hello, llm: [Hello.]}]"
        ),
        "desk.yaml:3:3: a scenario without a label; write label: and a name for it",
        (
            "desk.yaml:4:3: a scenario cannot be nothing; write a mapping with some of id, label, "
            "instructions, agent_expectations, tags, userdata, agent, entrypoint, turns, "
            "absent, check, expect_veto, snapshot, marks, xfail, "
            "fuzz, start, mocks, session, history, job, judges, target, now, allow, timeout, "
            "mode, voices, impairments"
        ),
    ]


def test_a_mistake_in_the_defaults_is_told_once_for_all_scenarios(mistakes):
    assert mistakes("""\
        defaults: {start: {llm: [{sy: x}]}, turns: []}
        scenarios:
        - {label: a, turns: []}
        - {label: b, turns: []}
        """) == [
        "desk.yaml:1:27: unknown key 'sy' in an llm step; did you mean 'say'?",
        (
            "desk.yaml:1:37: unknown key 'turns' in defaults; the keys of defaults: start, mocks, "
            "session, history, job, judges, target, now, allow, timeout, "
            "mode, voices, impairments"
        ),
    ]


def test_a_mistake_behind_an_alias_is_told_once(mistakes):
    assert mistakes("""\
        scenarios:
        - {label: a, turns: &t [{usr: x}]}
        - {label: b, turns: *t}
        """) == ["desk.yaml:2:26: unknown key 'usr' in a turn; did you mean 'user'?"]


def test_rest_without_a_base_is_refused(mistakes):
    assert mistakes("rest: true\nscenarios: [{label: a, turns: []}]\n") == [
        "desk.yaml:1:7: rest says what to take of a base; write base: too"
    ]


def test_what_one_scenario_captured_is_unknown_to_the_next(mistakes):
    assert mistakes("""\
        scenarios:
        - {label: a, turns: [{user: x, capture: {id: 'O_'}}]}
        - {label: b, turns: [{user: '${id}'}]}
        """) == ["desk.yaml:3:29: '${id}' was captured by no earlier turn; captured before: none"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "scenarios:\n- label: a\n\tturns: 3\n",
            (
                "desk.yaml:3:1: not valid YAML: found a tab character that violates indentation, "
                "while scanning a plain scalar; indent with spaces"
            ),
        ),
        (
            "scenarios:\n- label: a\n  turns:\n  - user: Sorry: taken\n",
            "mapping values are not allowed in this context; a text with a colon stands in quotes",
        ),
        (
            "scenarios: [{label: a, turns: [{user: hi, llm: [Sorry: taken]}]}]",
            '; a text with a colon stands in quotes: "Sorry: taken"',
        ),
        (
            "scenarios: [{label: a, turns: [{user: {Sorry: taken}}]}]",
            '; a text with a colon stands in quotes: "Sorry: taken"',
        ),
        (
            "scenarios:\n- label: a\n  turns:\n  - user: 'I'm here'\n",
            "; the text ends at the ' before this; put it in other quotes",
        ),
        (
            'scenarios: [{label: a, turns: [{user: "say "two" now"}]}]',
            '; the text ends at the " before this; put it in other quotes',
        ),
        (
            "scenarios:\n- label: a\n  turns:\n\u00a0 - user: hi\n    llm: [Hi.]\n",
            "; line 4 is indented with no-break spaces; indent with spaces",
        ),
        (
            "scenarios:\n- label: a\n  turns:\n    - user: hi\n    llm: [Hi.]\n",
            "; keys and entries that belong together are indented alike",
        ),
        (
            "scenarios:\n- label: a\n  turns:\n  - user: *waves* hi\n",
            "; a text that begins with * or & stands in quotes",
        ),
        (
            "scenarios:\n- label: @home\n",
            "not with tabs, and put a text that begins with @, ` or % in quotes",
        ),
    ],
)
def test_the_commonest_slips_of_yaml_say_what_to_write(mistakes, content, line):
    (told,) = mistakes(content.encode())
    assert line in told
