"""What LiveKit asks the model before it knows whether it wants an answer (preemptive_generation).

A script has the answers that count, in a call as in text.
"""

from __future__ import annotations

import pytest

AGENTS = """
import asyncio

from livekit.agents import Agent, StopResponse


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a front desk.")

    async def on_user_turn_completed(self, turn_ctx, new_message):
        text = new_message.text_content
        if text == "hm":
            raise StopResponse
        if text == "wait":
            asyncio.get_running_loop().call_later(1, self.session.generate_reply)
            raise StopResponse
        if text == "weather":
            turn_ctx.add_message(role="system", content="It rains.")


class Hurried(Desk):
    async def llm_node(self, chat_ctx, tools, model_settings):
        async def whole():
            asking = Agent.default.llm_node(self, chat_ctx, tools, model_settings)
            return [chunk async for chunk in asking]

        for chunk in await asyncio.create_task(whole()):
            yield chunk
"""

DESK = (
    "import re\n"
    + AGENTS
    + """
pytestmark = pytest.mark.lk(agent=Desk)
"""
)

FILE = """\
agent: rainy.py:Desk
{mode}scenarios:
  - label: The context is changed
    turns:
      - {{user: weather, llm: [It rains.], expect: [{{message: It rains.}}]}}
      - {{user: thanks, llm: [Goodbye.], expect: [{{message: Goodbye.}}]}}
"""


@pytest.mark.parametrize("mode", ["", "defaults: {mode: audio}\n"])
def test_a_text_scenario_is_a_call_by_its_mode_alone(desk, mode):
    made = desk({"rainy.py": AGENTS, "desk.yaml": FILE.format(mode=mode)})
    made.run("--lk-scenarios=desk.yaml").outcomes(passed=1)


def test_an_answer_that_is_thrown_away_answers_what_is_asked_next(calls):
    result = calls(
        DESK
        + """
async def test_of_a_queue(voice_call, fake_llm):
    fake_llm.script(say("It rains."), say("Goodbye."))
    await voice_call.say("weather")
    await voice_call.agent_answers("It rains.")
    await voice_call.say("thanks")
    await voice_call.agent_answers("Goodbye.")
    assert len(fake_llm.requests) == 3  # and the first of them has no rain in it

@pytest.mark.lk(agent=Hurried)
async def test_of_an_agent_that_asks_in_a_task(voice_call, fake_llm):
    fake_llm.script(say("It rains."))
    await voice_call.say("weather")
    await voice_call.agent_answers("It rains.")

async def test_of_a_rule(voice_call, fake_llm):
    fake_llm.when("weather", say("It rains."), times=2)
    fake_llm.when(re.compile("name"), say("Your name?"), say("Thank you."))
    for _ in range(2):
        await voice_call.say("weather")
        await voice_call.agent_answers("It rains.")
    await voice_call.say("a name")
    await voice_call.agent_answers("Your name?")
    await voice_call.say("weather")
    await voice_call.agent_answers("Thank you.")

async def test_of_one_turn_in_two_parts(voice_call, fake_llm):
    fake_llm.script(say("For what time?"))
    await voice_call.say("a table", lasts=0.5, end_of_turn=0.1)
    await voice_call.say("for two", at=voice_call.now + 2, lasts=0.5)
    await voice_call.agent_answers("For what time?")

async def test_of_a_model_that_fails_first(voice_call, fake_llm, expect_error):
    fake_llm.script(fail(APIConnectionError("down"), attempts=1), say("It rains."))
    await voice_call.say("weather")
    await voice_call.agent_answers("It rains.")

async def test_of_one_who_asks_by_himself_later(voice_call, fake_llm):
    fake_llm.script(say("Are you there?"), say("Fine."))
    await voice_call.say("wait")
    await voice_call.agent_answers("Are you there?", within=2)
    await voice_call.say("yes")
    await voice_call.agent_answers("Fine.")
"""
    )
    result.outcomes(passed=6)


def test_one_that_is_never_wanted_is_not_missed_and_what_was_scripted_for_it_is_left_over(calls):
    result = calls(
        DESK
        + """
async def test_nothing_is_scripted_for_it(voice_call, fake_llm):
    await voice_call.say("hm")
    await voice_call.agent_keeps_silent(5)
    assert len(fake_llm.requests) == 1

async def test_it_was_generated_when_the_user_hung_up(voice_call, fake_llm):
    fake_llm.script(say("Goodbye."))
    await voice_call.say("bye", end_of_turn=0.1)
    await voice_call.silence(1)
    await voice_call.hang_up()
    assert not voice_call.timeline.agent
    assert [step.text for step in fake_llm.remaining] == ["Goodbye."]

async def test_scripted_late_it_is_not_early(voice_call, fake_llm):
    await voice_call.say("hello", end_of_turn=0.1)
    await voice_call.silence(1)
    fake_llm.script(say("Hello.").timed(ttft=0.1))
    assert (await voice_call.agent_answers("Hello.")).latency == 2600
"""
    )
    result.outcomes(passed=2, failed=1)
    result.shows("scripted, and never asked for: say('Goodbye.') (test_it.py:48)")


def test_one_that_is_wanted_and_that_nobody_scripted_is_told_of(calls):
    result = calls(
        DESK
        + """
async def test_it(voice_call, fake_llm):
    fake_llm.script(say("It rains."))
    await voice_call.say("weather")
    await voice_call.agent_answers()
    await voice_call.say("weather")
    await voice_call.agent_answers()
"""
    )
    result.outcomes(failed=1)
    result.shows(
        "E *UnscriptedRequest: Desk asked its model for a completion that nobody scripted",
        "E *request 4, last input: 'weather'",
        "E *used      test_it.py:* say('It rains.'), answered Desk after 'weather'",
    )
    assert str(result).count("used      ") == 1


def test_what_is_scripted_twice_for_it_is_left_over(calls):
    result = calls(
        DESK
        + """
async def test_it(voice_call, fake_llm):
    fake_llm.script(say("(never said)"), say("It rains."))
    await voice_call.say("weather")
    await voice_call.agent_answers("(never said)")
"""
    )
    result.outcomes(failed=1)
    result.shows("scripted, and never asked for: say('It rains.') (test_it.py:*)")
