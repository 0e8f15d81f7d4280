"""Which files a run plays: those that ``--lk-scenarios`` names, that the ini file does, arguments.

A file in a folder that is an argument too is collected with that folder, since pytest takes but one
of the two: before 9.0 the file (pytest 12083), from then on the folder, with what it leaves out.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from glob import glob
from os import walk
from os.path import isdir, isfile, normpath, realpath
from pathlib import Path, PurePath

import pytest

from . import border
from .errors import UsageError, one_of
from .snapshot.names import FOLDER

__all__ = ["add_scenarios", "are_scenarios", "is_left_out", "labels_of", "why_none"]

_SUFFIXES = (".yaml", ".yml")
_SAYS_SO = re.compile(rb"""^(?:\xef\xbb\xbf)?["']?scenarios["']?\s*:""", re.MULTILINE)
# each begins with a word, which is found fast
_MAY_BE = (
    re.compile(rb"""scenarios["']?\s*:"""),
    re.compile(rb"""base(?<!\wbase)["']?\s*:\s*[^\n]{0,300}\.ya?ml"""),
)


@dataclass
class _Named:
    """The files that ``--lk-scenarios`` names; and of those in a folder that is an argument too."""

    files: frozenset[Path]
    labels: Mapping[Path, frozenset[str]]
    """What each is to play of it, where that is not all."""
    ways: frozenset[Path]
    """They and the folders that lead to them."""
    opened: set[Path] = field(default_factory=set)
    """Of these the folders that pytest would have left out."""
    has_any_of_ini: bool = False
    """Whether a file was found that the ini file means."""


_NAMED = pytest.StashKey[_Named]()


def add_scenarios(config: pytest.Config, paths: Sequence[str]) -> None:
    """Let the files that ``--lk-scenarios`` names be arguments of the run.

    They take the place of the default arguments, and stand beside those that the user named.

    Raises:
        UsageError: One of them, or a glob of the ini file, names no scenario file.
    """
    for one in border.options_of(config).globs:
        _refuse_vain(one)
    start = config.invocation_params.dir
    arguments = list(dict.fromkeys(found for path in paths for found in _expand(path, start)))
    given = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
    places = [normpath(start / one) for one in given]
    # Path.is_dir raises where a label is too long for a name
    folders = [Path(place) for place in places if isdir(place)]  # noqa: PTH112
    inside = {
        argument: _way(file, folder)
        for argument in arguments
        for folder in folders
        if (file := _file_of(argument, start)).is_relative_to(folder)
    }
    if arguments:
        named = {str(start / argument) for argument in given}
        added = (one for one in arguments if one not in named and one not in inside)
        config.args = [*given, *added]
    config.stash[_NAMED] = _Named(
        files=frozenset(_file_of(argument, start) for argument in arguments),
        labels=_labels(inside, start),
        ways=frozenset().union(*inside.values()),
    )


def _labels(arguments: Collection[str], start: Path) -> dict[Path, frozenset[str]]:
    labels: dict[Path, frozenset[str]] = {}
    whole = {_file_of(argument, start) for argument in arguments if "::" not in argument}
    for argument in arguments:
        if (file := _file_of(argument, start)) not in whole:
            _, _, label = argument.partition("::")
            labels[file] = labels.get(file, frozenset()) | {label}
    return labels


def _way(file: Path, folder: Path) -> frozenset[Path]:
    """Return what there is between a folder and a file in it, and the file."""
    return frozenset({file, *file.parents} - {folder, *folder.parents})


def _expand(path: str, start: Path) -> Iterator[str]:
    """Turn a file, a folder or a glob into arguments, ``::label`` kept."""
    name, colons, label = path.partition("::")
    whole = start / name
    if whole.is_file():
        if whole.suffix not in _SUFFIXES:
            raise UsageError(f"--lk-scenarios={path}: a scenario file ends in .yaml or .yml")
        yield f"{whole}{colons}{label}"
        return
    if whole.is_dir():
        found = [file for file in sorted(_files_in(whole)) if _looks_like_scenarios(file)]
        if not found:
            raise UsageError(
                f"--lk-scenarios={path}: no scenario file in this folder; one ends in .yaml and "
                "has scenarios: at its top"
            )
    else:
        # Path.glob takes no absolute pattern
        matches = map(Path, sorted(glob(str(start / name), recursive=True)))  # noqa: PTH207
        found = [
            file
            for file in matches
            if file.suffix in _SUFFIXES and file.is_file() and not _is_snapshot(file)
        ]
        if not found:
            raise UsageError(f"--lk-scenarios={path}: there is no such file, folder or glob")
    for file in found:
        yield f"{file}{colons}{label}"


def _files_in(folder: Path) -> Iterator[Path]:
    """Walk the files below a folder; links to other folders last, and none of these twice."""
    waiting, seen = [str(folder)], set[str]()
    while waiting:
        for here, folders, names in walk(waiting.pop(0)):
            if (real := realpath(here)) in seen:
                folders.clear()
                continue
            seen.add(real)
            waiting += [str(one) for name in folders if (one := Path(here, name)).is_symlink()]
            yield from (Path(here, name) for name in names)


def _file_of(argument: str, start: Path) -> Path:
    """Return the file of an argument as pytest names it: absolute, links not followed."""
    return Path(normpath(start / argument.partition("::")[0]))


def _is_snapshot(path: Path) -> bool:
    """Whether this YAML file is no scenario file, whatever the globs: one of our own writing."""
    return path.parent.parent.name == FOLDER


def _looks_like_scenarios(path: Path) -> bool:
    return path.suffix in _SUFFIXES and path.is_file() and _has_scenarios(path, frozenset())


def _has_scenarios(path: Path, above: frozenset[str]) -> bool:
    """Whether a file has scenarios at its top, or lays something over one that has.

    It does too where that one is not there, and all else is ours. `above` are those that lead to
    it. Only what may be one is read as YAML: that takes its time.
    """
    data = path.read_bytes()
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):  # such a file is told to be none in UTF-8
        data = data.decode("utf-16", "replace").encode()
    if _SAYS_SO.search(data):  # it is meant to be one, whatever is wrong with it
        return True
    if not any(pattern.search(data) for pattern in _MAY_BE):
        return False
    from .scenarios.compose import top_of
    from .scenarios.load import FILE_KEYS

    above |= {realpath(path)}
    is_missed, are_ours = False, True
    for key, text in top_of(data):
        if key == "scenarios":
            return True
        are_ours = are_ours and key in FILE_KEYS
        if key == "base":
            base = path.parent / text
            # Path.is_file raises where a text is too long for a name
            is_missed = not isfile(base)  # noqa: PTH113
            if not is_missed and realpath(base) not in above and _has_scenarios(base, above):
                return True
    return is_missed and are_ours


