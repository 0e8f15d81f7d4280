"""Tools that answer first and work on: what a test scripts for them, and what it sees of them.

LiveKit returns from a run with the reply to the first ``ctx.update()``. Later updates and the
result come as calls of their own, in no RunResult; a turn here goes on until they are told.
"""

from __future__ import annotations

import inspect

import pytest
from livekit.agents import RunContext
from livekit.agents import __version__ as livekit_version

AGENT = '''\
import asyncio

from livekit.agents import Agent, AgentTask, RunContext, function_tool, llm

CANCELLABLE = llm.ToolFlag.CANCELLABLE


class AskName(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the name.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="ask for the name")

    @function_tool
    async def note(self, name: str) -> None:
        """Note the name."""
        self.complete(name)


class Annex(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are the annex.")


@function_tool
async def roam(ctx: RunContext, what: str) -> str:
    """Look, whoever speaks."""
    await ctx.update("begun")
    await asyncio.sleep(20)
    await ctx.update("half done")
    await asyncio.sleep(10)
    return f"found {what}"


class Office(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You look things up.")

    async def look(self, ctx: RunContext, what: str) -> str:
        await ctx.update("begun")
        await asyncio.sleep(20)
        return f"found {what}"

    @function_tool
    async def search(self, ctx: RunContext, what: str) -> str:
        """Search, and report."""
        await ctx.update("begun")
        await asyncio.sleep(20)
        await ctx.update("half done")
        await asyncio.sleep(10)
        return f"found {what}"

    @function_tool
    async def both(self, ctx: RunContext, what: str) -> str:
        """Look, any number of times."""
        return await self.look(ctx, what)

    @function_tool(on_duplicate="reject")
    async def once(self, ctx: RunContext, what: str) -> str:
        """Look, once at a time."""
        return await self.look(ctx, what)

    @function_tool(on_duplicate="confirm", flags=CANCELLABLE)
    async def sure(self, ctx: RunContext, what: str) -> str:
        """Look, and ask before one looks again."""
        return await self.look(ctx, what)

    @function_tool(on_duplicate="replace", flags=CANCELLABLE)
    async def last(self, ctx: RunContext, what: str) -> str:
        """Look for this instead."""
        return await self.look(ctx, what)

    @function_tool(on_duplicate="replace")
    async def stays(self, ctx: RunContext, what: str) -> str:
        """Look for this instead, if only one could."""
        return await self.look(ctx, what)

    @function_tool(on_duplicate="reject", duplicate_scope="name_and_args")
    async def each(self, ctx: RunContext, what: str) -> str:
        """Look, once at a time for the same."""
        return await self.look(ctx, what)

    @function_tool
    async def leave(self) -> Agent:
        """Hand over."""
        return Annex()

    @function_tool
    async def register(self) -> str:
        """Register the caller."""
        return f"registered {await AskName()}"

    @function_tool
    async def urgent(self, ctx: RunContext) -> str:
        """Look, and then ask for the name with the floor held."""
        await ctx.update("begun")
        await asyncio.sleep(5)
        async with ctx.foreground():
            name = await AskName()
        return f"urgent for {name}"

    @function_tool
    async def breaks(self, ctx: RunContext) -> str:
        """Break after the update."""
        await ctx.update("begun")
        await asyncio.sleep(5)
        raise LookupError("no calendar")

    @function_tool
    async def refuses(self, ctx: RunContext) -> str:
        """Refuse after the update."""
        await ctx.update("begun")
        await asyncio.sleep(5)
        raise llm.ToolError("closed today")

    @function_tool
    async def never(self, ctx: RunContext) -> str:
        """Never come to an end."""
        await ctx.update("begun")
        await asyncio.Event().wait()
'''

TEST = """
from office import Office

pytestmark = pytest.mark.lk(agent=Office)

BEGUN = "begun"

def told(turn):
    "What a turn did, a line for each event; of an update its message alone."
    return [str(event).split(", message: ")[-1].partition("\\\\n")[0] for event in turn.events[1:]]

"""


@pytest.fixture
def office(desk):
    """Make a project with the Office and this test, or with these scenarios.

    `also` is code beside the Office.
    """

    def make(test: str = "", *, scenarios: str = "", also: str = ""):
        files = {"office.py": AGENT + also}
        if test:
            files["test_it.py"] = TEST + test
        if scenarios:
            files["office.yaml"] = f"agent: office.py:Office\nscenarios:\n{scenarios}"
        made = desk(files)
        return made.run("--lk-scenarios=office.yaml") if scenarios else made.run()

    return make


