"""Fixtures of which there is one for each loop scope, made for the scope of the test that asks."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from . import border

__all__ = ["of_its_loop"]


def of_its_loop(request: pytest.FixtureRequest, kind: str, make: Callable[..., Any]) -> Any:
    """Return the value of a fixture that is on the loop which the test runs on.

    `make` makes it, of a ``loop_scope`` and a ``name``, when its scope is first met: pytest lists
    every fixture there is when a user misspells one.
    """
    scope = border.loop_scope(request.node)
    plugins, name = request.config.pluginmanager, f"_lk_{kind}_on_{scope}_loop"
    if not plugins.has_plugin(name):
        module = ModuleType(name)
        setattr(module, name, make(loop_scope=scope, name=name))
        plugins.register(module, name)
    return request.getfixturevalue(name)
