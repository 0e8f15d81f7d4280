"""Calls in Python, for what is about time."""

from __future__ import annotations

from pytest_lkagent import FakeLLM, FakeTTS, Timeline, VoiceCall, call, say


async def test_the_greeting_is_heard_in_full(voice_call: VoiceCall) -> None:
    await voice_call.interrupt("hello? is anybody there?", after=0.5)
    greeting = await voice_call.agent_keeps_talking()
    assert greeting.text == "Trattoria Aurora! For a human press nine."
    assert voice_call.timeline.user[0].heard == ""  # LiveKit lets recognition hear nothing of it


async def test_a_tool_that_takes_its_time_is_heard_as_silence(
    voice_call: VoiceCall, fake_llm: FakeLLM, fake_tts: FakeTTS
) -> None:
    fake_tts.voice("On Monday we are closed.", lasts=1.5, ttfb=0.25)
    fake_llm.script(call("book", day="Monday", people=2), say("On Monday we are closed."))
    await voice_call.settle()
    await voice_call.say("a table for two on Monday")
    answer = await voice_call.agent_answers("On Monday we are closed.", within=1.0)
    assert answer.latency == 550  # 300 ms of endpointing, and the voice's first audio
    timeline: Timeline = voice_call.timeline
    assert [tool.call for tool in timeline.tools] == ["book(day='Monday', people=2)"]
    assert "closed" in str(timeline)
    assert timeline.to_svg().startswith("<svg")
