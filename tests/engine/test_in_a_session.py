"""The fake model in a real AgentSession: what the agent does with each kind of step."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from livekit.agents import (
    Agent,
    APIConnectionError,
    APIStatusError,
    RunContext,
    function_tool,
)
from livekit.agents.llm import chat_context
from livekit.agents.llm.chat_context import Instructions
from pydantic import BaseModel, Field

from pytest_lkagent import (
    FunctionCall,
    FunctionCallOutput,
    Message,
    call,
    fail,
    raw_call,
    reply,
    say,
    silence,
    stall,
)
from pytest_lkagent.errors import Stuck


class Waiter(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Take the order.")

    async def on_enter(self) -> None:
        self.session.generate_reply()


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book appointments.")

    @function_tool
    async def book(self, slot: str, guests: int = 1) -> str:
        """Book."""
        return f"booked {slot} for {guests}"

    @function_tool
    async def hand_over(self) -> Agent:
        """Hand over."""
        return Waiter()

    @function_tool
    async def consult(self, ctx: RunContext[Any]) -> str:
        """Ask the model from the user's own code."""
        from livekit.agents import llm

        context = llm.ChatContext.empty()
        context.add_message(role="user", content="what do you think?")
        assert isinstance(ctx.session.llm, llm.LLM)
        async with ctx.session.llm.chat(chat_ctx=context) as stream:
            return "".join([c.delta.content or "" async for c in stream if c.delta])


@pytest.fixture
def agent() -> type[Agent]:
    return FrontDesk


async def test_text_calls_and_outputs_are_in_the_turn(user_says, fake_llm) -> None:
    fake_llm.script(
        reply("One moment.", call("book", slot="2pm"), call("book", slot="3pm", guests=2)),
        say("Both are booked.").chunked(4),
    )
    turn = await user_says("2 and 3 please")
    events = list(turn.events)
    assert Message(role="assistant", text="One moment.", agent="FrontDesk") in events
    calls = [e for e in events if isinstance(e, FunctionCall)]
    assert [(c.name, c.arguments) for c in calls] == [
        ("book", {"slot": "2pm"}),
        ("book", {"slot": "3pm", "guests": 2}),
    ]
    assert len({c.call_id for c in calls}) == 2
    outputs = {e.output for e in events if isinstance(e, FunctionCallOutput)}
    assert outputs == {"booked 2pm for 1", "booked 3pm for 2"}
    assert events[-1] == Message(role="assistant", text="Both are booked.", agent="FrontDesk")


async def test_time_is_virtual_and_exact(user_says, fake_llm) -> None:
    fake_llm.script(say("one two three").timed(ttft=1.5, duration=30))
    assert (await user_says("hi")).took == 30


async def test_usage_adds_up_in_the_session(agent_session, user_says, fake_llm) -> None:
    fake_llm.script(
        call("book", slot="2pm").with_usage(prompt_tokens=10, completion_tokens=2),
        say("Booked.").with_usage(prompt_tokens=20, completion_tokens=3, prompt_cached_tokens=7),
    )
    await user_says("2pm")
    [usage] = agent_session.usage.model_usage
    assert (usage.input_tokens, usage.output_tokens, usage.input_cached_tokens) == (30, 5, 7)


@pytest.mark.parametrize(
    ("sent", "shown", "output", "is_error"),
    [
        ("[oops", "[oops", "Error parsing arguments for `book`: ", True),
        ('{"slot": "2pm"', {"slot": "2pm"}, "booked 2pm for 1", False),  # json_repair
        ('{"guests": 1}', {"guests": 1}, "Error parsing arguments for `book`: ", True),
    ],
)
async def test_malformed_arguments_are_shown_as_livekit_takes_them(
    user_says, fake_llm, sent: str, shown: Any, output: str, is_error: bool
) -> None:
    fake_llm.script(raw_call("book", sent), "Sorry.")
    events = (await user_says("2pm")).events
    [made] = [e for e in events if isinstance(e, FunctionCall)]
    [given] = [e for e in events if isinstance(e, FunctionCallOutput)]
    assert made.arguments == shown
    assert given.output.startswith(output)
    assert given.is_error is is_error


