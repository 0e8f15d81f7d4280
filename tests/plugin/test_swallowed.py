"""What LiveKit and asyncio swallow fails the test: its lines, and each way to let it pass.

In the order of the reference's sections "run() and errors" and "Tool behaviour"; what is raised in
a tool is in test_tool_errors.py, errors of the model are in test_expected.py, tools that fail in a
scenario in test_failed_tools.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_lkagent.strict import KINDS

FIXTURES_PAGE = Path(__file__).parents[2] / "docs" / "fixtures.md"

# --- handlers of events

HANDLERS = {
    "in the test": """
async def test_it(agent_session, user_says, fake_llm):
    @agent_session.on("conversation_item_added")
    def count(event):
        raise LookupError("no counter")
    fake_llm.script(say("Hello."))
    await user_says("hi")
""",
    "in on_enter": """
class Counts(FrontDesk):
    async def on_enter(self):
        self.session.on("conversation_item_added", self.count)

    def count(self, event):
        raise LookupError("no counter")

@pytest.mark.lk(agent=Counts)
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
""",
    "once": """
async def test_it(agent_session, user_says, fake_llm):
    @agent_session.once("conversation_item_added")
    def count(event):
        raise LookupError("no counter")
    fake_llm.script(say("Hello."), say("Still here."))
    try:
        await user_says("hi")
    except LookupError:
        await user_says("hi")  # it is called no more
""",
    "of an emitter of the user's own": """
from livekit import rtc

class Calendar(rtc.EventEmitter):
    pass

async def test_it(user_says, fake_llm):
    def count():
        raise LookupError("no counter")
    calendar = Calendar()
    calendar.on("conversation_item_added", count)
    calendar.emit("conversation_item_added", "an argument that it does not take")
    fake_llm.script(say("Hello."))
    await user_says("hi")
""",
    "of the room": """
from livekit import rtc

async def test_it(job_context, user_says, fake_llm):
    room = rtc.Room()
    room.on("conversation_item_added", lambda event: count())
    def count():
        raise LookupError("no counter")
    room.emit("conversation_item_added", 1)
    fake_llm.script(say("Hello."))
    await user_says("hi")
""",
}


@pytest.mark.parametrize("where", HANDLERS)
def test_an_exception_in_a_handler_fails_the_test_with_its_own_traceback(desk, where):
    result = desk({"test_it.py": HANDLERS[where]}).run()
    result.outcomes(failed=1)
    result.shows(
        '> * raise LookupError("no counter")',
        "E *LookupError: no counter",
        "E *raised in a handler of 'conversation_item_added' (*test_it.py:*), where nobody hears "
        "of it; allow 'handler_error' if that is right",
        "FAILED test_it.py::test_it - LookupError: no counter",
    )
    result.shows_no("*failed to emit*")


def test_what_a_callback_of_a_speech_handle_raises_fails_the_test(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import RunContext, function_tool

            def hang_up(speech):
                raise LookupError("nobody on the line")

            class Leaving(FrontDesk):
                @function_tool
                async def bye(self, ctx: RunContext) -> str:
                    "Say goodbye."
                    ctx.speech_handle.add_done_callback(hang_up)
                    return "bye"

            @pytest.mark.lk(agent=Leaving)
            async def test_it(user_says, fake_llm):
                fake_llm.script(call("bye"), say("Bye."))
                await user_says("bye")

            async def test_too_late(agent_session, fake_llm, settle):
                fake_llm.script(say("Hello."))
                speech = agent_session.generate_reply()
                await speech
                speech.add_done_callback(hang_up)
                await settle()

            async def test_taken_away(agent_session, fake_llm):
                fake_llm.script(say("Hello."))
                speech = agent_session.generate_reply()
                speech.add_done_callback(hang_up)
                speech.remove_done_callback(hang_up)
                await speech

            async def test_expected(agent_session, fake_llm, settle, expect_error):
                fake_llm.script(say("Hello."))
                with expect_error(LookupError, match="line"):
                    agent_session.generate_reply().add_done_callback(hang_up)
                    await settle()
            """
        }
    ).run()
    result.outcomes(passed=2, failed=2)
    told = (
        '> * raise LookupError("nobody on the line")',
        "E *raised in a callback of a SpeechHandle (*test_it.py:12), where nobody hears of it; *",
    )
    result.shows("_* test_it _*", *told, "_* test_too_late _*", *told)
    result.shows_no("*error in done_callback*")


