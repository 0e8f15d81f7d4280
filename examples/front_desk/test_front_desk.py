"""The front desk, tested in Python."""

import re

from livekit.agents import ToolError
from livekit.agents.beta.workflows import GetEmailTask
from livekit.agents.beta.workflows.email_address import GetEmailResult

from pytest_lkagent import call, say

from .agent import FrontDesk


def the_slot(request):
    """Pick the first id in the list that the tool has just given to the model."""
    return re.findall(r"slot_\w+", request.last_input)[0]


async def test_greets_the_caller(start_result, fake_llm):
    start_result.expect.contains_message(role="assistant")
    assert "Greet the caller" in fake_llm.requests[0].reply_instructions


async def test_books_once_it_has_an_email_address(userdata, user_says, fake_llm):
    fake_llm.script(
        call("list_slots"),
        call("book", slot_id=the_slot),
        say("Where may I send the confirmation?").by(GetEmailTask),
    )
    turn = await user_says("Tomorrow at two, please.")
    turn.expect.contains_function_call(name="book")
    assert userdata.calendar.visits == {}

    fake_llm.script(
        call("update_email_address", email="ada@example.com").by(GetEmailTask),
        say("You're booked, see you tomorrow.").by(FrontDesk),
    )
    turn = await user_says("ada@example.com")
    turn.expect.contains_agent_handoff(new_agent_type=FrontDesk)
    turn.expect[-1].is_message(role="assistant")
    assert list(userdata.calendar.visits.values()) == ["ada@example.com"]


async def test_says_so_when_the_time_is_taken_meanwhile(
    userdata, user_says, fake_llm, mock_task, job_context
):
    email = mock_task(GetEmailTask, returns=GetEmailResult("ada@example.com"))
    fake_llm.script(call("list_slots"), say("Tomorrow at two?"))
    await user_says("When can I come?")

    userdata.calendar.free.clear()
    fake_llm.script(
        call("book", slot_id=next(iter(userdata.offered))),
        lambda request: say(f"I am sorry, {request.last_input}."),
    )
    turn = await user_says("Yes, please.")
    turn.expect.contains_function_call_output(is_error=True)
    assert "was taken a moment ago" in turn.events[-1].text
    assert userdata.too_late == 1
    assert "slot:taken" in job_context.tagger.tags
    email.assert_called_once()


async def test_books_nothing_for_a_caller_who_gives_no_address(
    userdata, user_says, fake_llm, mock_task
):
    mock_task(GetEmailTask, raises=ToolError("the caller gives no email address"))
    fake_llm.script(call("list_slots"), call("book", slot_id=the_slot), say("No visit, then."))
    turn = await user_says("Tomorrow at two, but you don't get my address.")
    assert [event.output for event in turn.events if event.type == "function_call_output"][1:] == [
        "the caller gives no email address"
    ]
    assert userdata.calendar.visits == {}


async def test_cancels_under_the_address_that_the_caller_gives(user_says, fake_llm, mock_tool):
    cancel = mock_tool(FrontDesk, "cancel", returns="Cancelled.")
    fake_llm.script(call("cancel", {"email": "ada@example.com"}), say("It's cancelled."))
    await user_says("Please cancel, it's ada@example.com.")
    cancel.assert_called_once_with(email="ada@example.com")
