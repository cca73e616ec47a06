"""How long recovery took: per node, faulted and bystanders apart, and taken apart into flow, peers, heads and
progress.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from runner.judge.evidence import Proof
from runner.judge.window import Window, first_hold
from runner.predicates.graph import DegreeRecovers
from runner.predicates.predicate import Answer
from runner.predicates.state import Agree, Progress
from runner.records.verdict import ExpectationVerdict, NodeVerdict
from runner.scenario.model import Expectation, Named

STAGES = {
    "peers_s": DegreeRecovers(),
    "heads_s": Agree(fact="head"),
    "progress_s": Progress(fact="height", rate=0.8),
}
"""What recovery is taken apart into, beside ``flow_s``, which the heartbeats tell."""
STAYS_S = 1.0


def stage_windows(window: Window) -> dict[str, Window]:
    """Windows that watch each stage beside an ``after`` window."""
    return {
        stage: Window(Expectation(stage, "after", Named(predicate), window.expectation.of), window.frame)
        for stage, predicate in STAGES.items()
    }


def flow_s(proof: Proof | None, opens: float) -> float | None:
    """Seconds from the end of the fault until packets passed again on all watched pairs; None where it cut
    nothing.
    """
    if proof is None or "cut" not in proof.trial.claims or not proof.intervals:
        return None
    healed = [m.healed_at for claim, m in proof.intervals[-1].measured if claim == "cut"]
    return max(0.0, healed[-1] - opens) if healed and healed[-1] is not None else None


def stages_of(windows: Mapping[str, Window], every_s: float) -> dict[str, float | None]:
    """When each stage was reached for good (it holds for a second), in seconds from the end of the fault."""
    out: dict[str, float | None] = {}
    for stage, window in windows.items():
        marks = [(m.t, m.answer) for m in window.marks if not m.finding.neutral]
        start = first_hold(marks, STAYS_S, window.end, unknown_holds=False, slack_s=every_s / 4)
        out[stage] = None if start is None else start - window.frame.opens
    return out


def node_verdicts(window: Window, every_s: float) -> dict[str, NodeVerdict]:
    """What the window says of each node."""
    return {node: _one(window, marks, every_s) for node, marks in sorted(window.nodes.items())}


def _one(window: Window, marks: list[tuple[float, Answer, str]], every_s: float) -> NodeVerdict:
    if window.phase == "after":
        pairs = [(t, a) for t, a, _ in marks]
        frame = window.frame
        pessimist, optimist = (
            first_hold(pairs, frame.hold_s, frame.limit, unknown_holds=u, slack_s=every_s / 4)
            for u in (False, True)
        )
        if pessimist is not None:
            return NodeVerdict("held", marks[-1][2], pessimist - frame.opens)
        wanted = Answer.VIOLATED if optimist is None else Answer.UNKNOWN
        reason = next((r for _, a, r in reversed(marks) if a is wanted), marks[-1][2])
        return NodeVerdict("violated" if optimist is None else "unknown", reason)
    for answer in (Answer.VIOLATED, Answer.UNKNOWN):
        first = next((r for _, a, r in marks if a is answer), None)
        if first is not None:
            return NodeVerdict("violated" if answer is Answer.VIOLATED else "unknown", first)
    return NodeVerdict("held", marks[-1][2])


def summary(expectations: Iterable[ExpectationVerdict], proofs: Mapping[str, Proof]) -> dict[str, Any]:
    """``{"faulted": {median_s, max_s, nodes}, "bystanders": …}`` over all ``after`` expectations; None where
    there are none.
    """
    times: dict[str, dict[str, float]] = {"faulted": {}, "bystanders": {}}
    for expectation in expectations:
        if expectation.phase != "after":
            continue
        hit = _hit(expectation.of, proofs)
        for node, said in expectation.nodes.items():
            if said.recovery_s is not None:
                of = times["faulted" if node in hit else "bystanders"]
                of[node] = max(of.get(node, 0.0), said.recovery_s)
    return {k: _spread(list(v.values())) for k, v in times.items()}


def _hit(trial: str, proofs: Mapping[str, Proof]) -> frozenset[str]:
    if trial in proofs:
        return frozenset(proofs[trial].trial.targets)
    return frozenset(n for p in proofs.values() for n in p.trial.targets)


def _spread(values: list[float]) -> dict[str, float | int] | None:
    if not values:
        return None
    return {"median_s": statistics.median(values), "max_s": max(values), "nodes": len(values)}
