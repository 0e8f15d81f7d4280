"""Nobody else is disturbed: a suite without us runs as if we were not there."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

SUITE = {
    "conftest.py": """
    import asyncio
    import pytest
    import pytest_asyncio

    @pytest_asyncio.fixture(scope="session", loop_scope="session")
    async def database():
        yield asyncio.get_running_loop()

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def table():
        return asyncio.get_running_loop()

    @pytest_asyncio.fixture
    async def row():
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    @pytest.fixture
    def agent():
        return "007"

    @pytest.fixture(autouse=True)
    def userdata(agent):
        return {"agent": agent}

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
    """,
    "test_plain.py": """
    import os
    import sys
    import time
    import types
    import unittest
    from datetime import datetime
    import pytest

    @pytest.mark.parametrize("number", [1, 2])
    def test_plain(number, agent, userdata):
        assert userdata == {"agent": "007"}

    def test_environment():
        assert not [v for v in os.environ.values() if "pytest-lkagent" in v]

    def test_clocks():
        real = time.clock_gettime(time.CLOCK_REALTIME), time.clock_gettime(time.CLOCK_MONOTONIC)
        shown = (time.time(), datetime.now().timestamp()), (time.monotonic(), time.perf_counter())
        assert all(abs(one - real[n]) < 60 for n in (0, 1) for one in shown[n])
        mine = (time.time, time.monotonic, time.perf_counter, time.sleep, time.time_ns)
        assert all(isinstance(one, types.BuiltinFunctionType) for one in mine)
        assert "TZ" not in os.environ

    def test_fails():
        assert 1 == 2

    @pytest.mark.xfail
    def test_xfails():
        assert 1 == 2

    @pytest.mark.skip
    def test_skips():
        pass

    class TestUnit(unittest.TestCase):
        def test_unit(self):
            self.assertTrue(True)

    class TestUnitAsync(unittest.IsolatedAsyncioTestCase):
        async def test_unit(self):
            self.assertTrue(True)
    """,
    "test_async.py": """
    import asyncio
    import time
    import pytest

    pytestmark = pytest.mark.asyncio

    async def test_function(row):
        assert row is asyncio.get_running_loop()

    @pytest.mark.asyncio(loop_scope="module")
    async def test_module(table, row):
        assert table is asyncio.get_running_loop()

    @pytest.mark.asyncio(loop_scope="session")
    async def test_session(database):
        assert database is asyncio.get_running_loop()
        began = time.monotonic()
        await asyncio.sleep(0.02)
        assert time.monotonic() - began > 0.019

    @pytest.mark.asyncio(loop_scope="class")
    class TestClass:
        @pytest.mark.parametrize("number", [1, 2])
        async def test_class(self, number):
            loop = asyncio.get_running_loop()
            assert type(loop).time is asyncio.BaseEventLoop.time and "time" not in vars(loop)
    """,
    "test_unmarked.py": """
    async def test_unmarked(row):
        pass
    """,
    "test_anyio.py": """
    import anyio
    import pytest

    @pytest.mark.anyio
    async def test_anyio(anyio_backend):
        await anyio.sleep(0)

    @pytest.mark.parametrize("anyio_backend", ["trio"])
    @pytest.mark.anyio
    async def test_trio(anyio_backend):
        await anyio.sleep(0)
    """,
    "test_properties.py": """
    import pytest
    from hypothesis import given, settings, strategies as st

    @settings(max_examples=3, database=None, deadline=None)
    @given(st.integers())
    def test_plain(number):
        assert isinstance(number, int)

    @pytest.mark.asyncio
    @settings(max_examples=3, database=None, deadline=None)
    @given(st.integers())
    async def test_async(number):
        assert isinstance(number, int)
    """,
    "scenarios.yaml": "name: theirs\nstages: []\n",
}
FACTORIES = """
    class OwnLoop(asyncio.SelectorEventLoop):
        def call_at(self, *args, **kwargs):
            return super().call_at(*args, **kwargs)

    def pytest_asyncio_loop_factories(config, item):
        return {"own": OwnLoop, "stock": asyncio.SelectorEventLoop}
