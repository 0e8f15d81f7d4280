"""What fuzzing found: the shortest conversation that shows it, to be read and played again."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any, Protocol

from livekit.agents import APIConnectionError, APIStatusError, APITimeoutError, ToolError

from ..convert.course import NOWHERE, Part
from ..convert.write import duration_text, playable_label, scenario_text
from ..errors import LoadError, Stuck, UsageError
from ..references import root_of
from ..scenarios.load import load_text
from ..scenarios.model import Failure, LlmCall, LlmEntry, Ref
from ..script import Step, ToolCall
from ..sites import Site
from ..transcript import render
from ..words import lacks_userdata
from .play import Drawn, DrawnTurn, Example

__all__ = [
    "FOLDER",
    "Findable",
    "Names",
    "as_scenario",
    "left_behind",
    "mocked",
    "remembered",
    "tell",
    "written_delays",
]

FOLDER = ".lk_fuzz"
"""Where the scenarios are that fuzzing found, beside the test that did."""
_GIVES_USERDATA = (
    "say what that is: userdata= of the test, userdata: of the scenario, or the fixture userdata"
)
_KEPT = (
    "sessions before this one changed {}: if that is the fault, it takes two sessions to show, so "
    "the file plays the conversation twice"
)

_MESSAGE_ALONE = (
    "a file makes an exception from its message alone, and {} raises {!r}; "
    "write raises: with a class that makes it"
)


class Findable(Protocol):
    """What is said of a subject in a scenario file."""

    @property
    def name(self) -> str: ...
    @property
    def site(self) -> Site:
        """Where the test is written; the file is put beside it."""

    def settings(self, names: Names, drawn: Drawn) -> tuple[dict[str, str], dict[str, Any]]:
        """Return what is tested, and the keys of a scenario in which it is played like this."""


def tell(
    error: BaseException, example: Example, subject: Findable, *, kept: Sequence[str] = ()
) -> None:
    """Say with `error` in which conversation it came up, and write that as a scenario.

    Where something is `kept` from one session to the next, there are two: the second may fail
    because of the first. A mistake of the test's is no fault, and its message says all.
    """
    if isinstance(error, UsageError):
        return
    if lacks_userdata(error):
        error.add_note(_GIVES_USERDATA)
    for line in _conversation(error, example):
        error.add_note(line)
    if example.harness is not None:
        for line in _written(error, example.drawn, subject, kept):
            error.add_note(line)


def remembered(error: BaseException, example: Example) -> list[str]:
    """Say what an example failed with, and how, that may go another way when it is played again."""
    said = f"{type(error).__name__}: {error}".partition("\n")[0]
    is_mistake = isinstance(error, UsageError)
    return [f"what it did first: {said}", *([] if is_mistake else _conversation(error, example))]


def left_behind(kept: Sequence[str]) -> list[str]:
    """Say what is kept from one session to the next, where a conversation went another way."""
    return [f"sessions changed {', '.join(kept)}, and those after them found it so"] if kept else []


def _conversation(error: BaseException, example: Example) -> list[str]:
    """Show the conversation of an example, where `error` does not, and how long its tools took."""
    if example.harness is None:
        return []
    took = [
        f"      {tool} takes {', '.join(delays)}"
        for tool, delays in written_delays(example.drawn).items()
    ]
    cut = [
        f"      the user cuts in {turn.interrupt:g} s into turn {number}"
        for number, turn in enumerate(example.drawn.turns, start=1)
        if turn.interrupt is not None
    ]
    if isinstance(error, Stuck):
        return [*took, *cut]
    return ["in this conversation:", *render(example.harness.transcript.events), *took, *cut]


def _written(
    error: BaseException, drawn: Drawn, subject: Findable, kept: Sequence[str]
) -> list[str]:
    """Write the scenario, and say where it is and what it lacks."""
    folder = Path(subject.site.path).parent / FOLDER
    names = Names(folder)
    tested, settings = subject.settings(names, drawn)
    label = playable_label(f"{type(error).__name__}: {error}".partition("\n")[0])
    how = {"tested": tested, "settings": settings}
    text = as_scenario(drawn, label=label, notes=names.missing, **how)
    shared = [_KEPT.format(", ".join(kept))] if kept else []
    if shared:
        first = as_scenario(drawn, label=f"{label} (a session before it)", notes=shared, **how)
        text = first + text.partition("scenarios:\n")[2]
    digest = sha1(text.encode(), usedforsecurity=False).hexdigest()[:8]
    name = re.sub(r"[^\w-]", "", subject.name)  # a lambda's has brackets, as shells have
    path = folder / f"{name}-{digest}.yaml"
    try:
        load_text(text, path)
    except LoadError as problem:
        return [f"it cannot be written as a scenario: {problem.problems[0]}"]
    folder.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    shown = os.path.relpath(path)
    lacking = [f"  which lacks something: {one}" for one in names.missing]
    return [f"as a scenario: pytest --lk-scenarios={shlex.quote(shown)}", *lacking, *shared]


def as_scenario(drawn: Drawn, **how: Any) -> str:
    """Write what was drawn as a file with one scenario; `how` as for `scenario_text`."""
    return scenario_text([_part(turn) for turn in (drawn.start, *drawn.turns)], **how)


# --- names


class Names:
    """What a scenario file in `folder` calls what Python has; `missing` says what has no name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.missing: list[str] = []

    def of(self, value: Any, what: str) -> str | None:
        """Return the reference to a class or a function, None where a file cannot name it."""
        module = sys.modules.get(getattr(value, "__module__", None) or "")
        name: str = getattr(value, "__qualname__", "")
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part, None)
        is_pythons = module is not None and module.__name__ in sys.builtin_module_names
        file = getattr(module, "__file__", None)
        if module is None or found is not value or not (file or is_pythons):
            shown = name or repr(value)
            self.missing.append(f"{what} {shown} has no name that a file could give it")
            return None
        if is_pythons or (module.__package__ and not self._is_renamed(module.__name__, str(file))):
            return f"{module.__name__}:{name}"
        return f"{os.path.relpath(str(file), self._folder)}:{name}"

    def _is_renamed(self, module: str, file: str) -> bool:
        """Whether pytest alone knows a module of the tests by this name, as its importlib does."""
        path = Path(file).resolve()
        if self._folder.parent.resolve() not in path.parents:
            return False
        parts = path.with_suffix("").relative_to(root_of(path.parent)).parts
        return ".".join(parts).removesuffix(".__init__") != module

    def moved(self, ref: Ref) -> str:
        """Return a reference that is relative to another file."""
        module, _, name = ref.text.partition(":")
        if not module.endswith(".py"):
            return ref.text
        path = Path(ref.site.path).parent / module
        return f"{os.path.relpath(path, self._folder)}:{name}"

    def outcome(self, value: Any, what: str) -> dict[str, Any]:
        """Return what a mocked tool does, as far as a file can say it."""
        error = value() if isinstance(value, type) and issubclass(value, Exception) else value
        if isinstance(error, ToolError):
            return {"error": error.message}
        if isinstance(error, Exception):
            if not _is_made_from_its_message(error):
                self.missing.append(_MESSAGE_ALONE.format(what, error))
                return {}
            kind = self.of(type(error), "the exception")
            said = {"message": error.args[0]} if error.args else {}
            return {} if kind is None else {"raises": kind, **said}
        if _is_plain(value):
            return {"returns": value}
        self.missing.append(f"what {what} gives is known to Python alone; write returns: for it")
        return {}

    def plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the values, by their keys, that a file can hold."""
        for key, value in values.items():
            if not _is_plain(value):
                self.missing.append(f"{key} is known to Python alone: {value!r}")
        return {key: value for key, value in values.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Whether a value is the same once it was written as JSON."""
    try:
        return not callable(value) and json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def _is_made_from_its_message(error: Exception) -> bool:
    """Whether its class makes an exception like this one from a message, or from nothing."""
    if error.args[1:] or not all(isinstance(message, str) for message in error.args):
        return False
    try:
        made = type(error)(*error.args)
        return bool(made.args == error.args and _attributes(made) == _attributes(error))
    except Exception:  # noqa: BLE001  (whatever its class, or comparing, raises)
        return False


