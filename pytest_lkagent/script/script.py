"""The script of one fake model: which step answers which request, and what was left over."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ..errors import UnscriptedRequest, UsageError, one_of
from ..sites import Site, call_site
from .request import Request
from .steps import (
    ANYONE,
    Asker,
    Step,
    StepSource,
    as_step,
    asker_name,
    check_takes_request,
    checked_asker,
)

__all__ = ["Matcher", "Rule", "Script"]

Matcher: TypeAlias = "str | re.Pattern[str] | Callable[[Request], bool]"


@dataclass
class Rule:
    """Steps for the requests that match, in `rounds` rounds (None: any number, even none).

    A rule with several steps goes on with the requests that follow, whatever their input: its
    first step may be a call, and what comes next is then the output of the tool. Who may ask is
    said by the step, where it says so, and else by the rule.
    """

    matcher: Matcher
    steps: tuple[Step, ...]
    asker: Asker
    rounds: int | None
    written_at: Site
    played: int = 0
    position: int = 0

    def __post_init__(self) -> None:
        self.steps = tuple(replace(step, rule=self.name) for step in self.steps)

    @property
    def name(self) -> str:
        """The rule as one writes it, without its steps."""
        who = "" if self.asker is ANYONE else f", by={asker_name(self.asker)}"
        return f"when({self._matches()}{who})"

    @property
    def is_open(self) -> bool:
        return self.position > 0

    @property
    def left(self) -> Sequence[Step]:
        """The steps of this rule that a test may be missing."""
        if self.is_open:
            rest, again = self.steps[self.position :], self.steps[: self.position]
            is_last = self.rounds is None or self.played + 1 >= self.rounds
            return rest if is_last else (*rest, *again)
        return () if self.rounds is None or self.played >= self.rounds else self.steps

    def starts(self, request: Request) -> bool:
        if self.rounds is not None and self.played >= self.rounds:
            return False
        if not self.may_go_on(request):
            return False
        if isinstance(self.matcher, str):
            return request.last_input == self.matcher
        if isinstance(self.matcher, re.Pattern):
            return self.matcher.search(request.last_input) is not None
        return bool(self.matcher(request))

    def may_go_on(self, request: Request) -> bool:
        """Whether `request` comes from whom the rule's next step waits for."""
        asker = self.steps[self.position].asker
        return request.may_take(self.asker if asker is ANYONE else asker)

    def step(self) -> Step:
        step = self.steps[self.position]
        self.position += 1
        if self.position == len(self.steps):
            self.position = 0
            self.played += 1
        return step

    def give_back(self, step: Step) -> None:
        """Play a step again, unless the rule has gone on since."""
        position = (self.position or len(self.steps)) - 1
        if self.steps[position] is step:
            self.played -= not self.position
            self.position = position

    def describe(self) -> str:
        """Describe the rule in one line, with what is left of it."""
        most = " times, any number will do" if self.rounds is None else f" of {self.rounds}"
        line = f"{self.name}, played {self.played}{most}"
        if self.is_open:
            line += f", next {self.steps[self.position].describe()}"
        return line

    def _matches(self) -> str:
        if isinstance(self.matcher, str):
            return repr(self.matcher)
        if isinstance(self.matcher, re.Pattern):
            return f"/{self.matcher.pattern}/"
        return str(getattr(self.matcher, "__name__", "predicate"))


