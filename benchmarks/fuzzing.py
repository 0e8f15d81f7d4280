"""The row about fuzzing: how many conversations are drawn and played in a second.

Beside each stands the loop that one writes by hand on hypothesis and livekit-agents: an event loop,
a session and a scripted model for each example, and none of the checks. Both draw the same and play
the same: what the user says, what the model answers, and that the user neither waits nor cuts in.
What models do wrong is drawn by neither, as it takes its time.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from statistics import median

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_lkagent import Step

__all__ = ["fuzz_row"]

_EXAMPLES = 200
_TEXTS = st.text(min_size=1, max_size=20)
_NEVER = st.sampled_from([None] * 12)
"""Whether, and when, the user says nothing or cuts in: drawn as it is else, and never."""
_fast = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)


def fuzz_row(rounds: int) -> None:
    """Examples of one turn, without a tool and with one."""
    for what, steps, goal in (("one turn", 1, 200), ("a tool turn", 2, 120)):
        floor, ours = _by_hand(steps), _ours(steps)
        took: dict[str, list[float]] = {"floor": [], "ours": []}
        for number in range(rounds + 1):
            for name, once in (("floor", floor), ("ours", ours)):
                seconds = once()
                if number:
                    took[name].append(seconds)
        hand, own = (_EXAMPLES / median(took[name]) for name in ("floor", "ours"))
        ratio = hand / own
        print(f"\nFuzzing, examples of {what}")
        print(f"  {'written by hand':<32}{hand:>8.0f} /s")
        print(f"  {'pytest-lkagent':<32}{own:>8.0f} /s")
        is_met = ratio <= 1.4 and own >= goal
        print(f"  {ratio:.2f} x the floor.  Goal: <= 1.4 x, and >= {goal} a second, if nobody else "
              f"works: {'met' if is_met else 'NOT MET'}")  # fmt: skip


def _timed(test: Callable[[], None]) -> Callable[[], float]:
    def once() -> float:
        gc.collect()
        began = time.process_time()
        test()
        return time.process_time() - began

    return once


def _by_hand(steps: int) -> Callable[[], float]:
    from by_hand import FrontDesk, ScriptedLLM
    from livekit.agents import AgentSession

    async def example(user: str, answer: str) -> None:
        session = AgentSession(
            llm=ScriptedLLM([None, answer][-steps:]),
            vad=None,
            turn_handling={"turn_detection": None},
            user_away_timeout=None,
            aec_warmup_duration=None,
        )
        await session.start(FrontDesk())
        await session.run(user_input=user)
        await session.aclose()

    @_fast
    @given(_NEVER, _TEXTS, _NEVER, _TEXTS)
    def test(_wait: None, user: str, _interrupt: None, answer: str) -> None:
        asyncio.run(example(user, answer))

    return _timed(test)


def _ours(steps: int) -> Callable[[], float]:
    from by_hand import FrontDesk

    from pytest_lkagent import call, say
    from pytest_lkagent.fuzz import fuzz_agent, play
    from pytest_lkagent.stage import seams_held

    drawn = (st.just(call("book", slot="2pm")), _TEXTS.map(say))
    left: list[st.SearchStrategy[Step]] = []

    def user_inputs() -> st.SearchStrategy[str]:
        left[:] = drawn[-steps:]
        return _TEXTS

    play._INPUTS = st.sampled_from([play._ELSE] * 12)  # noqa: SLF001  (the package's own)
    play._ARE_SLOW = st.sampled_from([False])  # noqa: SLF001
    play.interruptions = lambda: _NEVER
    play.completions_for = lambda *_: left.pop(0)
    play.user_inputs = user_inputs
    return _timed(seams_held()(_fast(fuzz_agent(FrontDesk, turns=1))))  # as the plugin runs it
