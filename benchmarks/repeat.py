"""Show that every run is the same run: ``python benchmarks/repeat.py [--runs N]``.

The tests and scenarios of the examples, a conversation of 200 turns and a call of an hour, run
again and again, each time in a process of its own, on a machine that has been up for another time,
beside as many busy ones as it has processors. What was said, when in virtual time, how long each
turn took and the timelines of calls have to be the same, byte for byte. The exit status says
whether they were; the first lines that were not are shown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import unified_diff
from itertools import islice
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
UPTIMES = (1.5, 600.25, 16_380.5, 30_000.125, 32_700.5, 500_000.75, 9_000_000.5)
"""Seconds, which the loop's time begins with: a float is the less exact the greater it is."""

CONVERSATION = """
import asyncio
import random

from livekit.agents import Agent, function_tool
from pytest_lkagent import call, reply, say
import pytest


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book visits.")

    @function_tool
    async def find(self, number: int) -> str:
        "Find a slot."
        await asyncio.sleep(number % 7 / 10)
        return f"slot {number}"

    @function_tool
    async def book(self, number: int) -> str:
        "Book a slot."
        await asyncio.sleep(18)
        return f"booked {number}"


def some(chance):
    return round(chance.random(), 3)  # as one writes it


@pytest.mark.lk(agent=Desk)
async def test_200_turns(user_says, fake_llm):
    chance = random.Random(7)
    for number in range(200):
        fake_llm.script(
            reply("I look.", *(call("find", number=one) for one in chance.sample(range(50), 3))),
            call("book", number=number),
            say("Booked.").timed(ttft=some(chance), duration=1 + some(chance)),
        )
        await user_says(f"turn {number}")
"""


CALL = """
import random

from livekit.agents import Agent, function_tool
from pytest_lkagent import call, say
import pytest


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book visits.")

    @function_tool
    async def book(self, number: int) -> str:
        "Book a slot."
        return f"booked {number}"


@pytest.mark.lk(agent=Desk)
async def test_60_minutes(voice_call, fake_llm):
    chance = random.Random(7)
    for number in range(200):
        if number % 10 == 3:
            fake_llm.script(call("book", number=number))
        fake_llm.script(say("Let me see. There is a free slot at two o'clock, or at three."))
        lasts = round(1 + chance.random(), 3)
        await voice_call.say(f"turn number {number}, please", at=18 * number + 1, lasts=lasts)
        if number % 8 == 5:
            fake_llm.script(say("At three, gladly."))
            await voice_call.interrupt("three is fine", after=round(0.5 + chance.random(), 3))
    await voice_call.settle()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=50, metavar="N", help="default: %(default)s")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="lkagent-repeat-") as name, _busy():
        folder = Path(name)
        (folder / "test_conversation.py").write_text(CONVERSATION)
        telephone = folder / "telephone"
        telephone.mkdir()
        (telephone / "test_telephone.py").write_text(CALL)
        (folder / "pytest.ini").write_text(
            "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
        )
        same = [
            _is_the_same("the examples", EXAMPLES, runs, folder / "examples.txt"),
            _is_the_same(
                "200 turns", folder / "test_conversation.py", runs, folder / "conversation.txt"
            ),
            _is_the_same("a call of an hour", telephone, runs, folder / "call.txt"),
        ]
    sys.exit(not all(same))


def _is_the_same(what: str, tests: Path, runs: int, record: Path) -> bool:
    seen: Counter[str] = Counter()
    first: list[str] = []
    for number in range(1, runs + 1):
        record.unlink(missing_ok=True)
        uptime = UPTIMES[number % len(UPTIMES)]
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "transcripts", "-p", "no:cacheprovider",
             str(tests)],
            capture_output=True,
            check=False,
            cwd=tests if tests.is_dir() else tests.parent,
            encoding="utf-8",
            env={
                **os.environ,
                "PYTHONPATH": str(HERE),
                "LKAGENT_TRANSCRIPTS": str(record),
                "LKAGENT_UPTIME": str(uptime),
            },
        )  # fmt: skip
        if ran.returncode:
            sys.exit(f"{what} failed:\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}")
        lines = record.read_text(encoding="utf-8").splitlines()
        seen[hashlib.sha256(record.read_bytes()).hexdigest()] += 1
        first = first or lines
        if lines != first:
            unlike = unified_diff(first, lines, "run 1", f"run {number}", lineterm="", n=0)
            print(*islice(unlike, 20), sep="\n", flush=True)
        print(f"{what}: {number} of {runs}, {len(seen)} so far", file=sys.stderr, flush=True)
    verdict = "one and the same transcript" if len(seen) == 1 else f"{len(seen)} transcripts"
    digests = ", ".join(digest[:8] for digest in seen)
    print(f"{what}, {runs} runs: {verdict} of {len(first)} lines ({digests})")
    return len(seen) == 1


@contextmanager
def _busy() -> Iterator[None]:
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


if __name__ == "__main__":
    main()
