"""Arguments of tools: what fits is taken by LiveKit, what nearly fits is what models do send."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal
from unittest.mock import Mock
from uuid import UUID

import jsonschema
import pytest
from drawing import drawn_from, simplest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from livekit.agents import Agent, RunContext, function_tool, llm
from pydantic import AnyUrl, BaseModel, Field, Json

from pytest_lkagent.errors import UsageError
from pytest_lkagent.fuzz import tool_arguments
from pytest_lkagent.fuzz.arguments import arguments_of

CONTEXT = Mock(spec=RunContext)
few = settings(max_examples=25, suppress_health_check=[*HealthCheck])


class Diet(Enum):
    VEGAN = "vegan"
    NONE = "none"


class Guest(BaseModel):
    name: str = Field(min_length=1, max_length=40)
    age: int | None = Field(default=None, ge=0, le=120)
    diet: Diet = Diet.NONE


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Dish(BaseModel):
    name: str
    sides: list[Dish] = []
    instead: Dish | None = None


class Menu(BaseModel):
    courses: dict[str, Course]


class Course(BaseModel):
    dish: Dish
    then: Menu | None


class Desk(Agent):
    @function_tool
    async def book(self, ctx: RunContext, slot: str, guests: int = 1) -> str: ...


@function_tool
async def nothing() -> None: ...


@function_tool
async def scalars(a: str, b: int, c: float, d: bool, e: None) -> None: ...


@function_tool
async def optional(a: str | None, b: int | str = 3, c: list[int] | None = None) -> None: ...


@function_tool
async def bounds(
    count: Annotated[int, Field(ge=1, lt=9, multiple_of=2)],
    share: Annotated[float, Field(gt=0, le=1)],
    price: Annotated[float, Field(ge=0, multiple_of=0.25)],
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}\d{4}$")],
    note: Annotated[str, Field(max_length=3)],
    tags: Annotated[list[str], Field(min_length=2, max_length=3)],
) -> None: ...


@function_tool
async def choices(
    diet: Diet, size: Literal["S", "M", 3], sizes: set[Literal["S", "M"]]
) -> None: ...


@function_tool
async def models(guests: list[Guest], host: Guest | None, pet: Cat | Dog) -> None: ...


@function_tool
async def tagged(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...


@function_tool
async def formats(
    at: datetime, on: date, when: time, lasts: timedelta, key: UUID, at4: IPv4Address,
    at6: IPv6Address, link: AnyUrl, raw: bytes, filled: Json[dict[str, int]],
) -> None: ...  # fmt: skip


@function_tool
async def containers(
    by_name: dict[str, int], anything: Any, free: dict[str, Any], pair: tuple[int, str],
    many: tuple[int, ...], rows: list[list[bool]], kinds: frozenset[int],
) -> None: ...  # fmt: skip


@function_tool
async def recursive(dish: Dish) -> None: ...


@function_tool
async def in_a_ring(menu: Menu) -> None: ...


@function_tool(on_duplicate="confirm")
async def confirmed(slot: str) -> None: ...


TOOLS = [
    *(nothing, scalars, optional, bounds, choices, models, tagged, formats, containers, recursive),
    *(in_a_ring, confirmed, Desk(instructions="").book),
]


# --- what fits


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_livekit_hands_a_tool_whatever_fits_its_schema(tool):
    @few
    @given(arguments_of(tool).valid)
    def is_taken(arguments):
        sent = json.dumps(arguments, allow_nan=False)
        llm.utils.prepare_function_arguments(fnc=tool, json_arguments=sent, call_ctx=CONTEXT)

    is_taken()


def test_a_tool_of_the_class_is_that_of_its_instances():
    assert arguments_of(Desk.book) is arguments_of(Desk(instructions="").book)
    assert arguments_of(Desk.book) is arguments_of(Desk(instructions="").book)


def test_optional_arguments_are_given_and_left_out():
    drawn = drawn_from(arguments_of(Desk.book).valid, 40)
    assert {frozenset(arguments) for arguments in drawn} == {
        frozenset({"slot"}),
        frozenset({"slot", "guests"}),
    }


def test_a_tool_without_parameters_is_called_without_arguments():
    assert simplest(arguments_of(nothing).valid) == {}
    with pytest.raises(NoSuchExample):
        simplest(arguments_of(nothing).valid, bool)


def test_a_recursive_model_is_drawn_in_more_than_one_depth():
    def depth(dish):
        return 1 + max(map(depth, dish.get("sides", [])), default=0)

    depths = {depth(drawn["dish"]) for drawn in drawn_from(arguments_of(recursive).valid, 100)}
    assert depths >= {1, 2, 3}


RAW = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Rome", "Oslo"]},
        "range": {"allOf": [{"$ref": "#/$defs/span"}, {"required": ["to"]}]},
        "where": {"oneOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
        "guests": {"type": "integer", "exclusiveMinimum": 0, "maximum": 8},
    },
    "required": ["city", "range", "guests"],
    "additionalProperties": False,
    "$defs": {
        "span": {
            "type": "object",
            "properties": {"from": {"type": "integer"}, "to": {"type": "integer", "minimum": 5}},
        }
    },
}


@function_tool(raw_schema={"name": "search", "parameters": RAW})
async def search(raw_arguments: dict[str, object]) -> None: ...


@few
@given(arguments_of(search).valid)
def test_a_raw_schema_is_kept_to_as_well(arguments):
    jsonschema.validate(arguments, RAW)


def test_a_schema_alone_will_do():
    @few
    @given(tool_arguments({"properties": {"n": {"type": "integer"}}, "required": ["n"]}))
    def is_drawn(arguments):
        assert isinstance(arguments, (dict, str))

    is_drawn()


# --- any schema

small = st.integers(0, 4)
numbers = st.integers(-5, 5) | st.sampled_from([0.5, -1.5, 2.25])


def of(kind, **keywords):
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=keywords)


def wrapped(key, schemas):
    return st.lists(schemas, min_size=1, max_size=3).map(lambda listed: {key: listed})


NAMES = st.sampled_from("abcd")
BOUNDED = st.one_of(
    of("string", minLength=small, maxLength=small),
    of("integer", minimum=numbers, exclusiveMinimum=numbers, maximum=numbers,
       multipleOf=st.sampled_from([2, 3, 5])),
    of("number", minimum=numbers, exclusiveMaximum=numbers),
    of("array", items=st.just({"type": ["integer", "null"]}), minItems=small, maxItems=small,
       uniqueItems=st.booleans()),
    of("object", required=st.lists(NAMES, max_size=2, unique=True),
       properties=st.dictionaries(NAMES, st.just({"type": "boolean"}))),
)  # fmt: skip
LEAVES = st.one_of(
    BOUNDED,
    st.sampled_from([
        True, False, {}, {"const": "b"}, {"type": ["string", "null"]}, {"type": "boolean"},
        {"type": "null"}, {"type": "string", "pattern": "^a+$"}, {"$ref": "#/$defs/A"},
        {"$ref": "#/$defs/B"},
    ]),
    wrapped("enum", st.sampled_from([1, "a", None, True, 2.5, [1], {"a": 1}])),
    wrapped("allOf", BOUNDED),
    st.builds(lambda one, other: {**one, **other}, BOUNDED, wrapped("anyOf", BOUNDED)),
)  # fmt: skip
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        of("array", items=inner, minItems=small, maxItems=small, uniqueItems=st.booleans()),
        of("array", items=inner, minItems=small, maxItems=small,
           prefixItems=st.lists(inner, min_size=1, max_size=2)),
        of("object", properties=st.dictionaries(NAMES, inner, max_size=3),
           required=st.lists(NAMES, max_size=2, unique=True),
           additionalProperties=inner | st.booleans(), minProperties=small, maxProperties=small),
        wrapped("anyOf", inner),
    ),
    max_leaves=6,
)  # fmt: skip
DEFINED = st.builds(lambda inner: {"type": "array", "items": inner}, SCHEMAS)


BITS = {"type": "array", "items": {"type": "boolean"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 3, "maximum": 4},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
        {"type": "integer", "minimum": 3, "exclusiveMinimum": 3, "maximum": 5},
        {"type": "integer", "minimum": 3.5, "maximum": 5.5, "multipleOf": 2.5},
        {"type": "integer", "minimum": 2**60, "maximum": 2**60 + 1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "minimum": 0, "maximum": 0},
        {"type": "number", "multipleOf": 0.5, "minimum": 1.2, "maximum": 2.9},
        {"type": "string", "minLength": 2, "maxLength": 3},
        {"type": "string", "minLength": 90},
        {"type": "string", "pattern": "^a{2,5}$", "maxLength": 4},
        {"type": "string", "pattern": "^(a$|b$)|^c$"},
        {"type": "string", "pattern": r"^[$]\$$"},
        {"type": "string", "format": "email", "minLength": 12},
        {"allOf": [{"type": "string", "minLength": 2}, {"minLength": 4}, {"maxLength": 4}]},
        {"allOf": [{"type": "integer", "multipleOf": 4}, {"multipleOf": 6}]},
        {"allOf": [{"type": ["integer", "null"]}, {"type": ["number", "string"]}]},
        {"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 4]}]},
        {"allOf": [{"minimum": 1}, {"minimum": 3}, {"type": "integer", "maximum": 4}]},
        {"allOf": [BITS, {"minItems": 2, "items": {"const": True}}]},
        {"allOf": [BITS, {"maxItems": 2}, {"uniqueItems": True}]},
        {"anyOf": [{"minLength": 2}, {"maxLength": 0}], "type": "string"},
        {"oneOf": [{"const": 1}, {"const": 2}], "anyOf": [{"const": 2}, {"const": 3}]},
        {**BITS, "minItems": 1, "maxItems": 2},
        {**BITS, "minItems": 2, "uniqueItems": True},
        {**BITS, "prefixItems": [{"const": "a"}, {"const": "b"}], "minItems": 3},
        {**BITS, "prefixItems": [{"const": "a"}, {"const": "b"}], "maxItems": 1},
        {"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 2},
        {"type": "object", "additionalProperties": {"type": "null"}, "maxProperties": 1},
        {"type": "object", "properties": {"a": BITS, "b": BITS}, "minProperties": 1},
        {"type": "object", "properties": {"a": BITS, "b": BITS}, "maxProperties": 1},
        {"type": "object", "propertyNames": {"pattern": "^a+$"}, "minProperties": 1},
        {
            "type": "object",
            "properties": {"a": BITS},
            "required": ["a", "b"],
            "additionalProperties": {"type": "null"},
        },
        {
            "allOf": [
                {"type": "object", "properties": {"a": BITS}, "required": ["a"]},
                {"properties": {"a": {"minItems": 2}, "b": {"const": 1}}, "required": ["b"]},
            ]
        },
    ],
    ids=str,
)
def test_each_bound_is_kept(schema):
    around = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    for drawn in drawn_from(arguments_of(around).valid, 200):
        jsonschema.validate(drawn, around)


@pytest.mark.parametrize("bounds", [{}, {"minimum": 1}, {"maximum": 10_000}])
@pytest.mark.parametrize("of", ["integer", "number"])
def test_so_many_as_callers_say_are_drawn_often_and_others_too(of, bounds):
    room = {"type": of, **bounds}
    around = {"type": "object", "properties": {"room": room}, "required": ["room"]}
    drawn = [one["room"] for one in drawn_from(arguments_of(around).valid, 200)]
    assert len([room for room in drawn if room in range(1, 10)]) > 20
    assert max(drawn) > 1_000


def test_a_pattern_ends_where_the_text_does():
    """To Python alone a "$" stands before a last line break too, which LiveKit's models refuse."""
    around = {"type": "object", "properties": {"x": {"pattern": "^a$"}}, "required": ["x"]}
    assert {drawn["x"] for drawn in drawn_from(arguments_of(around).valid, 100)} == {"a"}


