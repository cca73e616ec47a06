"""The same judgement while a run goes on: what triggers wait for, whether the steady state is reached, what
is still missing.

Feeding is cheap (a sample changes what it changes); expressions are evaluated only when somebody asks, once a
sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.judge.account import Event, Trial
from runner.judge.frames import BEFORE_WITHIN_S, EDGE_S, HOLD_S, hold_before
from runner.judge.history import History
from runner.judge.judge import view_of
from runner.judge.that import evaluate, patterns
from runner.predicates.predicate import Answer, Finding, Snapshot
from runner.scenario.model import Expectation, Scenario, That

NOTHING_SEEN = Finding(Answer.UNKNOWN, "nothing was observed yet")
SLACK_S = 0.05


@dataclass(frozen=True)
class Steady:
    """Whether the steady state is reached, or can no longer be; why not yet; and what was learnt for the
    ``steady`` event.
    """

    reached: bool
    failed: bool = False
    reason: str = ""
    learnt: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pending:
    """An expectation as it stands: not open yet, looking on (``since_s`` it has held), or decided for now;
    and what is missing.
    """

    name: str
    phase: str
    trial: str
    state: Literal["waits", "open", "held", "closed"]
    answer: Answer
    reason: str
    held_for_s: float = 0.0
    left_s: float | None = None
    """Seconds until the window closes."""


@dataclass
class _Run:
    """How long something has held without a break."""

    since: float | None = None
    last: Finding = NOTHING_SEEN
    done: bool = False

    def feed(self, t: float, found: Finding) -> None:
        self.last = found
        if found.answer is not Answer.HELD:
            self.since = None
        elif self.since is None:
            self.since = t


class Watch:
    """Follows a run. Feed it every event that is journalled."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._units = scenario.network.units
        self.history = History()
        self._before = {e.name: _Run() for e in scenario.expect if e.phase == "before"}
        self._holds: dict[tuple[str, str], _Run] = {}
        self._cache: dict[tuple[int, float], Finding] = {}

    def feed(self, event: Event) -> None:
        """Take an event as journalled."""
        for snapshot in self.history.feed(event):
            self._cache.clear()
            if self.history.zero is None:
                self._look_before(snapshot)
            else:
                self._look_after(snapshot)

    # -- what the engine asks

    def evaluate(self, that: That, *, since: float = 0.0) -> Finding:
        """The answer now, on the latest sample. ``since``: when watching began, in seconds on the
        timeline.
        """
        now = self.history.snapshot
        if now is None:
            return NOTHING_SEEN
        key = (id(that), since)
        if key not in self._cache:
            since_run = since + (self.history.zero or 0.0)
            self._cache[key] = self._evaluate(that, "trigger", since_run, since_run)
        return self._cache[key]

    def facts(self) -> Mapping[str, Mapping[str, Any]]:
        """The latest facts of every node that answers (for ``where``)."""
        now = self.history.snapshot
        return {} if now is None else {n: v.facts for n, v in now.nodes.items() if v.answers}

    def patterns(self) -> dict[str, str]:
        """What logs must be watched for: declared text or expression → regular expression."""
        return patterns(self._scenario)

    def learnt(self) -> dict[str, float]:
        """The learnt hold and (where blocks were seen) the block interval, in seconds."""
        out = {"hold_s": round(self.history.hold_s(), 3)}
        interval = self.history.interval_s()
        return out if interval is None else {**out, "interval_s": round(interval, 3)}

    def steady(self, now: float) -> Steady:
        """Whether all ``before`` expectations have held for long enough at ``now`` (run's clock)."""
        if self.history.snapshot is None:
            return Steady(False, reason="nothing was observed yet")
        expectations = [e for e in self._scenario.expect if e.phase == "before"]
        if not expectations:
            return self._all_answer()
        missing = []
        for expectation in expectations:
            run, hold = self._before[expectation.name], self._hold_before(expectation)
            seen = self.history.snapshot.t
            if run.since is not None and seen - run.since >= hold - SLACK_S:
                continue
            within = expectation.within.seconds(self._units) if expectation.within else BEFORE_WITHIN_S
            limit = (self.history.first_sample or now) + within
            if now > limit and (run.since is None or run.since > limit):
                return Steady(False, True, f"{expectation.name}: not within {within:g} s: {run.last.reason}")
            if run.since is None:
                missing.append(run.last.reason)
            else:
                missing.append(f"{expectation.name} has held for {seen - run.since:.1f} s of {hold:g} s")
        if missing:
            return Steady(False, reason="; ".join(dict.fromkeys(missing)))
        return Steady(True, learnt=self.learnt())

    def pending(self, now: float) -> list[Pending]:
        """Every expectation as it stands at ``now`` (run's clock), for the live view."""
        return [p for e in self._scenario.expect for p in self._pending(e, now)]

    # -- inside

    def _hold_before(self, expectation: Expectation) -> float:
        return hold_before(expectation, self.history.hold_s(), self._units)

    def _evaluate(self, that: That, phase: str, since: float, begun: float) -> Finding:
        now = self.history.snapshot
        if now is None:
            return NOTHING_SEEN
        view = view_of(self.history, now, phase=phase, since=since, begun=begun, units=self._units)
        return evaluate(that, view)

    def _all_answer(self) -> Steady:
        now = self.history.snapshot
        assert now is not None
        asked = [v for v in now.nodes.values() if v.answers is not None and v.status != "down"]
        silent = [v.name for v in asked if not v.answers]
        if silent:
            return Steady(False, reason=f"{', '.join(silent[:5])} does not answer")
        return Steady(True, learnt=self.learnt())

    def _look_before(self, snapshot: Snapshot) -> None:
        for expectation in self._scenario.expect:
            if expectation.phase == "before":
                first = self.history.first_sample or snapshot.t
                found = self._evaluate(expectation.that, "before", first, first)
                self._before[expectation.name].feed(snapshot.t, found)

    def _look_after(self, snapshot: Snapshot) -> None:
        """Follow the ``after`` windows that are open."""
        for expectation in self._scenario.expect:
            if expectation.phase != "after":
                continue
            for name, opens, begun in self._opened(expectation):
                run = self._holds.setdefault((expectation.name, name), _Run())
                within, hold = self._lengths(expectation)
                if run.done or not opens <= snapshot.t <= opens + within + hold + 1.0:
                    continue
                run.feed(snapshot.t, self._evaluate(expectation.that, "after", opens, begun))
                run.done = run.since is not None and snapshot.t - run.since >= hold - SLACK_S

    def _lengths(self, expectation: Expectation) -> tuple[float, float]:
        within = expectation.within.seconds(self._units) if expectation.within else 0.0
        return within, expectation.hold.seconds(self._units) if expectation.hold else HOLD_S

    def _trials(self, expectation: Expectation) -> list[Trial]:
        trials = self.history.trials.values()
        if expectation.of == "faults":
            return [t for t in trials if not t.permanent]
        return [t for t in trials if expectation.of in (t.step, t.name)]

    def _ended(self, trial: Trial) -> float | None:
        """When the trial's end was carried out; None before."""
        if trial.end is None:
            return None
        change = self.history.line.near(trial.end)
        now = self.history.snapshot
        if change is not None:
            return change.done
        return trial.end if now is not None and now.t > trial.end + 1.0 else None

    def _opened(self, expectation: Expectation) -> list[tuple[str, float, float]]:
        """The windows of an ``after`` expectation that have opened: trial, opening, begin of the fault."""
        trials = self._trials(expectation)
        ends = [(t, self._ended(t)) for t in trials]
        if expectation.of == "faults":
            known = [e for _, e in ends if e is not None]
            undecided = {s.name for s in self._scenario.timeline} - {
                t.step for t in self.history.trials.values()
            }
            if not trials or undecided or len(known) < len(trials):
                return []
            return [("faults", max(known), min(t.start for t in trials))]
        return [(t.name, e, t.start) for t, e in ends if e is not None]

    def _pending(self, expectation: Expectation, now: float) -> list[Pending]:
        name, phase = expectation.name, expectation.phase
        if phase == "before":
            run = self._before[name]
            held = 0.0 if run.since is None else now - run.since
            state: Literal["open", "held"] = "open" if self.history.zero is None else "held"
            return [Pending(name, phase, "", state, run.last.answer, run.last.reason, held)]
        if phase == "always":
            if self.history.zero is None:
                return [Pending(name, phase, "", "waits", Answer.UNKNOWN, "waits for the steady state")]
            zero = self.history.zero
            found = self._evaluate(expectation.that, "always", zero, zero)
            return [Pending(name, phase, "", "open", found.answer, found.reason)]
        if phase == "during":
            return [self._during(expectation, trial, now) for trial in self._trials(expectation)]
        return [self._after(expectation, *window, now) for window in self._opened(expectation)]

    def _during(self, expectation: Expectation, trial: Trial, now: float) -> Pending:
        within, _ = self._lengths(expectation)
        opens, name = trial.start + within + EDGE_S, expectation.name
        if now < opens:
            return Pending(name, "during", trial.name, "waits", Answer.UNKNOWN, f"waits for '{trial.name}'")
        if trial.end is not None and now > trial.end:
            return Pending(name, "during", trial.name, "closed", Answer.UNKNOWN, f"'{trial.name}' is over")
        found = self._evaluate(expectation.that, "during", opens, trial.start)
        left = None if trial.end is None else trial.end - now
        return Pending(name, "during", trial.name, "open", found.answer, found.reason, left_s=left)

    def _after(self, expectation: Expectation, trial: str, opens: float, begun: float, now: float) -> Pending:
        within, hold = self._lengths(expectation)
        run = self._holds.get((expectation.name, trial), _Run())
        held = 0.0 if run.since is None else now - run.since
        closes = opens + within + hold
        state: Literal["held", "closed", "open"] = (
            "held" if run.done else "closed" if now > closes + 1.0 else "open"
        )
        left = max(0.0, closes - now)
        return Pending(expectation.name, "after", trial, state, run.last.answer, run.last.reason, held, left)
