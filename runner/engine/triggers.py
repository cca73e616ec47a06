"""Steps that start when something holds, faults that end early (``until``), rolls that wait for their
last node, aborts.

After each sample the conditions that are waited for are evaluated on what was observed so far; a
condition that is met sets the change ``LEAD_S`` ahead, so that every host can begin it together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faults.fields import Targets
from runner.engine.clock import RunClock
from runner.engine.conductor import LEAD_S
from runner.judge.live import Watch
from runner.plan import make as planning
from runner.plan.model import Plan, PlanError, Trial
from runner.predicates.predicate import Answer
from runner.scenario.model import Abort, All, Is, Named, Not, Step, That

SETTLE_S = 1.0
"""How long after a batch of a roll began the next is decided at the earliest: answers from before it must
be gone.
"""


@dataclass
class Outcome:
    """What a look at the triggers led to: a new plan, or the end of the run with its reason."""

    plan: Plan | None = None
    abort: str = ""
    unmet: str = ""


class Triggers:
    """Waits for conditions."""

    def __init__(
        self, clock: RunClock, watch: Watch, write: Callable[..., None], genesis: Callable[[], float | None]
    ) -> None:
        self._clock, self._watch, self._write = clock, watch, write
        self._genesis = genesis
        self._abort_since: dict[int, float] = {}
        self._given_up: set[str] = set()

    def look(self, plan: Plan) -> Outcome:
        """Evaluate everything that is waited for now."""
        try:
            return self._look(plan)
        except PlanError as error:
            return Outcome(unmet=f"a step could not be decided: {error}")

    def _look(self, plan: Plan) -> Outcome:
        now = self._clock.timeline()
        changed = plan
        for step in plan.scenario.timeline:
            if step.name in changed.open_steps and step.name not in self._given_up:
                changed, unmet = self._open_step(changed, step, now)
                if unmet:
                    return Outcome(unmet=unmet)
            if step.until is not None:
                changed = self._until(changed, step, now)
            if step.roll is not None and step.roll.next is not None:
                changed, unmet = self._roll(changed, step, step.roll.next, now)
                if unmet:
                    return Outcome(unmet=unmet)
        return Outcome(plan=changed if changed is not plan else None, abort=self._abort(plan, now))

    def _genesis_s(self) -> float | None:
        """When the network's protocol time began, on the timeline."""
        genesis = self._genesis()
        return None if genesis is None else genesis - (self._clock.zero or 0.0)

    def _open_step(self, plan: Plan, step: Step, now: float) -> tuple[Plan, str]:
        opens = planning.opens_at(plan, step.name, self._genesis_s())
        if opens is None or now < opens - LEAD_S:
            return plan, ""
        if step.when is None:
            return planning.activate(plan, step.name, max(now + LEAD_S, opens), facts=self._watch.facts()), ""
        if now < opens:
            return plan, ""
        finding = self._watch.evaluate(step.when, since=opens)
        if finding.answer is Answer.HELD:
            self._write("trigger", step=step.name, when=finding.reason, met=True)
            return planning.activate(plan, step.name, now + LEAD_S, facts=self._watch.facts()), ""
        limit = step.within.seconds(plan.scenario.network.units) if step.within else None
        if limit is not None and now > opens + limit:
            self._given_up.add(step.name)
            self._write("trigger", step=step.name, when=finding.reason, met=False)
            return (
                plan,
                f"'{step.name}' was never started: its condition was not met within {step.within} "
                f"({finding.reason})",
            )
        return plan, ""

    def _until(self, plan: Plan, step: Step, now: float) -> Plan:
        for trial in plan.trials:
            if (
                trial.step != step.name
                or not trial.start_s <= now
                or (trial.end_s or now + 1) <= now + LEAD_S
            ):
                continue
            assert step.until is not None
            finding = self._watch.evaluate(step.until, since=trial.start_s)
            if finding.answer is Answer.HELD:
                self._write("trigger", step=step.name, when=f"until: {finding.reason}", met=True)
                plan = planning.finish(plan, trial.name, now + LEAD_S)
        return plan

    def _roll(self, plan: Plan, step: Step, condition: That, now: float) -> tuple[Plan, str]:
        for trial in plan.trials:
            if trial.step != step.name or not trial.pending:
                continue
            began, names = _last_batch(trial)
            if now < began + SETTLE_S:
                continue
            finding = self._watch.evaluate(aimed(condition, names), since=began)
            if finding.answer is Answer.HELD:
                return planning.activate_batch(plan, trial.name, now + LEAD_S), ""
            within = step.roll.within if step.roll else None
            if within is not None and now > began + within.seconds(plan.scenario.network.units):
                self._write("trigger", step=step.name, when=finding.reason, met=False)
                return (
                    plan,
                    f"'{step.name}' stopped at {', '.join(names)}: not met within {within} "
                    f"({finding.reason})",
                )
        return plan, ""

    def _abort(self, plan: Plan, now: float) -> str:
        for number, abort in enumerate(plan.scenario.abort):
            finding = self._watch.evaluate(abort.when, since=0.0)
            if finding.answer is not Answer.HELD:
                self._abort_since.pop(number, None)
                continue
            since = self._abort_since.setdefault(number, now)
            if now - since >= _hold(abort, plan):
                return f"abort condition held: {finding.reason}"
        return ""


def _hold(abort: Abort, plan: Plan) -> float:
    return abort.hold.seconds(plan.scenario.network.units)


def _last_batch(trial: Trial) -> tuple[float, tuple[str, ...]]:
    """When a trial's last batch began, and whom it hit."""
    last = max(trial.spans, key=lambda s: s.start_s)
    began = last.start_s if last.end_s is None else last.end_s
    units = last.units if last.units is not None else frozenset(trial.chosen.targets)
    return began, tuple(sorted({n for u in units for n in ((u,) if isinstance(u, str) else u)}))


def aimed(that: That, names: tuple[str, ...]) -> That:
    """The condition asked of these nodes alone, where it names no targets of its own."""
    if isinstance(that, All):
        return All(tuple(aimed(part, names) for part in that.parts), that.name)
    if isinstance(that, Not):
        return Not(aimed(that.inner, names))
    if isinstance(that, Is):
        return Is(that.bound, Targets(of=names), that.share) if that.targets == Targets() else that
    predicate = that.predicate
    if isinstance(predicate, Targets) and predicate.of is None:
        return Named(predicate.model_copy(update={"of": names}), that.text)
    return that
