"""Measure pytest-lkagent beside its floors: ``python benchmarks/run.py [ROW ...] [--rounds N]``.

The contenders of a row take turns (A B A B …), so that a busy machine slows them alike, and what
counts is processor time, to which the other programs of the machine add little; nothing here waits
for anything else. Shown are medians with minimum and maximum, the ratio, the goal and whether it is
met. The exit status says nothing about goals: a timing is for people to judge. Needs the extra
``bench`` and a POSIX system.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from weakref import WeakSet

import calls
import fuzzing
import projects
import virtual

__all__ = ["main"]

Timed = Callable[[], float]
"""Do something once and return how many seconds it took."""


@dataclass
class Contender:
    """Who takes part in a row, and how long each of its rounds took, in seconds."""

    name: str
    once: Timed
    took: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.took)

    def __str__(self) -> str:
        low, mid, high = (_shown(f(self.took)) for f in (min, median, max))
        return f"  {self.name:<32}{mid:>10}   ({low} - {high})"


def _shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.2f} ms"


def take_turns(contenders: Sequence[Contender], rounds: int) -> None:
    """Let each contender run `rounds` times, in turns, after one round that does not count."""
    for number in range(rounds + 1):
        for contender in contenders:
            seconds = contender.once()
            if number:
                contender.took.append(seconds)


def report(title: str, contenders: Sequence[Contender], goal: str, *, is_met: bool) -> None:
    """Print one row: the floor first, we second, whoever else after us."""
    floor, ours, *_ = contenders
    ratio, more = ours.median / floor.median, ours.median - floor.median
    print(f"\n{title}", *contenders, sep="\n")
    print(f"  {ratio:.2f} x the floor, {more * 1000:+.2f} ms.  Goal: {goal}: "
          f"{'met' if is_met else 'NOT MET'}")  # fmt: skip


# --- the rows


def hang_row(rounds: int, count: int = 300) -> None:
    """Compare a suite in which every tenth test hangs with the same suite in which none does."""
    hanging = count // 10
    with _folder() as parent:
        contenders = [
            Contender(project.name, _suite(project, parent, count, says))
            for project, says in (
                (projects.SOUND, f"{count} passed"),
                (projects.HANGING, f"{hanging} failed, {count - hanging} passed"),
            )
        ]
        take_turns(contenders, rounds)
    floor, ours = contenders
    each = (ours.median - floor.median) / hanging
    report(
        f"{count} tests, whole",
        contenders,
        f"+ 300 ms for each test that hangs ({_shown(each)})",
        is_met=each < 0.3,
    )


def _suite(project: projects.Project, parent: Path, count: int, says: str) -> Timed:
    folder = project.write(parent, count)

    def once() -> float:
        return _pytest(folder, *project.arguments, says=says, status="failed" in says).seconds

    return once


def session_row(rounds: int) -> None:
    """Compare one session in this process, without pytest, with the loop written by hand."""
    from by_hand import FrontDesk, tool_turns

    from pytest_lkagent import call, say
    from pytest_lkagent.stage import Stage
    from pytest_lkagent.starting import start_session

    async def ours() -> None:
        stage = Stage(timeout=600, allow=(), used=WeakSet())
        async with stage.on_loop():
            harness = await start_session(stage, FrontDesk)
            harness.model.script(call("book", slot="2pm"), say("Booked."))
            await harness.user_says("2 pm please")
        stage.settle_account()
        assert not stage.findings, list(stage.findings)

    contenders = [
        Contender("written by hand", lambda: _await(tool_turns)),
        Contender("pytest-lkagent", lambda: _await(ours)),
    ]
    take_turns(contenders, 50 * rounds)
    floor, ours_ = (contender.median for contender in contenders)
    report(
        "A session: construct, start, one tool turn, close",
        contenders,
        "<= 1.3 x, and <= +2 ms",
        is_met=ours_ <= 1.3 * floor and ours_ - floor <= 0.002,
    )


def _await(once: Callable[[], Awaitable[None]]) -> float:
    async def timed() -> float:
        began = time.process_time()
        await once()
        return time.process_time() - began

    return asyncio.run(timed())


def item_row(rounds: int, count: int = 200) -> None:
    """Compare a whole scenario item with a plain async test that runs the loop by hand."""
    with _folder() as folder:
        contenders = [
            Contender(f"{project.name}, an item", _an_item(project, folder, count))
            for project in (projects.BY_HAND, projects.SCENARIOS)
        ]
        take_turns(contenders, rounds)
    report(
        f"A scenario item, whole ({count} items less one, each run in a process of its own)",
        contenders,
        "<= 1.5 x",
        is_met=contenders[1].median <= 1.5 * contenders[0].median,
    )


def entrypoint_row(rounds: int, count: int = 200) -> None:
    """Compare a scenario through the user's entrypoint with the loop that is written by hand."""
    with _folder() as folder:
        contenders = [
            Contender(f"{project.name}, an item", _an_item(project, folder, count))
            for project in (projects.BY_HAND, projects.ENTRYPOINTS)
        ]
        contenders.append(Contender("one more turn of it", _a_turn(folder)))
        take_turns(contenders, rounds)
    report(
        "A scenario that runs the user's entrypoint, a room and a verdict included",
        contenders,
        "<= 10 ms a turn",
        is_met=contenders[2].median <= 0.010,
    )


