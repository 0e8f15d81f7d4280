"""Which scenarios a run collects, and what they are called."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest


def scenarios(*labels: str, agent: str = "agent: agent.py:FrontDesk\n", more: str = "") -> str:
    lines = [
        f"  - {{label: '{label}', turns: [{{user: hi, llm: [Hello.]}}]{more}}}\n"
        for label in labels
    ]
    return f"{agent}scenarios:\n{''.join(lines)}"


FILES = {
    "test_plain.py": "def test_plain(): pass\n",
    "desk.yaml": scenarios("Books", "Cancels a visit"),
    "more/evening.yaml": scenarios("Closes", agent=""),
    "more/night.yml": scenarios("Sleeps", agent=""),
    "more/deep/dawn.yaml": scenarios("Wakes", agent=""),
    "more/other.yaml": "test_name: of tavern\nstages: []\n",
    "more/list.yaml": "- scenarios:\n",
    "more/test_more.py": "def test_more(): pass\n",
}
DESK = ["desk.yaml::Books", "desk.yaml::Cancels a visit"]
MORE = ["more/evening.yaml::Closes", "more/night.yml::Sleeps"]
DEEP = ["more/deep/dawn.yaml::Wakes"]
PLAIN = ["test_plain.py::test_plain"]


def ids(result) -> list[str]:
    """Return the node ids of a ``--collect-only -q``."""
    return [line for line in result.lines if "::" in line]


SELECTIONS = [
    ([], ["more/test_more.py::test_more", *PLAIN]),
    (["--lk-scenarios=desk.yaml"], DESK),
    (["--lk-scenarios", "./more/../desk.yaml"], DESK),
    (["--lk-scenarios=desk.yaml::Cancels a visit"], DESK[1:]),
    (["desk.yaml"], DESK),
    (["desk.yaml::Books"], DESK[:1]),
    (["desk.yaml::Books", "desk.yaml::Cancels a visit"], DESK),
    (["--lk-scenarios=more"], [*DEEP, *MORE]),
    (["--lk-scenarios=more/e*.yaml"], MORE[:1]),
    (["--lk-scenarios=**/*.y*ml"], None),
    (["--lk-scenarios=desk.yaml", "--lk-scenarios=more/night.yml"], [*DESK, *MORE[1:]]),
    (["--lk-scenarios=desk.yaml", "--lk-scenarios=desk.yaml"], DESK),
    (["--lk-scenarios=desk.yaml", "test_plain.py"], [*PLAIN, *DESK]),
    (["--lk-scenarios=desk.yaml", "desk.yaml", "test_plain.py::test_plain"], [*DESK, *PLAIN]),
    (["test_plain.py", "desk.yaml::Books"], [*PLAIN, *DESK[:1]]),
    (["--lk-scenarios=desk.yaml", "more"], ["more/test_more.py::test_more", *DESK]),
    (["more"], ["more/test_more.py::test_more"]),
    (["--lk-scenarios=desk.yaml", "-k", "Cancels and visit"], DESK[1:]),
    (["--lk-scenarios=desk.yaml", "--deselect", "desk.yaml::Books"], DESK[1:]),
]


@pytest.mark.parametrize(
    ("given", "collected"), SELECTIONS, ids=[" ".join(given) or "-" for given, _ in SELECTIONS]
)
def test_a_run_collects_what_its_command_line_names(desk, given, collected):
    result = desk(FILES).run("--collect-only", "-q", *given)
    if collected is None:  # a glob that holds a yaml file of somebody else
        result.shows("more/list.yaml:1:1: a scenario file cannot be a list; *")
        result.shows("more/other.yaml:1:1: unknown key 'test_name' in a scenario file*")
    else:
        assert ids(result) == collected, str(result)
        assert result.exit_status == pytest.ExitCode.OK


SCENARIO = "{label: Books, agent: 'agent.py:FrontDesk', turns: [{user: hi, llm: [Hello.]}]}"
SPELLINGS = {
    "a byte order mark": f"\ufeffscenarios:\n- {SCENARIO}\n",
    "double quotes": f'"scenarios":\n- {SCENARIO}\n',
    "single quotes": f"name: Desk\n'scenarios' : [{SCENARIO}]\n",
    "flow style": f"{{name: Desk, scenarios: [{SCENARIO}]}}\n",
    "JSON": f'{{"name": "Desk",\n  "scenarios": [{SCENARIO}]}}\n',
    "an indent": f"# ours\n  name: Desk\n  scenarios:\n  - {SCENARIO}\n",
    "a question mark": f"? scenarios\n: - {SCENARIO}\n",
    "an anchor after a mapping": f"defaults: {{}}\n&all scenarios: [{SCENARIO}]\n",
    "a line of its own": f"--- # ours\nscenarios\t:\n- {SCENARIO}\n",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_a_scenario_file_is_known_in_every_spelling_of_yaml(desk, text):
    made = desk({"sc/desk.yaml": text.replace("agent.py", "../agent.py")})
    made.run("--lk-scenarios=sc").outcomes(passed=1)
    made.run("sc/desk.yaml").outcomes(passed=1)


OVERLAYS = {
    "all of its base": "base: good.yaml\nrest: true\n",
    "one that is a base itself": "rest: true\nbase:\n  over/mid.yaml\n",
    "JSON": '\ufeff{"name": "Ours", "base": "./good.yaml", "rest": true}\n',
}


@pytest.mark.parametrize("text", OVERLAYS.values(), ids=OVERLAYS)
def test_a_file_that_lays_something_over_a_scenario_file_is_one(desk, text):
    good = scenarios("Books", agent="agent: ../agent.py:FrontDesk\n")
    files = {"sc/good.yaml": good, "sc/ours.yml": text}
    if "mid" in text:
        files["sc/over/mid.yaml"] = "{base: ../good.yaml, rest: true}\n"
    made = desk(files)
    made.run("--lk-scenarios=sc").outcomes(passed=len(files))
    made.run("sc/ours.yml").outcomes(passed=1)


OTHERS = {
    "a workflow": "on: push\njobs:\n  test:\n    strategy:\n      matrix:\n        scenarios: []\n",
    "a composition": "services:\n  base:\n    image: base.yaml\n  web:\n    scenarios: []\n",
    "a chart": "{{- range .Values.scenarios }}\nbase: {{ . }}.yaml\n{{- end }}\n",
    "a description": "openapi: 3.0.0\nservers: [{url: 'base: good.yaml'}]\n# base: good.yaml\n",
    "a test": "test_name: base\nincludes: [{scenarios: 1}]\nstages: |\n  scenarios: 1\n",
    "a list": "- scenarios: []\n- base: good.yaml\n",
    "a value": "name: scenarios\nkind: {scenarios: []}\nbase: [good.yaml]\n",
    "a base of something else": "base: model.yaml\nepochs: 3\n",
    "a base that is not there": "base: nowhere.yaml\nepochs: 3\n",
    "a base that is itself": "base: ../sc/others.yaml\nepochs: 3\n",
    "a base that is no name": f"base: {'long' * 200}.yaml\nepochs: 3\n",
    "no YAML": "{] base: good.yaml\n",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_a_yaml_file_of_somebody_else_stays_theirs(desk, text):
    good = scenarios("Books", agent="agent: ../agent.py:FrontDesk\n")
    files = {"sc/good.yaml": good, "sc/model.yaml": "layers: 3\n", "sc/others.yaml": text}
    desk(files).run("--lk-scenarios=sc").outcomes(passed=1)


@pytest.mark.parametrize("text", ["scenarios:\n  - {label: a\n", '"scenarios" :\n\t- a\n'])
def test_a_broken_file_that_is_meant_as_scenarios_is_told_of(desk, text):
    result = desk({"sc/desk.yaml": text}).run("--lk-scenarios=sc")
    result.outcomes(errors=1)
    result.shows("sc/desk.yaml:*: not valid YAML: *")


def test_a_file_over_a_base_that_is_not_there_is_told_of(desk):
    good = scenarios("Books", agent="agent: ../agent.py:FrontDesk\n")
    result = desk({"sc/good.yaml": good, "sc/ours.yaml": "base: god.yaml\nrest: true\n"}).run(
        "--lk-scenarios=sc"
    )
    result.outcomes(errors=1)
    result.shows("sc/ours.yaml:1:7: base 'god.yaml' cannot be read: No such file or directory; *")
    result.shows_no("*there are no scenarios*")


def test_a_folder_is_searched_from_where_pytest_was_started(desk, pytester, monkeypatch):
    made = desk(FILES)
    made.run("--co")
    monkeypatch.chdir(pytester.path / "more")
    result = made.run("--collect-only", "-q", "--lk-scenarios=deep", "--rootdir=..")
    assert ids(result) == ["more/deep/dawn.yaml::Wakes"]
    result = made.run("--collect-only", "-q", f"--lk-scenarios={pytester.path / 'desk.yaml'}")
    assert [line.rpartition("/")[2] for line in ids(result)] == DESK
    result = made.run("--collect-only", "-q", f"--lk-scenarios={pytester.path}/d*k.yaml")
    assert [line.rpartition("/")[2] for line in ids(result)] == DESK


@pytest.mark.parametrize("name", ["desk.yaml", "link.yaml"])
@pytest.mark.parametrize("how", ["", "--lk-scenarios="])
def test_a_file_is_found_from_a_folder_beside_it_and_through_a_link(
    desk, pytester, monkeypatch, name, how
):
    made = desk(FILES)
    made.run("--co")
    (pytester.path / "link.yaml").symlink_to("desk.yaml")
    monkeypatch.chdir(pytester.path / "more")
    at = ("--co", "-q", "--rootdir=..", "-c=../pytest.ini")
    both = [f"{name}::Books", f"{name}::Cancels a visit"]
    assert ids(made.run(*at, f"{how}../{name}")) == both
    assert ids(made.run(*at, f"{how}../{name}::Books")) == both[:1]


def test_scenarios_take_the_place_of_default_arguments_and_stand_beside_named_ones(desk):
    made = desk(FILES, ini="testpaths = more\n")
    assert ids(made.run("--co", "-q")) == ["more/test_more.py::test_more"]
    assert ids(made.run("--co", "-q", "--lk-scenarios=desk.yaml")) == DESK
    assert ids(made.run("--co", "-q", "--lk-scenarios=desk.yaml", "test_plain.py")) == PLAIN + DESK


ALL = ["more/test_more.py::test_more", *PLAIN]
FOUND = ["--lk-scenarios=.lk_fuzz/found.yaml"]
BESIDE_A_FOLDER = [
    ([".", "--lk-scenarios=desk.yaml"], [*ALL, *DESK]),
    (["--lk-scenarios=desk.yaml", "."], [*ALL, *DESK]),
    ([".", "--lk-scenarios=desk.yaml::Books"], [*ALL, *DESK[:1]]),
    ([".", "--lk-scenarios=desk.yaml::Books", "--lk-scenarios=desk.yaml"], [*ALL, *DESK]),
    ([".", "--lk-scenarios=./more/../desk.yaml::Books"], [*ALL, *DESK[:1]]),
    (["more", "--lk-scenarios=more"], [*ALL[:1], *MORE, *DEEP]),
    (["more", "test_plain.py", "--lk-scenarios=more/deep"], [*ALL, *DEEP]),
    ([".", *FOUND], [*ALL, ".lk_fuzz/found.yaml::Found"]),
    (["--ignore=.lk_fuzz", ".", *FOUND], [*ALL, ".lk_fuzz/found.yaml::Found"]),
    ([".", "--lk-scenarios=build/deep/er.yaml"], [*ALL, "build/deep/er.yaml::Found"]),
    ([".lk_fuzz", *FOUND], [".lk_fuzz/found.yaml::Found", ".lk_fuzz/test_left.py::test_left"]),
]


@pytest.mark.parametrize(
    ("given", "collected"), BESIDE_A_FOLDER, ids=[" ".join(given) for given, _ in BESIDE_A_FOLDER]
)
def test_a_folder_is_collected_too_whatever_of_its_scenarios_is_named(desk, given, collected):
    """Alone pytest takes one of the two: 8.4 the file, 9.0 the folder without its hidden ones."""
    found = scenarios("Found", agent="agent: agent:FrontDesk\n")
    left = {
        ".lk_fuzz/found.yaml": found,
        ".lk_fuzz/other.yaml": found,
        ".lk_fuzz/test_left.py": "def test_left(): pass\n",
        "build/deep/er.yaml": found,
        "build/deep/b/test_left.py": "def test_left(): pass\n",
    }
    made = desk({**FILES, **left})
    assert sorted(ids(made.run("--co", "-q", *given))) == sorted(collected)


def test_a_folder_that_is_named_has_what_links_in_it_lead_to_once(desk, pytester):
    for link, folder in (("sc/more", "../far"), ("sc/a", "b"), ("sc/b/round", "..")):
        path = pytester.path / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(folder)
    names = ("far/far.yaml", "sc/b/near.yaml")
    made = desk({name: scenarios("Books", agent="") for name in names})
    assert ids(made.run("--co", "-q", "--lk-scenarios=sc")) == [
        "sc/b/near.yaml::Books",
        "sc/more/far.yaml::Books",
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_another_encoding_is_told_where_its_folder_is_named(desk, encoding):
    """As PowerShell writes what is redirected."""
    written = scenarios("Books").encode(encoding)
    written = written if encoding == "utf-16" else b"\xfe\xff" + written
    files = {"sc/wide.yaml": written, "sc/desk.yaml": scenarios("Books", agent="")}
    result = desk(files).run("--lk-scenarios=sc")
    result.outcomes(errors=1)
    result.shows("sc/wide.yaml:1:1: not UTF-8 text; save the file as UTF-8")


def test_a_label_adds_to_a_folder_that_holds_the_file_already(desk):
    """By the ini file; it would be a false green to play one and leave out the others."""
    made = desk(FILES, ini="lk_scenarios = desk.yaml\n")
    assert sorted(ids(made.run("--co", "-q", "."))) == sorted([*ALL, *DESK])
    for beside in (".", "more/.."):
        given = (beside, "--lk-scenarios=desk.yaml::Books")
        assert sorted(ids(made.run("--co", "-q", *given))) == sorted([*ALL, *DESK])
    assert ids(made.run("--co", "-q", "--lk-scenarios=desk.yaml::Books")) == DESK[:1]


def test_a_label_that_no_scenario_there_has_is_refused(desk):
    made = desk(FILES, ini="addopts = --lk-scenarios=desk.yaml::Book\n")
    result = made.run(".")
    result.outcomes(errors=1)
    result.shows(
        "--lk-scenarios=desk.yaml::Book: no scenario has this label; the labels are Books, Cancels "
        "a visit; did you mean 'Books'?"
    )


def test_globs_of_the_ini_file_are_recognised_while_collecting_as_python_files_are(desk):
    made = desk(FILES, ini="lk_scenarios = desk.yaml *ing.yaml\n")
    result = made.run("--collect-only", "-q")
    assert sorted(ids(result)) == sorted(
        [*DESK, "more/evening.yaml::Closes", *PLAIN, "more/test_more.py::test_more"]
    )
    made.run().outcomes(passed=5)
    assert ids(made.run("--co", "-q", "more/evening.yaml")) == ["more/evening.yaml::Closes"]


@pytest.mark.parametrize(
    ("glob", "collected"),
    [
        ("sc/*.yaml", ["sc/a.yaml", "sc/b/b.yaml", "sc/b/c/c.yaml"]),
        ("sc/**/*.yaml", ["sc/a.yaml", "sc/b/b.yaml", "sc/b/c/c.yaml"]),
        ("./sc/**/b/**/*.y*ml", ["sc/b/b.yaml", "sc/b/c/c.yaml"]),
        ("**/a.yaml", ["sc/a.yaml"]),
        ("{root}/**/b/?.yaml", ["sc/b/b.yaml"]),
    ],
)
def test_globs_of_the_ini_file_reach_into_folders_and_two_stars_stand_for_none_too(
    desk, pytester, glob, collected
):
    names = ("in.yaml", "sc/a.yaml", "sc/b/b.yaml", "sc/b/c/c.yaml")
    ini = f"lk_scenarios = {glob.format(root=pytester.path)}\n"
    made = desk({name: scenarios("Books", agent="") for name in names}, ini=ini)
    assert sorted(ids(made.run("--co", "-q"))) == [f"{name}::Books" for name in collected]


@pytest.mark.parametrize("glob", ["sc/", "sc", "*.YAML", "desk.json"])
def test_a_glob_of_the_ini_file_that_no_scenario_file_matches_is_refused(desk, refused, glob):
    result = desk(FILES, ini=f"lk_scenarios = desk.yaml {glob}\n").run()
    refused(
        result,
        f"lk_scenarios: {glob!r} matches no scenario file: one ends in .yaml or .yml, such as in "
        "scenarios/*.yaml",
    )


VAIN = "lk_scenarios = desk.yml book*.yaml\nfilterwarnings = default\n"
NONE = "lk_scenarios: desk.yml, book*.yaml: there is no such file"


@pytest.mark.parametrize(
    ("more", "where", "counts"),
    [
        ("", "", {"passed": 2, "warnings": 1}),
        ("testpaths = more\n", " in testpaths: more", {"passed": 1, "warnings": 1}),
        pytest.param(
            *("addopts = -n 2\n", "", {"passed": 2, "warnings": 2}),  # one of each worker
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_whole_run_in_which_the_globs_of_the_ini_file_find_nothing_warns(
    desk, more, where, counts
):
    """As pytest does of testpaths: whoever wrote them expects scenarios to be played."""
    result = desk(FILES, ini=VAIN + more).run(subprocess="-n" in more)
    result.outcomes(**counts)
    result.shows(f"*PytestConfigWarning: {NONE} among all that pytest collects{where}")


@pytest.mark.parametrize("given", ["more", "--lk-scenarios=desk.yaml", "--ignore=more/deep"])
def test_nothing_is_said_of_them_where_only_a_part_is_run(desk, given):
    result = desk(FILES, ini=VAIN).run(given)
    assert "warnings" not in result.counts, str(result)


def test_globs_that_find_nothing_are_refused_where_warnings_are_errors(desk, refused):
    result = desk(FILES, ini=VAIN).run("-W", "error::pytest.PytestConfigWarning")
    refused(result, f"{NONE} among all that pytest collects")


def test_yaml_files_of_others_are_left_to_them(desk):
    files = {
        "conftest.py": """
        import pytest

        def pytest_collect_file(file_path, parent):
            if file_path.name.startswith("test_") and file_path.suffix == ".yaml":
                return Theirs.from_parent(parent, path=file_path)

        class Theirs(pytest.File):
            def collect(self):
                yield Item.from_parent(self, name="theirs")

        class Item(pytest.Item):
            def runtest(self):
                pass
        """,
        "test_api.yaml": "test_name: theirs\nstages:\n  - name: get\n",
        "test_plain.py": "def test_plain(): pass\n",
    }
    made = desk(files)
    assert sorted(ids(made.run("--co", "-q"))) == ["test_api.yaml::theirs", *PLAIN]
    assert ids(made.run("--co", "-q", "test_api.yaml")) == ["test_api.yaml::theirs"]
    assert ids(made.run("--co", "-q", "-p", "no:lkagent", "test_api.yaml")) == [
        "test_api.yaml::theirs"
    ]


TAGS = """
agent: agent.py:FrontDesk
scenarios:
  - {label: Books, tags: {feature: booking, slow: no}, turns: [{user: hi, llm: [Hello.]}]}
  - {label: Cancels, tags: {feature: cancelling}, turns: [{user: hi, llm: [Hello.]}]}
  - label: Moves
    tags: {feature: booking, slow: yes}
    marks: [nightly]
    turns: [{user: hi, llm: [Hello.]}]
