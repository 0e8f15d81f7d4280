"""What only processes of their own show: xdist, start-up, and the README's first five minutes."""

from __future__ import annotations

import pytest

AGENT = """
from livekit.agents import Agent, function_tool

class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book visits.")

    @function_tool
    async def book(self, slot: str) -> str:
        "Book a slot."
        return f"booked {slot}"
"""
SCENARIO = """
name: Desk
agent: agent.py:Desk
scenarios:
  - label: Books the slot
    turns:
      - user: 2 pm please
        llm:
          - call: {book: {slot: 2pm}}
          - Booked.
"""
ONE_PROCESS = {
    "no cache": ["-p", "no:cacheprovider"],
    "importlib": ["--import-mode=importlib"],
    "auto": ["-o", "asyncio_mode=auto"],
    "strict": ["-o", "asyncio_mode=strict"],
}
PROCESSES = {
    "as it is": [],
    "two processes": ["-n2", "-o", "asyncio_mode=auto"],
    "as little as may be": ["-p", "no:cacheprovider", "--import-mode=importlib", "--assert=plain"],
}


@pytest.mark.slow
@pytest.mark.parametrize("way", [*ONE_PROCESS, *PROCESSES])
def test_an_agent_and_ten_lines_of_scenario_in_an_empty_folder_run(project, monkeypatch, way):
    made = project({"desk/agent.py": AGENT, "desk/scenarios.yaml": SCENARIO})
    made.write()
    home = made.pytester.path
    (home / "pytest.ini").unlink()
    monkeypatch.chdir(home / "desk")
    given = ("--lk-scenarios=scenarios.yaml", "-v", f"--rootdir={home / 'desk'}")
    if way in PROCESSES:
        ran = made.pytester.runpytest_subprocess(*given, *PROCESSES[way])
    else:
        # pytest-asyncio warns of a scope that is left open, and warnings are errors in here
        closed = ("-o", "asyncio_default_fixture_loop_scope=function")
        ran = made.pytester.runpytest_inprocess(*given, *ONE_PROCESS[way], *closed)
    ran.assert_outcomes(passed=1)
    ran.stdout.fnmatch_lines(["*scenarios.yaml::Books the slot*", "*= 1 passed in *"])
    ran.stdout.no_fnmatch_line("*pytest_lkagent/*")
    ran.stderr.no_fnmatch_line("*pytest_lkagent/*")
    left = {path.name for path in (home / "desk").iterdir()}
    assert left - {".pytest_cache", "__pycache__"} == {"agent.py", "scenarios.yaml"}


def test_two_processes_share_the_scenarios_and_say_what_one_would(desk, warm):
    result = desk(
        {
            "conftest.py": "",
            "test_it.py": "def test_it(): pass\n",
            "broken.yaml": "scenarios: []\n",
            "desk.yaml": """
            agent: agent.py:FrontDesk
            scenarios:
              - {label: 预约, tags: {kind: kept}, turns: [{user: hi, llm: [Hello.]}]}
              - {label: Leaves, tags: {kind: kept}, turns: [{user: hi, llm: [Hello., Goodbye.]}]}
              - {label: Sleeps, tags: {kind: left}, turns: [{user: hi, llm: [Hello.]}]}
            """,
        }
    ).run(
        *("-n2", "-v", "--lk-scenarios=*.yaml", "test_it.py", "--lk-tag=kind=kept"),
        "--continue-on-collection-errors",
        subprocess=True,
    )
    result.outcomes(passed=2, failed=1, errors=1)
    result.shows("broken.yaml:1:12: there is no scenario; write a list of them, each with a label")
    result.shows("desk.yaml:4: Leaves, turn 1: scripted, and never asked for: say('Goodbye.')")
    result.shows("FAILED desk.yaml::Leaves - desk.yaml:4: Leaves, turn 1: *")


def test_two_processes_name_the_tags_that_there_are(desk, warm):
    result = desk(
        {
            "desk.yaml": "agent: agent.py:FrontDesk\nscenarios:\n"
            "- {label: a, tags: {kind: kept}, turns: [user: hi]}\n"
        }
    ).run("-n2", "--lk-scenarios=desk.yaml", "--lk-tag=kind=keft", subprocess=True)
    assert result.exit_status in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.USAGE_ERROR)
    assert "kind is one of kept; did you mean 'kept'?" in result.stdout + result.stderr
    result.shows_no("*crashed*", "*Traceback*")


def test_a_run_that_has_nothing_of_ours_never_imports_livekit(project):
    result = project(
        {
            "conftest.py": """
            import sys

            def pytest_unconfigure():
                ours = {name for name in sys.modules if name.startswith("pytest_lkagent.")}
                lazy = {"livekit", "pydantic", "yaml"} & sys.modules.keys()
                print("lazy", sorted(lazy), sorted(ours))
            """,
            "test_it.py": "async def test_it(): pass\n\ndef test_plain(): pass\n",
            "other.yaml": "stages: []\n",
        }
    ).run("-s", "--asyncio-mode=auto", subprocess=True)
    result.outcomes(passed=2)
    result.shows("lazy [] [*pytest_lkagent.plugin*]")
    result.shows_no("*pytest_lkagent.stage*", "*pytest_lkagent.references*")