def remote_row(rounds: int, turns: int = 20) -> None:
    """Compare a run over LiveKit's session protocol, in memory and over TCP, with a local one."""
    from by_hand import FrontDesk

    from pytest_lkagent import say
    from pytest_lkagent.simulation.remote import WAYS, RemoteSession, drive
    from pytest_lkagent.stage import Stage
    from pytest_lkagent.starting import start_session

    def once(way: str | None) -> Timed:
        async def timed() -> float:
            stage = Stage(timeout=600, allow=(), used=WeakSet())
            async with stage.on_loop():
                harness = await start_session(stage, FrontDesk)
                harness.model.script(*[say("Yes.")] * turns)
                if way is None:
                    began = time.process_time()
                    for _ in range(turns):
                        await harness.session.run(user_input="hi")
                    return (time.process_time() - began) / turns
                async with drive(
                    harness.session, way, partial(RemoteSession, harness=harness)
                ) as remote:
                    began = time.process_time()
                    for _ in range(turns):
                        await remote.run("hi")
                    return (time.process_time() - began) / turns

        return lambda: asyncio.run(timed())

    contenders = [Contender("run() on the session itself", once(None))]
    contenders += [Contender(f"RemoteSession.run(), {way}", once(way)) for way in WAYS]
    take_turns(contenders, 5 * rounds)
    floor, memory, tcp = (contender.median for contender in contenders)
    report(
        f"A turn over LiveKit's session protocol (one of {turns} in a session)",
        contenders,
        "<= 2 x in memory, <= 2.5 x over TCP",
        is_met=memory <= 2 * floor and tcp <= 2.5 * floor,
    )


def _an_item(project: projects.Project, parent: Path, count: int) -> Timed:
    many, one = project.write(parent, count), project.write(parent, 1)

    def once() -> float:
        total = _pytest(many, *project.arguments, says=f"{count} passed").seconds
        return (total - _pytest(one, *project.arguments, says="1 passed").seconds) / (count - 1)

    return once


def _a_turn(parent: Path, turns: int = 200) -> Timed:
    many, one = (projects.LONG_ENTRYPOINT.write(parent, count) for count in (turns, 1))
    arguments = projects.LONG_ENTRYPOINT.arguments

    def once() -> float:
        total = _pytest(many, *arguments, says="1 passed").seconds
        return (total - _pytest(one, *arguments, says="1 passed").seconds) / (turns - 1)

    return once


