"""The built-in invariants, each broken by an agent in a conversation that a file has."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import pydantic
import pytest
from livekit.agents import __version__, function_tool
from project import Result
from typing_extensions import TypedDict

from pytest_lkagent.fitting import misfits
from pytest_lkagent.invariants import INVARIANTS

AGENT = """
import asyncio
import datetime
from typing import Annotated

import pydantic
from livekit.agents import Agent, AgentTask, RunContext, ToolError, function_tool


class Other(Agent):
    def __init__(self):
        super().__init__(instructions="You are another one.")


class Desk(Agent):
    def __init__(self):
        super().__init__(instructions="You book.")

    async def on_enter(self):
        self.session.on("function_tools_executed", self.executed)

    def executed(self, event):
        pass
"""
BOOKS = "user: book\n        llm: [{call: {book: {}}}, Done.]"
SEATS = "user: book\n        llm: [{call: {book: {seats: 2}}}, Done.]"
THANKS = "user: thanks\n        llm: [Bye.]"

RAISES = """
    @function_tool
    async def book(self) -> str:
        raise KeyError("slot")
"""
LEAKS = """
    @function_tool
    async def book(self) -> str:
        self.reminder = asyncio.create_task(asyncio.sleep(3600))
        return "booked"
"""
HANGS = """
    @function_tool
    async def book(self) -> str:
        await asyncio.get_running_loop().create_future()
"""
FORGETS = """
    @function_tool
    async def book(self, context: RunContext) -> str:
        history = context.session.history
        history.items = [one for one in history.items if one.type != "function_call_output"]
        return "booked"
"""
CALLS_OFF = """
    def executed(self, event):
        event.cancel_agent_handoff()

    @function_tool
    async def book(self) -> Agent:
        return Other()
"""
CUTS = """
    async def llm_node(self, chat_ctx, tools, model_settings):
        short = chat_ctx.copy()
        short.items = short.items[-3:]
        async for chunk in Agent.default.llm_node(self, short, tools, model_settings):
            yield chunk

    @function_tool
    async def book(self) -> str:
        return "booked"
"""
SAYS_TWICE = """
    @function_tool
    async def book(self, context: RunContext) -> str:
        context.session.say("One moment.")
        context.session.say("One moment. ")
        return "booked"
"""

UNREADABLE = """
    @function_tool
    async def book(self) -> object:
        return Other
"""
DOUBLES = """
    @function_tool
    async def book(self) -> str:
        mine = self.chat_ctx.copy()
        mine.items += mine.items[-1:]
        await self.update_chat_ctx(mine)
        return "booked"
"""
STAYS_MUTE = """
    busy = False

    async def llm_node(self, chat_ctx, tools, model_settings):
        if not self.busy:
            self.busy = True
            async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
                yield chunk
            self.busy = False
"""
HANGS_AT_START = """
    async def on_enter(self):
        await asyncio.get_running_loop().create_future()
"""
HANGS_AT_THE_END = """
    async def on_exit(self):
        await asyncio.get_running_loop().create_future()

    @function_tool
    async def book(self) -> str:
        return "booked"
"""
TAKES_NO_NUMBER = """
    @function_tool
    async def book(self, seats: Annotated[int, pydantic.AfterValidator(str)] = 2) -> str:
        return "booked"
