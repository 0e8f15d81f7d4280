"""The rules of the house: who may import whom (design, "The house").

A module's floor is in `FLOORS`, by its own name or by the nearest folder's. A new module gets its
line here first; that is the moment to think about where it belongs.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType

import pytest

import pytest_lkagent

HOUSE = Path(pytest_lkagent.__file__).parent
ROOF = "pytest_lkagent"  # names everything that users import, lazily; nobody inside imports it

FLOORS = MappingProxyType(
    {
        "errors": 0,
        "frames": 0,
        "known_as": 0,
        "times": 0,
        "protocols": 3,
        "options": 0,
        "sites": 0,
        "script": 1,
        "scenarios": 1,
        "transcript": 1,
        "timeline": 1,
        "snapshot": 1,
        "_livekit": 2,
        "_livekit_interruptions": 2,
        "_livekit_items": 2,
        "_livekit_job": 2,
        "_livekit_remote": 2,
        "_livekit_replies": 2,
        "_livekit_work": 2,
        "fake": 2,
        "behaviour": 2,
        "binding": 2,
        "fitting": 2,
        "mocks": 2,
        "real_work": 2,
        "tools": 2,
        "clock": 2,
        "public_time": 2,
        "task_watch": 2,
        "thread_jobs": 2,
        "unheard": 2,
        "wall_clock": 2,
        "imported": 0,
        "environment": 2,
        "tasks": 2,
        "guard": 2,
        "stand_ins": 2,
        "harness": 3,
        "invariants": 3,
        "strict": 3,
        "diagnosis": 3,
        "build": 3,
        "expected": 3,
        "record": 3,
        "settling": 3,
        "references": 3,
        "siblings": 3,
        "leftovers": 3,
        "listeners": 2,
        "words": 1,
        "stage": 3,
        "starting": 3,
        "slowed": 2,
        "swallowed": 3,
        "tool_watch": 3,
        "scenario_run": 3,
        "simulation": 3,
        "voice": 3,
        "fuzz": 3,
        "convert": 3,
        "report": 3,
        "collect": 4,
        "scenario_files": 4,
        "rewrite": 4,
        "run_export": 4,
        "fixtures": 4,
        "fuzzing": 4,
        "fuzz_option": 4,
        "fuzzed_scenario": 4,
        "remote_fixtures": 4,
        "snapshot.extension": 4,
        "snapshot.orphans": 4,
        "border": 4,
        "item_options": 4,
        "staging": 4,
        "keys": 4,
        "loop_fixtures": 4,
        "phases": 4,
        "defaults": 4,
        "plugin": 4,
        "__main__": 4,
    }
)
PYTEST = frozenset({"pytest", "_pytest", "pluggy", "pytest_asyncio", "syrupy"})
# Whose private names a module may touch, when it is not its own. Items of one kind are made alike
# in collect, which takes pytest's _fixtureinfo as pytest-asyncio does.
QUARANTINES = MappingProxyType(
    {
        "_livekit": "livekit",
        "_livekit_interruptions": "livekit",
        "_livekit_items": "livekit",
        "_livekit_job": "livekit",
        "_livekit_remote": "livekit",
        "_livekit_replies": "livekit",
        "_livekit_work": "livekit",
        "clock": "asyncio",
        "collect": "pytest",
        "fake.room.private": "livekit",
        "fuzz.private": "hypothesis",
        "snapshot.extension": "syrupy",
        "task_watch": "asyncio",
        "unheard": "asyncio",
    }
)
# Documented, or exported, although they begin with an underscore.
PUBLIC_ALL_THE_SAME = frozenset(
    {
        "_asdict",
        "_current_frames",
        "_field_defaults",
        "_fields",
        "_get_running_loop",
        "_getframe",
        "_replace",
    }
)
# Modules that pytest looks into, instead of people who import names.
WITHOUT_ALL = frozenset({"plugin", "fixtures", "remote_fixtures", "__main__"})


@dataclass(frozen=True)
class Import:
    """One import: `name` is None for ``import module``."""

    module: str
    name: str | None
    line: int

    @property
    def parts(self) -> tuple[str, ...]:
        return (*self.module.split("."), *([self.name] if self.name else ()))


@dataclass(frozen=True)
class Room:
    """One module of ours; `name` is relative to the package: ``fake.llm``."""

    name: str
    is_package: bool
    tree: ast.Module

    @property
    def floor(self) -> int | None:
        name = self.name
        while name:
            if name in FLOORS:
                return FLOORS[name]
            name = name.rpartition(".")[0]
        return None

    @property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.tree, self))

    def at(self, line: int) -> str:
        return f"{self.name or ROOF}:{line}"


def _imports(tree: ast.AST, room: Room) -> Iterator[Import]:
    """Yield what is imported when the code runs, in functions too; TYPE_CHECKING aside."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, None, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node.module or "", node.level, room)
            yield from (Import(module, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for child in node.orelse:
                yield from _imports(ast.Module([child], []), room)
        else:
            if isinstance(node, ast.Call) and (name := _imported_by_call(node)):
                level = len(name) - len(name.lstrip("."))
                yield Import(_absolute(name.lstrip("."), level, room), None, node.lineno)
            yield from _imports(node, room)


def _absolute(module: str, level: int, room: Room) -> str:
    if not level:
        return module
    home = [ROOF, *filter(None, room.name.split("."))]
    home = home[: len(home) - level + (1 if room.is_package else 0)]
    return ".".join([*home, *filter(None, [module])])


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _imported_by_call(node: ast.Call) -> str | None:
    if ast.unparse(node.func) not in {"import_module", "importlib.import_module", "__import__"}:
        return None
    match node.args:
        case [ast.Constant(value=str(name)), *_]:
            return name
    return None


@cache
def _rooms() -> tuple[Room, ...]:
    rooms = []
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        rooms.append(Room(name, is_package, ast.parse(path.read_text(encoding="utf-8"))))
    return tuple(rooms)


def ours(imported: Import, rooms: tuple[Room, ...]) -> str | None:
    """Return the name of the room that an import enters, None where it is none of ours."""
    if imported.parts[0] != ROOF:
        return None
    names = {room.name for room in rooms}
    for length in range(len(imported.parts), 1, -1):
        name = ".".join(imported.parts[1:length])
        if name in names:
            return name
    return ""


def stairs_up(rooms: tuple[Room, ...]) -> list[str]:
    """Return what is imported from a floor above."""
    floors = {room.name: room.floor for room in rooms}
    found = (
        f"{room.at(imported.line)} imports {target or 'the roof'}"
        for room in rooms
        if room.name
        for imported in room.imports
        if (target := ours(imported, rooms)) is not None
        if not target or (floors[target] or 0) > (room.floor or 0)
    )
    return list(dict.fromkeys(found))


def circles(rooms: tuple[Room, ...]) -> list[str]:
    """Return the modules that import each other in a circle, if any do."""
    graph = {
        room.name: {
            target
            for imported in room.imports
            if (target := ours(imported, rooms)) and target != room.name
        }
        for room in rooms
        if room.name
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def foreign(rooms: tuple[Room, ...], libraries: frozenset[str], floors: set[int]) -> list[str]:
    """Return where one of these libraries is imported on a floor that is not one of these."""
    return [
        f"{room.at(imported.line)} imports {imported.module}"
        for room in rooms
        for imported in room.imports
        if imported.parts[0] in libraries and room.floor not in floors
    ]


def private_names(room: Room) -> list[str]:
    """Return the private names of others that a module touches."""
    own = _own_private_names(room.tree)
    found = [
        f"{room.at(imported.line)} imports {'.'.join(imported.parts)}"
        for imported in room.imports
        if imported.parts[0] != ROOF and any(_is_private(part) for part in imported.parts[1:])
    ]
    for node in ast.walk(room.tree):
        name = _attribute_touched(node)
        if name and _is_private(name) and name not in own:
            found.append(f"{room.at(getattr(node, 'lineno', 0))} touches {name}")
    return found


def _is_private(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and not dunder and name not in PUBLIC_ALL_THE_SAME


def _own_private_names(tree: ast.Module) -> set[str]:
    """Return the private attributes that the classes of a module declare or give themselves."""
    own: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                own.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                own.add(name)
            case ast.Assign(targets=targets):
                own.update(target.id for target in targets if isinstance(target, ast.Name))
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                own.add(name)
    return own


def _attribute_touched(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return None
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
            return None
        case ast.Attribute(attr=name):
            return name
        case ast.Call(
            func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
            args=[_, ast.Constant(value=str(name)), *_],
        ):
            return name
    return None


def unexported_by_livekit(room: Room) -> list[str]:
    """Return what is taken from livekit by a path that its authors do not promise to keep.

    Promised are the names in `__all__` of a package, and the modules right below
    ``livekit.agents`` that LiveKit's documentation imports by name and that have no `__all__`.
    """
    return [
        f"{room.at(imported.line)} imports {'.'.join(imported.parts)}"
        for imported in room.imports
        if imported.parts[0] == "livekit" and not _is_exported(imported)
    ]


def _is_exported(imported: Import) -> bool:
    if imported.parts[:2] != ("livekit", "agents") or imported.parts == ("livekit", "agents"):
        return True  # livekit.protocol, livekit.rtc: generated code and a flat package
    module = importlib.import_module(imported.module)
    exported = getattr(module, "__all__", None)
    below_agents = imported.module.count(".") <= 2
    if imported.name is None:
        return exported is not None or below_agents
    as_module = Import(f"{imported.module}.{imported.name}", None, imported.line)
    if as_module.module in sys.modules:
        return imported.name in (exported or ()) or _is_exported(as_module)
    return below_agents if exported is None else imported.name in exported


def lacking_all(room: Room) -> list[str]:
    """Return how a module's `__all__` differs from the public names that it defines."""
    declared = _declared_all(room.tree)
    public = {name for name in _defined(room) if not name.startswith("_")}
    if declared is None:
        return [f"{room.name or ROOF} has no __all__: {sorted(public)}"] if public else []
    differing = public ^ (set(declared) - {"__version__"})
    return [f"{room.name or ROOF}: {name}" for name in sorted(differing)]


def _declared_all(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return list(ast.literal_eval(value))
    return None


def _defined(room: Room) -> Iterator[str]:
    """Yield what a module defines; for a package, what it takes from its own rooms as well."""
    for node in room.tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.ImportFrom(level=level, names=names) if level and room.is_package:
                yield from (alias.asname or alias.name for alias in names)


def sketch(**sources: str) -> tuple[Room, ...]:
    """Return rooms that exist only in a test; ``__`` in a name is a dot, ``_init`` a package."""
    rooms = []
    for name, source in sources.items():
        is_package = name.endswith("__init")
        dotted = name.removesuffix("__init").replace("__", ".")
        rooms.append(Room(dotted, is_package, ast.parse(source)))
    return tuple(rooms)


def python(*arguments: str, cwd: Path, **environment: str) -> str:
    """Run Python in a folder, with this checkout importable, and return what it wrote."""
    path = os.pathsep.join(filter(None, [str(HOUSE.parent), os.environ.get("PYTHONPATH")]))
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def none(lines: Iterable[str]) -> None:
    """Require that there is no such line; pytest would cut a comparison of lists short."""
    if found := list(lines):
        pytest.fail("\n".join(found), pytrace=False)


# --- the house as it stands


def test_every_module_has_its_floor():
    homeless = [room.name for room in _rooms() if room.name and room.floor is None]
    none(f"{name} has no line in FLOORS" for name in homeless)


def test_a_floor_imports_only_floors_below_it():
    none(stairs_up(_rooms()))


def test_no_modules_import_each_other_in_a_circle():
    none(circles(_rooms()))


def test_pytest_is_imported_on_floor_4_alone():
    none(foreign(_rooms(), PYTEST, {4}))


def test_livekit_is_imported_on_floors_2_and_3_alone():
    none(foreign(_rooms(), frozenset({"livekit"}), {2, 3}))


def test_hypothesis_is_imported_by_the_fuzzing_alone():
    """It slows the start of a run by half a second, and is there in an extra alone."""
    rooms = [room for room in _rooms() if room.name.partition(".")[0] != "fuzz"]
    none(foreign(tuple(rooms), frozenset({"hypothesis"}), set()))


def test_nothing_is_taken_from_the_private_half_of_pytest():
    none(foreign(_rooms(), frozenset({"_pytest"}), set()))


def test_private_names_of_others_are_touched_in_quarantine_alone():
    rooms = [room for room in _rooms() if room.name not in QUARANTINES]
    none(line for room in rooms for line in private_names(room))


def test_a_quarantine_holds_one_library():
    held = {
        room.name: {imported.parts[0] for imported in room.imports}
        for room in _rooms()
        if room.name in QUARANTINES
    }
    assert "livekit" not in held.get("clock", set())


def test_names_that_livekit_does_not_export_come_through_quarantine_alone():
    held = {room for room, library in QUARANTINES.items() if library == "livekit"}
    rooms = [room for room in _rooms() if room.name not in held]
    none(line for room in rooms for line in unexported_by_livekit(room))


def test_every_module_says_what_is_public():
    rooms = [room for room in _rooms() if room.name and room.name not in WITHOUT_ALL]
    none(line for room in rooms for line in lacking_all(room))


def test_importing_the_package_imports_neither_pytest_nor_livekit(tmp_path):
    code = "import json, sys, pytest_lkagent; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(python("-c", code, cwd=tmp_path))}
    assert "pytest_lkagent" in loaded
    assert loaded & {*PYTEST, "livekit", "pydantic", "yaml"} == set()


def test_a_run_that_collects_nothing_of_ours_never_imports_livekit(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import json, pathlib, sys\n"
        "def pytest_unconfigure():\n"
        "    pathlib.Path('modules.json').write_text(json.dumps(sorted(sys.modules)))\n",
        encoding="utf-8",
    )
    (tmp_path / "test_plain.py").write_text("def test_plain(): pass\n", encoding="utf-8")
    # Plugins by name: the same whether ours is installed with its entry point or not.
    plugins = [f"-p{name}" for name in ("pytest_lkagent.plugin", "asyncio", "syrupy")]
    said = python(
        *("-m", "pytest", "-q", *plugins), cwd=tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )
    assert "1 passed" in said
    loaded = json.loads((tmp_path / "modules.json").read_text(encoding="utf-8"))
    assert "pytest_lkagent.plugin" in loaded
    assert [name for name in loaded if name.partition(".")[0] == "livekit"] == []


def test_the_front_door_names_what_can_be_imported():
    names = [name for name in pytest_lkagent.__all__ if name != "__version__"]
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(pytest_lkagent, name)] == []
    assert set(names) <= set(dir(pytest_lkagent))
    with pytest.raises(AttributeError, match="no_such_name"):
        pytest_lkagent.no_such_name  # noqa: B018


def test_a_type_checker_sees_the_same_names_as_a_user():
    [roof] = [room for room in _rooms() if not room.name]
    blocks = [n for n in roof.tree.body if isinstance(n, ast.If) and _is_type_checking(n.test)]
    seen = {
        alias.asname or alias.name
        for node in [*roof.tree.body, *(node for block in blocks for node in block.body)]
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert sorted(seen ^ (set(pytest_lkagent.__all__) - {"__version__"})) == []


# --- that the rules would notice


def test_an_import_from_a_floor_above_is_noticed():
    rooms = sketch(
        errors="from . import mocks\nfrom pytest_lkagent import FakeLLM",
        mocks="from .errors import UsageError",
        fake__init="",
        fake__llm="from ..harness import Harness\nfrom . import audio",
        fake__audio="import pytest_lkagent.errors",
        harness="",
    )
    assert stairs_up(rooms) == [
        "errors:1 imports mocks",
        "errors:2 imports the roof",
        "fake.llm:1 imports harness",
    ]


def test_an_import_inside_a_function_counts_and_one_for_types_does_not():
    [room] = sketch(
        mocks="if TYPE_CHECKING:\n    import pytest\n"
        "else:\n    import syrupy\n"
        "def f():\n    import pytest_asyncio\n"
        "    import_module('_pytest.mark')\n"
    )
    assert foreign((room,), PYTEST, {4}) == [
        "mocks:4 imports syrupy",
        "mocks:6 imports pytest_asyncio",
        "mocks:7 imports _pytest.mark",
    ]


def test_a_circle_is_noticed():
    rooms = sketch(harness="from . import strict", strict="from .harness import Harness")
    assert set(circles(rooms)) == {"harness", "strict"}
    assert circles(sketch(harness="from . import strict", strict="")) == []


@pytest.mark.parametrize(
    "code",
    [
        "session._activity",
        "getattr(session, '_activity')",
        "from livekit.agents import _exceptions",
        "from livekit.agents.voice._utils import x",
        "session._activity = None",
        "x.__mangled",
    ],
)
def test_a_private_name_of_others_is_noticed(code):
    [room] = sketch(harness=code)
    assert len(private_names(room)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "self._x, cls._x, super()._x, x.__dict__, sys._getframe, point._replace",
        "class A:\n    def __init__(self): self._x = 1\n    def __eq__(self, o): return o._x",
        "from .script import _matching",
    ],
)
def test_a_private_name_of_ones_own_is_let_pass(code):
    [room] = sketch(harness=code)
    assert private_names(room) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from livekit.agents import Agent, llm", 0),
        ("from livekit.agents.llm import ChatChunk", 0),
        ("from livekit.agents.simulation import SimulationContext", 0),
        ("from livekit import agents", 0),
        ("from livekit.agents.voice.agent_activity import AgentActivity", 1),
        ("import livekit.agents.voice.agent_activity", 1),
        ("from livekit.agents.voice import agent_activity", 1),
    ],
)
def test_a_name_that_livekit_does_not_export_is_noticed(code, found):
    [room] = sketch(harness=code)
    assert len(unexported_by_livekit(room)) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(): ...", ["mocks has no __all__: ['f']"]),
        ("__all__ = ['f']\ndef f(): ...\nA: int = 1\n_b = 2", ["mocks: A"]),
        ("__all__ = ['f', 'g']\nasync def f(): ...\nimport os", ["mocks: g"]),
        ("", []),
    ],
)
def test_an_incomplete_all_is_noticed(code, found):
    [room] = sketch(mocks=code)
    assert lacking_all(room) == found
