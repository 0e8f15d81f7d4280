"""The examples: they pass as the README runs them, and between them they show all there is.

What there is, is taken from the package itself, the schema of the format and the names that it
exports: a new key, step or fixture makes these tests ask for an example of it.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import pytest_lkagent
from pytest_lkagent import Step, script
from pytest_lkagent.environment import KEY_VARIABLES

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
NAMES = [
    *("drive_through", "front_desk", "hotel", "restaurant", "survey", "telephone"),
    "travel_concierge",
]


LEFT = ("__pycache__", ".pytest_cache")

SCHEMA_FILE = ROOT / "pytest_lkagent" / "scenarios" / "schema.json"
SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


# --- they pass


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on a machine without any key."""
    environment = {name: value for name, value in os.environ.items() if name not in KEY_VARIABLES}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def verdicts(said: str) -> set[str]:
    """Name the outcomes in pytest's closing line."""
    return set(re.findall(r"\d+ (\w+)", said.splitlines()[-1].partition(" in ")[0]))


@pytest.mark.slow
def test_all_examples_pass_as_the_readme_runs_them():
    ran = run("-v", "examples", folder=ROOT)
    assert ran.returncode == 0, ran.stdout
    assert verdicts(ran.stdout) == {"passed", "xfailed"}, ran.stdout
    for name in NAMES:
        assert f"examples/{name}/test_{name}.py::" in ran.stdout
    for path in scenario_files():
        assert f"{path.relative_to(ROOT)}::" in ran.stdout


