"""Where a scenario is played: here, over LiveKit's protocol, in a process of its own.

A process starts in about two seconds, so that most of these start `warm` ones, which have imported
everything, and each run plays several scenarios.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import psutil
import pytest
from project import Result

INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"

SERVER = '''\
import asyncio
import logging
import os
import sys
from datetime import datetime

from livekit.agents import (
    Agent, AgentServer, AgentSession, AgentTask, JobContext, RunContext, StopResponse, ToolError,
    cli, function_tool, get_job_context, inference,
)
from livekit.agents.beta.workflows import TaskGroup
from livekit.agents.evals import JudgeGroup, task_completion_judge

if sys.argv[0].endswith("child.py"):  # as load_dotenv(override=True) does
    os.environ.update(LIVEKIT_INFERENCE_URL="https://192.0.2.1/v1", OPENAI_API_KEY="a real key")


class AskName(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the name.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask for the name.")

    @function_tool
    async def note(self, name: str) -> None:
        """Note the name."""
        self.complete(name)


class AskDate(AskName):
    @function_tool
    async def note_date(self, date: str) -> None:
        """Note the date."""
        self.complete(date)


class Cashier(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You cash.", llm=inference.LLM("openai/gpt-4.1"))

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask for the card.")


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You help.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller.")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        get_job_context().proc.userdata["rows"].append(slot)
        return f"booked {slot}"

    @function_tool
    async def slow(self, what: str) -> str:
        """Look, for longer."""
        await asyncio.sleep(0.2)
        return f"found {what} late"

    @function_tool
    async def fast(self, what: str) -> str:
        """Look."""
        return f"found {what}"

    @function_tool
    async def search(self, ctx: RunContext, what: str) -> str:
        """Search, and report."""
        await ctx.update("begun")
        await asyncio.sleep(1)  # a process answers in between, on a busy machine too
        await ctx.update("half done")
        await asyncio.sleep(1)
        return f"found {what}"

    @function_tool
    async def to_cashier(self) -> Agent:
        """Hand over."""
        await asyncio.sleep(0.1)
        return Cashier()

    @function_tool
    async def register(self) -> str:
        """Register the caller."""
        return f"registered {await AskName()}"

    @function_tool
    async def details(self) -> str:
        """Ask for the details."""
        group = TaskGroup(summarize_chat_ctx=False)
        group.add(AskName, id="name", description="Asks for the name.")
        group.add(AskDate, id="date", description="Asks for the date.")
        found = await group
        return " ".join(found.task_results.values())

    @function_tool
    async def keep_quiet(self) -> None:
        """Say nothing."""
        raise StopResponse

    @function_tool
    async def refuse(self) -> str:
        """Refuse."""
        raise ToolError("not today")

    @function_tool
    async def today(self) -> str:
        """Say which day it is."""
        return f"{datetime.now():%A, %B %d} {os.environ['OPENAI_API_KEY'][:14]}"

    @function_tool
    async def which_job(self) -> str:
        """Say which job this is."""
        context = get_job_context()
        job, sids = context.job, {context.job.room.sid, await context.room.sid}
        which = (job.id, job.agent_name, context.local_participant_identity, job.room.name, *sids)
        return " ".join(which)

    @function_tool
    async def broken(self) -> str:
        """Break."""
        raise ValueError("no such room")

    @function_tool
    async def checked(self) -> str:
        """Check."""
        assert "rooms" == "none", "no rooms"

    @function_tool
    async def leave(self) -> None:
        """End the call."""
        get_job_context().shutdown("the caller is done")

    @function_tool
    async def leave_room(self) -> None:
        """Leave the room, and end the job by that."""
        await get_job_context().room.disconnect()

    @function_tool
    async def hang_up(self) -> None:
        """Hang up."""
        self.session.shutdown()

    @function_tool
    async def die(self) -> str:
        """End this process."""
        print("about to die")
        logging.getLogger("livekit.agents").debug("and nobody asks how")
        os._exit(3)

    @function_tool
    async def exit(self) -> str:
        """Exit."""
        sys.exit(2)

    @function_tool
    async def print_much(self) -> str:
        """Print 100 MB."""
        for _ in range(1000):
            print("x" * 100_000)
        return "printed"

    @function_tool
    async def call_out(self) -> str:
        """Connect to somewhere else."""
        await asyncio.open_connection("192.0.2.1", 80)


async def on_session_end(ctx: JobContext) -> None:
    judges = JudgeGroup(llm="openai/gpt-4.1", judges=[task_completion_judge()])
    found = await judges.evaluate(
        ctx.make_session_report().chat_history
    )
    print("judged", found.score)


async def on_simulation_end(ctx) -> None:
    rows = ctx.job_context.proc.userdata["rows"]
    wanted = ctx.userdata().get("rows", rows)
    if rows == ["break the verdict"]:
        raise KeyError("rows")
    if rows != wanted:
        ctx.fail(f"the rows are {rows}, and should be {wanted}")


server = AgentServer(setup_fnc=lambda proc: proc.userdata.update(rows=[]))


@server.rtc_session(
    agent_name="hotel", on_session_end=on_session_end, on_simulation_end=on_simulation_end
)
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.wait_for_participant()

    async def goodbye(reason: str) -> None:
        print("goodbye:", reason)
        if ctx.job.metadata == "break the goodbye":
            raise LookupError("nobody to wave to")

    ctx.add_shutdown_callback(goodbye)
    session = AgentSession(
        stt="deepgram/nova-3", llm="openai/gpt-4.1-mini", tts="cartesia/sonic-2"
    )
    await session.start(agent=Desk(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
'''

HEAD = """
entrypoint: server.py:server
defaults:
  start: {llm: [Hello.]}
  judges: pass