def test_a_turn_goes_on_until_a_background_tool_has_told_its_result(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("search", what="a"), "On it.", "Half of it.", "There it is.")
    turn = await user_says("search")
    assert told(turn) == [
        "search(what='a')", "begun", "On it.",
        "search(what='a')", "half done", "Half of it.",
        "search(what='a')", "search -> 'found a'", "There it is.",
    ]
    assert [call.call_id for call in turn.events if call.label == "function_call"] == [
        "call_1", "call_1_update_1", "call_1_final",
    ]
    assert turn.took == 30
    assert [request.last_input for request in fake_llm.requests][3] == "found a"
    assert "call_1_update_1" in fake_llm.requests[2].reply_instructions
"""
    )
    result.outcomes(passed=1)


def test_a_turn_waits_for_the_replies_as_well(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    slowly = say("There it is.").timed(ttft=2, duration=3)
    fake_llm.script(call("search", what="a"), "On it.", say("Half of it.").timed(ttft=4), slowly)
    turn = await user_says("search")
    assert (turn.events[-1].text, turn.took) == ("There it is.", 33)

async def test_one_waits_for_the_other(user_says, fake_llm):
    slowly = say("Half of it.").timed(ttft=15)
    fake_llm.script(call("search", what="a"), "On it.", slowly, "There it is.")
    turn = await user_says("search")
    assert told(turn)[3:] == [
        "search(what='a')", "half done", "Half of it.",
        "search(what='a')", "search -> 'found a'", "There it is.",
    ]
    assert turn.took == 35
"""
    )
    result.outcomes(passed=2)


def test_a_scenario_scripts_and_expects_all_of_it(office):
    result = office(
        scenarios="""
  - label: It reports
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it., Half of it., There it is.]
        expect:
          - function_call: {name: search, arguments: {what: a}}
          - function_call_output: {name: search, contains: begun}
          - message: On it.
          - function_call: search
          - function_call_output: {name: search, contains: half done}
          - message: Half of it.
          - function_call: search
          - function_call_output: {name: search, output: found a}
          - message: There it is.
        within: 30s
  - label: In another order
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it., Half of it., There it is.]
        expect:
          - function_call_output: {name: search, output: found a}
          - function_call_output: {name: search, contains: half done}
          - ...
"""
    )
    result.outcomes(passed=1, failed=1)
    result.shows("*office.yaml:*: In another order, turn 1: *")


def test_a_turn_that_does_not_settle_leaves_the_rest_to_the_next_one(office):
    result = office(
        """
async def test_it(user_says, fake_llm, settle, transcript):
    fake_llm.script(call("search", what="a"), "On it.")
    turn = await user_says("search", settle=False)
    assert (turn.took, told(turn)) == (0, ["search(what='a')", "begun", "On it."])
    fake_llm.script("Fine, thanks.", "Half of it.", "There it is.")
    turn = await user_says("how are you?")
    assert told(turn) == [
        "Fine, thanks.",
        "search(what='a')", "half done", "Half of it.",
        "search(what='a')", "search -> 'found a'", "There it is.",
    ]
    assert turn.took == 30
""",
    )
    result.outcomes(passed=1)


def test_what_settle_waits_for_belongs_to_the_turn_before(office):
    result = office(
        """
async def test_it(user_says, fake_llm, settle, transcript):
    fake_llm.script(call("search", what="a"), "On it.")
    turn = await user_says("search", settle=False)
    fake_llm.script("Half of it.", "There it is.")
    await settle()
    assert told(turn)[3:] == [
        "search(what='a')", "half done", "Half of it.",
        "search(what='a')", "search -> 'found a'", "There it is.",
    ]
    assert transcript.events[-len(turn.events):] == turn.events
    assert turn.took == 0
""",
    )
    result.outcomes(passed=1)


