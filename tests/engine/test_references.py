"""Names in scenario files, resolved against real modules and folders."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, APIConnectionError

from pytest_lkagent.errors import UsageError
from pytest_lkagent.references import References, fixture_names
from pytest_lkagent.scenarios.model import Ref
from pytest_lkagent.sites import Site

AGENT = """
from livekit.agents import Agent
import neighbour

class {name}(Agent):
    class Inner:
        value = 5

class Sorry(Exception):
    pass

helper = neighbour.helper
"""


@pytest.fixture
def references() -> References:
    return References(contextlib.nullcontext)


@pytest.fixture(autouse=True)
def _modules_forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def make(folder: str = ".", **files: str) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for name, text in files.items():
            (place / f"{name}.py").write_text(text)
        return place / "desk.yaml"

    return make


def ref(text: str, yaml: Path | str = "desk.yaml") -> Ref:
    return Ref(text, Site(str(yaml), 3), 8)


def test_a_file_is_found_beside_the_scenario_file_and_may_import_its_neighbours(
    references: References, write: Any
) -> None:
    yaml = write(agent=AGENT.format(name="Desk"), neighbour="helper = 'helped'")
    path = list(sys.path)
    assert references.resolve(ref("agent.py:Desk", yaml)).__name__ == "Desk"
    assert references.resolve(ref("agent.py:Desk.Inner.value", yaml)) == 5
    assert references.resolve(ref("agent.py:helper", yaml)) == "helped"
    assert sys.path == path


def test_the_agents_of_two_folders_do_not_meet(references: References, write: Any) -> None:
    first = write("one", agent="name = 'first'")
    second = write("two", agent="name = 'second'")
    assert references.resolve(ref("agent.py:name", first)) == "first"
    assert references.resolve(ref("agent.py:name", second)) == "second"
    assert "agent" not in sys.modules


def test_a_file_is_imported_once_for_all_who_name_it(write: Any) -> None:
    yaml = write(counting="made = object()")
    first, second = References(contextlib.nullcontext), References(contextlib.nullcontext)
    name = ref("counting.py:made", yaml)
    assert first.resolve(name) is second.resolve(name) is first.resolve(name)


@pytest.mark.parametrize("order", [("clinic", "guard"), ("guard", "clinic")])
def test_what_imports_a_file_that_a_scenario_names_has_the_same_classes(
    references: References, write: Any, order: tuple[str, str]
) -> None:
    names = {"clinic": "../clinic.py:Clinic", "guard": "../guard.py:Clinic"}
    clinic = "from livekit.agents import Agent\nclass Clinic(Agent): pass"
    write(clinic=clinic, guard="from clinic import Clinic")
    path = write("found")
    before = list(sys.path)
    first, second = (references.resolve(ref(names[name], path)) for name in order)
    assert first is second
    assert sys.path == before
    assert ("clinic" in sys.modules) == (order[0] == "guard"), "it is lent, and taken back"


def test_of_two_files_of_a_name_the_neighbour_is_lent(references: References, write: Any) -> None:
    agent = "from livekit.agents import Agent\nclass Desk(Agent): pass"
    write(agent=agent, guard="from agent import Desk")
    path = write("found", agent=agent)
    both = {
        name: references.resolve(ref(f"{name}:Desk", path)) for name in ("agent.py", "../agent.py")
    }
    assert references.resolve(ref("../guard.py:Desk", path)) is both["../agent.py"]


def test_a_package_is_imported_by_its_own_name(references: References) -> None:
    assert references.resolve(ref("livekit.agents:Agent")) is Agent


@pytest.mark.parametrize("folder", ["unit", "unit/found"])
def test_beside_a_package_of_tests_its_modules_have_the_names_that_they_have_there(
    references: References, write: Any, folder: str
) -> None:
    write("unit", __init__="", desk="from .neighbour import helper", neighbour="helper = 'helped'")
    yaml, path = write(folder), list(sys.path)
    assert references.resolve(ref("unit.desk:helper", yaml)) == "helped"
    assert sys.path == path


def test_something_stands_around_the_import(write: Any) -> None:
    entered: list[str] = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    References(around).resolve(ref("agent.py:x", write(agent="x = 1")))
    assert entered == ["in", "out"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agent.py:Dsk", "agent.py has no 'Dsk'; did you mean 'Desk'?"),
        ("agent.py:Desk.Innr", "agent.py:Desk has no 'Innr'; did you mean 'Inner'?"),
        ("agnt.py:Desk", "there is no file agnt.py beside desk.yaml"),
        ("nowhere.at.all:x", "nowhere.at.all cannot be imported: ModuleNotFoundError: "),
        ("broken.py:x", ("broken.py cannot be imported: ZeroDivisionError: division by zero "
                        "(broken.py:2)")),
        ("leaving.py:x", "leaving.py cannot be imported: SystemExit: 3 (leaving.py:1)"),
        ("wrong.py:x", "wrong.py cannot be imported: SyntaxError: "),
        ("keyless.py:x", ("keyless.py cannot be imported: KeyError: 'HOTEL_API_KEY' (keyless.py:1)"
                         "; if that is a key, let it hold a dummy in the ini file: lk_env = "
                         "HOTEL_API_KEY")),
        ("keyed.py:x", "keyed.py cannot be imported: KeyError: 'Hotel' (keyed.py:1)"),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved_is_one_line_with_its_place(
    references: References, write: Any, text: str, message: str
) -> None:
    yaml = write(
        agent=AGENT.format(name="Desk"), neighbour="helper = 1", broken="\nx = 1 / 0",
        leaving="raise SystemExit(3)", wrong="x = = 1",
        keyless="import os; os.environ['HOTEL_API_KEY']", keyed="{}['Hotel']",
    )  # fmt: skip
    with pytest.raises(UsageError) as caught:
        references.resolve(ref(text, yaml))
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"desk.yaml:3:8: {message}")


def test_an_interrupt_while_importing_is_an_interrupt(references: References, write: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        references.resolve(ref("stop.py:x", write(stop="raise KeyboardInterrupt")))


def test_a_broken_file_is_imported_anew_when_it_was_mended(
    references: References, write: Any
) -> None:
    yaml = write(mended="x = 1 / 0")
    with pytest.raises(UsageError):
        references.resolve(ref("mended.py:x", yaml))
    write(mended="x = 1")
    assert References(contextlib.nullcontext).resolve(ref("mended.py:x", yaml)) == 1


class OnlyDesk(Agent):
    """The only loaded class of this name."""


class Twice(Agent):
    """One of two."""


First = Twice


class Twice(Agent):  # type: ignore[no-redef]
    """The one that the module still knows."""


def test_a_bare_class_name_is_the_agents_modules_or_the_only_loaded_one(
    references: References, write: Any
) -> None:
    yaml = write(agent=AGENT.format(name="OnlyDesk"), neighbour="helper = 1")
    near = references.module(ref("agent.py:x", yaml))
    assert references.agent_class(ref("OnlyDesk"), near) is near.OnlyDesk
    assert references.agent_class(ref("Twice"), near) is Twice
    assert references.agent_class(ref("agent.py:OnlyDesk", yaml), None) is near.OnlyDesk


def test_a_class_name_of_which_there_are_two_is_refused(references: References, write: Any) -> None:
    yaml = write(agent=AGENT.format(name="OnlyDesk"), neighbour="helper = 1")
    references.module(ref("agent.py:x", yaml))
    with pytest.raises(UsageError, match=r"OnlyDesk may be any of .*:OnlyDesk, .*write which one"):
        references.agent_class(ref("OnlyDesk"), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("OnlyDsk", ("no Agent class 'OnlyDsk' in desk_agent.py or among those loaded; did you "
                    "mean 'OnlyDesk'?")),
        ("desk_agent.py:number", "desk_agent.py:number is no subclass of Agent"),
    ],
)  # fmt: skip
def test_an_unknown_agent_class_is_one_line(
    references: References, write: Any, text: str, message: str
) -> None:
    yaml = write(desk_agent="number = 5")
    near = references.module(ref("desk_agent.py:number", yaml))
    with pytest.raises(UsageError) as caught:
        references.agent_class(ref(text, yaml), near)
    assert str(caught.value) == f"desk.yaml:3:8: {message}"


def test_an_exception_is_the_modules_own_livekits_or_pythons(
    references: References, write: Any
) -> None:
    yaml = write(agent=AGENT.format(name="Desk"), neighbour="helper = 1")
    near = references.module(ref("agent.py:x", yaml))
    assert references.exception(ref("Sorry"), near) is near.Sorry
    assert references.exception(ref("APIConnectionError"), near) is APIConnectionError
    assert references.exception(ref("ValueError"), None) is ValueError
    assert references.exception(ref("agent.py:Sorry", yaml), None) is near.Sorry
    with pytest.raises(UsageError, match=r"no exception 'ValuError'; .*did you mean 'ValueError'"):
        references.exception(ref("ValuError"), near)
    with pytest.raises(UsageError, match=r"agent.py:Desk is no subclass of Exception"):
        references.exception(ref("agent.py:Desk", yaml), near)


def _factory(userdata: Any, greeting: str = "hi", *args: Any, **more: Any) -> None:
    """Make an agent."""


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (_factory, ("userdata",)),
        (functools.partial(_factory, 1), ()),
        (lambda db, clock: None, ("db", "clock")),
        (Agent(instructions="x"), ()),
        (5, ()),
        (type, ()),
    ],
)
def test_a_factory_names_the_fixtures_that_it_takes(function: Any, names: tuple[str, ...]) -> None:
    assert fixture_names(function) == names
