"""The drive-through, tested in Python."""

import re

import pytest

from pytest_lkagent import call, raw_call, reply, say

from .agent import DriveThrough, evening_shift


def lines_in(request):
    """Find the ids of all lines in what the tools have just said."""
    return re.findall(r"L_\d+", request.last_input)


async def test_a_correction_changes_the_line_that_was_meant(userdata, user_says, fake_llm):
    fake_llm.script(
        reply(None, call("order", dish="burger"), call("order", dish="salad", size="large")),
        call("change_size", line=lambda request: lines_in(request)[0], size="large"),
        say(lambda request: f"So that's {request.last_input}."),
    )
    turn = await user_says("A burger and a large salad, no, both large.")
    turn.expect[-1].is_message(role="assistant")
    assert turn.events[-1].text == "So that's L_1: large burger."
    assert userdata.lines == {"L_1": "large burger", "L_2": "large salad"}


async def test_what_is_not_on_the_menu_is_not_on_the_tray(userdata, user_says, fake_llm):
    fake_llm.script(raw_call("order", '{"dish": "pizza"}'), say("We have no pizza."))
    turn = await user_says("A pizza.")
    turn.expect.contains_function_call_output(is_error=True)
    assert userdata.lines == {}


@pytest.mark.lk(agent=evening_shift)
async def test_the_evening_shift_offers_another_menu(user_says, fake_llm):
    fake_llm.script(call("order", {"dish": "ribs", "size": "large"}), say("Ribs, got it."))
    turn = await user_says("Large ribs.")
    turn.expect.contains_function_call(name="order", arguments={"dish": "ribs", "size": "large"})


async def test_a_call_that_is_no_json_leaves_the_tray_alone(userdata, user_says, fake_llm):
    fake_llm.script(raw_call("order", "one burger"), say("Sorry, what was that?"))
    turn = await user_says("Mumble.")
    turn.expect.contains_function_call_output(is_error=True)
    assert userdata.lines == {}


async def test_the_removed_lines_are_the_ones_the_caller_named(user_says, fake_llm, mock_tool):
    remove = mock_tool(DriveThrough, "remove", returns="removed")
    fake_llm.when("Nothing, I'm out.", call("remove", lines=["L_1", "L_2"]), say("Bye!"))
    await user_says("Nothing, I'm out.")
    assert remove.calls == [{"lines": ["L_1", "L_2"]}]


async def test_the_same_answer_goes_to_every_driver(user_says, fake_llm):
    fake_llm.when(re.compile("open"), "Until ten.", times=None)
    for question in ("Are you open?", "How long are you open?"):
        turn = await user_says(question)
        turn.expect[-1].is_message(role="assistant")


async def test_call_ids_are_the_ones_that_were_scripted(user_says, fake_llm):
    fake_llm.script(call("order", dish="wrap").with_id("wrap_1"), say("A wrap."))
    turn = await user_says("A wrap.")
    assert [event.call_id for event in turn.events if event.type == "function_call"] == ["wrap_1"]
