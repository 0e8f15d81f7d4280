"""Comparing the error of a run, and the userdata after it, with what was expected."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from textwrap import dedent
from types import SimpleNamespace

import pytest

from pytest_lkagent.scenarios.expect import match_after, match_error
from pytest_lkagent.scenarios.expectations import ErrorExpectation, TextMatch
from pytest_lkagent.scenarios.model import After
from pytest_lkagent.sites import Site

SITE = Site("desk.yaml", 41)


def told(mismatch):
    """The text that a user reads."""
    assert mismatch is not None
    return str(mismatch)


def text_of(block):
    return dedent(block).strip("\n")


class APIError(Exception):
    pass


class APIStatusError(APIError):
    pass


def error_expected(kind=None, **text):
    return ErrorExpectation(type=kind, text=TextMatch(**text), site=SITE)


@pytest.fixture
def failure():
    try:
        try:
            raise APIStatusError("overloaded")
        except APIStatusError as cause:
            raise RuntimeError("no reply") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "expected",
    [
        error_expected("RuntimeError"),
        error_expected("APIStatusError", matches=re.compile("^over")),
        error_expected("APIError", contains="load"),
        error_expected("Exception"),
        error_expected(contains="reply"),
    ],
)
def test_an_error_is_found_anywhere_among_its_causes_and_by_a_base_class(expected, failure):
    assert match_error(expected, failure) is None


def test_an_error_that_is_not_there_is_told_with_all_its_causes(failure):
    assert told(match_error(error_expected("APIError", contains="quota"), failure)) == text_of("""\
        expected APIError that contains 'quota'
              raised: RuntimeError, which is no APIError
                no reply
              caused by: APIStatusError: expected a text that contains 'quota', got 'overloaded'
        """)


def test_type_and_text_must_hold_of_the_same_error(failure):
    assert match_error(error_expected("RuntimeError", contains="overloaded"), failure) is not None


def test_no_error_at_all_is_told():
    mismatch = match_error(error_expected(contains="quota"), None)
    assert told(mismatch) == ("expected an error that contains 'quota'\n      nothing was raised")


def test_causes_in_a_circle_come_to_an_end():
    one, other = ValueError("a"), ValueError("b")
    one.__cause__, other.__cause__ = other, one
    assert match_error(error_expected("KeyError"), one) is not None


@dataclass
class Order:
    attempts: int = 2
    guest: dict = field(default_factory=lambda: {"name": "Ann"})
    items: tuple = ("tea", "cake")


def after(**userdata):
    return After(userdata=userdata, site=SITE)


@pytest.mark.parametrize("userdata", [Order(), {"attempts": 2, "guest": {"name": "Ann"},
                                      "items": ["tea", "cake"]}])  # fmt: skip
def test_userdata_is_compared_by_attributes_and_keys(userdata):
    expected = after(attempts=2, guest={"name": "Ann"}, items=["tea", "cake"])
    assert match_after(expected, userdata) is None


def test_all_that_differs_in_the_userdata_is_told():
    mismatch = match_after(
        after(attempts=1, guest={"name": "Bob"}, items=["tea", "pie"], paid=True), Order()
    )
    assert told(mismatch) == text_of(
        """\
        expected other userdata after the turn
              userdata differs at attempts: expected 1, got 2
              userdata differs at guest.name: expected 'Bob', got 'Ann'
              userdata differs at items[1]: expected 'pie', got 'cake'
              userdata differs at paid: expected True, but got Order(attempts=2, """
        """guest={'name': 'Ann'}, items=('tea', 'cake'))
        """
    )
    assert mismatch.site == SITE


@dataclass(slots=True)
class Slotted:
    attempts: int = 0


@pytest.mark.parametrize(
    "userdata", [{"attempts": 1}, SimpleNamespace(attempts=1), Slotted(attempts=1)]
)
def test_a_misspelt_name_is_told_with_the_one_that_may_be_meant(userdata):
    assert told(match_after(after(attempst=1), userdata)).endswith("; did you mean 'attempts'?")
    assert "did you mean" not in told(match_after(after(zzz=1), userdata))
    assert "did you mean" not in told(match_after(after(attempts={"counts": 1}), {"attempts": ""}))


def test_userdata_may_be_nested_objects_and_none():
    assert match_after(after(a={"b": 1}), SimpleNamespace(a=SimpleNamespace(b=1))) is None
    mismatch = match_after(after(a={"b": 1}), {"a": None})
    assert told(mismatch).endswith("userdata differs at a.b: expected 1, but got None")


def test_a_session_without_userdata_is_told_in_one_line():
    for wanted in ({"attempts": 1, "paid": True}, {}):
        assert told(match_after(after(**wanted), None)) == (
            "after: this session has no userdata; write userdata: in the scenario, override the "
            "fixture userdata, or have the entrypoint give it some"
        )


def test_an_empty_mapping_is_for_userdata_with_nothing_in_it():
    after = After(userdata={"order": {}}, site=SITE)
    assert match_after(after, {"order": {}}) is None
    assert "userdata differs at order: expected nothing, got {'L_1': 'burger'}" in told(
        match_after(after, {"order": {"L_1": "burger"}})
    )
    for nothing in (None, False, 0, "", []):
        assert f"userdata differs at order: expected {{}}, got {nothing!r}" in told(
            match_after(after, {"order": nothing})
        )
    whole = After(userdata={}, site=SITE)
    assert "userdata differs: expected nothing" in told(match_after(whole, {"a": 1}))
