"""Mocks of tools: bound by name, checked, recorded, whatever shape tool and mock have."""

from __future__ import annotations

import asyncio
import functools
import itertools
from typing import Any, Literal
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec
from unittest.mock import call as unittest_call

import pytest
from livekit.agents import (
    Agent,
    RunContext,
    StopResponse,
    ToolError,
    function_tool,
    llm,
    mock_tools,
)

from pytest_lkagent import FunctionCallOutput, UsageError, call, reply, say
from pytest_lkagent.mocks import Outcome

RAW = {
    "name": "open_gate",
    "description": "Open a gate.",
    "parameters": {"type": "object", "properties": {"gate-id": {"type": "string"}}},
}


OPEN = {"name": "anything", "description": "Do it.", "parameters": {"type": "object"}}


class Base(Agent):
    @function_tool
    async def cancel(self, slot: str) -> str:
        """Cancel."""
        return f"really cancelled {slot}"


class FrontDesk(Base):
    def __init__(self) -> None:
        super().__init__(instructions="Book.")

    @function_tool
    async def book(
        self, ctx: RunContext[Any], slot: str, guests: int = 1, kind: Literal["a", "b"] = "a"
    ) -> str:
        """Book."""
        return f"really booked {slot} for {guests}"

    @function_tool(raw_schema=RAW, on_duplicate="confirm")
    async def open_gate(self, raw_arguments: dict[str, object]) -> str:
        """Open."""
        return f"really opened {raw_arguments}"

    @function_tool(raw_schema=OPEN)
    async def anything(self, raw_arguments: dict[str, object]) -> str:
        """Take anything."""
        return f"really did {raw_arguments}"

    @function_tool(on_duplicate="confirm")
    async def pay(self, amount: float) -> str:
        """Pay."""
        return f"really paid {amount}"

    @function_tool
    async def search(self, ctx: RunContext[Any], what: str) -> str:
        """Search, slowly."""
        await ctx.update("searching")
        await asyncio.sleep(30)
        return "really found"

    @function_tool
    async def hand_over(self) -> Agent:
        """Hand over."""
        return NightDesk()


class NightDesk(FrontDesk):
    @function_tool
    async def wake(self) -> str:
        """Wake somebody."""
        return "really woken"


@pytest.fixture
def agent() -> type[Agent]:
    return FrontDesk


@pytest.fixture
def output_of(user_says, fake_llm):
    """Let the model call a tool, and return the tool's output."""

    async def run(step: Any, *after: Any) -> FunctionCallOutput:
        fake_llm.script(step, *(after or [say("Done.")]))
        events = (await user_says("go")).events
        return next(e for e in events if isinstance(e, FunctionCallOutput))

    return run


class Desk:
    """What a mock's function may be: a method, a callable object."""

    def take(self, slot: str) -> str:
        return f"took {slot}"

    async def __call__(self, slot: str, *, guests: int) -> str:
        return f"called with {slot} and {guests}"


def only_keywords(*, guests: int, slot: str) -> str:
    return f"{slot} {guests}"


def everything(**arguments: Any) -> str:
    return repr(sorted(arguments.items()))


def some_and_the_rest(slot: str, /, **rest: Any) -> str:
    return f"{slot} {sorted(rest)}"


async def with_context(guests: int, ctx: RunContext[Any], slot: str) -> str:
    return f"{slot} {guests} {isinstance(ctx, RunContext)}"


def annotated_context(slot: str, where: RunContext[Any]) -> str:
    return f"{slot} {isinstance(where, RunContext)}"


def with_default(slot: str, colour: str = "red", ctx: Any = None) -> str:
    return f"{slot} {colour} {ctx}"


def positionals(*args: Any) -> str:
    return repr(args)


async def delayed(slot: str) -> str:
    await asyncio.sleep(60)
    return slot


