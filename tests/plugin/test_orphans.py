"""Snapshots that no test needs: told, and removed by an update; and no other is, ever.

syrupy's own clean-up takes away live snapshots of scenarios in the ways that the first part names.
"""

from __future__ import annotations

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
            assert "FIRST" not in os.environ

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
    "hotel/test_own.py": """
        def test_own(snapshot):
            assert "mine" == snapshot
    """,
}
INI = "markers = slow\nlk_scenarios = *hotel.yaml\n"
CHATS, AMBERS = 2 * 5 + 8, 2
FOLDERS = ("__lk_snapshots__", "__snapshots__")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    for name in ("CI", "ONLY", "FIRST"):
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
        result.outcomes(passed=2 * 4 + 8)
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
def test_no_selection_takes_away_a_live_snapshot(hotel, files, arguments):
    before = files()
    result = hotel.run("--snapshot-update", *arguments, subprocess="-n2" in arguments)
    assert result.exit_status == pytest.ExitCode.OK, str(result)
    result.shows_no("*unused*", "*deleted*", "*of no test*")
    assert files() == before


@pytest.mark.parametrize("argument", ["--collect-only", "--setup-only", "--setup-plan"])
def test_a_run_that_plays_nothing_takes_away_nothing_of_ours(hotel, files, argument):
    """Syrupy takes away the user's own then."""
    before = ours(files())
    result = hotel.run("--snapshot-update", argument)
    result.shows_no("*of no test*")
    assert ours(files()) == before


def test_the_selections_are_some_at_all(hotel):
    """Else the test above would show nothing."""
    ran = {
        name: hotel.run(*arguments).counts.get("passed", 0)
        for name, arguments in SELECTIONS.items()
        if name != "-n 2"
    }
    assert ran.pop("everything") == ran.pop("a folder") == 16
    assert [name for name, passed in ran.items() if not 0 < passed < 16] == []


ENDS = {
    "-x": ["-x"],
    "--lf": ["--lf"],
    "--lf, a file": ["--lf", "hotel/test_hotel.py"],
    "--ff": ["--ff"],
    "--sw": ["--sw"],
    "all, one fails": [],
}


@pytest.mark.parametrize("arguments", ENDS.values(), ids=ENDS)
def test_no_run_with_a_failure_takes_away_a_live_snapshot(hotel, files, monkeypatch, arguments):
    before = files()
    monkeypatch.setenv("FIRST", "fails")
    assert hotel.run("-x", "--snapshot-update").counts["failed"] == 1
    assert hotel.run(*arguments, "--snapshot-update").counts["failed"] == 1
    assert files() == before
    monkeypatch.delenv("FIRST")
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
    result.outcomes(passed=14, errors=1)
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
