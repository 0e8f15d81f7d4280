"""From production to test: what LiveKit kept of a call becomes a scenario that replays it.

The user's words become turns, what the model answered becomes its script, and what came of it, the
outputs of tools, hand-overs and what code let the agent say, is expected. Nothing else of a report
is taken: neither ids nor times, neither the room nor the options.
"""

from .conversion import Converted, convert
from .redaction import Redaction

__all__ = ["Converted", "Redaction", "convert"]
