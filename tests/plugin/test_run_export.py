"""``--lk-run-export``: what became of each scenario, in a file that LiveKit's tools read."""

from __future__ import annotations

import json
import time

import pytest
from google.protobuf import json_format
from livekit.protocol.agent_simulation import SimulationRun

from pytest_lkagent import run_summary
from pytest_lkagent.collect import _NO_TURNS

SCENARIOS = """\
name: The desk
agent: agent.py:FrontDesk
scenarios:
  - label: Passes
    tags: {feature: booking}
    turns: [{user: 2 pm please, llm: [{call: {book: {slot: 2pm}}}, Booked.]}]
  - label: Fails
    turns: [{user: hi, llm: [Hello.], expect: [{message: Bye.}]}]
  - label: Fails in a check
    check: checks.py:fails
    turns: [{user: hi, llm: [Hello.]}]
  - label: Fails at set-up
    check: checks.py:needs_broken
    turns: [{user: hi, llm: [Hello.]}]
  - label: Fails at teardown
    check: checks.py:needs_closes_badly
    turns: [{user: hi, llm: [Hello.]}]
  - label: Is expected to fail
    xfail: no goodbye yet
    turns: [{user: hi, llm: [Hello.], expect: [{message: Bye.}]}]
  - label: Passes by surprise
    xfail: no hello yet
    turns: [{user: hi, llm: [Hello.]}]
  - label: Has no turns
    instructions: Be rude.
  - label: Is skipped
    marks: [skip]
    turns: [{user: hi, llm: [Hello.]}]
"""
CHECKS = """
def fails():
    raise LookupError("no calendar")

def needs_broken(broken): ...

def needs_closes_badly(closes_badly): ...
"""
FIXTURES = """
import pytest

@pytest.fixture
def broken():
    pytest.fail("no database", pytrace=False)

@pytest.fixture
def closes_badly():
    yield
    raise LookupError("no goodbye")
"""
ENDED = {
    "Passes": ("COMPLETED", ""),
    "Fails": ("FAILED", "desk.yaml:8: Fails, turn 1: expected message 'Bye.'"),
    "Fails in a check": ("FAILED", "LookupError: no calendar"),
    "Fails at set-up": ("FAILED", "no database"),
    "Fails at teardown": ("FAILED", "LookupError: no goodbye"),
    "Is expected to fail": ("CANCELLED", "it failed, as expected: no goodbye yet"),
    "Passes by surprise": ("COMPLETED", "expected to fail: no hello yet"),
    "Has no turns": ("CANCELLED", f"Skipped: {_NO_TURNS.format(file='desk.yaml')}"),
    "Is skipped": ("CANCELLED", "Skipped: unconditional skip"),
}
TWO = """\
agent: agent.py:FrontDesk
scenarios:
  - label: First
    turns: [{user: hi, llm: [Hello.], expect: [{message: Bye.}]}]
  - label: Second
    turns: [{user: hi, llm: [Hello.]}]
"""
INI = "lk_scenarios = *.yaml\n"
VARIABLES = ("CI", "GITHUB_ACTIONS", "GITLAB_CI")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def exported(desk, pytester):
    """Run a project with the option, and return the result with the run that was written."""

    def run(files, *arguments: str, subprocess: bool = False):
        made = desk(files, ini=INI)
        result = made.run("--lk-run-export=run.json", *arguments, subprocess=subprocess)
        return result, read(pytester.path / "run.json")

    return run


def read(path) -> SimulationRun:
    return json_format.Parse(path.read_text(encoding="utf-8"), SimulationRun())


def word(run_or_job) -> str:
    return type(run_or_job).Status.Name(run_or_job.status).removeprefix("STATUS_")


def ended(run: SimulationRun) -> dict[str, tuple[str, str]]:
    return {job.label: (word(job), job.error) for job in run.jobs}


def first_lines(run: SimulationRun) -> dict[str, tuple[str, str]]:
    """How the jobs ended, with the first line of what is said of it."""
    return {
        label: (status, error.partition("\n")[0]) for label, (status, error) in ended(run).items()
    }


BAD = "scenarios:\n  - lable: x\n"
ALL = {"desk.yaml": SCENARIOS, "checks.py": CHECKS, "conftest.py": FIXTURES}


