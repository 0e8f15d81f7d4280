"""What a scenario says of its entrypoint, its job and its judges; a mistake in it is one line."""

from __future__ import annotations

import pytest

KINDS = "one of standard, sip, connector, agent, ingress, egress"
VERDICTS = "one of pass, fail, maybe"
MISTAKES = [
    (
        "entrypoint: foo",
        "13: entrypoint cannot be 'foo'; write package.module:name or file.py:name",
    ),
    (
        "agent: a.py:A, entrypoint: a.py:s",
        "*: a scenario cannot have agent and entrypoint together",
    ),
    ("job: 1", "6: job cannot be '1'; write a mapping with some of metadata, attributes, *"),
    ("job: {metdata: x}", "7: unknown key 'metdata' in job; did you mean 'metadata'?"),
    (
        "job: {metadata: ~}",
        "17: metadata cannot be nothing; write a text, or a mapping for its JSON",
    ),
    ("job: {attributes: x}", "19: attributes cannot be 'x'; write a mapping of text to text"),
    ("job: {attributes: {a: [b]}}", "23: attributes cannot be a list; write a text"),
    (
        "job: {participant: x}",
        "20: participant cannot be 'x'; write a mapping with some of identity, *",
    ),
    ("job: {participant: {kind: phone}}", f"27: kind cannot be 'phone'; write {KINDS}"),
    ("judges: good", f"9: judges cannot be 'good'; write {VERDICTS}"),
    (
        "judges: [pass]",
        f"9: judges cannot be a list; write {VERDICTS}, or a mapping of a judge to that",
    ),
    ("judges: {accuracy: [pass]}", f"20: judges cannot be a list; write {VERDICTS}"),
    ("judges: {accuracy: good}", f"20: judges cannot be 'good'; write {VERDICTS}"),
    ("expect_veto: [a]", "14: expect_veto cannot be a list; write a text of the reason"),
]


@pytest.mark.parametrize(("said", "problem"), MISTAKES)
def test_a_mistake_in_what_an_entrypoint_needs_is_one_line(said, problem, mistakes):
    before = "scenarios: [{label: it, turns: [], "
    [told] = mistakes(f"{before}{said}}}]\n")
    offset, _, words = problem.partition(": ")
    place, _, shown = told.partition(": ")
    if offset != "*":
        assert place == f"desk.yaml:1:{len(before) + int(offset)}"
    assert shown.startswith(words.removesuffix("*"))


def test_a_file_has_one_thing_under_test_and_a_scenario_its_own(read):
    file = read("""\
        entrypoint: server.py:server
        scenarios:
        - {label: the file's, turns: []}
        - {label: its own, turns: [], agent: agent.py:Desk}
        """)
    first, second = file.scenarios
    assert str(first.entrypoint) == "server.py:server"
    assert first.agent is None
    assert second.entrypoint is None
    assert str(second.agent) == "agent.py:Desk"


def test_a_file_cannot_have_both(mistakes):
    [told] = mistakes("{agent: a.py:A, entrypoint: a.py:s, scenarios: [{label: a, turns: []}]}\n")
    assert told.startswith("desk.yaml:1:1: a scenario file cannot have agent and entrypoint")


def test_all_of_it_is_read(read_one):
    scenario = read_one("""\
        turns: []
        job:
          metadata: {name: Maya, tries: 2, since: 2026-06-12}
          attributes: {plan: gold, seats: 4}
          participant:
            identity: phone
            name: Maya
            metadata: no 7
            kind: sip
            attributes: {sip.callID: x}
        judges: {accuracy: fail}
        expect_veto: no rows
        """)
    assert scenario.job is not None
    assert scenario.job.said == {
        "metadata": {"name": "Maya", "tries": 2, "since": "2026-06-12T00:00:00Z"},
        "attributes": {"plan": "gold", "seats": "4"},
        "participant": {
            "identity": "phone",
            "name": "Maya",
            "metadata": "no 7",
            "kind": "sip",
            "attributes": {"sip.callID": "x"},
        },
    }
    assert scenario.judges == {"accuracy": "fail"}
    assert scenario.expect_veto == "no rows"
    empty = read_one("""\
        turns: []
        job: {metadata: as it is, participant: ~}
        judges: maybe
        """)
    assert empty.job is not None
    assert empty.job.said == {"metadata": "as it is", "participant": None}
    assert empty.judges == "maybe"
