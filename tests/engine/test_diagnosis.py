"""What tasks wait for, in the user's words; and who counts as a debugger."""

from __future__ import annotations

import asyncio
import bdb
import contextlib
import io
import os
import pdb  # noqa: T100  (a debugger to be found out)
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents import Agent, AgentTask

from pytest_lkagent import frames as frames_module
from pytest_lkagent.diagnosis import (
    conversation,
    describe_leak,
    describe_stubborn,
    pending,
    still_running,
    up_to_user_line,
    waiting,
)
from pytest_lkagent.frames import is_debugged, nearest_users_line
from pytest_lkagent.sites import Site
from pytest_lkagent.tasks import Stubborn, end, made_at, note_maker
from pytest_lkagent.transcript import Message
from pytest_lkagent.words import Words

_LINES = Path(__file__).read_text(encoding="utf-8").splitlines()


def at(comment: str) -> str:
    """Return where the one line is that ends with this comment, as messages show it."""
    (number,) = [n for n, line in enumerate(_LINES, 1) if line.endswith(f"  # {comment}")]
    return f"tests/engine/test_diagnosis.py:{number}"


@contextlib.asynccontextmanager
async def running(
    *coroutines: Coroutine[Any, Any, Any], name: str | None = None
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run coroutines up to where they wait, and end them and what they began afterwards."""
    before = asyncio.all_tasks()
    made = [asyncio.get_running_loop().create_task(one, name=name) for one in coroutines]
    for _ in range(3):
        await asyncio.sleep(0)
    try:
        yield made
    finally:
        await end(asyncio.all_tasks() - before)


async def _deep() -> None:
    await asyncio.Event().wait()  # deep


async def _outer() -> None:
    await asyncio.shield(_deep())  # outer


# --- which line


@pytest.mark.asyncio
async def test_the_innermost_line_of_the_users_own_is_named() -> None:
    async def through() -> None:
        await _deep()

    async with running(through(), asyncio.sleep(1_000)) as (task, library):
        assert waiting([library, task]) == f"the task through() waits at {at('deep')}"
        assert waiting([library]) is None


@pytest.mark.asyncio
async def test_what_wraps_a_coroutine_or_an_asynchronous_generator_is_looked_into() -> None:
    class Plain:
        def __await__(self) -> Iterator[Any]:
            yield from asyncio.Event().wait().__await__()  # plain

    async def chunks() -> AsyncIterator[int]:
        await Plain()
        yield 1

    async def read() -> None:
        async for _ in chunks():
            raise AssertionError("it never comes")

    async def next_one() -> None:
        await anext(chunks(), None)

    async def close() -> None:
        reading = stubborn()
        await anext(reading)
        await reading.aclose()

    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.Event().wait()  # stubborn

    async with running(read(), next_one(), close()) as (reads, asks, closes):
        assert waiting([reads]) == f"the task read() waits at {at('plain')}"
        assert waiting([asks]) == f"the task next_one() waits at {at('plain')}"
        assert waiting([closes]) == f"the task close() waits at {at('stubborn')}"


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["gather", "wait", "wait_for", "group"])
async def test_what_a_tool_waits_for_is_shown_with_its_own_line(how: str) -> None:
    async def tool() -> None:
        loop = asyncio.get_running_loop()
        if how == "gather":
            await asyncio.gather(_deep(), asyncio.sleep(1_000))
        elif how == "wait":
            await asyncio.wait([loop.create_task(_deep())])
        elif how == "wait_for":
            await asyncio.wait_for(_deep(), 1_000)
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(_deep())

    before = asyncio.all_tasks()
    async with running(tool(), name="tool_exec_book"):
        shown = [str(one) for one in pending(asyncio.all_tasks() - before)]
    assert shown[0].startswith("the tool book at tests/engine/test_diagnosis.py:")
    line = f"{at('deep')}: await asyncio.Event().wait()  # deep"
    if how == "wait_for" and sys.version_info >= (3, 12):  # it makes no task any more
        assert shown == [f"the tool book at {line}"]
    else:
        assert shown[1:] == [f"the task _deep() at {line}"]


@pytest.mark.asyncio
async def test_where_only_a_library_waits_its_deepest_task_is_shown() -> None:
    async with running(asyncio.sleep(1_000), asyncio.wait_for(asyncio.sleep(9), 99)) as tasks:
        (one,) = pending(tasks)
    assert one.what == "the task wait_for()"
    assert Path(one.site.path).name == "tasks.py"
    assert len(still_running([one])) == 2
    assert still_running([one], ["the model is still at stall()"]) == [
        "  still running:",
        "    the model is still at stall()",
    ]


# --- what it is


class Waits(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Wait.")

    async def on_exit(self) -> None:
        await asyncio.Event().wait()  # on_exit


@pytest.mark.asyncio
async def test_tools_come_first_then_what_livekit_runs_of_agents_then_tasks_and_the_test() -> None:
    async with (
        running(_deep(), _outer()) as (task, test),
        running(_library_runs(Waits())) as (hook,),
        running(_outer(), name="tool_exec_book") as (tool,),
    ):
        found = pending([test, task, hook, tool], test=test)
        assert waiting([test, task, hook]) == f"on_exit of Waits waits at {at('on_exit')}"
    assert [(one.what, str(one.site)) for one in found] == [
        ("the tool book", at("outer")),
        ("on_exit of Waits", at("on_exit")),
        ("the task _deep()", at("deep")),
        ("the test itself", at("outer")),
    ]


def _library_runs(agent: Agent) -> Coroutine[Any, Any, None]:
    """Run a hook as LiveKit does: from a frame that is not the user's."""
    code = compile("async def run(agent):\n    await agent.on_exit()\n", asyncio.__file__, "exec")
    scope: dict[str, Any] = {}
    exec(code, scope)
    made: Coroutine[Any, Any, None] = scope["run"](agent)
    return made


@pytest.mark.asyncio
async def test_a_task_says_where_it_was_made_when_that_was_noted() -> None:
    async with running(_deep()) as (task,):
        note_maker(task)  # made
        made = at("made")
        assert str(made_at(task)) == made
        assert [one.what for one in pending([task])] == [f"the task _deep() (made at {made})"]


def test_no_line_is_near_when_only_libraries_are_on_the_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert str(nearest_users_line()).startswith("tests/engine/test_diagnosis.py:")
    monkeypatch.setattr(frames_module, "_DEPTH", 1)
    found: list[Any] = []
    scope: dict[str, Any] = {"ask": lambda: found.append(nearest_users_line())}
    monkeypatch.setattr(frames_module, "is_users", lambda filename: False)
    exec("ask()", scope)
    monkeypatch.setattr(frames_module, "_DEPTH", 10_000)
    exec("ask()", scope)
    assert found == [None, None]


@pytest.mark.asyncio
async def test_an_agent_task_that_waits_for_the_user_is_named_last_and_blamed_for_nothing() -> None:
    class GetEmail(AgentTask[str]):
        def __await__(self) -> Any:  # as LiveKit's own: a frame of a library, for this agent
            return _library_waits(self).__await__()

    email = GetEmail(instructions="Ask.")

    async def tool() -> None:
        await email  # email

    async with running(tool(), name="tool_exec_book") as (task,), running(_deep()) as (other,):
        assert waiting([task]) is None
        assert waiting([task, other]) == f"the task _deep() waits at {at('deep')}"
        assert waiting([task, other], email) == f"awaited at {at('email')}"
        _, last = pending([task, other])
    assert str(last) == (
        f"the AgentTask GetEmail, which waits for the user, at {at('email')}: await email  # email"
    )


def _library_waits(agent: Any) -> Coroutine[Any, Any, None]:
    source = "async def wait(self):\n    await asyncio.Event().wait()\n"
    scope: dict[str, Any] = {"asyncio": asyncio}
    exec(compile(source, asyncio.__file__, "exec"), scope)
    made: Coroutine[Any, Any, None] = scope["wait"](agent)
    return made


# --- how much


@pytest.mark.asyncio
async def test_no_more_tasks_are_shown_than_fit_on_a_screen() -> None:
    async with running(*(_deep() for _ in range(13))) as tasks:
        lines = still_running(pending(tasks), ["the model is still at stall()"])
    assert lines[0] == "  still running:"
    line = f"    the task _deep() at {at('deep')}: await asyncio.Event().wait()  # deep"
    assert lines[1:11] == [line] * 10
    assert lines[11:] == ["    and 3 more", "    the model is still at stall()"]
    assert still_running([]) == []


def test_of_a_long_conversation_the_end_is_shown_and_a_long_line_is_cut() -> None:
    session: Any = SimpleNamespace(current_agent=Waits(), agent_state="idle", user_state="away")
    events = [Message(role="user", text=f"{number} {'x' * 500}") for number in range(30)]
    lines = conversation(session, events)
    assert len(lines) == 22
    assert lines[0].strip() == "10 events before these"
    assert lines[1].startswith("      [10] user            10 xxx")
    assert all(len(line) <= 160 for line in lines)
    assert lines[1].endswith("x…")
    assert lines[-1] == "  Waits is idle, the user is away"
    assert len(conversation(session, events[:20])) == 21


def test_a_session_without_an_agent_says_so() -> None:
    class Gone:
        agent_state = user_state = "listening"

        @property
        def current_agent(self) -> Any:
            raise RuntimeError("AgentSession isn't running")

    session: Any = Gone()
    assert conversation(session, []) == ["  no agent is listening, the user is listening"]


# --- a traceback


def test_a_traceback_ends_with_the_users_own_line() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        _through_the_library()
    cut = up_to_user_line(caught.tb)
    assert cut is not None
    while cut.tb_next is not None:
        cut = cut.tb_next
    assert Path(cut.tb_frame.f_code.co_filename).name == Path(__file__).name
    assert up_to_user_line(None) is None


def _through_the_library() -> None:
    asyncio.run(asyncio.to_thread(int, "x"))


@pytest.mark.asyncio
async def test_the_way_to_where_a_task_waits_is_a_traceback_of_the_users_lines() -> None:
    async def through() -> None:
        await _library_runs(Waits())

    async with running(through()) as (task,):
        (one,) = pending([task])
    names = []
    traceback = one.traceback
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        last, traceback = traceback, traceback.tb_next
    assert names == ["through", "on_exit"]
    assert at("on_exit").endswith(f":{last.tb_lineno}")


# --- findings


@pytest.mark.asyncio
async def test_a_leak_says_which_task_where_it_waits_and_what_to_do() -> None:
    async with running(_deep(), asyncio.sleep(1_000)) as (task, library):
        note_maker(task)  # leaked
        assert describe_leak(task, Words()) == (
            f"the task _deep() (made at {at('leaked')}) is still running at the end of the test; "
            f"it waits at {at('deep')}: await asyncio.Event().wait()  # deep; keep a reference to "
            "it and cancel it in on_exit, or let it pass: @pytest.mark.lk(allow=['leaked_task'])"
        )
        assert describe_leak(library, Words()).startswith(
            "the task sleep() is still running at the end of the test; keep a reference to it and "
        )


@pytest.mark.asyncio
async def test_a_stubborn_task_says_where_it_swallows_its_cancellation() -> None:
    async with (
        running(_deep(), name="AgentTask_on_exit") as (hook,),
        running(_deep(), name="tool_exec_book") as (tool,),
    ):
        site = Site(__file__, int(at("deep").rpartition(":")[2]))
        assert describe_stubborn(Stubborn(tool, site)) == (
            f"the tool book went on after it was cancelled, at {at('deep')}: await "
            "asyncio.Event().wait()  # deep; let CancelledError through: catch Exception, or raise "
            "it again"
        )
        assert describe_stubborn(Stubborn(hook, None, KeyError("slot"))) == (
            "on_exit went on after it was cancelled, and then raised KeyError: 'slot'; let "
            "CancelledError through: catch Exception, or raise it again"
        )


# --- debuggers


@contextlib.contextmanager
def tracing(tracer: Any) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)


