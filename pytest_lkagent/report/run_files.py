"""Runs in the files of a folder: in pages, as LiveKit's service lists them, and as a table."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from google.protobuf import json_format
from livekit.protocol.agent_simulation import SimulationRun, SimulationRunSummary
from livekit.protocol.models import TokenPagination

from ..errors import UsageError, did_you_mean, one_of
from .runs import parse, put_summary

__all__ = ["list_runs", "load_runs", "table"]


def load_runs(
    folder: str | PathLike[str],
    *,
    status: str | None = None,
    page_token: str | TokenPagination = "",
    page_size: int = 50,
) -> SimulationRun.List.Response:
    """Return the runs in the ``.json`` files of a folder, the newest first, as LiveKit lists them.

    Files of ``--lk-run-export`` and of ``lk agent simulate --export``. `status` is that of a run,
    ``"completed"``; `page_token` the ``next_page_token`` of the page before, which is empty on the
    last. A file that holds no run is left out, with a warning that names it.

    Raises:
        UsageError: There is no such folder, status or token.
    """
    page, problems = list_runs(folder, status=status, page_token=page_token, page_size=page_size)
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return page


def list_runs(
    folder: str | PathLike[str],
    *,
    status: str | None,
    page_token: str | TokenPagination,
    page_size: int,
) -> tuple[SimulationRun.List.Response, list[str]]:
    """Return what `load_runs` does, and beside it a line for each file that is left out.

    Raises:
        UsageError: As `load_runs`.
    """
    wanted = None if status is None else _status(status)
    token = page_token if isinstance(page_token, str) else page_token.token
    after = _key_of(token) if token else None
    if page_size < 1:
        raise UsageError(f"page_size={page_size!r}: a page has one run or more")
    found, problems = _read_folder(Path(folder))
    runs = [
        run
        for run in found
        if (wanted is None or run.status == wanted) and (after is None or _key(run) < after)
    ]
    page = SimulationRun.List.Response(runs=runs[:page_size])
    if len(runs) > page_size:
        nanoseconds, run_id = _key(runs[page_size - 1])
        page.next_page_token.token = f"{nanoseconds}:{run_id}"
    return page, problems


def _read_folder(folder: Path) -> tuple[list[SimulationRun], list[str]]:
    """Return the runs of a folder, the newest first and each once, and what is wrong with files."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {str(folder)!r}")
    runs: dict[tuple[int, str], SimulationRun] = {}
    problems = []
    for path in sorted(one for one in folder.glob("*.json") if one.is_file()):
        try:
            run = _read(path)
        except (OSError, ValueError, RecursionError, json_format.ParseError) as error:
            why = str(error).rstrip(".")
            problems.append(f"{path}: left out, it holds no run: {why}")
        else:
            runs[_key(run)] = run
    return [runs[key] for key in sorted(runs, reverse=True)], problems


def _read(path: Path) -> SimulationRun:
    held = json.loads(path.read_bytes())
    if not isinstance(held, dict):
        raise ValueError(f"a {type(held).__name__} instead of a mapping")
    if {"job_id", "events"} <= held.keys():
        raise ValueError(
            "it is the session report of one call; python -m pytest_lkagent convert makes a "
            "scenario of that"
        )
    # lk writes {"version": 1, "run": …, "summary": …}, the summary left out of the run
    exported = held if "run" in held else {"run": held}
    run = parse(exported["run"], SimulationRun())
    if not run.id or not run.HasField("created_at"):
        raise ValueError("no id, or no created_at")
    if "summary" in exported:
        put_summary(run, parse(exported["summary"], SimulationRunSummary()))
    return run


def _key(run: SimulationRun) -> tuple[int, str]:
    return run.created_at.ToNanoseconds(), run.id


def _key_of(token: str) -> tuple[int, str]:
    nanoseconds, colon, run_id = token.partition(":")
    if not colon or not nanoseconds.isdecimal():
        raise UsageError(f"page_token={token!r} is none that a page before this one had")
    return int(nanoseconds), run_id


def _word(status: int) -> str:
    return SimulationRun.Status.Name(status).removeprefix("STATUS_").lower()


def _status(given: str) -> int:
    known = {_word(value): value for value in SimulationRun.Status.values()}
    word = given.removeprefix("STATUS_").lower()
    if word not in known:
        raise UsageError(
            f"status={given!r}: a run is one of {one_of(known)}{did_you_mean(word, known)}"
        )
    return known[word]


def table(runs: Iterable[SimulationRun]) -> Iterator[str]:
    """Yield a line for each run, under one of headings."""
    rows: list[tuple[str, ...]] = [
        ("created (UTC)", "status", "jobs", "passed", "failed", "commit", "id")
    ]
    for run in runs:
        commit = run.ci.commit_sha[:7] if hasattr(run, "ci") else ""
        created = f"{run.created_at.ToDatetime():%Y-%m-%d %H:%M:%S}"
        counts = (str(n) for n in (run.job_count, run.passed_count, run.failed_count))
        rows.append((created, _word(run.status), *counts, commit, run.id))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if heading in ("jobs", "passed", "failed") else cell.ljust(width)
            for cell, width, heading in zip(row, widths, rows[0], strict=True)
        )
        yield "  ".join(cells).rstrip()
