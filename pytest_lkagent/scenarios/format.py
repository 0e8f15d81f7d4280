"""The format of scenario files as pydantic models: the source of the JSON Schema for editors.

Loading does not use them: it reads YAML nodes, which know their lines, and collecting tests should
not wait for pydantic to be imported. That both know the same keys is held by a test.
The schema describes a document as an editor sees it, where ``user: 5`` is a number; loading takes
such a text as it is written.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from ..script.verdicts import Verdict
from .read_voice import Impairment

__all__ = [
    "AfterFormat",
    "CallFormat",
    "CallerFormat",
    "DefaultsFormat",
    "ErrorFormat",
    "EventFormat",
    "FailFormat",
    "FileFormat",
    "FuzzFormat",
    "HandoffFormat",
    "HeardFormat",
    "InterjectionFormat",
    "JobFormat",
    "LlmFormat",
    "MessageFormat",
    "MockFormat",
    "OutcomeFormat",
    "OutputFormat",
    "PastCallFormat",
    "PastFormat",
    "PastOutputFormat",
    "ScenarioFormat",
    "SnapshotFormat",
    "StartFormat",
    "TaskFormat",
    "TurnFormat",
    "UserFormat",
    "VoiceFormat",
]

_Text = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
_Part = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"], "minLength": 1})]
_Duration = Annotated[
    float,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|)$"},
            ],
            "examples": ["250ms", "2s", "1m", 1.5],
        }
    ),
]
_Share = Annotated[float, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]
_Reference = Annotated[
    str,
    Field(pattern=r"^.+:[^\W\d]\w*(\.[^\W\d]\w*)*$", examples=["agent.py:FrontDesk", "desk:make"]),
]
_ClassName = Annotated[str, Field(pattern=r"^[^\s]+$", examples=["FrontDesk", "desk:FrontDesk"])]
_Regex = Annotated[_Part, Field(description="A regular expression, searched anywhere in the text.")]
_Calls = dict[str, dict[str, JsonValue] | list[dict[str, JsonValue] | None] | None]
_RawCalls = dict[str, _Text | list[_Text]]
_Arguments = Annotated[
    dict[str, JsonValue],
    Field(description="A subset of the arguments; a value may be {matches: regex}."),
]


def _may(description: str | None = None, **more: Any) -> Any:
    """Declare a key that may be left out. Only a type with None may be null as well."""
    return Field(default=None, description=description, **more)


class _Closed(BaseModel):
    """Unknown keys are mistakes; all keys are optional unless a model says otherwise."""

    model_config = ConfigDict(extra="forbid")


_ONE_KEY: dict[str, JsonValue] = {"minProperties": 1, "maxProperties": 1}


class FailFormat(_Closed):
    """How the request fails: one of status, timeout, connection and type."""

    status: int = _may("An HTTP status, as an APIStatusError.", ge=1)
    timeout: Literal[True] = _may("An APITimeoutError.")
    connection: Literal[True] = _may("An APIConnectionError.")
    type: _ClassName = _may("The class of the error.")
    message: _Text = _may()
    after: _Text = _may("The text that came before the failure.")
    attempts: int = _may("How many attempts fail; all if unset.", ge=1)


class HeardFormat(_Closed):
    """In a call, how what the user says is heard."""

    heard: _Text = _may("In a call: what speech recognition takes it for.")
    confidence: _Share = _may("In a call: how sure it is of that.")
    language: _Text = _may("In a call: the language that it hears.")
    delay: _Duration = _may("In a call: how far transcripts come behind the speech.")
    interim: bool = Field(
        default=True, description="In a call: transcripts come while the user still speaks."
    )
    preflight: bool = Field(
        default=False, description="In a call: one that is nearly sure comes before the last one."
    )
    final: bool = Field(default=True, description="In a call: the last transcript ever comes.")
    end_of_turn: _Share = _may("In a call: how probable the end of the turn is.")
    fail: _ClassName | FailFormat = _may("In a call: speech recognition fails on it.")


class UserFormat(HeardFormat):
    """What the user says, and how it reaches the agent."""

    text: _Text
    modality: Literal["text", "audio"] = "text"


class LlmFormat(_Closed):
    """What the model answers to one request."""

    say: _Text = _may("What the model says.")
    call: _Calls | list[_Calls] = _may(
        "Tool → arguments; several are parallel, a list calls one tool often. "
        "A list of such mappings calls their tools in that order."
    )
    raw_call: _RawCalls | list[_RawCalls] = _may(
        "Tool → the text of its arguments, which need not be JSON; a list calls it often. "
        "A list of such mappings calls their tools in that order."
    )
    fail: _ClassName | FailFormat = _may("The request fails.")
    silence: Literal[True] = _may("The model answers nothing.")
    stall: Literal[True] = _may("The model never answers.")
    ttft: _Duration = _may("The time until the first piece of text.")
    duration: _Duration = _may("The time until the answer is complete.")
    by: _ClassName | None = _may("The agent that must ask; null: no agent.")
    chunks: int | list[_Text] = _may("The pieces in which the text comes, or how long they are.")
    ids: list[_Text] = _may("The ids of the calls, in their order.")


class MessageFormat(_Closed):
    """Something that is said."""

    role: Literal["assistant", "user", "system", "developer"] = "assistant"
    text: _Text = _may("The whole text.")
    contains: _Part = _may("A part of the text.")
    matches: _Regex = _may()
    interrupted: bool = _may("Whether the user cut it off.")


class CallFormat(_Closed):
    """A call of a tool."""

    name: _Text
    arguments: _Arguments = _may()


class OutputFormat(_Closed):
    """What a tool gave back."""

    name: _Text = _may()
    output: _Text = _may("The whole output.")
    contains: _Part = _may("A part of the output.")
    matches: _Regex = _may()
    is_error: bool = _may("Whether the tool failed.")


class HandoffFormat(_Closed):
    """Another agent takes over."""

    from_: _ClassName = _may(alias="from")
    to: _ClassName = _may()


class EventFormat(_Closed):
    """One event: exactly one of these keys."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_ONE_KEY)

    message: _Text | MessageFormat = _may("Something is said.")
    function_call: _Text | CallFormat = _may("The model calls a tool.")
    function_call_output: OutputFormat = _may("A tool gives back.")
    agent_handoff: _ClassName | HandoffFormat = _may("To another agent.")
    close: _Text = _may("The session closes: LiveKit's reason.")


