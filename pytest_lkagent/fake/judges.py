"""What LiveKit's judges find (``livekit.agents.evals``), as a test scripts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import UnscriptedRequest
from ..script import Request, Step, call, say
from .llm import FakeLLM

__all__ = ["JudgeLLM", "UnscriptedVerdict", "script_judges"]


def script_judges(model: FakeLLM, judges: Mapping[str, str] | str | None) -> None:
    """Say what they find as a scenario says it: all of them, or each by its name."""
    if isinstance(judges, str):
        model.judges(judges)
    elif judges is not None:
        model.judges(**judges)


class UnscriptedVerdict(UnscriptedRequest):
    """Judges asked what they find, and nobody said it."""

    about = "judges"

    def __init__(self) -> None:
        super().__init__()
        self._judges: list[str] = []

    def add(self, judge: str, advice: Callable[[Sequence[str]], str]) -> None:
        """Name one more of them."""
        if judge not in self._judges:
            self._judges.append(judge)
        names = ", ".join(map(repr, self._judges))
        one = len(self._judges) == 1
        asked = f"judge {names} asked its model" if one else f"judges {names} asked their models"
        said = advice(self._judges)
        self.args = (f"the {asked} for a verdict that nobody scripted; {said}",)


_TOOL = "submit_verdict"
"""By which a judge of LiveKit's has its model answer."""


class JudgeLLM(FakeLLM):
    """The model of the judge `name`: answers with what `scripted` says that it finds.

    `advice` says how to script what judges find.
    """

    def __init__(
        self, name: str, scripted: FakeLLM, advice: Callable[[Sequence[str]], str]
    ) -> None:
        super().__init__()
        self._name = name
        self._scripted = scripted
        self._advice = advice

    def take(self, request: Request, speech: object = None) -> Step:
        verdict = self._scripted.verdict_of(self._name)
        if verdict is None and self._scripted.allow_misuse:
            verdict = "pass"  # whatever it would say of a conversation that is drawn
        if verdict is None:
            raise self._refusal()
        if _TOOL in request.tools:
            return call(_TOOL, verdict=verdict, reasoning="scripted")
        return say(verdict)

    def _refusal(self) -> UnscriptedVerdict:
        """Return what is told of all judges that nobody scripted."""
        refused = self._scripted.refused
        told = next((one for one in refused if isinstance(one, UnscriptedVerdict)), None)
        if told is None:
            refused.append(told := UnscriptedVerdict())
        told.add(self._name, self._advice)
        return told
