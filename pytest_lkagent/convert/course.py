"""The course of a conversation: which turns it had, and what the model answered in each.

A history is a flat list. What the user says begins a turn; what comes before that is the start.
What the model answers to one request is a message, calls, or both, and it is told apart from what
code lets the agent say by what LiveKit notes with it:

- a message that a model made has its metrics (``llm_node_ttft``), one that ``say()`` made has not;
- the id of a call begins with the id of its completion, which is the id of its message too;
- the call and the output of a later update of a tool have ids that are derived from the first.

Where that is missing, neighbours belong together, and every message is the model's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import _livekit_items
from ..scenarios.model import Failure, LlmCall, LlmEntry
from ..sites import Site
from ..transcript import Close, Event, FunctionCall, Message
from .history import History
from .names import AgentNames

__all__ = ["NOWHERE", "Completion", "Part", "course_of", "was_refused"]

NOWHERE = Site("", 0)
_OF_A_MODEL = ("llm_node_ttft", "llm_metadata", "provider_request_ids")
_LIVEKITS_OWN = "lk."
_IN_COMPLETION = re.compile(r"(.+)/fnc_\d+")
_DERIVED = re.compile(r"(.+?)(?:_update_\d+|_final)+")
_TOOL_NAME = re.compile(r"[\w-]+")
_NAMES = "there the name of a tool has letters, digits, _ and -"
_UNKNOWN = "Unknown function: "
_HANGS_UP = "end_call"
"""The tool of LiveKit's EndCallTool."""
_PIECE = 0.25
"""How long a word of an interrupted message takes, in seconds."""
_PAUSE = 3.0
"""How long nobody has to say anything, in seconds, until the agent speaks by itself."""

_NO_ANSWER = "the model's answer is not in the history; it says nothing here"


@dataclass(kw_only=True)
class Completion:
    """What the model answered to one request; `place` is that of its first item."""

    key: str | None
    place: int
    text: str = ""
    calls: list[FunctionCall] = field(default_factory=list)

    @property
    def entry(self) -> LlmEntry:
        calls = tuple(
            LlmCall(call.name, raw=call.arguments)
            if isinstance(call.arguments, str)
            else LlmCall(call.name, call.arguments)
            for call in self.calls
        )
        silence = not (self.text or calls)
        return LlmEntry(text=self.text or None, calls=calls, silence=silence, site=NOWHERE)


