"""The life of a snapshot as a user meets it: made, compared, updated, broken, mended.

What a selection does to them is in test_orphans.py.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

TEST = """
async def test_books(user_says, fake_llm, transcript, chat_snapshot):
    fake_llm.script(call("book", slot="2pm"), say("Booked."))
    await user_says("2 pm please")
    assert transcript == chat_snapshot
"""

SCENARIO = """\
scenarios:
- label: Books it
  turns:
  - user: hello
    llm: [Hi.]
  - user: 2 pm please
    llm: [{call: {book: {slot: 2pm}}}, Booked.]
  snapshot: true
"""

TEST_FILE = "__lk_snapshots__/test_hotel.py/test_books-e26a4abe.yaml"
SCENARIO_FILE = "__lk_snapshots__/hotel.yaml/Books-it-a92ed3d7.yaml"
INI = "lk_scenarios = hotel.yaml\n"


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    for name in ("CI", "SLOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hotel(desk):
    return desk({"test_hotel.py": TEST, "hotel.yaml": SCENARIO}, ini=INI)


@pytest.fixture
def other_hotel(desk):
    """The same in which 3 pm is booked, whatever the caller says."""
    scenario = SCENARIO.replace("slot: 2pm", "slot: 3pm")
    test = TEST.replace('"2pm"', '"3pm"')
    return desk({"test_hotel.py": test, "hotel.yaml": scenario}, ini=INI)


@pytest.fixture
def files(pytester):
    """Read what is below the folder of snapshots."""

    def read():
        return {
            str(path.relative_to(pytester.path)): path.read_text(encoding="utf-8")
            for path in pytester.path.rglob("__lk_snapshots__/**/*")
            if path.is_file()
        }

    return read


def accepts(result):
    """Return the commands that a user is told to run, without the word pytest."""
    told = [line.partition(" if this is right: pytest ")[2] for line in result.lines]
    return [shlex.split(command) for command in told if command]


# --- made, compared, updated


def test_a_snapshot_that_is_missing_fails_the_test_and_says_what_would_be_in_it(hotel, files):
    result = hotel.run()
    result.outcomes(failed=2)
    result.shows(
        f"hotel.yaml:8: Books it: there is no snapshot {SCENARIO_FILE} yet; this would be in it:",
        "      format: 1",
        "      turns:",
        "      - user: hello",
        "        - message: Hi.",
        "      - user: 2 pm please",
        "        - function_call: {name: book, arguments: {slot: 2pm}}",
        "        - function_call_output: {name: book, output: booked 2pm}",
        "        - message: Booked.",
        "      if this is right: pytest 'hotel.yaml::Books it' --snapshot-update",
        "> * assert transcript == chat_snapshot",
        f"E *SnapshotMismatch: there is no snapshot {TEST_FILE} yet; this would be in it:",
        "E             format: 1",
        "E             if this is right: pytest test_hotel.py::test_books --snapshot-update",
        "2 snapshots failed.",
    )
    assert files() == {}


def test_an_update_writes_it_and_the_next_run_compares(hotel, files):
    result = hotel.run("--snapshot-update")
    result.outcomes(passed=2)
    result.shows("2 snapshots generated.")
    made = files()
    assert made.keys() == {TEST_FILE, SCENARIO_FILE}
    for arguments in [], ["--snapshot-update"]:
        result = hotel.run(*arguments)
        result.outcomes(passed=2)
        result.shows("2 snapshots passed.")
        assert files() == made


def test_another_conversation_fails_and_is_told_side_by_side(hotel, other_hotel, files):
    hotel.run("--snapshot-update").outcomes(passed=2)
    before = files()
    result = other_hotel.run()
    result.outcomes(failed=2)
    result.shows(
        f"hotel.yaml:6: Books it, turn 2: the conversation is not the one in {SCENARIO_FILE}:",
        "                               expected                                 actual",
        "      …",
        "      [4] turn                 2",
        "      [5] user                 2 pm please",
        "  >>> [6] function_call        book(slot='2pm')                       | book(slot='3pm')",
        "      [7] function_call_output book -> 'booked 2pm' * | book -> 'booked 3pm'",
        "      [8] assistant            Booked.",
        "      if this is right: pytest 'hotel.yaml::Books it' --snapshot-update",
        "> * assert transcript == chat_snapshot",
        f"E *SnapshotMismatch: the conversation is not the one in {TEST_FILE}:",
        "E         >>> [3] function_call        book(slot='2pm')        * | book(slot='3pm')",
        "E             if this is right: pytest test_hotel.py::test_books --snapshot-update",
        "2 snapshots failed.",
    )
    assert files() == before


def test_an_update_rewrites_what_differs_alone(hotel, other_hotel, files):
    hotel.run("--snapshot-update")
    before = files()
    desk = other_hotel
    result = desk.run("--snapshot-update", "test_hotel.py")
    result.outcomes(passed=1)
    result.shows("1 snapshot updated.")
    assert files() == {**before, TEST_FILE: before[TEST_FILE].replace("2pm", "3pm")}
    desk.run("test_hotel.py").outcomes(passed=1)


def test_an_update_of_new_ones_alone_leaves_the_others(hotel, other_hotel, files):
    hotel.run("--snapshot-update", "test_hotel.py")
    before = files()
    result = other_hotel.run("--snapshot-update-new-only")
    result.outcomes(passed=1, failed=1)
    result.shows("1 snapshot failed. 1 snapshot generated.")
    assert {name: files()[name] for name in before} == before


def test_the_command_that_is_told_accepts_it(hotel, other_hotel):
    """Run as it stands there, for a snapshot that is missing and for one that differs."""
    for desk in hotel, other_hotel:
        commands = accepts(desk.run())
        assert len(commands) == 2
        for command in commands:
            desk.run(*command).outcomes(passed=1)
        desk.run().outcomes(passed=2)


def test_the_command_that_is_told_is_for_the_folder_one_is_in(desk, pytester, monkeypatch):
    (pytester.path / "below").mkdir()
    monkeypatch.chdir(pytester.path / "below")
    made = desk({"tests/test_hotel.py": TEST, "tests/hotel.yaml": SCENARIO}, ini=INI)
    result = made.run("../tests")
    result.outcomes(failed=2)
    commands = accepts(result)
    assert [command[0] for command in commands] == [
        "../tests/hotel.yaml::Books it",
        "../tests/test_hotel.py::test_books",
    ]
    result.shows(f"*there is no snapshot ../tests/{SCENARIO_FILE} yet; *")
    for command in commands:
        made.run(*command).outcomes(passed=1)


@pytest.mark.parametrize("ci", ["true", "1", "woodpecker"])
@pytest.mark.parametrize("arguments", [[], ["--snapshot-update"], ["--snapshot-update-new-only"]])
def test_in_ci_nothing_is_written(hotel, other_hotel, files, monkeypatch, arguments, ci):
    monkeypatch.setenv("CI", ci)
    result = hotel.run(*arguments)
    result.outcomes(failed=2)
    result.shows(
        "hotel.yaml:8: Books it: there is no snapshot *",
        "      CI is set, so nothing is written here: do that on your machine, look at it and "
        "commit it: pytest 'hotel.yaml::Books it' --snapshot-update",
    )
    assert files() == {}
    monkeypatch.delenv("CI")
    hotel.run("--snapshot-update")
    before = files()
    monkeypatch.setenv("CI", ci)
    hotel.run().outcomes(passed=2)
    result = other_hotel.run(*arguments)
    result.outcomes(failed=2)
    result.shows("  >>> [6] function_call *", "      CI is set, so nothing is written here: *")
    assert files() == before


@pytest.mark.parametrize("ci", ["", "0", "false", "False"])
def test_ci_may_be_set_to_nothing(hotel, monkeypatch, ci):
    monkeypatch.setenv("CI", ci)
    hotel.run("--snapshot-update").outcomes(passed=2)


def test_the_command_is_for_the_folder_in_which_pytest_was_started(desk):
    test = TEST.replace("(user_says", "(elsewhere, user_says")
    elsewhere = """
