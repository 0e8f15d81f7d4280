"""Key variables hold dummies while a scripted test runs, so that providers can be constructed.

A provider that is only constructed never sends its key anywhere: the fake model answers in its
place. Dummies also take the place of real keys, so that nothing a test does can spend money.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Self

__all__ = ["KEY_VARIABLES", "Dummies"]

KEY_VARIABLES = (
    "ANTHROPIC_API_KEY",
    "ASSEMBLYAI_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_OPENAI_API_KEY",
    "AZURE_SPEECH_KEY",
    "CARTESIA_API_KEY",
    "CEREBRAS_API_KEY",
    "DEEPGRAM_API_KEY",
    "DEEPSEEK_API_KEY",
    "ELEVEN_API_KEY",
    "FIREWORKS_API_KEY",
    "GLADIA_API_KEY",
    "GOOGLE_API_KEY",
    "GROQ_API_KEY",
    "HUME_API_KEY",
    "INWORLD_API_KEY",
    "LIVEKIT_API_KEY",
    "LIVEKIT_API_SECRET",
    "LIVEKIT_URL",
    "MISTRAL_API_KEY",
    "NEUPHONIC_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "PERPLEXITY_API_KEY",
    "RESEMBLE_API_KEY",
    "RIME_API_KEY",
    "SPEECHMATICS_API_KEY",
    "SPITCH_API_KEY",
    "TOGETHER_API_KEY",
    "XAI_API_KEY",
)

_SHAPES = {"LIVEKIT_URL": "ws://localhost:7880"}
_DUMMY = "pytest-lkagent-dummy-key-that-is-long-enough-for-a-signature"


class Dummies:
    """Sets the key variables, and gives back what was there.

    `set` may be called again at any time: a module that calls ``load_dotenv(override=True)`` while
    it is imported does not get the real keys in for longer than that.
    """

    def __init__(self, further: Iterable[str] = ()) -> None:
        self._dummies = dict.fromkeys((*KEY_VARIABLES, *further), _DUMMY) | _SHAPES
        self._before: dict[str, str | None] | None = None

    def set(self) -> None:
        """Put the dummies in, remembering once what was there."""
        there = {name: os.environ.get(name) for name in self._dummies}
        if self._before is None:
            self._before = there
        for name, dummy in self._dummies.items():
            if there[name] != dummy:
                os.environ[name] = dummy

    def restore(self) -> None:
        """Put back what was there before the first `set`."""
        for name, value in (self._before or {}).items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before = None

    def __enter__(self) -> Self:
        self.set()
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
