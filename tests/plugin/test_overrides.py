"""What a user overrides, builds on or calls by the same name as ours."""

from __future__ import annotations

import pytest


def test_what_a_session_is_built_from_may_be_overridden_nearer_and_nearer(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from agent import Greeter
            from pytest_lkagent import say

            @pytest.fixture
            def agent():
                return Greeter

            @pytest.fixture
            def userdata():
                return {"from": "conftest"}

            @pytest.fixture
            def session_options():
                return {"max_tool_steps": 1}

            @pytest.fixture
            def start_script():
                return [say("Hello from the conftest.")]
            """,
            "test_conftest.py": """
            async def test_it(agent_session, start_result, transcript):
                assert agent_session.userdata == {"from": "conftest"}
                assert agent_session.options.max_tool_steps == 1
                start_result.expect.next_event().is_agent_handoff(new_agent_type=Greeter)
                start_result.expect.next_event().is_message(role="assistant")
                assert transcript.events[-1].text == "Hello from the conftest."
            """,
            "test_module.py": """
            @pytest.fixture
            def userdata(userdata):
                return {**userdata, "and": "module"}

            @pytest.fixture
            def start_script():
                return [say("Hello from the module.")]

            async def test_it(agent_session, transcript):
                assert agent_session.userdata == {"from": "conftest", "and": "module"}
                assert transcript.events[-1].text == "Hello from the module."

            class TestClass:
                @pytest.fixture
                def session_options(self, session_options):
                    return {**session_options, "max_tool_steps": 7}

                @pytest.fixture
                def agent(self):
                    return FrontDesk

                @pytest.fixture
                def start_script(self):
                    return []

                async def test_it(self, agent_session, userdata):
                    assert agent_session.options.max_tool_steps == 7
                    assert type(agent_session.current_agent) is FrontDesk
                    assert agent_session.userdata is userdata
            """,
        }
    ).run()
    result.outcomes(passed=3)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("7", "session_options is a mapping of AgentSession arguments, not 7"),
        (
            "{'max_tool_stepps': 1}",
            (
                "session_options: AgentSession takes no 'max_tool_stepps'; did you mean "
                "'max_tool_steps'?"
            ),
        ),
        (
            "{'turn_handling': {'endpointing': {'min_dely': 0.5}}}",
            (
                "session_options: turn_handling.endpointing takes no 'min_dely'; it takes mode, "
                "min_delay, max_delay, alpha; did you mean 'min_delay'?"
            ),
        ),
        (
            "{'expressive': {'speech_steering': {'nonverbal_sounds': {'sigh': True}}}}",
            (
                "session_options: expressive.speech_steering.nonverbal_sounds takes no 'sigh'; it "
                "takes *, sighing, *; did you mean 'sighing'?"
            ),
        ),
        (
            "{'turn_handling': {'endpoint': {'min_delay': 0.5}}}",
            "session_options: turn_handling takes no 'endpoint'; it takes *'endpointing'?",
        ),
    ],
)
def test_options_that_no_session_takes_are_refused_in_one_line(desk, options, line):
    result = desk(
        {
            "test_options.py": f"""
            @pytest.fixture
            def session_options():
                return {options}

            async def test_it(user_says):
                raise AssertionError("unreachable")
            """
        }
    ).run()
    result.outcomes(errors=1)
    result.shows(line)
    result.shows_no("During handling*")


def test_what_a_scenario_says_of_its_session_is_looked_up_as_deep_as_livekit_has_it(desk):
    handling = "{interruption: {min_word: 2}}"
    keys = f"label: Books, session: {{turn_handling: {handling}}}, turns: [{{user: hi}}]"
    files = {"desk.yaml": f"agent: agent.py:FrontDesk\nscenarios:\n- {{{keys}}}\n"}
    result = desk(files).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows(
        "desk.yaml:3: Books: session: turn_handling.interruption takes no 'min_word'; it takes "
        "enabled, *; did you mean 'min_words'?"
    )


def test_fixtures_of_the_user_may_have_the_names_of_ours_or_build_on_them(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from agent import FrontDesk

            @pytest.fixture
            def agent():
                return FrontDesk

            @pytest.fixture
            def transcript():
                return "the user's own"

            @pytest.fixture
            def settle():
                return "the user's own"

            @pytest.fixture
            def scenario():
                return "the user's own"

            @pytest.fixture
            def job_context():
                return "the user's own"

            @pytest.fixture
            def expect_error():
                return "the user's own"

            @pytest.fixture
            def fake_llm(fake_llm):
                fake_llm.when("hi", __import__("pytest_lkagent").say("Hello."), times=None)
                return fake_llm
            """,
            "test_names.py": """
            async def test_ours_do_not_mind(
                user_says, fake_llm, start_session,
                transcript, settle, scenario, job_context, expect_error,
            ):
                given = {transcript, settle, scenario, job_context, expect_error}
                assert given == {"the user's own"}
                assert (await user_says("hi")).events[-1].text == "Hello."
                assert (await start_session()).history is not None
            """,
        }
    ).run()
    result.outcomes(passed=1)


