"""The scripted realtime model in a real AgentSession: it writes, it speaks, and it hears."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    AgentTask,
    APIConnectionError,
    APIError,
    function_tool,
    llm,
)
from livekit.agents.utils import aio
from livekit.agents.voice import io

from pytest_lkagent import call, fail, raw_call, reply, say, silence, stall, virtual_time
from pytest_lkagent.errors import UnscriptedRequest, UsageError
from pytest_lkagent.fake import FakeLLM
from pytest_lkagent.fake.realtime import FakeRealtimeModel, IncompleteResponse, Truncation
from pytest_lkagent.fake.sound import Sound, Utterance, frame_of

pytestmark = pytest.mark.asyncio

_LEAN: dict[str, Any] = {
    "vad": None,
    "turn_handling": {"turn_detection": None},
    "user_away_timeout": None,
    "aec_warmup_duration": None,
}


class Speaker(io.AudioOutput):
    """Plays what it is given in the time that it takes."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=io.AudioOutputCapabilities(pause=False))
        self.played: list[float] = []
        self._seconds = 0.0
        self._began = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self._began = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=0.0)
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._seconds:
            due = self._began + self._seconds
            self._end = asyncio.get_running_loop().call_at(due, self._finish, self._seconds)

    def clear_buffer(self) -> None:
        if self._end is not None:
            self._end.cancel()
        if self._seconds:
            self._finish(asyncio.get_running_loop().time() - self._began, interrupted=True)

    def _finish(self, position: float, *, interrupted: bool = False) -> None:
        self._seconds = 0.0
        position = round(position, 6)  # LiveKit before 1.8 cuts it off to milliseconds
        self.played.append(position)
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