def collect_row(rounds: int, count: int = 1000) -> None:
    """Compare collecting scenarios with plain tests, and with pytest-bdd's scenarios.

    All three import the same agent, and so livekit: a scenario file is checked against it.
    """
    contestants = (projects.BY_HAND, projects.SCENARIOS, projects.FEATURE)
    names = ("plain parametrized tests", "pytest-lkagent", "pytest-bdd")
    collecting: list[Contender] = []
    whole: list[Contender] = []
    with _folder() as folder:
        for name, project in zip(names, contestants, strict=True):
            contender = Contender(name, _never)
            collecting.append(contender)
            whole.append(Contender(name, _collecting(project, folder, count, contender)))
        take_turns(whole, rounds)
    for contender in collecting:
        del contender.took[0]  # the round that does not count
    for title, contenders in (
        (f"Collecting {count} scenarios in one file, livekit imported beforehand", collecting),
        (f"Collecting {count} scenarios in one file, the whole run", whole),
    ):
        floor, ours, bdd = (contender.median for contender in contenders)
        is_met = ours <= 1.25 * floor and ours < bdd
        report(title, contenders, "<= 1.25 x, and under pytest-bdd", is_met=is_met)


def _never() -> float:
    raise AssertionError("measured in the runs of another contender")


def _collecting(project: projects.Project, parent: Path, count: int, inner: Contender) -> Timed:
    """Time a whole run, and let `inner` know how long the collecting in it took."""
    folder = project.write(parent, count)
    arguments = ("-p", "collecting", *project.arguments, "--collect-only")

    def once() -> float:
        ran = _pytest(folder, *arguments, says=f"{count} tests collected")
        inner.took.append(float(ran.output.split()[-1]))
        return ran.seconds

    return once


def start_row(rounds: int) -> None:
    """Compare a run that has nothing of ours with the same plugins less ours."""
    with _folder() as folder:
        project = projects.PLAIN.write(folder, 1)
        contenders = [
            Contender("without pytest-lkagent", _starting(project, "-p", "no:lkagent")),
            Contender("with pytest-lkagent", _starting(project)),
        ]
        take_turns(contenders, 4 * rounds)
    without, with_us = contenders
    more = with_us.median - without.median
    report("Start-up, nothing of ours collected, livekit not imported", contenders,
           "<= +10 ms", is_met=more <= 0.010)  # fmt: skip


_WITHOUT_LIVEKIT = """\
import sys, pytest
status = pytest.main(sys.argv[1:])
sys.exit("livekit was imported" if "livekit" in sys.modules else status)
"""


def _starting(folder: Path, *arguments: str) -> Timed:
    return lambda: (
        _python(folder, "-c", _WITHOUT_LIVEKIT, "-q", *arguments, says="1 passed").seconds
    )


def size_row(rounds: int) -> None:
    """Show how long 10,000 scenarios take to collect, and a file of 7 MB to load."""
    from pytest_lkagent.scenarios.load import load_text

    count = 10_000
    text = projects.large_file(count)
    assert 7e6 < len(text) < 8e6, len(text)

    def load() -> float:
        began = time.process_time()
        assert len(load_text(text, Path("desk.yaml")).scenarios) == count
        return time.process_time() - began

    with _folder() as folder:
        ours = projects.SCENARIOS
        many = ours.write(folder, count)
        contenders = [
            Contender(
                f"collecting {count} scenarios",
                lambda: (
                    _pytest(
                        many, *ours.arguments, "--collect-only", says=f"{count} tests collected"
                    ).seconds
                ),
            ),
            Contender(f"loading {count} scenarios, 7 MB", load),
        ]
        take_turns(contenders, 1 if rounds < 5 else 3)
    print("\nLarge files (goal for the 7 MB: < 2 s)", *contenders, sep="\n")