scenarios:
"""

ALIKE = (
    HEAD
    + """
  - label: Books, by way of a mock, what was said before
    snapshot: true
    mocks: {Desk: {fast: nothing}}
    history: [{user: my name is Maya}, {assistant: Hello Maya}]
    userdata: {rows: [2pm]}
    turns:
      - user: 2pm
        llm: [{call: {book: {slot: 2pm}}}, Booked.]
        capture: {slot: 'booked (\\w+)'}
        expect: [{function_call_output: {name: book, output: booked 2pm}}]
      - user: anything at ${slot}?
        llm: [{call: {fast: {what: "${slot}"}, today: {}, which_job: {}}}, Nothing.]
        expect:
          - function_call_output: {name: fast, output: nothing}
          - function_call_output: {name: today, output: "Monday, June 01 pytest-lkagent"}
          - function_call_output: {name: which_job, output: J7 hotel desk kitchen RM_fake}
  - label: Progress updates
    snapshot: true
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it., Half of it., There it is.]
        expect:
          - function_call_output: {name: search, contains: begun}
          - function_call: search
          - function_call_output: {name: search, contains: half done}
          - function_call: search
          - function_call_output: {name: search, output: found a}
  - label: Parallel calls finish out of order
    snapshot: true
    turns:
      - user: look
        llm:
          - call: {slow: {what: a}, fast: {what: b}}
          - Both are there.
        expect:
          - function_call_output: {name: slow, output: found a late}
          - function_call_output: {name: fast, output: found b}
  - label: A hand-over among other calls
    snapshot: true
    turns:
      - user: pay
        llm:
          - {call: {to_cashier: {}, fast: {what: b}}, by: Desk}
          - {say: One moment., by: Desk}
          - {say: Your card?, by: Cashier}
        expect:
          - function_call_output: {name: fast, output: found b}
          - function_call_output: {name: to_cashier}
          - agent_handoff: {from: Desk, to: Cashier}
          - ...
      - user: "4242"
        llm: [{say: Thank you., by: Cashier}]
  - label: An AgentTask
    snapshot: true
    turns:
      - user: register me
        llm: [{call: {register: {}}}, {say: Your name?, by: AskName}]
        expect: [{agent_handoff: {to: AskName}}, ...]
      - user: Maya
        llm: [{call: {note: {name: Maya}}}, {say: Done., by: Desk}]
        expect: [..., {function_call_output: {name: register, output: registered Maya}}, ...]
  - label: A TaskGroup
    snapshot: true
    turns:
      - user: take my details
        llm: [{call: {details: {}}}, {say: Your name?, by: AskName}]
      - user: Maya
        llm: [{call: {note: {name: Maya}}}, {say: The date?, by: AskDate}]
      - user: Monday
        llm: [{call: {note_date: {date: Monday}}}, {say: Done., by: Desk}]
        expect: [..., {function_call_output: {name: details, output: Maya Monday}}, ...]
  - label: StopResponse and a ToolError
    snapshot: true
    turns:
      - user: be quiet
        llm: [{call: {keep_quiet: {}}}]
        expect: [{function_call: keep_quiet}, ...]
      - user: 2pm
        llm: [{call: {refuse: {}}}, Not today.]
        expect: [{function_call_output: {name: refuse, is_error: true, output: not today}}]
  - label: A tool that breaks, as expected
    snapshot: true
    mocks: {Desk: {fast: {raises: ValueError, message: no room}}}
    turns:
      - user: 2pm
        llm: [{call: {broken: {}}}, Sorry.]
        expect: [{function_call_output: {name: broken, is_error: true}}]
      - user: 3pm
        llm: [{call: {fast: {what: a}}}, Sorry.]
        expect: [{function_call_output: {is_error: true}}]
  - label: A model that fails, as expected  # with another text over HTTP
    turns:
      - user: 2pm
        llm: [{fail: {status: 400, message: too long}}]
        expect_error: {type: APIStatusError, contains: too long}
      - user: and now?
        llm: [Better.]
  - label: The end of the job, a veto
    snapshot: true
    userdata: {rows: [2pm]}
    judges: {task_completion: fail}
    expect_veto: the rows are []
    turns:
      - user: bye
        llm: [{call: {leave: {}}}]
        expect: [{function_call_output: {name: leave}}, {close: user_initiated}]
  - label: The end of the room
    snapshot: true
    turns:
      - user: bye
        llm: [{call: {leave_room: {}}}]
        expect: [{function_call_output: {name: leave_room}}, {close: user_initiated}]
  - label: The agent hangs up
    snapshot: true
    turns:
      - user: LONG
        llm: [{call: {hang_up: {}}}]
        expect: [{function_call_output: {name: hang_up}}, {close: user_initiated}]
