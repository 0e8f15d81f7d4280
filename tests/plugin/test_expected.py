"""``expect_error`` and ``expect_close``: what would otherwise be red, wanted."""

from __future__ import annotations

FAILS = 'fail(APIConnectionError("overloaded", retryable=False))'


def test_an_error_that_is_expected_passes_and_is_handed_over(desk):
    result = desk(
        {
            "test_error.py": f"""
            async def test_it(user_says, fake_llm, expect_error):
                fake_llm.script({FAILS}, say("Back again."))
                with expect_error(APIConnectionError, match="over") as expected:
                    await user_says("hi")
                assert "overloaded" in str(expected.error)
                assert (await user_says("hi?")).events[-1].text == "Back again."

            async def test_any_of_several(user_says, fake_llm, expect_error):
                fake_llm.script({FAILS})
                with expect_error((KeyError, APIConnectionError)):
                    await user_says("hi")

            async def test_pytest_raises_does_as_well(user_says, fake_llm):
                fake_llm.script({FAILS})
                with pytest.raises(APIConnectionError, match="overloaded"):
                    await user_says("hi")
            """
        }
    ).run()
    result.outcomes(passed=3)


def test_an_error_that_does_not_come_or_is_another_one_fails_at_the_line_of_the_user(desk):
    result = desk(
        {
            "test_error.py": f"""
            async def test_missing(user_says, fake_llm, expect_error):
                fake_llm.script(say("All is well."))
                with expect_error(APIConnectionError, match="overloaded"):
                    await user_says("hi")

            async def test_another_kind(user_says, fake_llm, expect_error):
                fake_llm.script({FAILS})
                with expect_error(KeyError):
                    await user_says("hi")

            async def test_another_text(user_says, fake_llm, expect_error):
                fake_llm.script({FAILS})
                with expect_error(APIConnectionError, match="unplugged"):
                    await user_says("hi")

            async def test_no_exception_class(user_says, expect_error):
                expect_error("overloaded")
            """
        }
    ).run()
    result.outcomes(failed=4)
    result.shows(
        '> * with expect_error(APIConnectionError, match="overloaded"):',
        "E *expected APIConnectionError matching 'overloaded', and no such error came",
        "*test_another_kind*",
        '> * await user_says("hi")',
        "E *APIConnectionError: overloaded",
        "*test_another_text*",
        '> * await user_says("hi")',
        "E *APIConnectionError: overloaded",
        '> * expect_error("overloaded")',
        "E *expect_error() takes an exception class, not 'overloaded'",
        "FAILED test_error.py::test_missing - *",
        "FAILED test_error.py::test_another_kind - *",
        "FAILED test_error.py::test_another_text - *",
        "FAILED test_error.py::test_no_exception_class - *",
    )


HANGS_UP = """
from livekit.agents import RunContext, function_tool

class HangsUp(Agent):
    def __init__(self):
        super().__init__(instructions="Hang up.")

    @function_tool
    async def hang_up(self, ctx: RunContext) -> None:
        "Hang up."
        ctx.session.shutdown(drain=False)

pytestmark = pytest.mark.lk(agent=HangsUp)
"""


def test_a_close_that_is_expected_passes_and_says_how(desk):
    result = desk(
        {
            "test_close.py": HANGS_UP
            + """
async def test_it(user_says, fake_llm, expect_close, transcript):
    fake_llm.script(call("hang_up"))
    with expect_close(reason="user_initiated") as expected:
        await user_says("bye")
    assert expected.close.reason == "user_initiated"
    assert transcript.events[-1] is expected.close

async def test_on_an_error(user_says, fake_llm, expect_close, expect_error):
    fake_llm.script(*[fail(APIConnectionError("down", retryable=False)) for _ in range(4)])
    with expect_close(reason="error"):
        for _ in range(4):
            with expect_error(APIConnectionError):
                await user_says("hi")
"""
        }
    ).run()
    result.outcomes(passed=2)


def test_a_close_that_does_not_come_or_has_another_reason_fails(desk):
    result = desk(
        {
            "test_close.py": HANGS_UP
            + """
async def test_still_open(user_says, fake_llm, expect_close):
    fake_llm.script(say("I stay."))
    with expect_close(reason="error"):
        await user_says("bye")

async def test_another_reason(user_says, fake_llm, expect_close):
    fake_llm.script(call("hang_up"))
    with expect_close(reason="error"):
        await user_says("bye")

async def test_no_reason(user_says, fake_llm, expect_close):
    with expect_close(reason="eror"):
        pass

async def test_nobody_hears_what_comes_later(user_says, fake_llm, expect_close):
    fake_llm.script(call("hang_up"))
    with expect_close():
        await user_says("bye")
    await user_says("hello?")
"""
        }
    ).run()
    result.outcomes(failed=4)
    result.shows(
        "E *: expected the session to close with reason 'error', and it is still open",
        "E *: expected the session to close with reason 'error', and it closed with user_initiated",
        "E *'eror'*did you mean 'error'?",
        "E *: nobody hears 'hello?': the session closed before (user_initiated)",
    )


def test_a_session_that_closed_on_an_error_fails_the_test_unless_that_is_allowed(desk):
    result = desk(
        {
            "test_close.py": """
            async def four_failures(user_says, fake_llm):
                down = APIConnectionError("down", retryable=False)
                fake_llm.script(*[fail(down) for _ in range(4)])
                for _ in range(3):
                    with pytest.raises(APIConnectionError):
                        await user_says("hi")
                assert not (await user_says("hi")).events[1:-1], "LiveKit closes, and says nothing"

            async def test_red(user_says, fake_llm):
                await four_failures(user_says, fake_llm)

            @pytest.mark.lk(allow=["unexpected_close", "session_error"])
            async def test_allowed(user_says, fake_llm):
                await four_failures(user_says, fake_llm)
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows(
        "the session closed on an error: *; if that is what the test is about, wrap it in "
        "expect_close(reason='error')",
        "FAILED test_close.py::test_red - *",
    )
