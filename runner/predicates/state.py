"""Predicates on what nodes say of their chain: agreement, progress, safety. Points ``[height, hash]`` compare
by height.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from faults.fields import problem
from runner.predicates.memory import Ledger, is_point
from runner.predicates.predicate import Answer, Finding
from runner.predicates.scoped import Scoped
from runner.predicates.share import PercentField, grouped, names, nobody, over_nodes
from runner.predicates.view import Judged, View

FactField = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def short(value: Any) -> str:
    """A hash or value short enough for a sentence."""
    text = str(value)
    return text if len(text) <= 8 else text[:8] + "…"


def who_says(values: Mapping[str, str]) -> str:
    """``n1, n2 have 3fa2…; n5 has 91bc…``, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for node, value in values.items():
        groups.setdefault(value, []).append(node)
    ranked = sorted(groups.items(), key=lambda g: -len(g[1]))
    parts = [f"{names(m, 5)} {'has' if len(m) == 1 else 'have'} {short(v)}" for v, m in ranked[:3]]
    if len(ranked) > 3:
        parts.append(f"{len(ranked) - 3} more values")
    return "; ".join(parts)


class Agree(Scoped, name="agree", short="fact"):
    """All targets (or a ``share`` of them) have the same value of ``fact``.

    Points are compared by height: nobody is more than ``lag`` heights (default 1) behind the highest, and at
    no height do two of them have different hashes. ``per`` names the fact that counts (``layer``) for a fact
    that is not a point.
    """

    fact: FactField
    lag: Annotated[int, Field(ge=0)] | None = None
    per: FactField | None = None

    def judge(self, view: View) -> Finding:
        """Compare what the targets say at this instant, points by height."""
        nodes: dict[str, Judged] = {}
        values: dict[str, Any] = {}
        for node in self.judged(view):
            value, why = self._value(view, node)
            if why is None:
                values[node] = value
            nodes[node] = why or (Answer.HELD, "agrees")
        if not nodes:
            return nobody()
        if values and all(is_point(v) for v in values.values()):
            text, distance, unit = self._points(view, values, nodes)
        else:
            text, distance, unit = self._plain(values, nodes)
        found = over_nodes(nodes, self.share, held="all agree", distance=distance, unit=unit)
        if found.answer is Answer.VIOLATED and text:
            silent = {n: r for n, (a, r) in nodes.items() if a is Answer.VIOLATED and n not in values}
            reason = text + (f"; {grouped(silent)}" if silent else "")
            return Finding(found.answer, reason, found.distance, found.unit, found.nodes)
        return found

    def _value(self, view: View, node: str) -> tuple[Any, Judged | None]:
        if silent := view.silent(node):
            return None, silent
        value = view.fact(node, self.fact)
        if value is None:
            return None, (Answer.UNKNOWN, f"does not report {self.fact}")
        if self.per is None:
            return value, None
        count = view.fact(node, self.per)
        if not isinstance(count, int):
            return None, (Answer.UNKNOWN, f"does not report {self.per}")
        return (count, str(value)), None

    def _points(
        self, view: View, tips: Mapping[str, Any], nodes: dict[str, Judged]
    ) -> tuple[str, float, str]:
        """Mark in ``nodes`` who is behind or has another hash; returns reason, distance and its unit."""
        lag = 1 if self.lag is None else self.lag
        top = max(int(t[0]) for t in tips.values())
        behind = {n: top - int(t[0]) for n, t in tips.items() if top - int(t[0]) > lag}
        for node, by in behind.items():
            nodes[node] = (Answer.VIOLATED, f"is at height {top - by}, {by} behind the highest")
        ledger = view.memory.ledgers.get(self.fact) if self.per is None else None
        text = ""
        heights = sorted({int(t[0]) for n, t in tips.items() if n not in behind})
        for height in heights:
            said: dict[str, str] = {}
            for node, tip in tips.items():
                if node in behind:
                    continue
                own = ledger.latest.get(node, {}).get(height) if ledger else None
                digest = str(tip[1]) if tip[0] == height else own if tip[0] > height else None
                if digest is not None:
                    said[node] = digest
            common = Counter(said.values()).most_common(1)[0][0]
            differs = [n for n, d in said.items() if d != common]
            if differs and not text:
                text = f"{self.fact} differs at height {height}: {who_says(said)}"
            for node in differs:
                nodes[node] = (Answer.VIOLATED, f"has {short(said[node])} at height {height}")
        if behind:
            worst = grouped({n: nodes[n][1] for n in behind})
            return (f"{text}; {worst}" if text else worst), float(max(behind.values()) - lag), "heights"
        return text, float(sum(a is Answer.VIOLATED for n, (a, _) in nodes.items() if n in tips)), "nodes"

    def _plain(self, values: Mapping[str, Any], nodes: dict[str, Judged]) -> tuple[str, float, str]:
        if not values:
            return "", 0.0, "nodes"
        numbers = [v for v in values.values() if isinstance(v, int | float) and not isinstance(v, bool)]
        if self.lag and len(numbers) == len(values):
            top = max(numbers)
            for node, value in values.items():
                if top - value > self.lag:
                    nodes[node] = (Answer.VIOLATED, f"has {value:g}, {top - value:g} behind the highest")
            return "", max(0.0, top - min(numbers) - self.lag), "heights"
        shown = {n: str(v) for n, v in values.items()}
        common = Counter(shown.values()).most_common(1)[0][0]
        differs = [n for n, v in shown.items() if v != common]
        for node in differs:
            nodes[node] = (Answer.VIOLATED, f"has {short(shown[node])}")
        text = f"{self.fact} differs: {who_says(shown)}" if differs else ""
        return text, float(len(differs)), "nodes"