@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
"""
    result = desk({"test_hotel.py": elsewhere + test}).run()
    assert accepts(result) == [["test_hotel.py::test_books", "--snapshot-update"]]
    result.shows(f"E *there is no snapshot {TEST_FILE} yet; *")


# --- what it is called

LABELS = [
    "long " * 60 + "one",
    "long " * 60 + "two",
    "予約" * 80,
    "予約" * 80 + "!",
    "🏨 🏨",
    "🏨",
    "a/b",
    "ab",
    "Ab",
    "a b",
    "a  b",
    "the \"best\" of 'all'",
    "-k nothing --snapshot-update",
    "../../etc/passwd",
    "C:\\desk|<>?*",
    "con",
    ".",
    "$HOME `id` %PATH%",
    "Ä",
    "A\u0308",
]


@pytest.mark.slow
def test_every_label_has_a_file_of_its_own_and_is_accepted_by_the_command(desk, files, pytester):
    import yaml

    scenarios = [
        {"label": label, "snapshot": True, "turns": [{"user": str(n), "llm": [f"It is {n}."]}]}
        for n, label in enumerate(LABELS)
    ]
    made = desk({"hotel.yaml": yaml.safe_dump({"scenarios": scenarios})}, ini=INI)
    commands = accepts(made.run())
    assert len(commands) == len(LABELS)
    for command in commands:
        made.run(*command).outcomes(passed=1)
    made.run().outcomes(passed=len(LABELS))
    kept = files()
    assert len({name.casefold() for name in kept}) == len(LABELS)
    for n, _ in enumerate(LABELS):
        assert len([text for text in kept.values() if f"It is {n}." in text]) == 1
    for name in kept:
        path = Path(name)
        assert path.parent == Path("__lk_snapshots__/hotel.yaml")
        assert len(path.name.encode()) <= 255
        assert not set(path.name) & set('/\\:*?"<>|')


def test_several_in_one_test_are_told_apart_by_number_and_name(desk, files):
    made = desk(
        {
            "test_hotel.py": """
            async def test_it(user_says, fake_llm, chat_snapshot, snapshot):
                for text in "one", "two", "three", "four", "five":
                    fake_llm.script(say(text))
                assert await user_says("1") == chat_snapshot
                assert await user_says("2") == chat_snapshot
                assert await user_says("3") == chat_snapshot(name="third")
                assert await user_says("4") == chat_snapshot(name="the/4th")
                assert await user_says("5") == chat_snapshot
                assert snapshot == "mine"
            """
        }
    )
    made.run("--snapshot-update").outcomes(passed=1)
    names = {Path(name).name.partition(".")[2] for name in files()}
    assert names == {"yaml", "1.yaml", "third.yaml", "the-4th-f68c3a12.yaml", "2.yaml"}
    result = made.run()
    result.outcomes(passed=1)
    result.shows("6 snapshots passed.")


def test_two_of_one_name_are_refused(desk, files):
    result = desk(
        {
            "test_hotel.py": """
            async def test_it(user_says, fake_llm, chat_snapshot):
                fake_llm.script(say("one"), say("two"))
                assert await user_says("1") == chat_snapshot(name="mine")
                assert await user_says("2") == chat_snapshot(name="mine")
            """
        }
    ).run("--snapshot-update")
    result.outcomes(failed=1)
    result.shows(
        '> * assert await user_says("2") == chat_snapshot(name="mine")',
        "E *UsageError: two snapshots of this test are called test_it[mine]: give one another "
        "name, chat_snapshot(name='…')",
    )
    ((_, text),) = files().items()
    assert "one" in text


def test_each_turn_of_a_scenario_may_have_one(desk, files):
    scenario = """scenarios:
- label: Books it
  start: {llm: [Welcome.], snapshot: true}
  agent: agent.py:Greeter
  snapshot: true
  turns:
  - {user: hello, llm: [Hi.], snapshot: true}
  - {wait: 2s, snapshot: true}
  - {user: bye, llm: [Bye.]}
"""
    made = desk({"hotel.yaml": scenario}, ini=INI)
    made.run("--snapshot-update").outcomes(passed=1)
    names = {Path(name).name.partition(".")[2] for name in files()}
    assert names == {"yaml", "start.yaml", "turn-1.yaml", "turn-2.yaml"}
    changes = {
        "Welcome.": ("hotel.yaml:3: Books it, start: *", "start.yaml"),
        "Hi.": ("hotel.yaml:7: Books it, turn 1: *", "turn-1.yaml"),
        "Bye.": ("hotel.yaml:9: Books it, turn 3: *", "yaml"),
    }
    for text, (line, name) in changes.items():
        changed = desk({"hotel.yaml": scenario.replace(text, "Well.")}, ini=INI)
        result = changed.run()
        result.outcomes(failed=1)
        result.shows(f"{line}the conversation is not the one in *.{name}:")


# --- where and how it is compared


def test_either_side_of_the_comparison_may_be_the_snapshot(desk):
    made = desk(
        {
            "test_hotel.py": """
            async def test_it(agent_session, user_says, fake_llm, transcript, chat_snapshot):
                fake_llm.script(say(os.environ.get("SLOT", "2pm")))
                turn = await user_says("hi")
                for value in (
                    agent_session.history, transcript, turn, turn.events,
                    LookupError("no room"),
                ):
                    assert value == chat_snapshot(name=type(value).__name__)
                    assert chat_snapshot(name=f"{type(value).__name__} too") == value

            async def test_a_run(agent_session, fake_llm, chat_snapshot):
                fake_llm.script(say("2pm"))
                result = await agent_session.run(user_input="hi")
                assert result == chat_snapshot
                assert chat_snapshot(name="again") == result
            """
        }
    )
    made.run("--snapshot-update").outcomes(passed=2)
    made.run().outcomes(passed=2)


def test_a_plain_function_compares_an_exception(desk, files):
    made = desk(
        {
            "test_hotel.py": """
            def test_it(chat_snapshot):
                with pytest.raises(APIConnectionError) as caught:
                    raise APIConnectionError("overloaded") from LookupError(os.environ["SLOT"])
                assert caught.value == chat_snapshot
            """
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOT", "2pm")
        made.run("--snapshot-update").outcomes(passed=1)
        made.run().outcomes(passed=1)
        assert "message: overloaded" in "".join(files().values())
        patch.setenv("SLOT", "3pm")
        result = made.run()
    result.outcomes(failed=1)
    result.shows("E *>>> [0] error *", "E *if this is right: pytest test_hotel.py::test_it *")


def test_what_is_no_conversation_is_refused(desk, files):
    result = desk(
        {"test_hotel.py": "def test_it(chat_snapshot):\n    assert 1 == chat_snapshot"}
    ).run("--snapshot-update")
    result.outcomes(failed=1)
    result.shows(
        "> * assert 1 == chat_snapshot", "E *UsageError: a snapshot is made of *, not of 1"
    )
    assert files() == {}


def test_under_xfail_a_difference_is_expected(hotel, desk):
    hotel.run("--snapshot-update").outcomes(passed=2)
    test = "@pytest.mark.xfail(strict=True)\n" + TEST.lstrip()
    scenario = SCENARIO + "  xfail: at 3 pm they are closed\n"
    result = desk({"test_hotel.py": test, "hotel.yaml": scenario}, ini=INI).run()
    result.outcomes(failed=1, xpassed=1)
    changed = {
        "test_hotel.py": test.replace('"2pm"', '"3pm"'),
        "hotel.yaml": scenario.replace("slot: 2pm", "slot: 3pm"),
    }
    result = desk(changed, ini=INI).run()
    result.outcomes(xfailed=2)
    assert result.exit_status == pytest.ExitCode.OK, str(result)
    result.shows_no("*snapshots failed*")


def test_a_mismatch_may_be_caught(desk):
    desk(
        {
            "test_hotel.py": """
            def test_it(chat_snapshot):
                with pytest.raises(AssertionError, match="there is no snapshot"):
                    assert LookupError("no room") == chat_snapshot
            """
        }
    ).run().outcomes(passed=1)


# --- what is left out of it

NOISY = """\
from livekit.agents import Agent, function_tool