class ErrorFormat(_Closed):
    """The error that the run raises, or that caused it."""

    type: _ClassName = _may("Its class, or a base class of it.")
    contains: _Part = _may("A part of its text.")
    matches: _Regex = _may()


class AfterFormat(_Closed):
    """What holds after the turn."""

    userdata: _Arguments = _may("A subset of the userdata's attributes and keys.")


class SnapshotFormat(_Closed):
    """What is left out of a snapshot."""

    exclude: list[_Text] = _may("Kinds of events, keys, or ends of a way: arguments.token.")
    replace: dict[str, _Text] = _may("Regular expression → the text to write for what it finds.")


_Snapshot = Annotated[
    bool | SnapshotFormat, Field(description="Compare what happens with a snapshot.")
]


class StartFormat(_Closed):
    """The start of the session: what the model answers before the user says anything."""

    llm: list[_Text | LlmFormat] = _may(
        "What the model answers, request by request; a text is said."
    )
    expect: list[Literal["..."] | EventFormat] = _may(
        "What happens, in order; ... skips any number of events."
    )
    expect_error: _ClassName | ErrorFormat = _may("The run fails.")
    after: AfterFormat = _may()
    check: _Reference = _may("A function that is called after the turn.")
    capture: dict[str, _Regex] = _may(
        "Name → regular expression; later texts use what it found as ${name}."
    )
    within: _Duration = _may("How long the turn may take.")
    snapshot: _Snapshot = _may()


class InterjectionFormat(HeardFormat):
    """What the user says over the agent's words."""

    text: _Text = _may("What is said; nothing is a noise.")
    after: _Duration = Field(description="How far the agent has come in its words.")
    lasts: _Duration = _may("How long the user speaks.")


class VoiceFormat(_Closed):
    """How a text is spoken in a call."""

    lasts: _Duration = _may("How long it takes.")
    ttfb: _Duration = _may("The time to the first audio.")
    fail: _ClassName | FailFormat = _may("What synthesis fails with.")


class TurnFormat(StartFormat):
    """One input, and what follows it: user or wait."""

    user: _Text | UserFormat = _may("What the user says.")
    wait: _Duration = _may("Time passes, nobody says anything.")
    interrupt: _Duration | InterjectionFormat = _may(
        "When the user cuts the agent off; in a call, an input: what is said over its words."
    )
    backchannel: InterjectionFormat = _may("In a call: a word to show that the user listens.")
    silence: _Duration = _may("In a call: time passes, nobody says anything.")
    dtmf: _Text = _may("In a call: the keys that are pressed.")
    hang_up: Literal[True] = _may("In a call: the user hangs up.")
    at: _Duration = _may("In a call: when the user does that, from its beginning.")
    lasts: _Duration = _may("In a call: how long the user speaks.")
    heard: _Text = _may("In a call: what speech recognition made of it.")
    interrupted_at: _Duration = _may("In a call: how far the agent came before it was cut off.")
    settle: bool = Field(
        default=True, description="false: the next turn begins when run() returns."
    )


class OutcomeFormat(_Closed):
    """What one call of a mocked tool does."""

    returns: JsonValue = _may("What the tool returns.")
    error: _Text = _may("The text of the ToolError that it raises.")
    raises: _ClassName = _may("The class of another exception.")
    message: _Text = _may("The text of that exception.")
    delay: _Duration = _may("How long the tool takes.")


class MockFormat(OutcomeFormat):
    """A mocked tool. Without returns, error, raises and calls the real one is watched."""

    calls: list[_Text | OutcomeFormat | None] = _may("One outcome for each call, in order.")
    optional: bool = Field(default=False, description="Whether the tool need not be called.")


