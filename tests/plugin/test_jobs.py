"""What the job of a test is like: its options, its dispatch, and the fixtures that show it."""

from __future__ import annotations

from textwrap import dedent

import pytest

ENTRY = """
from livekit.agents import AgentServer, AgentSession
from livekit.agents.job import current_simulation

async def entry(ctx):
    await ctx.connect()
    session = AgentSession(llm="openai/gpt-4.1-mini")
    await session.start(FrontDesk(), room=ctx.room)
"""


@pytest.fixture
def job(desk):
    """Make a project whose test file begins with `ENTRY`."""

    def make(test: str, files: dict[str, str] | None = None):
        return desk({"test_it.py": ENTRY + test, **(files or {})})

    return make


@pytest.mark.parametrize("under_test", ["agent=FrontDesk", "entrypoint=entry"])
def test_every_option_reaches_the_job(job, under_test):
    result = job(f"""
class Executor:
    async def do_inference(self, method, data):
        return data.upper()

JOB = {{
    "metadata": {{"plan": "gold"}},
    "attributes": {{"line": "2"}},
    "room": "kitchen",
    "job_id": "J1",
    "agent_identity": "desk",
    "inference_executor": Executor(),
    "participant": None,
}}

@pytest.mark.lk({under_test}, job=JOB)
async def test_it(job_context):
    job, room = job_context.job, job_context.room
    assert (job.metadata, job.id) == ('{{"plan": "gold"}}', "J1")
    assert job.attributes["line"] == "2"
    assert room.name == job.room.name == "kitchen" and await room.sid == job.room.sid
    assert room.local_participant.identity == job_context.local_participant_identity == "desk"
    assert await job_context.inference_executor.do_inference("lk_eot", b"yes") == b"YES"
    assert room.isconnected() and not room.remote_participants

@pytest.mark.lk({under_test})
async def test_by_default(job_context):
    job, room = job_context.job, job_context.room
    assert (job.metadata, job.id, room.name) == ("", "fake-job", "fake-room")
    assert set(job.attributes) <= {{"lk.simulator.dispatch"}}
    assert list(room.remote_participants) == ["caller"]
    assert room.local_participant.identity == "fake-agent"
    with pytest.raises(NotImplementedError, match="inference executor"):
        await job_context.inference_executor.do_inference("lk_eot", b"yes")
""").run()
    result.outcomes(passed=2)


def test_a_room_of_the_user_s_own_is_taken_as_it_is(job):
    result = job("""
from livekit.agents.ipc.mock_room import create_mock_room

@pytest.mark.lk(job={"room": create_mock_room()})
async def test_it(job_context):
    assert job_context.room is create_mock_room()
    assert job_context.room.name == job_context.job.room.name == "console"
""").run()
    result.outcomes(passed=1)


def test_the_job_of_a_server_has_the_name_of_its_agent(job):
    result = job("""
server = AgentServer()

@server.rtc_session(agent_name="desk-de")
async def speaks(ctx):
    print("language:", ctx.job.agent_name, ctx.job.room.sid)
    await entry(ctx)
    print("room:", await ctx.room.sid)

@pytest.mark.lk(entrypoint=server)
async def test_it(agent_session):
    pass

@pytest.mark.lk(entrypoint=entry)
async def test_of_a_function(job_context):
    assert job_context.job.agent_name == ""
""").run("-s")
    result.outcomes(passed=2)
    result.shows("*language: desk-de RM_fake", "room: RM_fake")


@pytest.mark.parametrize(
    "fixtures", ["simulation", "fake_llm, simulation", "job_context, mock_tool"]
)
def test_the_entrypoint_runs_whichever_fixture_of_its_job_is_asked_for(job, fixtures):
    result = job(f"""
@pytest.mark.lk(entrypoint=entry, userdata={{"rows": 3}})
async def test_it({fixtures}):
    context = get_job_context()
    assert type(context.primary_session.current_agent) is FrontDesk
    assert context.simulation_context().userdata() == {{"rows": 3}}

@pytest.mark.lk(entrypoint=entry)
def test_without_a_loop({fixtures}):
    raise AssertionError("unreachable")
""").run()
    result.outcomes(passed=1, errors=1)
    result.shows("test_it.py::test_without_a_loop asks for a session, *; write the test as async*")


