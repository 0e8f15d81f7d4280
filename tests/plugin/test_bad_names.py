"""Names in scenario files that mean nothing, or something else than they should."""

from __future__ import annotations

import pytest

CHECKS = """
nothing = 7

def returns(transcript):
    return transcript.turns == []

async def returns_later():
    return True

def fails(transcript):
    assert transcript.events[-1].text == "Goodbye."

def wants(no_such_fixture):
    pass
"""


def desk_yaml(*, agent: str = "agent.py:FrontDesk", more: str = "", turn: str = "") -> str:
    return (
        f"agent: {agent}\n"
        "scenarios:\n"
        "  - label: Books\n"
        f"{more}"
        "    turns:\n"
        f"      - {{user: 2pm, llm: [Hello.]{turn}}}\n"
    )


UNKNOWN = {
    "agent module": (
        desk_yaml(agent="agnet.py:FrontDesk"),
        "desk.yaml:1:8: there is no file agnet.py beside desk.yaml",
    ),
    "agent class": (
        desk_yaml(agent="agent.py:FrontDeks"),
        "desk.yaml:1:8: agent.py has no 'FrontDeks'; did you mean 'FrontDesk'?",
    ),
    "agent package": (
        desk_yaml(agent="no_such_package.agent:FrontDesk"),
        (
            "desk.yaml:1:8: no_such_package.agent cannot be imported: ModuleNotFoundError: No "
            "module named 'no_such_package'"
        ),
    ),
    "agent that is none": (
        desk_yaml(agent="checks.py:nothing"),
        "desk.yaml:1:8: checks.py:nothing is 7, neither an Agent, nor its class, nor a factory",
    ),
    "ImportError": (
        desk_yaml(agent="raises.py:FrontDesk"),
        (
            "desk.yaml:1:8: raises.py cannot be imported: ModuleNotFoundError: No module named "
            "'no_such_module' (raises.py:2)"
        ),
    ),
    "SystemExit": (
        desk_yaml(agent="exits.py:FrontDesk"),
        "desk.yaml:1:8: exits.py cannot be imported: SystemExit: 3 (exits.py:2)",
    ),
    "SyntaxError": (
        desk_yaml(agent="syntax.py:FrontDesk"),
        "desk.yaml:1:8: syntax.py cannot be imported: SyntaxError: *",
    ),
    "tool": (
        desk_yaml(more="    mocks: {FrontDesk: {bok: booked}}\n"),
        "desk.yaml:4:25: FrontDesk has no tool 'bok'; it has book*; did you mean 'book'?",
    ),
    "class of a mock": (
        desk_yaml(more="    mocks: {FrontDeks: {book: booked}}\n"),
        (
            "desk.yaml:4:13: no Agent class 'FrontDeks' in agent.py or among those loaded; did you "
            "mean 'FrontDesk'?"
        ),
    ),
    "task of a mock": (
        desk_yaml(more="    mocks: {NoSuchTask: {task: {a: 1}}}\n"),
        "desk.yaml:4:13: no Agent class 'NoSuchTask' in agent.py or among those loaded*",
    ),
    "asker": (
        (
            "agent: agent.py:FrontDesk\nscenarios:\n- label: Books\n  turns:\n"
            "  - {user: 2pm, llm: [{say: Hello., by: FrontDeks}]}\n"
        ),
        (
            "desk.yaml:5:41: no Agent class 'FrontDeks' in agent.py or among those loaded; did you "
            "mean 'FrontDesk'?"
        ),
    ),
    "exception": (
        (
            "agent: agent.py:FrontDesk\nscenarios:\n- label: Books\n  turns:\n"
            "  - {user: 2pm, llm: [{fail: {type: APIConnectionEror}}]}\n"
        ),
        (
            "desk.yaml:5:37: no exception 'APIConnectionEror'; name one of LiveKit's or of "
            "Python's, or module:Class; did you mean 'APIConnectionError'?"
        ),
    ),
    "check": (
        desk_yaml(more="    check: checks.py:nothng\n"),
        "desk.yaml:4:12: checks.py has no 'nothng'; did you mean 'nothing'?",
    ),
    "check that is not callable": (
        desk_yaml(more="    check: checks.py:nothing\n"),
        "desk.yaml:4:12: the check checks.py:nothing is not callable: 7",
    ),
    "check of a turn that is not callable": (
        desk_yaml(turn=", check: 'checks.py:nothing'"),
        "desk.yaml:5:*: the check checks.py:nothing is not callable: 7",
    ),
}
MODULES = {
    "checks.py": CHECKS,
    "raises.py": "from agent import FrontDesk\nimport no_such_module\n",
    "exits.py": "from agent import FrontDesk\nraise SystemExit(3)\n",
    "syntax.py": "def (:\n",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_a_file_names_wrongly_is_one_line_while_collecting(desk, name):
    content, line = UNKNOWN[name]
    result = desk({**MODULES, "desk.yaml": content}).run("--lk-scenarios=desk.yaml", "-rA")
    assert result.exit_status == pytest.ExitCode.INTERRUPTED
    result.outcomes(errors=1)
    result.shows("_* ERROR collecting desk.yaml _*", line, "ERROR desk.yaml*", "!* 1 error *!")
    result.shows_no("E *")


RUNS = {
    "a check that returns": (
        desk_yaml(more="    check: checks.py:returns\n"),
        (
            "desk.yaml:4: Books, at the end: the check checks.py:returns returned False; a check "
            "asserts, and returns nothing"
        ),
    ),
    "a check that returns later": (
        desk_yaml(turn=", check: 'checks.py:returns_later'"),
        (
            "desk.yaml:5: Books, turn 1: the check checks.py:returns_later returned True; a check "
            "asserts, and returns nothing"
        ),
    ),
}


@pytest.mark.parametrize("check", RUNS)
def test_a_check_that_returns_something_fails_at_its_line(desk, check):
    content, line = RUNS[check]
    result = desk({**MODULES, "desk.yaml": content}).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(line, "FAILED desk.yaml::Books - *")
    result.shows_no("E *")


ABSENT = {
    "function_call: bok": (
        "no agent has a tool 'bok', so it is absent whatever happens; did you mean 'book'?"
    ),
    "function_call_output: {name: boook}": "no agent has a tool 'boook', *; did you mean 'book'?",
    "agent_handoff: {from: Greeeter}": "there is no agent 'Greeeter', *; did you mean 'Greeter'?",
}


@pytest.mark.parametrize("absent", ABSENT)
def test_a_name_under_absent_that_is_nearly_one_that_there_is_is_told_at_its_line(desk, absent):
    """It would hold whatever happens."""
    content = desk_yaml(more=f"    absent:\n    - {absent}\n")
    result = desk({"desk.yaml": content}).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(f"desk.yaml:5: Books: {ABSENT[absent]}")
    result.shows_no("E *")


LATER = '''
from livekit.agents import Agent, function_tool

@function_tool
async def verify_id() -> None:
    """Verify a passport."""

class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You help.")

    @function_tool
    async def verify(self) -> None:
        """Verify the caller."""
        await self.update_tools([*self.tools, verify_id])

class Billing(Agent):
    @function_tool
    async def charge(self) -> None:
        """Charge the caller."""

@function_tool
async def dial() -> None:
    """Call somebody."""

def with_dial():
    return Agent(instructions="You dial.", tools=[dial])
'''


@pytest.mark.parametrize("absent", ["verify_id", "charge", "transfer"])
def test_a_tool_may_be_absent_that_only_comes_later_or_that_another_agent_has(desk, absent):
    content = desk_yaml(agent="later.py:Desk", more=f"    absent: [function_call: {absent}]\n")
    result = desk({"later.py": LATER, "desk.yaml": content}).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=1)