def test_each_scenario_is_a_job_that_ended_as_its_test(exported):
    result, run = exported(ALL)
    result.outcomes(passed=2, failed=2, errors=2, xfailed=1, xpassed=1, skipped=2)
    result.shows("*- run written to run.json -*")
    assert first_lines(run) == ENDED
    assert (run.job_count, run.passed_count, run.failed_count) == (9, 2, 4)
    assert (word(run), run.error) == ("COMPLETED", "")


def test_a_job_is_named_by_what_pytest_takes_to_run_it_again(exported, desk):
    _, run = exported(ALL)
    [job] = [job for job in run.jobs if job.label == "Passes"]
    assert job.id == "desk.yaml::Passes"
    assert job.tags == ["feature=booking"]
    desk(ALL, ini=INI).run(job.id).outcomes(passed=1)


def test_a_failure_is_told_in_full_without_a_traceback(exported):
    _, run = exported(ALL)
    assert ended(run)["Fails"][1].splitlines()[1:] == [
        "      [0] user            hi",
        "  >>> [1] assistant       Hello.",
        "      closest: text differs: expected 'Bye.', got 'Hello.'",
    ]
    assert ended(run)["Fails in a check"][1].splitlines() == [
        "LookupError: no calendar",
        "in desk.yaml:10: Fails in a check, at the end",
    ]


@pytest.mark.parametrize("first", ["pytest.skip('no calendar')", "pytest.xfail('no calendar')"])
def test_what_fails_at_teardown_has_failed_although_it_was_skipped_before(exported, first):
    checks = f"import pytest\n\ndef skips(closes_badly):\n    {first}\n"
    text = TWO.replace("Second\n", "Second\n    check: checks.py:skips\n")
    files = {"desk.yaml": text, "checks.py": checks, "conftest.py": FIXTURES}
    result, run = exported(files, "-k", "Second")
    assert result.counts["errors"] == 1
    assert first_lines(run) == {"Second": ("FAILED", "LookupError: no goodbye")}
    assert run.failed_count == 1


def test_the_conversations_are_in_the_summary(exported):
    _, run = exported(ALL)
    history = run_summary(run).chat_history
    played = ENDED.keys() - {"Fails at set-up", "Has no turns", "Is skipped"}
    assert history.keys() == {f"desk.yaml::{label}" for label in played}
    kinds = [item.WhichOneof("item") for item in history["desk.yaml::Passes"].items]
    assert kinds == [
        *("agent_handoff", "message", "function_call", "function_call_output", "message")
    ]


def test_the_times_are_those_of_the_wall_and_not_of_the_test(exported):
    before = time.time()
    text = SCENARIOS.replace("Passes\n", "Passes\n    now: 2001-01-01\n")
    _, run = exported({**ALL, "desk.yaml": text}, "-k", "Passes")
    instants = [run.created_at, *(at for job in run.jobs for at in (job.started_at, job.ended_at))]
    seconds = [at.ToNanoseconds() / 1e9 for at in [*instants, run.ended_at]]
    assert len(seconds) == 6
    in_order = [before, *seconds, time.time()]
    assert in_order == sorted(in_order)


def test_what_was_not_selected_is_no_job(exported):
    _, run = exported(ALL, "-k", "Passes or Has")
    assert list(ended(run)) == ["Passes", "Passes by surprise", "Has no turns"]


def test_python_tests_are_no_jobs(exported):
    code = """
    async def test_it(user_says, fake_llm):
        fake_llm.script(say("Hello."))
        await user_says("hi")

    def test_fails():
        assert False
    """
    result, run = exported(
        {"test_it.py": code, "desk.yaml": TWO, "conftest.py": AGENT}, "-k", "not First"
    )
    result.outcomes(passed=2, failed=1, deselected=1)
    assert ended(run) == {"Second": ("COMPLETED", "")}


AGENT = """
import pytest
from agent import FrontDesk

@pytest.fixture
def agent():
    return FrontDesk
"""