@pytest.mark.parametrize("fixtures", ["simulation", "fake_llm, simulation"])
def test_a_simulation_needs_no_session(job, fixtures):
    result = job(f"""
@pytest.mark.lk(userdata={{"rows": 3}})
async def test_it({fixtures}):
    assert current_simulation() is simulation and simulation.userdata() == {{"rows": 3}}

def test_without_a_loop({fixtures}):
    assert simulation.scenario.label == "test_without_a_loop"
""").run()
    result.outcomes(passed=2)


def test_a_scenario_is_in_the_simulation_of_its_entrypoint_and_of_its_agent(job):
    scenarios = """
    scenarios:
      - label: Books
        instructions: Book 2 pm.
        agent_expectations: It is booked.
        tags: {feature: booking}
        userdata: {rows: 3}
        check: checks.py:sees
        turns: []
    """
    result = job(
        "",
        {
            "entry.yaml": f"entrypoint: test_it.py:entry\n{dedent(scenarios)}",
            "desk.yaml": f"agent: agent.py:FrontDesk\n{dedent(scenarios)}",
            "checks.py": """
            import json

            def sees(simulation, job_context, request):
                scenario = simulation.scenario
                assert (scenario.label, scenario.instructions) == ("Books", "Book 2 pm.")
                assert scenario.agent_expectations == "It is booked."
                assert dict(scenario.tags) == {"feature": "booking"}
                assert simulation.userdata() == {"rows": 3}
                dispatch = json.loads(job_context.job.attributes["lk.simulator.dispatch"])
                assert dispatch["jobId"] == request.node.nodeid
            """,
        },
    ).run("--lk-scenarios=entry.yaml", "--lk-scenarios=desk.yaml")
    result.outcomes(passed=2)


# --- the dispatch that makes a job part of a simulation

HOLDS = (
    "; it is a SimulationDispatch in JSON, with a simulationRunId, and a mode of "
    "SIMULATION_MODE_TEXT or SIMULATION_MODE_AUDIO"
)
BROKEN = {
    "{broken": "cannot be read: Failed to load JSON: *",
    '{"simulationRunId": "R", "scenari": {}}': 'cannot be read: *no field named "scenari"*',
    '{"simulationRunId": "R", "mode": "VIDEO"}': "cannot be read: *Invalid enum value VIDEO*",
    '{"simulationRunId": "R", "mode": 9}': "has an unknown mode, 9",
    '{"mode": "SIMULATION_MODE_TEXT"}': "has no simulationRunId",
}


@pytest.mark.parametrize("dispatch", BROKEN)
def test_a_dispatch_that_livekit_would_ignore_or_misread_is_refused_at_its_place(job, dispatch):
    attributes = {"lk.simulator.dispatch": dispatch}
    result = job(
        f"""
@pytest.mark.lk(job={{"attributes": {attributes!r}}})
async def test_marked(agent_session):
    raise AssertionError("unreachable")

class TestFixture:
    @pytest.fixture
    def job_options(self):
        return {{"attributes": {attributes!r}}}

    async def test_it(self, job_context):
        raise AssertionError("unreachable")
""",
        {
            "desk.yaml": f"""
            agent: agent.py:FrontDesk
            scenarios:
              - label: Hi
                job:
                  attributes: {{lk.simulator.dispatch: '{dispatch}'}}
                turns: [{{user: hi, llm: [Yes.]}}]
            """
        },
    ).run("test_it.py", "--lk-scenarios=desk.yaml", "-rE")
    result.outcomes(errors=3)
    told = f"attributes: lk.simulator.dispatch {BROKEN[dispatch]}{HOLDS}"
    result.shows(
        f"test_it.py:*: test_marked: lk(job=…): {told}",
        f"job_options: {told}",
        f"desk.yaml:5: job: {told}",
    )
    result.shows_no("E *")