class Progress(Scoped, name="progress", short="fact"):
    """``fact`` rose at each target lately (in the larger of 3 s and three block intervals).

    ``rate: 50%`` asks for that share of the speed of the steady state; ``gain: 5`` for so much since the
    window opened.
    """

    fact: FactField
    rate: PercentField | None = None
    gain: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.rate is not None and self.gain is not None:
            raise problem("measure", "progress is measured by 'rate' or by 'gain', not by both")
        return self

    def is_cumulative(self) -> bool:
        """With ``gain`` the end of a window answers for all of it."""
        return self.gain is not None

    def judge(self, view: View) -> Finding:
        """How much ``fact`` rose at each target between a moment before and now."""
        base = self._base(view)
        nodes: dict[str, Judged] = {}
        missing = 0.0
        for node in self.judged(view):
            if view.phase in ("during", "always", "trigger") and view.memory.was_down(node, base):
                continue
            silent = view.silent(node)
            verdict, short_of = (silent, 0.0) if silent else self._one(view, node, base)
            if verdict is not None:
                nodes[node] = verdict
                missing = max(missing, short_of)
        return over_nodes(nodes, self.share, held=f"{self.fact} rises", distance=missing, unit="heights")

    def _base(self, view: View) -> float:
        if self.gain is not None:
            return view.since
        back = view.now.t - view.lately_s * (1 if self.rate is None else 3)
        if view.phase == "after":
            # What rose before the fault had ended is no recovery.
            return max(back, view.since)
        if view.phase == "during":
            # The proposers that the fault hit leave gaps, so that the look back is longer than elsewhere.
            return max(min(back, view.now.t - 2 * view.lately_s), view.since - view.lately_s)
        return back

    def _one(self, view: View, node: str, base: float) -> tuple[Judged | None, float]:
        rose, seen_s, why = rise(view, self.fact, node, base)
        if rose is None:
            return (Answer.UNKNOWN, why), 0.0
        over = f"in {seen_s:.1f} s"
        if self.gain is not None:
            text = f"{self.fact} rose by {rose:g} since {view.at(base)}, {self.gain} wanted"
            return ((Answer.HELD if rose >= self.gain else Answer.VIOLATED), text), max(0.0, self.gain - rose)
        if self.rate is None:
            if rose > 0:
                return (Answer.HELD, f"{self.fact} rose by {rose:g} {over}"), 0.0
            return (Answer.VIOLATED, f"{self.fact} did not rise {over}"), 1.0
        usual = view.memory.rates.get(self.fact)
        if not usual:
            return (Answer.UNKNOWN, f"has no speed of {self.fact} in the steady state to compare with"), 0.0
        if seen_s < view.lately_s - 0.5:
            return None, 0.0
        # One block more or less depends on where the samples fall.
        wanted = self.rate * usual * seen_s - 1
        text = f"{self.fact} rose by {rose:g} {over}, {self.rate:.0%} of the usual speed is {wanted + 1:.1f}"
        return ((Answer.HELD if rose >= wanted else Answer.VIOLATED), text), max(0.0, wanted - rose)