async def test_an_unknown_tool_is_an_error_output(user_says, fake_llm) -> None:
    fake_llm.script(raw_call("bok", '{"slot": "2pm"}'), "Sorry.")
    [given] = [e for e in (await user_says("2")).events if isinstance(e, FunctionCallOutput)]
    assert given.is_error
    assert given.output.startswith("Unknown function: bok")


async def test_an_error_is_raised_with_the_original_as_its_cause(
    user_says, fake_llm, expect_error
) -> None:
    error = APIConnectionError("overloaded")
    fake_llm.script(fail(error))
    with pytest.raises(APIConnectionError, match="after 4 attempts") as caught:
        await user_says("hi")
    assert caught.value.__cause__ is error
    fake_llm.script(fail(APIStatusError("bad", status_code=400)))
    with expect_error(APIStatusError, match="bad") as expected:
        await user_says("hi")
    assert expected.error.status_code == 400


async def test_an_agent_that_recovers_from_a_scripted_failure_passes(user_says, fake_llm) -> None:
    fake_llm.script(fail(APIConnectionError("overloaded"), attempts=1), "Here I am.")
    turn = await user_says("hi")
    assert [e.text for e in turn.events if e.type == "message"] == ["hi", "Here I am."]
    assert turn.took == pytest.approx(0.1)


async def test_silence_is_a_turn_without_a_reply(user_says, fake_llm) -> None:
    fake_llm.script(silence())
    assert [e.type for e in (await user_says("hi")).events] == ["message"]


async def test_a_stall_is_ended_by_an_interruption(user_says, fake_llm) -> None:
    fake_llm.script(stall(), "Yes?")
    turn = await user_says("hi", interrupt=0.4)
    assert [e.type for e in turn.events] == ["message"]
    assert (await user_says("hello?")).events[-1].text == "Yes?"


async def test_a_stall_that_nobody_interrupts_ends_at_once_with_what_it_waits_for(
    user_says, fake_llm
) -> None:
    fake_llm.script(stall())
    with pytest.raises(Stuck, match=r"the model is still at stall\(\) \(.*\.py:\d"):
        await user_says("hi")


async def test_callables_read_the_request(user_says, fake_llm) -> None:
    fake_llm.script(
        call("book", slot=lambda r: re.search(r"\d pm", r.last_input)[0]),
        say(lambda r: f"Done: {r.last_input}."),
    )
    turn = await user_says("at 2 pm please")
    assert turn.events[-1].text == "Done: booked 2 pm for 1."


async def test_a_request_shows_conversation_instructions_tools_and_who_asks(
    agent_session, user_says, settle, fake_llm
) -> None:
    fake_llm.script(call("book", slot="2pm"), "Booked.", "Hello.")
    await user_says("2pm")
    agent_session.generate_reply(instructions="Greet them.")
    await settle()
    first, second, third = fake_llm.requests
    assert first.instructions == "You book appointments."
    assert [str(m) for m in first.messages] == ["2pm"]
    assert [m.type for m in second.messages] == ["message", "function_call", "function_call_output"]
    assert second.last_input == "booked 2pm for 1"
    assert set(first.tools) == {"book", "hand_over", "consult"}
    assert (first.reply_instructions, third.reply_instructions) == (None, "Greet them.")
    assert third.messages[-1].text == "Booked."
    assert isinstance(first.agent, FrontDesk)


@pytest.mark.skipif(
    not hasattr(chat_context, "DYNAMIC_INSTRUCTIONS_MESSAGE_ID"), reason="LiveKit 1.7 has none"
)
async def test_what_changes_from_call_to_call_belongs_to_the_instructions_too(
    start_session, fake_llm
) -> None:
    told = Instructions("You book.", text="Write little.", dynamic="The caller is 555-1234.")
    session = await start_session(Agent(instructions=told))
    fake_llm.script("Hi.")
    await session.run(user_input="hello")
    [request] = fake_llm.requests
    assert request.instructions == "You book.\n\nWrite little.\nThe caller is 555-1234."
    assert request.instructions == told.render(modality="text")
    assert [str(m) for m in request.messages] == ["hello"]


class Informed(FrontDesk):
    async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        chat_ctx.add_message(role="system", content="The caller is a VIP.")
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk


