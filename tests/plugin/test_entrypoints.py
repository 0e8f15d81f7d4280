"""The user's real entrypoint: run unmodified, its models replaced, its own verdict heard."""

from __future__ import annotations

from textwrap import dedent

import pytest

SERVER = '''\
import json

from livekit.agents import (
    Agent, AgentServer, AgentSession, JobContext, JobProcess, RunContext, cli, function_tool,
    get_job_context,
)


def prewarm(proc: JobProcess) -> None:
    proc.userdata["rows"] = []


server = AgentServer(setup_fnc=prewarm)


class Desk(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(instructions=f"You help {name}.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller.")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        get_job_context().proc.userdata["rows"].append(slot)
        return f"booked {slot}"

    @function_tool
    async def end_call(self) -> None:
        """End the call."""
        get_job_context().shutdown("the caller is done")


async def on_session_end(ctx: JobContext) -> None:
    print("session ended with", len(ctx.make_session_report().chat_history.items), "items")


async def on_simulation_end(ctx) -> None:
    rows = ctx.job_context.proc.userdata["rows"]
    wanted = ctx.userdata().get("rows", rows)
    print("simulator says", ctx.simulator_verdict.success, ctx.simulator_verdict.reason)
    if rows != wanted:
        ctx.fail(f"the rows are {rows}, and should be {wanted}")


@server.rtc_session(
    agent_name="desk", on_session_end=on_session_end, on_simulation_end=on_simulation_end
)
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    caller = await ctx.wait_for_participant()
    name = json.loads(ctx.job.metadata or "{}").get("name", caller.identity)

    async def goodbye(reason: str) -> None:
        print("goodbye:", reason)

    ctx.add_shutdown_callback(goodbye)
    session = AgentSession(
        stt="deepgram/nova-3", llm="openai/gpt-4.1-mini", tts="cartesia/sonic-2"
    )
    await session.start(agent=Desk(name), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
'''

GREETED = "entrypoint='server.py:server', start=[say('Hello.')]"

OTHERS = """
    from livekit.agents import Agent, AgentServer, AgentSession

    def serves(function):
        server = AgentServer()
        server.rtc_session(function)
        return server

    def session():
        return AgentSession(llm="openai/gpt-4.1-mini")

    class Plain(Agent):
        def __init__(self):
            super().__init__(instructions="You help.")
"""


@pytest.fixture
def office(desk):
    """Make a project with `SERVER`; what its test file says comes after a few imports."""

    def make(test: str = "", files: dict[str, str] | None = None, *, ini: str = ""):
        tests = {"test_it.py": f"{OTHERS}{test}"} if test else {}
        return desk({"server.py": SERVER, **tests, **(files or {})}, ini=ini)

    return make


def test_the_real_entrypoint_runs_as_it_is_and_without_keys(office, monkeypatch):
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    result = office(
        f"""
    @pytest.mark.lk({GREETED}, job={{"metadata": '{{"name": "Maya"}}'}})
    async def test_it(agent_session, user_says, fake_llm, transcript, job_context, mock_tool):
        assert [one.text for one in transcript.start.events[1:]] == ["Hello."]
        assert fake_llm.requests[0].instructions == "You help Maya."
        fake_llm.script(call("book", slot="2pm"), "Done.")
        turn = await user_says("2 pm")
        turn.expect.contains_function_call_output(output="booked 2pm")
        assert job_context.proc.userdata == {{"rows": ["2pm"]}}
        assert job_context.primary_session is agent_session
        assert agent_session.current_agent.session is agent_session
        """
    ).run("-s")
    result.outcomes(passed=1)
    result.shows("*simulator says True", "session ended with 7 items", "goodbye: the test is over")


@pytest.mark.slow
def test_the_worker_options_of_an_older_entrypoint_are_a_server_too(office):
    worker = """
    from livekit.agents import WorkerOptions
    from server import entrypoint, prewarm

    options = WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=prewarm, agent_name="desk")
    """
    test = """
    @pytest.mark.lk(entrypoint="worker.py:options", start=[say("Hello.")])
    async def test_it(agent_session, job_context):
        assert job_context.proc.userdata == {"rows": []}
        assert job_context.job.agent_name == "desk"
    """
    scenario = """
    entrypoint: worker.py:options
    scenarios:
      - {label: Here, start: {llm: [Hello.]}, turns: []}
      - {label: In a process of its own, target: process, start: {llm: [Hello.]}, turns: []}
    """
    made = office(test, {"worker.py": worker, "desk.yaml": scenario})
    made.run("test_it.py", "--lk-scenarios=desk.yaml").outcomes(passed=3)


def test_each_test_has_a_job_of_its_own(office):
    test = f"""
    @pytest.mark.parametrize("again", [1, 2])
    @pytest.mark.lk({GREETED})
    async def test_it(user_says, fake_llm, job_context, again):
        assert job_context.proc.userdata == {{"rows": []}}
        assert [one.identity for one in job_context.room.remote_participants.values()] == ["caller"]
        fake_llm.script(call("book", slot="2pm"), "Done.")
        await user_says("2 pm")
    """
    office(test).run().outcomes(passed=2)


def test_the_userdata_fixture_is_for_agents_and_leaves_an_entrypoint_beside_them_alone(office):
    userdata = """
        from agent import FrontDesk

        class Guest:
            pass

        @pytest.fixture
        def agent():
            return FrontDesk

        @pytest.fixture
        def userdata():
            return %s
        """
    tests = f"""
    @pytest.mark.lk({GREETED})
    async def test_it(user_says, simulation):
        assert simulation.userdata() == {{}}

    @pytest.mark.lk({GREETED}, userdata={{"rows": []}})
    async def test_of_the_marker(user_says, simulation):
        assert simulation.userdata() == {{"rows": []}}

    async def test_agent(agent_session, userdata):
        assert agent_session.userdata is userdata
    """
    scenario = """
        entrypoint: server.py:server
        scenarios:
          - label: Hello
            userdata: {rows: []}
            start: {llm: [Hello.]}
            turns: [{user: hello, llm: [Hi.]}]
        """
    for given in ("Guest()", "{'guest': Guest()}", "{'name': 'Maya'}"):
        conftest = "import pytest\n" + dedent(userdata % given)
        result = office(tests, {"conftest.py": conftest, "desk.yaml": dedent(scenario)})
        result.run().outcomes(passed=3)
        result.run("--lk-scenarios=desk.yaml").outcomes(passed=1)