def test_what_is_overridden_may_be_made_of_mocks_and_of_the_model(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest
            from agent import FrontDesk
            from pytest_lkagent import call, say

            @pytest.fixture
            def userdata(fake_tts, mock_task):
                return {}

            @pytest.fixture
            def agent(fake_llm, mock_tool):
                mock_tool(FrontDesk, "book", returns="mocked")
                fake_llm.script(call("book", slot="2pm"), "Booked.")
                return FrontDesk
            """,
            "test_it.py": """
            async def test_a_session(user_says):
                turn = await user_says("2 pm please")
                assert turn.events[-2].output == "mocked"

            async def test_the_model_first(fake_llm, user_says):
                await user_says("2 pm please")

            async def test_several_sessions(start_session):
                session = await start_session()
                result = await session.run(user_input="2 pm please")
                result.expect.contains_function_call_output(output="mocked")

            async def test_the_model_and_several_sessions(fake_llm, start_session, job_context):
                await (await start_session()).run(user_input="2 pm please")

            async def test_a_call(voice_call):
                await voice_call.say("2 pm please")
                await voice_call.agent_answers("Booked.")
            """,
            "desk.yaml": """
            scenarios:
              - label: A scenario
                turns: [{user: 2 pm please}]
            """,
        },
        ini="lk_scenarios = desk.yaml\n",
    ).run()
    result.outcomes(passed=6)


def test_a_fixture_called_agent_of_another_meaning_is_left_alone(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest

            @pytest.fixture
            def agent():
                return "007"

            @pytest.fixture
            def userdata(agent):
                return {"name": agent}
            """,
            "test_spies.py": """
            import sys

            def test_plain(agent, userdata):
                assert (agent, userdata) == ("007", {"name": "007"})
                assert not os.environ.get("OPENAI_API_KEY", "").startswith("pytest-lkagent")

            @pytest.mark.asyncio
            async def test_async(agent):
                assert agent == "007"
                assert type(asyncio.get_running_loop()).time is asyncio.BaseEventLoop.time
                assert "time" not in vars(asyncio.get_running_loop())
            """,
        }
    ).run("--setup-show")
    result.outcomes(passed=2)
    result.shows_no("*_lk_*")


GUEST = """
name: Hotel
agent: agent.py:FrontDesk
scenarios:
  - label: Maya calls
    userdata: {name: Maya}
    turns: [{user: hi, llm: [Hello.], after: {userdata: {name: Maya}}}]
"""


@pytest.mark.parametrize(
    ("fixture", "passes"),
    [
        (
            "def userdata(scenario):\n    return Guest(**(scenario and scenario.userdata or {}))",
            True,
        ),
        ("def userdata(userdata):\n    return Guest(**userdata)", True),
        ("def userdata():\n    return Guest()", False),
    ],
)
def test_the_userdata_of_a_scenario_is_never_passed_over_in_silence(desk, fixture, passes):
    conftest = f"""
import pytest
from dataclasses import dataclass

@dataclass
class Guest:
    name: str = ""

@pytest.fixture
{fixture}
"""
    result = desk({"conftest.py": conftest, "s.yaml": GUEST}).run("--lk-scenarios=s.yaml")
    result.outcomes(passed=int(passes), errors=int(not passes))
    if not passes:
        result.shows(
            "s.yaml:4: Maya calls: the scenario says what its userdata is, and your fixture "
            "`userdata` does not look: let it take `scenario`, None in other tests, and make it of "
            "that, as in return Guest(**(scenario and scenario.userdata or {}))"
        )


