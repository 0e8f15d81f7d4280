"""Scenarios whose conversation is drawn, and `--lk-fuzz`."""

from __future__ import annotations

import re

import pytest

AGENT = """
from livekit.agents import Agent, RunContext, function_tool


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, context: RunContext, slot: str) -> str:
        \"\"\"Book a slot.\"\"\"
        context.userdata["slots"].append(slot)
        return f"booked {slot[0]}"


def fresh(transcript, userdata):
    calls = [event for event in transcript.events if event.type == "function_call"]
    assert len(userdata["slots"]) <= len(calls), "slots of another conversation"


def slots():
    return {"slots": []}
"""
CONFTEST = """
from hypothesis import settings

settings.register_profile("ours", derandomize=True, database=None, max_examples=40)
settings.load_profile("ours")
"""


def scenario(*lines: str) -> str:
    written = "".join(f"    {line}\n" for line in lines)
    return f"agent: desk.py:Desk\nscenarios:\n  - label: Copes\n{written}"


def files(*lines: str) -> dict[str, str]:
    return {"conftest.py": CONFTEST, "desk.py": AGENT, "desk.yaml": scenario(*lines)}


@pytest.mark.slow
def test_a_scenario_without_turns_is_drawn_and_what_is_found_is_a_scenario_too(project):
    desk = project(files("fuzz: {examples: 100}", "userdata: {slots: []}"))
    result = desk.run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(
        "E       IndexError: string index out of range",
        "E * [2] function_call          book(slot='')",
        "E       as a scenario: pytest --lk-scenarios=.lk_fuzz/Desk-*.yaml",
        "FAILED desk.yaml::Copes - *",
    )
    [command] = re.findall(r"(--lk-scenarios=\.lk_fuzz\S+)", str(result))
    again = desk.run(command)
    again.outcomes(failed=1)
    again.shows("E       IndexError: string index out of range")
    mended = {"desk.py": AGENT.replace("slot[0]", "slot")}
    desk.with_files(mended).run(command).outcomes(passed=1)
    desk.with_files(mended).run("--lk-scenarios=desk.yaml").outcomes(passed=1)


@pytest.mark.slow
def test_each_example_has_userdata_of_its_own(project):
    alone = "invariants: [desk.py:fresh], without: [raises_nothing]"
    shared = project(files(f"fuzz: {{{alone}}}", "userdata: {slots: []}"))
    shared.run("--lk-scenarios=desk.yaml").outcomes(passed=1)
    made = project(files(f"fuzz: {{{alone}, userdata: desk.py:slots}}"))
    made.run("--lk-scenarios=desk.yaml").outcomes(passed=1)
    kept = AGENT.replace('return {"slots": []}', "return KEPT") + '\n\nKEPT = {"slots": []}\n'
    result = made.with_files({"desk.py": kept}).run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows(
        "Desk: a conversation went another way when it was played again, in a session of its own; "
        "what does it keep from one session to the next (a list of the class, *"
    )


def test_mocks_are_there_in_each_example(project):
    mocks = "mocks: {Desk: {book: {returns: booked, optional: true}}}"
    desk = project(files("fuzz: {}", mocks, "userdata: {slots: []}"))
    desk.run("--lk-scenarios=desk.yaml").outcomes(passed=1)


REGULARS = """
from datetime import datetime

from livekit.agents import Agent, RunContext, function_tool, get_job_context


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")

    @function_tool
    async def book(self, context: RunContext, slot: str) -> str:
        \"\"\"Book a slot.\"\"\"
        history = self.chat_ctx.copy(exclude_instructions=True, exclude_config_update=True)
        [asked, called, output, answered, *_] = history.items
        said = (asked.text_content, called.name, called.arguments, output.output, output.is_error)
        job = get_job_context().job
        raise ValueError(f"{said} {answered.interrupted} {job.metadata} {datetime.now().year}")
"""


def test_history_job_and_time_are_written_so_that_it_fails_the_same_way(project):
    lines = (
        "fuzz: {}",
        "tags: {caller: regular}",
        "session: {max_tool_steps: 5}",
        "now: 2031-02-03T09:00:00Z",
        "timeout: 20m",
        "job: {metadata: {caller: Ada}, participant: {identity: ada}}",
        "history:",
        "  - user: is 2 pm free?",
        "  - function_call: {name: book, arguments: {slot: 2pm}}",
        "  - function_call_output: {name: book, output: taken, is_error: true}",
        "  - assistant: It is taken.",
    )
    desk = project({**files(*lines), "desk.py": REGULARS})
    result = desk.run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    told = (
        "E       ValueError: ('is 2 pm free?', 'book', '{\"slot\": \"2pm\"}', 'taken', True) "
        'False {"caller": "Ada"} 2031'
    )
    result.shows(told)
    [path] = re.findall(r"--lk-scenarios=(\.lk_fuzz\S+)", str(result))
    again = desk.run(f"--lk-scenarios={path}")
    again.outcomes(failed=1)
    again.shows(told)
    written = (desk.pytester.path / path).read_text(encoding="utf-8")
    for line in ("tags:", "max_tool_steps: 5", "timeout: 1200s", "identity: ada"):
        assert line in written