"""
)


@pytest.fixture
def play(project):
    """Play the first of these files, beside `SERVER`."""

    def play(files: Mapping[str, str], *options: str) -> Result:
        made = project({"pytest.ini": INI, "server.py": SERVER, **files})
        here = psutil.Process()
        running, before = here.children(), here.net_connections()
        result: Result = made.run(next(iter(files)), *options)
        result.shows_no("*INTERNALERROR*")
        assert here.children() == running  # nothing is left running
        assert here.net_connections() == before  # and no port open
        return result

    return play


# Who asks the model, with which tools, and after what was said before: no snapshot has that.
ASKED = """
import json
from pathlib import Path

import pytest


@pytest.fixture
def job_options():
    return {"job_id": "J7", "agent_identity": "desk", "room": "kitchen"}


@pytest.fixture(autouse=True)
def asked(request, fake_llm):
    yield
    told = [
        [one.asker, sorted(one.tools), "Hello Maya" in map(str, one.messages)]
        for one in fake_llm.requests
    ]
    file = Path(f"asked-{request.node.name}.json")
    if not file.exists():
        file.write_text(json.dumps(told))
    assert json.loads(file.read_text()) == told
"""


@pytest.mark.slow
def test_a_scenario_has_the_same_transcript_on_each_target(play, warm):
    alike = ALIKE.replace("LONG", "bye " * 50_000)  # in the end the history is a line of JSON
    files = {"alike.yaml": alike, "conftest.py": ASKED}
    play(files, "--snapshot-update").outcomes(passed=12)
    for target in ("inprocess", "memory", "process"):
        result = play(files, f"--lk-target={target}")
        result.outcomes(passed=12)
        result.shows("11 snapshots passed.")


@pytest.mark.slow
def test_a_conversation_that_fits_in_no_frame_of_the_protocol_is_played_in_a_process(play):
    at_length = (
        HEAD
        + """
  - label: It grows beyond 1 MiB, and goes on
    turns:
      - {user: HALF, llm: [Well.]}
      - user: and now?
        llm: [{say: HALF, call: {fast: {what: a}}}, There.]
        expect:
          - message: HALF
          - function_call_output: {name: fast, output: found a}
      - {user: 2pm, llm: [{call: {book: {slot: 2pm}}}, Booked.], expect: [..., {message: Booked.}]}
  - label: One text is beyond it
    turns:
      - {user: WHOLE, llm: [Well.]}