def test_a_handler_that_raises_one_and_the_same_error_each_time_is_told_once(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(agent_session, user_says, fake_llm):
                broken = LookupError("no counter")
                @agent_session.on("conversation_item_added")
                def count(event):
                    raise broken
                fake_llm.script(say("Hello."))
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(failed=1)
    told = [line for line in result.lines if "raised in a handler of" in line]
    assert len(told) == 1, told


def test_a_type_error_in_a_handler_is_told_before_what_came_of_it(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(agent_session, user_says, fake_llm):
                @agent_session.on("conversation_item_added")
                def count(event):
                    event + 1  # LiveKit lets a TypeError through, and the reply dies of it
                fake_llm.script(call("book", slot="2pm"), say("Booked."))
                await user_says("2 pm please")

            async def test_at_the_end(agent_session):
                agent_session.on("close", lambda event: event + 1)
            """
        }
    ).run()
    result.outcomes(failed=2)
    result.shows(
        "> * event + 1 *",
        "E *TypeError: unsupported operand*",
        "E *raised in a handler of 'conversation_item_added' (*test_it.py:12), where nobody *",
        "E *also: scripted, and never asked for: *",
        "E *raised in a handler of 'close' (*test_it.py:17), where nobody hears of it; *",
    )


def test_a_handler_whose_signature_nobody_can_read_is_told(desk):
    """LiveKit never calls it, and only logs that."""
    result = desk(
        {
            "test_it.py": """
            async def test_it(agent_session, user_says, fake_llm):
                agent_session.on("conversation_item_added", {}.update)
                fake_llm.script(say("Hello."))
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        '> * await user_says("hi")',
        "E *LiveKit never calls <built-in method update of dict object at *>: no signature found *;"
        " register a function instead",
        "E *raised in a handler of 'conversation_item_added', where nobody hears of it; *",
    )


def test_registering_works_as_it_does_without_us(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(agent_session, user_says, fake_llm):
                came = []
                def once(event): came.append("once")
                def twice(event): came.append("twice")
                def never(event): came.append("never")
                class Method:
                    def takes_nothing(self): came.append("method")
                method = Method()

                assert agent_session.on("conversation_item_added", twice) is twice
                agent_session.on("conversation_item_added", twice)
                agent_session.once("conversation_item_added", once)
                agent_session.on("conversation_item_added", never)
                agent_session.off("conversation_item_added", never)
                agent_session.on("conversation_item_added", method.takes_nothing)
                with pytest.raises(ValueError, match="async callback"):
                    @agent_session.on("close")
                    async def asynchronous(event): ...

                fake_llm.script(say("Hello."))
                await user_says("hi")
                agent_session.off("conversation_item_added", method.takes_nothing)
                fake_llm.script(say("Hello again."))
                await user_says("hi again")
                assert sorted(came) == sorted(["once", *["twice"] * 4, *["method"] * 2])
            """
        }
    ).run()
    result.outcomes(passed=1)


# --- background tasks, and callbacks of the loop

BACKGROUND = {
    "a task that nobody refers to": "asyncio.create_task(self.save())",
    "a task that somebody keeps": "self.saving = asyncio.create_task(self.save())",
    "a task that is cancelled when it has failed": (
        "self.saving = asyncio.create_task(self.save()); "
        "asyncio.get_running_loop().call_later(0.5, lambda: self.saving.cancel())"
    ),
    "a task that refers to itself": "self.save_later(asyncio.create_task)",
    "a callback": "asyncio.get_running_loop().call_soon(self.save_now)",
    "a timer": "asyncio.get_running_loop().call_later(0.5, self.save_now)",
    "a gather": "asyncio.gather(asyncio.sleep(0), self.save())",
    "a gather that somebody keeps": (
        "self.saving = asyncio.gather(self.save(), asyncio.wait_for(self.save(), 1))"
    ),
    "a shield": "asyncio.shield(self.save())",
    "a shield of a gather that somebody keeps": (
        "self.saving = asyncio.shield(asyncio.gather(self.save()))"
    ),
    "a job": "asyncio.get_running_loop().run_in_executor(None, self.save_now)",
    "a job that somebody keeps": (
        "self.saving = asyncio.get_running_loop().run_in_executor(None, self.save_now)"
    ),
    "a gather of a job": (
        "asyncio.gather(asyncio.get_running_loop().run_in_executor(None, self.save_now))"
    ),
}
RAISED_IN = {
    "a callback": "a callback of the event loop",
    "a timer": "a callback of the event loop",
    "a job": "a job of an executor",
    "a job that somebody keeps": "a job of an executor",
    "a gather of a job": "a job of an executor",
}
AGENT = """
from livekit.agents import function_tool

class Saves(FrontDesk):
    async def save(self):
        self.save_now()

    def save_now(self):
        raise LookupError("no calendar")

    def save_later(self, create):
        async def save():
            this = asyncio.current_task()
            self.save_now()
        create(save())

    {method}
        {line}

    {decorator}
    async def note(self) -> str:
        '''Note it.'''
        {tool_line}
        await asyncio.sleep(1)
        return "noted"

pytestmark = pytest.mark.lk(agent=Saves)

async def note(user_says, fake_llm):
    fake_llm.script(call("note"), say("Noted."))
    await user_says("note it")
"""


def in_a_tool(line: str) -> str:
    return AGENT.format(
        method="def unused(self):", line="...", decorator="@function_tool", tool_line=line
    )


def in_on_enter(line: str) -> str:
    return AGENT.format(
        method="async def on_enter(self):", line=line, decorator="@function_tool", tool_line="..."
    )


RUNS = "\nasync def test_it(user_says, fake_llm):\n    await note(user_says, fake_llm)\n"


@pytest.mark.parametrize("made", [in_a_tool, in_on_enter])
@pytest.mark.parametrize("what", BACKGROUND)
def test_what_nobody_awaits_fails_the_test_when_it_raises(desk, what, made):
    result = desk({"test_it.py": made(BACKGROUND[what]) + RUNS}).run()
    result.outcomes(failed=1)
    where = RAISED_IN.get(what, "the task *save")
    result.shows(
        '> * raise LookupError("no calendar")',
        "E *LookupError: no calendar",
        f"E *raised in {where} (*test_it.py:16), where nobody hears of it; allow "
        "'background_error' if that is right",
        "FAILED test_it.py::test_it - LookupError: no calendar",
    )
    result.shows_no("*exception was never retrieved*", "*Exception in callback*")


def test_a_test_that_fails_in_a_background_task_says_so(desk):
    line = "asyncio.create_task(self.fails())"
    more = "\n    async def fails(self):\n        pytest.fail('never')\n"
    agent = in_a_tool(line).replace("\npytestmark", f"{more}\npytestmark")
    result = desk({"test_it.py": agent + RUNS}).run()
    result.outcomes(failed=1)
    result.shows("E *Failed: never", "E *raised in the task Saves.fails (*test_it.py:*")


def test_a_task_that_somebody_asks_in_time_is_no_finding(desk):
    body = """
async def test_later(agent_session, user_says, fake_llm):
    agent = agent_session.current_agent
    mine = asyncio.create_task(agent.save())
    await note(user_says, fake_llm)
    with pytest.raises(LookupError):
        await mine
    with pytest.raises(LookupError):
        await agent.saving
    answers = await asyncio.gather(agent.save(), return_exceptions=True)
    assert isinstance(answers[0], LookupError)

async def test_cancelled(agent_session):
    async def sleeps():
        await asyncio.sleep(60)
    task = asyncio.create_task(sleeps())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
"""
    line = BACKGROUND["a task that somebody keeps"]
    desk({"test_it.py": in_a_tool(line) + body}).run().outcomes(passed=2)


def test_a_gather_a_shield_or_a_job_that_somebody_asks_in_time_is_no_finding(desk):
    body = """
async def test_later(agent_session, user_says, fake_llm):
    agent, loop = agent_session.current_agent, asyncio.get_running_loop()
    mine = [
        asyncio.gather(agent.save(), agent.save()),
        asyncio.shield(asyncio.gather(agent.save())),
        loop.run_in_executor(None, agent.save_now),
        asyncio.gather(loop.run_in_executor(None, agent.save_now)),
    ]
    await note(user_says, fake_llm)
    for one in mine:
        with pytest.raises(LookupError):
            await one
    assert isinstance(agent.saving.exception(), LookupError)
    answers = await asyncio.gather(*(agent.save() for _ in mine), return_exceptions=True)
    assert len(answers) == 4

async def test_by_its_task(agent_session):
    save = agent_session.current_agent.save
    saving = asyncio.create_task(save())
    done, _ = await asyncio.wait([asyncio.shield(saving)], timeout=1)
    try:
        await saving
    except LookupError:
        done.clear()

async def test_cancelled(agent_session):
    async def fails_late():
        await asyncio.sleep(2)
        raise LookupError("no calendar")
    saving = asyncio.create_task(fails_late())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(saving), 1)
    with pytest.raises(LookupError):
        await saving
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.gather(fails_late(), fails_late()), 1)
    waiting = asyncio.create_task(asyncio.wait_for(asyncio.gather(fails_late()), 9))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.sleep(2)