def test_a_tracer_that_only_measures_is_no_debugger() -> None:
    def measure(frame: Any, event: str, argument: Any) -> None:
        return None

    with tracing(measure):
        found = is_debugged()
    assert not found
    with tracing(None):
        assert not is_debugged()


def test_a_debugger_that_traces_this_thread_is_one() -> None:
    class Own(pdb.Pdb):
        """As pytest wraps it, and ipdb; it asks for nothing."""

        def interaction(self, *_: Any) -> None: ...

    for debugger in (bdb.Bdb(), Own(readrc=False)):
        debugger.reset()
        with tracing(debugger.trace_dispatch):
            found = is_debugged()
        assert found


def test_a_thread_that_stands_at_a_prompt_is_debugged() -> None:
    prompted = threading.Event()

    class Screen(io.StringIO):
        def flush(self) -> None:
            if self.getvalue().endswith("(Pdb) "):
                prompted.set()

    read, write = os.pipe()
    with os.fdopen(read) as keyboard, os.fdopen(write, "w") as typing:
        debugger = pdb.Pdb(stdin=keyboard, stdout=Screen(), nosigint=True, readrc=False)
        debugger.use_rawinput = False

        def stops() -> None:
            debugger.set_trace()

        thread = threading.Thread(target=stops)
        thread.start()
        assert prompted.wait(30)
        assert is_debugged()
        typing.write("continue\n")
        typing.flush()
        thread.join()
    assert not is_debugged()