def test_a_scenario_file_plays_it_too_and_our_mocks_win(office):
    result = office(
        files={
            "desk.yaml": """
            entrypoint: server.py:server
            defaults:
              start: {llm: [Hello.]}
              job: {metadata: {name: Maya}, attributes: {plan: gold}}
            scenarios:
              - label: Books
                userdata: {rows: [2pm]}
                turns:
                  - user: 2 pm
                    llm: [{call: {book: {slot: 2pm}}}, Done.]
                    expect:
                      - function_call_output: {name: book, output: booked 2pm}
              - label: Books nothing
                userdata: {rows: []}
                mocks: {Desk: {book: sorry}}
                turns:
                  - user: 2 pm
                    llm: [{call: {book: {slot: 2pm}}}, Sorry.]
                    expect:
                      - function_call_output: {name: book, output: sorry}
            """
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=2)


def test_the_first_agent_is_one_that_was_reached_where_the_entrypoint_chooses_it(office):
    """Under ``absent``; where the file names the agent, it never comes by a hand-over."""
    result = office(
        files={
            "desk.yaml": """
            defaults:
              start: {llm: [Hello.]}
            scenarios:
              - label: Chosen
                entrypoint: server.py:server
                job: {metadata: {name: Maya}, attributes: {plan: gold}}
                turns: [{user: hi, llm: [Yes?]}]
                absent: [agent_handoff: {to: Desk}]
              - label: Nobody else
                entrypoint: server.py:server
                job: {metadata: {name: Maya}, attributes: {plan: gold}}
                turns: [{user: hi, llm: [Yes?]}]
                absent: [agent_handoff: {}]
              - label: Named
                agent: named.py:Named
                turns: [{user: hi, llm: [Yes?]}]
                absent: [agent_handoff: {to: Named}, agent_handoff: {}]
            """,
            "named.py": """
            from livekit.agents import Agent

            class Named(Agent):
                def __init__(self):
                    super().__init__(instructions="You are a desk.")

                async def on_enter(self):
                    self.session.generate_reply(instructions="Greet the caller.")
            """,
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=2, failed=1)
    result.shows("desk.yaml:*: Chosen: not expected: agent_handoff anybody -> Desk")


def test_mocks_of_the_entrypoint_s_own_give_way_tool_by_tool(office):
    result = office(
        """
    from livekit.agents import function_tool
    from livekit.agents.voice.run_result import mock_tools

    class Two(Agent):
        def __init__(self):
            super().__init__(instructions="x")

        @function_tool
        async def one(self) -> str:
            return "real"

        @function_tool
        async def two(self) -> str:
            return "real"

    async def mocks(ctx):
        made = session()
        mock_tools(Two, {"one": lambda: "theirs", "two": lambda: "theirs"}, session=made)
        await made.start(Two(), room=ctx.room)

    @pytest.mark.lk(entrypoint=mocks)
    async def test_it(user_says, fake_llm, mock_tool):
        mock_tool(Two, "two", returns="ours")
        fake_llm.script(reply(None, call("one"), call("two")), "Done.")
        turn = await user_says("both")
        outputs = {one.name: one.output for one in turn.events if hasattr(one, "output")}
        assert outputs == {"one": "theirs", "two": "ours"}
        """
    ).run()
    result.outcomes(passed=1)


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        ("AgentSession(llm='openai/gpt-4.1-mini', tts='cartesia/sonic-2')", "Plain()"),
        ("AgentSession(llm=inference.LLM('openai/gpt-4.1-mini'))", "Plain()"),
        ("AgentSession(llm=openai.LLM())", "Plain()"),
        ("AgentSession(llm=openai.realtime.RealtimeModel())", "Plain()"),
        ("AgentSession()", "Agent(instructions='x', llm='openai/gpt-4.1-mini')"),
        ("AgentSession()", "Agent(instructions='x', llm=openai.realtime.RealtimeModel())"),
    ],
)
def test_whatever_model_it_brings_the_scripted_one_answers(office, made, asked):
    result = office(
        f"""
    from livekit.agents import inference
    from livekit.plugins import openai

    async def brings_its_own(ctx):
        await {made}.start({asked}, room=ctx.room)

    @pytest.mark.lk(entrypoint=brings_its_own)
    async def test_it(user_says, fake_llm):
        fake_llm.script("Scripted.")
        turn = await user_says("hi")
        assert turn.events[-1].text == "Scripted."
        """
    ).run()
    result.outcomes(passed=1)


def test_an_entrypoint_that_goes_on_after_the_start_is_ended_with_the_test(office):
    result = office(
        """
    async def goes_on(ctx):
        await session().start(Plain(), room=ctx.room)
        try:
            await asyncio.sleep(3600)
        finally:
            print("went on until the end")

    async def returns_in_time(ctx):
        await session().start(Plain(), room=ctx.room)
        await asyncio.sleep(10)
        print("had the time to return")

    @pytest.mark.lk(entrypoint=goes_on)
    async def test_goes_on(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(entrypoint=returns_in_time)
    async def test_returns(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")
        """
    ).run("-s")
    result.outcomes(passed=2)
    result.shows("*went on until the end", "*had the time to return")