"""
    line = BACKGROUND["a shield of a gather that somebody keeps"]
    desk({"test_it.py": in_a_tool(line) + body}).run().outcomes(passed=3)


def test_a_task_of_a_broader_fixture_on_the_same_loop_is_its_own_affair(desk):
    result = desk(
        {
            "test_it.py": """
            import pytest_asyncio
            from livekit import rtc

            calendar = rtc.EventEmitter()

            @pytest_asyncio.fixture(scope="module", loop_scope="module")
            async def server():
                async def serve():
                    def breaks(*args):
                        raise LookupError("not yours")
                    async def fails():
                        breaks()
                    while True:
                        await asyncio.sleep(0.1)
                        calendar.on("tick", breaks)
                        calendar.emit("tick")
                        asyncio.create_task(fails())
                        asyncio.get_running_loop().call_soon(breaks)
                        asyncio.get_running_loop().call_soon(lambda: [fails()].clear())
                        fails()
                task = asyncio.create_task(serve())
                yield
                task.cancel()

            @pytest.mark.asyncio(loop_scope="module")
            @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
            async def test_it(server, user_says, fake_llm):
                fake_llm.script(say("Hello.").timed(duration=1))
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(passed=1)


# --- what LiveKit calls in tasks of its own

NODES = """
class Node(FrontDesk):
    async def llm_node(self, chat_ctx, tools, settings):
        raise LookupError("no prompt")
        yield

async def speak(agent_session, settle):
    agent_session.generate_reply()
    await settle()
"""


