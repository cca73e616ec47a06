"""Windows of expectations: which samples count, and what their answers come to. Every rule of time is here,
and no other.

A window collects *marks*, one a sample, and is resolved twice: with every unknown mark as held and as
violated; agreement is the answer, otherwise it is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from runner.judge.that import conjuncts, evaluate, is_cumulative, together
from runner.predicates.predicate import Answer, Finding
from runner.predicates.view import View
from runner.scenario.model import All, Expectation, Named, That

EPSILON = 1e-6
BLIND_S = 2.0
"""A window whose end was not observed for longer than this is unknown."""


@dataclass(frozen=True)
class Mark:
    """The answer at one sample."""

    t: float
    finding: Finding

    @property
    def answer(self) -> Answer:
        """The finding's answer."""
        return self.finding.answer


@dataclass(frozen=True)
class Frame:
    """The times of a window on the run's clock. ``begun``: when the fault began; ``spans``: where samples
    count.

    ``limit`` is the last instant at which the hold interval may start (phases with a hold). ``why_unknown``
    says why there is no window (the fault did not take place).
    """

    trial: str
    opens: float
    limit: float
    closes: float
    hold_s: float
    begun: float
    spans: tuple[tuple[float, float], ...]
    why_unknown: str = ""


@dataclass(frozen=True)
class Resolution:
    """What the marks of a window come to. ``start`` is when the first hold interval began (run's clock)."""

    answer: Answer
    reason: str
    start: float | None = None
    distance: float | None = None
    unit: str = ""


@dataclass
class Window:
    """One expectation on one trial, fed with the views of its samples in time."""

    expectation: Expectation
    frame: Frame
    marks: list[Mark] = field(default_factory=list)
    last: Finding | None = None
    """The latest answer of the parts that look at the whole window."""
    first_violated: Mark | None = None
    nodes: dict[str, list[tuple[float, Answer, str]]] = field(default_factory=dict)
    """What was said of each node, sample by sample."""
    finished: bool = False

    def __post_init__(self) -> None:
        self._every: That = self.expectation.that
        self._whole: That | None = None
        if self.expectation.phase in ("during", "always"):
            parts = list(conjuncts(self.expectation.that))
            whole = tuple(p for p in parts if is_cumulative(p))
            if whole:
                self._whole = All(whole)
                self._every = All(tuple(p for p in parts if not is_cumulative(p)))

    @property
    def phase(self) -> Literal["before", "during", "after", "always"]:
        """The expectation's phase."""
        return self.expectation.phase

    def wants(self, t: float) -> bool:
        """Whether a sample taken at ``t`` counts."""
        return any(start - EPSILON <= t <= end + EPSILON for start, end in self.frame.spans)

    def feed(self, view: View) -> Finding:
        """Judge a sample that counts."""
        blind = all(n.answers is None for n in view.now.nodes.values()) and view.now.overlay is None
        only_whole = isinstance(self._every, All) and not self._every.parts
        found = Finding(Answer.HELD, "") if only_whole else evaluate(self._every, view)
        if not (only_whole and blind):
            # What accumulates is shown by the next sample too, so that a missed one takes nothing away.
            self.marks.append(Mark(view.now.t, found))
        if self._whole is not None and not blind:
            self._look_at_whole(view)
        for node, (answer, reason) in found.nodes.items():
            self.nodes.setdefault(node, []).append((view.now.t, answer, reason))
        return together([found, self.last]) if self.last else found

    def _look_at_whole(self, view: View) -> None:
        assert self._whole is not None
        self.last = evaluate(self._whole, view)
        if self.last.answer is Answer.VIOLATED and self.first_violated is None:
            self.first_violated = Mark(view.now.t, self.last)

    def finish(self, view: View) -> None:
        """The window has closed: what happened since its last sample (a crash, a log line) counts too."""
        if not self.finished and self._whole is not None and self.marks:
            self._look_at_whole(view)
        self.finished = True

    @property
    def end(self) -> float:
        """When the last sample may be taken that counts."""
        return max((b for _, b in self.frame.spans), default=self.frame.opens)


def forgiven(marks: Sequence[Mark], missing: float) -> list[Mark]:
    """The marks without those that say nothing: neutral ones, and unknown ones if they are no more than
    ``missing`` (0..1).
    """
    counted = [m for m in marks if not m.finding.neutral]
    unknown = sum(m.answer is Answer.UNKNOWN for m in counted)
    if unknown and unknown <= missing * len(counted) + EPSILON:
        return [m for m in counted if m.answer is not Answer.UNKNOWN]
    return counted


def first_hold(
    marks: Sequence[tuple[float, Answer]], hold_s: float, limit: float, *, unknown_holds: bool, slack_s: float
) -> float | None:
    """When the first interval begins in which every mark holds for ``hold_s``, not later than ``limit``; None
    if there is none.

    The last mark of the interval may be up to ``slack_s`` short of its end.
    """
    start: float | None = None
    for t, answer in marks:
        if answer is Answer.VIOLATED or (answer is Answer.UNKNOWN and not unknown_holds):
            start = None
            continue
        if start is None:
            if t > limit + EPSILON:
                return None
            start = t
        if t - start >= hold_s - slack_s - EPSILON:
            return start
    return None


