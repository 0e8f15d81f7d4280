"""Mocks of AgentTasks: awaited without a hand-over, and classes given back as they were."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import Agent, AgentTask, ToolError, function_tool
from livekit.agents.beta.workflows import TaskGroup

from pytest_lkagent import UsageError, call
from pytest_lkagent.mocks import Mocks, TaskMock


class GetEmail(AgentTask[str]):
    def __init__(self, greeting: str, *, tries: int = 3, **more: Any) -> None:
        super().__init__(instructions=f"{greeting}, ask for the email.")


class GetPhone(AgentTask[str]):
    """Without a constructor of its own."""


class Shouting(GetEmail):
    def __init__(self) -> None:
        super().__init__("HELLO")


class Desk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Desk.")

    @function_tool
    async def ask(self) -> str:
        """Ask."""
        return f"got {await GetEmail('Hi', tries=2, polite=True)}"

    @function_tool
    async def phone(self) -> str:
        """Ask for the phone."""
        return f"got {await GetPhone(instructions='phone')}"

    @function_tool
    async def both(self) -> str:
        """Ask for everything."""
        group = TaskGroup()
        group.add(lambda: GetEmail("Hi"), id="email", description="the email")
        group.add(lambda: GetPhone(instructions="x"), id="phone", description="the phone")
        results = await group
        return str(dict(results.task_results))


@pytest.fixture
def agent() -> type[Agent]:
    return Desk


def outputs(turn: Any) -> list[str]:
    return [e.output for e in turn.events if e.type == "function_call_output"]


async def test_awaiting_the_task_gives_the_result_at_once(mock_task, user_says, fake_llm) -> None:
    email = mock_task(GetEmail, returns="a@b.c")
    fake_llm.script(call("ask"), "Thanks.")
    turn = await user_says("hi")
    assert outputs(turn) == ["got a@b.c"]
    assert not [e for e in turn.events if e.type == "agent_handoff"]
    assert len(fake_llm.requests) == 2
    email.assert_called_once_with(greeting="Hi", tries=2, polite=True)


async def test_it_may_raise_give_one_result_for_each_or_ask_a_function(
    mock_task, user_says, fake_llm
) -> None:
    fake_llm.when("go", call("ask"), "Ok.", times=None)
    mock_task(GetEmail, raises=ToolError("no email"))
    assert outputs(await user_says("go")) == ["no email"]
    mock_task(GetEmail, side_effect=["one", ToolError("two")])
    assert outputs(await user_says("go")) == ["got one"]
    assert outputs(await user_says("go")) == ["two"]

    async def answer(tries: int, **more: Any) -> str:
        return f"{tries} {sorted(more)}"

    mock_task(GetEmail, side_effect=answer)
    assert outputs(await user_says("go")) == ["got 2 ['greeting', 'polite']"]


async def test_a_task_without_a_constructor_of_its_own(mock_task, user_says, fake_llm) -> None:
    phone = mock_task(GetPhone, returns="555")
    fake_llm.script(call("phone"), "Thanks.")
    assert outputs(await user_says("hi")) == ["got 555"]
    assert phone.calls[0]["instructions"] == "phone"


async def test_tasks_of_a_group_are_mocked_too(mock_task, user_says, fake_llm) -> None:
    mock_task(GetEmail, returns="a@b.c")
    mock_task(GetPhone, returns="555")
    fake_llm.when("hi", call("both"))
    fake_llm.when(lambda r: True, "Thanks.", times=None)
    turn = await user_says("hi")
    assert outputs(turn) == ["{'email': 'a@b.c', 'phone': '555'}"]


def test_classes_are_given_back_exactly_as_they_were() -> None:
    classes = (GetEmail, GetPhone, Shouting, AgentTask)
    before = [dict(vars(cls)) for cls in classes]
    mocks = Mocks()
    for cls in (GetEmail, Shouting, GetPhone, GetEmail):
        mocks.add_task(TaskMock(cls, returns=1))
    assert "__await__" in vars(GetPhone)
    mocks.restore()
    assert [dict(vars(cls)) for cls in classes] == before
    mocks.restore()
    assert [dict(vars(cls)) for cls in classes] == before


@pytest.mark.asyncio
async def test_a_later_mock_of_a_class_replaces_an_earlier_one() -> None:
    mocks = Mocks()
    first = mocks.add_task(TaskMock(GetEmail, returns="first"))
    second = mocks.add_task(TaskMock(GetEmail, returns="second"))
    try:
        assert await GetEmail("Hi") == "second"
        assert list(mocks) == [second]
        assert not first.called
    finally:
        mocks.restore()


@pytest.mark.asyncio
async def test_a_subclass_is_recorded_with_its_own_construction_and_the_nearest_mock_answers() -> (
    None
):
    mocks = Mocks()
    shouting = mocks.add_task(TaskMock(Shouting, returns="loud"))
    email = mocks.add_task(TaskMock(GetEmail, returns="soft"))
    try:
        assert (await Shouting(), await GetEmail("Hi")) == ("loud", "soft")
        assert (shouting.calls, [c["greeting"] for c in email.calls]) == ([{}], ["Hi"])
    finally:
        mocks.restore()


def test_a_wrong_construction_fails_as_without_the_mock() -> None:
    mocks = Mocks()
    mocks.add_task(TaskMock(GetEmail, returns="x"))
    try:
        with pytest.raises(TypeError, match=r"GetEmail.__init__\(\) missing 1 required positional"):
            GetEmail()  # type: ignore[call-arg]
    finally:
        mocks.restore()


@pytest.mark.parametrize(
    ("task", "behaviour", "message"),
    [
        (Desk, {"returns": 1}, r"mock_task\(\) takes a subclass of AgentTask, not <class"),
        ("GetEmail", {"returns": 1}, "takes a subclass of AgentTask, not 'GetEmail'"),
        (GetPhone, {}, r"mock_task\(GetPhone\) needs a result: returns=, raises= or side_effect="),
        (GetPhone, {"returns": 1, "raises": ValueError}, "takes one of returns=, raises= and"),
        (Shouting, {"side_effect": lambda mail: mail}, "the task is constructed with none"),
    ],
)  # fmt: skip
def test_a_mock_that_could_not_work_is_refused(task: Any, behaviour: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TaskMock(task, **behaviour)


def test_a_function_for_a_task_that_takes_anything_may_name_anything() -> None:
    assert TaskMock(GetEmail, side_effect=lambda polite: polite).label == "GetEmail"