def test_a_scenario_leaves_a_turn_unsettled_and_waits(office):
    result = office(
        scenarios="""
  - label: It reports later
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it.]
        settle: false
        expect: [function_call: search, function_call_output: {name: search, contains: begun}]
        within: 0s
      - user: how are you?
        llm: [Fine.]
        settle: false
        within: 0s
      - wait: 25s
        settle: false
        llm: [Half of it.]
        expect:
          - function_call: search
          - function_call_output: {name: search, contains: half done}
      - wait: 1s
        llm: [There it is.]
        expect: [function_call: search, function_call_output: {name: search, output: found a}]
        within: 5s
"""
    )
    result.outcomes(passed=1)


POLICIES = {
    "allow": (
        "both",
        """
    fake_llm.script(call("both", what="b"), "On that too.", "Both are there.")
    assert told(await user_says("again")) == [
        "both(what='b')", "begun", "On that too.",
        "both(what='a')", "both -> 'found a'", "both(what='b')", "both -> 'found b'",
        "Both are there.",
    ]
""",
    ),
    "reject": (
        "once",
        """
    fake_llm.script(call("once", what="b"), "I am at it already.", "There it is.")
    events = told(await user_says("again"))
    assert events[1].startswith("once -> 'Same tool `once` is already running")
    assert events[2:] == [
        "I am at it already.", "once(what='a')", "once -> 'found a'", "There it is.",
    ]
""",
    ),
    "confirm": (
        "sure",
        """
    again = call("sure", what="b", lk_agents_confirm_duplicate=True)
    fake_llm.script(call("sure", what="b"), again, "On both.", "Both are there.")
    events = told(await user_says("again"))
    assert events[1].startswith("sure -> 'Same tool `sure` is already running")
    assert events[2].startswith("sure(what='b', lk_agents_confirm_duplicate=True")
    assert events[3:5] == ["begun", "On both."]
    assert [event for event in events if "found" in event] == [
        "sure -> 'found a'", "sure -> 'found b'",
    ]
""",
    ),
    "reject the same": (
        "each",
        """
    fake_llm.script(call("each", what="a"), "I am at it already.")
    events = told(await user_says("again", settle=False))
    assert events[1].startswith("each -> 'Same tool `each` is already running")
    fake_llm.script(call("each", what="b"), "On that too.", "Both are there.")
    assert told(await user_says("and b")) == [
        "each(what='b')", "begun", "On that too.",
        "each(what='a')", "each -> 'found a'", "each(what='b')", "each -> 'found b'",
        "Both are there.",
    ]
""",
    ),
    "replace what stays": (
        "stays",
        """
    fake_llm.script(call("stays", what="b"), "I cannot.", "There it is.")
    events = told(await user_says("again"))
    assert events[1].startswith("stays failed 'cannot replace duplicate call of `stays`")
    assert events[2:] == ["I cannot.", "stays(what='a')", "stays -> 'found a'", "There it is."]
""",
    ),
    "replace": (
        "last",
        """
    fake_llm.script(call("last", what="b"), "That instead.", "There it is.")
    assert told(await user_says("again")) == [
        "last(what='b')", "begun", "That instead.", "last(what='b')", "last -> 'found b'",
        "There it is.",
    ]
""",
    ),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_second_call_does_to_one_that_runs(office, policy):
    tool, again = POLICIES[policy]
    result = office(
        f"""
async def test_it(user_says, fake_llm, transcript):
    fake_llm.script(call("{tool}", what="a"), "On it.")
    await user_says("look", settle=False)
{again}
    assert transcript.turns[-1].took == 20
"""
    )
    result.outcomes(passed=1)


SECOND_CALLS = """
  - label: allow
    turns:
      - user: look
        llm: [{call: {both: {what: a}}}, On it.]
        settle: false
      - user: again
        llm: [{call: {both: {what: b}}}, On that too., Both are there.]
        expect:
          - function_call_output: {name: both, contains: begun}
          - message: On that too.
          - function_call: {name: both, arguments: {what: a}}
          - function_call_output: {name: both, output: found a}
          - function_call: {name: both, arguments: {what: b}}
          - function_call_output: {name: both, output: found b}
          - message: Both are there.
        within: 20s
  - label: reject
    turns:
      - user: look
        llm: [{call: {once: {what: a}}}, On it.]
        settle: false
      - user: again
        llm: [{call: {once: {what: b}}}, I am at it already., There it is.]
        expect:
          - function_call_output: {name: once, contains: is already running, is_error: false}
          - message: I am at it already.
          - function_call: {name: once, arguments: {what: a}}
          - function_call_output: {name: once, output: found a}
        within: 20s
  - label: reject the same
    turns:
      - user: look
        llm: [{call: {each: {what: a}}}, On it.]
        settle: false
      - user: again
        llm: [{call: {each: {what: a}}}, I am at it already.]
        expect: [function_call_output: {name: each, contains: is already running}]
        settle: false
      - user: and b
        llm: [{call: {each: {what: b}}}, On that too., Both are there.]
        expect:
          - function_call_output: {name: each, contains: begun}
          - function_call: each
          - function_call_output: {name: each, output: found a}
          - function_call: each
          - function_call_output: {name: each, output: found b}
        within: 20s
  - label: confirm
    turns:
      - user: look
        llm: [{call: {sure: {what: a}}}, On it.]
        settle: false
      - user: again
        llm:
          - call: {sure: {what: b}}
          - call: {sure: {what: b, lk_agents_confirm_duplicate: true}}
          - On that too.
          - Both are there.
        expect:
          - function_call_output: {name: sure, contains: Re-call with confirm duplicate True}
          - function_call: {name: sure, arguments: {lk_agents_confirm_duplicate: true}}
          - function_call_output: {name: sure, contains: begun}
          - function_call: sure
          - function_call_output: {name: sure, output: found a}
          - function_call: sure
          - function_call_output: {name: sure, output: found b}
        within: 20s
  - label: replace
    turns:
      - user: look
        llm: [{call: {last: {what: a}}}, On it.]
        settle: false
      - user: again
        llm: [{call: {last: {what: b}}}, That instead., There it is.]
        expect:
          - function_call_output: {name: last, contains: begun}
          - function_call: {name: last, arguments: {what: b}}
          - function_call_output: {name: last, output: found b}
        within: 20s
  - label: replace what stays
    turns:
      - user: look
        llm: [{call: {stays: {what: a}}}, On it.]
        settle: false
      - user: again
        llm: [{call: {stays: {what: b}}}, I cannot., There it is.]
        expect:
          - function_call_output: {name: stays, is_error: true, contains: is not cancellable}
          - function_call: stays
          - function_call_output: {name: stays, output: found a}
        within: 20s
  - label: replace what stays, unawares
    turns:
      - user: look
        llm: [{call: {stays: {what: a}}}, On it.]
        settle: false
      - user: again
        llm: [{call: {stays: {what: b}}}, I cannot., There it is.]
"""


def test_a_scenario_expects_what_a_second_call_does(office):
    result = office(scenarios=SECOND_CALLS)
    result.outcomes(passed=6, failed=1)
    result.shows(
        "office.yaml:*: replace what stays, unawares, turn 2: the tool stays failed",
        ">>> [2] function_call_output   stays failed 'cannot replace duplicate call of `stays`: *",
        "if that is right, list it under expect: - function_call_output: {name: stays, "
        "is_error: true}",
    )


def test_a_running_tool_is_listed_and_cancelled_by_the_model(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("sure", what="a").with_id("first"), "On it.")
    await user_says("look", settle=False)
    fake_llm.script(
        call("lk_agents_get_running_tasks"),
        call("lk_agents_cancel_task", call_id="first"),
        "I stopped.",
    )
    turn = await user_says("stop")
    assert "'call_id': 'first'" in turn.events[2].output
    assert turn.events[4].output == "Task first cancelled successfully."
    assert (turn.took, turn.events[-1].text) == (0, "I stopped.")

async def test_one_that_is_over(user_says, fake_llm):
    fake_llm.script(call("sure", what="a").with_id("first"), "On it.", "There it is.")
    await user_says("look")
    fake_llm.script(call("lk_agents_cancel_task", call_id="first"), "It is over.")
    turn = await user_says("stop")
    assert (turn.events[2].output, turn.events[2].is_error) == ("Task first not found", True)
""",
    )
    result.outcomes(passed=2)


def test_a_tool_that_is_not_cancellable_is_neither_listed_nor_cancelled(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("both", what="a").with_id("first"), "On it.")
    await user_says("look", settle=False)
    fake_llm.script(
        call("lk_agents_get_running_tasks"),
        call("lk_agents_cancel_task", call_id="first"),
        "I cannot stop it.",
        "There it is.",
    )
    turn = await user_says("stop")
    assert "first" not in turn.events[2].output
    assert (turn.events[4].output, turn.events[4].is_error) == (
        "Tool call first is not cancellable", True,
    )
    assert told(turn)[4:] == [
        "I cannot stop it.", "both(what='a')", "both -> 'found a'", "There it is.",
    ]
    assert turn.took == 20
""",
    )
    result.outcomes(passed=1)


