"""What a scenario file says, as values.

`load` makes these from YAML, the player plays them. They are plain frozen dataclasses because a
file may hold 10,000 scenarios; the pydantic models that describe the *format* to editors are in
`format.py`. Whatever may turn out wrong only later (a class, a tool, a module) keeps its `Site`.

All times are seconds. Texts may hold ``${name}``, which the player replaces by what an earlier
`capture` found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import EllipsisType
from typing import Any, Final, Literal, TypeAlias

from ..sites import Site
from ..transcript import FunctionCall, FunctionCallOutput, Message, Transcript
from .expectations import ErrorExpectation, Expectation

__all__ = [
    "UNSET",
    "After",
    "Failure",
    "FuzzSpec",
    "Interjection",
    "JobSpec",
    "LlmCall",
    "LlmEntry",
    "MockOutcome",
    "MockSpec",
    "Mocks",
    "Ref",
    "Scenario",
    "ScenarioFile",
    "ScenarioResult",
    "ScenarioTurn",
    "SnapshotSpec",
    "TaskSpec",
    "Unset",
    "UserInput",
    "VoiceSpec",
]


class Unset(Enum):
    """The type of `UNSET`, for annotations."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Nothing was written, where None is something that can be written."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A name that is resolved later, and where it was written.

    `site.path` is the file that a relative ``agent.py:FrontDesk`` is relative to: for a scenario
    taken from a `base` that may be another file than the one that is run.
    """

    text: str
    site: Site
    column: int = 1

    @property
    def place(self) -> str:
        """``file:line:column``, how the line about a mistake in it begins."""
        return f"{self.site}:{self.column}"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class UserInput:
    """What the user says or, with modality `audio`, is heard to say."""

    text: str
    modality: Literal["text", "audio"] = "text"
    how: Mapping[str, Any] = field(default_factory=dict)
    """In a call: what speech recognition and turn detector make of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interjection:
    """What the user says over the agent's words, `after` so many seconds of them."""

    verb: Literal["interrupt", "backchannel"]
    said: UserInput
    after: float


@dataclass(frozen=True, slots=True)
class LlmCall:
    """One call that the model makes. `raw` is the text of malformed arguments, else None."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a request fails: exactly one of `status`, `timeout`, `connection` and `type`.

    `after` is the text that came before the failure; `attempts` how many attempts of the request
    fail, None for all of them.
    """

    status: int | None = None
    timeout: bool = False
    connection: bool = False
    type: Ref | None = None
    message: str | None = None
    after: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmEntry:
    """What the model answers to one request.

    `text` and `calls` may come together, the others alone; malformed calls (`raw_call`) are among
    `calls`, with their `raw` text. `by` is the class name of the agent that must be asking, None
    for code outside an agent, UNSET for anybody. `chunks` are the pieces in which the text is
    streamed, or how long each is; `ids` are those of the calls, where it says which.
    """

    text: str | None = None
    calls: tuple[LlmCall, ...] = ()
    fail: Failure | None = None
    silence: bool = False
    stall: bool = False
    ttft: float | None = None
    duration: float | None = None
    by: Ref | Unset | None = UNSET
    chunks: tuple[str, ...] | int | None = None
    ids: tuple[str, ...] = ()
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class MockOutcome:
    """What one call of a mocked tool does: return, fail with a ToolError, or raise.

    At most one of `returns` (None is a value), `error` (the text of a ToolError) and `raises` (a
    class as ``module:Class`` or bare, `message` its argument) is set.
    """

    returns: Any = UNSET
    error: str | None = None
    raises: Ref | None = None
    message: str | None = None
    delay: float = 0.0
    site: Site

    @property
    def is_given(self) -> bool:
        """Whether the outcome replaces what the real tool would do."""
        return self.returns is not UNSET or self.error is not None or self.raises is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class MockSpec(MockOutcome):
    """A mocked tool: the same outcome for every call, or with `calls` one for each.

    With neither (`is_given` false, `calls` None) the real tool runs and is watched.
    """

    owner: Ref
    tool: Ref
    calls: tuple[MockOutcome, ...] | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """A mocked AgentTask: awaiting it gives `returns` at once.

    What stands there may as well be the mock of a `tool` that is called task.
    """

    task: Ref
    returns: Any
    tool: MockSpec | None = None
    optional: bool = False
    site: Site


