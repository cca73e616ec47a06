"""A plan folded into network models: at an instant, at every change, and phase by phase. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from faults.fault import Hit, Unit
from faults.model import NetworkModel
from runner.plan.model import Change, Phase, Plan, Span, Trial
from runner.plan.presence import event_of, healthy
from runner.plan.spans import tick


def fold(
    plan: Plan, t: float, *, only: str | None = None, among: Iterable[Trial] | None = None
) -> NetworkModel:
    """The model at instant ``t`` (s): all faults that are on then, folded over the healthy network.

    ``only`` folds a single trial, ``among`` those given. A span is on from its start, and no longer at its
    end.
    """
    model = healthy(plan, t)
    for trial in plan.trials if among is None else among:
        if not trial.fault.momentary and only in (None, trial.name):
            for since, units in on(trial.spans, t).items():
                model = trial.fault.effect(model, Hit(trial.chosen, since, units))
    return model


def on(spans: Iterable[Span], t: float) -> dict[float, frozenset[Unit] | None]:
    """The units that are on at ``t`` by the instant since when they are."""
    found: dict[float, frozenset[Unit] | None] = {}
    for span in spans:
        if span.start_s <= t and (span.end_s is None or t < span.end_s):
            before = found.get(span.start_s, frozenset())
            found[span.start_s] = None if span.units is None or before is None else before | span.units
    return found


def changes(plan: Plan, after_s: float = float("-inf")) -> list[Change]:
    """Every instant after ``after_s`` at which the model changes, an event is due, or a trial starts or
    ends; in order.

    Each instant is computed from the scenario's moments alone, so nothing drifts; equal instants are one
    change. The key depends on the instant only, so it stays the same when the plan is made again.
    """
    return [_change(plan, at) for at in instants(plan) if at > after_s]


def instants(plan: Plan) -> list[float]:
    """All instants at which something changes, ascending."""
    found: set[float] = set()
    for trial in plan.trials:
        ends = [trial.start_s, trial.end_s, *(e for s in trial.spans for e in (s.start_s, s.end_s))]
        found.update(e for e in ends if e is not None)
    return sorted(found)


def _change(plan: Plan, at: float) -> Change:
    events = [
        event
        for trial in plan.trials
        if trial.fault.momentary
        for span in trial.spans
        if span.start_s == at and (event := event_of(trial, span)) is not None
    ]
    return Change(
        at_s=at,
        key=f"t{tick(at):.6f}".rstrip("0").rstrip("."),
        model=fold(plan, at),
        events=tuple(events),
        starts=tuple(t.name for t in plan.trials if t.start_s == at),
        ends=tuple(t.name for t in plan.trials if t.end_s == at and not t.pending),
    )


def phases(plan: Plan) -> list[Phase]:
    """What is predicted from the steady state on, between one change and the next.

    Components are of the nodes that run; ``quorate`` are those that hold more than the quorum's share of
    the stake of all nodes that have been started.
    """
    starts = [0.0, *(at for at in instants(plan) if at > 0)]
    stake = {n.name: n.stake for n in plan.nodes}
    found: list[Phase] = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        model = fold(plan, start)
        components = tuple(model.components())
        total = sum(stake[n] for n in model.nodes)
        quorate = tuple(c for c in components if holds_quorum(sum(stake[n] for n in c), total, plan))
        found.append(Phase(start, end, model, active(plan, start), components, quorate))
    return found


def holds_quorum(stake: float, total: float, plan: Plan) -> bool:
    """Whether a stake is more than the quorum's share of the total; the share is taken as the small
    fraction it means.
    """
    from fractions import Fraction

    share = Fraction(plan.scenario.network.quorum).limit_denominator(1000)
    return Fraction(str(stake)) > Fraction(str(total)) * share


def active(plan: Plan, t: float) -> tuple[str, ...]:
    """The trials whose time it is at ``t``, a flap's pauses included."""
    return tuple(
        trial.name
        for trial in plan.trials
        if trial.start_s <= t and (trial.end_s is None or bool(trial.pending) or t < trial.end_s)
    )