@pytest.mark.lk(agent=Informed)
async def test_what_the_agent_adds_to_a_request_is_no_instruction_for_the_reply(
    agent_session, user_says, settle, fake_llm
) -> None:
    fake_llm.script("Hi.", call("book", slot="2pm"), "Booked.")
    await user_says("hello")
    agent_session.generate_reply(instructions="Offer 2 pm.", tool_choice="auto")
    await settle()
    ordinary, asked, after_the_tool = fake_llm.requests
    assert ordinary.reply_instructions is None
    assert [str(one) for one in ordinary.messages] == ["hello", "The caller is a VIP."]
    assert asked.reply_instructions == "Offer 2 pm."
    assert [str(one) for one in asked.messages] == ["hello", "Hi.", "The caller is a VIP."]
    assert after_the_tool.reply_instructions is None
    assert "Offer 2 pm." in [str(one) for one in after_the_tool.messages]


@pytest.mark.lk(agent=FrontDesk)
async def test_what_the_code_of_the_agent_asks_meanwhile_is_told_nothing_else(
    agent_session, settle, fake_llm
) -> None:
    fake_llm.script(call("consult"), "Yes.", "He agrees.")
    agent_session.generate_reply(instructions="Greet them.", tool_choice="auto")
    await settle()
    assert [one.reply_instructions for one in fake_llm.requests] == ["Greet them.", None, None]


async def test_after_too_many_tool_steps_the_model_may_call_nothing(
    start_session, fake_llm
) -> None:
    session = await start_session(max_tool_steps=1)
    fake_llm.script(call("book", slot="1"), call("book", slot="2"), "Enough.")
    await session.run(user_input="book them all")
    assert [r.tool_choice for r in fake_llm.requests] == [None, "auto", "none"]


async def test_steps_wait_for_the_agent_that_they_name(user_says, fake_llm) -> None:
    fake_llm.script(
        call("hand_over").by(FrontDesk),
        say("What would you like?").by(Waiter),
    )
    turn = await user_says("I am hungry")
    assert turn.events[-1] == Message(role="assistant", text="What would you like?", agent="Waiter")
    assert [r.asker for r in fake_llm.requests] == ["FrontDesk", "Waiter"]


async def test_code_outside_an_agent_asks_as_nobody(user_says, fake_llm) -> None:
    fake_llm.script(
        call("consult").by(FrontDesk),
        say("I think so.").by(None),
        say("Yes.").by(FrontDesk),
    )
    turn = await user_says("may I?")
    assert "I think so." in [getattr(e, "output", None) for e in turn.events]
    assert [r.agent is None for r in fake_llm.requests] == [False, True, False]


class Hurried(FrontDesk):
    """Asks its model in a task, as ``asyncio.wait_for`` and ``gather`` do."""

    async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        async def whole() -> list[Any]:
            asking = Agent.default.llm_node(self, chat_ctx, tools, model_settings)
            return [chunk async for chunk in asking]

        for chunk in (await asyncio.gather(whole()))[0]:
            yield chunk


@pytest.mark.lk(agent=Hurried)
async def test_what_an_agent_asks_in_a_task_of_its_llm_node_it_asks_itself(
    agent_session, settle, fake_llm
) -> None:
    fake_llm.script(
        call("consult").by(Hurried), say("I think so.").by(None), say("Yes.").by(Hurried)
    )
    agent_session.generate_reply(instructions="Greet them.", tool_choice="auto")
    await settle()
    assert [one.reply_instructions for one in fake_llm.requests] == ["Greet them.", None, None]


class Busy(FrontDesk):
    """Begins things in its llm_node that go on without it."""

    later: asyncio.Task[str] | None = None

    async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        if self.later is None:
            self.later = asyncio.create_task(self.sum_up())
            self.session.generate_reply(instructions="Ask him.", tool_choice="auto")
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk

    async def sum_up(self) -> str:
        await asyncio.sleep(60)
        return await self.consult(SimpleNamespace(session=self.session))


@pytest.mark.lk(agent=Busy)
async def test_what_only_began_in_an_llm_node_asks_as_nobody(
    agent_session, user_says, fake_llm
) -> None:
    fake_llm.script(
        say("Wait.").by(Busy).timed(duration=9),
        call("consult").by(Busy),
        say("I think so.").by(None),
        say("Yes.").by(Busy),
        say("In short: yes.").by(None),
    )
    await user_says("may I?")
    assert await agent_session.current_agent.later == "In short: yes."


class Answer(BaseModel):
    voice: str
    text: str


