"""What is doubtful in a plan: faults that change nothing, times too short to be proved, expectations that
cannot be met.

A doubt never stops a run. What does is in ``checks``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

from faults.fault import ChoiceError, Pool, Undecided
from faults.fields import Bound, Targets
from faults.model import NetworkModel, Status
from faults.select import select
from runner.plan import times
from runner.plan.changes import fold, holds_quorum, instants, phases
from runner.plan.hits import Hits
from runner.plan.model import Phase, Plan, Trial
from runner.plan.presence import healthy, waiting_nodes
from runner.plan.windows import Window, trial_windows
from runner.scenario.model import All, Expectation, Is, Named, That

SHORTEST_CUT_S = 0.5
SHORTEST_S = 0.3
DECIDES = frozenset({"progress", "fresh_final"})


def warnings(plan: Plan) -> list[str]:
    """What the author should know before running the plan, in the order of the scenario."""
    kinds = (_idle, _short, _quorum_killed, _empty_windows, _entered_windows, _impossible)
    return list(dict.fromkeys(doubt for kind in kinds for doubt in kind(plan)))


def _idle(plan: Plan) -> Iterator[str]:
    """Faults that change nothing."""
    moments = instants(plan)
    for trial in plan.trials:
        why = _idle_event(plan, trial) if trial.fault.momentary else _idle_effect(plan, trial, moments)
        if why:
            yield f"{trial.name}: it changes nothing: {why}"


def _idle_event(plan: Plan, trial: Trial) -> str:
    for span in trial.spans:
        before = fold(plan, span.start_s - 1e-6)
        down = {n for n in before.nodes if before.status_of(n).status is Status.DOWN}
        waiting = waiting_nodes(plan.scenario) - set(before.nodes)
        targets = {t for t in trial.chosen.targets if span.units is None or t in span.units}
        if "started" in trial.fault.claims():
            if targets & waiting:
                return ""
        elif targets - down - waiting:
            return ""
    starts = "started" in trial.fault.claims()
    return "all of its nodes run already" if starts else "none of its nodes runs at that time"


def _idle_effect(plan: Plan, trial: Trial, moments: Sequence[float]) -> str:
    """Why a lasting fault makes no difference at any instant of its time."""
    others = [t for t in plan.trials if t is not trial]
    idle = True
    for at in moments:
        if at < trial.start_s or (trial.end_s is not None and at >= trial.end_s):
            continue
        if _describe(fold(plan, at)) != _describe(fold(plan, at, among=others)):
            return ""
        idle = idle and not _describe(fold(plan, at, only=trial.name))
    if not trial.spans:
        return ""
    if not idle:
        return "what it does is done already by other faults of that time"
    waiting = set(trial.chosen.targets) - set(healthy(plan, trial.start_s).nodes)
    return "its nodes have not been started" if waiting == set(trial.chosen.targets) else "its effect is none"


def _describe(model: NetworkModel) -> dict[str, Any]:
    """The model as told, without nodes that are not there yet."""
    told = model.describe()
    present = set(model.nodes)
    for part in ("status", "clocks"):
        told[part] = {n: v for n, v in told.get(part, {}).items() if n in present}
    return {part: value for part, value in told.items() if value}


def _short(plan: Plan) -> Iterator[str]:
    """Times that are over before it can be shown that the fault took effect."""
    for trial in plan.trials:
        if trial.fault.momentary:
            continue
        step = next(s for s in plan.scenario.timeline if s.name == trial.step)
        least = SHORTEST_CUT_S if "cut" in trial.fault.claims() and step.flap is None else SHORTEST_S
        ons = [s.end_s - s.start_s for s in trial.spans if s.end_s is not None]
        if ons and min(ons) < least - 1e-9:
            short = f"too short to prove that it took effect (at least {least:g}s)"
            yield f"{trial.name}: it lasts {min(ons):g}s, {short}"
        if step.flap is not None:
            offs = [b.start_s - a.end_s for a, b in pairwise(trial.spans) if a.end_s is not None]
            if offs and min(offs) < SHORTEST_S - 1e-9:
                short = f"too short to prove that it was gone (at least {SHORTEST_S:g}s)"
                yield f"{trial.name}: it pauses for {min(offs):g}s, {short}"


def _empty_windows(plan: Plan) -> Iterator[str]:
    for expectation in plan.scenario.expect:
        if expectation.phase == "during":
            for window in trial_windows(plan, expectation):
                if window.empty:
                    yield (
                        f"{expectation.name}: 'within: {expectation.within}' leaves nothing of "
                        f"'{window.trial}', whose heal begins at {window.closes_s:g}s: it is never looked at"
                    )


def _entered_windows(plan: Plan) -> Iterator[str]:
    """Faults that begin while the recovery from another is awaited: it may then be late for their sake."""
    for expectation in plan.scenario.expect:
        if expectation.phase != "after":
            continue
        for window in trial_windows(plan, expectation):
            for trial in plan.trials:
                if {trial.step, trial.name} & set(expectation.despite) or window.closes_s is None:
                    continue
                if trial.name == window.trial or not window.opens_s <= trial.start_s < window.closes_s:
                    continue
                yield (
                    f"{expectation.name}: recovery is awaited from {window.opens_s:g}s to "
                    f"{window.closes_s:g}s (within and hold), and '{trial.name}' begins in that time, at "
                    f"{trial.start_s:g}s: let it begin later, shorten 'within' or 'hold', or write "
                    f"'despite: {trial.step}'"
                )


def _quorum_killed(plan: Plan) -> Iterator[str]:
    """Kills that leave nobody able to decide while they last."""
    if plan.scenario.limits.lose_quorum:
        return
    stake = {n.name: n.stake for n in plan.nodes}
    for phase in phases(plan):
        down = {n for n, s in phase.model.status.items() if s.status is Status.DOWN}
        total = sum(stake[n] for n in phase.model.nodes)
        left = sum(stake[n] for n in phase.model.nodes if n not in down)
        killers = [t.name for t in plan.trials if t.name in phase.active and "down" in t.fault.claims()]
        if down and killers and not holds_quorum(left, total, plan):
            yield f"{', '.join(killers)}: no quorum runs while it lasts ({left:g} of {total:g})"


def _impossible(plan: Plan) -> Iterator[str]:
    """Expectations that the predicted phases contradict."""
    if not plan.scenario.expect:
        return
    predicted = phases(plan)
    for expectation in plan.scenario.expect:
        for window in trial_windows(plan, expectation):
            inside = [p for p in predicted if _meet(p, window)]
            trial = next((t for t in plan.trials if t.name == window.trial), None)
            for that in _leaves(expectation.that):
                whys = [why for p in inside if (why := _contradicts(plan, that, p, trial))]
                # After a fault the hold may lie anywhere in the window; else every sample must hold.
                if whys and (expectation.phase != "after" or len(whys) == len(inside)):
                    yield f"{expectation.name}: {_phase(expectation, window)} {whys[0]}"


def _meet(phase: Phase, window: Window) -> bool:
    if window.empty:
        return False
    return (window.closes_s is None or phase.start_s < window.closes_s) and (
        phase.end_s is None or phase.end_s > window.opens_s
    )


def _phase(expectation: Expectation, window: Window) -> str:
    if expectation.phase == "always":
        return "always"
    return f"{expectation.phase} '{window.trial or expectation.of}'"


def _leaves(that: That) -> Iterator[Is | Named]:
    """What must hold as it stands; what is under a ``not`` is left alone."""
    if isinstance(that, All):
        for part in that.parts:
            yield from _leaves(part)
    elif isinstance(that, Is | Named):
        yield that


def _contradicts(plan: Plan, that: Is | Named, phase: Phase, trial: Trial | None) -> str:
    """Why a predicate cannot hold in a phase; empty where nothing is known against it."""
    if isinstance(that, Is):
        return _wrong_number(that, phase)
    predicate = that.predicate
    nodes = _whom(plan, predicate, phase, trial)
    if getattr(predicate, "share", "all") != "all" or not nodes:
        return ""
    if predicate.name in DECIDES:
        deciding = frozenset().union(*phase.quorate)
        if lost := [n for n in nodes if n not in deciding]:
            whom = "nobody has a quorum" if not deciding else f"{_some(lost)} cannot have a quorum"
            return f"expects '{that.text or predicate.name}', but {whom} {_when(phase)}"
    if predicate.name == "connected":
        parts = {i for n in nodes for i, c in enumerate(phase.components) if n in c}
        if len(parts) > 1:
            how = f"the network is in {len(parts)} parts {_when(phase)}"
            return f"expects '{that.text or predicate.name}', but {how}"
    return ""


def _wrong_number(that: Is, phase: Phase) -> str:
    """A bound on the number of components that the prediction contradicts."""
    bound = that.bound
    if bound.fact != "components" or not isinstance(bound.value, int) or bound.negated:
        return ""
    if that.targets != Targets() or _meets(bound, len(phase.components)):
        return ""
    return f"expects '{bound}', but there are {len(phase.components)} {_when(phase)}"


def _meets(bound: Bound, count: int) -> bool:
    value = bound.value
    assert isinstance(value, int)
    tests = {
        ">": count > value,
        ">=": count >= value,
        "<": count < value,
        "<=": count <= value,
        "==": count == value,
        "!=": count != value,
    }
    return bound.op is None or tests[bound.op]


def _when(phase: Phase) -> str:
    until = "on" if phase.end_s is None else f"to {phase.end_s:g}s"
    by = f" ({', '.join(phase.active)})" if phase.active else ""
    return f"from {phase.start_s:g}s {until}{by}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _whom(plan: Plan, predicate: object, phase: Phase, trial: Trial | None) -> tuple[str, ...]:
    """The nodes that a predicate is about in a phase: those named, else those that should run."""
    running = set(phase.model.running())
    if not isinstance(predicate, Targets):
        return tuple(n for n in phase.model.nodes if n in running)
    at = trial.start_s if trial else phase.start_s
    pool = Pool(
        plan.nodes, Random(0), plan.scenario.network.quorum, hits=Hits(plan.scenario, plan.trials, "", at)
    )
    try:
        chosen = select(predicate, pool, avoid_busy=False)
    except (ChoiceError, Undecided, times.TimeError):
        return ()
    return tuple(n for n in chosen if n in running)
