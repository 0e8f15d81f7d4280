"""A small front desk to test the plugin with, and what no run may ever show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from textwrap import dedent

import pytest
from project import Project, Result

AGENT = '''\
from livekit.agents import Agent, AgentTask, RunContext, function_tool


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book visits.")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        return f"booked {slot}"


class Greeter(Agent):
    def __init__(self, ask: str = "Greet the caller.") -> None:
        super().__init__(instructions="You say hello.")
        self.ask = ask

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions=self.ask)
'''

CONFTEST = """\
import pytest
from agent import FrontDesk


@pytest.fixture
def agent():
    return FrontDesk
"""

# One place for what nearly every test file of a project imports.
IMPORTS = """\
import asyncio
import os

import pytest
from agent import FrontDesk, Greeter
from livekit.agents import APIConnectionError, Agent, get_job_context
from pytest_lkagent import Message, call, fail, reply, say

"""

INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"


class Desk:
    """A project in which FrontDesk is under test.

    Every run has to end without an INTERNALERROR and without a line of our own code on the screen.
    """

    def __init__(self, made: Project) -> None:
        self._made = made

    def run(self, *arguments: str, subprocess: bool = False) -> Result:
        result = self._made.run(*arguments, subprocess=subprocess)
        return shows_nothing_of_ours(result)


def shows_nothing_of_ours(result: Result) -> Result:
    result.shows_no("*INTERNALERROR*", "*pytest_lkagent/*", "*coroutine * was never awaited*")
    assert "INTERNALERROR" not in result.stderr
    assert "pytest_lkagent/" not in result.stderr
    return result


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(project: Callable[[Mapping[str, str]], Project]) -> MakeDesk:
    """Make a project in which FrontDesk is under test; ``*.py`` tests get the usual imports."""

    def make(files: Mapping[str, str | bytes], /, *, ini: str = "") -> Project:
        given = {
            name: IMPORTS + dedent(content).removeprefix("\n")
            if PurePath(name).match("test_*.py")
            else content
            for name, content in files.items()
        }
        base = {"pytest.ini": INI + ini, "agent.py": AGENT, "conftest.py": CONFTEST}
        return Desk(project({**base, **given}))

    return make


HANDLING = """

@pytest.fixture
def session_options(request):
    marker = request.node.get_closest_marker("handling")
    return {"turn_handling": marker.kwargs} if marker else {}
"""


@pytest.fixture
def calls(desk: MakeDesk) -> Callable[..., Result]:
    """Run tests of calls with FrontDesk, who waits to be spoken to.

    Their mark ``handling`` says how LiveKit is to handle turns.
    """
    ini = "markers = handling: how LiveKit handles turns\n"

    def run(body: str, *arguments: str, subprocess: bool = False) -> Result:
        files = {"conftest.py": CONFTEST + HANDLING, "test_it.py": body}
        return desk(files, ini=ini).run(*arguments, subprocess=subprocess)

    return run


@pytest.fixture
def refused() -> Callable[[Result, str], None]:
    """Hold that pytest refused its command line with this one line, and ran nothing."""

    def check(result: Result, line: str) -> None:
        assert result.exit_status == pytest.ExitCode.USAGE_ERROR, str(result)
        assert not result.counts, str(result)
        told = Result(result.exit_status, result.stderr, "", {})
        told.shows(f"ERROR: {line}")

    return check
