"""A run as LiveKit's SimulationRun, what CI says of itself, and a folder of runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format
from livekit.protocol.agent_simulation import SimulationRun, SimulationRunSummary

from pytest_lkagent import UsageError, load_runs, run_summary
from pytest_lkagent.__main__ import main
from pytest_lkagent.report.ci import ci_of
from pytest_lkagent.report.run_files import table
from pytest_lkagent.report.runs import (
    JobResult,
    RunResult,
    as_chat,
    as_json,
    as_scenario,
    parse,
    put_summary,
    simulation_run,
)
from pytest_lkagent.scenarios.model import Scenario
from pytest_lkagent.sites import Site
from pytest_lkagent.transcript import (
    AgentHandoff,
    Close,
    FunctionCall,
    FunctionCallOutput,
    Message,
)

NOON = 1_780_315_200.25  # 2026-06-01T12:00:00.25Z
KNOWS_CI = "ci" in SimulationRun.DESCRIPTOR.fields_by_name  # livekit-protocol 1.1.21 does not
BOOKS = as_scenario(
    Scenario(
        label="Books",
        site=Site("desk.yaml", 3),
        id="b1",
        instructions="You want 2 pm.",
        agent_expectations="It books.",
        tags={"feature": "booking", "language": "en"},
        userdata={"slots": ["2 pm", None]},
    )
)
CHAT = as_chat(
    [
        AgentHandoff(old=None, new="FrontDesk"),
        Message(role="user", text="2 pm please"),
        FunctionCall(name="book", arguments={"slot": "2pm"}, call_id="call_1"),
        FunctionCallOutput(name="book", output="taken", is_error=True, call_id="call_1"),
        Message(role="assistant", text="Taken, sor", interrupted=True, agent="FrontDesk"),
        FunctionCall(name="book", arguments='{"slot": ', call_id="call_2"),
        Close(reason="user_initiated"),
    ]
)
PASSED = JobResult(
    id="desk.yaml::Books",
    scenario=BOOKS,
    status="completed",
    started=NOON,
    ended=NOON + 1,
    chat=CHAT,
)
FAILED = JobResult(
    id="desk.yaml::Fails",
    scenario=as_scenario(Scenario(label="Fails", site=Site("desk.yaml", 9))),
    status="failed",
    error="desk.yaml:9: Fails, turn 1: expected message 'Bye.'",
    started=NOON + 1,
    ended=NOON + 2,
)
NEVER_RAN = replace(FAILED, id="other.yaml::X", status="cancelled", started=0.0, ended=0.0)


def run_of(*jobs: JobResult, **given) -> SimulationRun:
    fields = {"id": "run-1", "status": "completed", "started": NOON, "ended": NOON + 3, **given}
    return simulation_run(RunResult(jobs=jobs, **fields))


# --- the run


def test_a_run_is_read_again_by_protobuf_as_it_was():
    run = run_of(PASSED, FAILED, NEVER_RAN, ci={"provider": "github", "commit_sha": "abc"})
    assert json_format.Parse(as_json(run), SimulationRun()) == run


def test_a_run_counts_its_jobs_and_names_their_files():
    run = run_of(PASSED, FAILED, NEVER_RAN)
    assert (run.job_count, run.num_simulations) == (3, 3)
    assert (run.passed_count, run.failed_count) == (1, 1)
    assert run.scenario_group.name == "desk.yaml, other.yaml"
    summary = run_summary(run)
    assert (summary.passed, summary.failed) == (1, 1)


def test_a_job_is_its_scenario_and_how_it_ended():
    written = json.loads(as_json(run_of(PASSED, NEVER_RAN)))
    books, never_ran = written["jobs"]
    assert books["id"] == "desk.yaml::Books"
    assert books["label"] == "Books"
    assert books["instructions"] == "You want 2 pm."
    assert books["agent_expectations"] == "It books."
    assert books["tags"] == ["feature=booking", "language=en"]
    assert books["status"] == "STATUS_COMPLETED"
    assert books["started_at"] == "2026-06-01T12:00:00.250Z"
    assert books["ended_at"] == "2026-06-01T12:00:01.250Z"
    assert never_ran["status"] == "STATUS_CANCELLED"
    assert never_ran["error"] == FAILED.error
    assert "started_at" not in never_ran


def test_the_scenarios_stand_in_the_run_as_in_their_file():
    [scenario] = run_of(PASSED).scenario_group.scenarios
    assert dict(scenario.tags) == {"feature": "booking", "language": "en"}
    assert json.loads(scenario.userdata) == {"slots": ["2 pm", None]}


def test_names_and_defaults_are_written_as_lk_writes_them():
    written = json.loads(as_json(run_of()))
    assert written["created_at"] == "2026-06-01T12:00:00.250Z"
    assert written["status"] == "STATUS_COMPLETED"
    assert written["failed_count"] == 0
    assert written["jobs"] == []


def test_a_field_that_the_installed_protocol_does_not_know_is_left_out():
    run = parse({"id": "run-1", "from_the_future": {"a": 1}}, SimulationRun())
    assert run == SimulationRun(id="run-1")
    assert ("ci" in json.loads(as_json(run_of(ci={"actor": "maya"})))) is KNOWS_CI


def test_half_a_surrogate_pair_becomes_a_question_mark():
    chat = as_chat([Message(role="user", text="so \ud83d")])
    run = run_of(replace(PASSED, chat=chat, error="\udc80 failed"))
    assert run.jobs[0].error == "? failed"
    [item] = run_summary(run).chat_history[PASSED.id].items
    assert item.message.content[0].text == "so ?"


# --- the conversation


def test_the_conversation_of_a_job_is_in_the_summary_under_its_id():
    history = run_summary(run_of(PASSED, FAILED)).chat_history
    assert list(history) == ["desk.yaml::Books"]
    read = json_format.MessageToDict(history["desk.yaml::Books"], preserving_proto_field_name=True)
    booked = {"name": "book", "call_id": "call_1"}
    assert read["items"] == [
        {"agent_handoff": {"new_agent_id": "FrontDesk"}},
        {"message": {"role": "USER", "content": [{"text": "2 pm please"}]}},
        {"function_call": {**booked, "arguments": '{"slot": "2pm"}'}},
        {"function_call_output": {**booked, "output": "taken", "is_error": True}},
        {
            "message": {
                "role": "ASSISTANT",
                "content": [{"text": "Taken, sor"}],
                "interrupted": True,
            }
        },
        {"function_call": {"name": "book", "call_id": "call_2", "arguments": '{"slot": '}},
    ]


def test_an_argument_that_json_does_not_know_is_written_as_text():
    call = FunctionCall(name="go", arguments={"where": Path("x")}, call_id="1")
    [item] = as_chat([call])["items"]
    assert item["function_call"]["arguments"] == '{"where": "x"}'


# What `zstd -d` (1.5.4) makes the summary of; the last is two blocks.
@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("", "28b52ffd8038 00000000 010000"),
        ("aaaaa", "28b52ffd8038 07000000 390000 1a05 6161616161"),
        ("a" * 200_000, "28b52ffd8038 440d0300 000010 1ac0"),
    ],
)
def test_the_summary_is_a_zstd_frame(text, begins):
    run, summary = SimulationRun(), SimulationRunSummary(going_well=text)
    put_summary(run, summary)
    assert run.summary_zstd.hex().startswith(begins.replace(" ", ""))
    assert run_summary(run) == summary


@pytest.mark.parametrize(
    "frame",
    [
        "28b52ffd 2407 390000 1a056161616161 5e1f7d0d",  # as zstd writes it, with a checksum
        "28b52ffd 8038 07000000 3d0000 1a05 6161616161",  # a block of another kind
        "504b0304",  # no zstd at all
    ],
)
def test_a_summary_that_is_compressed_is_refused_with_the_way_to_read_it(frame):
    run = SimulationRun(id="run-1", summary_zstd=bytes.fromhex(frame))
    with pytest.raises(UsageError, match=r"^the summary of run run-1 is compressed; .* --export"):
        run_summary(run)


def test_a_run_without_a_summary_has_an_empty_one():
    assert run_summary(SimulationRun()) == SimulationRunSummary()


# --- CI

GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_SHA": "abc123",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "maya/desk",
    "GITHUB_RUN_ID": "77",
    "GITHUB_ACTOR": "maya",
}
GITLAB = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": "abc123",
    "CI_COMMIT_REF_NAME": "refs/merge-requests/42/head",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature",
    "CI_MERGE_REQUEST_IID": "42",
    "CI_PIPELINE_URL": "https://gitlab.example/maya/desk/-/pipelines/77",
    "GITLAB_USER_LOGIN": "maya",
}
JENKINS = {"CI": "1", "GIT_COMMIT": "abc123", "BRANCH_NAME": "PR-42", "CHANGE_ID": "42"}


def test_a_push_to_github():
    assert ci_of(GITHUB) == {
        "provider": "github",
        "commit_sha": "abc123",
        "ref": "main",
        "run_url": "https://github.com/maya/desk/actions/runs/77",
        "actor": "maya",
    }


def test_a_pull_request_on_github():
    pull = {"GITHUB_REF": "refs/pull/42/merge", "GITHUB_HEAD_REF": "feature"}
    ci = ci_of({**GITHUB, **pull, "GITHUB_REF_NAME": "42/merge"})
    assert (ci["pull_request"], ci["ref"]) == ("42", "feature")


def test_a_merge_request_on_gitlab():
    assert ci_of(GITLAB) == {
        "provider": "gitlab",
        "commit_sha": "abc123",
        "ref": "feature",
        "pull_request": "42",
        "run_url": "https://gitlab.example/maya/desk/-/pipelines/77",
        "actor": "maya",
    }
    branch = {"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "", "CI_COMMIT_REF_NAME": "main"}
    assert ci_of({**GITLAB, **branch})["ref"] == "main"


def test_any_other_service():
    assert ci_of({**JENKINS, "BUILD_URL": "https://ci.example/77"}) == {
        "provider": "ci",
        "commit_sha": "abc123",
        "ref": "PR-42",
        "pull_request": "42",
        "run_url": "https://ci.example/77",
    }


@pytest.mark.parametrize(
    "environ", [{}, {"CI": "false", "GIT_COMMIT": "abc"}, {"GITHUB_ACTIONS": "", "CI": "0"}]
)
def test_a_machine_that_is_no_ci_tells_nothing(environ):
    assert ci_of(environ) is None


# --- a folder of runs


@pytest.fixture
def folder(tmp_path):
    """Five runs, the oldest first, of which the third failed and the last was cancelled."""
    for number in range(5):
        status = {2: "failed", 4: "cancelled"}.get(number, "completed")
        run = run_of(PASSED, id=f"run-{number}", status=status, started=NOON + number)
        (tmp_path / f"{9 - number}.json").write_text(as_json(run), encoding="utf-8")
    return tmp_path


def ids(page: SimulationRun.List.Response) -> list[str]:
    return [run.id for run in page.runs]


def test_the_newest_run_comes_first(folder):
    page = load_runs(folder)
    assert ids(page) == ["run-4", "run-3", "run-2", "run-1", "run-0"]
    assert page.next_page_token.token == ""
    assert run_summary(page.runs[0]).chat_history["desk.yaml::Books"].items


@pytest.mark.parametrize("word", ["completed", "COMPLETED", "STATUS_COMPLETED"])
def test_runs_are_filtered_by_their_status(folder, word):
    assert ids(load_runs(folder, status=word)) == ["run-3", "run-1", "run-0"]
    assert ids(load_runs(str(folder), status="failed")) == ["run-2"]
    assert ids(load_runs(folder, status="running")) == []


def test_pages_follow_each_other_by_their_tokens(folder):
    first = load_runs(folder, page_size=2)
    second = load_runs(folder, page_size=2, page_token=first.next_page_token)
    third = load_runs(folder, page_size=2, page_token=second.next_page_token.token)
    assert [ids(first), ids(second), ids(third)] == [
        ["run-4", "run-3"],
        ["run-2", "run-1"],
        ["run-0"],
    ]
    assert not third.next_page_token.token


def test_a_page_that_is_just_full_is_the_last(folder):
    assert not load_runs(folder, page_size=5).next_page_token.token


def test_a_token_holds_when_runs_come_and_go(folder):
    first = load_runs(folder, page_size=2)
    new = run_of(id="run-9", started=NOON + 9)
    (folder / "new.json").write_text(as_json(new), encoding="utf-8")
    (folder / "6.json").unlink()  # run-3, the last of the page
    assert ids(load_runs(folder, page_token=first.next_page_token)) == ["run-2", "run-1", "run-0"]


def test_a_run_that_is_there_twice_is_listed_once(folder):
    (folder / "copy.json").write_bytes((folder / "9.json").read_bytes())
    assert ids(load_runs(folder)).count("run-0") == 1


def test_two_runs_of_one_instant_are_two(folder):
    twin = run_of(id="twin", started=NOON)
    (folder / "twin.json").write_text(as_json(twin), encoding="utf-8")
    first = load_runs(folder, page_size=5)
    assert ids(load_runs(folder, page_token=first.next_page_token)) == ["run-0"]
    assert ids(first)[-1] == "twin"


def test_what_lk_exports_is_read_with_its_summary(tmp_path):
    summary = SimulationRunSummary(passed=1, going_well="All of it.")
    exported = {
        "version": 1,
        "run": {"id": "SR_1", "status": "STATUS_COMPLETED", "created_at": "2026-06-01T12:00:00Z"},
        "summary": json_format.MessageToDict(summary, preserving_proto_field_name=True),
    }
    (tmp_path / "SR_1.json").write_text(json.dumps(exported), encoding="utf-8")
    [run] = load_runs(tmp_path).runs
    assert run.id == "SR_1"
    assert run_summary(run) == summary


NO_RUNS = {
    "empty": (b"", "Expecting value"),
    "cut off": (b'{"id": "run-1", "created_at": "2026-06-', "Unterminated string"),
    "no text": (b"\xff\xfe\xfd", "codec can't decode"),
    "a list": (b"[]", "a list instead of a mapping"),
    "something else": (b'{"name": "desk"}', "no id, or no created_at"),
    "a session report": (
        b'{"job_id": "J", "events": [], "chat_history": {"items": []}, "usage": [{}]}',
        "it is the session report of one call; python -m pytest_lkagent convert makes a scenario",
    ),
    "a wrong field, in protobuf's words": (b'{"usage": [{}]}', "usage"),
    "a run that is none": (b'{"run": 7}', ""),
    "a wrong field": (b'{"id": {"a": 1}, "created_at": "2026-06-01T12:00:00Z"}', "id"),
    "a wrong summary": (
        b'{"run": {"id": "a", "created_at": "2026-06-01T12:00:00Z"}, "summary": 7}',
        "",
    ),
    "too deep": (b"[" * 100_000, "maximum recursion depth"),
}


@pytest.mark.parametrize("what", NO_RUNS)
def test_a_file_that_holds_no_run_is_named_and_left_out(folder, what):
    content, why = NO_RUNS[what]
    (folder / "a.json").write_bytes(content)
    with pytest.warns(UserWarning, match=r"a\.json: left out, it holds no run: .") as told:
        page = load_runs(folder)
    assert len(page.runs) == 5
    assert len(told) == 1
    assert why in str(told[0].message)
    assert not str(told[0].message).endswith(".")
    assert told[0].filename == __file__


def test_other_files_and_folders_are_no_runs(folder):
    (folder / "notes.txt").write_text("{", encoding="utf-8")
    (folder / "a.json").mkdir()
    (folder / "older").mkdir()
    (folder / "older" / "a.json").write_text("{", encoding="utf-8")
    assert len(load_runs(folder).runs) == 5  # and no warning, which would be an error here


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"^there is no folder '.*nowhere'$"):
        load_runs(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            {"status": "complete"},
            (
                "status='complete': a run is one of pending_upload, generating, running, "
                "summarizing, completed, failed, cancelled; did you mean 'completed'?"
            ),
        ),
        ({"page_token": "2"}, "page_token='2' is none that a page before this one had"),
        (
            {"page_token": "x:run-1"},
            "page_token='x:run-1' is none that a page before this one had",
        ),
        ({"page_size": 0}, "page_size=0: a page has one run or more"),
    ],
)
def test_a_wrong_argument_is_refused_with_the_valid_ones(folder, arguments, told):
    with pytest.raises(UsageError) as refused:
        load_runs(folder, **arguments)
    assert str(refused.value) == told


# --- the table


def test_runs_as_a_table():
    jobs = [replace(PASSED, id=f"desk.yaml::{number}") for number in range(10)]
    pushed = run_of(*jobs, ci={"commit_sha": "abc1234def"})
    commit = "abc1234" if KNOWS_CI else ""
    headings, *lines = table([pushed, run_of(FAILED, id="run-2", status="cancelled")])
    assert headings.startswith("created (UTC)        status     jobs  passed  failed  commit ")
    assert [line.split() for line in lines] == [
        ["2026-06-01", "12:00:00", "completed", "10", "10", "0", *filter(None, [commit]), "run-1"],
        ["2026-06-01", "12:00:00", "cancelled", "1", "0", "1", "run-2"],
    ]
    assert len({line.index("run-") for line in lines} | {headings.index("id")}) == 1


def test_a_table_of_no_runs_is_its_headings():
    assert len(list(table([]))) == 1


def test_the_command_prints_the_table_and_beside_it_what_was_left_out(folder, capsys):
    (folder / "a.json").write_text("{", encoding="utf-8")
    assert main(["runs", str(folder), "--status=completed", "--page-size=2"]) == 0
    shown = capsys.readouterr()
    assert [line.split()[-1] for line in shown.out.splitlines()] == ["id", "run-3", "run-1"]
    left_out, more = shown.err.splitlines()
    assert left_out.startswith(f"note: {folder / 'a.json'}: left out, it holds no run: Expecting")
    assert more.startswith("note: there are more: --page-token=")
    main(["runs", str(folder), "--status=completed", more.split()[-1]])
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["id", "run-0"]


def test_a_mistake_in_the_command_is_one_line(folder, capsys):
    assert main(["runs", str(folder), "--status=passed"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: status='passed': a run is one of pending_upload, ")
    assert len(shown.err.splitlines()) == 1