def test_a_scenario_lists_and_cancels_a_running_tool(office):
    result = office(
        scenarios="""
  - label: Cancelled
    turns:
      - user: look
        llm: [{call: {sure: {what: a}}}, On it.]
        settle: false
      - user: stop
        llm:
          - call: {lk_agents_get_running_tasks: {}}
          - call: {lk_agents_cancel_task: {call_id: call_1}}
          - I stopped.
        expect:
          - function_call_output: {name: lk_agents_get_running_tasks, contains: "'call_1'"}
          - function_call_output: {output: Task call_1 cancelled successfully.}
        within: 0s
      - wait: 1m
        expect: []
  - label: Not cancellable
    turns:
      - user: look
        llm: [{call: {both: {what: a}}}, On it.]
        settle: false
      - user: stop
        llm:
          - call: {lk_agents_cancel_task: {call_id: call_1}}
          - I cannot stop it.
          - There it is.
        expect:
          - function_call_output: {name: lk_agents_cancel_task, is_error: true, contains: not canc}
          - function_call: both
          - function_call_output: {name: both, output: found a}
        within: 20s
"""
    )
    result.outcomes(passed=2)


def test_a_tool_outlives_the_hand_over_to_an_agent_task(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("search", what="a"), "On it.")
    await user_says("search", settle=False)
    fake_llm.script(call("register"), "Your name?")
    turn = await user_says("register me")
    assert told(turn) == ["register()", "Office -> AskName", "Your name?"]
    assert turn.took == 0
    fake_llm.script(call("note", name="Maya"), "Registered.", "Half of it.", "There it is.")
    turn = await user_says("Maya")
    assert told(turn) == [
        "note(name='Maya')", "note -> ''", "AskName -> Office",
        "register -> 'registered Maya'", "Registered.",
        "search(what='a')", "half done", "Half of it.",
        "search(what='a')", "search -> 'found a'", "There it is.",
    ]
    assert turn.took == 30