@pytest.mark.parametrize(
    ("effect", "output"),
    [
        (lambda slot: f"booked {slot}", "booked 2pm"),
        (lambda guests: f"{guests}", "2"),
        (lambda: "nothing", "nothing"),
        (Desk().take, "took 2pm"),
        (Desk(), "called with 2pm and 2"),
        (only_keywords, "2pm 2"),
        (everything, "[('guests', 2), ('kind', 'a'), ('slot', '2pm')]"),
        (some_and_the_rest, "2pm ['guests', 'kind']"),
        (with_context, "2pm 2 True"),
        (annotated_context, "2pm True"),
        (with_default, "2pm red None"),
        (positionals, "()"),
        (delayed, "2pm"),
        (functools.partial(only_keywords, guests=7), "2pm 2"),
        (Mock(return_value="mocked"), "mocked"),
        (MagicMock(return_value="mocked"), "mocked"),
        (AsyncMock(return_value="mocked"), "mocked"),
        (create_autospec(only_keywords, return_value="spec"), "spec"),
        (dict, "{'slot': '2pm', 'guests': 2, 'kind': 'a'}"),
    ],
)
async def test_a_function_gets_by_name_what_it_names(
    mock_tool, output_of, effect: Any, output: str
) -> None:
    book = mock_tool(FrontDesk, "book", side_effect=effect)
    given = await output_of(call("book", guests="2", slot="2pm"))
    assert (given.output, given.is_error) == (output, False)
    assert book.calls == [{"slot": "2pm", "guests": 2, "kind": "a"}]


async def test_a_mock_of_unittest_sees_the_arguments_by_name(mock_tool, output_of) -> None:
    seen = AsyncMock(return_value="ok")
    mock_tool(FrontDesk, "book", side_effect=seen)
    await output_of(call("book", slot="2pm"))
    seen.assert_awaited_once_with(slot="2pm", guests=1, kind="a")


async def test_as_a_decorator_the_function_is_what_the_tool_does(mock_tool, output_of) -> None:
    @mock_tool(FrontDesk, "book", delay=5)
    def book(slot: str) -> str:
        return f"decorated {slot}"

    assert (await output_of(call("book", slot="2pm"))).output == "decorated 2pm"
    book.assert_called_once_with(slot="2pm", guests=1, kind="a")


async def test_a_spy_runs_the_real_tool_and_records(mock_tool, output_of) -> None:
    book = mock_tool(FrontDesk, "book")
    assert (await output_of(call("book", slot="2pm"))).output == "really booked 2pm for 1"
    assert book.call_count == 1
    assert book.called


async def test_delays_are_virtual(mock_tool, user_says, fake_llm) -> None:
    mock_tool(FrontDesk, "book", returns="ok", delay=20)
    mock_tool(FrontDesk, "cancel", delay=40)
    fake_llm.script(call("book", slot="1"), call("cancel", slot="1"), "Done.")
    assert (await user_says("go")).took == 60


async def test_raises_gives_the_model_an_error_and_is_no_finding(mock_tool, output_of) -> None:
    mock_tool(FrontDesk, "book", raises=ToolError("taken"))
    given = await output_of(call("book", slot="2pm"))
    assert (given.output, given.is_error) == ("taken", True)
    mock_tool(FrontDesk, "cancel", raises=ValueError)
    given = await output_of(call("cancel", slot="2pm"))
    assert (given.output, given.is_error) == ("An internal error occurred", True)


async def test_one_outcome_for_each_call_exceptions_among_them(mock_tool, output_of) -> None:
    book = mock_tool(FrontDesk, "book", side_effect=["booked", ToolError("taken"), StopResponse])
    outputs = [await output_of(call("book", slot=str(n)), *["Ok."][: n < 3]) for n in (1, 2)]
    assert [(o.output, o.is_error) for o in outputs] == [("booked", False), ("taken", True)]
    assert [c["slot"] for c in book.calls] == ["1", "2"]


async def test_an_outcome_may_have_a_delay_of_its_own(mock_tool, user_says, fake_llm) -> None:
    outcomes = [Outcome("slow", delay=30), Outcome(raises=ToolError("taken"), delay=10)]
    mock_tool(FrontDesk, "book", side_effect=outcomes)
    mock_tool(FrontDesk, "cancel", side_effect=Outcome("cancelled", delay=2))
    fake_llm.script(call("book", slot="1"), call("book", slot="2"), call("cancel", slot="2"), "Ok.")
    turn = await user_says("go")
    outputs = [e.output for e in turn.events if e.type == "function_call_output"]
    assert (outputs, turn.took) == (["slow", "taken", "cancelled"], 42)