class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You book visits.")

    @function_tool
    async def book(self, slot: str, token: str) -> dict[str, str]:
        \"\"\"Book a slot.\"\"\"
        import secrets
        return f"booked {slot} as O_{secrets.token_hex(8)}"

Greeter = FrontDesk
"""


def noisy(snapshot, *, turn="false"):
    return f"""\
scenarios:
- label: Books it
  turns:
  - user: 2 pm please
    llm: [{{call: {{book: {{slot: 2pm, token: s3cret}}}}}}, Booked.]
    snapshot: {turn}
  snapshot: {snapshot}
"""


HOW = "{exclude: [arguments.token, start], replace: {'O_[0-9a-f]+': ORDER}}"


def test_a_scenario_says_what_is_left_out_and_what_is_replaced(desk, files):
    made = desk({"agent.py": NOISY, "hotel.yaml": noisy("true")}, ini=INI)
    made.run("--snapshot-update").outcomes(passed=1)
    result = made.run()
    result.outcomes(failed=1)
    result.shows("  >>> [4] function_call_output *'booked 2pm as O_*|*'booked 2pm as O_*")

    made = desk({"agent.py": NOISY, "hotel.yaml": noisy(HOW)}, ini=INI)
    made.run("--snapshot-update").outcomes(passed=1)
    made.run().outcomes(passed=1)
    assert files() == {
        SCENARIO_FILE: """\
