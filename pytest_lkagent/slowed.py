"""A coroutine that begins at once, as it does in life, and takes longer than it would.

What it does before it first awaits anything is done by then: it has refused to be interrupted, or
taken a seat. To keep it from beginning would be to test what cannot happen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

from .frames import frames, module_of

__all__ = ["Slowed"]

_T = TypeVar("_T")
_LIVEKIT = "livekit"


class Slowed(Generic[_T]):
    """Await `body`, of which what it awaits first takes longer by what `pause` makes.

    Where it awaits nothing, what it gives or raises comes later. What LiveKit does while it waits,
    such as a hand-over to an AgentTask, is LiveKit's own and takes its time.
    """

    cr_frame = None

    def __init__(self, body: Coroutine[Any, Any, _T], pause: Callable[[], Awaitable[None]]) -> None:
        self.cr_await = body  # whoever asks where it waits looks for it as in a coroutine
        steps = self._steps(body, pause)
        self.send, self.throw, self.close = steps.send, steps.throw, steps.close

    def __await__(self) -> Generator[Any, Any, _T]:
        return self

    def __iter__(self) -> Slowed[_T]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def _steps(
        self, body: Coroutine[Any, Any, _T], pause: Callable[[], Awaitable[None]]
    ) -> Generator[Any, Any, _T]:
        __tracebackhide__ = True
        go_on: Callable[[], Any] = partial(body.send, None)
        is_over = False
        while True:
            try:
                awaited = go_on()
            except StopIteration as end:
                if not is_over:
                    yield from pause().__await__()
                return end.value  # type: ignore[no-any-return]
            except Exception:
                if not is_over:
                    yield from pause().__await__()
                raise
            is_first = not is_over and not _is_livekits(body)
            try:
                go_on = partial(body.send, (yield awaited))
                if is_first:
                    is_over = True
                    yield from pause().__await__()
            except BaseException as error:  # noqa: BLE001  (it is for the body to hear of it)
                go_on = partial(body.throw, error)


def _is_livekits(body: Coroutine[Any, Any, Any]) -> bool:
    """Whether it is within LiveKit that a coroutine waits."""
    return any(module_of(frame).partition(".")[0] == _LIVEKIT for frame in frames(body))
