"""The fake model at LiveKit's own seam: streams that are read without a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import pytest_asyncio
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    APITimeoutError,
    llm,
)
from pydantic import Field

from pytest_lkagent import (
    UsageError,
    _livekit_items,
    call,
    fail,
    raw_call,
    reply,
    say,
    silence,
    stall,
)
from pytest_lkagent.clock import VirtualClock
from pytest_lkagent.errors import UnscriptedRequest
from pytest_lkagent.fake import FakeLLM

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def clock() -> AsyncIterator[VirtualClock]:
    clock = VirtualClock(asyncio.get_running_loop())
    clock.install()
    yield clock
    clock.restore()


@pytest.fixture
def model(clock: VirtualClock) -> FakeLLM:
    return FakeLLM()


@llm.function_tool
async def book(slot: str, who: str = "", after: int | None = None) -> str:
    """Book."""
    return slot


@llm.function_tool
async def cancel(slot: Annotated[str, Field(alias="slotTime")]) -> None:
    """Cancel."""


class WebSearch(llm.ProviderTool):
    def __init__(self) -> None:
        super().__init__(id="web_search")


@llm.function_tool
async def a() -> None:
    """Do a."""


@llm.function_tool
async def b() -> None:
    """Do b."""


def ask(model: FakeLLM, text: str = "hi", **options: Any) -> llm.LLMStream:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=text)
    return model.chat(chat_ctx=context, **options)


async def chunks(model: FakeLLM, text: str = "hi", **options: Any) -> list[llm.ChatChunk]:
    async with ask(model, text, **options) as stream:
        return [chunk async for chunk in stream]


async def texts(model: FakeLLM, **options: Any) -> list[str]:
    return [c.delta.content for c in await chunks(model, **options) if c.delta and c.delta.content]


async def test_a_conversation_is_not_read_to_answer_with_the_next_step(
    model: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer would take as long as all that was said before it."""
    read: list[list[llm.ChatItem]] = []
    monkeypatch.setattr(_livekit_items, "read_request", read.append)
    model.script(call("book", slot="2pm"), "booked")
    await chunks(model, tools=[book])
    assert await texts(model) == ["booked"]
    assert read == []


@pytest.mark.parametrize(
    ("step", "pieces"),
    [
        (say("Hello to you"), ["Hello to you"]),
        (say("Hello to you").chunked(5), ["Hello", " to y", "ou"]),
        (say("Hello to you").chunked(["Hel", "lo to you"]), ["Hel", "lo to you"]),
        (say("Hello to  you ").timed(duration=3), ["Hello", " to", "  you", " "]),
        (say("Hello to you").timed(ttft=3), ["Hello to you"]),
        (silence(), []),
    ],
)
async def test_text_streams_in_chunks(model: FakeLLM, step: Any, pieces: list[str]) -> None:
    model.script(step)
    assert await texts(model) == pieces


async def test_time_is_spread_over_the_pieces_and_ends_exactly(
    model: FakeLLM, clock: VirtualClock
) -> None:
    model.script(say("one two three").timed(ttft=0.7, duration=1.3))
    arrived = []
    async with ask(model) as stream:
        async for _ in stream:
            arrived.append(clock.now)
    assert arrived == pytest.approx([0.7, 0.9, 1.1])
    assert clock.now == pytest.approx(1.3, abs=1e-10)


async def test_a_call_comes_when_the_answer_is_over(model: FakeLLM, clock: VirtualClock) -> None:
    model.script(call("a").timed(ttft=1, duration=5))
    await chunks(model, tools=[a])
    assert clock.now == 5


async def test_parallel_calls_are_complete_and_have_ids_of_their_own(model: FakeLLM) -> None:
    model.script(
        reply("Wait.", call("book", slot="2pm", who="Zoë"), raw_call("book", "{oops")),
        reply(None, call("a").with_id("mine"), call("b")),
    )
    text, calls = await chunks(model, tools=[book])
    assert text.delta is not None
    assert text.delta.content == "Wait."
    assert calls.delta is not None
    assert [(c.name, c.arguments, c.call_id) for c in calls.delta.tool_calls] == [
        ("book", '{"slot": "2pm", "who": "Zoë"}', "call_1"),
        ("book", "{oops", "call_2"),
    ]
    [calls] = await chunks(model, tools=[a, b])
    assert calls.delta is not None
    assert [c.call_id for c in calls.delta.tool_calls] == ["mine", "call_3"]