@pytest.mark.slow
def test_they_pass_alone_in_a_folder_over_two_processes_in_other_modes(tmp_path, warm):
    left_here = shutil.ignore_patterns(*LEFT)
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=left_here)
    modes = ["-n2", "-p", "no:cacheprovider", "--import-mode=importlib", "-o", "asyncio_mode=auto"]
    ran = run(*modes, "examples", folder=tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert verdicts(ran.stdout) == {"passed", "xfailed"}, ran.stdout


TRANSCRIPTS = """
import json
from pathlib import Path

import pytest

told = {}


@pytest.fixture(autouse=True)
def note(request, scenario):
    if scenario is None or hasattr(request.node.obj, "lk_fuzzed"):  # that has many
        yield
        return
    transcript = request.getfixturevalue("transcript")
    yield
    told[request.node.nodeid] = [
        [turn.user, *map(repr, turn.events)] for turn in (transcript.start, *transcript.turns)
    ]


def pytest_sessionfinish():
    Path("transcripts.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_every_scenario_has_the_same_transcript_on_each_target_that_can_play_it(tmp_path, warm):
    shutil.copytree(EXAMPLES, tmp_path, ignore=shutil.ignore_patterns(*LEFT), dirs_exist_ok=True)
    (tmp_path / "transcripts.py").write_text(TRANSCRIPTS)
    told = {}
    for target in ("inprocess", "memory", "process"):
        plugin = ["-p", "transcripts", "-p", "no:cacheprovider"]
        ran = run(*plugin, f"--lk-target={target}", *files(), folder=tmp_path)
        assert ran.returncode == 0, ran.stdout
        told[target] = json.loads((tmp_path / "transcripts.json").read_text())
    here, over, apart = told.values()
    assert over == {name: here[name] for name in over}
    assert apart == {name: here[name] for name in apart}
    left_out = [name for name in here.keys() - over if not name.startswith("telephone/")]
    assert len(left_out) == 5  # what was heard and not typed, and four that fuzzing found
    assert {name.partition("/")[0] for name in apart} == {"hotel"}
    assert len(apart) == 6


def files() -> list[str]:
    return [str(path.relative_to(EXAMPLES)) for path in scenario_files()]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_an_agent_with_its_tests_and_scenarios(name):
    folder = EXAMPLES / name
    for wanted in ("agent.py", "conftest.py", f"test_{name}.py", "*.yaml"):
        assert list(folder.glob(wanted)), wanted


# --- what the scenario files show


def scenario_files() -> list[Path]:
    return sorted(EXAMPLES.glob("*/*.yaml"))


def test_editors_find_the_schema_of_every_scenario_file():
    for path in scenario_files():
        first = path.read_text(encoding="utf-8").splitlines()[0]
        named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert named, path
        assert (path.parent / named[1]).samefile(SCHEMA_FILE), path


# In format.py one of each pair inherits the keys of the other: an example of one shows both.
SAME = {
    "DefaultsFormat": "ScenarioFormat",
    "OutcomeFormat": "MockFormat",
    "StartFormat": "TurnFormat",
}


def shape(node: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name what a node of the schema describes, and follow its reference."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return SAME.get(name, name), SCHEMA["$defs"][name]
    if "anyOf" in node:
        return "a duration", node
    kind = node.get("type")
    names = {"object": "a mapping", "array": "a list", "null": "null", "string": "a text"}
    if "const" in node:
        return str(node["const"]), node
    return ("a text" if isinstance(kind, list) else names.get(str(kind), str(kind))), node


def forms(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the forms in which a value may be written, null aside: it takes a default back."""
    options = [shape(option) for option in node.get("anyOf", [node])]
    return {name: option for name, option in options if name != "null"}


def fits(node: dict[str, Any], value: Any) -> bool:
    if "const" in node:
        return bool(node["const"] == value)
    if isinstance(value, dict):
        open_ended = isinstance(node.get("additionalProperties"), dict)
        return open_ended or ("properties" in node and set(value) <= set(node["properties"]))
    if isinstance(value, list):
        return node.get("type") == "array"
    return node.get("type") not in ("object", "array")


def everything(node: dict[str, Any], where: str) -> Iterator[str]:
    """Name all keys and forms that the schema has, each once."""
    waiting, seen = [(node, where)], set()
    while waiting:
        node, where = waiting.pop()
        possible = forms(node)
        scalars = all(option.get("type") in ("number", "string") for option in possible.values())
        for name, option in possible.items():
            if len(possible) > 1 and not scalars:
                yield f"{where} as {name}"
            for key, inner in option.get("properties", {}).items():
                inside = name if name in SCHEMA["$defs"] else where
                if f"{inside}.{key}" not in seen:
                    seen.add(f"{inside}.{key}")
                    yield f"{inside}.{key}"
                    waiting.append((inner, f"{inside}.{key}"))
            for below in ("items", "additionalProperties"):
                if isinstance(option.get(below), dict) and name != "JsonValue":
                    waiting.append((option[below], f"{where}, in it"))


def shown(node: dict[str, Any], where: str, value: Any) -> Iterator[str]:
    """Name the keys and forms that `value` uses."""
    for name, option in forms(node).items():
        if not fits(option, value):
            continue
        yield f"{where} as {name}"
        for key, inner in option.get("properties", {}).items():
            if isinstance(value, dict) and key in value:
                inside = name if name in SCHEMA["$defs"] else where
                yield f"{inside}.{key}"
                yield from shown(inner, f"{inside}.{key}", value[key])
        if name == "JsonValue":
            return
        rest = option.get("additionalProperties")
        inner_values = value.values() if isinstance(value, dict) and rest else ()
        for below in (*inner_values, *(value if isinstance(value, list) else ())):
            yield from shown(rest or option["items"], f"{where}, in it", below)
        return


def documents() -> list[Any]:
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in scenario_files()]


def test_every_key_and_form_of_the_format_has_an_example():
    has = set(everything(SCHEMA, "file"))
    used = {one for document in documents() for one in shown(SCHEMA, "file", document)}
    assert len(has) > 80, "the schema was read"
    assert sorted(has - used) == []


