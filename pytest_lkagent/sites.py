"""Where something was written: the file and line that a message points to."""

from __future__ import annotations

import inspect
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OUR_FOLDER", "Site", "call_site", "place_of"]

OUR_FOLDER = str(Path(__file__).parent)
_OURS = f"{__package__}."


@dataclass(frozen=True, slots=True)
class Site:
    """A line of a file; reads as ``test_desk.py:12``."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path.removeprefix(f'{Path.cwd()}{os.sep}')}:{self.line}"


def call_site() -> Site:
    """Return the line outside of this package that is being executed.

    Cheap, as it runs for every step: to ask for ``f_code`` is an audit event, which somebody hears.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        str(frame.f_globals.get("__name__")).startswith(_OURS)
        or frame.f_code.co_filename == "<string>"  # as dataclasses compile their __init__ from
    ):
        frame = frame.f_back
    return Site(frame.f_code.co_filename, frame.f_lineno)


def place_of(function: Any) -> str:
    """Say in brackets, after a blank, where a function is written; nothing of native code."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({Site(code.co_filename, code.co_firstlineno)})" if code is not None else ""
