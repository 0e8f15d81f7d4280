"""From production to test: a call is played, its report converted, and what comes out is played.

Against the same agent it passes, and fails once the agent does something else.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from textwrap import dedent, indent

import livekit.agents  # noqa: F401  (once for all runs within this process)
import pytest

from pytest_lkagent.__main__ import main

AGENT = '''\
import asyncio
import json

from livekit.agents import Agent, AgentTask, RunContext, ToolError, function_tool


class AskName(AgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the name.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="ask for the name")

    @function_tool
    async def note(self, name: str) -> None:
        """Note the name."""
        self.complete(name)


class Office(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You keep the office.")

    @function_tool
    async def book(self, slot: str) -> str:
        """Book a slot."""
        if slot == "9pm":
            raise ToolError("closed")
        return f"booked {slot}"

    @function_tool
    async def keep(self, value: dict) -> str:
        """Keep a value."""
        return json.dumps(value)

    @function_tool
    async def price(self, amount: float) -> str:
        """Tell a price."""
        return "${amount}: " + str(amount)

    @function_tool
    async def look(self) -> str:
        """Look into a calendar that is broken."""
        raise LookupError("no calendar")

    @function_tool
    async def note(self, text: str) -> None:
        """Note something, which needs no answer."""

    @function_tool
    async def tell(self, context: RunContext) -> str:
        """Tell it without a model."""
        context.session.say("One moment, please.")
        return "told"

    @function_tool
    async def search(self, context: RunContext, what: str) -> str:
        """Search for half a minute."""
        await context.update(f"searching for {what}")
        await asyncio.sleep(30)
        return f"found {what}"

    @function_tool
    async def register(self) -> str:
        """Register the caller."""
        await asyncio.sleep(1)
        return f"registered {await AskName()}"

    @function_tool
    async def remind(self, context: RunContext) -> str:
        """Ask again in ten seconds."""
        loop = asyncio.get_running_loop()
        loop.call_later(10, context.session.say, "Are you still there?")
        return "set"

    @function_tool
    async def bill(self) -> Agent:
        """Hand over to the bills."""
        return HTTPBilling()

    @function_tool
    async def transfer(self) -> tuple[Agent, str]:
        """Hand over with a word."""
        return Greeter(), "transferring"

    @function_tool
    async def end_call(self, context: RunContext) -> str:
        """Hang up."""
        context.session.shutdown()
        return "bye"


class HTTPBilling(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You know the bills.")

    async def on_enter(self) -> None:
        await self.session.say("Bills, hello.")


class Greeter(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You say hello.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller.")


class Both(Office):
    async def on_enter(self) -> None:
        await self.session.say("Welcome.")
        self.session.generate_reply(instructions="Greet the caller.")
'''

RECORD = """
import json
from pathlib import Path
from office import Both, Greeter, Office
from pytest_lkagent import raw_call, silence

@pytest.mark.lk(agent={agent}, start=[{start}])
async def test_call(
    agent_session, user_says, fake_llm, job_context, settle, expect_error, expect_close
):
{body}
    report = job_context.make_session_report(agent_session)
    Path("report.json").write_text(json.dumps(report.to_dict()))
    Path("history.json").write_text(json.dumps(agent_session.history.to_dict()))
    Path("bare.json").write_text(json.dumps(agent_session.history.to_dict(exclude_metrics=True)))