format: 1
turns:
- user: 2 pm please
  events:
  - function_call: {name: book, arguments: {slot: 2pm}}
  - function_call_output: {name: book, output: booked 2pm as ORDER}
  - message: Booked.
"""
    }


def test_what_a_turn_leaves_out_is_its_own(desk, files):
    made = desk({"agent.py": NOISY, "hotel.yaml": noisy(HOW, turn=HOW)}, ini=INI)
    made.run("--snapshot-update").outcomes(passed=1)
    made.run().outcomes(passed=1)
    texts = {Path(name).name.partition(".")[2]: text for name, text in files().items()}
    assert texts.keys() == {"yaml", "turn-1.yaml"}
    assert texts["turn-1.yaml"].startswith("format: 1\nuser: 2 pm please\nevents:\n")
    for text in texts.values():
        assert "ORDER" in text
        assert "s3cret" not in text

    made = desk({"agent.py": NOISY, "hotel.yaml": noisy(HOW, turn="true")}, ini=INI)
    result = made.run()
    result.outcomes(failed=1)
    result.shows(
        "hotel.yaml:6: Books it, turn 1: the conversation is not the one in *.turn-1.yaml:",
        "  >>> [1] function_call *(slot='2pm') *| *(slot='2pm', token='s3cret')",
    )


def test_a_test_says_so_for_the_next_comparison_alone(desk, files):
    made = desk(
        {
            "agent.py": NOISY,
            "test_hotel.py": """
            async def test_books(user_says, fake_llm, chat_snapshot):
                fake_llm.script(call("book", slot="2pm", token="s3cret"), say("Booked."))
                turn = await user_says("2 pm please")
                how = dict(exclude="arguments.token", replace={r"O_\\w+": "ORDER"})
                assert turn == chat_snapshot(**how)
                assert turn.events[-1:] == chat_snapshot(name="end")
                assert turn.events[:2] == chat_snapshot(name="call")
            """,
        }
    )
    made.run("--snapshot-update").outcomes(passed=1)
    texts = {Path(name).name.partition(".")[2]: text for name, text in files().items()}
    assert "s3cret" not in texts["yaml"]
    assert "s3cret" in texts["call.yaml"]


PATHS = """
            async def test_books(user_says, fake_llm, chat_snapshot):
                fake_llm.script(say("It is in /tmp/call.wav, /opt/app/call.wav%s."))
                assert await user_says("where?") == chat_snapshot
            """


def test_folders_that_one_machine_knows_and_another_does_not_are_no_difference(
    desk, files, tmp_path, monkeypatch
):
    made = desk({"test_hotel.py": PATHS % ""})
    for home, tmp in ("/home/ada", str(tmp_path)), ("/opt/app", "/tmp"):
        monkeypatch.setenv("HOME", home)
        monkeypatch.setattr("tempfile.tempdir", tmp)
        made.run("--snapshot-update").outcomes(passed=1)
        (text,) = files().values()
        assert "It is in <tmp>/call.wav, /opt/app/call.wav." in text
    made.run().outcomes(passed=1)
    result = desk({"test_hotel.py": PATHS % "!"}).run()
    result.outcomes(failed=1)
    result.shows("E *>>> [1] assistant *<home>/call.wav. *| *<home>/call.wav!.")


DEFAULTS = """
import pytest
from agent import FrontDesk
from syrupy.filters import props