@dataclass
class Script:
    """The steps that wait, and those that answered, with what they answered.

    Rules are tried before the queue. `take` is the only way out: it hands each step to one
    request, and raises `UnscriptedRequest` with the whole story when nothing fits. `give_back` is
    for a step whose answer nobody wanted.
    """

    queue: deque[Step] = field(default_factory=deque)
    rules: list[Rule] = field(default_factory=list)
    taken: list[tuple[Step, Request]] = field(default_factory=list)

    def add(self, steps: Iterable[StepSource]) -> None:
        """Append steps to the queue."""
        self.queue.extend(as_step(step) for step in steps)

    def when(
        self,
        matcher: Matcher,
        steps: Iterable[StepSource],
        *,
        by: Asker = ANYONE,
        times: int | None = 1,
    ) -> None:
        """Answer the requests that match with `steps`, `times` times (None: any number)."""
        if isinstance(matcher, type) or not (
            isinstance(matcher, (str, re.Pattern)) or callable(matcher)
        ):
            raise UsageError(
                "when() takes the exact last input, a compiled pattern or a predicate of the "
                f"request, not {matcher!r}"
            )
        if callable(matcher):
            check_takes_request(matcher)
        if times is not None and not (isinstance(times, int) and times >= 1):  # type: ignore[redundant-expr]
            raise UsageError(f"when(times={times!r}): a positive number, or None for any number")
        made = tuple(as_step(step) for step in steps)
        if not made:
            raise UsageError("when() wants at least one step to answer with")
        self.rules.append(Rule(matcher, made, checked_asker(by), times, call_site()))

    def take(self, request: Request, *, advice: Callable[[Request], str]) -> Step:
        """Return the step that answers `request`, as it was scripted.

        Only a rule reads the conversation in it: that takes as long as the conversation is.

        Raises:
            UnscriptedRequest: Nothing in the script fits; what `advice` says ends its message.
        """
        step = self._next(request)
        if step is None:
            raise UnscriptedRequest(self._story(request, advice(request)))
        self.taken.append((step, request))
        return step

    def give_back(self, step: Step) -> None:
        """Let a step that was taken answer the next request instead."""
        place = next(k for k in range(len(self.taken) - 1, -1, -1) if self.taken[k][0] is step)
        del self.taken[place]
        if not step.rule:
            self.queue.appendleft(step)
        for rule in self.rules:
            rule.give_back(step)

    def answers(self, request: Request) -> bool:
        """Whether there is a step for `request`."""
        return self._source(request) is not None

    @property
    def remaining(self) -> tuple[Step, ...]:
        """The steps that answered nothing yet; rules with ``times=None`` owe nothing."""
        return (*self.queue, *(step for rule in self.rules for step in rule.left))

    def discard(self, steps: Sequence[Step] | None = None) -> tuple[Step, ...]:
        """Take away what is left of the queue, of `steps` alone, and return it; rules stay."""
        left = tuple(
            step for step in self.queue if steps is None or any(step is one for one in steps)
        )
        self.queue = deque(step for step in self.queue if not any(step is one for one in left))
        return left

    def _next(self, request: Request) -> Step | None:
        source = self._source(request)
        if isinstance(source, Rule):
            return source.step()
        return None if source is None else source.popleft()

    def _source(self, request: Request) -> Rule | deque[Step] | None:
        """Return where the next step comes from: a rule, the queue, or nowhere."""
        for rule in self.rules:
            if rule.is_open and rule.may_go_on(request):
                return rule
        for rule in self.rules:
            if not rule.is_open and rule.starts(request):
                return rule
        if self.queue and request.may_take(self.queue[0].asker):
            return self.queue
        return None

    def _story(self, request: Request, advice: str) -> str:
        lines = [
            f"{request.asker} asked its model for a completion that nobody scripted",
            f"  request {request.number}, last input: {request.last_input!r}",
        ]
        if request.reply_instructions:
            lines.append(f"  asked to: {request.reply_instructions!r}")
        lines.append(f"  tools on offer: {one_of(request.tools)}")
        lines += [f"  used      {step}, {asked.answered()}" for step, asked in self.taken]
        lines += [f"  waiting   {step}" for step in self.queue]
        lines += [f"  rule      {rule.written_at}  {rule.describe()}" for rule in self.rules]
        if self.queue:
            head = self.queue[0]
            advice = f"the next step waits for {asker_name(head.asker)}, not for {request.asker}"
        return "\n".join([*lines, f"  {advice}"])
