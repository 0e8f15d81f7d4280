"""A tool that takes longer: it begins at once, and what it awaits comes later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.agents import ToolError

from pytest_lkagent.frames import frames
from pytest_lkagent.slowed import Slowed

DESK = """
import asyncio

from livekit.agents import Agent, AgentTask, RunContext, function_tool


class AskEmail(AgentTask[str]):
    def __init__(self):
        super().__init__(instructions="Ask for the email address.")

    async def on_enter(self):
        self.session.generate_reply(instructions="Ask.")

    @function_tool
    async def got(self, address: str) -> None:
        self.complete(address)


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You take payments.")

    @function_tool
    async def pay(self, context: RunContext, cents: int) -> str:
        context.disallow_interruptions()  # it cannot be taken back
        await asyncio.sleep(2)
        return "paid"

    @function_tool
    async def receipt(self, context: RunContext) -> str:
        return f"sent to {await AskEmail()}"

    @function_tool
    async def total(self) -> str:
        return "2 euros"
"""
PAYS = """
      - user: I pay
        interrupt: 100ms
        llm: [{call: {pay: {cents: 200}}}, Thank you.]
        expect:
          - function_call: {name: pay}
          - function_call_output: {name: pay, contains: paid}
          - ...
"""
RECEIPT = """
      - user: a receipt
        interrupt: 100ms
        llm: [{call: {receipt: {}}}, Which address?]
        expect:
          - function_call: {name: receipt}
          - agent_handoff: {from: Desk, to: AskEmail}
          - ...
"""
BOTH = """
      - user: the total, and pay
        llm: [call: {total: {}, pay: {cents: 200}}, Thank you.]
        expect:
          - function_call: {name: total}
          - function_call: {name: pay}
          - function_call_output: {name: pay}
          - function_call_output: {name: total}
          - ...
"""


@pytest.mark.parametrize(
    ("delays", "turns"),
    [
        ("{pay: [200ms]}", PAYS),
        ("{receipt: [200ms]}", RECEIPT),
        ("{total: [3s]}", BOTH),
        ("{total: [3s], pay: [500ms]}", BOTH),
    ],
)
def test_a_tool_that_takes_longer_has_begun_when_the_user_cuts_in(project, delays, turns):
    scenario = (
        f"agent: desk.py:Desk\nscenarios:\n  - label: Pays\n    fuzz: {{delays: {delays}}}\n"
        f"    turns:{turns}"
    )
    files = {"desk.py": DESK, "found.yaml": scenario}
    project(files).run("--lk-scenarios=found.yaml").outcomes(passed=1)


Did = list[str]


def slowed(did: Did, body: Callable[[Did], Awaitable[str]], *, pause: float = 1) -> Any:
    """Make a task of a body that is slowed by a pause."""

    async def begun() -> str:
        return await body(did)

    async def held() -> None:
        did.append("held")
        await asyncio.sleep(pause)
        did.append("let go")

    async def whole() -> str:
        return await Slowed(begun(), held)

    return asyncio.ensure_future(whole())


async def sleeps(did: Did) -> str:
    did.append("began")
    await asyncio.sleep(0)
    did.append("went on")
    await asyncio.sleep(0)
    return "done"


async def returns(did: Did) -> str:
    did.append("began")
    return "done"


async def refuses(did: Did) -> str:
    did.append("began")
    raise ToolError("taken")


async def copes(did: Did) -> str:
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        did.append("called off")
    await asyncio.sleep(0)
    return "done all the same"


async def fails_while_it_waits(did: Did) -> str:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, ConnectionError("down"))
    try:
        await future
    except ConnectionError:
        did.append("failed")
    return "done"


@pytest.mark.parametrize(
    ("body", "did"),
    [
        (sleeps, ["began", "held", "let go", "went on"]),
        (returns, ["began", "held", "let go"]),
        (fails_while_it_waits, ["failed", "held", "let go"]),
    ],
)
def test_it_begins_at_once_and_goes_on_or_is_done_later(body, did):
    done: Did = []

    async def test() -> str:
        task = slowed(done, body, pause=0)
        return str(await task)

    assert asyncio.run(test()) == "done"
    assert done == did


def test_what_it_raises_comes_later_too():
    did: Did = []

    async def test() -> None:
        with pytest.raises(ToolError, match="taken"):
            await slowed(did, refuses, pause=0)

    asyncio.run(test())
    assert did == ["began", "held", "let go"]


@pytest.mark.parametrize("body", [sleeps, returns])
def test_who_calls_it_off_while_it_is_held_calls_off_what_it_does(body):
    did: Did = []

    async def test() -> None:
        task = slowed(did, body)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(test())
    assert did == ["began", "held"]


def test_it_may_cope_with_being_called_off():
    did: Did = []

    async def test() -> str:
        task = slowed(did, copes)
        await asyncio.sleep(0.01)
        task.cancel()
        return str(await task)

    assert asyncio.run(test()) == "done all the same"
    assert did == ["held", "called off"]


def test_where_it_waits_is_seen_as_of_any_coroutine():
    async def test() -> list[str]:
        task = slowed([], sleeps)
        await asyncio.sleep(0.01)
        seen = [frame.f_code.co_name for frame in frames(task.get_coro())]
        task.cancel()
        return seen

    assert asyncio.run(test())[:3] == ["whole", "begun", "sleeps"]