@pytest.fixture
def agent():
    return FrontDesk

@pytest.fixture
def chat_snapshot(chat_snapshot):
    return chat_snapshot.with_defaults(exclude=props("token"), replace={r"O_\\w+": "ORDER"})
"""


def test_a_fixture_says_so_by_syrupys_with_defaults_for_all_that_do_not_say_it_themselves(
    desk, files
):
    made = desk(
        {
            "agent.py": NOISY,
            "conftest.py": DEFAULTS,
            "hotel.yaml": noisy("true"),
            "test_hotel.py": """
            async def test_books(user_says, fake_llm, chat_snapshot):
                fake_llm.script(call("book", slot="2pm", token="s3cret"), say("Booked."))
                turn = await user_says("2 pm please")
                assert turn == chat_snapshot
                assert turn == chat_snapshot(name="named")
                assert turn == chat_snapshot(name="own", exclude="slot")
            """,
        },
        ini=INI,
    )
    made.run("--snapshot-update").outcomes(passed=2)
    made.run().outcomes(passed=2)
    texts = files()
    assert len(texts) == 4
    for name, text in texts.items():
        assert "booked 2pm as ORDER" in text
        assert ("token" in text) is (".own." in name)
        assert ("slot" in text) is (".own." not in name)


def test_a_default_that_means_nothing_is_refused(desk):
    made = desk(
        {"test_it.py": "def test_it(chat_snapshot):\n    chat_snapshot.with_defaults(include=5)\n"}
    )
    result = made.run()
    result.outcomes(failed=1)
    result.shows("E *UsageError: include=5: give one of syrupy.filters")


def test_one_with_a_name_shifts_none_of_those_without(desk, files):
    body = """
            async def test_it(chat_snapshot):
                assert ValueError("a") == chat_snapshot
                assert ValueError("b") == chat_snapshot{named}
                assert ValueError("c") == chat_snapshot
            """
    desk({"test_it.py": body.format(named="('second')")}).run("--snapshot-update")
    named = files()
    assert {path.partition(".py/")[2].partition(".")[2] for path in named} == {
        "yaml", "second.yaml", "1.yaml",
    }  # fmt: skip
    assert "message: c" in next(text for path, text in named.items() if path.endswith(".1.yaml"))


def test_a_conversation_that_is_handed_over_for_a_name_is_told_what_to_write(desk):
    result = desk(
        {
            "test_it.py": """
            async def test_it(agent_session, chat_snapshot):
                assert chat_snapshot(agent_session.history)
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *by a text, not by *ChatContext; to compare, write assert \u2026 == *")


