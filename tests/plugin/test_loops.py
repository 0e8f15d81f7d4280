"""Tests that use our fixtures run on whatever loop, in whatever mode, without a word about it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_a_session_runs_on_the_loop_of_its_test(desk, scope, mode):
    result = desk(
        {
            "test_scope.py": f"""
            pytestmark = pytest.mark.asyncio(loop_scope={scope!r})
            loops = []

            class TestBoth:
                async def test_first(self, user_says, fake_llm, agent_session):
                    loops.append(asyncio.get_running_loop())
                    fake_llm.script(say("Hello."))
                    assert (await user_says("hi")).events[-1].text == "Hello."

                async def test_second(self, user_says, fake_llm):
                    loops.append(asyncio.get_running_loop())
                    fake_llm.script(call("book", slot="2pm"), say("Done."))
                    assert (await user_says("2pm")).events[-1].text == "Done."
                    assert (loops[0] is loops[1]) is {scope != "function"}
            """
        }
    ).run(f"--asyncio-mode={mode}")
    result.outcomes(passed=2)


def test_the_loop_scope_may_come_from_the_ini_file(desk):
    result = desk(
        {
            "test_scope.py": """
            loops = set()

            async def test_first(user_says, fake_llm):
                loops.add(asyncio.get_running_loop())
                fake_llm.script(say("Hello."))
                await user_says("hi")

            async def test_second(user_says, fake_llm):
                loops.add(asyncio.get_running_loop())
                fake_llm.script(say("Hello."))
                await user_says("hi")
                assert len(loops) == 1
            """
        },
        ini="asyncio_default_test_loop_scope = session\n",
    ).run()
    result.outcomes(passed=2)


def test_time_is_virtual_in_our_tests_and_real_in_those_between_them_on_one_loop(desk):
    result = desk(
        {
            "test_time.py": """
            import time
            pytestmark = pytest.mark.asyncio(loop_scope="session")

            def real():
                return time.clock_gettime(time.CLOCK_MONOTONIC)

            async def sleeps(seconds):
                clocks = asyncio.get_running_loop().time, time.monotonic, real
                began = [read() for read in clocks]
                await asyncio.sleep(seconds)
                return [read() - then for read, then in zip(clocks, began)]

            async def test_ours(fake_llm):
                *virtual, took = await sleeps(3600)
                assert virtual == [3600, 3600] and took < 60

            async def test_theirs():
                assert all(0.009 < passed < 60 for passed in await sleeps(0.01))

            async def test_ours_again(fake_llm):
                assert (await sleeps(7200))[0] == 7200
            """
        }
    ).run()
    result.outcomes(passed=3)


def test_a_fixture_of_the_session_lives_on_through_the_tests_that_use_ours(desk):
    result = desk(
        {
            "conftest.py": """
            import asyncio
            import pytest
            import pytest_asyncio
            from agent import FrontDesk

            @pytest_asyncio.fixture(scope="session", loop_scope="session")
            async def database():
                ticks = []
                async def tick():
                    while True:
                        ticks.append(1)
                        await asyncio.sleep(0.001)
                task = asyncio.create_task(tick())
                yield ticks
                assert not task.done()
                task.cancel()

            @pytest.fixture
            def agent(database):
                return FrontDesk
            """,
            "test_both.py": """
            pytestmark = pytest.mark.asyncio(loop_scope="session")

            async def test_ours(user_says, fake_llm, database):
                fake_llm.script(say("Hello."))
                await user_says("hi")

            async def test_theirs(database):
                before = len(database)
                await asyncio.sleep(0.05)
                assert len(database) > before
            """,
        }
    ).run()
    result.outcomes(passed=2)


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_a_coroutine_test_of_ours_needs_no_mark_and_one_of_others_gets_none(desk, mode):
    result = desk(
        {
            "test_marks.py": """
            class TestOurs:
                async def test_in_a_class(self, user_says, fake_llm):
                    fake_llm.script(say("Hello."))
                    await user_says("hi")

            async def test_with_one_fixture(fake_llm):
                assert fake_llm.requests == ()

            @pytest.mark.usefixtures("agent_session")
            async def test_by_mark():
                assert get_job_context() is not None

            async def test_of_nobody():
                raise AssertionError("must not run in strict mode")
            """
        },
        ini="filterwarnings = ignore::ResourceWarning\n",
    ).run(f"--asyncio-mode={mode}", "-rA")
    result.shows("*PASSED test_marks.py::test_by_mark*")
    result.outcomes(passed=3, failed=1)
    result.shows(
        "async def functions are not natively supported."
        if mode == "strict"
        else "E*AssertionError: must not run in strict mode"
    )


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_parameters_of_tests_and_of_the_agent_multiply_as_always(desk, mode):
    result = desk(
        {
            "test_many.py": """
            @pytest.fixture(params=[FrontDesk, lambda: Greeter("Hi.")], ids=["desk", "greeter"])
            def agent(request):
                return request.param

            @pytest.fixture
            def start_script(agent):
                return [] if agent is FrontDesk else [say("Welcome.")]

            @pytest.mark.parametrize("text", ["hi", "hello"])
            async def test_answers(user_says, fake_llm, text):
                fake_llm.script(say(text.upper()))
                assert (await user_says(text)).events[-1].text == text.upper()
            """
        }
    ).run("-v", f"--asyncio-mode={mode}")
    result.outcomes(passed=4)
    result.shows(
        "test_many.py::test_answers[desk-hi] PASSED*",
        "test_many.py::test_answers[desk-hello] PASSED*",
        "test_many.py::test_answers[greeter-hi] PASSED*",
        "test_many.py::test_answers[greeter-hello] PASSED*",
    )


def test_a_plain_function_may_script_and_mock_and_is_told_why_it_gets_no_session(desk):
    result = desk(
        {
            "test_plain.py": """
            def test_scripts(fake_llm, mock_tool):
                mock_tool(FrontDesk, "book", optional=True)
                fake_llm.script()

            def test_speaks(user_says):
                raise AssertionError("unreachable")
            """
        }
    ).run()
    result.outcomes(passed=1, errors=1)
    result.shows(
        "test_plain.py::test_speaks asks for a session, and a session needs a running loop; write "
        "the test as async def"
    )
    result.shows_no("During handling*")


@pytest.mark.parametrize(
    ("switched_off", "hint"),
    [
        (["-p", "no:asyncio"], "take -p no:asyncio away"),
        (["--disable-plugin-autoload", "-p", "lkagent"], "say -p pytest_asyncio.plugin"),
    ],
)
def test_each_test_of_ours_says_that_pytest_asyncio_is_turned_off(desk, switched_off, hint):
    made = desk(
        {
            "pytest.ini": "[pytest]\nlk_scenarios = *.yaml\naddopts = --strict-markers\n",
            "test_loops.py": """
            async def test_greets(user_says, fake_llm):
                fake_llm.script("Hello.")
                await user_says("hi")

            async def test_starts(agent_session):
                pass

            def test_is_scripted(fake_llm):
                assert not fake_llm.remaining

            def test_is_nobody_elses():
                pass
            """,
            "desk.yaml": "scenarios:\n- {label: Greets, turns: [{user: hi, llm: [Hello.]}]}\n",
        }
    )
    result = made.run("-W", "error::pytest.PytestUnknownMarkWarning", *switched_off)
    result.outcomes(passed=2, errors=3)
    told = f"needs pytest-asyncio, which is turned off: {hint}"
    for place in (
        "desk.yaml:2: Greets",
        "test_loops.py:9: test_greets",
        "test_loops.py:13: test_starts",
    ):
        assert result.lines.count(f"{place} {told}") == 1, str(result)
    result.shows_no("*Error*", "*Traceback*")


def test_async_fixtures_of_the_user_meet_the_session_on_its_loop(desk):
    result = desk(
        {
            "test_fixture.py": """
            import pytest_asyncio

            @pytest_asyncio.fixture
            async def booked(user_says, fake_llm):
                fake_llm.script(call("book", slot="2pm"), say("Booked."))
                return await user_says("2pm please")

            async def test_after_a_booking(booked, user_says, fake_llm, transcript):
                fake_llm.script(say("At 2 pm."))
                await user_says("when is it?")
                assert [turn.user for turn in transcript.turns] == ["2pm please", "when is it?"]
                assert booked is transcript.turns[0]
            """
        }
    ).run()
    result.outcomes(passed=1)


def test_nothing_is_left_to_the_garbage_collector(desk):
    result = desk(
        {
            "test_litter.py": """
            import gc

            async def test_ours(user_says, fake_llm, start_session):
                fake_llm.script(say("Hello."), say("Hello."))
                await user_says("hi")
                await (await start_session()).run(user_input="hi")

            def test_after_it():
                gc.collect()
            """
        },
        ini="filterwarnings = error\n",
    ).run()
    result.outcomes(passed=2)


ELSEWHERE = {
    "user_says": "await user_says('2 pm')",
    "session.run": "await agent_session.run(user_input='2 pm')",
    "start_session": "await start_session()",
    "settle": "await settle()",
}


@pytest.mark.parametrize("call", ELSEWHERE)
def test_a_fixture_on_another_loop_than_its_test_is_refused_at_its_line(desk, call):
    result = desk(
        {
            "test_it.py": f"""
            import pytest_asyncio

            @pytest_asyncio.fixture(loop_scope="session")
            async def booked(user_says, agent_session, start_session, settle, fake_llm):
                fake_llm.script("Booked.")
                {ELSEWHERE[call]}

            async def test_it(booked):
                raise AssertionError("unreachable")

            async def test_after(user_says, fake_llm):
                fake_llm.script("Booked.")
                await user_says("2 pm")
            """
        }
    ).run()
    result.outcomes(errors=1, passed=1)
    result.shows(
        f"E *{call}(*) on another event loop than the test's: give the fixture and the test the "
        "same loop_scope",
        "test_it.py:14: UsageError",
    )


def test_our_private_fixtures_do_not_fill_the_screen_of_who_misspells_one(desk):
    result = desk({"test_it.py": "async def test_it(agent_sesion):\n    pass\n"}).run()
    result.outcomes(errors=1)
    result.shows("E *fixture 'agent_sesion' not found")
    assert str(result).count("_lk_") <= 4
