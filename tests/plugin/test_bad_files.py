"""Scenario files with mistakes: one line each, and only that file's items are missing."""

from __future__ import annotations

import os

import pytest

GOOD = """
agent: agent.py:FrontDesk
scenarios:
  - label: Books
    turns:
      - user: 2pm
        llm: [call: {book: {slot: 2pm}}, Booked.]
"""
HEAD = "agent: agent.py:FrontDesk\nscenarios:\n"


def scenario(line: str, label: str = "Books") -> str:
    return f"{HEAD}- label: {label}\n  {line}\n  turns: [user: hi]\n"


MISTAKES = {
    "unknown key": (
        scenario("turn: []"),
        "4:3: unknown key 'turn' in a scenario; did you mean 'turns'?",
    ),
    "wrong type": (scenario("timeout: soon"), "4:12: timeout cannot be 'soon'; *"),
    "duplicate key": (
        scenario("label: Again"),
        "4:3: the key 'label' stands here twice, first in line 3; keep one",
    ),
    "duplicate label": (
        f"{HEAD}- {{label: a, turns: []}}\n- {{label: a, turns: []}}\n",
        "4:11: the label 'a' is already used in desk.yaml:3; write another",
    ),
    "empty": (b"", "1:1: the file is empty; write `scenarios:` and a list of scenarios"),
    "binary": (b"\x00\x01scenarios:", "1:1: a binary file, not YAML; name a scenario file"),
    "not UTF-8": (b"scenarios:\n- label: \xff", "2:10: not UTF-8 text; save the file as UTF-8"),
    "several documents": (
        GOOD + "---\nscenarios: []\n",
        "8:1: a second document begins; put all scenarios into one, without `---`",
    ),
    "recursive anchor": (
        scenario("userdata: &a {b: *a}"),
        "4:13: this contains itself through an alias; write the inner part out",
    ),
    "a label with ::": (scenario("", "'a::b'"), "3:10: a label cannot contain '::': *; write ':'"),
    "a label with [": (scenario("", "'a[b'"), "3:10: a label cannot contain '[': *; write '('"),
    "a label with a newline": (
        scenario("", r'"a\nb"'),
        r"3:10: a label cannot contain '\n'; write it in one line of text",
    ),
    "a label with NUL": (
        scenario("", r'"a\0b"'),
        r"3:10: a label cannot contain '\x00'; write it in one line of text",
    ),
    "no scenarios": (
        "name: x\n",
        "1:1: there are no scenarios; write scenarios: and a list of them",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_the_other_files_still_collect(desk, mistake):
    content, line = MISTAKES[mistake]
    made = desk({"desk.yaml": content, "good.yaml": GOOD, "test_plain.py": "def test_it(): pass"})
    everything = ("--lk-scenarios=desk.yaml", "--lk-scenarios=good.yaml", "test_plain.py")
    result = made.run(*everything)
    assert result.exit_status == pytest.ExitCode.INTERRUPTED
    result.outcomes(errors=1)
    result.shows(
        "_* ERROR collecting desk.yaml _*", f"desk.yaml:{line}", "ERROR desk.yaml", "!* 1 error *!"
    )
    result.shows_no("E *", "*Error:*")
    kept = made.run(*everything, "--continue-on-collection-errors")
    kept.outcomes(passed=2, errors=1)
    assert kept.exit_status == pytest.ExitCode.TESTS_FAILED


def test_all_mistakes_of_a_file_come_at_once(desk):
    result = desk(
        {
            "desk.yaml": """
            agent: agent.py:FrontDesk
            scenarios:
              - label: One
                turns:
                  - {usr: hi}
              - label: Two
                allow: [unused_steps]
                turns: [user: hi]
            """
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows(
        "desk.yaml:5:*: unknown key 'usr' in a turn; did you mean 'user'?",
        "desk.yaml:7:13: allow knows no kind 'unused_steps'; did you mean 'unused_step'?",
    )


@pytest.mark.parametrize(
    "label", ["预约" * 40, "x" * 300, "a/b c — «d»", "100% {ok} #1", 'it\'s "q"']
)
def test_a_long_label_and_any_script_are_fine(desk, label):
    quoted = "'" + label.replace("'", "''") + "'"
    made = desk({"desk.yaml": GOOD.replace("Books", quoted)})
    made.run("--lk-scenarios=desk.yaml", "--junitxml=out.xml").outcomes(passed=1)
    made.run(f"desk.yaml::{label}").outcomes(passed=1)


NOBODY = {
    "a missing file": (
        "desk.yml",
        "--lk-scenarios=desk.yml: there is no such file, folder or glob",
    ),
    "a glob of nothing": ("d*.yml", "--lk-scenarios=d*.yml: there is no such file, folder or glob"),
    "a folder without scenario files": (
        "empty",
        (
            "--lk-scenarios=empty: no scenario file in this folder; one ends in .yaml and has "
            "scenarios: at its top"
        ),
    ),
    "nothing": (
        "",
        (
            "--lk-scenarios=: no scenario file in this folder; one ends in .yaml and has "
            "scenarios: at its top"
        ),
    ),
    "an absolute glob": (
        "/nowhere/*.yaml",
        "--lk-scenarios=/nowhere/*.yaml: there is no such file, *",
    ),
    "NUL": ("a\0b", "--lk-scenarios=a*b: there is no such file, folder or glob"),
}


@pytest.mark.parametrize("path", NOBODY)
def test_a_path_without_scenarios_is_refused_before_anything_runs(desk, refused, path):
    given, line = NOBODY[path]
    files = {"empty/other.yaml": "name: mine\n", "test_it.py": "def test_it(): pass\n"}
    refused(desk(files).run(f"--lk-scenarios={given}"), line)


@pytest.mark.parametrize("name", ["desk.json", "desk.py", "desk"])
def test_a_file_that_is_no_yaml_is_refused(desk, refused, name):
    result = desk({name: "scenarios: []\n"}).run(f"--lk-scenarios={name}")
    refused(result, f"--lk-scenarios={name}: *.yaml*")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(desk, pytester):
    made = desk({"desk.yaml": GOOD})
    made.run("--co")
    (pytester.path / "desk.yaml").chmod(0)
    result = made.run("--lk-scenarios=desk.yaml")
    assert result.exit_status != pytest.ExitCode.OK
    result.shows("*desk.yaml: cannot be read: Permission denied*")


def test_a_label_that_is_not_in_the_file_is_refused_as_any_missing_test(desk, refused):
    refused(desk({"desk.yaml": GOOD}).run("desk.yaml::Cancels"), "not found: *desk.yaml::Cancels")