def test_what_ends_the_job_in_a_tool_closes_the_session(office):
    result = office(
        f"""
    @pytest.mark.lk({GREETED})
    async def test_it(user_says, fake_llm, transcript):
        fake_llm.script(call("end_call"))
        await user_says("bye")
        assert transcript.events[-1].reason == "user_initiated"

    @pytest.mark.lk({GREETED})
    async def test_goes_on(user_says, fake_llm):
        fake_llm.script(call("end_call"))
        await user_says("bye")
        await user_says("and another thing")
        """
    ).run("-s")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "*simulator says True",  # before anything is closed that it may look at
        "session ended with *",
        "goodbye: the caller is done",
        "E *nobody hears 'and another thing': *",
    )


@pytest.mark.parametrize("late", ["await asyncio.sleep(0)", "await asyncio.sleep(30)"])
def test_a_session_may_start_after_the_entrypoint_has_returned(office, late):
    result = office(
        f"""
    async def begin(ctx, participant=None):
        {late}
        await session().start(Plain(), room=ctx.room)

    async def for_participants(ctx):
        ctx.add_participant_entrypoint(begin)
        await ctx.connect()

    async def in_a_task(ctx):
        ctx.proc.userdata["task"] = asyncio.create_task(begin(ctx))

    @pytest.mark.parametrize("n", [
        pytest.param(1, marks=pytest.mark.lk(entrypoint=for_participants)),
        pytest.param(2, marks=pytest.mark.lk(entrypoint=in_a_task)),
    ])
    async def test_it(user_says, fake_llm, n):
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(entrypoint=for_participants, job={{"participant": None}})
    async def test_nobody_joins(agent_session):
        raise AssertionError("unreachable")
        """
    ).run()
    result.outcomes(passed=2, failed=1)
    result.shows("the entrypoint for_participants() (test_it.py:*) returned without starting *")
    result.shows_no("*unreachable*")


WRONG = {
    "none": (
        "async def none(ctx):\n        await ctx.connect()",
        (
            "the entrypoint none() (test_it.py:23) returned without starting a session: there "
            "is nobody to talk to; await session.start(…) in it"
        ),
    ),
    "two": (
        (
            "async def two(ctx):\n"
            "        await session().start(Plain(), room=ctx.room)\n"
            "        await session().start(Plain(), room=ctx.room)"
        ),
        (
            "the entrypoint two() starts a second session (test_it.py:*), and one is under test "
            "at a time: the first started at test_it.py:*"
        ),
    ),
    "twice": (
        (
            "async def twice(ctx):\n"
            "        made = session()\n"
            "        await made.start(Plain(), room=ctx.room)\n"
            "        await made.start(Plain(), room=ctx.room)"
        ),
        (
            "the entrypoint twice() starts a session again (test_it.py:26), which LiveKit ignores: "
            "the first start was at test_it.py:25; take it away, or hand over to another agent "
            "with session.update_agent(…)"
        ),
    ),
    "waits": (
        (
            "async def waits(ctx):\n"
            "        await ctx.wait_for_participant(identity='nobody')\n"
            "        await session().start(Plain(), room=ctx.room)"
        ),
        (
            "the entrypoint waits() cannot finish: nothing can happen any more; the task waits() "
            "waits at test_it.py:*"
        ),
    ),
    "plain": (
        "def plain(ctx):\n        ctx.proc.userdata['rows'] = []",
        (
            "the entrypoint plain() (test_it.py:23) returned None, and LiveKit awaits it; write it "
            "as async def"
        ),
    ),
    "forgets": (
        (
            "async def forgets(ctx):\n"
            "        async def look_on():\n"
            "            while True:\n"
            "                await asyncio.sleep(1)\n"
            "        ctx.proc.userdata['task'] = asyncio.create_task(look_on())"
        ),
        (
            "the entrypoint forgets() cannot finish: it went on for more than *; the task "
            "look_on() * waits at test_it.py:26"
        ),
    ),
    "leaves": (
        "async def leaves(ctx):\n        ctx.shutdown('no metadata')",
        (
            "the entrypoint leaves() (test_it.py:23) shut the job down ('no metadata') before a "
            "session had started; give the test a job in which it goes on: metadata, attributes "
            "and participant of job"
        ),
    ),
    "again": (
        (
            "SAME = Plain()\n\n"
            "    async def again(ctx):\n        await session().start(SAME, room=ctx.room)\n\n"
            "    @pytest.mark.lk(entrypoint=again)\n"
            "    async def test_before(agent_session):\n        pass"
        ),
        (
            "the entrypoint again(): this Plain was used by a session before, and keeps what was "
            "said there; give the class or a factory, so that each session gets its own"
        ),
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_entrypoint_with_no_session_to_talk_to_is_told(office, wrong):
    function, line = WRONG[wrong]
    result = office(
        f"""
    {function}

    @pytest.mark.lk(entrypoint={wrong})
    async def test_it(agent_session, user_says, start_result):
        raise AssertionError("unreachable")
        """
    ).run()
    assert result.counts["failed"] == 1
    result.shows(line)
    result.shows_no("*unreachable*")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("quiet", "quiet()"),
        ("served", "quiet()"),
        ("'quiet.py:quiet'", "quiet.py:quiet"),
        ("'quiet.py:served'", "quiet.py:served"),
    ],
)
def test_messages_name_the_entrypoint_as_the_user_writes_it(office, given, shown):
    quiet = """
    from livekit.agents import AgentServer

    async def quiet(ctx):
        pass

    served = AgentServer()
    served.rtc_session(quiet)
    """
    result = office(
        f"""
    from quiet import quiet, served

    @pytest.mark.lk(entrypoint={given})
    async def test_it(agent_session):
        pass
        """,
        {"quiet.py": quiet},
    ).run()
    result.outcomes(failed=1)
    result.shows(f"the entrypoint {shown} (quiet.py:3) returned without starting a session: *")


