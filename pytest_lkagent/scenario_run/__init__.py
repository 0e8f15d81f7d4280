"""Playing one scenario: its names resolved, its mocks set, its turns played and compared."""

from .comparing import ScenarioFailure
from .names import Names, resolve
from .play import Play

__all__ = ["Names", "Play", "ScenarioFailure", "resolve"]
