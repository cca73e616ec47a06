"""The contract of a fault, and the catalogue of all there are.

A fault is one module of this package: a class whose fields are the scenario's fields, whose docstring is
its page in the reference, and whose ``effect`` is a pure function on the network model. Declaring the class
registers it; a second class of the same kind is an error at start-up. ``choose`` says who is hit, once, by
the seed; ``effect`` says what holds while it lasts.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import model_validator

from faults.fields import Targets, Values
from faults.model import NetworkModel

Unit = str | tuple[str, str]
"""What comes in and goes out one by one under ``onset``, ``heal`` and ``roll``: a node, or a directed link.
"""

_kinds: dict[str, type[Fault]] = {}


@dataclass(frozen=True)
class NodeInfo:
    """A node as selectors see it. ``stake`` is a weight (default 1); ``index`` counts from 1 within its
    network.
    """

    name: str
    group: str
    index: int
    zone: str = ""
    host: str = ""
    stake: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


@dataclass(frozen=True)
class Chosen:
    """Whom a step hit: ``targets`` (the step's name as a selector), its named ``sides``, and what was drawn
    for each target.

    ``draws`` maps a field's name to the value drawn for each target, in the field's base unit (s, ppm).
    """

    targets: tuple[str, ...]
    sides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    draws: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pool:
    """What choosing may look at: the nodes, the seed's generator for this step, the quorum, facts, and
    earlier steps.

    ``quorum`` is the share (0..1) that *more than* which is needed to decide. ``facts`` maps node to its
    latest facts (empty before a run, so that ``where`` cannot be answered: ``select`` raises Undecided).
    ``hits`` maps the name of each earlier step (and ``STEP.SIDE``) to whom it hit. ``busy`` names nodes
    that an overlapping step of the same kind already hits. ``absent`` names nodes that have not been
    started yet: they are hit only if named. ``units`` gives protocol units in seconds.
    """

    nodes: tuple[NodeInfo, ...]
    rng: random.Random
    quorum: float = 2 / 3
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    units: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All nodes' names, in the network's order."""
        return tuple(n.name for n in self.nodes)


@dataclass(frozen=True)
class Hit:
    """An instant of a fault: whom it chose, which units are in now (None: all), and since when it lasts
    (timeline, s).
    """

    chosen: Chosen
    since_s: float
    units: frozenset[Unit] | None = None

    def includes(self, unit: Unit) -> bool:
        """Whether the unit is in now."""
        return self.units is None or unit in self.units

    def targets(self) -> tuple[str, ...]:
        """The chosen targets that are in now (for faults whose units are nodes)."""
        return tuple(t for t in self.chosen.targets if self.includes(t))


class ChoiceError(ValueError):
    """Nobody, or more than there are, would be hit; the message is meant for the scenario's author."""


class Undecided(Exception):
    """The choice needs facts that are not known yet (``where``); it is made when the step starts."""


class Fault(Values):
    """Base of all faults. Subclasses are declared as ``class Kill(Fault, Targets, kind="kill",
    short="of")``.
    """

    kind: ClassVar[str] = ""
    short: ClassVar[str | None] = None
    momentary: ClassVar[bool] = False
    """An event without ``for`` (restart, start)."""

    def __init_subclass__(
        cls, kind: str = "", short: str | None = None, momentary: bool = False, **rest: Any
    ) -> None:
        super().__init_subclass__(**rest)
        if kind:
            if kind in _kinds and _kinds[kind].__module__ != cls.__module__:
                raise TypeError(
                    f"two faults are called {kind!r}: {_kinds[kind].__module__} and {cls.__module__}"
                )
            cls.kind, cls.short, cls.momentary = kind, short, momentary
            _kinds[kind] = cls

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, value: Any) -> Any:
        if isinstance(value, dict) or cls.short is None:
            return value
        return {cls.short: value}

    def choose(self, pool: Pool) -> Chosen:
        """Who is hit. The default is for faults that have target fields.

        Raises ChoiceError (empty or impossible selection) and Undecided (facts are needed).
        """
        from faults.select import select

        if not isinstance(self, Targets):
            raise NotImplementedError(f"{self.kind} must say whom it chooses")
        return Chosen(select(self, pool))

    def units(self, chosen: Chosen) -> Sequence[Unit]:
        """What comes in and goes out one by one, in the order listed. Default: the targets."""
        return chosen.targets

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """The model while this fault lasts. Pure; commutes with every other fault's. Momentary faults
        change nothing.

        What a unit suffers must not depend on which other units are in: units that came in at different
        times are folded one after another, each with its own ``since_s``.
        """
        return model

    def event(self, chosen: Chosen) -> dict[str, Any] | None:
        """What a momentary fault tells the agent to do (see the agent protocol's *events*); None for
        lasting faults.
        """
        return None

    def harmed(self, chosen: Chosen) -> tuple[str, ...]:
        """The nodes that count against the scenario's ``limits: {hit}``. Default: the targets."""
        return chosen.targets

    def side_names(self) -> frozenset[str] | None:
        """The sides that ``STEP.SIDE`` may name; None where they are known only once nodes are."""
        return frozenset()

    def conflict(self, other: Fault, nodes: Iterable[str]) -> str | None:
        """Why this fault and another of its kind cannot hold at once on ``nodes``, in words; None if they
        can.
        """
        return None

    def claims(self) -> frozenset[str]:
        """What evidence must show: any of ``cut``, ``down``, ``paused``, ``clock``, ``restarted``,
        ``started``.
        """
        return frozenset()


def catalogue() -> Mapping[str, type[Fault]]:
    """Every fault by its kind, sorted. Importing the modules of this package registers them."""
    import faults

    for module in pkgutil.iter_modules(faults.__path__):
        if not module.ispkg:
            importlib.import_module(f"faults.{module.name}")
    return MappingProxyType(dict(sorted(_kinds.items())))


def in_order(names: Iterable[str], pool: Pool) -> tuple[str, ...]:
    """The names in the network's order, each once."""
    wanted = set(names)
    return tuple(n for n in pool.names if n in wanted)