MINE = """'{"simulationRunId": "mine", "mode": "SIMULATION_MODE_AUDIO"}'"""


def test_a_dispatch_of_the_test_s_own_is_what_the_code_of_an_agent_sees(job):
    result = job(f"""
@pytest.mark.lk(job={{"attributes": {{"lk.simulator.dispatch": {MINE}}}}})
async def test_it(agent_session):
    assert current_simulation().simulation_mode == 2
""").run()
    result.outcomes(passed=1)


def test_two_dispatches_are_one_too_many(job):
    result = job(
        f"""
MINE = {{"attributes": {{"lk.simulator.dispatch": {MINE}}}}}

@pytest.mark.lk(entrypoint=entry, job=MINE)
async def test_entrypoint(agent_session):
    raise AssertionError("unreachable")

@pytest.mark.lk(job=MINE)
async def test_simulation(simulation):
    raise AssertionError("unreachable")
""",
        {
            "folder/conftest.py": f"""
            import pytest

            @pytest.fixture
            def job_options():
                return {{"attributes": {{"lk.simulator.dispatch": {MINE}}}}}
            """,
            "folder/desk.yaml": """
            entrypoint: ../test_it.py:entry
            scenarios: [{label: Hi, job: {metadata: gold}, turns: []}]
            """,
            "desk.yaml": f"""
            entrypoint: test_it.py:entry
            scenarios:
              - label: Hi
                job: {{attributes: {{lk.simulator.dispatch: {MINE}}}}}
                turns: []
            """,
        },
    ).run("--lk-scenarios=folder/desk.yaml", "test_it.py", "--lk-scenarios=desk.yaml")
    result.outcomes(errors=4)
    told = (
        "attributes: lk.simulator.dispatch is ours to write in a simulation, of what the test and "
        "its scenario say; take it away, and say userdata"
    )
    result.shows(
        f"test_it.py:*: test_entrypoint: lk(job=…): {told}",
        f"test_it.py:*: test_simulation: lk(job=…): {told}",
        f"job_options: {told}",
        f"desk.yaml:4: job: {told}",
    )


# --- its end

ENDS = """
from livekit.agents import AgentServer, utils

async def on_session_end(ctx):
    print("session ended")

server = AgentServer()
KEPT = []

@server.rtc_session(on_session_end=on_session_end)
async def ends(ctx):
    print("before it connects:", ctx.room.name, ctx.room.isconnected())
    session = AgentSession(llm="openai/gpt-4.1-mini")
    session.on("close", lambda event: print("closed", ctx.shutdown("closed")))
    ctx.room.on("disconnected", lambda _: print("left the room"))
    asked, both = asyncio.Event(), utils.http_context.http_session()
    KEPT.append(both)

    async def first(reason):
        await asked.wait()
        print("called:", reason, both.closed)

    async def second(reason):
        asked.set()
        assert utils.http_context.http_session() is both
        print("called:", reason, both.closed)

    ctx.add_shutdown_callback(first)
    ctx.add_shutdown_callback(second)
    await session.start(Closing(), room=ctx.room)
    await asyncio.sleep(10)
    print("returned", both.closed)

class Closing(FrontDesk):
    @function_tool
    async def hang_up(self):
        "Hang up."
        get_job_context().shutdown("the caller is done")
        get_job_context().shutdown("once more")

    @function_tool
    async def just_end(self):
        "End."
        get_job_context().shutdown("")
"""


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("'Yes.'", "the test is over"),
        ("call('hang_up')", "the caller is done"),
        ("call('just_end')", "user requested"),
    ],
)
def test_the_job_ends_in_the_order_of_livekit(job, steps, reason):
    result = job(
        f"""
from livekit.agents import function_tool
{ENDS}
@pytest.mark.lk(entrypoint=server)
async def test_it(user_says, fake_llm):
    fake_llm.script({steps})
    await user_says("hi")
    print("the test says no more")

def test_nothing_stays_open():
    assert KEPT[0].closed
"""
    ).run("-s")
    result.outcomes(passed=2)
    result.shows(
        "*before it connects: fake-room False",
        "the test says no more",
        "returned False",
        "closed *",
        "session ended",
        "left the room",
        f"called: {reason} False",
        f"called: {reason} False",
    )