class TaskFormat(_Closed):
    """A mocked AgentTask."""

    task: JsonValue = Field(description="What awaiting the task gives.")
    optional: bool = Field(default=False, description="Whether the task need not be awaited.")


class PastCallFormat(_Closed):
    """A call of a tool in the history."""

    name: _Text
    arguments: dict[str, JsonValue] = _may()


class PastOutputFormat(_Closed):
    """What a tool gave back in the history."""

    name: _Text
    output: _Text = _may()
    is_error: bool = False


class PastFormat(_Closed):
    """One entry of the history: exactly one of these keys."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_ONE_KEY)

    user: _Text = _may()
    assistant: _Text = _may()
    system: _Text = _may()
    developer: _Text = _may()
    function_call: PastCallFormat = _may()
    function_call_output: PastOutputFormat = _may()


class CallerFormat(_Closed):
    """Who is in the room."""

    identity: _Text = _may()
    name: _Text = _may()
    metadata: _Text = _may()
    attributes: dict[str, _Text] = _may()
    kind: Literal["standard", "sip", "connector", "agent", "ingress", "egress"] = "standard"


class JobFormat(_Closed):
    """What the job is like that an entrypoint runs in."""

    metadata: JsonValue = _may("ctx.job.metadata; a mapping is written as JSON.")
    attributes: dict[str, _Text] = _may("ctx.job.attributes.")
    participant: CallerFormat | None = _may("Who is in the room; null is nobody.")


class DefaultsFormat(_Closed):
    """What holds for every scenario that says nothing else."""

    start: StartFormat | None = _may()
    mocks: dict[str, TaskFormat | dict[str, _Text | MockFormat | None]] | None = _may(
        "Class → tool → what it does; a text is returned."
    )
    session: dict[str, JsonValue] | None = _may("Arguments of AgentSession.")
    history: list[PastFormat] | None = _may("What was said before.")
    job: JobFormat | None = _may()
    judges: Verdict | dict[str, Verdict] | None = _may("What LiveKit's judges find.")
    target: Literal["inprocess", "memory", "tcp", "process"] | None = _may("Where it is played.")
    now: Any = _may("The date and time, like 2026-06-12T09:00:00Z.")
    allow: list[str] | None = _may("Kinds of finding that may pass.")
    timeout: _Duration | None = _may("How long the scenario may run.")
    mode: Literal["text", "audio"] | None = _may("audio: a call, on virtual time.")
    voices: dict[str, _Duration | VoiceFormat] | None = _may("Text → how it is spoken in a call.")
    impairments: list[Impairment] | None = _may("What is wrong with the line of a call.")


class FuzzFormat(_Closed):
    """What holds whatever the model and the user do; without turns, hypothesis draws them."""

    examples: int = _may("How many conversations are drawn.", ge=1)
    turns: int = _may("How many turns each has at most.", ge=1)
    invariants: list[_Reference] = _may("Functions that assert, after each turn.")
    without: list[str] = _may("Built-in invariants that need not hold.")
    userdata: _Reference = _may("What makes the session's userdata: a class or a factory.")
    delays: dict[str, list[_Duration]] = _may("How much longer each call of a tool takes.")


class ScenarioFormat(DefaultsFormat):
    """One conversation."""

    id: _Text | None = _may()
    label: _Text = Field(description="The scenario's name, unique in the file.")
    instructions: _Text | None = _may("LiveKit: who the simulated user is.")
    agent_expectations: _Text | None = _may("LiveKit: what a judge looks for.")
    tags: dict[str, _Text | None] | None = _may("LiveKit: names and texts.")
    userdata: dict[str, JsonValue] | None = _may("LiveKit: any mapping.")
    agent: _Reference = _may("The agent: file.py:name or module:name.")
    entrypoint: _Reference = _may("The AgentServer, or its function: file.py:name or module:name.")
    turns: list[TurnFormat] = _may("The conversation, turn by turn.")
    absent: list[EventFormat] = _may("Events that must not happen.")
    check: _Reference = _may("A function that is called at the end.")
    expect_veto: _Text = _may("on_simulation_end vetoes the run; this is in its reason.")
    snapshot: _Snapshot = _may()
    marks: list[str] = _may("pytest marks.")
    xfail: _Text = _may("Why the scenario is expected to fail; false takes that back.")
    fuzz: FuzzFormat | None = _may("Claim invariants, and nothing of what model and user do.")


class FileFormat(_Closed):
    """Scenarios for a LiveKit voice agent, for `lk agent simulate` and pytest-lkagent."""

    id: _Text = _may()
    name: _Text = _may("The name of the group of scenarios.")
    agent: _Reference = _may("The agent: file.py:name or module:name.")
    entrypoint: _Reference = _may("The AgentServer, or its function: file.py:name or module:name.")
    base: _Text = _may("A scenario file to lay this one over, by label.")
    rest: bool = _may("Whether the base's other scenarios run too.")
    defaults: DefaultsFormat = _may()
    scenarios: list[ScenarioFormat] = _may()
