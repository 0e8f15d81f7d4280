"""Constructing a provider needs no key, wherever the user's code does it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_lkagent.environment import KEY_VARIABLES

AGENT = dedent(
    """
    import os
    from livekit.agents import Agent, inference

    model = inference.LLM("openai/gpt-4.1-mini")

    class Concierge(Agent):
        def __init__(self):
            super().__init__(instructions="You help.", llm=model)
    """
)
CONFTEST = dedent(
    """
    import pytest
    from concierge import Concierge

    @pytest.fixture
    def agent():
        return Concierge
    """
)
TEST = """
async def test_greets(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
"""


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("folder", ["", "inner/"])
@pytest.mark.parametrize("mode", ["prepend", "importlib"])
@pytest.mark.parametrize("plain", [[], ["--assert=plain"]])
def test_a_conftest_may_import_an_agent_that_constructs_its_provider(desk, folder, mode, plain):
    made = desk(
        {
            "concierge.py": AGENT,
            f"{folder}conftest.py": CONFTEST,
            f"{folder}test_greets.py": TEST,
        },
        ini="pythonpath = .\n",
    )
    result = made.run(f"--import-mode={mode}", *plain)
    result.outcomes(passed=1)


def test_so_may_a_test_module(desk):
    result = desk(
        {
            "concierge.py": AGENT,
            "conftest.py": "",
            "test_greets.py": f"from concierge import Concierge\n"
            f"pytestmark = pytest.mark.lk(agent=Concierge)\n{TEST}",
        }
    ).run()
    result.outcomes(passed=1)


def test_a_key_variable_that_only_the_ini_file_names_is_enough(desk):
    agent = AGENT.replace("model =", 'os.environ["HOTEL_TOKEN"]\nmodel =')
    result = desk(
        {"concierge.py": agent, "conftest.py": CONFTEST, "test_greets.py": TEST},
        ini="lk_env = HOTEL_TOKEN\n",
    ).run()
    result.outcomes(passed=1)


def test_a_conftest_that_lacks_something_else_fails_once_with_its_own_error(desk):
    result = desk(
        {
            "conftest.py": "print('conftest runs')\nraise LookupError('no calendar')\n",
            "test_greets.py": TEST,
        }
    ).run(subprocess=True)
    assert result.exit_status == pytest.ExitCode.USAGE_ERROR
    assert "LookupError: no calendar" in result.stderr
    assert (result.stdout + result.stderr).count("conftest runs") == 1


def test_a_conftest_that_can_do_without_a_key_never_sees_a_dummy(desk):
    live = """
    @pytest.mark.skipif(not config.KEY, reason="no key")
    def test_live():
        raise AssertionError("with a dummy key")
    """
    result = desk(
        {
            "config.py": "import os\nKEY = os.environ.get('OPENAI_API_KEY')\n",
            "conftest.py": "import config\nassert config.KEY is None\n",
            "test_live.py": "import config\n" + dedent(live),
        }
    ).run()
    result.outcomes(skipped=1)


def test_a_fixture_of_a_broader_scope_constructs_its_provider_without_a_key(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from livekit.agents import Agent, inference

            @pytest.fixture(scope="session")
            def model():
                return inference.LLM("openai/gpt-4.1-mini")

            @pytest.fixture
            def agent(model):
                return Agent(instructions="You help.", llm=model)
            """,
            "test_greets.py": TEST,
        }
    ).run()
    result.outcomes(passed=1)


def test_a_dotenv_file_loaded_by_the_agents_module_does_not_bring_keys_in(desk):
    loaded = """
    import os
    from livekit.agents import Agent

    class Concierge(Agent):
        def __init__(self):
            super().__init__(instructions="You help.")

        async def on_enter(self):
            assert "dummy" in os.environ["OPENAI_API_KEY"]

    os.environ["OPENAI_API_KEY"] = "real"
    """
    result = desk(
        {
            "concierge.py": dedent(loaded),
            "conftest.py": """
            import pytest

            @pytest.fixture
            def agent():
                from concierge import Concierge
                return Concierge
            """,
            "test_greets.py": TEST,
        }
    ).run()
    result.outcomes(passed=1)
