"""The restaurant, tested in Python."""

import pytest
from livekit.agents import APIStatusError

from pytest_lkagent import call, fail, reply, say

from .agent import Cashier, Host, Order, Waiter


@pytest.fixture
def charge(mock_tool):
    """The bank never sees a test."""
    return mock_tool(Cashier, "pay", returns="paid")


async def test_the_host_hands_over_to_the_waiter(userdata, user_says, fake_llm):
    fake_llm.script(
        call("take_order", name="Ada").by(Host),
        say("Ada, what may I bring you?").by(Waiter),
    )
    turn = await user_says("It's Ada, I'd like to order.")
    turn.expect.next_event().is_function_call(name="take_order", arguments={"name": "Ada"})
    turn.expect.next_event().is_function_call_output()
    turn.expect.next_event().is_agent_handoff(new_agent_type=Waiter)
    turn.expect.next_event().is_message(role="assistant")
    turn.expect.no_more_events()
    assert "Ask Ada" in fake_llm.requests[-1].reply_instructions


async def test_what_the_waiter_is_told_at_the_hand_over(
    agent_session, user_says, fake_llm, chat_snapshot
):
    fake_llm.script(call("take_order", name="Ada"), "Ada, what may I bring you?")
    await user_says("It's Ada, I'd like to order.")
    assert agent_session.history == chat_snapshot  # instructions and tools of both


@pytest.mark.lk(agent=Waiter, start=["What shall it be?"])
async def test_takes_two_dishes_at_once(userdata, user_says, fake_llm):
    fake_llm.script(
        reply(
            "A pizza and a dessert.",
            call("add_dish", dish="margherita"),
            call("add_dish", dish="tiramisu"),
        ),
        say("Anything else?"),
    )
    await user_says("A margherita and a tiramisu.")
    assert userdata.dishes == ["margherita", "tiramisu"]
    assert userdata.total == 15


@pytest.mark.lk(agent=Waiter, start=["What shall it be?"])
async def test_a_mock_may_hand_over_too(user_says, fake_llm, mock_tool, transcript):
    mock_tool(Waiter, "to_cashier", returns=Cashier())
    fake_llm.script(call("to_cashier"))
    await user_says("That's all.")
    fake_llm.script(say("Cash or card?").by(Cashier))
    await user_says("So?")
    assert [turn.events[-1].type for turn in transcript.turns] == ["agent_handoff", "message"]
    assert transcript.events[-1].agent == "Cashier"


@pytest.mark.lk(agent=Cashier)
async def test_charges_the_total_once(user_says, fake_llm, charge):
    fake_llm.script(call("pay", card="4242"), say("Thank you."))
    await user_says("4242.")
    charge.assert_called_once_with(card="4242")


@pytest.mark.lk(agent=Cashier, allow=["tool_error"])
async def test_says_so_when_no_bank_answers(userdata, user_says, fake_llm):
    fake_llm.script(call("pay", card="4242"), say("I cannot reach the bank."))
    await user_says("4242.")
    assert not userdata.paid


async def test_a_call_is_lost_when_the_model_refuses_it(user_says, fake_llm, expect_error):
    fake_llm.script(fail(APIStatusError("no credit left", status_code=402)))
    with expect_error(APIStatusError, match="no credit"):
        await user_says("Hello?")


async def test_two_callers_do_not_share_an_order(start_session, fake_llm):
    first, second = Order(), Order()
    one = await start_session(Waiter(), userdata=first, start=["What shall it be?"])
    await start_session(Waiter(), userdata=second, start=["And for you?"])
    fake_llm.script(call("add_dish", dish="lasagne"), say("One lasagne."))
    await one.run(user_input="A lasagne.")
    assert (first.dishes, second.dishes) == (["lasagne"], [])