@dataclass(kw_only=True)
class Part:
    """A turn, or the start, which has neither `user` nor `wait`.

    `items` are LiveKit's, `events` what the replay has of them; `notes` say what the replay cannot
    have; `unknown` are tools whose output is not in the history.
    """

    user: str | None = None
    wait: float | None = None
    items: list[Any] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    llm: list[LlmEntry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    interrupt: float | None = None
    settle: bool = True
    fails: bool = False
    claims: bool = True
    """Whether what happens is what is expected."""

    @property
    def is_start(self) -> bool:
        return self.user is None and self.wait is None

    @property
    def times(self) -> tuple[float, float]:
        made = [item.created_at for item in self.items]
        return min(made, default=0.0), max(made, default=0.0)


def course_of(history: History, names: AgentNames) -> list[Part]:
    """Return the start and the turns of a conversation."""
    reader = _Reader(history, names)
    parts = list(_parts(history))
    for part in parts:
        reader.read(part)
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        reader.answer_all(part, following)
        reader.cut(part)
    reader.let_overlap(parts)
    reader.close(parts[-1])
    return parts


def _parts(history: History) -> Iterator[Part]:
    """Cut the history where the user says something, and where the agent does after a pause."""
    part = Part()
    for item in history.items:
        if _is_message(item, "user"):
            yield part
            part = Part(user=item.text_content or "")
            if any(not isinstance(one, str) for one in item.content):
                part.notes.append("there was more than words in what the user sent; it is left out")
            elif not part.user:
                part.notes.append("there were no words in what the user sent")
        elif history.has_times and (pause := _pause_before(item, part.items)):
            yield part
            part = Part(wait=math.ceil(pause))
        part.items.append(item)
    yield part


def _pause_before(item: Any, before: Sequence[Any]) -> float:
    """Return how long nobody said or did anything before the agent spoke by itself."""
    last = before[-1] if before else None
    if not (_is_message(item, "assistant") and last and _is_message(last, "assistant")):
        return 0.0
    until = max(last.created_at, last.metrics.get("stopped_speaking_at", 0.0))
    pause: float = item.created_at - until
    return pause if pause >= _PAUSE else 0.0


def _is_message(item: Any, role: str) -> bool:
    return bool(item.type == "message" and item.role == role)


class _Reader:
    """What is known of the whole conversation while its parts are read."""

    def __init__(self, history: History, names: AgentNames) -> None:
        self._names = names
        self._history = history
        items = history.items
        said = [item for item in items if _is_message(item, "assistant")]
        self._knows_models = any(item.metrics for item in said)
        if said and not self._knows_models:
            history.notes.append(
                "nothing in the history tells what the model said from what say() did; "
                "everything stands under llm"
            )
        self._is_session = any(item.type == "agent_handoff" for item in items)
        self._calls = {item.call_id for item in items if item.type == "function_call"}
        self._outputs = {
            item.call_id: item for item in items if item.type == "function_call_output"
        }
        self._failures = list(history.failures)
        self._unspeakable = {
            item.call_id
            for item in items
            if item.type == "function_call" and not _TOOL_NAME.fullmatch(item.name)
        }

    # --- items

    def read(self, part: Part) -> None:
        for place, item in enumerate(part.items):
            if not self._is_told(item, part):
                continue
            if item.type == "message" and item.role == "assistant" and self._is_models(item):
                self._completion(part, item.id, place).text = _raw_text(item)
            elif item.type == "function_call" and not self.derived_from(item):
                self._call(part, item, place)
            if (event := self._event(item)) is not None:
                part.events.append(event)

    def _is_told(self, item: Any, part: Part) -> bool:
        """Whether an item belongs to the conversation, and a scenario has words for it."""
        if getattr(item, "call_id", None) in self._unspeakable:
            if item.type == "function_call":
                part.notes.append(f"{item.name!r} was called, which no scenario can: {_NAMES}")
            return False
        if item.type != "message":
            return True
        if item.id.startswith(_LIVEKITS_OWN):
            return False
        if item.role in ("system", "developer") and not self._is_session:
            part.notes.append(f"a {item.role} message of the agent's context is left out")
            return False
        return True

    def _is_models(self, item: Any) -> bool:
        return not self._knows_models or any(key in item.metrics for key in _OF_A_MODEL)

    def _call(self, part: Part, item: Any, place: int) -> None:
        in_completion = _IN_COMPLETION.fullmatch(item.id)
        key = in_completion[1] if in_completion else item.group_id
        call = _livekit_items.to_event(item)
        assert isinstance(call, FunctionCall), "it is one"
        output = self._outputs.get(item.call_id)
        if output is not None and was_refused(output):
            call = replace(call, arguments=item.arguments)  # as text, which need not suit a tool
        self._completion(part, key, place).calls.append(call)

    def _completion(self, part: Part, key: str | None, place: int) -> Completion:
        """Return the completion of this key; without one, the neighbour that it goes on from."""
        known = next((one for one in part.completions if key and one.key == key), None)
        last = part.completions[-1] if part.completions else None
        if known is None and key is None and last is not None:
            kinds = {item.type for item in part.items[last.place : place]}
            known = last if kinds <= {"message", "function_call"} else None
        if known is None:
            known = Completion(key=key, place=place)
            part.completions.append(known)
        return known

    def derived_from(self, item: Any) -> str | None:
        """Return the id of the call of which an item is a later update."""
        found = _DERIVED.fullmatch(item.call_id)
        return found[1] if found and found[1] in self._calls else None

    def _event(self, item: Any) -> Event | None:
        if item.type != "agent_handoff":
            return _livekit_items.to_event(item)
        old = item.old_agent_id and self._names.of(item.old_agent_id)
        return _livekit_items.to_event(item, {item.id: (old, self._names.of(item.new_agent_id))})

    # --- what the script needs

    def answer_all(self, part: Part, following: Part | None) -> None:
        """Make the script, with a step for a request that nothing in the history answers."""
        part.llm = [completion.entry for completion in part.completions]
        asked = [0] if part.user is not None else []
        for place, item in enumerate(part.items):
            if getattr(item, "call_id", None) in self._unspeakable:
                continue
            if item.type == "function_call_output" and item.reply_required:
                asked.append(place)
            elif self._is_unfinished(item, part.items[place:]):
                part.unknown.append(item.name)
                part.notes.append(f"the output of {item.name} is not in the history")
                asked.append(place + 1)
        answered = max((completion.place for completion in part.completions), default=-1)
        if max(asked, default=-1) <= answered:
            return
        if self._failed(part, following):
            part.fails = True
            part.notes.append("the model failed here; the report does not say how")
            part.llm.append(LlmEntry(fail=Failure(connection=True), site=NOWHERE))
        else:
            part.notes.append(_NO_ANSWER)
            part.llm.append(LlmEntry(silence=True, site=NOWHERE))

    def _is_unfinished(self, item: Any, following: Sequence[Any]) -> bool:
        """Whether a call has no output, though it handed over to no task that asks the user."""
        if item.type != "function_call" or item.call_id in self._outputs:
            return False
        return not any(other.type == "agent_handoff" for other in following)

    def _failed(self, part: Part, following: Part | None) -> bool:
        """Whether the model failed for good in this part; each failure is found once."""
        begins = part.times[0]
        ends = following.times[0] if following is not None else math.inf
        for at in self._failures:
            if begins <= at <= ends:
                self._failures.remove(at)
                return True
        return False

    def cut(self, part: Part) -> None:
        """Let the user cut off what the model says, where a scenario can.

        The message is said word by word, with one word more: the interruption comes before it.
        """
        cut = [event for event in part.events if isinstance(event, Message) and event.interrupted]
        last = part.completions[-1] if part.completions else None
        for message in cut:
            text = message.text.strip()
            if last is None or last.calls or last.text.strip() != text or part.user is None:
                continue
            words = len(re.findall(r"\S+", text))
            part.interrupt = (words - 0.5) * _PIECE
            part.llm[len(part.completions) - 1] = replace(
                part.llm[len(part.completions) - 1],
                text=f"{text} …",
                duration=(words + 1) * _PIECE,
            )
            part.notes.append("the user cut in, and what the agent went on to say is not known")
        if part.interrupt is None:
            self._say_whole(part, cut)

    def _say_whole(self, part: Part, cut: Sequence[Message]) -> None:
        """Let what cannot be cut off be said as far as it is known."""
        scripted = {completion.text for completion in part.completions}
        for message in cut:
            if message.text in scripted:
                part.notes.append("the user cut in, and here nobody does")
                part.events[part.events.index(message)] = replace(message, interrupted=False)

    # --- over several turns

    def let_overlap(self, parts: Sequence[Part]) -> None:
        """Begin the next turn while a tool works in the background, as it was."""
        begun = {
            item.call_id: index
            for index, part in enumerate(parts)
            for item in part.items
            if item.type == "function_call"
        }
        for index, part in enumerate(parts):
            for item in part.items:
                base = self.derived_from(item) if item.type == "function_call" else None
                for earlier in parts[begun[base] : index] if base else ():
                    if earlier.user is not None and earlier.settle:
                        earlier.settle = False
                        earlier.notes.append("a tool works on in the next turn; its time counts")

    def close(self, last: Part) -> None:
        """Expect that the session closes, where the agent brings that about."""
        reason = self._history.closed
        calls = {call.name for completion in last.completions for call in completion.calls}
        is_agents = {
            "task_completed": True,
            "error": last.fails,
            "user_initiated": _HANGS_UP in calls,
        }
        if reason is not None and is_agents.get(reason):
            last.events.append(Close(reason=reason))
        elif reason in ("user_initiated", "error"):
            last.notes.append(
                f"then the session closed ({reason}); if the agent does that, expect "
                f"`- close: {reason}`"
            )


def was_refused(output: Any) -> bool:
    """Whether LiveKit itself refused the call of this output, so that no tool ever ran."""
    is_unknown: bool = output.is_error and output.output.startswith(_UNKNOWN)
    return is_unknown or _livekit_items.is_argument_error(output)


def _raw_text(item: Any) -> str:
    """Return a message as the model wrote it, with the markup that LiveKit takes out."""
    return "\n".join(one for one in item.content if isinstance(one, str))
