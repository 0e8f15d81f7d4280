"""What an agent may meet, drawn by hypothesis: any model, any user, any timing.

Its strategies are plain ones of hypothesis', for ``@given`` and for state machines. The extra
``fuzz`` brings hypothesis along; nothing else of the plugin imports it.
"""

from ..errors import UsageError as _UsageError

try:
    import hypothesis as _hypothesis  # noqa: F401
except ModuleNotFoundError as _missing:
    if _missing.name != "hypothesis":
        raise
    raise _UsageError(
        "pytest_lkagent.fuzz draws with hypothesis, which is not installed: "
        "pip install 'hypothesis>=6.120', as the extra fuzz does"
    ) from None

from .agent import fuzz_agent
from .arguments import tool_arguments
from .completions import completions
from .conversations import Conversation, FuzzedTurn, conversations
from .histories import chat_contexts
from .inputs import user_inputs
from .machine import AgentMachine
from .near_misses import Arguments
from .schedules import Schedule, schedules

__all__ = [
    "AgentMachine",
    "Arguments",
    "Conversation",
    "FuzzedTurn",
    "Schedule",
    "chat_contexts",
    "completions",
    "conversations",
    "fuzz_agent",
    "schedules",
    "tool_arguments",
    "user_inputs",
]
