"""Snapshots that no test needs: told, and removed by an update; and no other is, ever.

syrupy's own clean-up takes away live snapshots of scenarios in the ways that the first part names.
"""

from __future__ import annotations

from pathlib import PurePath

import pytest

BOOKING = """\
scenarios:
- label: Books it
  tags: {kind: simple}
  snapshot: true
  turns: [{user: 2 pm please, llm: [2 pm it is.]}]
- label: Books it twice
  marks: [slow]
  turns:
  - {user: 2 pm please, llm: [2 pm it is.], snapshot: true}
  - {user: and again, llm: [Done.], snapshot: true}
- label: books it
  snapshot: true
  turns: [{user: 3 pm please, llm: [3 pm it is.]}]
- label: ' "a/b" ''c'': 予約 🏨'
  snapshot: true
  turns: [{user: 4 pm please, llm: [4 pm it is.]}]
"""

FILES = {
    "conftest.py": """
import os

import pytest
from agent import FrontDesk

@pytest.fixture
def agent():
    return FrontDesk

def pytest_collection_modifyitems(items):
    # as some conftest files do, without a word to anybody
    if only := os.environ.get("ONLY"):
        items[:] = [item for item in items if only in item.name]
""",
    "hotel/__init__.py": "",
    "hotel/hotel.yaml": BOOKING,
    "hotel/test_hotel.yaml": BOOKING,
    "hotel/test_hotel.py": """
        @pytest.fixture
        def talk(user_says, fake_llm):
            async def talk(text):
                fake_llm.script(say("Yes."))
                return await user_says(text)
            return talk

        async def test_first(talk, chat_snapshot):
            assert await talk("hi") == chat_snapshot

        async def test_both(talk, chat_snapshot, snapshot):
            assert (await talk("hi")).events[-1].text == snapshot
            assert await talk("hi again") == chat_snapshot
            assert await talk("and again") == chat_snapshot(name="Again")

        @pytest.mark.slow
        @pytest.mark.parametrize("word", ["one", "ONE", "a/b"])
        async def test_each(talk, chat_snapshot, word):
            assert await talk(word) == chat_snapshot

        class TestMore:
            async def test_first(self, talk, chat_snapshot):
                assert await talk("more") == chat_snapshot

            async def test_last(self, talk, chat_snapshot):
                assert await talk("most") == chat_snapshot
    """,
    "hotel/test_alone.py": """
        async def test_alone(agent_session, chat_snapshot):
            assert "ALONE" not in os.environ
            assert agent_session.history == chat_snapshot

        async def test_other(agent_session, chat_snapshot):
            assert agent_session.history == chat_snapshot
    """,
    "hotel/test_own.py": """
        def test_own(snapshot):
            assert "mine" == snapshot
    """,
}
INI = "markers = slow\nlk_scenarios = *hotel.yaml\n"
CHATS, AMBERS = 2 * 5 + 8 + 2, 2
ALL = 2 * 4 + 7 + 2 + 1
FOLDERS = ("__lk_snapshots__", "__snapshots__")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    for name in ("CI", "ONLY", "ALONE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def files(pytester):
    """Read all snapshots, ours and the user's own."""

    def read():
        found = [path for name in FOLDERS for path in pytester.path.rglob(f"{name}/**/*")]
        return {
            str(path.relative_to(pytester.path)): path.read_text(encoding="utf-8")
            for path in found
            if path.is_file()
        }

    return read


@pytest.fixture(scope="module")
def recorded():
    """Keep what a first run wrote, as it takes as long as all the rest of a test."""
    return {}


@pytest.fixture
def hotel(desk, pytester, files, recorded):
    """A folder with scenarios and tests side by side, and all their snapshots."""
    made = desk(FILES, ini=INI)
    if not recorded:
        result = made.run("--snapshot-update")
        result.outcomes(passed=ALL)
        result.shows(f"{CHATS + AMBERS} snapshots generated.")
        recorded.update(files())
    for name, text in recorded.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return made


def ours(files):
    return {name: text for name, text in files.items() if FOLDERS[0] in name}


SELECTIONS = {
    "everything": [],
    "-k": ["-k", "twice"],
    "-k, and another case": ["-k", "TWICE"],
    "-k, a name that begins as others do": ["-k", "Books"],
    "-k not": ["-k", "not twice and not first"],
    "the user's own Amber alone": ["hotel/test_own.py"],
    "the Python file beside a YAML file of its name": ["hotel/test_hotel.py"],
    "the YAML file beside a Python file of its name": ["hotel/test_hotel.yaml"],
    "a folder": ["hotel"],
    "-m": ["-m", "slow"],
    "-m not": ["-m", "not slow"],
    "one scenario": ["hotel/hotel.yaml::Books it"],
    "one scenario by --lk-scenarios": ["--lk-scenarios=hotel/hotel.yaml::Books it"],
    "one scenario beside its folder": [
        *["-o", "lk_scenarios=", "hotel"],
        "--lk-scenarios=hotel/hotel.yaml::Books it",
    ],
    "one test": ["hotel/test_hotel.py::test_first"],
    "one of a parametrized test": ["hotel/test_hotel.py::test_each[ONE]"],
    "one class": ["hotel/test_hotel.py::TestMore"],
    "one test, by a way around": ["hotel/../hotel/test_hotel.py::test_first"],
    "one test of a package": ["--pyargs", "hotel.test_hotel::test_first"],
    "--deselect": ["--deselect=hotel/test_hotel.py::test_first"],
    "--deselect a scenario": ["--deselect=hotel/hotel.yaml::Books it"],
    "--ignore": ["--ignore=hotel/test_hotel.py", "--ignore=hotel/hotel.yaml"],
    "--ignore-glob": ["--ignore-glob=*.yaml"],
    "--lk-tag": ["--lk-tag=kind=simple"],
    "-n 2": ["-n2"],
}


@pytest.mark.parametrize("arguments", SELECTIONS.values(), ids=SELECTIONS)
def test_no_selection_takes_away_a_live_snapshot(hotel, files, warm, arguments):
    before = files()
    result = hotel.run("--snapshot-update", *arguments, subprocess="-n2" in arguments)
    assert result.exit_status == pytest.ExitCode.OK, str(result)
    result.shows_no("*unused*", "*deleted*", "*of no test*")
    assert files() == before
    whole = (SELECTIONS["everything"], SELECTIONS["a folder"], SELECTIONS["-n 2"])
    assert result.counts["passed"] in ([ALL] if arguments in whole else range(1, ALL))


@pytest.mark.parametrize("argument", ["--collect-only", "--setup-only", "--setup-plan"])
def test_a_run_that_plays_nothing_takes_away_nothing_of_ours(hotel, files, argument):
    """Syrupy takes away the user's own then."""
    before = ours(files())
    result = hotel.run("--snapshot-update", argument)
    result.shows_no("*of no test*")
    assert ours(files()) == before


ENDS = {
    "-x": ["-x"],
    "--lf": ["--lf"],
    "--lf, a file": ["--lf", "hotel/test_alone.py"],
    "--ff": ["--ff"],
    "--sw": ["--sw"],
    "all, one fails": [],
}


@pytest.mark.parametrize("arguments", ENDS.values(), ids=ENDS)
def test_no_run_with_a_failure_takes_away_a_live_snapshot(hotel, files, monkeypatch, arguments):
    before = files()
    monkeypatch.setenv("ALONE", "fails")
    assert hotel.run("-x", "--snapshot-update").counts["failed"] == 1
    assert hotel.run(*arguments, "--snapshot-update").counts["failed"] == 1
    assert files() == before
    monkeypatch.delenv("ALONE")
    result = hotel.run(*arguments, "--snapshot-update")
    assert result.exit_status == pytest.ExitCode.OK, str(result)
    assert files() == before


def test_what_a_conftest_takes_out_of_the_run_is_live(hotel, files, monkeypatch):
    before = files()
    monkeypatch.setenv("ONLY", "first")
    hotel.run("--snapshot-update").outcomes(passed=2)
    assert files() == before


def test_what_pytest_could_not_collect_is_live(hotel, desk, files):
    """With this option it goes on with the rest of the file."""
    before = files()
    name = "hotel/test_hotel.py"
    slip = "@pytest.mark.parametrize('unknown', [1])\n        class TestMore:"
    made = desk({**FILES, name: FILES[name].replace("class TestMore:", slip)}, ini=INI)
    result = made.run("--snapshot-update", "--continue-on-collection-errors")
    result.outcomes(passed=ALL - 2, errors=1)
    assert files() == before


PARAMS = """
import pytest
from agent import FrontDesk

@pytest.fixture(params=["a", "b::c"])
def agent(request):
    return FrontDesk
"""


@pytest.mark.parametrize("arguments", [["hotel.yaml::Books it[a]"], ["-k", "a]"]])
def test_a_scenario_that_runs_with_several_agents_keeps_them_all(desk, files, arguments):
    made = desk({"conftest.py": PARAMS, "hotel.yaml": BOOKING}, ini=INI)
    made.run("--snapshot-update").outcomes(passed=8)
    before = files()
    assert len(before) == 10
    result = made.run("--snapshot-update", *arguments)
    assert 0 < result.counts["passed"] < 8
    assert files() == before


# --- what is an orphan

SCENARIOS, TESTS = "hotel/hotel.yaml", "hotel/test_hotel.py"
KEPT = "hotel/__lk_snapshots__"


def changed(name, old, new):
    assert old in FILES[name]
    return {**FILES, name: FILES[name].replace(old, new, 1)}


def without(name):
    return {other: content for other, content in FILES.items() if other != name}


CHANGES = {
    "a label renamed": (
        changed(SCENARIOS, "label: Books it\n", "label: Books\n"),
        ["hotel.yaml/Books-it-*.yaml"],
    ),
    "a scenario removed": (
        changed(SCENARIOS, BOOKING[BOOKING.index("- label: books") :], ""),
        ["hotel.yaml/a-b-c-予約-*.yaml", "hotel.yaml/books-it-*.yaml"],
    ),
    "snapshot taken out": (
        changed(SCENARIOS, "  snapshot: true\n", ""),
        ["hotel.yaml/Books-it-*.yaml"],
    ),
    "snapshot of a turn taken out": (
        changed(SCENARIOS, "[Done.], snapshot: true", "[Done.]"),
        ["hotel.yaml/Books-it-twice-*.turn-2.yaml"],
    ),
    "a scenario file removed": (without("hotel/test_hotel.yaml"), ["test_hotel.yaml/*.yaml"] * 5),
    "a test removed": (
        changed(TESTS, "async def test_first(", "async def first("),
        ["test_hotel.py/test_first-*.yaml"],
    ),
    "a parameter removed": (
        changed(TESTS, '"ONE", ', ""),
        ["test_hotel.py/test_each-ONE-*.yaml"],
    ),
    "a comparison removed": (
        changed(TESTS, 'assert await talk("and again") == chat_snapshot(name="Again")', ""),
        ["test_hotel.py/test_both-*.Again-*.yaml"],
    ),
    "a test file removed": (without(TESTS), ["test_hotel.py/*.yaml"] * 8),
}


@pytest.mark.parametrize(("now", "orphans"), CHANGES.values(), ids=CHANGES)
def test_an_orphan_fails_the_run_is_told_and_removed_by_an_update(
    hotel, desk, pytester, files, now, orphans
):
    before = ours(files())
    for name in FILES.keys() - now.keys():
        (pytester.path / name).unlink(missing_ok=True)
    made = desk(now, ini=INI)

    result = made.run()
    assert result.exit_status == pytest.ExitCode.TESTS_FAILED, str(result)
    what, it = (
        ("1 snapshot is", "it") if len(orphans) == 1 else (f"{len(orphans)} snapshots are", "them")
    )
    told = [f"  {KEPT}/{one}" for one in orphans]
    result.shows(f"{what} of no test any more; --snapshot-update removes {it}:", *told)
    assert ours(files()) == before

    result = made.run("--snapshot-update")
    assert result.exit_status == pytest.ExitCode.OK, str(result)
    result.shows(f"{what} of no test any more, and removed:", *told)
    left = ours(files())
    gone = sorted(before.keys() - left.keys())
    assert len(gone) == len(orphans)
    for name, pattern in zip(gone, orphans, strict=True):
        assert PurePath(name).match(f"{KEPT}/{pattern}")
    kept = before.keys() & left.keys()
    assert {name: left[name] for name in kept} == {name: before[name] for name in kept}
    made.run().shows_no("*of no test*")


NOTHING = ["--collect-only", "--setup-only", "--setup-plan", "--fixtures", "--fixtures-per-test"]


@pytest.mark.parametrize("argument", NOTHING)
def test_a_run_that_plays_nothing_speaks_of_no_orphan_and_removes_none(
    hotel, desk, files, argument
):
    before = ours(files())
    made = desk(changed(SCENARIOS, "label: Books it\n", "label: Books\n"), ini=INI)
    for update in [], ["--snapshot-update"]:
        result = made._made.run(SCENARIOS, argument, *update)  # --fixtures names our files
        assert result.exit_status == pytest.ExitCode.OK, str(result)
        result.shows_no("*of no test*")
        assert ours(files()) == before


def test_the_hotel_leaves_no_empty_folder_behind(hotel, desk, pytester, files):
    (pytester.path / TESTS).unlink(missing_ok=True)
    desk(without(TESTS), ini=INI).run("--snapshot-update")
    folders = [path.name for path in (pytester.path / KEPT).iterdir()]
    assert sorted(folders) == ["hotel.yaml", "test_alone.py", "test_hotel.yaml"]


GONE = changed(SCENARIOS, "  snapshot: true\n", "")
ONE = "1 snapshot is of no test any more"
FLAGS = {
    "--snapshot-warn-unused": (0, f"{ONE}; --snapshot-update removes it:"),
    "--snapshot-no-cleanup": (1, f"{ONE}; --snapshot-update removes it:"),
    "--snapshot-update --snapshot-no-cleanup": (0, f"{ONE}; --snapshot-update removes it:"),
    "--snapshot-update-new-only": (1, f"{ONE}; --snapshot-update removes it:"),
    "--snapshot-disable-unused": (0, None),
    "--snapshot-update --snapshot-disable-unused": (0, None),
    "-p no:syrupy --ignore=hotel/test_own.py --ignore=hotel/test_hotel.py -k nothing": (5, None),
}


@pytest.mark.parametrize("flags", FLAGS)
def test_syrupys_flags_say_what_becomes_of_an_orphan(hotel, desk, files, flags):
    before = ours(files())
    status, line = FLAGS[flags]
    result = desk(GONE, ini=INI).run(*flags.split())
    assert result.exit_status == status, str(result)
    if line is None:
        result.shows_no("*of no test*")
    else:
        result.shows(line, f"{KEPT}/hotel.yaml/Books-it-*.yaml")
    assert ours(files()) == before


def test_in_ci_an_orphan_fails_the_run_and_stays(hotel, desk, files, monkeypatch):
    before = ours(files())
    monkeypatch.setenv("CI", "true")
    for arguments in [], ["--snapshot-update"]:
        result = desk(GONE, ini=INI).run(*arguments)
        assert result.exit_status == pytest.ExitCode.TESTS_FAILED, str(result)
        result.shows(
            f"{ONE}; --snapshot-update removes it, on your machine:",
            f"  {KEPT}/hotel.yaml/Books-it-*.yaml",
        )
        assert ours(files()) == before


def test_beside_an_error_that_pytest_ends_with_an_orphan_changes_no_exit_status(hotel, desk):
    files = {**changed(SCENARIOS, "label: Books it\n", "label: Books\n"), "test_bad.py": "1 / 0"}
    result = desk(files, ini=INI).run(SCENARIOS, "test_bad.py")
    result.shows(f"{ONE}; --snapshot-update removes it:")
    assert result.exit_status == pytest.ExitCode.INTERRUPTED


def test_many_orphans_are_told_in_full_only_when_asked(desk, files):
    def scenarios(*, numbers):
        lines = [f"- {{label: number {n}, snapshot: true, turns: []}}" for n in numbers]
        return desk({"many.yaml": "\n".join(["scenarios:", *lines])}, ini="lk_scenarios = *.yaml")

    scenarios(numbers=range(13)).run("--snapshot-update").outcomes(passed=13)
    assert len(files()) == 13
    result = scenarios(numbers=[0]).run()
    result.shows("12 snapshots are of no test any more; --snapshot-update removes them:")
    result.shows("  … and 2 more (--snapshot-details)")
    assert len([line for line in result.lines if "/number-" in line]) == 10
    result = scenarios(numbers=[0]).run("--snapshot-details")
    assert len([line for line in result.lines if "/number-" in line]) == 12
    result.shows_no("*--snapshot-details*")


def test_xdist_tells_and_removes_what_one_process_does(hotel, desk, files, warm):
    before = ours(files())
    made = desk(changed(SCENARIOS, BOOKING[BOOKING.index("- label: books") :], ""), ini=INI)
    result = made.run("-n2", "--snapshot-update", subprocess=True)
    result.outcomes(passed=ALL - 2)
    result.shows(
        "2 snapshots are of no test any more, and removed:",
        f"{KEPT}/hotel.yaml/a-b-c-予約-*.yaml",
        f"{KEPT}/hotel.yaml/books-it-*.yaml",
    )
    assert len(before.keys() - files().keys()) == 2


REMOVED = "async def test_first("
NOT_KNOWN = {
    "deselected": (["--deselect", f"{TESTS}::test_both"], {}),
    "one by its id": ([f"{TESTS}::test_both"], {}),
    "skipped": ([], {"async def test_both(": "@pytest.mark.skip\n        async def test_both("}),
    "xfailed": (
        [],
        {
            "async def test_both(": "@pytest.mark.xfail\n        async def test_both(",
            "== snapshot": "== 1",
        },
    ),
    "failed": ([], {"== snapshot": "== 1"}),
    "an error in set-up": (
        [],
        {"async def talk": "assert text is None\n            async def talk"},
    ),
    "an error in teardown": (
        [],
        {"return talk\n": "yield talk\n            assert text is None\n"},
    ),
}


@pytest.mark.parametrize("why", NOT_KNOWN)
def test_what_a_module_needs_is_known_only_when_all_of_it_passed(hotel, desk, files, why):
    before = ours(files())
    arguments, edits = NOT_KNOWN[why]
    text = FILES[TESTS].replace(REMOVED, "async def first(", 1)
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new, 1)
    result = desk({**FILES, TESTS: text}, ini=INI).run("--snapshot-update", *arguments)
    result.shows_no("*of no test*")
    assert ours(files()) == before


def test_an_orphan_that_cannot_be_removed_is_told(hotel, pytester):
    odd = pytester.path / KEPT / "hotel.yaml" / "odd.yaml"
    odd.mkdir()
    result = hotel.run("--snapshot-update")
    result.shows(
        f"{ONE}, and removed:", f"  {KEPT}/hotel.yaml/odd.yaml: not removed: Is a directory"
    )


def test_other_files_in_our_folder_are_not_ours(hotel, pytester, files):
    for name in ("README.md", ".1234.part", ".hidden.yaml"):
        (pytester.path / KEPT / "hotel.yaml" / name).write_text("mine")
    before = files()
    result = hotel.run("--snapshot-update")
    assert result.exit_status == pytest.ExitCode.OK
    result.shows_no("*of no test*")
    assert files() == before
