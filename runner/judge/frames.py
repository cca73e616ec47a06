"""When each expectation's windows open and close, from what really happened: effective and ended moments, not
the plan's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runner.judge.account import Account, Trial
from runner.judge.evidence import Proof
from runner.judge.measured import TOLERANCE_S
from runner.judge.window import Frame
from runner.scenario.model import Expectation

HOLD_S = 3.0
BEFORE_WITHIN_S = 60.0
EDGE_S = 0.3
"""A sample shows what was up to so long before it, and takes a while itself."""


def frames_of(
    expectation: Expectation, account: Account, proofs: Mapping[str, Proof], units: Mapping[str, float]
) -> Iterator[Frame]:
    """The windows of an expectation: one for ``before``, ``always`` and ``after: faults``, else one for each
    trial of its step.
    """
    within = expectation.within.seconds(units) if expectation.within else 0.0
    hold = expectation.hold.seconds(units) if expectation.hold else HOLD_S
    if expectation.phase == "before":
        yield _before(expectation, account, units)
    elif expectation.phase == "always":
        yield _always(account)
    elif expectation.of == "faults":
        yield _after(account, proofs, list(proofs), "faults", within, hold)
    else:
        trials = [t for t in account.trials.values() if expectation.of in (t.step, t.name)]
        if not trials:
            yield _none(expectation.of, f"'{expectation.of}' was never started")
        for trial in trials:
            if expectation.phase == "during":
                yield _during(account, proofs[trial.name], within)
            else:
                yield _after(account, proofs, [trial.name], trial.name, within, hold)


def hold_before(expectation: Expectation, learnt_s: float, units: Mapping[str, float]) -> float:
    """How long a ``before`` expectation must hold: as written, else what was learnt."""
    return expectation.hold.seconds(units) if expectation.hold else learnt_s


def _none(trial: str, why: str) -> Frame:
    return Frame(trial, 0.0, 0.0, 0.0, 0.0, 0.0, (), why)


def _before(expectation: Expectation, account: Account, units: Mapping[str, float]) -> Frame:
    if account.zero is None:
        return _none("faults", "the steady state was never reached")
    learnt = float(account.learnt.get("hold_s") or HOLD_S)
    opens = account.zero - hold_before(expectation, learnt, units)
    if account.samples:
        opens = max(opens, account.samples[0])
    # The sample that completed the steady state counts; those after it belong to the faults.
    closes = account.zero + 1e-3
    return Frame("faults", opens, opens, closes, closes - opens, opens, ((opens - 1e-3, closes),))


def _always(account: Account) -> Frame:
    if account.zero is None:
        return _none("", "the steady state was never reached")
    closed = account.closed
    return Frame("", account.zero, account.zero, closed, 0.0, account.zero, ((account.zero, closed),))


def ended(account: Account, proof: Proof) -> float | None:
    """When the trial had ended: its conditions taken back, and where processes were hit, these running
    again.
    """
    if proof.trial.permanent or not proof.intervals or proof.trial.end is None:
        return None
    last = max(proof.intervals, key=lambda i: i.end or i.start)
    if last.end is None or (account.closed < proof.trial.end and proof.ended_by != "plan"):
        return None
    change = account.line.near(last.end)
    at = change.done if change else last.end
    claims = proof.trial.claims & {"down", "paused", "restarted", "started"}
    again = [m.healed_at for claim, m in last.measured if claim in claims and m.healed_at is not None]
    if not any(account.line.status(last.end + TOLERANCE_S, n) == "running" for n in proof.trial.targets):
        again = []  # other faults keep them away, and nobody waits for these
    return max([at, *again])


def _after(
    account: Account,
    proofs: Mapping[str, Proof],
    names: Sequence[str],
    trial: str,
    within: float,
    hold: float,
) -> Frame:
    lasting = [proofs[n] for n in names if not proofs[n].trial.permanent]
    if not lasting:
        return _none(trial, "there was no fault that ended")
    ends = [ended(account, p) for p in lasting]
    if None in ends:
        late = next(p.trial.name for p, e in zip(lasting, ends, strict=True) if e is None)
        return _none(trial, f"the run was over before '{late}' had ended")
    opens = max(e for e in ends if e is not None)
    closes = opens + within + hold
    begun = min(p.trial.start for p in lasting)
    # A sample after the close tells whether the hold interval reached its end.
    spans = ((opens, min(closes + account.every(), account.closed)),)
    return Frame(trial, opens, opens + within, closes, hold, begun, spans)


def _during(account: Account, proof: Proof, within: float) -> Frame:
    trial = proof.trial
    if not proof.intervals:
        return _none(trial.name, f"the run was over before '{trial.name}' began")
    spans = []
    for start, end in _lasting(account, proof):
        a, b = start + within, end
        if b - a > 3 * EDGE_S:
            a, b = a + EDGE_S, b - EDGE_S
        if b > a:
            spans.append((a, b))
    if not spans:
        return _none(trial.name, f"'{trial.name}' was over before its window opened")
    opens, closes = spans[0][0], spans[-1][1]
    return Frame(trial.name, opens, opens, closes, 0.0, trial.start, tuple(spans))


def _lasting(account: Account, proof: Proof) -> list[tuple[float, float]]:
    """The times in which the trial is in force as a whole."""

    def heals_at(end: float | None) -> float:
        if end is None or end >= account.closed:
            return account.healing if end is None else account.closed
        change = account.line.near(end)
        return change.at if change else end

    trial = proof.trial
    pairs = [(i.effective or i.commanded or i.start, heals_at(i.end)) for i in proof.intervals]
    if trial.flaps or len(pairs) == 1:
        return pairs
    # Units that come in and go out: all in; or, if never (one after another), from first to last.
    start, end = max(a for a, _ in pairs), min(b for _, b in pairs)
    return [(start, end)] if start < end else [(pairs[0][0], max(b for _, b in pairs))]


def overlaps(account: Account, trial: Trial, frame: Frame) -> bool:
    """Whether the trial was on at some time of the window."""
    end = account.closed if trial.end is None else trial.end
    return trial.start < frame.closes and end > frame.opens