@pytest.mark.parametrize(("named", "near"), [("dail", "dial"), ("chrge", "charge")])
def test_the_tools_of_an_instance_and_of_the_agents_beside_it_are_looked_up_too(desk, named, near):
    files = {"later.py": LATER}
    for absent, outcome in ((near, "passed"), (named, "failed")):
        more = f"    absent: [function_call: {absent}]\n"
        files["desk.yaml"] = desk_yaml(agent="later.py:with_dial", more=more)
        result = desk(files).run("--lk-scenarios=desk.yaml")
        result.outcomes(**{outcome: 1})
    result.shows(f"desk.yaml:4: Books: no agent has a tool {named!r}, *{near!r}?")


def test_a_check_that_fails_shows_its_own_line_and_the_turn(desk):
    content = desk_yaml(turn=", check: 'checks.py:fails'")
    result = desk({**MODULES, "desk.yaml": content}).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(
        '> * assert transcript.events[-1].text == "Goodbye."',
        "E *in desk.yaml:5: Books, turn 1",
        "checks.py:*: AssertionError",
    )


def test_a_check_that_wants_a_fixture_that_nobody_has_is_named_at_the_scenario(desk):
    content = desk_yaml(more="    check: checks.py:wants\n")
    result = desk({**MODULES, "desk.yaml": content}).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows(
        "desk.yaml:3: Books: the check checks.py:wants takes a fixture 'no_such_fixture', and "
        "there is none",
        "ERROR desk.yaml::Books*",
    )
    result.shows_no("file *", "E *")


