"""Arguments by name: what a tool receives, and what a mock's function is called with.

LiveKit trims a mock's arguments by position, so that for ``book(ctx, city)`` the mock
``lambda city: …`` is handed the RunContext. Here a function gets what it names, and nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_origin, get_type_hints
from unittest import mock

from livekit.agents import RunContext, llm

from .errors import UsageError, did_you_mean, one_of

__all__ = ["call_by_name", "check_wanted", "named", "parameters_of", "received"]

_CONTEXT_NAMES = {"ctx", "context", "run_context", "run_ctx"}
_RAW = "raw_arguments"
"""The parameter in which LiveKit hands a raw-schema tool its arguments, as one mapping."""
_LIVEKITS_OWN = "lk_agents_"
"""What begins so is LiveKit's own (``on_duplicate="confirm"``), and never reaches the tool."""
_ANYTHING = [inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)]


def parameters_of(tool: Any) -> list[str] | None:
    """Name the parameters that a model fills in; None where a schema leaves them open."""
    if isinstance(tool, llm.RawFunctionTool):
        schema: Any = tool.info.raw_schema.get("parameters") or {}
        if schema.get("additionalProperties", not schema.get("properties")):
            return None
        names = [*schema.get("properties", ()), _RAW]
    else:
        hints = _hints(tool)
        names = [
            p.name
            for p in inspect.signature(tool).parameters.values()
            if not _is_context(hints.get(p.name, p.annotation)) and p.name != "self"
        ]
    return [name for name in names if not name.startswith(_LIVEKITS_OWN)]


def received(tool: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `tool` would receive, by name: validated, with defaults, without context."""
    bound = inspect.signature(tool).bind(*args, **kwargs)
    bound.apply_defaults()
    values = named(bound)
    if isinstance(tool, llm.RawFunctionTool):
        return dict(values[_RAW])
    return {
        name: value
        for name, value in values.items()
        if not (isinstance(value, RunContext) or name.startswith(_LIVEKITS_OWN))
    }


def named(bound: inspect.BoundArguments, *, skip: int = 0) -> dict[str, Any]:
    """Return bound arguments by name, without the first `skip`; those of ``**kwargs`` laid open."""
    values = dict(list(bound.arguments.items())[skip:])
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            values.update(values.pop(name, {}))
    return values


def check_wanted(
    function: Callable[..., Any], known: Iterable[str] | None, *, what: str, has: str
) -> None:
    """Refuse a function that needs a parameter which nobody fills; None: any may come.

    Raises:
        UsageError: Such as ``what: its function takes 'cty', and has city; did you mean 'city'?``
    """
    if known is None:
        return
    known = list(known)
    for parameter in _signature(function):
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.default is not parameter.empty or _takes_context(parameter):
            continue
        if parameter.name not in known:
            shown = [name for name in known if name != _RAW]
            raise UsageError(
                f"{what}: its function takes {parameter.name!r}, and {has} {one_of(shown)}"
                f"{did_you_mean(parameter.name, shown)}"
            )


def call_by_name(function: Callable[..., Any], arguments: Mapping[str, Any], context: Any) -> Any:
    """Call `function` with those of `arguments` that it names, and the context if it wants one."""
    __tracebackhide__ = True
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    rest = dict(arguments)
    for parameter in _signature(function):
        if parameter.kind is parameter.VAR_KEYWORD:
            keywords |= rest
        elif parameter.name in arguments:
            _put(parameter, rest.pop(parameter.name), positional, keywords)
        elif parameter.name == _RAW:
            _put(parameter, dict(arguments), positional, keywords)
        elif _takes_context(parameter) and parameter.default is parameter.empty:
            _put(parameter, context, positional, keywords)
    return function(*positional, **keywords)


def _put(
    parameter: inspect.Parameter, value: Any, positional: list[Any], keywords: dict[str, Any]
) -> None:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        positional.append(value)
    elif parameter.kind is not parameter.VAR_POSITIONAL:
        keywords[parameter.name] = value


def _takes_context(parameter: inspect.Parameter) -> bool:
    return _is_context(parameter.annotation) or parameter.name in _CONTEXT_NAMES


def _is_context(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type):
        return issubclass(kind, RunContext)
    return isinstance(annotation, str) and "RunContext" in annotation


def _hints(tool: Any) -> dict[str, Any]:
    try:
        return get_type_hints(tool)
    except Exception:  # noqa: BLE001  an annotation of the user's may raise anything when evaluated
        return {}


def _signature(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if isinstance(function, mock.NonCallableMock):
        return _ANYTHING
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return _ANYTHING