async def test_an_endless_series_is_read_as_calls_come(mock_tool, output_of) -> None:
    mock_tool(FrontDesk, "book", side_effect=(f"no {n}" for n in itertools.count(1)))
    assert [(await output_of(call("book", slot="x"))).output for _ in range(3)] == [
        "no 1", "no 2", "no 3"
    ]  # fmt: skip


async def test_parallel_calls_get_an_outcome_each(mock_tool, user_says, fake_llm) -> None:
    mock_tool(FrontDesk, "book", side_effect=["first", "second"], delay=1)
    fake_llm.script(reply(None, call("book", slot="1"), call("book", slot="2")), "Done.")
    events = (await user_says("go")).events
    assert {e.output for e in events if isinstance(e, FunctionCallOutput)} == {"first", "second"}


async def test_a_raw_schema_tool_binds_by_the_names_of_its_schema(mock_tool, output_of) -> None:
    gate = mock_tool(FrontDesk, "open_gate", side_effect=lambda raw_arguments: str(raw_arguments))
    given = await output_of(call("open_gate", {"gate-id": "north"}))
    assert given.output == "{'gate-id': 'north'}"
    gate.assert_called_once_with(**{"gate-id": "north"})
    mock_tool(FrontDesk, "open_gate", side_effect=everything)
    given = await output_of(call("open_gate", {"gate-id": "south"}))
    assert given.output == "[('gate-id', 'south')]"


async def test_a_schema_that_leaves_its_arguments_open_is_not_checked(mock_tool, output_of) -> None:
    made = mock_tool(FrontDesk, "anything", side_effect=lambda colour: f"took {colour}")
    assert (await output_of(call("anything", colour="red"))).output == "took red"
    made.assert_called_once_with(colour="red")


async def test_livekits_own_parameters_never_reach_a_mock(mock_tool, output_of) -> None:
    pay = mock_tool(FrontDesk, "pay", returns="paid")
    await output_of(call("pay", amount=5))
    assert pay.calls == [{"amount": 5.0}]


async def test_a_tool_of_a_base_class_is_mocked_by_either_class(
    mock_tool, user_says, fake_llm
) -> None:
    base = mock_tool(Base, "cancel", returns="by the base", optional=True)
    fake_llm.script(call("cancel", slot="1"), "Done.")
    assert "by the base" in [getattr(e, "output", 0) for e in (await user_says("go")).events]
    mock_tool(FrontDesk, "cancel", returns="by the class itself")
    fake_llm.script(call("cancel", slot="2"), "Done.")
    assert "by the class itself" in [
        getattr(e, "output", 0) for e in (await user_says("go")).events
    ]
    assert [c["slot"] for c in base.calls] == ["1"]


async def test_the_nearest_mock_wins_and_a_later_one_replaces_an_earlier(
    mock_tool, output_of
) -> None:
    mock_tool(FrontDesk, "cancel", returns="earlier")
    mock_tool(Base, "cancel", returns="base", optional=True)
    mock_tool(FrontDesk.cancel, returns="by the function", optional=True)
    mock_tool(FrontDesk, "cancel", returns="later")
    assert (await output_of(call("cancel", slot="1"))).output == "later"


async def test_a_tool_is_mocked_by_its_function(mock_tool, output_of) -> None:
    mock_tool(FrontDesk.cancel, returns="by the function")
    assert (await output_of(call("cancel", slot="1"))).output == "by the function"


async def test_two_functions_of_one_name_are_two_tools(mock_tool, fake_llm, start_session) -> None:
    def lookup_of(source: str) -> Any:
        @function_tool
        async def lookup(name: str) -> str:
            """Look up."""
            return f"really in {source}"

        return lookup

    crm, bills = lookup_of("crm"), lookup_of("bills")
    mocks = {
        agent: mock_tool(tool, returns=f"mocked in {agent}")
        for agent, tool in {"Desk": crm, "Billing": bills}.items()
    }
    for agent, tool in {"Desk": crm, "Billing": bills}.items():
        session = await start_session(Agent(instructions=agent, tools=[tool]))
        fake_llm.script(call("lookup", name=agent), say("Done."))
        result = await session.run(user_input="look it up")
        result.expect.contains_function_call_output(output=f"mocked in {agent}")
        mocks[agent].assert_called_once_with(name=agent)


