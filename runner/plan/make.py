"""Scenario, nodes and seed to a plan, and what the run decides put into it. Pure: the same input gives the
same plan.

A plan is made from the scenario, the nodes, the seed, and the decisions taken so far (starts of open steps,
early ends, batches). ``activate``, ``finish`` and ``activate_batch`` add a decision and make the plan
again; choices that were made stay as they are. Each trial draws from its own generator, seeded by seed,
step and trial, so that editing one step leaves the others' choices alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from faults.fault import ChoiceError, Chosen, NodeInfo, Pool, Undecided
from runner.plan import checks, doubts, spans, times
from runner.plan.hits import Hits
from runner.plan.model import Plan, PlanError, Problem, Trial
from runner.plan.presence import started, waiting_nodes
from runner.scenario.model import Scenario, Spread, Step

__all__ = ["PlanError", "activate", "activate_batch", "finish", "make", "opens_at", "why_open"]

Facts = Mapping[str, Mapping[str, Any]]


def make(
    scenario: Scenario, nodes: Sequence[NodeInfo], seed: int, choices: Mapping[str, Chosen] | None = None
) -> Plan:
    """The plan of a scenario on these nodes.

    ``choices`` (trial → chosen, from a former run) are reused instead of drawn. Steps that hang on
    triggers, facts or protocol time are left open. A moment that follows a step with ``until`` is planned
    for the latest it can be. Raises PlanError with everything that is wrong.
    """
    plan, problems = _solve(Plan(scenario, tuple(nodes), seed, (), choices=dict(choices or {})), {})
    problems += checks.refusals(plan)
    if problems:
        raise PlanError(sorted(problems, key=lambda p: (p.line, p.step)))
    return replace(plan, warnings=tuple(doubts.warnings(plan)))


def activate(plan: Plan, step_name: str, at_s: float, *, facts: Facts | None = None) -> Plan:
    """Start an open step at ``at_s``: its trials are added, and whatever hung on it and can now be decided.

    ``facts`` (node → fact → value) answer ``where``. Raises PlanError (nobody fits, a limit would be
    broken) and KeyError (no such step is open).
    """
    if step_name not in plan.open_steps:
        raise KeyError(step_name)
    decided = replace(plan, activated={**plan.activated, step_name: spans.tick(at_s)})
    return _again(decided, {step_name: facts or {}})


def finish(plan: Plan, trial_name: str, at_s: float) -> Plan:
    """Begin the heal of a trial at ``at_s`` (its ``until`` was met): it is cut short, and what follows it
    moves forward.

    What has begun by then stays as it is, and nothing that follows begins before ``at_s``.
    """
    _trial(plan, trial_name)
    begun = {t.step: t.start_s for t in reversed(plan.trials) if t.start_s <= at_s}
    return _again(
        replace(
            plan,
            finished={**plan.finished, trial_name: spans.tick(at_s)},
            activated={**begun, **plan.activated},
        ),
        {},
    )


def activate_batch(plan: Plan, trial_name: str, at_s: float) -> Plan:
    """Start the next batch of a trial with ``roll: {next: …}`` at ``at_s``. Raises KeyError where none is
    pending.
    """
    if not _trial(plan, trial_name).pending:
        raise KeyError(trial_name)
    started = (*plan.batches.get(trial_name, ()), spans.tick(at_s))
    return _again(replace(plan, batches={**plan.batches, trial_name: started}), {})


def opens_at(plan: Plan, step_name: str, genesis_s: float | None = None) -> float | None:
    """From when an open step can be decided, in seconds; None while that is not known.

    For ``when`` it is where watching begins (``at``, or the steady state), else its start. ``genesis_s``,
    the timeline instant at which protocol time began, is needed for ``next epoch`` and ``epoch 3``.
    """
    step = _step(plan, step_name)
    if step.at is None:
        return 0.0
    units = plan.scenario.network.units
    try:
        if step.at.anchor in ("next", "nth"):
            return None if genesis_s is None else times.boundary(step.at, units, genesis_s)
        return times.instant(step.at, plan.trials, units)
    except (Undecided, times.TimeError):
        return None


def why_open(plan: Plan, step_name: str) -> str:
    """What an open step waits for, in words."""
    step = _step(plan, step_name)
    if step.when is not None:
        return "its condition" + (f", at most {step.within}" if step.within else "")
    try:
        if step.at is not None:
            times.instant(step.at, plan.trials, plan.scenario.network.units)
    except Undecided as waits:
        return str(waits)
    except times.TimeError:
        pass
    return "facts of the nodes"


def _trial(plan: Plan, name: str) -> Trial:
    return {t.name: t for t in plan.trials}[name]


def _step(plan: Plan, name: str) -> Step:
    return {s.name: s for s in plan.scenario.timeline}[name]


def _again(plan: Plan, facts: Mapping[str, Facts]) -> Plan:
    """Make the plan again with its decisions; what was chosen stays."""
    kept = {**plan.choices, **{t.name: t.chosen for t in plan.trials}}
    made, problems = _solve(replace(plan, choices=kept), facts)
    problems += checks.refusals(made)
    if problems:
        raise PlanError(problems)
    late = tuple(w for w in doubts.warnings(made) if w not in plan.warnings)
    return replace(made, warnings=plan.warnings + late)


def _solve(plan: Plan, facts: Mapping[str, Facts]) -> tuple[Plan, list[Problem]]:
    book = _Book(plan, facts)
    waiting = list(plan.scenario.timeline)
    problems: list[Problem] = []
    while True:
        left = []
        for step in waiting:
            try:
                book.trials.extend(_trials(step, book))
            except Undecided:
                left.append(step)
            except (ChoiceError, times.TimeError) as wrong:
                problems.append(Problem(str(wrong), step.name, step.line))
        if len(left) == len(waiting) or not left:
            break
        waiting = left
    order = {s.name: i for i, s in enumerate(plan.scenario.timeline)}
    trials = tuple(sorted(book.trials, key=lambda t: order[t.step]))
    return replace(plan, trials=trials, open_steps=tuple(s.name for s in left)), problems


@dataclass
class _Book:
    """What has been decided while a plan is being made."""

    plan: Plan
    facts: Mapping[str, Facts]
    trials: list[Trial] = field(default_factory=list)

    @property
    def units(self) -> Mapping[str, float]:
        return self.plan.scenario.network.units

    def absent(self, at_s: float) -> frozenset[str]:
        """Nodes of waiting groups that have not been started by then."""
        return waiting_nodes(self.plan.scenario) - started(self.trials, at_s)

    def busy(self, step: Step, start_s: float, end_s: float) -> frozenset[str]:
        """Nodes that another step of the same kind hits in that time."""
        return frozenset(
            node
            for t in self.trials
            if t.kind == step.kind
            and t.step != step.name
            and t.start_s < end_s
            and (t.end_s is None or t.pending or t.end_s > start_s)
            for node in t.chosen.targets
        )


def _trials(step: Step, book: _Book) -> list[Trial]:
    """All trials of a step. Raises Undecided, ChoiceError, TimeError."""
    start = _start(step, book)
    times_, every = 1, 0.0
    if step.repeat is not None:
        times_, every = step.repeat.times, times.seconds(step.repeat.every, book.units)
    made: list[Trial] = []
    for number in range(times_):
        name = step.name if step.repeat is None else f"{step.name}.{number + 1}"
        at = spans.tick(start + number * every)
        redraw = number == 0 or (step.repeat is not None and step.repeat.redraw)
        chosen = _choose(step, name, number, at, book) if redraw else made[0].chosen
        made.append(_timed(step, name, number, at, chosen, book))
        last = made[-2] if number else None
        if last is not None and not last.pending and (last.end_s is None or last.end_s > at):
            raise times.TimeError(f"it is repeated every {every:g}s, but each trial lasts longer than that")
    return made


def _start(step: Step, book: _Book) -> float:
    if step.name in book.plan.activated:
        return book.plan.activated[step.name]
    if step.when is not None or step.at is None:
        raise Undecided("its condition")
    at = times.instant(step.at, book.trials, book.units)
    if step.at.anchor == "end":
        ended = [t.name for t in book.trials if step.at.name in (t.step, t.name)]
        at = max([at, *(book.plan.finished[name] for name in ended if name in book.plan.finished)])
    if at < 0:
        raise times.TimeError(f"'{step.at}' is {-at:g}s before the steady state")
    return at


def _choose(step: Step, name: str, number: int, at_s: float, book: _Book) -> Chosen:
    plan = book.plan
    reused = plan.choices.get(name)
    lasting = _lasting(step, book.units)
    open_ended = step.roll is not None or lasting is None
    heal = times.seconds(step.heal.over, book.units) if step.heal else 0.0
    end = float("inf") if open_ended else at_s + (lasting or 0.0) + heal
    pool = Pool(
        nodes=plan.nodes,
        rng=random.Random(f"{plan.seed}/{step.name}/{number}"),
        quorum=plan.scenario.network.quorum,
        facts=book.facts.get(step.name, {}),
        hits=Hits(plan.scenario, book.trials, step.name, at_s),
        busy=book.busy(step, at_s, end),
        absent=book.absent(at_s),
        units=book.units,
    )
    if reused is None:
        return step.fault.choose(pool)
    if missing := set(reused.targets) - set(pool.names):
        raise ChoiceError(
            f"the former run hit {', '.join(sorted(missing))}, which this network does not have"
        )
    return reused if reused.draws else _with_draws(step, reused, pool)


def _with_draws(step: Step, reused: Chosen, pool: Pool) -> Chosen:
    """A reused choice that came without what was drawn for each target: the seed draws it again."""
    try:
        drawn = step.fault.choose(pool)
    except (ChoiceError, Undecided):
        return reused
    return replace(reused, draws=drawn.draws) if drawn.targets == reused.targets else reused


def _lasting(step: Step, units: Mapping[str, float]) -> float | None:
    if step.fault.momentary or step.lasting is None:
        return 0.0
    return None if step.lasting == "rest" else times.seconds(step.lasting, units)


def _timed(step: Step, name: str, number: int, at_s: float, chosen: Chosen, book: _Book) -> Trial:
    units, plan = book.units, book.plan
    lasting = _lasting(step, units)
    hit = step.fault.units(chosen) if step.onset or step.heal or step.roll else ()

    def spread(way: str, wanted: Spread | None) -> spans.Spread | None:
        if wanted is None:
            return None
        rng = random.Random(f"{plan.seed}/{step.name}/{number}/{way}")
        return spans.Spread(times.seconds(wanted.over, units), spans.shuffled(hit, wanted.order, rng))

    timing = spans.Timing(
        start_s=at_s,
        lasting_s=lasting,
        momentary=step.fault.momentary,
        onset=spread("onset", step.onset),
        heal=spread("heal", step.heal),
        roll_every_s=times.seconds(step.roll.every, units) if step.roll and step.roll.every else None,
        roll_next=step.roll is not None and step.roll.every is None,
        roll_batch=step.roll.batch if step.roll else 1,
        batches=plan.batches.get(name, ()),
        flap=(times.seconds(step.flap.every, units), times.seconds(step.flap.lasting, units))
        if step.flap
        else None,
        stop_s=plan.finished.get(name),
    )
    _check(step, timing)
    laid = spans.lay(timing, hit)
    return Trial(
        step=step.name,
        name=name,
        kind=step.kind,
        fault=step.fault,
        chosen=chosen,
        spans=laid.spans,
        start_s=at_s,
        end_s=laid.end_s,
        heals_s=laid.heals_s,
        pending=laid.pending,
    )


def _check(step: Step, timing: spans.Timing) -> None:
    """Times that can never be."""
    lasting, flap, onset = timing.lasting_s, timing.flap, timing.onset
    if step.fault.momentary:
        if step.flap is not None or step.heal is not None:
            raise times.TimeError(f"{step.kind} is momentary: it has no 'flap' and no 'heal'")
        return
    if lasting is not None and lasting <= 0:
        raise times.TimeError("it lasts no time at all: 'for' must be above zero")
    if flap is not None:
        if lasting is None:
            raise times.TimeError("'flap' needs a 'for' that ends")
        if not 0 < flap[1] <= flap[0]:
            raise times.TimeError(f"it cannot be on for {flap[1]:g}s of every {flap[0]:g}s")
        if onset or timing.heal or step.roll:
            raise times.TimeError("'flap' does not go together with 'onset', 'heal' or 'roll'")
    if step.roll is not None and (onset or timing.heal):
        raise times.TimeError("'roll' does not go together with 'onset' or 'heal'")
    if timing.roll_every_s is not None and timing.roll_every_s <= 0:
        raise times.TimeError("'roll' needs a time above zero")
    if onset is not None and lasting is not None and onset.over_s >= lasting and timing.stop_s is None:
        raise times.TimeError(
            f"its onset of {onset.over_s:g}s takes as long as the {lasting:g}s that it lasts"
        )
