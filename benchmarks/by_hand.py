"""The floor: an agent, a scripted model and one tool turn, as one writes them on livekit-agents.

No plugin, no record, no checks. The generated tests import this file, and so does `run.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from livekit.agents import Agent, AgentSession, function_tool, llm


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        return f"booked {slot}"


class ScriptedLLM(llm.LLM):
    """Say the texts in order; None is a call of `book`."""

    def __init__(self, answers: Iterable[str | None]) -> None:
        super().__init__()
        self.answers = iter(answers)

    def chat(self, *, chat_ctx, tools=None, conn_options=None, **_) -> llm.LLMStream:
        return _Stream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Stream(llm.LLMStream):
    async def _run(self) -> None:
        text = next(self._llm.answers)
        delta = llm.ChoiceDelta(role="assistant", content=text)
        if text is None:
            book = llm.FunctionToolCall(name="book", arguments='{"slot": "2pm"}', call_id="call_1")
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[book])
        self._event_ch.send_nowait(llm.ChatChunk(id="chunk", delta=delta))


async def tool_turns(count: int = 1) -> None:
    """Construct a session with lean options, start it, play turns with a tool each, close."""
    session = AgentSession(
        llm=ScriptedLLM([None, "Booked."] * count),
        vad=None,
        turn_handling={"turn_detection": None},
        user_away_timeout=None,
        aec_warmup_duration=None,
    )
    await session.start(FrontDesk())
    for _ in range(count):
        result = await session.run(user_input="2 pm please")
        assert [event.type for event in result.events] == [
            "function_call",
            "function_call_output",
            "message",
        ]
    await session.aclose()