async def test_a_mock_waits_for_an_agent_that_is_handed_over_to_later(
    mock_tool, user_says, fake_llm
) -> None:
    wake = mock_tool(NightDesk, "wake", returns="woken")
    book = mock_tool(NightDesk, "book", returns="booked at night")
    fake_llm.script(
        call("book", slot="1"),
        "Done.",
        call("hand_over"),
        call("wake"),
        call("book", slot="2"),
        "Ok.",
    )
    outputs = [e for e in (await user_says("book")).events if isinstance(e, FunctionCallOutput)]
    assert [o.output for o in outputs] == ["really booked 1 for 1"]
    await user_says("night")
    turn = await user_says("wake and book")
    outputs = [e for e in turn.events if isinstance(e, FunctionCallOutput)]
    assert [o.output for o in outputs] == ["woken", "booked at night"]
    assert (wake.call_count, book.call_count) == (1, 1)


@pytest.mark.parametrize("with_text", [False, True])
async def test_a_mock_may_hand_over(mock_tool, user_says, fake_llm, agent_session, with_text):
    night = NightDesk()
    mock_tool(FrontDesk, "book", returns=(night, "good night") if with_text else night)
    fake_llm.script(call("book", slot="1"), *(["Bye."] if with_text else []))
    turn = await user_says("go")
    assert ("FrontDesk", "NightDesk") in [
        (e.old, e.new) for e in turn.events if e.type == "agent_handoff"
    ]
    assert agent_session.current_agent is night


async def test_a_mock_of_a_background_tool_answers_at_once_or_reports_progress(
    mock_tool, user_says, fake_llm
) -> None:
    mock_tool(FrontDesk, "search", returns="found at once")
    fake_llm.script(call("search", what="x"), "Found.")
    assert "found at once" in [getattr(e, "output", "") for e in (await user_says("x")).events]

    async def slowly(ctx: RunContext[Any], what: str) -> str:
        await ctx.update(f"looking for {what}")
        await asyncio.sleep(600)
        return "found it"

    search = mock_tool(FrontDesk, "search", side_effect=slowly)
    fake_llm.script(call("search", what="y"), "Searching.", "Here it is.")
    turn = await user_says("y")
    outputs = [e.output for e in turn.events if isinstance(e, FunctionCallOutput)]
    assert "looking for y" in outputs[0]
    assert outputs[-1] == "found it"
    assert turn.took == 600
    assert search.calls == [{"what": "y"}]


# --- tools that exist only on instances


@function_tool
async def dance(style: str) -> str:
    """Dance."""
    return f"really danced {style}"


@function_tool
async def sing(song: str) -> str:
    """Sing."""
    return f"really sang {song}"


class Inner(llm.Toolset):
    pass


class Party(Agent):
    def __init__(self) -> None:
        nested = llm.Toolset(id="outer", tools=[Inner(id="inner", tools=[sing])])
        super().__init__(instructions="Party.", tools=[dance, nested])

    @function_tool
    async def learn(self) -> str:
        """Learn to whistle."""

        @function_tool
        async def whistle(tune: str) -> str:
            """Whistle."""
            return f"really whistled {tune}"

        await self.update_tools([*self.tools, whistle])
        return "learnt"


@function_tool
async def end_call() -> str:
    """Hang up."""
    return "really hung up"