"""
    ).replace("HALF", "half " * 120_000)
    file = at_length.replace("WHOLE", "whole " * 200_000)
    result = play({"at_length.yaml": file}, "--lk-target=process")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "at_length.yaml:18: One text is beyond it, turn 1: the run raised RuntimeError: session "
        "request run_input was not sent: it has * bytes, and LiveKit's session protocol takes "
        "1048576 at most; *"
    )


@pytest.mark.slow
def test_what_goes_wrong_in_a_process_is_told_as_it_is_here(play, warm):
    failing = (
        HEAD
        + """
  - label: A tool breaks
    turns:
      - {user: 2pm, llm: [{call: {broken: {}}}, Sorry.]}
  - label: A tool asserts
    turns:
      - {user: 2pm, llm: [{call: {checked: {}}}, Sorry.]}
  - label: Nobody scripted it
    turns:
      - {user: 2pm}
  - label: A step too many
    turns:
      - {user: 2pm, llm: [Done., And more.]}
  - label: A mock is never called
    mocks: {Desk: {book: full}}
    turns:
      - {user: 2pm, llm: [No.]}
  - label: Another output than expected
    turns:
      - user: 2pm
        llm: [{call: {book: {slot: 2pm}}}, Done.]
        expect: [{function_call_output: {name: book, output: full}}]
  - label: A judge whom nobody scripted
    judges: null
    turns:
      - {user: 2pm, llm: [Done.]}
  - label: The verdict breaks
    turns:
      - {user: 2pm, llm: [{call: {book: {slot: break the verdict}}}, Done.]}
  - label: The end breaks
    job: {metadata: break the goodbye}
    turns:
      - {user: 2pm, llm: [Done.]}
  - label: It connects to somewhere else
    turns:
      - {user: 2pm, llm: [{call: {call_out: {}}}, Done.]}
"""
    )
    result = play({"failing.yaml": failing}, "--lk-target=process")
    result.outcomes(failed=10)
    result.shows(
        "failing.yaml:9: A tool breaks, turn 1: in the agent's process: the tool broken raised "
        "ValueError('no such room') at server.py:*",
        "failing.yaml:12: A tool asserts, turn 1: in the agent's process: AssertionError: no rooms",
        "failing.yaml:15: Nobody scripted it, turn 1: Desk asked its model for a completion that "
        "nobody scripted",
        "failing.yaml:18: A step too many, turn 1: scripted, and never asked for: say('And more.')",
        "failing.yaml:19: A mock is never called: Desk.book is mocked (failing.yaml:20), and was "
        "never called; *",
        "failing.yaml:27: Another output than expected, turn 1: expected function_call_output book "
        "'full'",
        "*A judge whom nobody scripted: in the agent's process: the judge 'task_completion' asked "
        "its model for a verdict that nobody scripted; say in the scenario what it finds: judges: "
        "{task_completion: pass}",
        "*: The verdict breaks: in the agent's process: on_simulation_end raised: 'rows'",
        "*The end breaks: in the agent's process: LookupError: nobody to wave to",
        "* (raised in a shutdown callback)",
        "*It connects to somewhere else, turn 1: in the agent's process: Desk connects to "
        "192.0.2.1:80 *",
    )


BREAKING = '''
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, function_tool

server = AgentServer()


class Full(LookupError):
    pass


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You help.")

    async def on_enter(self) -> None:
        raise ValueError("nobody is in")

    @function_tool
    async def book(self) -> str:
        """Book."""
        try:
            raise Full("all 12 rooms")
        except Full as error:
            raise RuntimeError("cannot book") from error

    @function_tool
    async def check(self) -> str:
        """Check."""
        assert False, "no rooms"


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await AgentSession(llm="openai/gpt-4.1").start(Desk(), room=ctx.room)
'''
BREAKS = """
entrypoint: breaking.py:server
defaults:
  start: {llm: [], expect_error: {type: ValueError, contains: nobody}}
scenarios:
  - label: As expected
    turns:
      - {user: 2pm, llm: [{call: {book: {}}}, Sorry.], expect_error: {type: Full, contains: 12}}
      - {user: 3pm, llm: [{call: {check: {}}}, Sorry.], expect_error: AssertionError}
  - label: It was expected before
    turns:
      - {user: 2pm, llm: [{call: {book: {}}}, Sorry.], expect_error: RuntimeError}
      - {user: 3pm, llm: [Well.], expect_error: RuntimeError}
  - label: Another one
    turns: [{user: 2pm, llm: [{call: {book: {}}}, Sorry.], expect_error: KeyError}]
  - label: In the start
    start: {llm: []}
    turns: [{user: 2pm, llm: [Well.]}]
