"""Evidence that packets were dropped: heartbeats of watched pairs, sweeps, and connections on which bytes
moved.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.judge.account import Account, Interval, Trial
from runner.judge.measured import TOLERANCE_S, Measured, span
from runner.predicates.shape import block_of
from runner.predicates.share import names
from runner.records.verdict import Evidence

SWEEP_MARGIN_S = 0.5
"""A sweep takes its time, so that one at the edge of a phase may have seen both sides of it."""
SEEN_AFTER_S = 1.0
"""How long after the end a pair must have been watched before its silence means that the cut is still
there.
"""

Pair = tuple[str, str]


def cut_claim(account: Account, trial: Trial, interval: Interval) -> Measured:
    """Judge the cuts of one interval of a trial."""
    end = account.closed if interval.end is None else interval.end
    middle = _settled(account, trial, interval.start, end)
    pairs = _pairs(account, trial, interval.start, end, middle)
    usable = [p for p in pairs if _passed_before(account, p, interval.start)]
    excluded = [p for p in pairs if p not in usable]
    evidence: list[Evidence] = []
    if excluded:
        text = names([f"{a}→{b}" for a, b in excluded], 5)
        evidence.append(
            Evidence("pairs left out", "reachable before", f"unreachable before: {text}", interval.start)
        )
    passed = [
        Evidence(*p) for pair in usable for p in _beats_through(account, trial, pair, interval.start, end)
    ]
    swept, disproved = _sweeps(account, trial, interval.start, end)
    moved, streams = _streams(account, trial, interval.start, end)
    evidence += passed + disproved + moved
    begun = [t for p in usable if (t := _first(account, p, False, interval.start, end)) is not None]
    silent = [p for p in usable if _state(account, p, middle) is False]
    if silent:
        text = f"{len(silent)} of {len(usable)} watched pairs silent"
        evidence.append(Evidence("heartbeats", "none pass", text, min(begun, default=None), not passed))
    healed, healed_at, left = _gone(account, usable, end)
    if left:
        evidence.append(
            Evidence("heartbeats after the end", "all pass", left, end, False if healed is False else None)
        )
    if not usable and not swept and not streams:
        why = (
            "no heartbeat, sweep or connection crossed the cut"
            if not pairs
            else "its pairs were unreachable before"
        )
        return Measured(None, healed, evidence=tuple(evidence), why=why, why_left=left)
    disproof = bool(passed or disproved or moved)
    unseen = len(silent) < len(usable) and not disproof
    effective = False if disproof else (None if unseen and not silent and not swept else True)
    unproved = "" if swept or disproof else _unwatched(account, trial, middle, {*silent, *excluded})
    if effective and unproved:
        effective = None
    return Measured(
        effective,
        healed,
        max(begun, default=None) if begun else (swept[0] if swept else None),
        healed_at,
        tuple(evidence),
        why="" if effective is not None else unproved or "the phase was too short for heartbeats to show it",
        why_left=left,
    )


def _settled(account: Account, trial: Trial, start: float, end: float) -> float:
    """An instant at which the trial's cuts hold: the last at which most units are in."""
    change = account.line.near(start)
    return (max(start, change.done if change else start) + end) / 2


def _pairs(account: Account, trial: Trial, start: float, end: float, middle: float) -> list[Pair]:
    """The watched pairs that the trial cuts: cut by the model now, and touched by it; those that others cut
    anyway come last.
    """
    touched = trial.touched
    cut = [p for p in account.beats if set(p) & touched and account.line.is_cut(middle, *p)]
    own = [
        p
        for p in cut
        if not (account.line.is_cut(start - 0.01, *p) and account.line.is_cut(end + 2 * TOLERANCE_S, *p))
    ]
    return own or cut


def _unwatched(account: Account, trial: Trial, t: float, seen: set[Pair]) -> str:
    """Which links that the trial cuts at ``t`` had no witness; each ordered pair of blocks wants one."""
    cuts = account.line.state(t).get("cuts") or {}
    blocks = [frozenset(b) for b in cuts.get("blocks", ())]
    for i, j in cuts.get("cut", ()):
        if not (blocks[i] | blocks[j]) & trial.touched or (i == j and len(blocks[i]) < 2):
            continue
        if not any(a in blocks[i] and b in blocks[j] for a, b in seen):
            here, there = (names(sorted(blocks[k]), 3) for k in (i, j))
            return f"no heartbeat and no sweep showed {here} cut from {there}"
    return ""


def _passed_before(account: Account, pair: Pair, start: float) -> bool:
    return any(through and since < start for since, through in account.beats[pair])


def _state(account: Account, pair: Pair, t: float) -> bool | None:
    """Whether heartbeats of the pair passed at ``t``."""
    state = None
    for since, through in account.beats[pair]:
        if since <= t:
            state = through
    return state


def _first(account: Account, pair: Pair, through: bool, start: float, end: float) -> float | None:
    """When the pair first fared so in the interval."""
    found = [s for s, t in account.beats[pair] if t is through and start - TOLERANCE_S <= s <= end]
    return found[0] if found else None


