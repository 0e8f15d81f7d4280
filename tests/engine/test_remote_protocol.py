"""LiveKit's whole session protocol: its client with our host, and our client with its host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice import RemoteSession
from livekit.agents.voice.remote_session import SessionHost
from livekit.protocol.agent_pb import agent_session as protocol
from ways import WAYS, in_memory, to_an_agent_that_connects

from pytest_lkagent import call, say
from pytest_lkagent._livekit_remote import Client, Host


@pytest.fixture(params=WAYS)
def ends(request: pytest.FixtureRequest):
    return WAYS[request.param]


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book visits.", id="front_desk")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        return f"booked {slot}"


@pytest.fixture
def agent() -> type[Agent]:
    return FrontDesk


async def asked(client: RemoteSession, **request: Any) -> protocol.SessionResponse:
    """Ask what LiveKit's client has no method for."""
    made = protocol.SessionRequest(request_id="req_1", **request)
    return await client._send_request(made)


async def history(client: RemoteSession) -> None:
    items = (await client.get_chat_history()).items
    assert [item.message.content[0].text for item in items if item.HasField("message")] == []
    await client.run("2 pm please")
    items = (await client.get_chat_history()).items
    said = [item.message.content[0].text for item in items if item.HasField("message")]
    assert said == ["2 pm please", "Done."]


async def run_input(client: RemoteSession) -> None:
    called, output, message = (await client.run("2 pm please")).items
    assert called.function_call.name == "book"
    assert output.function_call_output.output == "booked 2pm"
    assert message.message.content[0].text == "Done."


async def agent_info(client: RemoteSession) -> None:
    info = await client.get_agent_info()
    assert (info.id, info.instructions) == ("front_desk", "You book visits.")
    assert list(info.tools) == ["book"]


async def session_state(client: RemoteSession) -> None:
    state = await client.get_session_state()
    assert state.agent_id == "front_desk"
    assert state.agent_state == protocol.AS_LISTENING
    assert state.user_state == protocol.US_LISTENING
    assert state.options["max_tool_steps"] == "3"


async def usage(client: RemoteSession) -> None:
    await client.run("2 pm please")
    if isinstance(client, Client):
        answer = await client.get_session_usage()
    else:
        request = protocol.SessionRequest.GetSessionUsage()
        answer = (await asked(client, get_session_usage=request)).get_session_usage
    [used] = answer.usage.model_usage
    assert (used.llm.input_tokens, used.llm.output_tokens) == (5, 2)


async def rtc_stats(client: RemoteSession) -> None:
    if isinstance(client, Client):
        stats = await client.get_rtc_stats()
    else:
        request = protocol.SessionRequest.GetRTCStats()
        stats = (await asked(client, get_rtc_stats=request)).get_rtc_stats
    assert not stats.publisher_stats, "there is no room"


async def framework_info(client: RemoteSession) -> None:
    assert (await client.get_framework_info()).sdk == "python"


async def update_io(client: RemoteSession) -> None:
    await client.update_io(input_audio_enabled=False, output_transcription_enabled=False)


async def finalize(client: RemoteSession) -> None:
    answer = await client.finalize_simulation(provisional_success=True, provisional_reason="well")
    assert not answer.HasField("user_verdict"), "no simulation, and nobody to say anything"


REQUESTS: dict[str, Callable[[RemoteSession], Awaitable[None]]] = {
    "ping": RemoteSession.wait_for_ready,
    "get_chat_history": history,
    "run_input": run_input,
    "get_agent_info": agent_info,
    "get_session_state": session_state,
    "get_rtc_stats": rtc_stats,
    "get_session_usage": usage,
    "get_framework_info": framework_info,
    "update_io": update_io,
    "finalize_simulation": finalize,
}


def test_the_list_of_requests_is_the_protocols() -> None:
    known = protocol.SessionRequest.DESCRIPTOR.oneofs_by_name["request"].fields
    assert {field.name for field in known} == set(REQUESTS)


@asynccontextmanager
async def talking(
    client: type[RemoteSession], host: type[SessionHost], session: AgentSession[Any], ends: Any
) -> AsyncIterator[RemoteSession]:
    ours, agents = await ends()
    attached, remote = host(agents), client(ours)
    attached.register_session(session)
    await asyncio.gather(attached.start(), remote.start())
    try:
        yield remote
    finally:
        await remote.aclose()
        await attached.aclose()


