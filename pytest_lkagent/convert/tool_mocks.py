"""The tools of a call as mocks, which give back what the tools gave back then."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from ..errors import UsageError
from .course import Part, was_refused
from .history import History
from .names import AgentNames

__all__ = ["mocks_of"]

_INTERNAL = "An internal error occurred"


def mocks_of(
    history: History, parts: Sequence[Part], names: AgentNames
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what stands under ``mocks:``, and a line for each tool that has to stay real.

    Raises:
        UsageError: Nothing says which agent the tools belong to.
    """
    outputs = {item.call_id: item for item in history.items if item.type == "function_call_output"}
    real = _real(history, parts)
    outcomes: dict[tuple[str, str], list[Any]] = {}
    owner = names.root
    for item in history.items:
        if item.type == "agent_handoff":
            owner = names.of(item.new_agent_id)
        output = outputs.get(item.call_id) if item.type == "function_call" else None
        if output is None or item.name in real or was_refused(output):
            continue
        if owner is None:
            raise UsageError(
                "the history does not say whose tools were called; give --agent with a class"
            )
        outcomes.setdefault((owner, item.name), []).append(_outcome(output))
    mocks: dict[str, dict[str, Any]] = {}
    for (agent, tool), returned in outcomes.items():
        is_same = all(one == returned[0] for one in returned)
        mocks.setdefault(agent, {})[tool] = returned[0] if is_same else {"calls": returned}
    return mocks, [f"{tool} is not mocked: {why}" for tool, why in real.items()]


def _real(history: History, parts: Sequence[Part]) -> dict[str, str]:
    """Return the tools that cannot be mocked, with the reason."""
    real: dict[str, str] = {}
    calls = {item.call_id: item for item in history.items if item.type == "function_call"}
    answered = {item.call_id for item in history.items if item.type == "function_call_output"}
    for part in parts:
        # a tool that returns a text too hands over after the model's answer to that
        calling = [completion for completion in part.completions if completion.calls]
        for completion, following in zip_longest(calling, calling[1:]):
            end = following.place if following is not None else None
            within = part.items[completion.place : end]
            hands_over = any(item.type == "agent_handoff" for item in within)
            for call in completion.calls:
                if hands_over:
                    real[call.name] = "it may be what handed over to another agent"
                elif any(other.startswith(f"{call.call_id}_") for other in calls):
                    real[call.name] = "it works in the background"
                elif call.call_id not in answered:
                    real[call.name] = "its output is not in the history"
    return real


def _outcome(output: Any) -> Any:
    if output.is_error:
        if output.output == _INTERNAL:
            return {"raises": "RuntimeError"}
        return {"error": output.output}
    return output.output if output.output or output.reply_required else None
