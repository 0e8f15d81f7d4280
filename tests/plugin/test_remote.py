"""remote_session and fake_llm_server as users have them: what they read when something is wrong."""

from __future__ import annotations

import pytest

# --- remote_session


@pytest.mark.parametrize("way", ["memory", "tcp"])
@pytest.mark.parametrize("scope", ["function", "module"])
def test_a_test_drives_its_session_from_outside(desk, way, scope):
    result = desk(
        {
            "test_it.py": f"""
            import pytest_lkagent

            @pytest.fixture
            def remote_transport():
                return "{way}"

            @pytest.mark.asyncio(loop_scope="{scope}")
            async def test_it(remote_session, fake_llm, transcript, settle):
                fake_llm.script(call("book", slot="2pm"), say("Done."))
                answer = await remote_session.run("2 pm please")
                assert answer.items[-1].message.content[0].text == "Done."
                await settle()
                kinds = [event.WhichOneof("event") for event in remote_session.events]
                assert kinds[-1] == "agent_state_changed"
                [turn] = transcript.turns
                assert turn.user == "2 pm please" and turn.events[-1].text == "Done."

            @pytest.mark.asyncio(loop_scope="{scope}")
            async def test_another(remote_session):
                assert remote_session.events == []
                assert list((await remote_session.get_agent_info()).tools) == ["book"]
            """
        }
    ).run()
    result.outcomes(passed=2)


def test_a_way_is_chosen_by_parametrizing_and_a_wrong_one_is_refused(desk):
    result = desk(
        {
            "test_it.py": """
            @pytest.mark.parametrize("remote_transport", ["memory", "tcp", "tpc"])
            async def test_it(remote_session, fake_llm):
                fake_llm.script(say("Hello."))
                await remote_session.run("hi")
            """
        }
    ).run()
    result.outcomes(passed=2, errors=1)
    result.shows(
        "remote_transport: 'tpc' is no way to a session; the ways are memory, tcp; "
        "did you mean 'tcp'?"
    )


def test_a_plain_function_cannot_drive_a_session(desk):
    result = desk({"test_it.py": "def test_it(remote_session): pass"}).run()
    result.outcomes(errors=1)
    result.shows(
        "*asks for a session, and a session needs a running loop; write the test as async def"
    )


def test_what_nobody_scripted_fails_as_in_any_other_run(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(remote_session, fake_llm):
                fake_llm.script(call("book", slot="2pm"))
                await remote_session.run("hi")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        '> * await remote_session.run("hi")',
        "E *UnscriptedRequest: FrontDesk asked its model for a completion that nobody scripted",
        "E * add a step for it: fake_llm.script(say('…'))",
    )
    result.shows_no("*also: *", "*remote_session.py*")


