"""What LiveKit's judges find (``livekit.agents.evals``), as a test scripts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import UnscriptedRequest
from ..script import Request, Step, call, say
from .llm import FakeLLM

__all__ = ["JudgeLLM", "script_judges"]


def script_judges(model: FakeLLM, judges: Mapping[str, str] | str | None) -> None:
    """Say what they find as a scenario says it: all of them, or each by its name."""
    if isinstance(judges, str):
        model.judges(judges)
    elif judges is not None:
        model.judges(**judges)


_TOOL = "submit_verdict"
"""By which a judge of LiveKit's has its model answer."""


class JudgeLLM(FakeLLM):
    """The model of the judge `name`: answers with what `scripted` says that it finds.

    `advice` says how to script it.
    """

    def __init__(self, name: str, scripted: FakeLLM, advice: Callable[[str], str]) -> None:
        super().__init__()
        self._name = name
        self._scripted = scripted
        self._advice = advice

    def take(self, request: Request) -> Step:
        verdict = self._scripted.verdict_of(self._name)
        if verdict is None:
            error = UnscriptedRequest(
                f"the judge {self._name!r} asked its model for a verdict that nobody scripted; "
                f"{self._advice(self._name)}"
            )
            self._scripted.refused.append(error)
            raise error
        if _TOOL in request.tools:
            return call(_TOOL, verdict=verdict, reasoning="scripted")
        return say(verdict)
