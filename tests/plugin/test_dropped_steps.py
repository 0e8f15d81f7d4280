"""A step that answered, and of which the agent lets nothing through, is missed."""

from __future__ import annotations

import pytest

DESKS = """
from livekit.agents import Agent, StopResponse, function_tool
from livekit.agents.llm import ChatChunk


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a front desk.")

    @function_tool
    async def book(self) -> str:
        "Book it."
        return "booked"

    @function_tool
    async def cancel(self) -> str:
        "Cancel it."
        return "cancelled"


class Quiet(Desk):
    '''Lets no text through.'''

    async def llm_node(self, chat_ctx, tools, model_settings):
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            if isinstance(chunk, ChatChunk) and chunk.delta and chunk.delta.tool_calls:
                yield chunk


class Careful(Desk):
    '''Lets no call of cancel through.'''

    async def llm_node(self, chat_ctx, tools, model_settings):
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            calls = chunk.delta.tool_calls
            chunk.delta.tool_calls = [call for call in calls if call.name != "cancel"]
            yield chunk


class Polite(Desk):
    '''Says something else than its model, and in the place of a call.'''

    async def llm_node(self, chat_ctx, tools, model_settings):
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield "Excuse me. " if chunk.delta.tool_calls else chunk.delta.content.upper()


class Sorted(Desk):
    '''Asks what the matter is before it asks for an answer.'''

    async def llm_node(self, chat_ctx, tools, model_settings):
        async with self.session.llm.chat(chat_ctx=chat_ctx) as asked:
            matter = [chunk.delta.content async for chunk in asked]
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk


class Soundless(Desk):
    '''Gives no sound to what it says.'''

    async def tts_node(self, text, model_settings):
        async for _ in text:
            pass
        return
        yield


class Stops(Desk):
    '''Answers nothing to what a user says.'''

    async def on_user_turn_completed(self, turn_ctx, new_message):
        raise StopResponse
"""


def scenario(agent: str, *llm: str, expect: str = "[]", keys: str = "") -> dict[str, str]:
    steps = "\n".join(f"        - {step}" for step in llm)
    return {
        "desks.py": DESKS,
        "s.yaml": f"""\
agent: desks.py:{agent}
scenarios:
  - label: A question
{keys}    turns:
      - user: and now?
        llm:
{steps}
        expect: {expect}
""",
    }


def test_a_text_that_the_agent_drops_is_told_with_its_line(desk):
    result = desk(scenario("Quiet", "say: It is open.")).run("--lk-scenarios=s.yaml")
    result.outcomes(failed=1)
    result.shows(
        "s.yaml:7: A question, turn 1: answered, and nobody said or called it: say('It is open.')",
        "the agent's llm_node did not let it through; if that is right, let it pass: "
        "allow: [dropped_step]",
    )


BOOK, CANCEL = "{book: {}}", "{cancel: {}}"


@pytest.mark.parametrize("expect", ["        expect: [...]\n", ""])
@pytest.mark.parametrize(
    ("agent", "steps", "dropped"),
    [
        ("Quiet", ["say: It is open."], "7: say('It is open.')"),
        ("Quiet", [f"call: {BOOK}", "say: Booked."], "8: say('Booked.')"),
        (
            "Quiet",
            [f"{{say: One moment., call: {BOOK}}}", "silence: true"],
            "7: reply('One moment.', call('book'))",
        ),
        ("Careful", [f"call: {CANCEL}"], "7: call('cancel')"),
        (
            "Careful",
            [f"call: [{BOOK}, {CANCEL}]", "say: Done."],
            "7: reply(None, call('book'), call('cancel'))",
        ),
    ],
)
def test_whatever_is_dropped_is_missed_even_where_nothing_is_expected(
    desk, agent, steps, dropped, expect
):
    made = scenario(agent, *steps)
    made["s.yaml"] = made["s.yaml"].replace("        expect: []\n", expect)
    result = desk(made).run("--lk-scenarios=s.yaml")
    result.outcomes(failed=1)
    line, _, step = dropped.partition(": ")
    told = f"s.yaml:{line}: A question, turn 1: answered, and nobody said or called it: {step}"
    result.shows(told)


def test_it_passes_where_that_is_allowed(desk):
    made = scenario("Quiet", "say: It is open.", keys="    allow: [dropped_step]\n")
    desk(made).run("--lk-scenarios=s.yaml").outcomes(passed=1)


