"""The verdict: one FAILED for whatever must not pass, when the call phase ends."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

UNUSED = """
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."), say("Never asked for."))
    await user_says("hi")
"""


def test_a_finding_is_one_failure_and_no_error_beside_it(desk):
    result = desk({"test_it.py": UNUSED}).run("-rA")
    result.outcomes(failed=1)
    result.shows(
        "scripted, and never asked for:*say('Never asked for.') (*test_it.py:10)",
        "FAILED test_it.py::test_it - Failed: scripted, and never asked for*",
    )
    result.shows_no("PASSED*", "ERROR*", "E *")
    assert result.exit_status == pytest.ExitCode.TESTS_FAILED


def test_a_rule_that_never_matched_is_told_by_what_it_waits_for(desk):
    result = desk(
        {
            "test_it.py": """
            import re

            async def test_it(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                fake_llm.when(re.compile("slot"), call("book", slot="2pm"), say("Booked."))
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "scripted, and never asked for: when(/slot/) … call('book', slot='2pm') (test_it.py:13)",
        "and when(/slot/) … say('Booked.') (test_it.py:13)",
        "take it out, or let it pass: @pytest.mark.lk(allow=['unused_step'])",
    )


FINDINGS = {
    "unused_step": UNUSED,
    "dropped_step": """
class Mute(FrontDesk):
    async def llm_node(self, chat_ctx, tools, model_settings):
        async for _ in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            pass
        return
        yield

@pytest.mark.lk(agent=Mute)
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
""",
    "unused_mock": """
async def test_it(user_says, fake_llm, mock_tool):
    mock_tool(FrontDesk, "book", returns="booked")
    fake_llm.script(say("Hello."))
    await user_says("hi")
""",
    "unscripted_request": """
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
    try:
        await user_says("hi again")
    except BaseException:
        pass
""",
    "session_error": """
async def test_it(agent_session, fake_llm):
    fake_llm.script(fail(APIConnectionError("down", retryable=False)))
    agent_session.generate_reply()
    await asyncio.sleep(10)
""",
    "tool_error": """
from livekit.agents import function_tool

class Broken(Agent):
    def __init__(self):
        super().__init__(instructions="Break.")

    @function_tool
    async def check(self):
        "Check it."
        assert 1 == 2, "the tool's own assertion"

@pytest.mark.lk(agent=Broken)
async def test_it(agent_session, fake_llm):
    fake_llm.script(call("check"), say("Sorry."))
    await agent_session.run(user_input="check")
""",
}
MESSAGES = {
    "unused_step": "scripted, and never asked for:*",
    "dropped_step": "answered, and nobody said or called it: say('Hello.') (test_it.py:18)",
    "unused_mock": "FrontDesk.book is mocked (*test_it.py:10), and was never called; if that is "
    "right, make it optional, or assert that it was not called*",
    "unscripted_request": "FrontDesk asked its model for a completion that nobody scripted",
    "session_error": "the session failed: APIConnectionError: down; if that is what the test is "
    "about, wrap it in expect_error(APIConnectionError)",
    "tool_error": "E *AssertionError: the tool's own assertion",
}


@pytest.mark.parametrize("kind", FINDINGS)
def test_allow_lets_one_kind_pass_and_no_other(desk, kind):
    other = "unused_mock" if kind == "unused_step" else "unused_step"
    made = {
        "test_it.py": FINDINGS[kind],
        "allowed/test_it_too.py": f"pytestmark = pytest.mark.lk(allow=[{kind!r}])\n"
        + FINDINGS[kind],
        "other/test_it_again.py": f"pytestmark = pytest.mark.lk(allow={other!r})\n"
        + FINDINGS[kind],
    }
    result = desk(made).run("-rA")
    result.outcomes(failed=2, passed=1)
    result.shows(MESSAGES[kind])
    result.shows("PASSED allowed/test_it_too.py::test_it")
    result.shows("FAILED test_it.py::test_it - *")


def test_a_strict_xfail_is_met_by_a_finding(desk):
    marker = '@pytest.mark.xfail(strict=True, reason="not built yet")\n'
    result = desk(
        {
            "test_finding.py": marker + UNUSED.lstrip(),
            "test_start.py": marker
            + "@pytest.mark.lk(agent=Greeter)\nasync def test_it(user_says):\n    pass\n",
            "test_good.py": marker + "async def test_it(user_says):\n    pass\n",
            "test_raises.py": marker.replace(")", ", raises=KeyError)") + UNUSED.lstrip(),
        }
    ).run("-rA")
    result.outcomes(xfailed=2, failed=2)
    result.shows(
        "XFAIL test_finding.py::test_it - not built yet", "XFAIL test_start.py::test_it - *"
    )
    result.shows("[XPASS(strict)] not built yet")
    result.shows("FAILED test_good.py::test_it*")
    result.shows("FAILED test_raises.py::test_it - *")