async def test_usage_ends_the_stream_also_of_an_empty_completion(model: FakeLLM) -> None:
    model.script(silence().with_usage(prompt_tokens=5, completion_tokens=2))
    [chunk] = await chunks(model)
    assert chunk.usage == llm.CompletionUsage(
        prompt_tokens=5, completion_tokens=2, prompt_cached_tokens=0, total_tokens=7
    )


async def test_an_error_is_retried_in_no_wall_time_and_the_original_is_the_cause(
    model: FakeLLM, clock: VirtualClock
) -> None:
    error = APIConnectionError("overloaded")
    model.script(fail(error))
    with pytest.raises(APIConnectionError, match="after 4 attempts") as caught:
        await chunks(model)
    assert caught.value.__cause__ is error
    assert clock.now == pytest.approx(0.1 + 2 + 2)
    assert len(model.requests) == 1
    assert model.remaining == ()


async def test_the_step_after_a_failed_attempt_answers_the_retry(model: FakeLLM) -> None:
    model.script(
        fail(APITimeoutError("slow"), after="I am", attempts=1),
        fail(APIConnectionError("gone"), attempts=2),
        say("Here I am."),
    )
    assert await texts(model) == ["I am", "Here I am."]
    assert len(model.requests) == 1


async def test_partial_text_comes_once_for_each_attempt(model: FakeLLM) -> None:
    model.script(fail(APIConnectionError("gone"), after="I am"))
    seen = []
    with pytest.raises(APIConnectionError):  # noqa: PT012  what came before is the point
        async with ask(model) as stream:
            async for chunk in stream:
                seen.append(chunk.delta and chunk.delta.content)
    assert seen == ["I am"] * 4


@pytest.mark.parametrize("error", [APIStatusError("no", status_code=400), ValueError("no")])
async def test_what_livekit_does_not_retry_ends_the_request_at_once_as_it_is(
    model: FakeLLM, clock: VirtualClock, error: Exception
) -> None:
    model.script(fail(error), say("never"))
    with pytest.raises(type(error)) as caught:
        await chunks(model)
    assert caught.value is error
    assert clock.now == 0
    assert len(model.remaining) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_these_statuses_are_retried(model: FakeLLM, status: int) -> None:
    model.script(fail(APIStatusError("busy", status_code=status), attempts=1), "At last.")
    assert await texts(model) == ["At last."]


async def test_a_client_that_went_away_gets_nothing_and_no_error(model: FakeLLM) -> None:
    model.script(fail(APIStatusError("gone", status_code=499), after="I am"))
    assert await texts(model) == ["I am"]


async def test_without_retries_the_error_itself_is_raised(model: FakeLLM) -> None:
    error = APIConnectionError("overloaded")
    model.script(fail(error))
    with pytest.raises(APIConnectionError) as caught:
        await chunks(model, conn_options=APIConnectOptions(max_retry=0))
    assert caught.value is error


async def test_the_step_behind_an_error_is_found_along_its_causes(model: FakeLLM) -> None:
    first, second = fail(APIConnectionError("one")), fail(APIConnectionError("two"))
    model.script(first, second)
    for step in (first, second):
        with pytest.raises(APIConnectionError) as caught:
            await chunks(model)
        assert model.script_of(caught.value) == step
    assert model.script_of(ValueError("by somebody else")) is None


async def test_a_stall_stays_open_until_it_is_closed(model: FakeLLM, clock: VirtualClock) -> None:
    model.script(stall())
    stream = ask(model)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 3_600)
    await stream.aclose()
    assert clock.now == 3_600


async def test_a_stream_that_is_closed_while_time_passes_leaves_no_timer(
    model: FakeLLM, clock: VirtualClock
) -> None:
    model.script(say("later").timed(ttft=50))
    stream = ask(model)
    await asyncio.sleep(1)
    await stream.aclose()
    await asyncio.sleep(100)
    assert clock.now == 101