@pytest.mark.parametrize(
    ("agent", "steps", "expect"),
    [
        ("Polite", ["say: It is open."], "[{message: IT IS OPEN.}]"),
        ("Polite", [f"call: {BOOK}"], "[{message: 'Excuse me. '}]"),
        ("Sorted", ["say: a question", "say: It is open."], "[]"),
        ("Sorted", ["say: no question", "silence: true"], "[]"),
        ("Quiet", ["silence: true"], "[]"),
        ("Quiet", ["say: ' '"], "[]"),
    ],
)
def test_an_agent_may_say_something_else_and_ask_for_more(desk, agent, steps, expect):
    made = scenario(agent, *steps, expect=expect)
    desk(made).run("--lk-scenarios=s.yaml").outcomes(passed=1)


def test_what_is_told_by_an_error_is_told_once(desk):
    made = scenario("Quiet", "fail: {status: 503, after: It is}")
    result = desk(made).run("--lk-scenarios=s.yaml")
    result.shows_no("*nobody said or called it*")


@pytest.mark.parametrize("preemptive", [True, False])
def test_an_answer_that_the_agent_stops_in_a_call_is_left_over(desk, preemptive):
    options = (
        f"{{turn_handling: {{preemptive_generation: {{enabled: {str(preemptive).lower()}}}}}}}"
    )
    keys = f"    mode: audio\n    session: {options}\n"
    result = desk(scenario("Stops", "say: It is open.", keys=keys)).run("--lk-scenarios=s.yaml")
    result.outcomes(failed=1)
    result.shows("s.yaml:9: A question, turn 1: scripted, and never asked for: say('It is open.')")


def test_in_python_it_is_told_at_the_end(desk):
    result = desk(
        {
            "desks.py": DESKS,
            "test_it.py": """
            import desks

            pytestmark = pytest.mark.lk(agent=desks.Quiet)

            async def test_said(user_says, fake_llm):
                fake_llm.script(say("It is open."))
                await user_says("and now?")

            async def test_by_hand(agent_session, fake_llm):
                fake_llm.script(say("It is open."))
                await agent_session.run(user_input="and now?")

            async def test_in_a_call(voice_call, fake_llm):
                fake_llm.script(call("book"), say("Booked."))
                await voice_call.say("book it")
                await voice_call.settle()
            """,
        }
    ).run()
    result.outcomes(failed=3)
    result.shows(
        "answered, and nobody said or called it: say('It is open.') (test_it.py:14)",
        "the agent's llm_node did not let it through; if that is right, let it pass: "
        "@pytest.mark.lk(allow=['dropped_step'])",
        "answered, and nobody said or called it: say('It is open.') (test_it.py:18)",
        "answered, and nobody said or called it: say('Booked.') (test_it.py:22)",
    )


def test_in_a_call_what_nobody_hears_is_told(desk):
    made = scenario("Soundless", "say: It is open.", keys="    mode: audio\n")
    result = desk(made).run("--lk-scenarios=s.yaml")
    result.outcomes(failed=1)
    result.shows(
        "s.yaml:3: A question: Soundless said 'It is open.', and nobody heard it: no audio came of "
        "its tts_node (desks.py:*); if that is right, let it pass: allow: [unheard_speech]"
    )


def test_one_that_is_cut_off_is_not_missed(desk):
    result = desk(
        {
            "desks.py": DESKS,
            "test_it.py": """
            import desks

            @pytest.mark.lk(agent=desks.Desk)
            async def test_it(user_says, fake_llm):
                fake_llm.script(say("It is open.").timed(ttft=5))
                await user_says("and now?", interrupt=1)
            """,
        }
    ).run()
    result.outcomes(passed=1)


def test_an_agent_that_is_fuzzed_may_drop_what_a_model_makes_up(desk):
    """No script says what has to be said."""
    result = desk(
        {
            "desks.py": DESKS,
            "test_it.py": """
            import desks
            from hypothesis import settings
            from pytest_lkagent.fuzz import fuzz_agent

            test_it = settings(max_examples=20, derandomize=True, database=None)(
                fuzz_agent(desks.Quiet)
            )
            """,
        }
    ).run()
    result.outcomes(passed=1)
