"""What an author may write, as messages advise it: the words of a Python test, or of a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

__all__ = ["SCRIPTED", "ScenarioWords", "Words", "lacks_userdata"]

SCRIPTED = "scripted at "
"""How the note begins that says where an error was scripted."""


_KEYS = {"say": "user"}
"""Keys of a turn that are not called as what does it in Python."""


def lacks_userdata(error: object) -> TypeGuard[ValueError]:
    """Whether it is LiveKit's error about userdata that nobody gave the session."""
    return isinstance(error, ValueError) and str(error) == "AgentSession userdata is not set"


class Words:
    """The words of a Python test."""

    timed = "say('…').timed(duration=2)"
    bound = "lk(timeout=…)"
    userdata = (
        "the fixture userdata, or @pytest.mark.lk(userdata=…); of an entrypoint, its own "
        "AgentSession(userdata=…)"
    )

    def act(self, verb: str, *given: object, **named: object) -> str:
        """Name what is done in a call, or claimed there, with what is given to it."""
        said = [_python(one) for one in given]
        said += [f"{name}={_python(one)}" for name, one in named.items() if one is not None]
        return f"voice_call.{verb}({', '.join(said)})"

    def milliseconds(self, count: float) -> str:
        return f"{count / 1000:g} for {count:g} ms"

    def interruption(self, name: str, value: float) -> str:
        return f"turn_handling={{'interruption': {{{name!r}: {value:g}}}}}"

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
    userdata = (
        "userdata: in the scenario, or the fixture userdata; of an entrypoint, its own "
        "AgentSession(userdata=…)"
    )

    def act(self, verb: str, *given: object, **named: object) -> str:
        """Name the keys of the turn: ``{user: hello, at: 2s}``."""
        keys = {name: _yaml(one) for name, one in named.items() if one is not None}
        if verb in ("interrupt", "backchannel"):
            return f"{verb}: {_flow({'text': _yaml(given[0]), **keys})}"
        if verb == "hang_up":
            keys = {verb: "true", **keys}
        elif given:
            keys = {_KEYS.get(verb, verb): _yaml(given[0]), **keys}
        return _flow(keys) if len(keys) > 1 else _flow(keys)[1:-1] or "the turn"

    def milliseconds(self, count: float) -> str:
        return f"{count:g}ms"

    def interruption(self, name: str, value: float) -> str:
        return f"session: {{turn_handling: {{interruption: {{{name}: {value:g}}}}}}}"

    def allow(self, kind: str) -> str:
        return f"allow: [{kind}]"

    def judges(self, names: Sequence[str]) -> str:
        passing = ", ".join(f"{name}: pass" for name in names)
        return f"say in the scenario what {_they(names)}: judges: {{{passing}}}"

    def expect_error(self, kind: type[BaseException]) -> str:
        return f"write expect_error: {{type: {kind.__name__}}}"

    def expect_close(self, reason: str) -> str:
        return f"list it under expect: {{close: {reason}}}"


def _python(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _yaml(value: object) -> str:
    return f"{value:g}s" if isinstance(value, (int, float)) else str(value)


def _flow(keys: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


def _they(names: Sequence[str]) -> str:
    return "it finds" if len(names) == 1 else "they find"