"""
FAILS = "user: book\n        llm: [{fail: {status: 400}}]"

BROKEN = {
    "raises_nothing": (RAISES, "E * KeyError: 'slot'"),
    "leaks_no_task": (
        LEAKS,
        "found.yaml:3: Found: the task sleep() (made at desk.py:26) is still running at the end *",
    ),
    "ends": (HANGS, "*: Found, turn 1: user_says('book') cannot finish: nothing can happen*"),
    "answers_calls": (FORGETS, "*: Found, turn 2: answers_calls: the call book() has no output"),
    "hands_over": (
        CALLS_OFF,
        "*: Found, turn 1: hands_over: book handed over to Other, which never took over",
    ),
    "valid_context": (
        CUTS,
        (
            "*: Found, turn 2: valid_context: Desk sent its model an output without its call: "
            "book -> 'booked'"
        ),
    ),
    "says_once": (SAYS_TWICE, "*: Found, turn 1: says_once: 'One moment.' was said 2 times"),
    "fitting_arguments": (
        TAKES_NO_NUMBER,
        (
            "*: Found, turn 1: fitting_arguments: book was called with seats='2', which is "
            "annotated as int"
        ),
    ),
    "goes_on": (
        STAYS_MUTE,
        (
            "*: Found, turn 3: goes_on: nothing comes of what the user says, and the model is not "
            "asked: 'thanks'"
        ),
    ),
}

ALSO_BROKEN = [
    (
        "answers_calls",
        UNREADABLE,
        "*: Found, turn 1: answers_calls: book gave back what no model can read: <class '*.Other'>",
    ),
    (
        "valid_context",
        DOUBLES,
        "*: Found, turn 1: valid_context: Desk has the same 2 times in its context: book",
    ),
    (
        "ends",
        HANGS_AT_START,
        "*: Found: the start of the session cannot finish: nothing can happen any more; on_enter *",
    ),
    (
        "ends",
        HANGS_AT_THE_END,
        "*: Found: closing the session cannot finish: *; on_exit * waits at desk.py:*",
    ),
]
CASES = [*((name, *case) for name, case in BROKEN.items()), *ALSO_BROKEN]


EARLIER = {
    TAKES_NO_NUMBER: "LiveKit 1.7 looks at no validator beside an annotation",
    HANGS_AT_THE_END: "LiveKit 1.7 closes in a shutdown callback, which is cancelled with it",
}
"""What cannot be shown before 1.8."""


def of_this_version(cases: list[Any]) -> list[Any]:
    is_earlier = __version__.startswith("1.7.")
    return [
        pytest.param(
            name,
            agent,
            line,
            id=f"{name}{number}",
            marks=pytest.mark.skipif(
                is_earlier and agent in EARLIER, reason=EARLIER.get(agent, "")
            ),
        )
        for number, (name, agent, line) in enumerate(cases)
    ]


def played(project: Any, agent: str, *turns: str, **fuzz: str) -> Result:
    written = "".join(f"      - {turn}\n" for turn in turns)
    settings = ", ".join(f"{key}: {value}" for key, value in fuzz.items())
    scenario = (
        "agent: desk.py:Desk\nscenarios:\n  - label: Found\n"
        f"    fuzz: {{{settings}}}\n    turns:\n{written}"
    )
    files = {"desk.py": AGENT + agent, "found.yaml": scenario}
    result: Result = project(files).run("--lk-scenarios=found.yaml")
    return result


def told(project: Any, agent: str, **fuzz: str) -> Result:
    """Play a conversation in which every agent of these shows its fault."""
    if agent is STAYS_MUTE:
        return played(project, agent, THANKS, FAILS, THANKS, **fuzz)
    books = SEATS if agent is TAKES_NO_NUMBER else BOOKS
    return played(project, agent, books, BOOKS, THANKS, **fuzz)


@pytest.mark.parametrize(("name", "agent", "line"), of_this_version(CASES))
def test_a_broken_invariant_is_told_where_it_broke(project, name, agent, line):
    result = told(project, agent)
    result.outcomes(failed=1)
    result.shows(line)


@pytest.mark.parametrize(("name", "agent", "line"), of_this_version(CASES))
def test_an_invariant_that_need_not_hold_is_not_looked_at(project, name, agent, line):
    told(project, agent, without=f"[{name}]").outcomes(passed=1)


def test_each_invariant_is_broken_once():
    assert BROKEN.keys() == set(INVARIANTS)


HARMLESS = """
    @function_tool
    async def book(self, slot: str) -> str:
        raise ToolError("taken")
"""


@pytest.mark.parametrize(
    "step",
    [
        "{call: {book: {slot: 2pm}}}",
        "{call: {book: {slot: 2pm}, cancel: {}}}",
        "{raw_call: {functions.book: '{}'}}",
        "{raw_call: {book: ['{', '{}', '[]']}}",
        "{raw_call: {book: '{\"slot\": {}}'}}",
        "{call: {book: [{slot: 2pm}, {slot: 3pm}]}, ids: [same, same]}",
        "{fail: {connection: true, after: Well}}",
        "{fail: {status: 400}}",
        "{silence: true}",
        "{say: Hello., chunks: [Hel, lo.], duration: 2s}",
    ],
)
def test_what_a_model_does_wrong_is_not_the_agents_fault(project, step):
    turn = f"user: book\n        interrupt: 1s\n        llm: [{step}, Sorry.]"
    played(project, HARMLESS, turn, THANKS).outcomes(passed=1)


def test_a_call_of_the_session_that_the_agent_ends_itself_is_where_the_conversation_ends(project):
    hangs_up = """
    @function_tool
    async def book(self, context: RunContext) -> None:
        context.session.shutdown()
"""
    played(project, hangs_up, BOOKS, THANKS).outcomes(passed=1)


def test_a_hand_over_that_the_user_cuts_off_need_not_happen(project):
    hands_over = """
    @function_tool
    async def book(self) -> Agent:
        await asyncio.sleep(3)
        return Other()
"""
    cut = BOOKS.replace("llm:", "interrupt: 1s\n        llm:")
    played(project, hands_over, cut, THANKS).outcomes(passed=1)


VALIDATES = """
    @function_tool
    async def book(
        self,
        day: Annotated[datetime.date, pydantic.BeforeValidator(lambda text: parsed(text))],
        euros: Annotated[int, pydantic.Field(le=100), pydantic.AfterValidator(lambda n: n * 100)],
        guests: pydantic.Json[dict[str, int]],
        number: Annotated[str, pydantic.AfterValidator(lambda text: prefixed(text))],
        secret: pydantic.Base64Str,
    ) -> str:
        assert (day.day, euros, guests, number, secret) == (2, 200, {"Ada": 1}, "+1555", "hi?")
        return "booked"


def parsed(text):
    return datetime.date.fromisoformat(text.strip())


def prefixed(text):
    if text.startswith("+"):
        raise LookupError("a national number, please")
    return "+1" + text
