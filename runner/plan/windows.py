"""When each expectation is looked at, as far as the plan knows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runner.plan import times
from runner.plan.model import Plan, Trial
from runner.plan.spans import tick
from runner.scenario.model import Expectation

HOLD_S = 3.0
"""How long an expectation must hold where nothing is said; a run may learn a longer time from the chain's
own interval.
"""


@dataclass(frozen=True)
class Window:
    """The time in which an expectation is looked at, for one trial (empty for ``always``, ``before`` and
    ``after: faults``).

    ``during``: from taking effect plus ``within`` to the start of the heal; it may be empty. ``after``:
    from the end of the trial to the last instant of ``within`` plus ``hold``. ``closes_s`` None: at the end
    of the run.
    """

    expectation: str
    trial: str
    opens_s: float
    closes_s: float | None

    @property
    def empty(self) -> bool:
        """Whether no sample can fall into it."""
        return self.closes_s is not None and self.closes_s <= self.opens_s


def trial_windows(plan: Plan, expectation: Expectation) -> list[Window]:
    """The windows of an expectation, one for each trial that it concerns; those of steps that are open are
    not known yet.
    """
    units = plan.scenario.network.units
    within = times.seconds(expectation.within, units) if expectation.within else 0.0
    hold = times.seconds(expectation.hold, units) if expectation.hold else HOLD_S
    if expectation.phase == "always":
        return [Window(expectation.name, "", 0.0, None)]
    if expectation.phase == "before":
        return []
    if expectation.phase == "during":
        return [
            Window(expectation.name, t.name, tick(t.start_s + within), None if t.pending else t.heals_s)
            for t in _of(plan, expectation.of)
        ]
    if expectation.of == "faults":
        ends = [t.end_s for t in plan.trials if t.end_s is not None]
        if not ends or plan.open_steps or any(t.pending for t in plan.trials):
            return []
        return [Window(expectation.name, "", max(ends), tick(max(ends) + within + hold))]
    return [
        Window(expectation.name, t.name, t.end_s, tick(t.end_s + within + hold))
        for t in _of(plan, expectation.of)
        if t.end_s is not None and not t.pending
    ]


def _of(plan: Plan, name: str) -> list[Trial]:
    return [t for t in plan.trials if name in (t.step, t.name)]
