"""A room that is connected to nobody."""

from .room import FakeRoom
from .unseen import UnseenRoom
from .wire import Sent

__all__ = ["FakeRoom", "Sent", "UnseenRoom"]