"""


@pytest.mark.slow
def test_what_a_tool_or_a_hook_raises_may_be_expected_on_each_target(play, warm):
    for target in ("inprocess", "memory", "process"):
        result = play({"breaks.yaml": BREAKS, "breaking.py": BREAKING}, f"--lk-target={target}")
        result.outcomes(passed=1, failed=3)
        result.shows(
            "breaks.yaml:12: It was expected before, turn 2: expected RuntimeError",
            "*RuntimeError*cannot book*",
            "*ValueError: nobody is in*",
        )


CLAUDE = """
import asyncio

from livekit.agents import (
    Agent, AgentServer, AgentSession, APIConnectionError, APIConnectOptions, JobContext, llm
)

server = AgentServer()


class ClaudeStream(llm.LLMStream):
    async def _run(self) -> None:
        try:
            await asyncio.open_connection("192.0.2.1", 443)
        except OSError as error:
            raise APIConnectionError from error


class Claude(llm.LLM):
    def chat(self, *, chat_ctx, **_):
        once = APIConnectOptions(max_retry=0)
        return ClaudeStream(self, chat_ctx=chat_ctx, tools=[], conn_options=once)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await AgentSession(llm=Claude()).start(Agent(instructions="You help."), room=ctx.room)
"""


@pytest.mark.slow
def test_a_model_that_a_process_leads_to_no_script_is_named_with_what_to_do(play):
    file = """
entrypoint: claude.py:server
scenarios:
  - label: A
    turns: [{user: hello, llm: [Hello.]}]
  - label: Connects, as expected
    allow: [refused_connection]
    turns: [{user: hello, expect_error: {type: APIConnectionError}}]
"""
    files = {"claude.yaml": file, "claude.py": CLAUDE}
    result = play(files, "--lk-target=process", "--show-capture=no")
    result.outcomes(failed=1, passed=1)
    result.shows(
        "claude.yaml:4: A, turn 1: in the agent's process: Claude of Agent connects to "
        "192.0.2.1:443 (claude.py:13), and nothing leaves the machine while a test of an agent "
        "runs: in a process of its own the script answers inference.LLM and OpenAI's clients "
        "alone; play it without target: process, where it answers any model, or let it pass in "
        "the ini file: lk_allow_hosts = 192.0.2.1"
    )
    result.shows_no("*also:*")
    play(files).outcomes(passed=1, failed=1)


@pytest.mark.slow
def test_a_process_that_ends_or_prints_without_end_is_told(play):
    faults = (
        HEAD
        + """
  - label: It ends in the middle of a turn
    turns:
      - {user: 2pm, llm: [{call: {die: {}}}, Done.]}
  - label: A tool exits
    turns:
      - {user: 2pm, llm: [{call: {exit: {}}}, Done.]}
  - label: It prints 100 MB
    turns:
      - {user: 2pm, llm: [{call: {print_much: {}}}, Done.]}
"""
    )
    result = play({"faults.yaml": faults}, "--lk-target=process", "-rA")
    result.outcomes(failed=2, passed=1)
    result.shows_no("*nobody hears of it*")
    result.shows(
        "faults.yaml:9: It ends in the middle of a turn, turn 1: the agent's process ended (exit "
        "code 3) before it could answer; it printed last: about to die",
        "faults.yaml:12: A tool exits, turn 1: in the agent's process: the tool exit raised "
        "SystemExit: 2",
        "*(* lines of the agent's process are left out)*",
    )


STARTS = """\
import asyncio
import os
import signal
import sys
import threading
import time

from livekit.agents import Agent, AgentServer, AgentSession, JobContext

IS_CHILD = sys.argv[0].endswith("child.py")
if IS_CHILD and os.path.exists("cannot-be-imported"):
    raise ImportError("only here")

def cold(proc):
    raise OSError("the model is not there")


raises, returns, waits, exits, stays = (AgentServer() for _ in range(5))
warms = AgentServer(setup_fnc=cold)


@warms.rtc_session()
async def warming(ctx: JobContext) -> None:
    raise AssertionError("it never came so far")


@raises.rtc_session()
async def raising(ctx: JobContext) -> None:
    raise LookupError("no such hotel")


@returns.rtc_session()
async def returning(ctx: JobContext) -> None:
    await ctx.connect()


@waits.rtc_session()
async def waiting(ctx: JobContext) -> None:
    print("waiting for Godot", flush=True)
    await asyncio.sleep(1000)


