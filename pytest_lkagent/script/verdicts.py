"""What a judge of LiveKit's (``livekit.agents.evals``) may find."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

__all__ = ["VERDICTS", "Verdict"]

Verdict: TypeAlias = Literal["pass", "fail", "maybe"]
VERDICTS: Final[tuple[str, ...]] = get_args(Verdict)