def _cut_spans(account: Account, pair: Pair, start: float, end: float) -> Iterator[tuple[float, float]]:
    """Where in the interval the model has the pair cut, without the tolerance around each change."""
    changes = account.line.between(start, end)
    for i, change in enumerate(changes):
        a = max(start, change.done) + TOLERANCE_S
        b = min(end, changes[i + 1].at if i + 1 < len(changes) else end) - TOLERANCE_S
        if b > a and account.line.is_cut(max(start, change.at), *pair):
            yield a, b


def _joined(spans: Iterator[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that only tolerances part are one: the pair was cut across the change between them."""
    out: list[tuple[float, float]] = []
    for a, b in spans:
        if out and a - out[-1][1] <= 2 * TOLERANCE_S + 0.1:
            out[-1] = (out[-1][0], b)
        else:
            out.append((a, b))
    return out


def _beats_through(
    account: Account, trial: Trial, pair: Pair, start: float, end: float
) -> Iterator[tuple[str, str, str, float, bool]]:
    """Times in which the pair's heartbeats passed although the model has it cut."""
    beats = account.beats[pair]
    for cut_from, cut_to in _joined(_cut_spans(account, pair, start, end)):
        for i, (since, through) in enumerate(beats):
            until = beats[i + 1][0] if i + 1 < len(beats) else account.last_t
            a, b = max(since, cut_from), min(until, cut_to)
            if through and b > a:
                shown = max(since, start), min(until, end)
                text = f"packets passed {pair[0]}→{pair[1]} {span(*shown, account.start)}"
                yield (
                    f"heartbeats {pair[0]}→{pair[1]}",
                    f"none while '{trial.name}' is in force",
                    f"{text} while '{trial.name}' should have been in force",
                    shown[0],
                    False,
                )


def _sweeps(account: Account, trial: Trial, start: float, end: float) -> tuple[list[float], list[Evidence]]:
    """When whole sweeps were taken in the interval, and what they disproved."""
    times, wrong = [], []
    touched = trial.touched
    order = [n.name for n in account.nodes]
    for t, reach in account.sweeps:
        if not start + SWEEP_MARGIN_S <= t <= end - SWEEP_MARGIN_S or _changes_near(account, t):
            continue
        block = block_of(reach)
        crossing = [
            (a, b)
            for a in order
            for b in order
            if (a in touched or b in touched) and account.line.is_cut(t, a, b)
        ]
        if not crossing:
            continue
        times.append(t)
        passed = [
            (a, b) for a, b in crossing if a in block and b in block and (block[a], block[b]) not in reach[1]
        ]
        if passed:
            text = names([f"{a}→{b}" for a, b in passed], 5)
            should = f"while '{trial.name}' should have been in force"
            seen = f"at {t - account.start:.2f} s packets passed {text} {should}"
            wrong.append(Evidence("sweep of all pairs", "none across the cut", seen, t, False))
    return times, wrong[:3]


def _changes_near(account: Account, t: float) -> bool:
    return len(account.line.between(t - SWEEP_MARGIN_S, t + SWEEP_MARGIN_S)) > 1


def _streams(account: Account, trial: Trial, start: float, end: float) -> tuple[list[Evidence], bool]:
    """Connections across the cut: what moved, and whether there was anything to look at."""
    wrong, looked = [], False
    for event in account.streams:
        since, until = float(event["from"]), float(event["to"])
        if event.get("trial") != trial.name or since < start or until > end + TOLERANCE_S:
            continue
        moved = [f"{a}–{b}" for a, b in event.get("moved", ())]
        looked = looked or bool(moved or event.get("idle"))
        if moved:
            seen = f"bytes moved on {names(moved, 5)} {span(since, until, account.start)}"
            wrong.append(
                Evidence("connections across the cut", "no byte is acknowledged", seen, since, False)
            )
    return wrong, looked


def _gone(account: Account, pairs: list[Pair], end: float) -> tuple[bool | None, float | None, str]:
    """Whether heartbeats pass again after the end: answer, when the last pair did, and what is wrong."""
    free = {p: t for p in pairs if (t := _free_from(account, p, end)) is not None}
    if not free:
        return None, None, "other cuts keep its pairs apart" if pairs else "no pair was watched"
    # Pairs that other cuts keep apart show it once these end; they are asked only where there are no others.
    chosen = [p for p, t in free.items() if t == end] or list(free)
    back = {p: t for p in chosen if (t := _first(account, p, True, free[p], account.last_t)) is not None}
    silent = [p for p in chosen if p not in back and _state(account, p, account.last_t) is False]
    if not silent:
        return True, max(back.values(), default=end), ""
    text = f"{names([f'{a}→{b}' for a, b in silent], 5)} still silent"
    watched = account.last_t - max(free[p] for p in silent)
    if watched < SEEN_AFTER_S + TOLERANCE_S:
        return None, None, f"the run ended {watched:.1f} s after it, too soon to see it gone"
    return False, None, f"{text} {account.last_t - end:.1f} s after the end"


def _free_from(account: Account, pair: Pair, end: float) -> float | None:
    """From when on, ``end`` at the earliest, the model lets the pair's packets pass; None if never."""
    if not account.line.is_cut(end + 2 * TOLERANCE_S, *pair):
        return end
    later = (c.done for c in account.line.changes if c.at > end + 2 * TOLERANCE_S)
    return next((t for t in later if not account.line.is_cut(t, *pair)), None)
