"""What an author may write, as messages advise it: the words of a Python test, or of a scenario."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["SCRIPTED", "ScenarioWords", "Words"]

SCRIPTED = "scripted at "
"""How the note begins that says where an error was scripted."""


class Words:
    """The words of a Python test."""

    timed = "say('…').timed(duration=2)"
    bound = "lk(timeout=…)"

    def milliseconds(self, count: float) -> str:
        return f"{count / 1000:g} for {count:g} ms"

    def allow(self, kind: str) -> str:
        return f"@pytest.mark.lk(allow=[{kind!r}])"

    def judges(self, names: Sequence[str]) -> str:
        passing = ", ".join(f"{name}='pass'" for name in names)
        return f"say what {_they(names)}: fake_llm.judges({passing})"

    def expect_error(self, kind: type[BaseException]) -> str:
        return f"wrap it in expect_error({kind.__name__})"

    def expect_close(self, reason: str) -> str:
        return f"wrap it in expect_close(reason={reason!r})"


class ScenarioWords(Words):
    """The words of a scenario file."""

    timed = "{say: …, duration: 2s}"
    bound = "timeout: in the scenario"

    def milliseconds(self, count: float) -> str:
        return f"{count:g}ms"

    def allow(self, kind: str) -> str:
        return f"allow: [{kind}]"

    def judges(self, names: Sequence[str]) -> str:
        passing = ", ".join(f"{name}: pass" for name in names)
        return f"say in the scenario what {_they(names)}: judges: {{{passing}}}"

    def expect_error(self, kind: type[BaseException]) -> str:
        return f"write expect_error: {{type: {kind.__name__}}}"

    def expect_close(self, reason: str) -> str:
        return f"list it under expect: {{close: {reason}}}"


def _they(names: Sequence[str]) -> str:
    return "it finds" if len(names) == 1 else "they find"