def test_a_node_that_raises_fails_the_test(desk):
    result = desk(
        {
            "test_it.py": NODES
            + """
@pytest.mark.lk(agent=Node)
async def test_no_run(agent_session, settle):
    await speak(agent_session, settle)

class Transcribes(FrontDesk):
    async def transcription_node(self, text, settings):
        async for piece in text:
            raise LookupError("no transcript")
            yield piece

@pytest.mark.lk(agent=Transcribes)
async def test_in_a_run(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
"""
        }
    ).run()
    result.outcomes(failed=2)
    result.shows(
        '> * raise LookupError("no prompt")',
        "E *raised in the task _llm_inference_task (*test_it.py:11), where nobody hears of it; *",
        '> * raise LookupError("no transcript")',
        "E *raised in the task _text_forwarding_task (*test_it.py:*), where nobody hears of it; *",
    )


def test_a_node_that_raises_to_the_test_is_not_told_twice(desk):
    result = desk(
        {
            "test_it.py": NODES
            + """
pytestmark = pytest.mark.lk(agent=Node)

async def test_user_says(user_says):
    with pytest.raises(LookupError):
        await user_says("hi")

async def test_run(agent_session):
    with pytest.raises(LookupError):
        await agent_session.run(user_input="hi")

async def test_shown(user_says):
    await user_says("hi")
"""
        }
    ).run()
    result.outcomes(passed=2, failed=1)
    result.shows("E *LookupError: no prompt")
    result.shows_no("*where nobody hears of it*", "*also: *")


TOOLSETS = """
from livekit.agents.llm import Toolset

class Crm(Toolset):
    def __init__(self):
        super().__init__(id="crm")

    async def {method}(self):
        raise LookupError("no crm")

async def test_of_the_agent(start_session):
    await start_session(Agent(instructions="You help.", tools=[Crm()]))

async def test_of_the_session(start_session):
    await start_session(FrontDesk, tools=[Crm()])

@pytest.mark.lk(allow="background_error")
async def test_allowed(start_session):
    await start_session(FrontDesk, tools=[Crm()])
"""


@pytest.mark.parametrize(
    ("method", "task"),
    [("setup", "AgentActivity._setup_toolsets.<locals>._do_setup"), ("aclose", "Crm.aclose")],
)
def test_a_toolset_that_cannot_be_set_up_or_closed_fails_the_test(desk, method, task):
    result = desk({"test_it.py": TOOLSETS.format(method=method)}).run()
    result.outcomes(failed=2, passed=1)
    told = [
        "E *LookupError: no crm",
        f"E *raised in the task {task} (*test_it.py:*), where nobody hears of it; *",
    ]
    result.shows(*told, *told)


def test_an_error_of_a_reply_that_was_not_the_last_fails_the_test(desk):
    """``run()`` raises that of the last reply only."""
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import function_tool

            class Twice(FrontDesk):
                @function_tool
                async def twice(self):
                    "Reply twice."
                    self.session.generate_reply(instructions="one")
                    self.session.generate_reply(instructions="two")

            @pytest.mark.lk(agent=Twice)
            async def test_it(user_says, fake_llm):
                down = fail(APIConnectionError("down", retryable=False))
                fake_llm.script(call("twice"), down, say("Two."))
                await user_says("twice please")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("the session failed: APIConnectionError: down; *expect_error(APIConnectionError)")


# --- coroutines that were never awaited