""",
    )
    result.outcomes(passed=1)


@pytest.mark.skipif(
    livekit_version.startswith("1.7."),
    reason="here the AgentTask tells what the tools of the agent before report",
)
def test_a_scenario_expects_what_outlives_a_hand_over(office):
    result = office(
        scenarios="""
  - label: An AgentTask in between
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it.]
        settle: false
      - user: register me
        llm: [{call: {register: {}}}, Your name?]
        expect: [function_call: register, agent_handoff: AskName, message: Your name?]
        within: 0s
      - wait: 25s
        expect: [function_call: search, function_call_output: {name: search, contains: half done}]
        settle: false
      - user: Maya
        llm: [{call: {note: {name: Maya}}}, Registered., Half of it., There it is.]
        expect:
          - function_call_output: {name: note}
          - agent_handoff: {from: AskName, to: Office}
          - function_call_output: {name: register, output: registered Maya}
          - message: Registered.
          - message: Half of it.
          - function_call: search
          - function_call_output: {name: search, output: found a}
          - message: There it is.
        within: 5s
"""
    )
    result.outcomes(passed=1)


def test_another_agent_waits_for_the_tools_of_the_one_before(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("both", what="a"), "On it.")
    await user_says("look", settle=False)
    fake_llm.script(call("leave"))
    turn = await user_says("leave")
    assert told(turn) == [
        "leave()", "leave -> ''", "both(what='a')", "both -> 'found a'", "Office -> Annex",
    ]
    assert turn.took == 20

async def test_a_cancellable_one_is_cancelled(user_says, fake_llm):
    fake_llm.script(call("sure", what="a"), "On it.")
    await user_says("look", settle=False)
    fake_llm.script(call("leave"))
    turn = await user_says("leave")
    assert told(turn) == ["leave()", "leave -> ''", "Office -> Annex"]
    assert turn.took == 0
"""
    )
    result.outcomes(passed=2)


