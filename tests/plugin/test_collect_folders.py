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


def test_a_hook_of_the_users_parametrizes_whichever_scenario_it_names(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from agent import FrontDesk

            @pytest.fixture
            def language():
                return "en"

            @pytest.fixture
            def agent(language, request):
                assert request.module.__file__.endswith("desk.yaml")
                return FrontDesk

            def pytest_generate_tests(metafunc):
                if "German" in metafunc.definition.name:
                    metafunc.parametrize("language", ["de", "at"])
            """,
            "desk.yaml": "scenarios:\n"
            "- {label: English, turns: [{user: hi, llm: [Hello.]}]}\n"
            "- {label: German, turns: [{user: hi, llm: [Hallo.]}]}\n",
        }
    ).run("--lk-scenarios=desk.yaml", "-v")
    result.outcomes(passed=3)
    result.shows("desk.yaml::German[de] PASSED*", "desk.yaml::German[at] PASSED*")


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


def test_a_class_named_in_a_file_is_that_of_each_agent_of_a_parametrized_fixture(desk):
    of_one = """
    from livekit.agents import Agent

    class FrontDesk(Agent):
        def __init__(self):
            super().__init__(instructions="You are one of two.")
    """
    result = desk(
        {
            "first.py": of_one,
            "second.py": of_one,
            "conftest.py": """
            import first
            import pytest
            import second

            @pytest.fixture(params=[first, second])
            def agent(request):
                return request.param.FrontDesk
            """,
            "desk.yaml": """
            scenarios:
              - label: Books
                turns: [{user: hi, llm: [{say: Hello., by: FrontDesk}]}]
            """,
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=2)


def test_a_name_in_a_file_and_the_same_in_its_base_each_mean_what_is_in_their_own_folder(desk):
    names = """
    from livekit.agents import ToolError

    class Of{who}({error}):
        def __init__(self):
            super().__init__("full, say {who}")

    Full = Of{who}

    def is_kept():
        print("kept, say {who}")
    """
    result = desk(
        {
            "lk/names.py": names.format(who="Them", error="ToolError"),
            "lk/desk.yaml": """
            agent: ../agent.py:FrontDesk
            scenarios:
              - label: Books
                mocks: {FrontDesk: {book: {raises: 'names.py:Full'}}}
                check: names.py:is_kept
                turns: []
            """,
            "names.py": names.format(who="Us", error="Exception"),
            "desk.yaml": """
            base: lk/desk.yaml
            scenarios:
              - label: Books
                turns:
                  - user: 2 pm please
                    llm: [call: {book: {slot: 2pm}}, Sorry.]
                    expect: [function_call_output: {is_error: true, output: 'full, say Them'}]
                    check: names.py:is_kept
                  - user: hello?
                    llm: [fail: {type: 'names.py:Full'}]
                    expect_error: {type: OfUs}
            """,
        }
    ).run("--lk-scenarios=desk.yaml", "-rP")
    result.outcomes(passed=1)
    result.shows("kept, say Us", "kept, say Them")


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


SELLER = """
from livekit.agents import Agent, function_tool
{top}

class Seller(Agent):
    def __init__(self):
        super().__init__(instructions="You know the price.")

    @function_tool
    async def price(self) -> str:
        \"\"\"The price.\"\"\"
        {inside}
        return Price().told
"""
PRICES = "class Price: told = {told!r}\n"
SALES = """
agent: agent.py:Seller
scenarios:
  - label: Sells
    turns:
      - user: how much
        llm: [{call: {price: {}}}, That much.]
        expect: [{function_call_output: {name: price, output: %s}}]
"""


def shops(seller, module="prices", *, also=()):
    """Two folders with a seller each, and what it imports."""
    files = {"conftest.py": ""}
    for name in ("one", "two"):
        files |= {
            f"{name}/agent.py": seller,
            f"{name}/{module}.py": PRICES.format(told=f"{name} euros"),
            f"{name}/sales.yaml": SALES % f"{name} euros",
            **{f"{name}/{file}": text for file, text in also},
        }
    return files


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
@pytest.mark.parametrize("module", ["prices", "shop/prices", "shop/__init__"])
def test_a_file_imports_what_is_in_its_own_folder(desk, mode, module):
    name = module.removesuffix("/__init__").replace("/", ".")
    made = desk(shops(SELLER.format(top=f"from {name} import Price", inside=""), module))
    result = made.run("--lk-scenarios=.", f"--import-mode={mode}")
    result.outcomes(passed=2)


@pytest.mark.parametrize(
    "inside",
    [
        "from prices import Price",
        "import pickle; assert type(pickle.loads(pickle.dumps(Price()))) is Price",
    ],
)
def test_what_it_imports_while_it_is_played_is_of_its_folder_too(desk, inside):
    made = desk(shops(SELLER.format(top="import prices\nfrom prices import Price", inside=inside)))
    made.run("--lk-scenarios=.").outcomes(passed=2)


def test_what_only_the_played_agent_imports_is_not_taken_from_the_next_folder(desk):
    files = shops(SELLER.format(top="from prices import Price", inside=""))
    late = SELLER.format(top="", inside="from prices import Price")
    result = desk({**files, "two/agent.py": late}).run("--lk-scenarios=.")
    result.outcomes(passed=1, failed=1)
    result.shows("*ModuleNotFoundError: No module named 'prices'*")


def test_what_a_file_imported_is_the_same_for_the_tests_of_its_folder_and_of_no_other(desk):
    conftest = """
    import pytest
    from prices import Price

    @pytest.fixture(autouse=True)
    def cheap(monkeypatch):
        monkeypatch.setattr(Price, "told", f"{Price.told} and a half")
    """
    check = "import sys\nfrom prices import Price\n\ndef same():\n    "
    check += "assert sys.modules['prices'].Price is Price\n    Price.is_played = True\n"
    test = """
    from prices import Price

    def test_it(request):
        assert Price.is_played
        assert Price.told.startswith(request.path.parent.name)
        assert __import__("prices").Price is Price
    """
    files = shops(
        SELLER.format(top="from prices import Price", inside=""),
        also=[("checks.py", check)],
    )
    files |= {
        "two/conftest.py": conftest,
        "one/then_one_test.py": test,
        "two/then_two_test.py": test,
        "one/sales.yaml": f"{SALES % 'one euros'}    check: checks.py:same\n",
        "two/sales.yaml": f"{SALES % 'two euros and a half'}    check: checks.py:same\n",
    }
    made = desk(files, ini="lk_scenarios = *.yaml\n")
    made.run().outcomes(passed=4)
    made.run("two", "one").outcomes(passed=4)


def test_a_name_that_a_conftest_of_another_folder_imported_is_no_excuse(desk):
    files = shops(SELLER.format(top="from prices import Price", inside=""))
    result = desk({**files, "one/conftest.py": "import prices\n"}).run("--lk-scenarios=.")
    result.outcomes(passed=2)


def test_a_file_may_take_its_agent_from_one_of_the_same_name_that_a_conftest_imports(desk):
    result = desk(
        {
            "agent.py": "from livekit.agents import Agent\n\n"
            "class FrontDesk(Agent):\n    def __init__(self): super().__init__(instructions='')\n",
            "found/agent.py": "from agent import FrontDesk\n\nclass Found(FrontDesk): pass\n",
            "found/desk.yaml": "agent: agent.py:Found\nscenarios:\n"
            "- {label: Greets, turns: [{user: hi, llm: [Hello.]}]}\n",
        }
    ).run("--lk-scenarios=found")
    result.outcomes(passed=1)


def test_what_is_one_file_for_both_folders_is_one_module(desk, pytester):
    count = 'import sys\nsys.imported = getattr(sys, "imported", 0) + 1\n'
    check = "import sys\n\ndef once():\n    assert sys.imported == 1\n"
    files = shops(SELLER.format(top="from prices import Price", inside=""))
    files |= {f"{name}/sales.yaml": f"{SALES % 'all'}    check: ../checks.py:once\n"
              for name in ("one", "two")}  # fmt: skip
    del files["one/prices.py"], files["two/prices.py"]
    for name in ("one", "two"):
        (pytester.path / name).mkdir()
        (pytester.path / name / "prices.py").symlink_to("../shared.py")
    shared = count + PRICES.format(told="all")
    desk({**files, "shared.py": shared, "checks.py": check}).run("--lk-scenarios=.").outcomes(
        passed=2
    )
