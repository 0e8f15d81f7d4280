"""What LiveKit holds of a conversation, as the events that a snapshot is made of."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import Agent, function_tool, llm

from pytest_lkagent import (
    AgentHandoff,
    FunctionCall,
    FunctionCallOutput,
    Message,
    call,
)
from pytest_lkagent._livekit_items import neutral
from pytest_lkagent.errors import UsageError
from pytest_lkagent.snapshot.serialize import document, entry_of
from pytest_lkagent.transcript import AgentConfigUpdate


class Waiter(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Take the order.", id="the waiter")

    @function_tool
    async def order(self, dish: str) -> str:
        """Order a dish."""
        return f"ordered {dish}"


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        return f"booked {slot}"

    @function_tool
    async def close_the_book(self) -> str:
        """Stop booking."""
        await self.update_instructions("You sell.")
        await self.update_tools([self.hand_over])
        return "closed"

    @function_tool
    async def hand_over(self) -> Agent:
        """Hand over."""
        return Waiter()


@pytest.fixture
def agent() -> type[Agent]:
    return FrontDesk


@pytest.fixture
def known(request):
    """Convert a value with what the sessions of the test know."""
    return request.getfixturevalue("_lk_bare_stage").neutral


@pytest.fixture
def entries(known):
    """Return the events that a snapshot would hold of a value."""
    return lambda value: document(known(value))["events"]


TOOLS = ["book", "close_the_book", "hand_over"]


async def test_a_history_tells_who_took_over_and_what_changed(
    agent_session, user_says, fake_llm, entries
) -> None:
    fake_llm.script(call("close_the_book"), "We are closed.", call("hand_over"))
    await user_says("2 pm please")
    await user_says("dinner then")
    fake_llm.script(call("order", dish="soup"), "Soup it is.")
    await user_says("soup")
    assert entries(agent_session.history) == [
        {"agent_handoff": "FrontDesk"},
        {"agent_config_update": {"instructions": "You book.", "tools_added": TOOLS}},
        {"message": {"role": "user", "text": "2 pm please"}},
        {"agent_config_update": {"instructions": "You sell."}},
        {"agent_config_update": {"tools_removed": ["book", "close_the_book"]}},
        {"function_call": {"name": "close_the_book", "arguments": {}}},
        {"function_call_output": {"name": "close_the_book", "output": "closed"}},
        {"message": "We are closed."},
        {"message": {"role": "user", "text": "dinner then"}},
        {"function_call": {"name": "hand_over", "arguments": {}}},
        {"function_call_output": {"name": "hand_over", "output": ""}},
        {"agent_handoff": {"from": "FrontDesk", "to": "Waiter"}},
        {"agent_config_update": {"instructions": "Take the order.", "tools_added": ["order"]}},
        {"message": {"role": "user", "text": "soup"}},
        {"function_call": {"name": "order", "arguments": {"dish": "soup"}}},
        {"function_call_output": {"name": "order", "output": "ordered soup"}},
        {"message": "Soup it is."},
    ]
    assert entries(agent_session.history.items) == entries(agent_session.history)


async def test_the_context_of_an_agent_has_its_instructions_once_and_where_they_changed(
    agent_session, user_says, fake_llm, entries
) -> None:
    desk = agent_session.current_agent
    fake_llm.script(call("close_the_book"), "We are closed.")
    await user_says("2 pm please")
    assert entries(desk.chat_ctx)[:4] == [
        {"agent_config_update": {"instructions": "You book.", "tools_added": TOOLS}},
        {"message": {"role": "user", "text": "2 pm please"}},
        {"agent_config_update": {"instructions": "You sell."}},
        {"agent_config_update": {"tools_removed": ["book", "close_the_book"]}},
    ]


async def test_instructions_that_nothing_else_tells_stay(
    agent_session, user_says, fake_llm, entries
) -> None:
    fake_llm.script("Hello.")
    await user_says("hi")
    context = agent_session.current_agent.chat_ctx.copy(exclude_config_update=True)
    assert entries(context) == [
        {"message": {"role": "system", "text": "You book."}},
        {"message": {"role": "user", "text": "hi"}},
        {"message": "Hello."},
    ]


async def test_a_run_result_tells_agents_by_their_classes_to_whoever_knows_no_session(
    agent_session, user_says, fake_llm
) -> None:
    fake_llm.script(call("hand_over"))
    result = (await user_says("dinner")).result
    [called, output, handoff] = neutral(result, {})
    assert called == FunctionCall(name="hand_over", arguments={}, call_id=called.call_id)
    assert output == FunctionCallOutput(name="hand_over", output="", call_id=called.call_id)
    assert handoff == AgentHandoff(old="FrontDesk", new="Waiter")


async def test_a_run_result_is_told_as_the_turn_is(agent_session, user_says, fake_llm, entries):
    fake_llm.script(call("book", slot="2pm"), "Booked.")
    turn = await user_says("2 pm please")
    assert entries(turn.result) == [entry_of(event) for event in turn.events[1:]]


async def test_messages_are_told_with_the_agent_that_said_them(
    agent_session, user_says, fake_llm, known
) -> None:
    fake_llm.script("Hello.", call("hand_over"))
    await user_says("hi")
    await user_says("dinner")
    fake_llm.script("Soup?")
    await user_says("hello?")
    messages = [one for one in known(agent_session.history) if one.type == "message"]
    assert [(e.text, e.agent) for e in messages] == [
        ("hi", None),
        ("Hello.", "FrontDesk"),
        ("dinner", None),
        ("hello?", None),
        ("Soup?", "Waiter"),
    ]


def test_a_context_that_no_session_knows_is_told_by_its_items() -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="developer", content="Be brief.")
    context.add_message(role="assistant", content=["One", "two"], interrupted=True)
    context.insert([
        llm.FunctionCall(name="book", arguments="[1]", call_id="c"),
        llm.FunctionCallOutput(name="book", output="no", is_error=True, call_id="c"),
        llm.AgentHandoff(old_agent_id="desk", new_agent_id="waiter"),
        llm.AgentConfigUpdate(tools_added=["b", "a"]),
    ])  # fmt: skip
    assert neutral(context, {}) == [
        Message(role="developer", text="Be brief."),
        Message(role="assistant", text="One\ntwo", interrupted=True),
        FunctionCall(name="book", arguments="[1]", call_id="c"),
        FunctionCallOutput(name="book", output="no", is_error=True, call_id="c"),
        AgentHandoff(old="desk", new="waiter"),
        AgentConfigUpdate(tools_added=("b", "a")),
    ]


@pytest.mark.parametrize("value", [None, "text", {"a": 1}, ValueError("no")])
def test_what_is_none_of_livekits_stays_as_it_is(value: Any) -> None:
    assert neutral(value, {}) is value


def test_events_and_strangers_in_a_list_stay_as_they_are() -> None:
    events = [Message(role="user", text="hi"), AgentConfigUpdate(instructions="a"), 5]
    assert neutral(tuple(events), {}) == events
    with pytest.raises(UsageError, match=r"a snapshot is made of .*, not of 5"):
        document(neutral(events, {}))