class TestInstanceTools:
    @pytest.fixture
    def agent(self) -> type[Agent]:
        return Party

    @pytest.fixture
    def session_options(self) -> dict[str, Any]:
        return {"tools": [end_call]}

    @pytest.mark.parametrize("target", [(Party, "dance"), (Agent, "dance"), (dance,)])
    async def test_given_to_the_constructor(self, mock_tool, output_of, target) -> None:
        made = mock_tool(*target, side_effect=lambda style: f"mocked {style}")
        assert (await output_of(call("dance", style="salsa"))).output == "mocked salsa"
        assert made.calls == [{"style": "salsa"}]

    @pytest.mark.parametrize("target", [(Party, "sing"), (sing,)])
    async def test_in_a_toolset_within_a_toolset(self, mock_tool, output_of, target) -> None:
        mock_tool(*target, returns="la la")
        assert (await output_of(call("sing", song="x"))).output == "la la"

    @pytest.mark.parametrize("target", [(Party, "end_call"), (Agent, "end_call"), (end_call,)])
    async def test_of_the_session(self, mock_tool, output_of, target) -> None:
        mock_tool(*target, returns="hung up")
        assert (await output_of(call("end_call"))).output == "hung up"

    async def test_added_meanwhile(self, mock_tool, user_says, fake_llm) -> None:
        whistle = mock_tool(Party, "whistle", returns="whistled")
        fake_llm.script(call("learn"), "I can.", call("whistle", tune="x"), "Nice.")
        await user_says("learn to whistle")
        await user_says("whistle")
        whistle.assert_called_once_with(tune="x")

    async def test_a_function_that_does_not_fit_is_a_finding_when_the_tool_is_called(
        self, mock_tool, user_says, fake_llm, expect_error
    ) -> None:
        mock_tool(Party, "whistle", side_effect=lambda tuna: tuna)
        fake_llm.script(call("learn"), "I can.", call("whistle", tune="x"), "Nice.")
        await user_says("learn to whistle")
        with expect_error(UsageError, match="takes 'tuna', and the tool has tune; did you mean"):
            await user_says("whistle")


# --- beside LiveKit's own mock_tools


async def test_ours_win_over_livekits_own_tool_by_tool(
    agent_session, mock_tool, user_says, fake_llm
) -> None:
    mock_tools(
        FrontDesk,
        {"book": lambda: "theirs", "cancel": lambda slot: f"theirs {slot}"},
        session=agent_session,
    )
    mock_tool(FrontDesk, "book", returns="ours")
    fake_llm.script(call("book", slot="1"), call("cancel", slot="2"), "Done.")
    outputs = [e.output for e in (await user_says("go")).events if e.type == "function_call_output"]
    assert outputs == ["ours", "theirs 2"]


async def test_ours_win_over_livekits_context_manager_too(mock_tool, user_says, fake_llm) -> None:
    spy = mock_tool(FrontDesk, "cancel")
    mock_tool(FrontDesk, "book", returns="ours")
    fake_llm.script(call("book", slot="1"), call("cancel", slot="2"), "Done.")
    with mock_tools(FrontDesk, {"book": lambda: "theirs", "cancel": lambda: "theirs"}):
        turn = await user_says("go")
    outputs = [e.output for e in turn.events if e.type == "function_call_output"]
    assert outputs == ["ours", "theirs"]
    assert spy.calls == [{"slot": "2"}]


# --- what is refused


refused: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((FrontDesk, "bok"), {}, "no tool 'bok'; it has anything, book, .*did you mean 'book'"),
    ((FrontDesk,), {}, r"needs the name of a tool: one of anything, book, cancel"),
    ((FrontDesk(), "book"), {}, "takes an Agent class and the name of a tool, or a"),
    ((dance, "dane"), {}, r"mock_tool\('dance', 'dane'\): the tool is called dance"),
    ((FrontDesk, "book"), {"returns": 1, "raises": ValueError}, "not returns and raises"),
    ((FrontDesk, "book"), {"raises": "taken"}, "raises= takes an exception, not 'taken'"),
    ((FrontDesk, "book"), {"raises": ToolError}, r"give an instance, such as ToolError\('taken'\)"),
    ((FrontDesk, "book"), {"side_effect": ToolError}, "give an instance"),
    ((FrontDesk, "book"), {"side_effect": "booked"}, "a result for each call, not 'booked'"),
    ((FrontDesk, "book"), {"side_effect": {"a": 1}}, "takes a function"),
    ((FrontDesk, "book"), {"side_effect": lambda slt: slt}, "guests, kind; did you mean 'slot'"),
    ((FrontDesk, "open_gate"), {"side_effect": lambda gate: gate}, "the tool has gate-id; did"),
    ((FrontDesk, "pay"), {"side_effect": lambda amt: amt}, "and the tool has amount; did"),
    ((FrontDesk, "book"), {"delay": -1}, "delay= is in seconds, 0 or more, not -1"),
    ((FrontDesk, "book"), {"delay": "2s"}, "delay= is in seconds"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "behaviour", "message"), refused)