"""


KEPT = {"": ("history", "bare"), "metrics": ("history",), "report": ()}
"""What else LiveKit keeps of a call that may be enough for its replay, by what that needs."""


@dataclass(frozen=True)
class Call:
    """A call: what is said in it, and a change to the agent that its replay must not survive."""

    body: str | tuple[str, ...]
    change: tuple[str, str] = ('"booked {slot}"', '"booked {slot}!"')
    told: str = "*expected function_call_output *"
    start: str = ""
    agent: str = "Office"
    shows: tuple[str, ...] = ()
    needs: str = ""
    """What of it a replay needs: the metrics of a history, or more of the report."""


TOOL = """
fake_llm.script(call("book", slot="2pm"), say("Booked."))
await user_says("2 pm please")
"""

CALLS = {
    "a tool": Call(TOOL, shows=("llm: [{call: {book: {slot: 2pm}}}, Booked.]",)),
    "two turns": Call((TOOL, 'fake_llm.script("Bye.")\nawait user_says("bye")', TOOL)),
    "a message with parallel calls": Call(
        """
        fake_llm.script(
            reply("Moment.", call("book", slot="2pm"), call("book", slot="9pm"), call("tell")),
            say("Booked one."),
        )
        await user_says("both")
        """,
        shows=(
            "llm: [{say: Moment., call: {book: [{slot: 2pm}, {slot: 9pm}], *",
            "- function_call_output: {name: book, is_error: true, output: closed}",
        ),
        needs="metrics",
    ),
    "one call after another": Call(
        """
        fake_llm.script(call("book", slot="9pm"), call("book", slot="2pm"), say("Booked."))
        await user_says("9 pm or 2 pm")
        """
    ),
    "a tool that fails": Call(
        """
        fake_llm.script(call("book", slot="9pm"), say("We close at six."))
        await user_says("9 pm please")
        """,
        change=('"closed"', '"open"'),
        told="*9 pm please, turn 1: expected *",
    ),
    "a tool that crashes": Call(
        """
        fake_llm.script(call("look"), say("That did not work."))
        with expect_error(LookupError):
            await user_says("tomorrow?")
        """,
        change=('raise LookupError("no calendar")', 'return "a calendar"'),
        told="*tomorrow?, turn 1: expected *",
    ),
    "what no tool takes": Call(
        """
        fake_llm.script(
            reply(
                None,
                raw_call("book", '{"slot": [}'),
                raw_call("cancel", "{}"),
                raw_call("price", '{"amount": "x"}'),
            ),
            say("Sorry."),
        )
        await user_says("cancel")
        """,
        change=("amount: float", "amount: str"),
        told="*expected failed function_call_output price *",
    ),
    "a tool that needs no answer": Call(
        """
        fake_llm.script(call("note", text="window"))
        await user_says("a seat at the window")
        """,
        change=('answer."""', 'answer."""\n        return "noted"'),
        told="*asked its model*",
    ),
    "a tool that speaks": Call(
        """
        fake_llm.script(call("tell"), say("Told."))
        await user_says("tell me")
        """,
        change=("One moment, please.", "Wait."),
        told="*expected message *",
        needs="metrics",
    ),
    "a start that the model makes": Call(
        'fake_llm.script("Fine.")\nawait user_says("how are you?")',
        start='"Hello, I am the desk."',
        agent="Greeter",
        change=('self.session.generate_reply(instructions="Greet the caller.")', "pass"),
        told="*scripted, and never asked for: say('Hello, I am the desk.')*",
    ),
    "a start that code makes, too": Call(
        TOOL,
        start='"How can I help?"',
        agent="Both",
        change=("Welcome.", "Good evening."),
        told="*start: expected message 'Welcome.'*",
        shows=("start:", "llm: ['How can I help?']", "expect:", "- message: Welcome."),
        needs="metrics",
    ),
    "only a start": Call(
        "",
        start='"Anybody there?"',
        agent="Greeter",
        change=('self.session.generate_reply(instructions="Greet the caller.")', "pass"),
        told="*scripted, and never asked for: say('Anybody there?')*",
        shows=("turns: []",),
    ),
    "a hand-over": Call(
        """
        fake_llm.script(call("bill"))
        await user_says("my bill")
        fake_llm.script("It is 20.")
        await user_says("how much?")
        """,
        change=("return HTTPBilling()", "return 'no bills'"),
        told="*asked its model*",
        shows=("- agent_handoff: {from: Office, to: HTTPBilling}", "- message: 'Bills, hello.'"),
        needs="metrics",
    ),
    "a hand-over with a word": Call(
        """
        fake_llm.script(call("transfer"), say("Wait."), say("Hello."))
        await user_says("somebody else")
        """,
        change=('Greeter(), "transferring"', 'HTTPBilling(), "transferring"'),
        told="*closest: to differs: expected 'Greeter', got 'HTTPBilling'*",
    ),
    "a task that asks the caller": Call(
        """
        fake_llm.script(call("register"), say("Your name?"))
        await user_says("I am new")
        fake_llm.script(call("note", name="Maya"), say("Registered."))
        await user_says("Maya")
        """,
        change=("registered {", "noted {"),
        shows=("- agent_handoff: {from: AskName, to: Office}",),
    ),
    "a task in which the call ends": Call(
        """
        fake_llm.script(call("register"), say("Your name?"))
        await user_says("I am new")
        """,
        change=("{await AskName()}", "nobody"),
        told="*expected *",
        needs="report",
    ),
    "a tool that works in the background": Call(
        """
        fake_llm.script(call("search", what="maps"), "I'm searching.", "There they are.")
        await user_says("maps")
        """,
        change=('"found {what}"', '"lost {what}"'),
    ),
    "small talk meanwhile": Call(
        """
        fake_llm.script(call("search", what="maps"), "I'm searching.")
        await user_says("maps", settle=False)
        fake_llm.script("Fine.", "There they are.")
        await user_says("how are you?")
        """,
        change=('"found {what}"', '"lost {what}"'),
        shows=("# a tool works on in the next turn; its time counts", "settle: false"),
    ),
    "an interruption": Call(
        (
            """
        fake_llm.script(say("We are open from nine to five.").timed(duration=3))
        await user_says("when?", interrupt=1.0)
        """,
            TOOL,
        ),
        shows=("interrupt: 625ms",),
    ),
    "a model that fails": Call(
        (
            """
        fake_llm.script(fail(APIConnectionError("down", retryable=False)))
        with expect_error(APIConnectionError):
            await user_says("hello?")
        """,
            TOOL,
        ),
        shows=("# the model failed here; *", "expect_error: APIConnectionError"),
        needs="report",
    ),
    "a model that says nothing": Call(
        ('fake_llm.script(silence())\nawait user_says("hello?")', TOOL),
        shows=("# the model's answer is not in the history; *", "llm: [{silence: true}]"),
    ),
    "an agent that speaks after a pause": Call(
        """
        fake_llm.script(call("remind"), say("I wait."))
        await user_says("wait")
        import asyncio
        await asyncio.sleep(12)
        await settle()
        """,
        change=("Are you still there?", "Hello?"),
        told="*expected message *",
        shows=("- wait: 10s", "- message: 'Are you still there?'"),
        needs="report",
    ),
    "an agent that hangs up": Call(
        """
        fake_llm.script(call("end_call"), say("Goodbye."))
        with expect_close(reason="user_initiated"):
            await user_says("bye")
        """,
        change=("context.session.shutdown()", "pass"),
        told="*expected close*",
        needs="report",
    ),
    "what YAML would read as something else": Call(
        (
            """
        odd = ["no", "12:30", "...", "- a: b # c", "'", "null", "a\\n\\n b\\n", "😀 \\x07", "?"]
        for text in odd:
            fake_llm.script(call("note", text=text))
            await user_says(text)
            fake_llm.script(say(text))
            await user_says(text)
        value = {"<<": {"5": 1e300}, "big": 2**70, "": [None, 0.5]}
        fake_llm.script(call("keep", value=value), say("Kept."))
        await user_says("!")
        """,
            TOOL,
        ),
    ),
    "a dollar before a brace": Call(
        """
        fake_llm.script(call("note", text="${name}"))
        await user_says("it costs ${price}")
        fake_llm.script(call("price", amount=1.5), say("It is ${amount}."))
        await user_says("how much?")
        """,
        change=('"${amount}: "', '"amount: "'),
        shows=("# a scenario takes ${ for a capture, so *", "- user: it costs $ {price}"),
    ),
}


@pytest.fixture
def record(desk, pytester):
    """Play a call, and leave its report in the folder."""

    def play(made: Call) -> None:
        pieces = [made.body] if isinstance(made.body, str) else made.body
        body = indent("\n".join(map(dedent, pieces)).strip() or "pass", "    ")
        test = RECORD.format(agent=made.agent, start=made.start, body=body)
        desk({"office.py": AGENT, "test_call.py": test}).run("test_call.py").outcomes(passed=1)

    return play


@pytest.fixture
def convert(pytester, capsysbinary, monkeypatch):
    """Convert a file of the folder, and return the scenario and the notes."""
    monkeypatch.chdir(pytester.path)

    def run(*arguments: str) -> tuple[str, str]:
        capsysbinary.readouterr()
        assert main(["convert", *arguments]) == 0
        for name in [name for name in sys.modules if name.startswith("_lk_office_")]:
            del sys.modules[name]  # a command has a process of its own
        written, notes = capsysbinary.readouterr()
        return written.decode(), notes.decode()

    return run


def _replay(desk, scenarios: dict[str, str], change: tuple[str, str] = ("", "")):
    assert change[0] in AGENT
    return desk({"office.py": AGENT.replace(*change), **scenarios}).run(*scenarios)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_replayed_by_the_same_agent_and_by_no_other(desk, record, convert, name):
    made = CALLS[name]
    record(made)
    text, notes = convert("report.json", f"--agent=office.py:{made.agent}")
    assert notes == ""
    lines = iter(text.splitlines())
    for shown in made.shows:
        assert any(fnmatchcase(line.strip(), shown.replace("[", "[[]")) for line in lines), shown
    scenarios = {"report.yaml": text}
    for kept in KEPT[made.needs]:
        agent = f"--agent=office.py:{made.agent}"
        scenarios[f"{kept}.yaml"], _ = convert(f"{kept}.json", agent)
    _replay(desk, scenarios).outcomes(passed=len(scenarios))
    changed = _replay(desk, {"report.yaml": text}, made.change)
    changed.outcomes(failed=1)
    changed.shows(made.told)


def test_with_mocks_the_tools_need_nothing_of_the_outside_world(desk, record, convert):
    record(CALLS["one call after another"])
    options = ["report.json", "--agent=office.py:Office"]
    text, _ = convert(*options, "--mock-tools")
    offline = ('if slot == "9pm":', 'if open("/calendar"):')
    _replay(desk, {"report.yaml": text}, offline).outcomes(passed=1)
    text, _ = convert(*options)
    _replay(desk, {"report.yaml": text}, offline).outcomes(failed=1)


@pytest.mark.parametrize("name", ["a hand-over", "a hand-over with a word"])
def test_what_hands_over_is_not_mocked_and_is_named(desk, record, convert, name):
    """LiveKit hands over at once, or after what the model says to the word of the tool."""
    record(CALLS[name])
    text, _ = convert("report.json", "--agent=office.py:Office", "--mock-tools")
    assert " is not mocked: it may be what handed over to another agent" in text
    assert "mocks:" not in text
    _replay(desk, {"report.yaml": text}).outcomes(passed=1)


def test_without_personal_data_it_still_plays(desk, record, convert):
    record(
        Call(
            """
            fake_llm.script(call("book", slot="maya@home.net, 202 555 0187"), say("Mailed."))
            await user_says("I am Maya@home.net")
            """
        )
    )
    text, _ = convert("report.json", "--agent=office.py:Office", "--redact")
    assert "home.net" not in text
    assert "0187" not in text
    _replay(desk, {"report.yaml": text}).outcomes(passed=1)
