"""Evidence of processes: gone, stopped, restarted, started — and back again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from runner.judge.account import Account, Event, Interval, Trial
from runner.judge.measured import TOLERANCE_S, Measured
from runner.predicates.share import names
from runner.records.verdict import Evidence

Claim = Literal["down", "paused", "restarted", "started"]

WORD = {"down": "ended", "paused": "stopped"}
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
    empty: list[str] = []
    for node in nodes:
        event = _find(account, claim, node, interval.start - TOLERANCE_S, end)
        if event is not None:
            seen.append(float(event["t"]))
            if _had_none(account, event, claim):
                empty.append(node)
        elif not _already(account, node, claim, interval.start):
            unseen.append(node)
        broken = _too_early(account, node, claim, seen[-1] if event is not None else interval.start, end)
        if broken is not None:
            t = float(broken["t"])
            what = f"{node} was started again ({broken.get('why')})" if claim == "down" else f"{node} went on"
            text = f"{what} at {t - account.start:.2f} s while '{trial.name}' should have been in force"
            evidence.append(Evidence(f"processes of {node}", WORDS[claim], text, t, False))
    disproved = bool(evidence)
    if not unseen and not empty and nodes:
        text = f"{names(nodes, 6)}: {'gone' if claim == 'down' else 'stopped'}"
        evidence.append(Evidence("processes", WORDS[claim], text, max(seen, default=interval.start), True))
    back, healed_at, why_left = _back(account, nodes, claim, end)
    return Measured(
        False if disproved else (None if unseen or empty else True),
        back,
        max(seen, default=interval.start),
        healed_at,
        tuple(evidence),
        _why(claim, unseen, empty),
        why_left,
    )


def _why(claim: Claim, unseen: list[str], empty: list[str]) -> str:
    if unseen:
        return f"that {names(unseen)} {'was' if len(unseen) == 1 else 'were'} {claim} was not reported"
    return f"{names(empty)} had no process that could be {WORD[claim]}" if empty else ""


def _had_none(account: Account, event: Event, claim: Claim) -> bool:
    """Whether the node had ended by itself: what hits nobody proves nothing. One that another fault had ended
    or was restarting is not meant.
    """
    if event.get("gone" if claim == "down" else "pids"):
        return False
    before = [e for e in account.life if e.get("node") == event.get("node") and e["t"] <= event["t"]]
    last = next((e for e in reversed(before) if e["event"] in ("started", "exited")), None)
    return last is not None and last["event"] == "exited" and last.get("expected") is False


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
    """Whether the processes run again: answer, since when, what is wrong.

    Where another fault keeps a node away, it shows once that one lets go.
    """
    free = {n: _free_from(account, n, end) for n in nodes}
    if not nodes or None in free.values():
        return None, None, "another fault keeps them away"
    times = {n: _again(account, n, claim, end, float(t or end)) for n, t in free.items()}
    late = [n for n, t in times.items() if t is None]
    if not late:
        at_once = [t for n, t in times.items() if t is not None and free[n] == end]
        return True, max(at_once or [t for t in times.values() if t is not None]), ""
    done = "started again" if claim == "down" else "resumed"
    left = f"{names(late)} {'was' if len(late) == 1 else 'were'} not {done}"
    if account.last_t - max(float(free[n] or end) for n in late) < 2.0:
        return None, None, left
    return False, None, left


def _free_from(account: Account, node: str, end: float) -> float | None:
    """From when on, ``end`` at the earliest, the model wants the node running; None if never."""
    if account.line.status(end + TOLERANCE_S, node) == "running":
        return end
    later = (c for c in account.line.changes if c.at > end + TOLERANCE_S)
    return next((c.at for c in later if node not in c.state.get("status", {})), None)


def _again(account: Account, node: str, claim: Claim, end: float, free: float) -> float | None:
    """When the node's processes ran again, from ``free`` on; another fault may end in another way than this
    one would have.
    """
    kinds: tuple[str, ...] = ("started",) if claim == "down" else ("resumed",)
    if free > end:
        kinds = ("started", "resumed")
    found = [_find(account, kind, node, free - TOLERANCE_S, account.last_t) for kind in kinds]
    return min((float(e["t"]) for e in found if e is not None), default=None)


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
