"""Evidence of clock errors: what each process sees, against the line that the model asks for; and that it is
gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faults.model import ClockCondition
from runner.judge.account import Account, Interval, Trial
from runner.judge.measured import TOLERANCE_S, Measured
from runner.predicates.share import names
from runner.records.verdict import Evidence

TOLERANCE_NS = 5e6
AGE_S = 0.25
"""A measurement is that much older than its report, so that a clock that runs at another rate has moved
on.
"""


def clock_claim(account: Account, trial: Trial, interval: Interval) -> Measured:
    """Judge the clock errors of one interval of a trial."""
    end = account.closed if interval.end is None else interval.end
    nodes = [n for n in trial.targets if interval.units is None or n in interval.units]
    evidence: list[Evidence] = []
    seen: dict[str, float] = {}
    for t, node, pid, offset, error, why in _measurements(account, interval.start - TOLERANCE_S, end):
        if node not in nodes or account.line.status(t, node) == "down":
            continue
        wanted, slack = _expected(account, node, t)
        if offset is None:
            text = f"{node}'s process {pid} does not see it: {why or 'not covered'}"
            evidence.append(Evidence(f"clock of {node}", _seconds(wanted[0]), text, t, False))
        elif min(abs(offset - w) for w in wanted) <= max(TOLERANCE_NS, error or 0.0) + slack:
            seen.setdefault(node, t)
        else:
            text = f"{node}'s process {pid} is {_seconds(offset)} off at {t - account.start:.2f} s"
            evidence.append(Evidence(f"clock of {node}", _seconds(wanted[0]), text, t, False))
    # Whom another fault has down all the time has no clock; where there is nobody else, nothing is proved.
    unseen = [n for n in nodes if n not in seen and not (seen and _is_down(account, n, interval.start, end))]
    if seen and not evidence:
        text = f"{names([n for n in nodes if n in seen], 6)}: as asked"
        evidence.append(
            Evidence("clocks as the processes see them", "as asked", text, max(seen.values()), True)
        )
    disproved = any(e.agrees is False for e in evidence)
    healed, healed_at, why_left = _restored(account, nodes, end)
    return Measured(
        False if disproved else (None if unseen or not nodes else True),
        healed,
        max(seen.values(), default=None),
        healed_at,
        tuple(evidence),
        f"the clock of {names(unseen)} was not measured" if unseen else "",
        why_left,
    )


def _is_down(account: Account, node: str, start: float, end: float) -> bool:
    """Whether the model has the node down all the time."""
    return all(c.status().get(node) == "down" for c in account.line.between(start + 0.01, end - 0.01))


def _measurements(
    account: Account, start: float, end: float
) -> Iterator[tuple[float, str, Any, float | None, float | None, str]]:
    """Instant, node, process, its offset in ns (None: not covered), the error of the measurement, and why
    not.
    """
    for event in account.clocks:
        t = float(event["t"])
        if not start <= t <= end - (0.01 if event["event"] == "clock" else 0):
            continue
        if event["event"] == "clock":
            problems = event.get("problems") or []
            for pid, offset in event.get("offset_ns") or ():
                yield t, event["node"], pid, offset, None, ""
            for problem in problems:
                yield t, event["node"], "", None, None, str(problem)
        else:
            for node, found in (event.get("nodes") or {}).items():
                for one in found:
                    covered = one.get("covered", True)
                    offset = one.get("offset_ns") if covered else None
                    yield t, node, one.get("pid"), offset, one.get("error_ns"), str(one.get("why") or "")


def _expected(account: Account, node: str, t: float) -> tuple[list[float], float]:
    """The offsets in ns that the model allows at ``t``, and how much they move while a measurement ages."""
    data = account.line.state(t).get("clocks", {}).get(node)
    if not data:
        return [0.0], 0.0
    condition = condition_of(data)
    wanted = [condition.error_at(t) * 1e9]
    for _, amplitude, _ in condition.strobes:
        # Near a flank either side may have been seen.
        wanted += [w + sign * amplitude * 1e9 for w in list(wanted) for sign in (1, -1)]
    rate = 1.0 if condition.frozen_since is not None else sum(abs(ppm) for _, ppm in condition.drifts) * 1e-6
    return wanted, rate * AGE_S * 1e9


def condition_of(data: Mapping[str, Any]) -> ClockCondition:
    """A clock condition from the journal's state."""
    return ClockCondition(
        float(data.get("offset_s") or 0.0),
        tuple((float(s), float(p)) for s, p in data.get("drifts") or ()),
        tuple((float(s), float(a), float(h)) for s, a, h in data.get("strobes") or ()),
        data.get("frozen_since"),
    )


def _restored(account: Account, nodes: list[str], end: float) -> tuple[bool | None, float | None, str]:
    """Whether the clocks are true again (or as the faults that are left ask): answer, since when, what is
    wrong.
    """
    back: dict[str, float] = {}
    wrong: dict[str, str] = {}
    for event in account.clocks:
        t, node = float(event["t"]), event.get("node")
        if event["event"] != "clock" or node not in nodes or t < end - 0.01 or node in back:
            continue
        if account.line.state(t).get("clocks", {}).get(node):
            wanted, slack = _expected(account, node, t)
            good = all(
                min(abs(o - w) for w in wanted) <= TOLERANCE_NS + slack
                for _, o in event.get("offset_ns") or ()
            )
        else:
            good = bool(event.get("restored"))
        if good:
            back[node] = t
            wrong.pop(node, None)
        else:
            wrong[node] = "; ".join(map(str, event.get("problems") or ())) or "its clock was not restored"
    # A node without processes has no clock to restore.
    for node in nodes:
        if node not in back and node not in wrong and account.line.status(end + TOLERANCE_S, node) == "down":
            back[node] = end
    if wrong:
        node, why = next(iter(wrong.items()))
        return False, None, f"{node}: {why}"
    late = [n for n in nodes if n not in back]
    if late:
        return None, None, f"that the clock of {names(late)} was restored was not reported"
    return True, max(back.values(), default=end), ""


def _seconds(ns: float) -> str:
    return f"{ns / 1e9:+.3f} s"
