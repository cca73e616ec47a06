"""When a run is over: its last expectation's window has closed and its last fault has ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.plan.model import Plan
from runner.plan.windows import trial_windows
from runner.scenario.model import Expectation

AFTER_LAST_S = 1.0
"""A last look at the network after the last window, so that the sample at its edge is there."""


def closes_at(plan: Plan, expectations: Iterable[Expectation]) -> float | None:
    """The timeline instant at which the run may end; None while an open step or a roll keeps it unknown.

    A trial without an end (``for: rest``) lasts as long as the windows of all others.
    """
    if plan.open_steps or any(t.pending for t in plan.trials):
        return None
    last = max((t.start_s if t.end_s is None else t.end_s for t in plan.trials), default=0.0)
    for expectation in expectations:
        for window in trial_windows(plan, expectation):
            last = max(last, window.opens_s, window.closes_s or 0.0)
    return last + AFTER_LAST_S
