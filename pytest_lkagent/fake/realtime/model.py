"""The scripted realtime model: a subclass of ``llm.RealtimeModel``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

from livekit.agents import llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from ...errors import UsageError, one_of
from ..identity import Fake
from ..llm import FakeLLM
from ..sound import Utterance
from .session import FakeRealtimeSession

__all__ = ["FakeRealtimeModel"]

_AS_OPENAI = llm.RealtimeCapabilities(
    message_truncation=True,
    turn_detection=True,
    user_transcription=True,
    auto_tool_reply_generation=False,
    audio_output=True,
    manual_function_calls=True,
    can_disable_turn_detection=True,
    mutable_chat_context=True,
    mutable_instructions=True,
    mutable_tools=True,
    per_response_tool_choice=True,
)


class FakeRealtimeModel(Fake, llm.RealtimeModel):
    """A realtime model that says what the script of `script_model` says.

    What it is asked is kept in the requests of `script_model`; a request that nothing answers and
    a call that no tool takes are refused as there. A request is made by ``generate_reply()``, and
    by the server when the caller's turn is over: `session_now.caller` speaks for the caller.

    Each step answers one request, and what fails is not tried again. As LiveKit's OpenAI plugin
    has it, ``fail(error)`` in the place of a response raises a RealtimeError where that was waited
    for, and ``fail(error, after="…")`` ends the response; both report an `error`, which closes the
    session where it is an APIError that is not retryable, or none of LiveKit's. With an
    APIConnectionError the connection is lost, and is back after as many attempts as the step says.
    A `stall` times out after 10 seconds.

    `spoken` is what it said aloud, a text for each message; `heard` is called with an utterance of
    the caller's and what it was taken for.

    Args:
        script_model: Whose script answers.
        capabilities: What the model is able to do, such as those of the model in whose place it
            is; None for those of LiveKit's OpenAI plugin.
        silence: Seconds without speech after which the server takes the caller's turn for over.
        conn_options: How often, and when, a lost connection is tried again.
        changes: Single capabilities, by name: ``audio_output=False`` for a model that writes.

    Raises:
        UsageError: There is no such capability.
    """

    def __init__(
        self,
        script_model: FakeLLM,
        *,
        capabilities: llm.RealtimeCapabilities | None = None,
        silence: float = 0.5,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **changes: bool,
    ) -> None:
        names = [field.name for field in fields(llm.RealtimeCapabilities)]
        for name in changes:
            if name not in names:
                raise UsageError(f"FakeRealtimeModel({name}=…): a capability is {one_of(names)}")
        super().__init__(capabilities=replace(capabilities or _AS_OPENAI, **changes))
        self.script_model = script_model
        self.silence = silence
        self.conn_options = conn_options
        self.sessions: list[FakeRealtimeSession] = []
        self.spoken: list[str] = []
        self.heard: Callable[[Utterance, str], None] = lambda *_: None

    def __repr__(self) -> str:
        return f"<FakeRealtimeModel: {len(self.sessions)} sessions>"

    @property
    def session_now(self) -> FakeRealtimeSession:
        """The session that was opened last; an agent with the same model goes on with it.

        Raises:
            UsageError: There is none yet.
        """
        if not self.sessions:
            raise UsageError("nobody opened a session with this model yet; start the agent first")
        return self.sessions[-1]

    def session(self, *, turn_detection_disabled: bool = False) -> FakeRealtimeSession:
        detects = self.capabilities.turn_detection and not turn_detection_disabled
        session = FakeRealtimeSession(self, replace(self.capabilities, turn_detection=detects))
        self.sessions.append(session)
        return session

    async def aclose(self) -> None:
        """Close nothing: the sessions are closed by who opened them."""
