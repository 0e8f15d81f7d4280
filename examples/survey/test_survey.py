"""The survey, tested in Python."""

from pytest_lkagent import call, say

from .agent import AskComment, AskScore


async def test_asks_one_question_after_the_other_and_hangs_up(
    userdata, user_says, fake_llm, expect_close
):
    fake_llm.script(call("consents", yes=True), say("How likely, 0 to 10?").by(AskScore))
    await user_says("Sure.")
    fake_llm.script(call("give_score", score=9), say("What could be better?").by(AskComment))
    await user_says("Nine.")
    fake_llm.script(
        call("give_comment", comment="Open on Sundays!"),
        say("glad").by(None),  # asked by the tool, not by an agent
    )
    with expect_close(reason="user_initiated"):
        turn = await user_says("Open on Sundays!")
    assert [event.type for event in turn.events[-2:]] == ["agent_handoff", "close"]
    assert (userdata.score, userdata.comment, userdata.mood) == (9, "Open on Sundays!", "glad")


async def test_a_caller_may_correct_an_earlier_answer(userdata, user_says, fake_llm):
    fake_llm.script(
        call("consents", yes=True),
        call("give_score", score=9).by(AskScore),
        say("What could be better?").by(AskComment),
    )
    await user_says("Sure, and nine.")
    fake_llm.script(
        call("out_of_scope", task_ids=["score"]).by(AskComment),
        call("give_score", score=2).by(AskScore),
        say("Oh. What could be better?").by(AskComment),
    )
    turn = await user_says("No, wait: two!")
    turn.expect.contains_agent_handoff(new_agent_type=AskScore)
    assert userdata.score == 2


async def test_does_not_keep_a_caller_who_refuses(userdata, user_says, fake_llm, expect_close):
    fake_llm.script(call("consents", yes=False))
    with expect_close() as closing:
        turn = await user_says("No.")
    turn.expect[-1].is_message(role="assistant")
    assert closing.close.reason == "user_initiated"
    assert userdata.score is None