@exits.rtc_session()
async def exiting(ctx: JobContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@stays.rtc_session()
async def staying(ctx: JobContext) -> None:
    async def never(reason: str) -> None:
        time.sleep(1000)

    ctx.add_shutdown_callback(never)
    await AgentSession(llm="openai/gpt-4.1").start(Agent(instructions="You stay."), room=ctx.room)


leaves = AgentServer()


@leaves.rtc_session()
async def leaving(ctx: JobContext) -> None:
    ctx.shutdown("no customer")
    ctx.shutdown("once more")


joins = AgentServer()


async def meet(ctx: JobContext, participant) -> None:
    await asyncio.sleep(0.1)
    await AgentSession(llm="openai/gpt-4.1").start(Agent(instructions="You help."), room=ctx.room)


@joins.rtc_session()
async def joining(ctx: JobContext) -> None:
    ctx.add_participant_entrypoint(meet)
    await ctx.connect()
"""


@pytest.mark.slow
def test_a_process_that_starts_no_session_says_why(play, warm, monkeypatch):
    monkeypatch.setattr("pytest_lkagent.simulation.apart._START_SECONDS", 10.0)
    monkeypatch.setattr("pytest_lkagent.simulation.apart._END_SECONDS", 5.0)
    starts = "scenarios:\n" + "".join(
        f"""
  - label: It {name}
    entrypoint: starts.py:{name}
    turns:
      - {{user: hello, llm: [Hello.]}}
"""
        for name in ("raises", "returns", "waits", "exits", "warms", "stays", "leaves", "joins")
    )
    result = play({"starts.yaml": starts, "starts.py": STARTS}, "--lk-target=process")
    result.outcomes(failed=7, passed=1)
    result.shows(
        "*It raises: in the agent's process: the entrypoint starts.py:raises raised LookupError: "
        "no such hotel",
        "*It returns: in the agent's process: the entrypoint starts.py:returns (starts.py:32) "
        "returned without starting a session: there is nobody to talk to; await session.start(…) "
        "in it",
        "*It waits: the agent's process did not start a session within 10 s; the task *() waits at "
        "starts.py:*",
        "*It exits: the agent's process ended (signal SIGKILL) before it could start a session; *",
        "*It warms: in the agent's process: setup_fnc (prewarm) raised OSError: the model is not "
        "there",
        "*It stays: in the agent's process: it did not end within 5 s, and was killed",
        "*It leaves: in the agent's process: the entrypoint starts.py:leaves (starts.py:60) shut "
        "the job down ('no customer') before a session had started; give the test a job in which "
        "it goes on: metadata, attributes and participant of job",
    )


@pytest.mark.slow
def test_what_the_process_leaves_behind_may_print_for_a_while(play):
    file = "entrypoint: starts.py:leaves_behind\nscenarios: [{label: A, turns: [{user: hello}]}]\n"
    leaving = """
leaves_behind = AgentServer()


@leaves_behind.rtc_session()
async def leaving_behind(ctx: JobContext) -> None:
    import subprocess

    subprocess.Popen(["sleep", "2"], start_new_session=True)
    raise LookupError("no such hotel")
"""
    result = play({"a.yaml": file, "starts.py": STARTS + leaving}, "--lk-target=process")
    result.outcomes(failed=1)
    result.shows("*: A: in the agent's process: *leaves_behind raised LookupError: no such hotel")


@pytest.mark.slow
def test_a_module_that_only_the_process_cannot_import_is_told(play):
    file = "entrypoint: starts.py:returns\nscenarios: [{label: A, turns: [{user: hello}]}]\n"
    files = {"a.yaml": file, "starts.py": STARTS, "cannot-be-imported": ""}
    result = play(files, "--lk-target=process")
    result.outcomes(failed=1)
    result.shows(
        "*: A: in the agent's process: *a.yaml:1:13: starts.py cannot be imported: ImportError: "
        "only here (starts.py:12)"
    )


APART = """
entrypoint: server.py:server
scenarios:
  - label: A
    {scenario}
    turns:
      - user: hello
        {turn}
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"scenario": "check: checks.py:fine"}, "check: looks at objects of this process"),
        ({"turn": "check: checks.py:fine"}, "check: looks at objects of this process"),
        (
            {"turn": "after: {userdata: {a: 1}}"},
            "after: looks at the userdata, which is in that process",
        ),
        ({"turn": "within: 2s"}, "within: needs virtual time, and that process has a clock*"),
        ({"turn": "interrupt: 2s"}, "interrupt: needs virtual time, and that process has a clock*"),
        ({"turn": "settle: false"}, "settle: false needs virtual time, and that process has*"),
        (
            {"turn": "llm: [{say: Hello., duration: 1.5s}]"},
            "an answer of 1.5 s would really pass, and 1 s is the most",
        ),
        ({"turn": "llm: [{stall: true}]"}, "the model that never answers would really be *"),
        ({"turn": "llm: [{fail: {timeout: true}}]"}, "the model that never answers would *"),
        (
            {"scenario": "mocks: {Desk: {fast: {returns: a, delay: 3s}}}"},
            "a delay of 3 s would really pass, and 1 s is the most",
        ),
        (
            {"turn": "llm: []\n      - wait: 20s"},
            "a wait of 20 s would really pass, and 1 s is the most",
        ),
        ({"scenario": "agent: server.py:Desk"}, "it imports an entrypoint: name one, *"),
    ],
)
def test_what_a_process_cannot_play_is_refused_with_the_reason(play, said, why):
    text = APART.format(**{"scenario": "id: a", "turn": "llm: [Hello.]", **said})
    if "agent:" in text:
        text = text.replace("entrypoint: server.py:server\n", "\n")
    checks = {"checks.py": "def fine(): pass"}
    there = text.replace("label: A", "label: A\n    target: tcp")
    written = play({"a.yaml": there, **checks})
    written.outcomes(errors=1)
    written.shows(f"a.yaml:*: A: target: process (a.yaml:4) cannot play it: {why}")

    asked = play({"a.yaml": text, **checks}, "--lk-target=process", "-rs")
    asked.outcomes(skipped=1)
    asked.shows(f"SKIPPED*--lk-target=process cannot play it: {why}*")


