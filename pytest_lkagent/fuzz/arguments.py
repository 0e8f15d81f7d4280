"""What a model sends as the arguments of a tool: mostly what the schema says."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, get_type_hints

from hypothesis import strategies as st
from livekit.agents import llm
from pydantic import TypeAdapter

from ..errors import UsageError
from ..sites import Site
from ..tools import is_tool
from .chances import mostly, once_in
from .json_schema import objects_of
from .near_misses import Arguments, near_misses

__all__ = [
    "ArgumentsOf",
    "Offered",
    "arguments_of",
    "offered_arguments",
    "tool_arguments",
]

__tracebackhide__ = True  # a mistake is shown at the line of the user's own


@dataclass(frozen=True, eq=False)
class ArgumentsOf:
    """The arguments of one tool: those that fit its schema, and those that nearly do."""

    valid: st.SearchStrategy[dict[str, Any]]
    near: st.SearchStrategy[Arguments]


Offered: TypeAlias = tuple[tuple[str, ArgumentsOf], ...]
"""The tools that a model may call, by name: in an order that is the same for the same ones."""


def tool_arguments(tool: Any) -> st.SearchStrategy[Arguments]:
    """Draw what a model may send as the arguments of `tool`.

    `tool` is a ``@function_tool`` of LiveKit's, with or without a schema of its own, or a JSON
    schema of an object. Four draws in five fit the schema. The others miss it by one thing: a
    value of another type, outside its bounds or huge, a name that is missing, misspelt or one too
    many, or text that is broken JSON; what is sent as text is a str. Everything shrinks towards
    the simplest arguments that fit.

    What annotations demand beyond a JSON schema (a validator of pydantic's) is not known here:
    arguments may miss it, as those of a model do.

    Raises:
        UsageError: LiveKit can make no schema of the tool, the schema cannot be read, or nothing
            satisfies it.
    """
    return _either(arguments_of(tool))


def arguments_of(tool: Any) -> ArgumentsOf:
    """Return the arguments of a tool, or of a schema, which are made but once."""
    if isinstance(tool, llm.RawFunctionTool):
        return _of_schema(_written(tool.info.raw_schema["parameters"] or {}), _named(tool, tool.id))
    if is_tool(tool):
        return _of_function(inspect.getattr_static(tool, "__wrapped__"), tool.id)
    if isinstance(tool, Mapping):
        return _of_schema(_written(tool), "tool_arguments()")
    raise UsageError(
        f"tool_arguments() takes a function tool of LiveKit's or a JSON schema, not {tool!r}"
    )


def offered_arguments(tools: Mapping[str, Any]) -> Offered:
    """Return the arguments of all function tools; what a provider runs itself is not called."""
    return tuple(
        (name, arguments_of(tools[name])) for name in sorted(tools) if is_tool(tools[name])
    )


@lru_cache(maxsize=1024)
def _either(arguments: ArgumentsOf) -> st.SearchStrategy[Arguments]:
    return mostly(arguments.valid, arguments.near, once=once_in(5))


def _written(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(schema)
    except (TypeError, ValueError) as problem:
        raise UsageError(f"tool_arguments(): the schema is no JSON: {problem}") from None


@lru_cache(maxsize=1024)
def _of_schema(schema: str, what: str) -> ArgumentsOf:
    read = json.loads(schema)
    if "object" not in read.get("type", "object"):
        raise UsageError(f"{what}: arguments are an object, and the schema is of {read['type']!r}")
    valid = objects_of(read, what=what)
    return ArgumentsOf(valid, near_misses(valid))


@lru_cache(maxsize=1024)
def _of_function(function: Callable[..., Any], name: str) -> ArgumentsOf:
    """Return the arguments of a function, of which LiveKit makes the same schema for each tool."""
    what = _named(function, name)
    tool: Any = llm.function_tool(function)
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is not None and first.name == "self":
        tool = tool.__get__(object())
    _check_annotated(tool, what)
    try:
        schema = llm.utils.build_legacy_openai_schema(tool)["function"]["parameters"]
    except Exception as problem:  # noqa: BLE001  an annotation may raise anything when it is read
        raise UsageError(
            f"{what}: no JSON schema can be made of {_unread(tool)}: "
            f"{type(problem).__name__}: {str(problem).splitlines()[0]}; annotate it as what a "
            "model can send, or give the tool a raw_schema"
        ) from None
    return _of_schema(_written(schema), what)


def _check_annotated(tool: Any, what: str) -> None:
    for name, parameter in inspect.signature(tool).parameters.items():
        if parameter.annotation is parameter.empty:
            raise UsageError(
                f"{what}: {name!r} has no annotation, so LiveKit cannot tell a model what it is; "
                f"write {name}: str, or whatever it takes"
            )


def _unread(tool: Any) -> str:
    """Name the parameter whose annotation is at fault, if it can be told."""
    try:
        hints = get_type_hints(tool, include_extras=True)
    except Exception:  # noqa: BLE001  as above
        return "its annotations"
    for name in inspect.signature(tool).parameters:
        try:
            TypeAdapter(hints[name]).json_schema()
        except Exception:  # noqa: BLE001  as above
            return f"{name!r}"
    return "its annotations"


def _named(function: Any, name: str) -> str:
    """Name a tool with the line where it is written, where that can be told."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f"{Site(code.co_filename, code.co_firstlineno)}: " if code else ""
    return f"{place}the tool {name!r}"
