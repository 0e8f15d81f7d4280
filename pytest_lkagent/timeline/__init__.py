"""When things happened in a call, and how that reads: as lanes of text, as a picture."""

from .model import AgentSpeech, Moment, State, Timeline, ToolSpan, UserSpeech

__all__ = ["AgentSpeech", "Moment", "State", "Timeline", "ToolSpan", "UserSpeech"]