def snapshot_row(rounds: int, count: int = 1000) -> None:
    """Compare scenarios that have a snapshot each with the same without."""
    with _folder() as folder:
        contenders = [
            Contender(project.name, _suite(project, folder, count, f"{count} passed"))
            for project in (projects.SCENARIOS, projects.SNAPSHOTS)
        ]
        recorded = folder / f"{projects.SNAPSHOTS.name.replace(' ', '_')}_{count}"
        _pytest(recorded, *projects.SNAPSHOTS.arguments, "--snapshot-update", says="generated")
        take_turns(contenders, rounds)
    floor, ours = contenders
    is_met = ours.median <= 1.3 * floor.median
    report(f"{count} scenarios, with and without a snapshot", contenders, "<= 1.3 x", is_met=is_met)


def unused_row(rounds: int, count: int = 10_000) -> None:
    """Show how long it takes to find out which of so many snapshots no test needs."""
    from pytest_lkagent.snapshot.names import FOLDER, file_name

    for number in (count // 10, count):
        with _folder() as folder:
            without = projects.SCENARIOS.write(folder, number)
            (folder / "recorded").mkdir()
            with_them = projects.SCENARIOS.write(folder / "recorded", number)
            snapshots = with_them / FOLDER / "desk.yaml"
            snapshots.mkdir(parents=True)
            for index in range(number):
                (snapshots / file_name(f"Books slot {index}")).touch()
            arguments = (*projects.SCENARIOS.arguments, "--collect-only")
            contenders = [
                Contender(name, _collected(project, arguments, number))
                for name, project in (("without snapshots", without), ("with them", with_them))
            ]
            take_turns(contenders, 1 if rounds < 5 else 3)
        more = contenders[1].median - contenders[0].median
        report(f"Finding unused ones among {number} snapshots", contenders, "+ 2 s for 10,000",
               is_met=more < 2)  # fmt: skip


def _collected(folder: Path, arguments: Sequence[str], count: int) -> Timed:
    return lambda: _pytest(folder, *arguments, says=f"{count} tests collected").seconds


# --- runs in processes of their own


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lkagent-bench-") as name:
        yield Path(name).resolve()


@dataclass(frozen=True)
class Ran:
    """A run of Python: its processor time, and what it wrote."""

    seconds: float
    output: str


def _pytest(folder: Path, *arguments: str, says: str, status: int = 0) -> Ran:
    return _python(folder, "-m", "pytest", "-q", *arguments, says=says, status=status)


def _python(folder: Path, *arguments: str, says: str, status: int = 0) -> Ran:
    """Run Python in `folder`; what it is to say is in its last lines."""
    began = _children()
    ran = subprocess.run(
        [sys.executable, *arguments, "-p", "no:cacheprovider"],
        capture_output=True,
        check=False,
        cwd=folder,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    seconds = _children() - began
    if ran.returncode != status or says not in ran.stdout[-200:]:
        sys.exit(f"{' '.join(arguments)} in {folder}:\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}")
    return Ran(seconds, ran.stdout)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


ROWS: dict[str, Callable[[int], None]] = {
    "session": session_row,
    "item": item_row,
    "entrypoint": entrypoint_row,
    "remote": remote_row,
    "collect": collect_row,
    "start": start_row,
    "size": size_row,
    "snapshot": snapshot_row,
    "unused": unused_row,
    "hour": virtual.hour_row,
    "call": calls.call_row,
    "fuzz": fuzzing.fuzz_row,
    "retry": virtual.retry_row,
    "deadlock": virtual.deadlock_row,
    "hang": hang_row,
}


def main() -> None:
    """Measure the rows that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: %(default)s")
    chosen = parser.parse_args()
    if unknown := set(chosen.rows) - ROWS.keys():
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if chosen.rounds < 1:
        parser.error("at least one round")
    for name in chosen.rows or ROWS:
        ROWS[name](chosen.rounds)


if __name__ == "__main__":
    main()
