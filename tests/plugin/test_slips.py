"""Slips that LiveKit would let pass, and what their author reads."""

from __future__ import annotations

from textwrap import dedent

import pytest


def test_an_argument_of_the_wrong_type_is_a_slip_of_the_script(desk):
    result = desk(
        {
            "test_it.py": """
            from pytest_lkagent import raw_call

            async def test_slip(user_says, fake_llm):
                fake_llm.script(call("book", slot=2), say("Done."))
                await user_says("at two")

            async def test_meant(user_says, fake_llm):
                fake_llm.script(raw_call("book", '{"slot": 2}'), say("When?"))
                turn = await user_says("at two")
                turn.expect.contains_function_call_output(is_error=True)
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows(
        "E *ScriptError: test_it.py:12: the script has call('book', slot=2); slot: Input should be "
        "a valid string (if the model is meant to do that, make it a raw_call)",
    )


def test_it_is_one_wherever_the_session_is_spoken_to(desk):
    result = desk(
        {
            "test_it.py": """
            from pytest_lkagent.errors import ScriptError

            class Books(FrontDesk):
                async def on_enter(self):
                    await self.session.generate_reply(instructions="book at two")

            @pytest.mark.lk(agent=Books, start=[call("book", slot=2), say("Done.")])
            async def test_at_the_start(agent_session):
                pass

            async def test_in_a_run_by_hand(start_session, fake_llm):
                session = await start_session(FrontDesk)
                fake_llm.script(call("book", slot=2), say("Done."))
                await session.run(user_input="at two")

            async def test_in_a_call(voice_call, fake_llm):
                fake_llm.script(call("book", slot=2), say("Done."))
                await voice_call.say("at two")

            async def test_once(user_says, fake_llm):
                fake_llm.script(call("book", slot=2), say("Done."))
                with pytest.raises(ScriptError):
                    await user_says("at two")
            """
        }
    ).run()
    result.outcomes(passed=1, failed=3)
    told = "the script has call('book', slot=2); slot: Input should be a valid string *"
    result.shows(*(f"test_it.py:{line}: {told}" for line in (15, 21, 25)))


def test_a_mock_that_was_called_otherwise_shows_the_line_of_the_test_alone(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says, fake_llm, mock_tool):
                book = mock_tool(FrontDesk, "book", returns="booked")
                fake_llm.script(call("book", slot="2pm"), say("Done."))
                await user_says("at two")
                book.assert_called_once_with(slot="3pm")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        '>       book.assert_called_once_with(slot="3pm")',
        "E       AssertionError: expected call not found.",
        "E       Expected: book(slot='3pm')",
        "E         Actual: book(slot='2pm')",
        "test_it.py:*: AssertionError",
    )
    result.shows_no("*unittest*")


def test_a_mock_that_hands_over_to_a_class_is_refused(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(mock_tool):
                mock_tool(FrontDesk, "book", returns=Greeter)
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "E *UsageError: mock_tool('FrontDesk.book'): returns=Greeter is a class, and a hand-over "
        "is an instance: Greeter()"
    )


def test_a_mock_on_the_wrong_agent_names_the_right_one(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(mock_tool):
                mock_tool(Greeter, "book", returns="no")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *UsageError: Greeter has no tool 'book'; it has *; FrontDesk has it")


def test_the_start_of_a_scenario_takes_the_place_of_the_fixtures(desk):
    result = desk(
        {
            "conftest.py": """
            import pytest

            @pytest.fixture
            def start_script():
                return ["From the fixture."]
            """,
            "desk.yaml": """
            agent: agent.py:Greeter
            scenarios:
              - label: Its own
                start: {llm: [From the file.], expect: [{message: From the file.}]}
                turns: [{user: hi, llm: [Hello.]}]
              - label: The fixture's
                turns: [{user: hi, llm: [Hello.]}]
            """,
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=2)


def test_a_start_that_nobody_scripted_is_told_without_what_livekit_made_of_it(desk):
    result = desk(
        {
            "desk.yaml": """
            agent: agent.py:Greeter
            scenarios:
              - label: Silent
                turns: [{user: hi, llm: [Hello.]}]
            """
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(
        "desk.yaml:3: Silent: Greeter asked its model for a completion that nobody scripted",
        "asked to: 'Greet the caller.'",
        "it was asked while the session started: add it to start: {llm: […]} (desk.yaml:3)",
    )
    result.shows_no("During handling*")


def test_a_request_that_nobody_scripted_is_told_though_the_agent_raises_of_it(desk):
    result = desk(
        {
            "test_it.py": """
            class Wraps(FrontDesk):
                async def llm_node(self, chat_ctx, tools, settings):
                    try:
                        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, settings):
                            yield chunk
                    except Exception as error:
                        raise ValueError("no answer") from error

            @pytest.mark.lk(agent=Wraps)
            async def test_it(user_says):
                await user_says("hello")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "E *UnscriptedRequest: Wraps asked its model for a completion that nobody scripted",
        "E *request 1, last input: 'hello'",
    )