def inside(value: Any) -> Iterator[tuple[str, Any]]:
    """Walk all keys below a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from inside(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from inside(inner)


MEANINGS: dict[str, Callable[[str, Any], bool]] = {
    "nobody but a tool asks the model": lambda key, it: key == "by" and it is None,
    "several tools are called at once": lambda key, it: key == "call" and len(it) > 1,
    "nothing else happens": lambda key, it: key == "expect" and it == [],
    "a tool is only watched": lambda key, it: it == {"optional": True},
    "an argument is compared by a pattern": lambda key, it: (
        key == "arguments" and "matches" in str(it)
    ),
    "userdata is compared by a pattern": lambda key, it: key == "after" and "matches" in str(it),
    "what was captured is sent": lambda key, it: key == "llm" and "${" in str(it),
    "what was captured is expected": lambda key, it: key == "expect" and "${" in str(it),
    "a turn does not wait for the rest": lambda key, it: key == "settle" and it is False,
}


@pytest.mark.parametrize("meaning", MEANINGS)
def test_what_the_schema_cannot_tell_apart_has_an_example_too(meaning):
    assert any(MEANINGS[meaning](*pair) for one in documents() for pair in inside(one))


# --- what the Python tests show


def trees() -> list[ast.Module]:
    paths = [*EXAMPLES.glob("*/test_*.py"), *EXAMPLES.glob("*/conftest.py")]
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(paths)]


def calls(name: str) -> list[ast.Call]:
    """Find the calls of a function or a method of this name."""
    return [
        node
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name == (getattr(node.func, "id", None) or getattr(node.func, "attr", None))
    ]


def keywords(name: str) -> set[str | None]:
    return {keyword.arg for node in calls(name) for keyword in node.keywords}


def first_arguments(name: str) -> list[ast.expr]:
    return [node.args[0] for node in calls(name) if node.args]


STEPS = [name for name in pytest_lkagent.__all__ if hasattr(script, name) and name.islower()]
METHODS = [
    name
    for name, method in vars(Step).items()
    if callable(method) and not name.startswith("_") and name not in ("resolve", "describe")
]


@pytest.mark.parametrize("name", [*STEPS, *METHODS])
def test_every_step_and_all_that_can_be_said_of_one_has_an_example(name):
    assert calls(name)


def test_the_lists_of_steps_are_not_empty():
    assert STEPS == ["call", "fail", "raw_call", "reply", "say", "silence", "stall"]
    assert sorted(METHODS) == ["by", "chunked", "timed", "with_id", "with_usage"]


def is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


VARIANTS: dict[str, Callable[[], bool]] = {
    "fail after partial text": lambda: "after" in keywords("fail"),
    "fail for some attempts": lambda: "attempts" in keywords("fail"),
    "a delay before the text": lambda: "ttft" in keywords("timed"),
    "a slow text": lambda: "duration" in keywords("timed"),
    "chunks of a size": lambda: any(map(is_number, first_arguments("chunked"))),
    "chunks as given": lambda: not all(map(is_number, first_arguments("chunked"))),
    "by no agent": lambda: any(ast.unparse(arg) == "None" for arg in first_arguments("by")),
    "an interrupted turn": lambda: "interrupt" in keywords("user_says"),
    "a text made of the request": lambda: is_lambda(first_arguments("say")),
    "an argument made of the request": lambda: is_lambda(
        [keyword.value for node in calls("call") for keyword in node.keywords]
    ),
    "a step made of the request": lambda: is_lambda(
        [argument for node in calls("script") for argument in node.args]
    ),
    "arguments as a mapping": lambda: any(len(node.args) > 1 for node in calls("call")),
    "calls without a text": lambda: any(
        ast.unparse(arg) == "None" for arg in first_arguments("reply")
    ),
    "a rule for any number of requests": lambda: "times" in keywords("when"),
    "a rule with a pattern": lambda: any(
        "compile" in ast.unparse(argument) for argument in first_arguments("when")
    ),
    "a tool that returns": lambda: "returns" in keywords("mock_tool"),
    "a slow tool": lambda: "delay" in keywords("mock_tool"),
    "a task that gives a result": lambda: "returns" in keywords("mock_task"),
    "a task that fails": lambda: "raises" in keywords("mock_task"),
    "a marker that names the agent": lambda: "agent" in keywords("lk"),
    "a marker that scripts the start": lambda: "start" in keywords("lk"),
    "a marker that lets something pass": lambda: "allow" in keywords("lk"),
}


def is_lambda(arguments: list[ast.expr]) -> bool:
    return any(isinstance(argument, ast.Lambda) for argument in arguments)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_a_step_and_of_a_mock_has_an_example(variant):
    assert VARIANTS[variant]()


def published_fixtures() -> Iterator[str]:
    source = (ROOT / "pytest_lkagent" / "fixtures.py").read_text(encoding="utf-8")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    for node in functions:
        marks = {ast.unparse(decorator) for decorator in node.decorator_list}
        if "pytest.fixture" in marks and not node.name.startswith("_"):
            yield node.name


@pytest.mark.parametrize("name", list(published_fixtures()))
def test_every_fixture_has_an_example(name):
    functions = [
        node
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    used = {arg.arg for node in functions for arg in node.args.args}
    overridden = {node.name for node in functions}
    assert name in used | overridden