class Structured(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer in JSON.", llm="openai/gpt-4o")

    async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        how = {"response_format": Answer, "inference_class": "priority"}  # inference.LLM takes them
        async with self.llm.chat(chat_ctx=chat_ctx, tools=tools, **how) as stream:
            whole = "".join([chunk.delta.content async for chunk in stream if chunk.delta])
        return Answer.model_validate_json(whole).text


@pytest.mark.lk(agent=Structured)
async def test_an_agent_asks_for_structured_output(user_says, fake_llm) -> None:
    fake_llm.script('{"voice": "soft", "text": "Hi."}')
    assert (await user_says("hello")).events[-1].text == "Hi."
    assert fake_llm.requests[0].response_format is Answer


class Aliased(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book appointments.")

    @function_tool
    async def book(
        self, slot: Annotated[str, Field(alias="slotTime")], who: str = "a guest"
    ) -> str:
        """Book."""
        return f"booked {slot} for {who}"


@pytest.mark.lk(agent=Aliased)
async def test_a_call_names_its_arguments_as_a_model_does(user_says, fake_llm, mock_tool) -> None:
    book = mock_tool(Aliased, "book", side_effect=lambda slot: f"booked {slot}")
    fake_llm.script(call("book", slotTime="2pm"), "Done.")
    turn = await user_says("2 pm please")
    assert [e.output for e in turn.events if isinstance(e, FunctionCallOutput)] == ["booked 2pm"]
    book.assert_called_once_with(slot="2pm", who="a guest")


async def test_rules_win_over_the_queue(user_says, fake_llm) -> None:
    fake_llm.script("from the queue")
    fake_llm.when(re.compile("hours"), "9 to 5", times=None)
    assert (await user_says("opening hours?")).events[-1].text == "9 to 5"
    assert (await user_says("hello")).events[-1].text == "from the queue"
    assert (await user_says("hours again")).events[-1].text == "9 to 5"


async def test_a_model_that_fails_in_a_background_reply_is_a_finding(
    agent_session, settle, fake_llm, expect_error
) -> None:
    fake_llm.script(fail(ValueError("odd")))
    with expect_error(ValueError, match="odd"):
        agent_session.generate_reply(instructions="Go on.")
        await settle()


def test_what_is_left_over_fails_the_test_and_says_where_it_was_written(project) -> None:
    result = project(
        {
            "test_left.py": """
            import pytest
            from livekit.agents import Agent
            from pytest_lkagent import say

            @pytest.fixture
            def agent():
                return Agent(instructions="")

            async def test_left(user_says, fake_llm):
                fake_llm.script(say("one"), say("two"))
                fake_llm.when("never said", say("three"))
                await user_says("hi")

            async def test_unscripted(user_says, fake_llm):
                fake_llm.script(say("one"))
                await user_says("hi")
                await user_says("more")

            async def test_swallowed(user_says):
                with pytest.raises(AssertionError):
                    await user_says("hi")
            """
        }
    ).run()
    result.outcomes(failed=3)
    result.shows(
        "scripted, and never asked for: say('two') (test_left.py:10)",
        "and when('never said') … say('three') (test_left.py:11)",
        "E *UnscriptedRequest: Agent asked its model for a completion that nobody scripted",
        "E *request 2, last input: 'more'",
        "E *tools on offer: none",
        "E *used      test_left.py:15  say('one'), answered Agent after 'hi'",
        "E *add a step for it: fake_llm.script(say('…'))",
        "*_ test_swallowed _*",
        "Agent asked its model for a completion that nobody scripted",
        "request 1, last input: 'hi'",
    )
    result.shows_no("*_livekit.py*", "*harness.py*")


def test_a_mistake_in_a_step_is_shown_at_the_users_line_without_our_code(project) -> None:
    result = project(
        {
            "test_plain.py": """
            from pytest_lkagent import call, say

            def test_argument():
                call("book", slot=object())

            def test_method():
                say("x").timed(ttft=-1)
            """
        }
    ).run()
    result.outcomes(failed=2)
    result.shows(
        '>       call("book", slot=object())',
        "E *UsageError: call('book', slot=<object object at *>): a model sends JSON, and this *",
        "test_plain.py:4: UsageError",
        '>       say("x").timed(ttft=-1)',
        "test_plain.py:7: UsageError",
    )
    result.shows_no("*steps.py*")