def resolve_hold(window: Window, *, ended: float, every_s: float, why_ended: str) -> Resolution:
    """The answer of an ``after`` window: some interval of ``hold`` begins within the limit, and all its
    samples hold.

    What the run did not live to see (it ended at ``ended``) counts as unknown samples.
    """
    frame = window.frame
    marks = forgiven(window.marks, window.expectation.missing)
    pairs = [(m.t, m.answer) for m in marks]
    slack = every_s / 4
    seen_until = max((m.t for m in window.marks), default=frame.opens)
    ahead = seen_until + every_s
    while ahead <= frame.limit + frame.hold_s + EPSILON:
        pairs.append((ahead, Answer.UNKNOWN))
        ahead += every_s
    pessimist, optimist = (
        first_hold(pairs, frame.hold_s, frame.limit, unknown_holds=u, slack_s=slack) for u in (False, True)
    )
    if pessimist is not None:
        after = f"{pessimist - frame.opens:.1f} s after {_after_what(window)}"
        return Resolution(Answer.HELD, f"holds from {after}", pessimist, 0.0)
    bad = [m for m in marks if m.answer is Answer.VIOLATED]
    if optimist is None and bad:
        return _not_held(window, bad, marks)
    unknown = [m for m in marks if m.answer is Answer.UNKNOWN]
    if ended < frame.limit + frame.hold_s - every_s and why_ended:
        now = f"; last seen: {marks[-1].finding.reason}" if marks else ""
        return Resolution(Answer.UNKNOWN, f"{why_ended} before the window closed{now}")
    if unknown:
        return Resolution(Answer.UNKNOWN, unknown[-1].finding.reason)
    if not marks and window.marks:
        return Resolution(Answer.UNKNOWN, window.marks[-1].finding.reason)
    return Resolution(Answer.UNKNOWN, "there were not enough samples in the window")


def _after_what(window: Window) -> str:
    return "the last fault" if window.frame.trial == "faults" else f"the end of {window.frame.trial}"


def _not_held(window: Window, bad: list[Mark], marks: list[Mark]) -> Resolution:
    frame = window.frame
    limit = frame.limit - frame.opens
    longest, start = 0.0, None
    for mark in marks:
        start = (mark.t if start is None else start) if mark.answer is not Answer.VIOLATED else None
        longest = max(longest, mark.t - start) if start is not None else longest
    # What was wrong at the end tells more than how it was wrong at first.
    worst = bad[-1].finding
    held = f" (it held for {longest:.1f} s at most, {frame.hold_s:g} s wanted)" if longest > 0 else ""
    text = f"not within {limit:g} s of {_after_what(window)}{held}: {worst.reason}"
    return Resolution(Answer.VIOLATED, text, None, worst.distance, worst.unit)


def resolve_every(window: Window, *, why_ended: str, zero: float, every_s: float) -> Resolution:
    """The answer of a ``during`` or ``always`` window: every sample must hold; ``why_ended`` is set where it
    was cut short.
    """
    marks = forgiven(window.marks, window.expectation.missing)
    bad = [m for m in marks if m.answer is Answer.VIOLATED]
    firsts = bad[:1]
    last, first = window.last, window.first_violated
    # The end of the window answers for these parts; where it was cut short, what is asked for may have come.
    if (
        last is not None
        and last.answer is Answer.VIOLATED
        and first
        and not (why_ended and _may_come(window))
    ):
        firsts.append(Mark(first.t, last))
    if firsts:
        shown = min(firsts, key=lambda m: m.t)
        worst = max((m.finding for m in [*bad, shown]), key=lambda f: f.distance or 0.0)
        often = f" (in {len(bad)} of {len(marks)} samples)" if len(bad) > 1 else ""
        text = f"at {shown.t - zero:.1f} s: {shown.finding.reason}{often}"
        return Resolution(Answer.VIOLATED, text, None, worst.distance, worst.unit)
    if why_ended:
        return Resolution(Answer.UNKNOWN, f"{why_ended} before the window closed")
    if unknown := next((m for m in marks if m.answer is Answer.UNKNOWN), None):
        return Resolution(Answer.UNKNOWN, f"at {unknown.t - zero:.1f} s: {unknown.finding.reason}")
    if last is not None and last.answer is not Answer.HELD:
        return Resolution(Answer.UNKNOWN, last.reason)
    if not marks:
        reason = window.marks[-1].finding.reason if window.marks else "no sample was taken in the window"
        return Resolution(Answer.UNKNOWN, reason)
    end = max((b for _, b in window.frame.spans), default=marks[-1].t)
    if end - marks[-1].t > max(BLIND_S, 3 * every_s):
        return Resolution(Answer.UNKNOWN, f"nothing was observed from {marks[-1].t - zero:.1f} s on")
    reasons = [marks[-1].finding.reason, last.reason if last else ""]
    return Resolution(Answer.HELD, "; ".join(r for r in reasons if r) or "held", None, 0.0)


def _may_come(window: Window) -> bool:
    """Whether the parts that the window's end answers for ask for something that has yet to happen."""
    parts = [p for p in conjuncts(window.expectation.that) if is_cumulative(p)]
    return all(isinstance(p, Named) and p.predicate.name in ("log", "progress") for p in parts)


def clipped(frame: Frame, end: float) -> Frame:
    """The frame without what comes after ``end``."""
    spans = tuple((a, min(b, end)) for a, b in frame.spans if a <= end)
    return replace(frame, spans=spans)
