"""``--lk-write-expect``: a scenario is scripted, played, and gets its `expect:` lists written."""

from __future__ import annotations

import pytest

SCENARIOS = """\
# the desk
agent: agent.py:FrontDesk
scenarios:
  - label: Books a slot   # the usual one
    turns:
      - user: 2 pm please
        llm: [{call: {book: {slot: 2pm}}}, Booked.]
      - {user: thanks, llm: [Goodbye.]}
  - label: Fails
    turns:
      - user: hi
        llm: [Hello.]
        after: {userdata: {seen: true}}
"""


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def written(desk, pytester):
    """Play this file with the option, and return the result with what the file holds then."""

    def play(text: str = SCENARIOS, *arguments: str, **files: str):
        made = desk({"desk.yaml": text, **files})
        result = made.run("--lk-scenarios=desk.yaml", "--lk-write-expect", *arguments)
        return result, (pytester.path / "desk.yaml").read_text(encoding="utf-8")

    return play


def test_what_happened_is_shown_and_written_where_a_scenario_passed(written):
    result, text = written()
    result.outcomes(passed=1, failed=1)
    result.shows(
        "*- expect: written by --lk-write-expect -*",
        "--- desk.yaml",
        "+++ desk.yaml with what happened",
        "-      - {user: thanks, llm: [Goodbye.]}",
        "+        expect:",
        "+          - function_call_output: {name: book, output: booked 2pm}",
        "+      - {user: thanks, llm: [Goodbye.], expect: []}",
        "desk.yaml: written; read it, and take out what does not matter",
    )
    assert text == SCENARIOS.replace(
        "Booked.]\n",
        "Booked.]\n"
        "        expect:\n"
        "          - function_call_output: {name: book, output: booked 2pm}\n",
    ).replace("[Goodbye.]}", "[Goodbye.], expect: []}")


@pytest.mark.parametrize("silent", ["--no-summary", "-pno:terminal"])
def test_it_is_written_although_nobody_wants_a_summary(written, silent):
    _, text = written(SCENARIOS, silent)
    assert text.count("expect:") == 2


def test_a_second_run_passes_and_has_nothing_to_write(written):
    _, text = written()
    result, again = written(text)
    result.outcomes(passed=1, failed=1)
    result.shows("desk.yaml: nothing to write, each turn of what passed has its expect")
    assert again == text


def test_conversations_drawn_beside_it_have_nothing_that_is_written(written):
    result, text = written(
        f"{SCENARIOS}  - {{label: Drawn, fuzz: {{examples: 2}}}}\n", "--lk-fuzz=2"
    )
    result.outcomes(passed=3, failed=1)
    result.shows("desk.yaml: written; read it, and take out what does not matter")
    assert text.count("expect:") == 2


def test_what_is_written_expects_it_from_then_on(written, desk):
    _, text = written()
    changed = {"desk.yaml": text.replace("output: booked 2pm", "output: booked 3pm")}
    result = desk(changed).run("--lk-scenarios=desk.yaml", "-k", "Books")
    result.outcomes(failed=1, deselected=1)
    result.shows("desk.yaml:9: Books a slot, turn 1: expected function_call_output *")


def test_a_turn_whose_text_stands_elsewhere_is_left_alone_and_says_so(written):
    text = """\
agent: agent.py:FrontDesk
scenarios:
  - label: One
    turns: &turns
      - {user: hi, llm: [Hello.]}
  - label: Two
    turns: *turns
"""
    result, after = written(text)
    result.outcomes(passed=2)
    result.shows("desk.yaml:5: 'One', turn 1: no expect was written: *")
    result.shows_no("*nothing to write*")
    assert after == text


