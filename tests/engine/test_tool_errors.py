"""What is raised in a tool or a mock fails the test, although LiveKit hides it."""

from __future__ import annotations

from textwrap import dedent

import pytest

DESK = """
import asyncio
import pytest
from livekit.agents import Agent, StopResponse, ToolError, function_tool
from pytest_lkagent import call

class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="")

    @function_tool
    async def book(self) -> str:
        {body}
        return "booked"

@pytest.fixture
def agent():
    return Desk

async def test_tool(user_says, fake_llm):
    fake_llm.when("go", call("book"))
    fake_llm.when(lambda r: True, "Done.", times=None)
    await user_says("go")

async def test_mock(user_says, fake_llm, mock_tool):
    @mock_tool(Desk, "book")
    def book():
        {body}
    fake_llm.when("go", call("book"))
    fake_llm.when(lambda r: True, "Done.", times=None)
    await user_says("go")
"""


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("assert 1 == 2", ["E *assert 1 == 2", "test_desk.py:12: AssertionError"]),
        ("raise ValueError('odd')", ["E *ValueError: odd", "test_desk.py:12: ValueError"]),
        ("pytest.fail('never')", ["E *Failed: never", "test_desk.py:12: Failed"]),
        ("raise SystemExit(3)", ["E *SystemExit: 3", "test_desk.py:12: SystemExit"]),
        ("raise BaseException('base')", ["E *BaseException: base", "test_desk.py:12: *"]),
    ],
)
def test_it_fails_with_its_own_traceback(project, body: str, lines: list[str]) -> None:
    result = project({"test_desk.py": DESK.format(body=body)}).run()
    result.outcomes(failed=2)
    result.shows("*_ test_tool _*", *lines, "*_ test_mock _*", lines[0], "test_desk.py:27: *")
    result.shows_no("*tool_executor.py*", "*tool_watch.py*", "*INTERNALERROR*")


def test_a_skip_in_a_tool_skips_the_test_or_fails_it_but_never_passes(project) -> None:
    result = project({"test_desk.py": DESK.format(body="pytest.skip('not here')")}).run("-rs")
    assert "passed" not in result.counts


@pytest.mark.parametrize("body", ["raise ToolError('taken')", "raise StopResponse"])
def test_livekits_own_control_flow_passes(project, body: str) -> None:
    project({"test_desk.py": DESK.format(body=body)}).run().outcomes(passed=2)


CANCELS = """
import asyncio
import pytest
from livekit.agents import Agent, RunContext, function_tool
from pytest_lkagent import call

class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="")

    async def look_up(self):
        looking = asyncio.create_task(asyncio.sleep(9))
        looking.cancel()
        await looking

    @function_tool
    async def book(self) -> str:
        await self.look_up()

    @function_tool
    async def search(self, context: RunContext) -> str:
        await context.update("I'm searching.")
        await self.look_up()

    @function_tool
    async def cancelled(self) -> str:
        asyncio.get_running_loop().call_later(1, asyncio.current_task().cancel)
        await asyncio.sleep(9)

class Enters(Desk):
    on_enter = Desk.look_up

@pytest.mark.lk(agent=Desk)
@pytest.mark.parametrize("tool", ["book", "search", "cancelled"])
async def test_tool(user_says, fake_llm, tool):
    fake_llm.when("go", call(tool))
    fake_llm.when(lambda r: True, "Done.", times=None)
    await user_says("go")

@pytest.mark.lk(agent=Enters)
async def test_hook(agent_session):
    pass
"""


def test_a_tool_or_a_hook_that_is_cancelled_by_nobody_fails_the_test(project) -> None:
    """It awaits something that is cancelled, and the agent falls silent."""
    result = project({"test_desk.py": CANCELS}).run()
    result.outcomes(failed=3, passed=1)
    told = (
        "{} raised CancelledError (test_desk.py:13), and nobody cancelled it: LiveKit takes it for "
        "cancelled, and the agent says nothing about it; catch it{}"
    )
    result.shows(
        ">       await looking",
        f"E *BehaviourError: {told.format('the tool book', ', or raise ToolError')}",
        f"E *BehaviourError: {told.format('the tool search', ', or raise ToolError')}",
        told.format("on_enter of Enters", ""),
    )


def test_it_may_be_allowed_or_expected(project) -> None:
    text = DESK.format(body="raise ValueError('odd')") + (
        "\n@pytest.mark.lk(allow=['tool_error'])\n"
        "async def test_allowed(user_says, fake_llm):\n"
        "    fake_llm.script(call('book'), 'Done.')\n"
        "    await user_says('go')\n"
        "\nasync def test_expected(user_says, fake_llm, expect_error):\n"
        "    fake_llm.script(call('book'), 'Done.')\n"
        "    with expect_error(ValueError, match='odd'):\n"
        "        await user_says('go')\n"
    )
    result = project({"test_desk.py": text}).run("-k", "allowed or expected")
    result.outcomes(passed=2, deselected=2)