def test_the_fixture_job_options_is_heard_in_each_example(project):
    fixtures = CONFTEST + (
        "\nimport pytest\n\n@pytest.fixture\ndef job_options():\n    return {'metadata': 'gold'}\n"
    )
    lines = ("fuzz: {}", "history: [{user: a}, {user: b}, {user: c}, {user: d}]")
    gold = REGULARS[: REGULARS.index("        history =")] + (
        "        assert get_job_context().job.metadata != 'gold', 'gold is not booked here'\n"
    )
    result = project({**files(*lines), "desk.py": gold, "conftest.py": fixtures}).run(
        "--lk-scenarios=desk.yaml"
    )
    result.outcomes(failed=1)
    result.shows("E       AssertionError: gold is not booked here")


def test_what_belongs_to_turns_is_refused_without_them(project):
    result = project(files("fuzz: {}", "check: desk.py:fresh")).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows(
        "desk.yaml:5:12: check is for a conversation that is not drawn; write turns:, or leave it "
        "out"
    )


@pytest.mark.parametrize(
    ("fuzz", "turns", "line"),
    [
        (
            "{delays: {book: [1s]}}",
            "",
            "desk.yaml:4:11: delays are drawn where the conversation is; write turns:, or leave *",
        ),
        (
            "{delays: {book: 1s}}",
            "turns: [{user: hi}]",
            "desk.yaml:4:27: delays of book cannot be '1s'; write one duration for each call",
        ),
        (
            "{delays: {book: [soon]}}",
            "turns: [{user: hi}]",
            "desk.yaml:4:28: a delay of book cannot be 'soon'; write 250ms, 2s, 1m *",
        ),
    ],
)
def test_delays_are_durations_of_a_conversation_that_is_not_drawn(project, fuzz, turns, line):
    result = project(files(f"fuzz: {fuzz}", *filter(None, [turns]))).run("--lk-scenarios=desk.yaml")
    result.outcomes(errors=1)
    result.shows(line)


def test_lk_fuzz_adds_a_drawn_scenario_for_each_agent_that_a_file_names(project):
    turns = "turns: [{user: book, llm: [Done.]}]"
    two = scenario("userdata: {slots: []}", turns) + f"  - label: Again\n    {turns}\n"
    desk = project({**files(), "desk.yaml": two})
    desk.run("--lk-scenarios=desk.yaml").outcomes(passed=2)
    result = desk.run("--lk-scenarios=desk.yaml", "--lk-fuzz=100")
    result.outcomes(passed=2, failed=1)
    result.shows(
        "E       IndexError: string index out of range",
        "E       as a scenario: pytest --lk-scenarios=.lk_fuzz/Desk-*.yaml",
        "FAILED desk.yaml::--lk-fuzz=100 desk.py:Desk - *",
    )
    [command] = re.findall(r"(--lk-scenarios=\.lk_fuzz\S+)", str(result))
    again = desk.run(command)
    again.shows("E       IndexError: string index out of range")


def test_lk_fuzz_takes_an_entrypoint_too(project):
    server = """
from desk import Desk
from livekit.agents import AgentServer, AgentSession

server = AgentServer()


@server.rtc_session()
async def run(ctx):
    session = AgentSession(llm="openai/gpt-4o", userdata={"slots": []})
    await session.start(Desk(), room=ctx.room)
"""
    written = scenario("turns: [{user: book, llm: [Done.]}]").replace(
        "agent: desk.py:Desk", "entrypoint: server.py:server"
    )
    desk = project({**files(), "server.py": server, "desk.yaml": written})
    result = desk.run("--lk-scenarios=desk.yaml", "--lk-fuzz=100")
    result.outcomes(passed=1, failed=1)
    result.shows("E       IndexError: string index out of range")
    [command] = re.findall(r"(--lk-scenarios=\.lk_fuzz\S+)", str(result))
    again = desk.run(command)
    again.outcomes(failed=1)
    again.shows("E       IndexError: string index out of range")


def test_lk_fuzz_is_a_number(project):
    result = project(files("fuzz: {}")).run("--lk-scenarios=desk.yaml", "--lk-fuzz=many")
    told = "--lk-fuzz=many: write a whole number of examples, such as --lk-fuzz=100"
    assert result.stderr.strip() == f"ERROR: {told}"


VAIN = (
    "--lk-fuzz=9: nothing is drawn; it takes the agents and the entrypoints of the scenarios that "
    "are collected, and there is none: add --lk-scenarios=FILE.yaml (a test of fuzz_agent draws "
    "as often as hypothesis' profile says: --hypothesis-profile)"
)


def test_lk_fuzz_takes_the_agent_of_a_call_and_talks_with_it_in_text(project):
    lines = (
        "mode: audio",
        "userdata: {slots: []}",
        "voices: {Done.: 2s}",
        "session: {turn_handling: {endpointing: {min_delay: 1.0}}}",
        "turns: [{user: book, lasts: 1s, within: 2s, llm: [Done.]}]",
    )
    desk = project({**files(), "desk.yaml": scenario(*lines)})
    result = desk.run("--lk-scenarios=desk.yaml", "--lk-fuzz=100")
    result.outcomes(passed=1, failed=1)
    result.shows(
        "E       IndexError: string index out of range",
        "FAILED desk.yaml::--lk-fuzz=100 desk.py:Desk - *",
    )