def are_scenarios(path: Path, config: pytest.Config) -> bool:
    """Whether a file holds scenarios that this run is to play."""
    if path.suffix not in _SUFFIXES or _is_snapshot(path):
        return False
    named = config.stash[_NAMED]
    named.has_any_of_ini |= (is_of_ini := _is_of_ini(path, config))
    return (
        path in named.files
        or path in named.ways
        or is_of_ini
        or (_is_argument(path, config) and _looks_like_scenarios(path))
    )


def _is_of_ini(path: Path, config: pytest.Config) -> bool:
    return any(_matches(path, glob) for glob in border.options_of(config).globs)


def _matches(path: Path, glob: str) -> bool:
    """Match as pytest does for ``python_files``, but that ``**/`` may be no folder at all."""
    given = PurePath(glob)
    if len(given.parts) == 1:
        return fnmatch(path.name, glob)
    whole = given.as_posix() if given.is_absolute() else f"*/{given.as_posix()}"
    # with each slash twice, what is between those of /**/ may be nothing
    spread = whole.replace("/", "//").replace("//**//", "/**/")
    return fnmatch(path.as_posix().replace("/", "//"), spread)


def _refuse_vain(glob: str) -> None:
    """Refuse a glob of the ini file that ends as no scenario file does."""
    end = re.split(r"[*?\]]", glob)[-1]
    if not any(suffix.endswith(end) or end.endswith(suffix) for suffix in _SUFFIXES):
        raise UsageError(
            f"lk_scenarios: {glob!r} matches no scenario file: one ends in .yaml or .yml, such as "
            "in scenarios/*.yaml"
        )


def why_none(config: pytest.Config) -> str | None:
    """Say that the whole run has none of the files that the ini file means."""
    options = border.options_of(config)
    is_part = options.scenarios or config.option.ignore or config.option.ignore_glob
    if not options.globs or config.stash[_NAMED].has_any_of_ini or is_part:
        return None
    source, where = config.args_source, ""
    if source is pytest.Config.ArgsSource.TESTPATHS:
        where = f" in testpaths: {' '.join(config.getini('testpaths'))}"
    elif source is pytest.Config.ArgsSource.ARGS or config.invocation_params.dir != config.rootpath:
        return None
    found = f"there is no such file among all that pytest collects{where}"
    return f"lk_scenarios: {one_of(options.globs)}: {found}"


def _is_argument(path: Path, config: pytest.Config) -> bool:
    start = config.invocation_params.dir
    return any(_file_of(argument, start) == path for argument in config.args)


def labels_of(path: Path, config: pytest.Config) -> frozenset[str] | None:
    """Return what alone is to be played of a file, where pytest does not select it itself.

    Not of one that the folder holds by the ini file: what is named beside arguments adds to them.
    """
    return None if _is_of_ini(path, config) else config.stash[_NAMED].labels.get(path)


def is_left_out(path: Path, config: pytest.Config, *, ignored: bool | None) -> bool | None:
    """Whether collection passes over `path`: as it would, but for the files that are named."""
    named = config.stash[_NAMED]
    is_hidden = path.parent in named.opened
    if path not in named.ways:
        return ignored or is_hidden
    if ignored or is_hidden:
        named.opened.add(path)
    return False