def test_schemas_of_older_drafts_are_read():
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 4},
            "pair": {"type": "array", "items": [{"const": 1}, {"const": 2}], "minItems": 2},
        },
        "required": ["n", "pair"],
        "definitions": {},
    }
    for drawn in drawn_from(arguments_of(schema).valid, 200):
        assert (drawn["n"], drawn["pair"][:2]) == (4, [1, 2])


@settings(max_examples=100, suppress_health_check=[*HealthCheck])
@given(DEFINED, DEFINED, SCHEMAS, st.data())
def test_what_is_drawn_satisfies_whatever_schema_or_nothing_does(a, b, inner, data):
    schema = {
        "$defs": {"A": a, "B": b},
        "type": "object",
        "properties": {"x": inner},
        "required": ["x"],
    }
    try:
        valid = arguments_of(schema).valid
    except UsageError as error:
        refused = str(error)
    else:
        refused = ""
        jsonschema.Draft202012Validator(schema).validate(data.draw(valid))
    assert refused == "" or refused.startswith("tool_arguments(): no JSON satisfies its schema (x")


# --- what nearly fits


def test_one_in_five_is_no_more_than_near():
    drawn = drawn_from(tool_arguments(RAW), 400)
    share = sum(not fits(one, RAW) for one in drawn) / len(drawn)
    assert 0.1 < share < 0.35


