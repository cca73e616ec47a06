"""Scenario and journal to verdict. Pure: the same journal gives the same verdict, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.judge import recovery
from runner.judge.account import Account, Event
from runner.judge.evidence import Proof, prove
from runner.judge.frames import frames_of, overlaps
from runner.judge.history import History
from runner.judge.outcome import broken_off, conclude
from runner.judge.window import Resolution, Window, resolve_every, resolve_hold
from runner.predicates.predicate import Answer, Snapshot
from runner.predicates.view import View
from runner.records.journal import JournalError
from runner.records.verdict import BoundDistance, ExpectationVerdict, Verdict
from runner.scenario.model import Expectation, Scenario


@dataclass
class Case:
    """An expectation on one trial, with the windows that take its recovery apart."""

    window: Window
    name: str
    stages: dict[str, Window] = field(default_factory=dict)

    def windows(self) -> list[Window]:
        """Everything that wants samples."""
        return [self.window, *self.stages.values()]


def judge(scenario: Scenario, events: Iterable[Event]) -> Verdict:
    """The verdict on the run that ``events`` tell of, by the expectations of ``scenario``.

    Raises JournalError for an event that lacks what its kind must have, or a journal that does not begin with
    ``run``.
    """
    journal = list(events)
    account = _account(journal)
    units = {**scenario.network.units, **(account.header.get("units") or {})}
    proofs = prove(account)
    cases = [
        case
        for expectation in scenario.expect
        for case in _cases(expectation, account, proofs, units, len(scenario.expect))
    ]
    _play(journal, account, cases, units)
    expectations = tuple(_verdict(case, account, proofs, units) for case in cases)
    faults = tuple(p.verdict(account.start) for p in proofs.values())
    verdict, code, reasons = conclude(account, expectations, faults)
    header = account.header
    return Verdict(
        str(header.get("seatrial", "")),
        str(header.get("run", "")),
        header.get("scenario") or {"name": scenario.name, "sha256": scenario.sha256},
        header.get("seed"),
        verdict,
        code,
        reasons,
        expectations,
        faults,
        recovery.summary(expectations, proofs),
        header.get("versions") or {},
    )


def _account(journal: Sequence[Event]) -> Account:
    account = Account()
    if not journal or journal[0].get("event") != "run":
        raise JournalError("this is no journal of a run: it does not begin with 'run'")
    for number, event in enumerate(journal, 1):
        try:
            account.feed(event)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
            what = event.get("event") if isinstance(event, Mapping) else event
            raise JournalError(f"event {number} ('{what}') is damaged: {type(e).__name__}: {e}") from None
    return account


def _cases(
    expectation: Expectation,
    account: Account,
    proofs: Mapping[str, Proof],
    units: Mapping[str, float],
    total: int,
) -> list[Case]:
    frames = list(frames_of(expectation, account, proofs, units))
    cases = []
    for frame in frames:
        window = Window(expectation, frame)
        name = f"{expectation.name} ({frame.trial})" if len(frames) > 1 else expectation.name
        stages = recovery.stage_windows(window) if expectation.phase == "after" and frame.spans else {}
        cases.append(Case(window, name, stages))
    return cases


def view_of(
    history: History, now: Snapshot, *, phase: str, since: float, begun: float, units: Mapping[str, float]
) -> View:
    """What a predicate is shown of a history at one of its snapshots."""
    return View(
        now,
        history.memory,
        history.roster,
        phase,
        since,
        begun,
        history.zero or 0.0,
        history.hold_s(),
        units,
    )


def _play(
    journal: Sequence[Event], account: Account, cases: Sequence[Case], units: Mapping[str, float]
) -> None:
    """Feed every window with the samples that count for it."""
    history = History(account.line)
    windows = [w for case in cases for w in case.windows() if w.frame.spans]

    def view(window: Window, now: Snapshot) -> View:
        frame = window.frame
        return view_of(history, now, phase=window.phase, since=frame.opens, begun=frame.begun, units=units)

    for number, event in enumerate(journal, 1):
        for window in windows:
            if not window.finished and event["t"] > window.end and history.snapshot is not None:
                window.finish(view(window, history.snapshot))
        try:
            snapshots = history.feed(event)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
            raise JournalError(
                f"event {number} ('{event['event']}') is damaged: {type(e).__name__}: {e}"
            ) from None
        for snapshot in snapshots:
            for window in windows:
                if window.wants(snapshot.t):
                    window.feed(view(window, snapshot))
    for window in windows:
        if history.snapshot is not None:
            window.finish(view(window, history.snapshot))


def _verdict(
    case: Case, account: Account, proofs: Mapping[str, Proof], units: Mapping[str, float]
) -> ExpectationVerdict:
    window, expectation, frame = case.window, case.window.expectation, case.window.frame
    every = account.every()
    found = _resolve(window, account, every)
    if found.answer is Answer.VIOLATED:
        found = _only_with_evidence(found, window, account, proofs)
    within = expectation.within.seconds(units) if expectation.within else None
    recovered = found.start - frame.opens if found.start is not None and window.phase == "after" else None
    distance = None if found.distance is None else BoundDistance(found.distance, found.unit)
    flow = recovery.flow_s(proofs.get(frame.trial), frame.opens) if window.phase == "after" else None
    stages: dict[str, float | None] = {}
    if case.stages:
        stages = {"flow_s": flow, **recovery.stages_of(case.stages, every)}
    return ExpectationVerdict(
        case.name,
        expectation.phase,
        found.answer.value,
        found.reason,
        within,
        recovered,
        flow,
        distance,
        recovery.node_verdicts(window, every),
        frame.trial,
        stages,
    )


def _resolve(window: Window, account: Account, every: float) -> Resolution:
    frame = window.frame
    if frame.why_unknown:
        return Resolution(Answer.UNKNOWN, frame.why_unknown)
    short = ""
    if account.closed < frame.closes - every and window.phase in ("during", "after"):
        short = broken_off(account) or "the run ended"
    if window.phase == "after":
        return resolve_hold(window, ended=account.closed, every_s=every, why_ended=short)
    found = resolve_every(window, why_ended=short, zero=account.start, every_s=every)
    if window.phase == "before" and found.answer is Answer.VIOLATED:
        # A steady state that is none says nothing about how the network bears faults.
        return replace(found, answer=Answer.UNKNOWN, reason=f"no steady state: {found.reason}")
    return found


def _only_with_evidence(
    found: Resolution, window: Window, account: Account, proofs: Mapping[str, Proof]
) -> Resolution:
    """A violated ``during`` or ``after`` counts only if its fault and all that overlaps the window are
    proved.
    """
    if window.phase not in ("during", "after"):
        return found
    own = window.frame.trial
    for proof in proofs.values():
        concerned = own in (proof.trial.name, "faults") or overlaps(account, proof.trial, window.frame)
        if concerned and proof.intervals and not proof.is_proved:
            text = (
                f"{found.reason}; it does not count, since '{proof.trial.name}' is not proved: {proof.reason}"
            )
            return replace(found, answer=Answer.UNKNOWN, reason=text)
    return found