OF_THE_SESSION = """
from livekit.agents.llm.async_toolset import AsyncToolset

@pytest.fixture
def session_options():
    return {"tools": [AsyncToolset(id="roaming", tools=[roam])]}
"""


def test_the_next_agent_tells_what_a_tool_of_the_session_found(office):
    result = office(
        f"""
from office import roam
{OF_THE_SESSION}
async def test_it(user_says, fake_llm):
    fake_llm.script(call("roam", what="a"), "On it.")
    await user_says("look", settle=False)
    fake_llm.script(call("leave"), "Half of it.", "There it is.")
    turn = await user_says("leave")
    assert told(turn) == [
        "leave()", "leave -> ''", "Office -> Annex",
        "roam(what='a')", "half done", "Half of it.",
        "roam(what='a')", "roam -> 'found a'", "There it is.",
    ]
    assert (turn.took, turn.events[-1].agent) == (30, "Annex")
""",
    )
    result.outcomes(passed=1)


def test_a_tool_that_holds_the_floor_for_the_user_waits_for_the_user(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("urgent"), "Looking.", "Your name?")
    turn = await user_says("it is urgent")
    assert told(turn) == ["urgent()", "begun", "Looking.", "Office -> AskName", "Your name?"]
    assert turn.took == 5
    fake_llm.script(call("note", name="Maya"), "Done, Maya.")
    turn = await user_says("Maya")
    assert told(turn)[-3:] == ["urgent()", "urgent -> 'urgent for Maya'", "Done, Maya."]
""",
    )
    result.outcomes(passed=1)
    result = office(
        scenarios="""
  - label: It asks in between
    turns:
      - user: it is urgent
        llm: [{call: {urgent: {}}}, Looking., Your name?]
        expect: [..., {agent_handoff: AskName}]
      - user: Maya
        llm: [{call: {note: {name: Maya}}}, "Done, Maya."]
        expect: [..., {function_call_output: {name: urgent, output: urgent for Maya}}]
""",
    )
    result.outcomes(passed=1)


def test_an_update_for_which_no_reply_is_scripted_is_told_with_what_was_asked(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("search", what="a"), "On it.")
    await user_says("search")
"""
    )
    result.outcomes(failed=1)
    result.shows(
        "E *UnscriptedRequest: Office asked its model for a completion that nobody scripted",
        'E *asked to: "New results arrived from background tool calls (call_ids: *call_1_update_1*',
        "E *add a step for it: fake_llm.script(say('…'))",
    )


def test_a_background_tool_that_never_returns_is_named(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("never"), "On it.")
    await user_says("go")
"""
    )
    result.outcomes(failed=1)
    result.shows(
        "E *Stuck: user_says('go') cannot finish: nothing can happen any more; the tool never "
        "waits at office.py:*",
        "E *still running:",
        "E *the tool never at office.py:*: await asyncio.Event().wait()",
    )


def test_one_that_raises_after_its_update_fails_the_turn_in_which_it_does(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("breaks"), "On it.", "Sorry.")
    await user_says("go")
""",
    )
    result.outcomes(failed=1)
    result.shows('> * raise LookupError("no calendar")', "E *LookupError: no calendar")


def test_a_tool_error_after_the_update_is_told_to_the_model(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("refuses"), "On it.", "It is closed.")
    turn = await user_says("go")
    assert told(turn)[3:] == ["refuses()", "refuses failed 'closed today'", "It is closed."]
    assert (turn.took, turn.events[-2].call_id) == (5, "call_1_final")
""",
    )
    result.outcomes(passed=1)


def test_a_scenario_says_what_went_wrong_in_the_background(office):
    result = office(
        scenarios="""
  - label: Nobody scripted the updates
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it.]
  - label: Never
    turns:
      - user: go
        llm: [{call: {never: {}}}, On it.]
  - label: Breaks
    turns:
      - user: go
        llm: [{call: {breaks: {}}}, On it., Sorry.]
  - label: Breaks, as expected
    turns:
      - user: go
        llm: [{call: {breaks: {}}}, On it., Sorry.]
        expect:
          - function_call_output: {name: breaks, contains: begun}
          - function_call: breaks
          - function_call_output: {name: breaks, is_error: true}
  - label: Refuses
    turns:
      - user: go
        llm: [{call: {refuses: {}}}, On it., It is closed.]
  - label: Too slow
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it., Half of it., There it is.]
        within: 29s