VARIANTS = """\
import pytest
from livekit.agents import Agent, RunContext, function_tool


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You know your language.")

    @function_tool
    async def language(self, ctx: RunContext) -> str:
        \"\"\"The language.\"\"\"
        if ctx.userdata == "fr":
            pytest.skip("not yet")
        return ctx.userdata


@pytest.fixture
def agent():
    return Desk


@pytest.fixture(params=[{params}])
def userdata(request):
    return request.param
"""
ASKED = """\
scenarios:
  - label: Asks
    turns:
      - user: which
        llm: [{call: {language: {}}}, That.]
  - label: Asks again
    turns:
      - user: which
        llm: [{call: {language: {}}}, That.]
        expect: [{function_call_output: {name: language, output: de}}]
      - {user: thanks, llm: [Goodbye.]}
  - label: Thanks
    turns:
      - {user: thanks, llm: [Goodbye.]}
"""


def test_a_scenario_is_left_alone_where_not_all_that_it_is_parametrized_with_went_the_same_way(
    written,
):
    variants = VARIANTS.replace("{params}", "'de', 'en'")
    result, text = written(ASKED, **{"conftest.py": variants})
    result.outcomes(passed=5, failed=1)
    result.shows(
        "desk.yaml:2: 'Asks': no expect was written: in turn 1 Asks[en] did something else than "
        "Asks[de]; write what holds for both",
        "desk.yaml:6: 'Asks again': no expect was written: Asks again[de] passed, and "
        "Asks again[en] did not",
        "desk.yaml: written; *",
    )
    assert text == "[Goodbye.], expect: []}".join(ASKED.rsplit("[Goodbye.]}", 1))


def test_where_nothing_but_such_scenarios_passed_that_is_all_that_it_says(written):
    variants = VARIANTS.replace("{params}", "'en', 'de'")
    result, text = written(ASKED, "-k", "again", **{"conftest.py": variants})
    result.outcomes(passed=1, failed=1, deselected=4)
    result.shows("desk.yaml:6: 'Asks again': * Asks again[de] passed, and Asks again[en] did not")
    result.shows_no("*nothing to write*", "nothing: *", "*written; *")
    assert text == ASKED


def test_what_all_that_ran_agree_on_is_written_and_a_skipped_one_has_no_say(written):
    variants = VARIANTS.replace(
        "{params}", "'de', pytest.param('en', marks=pytest.mark.skip), 'fr'"
    )
    result, text = written(ASKED, **{"conftest.py": variants})
    result.shows("desk.yaml: written; *")
    result.shows_no("*no expect was written*")
    assert text.count("output: de") == 2
    assert text.count("expect: []") == 2


def test_a_scenario_that_lacks_no_expect_is_not_spoken_of_whichever_failed(written):
    variants = VARIANTS.replace("{params}", "'de', 'en'")
    full = ASKED.replace("[Goodbye.]}", "[Goodbye.], expect: []}")
    result, text = written(full, "-k", "again or Thanks", **{"conftest.py": variants})
    result.outcomes(passed=3, failed=1, deselected=2)
    result.shows("desk.yaml: nothing to write, each turn of what passed has its expect")
    result.shows_no("*no expect was written*")
    assert text == full


def test_a_run_in_which_nothing_passed_writes_nothing(written):
    result, text = written(SCENARIOS, "-k", "Fails")
    result.outcomes(failed=1, deselected=1)
    result.shows("nothing: no scenario was played that passed")
    assert text == SCENARIOS


def test_an_expected_failure_is_not_written(written):
    xfailed = SCENARIOS.replace("label: Fails", "label: Fails\n    xfail: not yet")
    result, text = written(xfailed, "-k", "Fails")
    result.outcomes(xfailed=1, deselected=1)
    assert text == xfailed


def test_a_file_that_cannot_be_written_stays_and_says_so(written, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    result, text = written()
    result.shows("desk.yaml: nothing was written: * No space left on device")
    assert text == SCENARIOS


def test_it_is_refused_where_nobody_reads_what_it_writes(written, refused, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result, text = written()
    refused(
        result,
        "--lk-write-expect writes files that somebody has to read, and CI is set: run it where you "
        "commit",
    )
    assert text == SCENARIOS


def test_it_is_refused_over_several_processes(desk, refused, warm):
    result = desk({"desk.yaml": SCENARIOS}).run(
        "--lk-scenarios=desk.yaml", "--lk-write-expect", "-n", "2", subprocess=True
    )
    refused(result, "--lk-write-expect plays in one process: leave -n away, or say -n 0")
