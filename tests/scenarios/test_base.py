"""A file that lays itself over LiveKit's: mappings merge, lists replace."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pytest_lkagent.errors import LoadError
from pytest_lkagent.scenarios.load import load
from pytest_lkagent.scenarios.model import ScenarioFile

FRONTDESK = """\
name: Front desk
scenarios:
- label: Books the first slot
  instructions: Take the first.
  tags: {feature: booking, kind: easy}
  userdata: {slots: [1, 2], clock: {now: noon, zone: utc}}
- label: Cancels a booking
  instructions: Cancel it.
- label: Asks for a human
  instructions: Ask.
"""


@pytest.fixture
def over(tmp_path, monkeypatch):
    """Load an overlay of frontdesk.yaml, which stands in lk/ beside it."""
    monkeypatch.chdir(tmp_path)
    Path("lk").mkdir()
    Path("lk/frontdesk.yaml").write_text(FRONTDESK)

    def load_overlay(text: str) -> ScenarioFile:
        Path("over.yaml").write_text(dedent(text))
        return load(Path("over.yaml"))

    return load_overlay


def refused(over, text: str) -> list[str]:
    with pytest.raises(LoadError) as caught:
        over(text)
    return list(caught.value.problems)


def test_a_named_scenario_keeps_what_the_overlay_does_not_say(over):
    file = over("""\
        base: lk/frontdesk.yaml
        agent: agent.py:Desk
        scenarios:
        - label: Books the first slot
          tags: {kind: scripted}
          userdata: {slots: [3], clock: {now: night}}
          turns: [{user: hi}]
        """)
    (scenario,) = file.scenarios
    assert (file.name, file.base, file.rest) == ("Front desk", Path("lk/frontdesk.yaml"), False)
    assert (scenario.instructions, str(scenario.agent)) == ("Take the first.", "agent.py:Desk")
    assert scenario.tags == {"feature": "booking", "kind": "scripted"}
    assert scenario.userdata == {"slots": [3], "clock": {"now": "night", "zone": "utc"}}
    assert scenario.turns[0].user.text == "hi"
    assert str(scenario.site) == "over.yaml:4"


def test_unnamed_scenarios_stay_out_unless_the_rest_is_wanted(over):
    text = (
        "base: lk/frontdesk.yaml\nrest: true\n"
        "scenarios: [{label: Cancels a booking, turns: [user: hi]}]"
    )
    labels = [scenario.label for scenario in over(text).scenarios]
    assert labels == ["Cancels a booking", "Books the first slot", "Asks for a human"]
    assert str(over(text).scenarios[1].site) == "lk/frontdesk.yaml:3"
    without = text.replace("rest: true", "rest: false")
    assert [scenario.label for scenario in over(without).scenarios] == ["Cancels a booking"]


def test_the_rest_alone_is_the_whole_base_with_our_defaults(over):
    file = over("base: lk/frontdesk.yaml\nrest: true\ndefaults: {timeout: 5s}\n")
    assert [scenario.timeout for scenario in file.scenarios] == [5.0] * 3


def test_a_scenario_unlike_any_of_the_base_is_new(over):
    file = over("""\
        base: lk/frontdesk.yaml
        scenarios:
        - {label: Hangs up, turns: []}
        - {label: Cancels a booking, turns: [user: hi]}
        """)
    labels = [scenario.label for scenario in file.scenarios]
    assert labels == ["Hangs up", "Cancels a booking"]


def test_a_label_nearly_that_of_the_base_is_a_slip_unless_it_brings_instructions(over):
    text = "base: lk/frontdesk.yaml\nscenarios:\n- {label: Cancels a bookin, turns: []}\n"
    assert refused(over, text) == [
        (
            "over.yaml:3:11: no scenario of the base is labelled 'Cancels a bookin'; did you mean "
            "'Cancels a booking'? (a new scenario needs instructions of its own)"
        )
    ]
    file = over(text.replace("turns: []", "instructions: Another one."))
    assert file.scenarios[0].instructions == "Another one."


def test_a_base_may_have_a_base_and_references_stay_relative_to_their_own_file(over):
    Path("lk/scripted.yaml").write_text(
        "base: frontdesk.yaml\nagent: agent.py:Desk\nscenarios:\n"
        "- {label: Asks for a human, turns: [{user: human}]}\n"
    )
    file = over("base: lk/scripted.yaml\nscenarios:\n- {label: Asks for a human, xfail: soon}\n")
    (scenario,) = file.scenarios
    assert scenario.turns[0].user.text == "human"
    assert (scenario.xfail, scenario.agent.site.path) == ("soon", str(Path("lk/scripted.yaml")))
    assert file.base == Path("lk/scripted.yaml")


def test_that_a_scenario_is_expected_to_fail_is_taken_back_by_false(over):
    failing = FRONTDESK.replace("instructions: Ask", "xfail: not yet\n  instructions: Ask")
    Path("lk/frontdesk.yaml").write_text(failing)
    text = "base: lk/frontdesk.yaml\nscenarios: [{label: Asks for a human, turns: [user: hi]}]\n"
    assert over(text).scenarios[0].xfail == "not yet"
    assert over(text.replace("turns", "xfail: false, turns")).scenarios[0].xfail is None


def test_a_mistake_in_the_base_is_told_with_the_line_of_the_base(over):
    Path("lk/frontdesk.yaml").write_text(
        FRONTDESK.replace("instructions: Cancel", "instrctions: C")
    )
    text = "base: lk/frontdesk.yaml\nscenarios: [{label: Cancels a booking, turns: []}]"
    assert refused(over, text) == [
        (
            "lk/frontdesk.yaml:8:3: unknown key 'instrctions' in a scenario; did you mean "
            "'instructions'?"
        )
    ]


def test_a_base_that_is_no_yaml_is_told_beside_our_own_mistakes(over):
    Path("lk/frontdesk.yaml").write_text("a: [\n")
    text = "base: lk/frontdesk.yaml\nscenarios: [{label: a, turns: 3}]"
    assert refused(over, text) == [
        "over.yaml:2:31: turns cannot be '3'; write a list of turns, each with user: or wait:",
        (
            "lk/frontdesk.yaml:2:1: not valid YAML: did not find expected node content, while "
            "parsing a flow node"
        ),
    ]


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        (
            "missing.yaml",
            (
                "7: base 'missing.yaml' cannot be read: No such file or directory; write a "
                "path relative to this file"
            ),
        ),
        ("lk", "7: base 'lk' cannot be read: Is a directory; write a path relative to this file"),
        (r'"a\0b"', "7: base 'a\\x00b' is no path; write one relative to this file"),
        ("[a]", "7: base cannot be a list; write the path of a scenario file"),
        ("", "6: base cannot be nothing; write the path of a scenario file"),
        ("''", "7: base '' cannot be read: Is a directory; write a path relative to this file"),
        ("over.yaml", "7: 'over.yaml' leads back to this file; leave one base: out"),
        ("lk/../over.yaml", "7: 'lk/../over.yaml' leads back to this file; leave one base: out"),
    ],
)
def test_a_base_that_cannot_be_used(base, problem, over):
    (line,) = refused(over, f"base: {base}\nscenarios: [{{label: a, turns: []}}]\n")
    assert line == f"over.yaml:1:{problem}"


def test_a_base_in_a_circle_is_refused_where_it_closes(over):
    Path("lk/back.yaml").write_text("base: ../over.yaml\nscenarios: [{label: a, turns: []}]\n")
    assert refused(over, "base: lk/back.yaml\nscenarios: [{label: a, turns: []}]\n") == [
        "lk/back.yaml:1:7: '../over.yaml' leads back to this file; leave one base: out"
    ]


def test_a_base_that_is_no_mapping_is_refused(over):
    Path("lk/frontdesk.yaml").write_text("- a\n")
    assert refused(over, "base: lk/frontdesk.yaml\nscenarios: [{label: a, turns: []}]\n") == [
        "lk/frontdesk.yaml:1:1: a scenario file is a mapping; write scenarios: and a list of them"
    ]


def test_an_overlay_without_scenarios_and_without_the_rest_has_nothing_to_run(over):
    assert refused(over, "base: lk/frontdesk.yaml\n") == [
        "over.yaml:1:1: there are no scenarios; write scenarios: and a list of them, or rest: true"
    ]


def test_a_merge_key_and_a_doubled_key_behave_as_without_a_base(over):
    (line,) = refused(
        over,
        """\
        base: lk/frontdesk.yaml
        scenarios:
        - label: Books the first slot
          tags: {a: b, a: c}
        """,
    )
    assert line == "over.yaml:4:16: the key 'a' stands here twice, first in line 4; keep one"
    file = over("""\
        base: lk/frontdesk.yaml
        scenarios:
        - label: Books the first slot
          turns: [user: hi]
          tags: {<<: {kind: merged}}
        """)
    assert file.scenarios[0].tags == {"feature": "booking", "kind": "merged"}


def test_something_that_is_no_scenario_is_refused_as_ever(over):
    text = "base: lk/frontdesk.yaml\nscenarios: [3, {label: [x], turns: []}]\n"
    first, second = refused(over, text)
    assert first.startswith("over.yaml:2:13: a scenario cannot be '3'; write a mapping")
    assert second == "over.yaml:2:24: label cannot be a list; write a name for the scenario"