def test_a_run_without_scenarios_is_an_empty_run(exported):
    result, run = exported({"test_it.py": "def test_it(): ..."}, "test_it.py")
    result.outcomes(passed=1)
    assert (word(run), run.job_count) == ("COMPLETED", 0)
    result, run = exported({"test_it.py": ""}, "test_it.py")
    assert result.exit_status == pytest.ExitCode.NO_TESTS_COLLECTED
    assert (word(run), run.job_count) == ("COMPLETED", 0)


@pytest.mark.slow
def test_a_run_that_needs_no_livekit_agents_gets_none(project):
    code = "import sys\ndef test_it():\n    assert 'livekit.agents' not in sys.modules\n"
    made = project({"test_it.py": code})
    result = made.run("--lk-run-export=run.json", subprocess=True)
    result.outcomes(passed=1)
    assert word(read(made.pytester.path / "run.json")) == "COMPLETED"


def test_the_ci_block_comes_from_the_environment(exported, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_SHA", "abc123")
    _, run = exported({"desk.yaml": TWO})
    if "ci" in SimulationRun.DESCRIPTOR.fields_by_name:
        assert (run.ci.provider, run.ci.commit_sha) == ("github", "abc123")


# --- runs that do not come to their end


def test_what_x_leaves_out_is_cancelled(exported):
    result, run = exported({"desk.yaml": TWO}, "-x")
    result.outcomes(failed=1)
    assert first_lines(run) == {
        "First": ("FAILED", "desk.yaml:4: First, turn 1: expected message 'Bye.'"),
        "Second": ("CANCELLED", "it did not run"),
    }
    assert (word(run), run.error) == ("CANCELLED", "stopping after 1 failures")


def test_a_run_that_a_plugin_cuts_short_without_a_reason_says_so_much(exported):
    hook = "def pytest_runtest_protocol(item):\n    return item.name == 'Second' or None\n"
    _, run = exported({"desk.yaml": TWO, "conftest.py": hook})
    assert ended(run)["Second"] == ("CANCELLED", "it did not run")
    assert (word(run), run.error) == ("CANCELLED", "not all of it ran")


def test_a_run_whose_last_test_stops_it_is_complete(exported):
    _, run = exported({"desk.yaml": TWO}, "-x", "-kFirst")
    assert (word(run), run.failed_count) == ("COMPLETED", 1)


INTERRUPTS = """
import pytest

def interrupts():
    {}
"""
INTERRUPTED = (
    TWO
    + """\
  - label: Third
    check: checks.py:interrupts
    turns: [{user: hi, llm: [Hello.]}]
  - label: Fourth
    turns: [{user: hi, llm: [Hello.]}]
"""
)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("pytest.exit('the power is gone')", "the power is gone"),
    ],
)
def test_an_interrupted_run_is_written_with_what_there_is(exported, warm, line, why):
    files = {"desk.yaml": INTERRUPTED, "checks.py": INTERRUPTS.format(line)}
    result, run = exported(files, subprocess=True)
    assert result.exit_status == pytest.ExitCode.INTERRUPTED
    assert {label: status for label, (status, _) in ended(run).items()} == {
        "First": "FAILED",
        "Second": "COMPLETED",
        "Third": "CANCELLED",
        "Fourth": "CANCELLED",
    }
    assert (word(run), run.error) == ("CANCELLED", why)


def test_a_scenario_file_with_mistakes_fails_the_run(exported):
    files = {"bad.yaml": BAD, "desk.yaml": TWO}
    result, run = exported(files)
    result.outcomes(errors=1)
    assert word(run) == "FAILED"
    assert run.error.startswith("bad.yaml:2:5: ")
    assert ended(run)["Second"] == ("CANCELLED", "it did not run")
    result, run = exported(files, "--continue-on-collection-errors")
    result.outcomes(errors=1, failed=1, passed=1)
    assert word(run) == "FAILED"
    assert ended(run)["Second"] == ("COMPLETED", "")


def test_a_test_module_with_mistakes_cancels_the_scenarios_that_it_keeps_from_running(exported):
    files = {"test_bad.py": "1 / 0", "desk.yaml": TWO}
    _, run = exported(files)
    assert (word(run), run.error) == ("CANCELLED", "1 error during collection")
    _, run = exported(files, "--continue-on-collection-errors")
    assert (word(run), run.error) == ("COMPLETED", "")


