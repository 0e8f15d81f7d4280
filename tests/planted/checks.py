"""What only fuzzing looks at by itself: the pairs of calls and outputs, for scenarios to check."""

from __future__ import annotations

from collections.abc import Iterable

from livekit.agents import AgentSession

from pytest_lkagent import FakeLLM, FunctionCall, FunctionCallOutput


def every_call_has_one_output(agent_session: AgentSession) -> None:
    items = agent_session.current_agent.chat_ctx.items
    _are_pairs(
        "the history has",
        [item.call_id for item in items if item.type == "function_call"],
        [item.call_id for item in items if item.type == "function_call_output"],
    )


def the_model_saw_calls_with_their_outputs(fake_llm: FakeLLM) -> None:
    for request in fake_llm.requests:
        _are_pairs(
            f"request {request.number} has",
            [one.call_id for one in request.messages if isinstance(one, FunctionCall)],
            [one.call_id for one in request.messages if isinstance(one, FunctionCallOutput)],
        )


def _are_pairs(where: str, calls: Iterable[str], outputs: Iterable[str]) -> None:
    calls, outputs = sorted(calls), sorted(outputs)
    assert calls == outputs, f"{where} the calls {calls} and the outputs {outputs}"
    assert len(set(calls)) == len(calls), f"{where} a call twice: {calls}"
