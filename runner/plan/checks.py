"""Why a plan must not be run: conflicts, limits, windows that another fault enters, steps that wait for
each other.

What is merely doubtful is in ``doubts``.
"""

from __future__ import annotations

from collections.abc import Iterator

from faults.model import Status
from runner.plan import times
from runner.plan.changes import fold, instants, on
from runner.plan.model import Plan, Problem, Trial
from runner.plan.presence import healthy


def refusals(plan: Plan) -> list[Problem]:
    """Why this plan must not be run, each with the line of its step."""
    return [*_circles(plan), *_late(plan), *_conflicts(plan), *_too_many(plan), *_no_quorum(plan)]


def _problem(plan: Plan, trial: Trial, text: str) -> Problem:
    line = next((s.line for s in plan.scenario.timeline if s.name == trial.step), 0)
    return Problem(text, trial.name, line)


def _circles(plan: Plan) -> Iterator[Problem]:
    """Open steps whose moments name each other."""
    waits = {
        s.name: s.at.name.split(".")[0]
        for s in plan.scenario.timeline
        if s.name in plan.open_steps and s.at is not None and s.at.anchor in ("start", "end")
    }
    for step in plan.scenario.timeline:
        path, name = [step.name], waits.get(step.name)
        while name is not None and name not in path:
            path.append(name)
            name = waits.get(name)
        if name == step.name:
            text = "it begins when " + " begins when ".join(f"'{n}'" for n in [*path[1:], name]) + " does"
            yield Problem(f"{text}: nothing ever begins", step.name, step.line)


def _late(plan: Plan) -> Iterator[Problem]:
    limit = plan.scenario.limits.time
    if limit is None:
        return
    end = times.seconds(limit, plan.scenario.network.units)
    for trial in plan.trials:
        if trial.start_s >= end:
            yield _problem(
                plan, trial, f"it begins at {trial.start_s:g}s, when the run is over (limits: time: {limit})"
            )


def _conflicts(plan: Plan) -> Iterator[Problem]:
    """Faults of one kind that cannot hold at once."""
    for i, one in enumerate(plan.trials):
        for two in plan.trials[:i]:
            if one.kind != two.kind or not _overlap(one, two):
                continue
            both = [n for n in one.chosen.targets if n in set(two.chosen.targets)]
            why = one.fault.conflict(two.fault, both)
            if why:
                yield _problem(plan, one, f"{why}, with '{two.name}'")


def _overlap(one: Trial, two: Trial) -> bool:
    return (one.end_s is None or two.start_s < one.end_s) and (two.end_s is None or one.start_s < two.end_s)


def _too_many(plan: Plan) -> Iterator[Problem]:
    """More nodes hit at once than ``limits: {hit}`` allows: the worst instant is told."""
    limit = plan.scenario.limits.hit
    if limit is None:
        return
    worst: tuple[int, float, list[Trial]] = (0, 0.0, [])
    for at in instants(plan):
        hit: set[str] = set()
        trials = []
        for trial in plan.trials:
            nodes = _hit(trial, at)
            hit |= nodes
            trials += [trial] if nodes else []
        if len(hit) > worst[0]:
            worst = (len(hit), at, trials)
    count, at, trials = worst
    if count > limit * len(plan.nodes) + 1e-9:
        together = " with " + ", ".join(t.name for t in trials[:-1]) if len(trials) > 1 else ""
        share = 100 * count / len(plan.nodes)
        text = f"at {at:g}s it hits{together} {count} of {len(plan.nodes)} nodes ({share:.3g}%)"
        yield _problem(plan, trials[-1], f"{text}, more than limits: hit: {100 * limit:g}% allows")


def _hit(trial: Trial, at: float) -> set[str]:
    harmed = trial.fault.harmed(trial.chosen)
    if trial.fault.momentary:
        units = {s.start_s: s.units for s in trial.spans if s.start_s == at}
    else:
        units = on(trial.spans, at)
    nodes: set[str] = set()
    for some in units.values():
        links = some is not None and any(isinstance(u, tuple) for u in some)
        nodes.update(n for n in harmed if some is None or links or n in some)
    return nodes


def _no_quorum(plan: Plan) -> Iterator[Problem]:
    """Half of the stake or more killed at once, without ``limits: {lose_quorum: true}``."""
    if plan.scenario.limits.lose_quorum:
        return
    stake = {n.name: n.stake for n in plan.nodes}
    told: set[str] = set()
    for at in instants(plan):
        killers = [t for t in plan.trials if "down" in t.fault.claims() and on(t.spans, at)]
        if not killers or killers[-1].name in told:
            continue
        model = fold(plan, at)
        total = sum(stake[n] for n in healthy(plan, at).nodes)
        left = sum(stake[n] for n in model.nodes if model.status_of(n).status is not Status.DOWN)
        if 2 * left <= total:
            told.add(killers[-1].name)
            together = " with " + ", ".join(t.name for t in killers[:-1]) if len(killers) > 1 else ""
            counted = "stake" if set(stake.values()) != {1.0} else "nodes"
            yield _problem(
                plan,
                killers[-1],
                f"at {at:g}s it leaves{together} {left:g} of {total:g} {counted} "
                "running, no majority: pick fewer, or write 'limits: {lose_quorum: true}'",
            )