def test_an_internal_error_fails_the_run(desk, pytester):
    hook = "def pytest_runtest_logfinish(nodeid):\n    raise LookupError('no disk')\n"
    desk({"desk.yaml": TWO, "conftest.py": hook}, ini=INI)._made.run("--lk-run-export=run.json")
    run = read(pytester.path / "run.json")
    assert (word(run), run.error) == ("FAILED", "INTERNALERROR: LookupError: no disk")
    assert {label: status for label, (status, _) in ended(run).items()} == {
        "First": "FAILED",
        "Second": "CANCELLED",
    }


def test_a_test_that_is_run_again_is_one_job_that_ended_as_the_last_time(exported):
    """As plugins do that run a failed test again."""
    again = """
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        for report in runtestprotocol(item, nextitem=item.parent, log=False):
            report.outcome = "rerun" if report.failed else report.outcome
            item.ihook.pytest_runtest_logreport(report=report)
        runtestprotocol(item, nextitem=nextitem)
        return True
    """
    checks = "tries = []\ndef fails_once():\n    tries.append(1)\n    assert len(tries) > 1\n"
    text = TWO.replace("Second\n", "Second\n    check: checks.py:fails_once\n")
    _, run = exported({"desk.yaml": text, "checks.py": checks, "conftest.py": again})
    assert {label: status for label, (status, _) in ended(run).items()} == {
        "First": "FAILED",
        "Second": "COMPLETED",
    }


# --- xdist


def without_times(run: SimulationRun) -> SimulationRun:
    for each in (run, *run.jobs):
        for name in ("created_at", "started_at", "ended_at"):
            if name in each.DESCRIPTOR.fields_by_name:
                each.ClearField(name)
    run.ClearField("id")
    return run


def test_two_workers_write_what_one_process_does(exported, warm):
    files = {**ALL, "bad.yaml": BAD}
    alone, of_one = exported(files, "--continue-on-collection-errors")
    result, of_two = exported(files, "-n2", subprocess=True)
    assert of_two.error.count("bad.yaml:2:5: ") == 1
    assert result.counts == alone.counts
    assert of_one.id != of_two.id
    assert without_times(of_one) == without_times(of_two)


def test_a_worker_that_dies_fails_the_scenario_that_it_played(exported, warm):
    dies = "import os\ndef interrupts():\n    os._exit(3)\n"
    files = {"desk.yaml": INTERRUPTED, "checks.py": dies}
    result, run = exported(files, "-n1", subprocess=True)
    result.outcomes(failed=2, passed=2)
    status, error = ended(run)["Third"]
    assert status == "FAILED"
    assert error.endswith("crashed while running 'desk.yaml::Third'")
    assert (word(run), run.passed_count, run.failed_count) == ("COMPLETED", 2, 2)


def test_a_worker_that_dies_before_it_can_tell_of_any_scenario_fails_the_run(exported, warm):
    dies = "import os, pytest\n@pytest.fixture\ndef dies():\n    os._exit(3)\n"
    text = """\
agent: agent.py:FrontDesk
scenarios:
  - label: Only
    check: checks.py:needs
    turns: [{user: hi, llm: [Hello.]}]
"""
    files = {"desk.yaml": text, "checks.py": "def needs(dies): ...\n", "conftest.py": dies}
    result, run = exported(files, "-n1", subprocess=True)
    result.outcomes(failed=1)
    assert word(run) == "FAILED"
    assert run.error.endswith("crashed while running 'desk.yaml::Only'")


def test_what_x_leaves_out_on_workers_is_cancelled(exported, warm):
    labels = "".join(f"  - {{label: More {n}, turns: []}}\n" for n in range(20))
    _, run = exported({"desk.yaml": TWO + labels}, "-x", "-n1", subprocess=True)
    assert (run.job_count, word(run)) == (22, "CANCELLED")
    assert ended(run)["First"][0] == "FAILED"
    assert ended(run)["More 19"] == ("CANCELLED", "it did not run")
    assert run.error == "stopping after 1 failures"


# --- the file