BASKETS = """
agent: agent.py:FrontDesk
scenarios:
  - label: Takes the first slot
    userdata: {cart: [a]}
    mocks: {AskSlots: {task: {free: [2 pm, 3 pm]}}}
    turns:
      - user: when?
        llm: [{call: {take: {}}}, Fine.]
        expect: [{function_call_output: {output: took 2 pm}}, {message: Fine.}]
        after: {userdata: {cart: [a, 2 pm]}}
      - user: and again?
        llm: [{call: {take: {}}}, Fine.]
        expect: [{function_call_output: {output: took 2 pm}}, {message: Fine.}]
"""
TAKES = """
from dataclasses import dataclass
from livekit.agents import Agent, AgentTask, RunContext, function_tool

@dataclass
class Slots:
    free: list[str]

class AskSlots(AgentTask[Slots]):
    def __init__(self):
        super().__init__(instructions="Ask.")

class FrontDesk(Agent):
    def __init__(self):
        super().__init__(instructions="Book.")

    @function_tool
    async def take(self, context: RunContext) -> str:
        \"\"\"Take a slot.\"\"\"
        slot = (await AskSlots()).free.pop(0)
        context.userdata["cart"].append(slot)
        return f"took {slot}"
"""


def test_a_tool_called_task_is_no_mocked_agent_task(desk):
    tasks = """
    from livekit.agents import Agent, function_tool

    class Office(Agent):
        def __init__(self):
            super().__init__(instructions="You give work away.")

        @function_tool
        async def task(self) -> str:
            \"\"\"Give a task.\"\"\"
            return "given"

        @function_tool
        async def file(self) -> str:
            \"\"\"File it.\"\"\"
            return "filed"
    """
    scenario = """
    agent: office.py:Office
    scenarios:
    - label: Gives a task
      mocks: {Office: {task: %s}}
      turns:
      - user: give me one
        llm: [call: {task: {}}, Here.]
        expect: [function_call_output: {output: mocked}]
    """
    for mock in ("mocked", "{returns: mocked}", "{calls: [mocked]}, optional: true"):
        files = {"office.py": tasks, "office.yaml": scenario % mock}
        desk(files).run("--lk-scenarios=office.yaml").outcomes(passed=1)
    files = {"office.py": tasks, "office.yaml": scenario % "{who: Maya}"}
    result = desk(files).run("--lk-scenarios=office.yaml")
    result.outcomes(errors=1)
    result.shows(
        "office.yaml:4:11: Office is no AgentTask; mock its tools by their names, as in {book: "
        "booked} or {book: {returns: [1, 2]}}"
    )


def test_a_mocked_task_that_need_not_be_awaited_says_so(desk):
    said = """
defaults:
  mocks: {{AskSlots: {{task: {{free: [2 pm]}}{optional}}}}}
agent: agent.py:FrontDesk
scenarios:
  - {{label: Asks nothing, turns: [{{user: hi, llm: [Hello.]}}]}}
"""
    made = desk(
        {
            "agent.py": TAKES,
            "owed.yaml": said.format(optional=""),
            "free.yaml": said.format(optional=", optional: true"),
        }
    )
    result = made.run("--lk-scenarios=*.yaml")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "owed.yaml:5: Asks nothing: AskSlots is mocked (owed.yaml:2), and was never called; *"
    )


def test_what_a_scenario_gives_is_new_in_each_run_whatever_the_agent_does_to_it(desk):
    conftest = """
import pytest

@pytest.fixture(params=[1, 2])
def userdata(scenario, request):
    return dict(scenario.userdata)
"""
    files = {"conftest.py": conftest, "s.yaml": BASKETS, "agent.py": TAKES}
    desk(files).run("--lk-scenarios=s.yaml").outcomes(passed=2)