Mocks: TypeAlias = Mapping[str, Mapping[str, MockSpec] | TaskSpec]
"""Class name → tool name → mock; or class name → the result of an AgentTask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """What holds once the turn is over: a subset of the userdata's attributes and keys."""

    userdata: Mapping[str, Any]
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSpec:
    """What happens is compared with a snapshot.

    `exclude` and `replace` say what is left out of it, as for `chat_snapshot`.
    """

    exclude: tuple[str, ...] = ()
    replace: tuple[tuple[re.Pattern[str], str], ...] = ()
    site: Site

    @property
    def redaction(self) -> Mapping[str, Any]:
        """What `chat_snapshot` is to be told."""
        replace = {pattern.pattern: text for pattern, text in self.replace}
        return {"exclude": self.exclude, "replace": replace}


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSpec:
    """How a text is spoken in a call."""

    text: str
    lasts: float | None = None
    ttfb: float = 0.0
    fail: Failure | None = None
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzSpec:
    """What holds of a conversation, whatever the model and the user do in it.

    Where the scenario has no turns they are drawn, in so many `examples` of so many `turns` at
    most. `invariants` are the user's own, `without` the built-in ones that need not hold;
    `userdata` is what makes the session's. `delays` are how many seconds longer a tool takes, for
    each of its calls, in the order in which they begin, which none of them puts off.
    """

    examples: int | None = None
    turns: int = 3
    invariants: tuple[Ref, ...] = ()
    without: tuple[Ref, ...] = ()
    userdata: Ref | None = None
    delays: Mapping[str, Sequence[float]] = field(default_factory=dict)
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What the job is like: some of what `pytest_lkagent.options.JobOptions` has."""

    said: Mapping[str, Any]
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTurn:
    """One input and all that follows it. The start of a session is one with no input.

    A turn of `turns` has either `user` or `wait` (time passes), or in a call one of `interjection`,
    `dtmf` and `hang_up`. `expect` is None where only script and errors are checked; ``...`` in it
    skips any number of events. `interrupt` is when the user cuts in, `within` how long the turn may
    take; in a call, until the agent answers. There, `at` is when the user does that, `lasts` how
    long the user speaks, `heard` what recognition makes of it, and `interrupted_at` how far the
    agent came in its own words.
    """

    user: UserInput | None = None
    wait: float | None = None
    interjection: Interjection | None = None
    dtmf: str | None = None
    hang_up: bool = False
    at: float | None = None
    lasts: float | None = None
    heard: str | None = None
    interrupted_at: float | None = None
    llm: tuple[LlmEntry, ...] = ()
    expect: tuple[Expectation | EllipsisType, ...] | None = None
    expect_error: ErrorExpectation | None = None
    after: After | None = None
    check: Ref | None = None
    capture: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    interrupt: float | None = None
    settle: bool = True
    within: float | None = None
    snapshot: SnapshotSpec | None = None
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One conversation. The file's `defaults`, `agent`, `entrypoint` and `base` are worked in.

    `userdata` is None where none was written; `now` has a time zone, UTC where none was written;
    `turns` is None where the user has to be simulated; `history` comes before the session starts.
    It has an `agent` or an `entrypoint`, or neither. `expect_veto` is in the reason with which
    ``on_simulation_end`` has to veto it; `judges` is what LiveKit's judges find, each or all;
    `target` is where it is played, None where it does not say; with the mode ``audio`` it is a
    call, with `voices` for what the agent says, which it has to where the scenario itself says so
    (`owes_voices`), and `impairments` of the line. With `fuzz` it claims the invariants, and
    nothing of what its model and its user do.
    """

    label: str
    site: Site
    id: str | None = None
    instructions: str | None = None
    agent_expectations: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    userdata: dict[str, Any] | None = None
    agent: Ref | None = None
    entrypoint: Ref | None = None
    job: JobSpec | None = None
    target: str | None = None
    target_site: Site | None = None
    mode: Literal["text", "audio"] = "text"
    mode_site: Site | None = None
    voices: tuple[VoiceSpec, ...] = ()
    owes_voices: bool = False
    impairments: tuple[str, ...] = ()
    expect_veto: str | None = None
    expect_veto_site: Site | None = None
    judges: Mapping[str, str] | str | None = None
    judges_site: Site | None = None
    now: datetime | None = None
    start: ScenarioTurn | None = None
    mocks: Mocks = field(default_factory=dict)
    turns: tuple[ScenarioTurn, ...] | None = None
    absent: tuple[Expectation, ...] = ()
    check: Ref | None = None
    snapshot: SnapshotSpec | None = None
    marks: tuple[Ref, ...] = ()
    xfail: str | None = None
    session: Mapping[str, Any] = field(default_factory=dict)
    session_site: Site | None = None
    history: tuple[Message | FunctionCall | FunctionCallOutput, ...] = ()
    allow: tuple[Ref, ...] = ()
    timeout: float | None = None
    fuzz: FuzzSpec | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether its conversation is drawn by hypothesis."""
        return self.fuzz is not None and self.turns is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioFile:
    """A scenario file, read and found to be without mistakes.

    `base` is the file that it lays itself over, `rest` whether that file's other scenarios are
    among `scenarios` too.
    """

    path: Path
    id: str | None = None
    name: str | None = None
    agent: Ref | None = None
    entrypoint: Ref | None = None
    base: Path | None = None
    rest: bool = False
    scenarios: tuple[Scenario, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """What playing a scenario gave. `duration` is in virtual seconds."""

    label: str
    outcome: Literal["passed", "failed", "skipped"]
    transcript: Transcript = field(default_factory=Transcript)
    message: str | None = None
    duration: float = 0.0