def test_a_tool_that_is_no_coroutine_function_is_named(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import function_tool

            class Hasty(FrontDesk):
                @function_tool
                def book(self, slot: str) -> str:
                    "Book a slot."
                    return f"booked {slot}"

            @pytest.mark.lk(agent=Hasty)
            async def test_it(user_says, fake_llm):
                fake_llm.script(call("book", slot="2pm"), say("Done."))
                await user_says("at two")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        '> * await user_says("at two")',
        "E *NotAwaitable: the tool book (test_it.py:12) returned 'booked 2pm', and LiveKit awaits "
        "it: write async def book",
    )


def test_a_hook_that_is_no_coroutine_function_is_named(desk):
    result = desk(
        {
            "test_it.py": """
            class Entering(FrontDesk):
                def on_enter(self): ...

            class Leaving(FrontDesk):
                def on_exit(self): ...

            @pytest.mark.parametrize("agent", [Entering, Leaving])
            async def test_it(agent_session): ...
            """
        }
    ).run()
    result.outcomes(failed=2)
    result.shows(
        "on_enter of Entering (test_it.py:10) returned None, and LiveKit awaits it: write async "
        "def on_enter",
        "on_exit of Leaving (test_it.py:13) returned None, and LiveKit awaits it: write async "
        "def on_exit",
    )


def test_a_step_that_the_start_does_not_ask_for_answers_no_turn(desk):
    result = desk(
        {
            "test_it.py": """
            from pytest_lkagent import silence

            @pytest.mark.lk(start=[say("Welcome."), silence()])
            async def test_by_marker(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")

            async def test_by_the_factory(start_session, fake_llm):
                session = await start_session(start=[say("Welcome.")])
                fake_llm.script(say("Hello."))
                result = await session.run(user_input="hi")
                assert fake_llm.remaining == ()

            @pytest.mark.lk(agent=Greeter, start=[say("Welcome."), say("Again.")])
            async def test_one_of_two(user_says): ...

            @pytest.mark.lk(start=[say("Welcome.")], allow=["unused_step"])
            async def test_allowed(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                turn = await user_says("hi")
                turn.expect.contains_message(role="assistant")
                assert turn.events[-1].text == "Hello."
            """
        }
    ).run()
    result.outcomes(failed=3, passed=1)
    result.shows(
        "scripted, and never asked for while the session started: say('Welcome.') (test_it.py:11)",
        "  and silence() (test_it.py:11)",
        "  take it out, or let it pass: @pytest.mark.lk(allow=['unused_step'])",
    )
    result.shows(
        "scripted, and never asked for while the session started: say('Welcome.') (test_it.py:17)",
    )
    result.shows(
        "scripted, and never asked for while the session started: say('Again.') (test_it.py:22)",
    )


def test_a_call_that_livekit_drops_is_one_too_many(desk):
    result = desk(
        {
            "test_it.py": """
            from pytest_lkagent import raw_call

            @pytest.fixture
            def session_options():
                return {"max_tool_steps": 1}

            async def test_slip(user_says, fake_llm):
                fake_llm.script(*(call("book", slot=slot) for slot in "123"))
                await user_says("book them all")

            async def test_meant(user_says, fake_llm, transcript):
                fake_llm.script(call("book", slot="1"), call("book", slot="2"))
                fake_llm.script(raw_call("book", '{"slot": "3"}'))
                await user_says("book them all")
                assert len(transcript.events) == 6
            """
        }
    ).run()
    result.outcomes(failed=1, passed=1)
    result.shows(
        "E *ScriptError: test_it.py:16: the script calls book(slot='3'); the request "
        "allows no call (tool_choice='none', as after max_tool_steps), and LiveKit drops it (if "
        "the model is meant to do that, make it a raw_call)",
    )


SNAPSHOTS = {
    "agent_session": "<livekit.agents.*.AgentSession object *; compare its history",
    "user_says('hi')": "<coroutine object *; write await before it",
    "'hi'": "'hi'",
}


