"""The offline guard, as a user meets it."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

AGENT = """
import asyncio
import socket
import sys
import threading
import urllib.request

import aiohttp
from livekit import rtc
from livekit.agents import Agent, function_tool, inference, llm
from livekit.agents.inference.llm import httpx
from pytest_lkagent import call, say

class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book visits.")

    @function_tool
    async def book(self) -> str:
        "Book a slot."
        try:
{calls}
        except Exception as error:  # as a careful tool does
            return f"sorry: {{type(error).__name__}}"
        return "booked"
"""
TEST = """
@pytest.mark.lk(agent=Desk{marker})
async def test_it(user_says, fake_llm):
    fake_llm.script(call("book"), say("Done."))
    turn = await user_says("2 pm please")
    print(turn.events[2].output)
"""


def story(calls: str, *, marker: str = "", test: str = TEST) -> str:
    body = indent(dedent(calls).strip("\n"), " " * 12)
    return AGENT.format(calls=body) + test.format(marker=marker)


CALLS = {
    "a socket": (
        'socket.create_connection(("api.example.com", 80))  # here',
        "looks up api.example.com:80",
        "RefusedConnection",
    ),
    "a socket that is given a name": (
        """
        with socket.socket() as sock:
            sock.connect(("api.example.com", 80))  # here
        """,
        "connects to api.example.com:80",
        "RefusedConnection",
    ),
    "a datagram": (
        """
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("192.0.2.1", 53))  # here
        """,
        "sends to 192.0.2.1:53",
        "RefusedConnection",
    ),
    "the loop's sock_connect": (
        """
        with socket.socket() as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("192.0.2.1", 80))  # here
        """,
        "connects to 192.0.2.1:80",
        "RefusedConnection",
    ),
    "asyncio streams": (
        'await asyncio.open_connection("api.example.com", 80)  # here',
        "looks up api.example.com:80",
        "RefusedConnection",
    ),
    "aiohttp": (
        """
        async with aiohttp.ClientSession() as client:
            await client.get("https://api.example.com/slots")  # here
        """,
        "looks up api.example.com:443",
        "ClientConnector*Error",
    ),
    "aiohttp with an address": (
        """
        async with aiohttp.ClientSession() as client:
            await client.get("http://192.0.2.1/slots")  # here
        """,
        "connects to 192.0.2.1:80",
        "ClientConnectorError",
    ),
    "a WebSocket": (
        """
        async with aiohttp.ClientSession() as client:
            await client.ws_connect("wss://api.example.com/live")  # here
        """,
        "looks up api.example.com:443",
        "ClientConnector*Error",
    ),
    "httpx": (
        """
        async with httpx.AsyncClient() as client:
            await client.get("https://api.example.com/slots")  # here
        """,
        "looks up api.example.com:443",
        "ConnectError",
    ),
    "httpx without async": (
        'httpx.get("https://api.example.com/slots")  # here',
        "looks up api.example.com:443",
        "ConnectError",
    ),
    "urllib in a job": (
        'await asyncio.to_thread(urllib.request.urlopen, "http://api.example.com")  # here',
        "looks up api.example.com:80",
        "URLError",
    ),
    "urllib in a thread": (
        """
        def fetch():
            try:
                urllib.request.urlopen("http://api.example.com")  # here
            except OSError as error:
                errors.append(error)
        errors = []
        thread = threading.Thread(target=fetch)
        thread.start()
        await asyncio.to_thread(thread.join)
        raise errors[0]
        """,
        "looks up api.example.com:80",
        "URLError",
    ),
    "a room": (
        'await rtc.Room().connect("wss://live.example.com", "token")  # here',
        "connects a room to live.example.com",
        "RefusedConnection",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_the_tool_survives_fails_the_test_at_its_line(desk, pytester, name):
    calls, what, error = CALLS[name]
    result = desk({"test_it.py": story(calls)}).run()
    result.outcomes(failed=1)
    written = (pytester.path / "test_it.py").read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(written) if text.endswith("# here"))
    result.shows(
        f"Desk {what} (*test_it.py:{line}), and nothing leaves the machine while a test of an "
        "agent runs: mock the tool that does it, or let it pass in the ini file: lk_allow_hosts = "
        f"{what.split()[-1].partition(':')[0]}",
        f"sorry: {error}",
        f"FAILED test_it.py::test_it - Failed: Desk {what.partition('.')[0]}*",
    )


NO_SERVER = {
    "a tool": (
        'await rtc.Room().connect(get_job_context()._info.url, "token")',
        "Desk",
        "test_it.py:{line}",
        "mock the tool that does it",
    ),
    "LiveKit's own AgentTask": (
        'await WarmTransferTask(sip_call_to="+1", sip_trunk_id="ST_1", chat_ctx=self.chat_ctx)',
        "*WarmTransferTask",
        "awaited at test_it.py:{line}",
        "mock it, mock_task(WarmTransferTask, returns=…), or task: in a scenario",
    ),
}


@pytest.mark.parametrize("name", NO_SERVER)
def test_a_room_on_the_server_of_the_job_is_refused_as_there_is_none(desk, name, pytester):
    connects, who, where, advice = NO_SERVER[name]
    imports = """
    from livekit.agents import get_job_context
    from livekit.agents.beta.workflows import WarmTransferTask
    """
    result = desk({"test_it.py": story(f"{dedent(imports)}{connects}")}).run()
    result.outcomes(failed=1)
    written = (pytester.path / "test_it.py").read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(written) if text.endswith(connects))
    result.shows(
        f"{who} connects a room to no server ({where.format(line=line)}), as the job of a test has "
        f"none: {advice}"
    )


CONNECT = 'socket.create_connection(("api.example.com", 80))'


def test_a_refusal_that_the_tool_does_not_survive_is_one_failure_at_the_users_line(desk):
    text = story(CONNECT).replace("except Exception", "except KeyError")
    result = desk({"test_it.py": text}).run()
    result.outcomes(failed=1)
    result.shows(
        f"> * {CONNECT}",
        "E *RefusedConnection: Desk looks up api.example.com:80 (*test_it.py:*",
    )
    result.shows_no("*also:*")


def test_what_is_allowed_is_no_finding_and_refused_all_the_same(desk):
    result = desk({"test_it.py": story(CONNECT, marker=', allow=["refused_connection"]')}).run("-s")
    result.outcomes(passed=1)
    result.shows("*sorry: RefusedConnection")


def test_a_host_of_the_ini_file_is_let_pass(desk):
    # nobody is asked: the look-up is answered here, with an address of this machine
    resolved = """
    async def test_it(user_says, fake_llm, monkeypatch):
        def look_up(host, port, *_):
            sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)  # as the real one does
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname())]

        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setattr("_socket.getaddrinfo", look_up)
            with socket.create_connection(("api.example.com", 80)):
                pass
    """
    made = {"test_it.py": story("pass", test=dedent(resolved))}
    result = desk(made).run()
    result.outcomes(failed=1)
    result.shows("E *RefusedConnection: the test looks up api.example.com:80 (*test_it.py:*)*")
    desk(made, ini="lk_allow_hosts = other.example.com api.example.com:80\n").run().outcomes(
        passed=1
    )


def test_what_is_no_host_in_the_ini_file_stops_the_run_with_one_line(desk, refused):
    result = desk({}, ini="lk_allow_hosts = https://api.example.com/v1\n").run()
    refused(
        result,
        "lk_allow_hosts: 'https://api.example.com/v1' is no host; write *; did you mean "
        "'api.example.com'?",
    )


def test_a_server_on_this_machine_works_in_a_tool_with_every_client(desk):
    calls = """
    from aiohttp import web

    async def hello(request):
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://localhost:{port}/") as answer:
                assert await answer.text() == "hello"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "hello"
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.close()
        await writer.wait_closed()
    finally:
        await runner.cleanup()
    """
    result = desk({"test_it.py": story(calls)}).run("-s")
    result.outcomes(passed=1)
    result.shows("*booked")


# --- models


MODELS = {
    "an LLM of LiveKit's": (
        """
        model = inference.LLM("openai/gpt-4.1-mini")
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="hi")
        async with model.chat(chat_ctx=context) as stream:
            async for _ in stream:  # here
                pass
        """,
        "livekit.agents.inference.llm.LLM of Desk looks up *livekit.cloud:443 (the tool book *",
        (
            "mock the tool that does it, let the script answer it (the fixture fake_llm_server "
            "leads it there), or"
        ),
    ),
    "a TTS of LiveKit's": (
        """
        async with aiohttp.ClientSession() as client:
            voice = inference.TTS("cartesia/sonic", http_session=client)
            async with voice.synthesize("hello") as stream:
                async for _ in stream:  # here
                    pass
        """,
        "livekit.agents.inference.tts.TTS of Desk looks up *livekit.cloud:443 (the tool book *",
        "mock the tool that does it, or",
    ),
    "an STT of one's own": (
        """
        from livekit.agents import stt

        class Ears(stt.STT):
            def __init__(self):
                super().__init__(
                    capabilities=stt.STTCapabilities(streaming=False, interim_results=False)
                )

            async def _recognize_impl(self, buffer, **_):
                socket.create_connection(("stt.example.com", 80))  # here

        await Ears().recognize([])
        """,
        "test_it.Desk.book.<locals>.Ears of Desk looks up stt.example.com:80 (*test_it.py:*)*",
        "mock the tool that does it, or",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_is_named_with_its_class_and_its_agent(desk, name):
    calls, line, advice = MODELS[name]
    result = desk({"test_it.py": story(calls)}).run()
    result.outcomes(failed=1)
    result.shows(
        f"{line}nothing leaves the machine while a test of an agent runs: {advice} let it pass in "
        "the ini file: lk_allow_hosts = *"
    )


def test_an_agent_in_a_session_that_the_test_made_itself_is_told_who_would_answer_it(desk):
    test = """
    from livekit.agents import AgentSession

    class Desk(FrontDesk):
        def __init__(self):
            Agent.__init__(self, instructions="You help.", llm="openai/gpt-4.1-mini")

    async def start_and_say(session, agent):
        await session.start(agent)
        await session.run(user_input="hi")
        await session.aclose()

    async def test_ours(start_session, fake_llm):
        fake_llm.script("Hello.")
        await (await start_session(Desk())).run(user_input="hi")

    async def test_without_a_model(fake_llm, job_context):
        fake_llm.script("Hello.")
        await start_and_say(AgentSession(llm=fake_llm), FrontDesk())

    async def test_its_own(fake_llm, job_context):
        fake_llm.script("Hello.")
        await start_and_say(AgentSession(llm=fake_llm), Desk())
    """
    result = desk({"test_it.py": test})._made.run()
    result.outcomes(failed=1, passed=2)
    result.shows(
        "livekit.agents.inference.llm.LLM of Desk looks up *livekit.cloud:443 (*test_it.py:*), and "
        "nothing leaves the machine while a test of an agent runs: start the session with "
        "start_session(…), where the script answers each agent, whatever model of its own it has, "
        "or let it pass *"
    )
    result.shows_no("also: the test looks up *")  # as LiveKit warms such a model up


def test_what_a_tool_does_after_its_model_is_the_tools_own(desk):
    calls = MODELS["an STT of one's own"][0].replace(
        'socket.create_connection(("stt.example.com", 80))  # here', "raise ValueError"
    )
    calls = dedent(calls).replace("await Ears().recognize([])", "").strip("\n") + (
        "\ntry:\n    await Ears().recognize([])\nexcept ValueError:\n    pass\n" + CONNECT
    )
    result = desk({"test_it.py": story(calls)}).run()
    result.outcomes(failed=1)
    result.shows("Desk looks up api.example.com:80 (*")


def test_a_model_of_ones_own_that_needs_no_network_works(desk):
    calls = """
    class Echo(llm.LLM):
        def chat(self, *, chat_ctx, tools=None, conn_options=None, **_):
            return Stream(self, chat_ctx=chat_ctx, tools=[], conn_options=APIConnectOptions())

    class Stream(llm.LLMStream):
        async def _run(self):
            said = self.chat_ctx.items[-1].text_content
            delta = llm.ChoiceDelta(role="assistant", content=said)
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))

    from livekit.agents import APIConnectOptions
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="echo")
    async with Echo().chat(chat_ctx=context) as stream:
        assert [chunk.delta.content async for chunk in stream if chunk.delta] == ["echo"]
    """
    result = desk({"test_it.py": story(calls)}).run("-s")
    result.outcomes(passed=1)
    result.shows("*booked")


def test_an_agent_that_asks_its_own_client_in_llm_node_is_named(desk):
    test = """
    class Own(Desk):
        async def llm_node(self, chat_ctx, tools, model_settings):
            try:
                socket.create_connection(("llm.example.com", 80))  # here
            except OSError:
                yield "I cannot think."

    @pytest.mark.lk(agent=Own)
    async def test_it(user_says):
        await user_says("hi")
    """
    result = desk({"test_it.py": story("pass", test=dedent(test))}).run()
    result.outcomes(failed=1)
    result.shows("Own looks up llm.example.com:80 (*test_it.py:*), and nothing leaves *")


# --- when, and whom not


def test_what_only_closing_reveals_fails_the_test_too(desk):
    test = """
    class Leaving(Desk):
        async def on_exit(self):
            try:
                socket.create_connection(("bye.example.com", 80))
            except OSError:
                pass

    @pytest.mark.lk(agent=Leaving{allow})
    async def test_it(user_says, fake_llm):
        fake_llm.script("Hello.")
        await user_says("hi")
    """
    allow = ', allow="refused_connection"'
    made = {
        "test_it.py": story("pass", test=dedent(test).replace("{allow}", "")),
        "test_too.py": story("pass", test=dedent(test).replace("{allow}", allow)),
    }
    result = desk(made).run()
    result.outcomes(passed=1, failed=1)
    result.shows("*looks up bye.example.com:80 (*test_it.py:*), and nothing leaves the machine *")


def test_nobody_else_is_refused_anything(desk):
    # neither a plugin that reports on the same thread between the phases, nor a server of the
    # user's that was there before, nor tests that are not ours
    reaching = """
    import queue
    import socket
    import sys
    import threading
    import pytest
    from agent import FrontDesk

    def reach():
        with socket.socket() as sock:
            sys.audit("socket.connect", sock, ("192.0.2.1", 443))
        return "reached"

    def pytest_runtest_logreport(report):
        reach()

    @pytest.fixture(scope="session")
    def server():
        asked, answers = queue.Queue(), queue.Queue()

        def serve():
            for _ in iter(asked.get, None):
                try:
                    answers.put(reach())
                except OSError as error:
                    answers.put(error)

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked, answers
        asked.put(None)
        thread.join()

    @pytest.fixture
    def agent():
        return FrontDesk
    """
    test = """
    from conftest import reach

    async def test_ours(user_says, fake_llm, server):
        asked, answers = server
        fake_llm.script("Hello.")
        await user_says("hi")
        asked.put("a question")
        assert answers.get() == "reached"
        with pytest.raises(OSError, match="192.0.2.1"):
            reach()

    @pytest.mark.asyncio
    async def test_theirs():
        assert reach() == "reached"

    def test_plain():
        assert reach() == "reached"
    """
    result = desk({"conftest.py": reaching, "test_it.py": test}).run()
    result.outcomes(failed=1, passed=2)
    result.shows("the test connects to 192.0.2.1:443 (conftest.py:*), and nothing leaves *")
    result.shows_no("E *")


def test_a_loop_that_several_tests_share_is_guarded_for_ours_alone(desk):
    test = """
    pytestmark = pytest.mark.asyncio(loop_scope="module")

    def reach():
        with socket.socket() as sock:
            sys.audit("socket.connect", sock, ("192.0.2.1", 443))

    async def test_before():
        await asyncio.to_thread(reach)

    @pytest.mark.lk(allow=["refused_connection"])
    async def test_ours(agent_session):
        for there in (reach, lambda: reach()):
            with pytest.raises(OSError, match="192.0.2.1"):
                await asyncio.to_thread(there)

    async def test_after():
        reach()
        await asyncio.to_thread(reach)
    """
    result = desk({"test_it.py": "import socket\nimport sys\n" + dedent(test)}).run()
    result.outcomes(passed=3)


def test_a_pool_that_several_tests_share_is_guarded_in_each_of_them(desk):
    tool = """
    def fetch():
        with socket.socket() as sock:
            sys.audit("socket.connect", sock, ("192.0.2.1", 443))

    await asyncio.wrap_future(pool.submit(fetch))  # here
    """
    test = """
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)

    @pytest.mark.parametrize("time", ["first", "second"])
    @pytest.mark.lk(agent=Desk)
    async def test_it(user_says, fake_llm, time):
        fake_llm.script(call("book"), "Done.")
        await user_says("2 pm please")
    """
    result = desk({"test_it.py": story(tool, test=dedent(test))}).run()
    result.outcomes(failed=2)
    result.shows(*2 * ["Desk connects to 192.0.2.1:443 (test_it.py:*), and nothing leaves the *"])


def test_what_a_fixture_swallows_after_the_verdict_is_told(desk):
    test = """
    import contextlib
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def told(agent_session):
        yield
        with contextlib.suppress(OSError):
            await asyncio.open_connection("192.0.2.1", 443)

    async def test_it(told): ...
    async def test_next(agent_session): ...
    """
    result = desk({"test_it.py": dedent(test)}).run()
    result.outcomes(passed=2, errors=1)
    result.shows(
        "E *RefusedConnection: the test connects to 192.0.2.1:443 (test_it.py:*), and nothing *",
        "ERROR test_it.py::test_it - *RefusedConnection: *",
    )


def test_what_a_library_made_of_it_is_not_told_frame_by_frame(desk):
    test = """
    import urllib.request
    from livekit.agents import function_tool

    class Desk(FrontDesk):
        @function_tool
        async def slots(self) -> str:
            "List the slots."
            return str(urllib.request.urlopen("http://api.example.com/slots"))

        @function_tool
        async def judge(self) -> str:
            "Judge."
            try:
                await self.slots()
            except OSError:
                assert not "what the user's own test says"

    @pytest.mark.parametrize("tool", ["slots", "judge"])
    @pytest.mark.lk(agent=Desk)
    async def test_it(user_says, fake_llm, tool):
        fake_llm.script(call(tool), say("None."))
        await user_says("when?")
    """
    result = desk({"test_it.py": dedent(test)}).run()
    result.outcomes(failed=2)
    result.shows(
        "Desk looks up api.example.com:80 (test_it.py:*), and nothing leaves the machine while *",
        "it came to the test as urllib.error.URLError (test_it.py:*)",
        'E *assert not "what the user\'s own test says"',
        "E *also: Desk looks up api.example.com:80 *",
        "FAILED test_it.py::test_it?slots? - Failed: Desk looks up api.example.com:80 *",
    )


def test_such_a_test_leaves_no_job_behind(desk):
    test = """
    import contextlib
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def told(agent_session):
        yield
        with contextlib.suppress(OSError):
            await asyncio.open_connection("192.0.2.1", 443)

    async def test_it(told): ...

    def test_of_somebody_else():
        with pytest.raises(RuntimeError, match="no job context"):
            get_job_context()
    """
    desk({"test_it.py": dedent(test)}).run().outcomes(passed=2, errors=1)