DROPPED = {
    "the turn itself": (
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    user_says("hi")
""",
        "user_says('hi') was never awaited (*test_it.py:11): write await user_says('hi')",
    ),
    "in a tool": (
        in_a_tool("asyncio.sleep(0.5)") + RUNS,
        "asyncio.sleep(0.5) was never awaited (*test_it.py:30): write await asyncio.sleep(0.5)",
    ),
    "of an AsyncMock": (
        in_a_tool("mail.send('noted')")
        + "\nfrom unittest.mock import AsyncMock\nmail = AsyncMock()\n"
        + RUNS,
        "mail.send('noted') was never awaited (*test_it.py:30): write await mail.send('noted')",
    ),
    "kept for a while": (
        in_a_tool("later = [self.save(), 1]") + RUNS,
        "self.save() was never awaited (*test_it.py:30): write await self.save()",
    ),
    "kept in the second half of a tool": (
        in_a_tool("await asyncio.sleep(1)\n        later = asyncio.sleep(0.5)") + RUNS,
        "asyncio.sleep(0.5) was never awaited (*test_it.py:31): write await asyncio.sleep(0.5)",
    ),
    "kept in a node of the agent": (
        AGENT.format(
            method="def llm_node(self, *args):",
            line="later = self.save()\n        return Agent.default.llm_node(self, *args)",
            decorator="@function_tool",
            tool_line="...",
        )
        + RUNS,
        "save(…) was never awaited (it is defined at *test_it.py:12)",
    ),
    "in a thread of a tool": (
        in_a_tool("await asyncio.to_thread(lambda: [self.save()].clear())") + RUNS,
        "self.save() was never awaited (*test_it.py:30): write await self.save()",
    ),
    "in a callback of the loop": (
        in_a_tool("asyncio.get_running_loop().call_soon(lambda: [self.save()].clear())") + RUNS,
        "self.save() was never awaited (*test_it.py:30): write await self.save()",
    ),
    "by a timer that calls it": (
        in_a_tool("asyncio.get_running_loop().call_later(0.5, self.save)") + RUNS,
        "save(…) was never awaited (it is defined at *test_it.py:12)",
    ),
    "by a room that calls it": (
        """
async def on_text(reader, identity):
    ...

async def test_it(job_context):
    job_context.room.register_text_stream_handler("topic", on_text)
    await job_context.room.receive_text("hello", topic="topic")
""",
        "on_text(…) was never awaited (it is defined at *test_it.py:9)",
    ),
    "over several lines": (
        in_a_tool("self.save(\n        )") + RUNS,
        "save(…) was never awaited (*test_it.py:30): write await in front of it",
    ),
}


@pytest.mark.parametrize("filters", ["default", "ignore", "error"])
@pytest.mark.parametrize("where", DROPPED)
def test_a_coroutine_that_was_never_awaited_is_told_first(desk, where, filters):
    code, line = DROPPED[where]
    result = desk({"test_it.py": code}, ini=f"filterwarnings = {filters}\n").run()
    result.outcomes(failed=1)
    result.shows(f"*{line}")
    result.shows_no("*RuntimeWarning*")


def test_what_comes_of_it_is_told_after_it(desk):
    code, line = DROPPED["the turn itself"]
    result = desk({"test_it.py": code}).run()
    result.shows(line, "also: scripted, and never asked for: say('Hello.') (*test_it.py:10)")


def test_a_coroutine_of_a_library_that_makes_and_drops_it_is_its_own_affair(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                with pytest.warns(RuntimeWarning) as told:
                    asyncio.get_running_loop().call_soon(asyncio.sleep, 0)
                    await asyncio.sleep(0)
                assert str(told[0].message) == "coroutine 'sleep' was never awaited"
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(passed=1)


# --- what is an answer in a tool alone

REFUSES = """
import asyncio
from livekit.agents import AgentTask, StopResponse, ToolError, function_tool

class Refuses(FrontDesk):
    @function_tool
    async def slots(self) -> str:
        "List the free slots."
        raise {error}
"""
HOOKS = {
    "on_enter": "async def on_enter(self): await self.slots()",
    "on_exit": "async def on_exit(self): await self.slots()",
    "on_enter after a hand-over": """
    async def on_enter(self): await self.slots()

class Front(FrontDesk):
    @function_tool
    async def desk(self):
        "Get the desk."
        return Refuses()
""",
}


@pytest.mark.parametrize("error", ["ToolError('the calendar is down')", "StopResponse()"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_raises_what_ends_tools_fails_the_test(desk, hook, error):
    agent, script = ("Front", "call('desk')") if "Front" in HOOKS[hook] else ("Refuses", "'Hi.'")
    result = desk(
        {
            "test_it.py": REFUSES.format(error=error)
            + f"""
    {HOOKS[hook]}

@pytest.mark.lk(agent={agent})
async def test_it(user_says, fake_llm):
    fake_llm.script({script})
    await user_says("hi")

@pytest.mark.lk(agent={agent}, allow=["hook_error"])
async def test_allowed(user_says, fake_llm):
    fake_llm.script({script})
    await user_says("hi")
"""
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows(f"> * raise {error}", f"FAILED test_it.py::test_it - *{error.partition('(')[0]}*")


def test_a_task_of_the_user_s_own_that_ends_with_it_is_told(desk):
    result = desk(
        {
            "test_it.py": REFUSES.format(error="ToolError('the calendar is down')")
            + """
    async def on_enter(self):
        self.listing = asyncio.create_task(self.slots())

@pytest.mark.lk(agent=Refuses)
async def test_it(agent_session):
    await asyncio.sleep(1)
"""
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *raised in the task Refuses.slots (*test_it.py:*), where nobody hears of it; *")


def test_an_agent_task_that_the_end_of_the_session_calls_off_is_no_finding(desk):
    result = desk(
        {
            "test_it.py": REFUSES.format(error="ToolError('nobody calls it')")
            + """
    async def on_enter(self):
        await Email()

class Email(AgentTask[str]):
    def __init__(self):
        super().__init__(instructions="Ask for the email address.")

    @function_tool
    async def decline(self):
        "The caller has none."
        self.complete(ToolError("no address"))

pytestmark = pytest.mark.lk(agent=Refuses)

async def test_ends(user_says, fake_llm):
    fake_llm.script(say("Your address?"))
    await user_says("hi")

async def test_hangs_up(agent_session):
    agent_session.shutdown(drain=False)
    await asyncio.sleep(1)

async def test_declines(user_says, fake_llm):
    fake_llm.script(call("decline"))
    await user_says("hi")
"""
        }
    ).run()
    result.outcomes(passed=2, failed=1)
    result.shows("*test_declines*", "test_it.py:*: in on_enter", "E *ToolError: no address")


# --- the ways out

SWALLOWED = {
    "handler_error": HANDLERS["in the test"],
    "background_error": in_a_tool(BACKGROUND["a task that nobody refers to"]) + RUNS,
    "never_awaited": DROPPED["in a tool"][0],
    "hook_error": """
class Falls(FrontDesk):
    async def on_exit(self):
        raise LookupError("no calendar")

class Enters(FrontDesk):
    async def on_enter(self):
        raise LookupError("no calendar")

@pytest.mark.lk(agent=Falls)
async def test_it(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")

@pytest.mark.lk(agent=Enters)
async def test_too(user_says, fake_llm):
    fake_llm.script(say("Hello."))
    await user_says("hi")
""",
}

WITHOUT_US = {
    "handler_error": (),
    "background_error": ("ERROR *Task exception was never retrieved",),
    "never_awaited": ("*test_it.py:30: RuntimeWarning: coroutine 'sleep' was never awaited",),
    "hook_error": (),
}


@pytest.mark.parametrize("kind", SWALLOWED)
def test_allow_lets_it_pass_and_then_it_is_told_as_it_is_without_us(desk, kind):
    def letting_pass(name: str) -> str:
        code = SWALLOWED[kind].replace("mark.lk(", f"mark.lk(allow=[{name!r}], ")
        marked = f"pytestmark = pytest.mark.lk(allow=[{name!r}])\n"
        return code if code != SWALLOWED[kind] else marked + code

    result = desk(
        {"test_it.py": letting_pass(kind), "other/test_other.py": letting_pass("unused_mock")},
        ini="filterwarnings = default\n",
    )._made.run("-rA")
    count = SWALLOWED[kind].count("async def test_")
    warned = {"warnings": 1} if kind == "never_awaited" else {}
    result.outcomes(passed=count, failed=count, **warned)
    result.shows(*WITHOUT_US[kind])
    result.shows("PASSED test_it.py::test_it", "FAILED other/test_other.py::test_it - *")


@pytest.mark.parametrize(
    "what",
    [
        "a task that nobody refers to",
        "a task that somebody keeps",
        "a timer",
        "a gather",
        "a shield of a gather that somebody keeps",
        "a job that somebody keeps",
    ],
)
def test_an_error_in_the_background_may_be_expected(desk, what):
    result = desk(
        {
            "test_it.py": in_a_tool(BACKGROUND[what])
            + """
async def test_expected(user_says, fake_llm, expect_error):
    with expect_error(LookupError, match="calendar"):
        await note(user_says, fake_llm)

async def test_another_one(user_says, fake_llm, expect_error):
    with expect_error(LookupError, match="telephone"):
        await note(user_says, fake_llm)
"""
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows("FAILED test_it.py::test_another_one - *")


def test_an_error_in_a_handler_or_a_node_may_be_expected(desk):
    result = desk(
        {
            "test_it.py": NODES
            + """
async def test_handler(agent_session, user_says, fake_llm, expect_error):
    @agent_session.on("conversation_item_added")
    def count(event):
        raise LookupError("no counter")
    fake_llm.script(say("Hello."))
    with expect_error(LookupError, match="counter"):
        await user_says("hi")

@pytest.mark.lk(agent=Node)
async def test_node(agent_session, settle, expect_error):
    with expect_error(LookupError, match="prompt"):
        await speak(agent_session, settle)
"""
        }
    ).run()
    result.outcomes(passed=2)


def test_a_scripted_failure_in_the_background_is_told_once(desk):
    result = desk(
        {
            "test_it.py": """
            class Asks(FrontDesk):
                async def on_enter(self):
                    self.asking = asyncio.create_task(self.ask())

                async def ask(self):
                    await asyncio.sleep(1)
                    stream = self.session.llm.chat(chat_ctx=self.chat_ctx)
                    await stream.collect()

            pytestmark = pytest.mark.lk(agent=Asks)
            DOWN = fail(APIConnectionError("down", retryable=False))

            async def test_it(fake_llm, agent_session):
                fake_llm.script(DOWN)
                await asyncio.sleep(2)

            async def test_expected(fake_llm, agent_session, expect_error):
                fake_llm.script(DOWN)
                with expect_error(APIConnectionError):
                    await asyncio.sleep(2)
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows("the session failed: APIConnectionError: down; *", "FAILED test_it.py::test_it *")
    result.shows_no("*also: *")


REFUSED = {
    "unscripted_request": "self.session.llm.chat(chat_ctx=self.chat_ctx).collect()",
    "refused_connection": "asyncio.open_connection('192.0.2.1', 80)",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_in_the_background_passes_by_its_own_kind(desk, kind):
    result = desk(
        {
            "test_it.py": f"""
            class Asks(FrontDesk):
                async def on_enter(self):
                    self.asking = asyncio.create_task(self.ask())

                async def ask(self):
                    await asyncio.sleep(1)
                    await {REFUSED[kind]}

            @pytest.mark.lk(agent=Asks, allow=[{kind!r}])
            async def test_allowed(agent_session):
                await asyncio.sleep(2)

            @pytest.mark.lk(agent=Asks)
            async def test_it(agent_session):
                await asyncio.sleep(2)
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows("FAILED test_it.py::test_it - *")


def test_what_may_pass_is_logged_with_its_own_test_and_not_with_the_next(desk):
    result = desk(
        {
            "test_it.py": """
            import gc

            async def fail_in_the_background():
                mine = asyncio.current_task()  # a circle: only the garbage collector takes it
                raise LookupError("nobody asks")

            @pytest.fixture
            def log(caplog):
                yield
                told = caplog.get_records("teardown")
                assert [one.exc_info[1].args for one in told] == [("nobody asks",)]

            @pytest.mark.lk(allow=["background_error"])
            async def test_allowed(log, agent_session):
                task = asyncio.create_task(fail_in_the_background())
                await asyncio.sleep(1)

            def test_next(caplog):
                gc.collect()
                assert not caplog.records
            """
        }
    ).run()
    result.outcomes(passed=2)


def test_a_handler_that_the_clock_ends_is_told_as_that(desk):
    result = desk(
        {
            "test_it.py": """
            import time

            @pytest.mark.lk(timeout=5)
            async def test_it(agent_session, user_says, fake_llm):
                @agent_session.on("conversation_item_added")
                def wait(event):
                    while True:
                        time.monotonic()
                fake_llm.script(say("Hello."))
                await user_says("hi")

            async def test_after(user_says, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(failed=1, passed=1)
    result.shows("*cannot finish: it went on for more than 5 virtual seconds*")
    result.shows_no("*raised in a handler*")


def test_who_debugs_keeps_the_origins_of_coroutines_as_deep_as_they_were(desk):
    agent = in_a_tool("assert __import__('sys').get_coroutine_origin_tracking_depth() == 5")
    result = desk(
        {
            "test_it.py": agent
            + RUNS
            + """
import sys

@pytest.fixture(autouse=True)
def debugging():
    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(5)
    yield
    assert sys.get_coroutine_origin_tracking_depth() == 5
    sys.set_coroutine_origin_tracking_depth(before)
"""
        }
    ).run()
    result.outcomes(passed=1)


# --- scenario files, other processes, other tests

SCENARIO = """\
agent: desk.py:Saves
{defaults}scenarios:
  - label: Notes it
    turns:
      - user: hello
        llm: [Hello.]
      - user: note it
        llm: [{{call: {{note: }}}}, Noted.]
        expect: [...]
"""


def test_a_scenario_names_the_turn_in_which_it_was(desk):
    agent = in_a_tool(BACKGROUND["a task that nobody refers to"]).replace(
        "class", "import asyncio\nimport pytest\nfrom agent import FrontDesk\n\nclass", 1
    )
    result = desk(
        {
            "desk.py": agent,
            "red.yaml": SCENARIO.format(defaults=""),
            "green.yaml": SCENARIO.format(defaults="defaults: {allow: [background_error]}\n"),
        }
    ).run("--lk-scenarios=red.yaml", "--lk-scenarios=green.yaml")
    result.outcomes(failed=1, passed=1)
    result.shows("E *LookupError: no calendar", "E *in red.yaml:7: Notes it, turn 2")


ALL = (
    in_a_tool("asyncio.create_task(self.save())\n        asyncio.sleep(0.5)")
    + HANDLERS["in the test"]
    + RUNS.replace("test_it", "test_too")
    + """
def test_after():
    import sys, warnings
    from livekit import rtc
    assert rtc.EventEmitter.on.__module__ == "livekit.rtc.event_emitter"
    assert warnings._warn_unawaited_coroutine.__module__ == "warnings"
    assert sys.get_coroutine_origin_tracking_depth() == 0
"""
)


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_it_is_heard_at_every_loop_scope_and_nothing_stays_behind(desk, scope):
    ini = f"asyncio_default_test_loop_scope = {scope}\n"
    result = desk({"test_it.py": ALL}, ini=ini).run("-p", "no:randomly")
    result.outcomes(failed=2, passed=1)
    result.shows("E *LookupError: no counter", "E *raised in a handler of *")
    result.shows("E *asyncio.sleep(0.5) was never awaited *")
    result.shows(
        "*also: LookupError('no calendar'), raised in the task Saves.save (*test_it.py:16)*"
    )


def test_it_is_heard_in_the_processes_of_xdist(desk, warm):
    result = desk({"test_it.py": ALL}).run("-n2", subprocess=True)
    result.outcomes(failed=2, passed=1)
    result.shows("E *asyncio.sleep(0.5) was never awaited *")


def test_every_kind_of_finding_is_on_the_page_of_fixtures():
    page = FIXTURES_PAGE.read_text(encoding="utf-8").partition("## What fails a test by itself")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", page.partition("\n## ")[0], re.MULTILINE)) == KINDS


def test_an_agent_in_a_file_of_its_own_is_shown_from_its_own_line(desk):
    agent = """
from livekit.agents import Agent

class Hotel(Agent):
    def __init__(self):
        super().__init__(instructions="You keep a hotel.")

    async def on_enter(self):
        raise LookupError("no calendar")
"""
    scenario = "agent: hotel.py:Hotel\nscenarios: [{label: Opens, turns: [{wait: 1s}]}]\n"
    test = """
    from hotel import Hotel

    @pytest.mark.lk(agent=Hotel)
    async def test_it(agent_session): ...
    """
    files = {"hotel.py": agent, "hotel.yaml": scenario, "test_it.py": test}
    for chosen in ("test_it.py", "hotel.yaml"):
        result = desk(files).run(chosen)
        result.outcomes(failed=1)
        result.shows('> * raise LookupError("no calendar")', "E *LookupError: no calendar")


def test_a_turn_that_is_taken_for_its_result_was_never_awaited(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says, fake_llm):
                fake_llm.script("Hello.")
                turn = user_says("hi")
                turn.expect.contains_message(role="assistant")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        '> * turn.expect.contains_message(role="assistant")',
        "E *NeverAwaited: user_says('hi') was never awaited (test_it.py:11): write await "
        "user_says('hi')",
    )
    result.shows_no("*also: *", "*has no attribute*", "*RuntimeWarning*")


CAUSED_BY_ITSELF = """
from livekit.agents import function_tool
def fail():
    try:
        raise ValueError("no calendar")
    except ValueError as error:
        raise error from error

class Node(FrontDesk):
    async def llm_node(self, chat_ctx, tools, settings):
        fail()
        yield

class Background(FrontDesk):
    async def on_enter(self):
        self.task = asyncio.create_task(self.work())

    async def work(self):
        fail()

class Tool(FrontDesk):
    @function_tool
    async def look(self) -> str:
        \"\"\"Look at the book.\"\"\"
        fail()

@pytest.mark.lk(agent=Node)
async def test_node(user_says):
    await user_says("hello")

@pytest.mark.lk(agent=Background)
async def test_background(agent_session, settle):
    await settle()

@pytest.mark.lk(agent=Tool)
async def test_expected(user_says, fake_llm, expect_error):
    fake_llm.script(call("look"), say("Sorry."))
    with expect_error(ValueError, match="no room"):
        await user_says("look")
"""


def test_what_is_raised_from_itself_is_told_like_any_other(desk):
    result = desk({"test_it.py": CAUSED_BY_ITSELF}).run(subprocess=True)  # a circle may never end
    result.outcomes(failed=3)
    result.shows("E *ValueError: no calendar", "E *raised in the task Background.work (*)*")
    result.shows("E *expected ValueError *")


def test_what_a_mocked_task_was_told_to_raise_is_told_where_the_agent_does_not_cope(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import AgentTask, function_tool

            class AskName(AgentTask[str]):
                def __init__(self):
                    super().__init__(instructions="Ask for the name.")

            class Dies(FrontDesk):
                async def on_enter(self):
                    await self.session.say(f"Hello {await AskName()}.")

            class Copes(FrontDesk):
                async def on_enter(self):
                    try:
                        name = await AskName()
                    except RuntimeError:
                        name = "you"
                    await self.session.say(f"Hello {name}.")

                @function_tool
                async def ask(self) -> str:
                    \"\"\"Ask.\"\"\"
                    return await AskName()

            @pytest.fixture(autouse=True)
            def silent_caller(mock_task):
                return mock_task(AskName, raises=RuntimeError("the caller said nothing"))

            @pytest.mark.lk(agent=Dies)
            async def test_dies(agent_session):
                pass

            @pytest.mark.lk(agent=Copes)
            async def test_copes(agent_session, user_says, fake_llm):
                fake_llm.script(call("ask"), say("Who are you?"))
                await user_says("hi")  # and in a tool the model reads of it
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows("> * await self.session.say(*AskName*", "E *RuntimeError: the caller said nothing")
