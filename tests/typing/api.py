"""Every public name as a user annotates it. Read by `tox -e typing`, and never run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, assert_never, assert_type

import pytest
from hypothesis import given
from hypothesis.stateful import rule
from hypothesis.strategies import SearchStrategy
from livekit.agents import (
    Agent,
    AgentSession,
    AgentTask,
    APIConnectionError,
    JobContext,
    ToolError,
    function_tool,
    llm,
)
from livekit.agents.voice.run_result import RunAssert

import pytest_lkagent
from pytest_lkagent import (
    AgentHandoff,
    BehaviourError,
    ChatSnapshot,
    Close,
    FakeLLM,
    FakeLLMServer,
    FakeRealtimeModel,
    FakeRoom,
    FakeTTS,
    FunctionCall,
    FunctionCallOutput,
    IncompleteResponse,
    Message,
    MockTask,
    MockTool,
    RemoteSession,
    Request,
    Sent,
    StartSession,
    Step,
    TaskMock,
    Timeline,
    ToolMock,
    Transcript,
    Turn,
    UsageError,
    UserSays,
    VoiceCall,
    call,
    fail,
    load_runs,
    raw_call,
    real_time,
    reply,
    run_summary,
    say,
    silence,
    stall,
    virtual_now,
    virtual_time,
)
from pytest_lkagent.fuzz import (
    AgentMachine,
    Arguments,
    Conversation,
    FuzzedTurn,
    Schedule,
    chat_contexts,
    completions,
    conversations,
    fuzz_agent,
    schedules,
    tool_arguments,
    user_inputs,
)


class FrontDesk(Agent):
    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        return f"booked {slot}"


class AskEmail(AgentTask[str]):
    pass


@function_tool
async def open_door() -> str:
    """Let the visitor in."""
    return "open"


# --- overrides and mocks, as fixtures


@pytest.fixture
def start_script() -> list[Step]:
    return [say("Hello.").by(FrontDesk)]


@pytest.fixture
def book(mock_tool: MockTool) -> ToolMock:
    return mock_tool(FrontDesk, "book", side_effect=[ToolError("taken"), "booked"], delay=0.5)


@pytest.fixture
def email(mock_task: MockTask) -> TaskMock:
    return mock_task(AskEmail, returns="ada@example.com", optional=True)


def test_mocks(mock_tool: MockTool, mock_task: MockTask) -> None:
    door = mock_tool(open_door, raises=ToolError("locked"), optional=True)
    assert_type(door, ToolMock)
    door.assert_not_called()

    @mock_tool(FrontDesk, "book")
    def book(slot: str) -> str:
        return f"{slot}!"

    assert_type(book, ToolMock)
    assert_type(book.calls, list[dict[str, Any]])
    assert_type(book.call_count, int)
    book.assert_called_once_with(slot="2pm")

    email = mock_task(AskEmail, side_effect=lambda: "ada@example.com")
    assert_type(email, TaskMock)
    email.assert_any_call(language="de")
    email.assert_has_calls([])
    mock_task(FrontDesk, returns="")  # type: ignore[arg-type]
    mock_tool(FrontDesk, "book", retuns="booked")  # type: ignore[call-arg]


# --- steps


def slot_of(request: Request) -> str:
    assert_type(request.instructions, str)
    assert_type(request.reply_instructions, str | None)
    return request.last_input


def answer(request: Request) -> Step:
    return say(f"You said {slot_of(request)}.")


def is_greeting(request: Request) -> bool:
    return not request.tools


def test_steps(fake_llm: FakeLLM) -> None:
    greeting: Step = say("Hello.").timed(ttft=0.5, duration=2).chunked(4).by(None)
    fake_llm.script(
        greeting,
        say(slot_of).chunked(["Hel", "lo."]),
        call("book", slot="2pm").with_id("call_1"),
        call("book", {"slot": slot_of}, who=lambda request: request.last_input),
        reply("One moment.", call("book"), call("book")).with_usage(prompt_tokens=9),
        reply(None, call("book")),
        raw_call("book", "not json"),
        fail(APIConnectionError("down"), after="Well", attempts=1),
        fail(APIConnectionError),
        silence().by("FrontDesk"),
        stall(),
        "a text alone",
        answer,
        slot_of,
        lambda request: f"Did you say {request.last_input}?",
    )
    fake_llm.when("hi", "Hello.", times=None)
    fake_llm.when(re.compile(r"\d pm"), call("book"), say("Done."), by=FrontDesk, times=2)
    fake_llm.when(is_greeting, answer, by=None)
    assert_type(fake_llm.requests, Sequence[Request])
    assert_type(fake_llm.remaining, tuple[Step, ...])
    model: llm.LLM[Any] = fake_llm  # it can be given wherever LiveKit takes a model
    assert model.model == "fake"
    pytest_lkagent.saay("Hello.")  # type: ignore[attr-defined]
    say(7)  # type: ignore[arg-type]
    fake_llm.script(7)  # type: ignore[arg-type]
    fake_llm.when(7, "Hello.")  # type: ignore[arg-type]
    reply("One moment.", "book")  # type: ignore[arg-type]


# --- a conversation


async def test_conversation(
    agent_session: AgentSession[dict[str, str]],
    user_says: UserSays,
    transcript: Transcript,
    book: ToolMock,
    email: TaskMock,
) -> None:
    turn = await user_says("2 pm please", interrupt=0.4, input_modality="text")
    assert_type(turn, Turn)
    assert_type(turn.user, str | None)
    assert_type(turn.error, BaseException | None)
    assert_type(turn.took, float)
    assert_type(turn.expect, RunAssert)
    turn.expect.next_event().is_function_call(name="book")
    assert [told(event) for event in transcript] == [told(event) for event in transcript.events]
    assert str(transcript).count("\n") == len(transcript.turns)
    await user_says(7)  # type: ignore[arg-type]


def outputs(turn: Turn) -> list[str]:
    return [event.output for event in turn.events if event.type == "function_call_output"]


def told(event: Message | FunctionCall | FunctionCallOutput | AgentHandoff | Close) -> str:
    match event:
        case Message():
            assert_type(event.agent, str | None)
            return f"{event.role}: {event.text}" + ("…" if event.interrupted else "")
        case FunctionCall():
            return f"{event.name} {event.call_id} {len(event.arguments)}"
        case FunctionCallOutput():
            return f"{event.name} {event.output}" if not event.is_error else "failed"
        case AgentHandoff():
            assert_type(event.old, str | None)
            return event.new
        case Close():
            return event.error or event.reason
        case _:
            assert_never(event)


async def test_two_sessions(start_session: StartSession) -> None:
    first = await start_session()
    assert_type(first, AgentSession[Any])
    own = FakeLLM()
    await start_session(
        FrontDesk(instructions="You book visits."),
        userdata={"caller": "Maya"},
        start=["Hello.", call("book", slot="2pm")],
        history=llm.ChatContext.empty(),
        llm=own,
        max_tool_steps=1,
    )


# --- errors


async def test_errors(user_says: UserSays, fake_llm: FakeLLM) -> None:
    with pytest.raises(UsageError, match="says nothing") as refused:
        say("")
    assert_type(refused.value, UsageError)
    with pytest.raises(BehaviourError) as caught:
        await user_says("hi")
    failure: AssertionError = caught.value
    assert "nobody scripted" in str(failure)


# --- time


async def test_snapshots(
    agent_session: AgentSession[None], user_says: UserSays, chat_snapshot: ChatSnapshot
) -> None:
    turn = await user_says("hi")
    assert turn == chat_snapshot
    assert agent_session.history == chat_snapshot(
        exclude=["instructions"], replace={r"O_\d+": "O_1"}, name="history"
    )


async def test_time() -> None:
    async with virtual_time("2026-06-12T09:00:00Z") as clock:
        assert_type(clock.now, float)
        assert_type(virtual_now(), datetime)
        async with real_time():
            pass
    async with virtual_time(datetime(2026, 6, 12, tzinfo=UTC)):
        pass


# --- the room, the session from outside, runs


async def test_outside(
    job_context: JobContext, remote_session: RemoteSession, fake_llm_server: FakeLLMServer
) -> None:
    room = job_context.room
    assert isinstance(room, FakeRoom)
    assert_type(room.sent, list[Sent])
    await room.receive_text("hi", topic="lk.chat")
    answer = await remote_session.run("hi", timeout=5.0)
    assert answer.items
    assert_type(fake_llm_server.url, str)


def test_runs() -> None:
    for run in load_runs("runs", status="FAILED").runs:
        assert_type(run_summary(run).going_well, str)


# --- a call


async def test_call(voice_call: VoiceCall, fake_tts: FakeTTS) -> None:
    fake_tts.voice("Good evening.", lasts=1.2, ttfb=0.3, fails=APIConnectionError("gone"))
    said = await voice_call.say("a table for two", at=1.0, lasts=1.5, heard="a cable for two")
    assert_type(said.heard, str | None)
    answer = await voice_call.agent_answers(within=0.8)
    assert_type(answer.latency, int | None)
    await voice_call.interrupt("wait", after=0.4)
    await voice_call.silence(2, at=20.0)
    await voice_call.dtmf("1#", at=23.0)
    await voice_call.hang_up(at=24.0)
    assert_type(voice_call.timeline, Timeline)


async def test_realtime(voice_call: VoiceCall, fake_llm: FakeLLM) -> None:
    Agent(instructions="You listen.", llm=FakeRealtimeModel(fake_llm, silence=1.0))
    fake_llm.script(fail(IncompleteResponse(), after="One mo"))
    await voice_call.say("hello")


# --- fuzzing

test_front_desk = fuzz_agent(FrontDesk, mocks={"book": "booked"}, turns=2)


class Desk(AgentMachine):
    agent = FrontDesk
    userdata_of = dict

    def completions(self, request: Request) -> SearchStrategy[Step]:
        return completions(FrontDesk)

    @rule(text=user_inputs())
    def bell(self, text: str) -> None:
        self.run(self.agent_session.say, text)
        assert_type(self.transcript, Transcript)


@given(
    sent=tool_arguments(FrontDesk.book),
    step=completions(FrontDesk),
    said=user_inputs(),
    history=chat_contexts(),
    schedule=schedules(),
    conversation=conversations([open_door]),
)
def test_whatever_comes(
    sent: Arguments,
    step: Step,
    said: str,
    history: llm.ChatContext,
    schedule: Schedule,
    conversation: Conversation,
) -> None:
    assert_type(tool_arguments({"type": "object"}), SearchStrategy[Arguments])
    assert_type(completions(FrontDesk(instructions="")), SearchStrategy[Step])
    assert_type(chat_contexts(FrontDesk), SearchStrategy[llm.ChatContext])
    assert_type(conversation.turns, tuple[FuzzedTurn, ...])
    assert_type(conversation.turns[0].completions, tuple[Step, ...])
    assert_type(schedule.tool(0) + schedule.completion(0), float)
    assert_type(schedule.interruption(0), float | None)