def test_without_an_agent_the_ways_to_name_one_are_shown_at_the_scenario(desk):
    result = desk(
        {"conftest.py": "", "desk.yaml": "scenarios:\n- label: Books\n  turns: [user: hi]\n"}
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows(
        "desk.yaml:2: Books: which agent is under test? write agent: agent.py:FrontDesk or "
        "entrypoint: server.py:server at the top of the file, or define a fixture `agent` or "
        "`entrypoint` in conftest.py",
        "ERROR desk.yaml::Books - *",
    )
    result.shows_no("During handling*", "E *")


def test_names_that_need_the_agent_of_a_fixture_are_refused_at_set_up_in_the_same_form(desk):
    content = desk_yaml(more="    mocks: {FrontDesk: {bok: booked}}\n").partition("\n")[2]
    result = desk({"desk.yaml": content}).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows("desk.yaml:3:25: FrontDesk has no tool 'bok'; it has book*; did you mean 'book'?")
    result.shows_no("During handling*", "E *")


MOCKS = {
    "mock_tool(FrontDesk, 'book', side_effect=lambda day: 'booked')": (
        "mock_tool('FrontDesk.book')*'day'*slot*"
    ),
    "mock_tool(FrontDesk, 'bok')": "FrontDesk has no tool 'bok'*; did you mean 'book'?",
    "mock_tool(FrontDesk, 'book', retuns=1)": "mock_tool() *'retuns'; did you mean 'returns'?",
    "mock_tool(FrontDesk, 'book', returns=1, raises=KeyError())": "mock_tool('FrontDesk.book')*",
    "fake_llm.script(call('book', slot=object()))": "call(*slot*object*",
    "fake_llm.script(7)": "*7*",
    "fake_llm.when(7, 'Hello.')": "when() takes *, not 7",
    "mock_tool('FrontDesk', 'book')": (
        "mock_tool() takes an Agent class and the name of a tool, or a function tool, not 'Fr*'"
    ),
    "mock_task(FrontDesk, returns=1)": "mock_task() takes a subclass of AgentTask, not *FrontDesk*",
}


@pytest.mark.parametrize("made", MOCKS)
def test_a_mock_or_a_step_that_could_never_work_is_refused_at_its_line(desk, made):
    result = desk(
        {
            "test_mock.py": f"""
            async def test_it(mock_tool, mock_task, fake_llm):
                {made}
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(f"> * {made.replace('[', '?')}", f"E *Error: {MOCKS[made]}", "test_mock.py:10: *")


MISSPELT = {
    "await voice_call.agent_answers(withn=1)": "'withn'*id you mean 'within'?",
    "await voice_call.say('hello', att=1)": "'att'; did you mean 'at'?",
    "await voice_call.interrupt('wait', aftr=1)": "'aftr'; did you mean 'after'?",
    "await voice_call.silence(second=1)": "'second'*id you mean 'seconds'?",
    "await user_says('hello', interupt=1)": "'interupt'; did you mean 'interrupt'?",
    "expect_error(ValueError, mach='')": "'mach'*id you mean 'match'?",
    "expect_close(reson='error')": "'reson'*id you mean 'reason'?",
}


@pytest.mark.parametrize("called", MISSPELT)
def test_a_misspelt_argument_is_told_in_the_words_of_the_test_with_a_suggestion(desk, called):
    name = called.removeprefix("await ").partition("(")[0]
    test = f"""
        async def test_it({name.partition(".")[0]}):
            {called}
        """
    result = desk({"test_it.py": test}).run()
    result.outcomes(failed=1)
    result.shows(f"E *Error: {name}() got an unexpected keyword argument {MISSPELT[called]}")


NO_TEXTS = {
    "await user_says(None)": "user_says(None): what is said is a text",
    "await user_says(['hello'])": "user_says(?'hello'?): what is said is a text",
    "await user_says('hello', interrupt='2s')": "*interrupt='2s'): how many seconds? write a *",
}


@pytest.mark.parametrize("said", NO_TEXTS)
def test_what_the_user_says_is_a_text_and_nothing_else_reaches_livekit(desk, said):
    result = desk(
        {
            "test_it.py": f"""
            async def test_it(user_says, fake_llm):
                fake_llm.when(lambda request: True, "Hello.", times=None)
                {said}
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(f"E *UsageError: {NO_TEXTS[said]}", "test_it.py:*: UsageError")


def test_an_argument_that_is_like_none_gets_no_suggestion_and_one_that_lacks_is_pythons(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(voice_call):
                await voice_call.settle(colour=1)

            async def test_nothing(voice_call):
                await voice_call.silence()

            async def test_of_the_users_own(voice_call):
                def settle(at): ...
                settle(att=1)
            """
        }
    ).run()
    result.outcomes(failed=3)
    result.shows(
        "E *TypeError: voice_call.settle() got an unexpected keyword argument 'colour'",
        "E *TypeError: voice_call.silence() missing 1 required positional argument: 'seconds'",
    )
    result.shows("E *settle() got an unexpected keyword argument 'att'")


def test_a_fixture_of_a_check_that_raises_is_shown_from_its_own_line(desk):
    conftest = (
        "import pytest\n"
        "from agent import FrontDesk\n\n"
        "@pytest.fixture\n"
        "def agent():\n    return FrontDesk\n\n"
        "@pytest.fixture\n"
        "def rows():\n    raise LookupError('no database')\n"
    )
    result = desk(
        {
            "checks.py": "def wants_rows(rows):\n    assert rows\n",
            "conftest.py": conftest,
            "desk.yaml": desk_yaml(more="    check: checks.py:wants_rows\n"),
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows(">*raise LookupError('no database')", "E *LookupError: no database")
    result.shows_no("*pytest_asyncio*", "*_pytest*")
