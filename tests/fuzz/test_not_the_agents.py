"""What LiveKit raises of a drawn conversation, and is no fault of the agent's."""

from __future__ import annotations

import pytest
from livekit.agents import __version__

DESK = """
from livekit.agents import Agent, AgentTask, RunContext, ToolError, function_tool


class Ask(AgentTask[str]):
    def __init__(self):
        super().__init__(instructions="You ask for a name.")

    @function_tool
    async def decline(self) -> None:
        \"\"\"The caller does not say.\"\"\"
        if not self.done():
            self.complete(ToolError("declined"))

    @function_tool
    async def lose(self) -> None:
        \"\"\"The line is bad.\"\"\"
        if not self.done():
            self.complete(ValueError("lost"))


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You greet by name.")

    @function_tool
    async def ask(self) -> str:
        \"\"\"Ask for the name.\"\"\"
        try:
            return await Ask()
        except ToolError:
            return "nobody"

    @function_tool
    async def book(self, context: RunContext) -> None:
        \"\"\"Book, and hear the caller afterwards.\"\"\"
        context.disallow_interruptions()

    @function_tool
    async def again(self) -> None:
        \"\"\"Begin again.\"\"\"
        self.session.update_agent(Desk())

    @function_tool
    async def hang_up(self) -> None:
        \"\"\"End the call.\"\"\"
        self.session.shutdown()
"""
TWICE = """
      - user: hi
        llm: [{call: {ask: [{}, {}]}}]
"""
ONE_AT_A_TIME = pytest.mark.xfail(
    __version__.startswith("1.7."), reason="LiveKit 1.7 hangs over two AgentTasks at once"
)
CASES = {
    "the session closes in the midst of a run, as a tool asked for": """
      - user: bye
        llm: [{call: {again: {}, hang_up: {}}}]
""",
    "a tool that was interrupted before awaits an AgentTask": """
      - user: hi
        llm:
          - fail: {connection: true, attempts: 1}
          - call: {ask: {}}
        interrupt: 100ms
""",
    "a tool that was interrupted before disallows interruptions": """
      - user: hi
        llm:
          - fail: {connection: true, attempts: 1}
          - call: {book: {}}
        interrupt: 100ms
""",
}


def played(project, turns):
    head = "agent: desk.py:Desk\nscenarios:\n  - label: Drawn before\n    fuzz: {}\n    turns:\n"
    return project({"desk.py": DESK, "desk.yaml": head + turns}).run("--lk-scenarios=desk.yaml")


@pytest.mark.parametrize("turns", CASES.values(), ids=CASES)
def test_no_fault_of_the_agents(project, turns):
    played(project, turns).outcomes(passed=1)


@ONE_AT_A_TIME
def test_an_agent_task_completes_with_what_its_tool_deals_with(project):
    result = played(
        project, f"{TWICE}\n      - user: no\n        llm: [{{call: {{decline: {{}}}}}}]\n"
    )
    result.outcomes(passed=1)


@ONE_AT_A_TIME
def test_an_agent_task_completes_with_what_its_tool_does_not_deal_with(project):
    result = played(
        project, f"{TWICE}\n      - user: crackle\n        llm: [{{call: {{lose: {{}}}}}}]\n"
    )
    result.outcomes(failed=1)
    result.shows("desk.yaml:10: Drawn before, turn 2: the run raised ValueError: lost; *")