"""
OWN_LOOPS = {**SUITE, "conftest.py": SUITE["conftest.py"] + FACTORIES}
INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = ignore\n"


needs_factories = pytest.mark.skipif(
    tuple(map(int, version("pytest-asyncio").split(".")[:2])) < (1, 4),
    reason="loop factories came with pytest-asyncio 1.4",
)


def story(result) -> list[str]:
    """Return what the run collected, set up and said, without durations, addresses and plugins."""
    lines = [re.sub(r"0x[0-9a-f]+|in \d+\.\d+s", "…", line) for line in result.lines]
    return [line for line in lines if not line.startswith(("plugins:", "rootdir:"))]


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(SUITE, id="loops of asyncio"),
        pytest.param(OWN_LOOPS, id="own loops", marks=needs_factories),
    ],
)
def test_a_suite_of_others_runs_the_same_with_us_and_without(project, suite, mode):
    made = project({"pytest.ini": INI, **suite})
    arguments = ("--setup-show", "-v", "-rA", "-p", "no:cacheprovider", f"--asyncio-mode={mode}")
    with_us = made.run(*arguments)
    without = made.run(*arguments, "-p", "no:lkagent")
    assert story(with_us) == story(without)
    assert with_us.exit_status == without.exit_status == pytest.ExitCode.TESTS_FAILED
    assert with_us.counts["passed"] >= 14
    with_us.shows("*SETUP    S database*")
    with_us.shows_no("*_lk_*")


def test_tests_of_others_beside_ours_run_the_same(project):
    ours = {
        "agent.py": "from livekit.agents import Agent\nclass Desk(Agent):\n"
        "    def __init__(self): super().__init__(instructions='')\n",
        "ours/conftest.py": "import pytest\nfrom agent import Desk\n"
        "@pytest.fixture\ndef agent(): return Desk\n"
        "@pytest.fixture\ndef userdata(): return {}\n",
        "ours/test_ours.py": """
        import os
        import pytest

        @pytest.mark.asyncio(loop_scope="session")
        async def test_ours(user_says, fake_llm, database):
            assert "pytest-lkagent" in os.environ["OPENAI_API_KEY"]
            fake_llm.script("Hello.")
            await user_says("hi")
        """,
    }
    made = project({"pytest.ini": INI, **SUITE, **ours})
    names = sorted(name for name in SUITE if name.startswith("test_"))
    arguments = ("-v", "-p", "no:cacheprovider")
    beside = made.run(*arguments, "ours", *names)
    alone = made.run(*arguments, *names)
    assert "ours/test_ours.py::test_ours PASSED" in str(beside)
    verdicts = re.compile(r"^(\S+::.*?) (PASSED|FAILED|SKIPPED|XFAIL|ERROR)", re.MULTILINE)
    assert verdicts.findall(beside.stdout)[1:] == verdicts.findall(alone.stdout)
    assert len(verdicts.findall(alone.stdout)) == 19


def test_the_environment_is_given_back_after_each_of_our_tests(desk, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "the real one")
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    monkeypatch.delenv("DESK_KEY", raising=False)
    result = desk(
        {
            "test_environment.py": """
            before = dict(os.environ)

            def same():
                now = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
                return now == {k: v for k, v in before.items() if k != "PYTEST_CURRENT_TEST"}

            def test_before():
                assert same() and os.environ["OPENAI_API_KEY"] == "the real one"

            async def test_ours(user_says):
                for key in ("OPENAI_API_KEY", "DEEPGRAM_API_KEY", "DESK_KEY"):
                    assert "dummy" in os.environ[key], key

            def test_between():
                assert same()

            async def test_fails(user_says):
                os.environ["OPENAI_API_KEY"] = "of the test"
                assert False

            def test_after():
                assert same()
            """
        },
        ini="lk_env = DESK_KEY\n",
    ).run()
    result.outcomes(passed=4, failed=1)
    result.shows("FAILED test_environment.py::test_fails - *")
