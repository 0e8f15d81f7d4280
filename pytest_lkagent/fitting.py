"""Whether arguments are of the types that a tool is annotated with.

LiveKit validates what the model sends, once, and what comes of that need not be valid itself: a
JSON text is a mapping by then, and a number has its prefix. So no validator is asked a second time.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import repeat
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pydantic
from livekit.agents import llm

from .binding import is_context
from .tools import function_of

__all__ = ["misfits"]

_TOWER: Mapping[type, tuple[type, ...]] = {float: (int, float), complex: (int, float, complex)}
"""What the type system takes for a number of these kinds."""


def misfits(tool: llm.FunctionTool[Any, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """Name the arguments of a tool that are not what it is annotated with; defaults may be."""
    function = function_of(tool)
    parameters = inspect.signature(function).parameters
    for name, hint in _annotations(function).items():
        value = values.get(name, ...)
        if value is ... or value is parameters[name].default or _fits(value, hint):
            continue
        annotated = inspect.formatannotation(hint)
        yield f"{tool.id} was called with {name}={value!r}, which is annotated as {annotated}"


@lru_cache(maxsize=1024)
def _annotations(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the types of the parameters that a model fills in, without what validates them."""
    hints = get_type_hints(function)
    hints.pop("return", None)
    return {name: hint for name, hint in hints.items() if not is_context(hint)}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; it is of every one of which its class does not tell."""
    kind, within = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in within)
    if kind is Literal:
        return value in within
    if not isinstance(kind, type) or _makes_anything(kind):
        return True
    try:
        is_one = isinstance(value, _TOWER.get(kind, kind))
    except TypeError:  # Any, a TypedDict, a protocol
        return True
    return is_one and all(_fits(one, of) for one, of in _held(value, kind, within))


def _makes_anything(kind: type) -> bool:
    """Whether pydantic makes of a class what the class itself says, as of ``EmailStr`` a text."""
    has_hook = hasattr(kind, "__get_pydantic_core_schema__")
    return has_hook and not issubclass(kind, pydantic.BaseModel)


def _held(value: Any, kind: type, within: tuple[Any, ...]) -> Iterable[tuple[Any, Any]]:
    """Pair what a collection holds with the types of that."""
    if isinstance(value, dict) and len(within) == 2:
        return ((one, of) for item in value.items() for one, of in zip(item, within, strict=True))
    if kind is tuple and ... not in within:
        return zip(value, within, strict=False)
    if isinstance(value, (list, tuple, set, frozenset, deque)) and within:
        return zip(value, repeat(within[0]))
    return ()
