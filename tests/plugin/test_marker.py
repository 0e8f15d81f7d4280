"""The marker ``lk``: what one test says about its session."""

from __future__ import annotations

import pytest


def test_a_marker_says_what_the_session_is_built_from_and_the_nearest_wins(desk):
    result = desk(
        {
            "test_marker.py": """
            pytestmark = pytest.mark.lk(
                agent=Greeter, start=[say("Hello.")], userdata={"level": ["module"]}
            )

            async def test_module(agent_session, transcript):
                assert type(agent_session.current_agent) is Greeter
                assert transcript.events[-1].text == "Hello."
                assert agent_session.userdata == {"level": ["module"]}
                agent_session.userdata["level"].append("changed")

            @pytest.mark.lk(start=[say("Good evening.")])
            class TestClass:
                async def test_class(self, agent_session, transcript):
                    assert type(agent_session.current_agent) is Greeter
                    assert transcript.events[-1].text == "Good evening."
                    assert agent_session.userdata == {"level": ["module"]}, "each test has its own"

                @pytest.mark.lk(agent=FrontDesk, start=[], userdata=None)
                async def test_function(self, agent_session, transcript):
                    assert type(agent_session.current_agent) is FrontDesk
                    assert [event.type for event in transcript] == ["agent_handoff"]
                    with pytest.raises(ValueError, match="userdata is not set"):
                        agent_session.userdata
            """
        }
    ).run("--strict-markers")
    result.outcomes(passed=3)


@pytest.mark.parametrize(
    ("marker", "line"),
    [
        (
            "lk(agnet=FrontDesk)",
            (
                "lk(agnet=…) is unknown; the keys are agent, allow, entrypoint, job, now, "
                "real_time, start, timeout, userdata; did you mean 'agent'?"
            ),
        ),
        (
            "lk('FrontDesk')",
            (
                "lk('FrontDesk') has no key; write lk(agent=…) or another of agent, allow, "
                "entrypoint, job, now, real_time, start, timeout, userdata"
            ),
        ),
        (
            "lk(allow=['unused_steps'])",
            (
                "allow names 'unused_steps', which is no kind of finding; the kinds are "
                "*unused_mock, unused_snapshot, unused_step, veto; did you mean 'unused_step'?"
            ),
        ),
        ("lk(allow=7)", "allow takes a kind of finding or a list of them, not 7"),
        (
            "lk(timeout='soon')",
            "lk(timeout=…): 'soon' is no time to wait; write 250ms, 2s, 1m or a number of seconds",
        ),
        (
            "lk(timeout=-1)",
            "lk(timeout=…): -1 is no time to wait; write 250ms, 2s, 1m or a number of seconds",
        ),
        ("lk(start=7)", "lk(start=…) takes *, not 7"),
        ("lk(start=say('Hi.'))", "lk(start=…) takes a list of steps, not say('Hi.')"),
    ],
)
def test_a_marker_that_means_nothing_is_refused_in_one_line(desk, marker, line):
    result = desk(
        {
            "test_marker.py": f"""
            @pytest.mark.{marker}
            async def test_it(user_says):
                raise AssertionError("unreachable")
            """
        }
    ).run()
    result.outcomes(errors=1)
    result.shows(f"test_marker.py:9: test_it: {line}", "ERROR test_marker.py::test_it - *")
    result.shows_no("During handling*", "*Error:*", "E *")


def test_a_start_that_is_left_over_is_said_to_stand_where_the_test_stands(desk):
    result = desk(
        {
            "test_marker.py": """
            @pytest.mark.lk(start=["Hello."])
            async def test_it(user_says):
                pass
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "scripted, and never asked for while the session started: say('Hello.') (*test_marker.py:*)"
    )


def test_a_marker_bounds_how_long_a_turn_may_take_in_virtual_seconds(desk):
    result = desk(
        {
            "test_slow.py": """
            @pytest.mark.lk(timeout="30s")
            async def test_too_slow(user_says, fake_llm):
                fake_llm.script(say("Hello.").timed(ttft=40))
                await user_says("hi")

            @pytest.mark.lk(timeout=50)
            async def test_slow(user_says, fake_llm):
                fake_llm.script(say("Hello.").timed(ttft=40))
                assert (await user_says("hi")).took >= 40
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows("*user_says('hi') cannot finish: *30 *", "FAILED test_slow.py::test_too_slow - *")


@pytest.mark.parametrize("where", ["option", "ini"])
def test_a_timeout_for_all_tests_comes_from_the_command_line_or_the_ini_file(desk, where):
    made = desk(
        {
            "test_slow.py": """
            async def test_too_slow(user_says, fake_llm):
                fake_llm.script(say("Hello.").timed(ttft=40))
                await user_says("hi")
            """
        },
        ini="lk_timeout = 30s\n" if where == "ini" else "lk_timeout = 50s\n",
    )
    result = made.run(*(["--lk-timeout=30"] if where == "option" else []))
    result.outcomes(failed=1)
    result.shows("*user_says('hi') cannot finish: *30 *")


def test_the_marker_is_registered_and_explains_itself(desk):
    result = desk({}).run("--markers")
    result.shows(
        "@pytest.mark.lk(agent=, entrypoint=, userdata=, job=, start=, now=, timeout=, *=): *"
    )


def test_userdata_that_nobody_gave_is_told_with_what_gives_it(desk):
    result = desk(
        {
            "keeper.py": """
            from livekit.agents import Agent, function_tool


            class Keeper(Agent):
                def __init__(self):
                    super().__init__(instructions="You keep.")

                @function_tool
                async def keep(self, what: str) -> str:
                    \"\"\"Keep it.\"\"\"
                    return self.session.userdata[what]
            """,
            "test_it.py": """
            import pytest
            from keeper import Keeper
            from pytest_lkagent import call
            from pytest_lkagent.fuzz import fuzz_agent

            @pytest.mark.lk(agent=Keeper)
            async def test_keeps(user_says, fake_llm):
                fake_llm.script(call("keep", what="a key"), "Kept.")
                await user_says("a key")

            test_any = fuzz_agent(Keeper)
            """,
            "keeper.yaml": """
            agent: keeper.py:Keeper
            scenarios:
              - label: Keeps
                turns: [{user: a key, llm: [{call: {keep: {what: a key}}}, Kept.]}]
            """,
        }
    ).run("test_it.py", "keeper.yaml", "--lk-scenarios=keeper.yaml")
    result.outcomes(failed=3)
    result.shows(
        "E *say what that is: the fixture userdata, or @pytest.mark.lk(userdata=…); of an "
        "entrypoint, its own AgentSession(userdata=…)",
        "E *say what that is: userdata= of the test, userdata: of the scenario, or the fixture "
        "userdata",
        "E *say what that is: userdata: in the scenario, or the fixture userdata; of an "
        "entrypoint, its own AgentSession(userdata=…)",
    )