"""


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (["--lk-tag=feature=booking"], ["Books", "Moves"]),
        (["--lk-tag", "feature=booking", "--lk-tag", "slow=no"], ["Books"]),
        (
            ["--lk-tag=feature=booking", "--lk-tag=feature=cancelling"],
            ["Books", "Cancels", "Moves"],
        ),
        (["-m", "nightly"], ["Moves"]),
        (["-m", "not nightly", "--lk-tag=feature=booking"], ["Books"]),
        (["-k", "cancelling"], ["Cancels"]),
        (["-k", "not Books"], ["Cancels", "Moves"]),
    ],
)
def test_tags_marks_and_keywords_select(desk, given, labels):
    made = desk({"desk.yaml": TAGS}, ini="markers =\n    nightly: at night\n")
    result = made.run("--lk-scenarios=desk.yaml", "-v", "--strict-markers", *given)
    assert [line.split()[0] for line in result.lines if "PASSED" in line] == [
        f"desk.yaml::{label}" for label in labels
    ]
    result.outcomes(passed=len(labels), deselected=3 - len(labels))


def test_tags_leave_python_tests_alone(desk):
    made = desk({"desk.yaml": TAGS, "test_plain.py": "def test_plain(): pass\n"})
    result = made.run(
        "--lk-scenarios=desk.yaml", "test_plain.py", "--lk-tag=slow=yes", "-W", "ignore"
    )
    result.outcomes(passed=2, deselected=2)


def test_a_mark_that_nobody_registered_is_refused_under_strict_markers(desk):
    # a name of its own: pytest remembers those that other runs in this process registered
    content = TAGS.replace("nightly", "fortnightly")
    result = desk({"desk.yaml": content}).run("--lk-scenarios=desk.yaml", "--strict-markers")
    result.outcomes(errors=1)
    result.shows(
        "desk.yaml:7:*: the mark fortnightly is not registered; add it to markers in the ini file"
    )


FAILING = """
agent: agent.py:FrontDesk
scenarios:
  - label: Books
    turns:
      - user: 2pm
        llm: [call: {book: {slot: 2pm}}, Booked.]
        expect:
          - function_call: cancel
  - {label: Greets, turns: [{user: hi, llm: [Hello.]}]}
  - {label: Leaves, turns: [{user: hi, llm: [Hello., Goodbye.]}]}
  - {label: Dreams, xfail: not built yet, turns: [{user: hi, llm: [Hello., Goodbye.]}]}
  - {label: Waits, instructions: Book a visit.}