CALLED = """
import functools

from livekit.agents import Agent, AgentServer, AgentSession


def traced(function):
    @functools.wraps(function)
    def wrapper(ctx):
        return function(ctx)

    return wrapper


@traced
async def decorated(ctx):
    if ctx.job.metadata != "silent":
        await AgentSession(llm="openai/gpt-4.1-mini").start(Agent(instructions="You help."))


async def configured(config, ctx):
    await decorated(ctx)


class Runner:
    async def __call__(self, ctx):
        await decorated(ctx)

    async def run(self, ctx):
        await decorated(ctx)


FUNCTIONS = [decorated, functools.partial(configured, {}), Runner(), Runner().run]


def served(function):
    server = AgentServer()
    server.rtc_session(function)
    return server
"""


@pytest.mark.parametrize("how", ["function", "served(function)"])
def test_whatever_livekit_can_call_and_await_is_an_entrypoint(office, how):
    result = office(
        f"""
    from called import FUNCTIONS, served

    @pytest.fixture(params=FUNCTIONS)
    def entrypoint(request):
        function = request.param
        return {how}

    async def test_it(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(job={{"metadata": "silent"}})
    async def test_silent(agent_session):
        pass
        """,
        {"called.py": CALLED, "conftest.py": ""},
    ).run()
    result.outcomes(passed=4, failed=4)
    result.shows(
        "the entrypoint decorated() (called.py:14) returned without starting a session: *",
        "the entrypoint configured() (called.py:20) returned without starting a session: *",
        "the entrypoint Runner() (called.py:25) returned without starting a session: *",
        "the entrypoint run() (called.py:28) returned without starting a session: *",
    )


