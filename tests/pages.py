"""Pages of documentation as projects: what their blocks are, and what running them shows.

The rules are in CONTRIBUTING.md under "Documentation that runs".
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

__all__ = ["Block", "Command", "Page", "PageError", "Ran", "blocks", "shows"]

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+) *(?P<language>[\w-]*)")
_TITLE = re.compile(r"^# (?P<name>[\w./-]+\.\w+)(?P<continued> \(continued\))?$")
_FILES = frozenset({"python", "yaml", "toml", "ini", "json"})
_RUN = (("pytest",), ("python", "-m", "pytest_lkagent"))


class PageError(AssertionError):
    """A page is wrong: what it says is not so, or it cannot be run."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is where its first line of content stands in the page."""

    page: str
    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def title(self) -> re.Match[str] | None:
        return _TITLE.match(self.lines[0]) if self.language in _FILES and self.lines else None

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A line after ``$`` in a console block, and what the page shows below it."""

    where: str
    arguments: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def may_fail(self) -> bool:
        return any(re.search(r"\b(failed|errors?|ERROR|FAILED)\b", line) for line in self.shown)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command ended with and wrote."""

    exit_status: int
    output: str


def blocks(page: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, without the indentation of their fence."""
    lines = enumerate(text.splitlines(), start=1)
    for number, line in lines:
        if not (opened := _FENCE.match(line)):
            continue
        content = []
        for _, inner in lines:
            if inner.strip() == opened["fence"]:
                break
            content.append(inner.removeprefix(opened["indent"]).rstrip())
        else:
            raise PageError(f"{page}:{number}: this block is never closed")
        yield Block(page, number + 1, opened["language"], tuple(content))


class Page:
    """One page, written into one folder block by block, its commands run where they stand."""

    def __init__(self, name: str, text: str, *, folder: Path) -> None:
        self.blocks = tuple(blocks(name, text))
        self.name = name
        self.folder = folder

    def play(self, run: Callable[[Sequence[str]], Ran]) -> None:
        """Write files and run commands in the order of the page.

        Files that no command follows are run by a last ``pytest``, which has to pass.
        """
        unproven: Block | None = None
        for block in self.blocks:
            if block.title:
                self._write(block, block.title)
                unproven = block
            elif block.language == "console":
                for command in _commands(block):
                    _check(command, run(command.arguments))
                    unproven = None
            else:
                _parse(block)
        if unproven:
            _check(Command(str(unproven), ("pytest",), ()), run(("pytest",)))

    def _write(self, block: Block, title: re.Match[str]) -> None:
        path = self.folder / title["name"]
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise PageError(f"{block}: {title['name']} is outside of the page's project")
        path.parent.mkdir(parents=True, exist_ok=True)
        if title["continued"]:
            if not path.exists():
                raise PageError(f"{block}: {title['name']} is continued, but no block began it")
            earlier = path.read_text(encoding="utf-8")
            path.write_text(f"{earlier}\n{block.text}", encoding="utf-8")
        else:
            path.write_text(block.text, encoding="utf-8")


def _commands(block: Block) -> Iterator[Command]:
    starts = [index for index, line in enumerate(block.lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise PageError(f"{block}: a console block begins with `$ command`; for others use text")
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        where = f"{block.page}:{block.line + start}"
        arguments = tuple(shlex.split(block.lines[start][2:], comments=True))
        if not any(arguments[: len(known)] == known for known in _RUN):
            raise PageError(
                f"{where}: only `pytest` and `python -m pytest_lkagent` are run; "
                "put what is not to be run into a sh block"
            )
        yield Command(where, arguments, block.lines[start + 1 : end])


def _parse(block: Block) -> None:
    """Hold a block that is no file of the project to its own syntax at least."""
    try:
        if block.language == "python":
            compile(
                block.text, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
        elif block.language == "yaml":
            yaml.safe_load(block.text)
    except (SyntaxError, yaml.YAMLError) as error:
        raise PageError(f"{block}: this {block.language} does not parse: {error}") from error


def _check(command: Command, ran: Ran) -> None:
    said = f"`{shlex.join(command.arguments)}` ended with {ran.exit_status}"
    if ran.exit_status and not command.may_fail:
        raise PageError(f"{command.where}: {said}, and no failure is shown\n{ran.output}")
    if not shows(ran.output, command.shown):
        shown = "\n".join(command.shown)
        raise PageError(f"{command.where}: {said} and did not show\n{shown}\n--- but\n{ran.output}")


def shows(output: str, shown: Sequence[str]) -> bool:
    """Return whether the lines shown stand in the output, one below the other.

    A line ``...`` stands for any number of lines, ``...`` within a line for any text. How long
    something took and how long a rule of ``=`` is do not count, nor does space at a line's end.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else _as_pattern(line) for line in shown
    )
    lines = "".join(f"{_levelled(line)}\n" for line in output.splitlines())
    return re.search(rf"^{pattern}", lines, re.MULTILINE) is not None


def _as_pattern(line: str) -> str:
    return re.escape(_levelled(line)).replace(re.escape("..."), ".*") + r"\n"


def _levelled(line: str) -> str:
    line = re.sub(r"\b\d+(\.\d+)?s\b(?= |$)", "0.00s", line) if " in " in line else line
    return re.sub(r"([=_-])\1{3,}", r"\1\1\1\1", line).rstrip()
