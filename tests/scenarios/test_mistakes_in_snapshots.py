"""What a scenario compares with a snapshot; mistakes in it are a line each, like any other."""

from __future__ import annotations

import pytest

TEXT = "write a text, in quotes if need be"
MISTAKES = [
    ("yes please", "0: snapshot cannot be 'yes please'; write true or false"),
    ("1", "0: snapshot cannot be '1'; write true or false"),
    ("''", "0: snapshot cannot be ''; write true or false"),
    ("[a]", "0: snapshot cannot be a list; write a mapping with some of exclude, replace"),
    ("{exlude: [a]}", "1: unknown key 'exlude' in snapshot; did you mean 'exclude'?"),
    ("{exclude: a}", "10: exclude cannot be 'a'; write a list, like [agent_handoff]"),
    ("{exclude: {a: b}}", "10: exclude cannot be a mapping; write a list, like [agent_handoff]"),
    ("{exclude: [a, [b]]}", f"14: exclude cannot be a list; {TEXT}"),
    (
        "{replace: [a]}",
        (
            "10: replace cannot be a list; write a mapping of a regex to a text, like "
            "{'O_\\w+': order}"
        ),
    ),
    (
        "{replace: {'(': b}}",
        (
            "11: replace is no regular expression: missing ), unterminated subpattern at position "
            "0; write \\ before a sign"
        ),
    ),
    (
        "{replace: {'': b}}",
        "11: replace cannot be ''; write a regular expression that does not fit every text",
    ),
    ("{replace: {a: [b]}}", f"14: replace cannot be a list; {TEXT}"),
    ("{replace: {a: ~}}", f"14: replace cannot be nothing; {TEXT}"),
    (
        "{exclude: [a], exclude: [b]}",
        "15: the key 'exclude' stands here twice, first in line 4; keep one",
    ),
]
# the text before and after, and the column in which what is said begins
PLACES = {
    "the whole": ("  turns: []\n  snapshot: ", "\n", 13),
    "a turn": ("  turns:\n  - user: hi\n    snapshot: ", "\n", 15),
    "the start": ("  turns: []\n  start: {llm: [Hi.], snapshot: ", "}\n", 33),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("said", "problem"), MISTAKES)
def test_a_mistake_in_snapshot_is_one_line(said, problem, place, mistakes):
    before, after, column = PLACES[place]
    text = f"scenarios:\n- label: it\n{before}{said}{after}"
    line = text[: text.index(said)].count("\n") + 1
    offset, _, told = problem.partition(": ")
    told = told.replace("first in line 4", f"first in line {line}")
    assert mistakes(text) == [f"desk.yaml:{line}:{column + int(offset)}: {told}"]


def test_all_mistakes_of_one_come_at_once(mistakes):
    assert mistakes("""\
        scenarios:
        - label: it
          turns: []
          snapshot:
            exclude: [[a], {b: c}]
            replace: {'[': x, '(': y}
        """) == [
        f"desk.yaml:5:15: exclude cannot be a list; {TEXT}",
        f"desk.yaml:5:20: exclude cannot be a mapping; {TEXT}",
        (
            "desk.yaml:6:15: replace is no regular expression: unterminated character set at "
            "position 0; write \\ before a sign"
        ),
        (
            "desk.yaml:6:23: replace is no regular expression: missing ), unterminated subpattern "
            "at position 0; write \\ before a sign"
        ),
    ]


def test_what_is_said_is_read(read_one):
    assert read_one("turns: []").snapshot is None
    assert read_one("turns: []\nsnapshot: false").snapshot is None
    whole = read_one("turns: []\nsnapshot: true").snapshot
    assert (whole.exclude, whole.replace) == ((), ())
    scenario = read_one("""\
        turns:
        - {user: hi, snapshot: {exclude: [agent_handoff, arguments.token], replace: {'O_\\w+': 7}}}
        - {user: hi}
        """)
    first, second = scenario.turns
    assert first.snapshot.exclude == ("agent_handoff", "arguments.token")
    assert first.snapshot.redaction["replace"] == {r"O_\w+": "7"}
    assert str(first.snapshot.site).endswith("desk.yaml:4")
    assert second.snapshot is None is scenario.snapshot
