"""Whether a fault took effect and is gone, from what was measured: one verdict a trial, with every piece of
evidence.

A fault claims what evidence must show (``cut``, ``down``, ``paused``, ``clock``, ``restarted``, ``started``);
each claim has its own room in ``evidence_*``. True if everything asserted agrees, false if anything disproves
it, none if it was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from runner.judge.account import Account, Interval, Trial
from runner.judge.evidence_clock import clock_claim
from runner.judge.evidence_cut import cut_claim
from runner.judge.evidence_life import life_claim
from runner.judge.measured import Measured
from runner.records import verdict as records

CLAIMS: Mapping[str, Callable[[Account, Trial, Interval], Measured]] = {
    "cut": cut_claim,
    "clock": clock_claim,
    "down": life_claim("down"),
    "paused": life_claim("paused"),
    "restarted": life_claim("restarted"),
    "started": life_claim("started"),
}
LAPSES = {"cuts": "cut", "cut": "cut", "paused": "paused", "down": "down", "clock": "clock"}


@dataclass(frozen=True)
class Proof:
    """What is known of one trial. Moments are on the run's clock; ``intervals`` go with the trial's."""

    trial: Trial
    intervals: tuple[Shown, ...]
    effective: bool | None
    healed: bool | None
    reason: str
    ended_by: Literal["plan", "abort", "lease", "run_end"]
    evidence: tuple[records.Evidence, ...] = ()

    @property
    def effective_at(self) -> float | None:
        """When it was first in force everywhere; the commanded moment where that was not measured."""
        found = [i.effective for i in self.intervals if i.effective is not None]
        return found[0] if found else (self.intervals[0].commanded if self.intervals else None)

    @property
    def is_proved(self) -> bool:
        """Whether it took effect and (unless it stays for good) is not known to have stayed."""
        return self.effective is True and self.healed is not False

    def verdict(self, zero: float) -> records.FaultVerdict:
        """As it stands in ``verdict.json``."""

        def at(t: float | None) -> float | None:
            return None if t is None else t - zero

        return records.FaultVerdict(
            self.trial.name,
            self.trial.kind,
            self.trial.targets,
            tuple(
                records.Interval(at(i.start), at(i.effective), at(i.end), at(i.healed), i.leaked_s)
                for i in self.intervals
            ),
            self.ended_by,
            self.effective,
            self.healed,
            tuple(records.Evidence(e.what, e.expected, e.seen, at(e.at_s), e.agrees) for e in self.evidence),
            self.trial.permanent,
            self.reason,
        )


@dataclass(frozen=True)
class Shown:
    """One interval as it really was: asked for, commanded, in force, ended, gone."""

    start: float
    commanded: float | None
    effective: float | None
    end: float | None
    healed: float | None
    leaked_s: float | None
    measured: tuple[tuple[str, Measured], ...] = field(default=(), repr=False)


def prove(account: Account) -> dict[str, Proof]:
    """The proof of every trial that was decided, by its name."""
    return {name: _prove(account, trial) for name, trial in account.trials.items()}


def _prove(account: Account, trial: Trial) -> Proof:
    ended_by = _ended_by(account, trial)
    actual = [_clip(account, i) for i in trial.intervals if i.start < account.closed]
    if not actual:
        return Proof(trial, (), None, None, "the run ended before it began", ended_by)
    shown = tuple(_show(account, trial, i) for i in actual)
    lapses = _lapses(account, trial, actual)
    evidence = tuple(e for s in shown for _, m in s.measured for e in m.evidence) + lapses
    effective, why = _overall(trial, shown, lapses)
    healed, left = _healed(account, trial, shown)
    return Proof(trial, shown, effective, healed, why or left, ended_by, evidence)


def _clip(account: Account, interval: Interval) -> Interval:
    """The interval up to when everything was healed early."""
    end = account.healing if interval.end is None else min(interval.end, account.closed)
    return Interval(interval.start, end, interval.units)


def _show(account: Account, trial: Trial, interval: Interval) -> Shown:
    measured = tuple((c, CLAIMS[c](account, trial, interval)) for c in sorted(trial.claims) if c in CLAIMS)
    change = account.line.near(interval.start)
    effects = [m.effective_at for _, m in measured if m.effective_at is not None]
    heals = [m.healed_at for _, m in measured if m.healed_at is not None]
    complete = measured and all(m.effective is True for _, m in measured)
    effective = max(effects) if complete and effects else None
    return Shown(
        interval.start,
        change.done if change else None,
        effective,
        interval.end,
        max(heals) if heals and all(m.healed is True for _, m in measured) else None,
        None if effective is None else max(0.0, effective - interval.start),
        measured,
    )


def _overall(
    trial: Trial, shown: tuple[Shown, ...], lapses: tuple[records.Evidence, ...]
) -> tuple[bool | None, str]:
    against = [e for s in shown for _, m in s.measured if m.effective is False for e in m.evidence]
    disproof = next((e for e in [*against, *lapses] if e.agrees is False), None)
    if disproof:
        return False, f"{disproof.what}: {disproof.seen}"
    if not trial.claims:
        return None, "nothing was measured that could show it"
    for one in shown:
        for claim in sorted(trial.claims):
            found = dict(one.measured).get(claim)
            if found is None:
                return None, f"there is no way to measure '{claim}'"
            if found.effective is None:
                return None, found.why or "it was not measured"
    return True, ""


def _healed(account: Account, trial: Trial, shown: tuple[Shown, ...]) -> tuple[bool | None, str]:
    left = list((account.healed or {}).get("left") or ())
    answers = [m.healed for s in shown for _, m in s.measured]
    if False in answers:
        why = next(m.why_left for s in shown for _, m in s.measured if m.healed is False)
        return False, why
    if left and not trial.permanent and any(s.healed is None for s in shown):
        return False, "; ".join(map(str, left))
    if answers and all(a is True for a in answers):
        return True, ""
    why = next((m.why_left for s in shown for _, m in s.measured if m.healed is None and m.why_left), "")
    return None, "" if trial.permanent else (why or "that it is gone was not measured")


def _lapses(account: Account, trial: Trial, actual: list[Interval]) -> tuple[records.Evidence, ...]:
    """What disappeared behind our back while it should have been in force."""
    found: dict[tuple[str, str, float], records.Evidence] = {}
    for event in account.lapses:
        claim = LAPSES.get(str(event.get("what")))
        node = event.get("node")
        if claim not in trial.claims or (node and node not in trial.touched):
            continue
        start = float(event.get("from") or event["t"])
        end = account.closed if event.get("to") is None else float(event["to"])
        for interval in actual:
            over = min(end, interval.end if interval.end is not None else end) - max(start, interval.start)
            if over <= 0:
                continue
            until = "to the end" if event.get("to") is None else f"to {end - account.start:.2f} s"
            where = f" at {node}" if node else ""
            detail = f" ({event['detail']})" if event.get("detail") else ""
            seen = f"gone{where} from {start - account.start:.2f} s {until}{detail}"
            # The report of the end of a lapse replaces that of its begin.
            found[str(event.get("what")), str(node), start] = records.Evidence(
                f"{event['what']} in the kernel", "there all the time", seen, start, False
            )
    return tuple(found.values())


def _ended_by(account: Account, trial: Trial) -> Literal["plan", "abort", "lease", "run_end"]:
    if account.heals and (trial.end is None or account.closed < trial.end):
        why = account.heals[0].get("why")
        if why == "lease":
            return "lease"
        if why in ("abort", "interrupt", "error", "timeout"):
            return "abort"
    return "run_end" if trial.end is None else "plan"
