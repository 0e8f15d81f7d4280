"""The types of the fixtures that are called, for annotations in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from livekit.agents import AgentSession, AgentTask

    from .fake import FakeLLM
    from .mocks import TaskMock, ToolMock
    from .record import Turn

__all__ = ["MockTask", "MockTool", "StartSession", "UserSays"]


class UserSays(Protocol):
    """The type of the `user_says` fixture."""

    async def __call__(
        self, text: str, *, interrupt: float | None = None, **run_options: Any
    ) -> Turn: ...


class StartSession(Protocol):
    """The type of the `start_session` fixture."""

    async def __call__(
        self,
        agent: Any = None,
        *,
        userdata: Any = ...,
        start: Any = ...,
        history: Any = None,
        llm: FakeLLM | None = None,
        **session_options: Any,
    ) -> AgentSession[Any]: ...


class MockTool(Protocol):
    """The type of the `mock_tool` fixture."""

    def __call__(
        self,
        target: Any,
        name: str | None = None,
        *,
        returns: Any = ...,
        raises: Any = ...,
        side_effect: Any = ...,
        delay: float = 0.0,
        optional: bool = False,
    ) -> ToolMock: ...


class MockTask(Protocol):
    """The type of the `mock_task` fixture."""

    def __call__(
        self,
        task: type[AgentTask[Any]],
        *,
        returns: Any = ...,
        raises: Any = ...,
        side_effect: Any = ...,
        optional: bool = False,
    ) -> TaskMock: ...
