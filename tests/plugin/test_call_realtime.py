"""An agent with a realtime model on the telephone: the same script, the same call."""

from __future__ import annotations

from textwrap import dedent

import pytest

HOST = '''\
from livekit.agents import Agent, function_tool, llm
from pytest_lkagent import FakeLLM, FakeRealtimeModel


def model(**capabilities) -> llm.RealtimeModel:
    """A model as of some other company: nobody here may ever open a session with it."""
    theirs = FakeRealtimeModel(FakeLLM(), **capabilities).capabilities
    return Theirs(capabilities=theirs)


class Theirs(llm.RealtimeModel):
    def session(self, **how):
        raise AssertionError("a connection to the model's server")

    async def aclose(self):
        pass


class Host(Agent):
    def __init__(self, llm=None, **options) -> None:
        super().__init__(instructions="You book tables.", llm=llm or model(), **options)

    @function_tool
    async def book(self, people: int) -> str:
        """Book a table."""
        return f"booked for {people}"

    @function_tool
    async def kitchen(self) -> Agent:
        """Put the caller through."""
        return Cook(self)


class Cook(Agent):
    """A pipeline."""

    def __init__(self, host) -> None:
        super().__init__(instructions="You cook.")
        self.host = host

    @function_tool
    async def back(self) -> Agent:
        """Give the caller back."""
        return self.host
'''
CONFTEST = """\
import pytest
from host import Host


@pytest.fixture
def agent():
    return Host


@pytest.fixture
def session_options(request):
    marker = request.node.get_closest_marker("session")
    return marker.kwargs if marker else {}
"""
INI = "markers = session: what the session under test is given\n"


@pytest.fixture
def telephone(desk):
    """Run tests of calls with a Host whose model hears and speaks by itself."""

    def run(body, *arguments, **files):
        named = {name.replace("_yaml", ".yaml"): content for name, content in files.items()}
        made = {
            "host.py": HOST,
            "conftest.py": CONFTEST,
            "test_it.py": HEAD + dedent(body),
            **named,
        }
        return desk(made, ini=INI).run(*arguments)

    return run


HEAD = """
import host
from pytest_lkagent import IncompleteResponse
from host import Cook, Host
"""


def test_an_agent_with_a_realtime_model_answers_a_caller(telephone):
    result = telephone("""
        async def test_a_table(voice_call, fake_llm):
            fake_llm.script(
                say("For what time?"), call("book", people=2), say("See you at eight then."),
            )
            heard = await voice_call.say("a table for two", at=1, lasts=1.5)
            answer = await voice_call.agent_answers("For what time?", within=0.6)
            assert answer.latency == 500
            assert answer.end - answer.start == 933
            await voice_call.say("eight o'clock")
            answer = await voice_call.agent_answers("See you at eight", within=0.6)
            await voice_call.settle()
            timeline = voice_call.timeline
            assert [tool.call for tool in timeline.tools] == ["book(people=2)"]
            assert [one.heard for one in timeline.user] == ["a table for two", "eight o'clock"]
            said = [one.text for one in timeline.agent]
            assert said == ["For what time?", "See you at eight then."]
        """)
    result.outcomes(passed=1)