async def test_a_stream_that_is_closed_at_the_very_instant_it_speaks_does_no_harm(
    model: FakeLLM, clock: VirtualClock
) -> None:
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    model.script(say("later").timed(ttft=50))
    loop = asyncio.get_running_loop()
    loop.call_later(50, lambda: stream._task.cancel())  # made first, so it fires first
    stream = ask(model)
    await asyncio.sleep(51)
    await stream.aclose()
    assert problems == []


async def test_an_unscripted_request_is_raised_kept_and_told_once(model: FakeLLM) -> None:
    with pytest.raises(UnscriptedRequest, match="code outside an agent asked its model"):
        await chunks(model, "what now?")
    assert [type(error) for error in model.refused] == [UnscriptedRequest]
    assert model.unraised() is model.refused[0]
    assert model.unraised() is None


async def test_where_it_is_allowed_an_unscripted_request_is_answered_with_silence(
    model: FakeLLM,
) -> None:
    model.allow_unscripted = True
    assert await chunks(model) == []
    assert model.refused == []


async def test_a_callable_that_fails_is_raised_as_it_is(model: FakeLLM) -> None:
    model.script(say(lambda r: r.last_input[100]), say(lambda r: 5))  # type: ignore[arg-type,return-value]
    with pytest.raises(IndexError):
        await chunks(model)
    with pytest.raises(UsageError, match=r"say\(<callable>\): .*gave 5"):
        await chunks(model)


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        (
            call("bok"),
            r"calls bok\(\); code outside an agent offers book, a; did you mean 'book'",
        ),
        (call("book", slt="2pm"), "; book takes slot, who, after; did you mean 'slot'"),
        (call("book", who="Ann"), "; book wants slot too"),
    ],
)
async def test_a_scripted_call_that_no_tool_takes_is_refused_as_misspelt(
    model: FakeLLM, step: Any, wrong: str
) -> None:
    model.script(step, raw_call("book", '{"slt": 1}'))
    with pytest.raises(UsageError, match=wrong):
        await chunks(model, tools=[book, a])
    assert len(model.refused) == 1
    assert len(await chunks(model, tools=[book, a])) == 1


async def test_a_scripted_call_by_a_name_that_the_code_alone_knows_is_refused(
    model: FakeLLM,
) -> None:
    model.script(call("cancel", slot="2pm"), call("cancel", slotTime="2pm"))
    with pytest.raises(UsageError, match="; cancel takes slotTime; did you mean 'slotTime'"):
        await chunks(model, tools=[cancel])
    assert len(await chunks(model, tools=[cancel])) == 1


async def test_a_scripted_call_of_what_the_provider_runs_itself_is_refused_at_its_line(
    model: FakeLLM,
) -> None:
    model.script(call("web_search", q="weather"), raw_call("web_search", '{"q": "weather"}'))
    wrong = (
        r"test_fake_llm.py:\d+: the script calls web_search\(q='weather'\); the provider runs "
        r"web_search itself, and sends no call: script what the model says of it \(if .* raw_call"
    )
    with pytest.raises(UsageError, match=wrong):
        await chunks(model, tools=[WebSearch()])
    assert len(await chunks(model, tools=[WebSearch()])) == 1


async def test_requests_tell_what_was_asked(model: FakeLLM) -> None:
    model.script("a", "b")
    model.when("third", "c")
    await chunks(model, "first", tools=[book], tool_choice="required")
    await chunks(model, "second")
    await chunks(model, "third")
    first, second, third = model.requests
    assert (first.number, first.last_input, dict(first.tools)) == (1, "first", {"book": book})
    assert (first.tool_choice, second.tool_choice) == ("required", None)
    assert (second.agent, second.asker) == (None, "code outside an agent")
    assert third.last_input == "third"
    assert repr(model) == "<FakeLLM: 3 requests, 0 steps left>"
    assert (model.model, model.provider) == ("fake", "pytest-lkagent")


async def test_two_streams_at_the_same_time_get_a_step_each(model: FakeLLM) -> None:
    model.script(say("one").timed(duration=2), "two")
    first, second = await asyncio.gather(texts(model), texts(model))
    assert (first, second) == (["one"], ["two"])