PAIRS = [
    pytest.param(RemoteSession, Host, id="livekits-client"),
    pytest.param(Client, SessionHost, id="livekits-host"),
]


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(("client", "host"), PAIRS)
async def test_each_request_is_answered(
    agent_session, fake_llm, client, host, ends, request_name
) -> None:
    used = {"prompt_tokens": 5, "completion_tokens": 2}
    fake_llm.when("2 pm please", call("book", slot="2pm"), say("Done.").with_usage(**used),
                  times=None)  # fmt: skip
    async with talking(client, host, agent_session, ends) as remote:
        await REQUESTS[request_name](remote)
    if request_name == "update_io":
        assert not agent_session.input.audio_enabled
        assert not agent_session.output.transcription_enabled
        assert agent_session.output.audio_enabled


@pytest.mark.parametrize(("client", "host"), PAIRS)
async def test_the_events_of_the_session_come_in_its_order(
    agent_session, fake_llm, settle, client, host, ends
) -> None:
    fake_llm.script(call("book", slot="2pm"), say("Done."))
    names, added = [], []
    for kind in ("agent_state_changed", "conversation_item_added", "function_tools_executed"):
        agent_session.on(kind, lambda event: names.append(event.type))
    async with talking(client, host, agent_session, ends) as remote:
        came = []
        for kind in ("agent_state_changed", "conversation_item_added", "function_tools_executed"):
            remote.on(kind, lambda event: came.append(event.WhichOneof("event")))
        remote.on("conversation_item_added", added.append)
        await remote.run("2 pm please")
        await settle()
        assert came == names
        texts = [one.conversation_item_added.item.message.content[0].text for one in added]
        assert texts == ["2 pm please", "Done."]
        if isinstance(remote, Client):
            assert [event for event in remote.events if event in added] == added


@pytest.mark.parametrize(("client", "host"), PAIRS)
async def test_errors_arrive_as_their_texts(agent_session, fake_llm, client, host, ends) -> None:
    async with talking(client, host, agent_session, ends) as remote:
        with pytest.raises(
            RuntimeError, match=r"^session request run_input failed: empty run_input text$"
        ):
            await remote.run("")


async def test_a_request_that_the_host_does_not_know_is_answered(agent_session, ends) -> None:
    async with talking(RemoteSession, Host, agent_session, ends) as remote:
        with pytest.raises(RuntimeError, match="failed: unknown request: livekit-agents 1"):
            await asked(remote)


@pytest.mark.parametrize("ends", [in_memory, to_an_agent_that_connects])
async def test_a_client_that_vanishes_leaves_nothing_behind(
    agent_session, fake_llm, settle, ends
) -> None:
    fake_llm.script(say("I am still talking.").timed(duration=4))
    before = asyncio.all_tasks()
    ours, agents = await ends()
    host, remote = Host(agents), Client(ours)
    host.register_session(agent_session)
    await asyncio.gather(host.start(), remote.start())
    running = asyncio.ensure_future(remote.run("hi"))
    await asyncio.sleep(2)
    await ours.close()
    gone = r"^session request run_input was not answered: the transport is closed$"
    with pytest.raises(RuntimeError, match=gone):
        await running
    await settle()
    assert agent_session.history.messages()[-1].text_content == "I am still talking."
    await remote.aclose()
    await host.aclose()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("ends", [in_memory, to_an_agent_that_connects])
async def test_a_host_that_goes_away_is_told_to_who_waits(agent_session, fake_llm, ends) -> None:
    fake_llm.script(say("Too late.").timed(duration=40))
    ours, agents = await ends()
    host, remote = Host(agents), Client(ours)
    host.register_session(agent_session)
    await asyncio.gather(host.start(), remote.start())
    running = asyncio.ensure_future(remote.run("hi"))
    await asyncio.sleep(2)
    await agents.close()
    gone = (
        r"^session request run_input was not answered: the (other end was closed|connection ended)$"
    )
    for waiting in (running, remote.run("hello?")):
        with pytest.raises(RuntimeError, match=gone):
            await waiting
    await remote.aclose()
    await host.aclose()


async def test_a_request_over_1_mib_is_not_sent_and_the_next_one_is(agent_session, ends) -> None:
    async with talking(Client, SessionHost, agent_session, ends) as remote:
        refused = (
            r"^session request run_input was not sent: it has 104\d+ bytes, and LiveKit's session "
            r"protocol takes 1048576 at most$"
        )
        with pytest.raises(RuntimeError, match=refused):
            await remote.run("x" * 2**20)
        await remote.wait_for_ready()