def test_a_mock_that_could_not_work_is_refused_in_one_line(
    mock_tool, target: tuple[Any, ...], behaviour: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        mock_tool(*target, **behaviour)
    assert "\n" not in str(caught.value)


def test_a_decorator_takes_one_function_that_fits(mock_tool) -> None:
    book = mock_tool(FrontDesk, "book", returns="x", optional=True)
    with pytest.raises(UsageError, match="has a behaviour already"):
        book(lambda: "y")
    spy = mock_tool(FrontDesk, "cancel", optional=True)
    with pytest.raises(UsageError, match="decorates a function, not 'y'"):
        spy("y")
    with pytest.raises(UsageError, match="its function takes 'wrong'"):
        spy(lambda wrong: "y")


def test_assertions_speak_unittests_words(mock_tool) -> None:
    book = mock_tool(FrontDesk, "book", returns="x")
    book.assert_not_called()
    for check in (book.assert_called, book.assert_called_once):
        with pytest.raises(AssertionError, match="Expected 'book' to have been called"):
            check()
    for check in (book.assert_called_with, book.assert_called_once_with, book.assert_any_call):
        with pytest.raises(AssertionError):
            check(slot="2pm")
    with pytest.raises(AssertionError, match="Calls not found"):
        book.assert_has_calls([unittest_call(slot="2pm")])


async def test_a_call_is_remembered_as_it_came_whatever_the_tool_does_to_it(
    mock_tool, start_session, fake_llm
) -> None:
    @function_tool
    async def order(items: list[str], with_: dict[str, list[str]]) -> str:
        """Order."""
        items.append("delivery")
        with_["pizza"].append("salt")
        return ", ".join(items)

    spy = mock_tool(order)
    session = await start_session(Agent(instructions="Take orders.", tools=[order]))
    for guests in (1, 2):
        given = {"items": ["pizza"] * guests, "with_": {"pizza": ["olives"]}}
        fake_llm.script(call("order", **given), say("Fine."))
        await session.run(user_input="pizza")
        spy.assert_called_with(**given)
    one, two = (
        unittest_call(items=["pizza"] * guests, with_={"pizza": ["olives"]}) for guests in (1, 2)
    )
    spy.assert_has_calls([one, two])
    spy.assert_has_calls([two, one], any_order=True)
    with pytest.raises(AssertionError, match="Calls not found"):
        spy.assert_has_calls([two, one])


class Open(Agent):
    """Who constructs it gives the tools."""


class Passing(Agent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="x", **options)


class Grown(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="x")

    async def on_enter(self) -> None:
        def later() -> Any:
            return self.update_tools([])

        await later()


@pytest.mark.parametrize("kind", [Agent, Open, Passing, Grown, Party])
def test_a_class_whose_instances_may_have_more_tools_is_checked_later(mock_tool, kind) -> None:
    assert mock_tool(kind, "anything", optional=True).label == f"{kind.__name__}.anything"


def test_an_outcome_too_few_and_a_mock_never_called_fail_the_test(project) -> None:
    result = project(
        {
            "test_mocks.py": """
            import pytest
            from livekit.agents import Agent, function_tool
            from pytest_lkagent import call

            class Desk(Agent):
                def __init__(self):
                    super().__init__(instructions="")

                @function_tool
                async def book(self, slot: str) -> str:
                    return slot

            @pytest.fixture
            def agent():
                return Desk

            async def test_too_few(user_says, fake_llm, mock_tool):
                mock_tool(Desk, "book", side_effect=["one"])
                fake_llm.script(call("book", slot="1"), call("book", slot="2"), "Done.")
                await user_says("go")

            async def test_never(user_says, fake_llm, mock_tool):
                mock_tool(Desk, "book", returns="x")
                fake_llm.script("Hi.")
                await user_says("go")

            async def test_looked_at(user_says, fake_llm, mock_tool):
                book = mock_tool(Desk, "book", returns="x")
                fake_llm.script("Hi.")
                await user_says("go")
                assert book.calls == []
            """
        }
    ).run()
    result.outcomes(failed=2, passed=1)
    result.shows(
        "*book was called 2 times, and its mock (test_mocks.py:18) has 1 result(s): give it*",
        "Desk.book is mocked (test_mocks.py:23), and was never called*",
    )
