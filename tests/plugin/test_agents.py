"""Which agent is under test, and what its session is built from."""

from __future__ import annotations

import pytest

AGENTS = {
    "an instance": "@pytest.fixture\ndef agent():\n    return Named('Ada')",
    "a class": "@pytest.fixture\ndef agent():\n    return Named",
    "a factory": "@pytest.fixture\ndef agent():\n    return lambda: Named('Ada')",
    "an async factory": (
        "@pytest.fixture\ndef agent():\n"
        "    async def make():\n        await asyncio.sleep(1)\n        return Named('Ada')\n"
        "    return make"
    ),
    "an async fixture": (
        "@pytest_asyncio.fixture\nasync def agent():\n"
        "    await asyncio.sleep(0)\n    return Named('Ada')"
    ),
    "a factory that needs the loop": ("@pytest.fixture\ndef agent():\n    return on_loop"),
}
NAMED = """
import pytest_asyncio

class Named(Agent):
    def __init__(self, name="Ada"):
        super().__init__(instructions=f"Your name is {name}.")

def on_loop():
    asyncio.get_running_loop()
    return Named()
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize("given", AGENTS)
def test_the_agent_under_test_may_be(desk, given, mode):
    test = """
async def test_it(user_says, fake_llm, agent_session):
    fake_llm.script(say("Hello."))
    await user_says("hi")
    assert type(agent_session.current_agent) is Named
    assert fake_llm.requests[0].instructions == "Your name is Ada."
"""
    result = desk({"test_agent.py": f"{NAMED}\n{AGENTS[given]}\n{test}"}).run(
        f"--asyncio-mode={mode}"
    )
    result.outcomes(passed=1)


WRONG_AGENTS = {
    "return 7": "the agent under test: expected an Agent, its class or a factory, not 7",
    "return dict": "the agent under test: expected an Agent, its class or a factory, not {}",
    "return lambda name: FrontDesk()": "the agent under test: <lambda>() missing a required "
    "argument: 'name'; give an instance, or a factory such as lambda: <lambda>(…)",
    "return int": "the agent under test: expected an Agent, its class or a factory, not 0",
}


@pytest.mark.parametrize(("body", "line"), WRONG_AGENTS.items())
def test_what_is_no_agent_is_refused_in_one_line(desk, body, line):
    result = desk(
        {
            "test_agent.py": f"""
            @pytest.fixture
            def agent():
                {body}

            async def test_it(user_says):
                raise AssertionError("unreachable")
            """
        }
    ).run()
    result.outcomes(errors=1)
    result.shows(line, "ERROR test_agent.py::test_it - *")
    result.shows_no("During handling*")
    assert result.exit_status == pytest.ExitCode.TESTS_FAILED


def test_an_agent_whose_constructor_raises_shows_the_line_of_the_user(desk):
    result = desk(
        {
            "test_agent.py": """
            class Broken(Agent):
                def __init__(self):
                    raise LookupError("no calendar")

            @pytest.fixture
            def agent():
                return Broken

            async def test_it(user_says):
                raise AssertionError("unreachable")
            """
        }
    ).run()
    result.outcomes(errors=1)
    result.shows(
        '*raise LookupError("no calendar")',
        "E*LookupError: no calendar",
        "test_agent.py:*: LookupError",
    )


def test_without_an_agent_the_ways_to_name_one_are_shown(desk):
    result = desk(
        {
            "conftest.py": "",
            "test_agent.py": "async def test_it(user_says):\n    pass\n",
        }
    ).run()
    result.outcomes(errors=1)
    result.shows(
        "which agent is under test? define a fixture `agent` in conftest.py that returns an Agent, "
        "its class or a factory, or `entrypoint` that returns an AgentServer; or mark the test "
        "@pytest.mark.lk(agent=FrontDesk)"
    )
    result.shows_no("During handling*")


def test_who_starts_a_session_hears_how_to_speak_to_it(desk):
    result = desk(
        {
            "conftest.py": "from agent import FrontDesk\n",
            "test_agent.py": """
            from agent import FrontDesk

            async def test_it(start_session, user_says, fake_llm):
                await start_session(FrontDesk())
                fake_llm.script("Hello.")
                await user_says("hi")
            """,
        }
    ).run()
    result.outcomes(errors=1)
    result.shows(
        "which agent is under test? *; or mark the test @pytest.mark.lk(agent=FrontDesk) ("
        "user_says and agent_session are about the session of that agent: speak to one of "
        "start_session() by session.run(user_input=…))"
    )


def test_the_ini_file_may_name_the_agent(desk):
    result = desk(
        {
            "conftest.py": "",
            "test_agent.py": """
            async def test_it(user_says, fake_llm, agent_session):
                fake_llm.script(say("Hello."))
                await user_says("hi")
                assert type(agent_session.current_agent).__name__ == "FrontDesk"
            """,
        },
        ini="lk_agent = agent.py:FrontDesk\n",
    ).run()
    result.outcomes(passed=1)


def test_an_agent_of_the_ini_file_that_does_not_exist_points_there(desk):
    result = desk(
        {"conftest.py": "", "test_agent.py": "async def test_it(user_says):\n    pass\n"},
        ini="lk_agent = agent.py:FrontDeks\n",
    ).run()
    result.outcomes(errors=1)
    result.shows("*pytest.ini:*: agent.py has no 'FrontDeks'; did you mean 'FrontDesk'?")


def test_what_the_user_says_in_an_agent_task_is_what_the_model_has_to_answer(desk):
    """LiveKit puts the tool that awaits the task behind it, as one that is still in progress."""
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import AgentTask, function_tool

            class AskNumber(AgentTask[str]):
                def __init__(self):
                    super().__init__(instructions="Ask for the number.")

                async def on_enter(self):
                    await self.session.generate_reply(instructions="ask for it")

                @function_tool
                async def got(self, number: str) -> None:
                    \"\"\"The number was said.\"\"\"
                    self.complete(number)

            class Office(Agent):
                def __init__(self):
                    super().__init__(instructions="You note numbers.")

                @function_tool
                async def note(self) -> str:
                    \"\"\"Note a number.\"\"\"
                    return await AskNumber()

            @pytest.mark.lk(agent=Office)
            async def test_it(user_says, fake_llm):
                fake_llm.when("note it", call("note"), say("Which one?"))
                fake_llm.when("123", call("got", number="123"), say("Noted."))
                await user_says("note it")
                await user_says("123")
                asked = [request.last_input for request in fake_llm.requests]
                assert asked[:3] == ["note it", "", "123"]
            """
        }
    ).run()
    result.outcomes(passed=1)