class Microphone(io.AudioInput):
    """Hears what it is given."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self.frames = aio.Chan[rtc.AudioFrame]()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.recv()

    async def hear(self, utterance: Utterance, *, silence: float = 0.0) -> None:
        begin, step = 0.0, 0.05
        while begin < utterance.lasts:
            await asyncio.sleep(step)
            sound = Sound(utterance, begin, begin + step)
            self.frames.send_nowait(frame_of(step, sound))
            begin = round(begin + step, 6)
        await asyncio.sleep(silence)


class FrontDesk(Agent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="You book tables.", **options)

    @function_tool
    async def book(self, slot: str) -> str:
        """Book."""
        return f"booked {slot}"

    @function_tool
    async def note(self) -> None:
        """Note, and say nothing of it."""

    @function_tool
    async def hand_over(self) -> Agent:
        """Hand over."""
        return Waiter()

    @function_tool
    async def ask_name(self) -> str:
        """Ask."""
        return await NameTask()


class Waiter(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Take the order.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet.")


class NameTask(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the name.")

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def take(self, name: str) -> None:
        """Take it."""
        self.complete(name)


class Call:
    def __init__(self, session: AgentSession[Any], model: FakeRealtimeModel) -> None:
        self.session = session
        self.model = model
        self.speaker = Speaker()
        self.microphone = Microphone()
        self.errors: list[tuple[Exception, bool]] = []
        self.transcripts: list[tuple[str, bool]] = []
        session.on(
            "error", lambda event: self.errors.append((event.error.error, event.error.recoverable))
        )
        session.on(
            "user_input_transcribed",
            lambda event: self.transcripts.append((event.transcript, event.is_final)),
        )

    @property
    def caller(self) -> Any:
        return self.model.session_now.caller

    @property
    def texts(self) -> list[str]:
        return [
            f"{item.role}: {item.text_content}"
            for item in self.session.history.items
            if isinstance(item, llm.ChatMessage)
        ]

    @property
    def kinds(self) -> list[str]:
        return [item.type for item in self.session.history.items]


@asynccontextmanager
async def on_a_call(
    script: FakeLLM, agent: Agent | None = None, *, audio: bool = True, **options: Any
) -> AsyncIterator[Call]:
    """Have an agent with a realtime model on a call, in virtual time."""
    lean = {**_LEAN, **{key: options.pop(key) for key in tuple(options) if key in _SESSION}}
    async with virtual_time():
        model = FakeRealtimeModel(script, **options)
        session: AgentSession[Any] = AgentSession(llm=model, **lean)
        call = Call(session, model)
        if audio:
            session.output.audio = call.speaker
            session.input.audio = call.microphone
        try:
            await session.start(agent or FrontDesk())
            yield call
        finally:
            await session.aclose()


_OVERLAPPING = {"supports_overlapping_speech": True}
_SESSION = ("vad", "stt", "tts", "turn_handling", "aec_warmup_duration")


@pytest.fixture
def script() -> FakeLLM:
    return FakeLLM()


async def test_a_model_that_writes_answers_a_run(script: FakeLLM) -> None:
    script.script(say("Hello."))
    async with on_a_call(script, audio=False, audio_output=False) as call:
        result = await call.session.run(user_input="Hi")
        result.expect.next_event().is_message(role="assistant")
        assert call.texts == ["user: Hi", "assistant: Hello."]
    [request] = script.requests
    assert (request.last_input, request.instructions) == ("Hi", "You book tables.")
    assert request.asker == "FrontDesk"
    assert sorted(request.tools) == ["ask_name", "book", "hand_over", "note"]
    assert script.remaining == ()


async def test_a_model_that_speaks_takes_as_long_as_its_text(script: FakeLLM) -> None:
    script.script(say("x" * 30), say("one two").timed(ttft=1, duration=3))
    async with on_a_call(script) as call:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await call.session.generate_reply().wait_for_playout()
        assert loop.time() - began == pytest.approx(2)
        await call.session.generate_reply().wait_for_playout()
        assert loop.time() - began == pytest.approx(2 + 3)
        assert call.speaker.played == [2, 2]
        assert call.texts == [f"assistant: {'x' * 30}", "assistant: one two"]


async def test_instructions_tools_and_tool_choice_of_one_reply_are_in_its_request(
    script: FakeLLM,
) -> None:
    script.script("Hi.", "Bye.", "Well.")
    async with on_a_call(script) as call:
        await call.session.generate_reply(instructions="Greet.", tool_choice="none", tools=["book"])
        await call.session.current_agent.update_instructions("You book rooms.")
        await call.session.generate_reply()
    first, second = script.requests
    assert (first.instructions, first.reply_instructions) == ("You book tables.", "Greet.")
    assert (first.tool_choice, list(first.tools)) == ("none", ["book"])
    assert (second.instructions, second.reply_instructions) == ("You book rooms.", None)
    assert (second.tool_choice, len(second.tools)) == (None, 4)


async def test_without_a_tool_choice_per_response_that_of_the_session_is_used(
    script: FakeLLM,
) -> None:
    script.script("Hi.", "Bye.")
    async with on_a_call(script, per_response_tool_choice=False) as call:
        await call.session.generate_reply(tool_choice="required", tools=["book"])
        await call.session.generate_reply()
    first, second = script.requests
    assert (first.tool_choice, list(first.tools)) == ("required", ["book"])
    assert (second.tool_choice, len(second.tools)) == (None, 4)


async def test_results_of_tools_go_back_and_livekit_asks_again(script: FakeLLM) -> None:
    script.script(
        reply("One moment.", call("book", slot="2pm"), call("book", slot="3pm").with_id("mine")),
        say("Both are booked."),
    )
    async with on_a_call(script) as phone:
        result = await phone.session.run(user_input="2 and 3 please")
        result.expect.contains_function_call(name="book", arguments={"slot": "2pm"})
        result.expect.contains_function_call_output(output="booked 3pm")
        assert phone.texts[1:] == ["assistant: One moment.", "assistant: Both are booked."]
        outputs = [i for i in phone.session.history.items if i.type == "function_call_output"]
        assert {o.call_id: o.output for o in outputs} == {
            "call_1": "booked 2pm",
            "mine": "booked 3pm",
        }
    assert script.requests[1].last_input == "booked 2pm\nbooked 3pm"
    assert script.place_of("mine") == (0, 1)


async def test_a_tool_that_returns_nothing_asks_for_no_reply(script: FakeLLM) -> None:
    script.script(call("note"))
    async with on_a_call(script) as phone:
        await phone.session.run(user_input="note it")
        assert phone.kinds[-3:] == ["message", "function_call", "function_call_output"]


async def test_a_model_that_answers_tools_by_itself_is_not_asked_again(script: FakeLLM) -> None:
    script.script(call("book", slot="2pm"), "Booked.")
    async with on_a_call(script, auto_tool_reply_generation=True) as phone:
        result = await phone.session.run(user_input="2 please")
        result.expect[-1].is_message(role="assistant")
        assert phone.texts[-1] == "assistant: Booked."
    assert [r.last_input for r in script.requests] == ["2 please", "booked 2pm"]


async def test_malformed_arguments_are_livekits_to_judge(script: FakeLLM) -> None:
    script.script(raw_call("book", "[oops"), "Sorry.")
    async with on_a_call(script, audio_output=False, audio=False) as phone:
        await phone.session.run(user_input="2 please")
        [output] = [i for i in phone.session.history.items if i.type == "function_call_output"]
        assert output.is_error
        assert phone.texts[-1] == "assistant: Sorry."


async def test_a_hand_over_goes_on_in_the_same_session_with_the_other_agent(
    script: FakeLLM,
) -> None:
    script.script(
        call("hand_over").by(FrontDesk),
        say("What may I bring?").by(Waiter),
        say("A tea.").by(Waiter),
    )
    async with on_a_call(script) as phone:
        await phone.session.run(user_input="I am hungry")
        await phone.session.run(user_input="tea")
        assert isinstance(phone.session.current_agent, Waiter)
        assert len(phone.model.sessions) == 1
    first, second, third = script.requests
    assert (second.instructions, second.reply_instructions) == ("Take the order.", "Greet.")
    assert [r.asker for r in (first, second, third)] == ["FrontDesk", "Waiter", "Waiter"]
    assert list(third.tools) == []


async def test_a_session_that_cannot_be_changed_is_replaced_at_a_hand_over(
    script: FakeLLM,
) -> None:
    script.script(call("hand_over"), say("What may I bring?").by(Waiter))
    async with on_a_call(script, mutable_instructions=False) as phone:
        await phone.session.run(user_input="I am hungry")
        first, second = phone.model.sessions
        assert (first.is_closed, second.is_closed) == (True, False)
        assert phone.model.session_now is second
    assert second.is_closed


async def test_a_task_asks_and_gives_the_floor_back(script: FakeLLM) -> None:
    script.script(
        call("ask_name"),
        say("Your name?").by(NameTask),
        call("take", name="Ann").by(NameTask),
        say("Welcome, Ann.").by(FrontDesk),
    )
    async with on_a_call(script) as phone:
        await phone.session.run(user_input="hello")
        await phone.session.run(user_input="Ann")
        assert phone.texts[-1] == "assistant: Welcome, Ann."
    assert [r.instructions for r in script.requests][1:3] == ["Ask for the name."] * 2
    assert script.requests[-1].last_input == "Ann"


async def test_usage_adds_up_in_the_session(script: FakeLLM) -> None:
    step = say("Hi.").with_usage(prompt_tokens=10, completion_tokens=2, prompt_cached_tokens=4)
    script.script(step, silence())
    async with on_a_call(script) as phone:
        await phone.session.generate_reply()
        await phone.session.generate_reply()
        [usage] = phone.session.usage.model_usage
        assert (usage.input_tokens, usage.output_tokens) == (10, 2)
        assert usage.input_cached_tokens == 4


async def test_a_model_that_writes_makes_no_sound(script: FakeLLM) -> None:
    script.script("Hi.", "Ho.")
    async with on_a_call(script, audio_output=False) as phone:
        await phone.session.generate_reply()
        assert (phone.texts, phone.speaker.played) == (["assistant: Hi."], [])
        created = await phone.model.session_now.generate_reply()
        [message] = [message async for message in created.message_stream]
        assert [piece async for piece in message.text_stream] == ["Ho."]
        assert [frame async for frame in message.audio_stream] == []
        assert await message.modalities == ["text"]


async def test_a_model_that_says_only_what_it_likes_refuses_to_say(script: FakeLLM) -> None:
    async with on_a_call(script) as phone:
        with pytest.raises(NotImplementedError, match="does not implement say"):
            phone.model.session_now.say("Welcome.")


async def test_a_model_that_can_says_what_the_agent_makes_it_say(script: FakeLLM) -> None:
    async def words() -> AsyncIterator[str]:
        yield "And "
        yield "bye."

    async with on_a_call(script, supports_say=True) as phone:
        await phone.session.say("Welcome.")
        await phone.session.say(words())
        assert phone.texts == ["assistant: Welcome.", "assistant: And bye."]
    assert script.requests == ()


async def test_a_text_that_breaks_off_while_it_is_said_is_told_of(
    script: FakeLLM, caplog: pytest.LogCaptureFixture
) -> None:
    async def words() -> AsyncIterator[str]:
        yield "And "
        raise ValueError("no more words")

    async with on_a_call(script, supports_say=True) as phone:
        await phone.session.say(words())
        assert phone.texts == []
    assert "failed to say text: no more words" in caplog.text


async def test_a_reply_that_is_given_up_at_once_leaves_nothing_behind(script: FakeLLM) -> None:
    script.script("Hi.", "Ho.")
    async with on_a_call(script) as phone:
        before = asyncio.all_tasks()
        phone.model.session_now.generate_reply().cancel()
        [task] = asyncio.all_tasks() - before
        await asyncio.sleep(1)
        assert task.cancelled() or task.exception() is None
        await phone.session.generate_reply()
        assert phone.texts == ["assistant: Ho."]


# --- the caller


async def test_the_server_hears_the_caller_and_answers_when_the_turn_is_over(
    script: FakeLLM,
) -> None:
    script.script(say("For when?").timed(ttft=0.3))
    async with on_a_call(script) as phone:
        states = []
        phone.session.on("user_state_changed", lambda event: states.append(event.new_state))
        began = asyncio.get_running_loop().time()
        spoken: list[float] = []
        phone.speaker.on(
            "playback_started",
            lambda _: spoken.append(asyncio.get_running_loop().time() - began),
        )
        await phone.microphone.hear(Utterance(text="a table please", lasts=1.5), silence=5)
        assert spoken == [pytest.approx(1.5 + 0.5 + 0.3)]
        assert states == ["speaking", "listening"]
        assert phone.texts == ["user: a table please", "assistant: For when?"]
        assert phone.transcripts == [
            ("a", False),
            ("a table", False),
            ("", False),
            ("a table please", True),
        ]
    [request] = script.requests
    assert (request.last_input, request.asker) == ("a table please", "FrontDesk")
    assert request.reply_instructions is None


async def test_a_pause_that_is_short_does_not_end_the_turn(script: FakeLLM) -> None:
    script.script("Noted.")
    async with on_a_call(script, silence=1) as phone:
        silent = Utterance(text="a table", lasts=0.5, interim=False)
        await phone.microphone.hear(silent, silence=0.9)
        assert phone.transcripts == []
        await phone.microphone.hear(Utterance(text="for two", lasts=0.5), silence=0.9)
        assert script.requests == ()
        await asyncio.sleep(2)
        assert phone.texts == ["user: a table for two", "assistant: Noted."]


async def test_a_test_speaks_for_the_caller_without_audio(script: FakeLLM) -> None:
    script.script("For when?")
    async with on_a_call(script, audio=False, audio_output=False) as phone:
        phone.caller.starts_speaking()
        phone.caller.says("a table")
        phone.caller.says("please")
        phone.caller.stops_speaking()
        await asyncio.sleep(1)
        assert phone.texts == ["user: a table please", "assistant: For when?"]
        assert phone.transcripts == [
            ("a table", False),
            ("a table please", False),
            ("", False),
            ("a table please", True),
        ]


async def test_the_caller_interrupts_and_the_model_learns_what_was_heard(script: FakeLLM) -> None:
    script.script(say("y" * 45), "Go on.")
    async with on_a_call(script) as phone:
        speech = phone.session.generate_reply()
        await asyncio.sleep(1)
        await phone.microphone.hear(Utterance(text="wait", lasts=0.5), silence=3)
        assert speech.interrupted
        assert phone.speaker.played[0] == pytest.approx(1.05)  # with the first frame of speech
        [taken_back] = phone.model.session_now.truncations
        assert taken_back == Truncation(
            message_id=taken_back.message_id,
            audio_end_ms=1050,
            text="y" * 45,  # nothing keeps its words in step with the audio here
            modalities=("audio", "text"),
        )
        assert phone.texts == [f"assistant: {'y' * 45}", "user: wait", "assistant: Go on."]
        assert phone.session.history.items[-3].interrupted  # type: ignore[union-attr]


async def test_an_interrupted_response_says_and_calls_no_more(script: FakeLLM) -> None:
    script.script(reply("one two three four", call("book", slot="2pm")).timed(duration=8), "Sorry.")
    async with on_a_call(script) as phone:
        speech = phone.session.generate_reply()
        await asyncio.sleep(3)
        phone.caller.starts_speaking()
        assert (await speech).interrupted
        phone.caller.says("stop")
        phone.caller.stops_speaking()
        await asyncio.sleep(10)
        assert phone.texts == ["assistant: one two", "user: stop", "assistant: Sorry."]
        assert "function_call" not in phone.kinds
    second = script.requests[1]
    assert [m.text for m in second.messages] == ["one two", "stop"]


async def test_what_was_cut_before_it_was_heard_is_gone_for_the_model(script: FakeLLM) -> None:
    script.script("unheard", "Hello.", "Hello?")
    async with on_a_call(script) as phone:
        session = phone.model.session_now
        await session.generate_reply()
        await asyncio.sleep(0.1)
        [message] = session.chat_ctx.items
        session.truncate(
            message_id=message.id,
            modalities=["audio", "text"],
            audio_end_ms=100,
            audio_transcript="un",
        )
        await session.generate_reply()
        session.truncate(message_id=message.id, modalities=["audio", "text"], audio_end_ms=0)
        await asyncio.sleep(0.1)
        await session.generate_reply()
    assert [[m.text for m in r.messages] for r in script.requests] == [[], ["un"], ["Hello."]]


async def test_audio_that_livekit_replaces_by_silence_is_not_heard(script: FakeLLM) -> None:
    script.script(say("x" * 30), "Pardon?")
    async with on_a_call(script, aec_warmup_duration=1.0) as phone:
        phone.session.generate_reply()
        await asyncio.sleep(0.5)
        await phone.microphone.hear(Utterance(text="hallo this is Ann", lasts=1), silence=3)
        assert phone.texts[-2:] == ["user: this is Ann", "assistant: Pardon?"]


@pytest.mark.parametrize(
    "utterance", [Utterance(text="", lasts=1), Utterance(text="a", lasts=1, heard="")]
)
async def test_a_noise_interrupts_and_is_no_turn(script: FakeLLM, utterance: Utterance) -> None:
    script.script(say("x" * 30))
    async with on_a_call(script) as phone:
        speech = phone.session.generate_reply()
        await asyncio.sleep(0.5)
        await phone.microphone.hear(utterance, silence=3)
        assert speech.interrupted
        assert phone.session.user_state == "listening"
    assert len(script.requests) == 1


async def test_the_last_word_is_heard_however_long_it_takes() -> None:
    for letters in range(1, 30):
        for lasts in (0.1, 0.3, 0.4, 0.7, round(letters / 15, 3)):
            utterance = Utterance(text="x" * letters, lasts=lasts)
            assert utterance.words(0.0, lasts) == ["x" * letters]


async def test_the_model_takes_words_for_what_it_heard(script: FakeLLM) -> None:
    script.script("When?")
    async with on_a_call(script, user_transcription=False) as phone:
        await phone.microphone.hear(Utterance(text="a cable", lasts=1, heard="a table"), silence=3)
        assert phone.transcripts == []
        assert phone.texts == ["assistant: When?"]
    assert script.requests[0].last_input == "a table"


async def test_a_transcript_that_comes_late_belongs_where_it_was_said(script: FakeLLM) -> None:
    script.script("Hello to you.")
    async with on_a_call(script) as phone:
        final: list[llm.InputTranscriptionCompleted] = []
        phone.model.session_now.on("input_audio_transcription_completed", final.append)
        began = time.time()
        utterance = Utterance(text="hi there", lasts=0.5, delay=4, confidence=0.7)
        await phone.microphone.hear(utterance, silence=3)
        assert phone.texts == ["assistant: Hello to you."]
        assert phone.transcripts == [("", False)]
        placed = phone.session.current_agent.chat_ctx.items[-2]
        assert isinstance(placed, llm.ChatMessage)
        assert (placed.role, placed.content) == ("user", [])
        await asyncio.sleep(3)
        assert phone.texts == ["user: hi there", "assistant: Hello to you."]
        assert [one.is_final for one in final] == [False, True]
        assert (final[1].confidence, final[1].turn_started_at) == (0.7, pytest.approx(began))
    assert script.requests[0].last_input == "hi there"


async def test_nothing_is_transcribed_once_the_session_is_closed(script: FakeLLM) -> None:
    script.script("Hello.")
    async with on_a_call(script) as phone:
        told: list[Any] = []
        phone.model.session_now.on("input_audio_transcription_completed", told.append)
        utterance = Utterance(text="hi", lasts=0.5, delay=4)
        await phone.microphone.hear(utterance, silence=1)
        await phone.model.session_now.aclose()
        await asyncio.sleep(10)
        assert told == []


async def test_what_only_the_model_heard_is_kept_where_the_agent_changes_the_conversation(
    script: FakeLLM,
) -> None:
    script.script("When?", "Where?")
    async with on_a_call(script, user_transcription=False) as phone:
        await phone.microphone.hear(Utterance(text="a table", lasts=0.5), silence=3)
        added: list[llm.RemoteItemAddedEvent] = []
        phone.model.session_now.on("remote_item_added", added.append)
        agent = phone.session.current_agent
        context = agent.chat_ctx.copy()
        context.add_message(role="system", content="It is Ann.")
        context.items.append(llm.ChatMessage(role="assistant", content=[]))
        await agent.update_chat_ctx(context)
        assert [(one.previous_item_id, one.item) for one in added] == [
            (context.items[-3].id, context.items[-2])
        ]
        await phone.session.generate_reply()
    assert [m.text for m in script.requests[1].messages] == ["a table", "When?", "It is Ann."]


async def test_a_caller_who_has_spoken_is_forgotten_with_the_connection(script: FakeLLM) -> None:
    async with on_a_call(script) as phone:
        phone.caller.starts_speaking()
        phone.caller.says("a table")
        phone.model.session_now.reconnect()
        phone.caller.stops_speaking()
        assert (phone.session.user_state, script.requests) == ("listening", ())


async def test_the_server_stops_for_the_caller_whatever_livekit_thinks(
    script: FakeLLM, caplog: pytest.LogCaptureFixture
) -> None:
    script.script(say("one two three").timed(duration=3))
    async with on_a_call(script) as phone:
        speech = phone.session.generate_reply()
        await asyncio.sleep(1.5)
        speech.allow_interruptions = False
        phone.caller.starts_speaking()
        phone.caller.stops_speaking()
        assert not (await speech).interrupted
        assert phone.texts == ["assistant: one two"]
    assert "current speech is not interruptable" in caplog.text


async def test_where_the_client_takes_turns_the_server_only_listens(script: FakeLLM) -> None:
    script.script("For when?")
    async with on_a_call(script, turn_handling={"turn_detection": "manual"}) as phone:
        assert not phone.model.session_now.capabilities.turn_detection
        started: list[Any] = []
        phone.model.session_now.on("input_speech_started", started.append)
        await phone.microphone.hear(Utterance(text="never mind", lasts=0.5), silence=3)
        phone.session.clear_user_turn()
        await phone.microphone.hear(Utterance(text="a table", lasts=0.5), silence=3)
        assert (phone.texts, script.requests, started) == ([], (), [])
        phone.session.commit_user_turn()
        await asyncio.sleep(3)
        assert phone.texts == ["user: a table", "assistant: For when?"]
    assert script.requests[0].last_input == "a table"


async def test_a_turn_that_was_committed_early_is_not_answered_twice(script: FakeLLM) -> None:
    script.script("For when?")
    async with on_a_call(script) as phone:
        await phone.microphone.hear(Utterance(text="a table", lasts=0.5))
        phone.session.commit_user_turn()
        await asyncio.sleep(3)
        assert phone.texts == ["user: a table", "assistant: For when?"]


@pytest.mark.skipif(
    not hasattr(llm.RealtimeCapabilities, "supports_overlapping_speech"),
    reason="livekit-agents before 1.8 knows no model that overlaps",
)
async def test_a_model_that_overlaps_goes_on_while_the_caller_speaks(script: FakeLLM) -> None:
    script.script(
        say("one two three").timed(duration=3), say("four five").timed(duration=3), "Yes?"
    )
    async with on_a_call(script, **_OVERLAPPING) as phone:
        speech = phone.session.generate_reply()
        await phone.microphone.hear(Utterance(text="uh-huh", lasts=0.5, heard=""))
        await speech
        assert phone.texts == ["assistant: one two three"]
        speech = phone.session.generate_reply()
        await phone.microphone.hear(Utterance(text="hallo", lasts=0.5), silence=6)
        assert not speech.interrupted
        # until it answers
        assert phone.texts[1:] == ["user: hallo", "assistant: four", "assistant: Yes?"]


# --- what goes wrong


async def test_a_request_that_is_refused_is_raised_by_the_run(script: FakeLLM) -> None:
    error = APIError("overloaded", retryable=True)
    step = fail(error).timed(duration=2)
    script.script(step, fail(llm.RealtimeError("busy", code="busy")), "Better.")
    async with on_a_call(script) as phone:
        began = asyncio.get_running_loop().time()
        with pytest.raises(llm.RealtimeError, match="overloaded") as caught:
            await phone.session.run(user_input="Hi")
        assert script.script_of(caught.value) == step
        assert asyncio.get_running_loop().time() - began == pytest.approx(2)
        with pytest.raises(llm.RealtimeError) as caught:
            await phone.session.run(user_input="Hi")
        assert caught.value.code == "busy"
        await phone.session.run(user_input="Hi")
        assert phone.texts[-1] == "assistant: Better."
        assert phone.errors == [(error, True), (phone.errors[1][0], True)]


async def test_a_response_that_fails_ends_with_what_it_said(script: FakeLLM) -> None:
    error = APIError("overloaded", retryable=True)
    script.script(fail(error, after="One mo").timed(duration=1), fail(error), "Better.")
    async with on_a_call(script) as phone:
        await phone.session.run(user_input="Hi")
        assert phone.texts[-1] == "assistant: One mo"
        for _ in range(2):
            await phone.microphone.hear(Utterance(text="hallo", lasts=0.5), silence=3)
        assert phone.texts[-3:] == ["user: hallo", "user: hallo", "assistant: Better."]
        assert phone.errors == [(error, True), (error, True)]


@pytest.mark.parametrize("error", [APIError("no quota", retryable=False), ValueError("oops")])
async def test_an_error_that_nobody_recovers_from_closes_the_session(
    script: FakeLLM, error: Exception
) -> None:
    script.script(fail(error, after="One mo"))
    async with on_a_call(script) as phone:
        closed: list[Any] = []
        phone.session.on("close", closed.append)
        phone.session.generate_reply()
        await asyncio.sleep(10)
        [event] = closed
        assert (event.reason.value, event.error.error) == ("error", error)


@pytest.mark.parametrize("after", [None, "Your table is"])
async def test_an_incomplete_response_is_taken_for_its_end(
    script: FakeLLM, after: str | None
) -> None:
    script.script(fail(IncompleteResponse(), after=after))
    async with on_a_call(script) as phone:
        await phone.session.run(user_input="Hi")
        said = [] if after is None else [f"assistant: {after}"]
        assert phone.texts == ["user: Hi", *said]
        assert phone.errors == []
        assert phone.session.agent_state == "listening"


async def test_a_stall_times_out(script: FakeLLM) -> None:
    script.script(stall())
    async with on_a_call(script) as phone:
        began = asyncio.get_running_loop().time()
        running = phone.session.run(user_input="Hi")
        await asyncio.sleep(9)
        assert [step.stalls for step in script.answering] == [True]
        with pytest.raises(llm.RealtimeError, match=r"generate_reply timed out\."):
            await running
        assert asyncio.get_running_loop().time() - began == pytest.approx(10)
        assert script.answering == []


async def test_a_stall_in_a_turn_of_the_callers_is_left_when_they_speak_again(
    script: FakeLLM,
) -> None:
    script.script(stall(), "Here I am.")
    async with on_a_call(script) as phone:
        await phone.microphone.hear(Utterance(text="hallo", lasts=0.5), silence=60)
        assert phone.texts == ["user: hallo"]
        await phone.microphone.hear(Utterance(text="hallo", lasts=0.5), silence=3)
        assert phone.texts[1:] == ["user: hallo", "assistant: Here I am."]


async def test_a_stall_ends_with_the_session(script: FakeLLM) -> None:
    script.script(stall())
    async with on_a_call(script) as phone:
        await phone.microphone.hear(Utterance(text="hallo", lasts=0.5), silence=60)
        assert len(script.answering) == 1
        await phone.model.session_now.aclose()
        assert script.answering == []


async def test_a_stall_that_is_interrupted_leaves_nothing_behind(script: FakeLLM) -> None:
    script.script(stall())
    async with on_a_call(script) as phone:
        speech = phone.session.generate_reply()
        await asyncio.sleep(1)
        await phone.session.interrupt()
        assert speech.interrupted
        await asyncio.sleep(0)
        assert script.answering == []


async def test_a_second_response_while_one_is_active_is_refused(script: FakeLLM) -> None:
    script.script(say("one two").timed(duration=2), "free")
    async with on_a_call(script) as phone:
        session = phone.model.session_now
        await session.generate_reply()
        with pytest.raises(llm.RealtimeError, match="already has an active response") as caught:
            await session.generate_reply()
        assert caught.value.code == "conversation_already_has_active_response"
        assert phone.errors == [(caught.value, True)]
        await asyncio.sleep(3)
        await session.generate_reply()
    assert len(script.requests) == 2


async def test_a_connection_that_is_back_has_kept_the_conversation(script: FakeLLM) -> None:
    script.script(say("one two three").timed(duration=3), "Where were we?")
    async with on_a_call(script) as phone:
        back: list[Any] = []
        phone.model.session_now.on("session_reconnected", back.append)
        speech = phone.session.generate_reply()
        await asyncio.sleep(1.5)
        phone.model.session_now.reconnect()
        await speech
        assert [type(event) for event in back] == [llm.RealtimeSessionReconnectedEvent]
        assert phone.texts == ["assistant: one two"]
        await phone.session.generate_reply()
    assert [m.text for m in script.requests[1].messages] == ["one two"]


async def test_a_reply_that_waits_is_discarded_with_the_connection(script: FakeLLM) -> None:
    error = APIConnectionError("gone")
    script.script(fail(error, attempts=2), "Back.")
    async with on_a_call(script) as phone:
        began = asyncio.get_running_loop().time()
        with pytest.raises(
            llm.RealtimeError, match="pending response discarded due to session reconnection"
        ) as caught:
            await phone.session.run(user_input="Hi")
        assert caught.value.__cause__ is error
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.1 + 2)
        assert phone.errors == [(error, True)] * 2
        await phone.session.run(user_input="Hi")
        assert phone.texts[-1] == "assistant: Back."


async def test_a_connection_that_does_not_come_back_closes_the_session(script: FakeLLM) -> None:
    error = APIConnectionError("gone")
    script.script(fail(error))
    async with on_a_call(script) as phone:
        phone.session.generate_reply()
        await asyncio.sleep(10)
        assert phone.errors == [(error, True)] * 3 + [(error, False)]
        assert phone.model.session_now.is_closed


async def test_an_unscripted_request_reaches_the_run_and_is_kept(script: FakeLLM) -> None:
    async with on_a_call(script) as phone:
        with pytest.raises(llm.RealtimeError, match="FrontDesk asked its model") as caught:
            await phone.session.run(user_input="what now?")
        assert script.refused == [caught.value.__cause__]
        assert isinstance(script.unraised(), UnscriptedRequest)
        await phone.microphone.hear(Utterance(text="hallo", lasts=0.5), silence=3)
        assert isinstance(script.unraised(), UnscriptedRequest)
        assert phone.errors == []


async def test_a_call_that_no_tool_takes_is_refused_as_misspelt(script: FakeLLM) -> None:
    script.script(call("bok", slot="2pm"))
    async with on_a_call(script) as phone:
        with pytest.raises(llm.RealtimeError, match="did you mean 'book'") as caught:
            await phone.session.run(user_input="2pm")
        assert isinstance(caught.value.__cause__, UsageError)


async def test_a_callable_that_fails_is_told_of(script: FakeLLM) -> None:
    script.script(*[say(lambda r: r.last_input[100])] * 2)
    async with on_a_call(script) as phone:
        with pytest.raises(llm.RealtimeError) as caught:
            await phone.session.run(user_input="Hi")
        assert isinstance(caught.value.__cause__, IndexError)
        await phone.microphone.hear(Utterance(text="hallo", lasts=0.5), silence=3)
        [(error, recoverable)] = phone.errors
        assert (type(error), recoverable) == (IndexError, False)


# --- the model


async def test_a_capability_that_there_is_not_is_refused_with_those_that_there_are(
    script: FakeLLM,
) -> None:
    with pytest.raises(
        UsageError, match=r"FakeRealtimeModel\(audio=…\): a capability is .*audio_output"
    ):
        FakeRealtimeModel(script, audio=False)


async def test_the_model_is_able_to_do_what_the_one_in_whose_place_it_is_does(
    script: FakeLLM,
) -> None:
    theirs = FakeRealtimeModel(script, audio_output=False).capabilities
    model = FakeRealtimeModel(script, capabilities=theirs, turn_detection=False)
    assert (model.capabilities.audio_output, theirs.turn_detection) == (False, True)
    assert not model.capabilities.turn_detection
    assert (model.model, model.provider) == ("fake", "pytest-lkagent")
    assert repr(model) == "<FakeRealtimeModel: 0 sessions>"
    with pytest.raises(UsageError, match="nobody opened a session with this model yet"):
        model.session_now  # noqa: B018