@pytest.mark.parametrize("value", SNAPSHOTS)
def test_what_no_snapshot_can_be_made_of_is_named_with_what_can(desk, value):
    result = desk(
        {
            "test_it.py": f"""
            async def test_it(agent_session, user_says, chat_snapshot):
                assert {value} == chat_snapshot
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(f"E *a snapshot is made of a chat context, *, not of *{SNAPSHOTS[value]}")


def test_a_mock_that_is_made_after_the_real_one_was_called_says_so(desk):
    result = desk(
        {
            "test_it.py": """
            from reception import AskName, Reception

            @pytest.fixture(autouse=True)
            def scripted(request, fake_llm):
                if "task" not in request.node.name:
                    fake_llm.script(call("book", slot="2pm"), say("Done."))

            async def test_tool(user_says, mock_tool):
                await user_says("at two")
                mock_tool(FrontDesk, "book", returns="booked")

            async def test_of_the_class_above(user_says, mock_tool):
                await user_says("at two")
                mock_tool(Agent, "book", returns="booked")

            async def test_looked_at(user_says, mock_tool):
                await user_says("at two")
                book = mock_tool(FrontDesk, "book", returns="booked")
                book.assert_not_called()

            async def test_called_again(user_says, mock_tool, fake_llm):
                await user_says("at two")
                mock_tool(FrontDesk, "book", returns="booked")
                fake_llm.script(call("book", slot="3pm"), say("Done."))
                await user_says("at three")

            @pytest.mark.lk(agent=Reception)
            async def test_task(user_says, mock_task, fake_llm):
                fake_llm.script(call("ask"))
                await user_says("hello")
                mock_task(AskName, returns="Maya")
            """,
            "reception.py": dedent("""
            from agent import FrontDesk
            from livekit.agents import AgentTask, function_tool


            class AskName(AgentTask[str]):
                def __init__(self) -> None:
                    super().__init__(instructions="Ask for the name.")

            class Reception(FrontDesk):
                @function_tool
                async def ask(self) -> str:
                    return await AskName()
            """),
        }
    ).run()
    late = (
        "after the real one was called, and was not called since; mock it before that, and what "
        "the start calls in a fixture that is named before agent_session"
    )
    result.outcomes(failed=4, passed=1)
    result.shows(
        f"FrontDesk.book is mocked (test_it.py:18) {late}",
        f"Agent.book is mocked (test_it.py:22) {late}",
    )
    result.shows(f"E *UsageError: FrontDesk.book is mocked (test_it.py:26) {late}")
    result.shows(f"AskName is mocked (test_it.py:39) {late}")


@pytest.mark.parametrize(
    "called",
    [
        "voice_call.say('at two')",
        "voice_call.agent_answers('Done.')",
        "voice_call.silence(30)",
        "user_says('at two')",
    ],
)
def test_a_call_of_ours_in_a_task_that_nobody_awaits_is_told(desk, called):
    name = called.partition("(")[0]
    result = desk(
        {
            "test_it.py": f"""
            @pytest.mark.lk(allow=["unused_step"])
            async def test_it({name.partition(".")[0]}, fake_llm):
                fake_llm.script(say("Done."))
                task = asyncio.create_task({called})

            async def test_awaited(user_says, fake_llm):
                task = asyncio.create_task(user_says("at two"))
                fake_llm.script(say("Done."))
                await task
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows(
        f"the task {name}() (made at test_it.py:*) is still running at the end of the test: "
        "await it"
    )
    result.shows_no(f"also: the task {name}()*")


CLASSES = """
from dataclasses import dataclass
from typing import TypedDict


@dataclass
class Booking:
    attempts: int = 0


class Guest(TypedDict):
    name: str


class Rates:
    single = 80


@pytest.mark.lk(userdata=Booking)
async def test_of_the_marker(agent_session):
    pass


class TestOfTheFixture:
    @pytest.fixture
    def userdata(self):
        return Guest

    async def test_it(self, agent_session):
        pass


def make():
    return Booking()


@pytest.mark.lk(userdata=make)
async def test_of_a_function(agent_session):
    pass


async def test_of_the_factory(start_session):
    await start_session(userdata=Booking)


@pytest.mark.lk(userdata=Rates)
async def test_a_class_that_only_holds_values(agent_session):
    assert agent_session.userdata.single == 80
"""


def test_userdata_that_is_a_class_in_place_of_an_instance_is_refused(desk):
    """What the agent counts would be counted in the class, for each test that follows."""
    result = desk({"test_it.py": CLASSES}).run()
    result.outcomes(passed=1, failed=1, errors=3)
    told = (
        "*userdata is the class {0}, and what the agent notes would stay in it from test to test: "
        "give an instance, {0}(…), made by the fixture userdata for each test"
    )
    result.shows(
        told.format("Booking"),
        told.format("Guest"),
        "userdata is the function make, which nobody calls: give what it returns, made by *",
        told.format("Booking"),
    )


def test_an_agent_by_its_name_as_text_is_told_where_such_a_name_belongs(desk):
    result = desk(
        {
            "test_it.py": """
            @pytest.mark.lk(agent="agent.py:FrontDesk")
            async def test_it(agent_session):
                pass
            """
        }
    ).run()
    result.outcomes(errors=1)
    result.shows(
        "the agent under test: expected an Agent, its class or a factory, not "
        "'agent.py:FrontDesk'; a name as text belongs into a scenario file (agent:) or the ini "
        "file (lk_agent), in Python import it"
    )


MISSPELT = {
    "say('ok').timed(tfft=1)": "Step.timed() got an unexpected keyword argument 'tfft'; did you "
    "mean 'ttft'?",
    "say('ok').with_usage(prompt_token=1)": "Step.with_usage() got an unexpected keyword argument "
    "'prompt_token'; did you mean 'prompt_tokens'?",
    "fail(ValueError(), attempt=1)": "fail() got an unexpected keyword argument 'attempt'; did you "
    "mean 'attempts'?",
    "fake_llm.when('hi', say('ok'), time=2)": "fake_llm.when() got an unexpected keyword argument "
    "'time'; did you mean 'times'?",
}


@pytest.mark.parametrize(("written", "line"), MISSPELT.items())
def test_a_misspelt_argument_of_a_step_names_the_one_that_may_be_meant(desk, written, line):
    result = desk({"test_it.py": f"def test_it(fake_llm):\n    {written}\n"}).run()
    result.outcomes(failed=1)
    result.shows(f"E * TypeError: {line[:-1]}*")


FROZEN = """
from dataclasses import dataclass

from livekit.agents import function_tool


@dataclass(frozen=True)
class Declined(Exception):
    why: str


class Bank(FrontDesk):
    @function_tool
    async def pay(self) -> str:
        "Pay."
        raise Declined("no money")


@pytest.fixture
def agent():
    return Bank


async def test_it(user_says, fake_llm):
    fake_llm.script(call("pay"), "Sorry.")
    await user_says("I pay")


async def test_as_expected(user_says, fake_llm, expect_error):
    fake_llm.script(call("pay"), "Sorry.")
    with expect_error(Declined, match="money"):
        await user_says("I pay")


async def test_as_the_mock_was_told(user_says, fake_llm, mock_tool):
    mock_tool(Bank, "pay", raises=Declined("no card"))
    fake_llm.script(call("pay"), "Sorry.")
    await user_says("I pay")
"""


def test_an_exception_that_python_can_note_nothing_on_is_told_in_one_line(desk):
    result = desk({"test_it.py": FROZEN}).run()
    result.outcomes(passed=2, failed=1)
    result.shows(
        "E *BehaviourError: Declined was raised (test_it.py:*): *no money*; it is a frozen "
        "dataclass, and Python cannot write on it which way it takes, so that FrozenInstanceError "
        "comes out of any contextmanager: take frozen=True away"
    )
    result.shows_no("*contextlib.py*")


NOT_ENTERED = """
async def test_an_error(user_says, fake_llm, expect_error):
    fake_llm.script("Hello.")
    expect_error(ValueError, match="full")
    await user_says("hi")


async def test_an_end(user_says, fake_llm, expect_close):
    fake_llm.script("Hello.")
    expect_close(reason="error")
    await user_says("hi")


async def test_what_fails_before(fake_llm, expect_error):
    expected = expect_error(ValueError)
    fake_llm.script(["Hello."])
    with expected:
        pass


async def test_inside_of_one(user_says, fake_llm, expect_error):
    expected = expect_error(ValueError)
    fake_llm.script(fail(ValueError("full")))
    with expected:
        await user_says("hi")
"""


def test_what_expects_something_in_no_with_does_not_pass(desk):
    result = desk({"test_it.py": NOT_ENTERED}).run()
    result.outcomes(failed=3, passed=1)
    told = "expects nothing by itself: write with expect_"
    result.shows(
        f"test_it.py:11: expect_error(…) {told}error(…): and inside of that what does it",
        f"test_it.py:17: expect_close(…) {told}close(…): and inside of that what does it",
        "*steps one by one*",
    )
    result.shows_no(f"*test_it.py:22*{told}*")
