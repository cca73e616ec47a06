"""Which nodes there are when: groups that wait, the steps that start them, and what momentary faults tell
the agent. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from faults.fault import Chosen, Unit
from faults.model import NetworkModel
from runner.plan.model import Plan, Span, Trial
from runner.scenario.model import Scenario


def waiting_nodes(scenario: Scenario) -> frozenset[str]:
    """The nodes that only a ``start`` step brings up."""
    return frozenset(m for g in scenario.network.groups if g.waits for m in g.members)


def started(trials: Sequence[Trial], at_s: float) -> frozenset[str]:
    """The nodes that ``start`` steps have brought up by then."""
    return frozenset(
        node
        for t in trials
        if "started" in t.fault.claims()
        for s in t.spans
        if s.start_s <= at_s
        for node in t.chosen.targets
        if s.units is None or node in s.units
    )


def unit_names(units: frozenset[Unit] | None, chosen: Chosen) -> tuple[str, ...]:
    """The targets among the units, for faults whose units are nodes."""
    return chosen.targets if units is None else tuple(t for t in chosen.targets if t in units)


def healthy(plan: Plan, at_s: float) -> NetworkModel:
    """The network without faults: the nodes that have been started by then."""
    absent = waiting_nodes(plan.scenario) - started(plan.trials, at_s)
    return NetworkModel(tuple(n.name for n in plan.nodes if n.name not in absent))


def event_of(trial: Trial, span: Span) -> dict[str, Any] | None:
    """What the agent is told when a span of a momentary trial is due."""
    return trial.fault.event(replace(trial.chosen, targets=unit_names(span.units, trial.chosen)))
