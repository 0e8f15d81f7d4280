"""Sites, transcript, environment and strictness: the small values around a session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lkagent import UsageError
from pytest_lkagent.environment import KEY_VARIABLES, Dummies
from pytest_lkagent.errors import BehaviourError, UnscriptedRequest, UnusedStep, did_you_mean
from pytest_lkagent.sites import Site, call_site
from pytest_lkagent.strict import KINDS, Findings, check_allowed, describe
from pytest_lkagent.transcript import (
    AgentHandoff,
    Close,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Transcript,
    Turn,
    render,
)

# --- sites


def test_a_site_is_shown_relative_to_where_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert str(Site(__file__, 5)) == f"{Path(__file__).name}:5"
    assert str(Site("/elsewhere/test_x.py", 5)) == "/elsewhere/test_x.py:5"
    assert Path(call_site().path).name == Path(__file__).name


# --- the transcript


EVENTS = (
    AgentHandoff(old=None, new="Desk"),
    Message(role="user", text="2 pm"),
    FunctionCall(name="book", arguments={"slot": "2pm", "who": {"a": "Zoë"}}, call_id="1"),
    FunctionCall(name="book", arguments="{oops", call_id="2"),
    FunctionCallOutput(name="book", output="ok"),
    FunctionCallOutput(name="book", output="taken", is_error=True),
    Message(role="assistant", text="Well", interrupted=True, agent="Desk"),
    AgentHandoff(old="Desk", new="Night"),
    Close(reason="user_initiated"),
    Close(reason="error", error="ValueError: odd"),
)


def test_every_event_reads_as_one_line_and_one_may_be_marked() -> None:
    assert render(EVENTS, mark=2) == [
        "      [0] agent_handoff          nobody -> Desk",
        "      [1] user                   2 pm",
        """  >>> [2] function_call          book(slot='2pm', who={"a": "Zoë"})""",
        "      [3] function_call          book(<{oops>)",
        "      [4] function_call_output   book -> 'ok'",
        "      [5] function_call_output   book failed 'taken'",
        "      [6] assistant              Well (interrupted)",
        "      [7] agent_handoff          Desk -> Night",
        "      [8] close                  user_initiated",
        "      [9] close                  error: ValueError: odd",
    ]
    assert render([]) == []


def test_a_transcript_is_the_start_and_then_the_turns() -> None:
    transcript = Transcript()
    transcript.start.events = EVENTS[:1]
    transcript.turns.append(Turn(user="2 pm", events=EVENTS[1:3]))
    assert list(transcript) == list(EVENTS[:3])
    assert transcript.events == EVENTS[:3]
    assert str(transcript).splitlines()[1] == "      [1] user            2 pm"


# --- the environment


def test_dummies_take_the_place_of_keys_and_give_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "real")
    monkeypatch.delenv("LIVEKIT_URL", raising=False)
    monkeypatch.delenv("MY_KEY", raising=False)
    dummies = Dummies(["MY_KEY"])
    with dummies:
        assert all("dummy" in os.environ[name] for name in ("OPENAI_API_KEY", "MY_KEY"))
        assert os.environ["LIVEKIT_URL"].startswith("ws://localhost")
        os.environ["OPENAI_API_KEY"] = "loaded from a .env file"
        dummies.set()
        assert "dummy" in os.environ["OPENAI_API_KEY"]
        assert all(name in os.environ for name in KEY_VARIABLES)
    assert os.environ["OPENAI_API_KEY"] == "real"
    assert "LIVEKIT_URL" not in os.environ
    assert "MY_KEY" not in os.environ
    dummies.restore()
    assert os.environ["OPENAI_API_KEY"] == "real"


# --- strictness


def test_allowed_kinds_are_checked() -> None:
    assert check_allowed("unused_step", where="here") == {"unused_step"}
    assert check_allowed(["unused_step", "tool_error"], where="here") == {
        "unused_step",
        "tool_error",
    }
    with pytest.raises(UsageError) as caught:
        check_allowed(["unused_stp"], where="test_x.py::test_y")
    assert str(caught.value) == (
        "test_x.py::test_y: allow names 'unused_stp', which is no kind of finding; the kinds are "
        f"{', '.join(sorted(KINDS))}; did you mean 'unused_step'?"
    )
    with pytest.raises(UsageError, match="allow takes a kind of finding or a list of them, not 5"):
        check_allowed(5, where="here")  # type: ignore[arg-type]


def test_a_finding_is_taken_once_unless_its_kind_is_allowed() -> None:
    findings = Findings({"unused_step"})
    error = UnscriptedRequest("odd")
    assert not findings
    assert not findings.add(UnusedStep("left"))
    assert not findings.add(ValueError("x"), kind="unused_step")
    assert findings.add(error)
    assert findings.add(error)
    assert list(findings) == [error]
    assert findings.is_reported(error)
    assert not findings.is_reported(ValueError("x"))


def test_the_verdict_is_the_failure_or_the_first_finding_and_the_others_are_notes() -> None:
    findings = Findings()
    first, second, odd = BehaviourError("first"), BehaviourError("second"), ValueError("odd")
    assert findings.verdict(None) is None
    for error in (first, second, odd):
        findings.add(error)
    assert findings.verdict(None) is first
    assert first.__notes__ == ["also: second", "also: ValueError('odd')"]
    assert findings.verdict(None) is None

    findings.add(second)
    findings.add(first)
    failure = AssertionError("the test's own")
    failure.__context__ = first
    assert findings.verdict(failure) is failure
    assert failure.__notes__ == ["also: second"]
    findings.add(BehaviourError("second"))
    assert findings.verdict(failure) is failure
    assert failure.__notes__ == ["also: second"]


def test_ours_carry_their_message_and_others_are_named() -> None:
    assert describe(UsageError("write it so")) == "write it so"
    assert describe(ValueError("odd")) == "ValueError('odd')"
    assert did_you_mean("bok", ["book"]) == "; did you mean 'book'?"
    assert did_you_mean("zzz", ["book"]) == ""