"""


def test_what_a_validator_makes_of_an_argument_is_not_validated_again(project):
    sent = "{day: '2026-01-02', euros: 2, guests: '{\"Ada\": 1}', number: '555', secret: aGk/}"
    turn = f"user: book\n        llm: [{{call: {{book: {sent}}}}}, Done.]"
    played(project, VALIDATES, turn, THANKS).outcomes(passed=1)


class Guest(pydantic.BaseModel):
    name: str


class Slot(NamedTuple):
    hour: Annotated[int, pydantic.AfterValidator(str)]


class Tone(TypedDict):
    volume: Annotated[int, pydantic.AfterValidator(str)]


ASKS_MEANWHILE = """
    @function_tool
    async def book(self) -> Agent:
        return Other()

    @function_tool
    async def remind(self) -> str:
        return await AskEmail()


class AskEmail(AgentTask[str]):
    def __init__(self):
        super().__init__(instructions="Ask for the email address.")

    async def on_enter(self):
        self.session.generate_reply(instructions="Ask.")

    @function_tool
    async def got(self, address: str) -> None:
        self.complete(address)
"""
BOTH = "user: book, remind me\n        llm: [{call: {book: {}, remind: {}}}, Your address?]"
ADDRESS = "user: a@b.c\n        llm: [{call: {got: {address: a@b.c}}}, Done.]"
NEEDS_183 = pytest.mark.skipif(
    tuple(map(int, __version__.split(".")[:3])) < (1, 8, 3),
    reason="LiveKit itself drops a hand-over before a slower tool: livekit/agents 7320",
)


@NEEDS_183
def test_a_hand_over_waits_for_the_other_tools_of_its_completion(project):
    played(project, ASKS_MEANWHILE, BOTH, THANKS, ADDRESS, THANKS).outcomes(passed=1)


def test_a_hand_over_that_waited_and_does_not_happen_is_told(project):
    calls_off = CALLS_OFF.partition("    @function_tool")[0] + ASKS_MEANWHILE
    result = played(project, calls_off, BOTH, THANKS, ADDRESS, THANKS)
    result.outcomes(failed=1)
    result.shows("*: Found, turn 3: hands_over: book handed over to Other, which never took over")


@function_tool
async def book(
    count: int = 0,
    slots: list[str] = [],  # noqa: B006
    name: str | None = None,
    hours: dict[str, float] = {},  # noqa: B006
    meal: Literal["lunch", "dinner"] = "lunch",
    place: tuple[int, str] = (1, "window"),
    odd: tuple[int, ...] = (),
    guest: Guest | None = None,
    slot: Slot = Slot(9),  # noqa: B008
    tone: Tone | None = None,
    mail: pydantic.EmailStr = "",
    note: pydantic.Json = "",  # type: ignore[type-arg]
    anything: Any = None,
) -> str:
    """Book."""
    return "booked"


FITTING: list[dict[str, Any]] = [
    {"count": 1, "slots": ["2pm"]},
    {"name": None},
    {"name": "Ada"},
    {"hours": {"2pm": 1.5, "3pm": 2}},
    {"meal": "dinner"},
    {"place": (2, "garden"), "odd": (1, 3, 5)},
    {"guest": Guest(name="Ada"), "slot": Slot("2pm"), "tone": {"volume": "9"}},
    {"mail": "ada@example.com", "note": [1], "anything": object},
]
UNFITTING = {
    "count='1'": ({"count": "1"}, "int"),
    "slots=[2]": ({"slots": [2]}, "list[str]"),
    "name=2": ({"name": 2}, "str | None"),
    "hours={2: 1.5}": ({"hours": {2: 1.5}}, "dict[str, float]"),
    "hours={'2pm': 'late'}": ({"hours": {"2pm": "late"}}, "dict[str, float]"),
    "meal='tea'": ({"meal": "tea"}, "Literal['lunch', 'dinner']"),
    "place=(1, 2)": ({"place": (1, 2)}, "tuple[int, str]"),
    "odd=(1, 'three')": ({"odd": (1, "three")}, "tuple[int, ...]"),
    "guest={'name': 'Ada'}": ({"guest": {"name": "Ada"}}, f"{__name__}.Guest | None"),
}


@pytest.mark.parametrize("values", FITTING)
def test_arguments_that_fit_their_annotations_are_no_misfits(values):
    assert list(misfits(book, values)) == []


@pytest.mark.parametrize("shown", UNFITTING)
def test_arguments_that_do_not_fit_their_annotations_are_told(shown):
    values, annotated = UNFITTING[shown]
    told = f"book was called with {shown}, which is annotated as {annotated}"
    assert list(misfits(book, values)) == [told]


def test_a_default_need_not_fit_its_annotation():
    async def order(cups: int = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
        """Order."""
        return "ordered"

    assert list(misfits(function_tool(order), {"cups": None})) == []


def test_an_unknown_invariant_is_refused_with_the_choices(project):
    result = played(project, HARMLESS, BOOKS, without="[says_onse]")
    result.shows(
        "*found.yaml:4:*: without names 'says_onse', which is no invariant; they are "
        f"{', '.join(INVARIANTS)}; did you mean 'says_once'?"
    )
