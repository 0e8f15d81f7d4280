"""Arguments by name: what a tool receives, and what a mock's function is called with.

LiveKit trims a mock's arguments by position, so that for ``book(ctx, city)`` the mock
``lambda city: …`` is handed the RunContext. Here a function gets what it names, and nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, NamedTuple, get_origin, get_type_hints
from unittest import mock
from weakref import WeakKeyDictionary

from livekit.agents import RunContext, llm
from pydantic.fields import FieldInfo

from .errors import ScriptError, UsageError, did_you_mean, one_of
from .script import Request, Step, ToolCall
from .tools import function_of
from .transcript import describe_call

__all__ = [
    "call_by_name",
    "check_calls",
    "check_wanted",
    "is_context",
    "named",
    "names_of",
    "parameters_of",
    "received",
]

_CONTEXT_NAMES = {"ctx", "context", "run_context", "run_ctx"}
_RAW = "raw_arguments"
"""The parameter in which LiveKit hands a raw-schema tool its arguments, as one mapping."""
_LIVEKITS_OWN = "lk_agents_"
"""What begins so is LiveKit's own (``on_duplicate="confirm"``), and never reaches the tool."""


class _Parameter(NamedTuple):
    """What a model fills in: by which name (an alias of pydantic's), and whether it has to."""

    sent: str
    required: bool


_known: WeakKeyDictionary[Callable[..., Any], dict[str, _Parameter]] = WeakKeyDictionary()
"""The parameters of functions that were met; a tool of one test is not kept for the next."""
_ANYTHING = [inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)]


def parameters_of(tool: Any, *, as_sent: bool = False) -> list[str] | None:
    """Name the parameters that a model fills in; None where a schema leaves them open.

    By the names that the function has for them, or those that a model does.
    """
    if isinstance(tool, llm.RawFunctionTool):
        schema: Any = tool.info.raw_schema.get("parameters") or {}
        if schema.get("additionalProperties", not schema.get("properties")):
            return None
        names = [*schema.get("properties", ()), _RAW]
    else:
        parameters = _parameters(function_of(tool))
        names = [one.sent for one in parameters.values()] if as_sent else list(parameters)
    return [name for name in names if not name.startswith(_LIVEKITS_OWN)]


def _parameters(function: Callable[..., Any]) -> dict[str, _Parameter]:
    """Return what a model fills in of a tool's function, by its name there."""
    known = _known.get(function)
    if known is None:
        known = _known[function] = _read_parameters(function)
    return known


def _read_parameters(function: Callable[..., Any]) -> dict[str, _Parameter]:
    hints = _hints(function)
    return {
        p.name: _parameter(p, hints.get(p.name))
        for p in inspect.signature(function).parameters.values()
        if not is_context(hints.get(p.name, p.annotation)) and p.name != "self"
    }


def _parameter(parameter: inspect.Parameter, hint: Any) -> _Parameter:
    if get_origin(hint) is not Annotated:
        return _Parameter(parameter.name, parameter.default is parameter.empty)
    alias = FieldInfo.from_annotation(hint).validation_alias
    return _Parameter(alias if isinstance(alias, str) else parameter.name, required=False)


def check_calls(step: Step, request: Request) -> None:
    """Refuse a scripted call that reaches no tool: most likely it is misspelt, or one too many.

    Raises:
        ScriptError: The tool is not on offer, has no such argument, or wants one that is missing;
            or it is asked for no call, and LiveKit drops one.
    """
    for call in step.calls:
        if isinstance(call.arguments, str):
            continue
        tool = request.tools.get(call.name)
        if request.tool_choice == "none":
            wrong: str | None = (
                "the request allows no call (tool_choice='none', as after max_tool_steps), and "
                "LiveKit drops it"
            )
        else:
            wrong = _wrong_name(call, request) if tool is None else _wrong_argument(call, tool)
        if wrong:
            raise ScriptError(
                f"the script calls {describe_call(call.name, call.arguments)}; {wrong} "
                "(if the model is meant to do that, make it a raw_call)",
                step.written_at,
            )


def _wrong_name(call: ToolCall, request: Request) -> str:
    offered = one_of(request.tools)
    return f"{request.asker} offers {offered}{did_you_mean(call.name, request.tools)}"


def _wrong_argument(call: ToolCall, tool: Any) -> str | None:
    if isinstance(tool, llm.ProviderTool):
        return (
            f"the provider runs {call.name} itself, and sends no call: script what the model says "
            "of it"
        )
    known = parameters_of(tool, as_sent=True)
    if known is None or isinstance(call.arguments, str):
        return None
    shown = [name for name in known if name != _RAW]
    for name in call.arguments:
        if name not in shown and not name.startswith(_LIVEKITS_OWN):
            return f"{call.name} takes {one_of(shown)}{did_you_mean(name, shown)}"
    missing = [name for name in _required(tool) if name in shown and name not in call.arguments]
    return f"{call.name} wants {one_of(missing)} too" if missing else None


def _required(tool: Any) -> list[str]:
    if isinstance(tool, llm.RawFunctionTool):
        schema: Any = tool.info.raw_schema.get("parameters") or {}
        return list(schema.get("required", ()))
    return [one.sent for one in _parameters(function_of(tool)).values() if one.required]


def names_of(function: Callable[..., Any]) -> list[str] | None:
    """Name the parameters of any callable; None where it takes whatever it is given."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


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
    return is_context(parameter.annotation) or parameter.name in _CONTEXT_NAMES


def is_context(annotation: Any) -> bool:
    """Whether a parameter with this annotation is given the RunContext."""
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type):
        return issubclass(kind, RunContext)
    return isinstance(annotation, str) and "RunContext" in annotation


def _hints(tool: Any) -> dict[str, Any]:
    try:
        return get_type_hints(tool, include_extras=True)
    except Exception:  # noqa: BLE001  an annotation of the user's may raise anything when evaluated
        return {}


def _signature(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if isinstance(function, mock.NonCallableMock):
        return _ANYTHING
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return _ANYTHING
