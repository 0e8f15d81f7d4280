"""Where the agents, fixtures and checks of a scenario file come from: its own folder."""

from __future__ import annotations

import pytest

NAMED = """
from livekit.agents import Agent
from helpers import NAME

class FrontDesk(Agent):
    def __init__(self):
        super().__init__(instructions=f"Your name is {NAME}.")
"""
CHECK = """
from helpers import NAME

def knows_its_name(fake_llm):
    assert fake_llm.requests[0].instructions == f"Your name is {NAME}."
"""
FILE = """
agent: agent.py:FrontDesk
scenarios:
  - label: Greets
    turns:
      - user: hi
        llm: [Hello.]
    check: checks.py:knows_its_name
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_two_folders_with_an_agent_each_do_not_meet(desk, mode):
    files = {"conftest.py": ""}
    for name in ("ada", "bob"):
        files |= {
            f"{name}/agent.py": NAMED,
            f"{name}/helpers.py": f"NAME = {name!r}\n",
            f"{name}/checks.py": CHECK,
            f"{name}/desk.yaml": FILE,
        }
    result = desk(files).run(
        "--lk-scenarios=ada", "--lk-scenarios=bob", f"--import-mode={mode}", "-v"
    )
    result.outcomes(passed=2)
    result.shows("ada/desk.yaml::Greets PASSED*", "bob/desk.yaml::Greets PASSED*")


def test_importing_for_a_scenario_file_leaves_the_path_as_it_was(desk):
    result = desk(
        {
            "desk/agent.py": "from livekit.agents import Agent\nclass Alone(Agent):\n"
            "    def __init__(self): super().__init__(instructions='')\n",
            "desk/desk.yaml": "agent: agent.py:Alone\nscenarios:\n"
            "- {label: a, turns: [{user: hi, llm: [x]}]}\n",
            "test_path.py": """
            import sys

            def test_it():
                assert not [folder for folder in sys.path if folder.endswith("/desk")]
                assert sys.modules["agent"].FrontDesk is FrontDesk, "the private name is another"
            """,
        }
    ).run("--lk-scenarios=desk", "test_path.py")
    result.outcomes(passed=2)


def test_scenarios_take_the_overrides_of_the_conftests_above_their_file(desk):
    override = """
    import pytest
    from pytest_lkagent import say

    @pytest.fixture
    def userdata({above}):
        return {{{value}}}

    @pytest.fixture
    def start_script():
        return [say("Hello from {name}.")]

    @pytest.fixture
    def session_options():
        return {{"max_tool_steps": {steps}}}
    """
    check = """
    def is_ours(agent_session, transcript, userdata, request):
        name = request.path.parent.name
        assert agent_session.userdata is userdata
        assert transcript.events[1].text == f"Hello from {name}."
        assert list(userdata) == (["top"] if name == "top" else ["top", "deep"])
        assert agent_session.options.max_tool_steps == len(userdata)
    """
    file = """
    scenarios:
      - label: Greets
        turns: [{user: hi, llm: [Hello.]}]
        check: %s:is_ours
    """
    agent = """
    import pytest
    from agent import Greeter

    @pytest.fixture
    def agent():
        return Greeter
    """
    result = desk(
        {
            "conftest.py": agent,
            "top/conftest.py": override.format(above="", value="'top': 1", name="top", steps=1),
            "top/checks.py": check,
            "top/desk.yaml": file % "checks.py",
            "top/deep/conftest.py": override.format(
                above="userdata", value="**userdata, 'deep': 2", name="deep", steps=2
            ),
            "top/deep/checks.py": check,
            "top/deep/desk.yaml": file % "checks.py",
        }
    ).run("--lk-scenarios=top")
    result.outcomes(passed=2)


def test_what_a_scenario_says_wins_over_the_fixtures_and_stays_within_it(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from agent import Greeter

            @pytest.fixture
            def agent():
                return Greeter

            @pytest.fixture
            def session_options():
                return {"max_tool_steps": 1}
            """,
            "checks.py": """
            def first(agent_session, scenario, transcript):
                assert scenario.label == "First"
                assert type(agent_session.current_agent).__name__ == "FrontDesk"
                assert agent_session.options.max_tool_steps == 9
                assert agent_session.userdata == {"slots": ["2pm"]}
                agent_session.userdata["slots"].clear()
                assert [e.text for e in transcript if e.type == "message"] == ["hi", "Hello."]

            def third(agent_session):
                assert agent_session.userdata == {"slots": ["2pm"]}

            def second(agent_session, scenario):
                assert type(agent_session.current_agent).__name__ == "Greeter"
                assert agent_session.options.max_tool_steps == 1
            """,
            "desk.yaml": """
            scenarios:
              - label: First
                agent: agent.py:FrontDesk
                userdata: &slots {slots: [2pm]}
                session: {max_tool_steps: 9}
                turns: [{user: hi, llm: [Hello.]}]
                check: checks.py:first
              - label: Second
                start: {llm: [Welcome.]}
                turns: [{user: hi, llm: [Hello.]}]
                check: checks.py:second
              - label: Third
                agent: agent.py:FrontDesk
                userdata: *slots
                session: {max_tool_steps: 9}
                turns: [{user: hi, llm: [Hello.]}]
                check: checks.py:third
            """,
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=3)