"""
    )
    result.outcomes(passed=1, failed=5)
    result.shows(
        "office.yaml:*: Nobody scripted the updates, turn 1: Office asked its model for a "
        "completion that nobody scripted",
        'asked to: "New results arrived from background tool calls (call_ids: *call_1_update_1*',
        "add it to llm: of turn 1 (office.yaml:6)",
        "office.yaml:*: Never, turn 1: user_says('go') cannot finish: nothing can happen any more; "
        "the tool never waits at office.py:*",
        "the tool never at office.py:*: await asyncio.Event().wait()",
        "E *LookupError: no calendar",
        "E *in office.yaml:*: Breaks, turn 1",
        "office.yaml:*: Refuses, turn 1: the tool refuses failed",
        ">>> [5] function_call_output   refuses failed 'closed today'",
        "office.yaml:*: Too slow, turn 1: the turn took 30 s from beginning to end, and "
        "should take 29 s at most",
    )


def test_what_comes_late_is_told_of_the_turn_in_which_it_comes(office):
    result = office(
        scenarios="""
  - label: Expected too early
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it.]
        settle: false
        expect: [..., {function_call_output: {name: search, output: found a}}]
  - label: Not scripted
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it.]
        settle: false
      - user: how are you?
        llm: [Fine., Half of it.]
  - label: Not expected
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it.]
        settle: false
      - user: how are you?
        llm: [Fine., Half of it., There it is.]
        expect: []
  - label: Breaks
    turns:
      - user: go
        llm: [{call: {breaks: {}}}, On it.]
        settle: false
      - user: how are you?
        llm: [Fine., Sorry.]
"""
    )
    result.outcomes(failed=4)
    result.shows(
        "office.yaml:*: Expected too early, turn 1: expected function_call_output search 'found a'",
        "closest: output differs: expected 'found a', got *",
        "office.yaml:*: Not scripted, turn 2: Office asked its model for a completion that nobody "
        "scripted",
        "request 5, last input: 'found a'",
        "office.yaml:*: Not expected, turn 2: not expected: function_call search(what='a')",
        ">>> [2] function_call          search(what='a')",
        "E *LookupError: no calendar",
        "E *in office.yaml:*: Breaks, turn 2",
    )


def test_what_comes_between_two_turns_fails_the_test_as_well(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("search", what="a"), "On it.")
    await user_says("search", settle=False)
    await asyncio.sleep(25)
"""
    )
    result.outcomes(failed=1)
    result.shows(
        "Office asked its model for a completion that nobody scripted",
        'asked to: "New results arrived from background tool calls (call_ids: *call_1_update_1*',
    )


@pytest.mark.skipif(
    "silent" not in inspect.signature(RunContext.update).parameters,
    reason="this livekit-agents has no silent updates",
)
def test_a_silent_update_is_in_the_transcript_and_asks_for_no_reply(office):
    agent = """

class Quiet(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You look things up in silence.")

    @function_tool
    async def hush(self, ctx: RunContext) -> str:
        "Look in silence."
        await ctx.update("begun", silent=True)
        await asyncio.sleep(20)
        await ctx.update("half done", silent=True)
        await asyncio.sleep(10)
        return "found it"
"""
    result = office(
        """
from office import Quiet

@pytest.mark.lk(agent=Quiet)
async def test_it(user_says, fake_llm):
    fake_llm.script(call("hush"), "There it is.")
    turn = await user_says("look")
    assert told(turn) == [
        "hush()", "begun", "hush()", "half done", "hush()", "hush -> 'found it'", "There it is.",
    ]
    assert (turn.took, len(fake_llm.requests)) == (30, 2)
""",
        also=agent,
    )
    result.outcomes(passed=1)


def test_a_test_may_end_while_a_tool_runs_and_it_ends_too(office):
    result = office(
        """
async def test_it(user_says, fake_llm):
    fake_llm.script(call("search", what="a"), "On it.")
    await user_says("go", settle=False)

async def test_next(user_says, fake_llm, transcript):
    fake_llm.script("Hello.")
    turn = await user_says("hi")
    assert told(turn) == ["Hello."]
"""
    )
    result.outcomes(passed=2)