GIVEN = DESK.replace('return "booked"', "return {given}").replace("{body}", "pass")
SLOT = """
from pydantic import BaseModel

class Slot(BaseModel):
    at: str

"""


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Slot(at='2pm')", "Slot(at='2pm') (Slot)"),
        ("[Slot(at='2pm')]", "[Slot(at='2pm')] (list)"),
        ("Desk(), Desk()", "(<*Desk object at *>, <*Desk *… (tuple)"),
    ],
)
def test_an_output_that_livekit_refuses_is_an_error_of_the_tool(project, given, shown) -> None:
    text = (
        SLOT
        + GIVEN.format(given=given)
        + dedent(
            f"""
        async def test_spy(user_says, fake_llm, mock_tool):
            mock_tool(Desk, "book")
            fake_llm.script(call("book"), "Done.")
            await user_says("go")

        @pytest.mark.lk(allow=["tool_error"])
        async def test_allowed(user_says, fake_llm):
            fake_llm.script(call("book"), "Done.")
            await user_says("go")

        async def test_expected(user_says, fake_llm, expect_error):
            fake_llm.script(call("book"), "Done.")
            with expect_error(TypeError, match="the tool book"):
                await user_says("go")

        async def test_returns(user_says, fake_llm, mock_tool):
            mock_tool(Desk, "book", side_effect=lambda: ({given}))
            fake_llm.script(call("book"), "Done.")
            await user_says("go")
        """
        )
    )
    result = project({"test_desk.py": text}).run("-k", "not test_mock")
    result.outcomes(failed=3, passed=2, deselected=1)
    line = text.strip().partition("@function_tool")[0].count("\n") + 1
    result.shows(
        f"E *RefusedOutput: the tool book (test_desk.py:{line}) returned {shown}, which LiveKit "
        "does not take: the model reads 'the tool returned *'; return text, numbers, or lists and "
        "dicts of these, beside one agent at most",
        f"E *RefusedOutput: the mock of Desk.book (test_desk.py:*) returned {shown}, which *",
    )


@pytest.mark.parametrize(
    "given",
    ["None", "2", "[1, {'a': (2, 3.5)}]", "Desk()", "(Desk(), 'over')", "ToolError('taken')"],
)
def test_an_output_that_livekit_takes_is_none(project, given) -> None:
    files = {"test_desk.py": GIVEN.format(given=given)}
    project(files).run("-k", "test_tool").outcomes(passed=1, deselected=1)


LATE = """
import asyncio
import pytest
from livekit.agents import Agent, RunContext, function_tool
from pytest_lkagent import call, reply

class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="")

    @function_tool
    async def transfer(self, ctx: RunContext) -> Agent:
        await asyncio.sleep(1)
        {before}
        await asyncio.sleep(30)
        return {given}

@pytest.fixture
def agent():
    return Desk

async def test_tool(user_says, fake_llm):
    fake_llm.when("billing, please", call("transfer"))
    fake_llm.when(lambda r: True, "Well.", times=None)
    await user_says("billing, please")

async def test_cut(voice_call, fake_llm):
    fake_llm.when("billing", reply("Let me see whom I find, it takes a while.", call("transfer")))
    fake_llm.when(lambda r: True, "Well.", times=None)
    await voice_call.say("billing")
    await voice_call.interrupt("no wait please", after=1)
    await voice_call.silence(60)

async def test_mock(user_says, fake_llm, mock_tool):
    mock_tool(Desk, "transfer", returns=Desk())
    fake_llm.script(call("transfer"))
    await user_says("billing, please")
"""


@pytest.mark.parametrize("given", ["Desk()", "(Desk(), 'over')"])
def test_a_hand_over_after_an_update_is_an_error_of_the_tool_as_it_never_happens(
    project, given
) -> None:
    text = LATE.format(before="await ctx.update('looking')", given=given)
    result = project({"test_desk.py": text}).run("-k", "not test_cut")
    result.outcomes(failed=1, passed=1, deselected=1)
    result.shows(
        "E *RefusedOutput: the tool transfer (test_desk.py:10) returned *Desk object at * after "
        "ctx.update(), when LiveKit hands over no more; return it without an update, or give it "
        "to session.update_agent()"
    )


def test_one_that_an_interruption_made_late_is_none(project) -> None:
    """LiveKit makes the update itself where it does not wait any longer."""
    text = LATE.format(before="", given="Desk()")
    project({"test_desk.py": text}).run("-k", "test_cut").outcomes(passed=1, deselected=2)


@pytest.mark.slow
def test_a_keyboard_interrupt_in_a_tool_stops_the_run(project, warm) -> None:
    result = project({"test_desk.py": DESK.format(body="raise KeyboardInterrupt")}).run(
        subprocess=True
    )
    assert result.exit_status == pytest.ExitCode.INTERRUPTED


REPEATS = """
import asyncio
import pytest
from livekit.agents import Agent, function_tool
from pytest_lkagent import call, reply

class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="")

    @function_tool
    async def book(self) -> str:
        return "booked"

class Repeats(Desk):
    async def llm_node(self, *asked):
        chunks = [chunk async for chunk in Agent.default.llm_node(self, *asked)]
        for chunk in chunks:
            yield chunk
        await asyncio.sleep({pause})
        for chunk in chunks:
            yield chunk

@pytest.mark.lk(agent=Repeats)
async def test_repeats(user_says, fake_llm):
    fake_llm.script(call("book"), "Done.")
    await user_says("go")

@pytest.mark.lk(agent=Desk)
async def test_a_model_that_gives_two_calls_one_id(user_says, fake_llm):
    fake_llm.script(reply(None, call("book").with_id("one"), call("book").with_id("one")), "Done.")
    await user_says("go")
"""


@pytest.mark.parametrize("pause", ["0", "1"])
def test_a_tool_that_runs_twice_for_one_call_fails_the_test(project, pause: str) -> None:
    """LiveKit refuses it while the first is at work, and runs it once more after that."""
    result = project({"test_desk.py": REPEATS.replace("{pause}", pause)}).run()
    result.outcomes(failed=1, passed=1)
    result.shows(
        "E *BehaviourError: the tool book (test_desk.py:10) is run again for a call that the model "
        "made once (call_1): llm_node of Repeats (test_desk.py:15) yields it again; yield each "
        "chunk once"
    )
    result.shows_no("*tool_executor.py*", "*ValueError*", "*tool_watch.py*")