def _attributes(error: Exception) -> dict[str, Any]:
    return {key: value for key, value in vars(error).items() if key != "__notes__"}


def mocked(names: Names, mocks: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the mocks of a scenario."""
    written: dict[str, Any] = {}
    for owner, does in mocks.items():
        if isinstance(does, Mapping):
            written[owner.__name__] = {
                tool: {**names.outcome(one, f"the mock of {tool}"), "optional": True}
                for tool, one in does.items()
            }
        elif _is_plain(does):
            written[owner.__name__] = {"task": does}
        else:
            names.missing.append(
                f"what the mock of {owner.__name__} does is known to Python alone; write what it "
                "gives as task:"
            )
    return written


def written_delays(drawn: Drawn) -> dict[str, list[str]]:
    """Return how much longer calls take, by the tool, up to the last that does."""
    delays: dict[str, list[str]] = {}
    for tool, calls in drawn.delays.items():
        last = max((number for number, seconds in enumerate(calls, 1) if seconds), default=0)
        if last:
            delays[tool] = [duration_text(seconds) for seconds in calls[:last]]
    return delays


# --- what was drawn


def _part(turn: DrawnTurn) -> Part:
    return Part(
        user=turn.user,
        wait=turn.wait,
        interrupt=turn.interrupt,
        llm=[_entry(step) for step in turn.steps],
        claims=False,
    )


def _entry(step: Step) -> LlmEntry:
    failed = step.error is not None
    ids = [call.call_id for call in step.calls if call.call_id is not None]
    text = step.text if isinstance(step.text, str) else None
    return LlmEntry(
        text=None if failed else text,
        calls=tuple(_call(call) for call in step.calls),
        fail=_failure(step) if failed else None,
        silence=not (step.text or step.calls or failed),
        ttft=step.ttft or None,
        duration=step.duration or None,
        chunks=step.chunks,
        ids=tuple(ids),
        site=NOWHERE,
    )


def _call(call: ToolCall) -> LlmCall:
    if isinstance(call.arguments, str):
        return LlmCall(call.name, raw=call.arguments)
    return LlmCall(call.name, call.arguments)


def _failure(step: Step) -> Failure:
    error, after = step.error, step.text if isinstance(step.text, str) else None
    said: dict[str, Any] = {"after": after, "attempts": step.attempts}
    message = getattr(error, "message", None) or str(error)
    if isinstance(error, APIStatusError):
        return Failure(status=error.status_code, message=message, **said)
    if isinstance(error, APITimeoutError):
        return Failure(timeout=True, message=message, **said)
    if isinstance(error, APIConnectionError):
        return Failure(connection=True, message=message, **said)
    return Failure(type=Ref(type(error).__name__, NOWHERE), message=message, **said)
