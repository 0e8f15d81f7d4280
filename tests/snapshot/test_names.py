"""What the file of a snapshot is called, whatever the test is called."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_lkagent.snapshot.names import base_of, file_name, stem

LABELS = st.text() | st.text(st.characters()) | st.sampled_from(
    ["ab", "a/b", "a-b", "a b", "Ab", "AB", "a", "A", "\xe4", "a\u0308", "\xc4", "A\u0308",
     "\u212b", "\xc5", "stra\xdfe", "strasse", "\u0130", "i\u0307", "\u4f60\u597d" * 150, "", "-",
     "..", ".", "a.1", "CON", "nul.txt", "a ", "a.", "\ufb01", "fi", "\ud800", "a:b", "x" * 300]
)  # fmt: skip
INDEXES = st.just(0) | st.integers(1, 20) | LABELS
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def on_any_disk(name):
    """Return the name as a disk knows it that tells neither case nor composition apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@given(LABELS, LABELS)
@example("a/b", "ab")
@example("Ab", "ab")
@example("a\u0308", "\xe4")
@example("x" * 300, "x" * 301)
@example("\ud800", "\ud801")
def test_other_labels_have_other_files_on_every_disk(one, other):
    names = {on_any_disk(file_name(label)) for label in (one, other)}
    assert len(names) == len({one, other})


@given(LABELS, LABELS, INDEXES, INDEXES)
@example("a", "a", 0, "")
@example("a", "a", 1, "1")
@example("a", "a", "A", "a")
@example("a", "a", "second!", stem("second!"))
def test_other_snapshots_have_other_files_on_every_disk(one, other, first, second):
    names = {on_any_disk(file_name(*of)) for of in ((one, first), (other, second))}
    assert len(names) == len({(one, first), (other, second)})


@given(LABELS, INDEXES)
@example("\u4f60\u597d" * 150, "\u4f60\u597d" * 150)
@example("x" * 300, "a" * 41)
@example("x" * 300, 10**6)
def test_every_disk_takes_a_name(label, index):
    name = file_name(label, index)
    for form in ("NFC", "NFD"):
        assert len(unicodedata.normalize(form, name).encode("utf-16-le")) // 2 <= 255
    assert len(name.encode()) <= 255
    assert not set(name) & set('<>:"/\\|?*')
    assert name.isprintable()
    assert unicodedata.is_normalized("NFC", name)  # what one types is what is there
    assert not name.startswith((".", "-", " "))
    assert name.endswith(".yaml")
    assert not RESERVED.fullmatch(name)
    assert PureWindowsPath(name).name == name


@given(LABELS, INDEXES)
def test_a_name_says_whose_snapshot_it_is(label, index):
    assert base_of(file_name(label, index)) == stem(label)


@pytest.mark.parametrize(
    ("label", "index", "name"),
    [
        ("Books the first free slot", 0, "Books-the-first-free-slot-{}.yaml"),
        ("test_books[2pm]", 1, "test_books-2pm-{}.1.yaml"),
        ("Caf\xe9: \u65e5\u672c\u8a9e!", "turn-2", "Caf\xe9-\u65e5\u672c\u8a9e-{}.turn-2.yaml"),
        ("a/../b", "The end", "a-b-{}.The-end-{}.yaml"),
        ("...", 0, "{}.yaml"),
    ],
)
def test_what_can_be_read_of_a_label_is_in_its_name(label, index, name):
    pattern = re.escape(name).replace(re.escape("{}"), "[0-9a-f]{8}")
    assert re.fullmatch(pattern, file_name(label, index))


def test_a_name_is_the_same_on_every_machine():
    assert file_name("Books a slot") == "Books-a-slot-e9d8a99f.yaml"