def test_factories_and_checks_take_fixtures_by_name(desk):
    result = desk(
        {
            "agent_with.py": """
            from livekit.agents import Agent

            class Named(Agent):
                def __init__(self, name, *, mood="calm"):
                    super().__init__(instructions=f"{name} is {mood}")

            async def make(name):
                return Named(name, mood="glad")
            """,
            "conftest.py": """
            import pytest

            @pytest.fixture
            def name():
                return "Ada"
            """,
            "checks.py": """
            async def calm(agent_session, name, tmp_path):
                assert agent_session.current_agent.instructions == f"{name} is calm"

            def glad(agent_session, name):
                assert agent_session.current_agent.instructions == f"{name} is glad"
            """,
            "desk.yaml": """
            scenarios:
              - label: Class
                agent: agent_with.py:Named
                turns: [{user: hi, llm: [Hello.], check: "checks.py:calm"}]
              - label: Factory
                agent: agent_with.py:make
                turns: [{user: hi, llm: [Hello.]}]
                check: checks.py:glad
            """,
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=2)


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_scenarios_run_on_the_loop_that_the_ini_file_asks_for(desk, scope, mode):
    result = desk(
        {
            "desk.yaml": "agent: agent.py:FrontDesk\nscenarios:\n"
            "- {label: a, turns: [{user: hi, llm: [Hello.]}]}\n"
            "- {label: b, turns: [{user: hi, llm: [Hello.]}]}\n"
        },
        ini=f"asyncio_default_test_loop_scope = {scope}\n",
    ).run("--lk-scenarios=desk.yaml", f"--asyncio-mode={mode}")
    result.outcomes(passed=2)


def test_a_parametrized_agent_plays_each_scenario_with_each(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from agent import FrontDesk

            class Other(FrontDesk):
                pass

            @pytest.fixture(params=[FrontDesk, Other])
            def agent(request):
                return request.param
            """,
            "checks.py": """
            def takes_the_slot(userdata):
                assert userdata["slots"].pop() == "2pm", "each has a copy of what the file says"
            """,
            "desk.yaml": "scenarios:\n"
            "- {label: Books a visit, userdata: {slots: [2pm]}, check: 'checks.py:takes_the_slot',"
            " turns: [{user: hi, llm: [Hello.]}]}\n"
            "- {label: Cancels, turns: [{user: hi, llm: [Hello.]}]}\n",
        }
    ).run("--lk-scenarios=desk.yaml", "-v")
    result.outcomes(passed=4)
    result.shows(
        "desk.yaml::Books a visit[FrontDesk] PASSED*",
        "desk.yaml::Books a visit[Other] PASSED*",
        "desk.yaml::Cancels[FrontDesk] PASSED*",
        "desk.yaml::Cancels[Other] PASSED*",
    )


def test_a_file_collects_once_although_several_ways_lead_to_it(desk):
    made = desk(
        {"desk.yaml": FILE.replace("    check: checks.py:knows_its_name\n", "")},
        ini="lk_scenarios = *.yaml\n",
    )
    made.run("--lk-scenarios=desk.yaml", "--lk-scenarios=.", "desk.yaml").outcomes(passed=1)
    made.run("--lk-scenarios=.").outcomes(passed=1)
    made.run().outcomes(passed=1)


def test_the_file_that_a_conftest_imports_too_is_one_module(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from agent import FrontDesk

            @pytest.fixture(autouse=True)
            def booked(mock_tool):
                return mock_tool(FrontDesk, "book", returns="mocked")
            """,
            "desk.yaml": """
            agent: agent.py:FrontDesk
            scenarios:
              - label: Books
                turns:
                  - user: 2 pm
                    llm: [{call: {book: {slot: 2pm}}}, Booked.]
                    expect: [function_call_output: {name: book, output: mocked}]
            """,
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=1)