def test_a_snapshot_is_compared_with_equals_alone(desk, files):
    result = desk(
        {
            "test_it.py": """
            async def test_it(user_says, fake_llm, chat_snapshot):
                fake_llm.script("Hello.")
                assert await user_says("hi") != chat_snapshot
            """
        }
    ).run("--snapshot-update")
    result.outcomes(failed=1)
    result.shows("E *UsageError: a snapshot is compared with ==: write assert … == chat_snapshot")
    assert files() == {}


@pytest.mark.parametrize("claim", ["chat_snapshot", "chat_snapshot(name='hello')"])
def test_a_snapshot_that_is_compared_with_nothing_does_not_pass(desk, claim):
    result = desk(
        {
            "test_it.py": f"""
            async def test_it(user_says, fake_llm, chat_snapshot):
                fake_llm.script("Hello.")
                await user_says("hi")
                assert {claim}
            """
        }
    ).run()
    result.outcomes(failed=1)
    result.shows("E *UsageError: a snapshot is compared with ==: write assert … == chat_snapshot")


# --- asked for, and not used

FORGOTTEN = """
async def test_nothing_is_compared(user_says, fake_llm, chat_snapshot):
    fake_llm.script("2pm.")
    await user_says("hi")


@pytest.mark.parametrize("index", range(2))
async def test_it_says_how_and_not_what(user_says, fake_llm, chat_snapshot, index):
    fake_llm.script("2pm.")
    turn = await user_says("hi")
    chat_snapshot("later", exclude=["message"])
"""
TAKE = "write assert agent_session.history == chat_snapshot, take it away, or let it pass"


def test_a_test_that_takes_it_and_compares_nothing_does_not_pass(desk):
    result = desk({"test_it.py": FORGOTTEN}).run()
    result.outcomes(failed=3)
    result.shows(
        "test_it.py:*: test_nothing_is_compared: chat_snapshot is asked for, and nothing was "
        f"compared with it; {TAKE}: @pytest.mark.lk(allow=['unused_snapshot'])",
        "test_it.py:*: test_it_says_how_and_not_what[0]: chat_snapshot('later') says how to "
        "compare, and nothing was compared with it; *",
    )


NOT_OWED = """
@pytest.fixture
def compared(chat_snapshot):
    return lambda value: value == chat_snapshot


@pytest.fixture(autouse=True)
def look(chat_snapshot):
    return chat_snapshot


@pytest.mark.parametrize("is_reviewed", [True, False])
async def test_in_a_branch(user_says, fake_llm, chat_snapshot, is_reviewed):
    fake_llm.script("2pm.")
    turn = await user_says("hi")
    if is_reviewed:
        assert turn == chat_snapshot


async def test_somebody_elses(user_says, fake_llm, compared):
    fake_llm.script("2pm.")
    await user_says("hi")


@pytest.mark.lk(allow=["unused_snapshot"])
async def test_allowed(user_says, fake_llm, chat_snapshot):
    fake_llm.script("2pm.")
    await user_says("hi")


async def test_skipped(user_says, chat_snapshot):
    pytest.skip("not today")


@pytest.mark.xfail(reason="not yet")
async def test_not_yet(user_says, chat_snapshot):
    assert False


async def test_fails_before(user_says, chat_snapshot):
    assert False, "before"


class TestWithDefaults:
    @pytest.fixture
    def chat_snapshot(self, chat_snapshot):
        return chat_snapshot.with_defaults(exclude=["instructions"])

    async def test_it(self, agent_session, chat_snapshot):
        chat_snapshot("start").assert_match(agent_session.history)
"""


def test_what_compares_in_a_branch_or_did_not_come_so_far_owes_no_comparison(desk):
    result = desk({"test_it.py": NOT_OWED}).run("--snapshot-update")
    result.outcomes(passed=5, skipped=1, xfailed=1, failed=1)
    result.shows_no("*nothing was compared*")