"""


def test_a_failure_points_at_its_line_in_the_file(desk, pytester):
    result = desk({"desk.yaml": FAILING}).run("desk.yaml", "-rA", "--junitxml=out.xml")
    result.outcomes(passed=1, failed=2, xfailed=1, skipped=1)
    result.shows(
        "_* Books _*",
        "desk.yaml:8: Books, turn 1: expected function_call cancel*",
        ">>> [1] function_call * book(slot='2pm')",
        "closest: name differs: expected 'cancel', got 'book'",
        "_* Leaves _*",
        "desk.yaml:10: Leaves, turn 1: scripted, and never asked for: say('Goodbye.')",
        "FAILED desk.yaml::Books - desk.yaml:8: Books, turn 1: *",
        "FAILED desk.yaml::Leaves - desk.yaml:10: Leaves, turn 1: *",
    )
    result.shows(
        "SKIPPED [1] desk.yaml:12: it has no turns: write what the user says and the model "
        "answers, such as turns: [{user: hello, llm: [Hello.]}], here or in a file of yours that "
        "begins with base: desk.yaml"
    )
    result.shows("XFAIL desk.yaml::Dreams - not built yet")
    result.shows_no("E *", "*collect.py*")
    cases = ET.parse(pytester.path / "out.xml").iter("testcase")
    told = {case.get("name"): [child.tag for child in case] for case in cases}
    assert told == {
        "Books": ["failure"],
        "Greets": [],
        "Leaves": ["failure"],
        "Dreams": ["skipped"],
        "Waits": ["skipped"],
    }


def test_last_failed_first_failure_and_stepwise_work_on_scenarios(desk):
    made = desk({"desk.yaml": FAILING})
    made.run("desk.yaml", "-x").outcomes(failed=1)
    made.run("desk.yaml").outcomes(passed=1, failed=2, xfailed=1, skipped=1)
    again = made.run("desk.yaml", "--lf", "-v")
    again.outcomes(failed=2, deselected=3)
    again.shows("desk.yaml::Books FAILED*", "desk.yaml::Leaves FAILED*")
    made.run("desk.yaml", "--sw").outcomes(failed=1)
