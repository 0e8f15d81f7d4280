"""The class of an agent, which a scenario names, by its id, which is all that a history has.

LiveKit makes the id of an agent from the name of its class (``FrontDesk``: ``front_desk``), unless
the agent was given one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cached_property

from livekit.agents import Agent

from ..environment import Dummies
from ..errors import UsageError
from ..references import References
from ..scenarios.model import Ref
from ..sites import Site

__all__ = ["AgentNames"]

_DEFAULT = {"default_agent": "Agent"}


class AgentNames:
    """The classes of agents by their ids.

    With a reference to the agent under test they are looked up among the classes that its module
    loads. Without one, or where it cannot be loaded from here, they are made from the ids; `notes`
    says so.
    """

    def __init__(self, reference: str | None, *, is_agent: bool = True) -> None:
        self._reference = reference
        self._is_agent = is_agent
        self.notes: dict[str, None] = {}

    def of(self, agent_id: str) -> str:
        """Return the name of the class; where none is known, something that is no name."""
        known = self._known
        if known is None:
            made = _DEFAULT.get(agent_id) or _camel_case(agent_id)
            self.notes[
                f"the agent {agent_id!r} is taken for the class {made}; "
                "--agent looks the classes up"
            ] = None
            return made
        classes = known.get(agent_id, set())
        if len(classes) == 1:
            return next(iter(classes))
        return f"{agent_id!r}"

    @property
    def root(self) -> str | None:
        """The name in the reference: the agent of a history that tells of no hand-over."""
        if self._reference is None or not self._is_agent:
            return None
        return self._reference.rpartition(":")[2]

    @cached_property
    def _known(self) -> dict[str, set[str]] | None:
        if self._reference is None:
            return None
        option = "--agent" if self._is_agent else "--entrypoint"
        try:
            References(Dummies).module(Ref(self._reference, Site(option, 1)))
        except UsageError as error:
            why = str(error).removeprefix(f"{option}:1:1: ").replace(f" beside {option}", " here")
            self.notes[f"{option} {self._reference}: {why}; its classes were not looked up"] = None
            return None
        known: dict[str, set[str]] = {id_: {name} for id_, name in _DEFAULT.items()}
        for name in _subclasses(Agent):
            known.setdefault(_snake_case(name), set()).add(name)
        return known


def _subclasses(cls: type[Agent]) -> Iterator[str]:
    """Yield the names of the classes that their own module still knows by them."""
    for subclass in cls.__subclasses__():
        name = subclass.__name__
        if getattr(sys.modules.get(subclass.__module__), name, None) is subclass:
            yield name
        yield from _subclasses(subclass)


def _camel_case(agent_id: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", agent_id))


def _snake_case(name: str) -> str:
    """Write the name of a class as LiveKit does."""
    parts = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", parts).lower()
