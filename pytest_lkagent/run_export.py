"""``--lk-run-export``: what became of each scenario goes into a file, as LiveKit's SimulationRun.

Where tests run, a report takes along how the conversation went, and the first report of a worker of
xdist which scenarios there are. Where reports arrive, the file is written in one go.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from . import border
from .collect import ScenarioModule
from .errors import UsageError
from .report.ci import ci_of
from .report.runs import (
    JobResult,
    RunResult,
    Status,
    as_chat,
    as_json,
    as_scenario,
    simulation_run,
)

__all__ = ["RunExport", "Witness", "plugin_of"]


def plugin_of(config: pytest.Config) -> Witness:
    """Return what listens in this process.

    Raises:
        UsageError: Nothing can be written where the option says.
    """
    return Witness() if hasattr(config, "workerinput") else RunExport(config)


class Witness:
    """What is seen where tests run."""

    def __init__(self) -> None:
        self.scenarios: dict[str, Any] = {}
        """What was collected and not deselected, by node id, in the words of LiveKit."""
        self._has_told = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        plays = {item.nodeid: border.play_of(item) for item in session.items}
        self.scenarios = {node: as_scenario(play.scenario) for node, play in plays.items() if play}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        report = yield
        report.lk_is_scenario_file = isinstance(collector, ScenarioModule)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, Any, Any]:
        """Tell it as JSON text: xdist sends a str, but no subclass of it that may be inside."""
        report = yield
        if border.play_of(item) is not None:
            report.lk_played = json.dumps(_played(item, call))
        if not self._has_told:
            self._has_told = True
            report.lk_scenarios = json.dumps(self.scenarios)
        return report


def _played(item: Any, call: pytest.CallInfo[Any]) -> dict[str, Any]:
    """Return what a report does not know of its phase: what was said, and briefly why it failed."""
    told: dict[str, Any] = {}
    if call.excinfo is not None:
        error = call.excinfo.value
        if border.is_message_only(error):
            told["error"] = "\n".join([str(error), *getattr(error, "__notes__", ())])
        else:
            told["error"] = call.excinfo.exconly()
    if call.when == "call" and (harness := item.funcargs.get("_lk_main")) is not None:
        told["chat"] = as_chat(harness.transcript.events)
    return told


class RunExport(Witness):
    """What is heard where reports arrive, and the file that comes of it."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__()
        self._given = config.getoption("--lk-run-export")
        self._path = _path(self._given, config.invocation_params.dir)
        self._started = time.time()
        self._reports: dict[str, list[pytest.TestReport]] = {}
        self._broken: list[str] = []
        self._reason = ""
        self._has_internal_error = False
        self._line = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and getattr(report, "lk_is_scenario_file", False):
            self._broken.append(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.scenarios |= json.loads(getattr(report, "lk_scenarios", "{}"))
        self._reports.setdefault(report.nodeid, []).append(report)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._reason = str(excinfo.value) or excinfo.typename

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._reason = f"INTERNALERROR: {excinfo.exconly()}"
        self._has_internal_error = True

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.USAGE_ERROR:
            return  # there was no run
        run = simulation_run(self._result(session))
        try:
            _replace(self._path, as_json(run))
        except OSError as error:
            self._line = f"--lk-run-export={self._given}: nothing was written: {error.strerror}"
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        else:
            self._line = f"run written to {self._given}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._line:
            terminalreporter.write_sep("-", self._line)

    def _result(self, session: pytest.Session) -> RunResult:
        jobs, is_cut = [], False
        for node, scenario in self.scenarios.items():
            reports = self._reports.get(node, ())
            verdict = _verdict(reports)
            is_cut = is_cut or verdict is None
            jobs.append(_job(node, scenario, verdict or ("cancelled", "it did not run"), reports))
        reason = self._reason or session.shouldfail or session.shouldstop or "not all of it ran"
        status: Status = "completed"
        broken = self._broken
        if not self.scenarios:  # whose workers died before they could tell of any
            broken = [*broken, *self._crashes()]
        if broken or self._has_internal_error:
            status = "failed"
        elif is_cut:
            status = "cancelled"
        return RunResult(
            id=str(uuid.uuid4()),
            status=status,
            error="" if status == "completed" else "\n".join(broken) or str(reason),
            started=self._started,
            ended=time.time(),
            jobs=jobs,
            ci=ci_of(os.environ),
        )

    def _crashes(self) -> Iterator[str]:
        for report in chain.from_iterable(self._reports.values()):
            if report.when not in ("setup", "call", "teardown"):  # what xdist says of a dead worker
                yield report.longreprtext


def _job(
    node: str,
    scenario: Mapping[str, Any],
    verdict: tuple[Status, str],
    reports: Sequence[pytest.TestReport],
) -> JobResult:
    told: dict[str, Any] = {}
    for report in reports:
        told |= json.loads(getattr(report, "lk_played", "{}"))
    times = [at for report in reports for at in (report.start, report.stop) if at]
    return JobResult(
        id=node,
        scenario=scenario,
        status=verdict[0],
        error=verdict[1],
        started=min(times, default=0),
        ended=max(times, default=0),
        chat=told.get("chat"),
    )


def _verdict(reports: Sequence[pytest.TestReport]) -> tuple[Status, str] | None:
    """Return how a test ended, and what is to be said of that; None where it did not end."""
    for report in reports:
        if report.failed:
            told = json.loads(getattr(report, "lk_played", "{}"))
            return "failed", told.get("error", report.longreprtext)
    for report in reports:
        expected = getattr(report, "wasxfail", None)
        if report.skipped and expected is not None:
            return "cancelled", f"it failed, as expected: {expected}"
        if report.skipped:
            reason = report.longrepr  # the place, the line and the reason
            return "cancelled", str(reason[-1] if isinstance(reason, tuple) else reason)
    for report in reports:
        if report.when == "call" and report.passed:
            expected = getattr(report, "wasxfail", None)
            return "completed", "" if expected is None else f"expected to fail: {expected}"
    return None


def _path(given: str, start: Path) -> Path:
    """Return the file to write, which need not be there.

    Raises:
        UsageError: It cannot be written.
    """
    path = start / given

    def refused(why: str) -> UsageError:
        return UsageError(f"--lk-run-export={given}: {why}")

    try:
        if path.is_dir():
            raise refused("that is a folder; name a file in it, such as run.json")
        if path.suffix != ".json":
            raise refused("a run is written as JSON; name a file that ends in .json")
        if not path.parent.is_dir():
            raise refused(f"there is no folder {path.parent}; make it first")
        part = _part(path)
        part.touch()
        part.unlink()
    except OSError as error:
        raise refused(f"nothing can be written there: {error.strerror}") from None
    return path


def _replace(path: Path, text: str) -> None:
    """Put a file in its place as a whole, or leave what is there."""
    part = _part(path)
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")
