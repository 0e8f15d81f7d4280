"""What can go wrong with the file of a snapshot: a clear line, and never half a snapshot."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from syrupy.data import Snapshot, SnapshotCollection

from pytest_lkagent.snapshot.extension import Extension

TEST = """
async def test_books(user_says, fake_llm, chat_snapshot):
    fake_llm.script(say("2pm it is."))
    assert await user_says("2pm please") == chat_snapshot
"""
FOLDER = "__lk_snapshots__/test_hotel.py"
FILE = f"{FOLDER}/test_books-e26a4abe.yaml"
TEXT = """\
format: 1
user: 2pm please
events:
- message: 2pm it is.
"""
ACCEPT = "E * *: pytest test_hotel.py::test_books --snapshot-update"


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def hotel(desk):
    return desk({"test_hotel.py": TEST})


@pytest.fixture
def file(pytester):
    """The file of the snapshot, in its folder."""
    path = pytester.path / FILE
    path.parent.mkdir(parents=True)
    return path


def test_this_is_the_snapshot(hotel, file):
    hotel.run("--snapshot-update").outcomes(passed=1)
    assert file.read_text() == TEXT
    assert [path.name for path in file.parent.iterdir()] == [file.name]


# --- changed by a hand

SAME = {
    "comments": "# looked at\n" + TEXT.replace("events:", "events:  # only one"),
    "layout": 'format: 1\n\nuser:    "2pm please"\nevents: [{message: 2pm it is.}]\n',
    "order of keys": "events:\n- message: 2pm it is.\nuser: 2pm please\nformat: 1\n",
    "line ends of Windows": TEXT.replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + TEXT,
    "no line end": TEXT.rstrip(),
    "a document's begin and end": f"---\n{TEXT}...\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_how_it_is_laid_out_does_not_matter(hotel, file, text):
    file.write_bytes(text.encode())
    for arguments in [], ["--snapshot-update"]:
        result = hotel.run(*arguments)
        result.outcomes(passed=1)
        result.shows("1 snapshot passed.")
        assert file.read_bytes() == text.encode()


TYPES = {"a number": "1", "a number with a point": "1.0", "a truth": "true", "a text": "'1'"}


@pytest.mark.parametrize("was", TYPES)
@pytest.mark.parametrize("now", TYPES)
def test_what_is_of_another_type_is_another_thing(was, now):
    """In Python ``1 == 1.0 == True``."""
    texts = [f"format: 1\nevents: [{{a: {TYPES[one]}}}]\n" for one in (was, now)]
    extension = Extension()
    assert extension.matches(snapshot_data=texts[0], serialized_data=texts[1]) is (was == now)
    laid_out = texts[0].replace("[{", "[ {")
    assert extension.matches(snapshot_data=laid_out, serialized_data=texts[1]) is (was == now)
    itself = "format: &it [*it]\n"
    assert not extension.matches(snapshot_data=itself, serialized_data=texts[1])


OTHER = {
    "no YAML": (
        TEXT.replace("- message", "- [message"),
        f"{FILE}:5:1: the snapshot is no YAML any more: did not find expected ',' or ']'",
    ),
    "a conflict of git's": (
        f"<<<<<<< HEAD\n{TEXT}=======\n{TEXT}>>>>>>> other\n",
        f"{FILE}:2:*: the snapshot is no YAML any more: *",
    ),
    "a tab": (TEXT.replace("user:", "\tuser:"), f"{FILE}:2:1: the snapshot is no YAML any more: *"),
    "a control character": (
        TEXT.replace("it is", "it\0is"),
        f"{FILE}*: the snapshot is no YAML any more: *",
    ),
    "a tag": (
        TEXT.replace("2pm it", "!!python/name:os.system 2pm it"),
        f"{FILE}:4:12: the snapshot is no YAML any more: *",
    ),
    "what would be no date": (
        TEXT.replace("2pm it is.", "2026-99-99"),
        f"the conversation is not the one in {FILE}:",
    ),
    "two documents": (f"{TEXT}---\n{TEXT}", f"{FILE}:5:1: the snapshot is no YAML any more: *"),
    "not UTF-8": (TEXT.encode().replace(b"it", b"\xff\xfe"), f"{FILE}:4:*: *UTF-8*"),
    "empty": ("", f"the snapshot {FILE} is of the format None, and this version of *"),
    "a list": ("- 1\n", f"the snapshot {FILE} is of the format None, and this version of *"),
    "a later format": (
        TEXT.replace("format: 1", "format: 2"),
        f"the snapshot {FILE} is of the format 2, and this version of *reads and writes 1",
    ),
    "another text": (
        TEXT.replace("2pm it", "3pm it"),
        f"the conversation is not the one in {FILE}:",
    ),
    "something of another kind": (
        TEXT.replace("- message: 2pm it is.", "- 1"),
        f"the conversation is not the one in {FILE}:",
    ),
    "no events": ("format: 1\nevents: 3\n", f"the conversation is not the one in {FILE}:"),
}


@pytest.mark.parametrize(("content", "line"), OTHER.values(), ids=OTHER)
def test_what_a_hand_broke_is_told_with_its_place_and_mended_by_an_update(
    hotel, file, content, line
):
    content = content if isinstance(content, bytes) else content.encode()
    file.write_bytes(content)
    result = hotel.run()
    result.outcomes(failed=1)
    result.shows(
        "> * == chat_snapshot", f"E *SnapshotMismatch: {line}", ACCEPT, "1 snapshot failed."
    )
    assert file.read_bytes() == content
    result = hotel.run("--snapshot-update")
    result.outcomes(passed=1)
    result.shows("1 snapshot updated.")
    assert file.read_text() == TEXT


def test_in_a_scenario_too(desk, pytester):
    scenario = "scenarios:\n- label: books\n  snapshot: true\n  turns: [{user: hi, llm: [Hi.]}]\n"
    made = desk({"hotel.yaml": scenario})
    made.run("hotel.yaml", "--snapshot-update").outcomes(passed=1)
    (file,) = (pytester.path / "__lk_snapshots__" / "hotel.yaml").iterdir()
    file.write_bytes(b"format: 1\nturns: {\n")
    result = made.run("hotel.yaml")
    result.outcomes(failed=1)
    result.shows(
        "hotel.yaml:3: books: __lk_snapshots__/hotel.yaml/books-*.yaml:3:1: the snapshot is no "
        "YAML any more: *",
        "      to write it anew: pytest hotel.yaml::books --snapshot-update",
    )


# --- that cannot be written or read


def test_a_file_in_the_place_of_the_folder_is_told(hotel, pytester):
    (pytester.path / "__lk_snapshots__").write_text("mine")
    for arguments in [], ["--snapshot-update"]:
        result = hotel.run(*arguments)
        result.outcomes(failed=1)
        result.shows(
            "> * == chat_snapshot",
            f"E *UsageError: the snapshot {FILE} cannot be written or read: *Not a directory*",
        )


def test_a_folder_in_the_place_of_the_file_is_told(hotel, file):
    file.mkdir()
    result = hotel.run("--snapshot-update")
    result.outcomes(failed=1)
    result.shows(f"E *UsageError: the snapshot {FILE} cannot be *: *Is a directory*")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_on_a_full_disk_the_old_snapshot_stays_and_nothing_else(hotel, file):
    old = TEXT.replace("2pm it", "1pm it")
    file.write_text(old)
    file.with_name(f".{os.getpid()}.part").symlink_to("/dev/full")
    result = hotel.run("--snapshot-update")
    result.outcomes(failed=1)
    result.shows(
        f"E *UsageError: the snapshot {FILE} cannot be written or read: *No space left on device"
    )
    assert file.read_text() == old
    assert list(file.parent.iterdir()) == [file]
    hotel.run("--snapshot-update").outcomes(passed=1)
    assert file.read_text() == TEXT


KILLED = """
import os
import signal
from pathlib import Path