CALLBACKS = {
    "shut(cancelled)": (
        "a shutdown callback was cancelled by what it awaits, and did not come to its end",
    ),
    "shut(lambda reason: None)": (
        "a shutdown callback returned None, and LiveKit awaits it; write it as async def",
    ),
    "shut(lambda reason: {}['late'])": ("E *KeyError: 'late'", "E *raised in a shutdown callback*"),
    "end(lambda ctx: 3)": (
        "on_session_end returned 3, and LiveKit awaits it; write it as async def",
    ),
    "end(never)": ("E *TimeoutError", "E *raised in on_session_end*"),
}


@pytest.mark.parametrize("wrong", CALLBACKS)
def test_a_callback_that_does_not_come_to_its_end_fails_the_test_and_stops_no_other(job, wrong):
    result = job(f"""
from livekit.agents import AgentServer

async def cancelled(reason):
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone

async def never(ctx):
    await asyncio.Event().wait()

async def goodbye(reason):
    print("goodbye:", reason)

def shut(callback):
    server = AgentServer()

    @server.rtc_session()
    async def shuts(ctx):
        ctx.add_shutdown_callback(callback)
        ctx.add_shutdown_callback(goodbye)
        await entry(ctx)

    return server

def end(callback):
    server = AgentServer(session_end_timeout=20)

    @server.rtc_session(on_session_end=callback)
    async def ends(ctx):
        ctx.add_shutdown_callback(goodbye)
        await entry(ctx)

    return server

@pytest.mark.lk(entrypoint={wrong}, timeout=60)
async def test_it(agent_session):
    pass
""").run("-s")
    result.outcomes(failed=1)
    result.shows("*goodbye: the test is over", *CALLBACKS[wrong])


@pytest.mark.parametrize("under_test", ["agent=Leaving", "entrypoint=leaves"])
def test_a_room_that_is_disconnected_ends_the_job(job, under_test):
    result = job(f"""
from livekit import rtc
from livekit.agents import function_tool

async def goodbye(reason):
    print("goodbye:", reason)

class Leaving(FrontDesk):
    @function_tool
    async def leave(self):
        "Leave."
        await get_job_context().room.disconnect()

async def leaves(ctx):
    await ctx.connect()
    await AgentSession(llm="openai/gpt-4.1-mini").start(Leaving(), room=ctx.room)

@pytest.mark.lk({under_test})
async def test_tool(user_says, fake_llm, job_context, transcript):
    job_context.add_shutdown_callback(goodbye)
    fake_llm.script(call("leave"))
    await user_says("bye")
    assert transcript.events[-1].reason == "user_initiated"

@pytest.mark.lk({under_test})
async def test_deleted(user_says, job_context):
    await job_context.room.disconnect(reason=rtc.DisconnectReason.ROOM_DELETED)
    await asyncio.sleep(1)
    await user_says("hello?")
""").run("-s")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "*goodbye: room disconnected",
        "E *nobody hears 'hello?': the session closed before (user_initiated)",
    )


