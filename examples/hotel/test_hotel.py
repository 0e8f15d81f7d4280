"""The whole job in Python: what the agent sends to the room, and what it leaves in the database."""

import pytest

from pytest_lkagent import call


@pytest.mark.lk(userdata={"bookings": {"101": "Maya"}})
async def test_the_rows_are_there_while_the_call_goes_on(user_says, fake_llm, job_context):
    fake_llm.judges("pass")
    fake_llm.script(call("book", room="101", guest="Maya"), "You have room 101.")
    await user_says("Room 101 for Maya")
    rows = job_context.proc.userdata["database"].execute("SELECT * FROM bookings")
    assert rows.fetchall() == [("101", "Maya")]


@pytest.mark.lk(userdata={"bookings": {}}, job={"participant": {"identity": "screen"}})
async def test_the_way_is_sent_to_the_callers_screen(user_says, fake_llm, job_context):
    fake_llm.judges("pass")
    fake_llm.script(call("send_directions"), "I sent it to you.")
    await user_says("How do I find you?")
    [sent] = [one for one in job_context.room.sent if one.topic == "directions"]
    assert sent.content == "12 Harbour Lane"


@pytest.mark.lk(userdata={"bookings": {}})
async def test_a_call_that_no_judge_likes_is_tagged(user_says, fake_llm, simulation):
    fake_llm.judges(task_completion="fail")
    fake_llm.script("I do not know.")
    await user_says("A room, please")
    assert simulation.scenario.label == "test_a_call_that_no_judge_likes_is_tagged"
