"""Tests, loops and options with which no session can run."""

from __future__ import annotations

from importlib.metadata import version

import pytest


@pytest.mark.parametrize("mark", ["anyio", "trio"])
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_a_test_marked_for_another_framework_is_refused_in_one_line(desk, mark, mode):
    result = desk(
        {
            "test_other.py": f"""
            @pytest.mark.{mark}
            async def test_it(user_says):
                raise AssertionError("unreachable")

            @pytest.mark.{mark}
            async def test_lightly(fake_llm):
                raise AssertionError("unreachable")
            """
        },
        ini="markers =\n    trio: of pytest-trio\n",
    ).run(f"--asyncio-mode={mode}")
    result.outcomes(errors=4 if mark == "anyio" else 2)  # anyio's tests run once for each backend
    result.shows(
        f"test_other.py::test_it* is marked for {mark}, and LiveKit's sessions run on asyncio: "
        "take the mark away, or the fixtures of pytest-lkagent",
        f"test_other.py::test_lightly* is marked for {mark}, *",
    )
    result.shows_no("During handling*", "E *", "*unreachable*")


LOOPS = {
    "a loop factory": """
import asyncio
import pytest
from agent import FrontDesk

class OwnLoop(asyncio.SelectorEventLoop):
    def run_forever(self):
        super().run_forever()
    def call_at(self, *args, **kwargs):
        return super().call_at(*args, **kwargs)

def pytest_asyncio_loop_factories(config, item):
    return {"own": OwnLoop}
""",
    "a policy": """
import asyncio
import pytest
from agent import FrontDesk

class OwnLoop(asyncio.SelectorEventLoop):
    def call_at(self, *args, **kwargs):
        return super().call_at(*args, **kwargs)

class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        return OwnLoop()

@pytest.fixture(scope="session")
def event_loop_policy():
    return Policy()
""",
    "uvloop": """
import pytest
import uvloop
from agent import FrontDesk

def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}
""",
}


@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_that_is_not_asyncios_own_is_refused_in_one_line(desk, kind):
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    if kind != "a policy" and tuple(map(int, version("pytest-asyncio").split(".")[:2])) < (1, 4):
        pytest.skip("loop factories came with pytest-asyncio 1.4")
    agent = "\n@pytest.fixture\ndef agent():\n    return FrontDesk\n"
    result = desk(
        {
            "conftest.py": LOOPS[kind] + agent,
            "test_loop.py": """
            async def test_ours(user_says):
                raise AssertionError("unreachable")

            @pytest.mark.asyncio
            async def test_theirs():
                await asyncio.sleep(0)
            """,
        },
        ini="filterwarnings = ignore::DeprecationWarning\n",
    ).run()
    result.outcomes(errors=1, passed=1)
    name = "uvloop.Loop" if kind == "uvloop" else "conftest.OwnLoop"
    result.shows(
        f"virtual time needs asyncio's own event loop, and this test runs on {name}; leave the "
        "loop factory or policy away for tests that use pytest-lkagent"
    )
    result.shows_no("During handling*", "E *", "*unreachable*")


OPTIONS = {
    ("--lk-tag=feature",): "--lk-tag 'feature': write it as KEY=VALUE, such as feature=booking",
    ("--lk-tag==booking",): "--lk-tag '=booking': write it as KEY=VALUE, such as feature=booking",
    ("--lk-timeout=soon",): (
        "--lk-timeout: 'soon' is no time to wait; write 250ms, 2s, 1m or a number of seconds"
    ),
    ("--lk-timeout=0",): (
        "--lk-timeout: '0' is no time to wait; write 250ms, 2s, 1m or a number of seconds"
    ),
    ("--lk-timeout=-3",): (
        "--lk-timeout: '-3' is no time to wait; write 250ms, 2s, 1m or a number of seconds"
    ),
    ("--lk-timeout=1e9",): (
        "--lk-timeout: '1e9' is no time to wait; write 250ms, 2s, 1m or a number of seconds"
    ),
    ("--lk-timeout=999999999",): (
        "--lk-timeout: '999999999' is no time to wait; write 250ms, 2s, 1m or a number of seconds, "
        "a year at most"
    ),
    ("--lk-timeout=nan",): (
        "--lk-timeout: 'nan' is no time to wait; write 250ms, 2s, 1m or a number of seconds"
    ),
}


@pytest.mark.parametrize(("given", "line"), OPTIONS.items(), ids=[g[0] for g in OPTIONS])
def test_an_option_with_a_value_that_means_nothing_is_refused(desk, refused, given, line):
    refused(desk({"test_it.py": "def test_it(): pass\n"}).run(*given), line)


TAGGED = """
agent: agent.py:FrontDesk
scenarios:
  - {label: Books, tags: {feature: booking}, turns: [{user: hi, llm: [Hello.]}]}
  - {label: Cancels, tags: {feature: cancelling, slow: "yes"}, turns: [{user: hi, llm: [Hello.]}]}
"""


@pytest.mark.parametrize(
    ("tag", "line"),
    [
        (
            "feature=boking",
            (
                "--lk-tag feature=boking: no scenario of this run has it; feature is one of "
                "booking, cancelling; did you mean 'booking'?"
            ),
        ),
        (
            "featur=booking",
            (
                "--lk-tag featur=booking: no scenario of this run has it; the tags are feature, "
                "slow; did you mean 'feature'?"
            ),
        ),
    ],
)
def test_a_tag_that_no_scenario_has_is_refused_with_those_that_there_are(desk, refused, tag, line):
    result = desk({"desk.yaml": TAGGED}).run("--lk-scenarios=desk.yaml", f"--lk-tag={tag}")
    refused(result, line)


def test_an_unknown_option_of_ours_is_refused_by_pytest(desk):
    result = desk({"test_it.py": "def test_it(): pass\n"}).run("--lk-tags=a=b")
    assert result.exit_status == pytest.ExitCode.USAGE_ERROR
    assert "unrecognized arguments: --lk-tags=a=b" in result.stderr


def test_an_ini_value_that_means_nothing_is_refused_by_its_own_name(desk, refused):
    result = desk({"test_it.py": "def test_it(): pass\n"}, ini="lk_timeout = soon\n").run()
    refused(result, "lk_timeout: 'soon' is no time to wait; *")
