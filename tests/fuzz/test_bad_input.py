"""What cannot be drawn from: one line, with what, where, and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal

import pytest
from livekit.agents import Agent, AgentTask, function_tool, llm
from pydantic import BaseModel, Field

from pytest_lkagent.errors import UsageError
from pytest_lkagent.fuzz import chat_contexts, completions, conversations, tool_arguments

HERE = Path(__file__)


def refusal(function, *args):
    with pytest.raises(UsageError) as refused:
        function(*args)
    [line] = str(refused.value).splitlines()
    return re.sub(rf"\S*{re.escape(HERE.name)}:\d+", "HERE:N", line)


class Socket:
    pass


class Endless(BaseModel):
    within: Endless


@function_tool
async def bare(slot, guests: int) -> None: ...


@function_tool
async def unreadable(slot: str, door: Socket) -> None: ...


@function_tool
async def misspelt(slot: Slot) -> None: ...  # noqa: F821


@function_tool
async def impossible(
    slot: str, guests: Annotated[int, Field(ge=5, le=3)], size: Literal["S"] = "S"
) -> None: ...


@function_tool
async def endless(what: Endless) -> None: ...


def test_a_tool_without_annotations():
    assert refusal(tool_arguments, bare) == (
        "HERE:N: the tool 'bare': 'slot' has no annotation, so LiveKit cannot tell a model what "
        "it is; write slot: str, or whatever it takes"
    )


def test_a_method_without_annotations_is_found_at_its_line():
    class Desk(Agent):
        @function_tool
        async def book(self, slot): ...

    line = Desk.book.__wrapped__.__code__.co_firstlineno
    with pytest.raises(
        UsageError, match=rf"test_bad_input\.py:{line}: the tool 'book': 'slot' has"
    ):
        tool_arguments(Desk.book)


def test_a_tool_with_an_annotation_that_pydantic_cannot_read():
    assert refusal(tool_arguments, unreadable).startswith(
        "HERE:N: the tool 'unreadable': no JSON schema can be made of 'door': "
        "PydanticSchemaGenerationError: Unable to generate pydantic-core schema for "
    )
    assert refusal(tool_arguments, unreadable).endswith(
        "; annotate it as what a model can send, or give the tool a raw_schema"
    )


def test_an_annotation_that_there_is_not():
    assert refusal(tool_arguments, misspelt) == (
        "HERE:N: the tool 'misspelt': no JSON schema can be made of its annotations: "
        "NameError: name 'Slot' is not defined; annotate it as what a model can send, or give the "
        "tool a raw_schema"
    )


def test_a_schema_that_nothing_satisfies():
    assert refusal(tool_arguments, impossible) == (
        "HERE:N: the tool 'impossible': no JSON satisfies its schema (guests: nothing is "
        '{"maximum": 3, "minimum": 5, "type": "integer"}); loosen it'
    )


def test_a_recursive_schema_that_never_ends():
    assert refusal(tool_arguments, endless) == (
        "HERE:N: the tool 'endless': no JSON satisfies its schema (what.within.within.within: "
        "#/$defs/Endless holds itself, without an end); loosen it"
    )


OBJECT: dict[str, Any] = {"type": "object", "required": ["x"]}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (False, "the schema is false"),
        ({"type": "integer", "minimum": 4, "exclusiveMaximum": 4}, None),
        ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, None),
        ({"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 13}, None),
        ({"type": "string", "minLength": 3, "maxLength": 2}, None),
        ({"type": "array", "minItems": 3, "maxItems": 2}, None),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True}, None),
        ({"type": "string", "enum": [1, 2]}, None),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, None),
        ({"allOf": [{"enum": ["a"]}, {"const": "b"}]}, None),
        ({"type": "object", "properties": {}, "minProperties": 1}, None),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, None),
        ({"anyOf": []}, "anyOf of nothing"),
        ({"type": "array", "items": False, "minItems": 1}, "the schema is false"),
    ],
)
def test_contradictions_are_told_at_their_place(schema, told):
    line = refusal(tool_arguments, {**OBJECT, "properties": {"x": schema}})
    assert line.startswith("tool_arguments(): no JSON satisfies its schema (x")
    assert (told or "nothing is {") in line


def test_what_is_optional_may_be_impossible():
    drawn = tool_arguments({"type": "object", "properties": {"x": False}})
    assert drawn is not None


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "strnig"}, "x: unknown type 'strnig'; did you mean 'string'?"),
        ({"$ref": "#/$defs/Slot"}, "x: $ref '#/$defs/Slot' leads nowhere"),
        ({"$ref": "slots.json"}, "x: $ref 'slots.json' leads out of the schema: include it there"),
        ({"type": "string", "pattern": "("}, "x: pattern '(' is no regular expression: missing ),"),
        ({"type": "string", "required": True}, "x: required is a list, not True"),
        ({"type": "integer", "minimum": "1"}, "x: minimum is a number, not '1'"),
        ("string", "x: a schema is an object, true or false, not 'string'"),
        ({"type": "array", "items": ["x", 5]}, "x.0: a schema is an object, true or false, not"),
    ],
)
def test_a_schema_that_is_none_is_told_at_its_place(schema, told):
    line = refusal(tool_arguments, {**OBJECT, "properties": {"x": schema}})
    assert line.startswith(f"tool_arguments(): its schema cannot be read: {told}")


def test_arguments_are_an_object():
    assert refusal(tool_arguments, {"type": "array"}) == (
        "tool_arguments(): arguments are an object, and the schema is of 'array'"
    )


def test_a_raw_schema_is_told_with_its_tool():
    schema = {"name": "find", "parameters": {"type": "string"}}

    @function_tool(raw_schema=schema)
    async def find(raw_arguments: dict[str, object]) -> None: ...

    assert refusal(tool_arguments, find) == (
        "HERE:N: the tool 'find': arguments are an object, and the schema is of 'string'"
    )


def test_what_is_no_tool():
    assert refusal(tool_arguments, 5) == (
        "tool_arguments() takes a function tool of LiveKit's or a JSON schema, not 5"
    )
    assert refusal(tool_arguments, {"properties": {1, 2}}).startswith(
        "tool_arguments(): the schema is no JSON: "
    )


# --- agents


class Wants(Agent):
    def __init__(self, calendar: str, tools: list[Any]) -> None:
        super().__init__(instructions=calendar, tools=tools)

    @function_tool
    async def book(self, slot: str) -> str: ...


class Closed(Agent):
    def __init__(self, calendar: str) -> None:
        super().__init__(instructions=calendar)

    @function_tool
    async def book(self, slot: str) -> str: ...


class Bare(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="")

    @function_tool
    async def book(self, slot) -> str: ...


async def later() -> Agent:
    return Closed("")


@pytest.mark.parametrize("strategy", [completions, conversations, chat_contexts])
def test_an_agent_that_cannot_be_made_for_its_tools(strategy):
    name = strategy.__name__
    assert refusal(strategy, Wants) == (
        f"{name}(): Wants() missing a required argument: 'calendar'; give an instance, or a "
        "factory such as lambda: Wants(…)"
    )
    assert refusal(strategy, later) == (
        f"{name}(): the factory is a coroutine function; give an agent that it made, or the tools"
    )
    assert refusal(strategy, 5) == (
        f"{name}(): expected an Agent, its class, a factory or a collection of tools, not 5"
    )
    assert refusal(strategy, Bare).startswith("HERE:N: the tool 'book': 'slot' has no annotation")


def test_what_declares_all_its_tools_need_not_be_made():
    assert completions(Closed) is completions(lambda: Closed("")) is completions([Closed.book])
    assert completions(Wants("", [])) is completions([Wants.book])


def test_tools_of_instances_and_toolsets_count():
    @function_tool
    async def extra(n: int) -> None: ...

    class Kit(llm.Toolset):
        @function_tool
        async def inner(self) -> None: ...

    agent = Wants("", [extra, Kit(id="kit")])
    assert completions(agent) is completions([Wants.book, extra, Kit(id="other")])


def test_two_tools_of_one_name():
    assert refusal(completions, [Closed.book, Wants.book]) == (
        "completions(): duplicate function name: book"
    )


def test_an_agent_task_outside_of_a_loop():
    class Ask(AgentTask[str]):
        def __init__(self) -> None:
            super().__init__(instructions="")

        @function_tool
        async def tell(self, what: str) -> None: ...

    assert completions(Ask) is completions({"tell": Ask.tell})


def test_a_user_reads_his_own_line_alone(project):
    result = project(
        {
            "test_door.py": dedent(
                """
                from livekit.agents import function_tool
                from pytest_lkagent.fuzz import completions

                @function_tool
                async def open_door(room): ...

                def test_it():
                    completions([open_door])
                """
            )
        }
    ).run()
    result.outcomes(failed=1)
    result.shows(
        ">       completions([open_door])",
        "E       pytest_lkagent.errors.UsageError: test_door.py:4: the tool 'open_door': 'room' *",
        "test_door.py:8: UsageError",
    )


# --- without hypothesis


def test_without_hypothesis_it_says_what_to_install(project):
    result = project(
        {
            "conftest.py": dedent(
                """
                import sys

                sys.modules["hypothesis"] = None
                """
            ),
            "test_fuzz.py": dedent(
                """
                import pytest
                from pytest_lkagent import UsageError

                def test_it():
                    with pytest.raises(UsageError) as refused:
                        import pytest_lkagent.fuzz
                    print(refused.value)
                """
            ),
        }
    ).run("-s", "-p", "no:hypothesispytest", subprocess=True)
    result.outcomes(passed=1)
    result.shows(f"*{MISSING}")


MISSING = (
    "pytest_lkagent.fuzz draws with hypothesis, which is not installed: pip install "
    "'hypothesis>=6.120', as the extra fuzz does"
)


@pytest.mark.slow
def test_without_hypothesis_a_drawn_scenario_fails_and_the_others_of_its_file_are_played(project):
    result = project(
        {
            "conftest.py": "import sys\n\nsys.modules['hypothesis'] = None\n",
            "desk.py": dedent(
                """
                from livekit.agents import Agent

                class Desk(Agent):
                    def __init__(self):
                        super().__init__(instructions="You book.")
                """
            ),
            "desk.yaml": dedent(
                """\
                agent: desk.py:Desk
                scenarios:
                  - label: Greets
                    turns: [{user: hi, llm: [Hello.]}]
                  - label: Copes
                    fuzz: {}
                """
            ),
        }
    ).run("--lk-scenarios=desk.yaml", "-p", "no:hypothesispytest", subprocess=True)
    result.outcomes(passed=1, failed=1)
    result.shows(f"desk.yaml:5: Copes: {MISSING}", "FAILED desk.yaml::Copes - *")
