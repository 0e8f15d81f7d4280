"""Playing one scenario: its names resolved, its mocks set, its turns played and compared."""

from .names import Names, resolve
from .play import Play, ScenarioFailure

__all__ = ["Names", "Play", "ScenarioFailure", "resolve"]