def test_an_entrypoint_that_is_cancelled_before_its_session_starts_is_told(job):
    result = job("""
async def gives_up(ctx):
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone

@pytest.mark.lk(entrypoint=gives_up)
async def test_it(agent_session):
    raise AssertionError("unreachable")
""").run()
    result.outcomes(failed=1)
    result.shows("the entrypoint gives_up() (test_it.py:*) returned without starting a session: *")
    result.shows_no("*unreachable*")


def test_an_entrypoint_that_is_cancelled_while_its_session_goes_on_is_told(job):
    result = job("""
async def started(ctx):
    session = AgentSession(llm="openai/gpt-4.1-mini")
    await session.start(FrontDesk(), room=ctx.room)
    return session

async def gives_up(ctx):
    await started(ctx)
    call_log = asyncio.create_task(asyncio.sleep(60))
    asyncio.get_running_loop().call_later(1, call_log.cancel)
    await call_log  # and the rest never runs

async def closes(ctx):
    session = await started(ctx)
    call_log = asyncio.create_task(asyncio.sleep(60))
    session.on("close", lambda _: call_log.cancel())
    await call_log

async def never_returns(ctx):
    await started(ctx)
    await asyncio.Event().wait()

@pytest.mark.lk(entrypoint=gives_up)
async def test_told(agent_session):
    await asyncio.sleep(2)

@pytest.mark.lk(entrypoint=gives_up, allow=["background_error"])
async def test_allowed(agent_session):
    await asyncio.sleep(2)

@pytest.mark.lk(entrypoint=closes)
async def test_closed(agent_session):
    await agent_session.aclose()

@pytest.mark.lk(entrypoint=never_returns)
async def test_over(agent_session): ...

@pytest.mark.lk(entrypoint=never_returns)
async def test_shut_down(agent_session, job_context):
    job_context.shutdown("the caller is done")
    await asyncio.sleep(60)
""").run()
    result.outcomes(passed=4, failed=1)
    result.shows(
        "_* test_told _*",
        "the entrypoint gives_up() was cancelled by what it awaits, and did not come to its end",
        "raised in the entrypoint (test_it.py:26), where nobody hears of it; allow *",
    )


def test_in_real_time_an_entrypoint_runs_and_ends_too(job):
    result = job("""
import time
from pathlib import Path

async def takes_its_time(ctx):
    await entry(ctx)
    await asyncio.sleep(0.01)
    Path("now").touch()
    print("returned", abs(time.time() - Path("now").stat().st_mtime) < 60)

@pytest.mark.lk(entrypoint=takes_its_time, real_time=True)
async def test_it(user_says, fake_llm):
    fake_llm.script("Yes.")
    turn = await user_says("hi")
    assert turn.events[-1].text == "Yes."

async def waits(ctx):
    await ctx.wait_for_participant(identity="nobody")

@pytest.mark.lk(entrypoint=waits, timeout=0.1)
async def test_stuck(agent_session):
    raise AssertionError("unreachable")
""").run("-s", "--lk-real-time")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "*returned True", "the entrypoint waits() cannot finish: *; the task waits() waits *"
    )
    result.shows_no("*unreachable*")


def test_the_folder_of_a_job_is_made_for_who_asks_and_taken_away(desk):
    result = desk(
        {
            "test_folder.py": """
            import tempfile

            made = []

            @pytest.fixture(autouse=True)
            def folders(monkeypatch):
                make = tempfile.mkdtemp
                monkeypatch.setattr(
                    tempfile, "mkdtemp", lambda *how, **named: made.append(make(*how)) or made[-1]
                )

            async def test_nobody_asks(job_context, user_says, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")
                assert made == []

            async def test_somebody_asks(job_context):
                folder = job_context.session_directory
                (folder / "notes.txt").write_text("She likes Oxfords.")
                assert job_context.session_directory == folder
                assert made == [str(folder)]

            def test_it_is_gone(folders):
                [folder] = made
                assert not os.path.exists(folder)
            """
        }
    ).run()
    result.outcomes(passed=3)