def test_so_may_a_scenario_unless_more_is_scripted_or_the_tool_never_ends(office):
    result = office(
        scenarios="""
  - label: It runs on
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it.]
        settle: false
  - label: More is scripted
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it., Half of it.]
        settle: false
  - label: It never ends
    turns:
      - user: go
        llm: [{call: {never: {}}}, On it.]
        settle: false
"""
    )
    result.outcomes(passed=1, failed=2)
    result.shows(
        "office.yaml:12: More is scripted, turn 1: scripted, and never asked for: "
        "say('Half of it.')",
        "office.yaml:*: It never ends: closing the session cannot finish: nothing can happen any "
        "more; the tool never waits at office.py:*",
    )


def test_so_may_a_tool_of_a_toolset(office):
    result = office(
        f"""
from office import roam
{OF_THE_SESSION}
async def test_it(user_says, fake_llm):
    fake_llm.script(call("roam", what="a"), "On it.")
    await user_says("go", settle=False)

async def test_settled(user_says, fake_llm):
    fake_llm.script(call("roam", what="a"), "On it.", "Half of it.", "There it is.")
    turn = await user_says("go")
    assert told(turn)[-3:] == ["roam(what='a')", "roam -> 'found a'", "There it is."]
"""
    )
    result.outcomes(passed=2)


def test_a_reply_belongs_to_the_turn_in_which_it_comes(office):
    result = office(
        scenarios="""
  - label: Too early
    turns:
      - user: search
        llm: [{call: {search: {what: a}}}, On it., Half of it., There it is.]
        settle: false
      - user: how are you?
        llm: [Fine.]
"""
    )
    result.outcomes(failed=1)
    result.shows(
        "office.yaml:7: Too early, turn 1: scripted, and never asked for: say('Half of it.')",
        "and say('There it is.') (office.yaml:7)",
    )


LATE = """
import asyncio
from livekit.agents import RunContext, function_tool

class Late(Agent):
    def __init__(self):
        super().__init__(instructions="You look things up.")

    @function_tool
    async def look(self, ctx: RunContext, how: str) -> str:
        await ctx.update("begun")
        await asyncio.sleep(20)
        if how == "raises":
            raise LookupError("no such shelf")
        if how == "fails":
            raise RuntimeError("no such floor")
        if how == "speaks":
            await ctx.session.generate_reply(instructions="say that it is there")
        return "found"

@pytest.mark.lk(agent=Late)
@pytest.mark.parametrize("how", ["raises", "fails", "speaks", "returns"])
async def test_it(user_says, fake_llm, how):
    fake_llm.script(call("look", how=how), "On it.")
    await user_says("look", settle=False)
"""


def test_what_a_tool_raises_while_the_session_closes_fails_the_test(office):
    result = office(LATE)
    result.outcomes(failed=2, passed=2)  # LiveKit refuses the one that speaks: the call is over
    result.shows("E *LookupError: no such shelf", "E *RuntimeError: no such floor")


WAITS = """
  - label: Registered
    turns:
      - user: register me
        llm: [{call: {register: {}}}, What is your name?]
        expect: [function_call: register, %s ...]
      - user: Ada
        llm: [{call: {note: {name: Ada}}}, Done.]
        expect: [..., function_call_output: {name: register, output: registered %s}, message: Done.]
"""
REGISTERED = "function_call_output: {name: register, output: registered Ada},"


def test_of_a_tool_that_waits_for_the_user_the_output_is_listed_where_it_comes(office):
    result = office(scenarios=WAITS % (REGISTERED, "Ada"))
    result.outcomes(failed=1)
    result.shows(
        "*turn 1: expected function_call_output register 'registered Ada'",
        "closest: none, there was no other function_call_output",
        "register is still at work: its output is listed in the turn in which it comes",
    )
    office(scenarios=WAITS % ("", "Ada")).outcomes(passed=1)


def test_of_another_tool_nothing_is_said_of_one_that_waits(office):
    another = REGISTERED.replace("name: register", "name: leave")
    result = office(scenarios=WAITS % (another, "Ada"))
    result.outcomes(failed=1)
    result.shows_no("*still at work*")


def test_nor_of_one_that_is_done(office):
    result = office(scenarios=WAITS % ("", "Bob"))
    result.shows("*turn 2: expected function_call_output register 'registered Bob'")
    result.shows_no("*still at work*")
