"""The travel concierge, tested in Python. Its minutes are virtual: no test waits for them."""

import pytest
from livekit.agents import APIConnectionError, APITimeoutError

from pytest_lkagent import call, fail, say, silence, stall

from .agent import Concierge


async def test_reports_what_the_search_has_found_so_far(user_says, fake_llm):
    fake_llm.script(
        call("plan_trip", city="Rome"),
        "I am looking for flights.",
        "There is a flight at nine, now the hotel.",
        "I have both, a flight and a hotel.",
    )
    turn = await user_says("I want to go to Rome.")
    outputs = [event.output for event in turn.events if event.type == "function_call_output"]
    assert "looking for flights to Rome" in outputs[0]
    assert "found a flight to Rome at 9" in outputs[1]
    assert outputs[2] == "a flight to Rome at 9 and a hotel in Rome"
    turn.expect[-1].is_message(role="assistant")
    assert turn.took == pytest.approx(50)


async def test_keeps_the_caller_company_meanwhile(agent_session, user_says, fake_llm, settle):
    fake_llm.script(call("plan_trip", city="Rome"), "I am looking for flights.")
    await agent_session.run(user_input="I want to go to Rome.")

    fake_llm.script(call("weather", city="Rome"), "It is sunny there.")
    result = await agent_session.run(user_input="How is the weather?")
    result.expect[-1].is_message(role="assistant")

    fake_llm.script("There is a flight at nine.", "And here is your hotel.")
    await settle()
    assert agent_session.history.items[-1].text_content == "And here is your hotel."


async def test_a_trip_that_cannot_be_found(user_says, fake_llm, mock_tool):
    plan_trip = mock_tool(Concierge, "plan_trip", returns="there is nothing left", delay=90)
    fake_llm.script(call("plan_trip", city="Oslo"), "I am sorry, everything is booked.")
    turn = await user_says("Oslo, this weekend.")
    plan_trip.assert_called_once_with(city="Oslo")
    assert turn.took == pytest.approx(90)


async def test_stops_talking_when_the_caller_cuts_in(user_says, fake_llm):
    pieces = ["Rome has been ", "inhabited for ", "three thousand years."]
    fake_llm.script(say("".join(pieces)).timed(duration=3).chunked(pieces))
    turn = await user_says("Tell me about Rome.", interrupt=1.5)
    told = turn.events[-1]
    assert told.interrupted
    assert told.text.strip() == "Rome has been inhabited for"


async def test_a_caller_may_give_up_on_a_model_that_never_answers(user_says, fake_llm):
    fake_llm.script(stall())
    turn = await user_says("Hello?", interrupt=20)
    turn.expect.no_more_events()


async def test_a_model_that_says_nothing_leaves_a_pause(user_says, fake_llm):
    fake_llm.script(silence())
    turn = await user_says("Hm.")
    turn.expect.no_more_events()


async def test_tries_again_when_the_model_is_slow_for_once(user_says, fake_llm):
    fake_llm.script(fail(APITimeoutError(), attempts=1), say("Here I am.").timed(ttft=0.5))
    turn = await user_says("Hello?")
    turn.expect.next_event().is_message(role="assistant")
    assert turn.took == pytest.approx(0.1 + 0.5)  # LiveKit's pause before the second attempt


async def test_gives_up_on_a_model_that_breaks_off(user_says, fake_llm, expect_error):
    fake_llm.script(fail(APIConnectionError("overloaded"), after="Let me "))
    with expect_error(APIConnectionError, match="overloaded"):
        await user_says("Hello?")


async def test_the_tokens_of_a_call_are_counted(agent_session, user_says, fake_llm):
    greeting = say("Good morning!").chunked(4)
    fake_llm.script(greeting.with_usage(prompt_tokens=120, completion_tokens=3))
    await user_says("Good morning.")
    [usage] = agent_session.usage.model_usage
    assert (usage.input_tokens, usage.output_tokens) == (120, 3)
