"""When a run is over: its last expectation's window has closed and its last fault has ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.plan.model import Plan, Trial
from runner.scenario.model import Expectation

DEFAULT_HOLD_S = 3.0
AFTER_LAST_S = 1.0


def closes_at(plan: Plan, expectations: Iterable[Expectation]) -> float | None:
    """The timeline instant at which the run may end; None while an open step keeps it unknown.

    A trial without an end (``for: rest``) lasts as long as the windows of all others, and its ``during`` for its own.
    """
    if plan.open_steps:
        return None
    ends = [t.end_s if t.end_s is not None else t.start_s for t in plan.trials]
    last = max(ends, default=0.0) + AFTER_LAST_S
    for expectation in expectations:
        for start in _opens_at(expectation, plan.trials):
            last = max(last, start + length_s(expectation, plan) + AFTER_LAST_S / 2)
    return last


def length_s(expectation: Expectation, plan: Plan) -> float:
    """``within`` and ``hold`` of an expectation together, in seconds."""
    units = plan.scenario.network.units
    within = expectation.within.seconds(units) if expectation.within else 0.0
    hold = expectation.hold.seconds(units) if expectation.hold else DEFAULT_HOLD_S
    return within + hold


def _opens_at(expectation: Expectation, trials: tuple[Trial, ...]) -> list[float]:
    if expectation.phase == "after":
        return [
            t.end_s for t in trials if t.end_s is not None and expectation.of in ("faults", t.step, t.name)
        ]
    if expectation.phase == "during":
        return [t.start_s for t in trials if t.end_s is None and expectation.of in (t.step, t.name)]
    return []