def test_a_step_that_nobody_asked_for_fails_the_test(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(remote_session, fake_llm):
                fake_llm.script(say("Hello."), say("Anything else?"))
                await remote_session.run("hi")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("scripted, and never asked for: say('Anything else?') (test_it.py:*)")


def test_an_error_of_the_model_comes_as_the_protocol_has_it_and_its_cause_is_what_it_was(desk):
    result = desk(
        {
            "test_it.py": """
            FAILED = "session request run_input failed: "

            async def test_raised(remote_session, fake_llm):
                fake_llm.script(fail(ValueError("no such model")))
                with pytest.raises(RuntimeError, match=FAILED + "no such model") as raised:
                    await remote_session.run("hi")
                assert repr(raised.value.__cause__) == "ValueError('no such model')"

            async def test_after_all_retries(remote_session, fake_llm, expect_error):
                fake_llm.script(fail(APIConnectionError("overloaded")))
                with expect_error(APIConnectionError, match="overloaded"):
                    await remote_session.run("hi")
                fake_llm.script(say("Back again."))
                await remote_session.run("hi")

            async def test_not_expected(remote_session, fake_llm):
                fake_llm.script(fail(ValueError("no such model")))
                await remote_session.run("hi")
            """
        }
    ).run()
    result.outcomes(passed=2, failed=1)
    result.shows(
        "ValueError: no such model",
        "scripted at test_it.py:*: fail(ValueError('no such model'))",
        "*The above exception was the direct cause of the following exception:*",
        "E *RuntimeError: session request run_input failed: no such model",
    )
    result.shows_no("*also: *")


def test_what_a_tool_raised_fails_the_test_although_the_run_went_on(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(remote_session, fake_llm, mock_tool):
                @mock_tool(FrontDesk, "book")
                def book(slot):
                    assert slot == "3pm"
                fake_llm.script(call("book", slot="2pm"), say("Sorry."))
                await remote_session.run("hi")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *AssertionError: assert '2pm' == '3pm'")


def test_a_run_without_an_answer_says_what_the_session_waits_for(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(remote_session, fake_llm, mock_tool):
                @mock_tool(FrontDesk, "book")
                async def book():
                    await asyncio.Event().wait()
                fake_llm.script(call("book", slot="2pm"), say("Done."))
                await remote_session.run("2 pm please", timeout=5)

            async def test_next(remote_session, fake_llm):
                fake_llm.script(say("Hello."))
                await remote_session.run("hi")
            """
        }
    ).run()
    result.outcomes(passed=1, failed=1)
    result.shows(
        "E *TimeoutError",
        "E *run('2 pm please') had no answer within 5 s",
        "E *user * 2 pm please",
        "E *FrontDesk is thinking, the user is listening",
        "E *also: closing the session cannot finish: *the tool book waits at test_it.py:*",
    )


def test_empty_input_is_refused_by_the_session(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(remote_session):
                await remote_session.run("")
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *RuntimeError: session request run_input failed: empty run_input text")


def test_of_two_runs_at_once_the_second_interrupts_the_first(desk):
    result = desk(
        {
            "test_it.py": """
            @pytest.mark.parametrize("remote_transport", ["memory", "tcp"])
            async def test_it(remote_session, fake_llm):
                fake_llm.script(say("We are open all day.").timed(duration=4), say("Yes?"))
                first = asyncio.ensure_future(remote_session.run("when are you open?"))
                await asyncio.sleep(2)
                second = await remote_session.run("wait")
                assert second.items[-1].message.content[0].text == "Yes?"
                assert (await first).items[-1].message.interrupted
            """
        }
    ).run()
    result.outcomes(passed=2)


def test_a_test_that_ends_in_mid_run_leaves_nothing_behind(desk):
    result = desk(
        {
            "test_it.py": """
            import gc
            import socket

            ports = []

            @pytest.mark.asyncio(loop_scope="module")
            @pytest.mark.parametrize("remote_transport", ["memory", "tcp"])
            async def test_it(remote_session, fake_llm, remote_transport):
                fake_llm.script(say("I am still talking.").timed(duration=4))
                running = asyncio.create_task(remote_session.run("hi"))
                await asyncio.sleep(2)
                if remote_transport == "tcp":
                    ports.append(remote_session._transport.port)
                assert running.cancel()

            @pytest.mark.asyncio(loop_scope="module")
            async def test_nothing_is_left():
                assert asyncio.all_tasks() == {asyncio.current_task()}
                [port] = ports
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port))
            """
        },
        ini="filterwarnings = error\n",
    ).run()
    result.outcomes(passed=3)
    result.shows_no("*ResourceWarning*")


def test_an_answer_over_1_mib_says_so(desk):
    result = desk(
        {
            "test_it.py": """
            @pytest.mark.parametrize("remote_transport", ["memory", "tcp"])
            async def test_it(remote_session, fake_llm, remote_transport):
                fake_llm.script(say("x" * 2**20))
                await remote_session.run("a long story, please")
            """
        }
    ).run()
    result.outcomes(failed=2)
    told = (
        "E *RuntimeError: session request run_input was not answered: a frame of 1048* bytes came, "
        "and LiveKit's session protocol takes 1048576 at most"
    )
    result.shows(told, told)


# --- fake_llm_server

ADVISED = """
from livekit.agents import function_tool, inference, llm

class Advised(FrontDesk):
    @function_tool
    async def consult(self, question: str) -> str:
        "Ask a colleague."
        context = llm.ChatContext.empty()
        context.add_message(role="user", content=question)
        async with inference.LLM("openai/gpt-4.1") as colleague:
            async with colleague.chat(chat_ctx=context) as stream:
                return (await stream.collect()).text

@pytest.fixture
def agent():
    return Advised
"""


def test_a_model_of_the_agents_own_is_answered_by_its_real_code(desk):
    result = desk(
        {
            "test_it.py": ADVISED
            + """
async def test_it(fake_llm_server, user_says, fake_llm):
    fake_llm.script(call("consult", question="2 pm?"), say("Fine."), say("2 pm is fine."))
    turn = await user_says("2 pm please")
    assert [event.output for event in turn.events if event.type.endswith("output")] == ["Fine."]
    assert [request.asker for request in fake_llm.requests] == [
        "Advised", "code outside an agent", "Advised"
    ]
"""
        }
    ).run()
    result.outcomes(passed=1)


def test_what_nobody_scripted_over_http_fails_the_test_though_the_agent_goes_on(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import APIStatusError, inference, llm

            async def test_it(fake_llm_server):
                context = llm.ChatContext.empty()
                context.add_message(role="user", content="2 pm?")
                async with inference.LLM("openai/gpt-4.1") as model:
                    with pytest.raises(APIStatusError):
                        async with model.chat(chat_ctx=context) as stream:
                            await stream.collect()
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        "code outside an agent asked its model for a completion that nobody scripted",
        "request 1, last input: '2 pm?'",
    )


def test_what_nobody_scripted_over_http_is_told_once_with_the_line_that_asked(desk):
    result = desk(
        {
            "test_it.py": """
            from livekit.agents import inference, llm

            asked = llm.ChatContext.empty()
            asked.add_message(role="user", content="2 pm?")

            async def test_it(fake_llm_server):
                async with inference.LLM("openai/gpt-4.1") as model:
                    async with model.chat(chat_ctx=asked) as stream:
                        await stream.collect()

            async def test_of_errors(fake_llm_server):
                async with inference.LLM("openai/gpt-4.1") as model:
                    async with model.chat(chat_ctx=asked) as stream:
                        with pytest.raises(Exception) as raised:
                            await stream.collect()
                assert str(raised.value) == "too long"
            """
        }
    ).run()
    result.outcomes(failed=2)
    result.shows(
        "_* test_it _*",
        "code outside an agent asked its model for a completion that nobody scripted",
        "add a step for it: fake_llm.script(say('…'))",
        "it came to the test as livekit.agents._exceptions.APIStatusError (test_it.py:17)",
        "_* test_of_errors _*",
        "> * assert str(raised.value) == *too long*",
        "E * also: code outside an agent asked its model for a completion that nobody scripted",
    )
    result.shows_no("*site-packages*")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "embeddings",
            "the scripted model answers POST */v1/chat/completions, and not POST /v1/embeddings; *",
        ),
        (
            "chat/completions",
            "what was sent to the scripted model is no request: messages: Field required",
        ),
    ],
)
def test_what_no_step_can_answer_fails_the_test_though_the_agent_goes_on(desk, path, told):
    result = desk(
        {
            "test_it.py": f"""
            import aiohttp
            from livekit.agents import function_tool

            class Advised(FrontDesk):
                @function_tool
                async def search(self, what: str) -> str:
                    "Search the handbook."
                    url = os.environ["OPENAI_BASE_URL"] + "/{path}"
                    async with aiohttp.ClientSession() as client:
                        async with client.post(url, json={{"model": "any"}}) as answer:
                            return "found" if answer.ok else "nothing found"

            @pytest.fixture
            def agent():
                return Advised

            async def test_it(fake_llm_server, user_says, fake_llm):
                fake_llm.script(call("search", what="prices"), "I found nothing.")
                await user_says("what does it cost?")

            @pytest.mark.lk(allow=["unscripted_request"])
            async def test_of_that(fake_llm_server, user_says, fake_llm):
                await test_it(fake_llm_server, user_says, fake_llm)
            """
        }
    ).run()
    result.outcomes(failed=1, passed=1)
    result.shows(f"E *UnscriptedRequest: {told}", "FAILED test_it.py::test_it - *")


def test_the_environment_leads_to_the_server_only_as_long_as_the_test_runs(desk):
    result = desk(
        {
            "test_it.py": """
            NAMES = ("LIVEKIT_INFERENCE_URL", "OPENAI_BASE_URL", "NO_PROXY", "no_proxy")
            before = [os.environ.get(name) for name in NAMES]
            urls = []

            async def test_it(fake_llm_server):
                assert os.environ["LIVEKIT_INFERENCE_URL"] == fake_llm_server.url
                assert os.environ["OPENAI_BASE_URL"] == fake_llm_server.url
                urls.append((fake_llm_server.host, fake_llm_server.port))

            def test_afterwards():
                import socket
                assert [os.environ.get(name) for name in NAMES] == before
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(urls[0])
            """
        }
    ).run()
    result.outcomes(passed=2)


def test_a_plain_function_cannot_have_the_server(desk):
    result = desk({"test_it.py": "def test_it(fake_llm_server): pass"}).run()
    result.outcomes(errors=1)
    result.shows(
        "*test_it asks for a server, and a server needs a running loop; write the test as *"
    )
