"""The projects that are measured: folders with tests, scenarios or features, all saying the same.

Every one holds as many items as it is told, so that a run of many less a run of one is the cost of
the items, without the start of pytest and the import of livekit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

__all__ = [
    "BY_HAND",
    "ENTRYPOINTS",
    "FEATURE",
    "LONG_ENTRYPOINT",
    "PLAIN",
    "SCENARIOS",
    "SNAPSHOTS",
    "Project",
    "large_file",
]

_INI = """\
[pytest]
asyncio_default_fixture_loop_scope = function
"""

_BY_HAND = """\
import pytest
from by_hand import tool_turns


@pytest.mark.asyncio
@pytest.mark.parametrize("number", range({count}))
async def test_books(number):
    await tool_turns()
"""

_PLAIN = """\
import pytest


@pytest.mark.parametrize("number", range({count}))
def test_books(number):
    pass
"""

_SCENARIO = """\
- label: Books slot {number}
  turns:
    - user: 2 pm please
      llm:
        - call: {{book: {{slot: 2pm}}}}
        - Booked.
      expect:
        - function_call_output: {{name: book, contains: booked}}
"""

_FEATURE = """\

  Scenario: Books slot {number}
    Given a front desk
    When the user says 2 pm please
    Then the agent says Booked.
"""

_STEPS = """\
import by_hand
from pytest_bdd import given, parsers, scenarios, then, when

scenarios("desk.feature")


@given("a front desk")
def desk():
    pass


@when(parsers.parse("the user says {text}"))
def user_says(text):
    pass


@then(parsers.parse("the agent says {text}"))
def agent_says(text):
    pass
"""


class Project:
    """A kind of project: its files for a number of items, and the arguments that run it."""

    def __init__(self, name: str, files: Callable[[int], dict[str, str]], *arguments: str) -> None:
        self.name = name
        self.arguments = arguments
        self._files = files

    def write(self, parent: Path, count: int) -> Path:
        """Write the project with `count` items into a folder of its own, and return that."""
        folder = parent / f"{self.name.replace(' ', '_')}_{count}"
        folder.mkdir()
        shutil.copy(Path(__file__).with_name("by_hand.py"), folder)
        for name, content in {"pytest.ini": _INI, **self._files(count)}.items():
            (folder / name).write_text(content, encoding="utf-8")
        return folder


def _scenario_file(count: int) -> str:
    scenarios = "".join(_SCENARIO.format(number=number) for number in range(count))
    return f"agent: by_hand.py:FrontDesk\nscenarios:\n{indent(scenarios, '  ')}"


def _one_scenario(turns: int) -> str:
    label, key, turn = _SCENARIO.format(number=0).partition("  turns:\n")
    return label + key + turn * turns


def large_file(count: int) -> str:
    """Return a scenario file whose scenarios have LiveKit's texts too, some 700 bytes each."""
    story = "You are Maya, and you want an appointment at two in the afternoon. " * 7
    return _scenario_file(count).replace("    turns:", f"    instructions: {story}\n    turns:")


BY_HAND = Project(
    "written by hand",
    lambda count: {"test_desk.py": _BY_HAND.format(count=count)},
    *("-p", "no:lkagent"),
)
PLAIN = Project(
    "plain parametrized tests",
    lambda count: {"test_desk.py": _PLAIN.format(count=count)},
    *("-p", "no:lkagent"),
)
SCENARIOS = Project(
    "pytest-lkagent",
    lambda count: {"desk.yaml": _scenario_file(count)},
    "--lk-scenarios=desk.yaml",
)
_SERVER = """\
from by_hand import FrontDesk
from livekit.agents import AgentServer, AgentSession

server = AgentServer()


@server.rtc_session(on_simulation_end=lambda context: None)
async def entrypoint(context):
    await context.connect()
    await AgentSession(llm="openai/gpt-4.1-mini").start(FrontDesk(), room=context.room)
"""

ENTRYPOINTS = Project(
    "through its entrypoint",
    lambda count: {
        "server.py": _SERVER,
        "desk.yaml": _scenario_file(count).replace(
            "agent: by_hand.py:FrontDesk", "entrypoint: server.py:server"
        ),
    },
    "--lk-scenarios=desk.yaml",
)
LONG_ENTRYPOINT = Project(
    "a long conversation through an entrypoint",
    lambda count: {
        "server.py": _SERVER,
        "desk.yaml": f"entrypoint: server.py:server\nscenarios:\n{_one_scenario(count)}",
    },
    "--lk-scenarios=desk.yaml",
)
SNAPSHOTS = Project(
    "with a snapshot each",
    lambda count: {
        "desk.yaml": _scenario_file(count).replace("    turns:", "    snapshot: true\n    turns:")
    },
    "--lk-scenarios=desk.yaml",
)
FEATURE = Project(
    "pytest-bdd",
    lambda count: {
        "desk.feature": "Feature: Front desk\n"
        + "".join(_FEATURE.format(number=number) for number in range(count)),
        "test_desk.py": _STEPS,
    },
    *("-p", "no:lkagent"),
)


_HANGS = """\
import asyncio

import pytest
from by_hand import FrontDesk
from pytest_lkagent import call, say


@pytest.fixture
def agent():
    return FrontDesk


@pytest.mark.parametrize("number", range({count}))
async def test_books(user_says, fake_llm, mock_tool, number):
    @mock_tool(FrontDesk, "book", optional=True)
    async def book():
        await asyncio.Event().wait()

    fake_llm.script(call("book", slot="2pm") if number % 10 == {hangs} else say("Hello."))
    await user_says("2 pm please")
"""

SOUND = Project("none hangs", lambda count: {"test_desk.py": _HANGS.format(count=count, hangs=10)})
HANGING = Project(
    "every tenth hangs", lambda count: {"test_desk.py": _HANGS.format(count=count, hangs=5)}
)
