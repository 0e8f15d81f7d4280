"""What a model will say: steps, and the script that hands them out."""

from .request import Request
from .script import Matcher, Script
from .steps import (
    ANYONE,
    Anyone,
    Asker,
    Step,
    StepSource,
    ToolCall,
    as_step,
    call,
    fail,
    raw_call,
    reply,
    say,
    silence,
    stall,
)

__all__ = [
    "ANYONE",
    "Anyone",
    "Asker",
    "Matcher",
    "Request",
    "Script",
    "Step",
    "StepSource",
    "ToolCall",
    "as_step",
    "call",
    "fail",
    "raw_call",
    "reply",
    "say",
    "silence",
    "stall",
]