import pytest
from agent import FrontDesk

@pytest.fixture
def agent():
    return FrontDesk

write = Path.write_text

def write_half(path, text, **how):
    write(path, text[: len(text) // 2], **how)
    os.kill(os.getpid(), signal.SIGKILL)

@pytest.fixture(autouse=True)
def killed(monkeypatch):
    monkeypatch.setattr(Path, "write_text", write_half)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_run_that_is_killed_while_it_writes_leaves_the_old_snapshot(hotel, desk, file, warm):
    old = TEXT.replace("2pm it", "1pm it")
    file.write_text(old)
    killed = desk({"test_hotel.py": TEST, "conftest.py": KILLED})
    result = killed.run("--snapshot-update", subprocess=True)
    assert result.exit_status == -signal.SIGKILL
    assert file.read_text() == old
    (part,) = [path for path in file.parent.iterdir() if path != file]
    assert part.read_text() == TEXT[: len(TEXT) // 2]

    result = hotel.run("--snapshot-update")
    result.outcomes(passed=1)
    result.shows("1 snapshot updated.")
    assert file.read_text() == TEXT
    result = hotel.run()
    assert result.exit_status == pytest.ExitCode.OK
    result.shows("1 snapshot passed.")


def test_two_workers_may_write_the_same_one(hotel, file, warm):
    result = hotel.run("--dist=each", "--tx=2*popen", "--snapshot-update", subprocess=True)
    result.outcomes(passed=2)
    assert file.read_text() == TEXT
    assert list(file.parent.iterdir()) == [file]


def test_another_process_may_write_it_in_between(tmp_path, monkeypatch):
    replace = Path.replace

    def write(text):
        collection = SnapshotCollection(location=str(tmp_path / "it.yaml"))
        collection.add(Snapshot(name="it", data=text))
        Extension.write_snapshot_collection(snapshot_collection=collection)

    def replace_late(part, target):
        monkeypatch.setattr(Path, "replace", replace)
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            write("theirs")
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", replace_late)
    write("ours")
    (file,) = tmp_path.iterdir()
    assert file.read_text() == "ours"


# --- without syrupy


def test_without_syrupy_it_says_so(desk):
    scenario = """\
scenarios:
- label: with one
  snapshot: true
  turns: [{user: hi, llm: [Hi.]}]
- label: without
  turns: [{user: hi, llm: [Hi.]}]
"""
    made = desk({"test_hotel.py": TEST, "hotel.yaml": scenario})
    result = made.run("-p", "no:syrupy", "hotel.yaml", "test_hotel.py")
    result.outcomes(passed=1, errors=2)
    told = "chat_snapshot needs syrupy, which is turned off: take -p no:syrupy away"
    result.shows(f"*{told}", f"*{told}")
