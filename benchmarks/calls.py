"""The row about voice: an hour on the telephone, with interruptions and tools."""

from __future__ import annotations

import asyncio
import cProfile
import resource
import time
from pathlib import Path
from statistics import median
from weakref import WeakSet

__all__ = ["call_row"]

_MINUTES, _TURNS = 60, 200
_EVERY = _MINUTES * 60 / _TURNS


def call_row(rounds: int) -> None:
    """An hour on the telephone: 200 turns, 25 interruptions, 20 tools."""
    took = [_took() for _ in range(rounds + 1)][1:]
    twice = [_took(2 * _TURNS) for _ in range(rounds)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    profiles = [_profiled(_TURNS) for _ in range(rounds)]
    calls, share = profiles[0][0], median(share for _, share in profiles)
    more_calls, _ = _profiled(2 * _TURNS)
    ours, low, high = median(took), min(took), max(took)
    faster = _MINUTES * 60 / ours
    print(f"\nAn hour on the telephone: {_TURNS} turns, 25 interruptions, 20 tools")
    print(f"  {'in real time':<32}{_MINUTES * 60:>8.2f} s")
    print(f"  {'pytest-lkagent':<32}{ours:>8.2f} s   ({low:.2f} s - {high:.2f} s)")
    print(f"  {faster:,.0f} x faster.  Goal: >= 1,300 x: {'met' if faster >= 1300 else 'NOT MET'}")
    print(f"  {'two hours':<32}{median(twice):>8.2f} s")
    print(
        f"  {'our calls in two hours':<32}{more_calls / calls:>8.2f} x   those in one; LiveKit's "
        "grow faster"
    )
    print(f"  {'our share of the profile':<32}{share:>8.1f} %   {_verdict(share, at_most=10)}")
    print(
        f"  {'memory at most':<32}{memory:>8.0f} MB  the process, livekit included; "
        f"{_verdict(memory, at_most=200)}"
    )


def _verdict(figure: float, *, at_most: float) -> str:
    return f"Goal: <= {at_most:g}: {'met' if figure <= at_most else 'NOT MET'}"


def _took(turns: int = _TURNS) -> float:
    began = time.monotonic()
    asyncio.run(_call(turns))
    return time.monotonic() - began


def _profiled(turns: int) -> tuple[int, float]:
    """Return the calls of the plugin's own functions, and their share of a hundred.

    No other process disturbs the number of calls. The share is rather too much: each call is
    charged with being counted, and ours are short.
    """
    profile = cProfile.Profile()
    profile.runcall(_took, turns)
    entries = profile.getstats()
    own = [
        entry
        for entry in entries
        if not isinstance(entry.code, str)
        and "pytest_lkagent" in Path(entry.code.co_filename).parts
    ]
    took, all_took = (sum(entry.inlinetime for entry in some) for some in (own, entries))
    return sum(entry.callcount for entry in own), 100 * took / all_took


async def _call(turns: int) -> None:
    from by_hand import FrontDesk

    from pytest_lkagent import call, say
    from pytest_lkagent.options import DEFAULT_NOW
    from pytest_lkagent.stage import Stage
    from pytest_lkagent.starting import start_session
    from pytest_lkagent.voice.call import VoiceCall
    from pytest_lkagent.wall_clock import WallClock

    wall = WallClock(DEFAULT_NOW)
    wall.travel()
    stage = Stage(timeout=600, allow=(), used=WeakSet(), wall=wall)
    stage.is_call = True
    try:
        async with stage.on_loop() as job:
            harness = await start_session(stage, FrontDesk, options={"user_away_timeout": None})
            telephone = VoiceCall(harness, job.room)
            for turn in range(turns):
                if turn % 10 == 3:
                    harness.model.script(call("book", slot="2pm"))
                harness.model.script(
                    say("Let me see. There is a free slot at two o'clock, or at three.")
                )
                await telephone.say("Do you have time tomorrow?", at=_EVERY * turn + 1, lasts=1.5)
                if turn % 8 == 5:
                    harness.model.script(say("At three, gladly."))
                    await telephone.interrupt("three is fine", after=1.0)
                    await telephone.agent_stops(within=0.6)
            await telephone.settle()
            cut = sum(speech.interrupted for speech in telephone.timeline.agent)
            assert cut == turns // 8, cut
            assert len(telephone.timeline.tools) == turns // 10, telephone.timeline.tools
        assert not stage.findings, list(stage.findings)
    finally:
        wall.end()