def test_findings_beside_a_failure_are_notes_on_it(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says, fake_llm, mock_tool):
                mock_tool(FrontDesk, "book")
                fake_llm.script(say("Hello."), say("Never asked for."))
                turn = await user_says("hi")
                assert turn.events[-1].text == "Goodbye."
            """
        }
    ).run("-rA")
    result.outcomes(failed=1)
    result.shows(
        '> * assert turn.events[-1].text == "Goodbye."',
        "E *AssertionError: assert 'Hello.' == 'Goodbye.'",
        "E *also: scripted, and never asked for:*",
        "E *also: FrontDesk.book is mocked (*test_it.py:10), and was never called; *",
        "FAILED test_it.py::test_it - AssertionError: assert 'Hello.' == 'Goodbye.'",
    )


def test_several_findings_are_one_failure(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says, fake_llm, mock_tool):
                mock_tool(FrontDesk, "book")
                fake_llm.script(say("Never asked for."))
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("scripted, and never asked for:*", "also: FrontDesk.book is mocked *")


def test_of_several_requests_that_nobody_scripted_the_first_is_told_first(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import RunContext, function_tool

            class Talker(FrontDesk):
                @function_tool
                async def look(self, context: RunContext) -> str:
                    context.session.generate_reply(instructions="say that you look")
                    return "found"

            @pytest.mark.lk(agent=Talker)
            async def test_it(user_says, fake_llm):
                fake_llm.script(call("look"))
                await user_says("look")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *: Talker asked *", "E *request 2, *", "E *also: Talker *", "E *request 3, *")


STARTS = {
    "an unscripted request": (
        "@pytest.mark.lk(agent=Greeter)\n",
        "Greeter asked its model for a completion that nobody scripted",
        (
            "*it was asked while the session started: script that with the start_script fixture, "
            "or with @pytest.mark.lk(start=[say('…')])"
        ),
    ),
    "an exception in on_enter": (
        (
            "class Broken(FrontDesk):\n    async def on_enter(self):\n"
            "        raise LookupError('no calendar')\n\n@pytest.mark.lk(agent=Broken)\n"
        ),
        "*LookupError: no calendar*",
        "*",
    ),
    "an error of the model": (
        "@pytest.mark.lk(agent=Greeter, start=[fail(APIConnectionError('x', retryable=False))])\n",
        "the start of the session failed: APIConnectionError: x; *",
        "*",
    ),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_start_that_fails_fails_the_test_before_its_body(desk, start):
    marker, *lines = STARTS[start]
    result = desk(
        {"test_it.py": marker + "async def test_it(user_says):\n    print('the body ran')\n"}
    ).run("-s")
    result.outcomes(failed=1)
    result.shows(*lines, "FAILED test_it.py::test_it - *")
    result.shows_no("*the body ran*", "*_StartFailed*")


def test_an_exception_in_on_enter_is_not_heard_of_again(desk):
    result = desk(
        {
            "test_it.py": """
            import gc

            class Broken(FrontDesk):
                async def on_enter(self):
                    raise LookupError("no calendar")

            @pytest.mark.lk(agent=Broken)
            async def test_broken(user_says):
                pass

            def test_next(caplog):
                gc.collect()
                assert caplog.text == ""
            """
        }
    ).run()
    result.outcomes(failed=1, passed=1)


def test_a_skip_inside_the_body_stays_a_skip(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_skips(user_says, fake_llm):
                fake_llm.script(say("Never asked for."))
                pytest.skip("not today")

            async def test_xfails(user_says, fake_llm):
                fake_llm.script(say("Never asked for."))
                pytest.xfail("not today")

            @pytest.mark.skip(reason="not at all")
            async def test_does_not_start(user_says):
                raise AssertionError("unreachable")
            """
        }
    ).run("-rsx")
    result.outcomes(skipped=2, xfailed=1)
    result.shows("SKIPPED [1] test_it.py:*: not today")


def test_exit_inside_the_body_ends_the_run_as_always(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_exits(fake_llm):
                fake_llm.script(say("Never asked for."))
                pytest.exit("enough", returncode=7)
            """
        }
    ).run()
    result.shows("!* _pytest.outcomes.Exit: enough !*")
    assert result.exit_status == 7


def test_selection_by_the_last_failure_and_the_end_at_the_first_one_work(desk):
    made = desk(
        {"test_it.py": UNUSED + UNUSED.replace("test_it", "test_too") + "\ndef test_good(): pass\n"}
    )
    first = made.run("-x")
    first.outcomes(failed=1)
    first.shows("!* stopping after 1 failures !*")
    made.run().outcomes(failed=2, passed=1)
    again = made.run("--lf", "-v")
    again.outcomes(failed=2)
    again.shows("test_it.py::test_it FAILED*", "test_it.py::test_too FAILED*")


def test_junit_has_one_failure_with_the_message(desk, pytester):
    result = desk({"test_it.py": UNUSED}).run("--junitxml=out.xml")
    result.outcomes(failed=1)
    (suite,) = ET.parse(pytester.path / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    (case,) = suite
    (failure,) = case
    assert "scripted, and never asked for" in failure.get("message")


def test_what_only_closing_reveals_fails_the_test_too(desk):
    result = desk(
        {
            "test_it.py": """
            class NeverLeaves(FrontDesk):
                async def on_exit(self):
                    await asyncio.Event().wait()

            @pytest.mark.lk(agent=NeverLeaves)
            async def test_it(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")

            class Falls(FrontDesk):
                async def on_exit(self):
                    raise LookupError("no calendar")

            @pytest.mark.lk(agent=Falls)
            @pytest.mark.xfail(raises=LookupError, strict=True)
            async def test_xfails(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(failed=1, xfailed=1)
    result.shows(
        "closing the session cannot finish: *; on_exit of NeverLeaves waits at test_it.py:*"
    )


def test_a_test_that_waits_for_ever_ends_at_the_line_on_which_it_waits(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says):
                await asyncio.Event().wait()
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "> * await asyncio.Event().wait()",
        "E *Stuck: the test cannot finish: *; it waits at test_it.py:10",
    )
