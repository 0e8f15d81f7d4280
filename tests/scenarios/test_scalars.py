"""One file means one thing: what `lk` makes of a scalar, we make of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from pytest_lkagent.scenarios.load import load
from pytest_lkagent.scenarios.scalars import resolve
from pytest_lkagent.times import duration, moment

LIVEKIT_FILES = Path(__file__).parents[3] / "shared" / "data" / "livekit_scenarios"

# The reference table, and what yaml.v3's resolve.go and Go's JSON make of the cases around it.
TABLE = [
    *[(word, "str", word) for word in ("no", "off", "y", "yes", "On", "12:30", "2pm", "1.2.3")],
    *[(word, "str", word) for word in ("-", "+", ".", "..", "0x", "0b2", "1e", "_1", "nan", "--1")],
    *[(word, "bool", True) for word in ("true", "True", "TRUE")],
    *[(word, "bool", False) for word in ("false", "False", "FALSE")],
    *[(word, "null", None) for word in ("", "~", "null", "Null", "NULL")],
    ("2026-06-12", "timestamp", "2026-06-12T00:00:00Z"),
    ("2026-6-2", "timestamp", "2026-06-02T00:00:00Z"),
    ("2026-06-12T09:00:00", "str", "2026-06-12T09:00:00"),
    ("2026-06-12T09:00:00Z", "timestamp", "2026-06-12T09:00:00Z"),
    ("2026-06-12t9:00:00+02:00", "timestamp", "2026-06-12T09:00:00+02:00"),
    ("2026-06-12T09:00:00.250+00:00", "timestamp", "2026-06-12T09:00:00.25Z"),
    ("2026-06-12 09:00:00", "timestamp", "2026-06-12T09:00:00Z"),
    ("2026-06-12 09:00:00Z", "str", "2026-06-12 09:00:00Z"),
    ("2026-13-12", "str", "2026-13-12"),
    ("2026-02-29", "str", "2026-02-29"),
    ("0000-02-29", "timestamp", "0000-02-29T00:00:00Z"),
    ("2026-06-12T24:00:00Z", "str", "2026-06-12T24:00:00Z"),
    ("0777", "int", 511),
    ("0o17", "int", 15),
    ("0x1F", "int", 31),
    ("0b101", "int", 5),
    ("-0b101", "int", -5),
    ("1_000", "int", 1000),
    ("+5", "int", 5),
    ("0", "int", 0),
    ("9223372036854775807", "int", 2**63 - 1),
    ("-9223372036854775808", "int", -(2**63)),
    ("18446744073709551615", "int", 2**64 - 1),
    ("123456789012345678901", "float", 123456789012345680000),
    ("0x" + "f" * 17, "str", "0x" + "f" * 17),
    ("9" * 400, "str", "9" * 400),
    ("08001", "float", 8001),
    ("1e3", "float", 1000),
    ("1.10", "float", 1.1),
    (".5", "float", 0.5),
    (".5_0", "str", ".5_0"),
    ("1.", "float", 1),
    ("-1.5e-3", "float", -0.0015),
    ("1e21", "float", 1e21),
    ("-0.0", "float", 0),
    ("1e999", "str", "1e999"),
]


@pytest.mark.parametrize(("text", "kind", "value"), TABLE)
def test_a_scalar_means_what_lk_makes_of_it(text, kind, value):
    assert resolve(text) == (kind, value)
    assert type(resolve(text)[1]) is type(value)


@pytest.mark.parametrize("text", [".nan", ".inf", "-.Inf", "+.INF"])
def test_a_number_that_json_cannot_hold_is_a_float_that_is_not_finite(text):
    kind, value = resolve(text)
    assert (kind, value - value != 0) == ("float", True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("2s", 2.0),
        ("1m", 60.0),
        ("1.5", 1.5),
        (".5 s", 0.5),
        ("3", 3.0),
        ("2.s", 2),
    ],
)
def test_durations_are_read_as_seconds(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1h", "1 m s", "m", "1e3", "\uff19s", "9" * 30])
def test_what_is_no_duration_is_none(text):
    assert duration(text) is None


def test_a_moment_without_a_zone_is_in_utc():
    assert moment("2026-06-12T09:00:00") == datetime(2026, 6, 12, 9, tzinfo=UTC)
    assert moment("2026-06-12") == datetime(2026, 6, 12, tzinfo=UTC)
    assert moment("2026-06-12T09:00:00-05:00").utcoffset() == timedelta(hours=-5)
    assert moment("2026-06-12T09:00:00+02:00").tzinfo == timezone(timedelta(hours=2))
    assert moment("soon") is None


def test_userdata_and_tags_follow_lk_explicit_tags_and_quotes_included(read_one):
    scenario = read_one("""\
        instructions: x
        tags: {a: no, b: 1.10, c: 2026-06-12, d: ~, e: , f: 'x', 1: 08001}
        userdata:
          plain: [no, 2026-06-12, 12:30, 0777, 08001, 1e3, ~, true, ]
          quoted: ['no', "1", '2026-06-12', '~']
          tagged: [!!str 1, !!int "1", !!float 2, !!bool 'true', !!null '']
          block: |
            12
          "1": text key
          no: y
        """)
    assert scenario.tags == {
        "a": "no", "b": "1.10", "c": "2026-06-12", "d": "", "e": "", "f": "x", "1": "08001",
    }  # fmt: skip
    assert scenario.userdata == {
        "plain": ["no", "2026-06-12T00:00:00Z", "12:30", 511, 8001, 1000, None, True],
        "quoted": ["no", "1", "2026-06-12", "~"],
        "tagged": ["1", 1, 2, True, None],
        "block": "12\n",
        "1": "text key",
        "no": "y",
    }


def test_userdata_may_be_empty_or_nothing(read):
    empty, nothing = read("""\
        scenarios:
        - {label: a, turns: [], userdata: {}, tags: }
        - {label: b, turns: [], userdata: ~}
        """).scenarios
    assert (empty.userdata, empty.tags, nothing.userdata) == ({}, {}, None)


def test_a_dollar_in_userdata_and_tags_is_nobodys_capture(read_one):
    scenario = read_one("turns: []\nuserdata: {a: '${x}'}\ntags: {b: '${y}'}\n")
    assert (scenario.userdata, scenario.tags) == ({"a": "${x}"}, {"b": "${y}"})


class _Yaml12(yaml.SafeLoader):
    """An independent reading of LiveKit's files: YAML 1.2's core schema, dates as in Go."""

    yaml_implicit_resolvers: dict = {}


_Yaml12.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), None)
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), None)
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?[1-9]\d*$|^0$"), None)
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?\d+\.\d+$"), None)
_Yaml12.add_implicit_resolver("!date", re.compile(r"^\d{4}-\d\d-\d\d$"), None)
_Yaml12.add_constructor("!date", lambda loader, node: f"{node.value}T00:00:00Z")


@pytest.mark.skipif(not LIVEKIT_FILES.is_dir(), reason=f"no LiveKit files in {LIVEKIT_FILES}")
@pytest.mark.parametrize(
    ("name", "count"),
    [("frontdesk", 10), ("data_capture_sim", 10), ("hotel_receptionist", 100)],
)
def test_livekits_own_files_load_with_the_userdata_and_tags_that_lk_reads(name, count):
    path = LIVEKIT_FILES / f"{name}.yaml"
    file = load(path)
    written = yaml.load(path.read_text("utf-8"), Loader=_Yaml12)
    assert len(file.scenarios) == len(written["scenarios"]) == count
    assert file.name == written["name"]
    for scenario, expected in zip(file.scenarios, written["scenarios"], strict=True):
        assert scenario.label == expected["label"]
        assert scenario.instructions == expected["instructions"]
        assert scenario.agent_expectations == expected["agent_expectations"]
        assert scenario.userdata == expected.get("userdata")
        assert scenario.tags == {key: str(value) for key, value in expected["tags"].items()}
        assert scenario.turns is None