def rise(view: View, fact: str, node: str, base: float) -> tuple[float | None, float, str]:
    """How much a fact rose at a node since ``base``, over how many seconds, and why that is not known
    (None).
    """
    now = view.memory.number(fact, node, view.now.t)
    if now is None:
        return None, 0.0, f"does not report {fact} as a number or a point"
    before = view.memory.number(fact, node, base)
    if before is None:
        series = view.memory.series[fact][node]
        before, base = series.values[0], series.times[0]
    return now - before, view.now.t - base, ""


class Stalled(Scoped, name="stalled", short="fact"):
    """``fact`` rose by at most ``gain`` (default 0) at each target: in ``during`` since the window opened,
    else lately.
    """

    fact: FactField
    gain: Annotated[int, Field(ge=0)] = 0

    def judge(self, view: View) -> Finding:
        """How much ``fact`` rose at each target, against the little that is allowed."""
        whole = view.phase in ("during", "always")
        base = view.since if whole else view.now.t - view.lately_s
        most = 0.0

        def one(node: str) -> Judged:
            nonlocal most
            rose, seen_s, why = rise(view, self.fact, node, base)
            if rose is None:
                return Answer.UNKNOWN, why
            if not whole and seen_s < view.lately_s - 1 and rose <= self.gain:
                return Answer.UNKNOWN, f"has been watched for {seen_s:.1f} s only"
            most = max(most, rose)
            text = f"{self.fact} rose by {rose:g} since {view.at(base)}"
            return (Answer.HELD if rose <= self.gain else Answer.VIOLATED), text

        nodes = {n: view.silent(n) or one(n) for n in self.judged(view)}
        found = over_nodes(nodes, self.share, held=f"{self.fact} stands still")
        return replace(found, distance=max(0.0, most - self.gain), unit="heights")


class NoConflict(Scoped, name="no_conflict", short="fact"):
    """No two targets ever had different hashes at the same height, as long as the run has lasted."""

    cumulative: ClassVar[bool] = True
    fact: FactField

    def judge(self, view: View) -> Finding:
        """The first height with two hashes, and who said which."""
        ledger, targets = view.memory.ledgers.get(self.fact), set(view.roster.select(self))
        if ledger is None or not targets & ledger.latest.keys():
            return Finding(Answer.UNKNOWN, f"nobody reported {self.fact} as a point")
        conflicts = {}
        for height in ledger.forked:
            said = {d: [n for n in by if n in targets] for d, by in ledger.said[height].items()}
            said = {d: nodes for d, nodes in said.items() if nodes}
            if len(said) > 1:
                conflicts[height] = said
        if not conflicts:
            return Finding(Answer.HELD, f"one hash at each of {len(ledger.said)} heights", 0.0, "heights")
        height = min(conflicts)
        ranked = sorted(conflicts[height].items(), key=lambda g: -len(g[1]))
        parts = [f"{names(m, 5)} {'has' if len(m) == 1 else 'have'} {short(d)}" for d, m in ranked]
        more = f" (and at {len(conflicts) - 1} more heights)" if len(conflicts) > 1 else ""
        nodes: dict[str, Judged] = {
            n: (Answer.VIOLATED, f"has {short(d)} at height {height}")
            for d, members in ranked[1:]
            for n in members
        }
        reason = f"conflict in {self.fact} at height {height}: {'; '.join(parts)}{more}"
        return Finding(Answer.VIOLATED, reason, float(len(conflicts)), "heights", nodes)


