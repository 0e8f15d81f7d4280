"""The fixtures for a session from outside, and for a model that is asked over HTTP."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from . import border
from .errors import UsageError
from .loop_fixtures import of_its_loop

if TYPE_CHECKING:
    from .fake.server import FakeLLMServer
    from .harness import Harness
    from .simulation.remote import RemoteSession
    from .stage import Stage


@pytest.fixture
def remote_transport() -> str:
    """How `remote_session` reaches the session: ``"memory"`` or ``"tcp"``. Override it."""
    return "memory"


def _remote_on_loop(**where: Any) -> Any:
    @pytest_asyncio.fixture(**where)
    async def remote_on_loop(
        _lk_main: Harness, remote_transport: str
    ) -> AsyncIterator[RemoteSession]:
        from .simulation.remote import RemoteSession, drive

        with border.shown():
            make = functools.partial(RemoteSession, harness=_lk_main)
            async with drive(_lk_main.session, remote_transport, make) as remote:
                yield remote

    return remote_on_loop


def _server_on_loop(**where: Any) -> Any:
    @pytest_asyncio.fixture(**where)
    async def server_on_loop(_lk_stage: Stage) -> AsyncIterator[FakeLLMServer]:
        from .fake.server import FakeLLMServer

        with pytest.MonkeyPatch.context() as patch:
            async with FakeLLMServer(_lk_stage.model) as server:
                for name, value in server.environment.items():
                    patch.setenv(name, value)
                yield server

    return server_on_loop


@pytest.fixture
def remote_session(
    request: pytest.FixtureRequest, _lk_main: Harness, remote_transport: str
) -> RemoteSession:
    """LiveKit's ``RemoteSession``, connected to the session under test and ready.

    ``await remote_session.run("2 pm please")``, ``.get_chat_history()``, ``.events`` and the rest
    of the protocol, over a pair in memory or TCP: see `remote_transport`.
    """
    from .simulation.remote import check_way

    with border.shown():
        check_way(remote_transport)
    remote: RemoteSession = of_its_loop(request, "remote", _remote_on_loop)
    return remote


@pytest.fixture
def fake_llm_server(request: pytest.FixtureRequest, _lk_stage: Stage) -> FakeLLMServer:
    """`fake_llm` behind OpenAI's HTTP interface, to which LiveKit's and OpenAI's clients are led.

    ``inference.LLM("openai/gpt-4.1")`` and ``openai.LLM()`` made from here on ask it, by their own
    code; ``.url`` is for other clients.
    """
    if not border.is_coroutine_test(request.node):
        border.stop(
            UsageError(
                f"{request.node.nodeid} asks for a server, and a server needs a running loop; "
                "write the test as async def"
            )
        )
    server: FakeLLMServer = of_its_loop(request, "server", _server_on_loop)
    return server