def test_a_scenario_s_history_is_what_the_entrypoint_s_agent_knows(office):
    result = office(
        files={
            "desk.yaml": """
            entrypoint: server.py:server
            scenarios:
              - label: Books
                history: [{user: I am Maya}, {assistant: Hello Maya}]
                start: {llm: [Hello again.]}
                check: checks.py:knows
                turns: []
            """,
            "checks.py": """
            def knows(fake_llm):
                said = [one.text for one in fake_llm.requests[0].messages]
                assert said == ["I am Maya", "Hello Maya"]
            """,
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=1)


@pytest.mark.parametrize("when", ["await ctx.connect()", "await session().start(Plain())"])
def test_what_it_raises_is_shown_at_its_line(office, when):
    result = office(
        f"""
    async def fails(ctx):
        {when}
        {{}}["a key"]

    @pytest.mark.lk(entrypoint=fails)
    async def test_it(agent_session):
        raise AssertionError("unreachable")
        """
    ).run()
    result.outcomes(failed=1)
    result.shows(
        '>       {}["a key"]', "E *KeyError: 'a key'", "E *raised in the entrypoint fails()"
    )


BREAKS = """
from livekit.agents import Agent, AgentServer, AgentSession, function_tool


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You help.")

    @function_tool
    async def book(self) -> str:
        "Book."
        return {}["a key"]  # a tool


async def works(ctx):
    await AgentSession(llm="openai/gpt-4.1-mini").start(Desk(), room=ctx.room)


async def breaks(ctx):
    {}["a key"]  # breaks


def cold(proc):
    {}["a key"]  # cold


ends, tool, starts = AgentServer(), AgentServer(), AgentServer(setup_fnc=cold)
ends.rtc_session(works, on_session_end=breaks)
tool.rtc_session(works)
starts.rtc_session(works)
"""


@pytest.mark.parametrize(
    ("name", "line", "where"),
    [
        ("breaks", "# breaks", "raised in the entrypoint *breaks*"),
        (
            "ends",
            "# breaks",
            "raised in on_session_end (*breaks.py:19), where nobody hears of it;*",
        ),
        ("starts", "# cold", "raised in setup_fnc (prewarm) of the entrypoint *"),
        ("tool", "# a tool", ""),
    ],
)
def test_what_it_raises_shows_the_lines_of_the_user_alone(office, name, line, where):
    scripted = "call: {book: {}}, " if name == "tool" else ""
    result = office(
        f"""
    import breaks

    @pytest.mark.lk(entrypoint=breaks.{name})
    async def test_it(user_says, fake_llm):
        fake_llm.script({'call("book"), ' if name == "tool" else ""}"Yes.")
        await user_says("hi")
        """,
        {
            "breaks.py": BREAKS,
            "desk.yaml": f"""
            entrypoint: breaks.py:{name}
            scenarios: [{{label: A, turns: [{{user: hi, llm: [{scripted}Yes.]}}]}}]
            """,
        },
    ).run("test_it.py", "desk.yaml", "-rfE")
    at_setup = name == "starts"
    result.outcomes(**({"errors": 2} if at_setup else {"failed": 2}))
    shown = [f"> * {line}", "E *KeyError: 'a key'", *([f"E *{where}"] if where else [])]
    place = "desk.yaml:2: A" + (", turn 1" if name == "tool" else "")
    result.shows("_* test_it _*", *shown, "_* A _*", *shown, f"E *in {place}")
    result.shows_no("*asyncio*.py:*", "*site-packages*")
    if not at_setup:
        result.shows(f"FAILED desk.yaml::A - {place}: KeyError: 'a key'")


WARMS = """
import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

from livekit.agents import Agent, AgentServer, AgentSession


def reach():
    with contextlib.suppress(OSError):
        socket.create_connection(("models.example.com", 80))  # here


def directly(proc):
    reach()


def in_a_thread(proc):
    with ThreadPoolExecutor() as pool:
        pool.submit(reach)


def on_a_loop(proc):
    asyncio.run(asyncio.to_thread(reach))


def raises(proc):
    socket.create_connection(("models.example.com", 80))  # here


async def in_vain(proc):
    proc.userdata["vad"] = "loaded"


async def entry(ctx):
    await AgentSession(llm="openai/gpt-4.1-mini").start(Agent(instructions="You help."))


def served(setup):
    server = AgentServer(setup_fnc=setup)
    server.rtc_session(entry)
    return server
"""


@pytest.mark.parametrize("how", ["directly", "in_a_thread", "on_a_loop", "raises"])
def test_what_prewarm_reaches_for_outside_of_the_machine_is_refused(office, how):
    result = office(
        f"""
    from warms import *

    pytestmark = pytest.mark.lk(entrypoint=served({how}))

    async def test_it(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(allow="refused_connection")
    async def test_of_that(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")
        """,
        {"warms.py": WARMS},
    ).run("test_it.py")
    result.outcomes(**({"errors": 2} if how == "raises" else {"failed": 1, "passed": 1}))
    result.shows(
        "*setup_fnc (prewarm) looks up models.example.com:80 (warms.py:*), and nothing leaves the "
        "machine while a test of an agent runs: replace what does it (monkeypatch), or let it pass "
        "in the ini file: lk_allow_hosts = models.example.com"
    )


def test_a_host_that_is_allowed_passes_in_prewarm_too(office):
    result = office(
        """
    import sys
    import warms

    def reach(proc):
        for address in ("192.0.2.1", "192.0.2.2"):
            with warms.socket.socket() as sock:
                try:
                    sys.audit("socket.connect", sock, (address, 443))
                except OSError:
                    print("refused", address)

    @pytest.mark.lk(entrypoint=warms.served(reach), allow="refused_connection")
    async def test_it(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")
        """,
        {"warms.py": WARMS},
    ).run("test_it.py", "-s", "-o", "lk_allow_hosts=192.0.2.1")
    result.outcomes(passed=1)
    result.shows("*refused 192.0.2.2*")
    result.shows_no("*refused 192.0.2.1*")


@pytest.mark.parametrize("which", ["in_vain", "functools.partial(in_vain)"])
def test_a_prewarm_that_would_have_to_be_awaited_is_refused(office, which):
    result = office(
        f"""
    import functools
    from warms import *

    @pytest.mark.lk(entrypoint=served({which}))
    async def test_it(user_says): ...
        """,
        {
            "warms.py": f"{WARMS}\nimport functools\nserver = served({which})\n",
            "desk.yaml": """
            entrypoint: warms.py:server
            scenarios: [{label: A, turns: [{user: hi, llm: [Yes.]}]}]
            """,
        },
    ).run("test_it.py", "desk.yaml", "-W", "error")
    result.outcomes(errors=2)
    told = "returned a coroutine (warms.py:31), and LiveKit does not await it: write def"
    result.shows(
        f"the entrypoint entry(): setup_fnc (prewarm) {told}",
        f"the entrypoint warms.py:server: setup_fnc (prewarm) {told}",
    )


@pytest.mark.parametrize(
    ("callback", "told"),
    [
        ("ctx.add_shutdown_callback(broken)", "raised in a shutdown callback*"),
        ("pass", "raised in on_session_end*"),
        ("asyncio.get_running_loop().call_later(1, lambda: None); late = 1", "raised in the*"),
    ],
    ids=["a shutdown callback", "on_session_end", "the entrypoint, later"],
)
def test_what_its_callbacks_raise_fails_the_test(office, callback, told):
    ends = "on_session_end=broken_end" if callback == "pass" else ""
    after = "await asyncio.sleep(1); {}['late']" if "late" in callback else "pass"
    result = office(
        f"""
    server = AgentServer()

    async def broken(reason):
        raise LookupError("late")

    async def broken_end(ctx):
        raise LookupError("late")

    @server.rtc_session({ends})
    async def entry(ctx):
        {callback}
        await session().start(Plain(), room=ctx.room)
        {after}

    @pytest.mark.lk(entrypoint=server)
    async def test_it(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")
        """
    ).run()
    result.outcomes(failed=1)
    result.shows(f"E *{told}")


def test_what_a_participant_entrypoint_raises_fails_the_test(office):
    result = office(
        """
    async def meet(ctx, participant):
        number = participant.attributes["sip.phoneNumber"]

    async def entry(ctx):
        ctx.add_participant_entrypoint(meet)
        await ctx.connect()
        await session().start(Plain(), room=ctx.room)

    pytestmark = pytest.mark.lk(entrypoint=entry)

    async def test_early(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(job={"participant": None})
    async def test_late(user_says, fake_llm, job_context):
        fake_llm.script("Yes.")
        job_context.room.add_participant("late")
        await user_says("hi")

    @pytest.mark.lk(job={"participant": None})
    async def test_expected(user_says, fake_llm, job_context, expect_error):
        fake_llm.script("Yes.")
        with expect_error(KeyError, match="phoneNumber"):
            job_context.room.add_participant("late")
            await user_says("hi")
        """
    ).run()
    result.outcomes(passed=1, failed=2)
    told = (
        '> * number = participant.attributes["sip.phoneNumber"]',
        "E *KeyError: 'sip.phoneNumber'",
        "E *raised in the task meet (*test_it.py:*), where nobody hears of it; *",
    )
    result.shows("_* test_early _*", *told, "_* test_late _*", *told)


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_what_a_callback_for_texts_of_the_room_raises_fails_the_test(office, kind):
    result = office(
        f"""
    from livekit.agents.voice.room_io import RoomOptions, TextInputOptions

    {kind} read(session, event):
        raise LookupError(event.text)

    async def entry(ctx):
        await ctx.connect()
        options = RoomOptions(text_input=TextInputOptions(text_input_cb=read))
        await session().start(Plain(), room=ctx.room, room_options=options)

    @pytest.mark.lk(entrypoint=entry)
    async def test_it(agent_session, job_context, settle):
        await job_context.room.receive_text("hello", topic="lk.chat")
        await settle()
        """
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "> * raise LookupError(event.text)",
        "E *LookupError: hello",
        "E *raised in text_input_cb (*test_it.py:*), where nobody hears of it; allow *",
    )


def test_a_callback_that_never_ends_does_not_hang_the_run(office):
    result = office(
        """
    async def never(reason):
        await asyncio.Event().wait()

    async def entry(ctx):
        ctx.add_shutdown_callback(never)
        await session().start(Plain(), room=ctx.room)

    @pytest.mark.lk(entrypoint=entry)
    async def test_it(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(agent=Plain)
    async def test_after(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")
        """
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows("the end of the job cannot finish: *never() waits at test_it.py:*")


# --- the verdict


def test_the_agent_s_own_veto_fails_a_run_that_met_every_expectation(office):
    result = office(
        files={
            "desk.yaml": """
            entrypoint: server.py:server
            defaults: {start: {llm: [Hello.]}}
            scenarios:
              - label: Vetoed
                userdata: {rows: [3pm]}
                turns: [{user: 2 pm, llm: [{call: {book: {slot: 2pm}}}, Done.]}]
              - label: Vetoed on purpose
                userdata: {rows: [3pm]}
                expect_veto: "should be ['3pm']"
                turns: [{user: 2 pm, llm: [{call: {book: {slot: 2pm}}}, Done.]}]
              - label: Vetoed for another reason
                userdata: {rows: [3pm]}
                expect_veto: no money
                turns: [{user: 2 pm, llm: [{call: {book: {slot: 2pm}}}, Done.]}]
              - label: Not vetoed
                expect_veto: rows
                turns: [{user: 2 pm, llm: [{call: {book: {slot: 2pm}}}, Done.]}]
              - label: Let pass
                allow: [veto]
                userdata: {rows: [3pm]}
                turns: [{user: 2 pm, llm: [{call: {book: {slot: 2pm}}}, Done.]}]
            """
        }
    ).run("--lk-scenarios=desk.yaml")
    result.outcomes(passed=2, failed=3)
    reason = "the rows are ['2pm'], and should be ['3pm']"
    result.shows(
        f"desk.yaml:4: Vetoed: on_simulation_end vetoed it: {reason}",
        "desk.yaml:13: Vetoed for another reason: on_simulation_end vetoed it: "
        f"{reason}; the reason has to contain 'no money' (expect_veto)",
        "desk.yaml:16: Not vetoed: on_simulation_end let it pass, and has to veto it with 'rows' "
        "(expect_veto)",
    )


def test_the_provisional_verdict_is_what_the_test_says_so_far(office):
    result = office(
        f"""
    @pytest.mark.lk({GREETED}, userdata={{"rows": ["3pm"]}})
    async def test_it(agent_session):
        assert 1 == 2, "not what I want"
        """
    ).run("-s")
    result.outcomes(failed=1)
    result.shows("*simulator says False not what I want", "E *AssertionError: not what I want")
    result.shows("E *on_simulation_end vetoed it: the rows are [], and should be ['3pm']")


def test_a_test_may_ask_for_the_verdict_itself_over_the_wire(office):
    result = office(
        f"""
    @pytest.mark.lk({GREETED}, userdata={{"rows": []}})
    async def test_it(remote_session):
        answer = await remote_session.finalize_simulation(provisional_success=True)
        assert not answer.HasField("user_verdict")

    @pytest.mark.lk({GREETED}, userdata={{"rows": ["3pm"]}}, allow=["veto"])
    async def test_vetoed(remote_session):
        answer = await remote_session.finalize_simulation(provisional_success=True)
        assert answer.user_verdict.reason == "the rows are [], and should be ['3pm']"
        """
    ).run()
    result.outcomes(passed=2)


ENDS = {
    "lambda ctx: None": ("passed", ()),
    "lambda ctx: ctx.fail()": ("failed", ("on_simulation_end vetoed it: without a reason",)),
    "takes_its_time": ("passed", ()),
    "never": ("failed", ("on_simulation_end cannot finish: * waits at test_it.py:*",)),
    "raises": (
        "failed",
        (
            ">       {}['no such row']",
            "E *KeyError: 'no such row'",
            "E *raised in on_simulation_end",
        ),
    ),
    "raises_later": (
        "failed",
        (
            ">       {}['no such row']",
            "E *KeyError: 'no such row'",
            "E *raised in on_simulation_end",
        ),
    ),
    "fails": ("failed", ("E *Failed: no rows", "E *raised in on_simulation_end")),
    "is_cancelled": (
        "failed",
        (">       await gone", "E *CancelledError", "E *raised in on_simulation_end"),
    ),
}


@pytest.mark.parametrize("callback", ENDS)
def test_whatever_on_simulation_end_comes_to_is_told_by_its_line(office, callback):
    tests = f"""{OTHERS}
    def raises(ctx):
        {{}}['no such row']

    async def raises_later(ctx):
        await asyncio.sleep(1)
        {{}}['no such row']

    def fails(ctx):
        pytest.fail("no rows")

    async def is_cancelled(ctx):
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    async def never(ctx):
        await asyncio.Event().wait()

    async def takes_its_time(ctx):
        await asyncio.sleep(90)

    judged = AgentServer()

    @judged.rtc_session(on_simulation_end={callback})
    async def entry(ctx):
        await session().start(Plain(), room=ctx.room)
    """
    scenario = """
    entrypoint: test_it.py:judged
    scenarios: [{label: Hi, turns: []}]
    """
    of_python = f"{tests}\n    @pytest.mark.lk(entrypoint=judged)\n    "
    of_python += "async def test_it(agent_session, transcript):\n        pass\n"
    made = office(files={"test_it.py": of_python, "desk.yaml": scenario})
    outcome, lines = ENDS[callback]
    for run in (made.run("test_it.py"), made.run("--lk-scenarios=desk.yaml", "desk.yaml")):
        run.outcomes(**{outcome: 1})
        run.shows(*(line if line[0] in "E>" else f"*{line}" for line in lines))
        run.shows_no("*error while executing*", "*error handling*", "*timed out*")


# --- judges

JUDGED = """
    from livekit.agents.evals import JudgeGroup, accuracy_judge, task_completion_judge

    judged = AgentServer()

    async def judge(ctx):
        both = [task_completion_judge(), accuracy_judge()]
        judges = JudgeGroup(llm="openai/gpt-4o-mini", judges=both)
        found = await judges.evaluate(ctx.make_session_report().chat_history)
        print({name: one.verdict for name, one in found.judgments.items()})

    @judged.rtc_session(on_session_end=judge)
    async def entry(ctx):
        await session().start(Plain(), room=ctx.room)
"""


def test_judges_find_what_the_test_says(office):
    result = office(
        f"""{JUDGED}
    @pytest.mark.lk(entrypoint=judged)
    async def test_it(user_says, fake_llm):
        fake_llm.judges("pass", accuracy="maybe")
        fake_llm.script("Yes.")
        await user_says("hi")
        """
    ).run("-s")
    result.outcomes(passed=1)
    result.shows("*{'task_completion': 'pass', 'accuracy': 'maybe'}")


def test_a_judge_of_the_user_s_own_that_asks_in_words_is_answered_in_words(office):
    result = office(
        """
    from livekit.agents.evals import JudgeGroup, JudgmentResult
    from livekit.agents.llm import ChatContext

    THEIRS = JudgeGroup.evaluate

    class Polite:
        name = "polite"

        async def evaluate(self, *, chat_ctx, reference=None, llm=None):
            stream = llm.chat(chat_ctx=ChatContext.empty())
            said = "".join([chunk.delta.content async for chunk in stream if chunk.delta])
            return JudgmentResult(verdict=said, reasoning="")

    judged = AgentServer()
    group = JudgeGroup(llm="openai/gpt-4o-mini", judges=[Polite()])

    async def judge(ctx):
        found = await group.evaluate(ctx.make_session_report().chat_history)
        print({name: one.verdict for name, one in found.judgments.items()})

    @judged.rtc_session(on_session_end=judge)
    async def entry(ctx):
        await session().start(Plain(), room=ctx.room)

    @pytest.mark.parametrize("verdict", ["fail", "maybe"])
    @pytest.mark.lk(entrypoint=judged)
    async def test_it(agent_session, fake_llm, verdict):
        fake_llm.judges(polite=verdict)

    def test_after():
        assert JudgeGroup.evaluate is THEIRS
        """
    ).run("-s")
    result.outcomes(passed=3)
    result.shows("*{'polite': 'fail'}", "*{'polite': 'maybe'}")


def test_a_judge_that_nobody_scripted_and_one_that_nobody_asked_fail_the_test(office):
    result = office(
        f"""{JUDGED}
    @pytest.mark.lk(entrypoint=judged)
    async def test_unscripted(user_says, fake_llm):
        fake_llm.judges(accuracy="fail")
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(entrypoint=judged)
    async def test_none(user_says, fake_llm):
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(entrypoint=judged)
    async def test_unasked(user_says, fake_llm):
        fake_llm.judges("pass", accurate="fail")
        fake_llm.script("Yes.")
        await user_says("hi")

    @pytest.mark.lk(entrypoint=judged)
    async def test_no_verdict(user_says, fake_llm):
        fake_llm.judges(accuracy="good")
        """
    ).run()
    result.outcomes(failed=4)
    result.shows(
        "the judge 'task_completion' asked its model for a verdict that nobody scripted; say what "
        "it finds: fake_llm.judges(task_completion='pass')",
        "the judges 'task_completion', 'accuracy' asked their models for a verdict that nobody "
        "scripted; say what they find: fake_llm.judges(task_completion='pass', accuracy='pass')",
        "scripted, and never asked: the judge accurate; take it out, or let it pass: *",
        "E *judges(accuracy='good'): a judge finds pass, fail, maybe",
    )
    result.shows_no("also:*")


def test_a_scenario_says_what_its_judges_find(office):
    result = office(
        files={
            "judged.py": OTHERS.replace("\n    ", "\n") + JUDGED.replace("\n    ", "\n"),
            "desk.yaml": """
            entrypoint: judged.py:judged
            scenarios:
              - {label: All, judges: pass, turns: [{user: hi, llm: [Yes.]}]}
              - {label: One, judges: {accuracy: fail}, turns: [{user: hi, llm: [Yes.]}]}
              - {label: None of them, turns: [{user: hi, llm: [Yes.]}]}
              - label: At its own line
                turns: [{user: hi, llm: [Yes.]}]
                judges: {accuracy: fail}
              - label: Unasked
                turns: [{user: hi, llm: [Yes.]}]
                judges: {accuracy: fail, task_completion: pass, accurate: pass}
            """,
        }
    ).run("--lk-scenarios=desk.yaml", "-s")
    result.outcomes(passed=1, failed=4)
    result.shows(
        "desk.yaml:4: One: the judge 'task_completion' asked * judges: {task_completion: pass}",
        "desk.yaml:5: None of them: the judges 'task_completion', 'accuracy' asked *; say in the "
        "scenario what they find: judges: {task_completion: pass, accuracy: pass}",
        "desk.yaml:8: At its own line: the judge 'task_completion' asked its model *",
        "desk.yaml:11: Unasked: scripted, and never asked: the judge accurate; *",
    )


# --- which entrypoint, and what the job is like


def test_fixtures_and_the_ini_file_name_it_too(office):
    conftest = """
    import pytest
    from server import server

    @pytest.fixture
    def entrypoint():
        return server

    @pytest.fixture
    def job_options():
        return {"metadata": {"name": "Maya"}, "participant": {"identity": "phone", "kind": "sip"}}
    """
    test = """
    @pytest.mark.lk(start=[say("Hello.")])
    async def test_it(agent_session, fake_llm, job_context):
        assert fake_llm.requests[0].instructions == "You help Maya."
        [caller] = job_context.room.remote_participants.values()
        assert caller.identity == "phone" and caller.kind == 3
    """
    office(test, {"conftest.py": conftest}).run().outcomes(passed=1)
    scenario = "scenarios: [{label: Hi, start: {llm: [Hello.]}, turns: []}]"
    office(
        files={"conftest.py": "", "desk.yaml": scenario}, ini="lk_entrypoint = server.py:server\n"
    ).run("--lk-scenarios=desk.yaml").outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "line"),
    [
        (
            "entrypoint=1",
            "the entrypoint: expected an AgentServer, or the coroutine function *, not 1",
        ),
        ("entrypoint=AgentServer()", "the entrypoint: this AgentServer has no entrypoint; *"),
        ("entrypoint=quick, agent=Plain", "*lk(…): agent and entrypoint are both given, *"),
        ("entrypoint='serve.py:server'", "*there is no file serve.py beside test_it.py"),
        ("entrypoint=quick, userdata=1", "*the userdata of a simulation is a mapping *"),
        ("entrypoint=quick, job=1", "*lk(job=…) is a mapping with some of metadata, *, not 1"),
        ("entrypoint=quick, job={'room_name': 'x'}", "*lk(job=…): 'room_name' is unknown; *"),
        ("entrypoint=quick, job={'attributes': {'a': 1}}", "*text to text, and 'a' is 1"),
        ("entrypoint=quick, job={'participant': 1}", "*participant is a mapping *, not 1"),
        ("entrypoint=quick, job={'metadata': {1, 2}}", "*metadata is a text or JSON: *"),
        (
            "job={'metadata': (lambda it: it.append(it) or it)([])}",
            "*metadata is a text or JSON: *",
        ),
        ("entrypoint=quick, job={'job_id': 1}", "*job_id is a text, not 1"),
        ("job={'agent_identity': 1}", "*agent_identity is a text, not 1"),
        ("job={'attributes': 1}", "*attributes is a mapping of text to text, not 1"),
        ("job={'attributes': {1: 'a'}}", "*text to text, and 1 is 'a'"),
        ("job={'room': 1}", "the room of a job is a name or an rtc.Room, not 1"),
        (
            "job={'participant': {'identty': 'x'}}",
            "*participant: 'identty' is unknown; the keys are *; did you mean 'identity'?",
        ),
        ("job={'participant': {'identity': 1}}", "*participant: identity is a text, not 1"),
        ("job={'participant': {'name': 1}}", "*participant: name is a text, not 1"),
        ("job={'participant': {'metadata': {}}}", "*participant: metadata is a text, not {}"),
        ("job={'participant': {'kind': 1}}", "*participant: kind is a text, not 1"),
        (
            "job={'participant': {'kind': 'phone'}}",
            "no participant is of kind 'phone'; the kinds are *standard*",
        ),
        (
            "job={'participant': {'attributes': 1}}",
            "*participant: attributes is a mapping *, not 1",
        ),
    ],
)
def test_what_is_no_entrypoint_and_no_job_is_told(office, marker, line):
    result = office(
        f"""
    async def quick(ctx):
        await session().start(Plain(), room=ctx.room)

    @pytest.mark.lk({marker})
    async def test_it(agent_session):
        raise AssertionError("unreachable")
        """
    ).run()
    result.outcomes(errors=1)
    result.shows(line)