REFUSED = {
    "runs": "that is a folder; name a file in it, such as run.json",
    "": "that is a folder; name a file in it, such as run.json",
    "desk.yaml": "a run is written as JSON; name a file that ends in .json",
    "nowhere/run.json": "there is no folder *nowhere; make it first",
    "desk.yaml/run.json": "there is no folder *desk.yaml; make it first",
    "x" * 300 + ".json": "nothing can be written there: File name too long",
    "x" * 250 + ".json": "nothing can be written there: File name too long",  # of what precedes it
}


@pytest.mark.parametrize("given", REFUSED)
def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(desk, refused, given):
    result = desk({"desk.yaml": TWO, "runs/old.json": "{}"}).run(f"--lk-run-export={given}")
    refused(result, f"--lk-run-export={given}: {REFUSED[given]}")


def test_a_file_that_was_there_is_replaced_as_a_whole(desk, pytester):
    made = desk({"desk.yaml": TWO, "runs/run.json": "an old one"}, ini=INI)
    made._made.write()
    kept = pytester.path / "kept.json"
    kept.hardlink_to(pytester.path / "runs" / "run.json")
    pytester.runpytest_inprocess("--lk-run-export=runs/run.json")
    assert read(pytester.path / "runs" / "run.json").job_count == 2
    assert kept.read_text(encoding="utf-8") == "an old one"
    assert [path.name for path in (pytester.path / "runs").iterdir()] == ["run.json"]


def test_a_file_is_named_from_where_pytest_was_started(desk, pytester, monkeypatch):
    made = desk({"below/desk.yaml": TWO.replace("agent.py", "../agent.py")}, ini=INI)
    made._made.write()
    monkeypatch.chdir(pytester.path / "below")
    pytester.runpytest_inprocess("desk.yaml", "--lk-run-export=../run.json")
    assert [job.id for job in read(pytester.path / "run.json").jobs] == [
        "below/desk.yaml::First",
        "below/desk.yaml::Second",
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("os.rename('runs', 'gone')", "No such file or directory"),
        ("os.mkdir('runs/run.json')", "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_any_more_fails_the_run(desk, pytester, line, why):
    breaks = f"import os\ndef interrupts():\n    {line}\n"
    text = INTERRUPTED.replace("Hello.], expect: [{message: Bye.}]", "Hello.]")
    made = desk({"desk.yaml": text, "checks.py": breaks, "runs/old.json": "{}"}, ini=INI)
    result = made.run("--lk-run-export=runs/run.json")
    result.outcomes(passed=4)
    result.shows(f"*--lk-run-export=runs/run.json: nothing was written: {why}*")
    assert result.exit_status == pytest.ExitCode.TESTS_FAILED
    assert not list(pytester.path.rglob("*.part"))


def test_what_pytest_ends_with_is_its_exit_status_where_nothing_can_be_written(desk, pytester):
    code = "import os\nos.rename('runs', 'gone')\n1 / 0\n"
    made = desk({"test_bad.py": code, "runs/old.json": "{}"})
    result = made.run("--lk-run-export=runs/run.json")
    result.shows("*--lk-run-export=runs/run.json: nothing was written: *")
    assert result.exit_status == pytest.ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--collect-only"], ["--setup-only"], ["--setup-plan"], ["--fixtures-per-test"]),
        *(["--lk-tag=no=such"], ["nowhere.yaml"]),
    ],
)
def test_where_nothing_is_run_no_file_is_written(desk, pytester, arguments):
    desk({"desk.yaml": TWO}, ini=INI)._made.run("--lk-run-export=run.json", *arguments)
    assert not (pytester.path / "run.json").exists()


def test_text_that_no_utf_8_can_hold_gets_into_the_file(exported):
    checks = "def fails():\n    raise LookupError('no \\ud83d')\n"
    text = TWO.replace("Second\n", "Second\n    check: checks.py:fails\n")
    _, run = exported({"desk.yaml": text, "checks.py": checks})
    assert first_lines(run)["Second"] == ("FAILED", "LookupError: no ?")


def test_junit_is_as_without_the_option(exported, pytester):
    exported({"desk.yaml": TWO}, "--junitxml=junit.xml")
    assert "lk_" not in (pytester.path / "junit.xml").read_text(encoding="utf-8")
    assert json.loads((pytester.path / "run.json").read_text(encoding="utf-8"))["job_count"] == 2
