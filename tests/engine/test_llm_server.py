"""The scripted model over HTTP: LiveKit's inference and the OpenAI plugin, by their real code."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    function_tool,
    inference,
    llm,
)
from livekit.plugins import openai
from pydantic import BaseModel

from pytest_lkagent import (
    FakeLLM,
    FunctionCall,
    FunctionCallOutput,
    Message,
    call,
    fail,
    raw_call,
    reply,
    say,
    silence,
    stall,
)
from pytest_lkagent.errors import UsageError
from pytest_lkagent.fake.server import FakeLLMServer

# httpx imports it when it is first asked. Were that in a run of pytest within this process, which
# drops what it was the first to import, later tests would meet exceptions that httpx does not know.
importlib.import_module(inference.llm.httpx.__name__.replace("httpx", "httpcore"))

CLIENTS: dict[str, Callable[[], llm.LLM[Any]]] = {
    "inference": lambda: inference.LLM("openai/gpt-4.1"),
    "openai": openai.LLM,
}
ONCE = APIConnectOptions(max_retry=0, timeout=0.2)


@pytest.fixture(params=CLIENTS)
def make(request: pytest.FixtureRequest, fake_llm_server: FakeLLMServer) -> Any:
    return CLIENTS[request.param]


@function_tool
async def book(slot: str, guests: int = 1, note: str | None = None) -> str:
    """Book a slot."""
    raise AssertionError("a model calls no tool by itself")


def conversation(*said: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You book visits.")
    for text in said or ("2 pm please",):
        context.add_message(role="user", content=text)
    return context


async def ask(model: llm.LLM[Any], *said: str, **how: Any) -> llm.CollectedResponse:
    async with model, model.chat(chat_ctx=conversation(*said), **how) as stream:
        return await stream.collect()


# --- what a step is over HTTP


async def test_text_comes_in_its_chunks_with_its_usage(make, fake_llm) -> None:
    fake_llm.script(say("We are open.").chunked(["We ", "are", " open."]).with_usage(
        prompt_tokens=9, completion_tokens=4, prompt_cached_tokens=3))  # fmt: skip
    async with make() as model, model.chat(chat_ctx=conversation()) as stream:
        chunks = [chunk async for chunk in stream]
    assert [one.delta.content for one in chunks if one.delta] == ["We ", "are", " open."]
    used = chunks[-1].usage
    assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (9, 4, 13)
    assert used.prompt_cached_tokens == 3


async def test_calls_come_with_their_text_ids_and_arguments(make, fake_llm) -> None:
    fake_llm.script(
        reply(
            "One moment.", call("book", slot="2pm", guests=2).with_id("x"), call("book", slot="3")
        ),
        raw_call("book", '{"slot": '),
    )
    answer = await ask(make(), tools=[book])
    assert answer.text == "One moment."
    made = [(one.call_id, one.name, json.loads(one.arguments)) for one in answer.tool_calls]
    assert made == [
        ("x", "book", {"slot": "2pm", "guests": 2}),
        ("call_1", "book", {"slot": "3"}),
    ]
    [malformed] = (await ask(make(), "again", tools=[book])).tool_calls
    assert malformed.arguments == '{"slot": '


async def test_silence_is_an_empty_completion(make, fake_llm) -> None:
    fake_llm.script(silence())
    answer = await ask(make())
    assert (answer.text, answer.tool_calls) == ("", [])


async def test_a_slow_step_takes_its_time(make, fake_llm) -> None:
    fake_llm.script(say("At last.").timed(ttft=0.5, duration=1))
    began = asyncio.get_running_loop().time()
    assert (await ask(make())).text == "At last."
    assert asyncio.get_running_loop().time() - began >= 1


class Structured(BaseModel):
    text: str


async def test_the_request_is_recorded_as_in_the_process(make, fake_llm) -> None:
    context = conversation("2 pm please")
    context.add_message(role="assistant", content="One moment.")
    context.items.append(llm.FunctionCall(call_id="a", name="book", arguments='{"slot": "2pm"}'))
    context.items.append(
        llm.FunctionCallOutput(call_id="a", name="book", output="taken", is_error=True)
    )
    context.add_message(role="system", content="Say sorry.")
    fake_llm.script(lambda request: f"The desk says: {request.last_input}.")
    async with make() as model:
        how = {"tools": [book], "tool_choice": "required", "response_format": Structured}
        async with model.chat(chat_ctx=context, **how) as stream:
            assert (await stream.collect()).text == "The desk says: taken."
    [request] = fake_llm.requests
    assert request.messages == (
        Message(role="user", text="2 pm please"),
        Message(role="assistant", text="One moment."),
        FunctionCall(name="book", arguments={"slot": "2pm"}, call_id="a"),
        FunctionCallOutput(name="book", output="taken", call_id="a"),
    )
    assert (request.instructions, request.reply_instructions) == ("You book visits.", "Say sorry.")
    assert (list(request.tools), request.tool_choice) == (["book"], "required")
    assert request.response_format["json_schema"]["name"] == "Structured"
    assert request.agent is None


# --- errors


REFUSED = APIStatusError("no such key", status_code=401)


@pytest.mark.parametrize(
    ("step", "kind", "told"),
    [
        (fail(REFUSED), APIStatusError, "401 - no such key"),
        (fail(APIStatusError("slow down", status_code=429)), APIStatusError, "429 - slow down"),
        (fail(APIStatusError("what?", status_code=-1)), APIStatusError, "500 - what?"),
        (fail(APIError("broken")), APIStatusError, "500 - broken"),
        (fail(ValueError("a slip")), APIStatusError, "500 - ValueError: a slip"),
        (fail(APIConnectionError("down")), APIConnectionError, "Connection error"),
        (fail(ConnectionResetError()), APIConnectionError, "Connection error"),
        (fail(APITimeoutError()), APITimeoutError, "timed out"),
        (fail(TimeoutError()), APITimeoutError, "timed out"),
        (stall(), APITimeoutError, "timed out"),
        (fail(REFUSED, after="We are"), APIConnectionError, "Connection error"),
        (fail(APIConnectionError("down"), after="We are"), APIConnectionError, "Connection error"),
    ],
    ids=lambda value: value.describe() if hasattr(value, "describe") else "",
)
async def test_a_step_fails_as_a_provider_would(make, fake_llm, step, kind, told) -> None:
    fake_llm.script(step)
    heard: list[str] = []

    async def listen() -> None:
        chatting = {"chat_ctx": conversation(), "conn_options": ONCE}
        async with make() as model, model.chat(**chatting) as stream:
            async for chunk in stream:
                heard.append(chunk.delta.content)

    status, _, text = told.rpartition(" - ")
    with pytest.raises(APIError, match=re.escape(text)) as raised:
        await listen()
    assert type(raised.value) is kind
    assert not status or raised.value.status_code == int(status)
    assert heard == (["We are"] if step.text else [])
    assert fake_llm.remaining == ()


async def test_a_step_fails_every_attempt_of_its_request(make, fake_llm) -> None:
    fake_llm.script(fail(APIStatusError("slow down", status_code=429)), say("Next."))
    with pytest.raises(APIConnectionError, match="after 4 attempts") as raised:
        await ask(make())
    assert "slow down" in str(raised.value.__cause__)
    assert [step.describe() for step in fake_llm.remaining] == ["say('Next.')"]
    assert (await ask(make(), "2 pm please", "hello?")).text == "Next."
    assert len(fake_llm.requests) == 2


async def test_attempts_fail_as_often_as_they_say_and_the_next_step_answers(make, fake_llm) -> None:
    fake_llm.script(
        fail(APIConnectionError("down"), attempts=2),
        fail(APIStatusError("slow down", status_code=503), attempts=1),
        say("Here we are."),
    )
    assert (await ask(make())).text == "Here we are."
    assert len(fake_llm.requests) == 1


@pytest.fixture
def apart(fake_llm) -> FakeLLM:
    """A model of which the verdict over the test knows nothing."""
    return FakeLLM()


async def answered(model: FakeLLM, client: str, *said: str, **how: Any) -> llm.CollectedResponse:
    async with FakeLLMServer(model) as server:
        made: llm.LLM[Any] = (
            inference.LLM("openai/gpt-4.1", base_url=server.url)
            if client == "inference"
            else openai.LLM(base_url=server.url)
        )
        return await ask(made, *said, **how)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([], "code outside an agent asked its model for a completion that nobody scripted"),
        ([say("Hi.").by("FrontDesk")], "the next step waits for FrontDesk, not for code outside"),
        ([call("bok", slot="2")], "code outside an agent offers book; did you mean 'book'?"),
        ([call("book", slto="2")], "book takes slot, guests, note; did you mean 'slot'?"),
        ([call("book", guests=2)], "book wants slot too"),
        ([lambda request: request.tools["cancel"]], "KeyError: 'cancel'"),
    ],
)  # fmt: skip
async def test_what_the_script_has_no_answer_to_is_asked_once(apart, client, steps, told) -> None:
    apart.script(*steps)
    with pytest.raises(APIStatusError, match=re.escape(told)) as raised:
        await answered(apart, client, tools=[book])
    assert raised.value.status_code == 422
    assert len(apart.requests) == 1


# --- other clients


async def post(server: FakeLLMServer, body: Any, path: str = "/chat/completions") -> Any:
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    async with (
        aiohttp.ClientSession() as client,
        client.post(server.url + path, data=text) as answer,
    ):
        return answer.status, await answer.json()


HELLO = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}
BOOK = {"id": "a", "type": "function", "function": {"name": "book", "arguments": "{}"}}


async def test_who_asks_for_no_stream_gets_the_answer_whole(fake_llm_server, fake_llm) -> None:
    fake_llm.script(
        say("We are open.").with_usage(prompt_tokens=2, completion_tokens=3),
        call("book", slot="2pm"),
        silence(),
    )
    tool = {"type": "function", "function": {"name": "book", "parameters": {}}}
    status, answer = await post(fake_llm_server, HELLO)
    assert (status, answer["model"], answer["object"]) == (200, "any", "chat.completion")
    [choice] = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "We are open."}
    assert choice["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == 5
    _, answer = await post(fake_llm_server, {**HELLO, "tools": [tool]})
    [choice] = answer["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "book", "arguments": '{"slot": "2pm"}'},
        }
    ]
    assert choice["finish_reason"] == "tool_calls"
    _, answer = await post(fake_llm_server, HELLO)
    assert answer["choices"][0]["message"]["content"] is None


async def test_a_stream_is_what_openai_documents(fake_llm_server, fake_llm) -> None:
    for text in ("Hi.", "Hi again."):
        fake_llm.script(say(text).with_usage(prompt_tokens=2, completion_tokens=3))
    heard = []
    async with aiohttp.ClientSession() as client:
        for options in ({"stream_options": {"include_usage": True}}, {}):
            body = {**HELLO, "stream": True, **options}
            async with client.post(f"{fake_llm_server.url}/chat/completions", json=body) as answer:
                assert answer.content_type == "text/event-stream"
                *events, rest = (await answer.text()).split("\n\n")
                assert rest == ""
                heard.append([event.removeprefix("data: ") for event in events])
    (begun, ended, used, done), without_usage = heard
    assert json.loads(begun)["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": "Hi."}, "finish_reason": None}
    ]
    assert json.loads(ended)["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert json.loads(used)["choices"] == []
    assert json.loads(used)["usage"]["prompt_tokens"] == 2
    assert done == "[DONE]"
    assert len(without_usage) == 3


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        ("{", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        (b"\xff", "Invalid JSON: expected value at line 1 column 1"),
        ([], "Input should be an object"),
        ({}, "model: Field required; messages: Field required"),
        (
            {**HELLO, "messages": []},
            "messages: List should have at least 1 item after validation, not 0",
        ),
        (
            {**HELLO, "messages": [{"role": "robot"}]},
            "messages.0.role: Input should be 'system', 'developer', 'user', 'assistant' or 'tool'",
        ),
        ({**HELLO, "tools": [{"type": "function"}]}, "tools.0.function: Field required"),
        (
            {
                **HELLO,
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "book", "parameters": {"required": "slot"}},
                    }
                ],
            },
            "tools.0.function.parameters.required: Input should be a valid array",
        ),
        (
            {**HELLO, "stream": "maybe"},
            "stream: Input should be a valid boolean, unable to interpret input",
        ),
        (
            {**HELLO, "messages": [{"role": "tool", "tool_call_id": "a", "content": "booked"}]},
            "messages.0 answers the tool call 'a', and no message before it makes that call",
        ),
        (
            {
                **HELLO,
                "messages": [
                    {"role": "assistant", "tool_calls": [BOOK]},
                    {"role": "tool", "tool_call_id": "b"},
                ],
            },
            "messages.1 answers the tool call 'b', and no message before it makes that call",
        ),
    ],
)  # fmt: skip
async def test_a_malformed_request_is_told_what_is_wrong_and_kept(apart, body, told) -> None:
    async with FakeLLMServer(apart) as server:
        status, answer = await post(server, body)
    assert status == 400
    told = f"what was sent to the scripted model is no request: {told}"
    assert answer["error"]["message"] == told
    assert answer["error"]["type"] == "invalid_request_error"
    assert apart.requests == ()
    assert [str(one) for one in apart.refused] == [told]


async def test_what_messages_may_look_like(fake_llm_server, fake_llm) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "this?"}]
    fake_llm.script(say("Nice."))
    messages = [
        {"role": "assistant", "content": "Hello.", "tool_calls": [BOOK]},
        {"role": "tool", "tool_call_id": "a", "content": "booked"},
        {"role": "user", "content": parts, "name": "Maya"},
    ]
    await post(fake_llm_server, {**HELLO, "messages": messages, "tools": None, "seed": 1})
    [request] = fake_llm.requests
    assert [event.type for event in request.messages] == [
        "message", "function_call", "function_call_output", "message",
    ]  # fmt: skip
    assert (request.last_input, request.instructions) == ("this?", "")


async def test_other_paths_are_not_found_say_what_there_is_and_are_kept(apart) -> None:
    async with FakeLLMServer(apart) as server:
        status, answer = await post(server, HELLO, "/responses")
    assert status == 404
    told = (
        f"the scripted model answers POST {server.url}/chat/completions, and not "
        "POST /v1/responses; mock what asks for it"
    )
    assert answer["error"]["message"] == told
    assert [str(one) for one in apart.refused] == [told]


async def test_what_clients_only_warm_up_with_is_kept_nowhere(apart) -> None:
    warm_ups = {"/models": 200, "/": 404, "/tts?model=cartesia%2Fsonic": 404}
    async with FakeLLMServer(apart) as server, aiohttp.ClientSession() as client:
        for path, status in warm_ups.items():
            async with client.get(server.url + path) as answer:
                assert answer.status == status
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(f"{server.url}/tts")
    assert apart.refused == []


async def test_where_unscripted_requests_are_allowed_none_is_kept(apart) -> None:
    apart.allow_unscripted = True
    async with FakeLLMServer(apart) as server:
        assert (await post(server, HELLO, "/responses"))[0] == 404
        assert (await post(server, {}))[0] == 400
    assert apart.refused == []


# --- its life


async def test_a_client_that_goes_away_interrupts_the_answer(fake_llm_server, fake_llm) -> None:
    fake_llm.script(say("A long story.").timed(ttft=0.1, duration=600), stall(), say("Hi."))
    before = asyncio.all_tasks()
    for begun in (True, False):
        async with aiohttp.ClientSession() as client:
            body = {**HELLO, "stream": True}
            asking = client.post(f"{fake_llm_server.url}/chat/completions", json=body)
            if begun:
                async with asking as answer:
                    assert await answer.content.readany()
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await asking
        await asyncio.sleep(0.1)
        assert fake_llm.answering == []
    assert (await post(fake_llm_server, HELLO))[1]["choices"][0]["message"]["content"] == "Hi."
    await fake_llm_server.aclose()
    await asyncio.sleep(0.1)
    assert asyncio.all_tasks() == before


async def test_closing_ends_what_stalls_and_leaves_no_port_open(apart) -> None:
    apart.script(stall())
    before = asyncio.all_tasks()
    async with FakeLLMServer(apart) as server:
        asking = asyncio.ensure_future(post(server, HELLO))
        await asyncio.sleep(0.1)
        assert len(apart.answering) == 1
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asking
    assert apart.answering == []
    with pytest.raises(aiohttp.ClientConnectorError):
        await post(server, HELLO)
    assert asyncio.all_tasks() == before


async def test_a_port_in_use_is_refused_with_a_way_out(fake_llm_server) -> None:
    second = FakeLLMServer(FakeLLM(), port=fake_llm_server.port)
    with pytest.raises(UsageError, match=r"^127\.0\.0\.1:\d+ is in use; leave the port away, and"):
        await second.start()
    await second.aclose()


def test_it_needs_no_session_no_fixture_and_no_virtual_time() -> None:
    async def hello() -> Any:
        model = FakeLLM()
        model.script("Hello.")
        async with FakeLLMServer(model) as server:
            return await post(server, HELLO)

    assert asyncio.run(hello())[1]["choices"][0]["message"]["content"] == "Hello."


async def test_no_proxy_stands_between(monkeypatch, apart) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "intra.example.com")
    monkeypatch.delenv("no_proxy", raising=False)
    apart.script("Hello.")
    async with FakeLLMServer(apart) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        assert (await ask(openai.LLM())).text == "Hello."
        assert server.environment["NO_PROXY"].startswith("intra.example.com,")


# --- in a session of LiveKit's


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book visits.")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        return f"booked {slot}"


async def test_a_session_of_livekits_runs_on_it_with_its_tools(make, fake_llm) -> None:
    fake_llm.script(call("book", slot="2pm"), say("Done.").with_usage(prompt_tokens=7))
    async with make() as model, AgentSession(llm=model, vad=None) as session:
        await session.start(FrontDesk())
        result = await session.run(user_input="2 pm please")
        result.expect.next_event().is_function_call(name="book", arguments={"slot": "2pm"})
        result.expect.next_event().is_function_call_output(output="booked 2pm")
        result.expect.next_event().is_message(role="assistant")
        [used] = session.usage.model_usage
        assert used.input_tokens == 7
    assert fake_llm.requests[1].last_input == "booked 2pm"
