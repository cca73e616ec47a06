"""Expressions of a scenario (``that``, ``when``, ``until``) evaluated on one view: bounds, predicates, not,
all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from runner.predicates.bounds import judge_bound
from runner.predicates.life import Log
from runner.predicates.predicate import Answer, Finding
from runner.predicates.view import Judged, View
from runner.scenario.model import All, Is, Named, Not, Scenario, That

_OPPOSITE = {
    Answer.HELD: Answer.VIOLATED,
    Answer.VIOLATED: Answer.HELD,
    Answer.UNKNOWN: Answer.UNKNOWN,
}
_GRAVITY = {Answer.VIOLATED: 0, Answer.UNKNOWN: 1, Answer.HELD: 2}


def evaluate(that: That, view: View) -> Finding:
    """The answer at the view's instant. A predicate that fails yields unknown, never an exception."""
    if isinstance(that, All):
        return together([evaluate(part, view) for part in that.parts])
    if isinstance(that, Not):
        return _opposite(evaluate(that.inner, view))
    try:
        if isinstance(that, Is):
            return judge_bound(view, that.bound, that.targets, that.share)
        return that.predicate.judge(view)
    except Exception as e:
        what = that.bound if isinstance(that, Is) else (that.text or that.predicate.name)
        return Finding(Answer.UNKNOWN, f"'{what}' could not be judged: {type(e).__name__}: {e}")


def _opposite(found: Finding) -> Finding:
    nodes = {n: (_OPPOSITE[a], r) for n, (a, r) in found.nodes.items()}
    return replace(found, answer=_OPPOSITE[found.answer], distance=None, nodes=nodes)


def together(parts: list[Finding]) -> Finding:
    """The answer of all parts together: violated if one is, else unknown if one is; neutral ones count only
    alone.
    """
    counted = [p for p in parts if not p.neutral]
    if not counted:
        return parts[0] if parts else Finding(Answer.HELD, "nothing is asked")
    answer = min((p.answer for p in counted), key=_GRAVITY.__getitem__)
    blamed = [p for p in counted if p.answer is answer]
    nodes: dict[str, Judged] = {}
    for part in counted:
        for node, said in part.nodes.items():
            if node not in nodes or _GRAVITY[said[0]] < _GRAVITY[nodes[node][0]]:
                nodes[node] = said
    worst = next((p for p in blamed if p.distance is not None), blamed[0])
    reasons = "; ".join(dict.fromkeys(p.reason for p in blamed if p.reason))
    return Finding(answer, reasons, worst.distance, worst.unit, nodes)


def conjuncts(that: That) -> Iterator[That]:
    """The parts of which each must hold on its own."""
    if isinstance(that, All):
        for part in that.parts:
            yield from conjuncts(part)
    else:
        yield that


def is_cumulative(that: That) -> bool:
    """Whether the last sample of a window answers for all of it."""
    if isinstance(that, All):
        return any(map(is_cumulative, that.parts))
    if isinstance(that, Not):
        return is_cumulative(that.inner)
    return isinstance(that, Named) and that.predicate.is_cumulative()


def leaves(that: That) -> Iterator[Is | Named]:
    """The bounds and predicates in an expression."""
    if isinstance(that, All):
        for part in that.parts:
            yield from leaves(part)
    elif isinstance(that, Not):
        yield from leaves(that.inner)
    else:
        yield that


def expressions(scenario: Scenario) -> Iterator[That]:
    """Every expression of a scenario."""
    yield from (e.that for e in scenario.expect)
    yield from (a.when for a in scenario.abort)
    for step in scenario.timeline:
        found = (step.when, step.until, step.roll.next if step.roll else None)
        yield from (that for that in found if that is not None)


def patterns(scenario: Scenario) -> dict[str, str]:
    """What logs must be watched for: the declared text or expression → the regular expression."""
    return {
        leaf.predicate.pattern: leaf.predicate.expression
        for that in expressions(scenario)
        for leaf in leaves(that)
        if isinstance(leaf, Named) and isinstance(leaf.predicate, Log)
    }
