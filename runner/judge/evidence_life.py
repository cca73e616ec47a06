"""Evidence of processes: gone, stopped, restarted, started — and back again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from runner.judge.account import Account, Event, Interval, Trial
from runner.judge.measured import TOLERANCE_S, Measured
from runner.predicates.share import names
from runner.records.verdict import Evidence

Claim = Literal["down", "paused", "restarted", "started"]

WORDS = {"down": "no process is left", "paused": "every process is stopped"}
RESTART_S = 30.0
"""How long a restart may take before it is not believed any more."""


def life_claim(claim: Claim) -> Callable[[Account, Trial, Interval], Measured]:
    """The judge of one claim about processes."""

    def lasting(account: Account, trial: Trial, interval: Interval) -> Measured:
        return _lasting(account, trial, interval, claim)

    def momentary(account: Account, trial: Trial, interval: Interval) -> Measured:
        return _momentary(account, trial, interval, claim)

    return lasting if claim in WORDS else momentary


def _nodes(trial: Trial, interval: Interval) -> list[str]:
    return [n for n in trial.targets if interval.units is None or n in interval.units]


def _find(account: Account, kind: str, node: str, start: float, end: float) -> Event | None:
    """The first event of the kind for the node in the time."""
    for event in account.life:
        if event["event"] == kind and event.get("node") == node and start <= float(event["t"]) <= end:
            return event
    return None


def _lasting(account: Account, trial: Trial, interval: Interval, claim: Claim) -> Measured:
    end = account.closed if interval.end is None else interval.end
    nodes = _nodes(trial, interval)
    evidence: list[Evidence] = []
    seen: list[float] = []
    unseen: list[str] = []
    for node in nodes:
        event = _find(account, claim, node, interval.start - TOLERANCE_S, end)
        if event is not None:
            seen.append(float(event["t"]))
        elif not _already(account, node, claim, interval.start):
            unseen.append(node)
        broken = _too_early(account, node, claim, seen[-1] if event is not None else interval.start, end)
        if broken is not None:
            t = float(broken["t"])
            what = f"{node} was started again ({broken.get('why')})" if claim == "down" else f"{node} went on"
            text = f"{what} at {t - account.start:.2f} s while '{trial.name}' should have been in force"
            evidence.append(Evidence(f"processes of {node}", WORDS[claim], text, t, False))
    disproved = bool(evidence)
    if not unseen and nodes:
        text = f"{names(nodes, 6)}: {'gone' if claim == 'down' else 'stopped'}"
        evidence.append(Evidence("processes", WORDS[claim], text, max(seen, default=interval.start), True))
    back, healed_at, why_left = _back(account, nodes, claim, end)
    return Measured(
        False if disproved else (None if unseen else True),
        back,
        max(seen, default=interval.start),
        healed_at,
        tuple(evidence),
        f"that {names(unseen)} {'was' if len(unseen) == 1 else 'were'} {claim} was not reported"
        if unseen
        else "",
        why_left,
    )


def _already(account: Account, node: str, claim: Claim, start: float) -> bool:
    """Whether another fault had done it before."""
    wanted = account.line.status(start - 0.01, node)
    return wanted == claim or wanted == "down"


def _too_early(account: Account, node: str, claim: Claim, start: float, end: float) -> Event | None:
    if claim == "down":
        event = _find(account, "started", node, start + 1e-3, end - TOLERANCE_S)
        # A supervisor's child that the agent brought down at once again is reported as down again.
        if event and _find(account, "down", node, float(event["t"]), float(event["t"]) + TOLERANCE_S):
            return None
        return event
    event = _find(account, "resumed", node, start + 1e-3, end - TOLERANCE_S)
    return None if event and account.line.status(float(event["t"]), node) == "down" else event


def _back(
    account: Account, nodes: list[str], claim: Claim, end: float
) -> tuple[bool | None, float | None, str]:
    """Whether the processes run again: answer, since when, what is wrong."""
    kind = "started" if claim == "down" else "resumed"
    waiting = [n for n in nodes if account.line.status(end + TOLERANCE_S, n) == "running"]
    if not waiting:
        return None, None, "another fault keeps them away"
    times = {n: _find(account, kind, n, end - TOLERANCE_S, account.last_t) for n in waiting}
    late = [n for n, e in times.items() if e is None]
    if not late:
        return True, max(float(e["t"]) for e in times.values() if e is not None), ""
    done = "started again" if claim == "down" else "resumed"
    left = f"{names(late)} {'was' if len(late) == 1 else 'were'} not {done}"
    if account.last_t - end < 2.0:
        return None, None, left
    return False, None, left


def _momentary(account: Account, trial: Trial, interval: Interval, claim: Claim) -> Measured:
    start, nodes = interval.start - TOLERANCE_S, _nodes(trial, interval)
    seen: list[float] = []
    missing: list[str] = []
    for node in nodes:
        t: Any = start
        if claim == "restarted":
            gone = _find(account, "exited", node, start, interval.start + RESTART_S)
            t = float(gone["t"]) if gone else None
        up = _find(account, "started", node, t, t + RESTART_S) if t is not None else None
        if up is None:
            missing.append(node)
        else:
            seen.append(float(up["t"]))
    evidence = []
    if not missing and nodes:
        text = f"{names(nodes, 6)} {claim}"
        evidence.append(Evidence("processes", f"are {claim}", text, max(seen), True))
    why = f"that {names(missing)} {'was' if len(missing) == 1 else 'were'} {claim} was not reported"
    done = None if missing else True
    at = max(seen, default=None)
    return Measured(done, done, at, at, tuple(evidence), why if missing else "", why if missing else "")