class NeverBack(Scoped, name="never_back", short="fact"):
    """``fact`` never fell at a target, nor did its hash at a height change. A disk wiped by a fault starts
    anew.
    """

    cumulative: ClassVar[bool] = True
    fact: FactField

    def judge(self, view: View) -> Finding:
        """The first time that a target went back."""
        targets = view.roster.select(self)
        known = (
            view.memory.series.get(self.fact, {}).keys()
            | view.memory.ledgers.get(self.fact, Ledger()).latest.keys()
        )
        if not known & set(targets):
            return Finding(Answer.UNKNOWN, f"nobody reported {self.fact} as a number or a point")
        nodes: dict[str, Judged] = {n: (Answer.HELD, "never went back") for n in targets if n in known}
        falls = [
            f for f in view.memory.falls.get(self.fact, ()) if f.t >= view.since and f.node in set(targets)
        ]
        for fall in reversed(falls):
            nodes[fall.node] = (Answer.VIOLATED, f"{self.fact} {fall.text} at {view.at(fall.t)}")
        return over_nodes(
            nodes, self.share, held=f"{self.fact} never went back", distance=float(len(falls)), unit="times"
        )


class FreshFinal(Scoped, name="fresh_final"):
    """Each target has finalized something newer than all that existed when the window opened."""

    fact: FactField = "finalized"

    def judge(self, view: View) -> Finding:
        """Each target's finalized height against the highest height of all when the window opened."""
        base = view.memory.highest(("height", "head", self.fact), view.since)
        if base is None:
            return Finding(Answer.UNKNOWN, "no height was known when the window opened")
        behind = 0.0

        def one(node: str) -> Judged:
            nonlocal behind
            own = view.memory.number(self.fact, node, view.now.t)
            if own is None:
                return Answer.UNKNOWN, f"does not report {self.fact}"
            behind = max(behind, base + 1 - own)
            text = f"{self.fact} is at {own:g}, newer than {base:g} wanted"
            return (Answer.HELD if own > base else Answer.VIOLATED), text

        nodes = {n: view.silent(n) or one(n) for n in self.judged(view)}
        found = over_nodes(nodes, self.share, held=f"{self.fact} is newer than height {base:g}")
        return replace(found, distance=behind, unit="heights")


class PrefixIntact(Scoped, name="prefix_intact"):
    """What had been finalized when the window opened is finalized still, with the same hashes, at each
    target.
    """

    fact: FactField = "finalized"

    def judge(self, view: View) -> Finding:
        """Each target's finalized chain against what anybody had finalized before the fault."""
        ledger = view.memory.ledgers.get(self.fact)
        if ledger is None:
            return Finding(Answer.UNKNOWN, f"nobody reported {self.fact} as a point")

        def one(node: str) -> Judged:
            own, before = (view.memory.number(self.fact, node, t) for t in (view.now.t, view.begun))
            if own is None:
                return Answer.UNKNOWN, f"does not report {self.fact}"
            if before is not None and own < before:
                return Answer.VIOLATED, f"{self.fact} is at {own:g}, at {before:g} before"
            for height in ledger.forked:
                said = ledger.said[height]
                old = {d for d, by in said.items() if min(by.values()) <= view.begun}
                now = ledger.latest.get(node, {}).get(height)
                if old and now is not None and now not in old:
                    return (
                        Answer.VIOLATED,
                        f"has {short(now)} at height {height} instead of {short(min(old))}",
                    )
            return Answer.HELD, "prefix intact"

        return view.each(self, self.share, one, held="what was finalized before is finalized still")