def fits(arguments, schema):
    return jsonschema.Draft202012Validator(schema).is_valid(arguments)


TRIP = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Rome", "Oslo"]},
        "n": {"type": "integer", "minimum": 1, "maximum": 4},
        "on": {"type": "boolean"},
        "list": {"type": "array", "items": {"const": "a"}, "minItems": 1, "maxItems": 2},
        "who": {"type": "object", "properties": {"age": {"const": 7}}, "required": ["age"]},
    },
    "required": ["city", "n", "on", "list", "who"],
}


@pytest.fixture(scope="module")
def near():
    return drawn_from(arguments_of(TRIP).near, 2_000)


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        ("null", lambda sent: sent.get("city", 0) is None),
        ("another type", lambda sent: sent.get("n") in ("1", "2", "3", "4")),
        ("beside the enum", lambda sent: sent.get("city") in ("ROME", "OSLO")),
        ("beyond the bounds", lambda sent: sent.get("n") == 5),
        ("huge", lambda sent: sent.get("n") == 10**30),
        ("a huge text", lambda sent: len(str(sent.get("city"))) == 10_000),
        ("a long list", lambda sent: len(sent.get("list") or ()) == 1_000),
        ("one instead of a list", lambda sent: sent.get("list") == "a"),
        ("an object as text", lambda sent: sent.get("who") == '{"age": 7}'),
        ("deep inside", lambda sent: sent.get("who") == {"age": None}),
        ("missing", lambda sent: sent.keys() == {"city", "on", "list", "who"}),
        ("missing deep inside", lambda sent: sent.get("who") == {}),
        ("one too many", lambda sent: "extra" in sent),
        ("misspelt", lambda sent: "CITY" in sent),
        ("emptied list", lambda sent: sent.get("list") == []),
    ],
)
def test_models_miss_a_schema_like_this(near, kind, is_one):
    assert any(is_one(sent) for sent in near if isinstance(sent, dict)), kind


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        ("cut off", lambda text: text.startswith('{"') and not text.endswith("}")),
        ("encoded twice", lambda text: text.startswith('"{')),
        ("in a fence", lambda text: text.startswith("```json")),
        ("a comma too many", lambda text: text.endswith(",}")),
        ("in a list", lambda text: text.startswith("[{")),
        ("in Python's words", lambda text: "True" in text or "False" in text),
        ("with tokens of the template", lambda text: "<|im_end|>" in text),
        ("empty", lambda text: text == ""),
        ("no object", lambda text: text == "null"),
        ("prose", lambda text: text == "I don't know."),
    ],
)
def test_models_break_json_like_this(near, kind, is_one):
    assert any(is_one(sent) for sent in near if isinstance(sent, str)), kind


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_whatever_nearly_fits_is_answered_by_livekit_and_never_breaks_it(tool):
    """A ToolError is what the model reads; whatever else would be a fault of LiveKit's or ours."""

    @few
    @given(arguments_of(tool).near)
    def is_answered(sent):
        text = sent if isinstance(sent, str) else json.dumps(sent)
        with suppress(llm.ToolError):
            llm.utils.prepare_function_arguments(fnc=tool, json_arguments=text, call_ctx=CONTEXT)

    is_answered()


# --- shrinking


def test_the_simplest_arguments_fit():
    assert simplest(tool_arguments(Desk.book)) == {"slot": ""}
    assert simplest(tool_arguments(choices)) == {"diet": "vegan", "size": "S", "sizes": []}
    assert simplest(tool_arguments(recursive)) == {"dish": {"name": ""}}


def test_what_matters_alone_remains():
    assert simplest(tool_arguments(Desk.book), lambda sent: "guests" in sent) == {
        "slot": "",
        "guests": 0,
    }
    assert simplest(
        tool_arguments(RAW), lambda sent: isinstance(sent, dict) and sent.get("guests") == 3
    ) == {
        "city": "Rome",
        "range": {"to": 5},
        "guests": 3,
    }


def test_broken_arguments_are_the_simplest_ones_broken():
    def is_text(sent):
        return isinstance(sent, str)

    assert simplest(tool_arguments(Desk.book), is_text) == "{"