def test_what_an_entrypoint_cannot_have_is_told(office):
    result = office(
        """
    async def quick(ctx):
        await session().start(Plain(), room=ctx.room)

    @pytest.mark.lk(entrypoint=quick)
    async def test_factory(start_session):
        await start_session()

    class TestOptions:
        @pytest.fixture
        def session_options(self):
            return {"max_tool_steps": 1}

        @pytest.mark.lk(entrypoint=quick)
        async def test_options(self, agent_session):
            pass
        """,
        {
            "desk.yaml": """
            agent: agent.py:FrontDesk
            scenarios:
              - label: No veto
                turns: []
                expect_veto: x
            """
        },
    ).run("test_it.py", "--lk-scenarios=desk.yaml")
    result.outcomes(failed=1, errors=2)
    result.shows(
        "*session_options: the entrypoint builds its own session; take max_tool_steps away, or "
        "test an agent",
        "desk.yaml:5: No veto: on_simulation_end is what vetoes (expect_veto), and an agent has "
        "none: write entrypoint:",
        "E *start_session() builds a session of its own, and the entrypoint quick() starts the one "
        "under test; take agent_session, or test an agent",
    )


def test_the_code_of_an_agent_sees_a_simulation_only_where_the_test_asks(office):
    result = office(
        """
    from livekit.agents.job import current_simulation

    @pytest.mark.lk(agent=Plain)
    async def test_without(agent_session):
        assert current_simulation() is None

    @pytest.mark.lk(agent=Plain, userdata={"rows": 3})
    async def test_with(agent_session, simulation, user_says, fake_llm):
        assert current_simulation() is simulation and simulation.userdata() == {"rows": 3}
        assert simulation.scenario.label == "test_with"
        fake_llm.script("Yes.")
        await user_says("hi")
        """
    ).run()
    result.outcomes(passed=2)


def test_what_stands_at_the_wrong_key_is_told_with_the_right_one(office):
    turns = "turns: [{user: hi, llm: [Hello.]}]"
    files = {
        "a.yaml": f"scenarios: [{{label: A, agent: server.py:server, {turns}}}]",
        "b.yaml": f"scenarios: [{{label: B, entrypoint: server.py:Desk, {turns}}}]",
    }
    result = office(files=files).run("a.yaml", "b.yaml")
    result.outcomes(errors=2)
    result.shows(
        "a.yaml:1:31: server.py:server is an AgentServer: write entrypoint: server.py:server in "
        "the place of agent:",
        "b.yaml:1:36: the entrypoint server.py:Desk: Desk is an Agent: write agent: in its place",
    )