def test_lk_fuzz_that_finds_nothing_to_draw_is_refused(project):
    run = project({**files(), "test_it.py": "def test_it(): ..."})
    result = run.run("--lk-fuzz=9", "test_it.py")
    assert result.exit_status == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.strip() == f"ERROR: {VAIN}"


@pytest.mark.slow
def test_lk_fuzz_that_finds_nothing_to_draw_is_told_by_a_worker_too(project, warm):
    run = project({**files(), "test_it.py": "def test_it(): ..."})
    result = run.run("--lk-fuzz=9", "-n1", "test_it.py", subprocess=True)
    assert result.exit_status == pytest.ExitCode.NO_TESTS_COLLECTED
    result.shows(f"*PytestWarning: {VAIN}")


def test_where_a_file_cannot_be_collected_that_is_told_and_not_what_lk_fuzz_lacks(project):
    result = project({**files("fuzz: {}"), "desk.py": "1 / 0"}).run("--lk-fuzz=9", "desk.yaml")
    result.outcomes(errors=1)
    result.shows("*ZeroDivisionError*")
    assert VAIN not in result.stderr


def test_lk_fuzz_takes_the_agent_of_a_fixture(project):
    fixture = "import pytest\nfrom desk import Desk\nagent = pytest.fixture(lambda: Desk)\n"
    written = scenario("userdata: {slots: []}", "turns: [{user: book, llm: [Done.]}]")
    agents = {"conftest.py": CONFTEST + fixture, "desk.yaml": written.partition("\n")[2]}
    result = project({**files(), **agents}).run("--lk-scenarios=desk.yaml", "--lk-fuzz=100")
    result.outcomes(passed=1, failed=1)
    result.shows("FAILED desk.yaml::--lk-fuzz=100 the agent under test - IndexError: *")


@pytest.mark.parametrize("said", ["fuzz: {userdata: desk.py:slots}", "turns: [{user: a}]"])
def test_lk_fuzz_takes_userdata_from_where_the_scenarios_have_it(project, said):
    """Be it what `fuzz` says makes it, though another scenario is the first, or a fixture."""
    fixture = "\nimport pytest\n\n@pytest.fixture\ndef userdata():\n    return {'slots': []}\n"
    written = scenario("turns: [{user: hi, llm: [Hello.]}]") + (
        f"  - label: Drawn\n    {said.replace('a}', 'hi, llm: [Hello.]}')}\n"
    )
    conftest = CONFTEST + ("" if "userdata" in said else fixture)
    run = project({**files(), "conftest.py": conftest, "desk.yaml": written})
    result = run.run("--lk-scenarios=desk.yaml", "--lk-fuzz=100", "-k", "lk-fuzz")
    result.shows(
        "E       IndexError: string index out of range",
        "FAILED desk.yaml::--lk-fuzz=100 desk.py:Desk - *",
    )


@pytest.mark.slow
def test_lk_fuzz_heeds_what_fuzz_says_need_not_hold(project):
    lines = ("fuzz: {examples: 5, without: [raises_nothing]}", "userdata: {slots: []}")
    run = project(files(*lines)).run("--lk-scenarios=desk.yaml", "--lk-fuzz=100")
    run.outcomes(passed=2)


JUDGED = """
from livekit.agents import Agent, AgentServer, AgentSession
from livekit.agents.evals import JudgeGroup, task_completion_judge

server = AgentServer()


async def judge(ctx):
    judges = JudgeGroup(llm="openai/gpt-4o-mini", judges=[task_completion_judge()])
    result = await judges.evaluate(ctx.make_session_report().chat_history)
    assert result.all_passed, "the judges say it failed"


@server.rtc_session(on_session_end=judge)
async def run(ctx):
    session = AgentSession(llm="openai/gpt-4o")
    await session.start(Agent(instructions="You talk."), room=ctx.room)
"""


def test_what_judges_find_of_a_conversation_that_is_drawn_is_what_the_scenario_says(project):
    written = scenario("fuzz: {examples: 3}", "judges: fail").replace(
        "agent: desk.py:Desk", "entrypoint: server.py:server"
    )
    run = project({**files(), "server.py": JUDGED, "desk.yaml": written})
    result = run.run("--lk-scenarios=desk.yaml")
    result.outcomes(failed=1)
    result.shows("E       AssertionError: the judges say it failed")
    [command] = re.findall(r"(--lk-scenarios=\.lk_fuzz\S+)", str(result))
    again = run.run(command)
    again.outcomes(failed=1)
    again.shows("E       AssertionError: the judges say it failed")
    passing = run.with_files({"desk.yaml": written.replace("    judges: fail\n", "")})
    passing.run("--lk-scenarios=desk.yaml").outcomes(passed=1)