def test_what_the_protocol_has_not_is_refused_over_it(play):
    text = APART.format(scenario="id: a", turn="llm: [Hello.]").replace(
        "user: hello", "user: {text: hello, modality: audio}"
    )
    result = play({"a.yaml": text}, "--lk-target=memory", "-rs")
    result.outcomes(skipped=1)
    result.shows("SKIPPED*--lk-target=memory cannot play it: its protocol has no modality audio*")


def test_a_target_that_is_none_is_told(play):
    text = APART.format(scenario="target: proces", turn="llm: [Hello.]")
    result = play({"a.yaml": text})
    result.outcomes(errors=1)
    result.shows(
        "a.yaml:4:13: target: 'proces' is none; it is one of inprocess, memory, tcp, process; "
        "did you mean 'process'?"
    )
    result = play({"a.yaml": text}, "--lk-target=here")
    assert "--lk-target: 'here' is none; it is one of inprocess" in result.stderr


def test_the_command_line_wins_over_the_file_and_tests_in_python_stay_at_home(play):
    text = (
        HEAD.replace("judges: pass", "judges: pass\n  target: process")
        + """
  - label: A
    turns:
      - {user: hello, llm: [Hello.]}
"""
    )
    test = """
import os
import pytest

@pytest.mark.lk(entrypoint="server.py:server", start=["Hello."])
async def test_it(agent_session, fake_llm):
    fake_llm.judges("pass")
"""
    result = play({"a.yaml": text, "test_it.py": test}, "test_it.py", "--lk-target=memory", "-v")
    result.outcomes(passed=2)


WAITS = """
import asyncio
import os
from pathlib import Path

from livekit.agents import AgentServer, JobContext

server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    Path("its.pid").write_text(f"{os.getpid()}\\n")
    await asyncio.sleep(1000)
"""


@pytest.mark.slow
def test_no_process_outlives_a_run_that_is_killed(tmp_path):
    file = "entrypoint: waits.py:server\nscenarios: [{label: A, turns: [{user: hello}]}]\n"
    for name, content in {"pytest.ini": INI, "waits.py": WAITS, "a.yaml": file}.items():
        (tmp_path / name).write_text(content)
    command = [sys.executable, "-m", "pytest", "-q", "a.yaml", "--lk-target=process"]
    told = tmp_path / "its.pid"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as run:
        soon(lambda: told.exists() and told.read_text().endswith("\n"))
        its = psutil.Process(int(told.read_text()))
        run.kill()
    soon(lambda: not its.is_running() or its.status() == psutil.STATUS_ZOMBIE)


def soon(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    pytest.fail("it did not come to hold")
