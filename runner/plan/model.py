"""A plan: who is hit when, as values. Made by ``runner.plan.make``, extended by the engine when triggers
fire, folded into network models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from faults.fault import Chosen, Fault, NodeInfo, Unit
from faults.model import NetworkModel
from runner.scenario.model import Scenario


@dataclass(frozen=True)
class Span:
    """A time in which some units of a trial are hit: ``[start_s, end_s)`` on the timeline; ``end_s`` None
    lasts to the end of the run.

    ``units`` None: all of them. For momentary faults ``end_s == start_s``.
    """

    start_s: float
    end_s: float | None
    units: frozenset[Unit] | None = None


@dataclass(frozen=True)
class Trial:
    """One activation of a step (``repeat`` makes several). ``name`` is the step's, or ``split.2`` with
    ``repeat``.
    """

    step: str
    name: str
    kind: str
    fault: Fault
    chosen: Chosen
    spans: tuple[Span, ...]
    start_s: float
    end_s: float | None
    heals_s: float | None = None
    """The start of its heal: ``end_s``, or earlier where ``heal`` spreads it."""
    pending: tuple[tuple[Unit, ...], ...] = ()
    """Batches of ``roll: {next: …}`` that have not been started; until there are none ``end_s`` is only the
    latest known.
    """

    @property
    def permanent(self) -> bool:
        """Whether it lasts to the end of the run (``for: rest``)."""
        return self.end_s is None


@dataclass(frozen=True)
class Change:
    """An instant at which the model changes: the model from then on, the events then due, and which trials
    start or end there.

    ``key`` is short and unique within a plan, for matching the agent's report.
    """

    at_s: float
    key: str
    model: NetworkModel
    events: tuple[Mapping[str, Any], ...] = ()
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phase:
    """What is predicted between two changes. ``quorate`` lists the components that hold a quorum of stake."""

    start_s: float
    end_s: float | None
    model: NetworkModel
    active: tuple[str, ...]
    components: tuple[frozenset[str], ...]
    quorate: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Plan:
    """``open_steps`` are those that need triggers, facts or the end of such a step; they are decided while
    the trial runs.
    """

    scenario: Scenario
    nodes: tuple[NodeInfo, ...]
    seed: int
    trials: tuple[Trial, ...]
    open_steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    choices: Mapping[str, Chosen] = field(default_factory=dict)
    """Choices to be reused instead of drawn (``replay``): trial name → chosen."""
    activated: Mapping[str, float] = field(default_factory=dict)
    """What the run has decided so far: open step → its start (s)."""
    finished: Mapping[str, float] = field(default_factory=dict)
    """Trial → the instant at which its heal was begun early (``until``)."""
    batches: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Trial with ``roll: {next: …}`` → the starts of the batches after the first."""


@dataclass(frozen=True)
class Problem:
    """Why a scenario cannot be planned on these nodes; ``step`` and ``line`` say where (empty and 0:
    nowhere in particular).
    """

    text: str
    step: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.step}: " if self.step else ""
        return f"{where}{self.text}"


class PlanError(ValueError):
    """A scenario that is refused at planning; ``problems`` holds all reasons, each with its step's line
    where known.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)
