"""What the run has shown so far, as predicates need it: how facts rose, which points were seen, who crashed,
what was logged.

Grows with every sample; nothing is computed twice. Instants are seconds on the run's clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.predicates.predicate import Point


@dataclass
class Series:
    """The values of one number at one node, kept where they change."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, t: float, value: float) -> None:
        """Append a value; equal to the last one it is forgotten."""
        if not self.values or self.values[-1] != value:
            self.times.append(t)
            self.values.append(value)

    def at(self, t: float) -> float | None:
        """The value that held at ``t``; None before the first."""
        i = bisect_right(self.times, t)
        return self.values[i - 1] if i else None

    def since(self, t: float) -> list[float]:
        """The values seen after ``t``."""
        return self.values[bisect_right(self.times, t) :]


@dataclass(frozen=True)
class Fall:
    """A fact that went back at a node, or a block that was replaced (``height`` set)."""

    t: float
    node: str
    text: str


@dataclass
class Ledger:
    """The points of one fact: who said which hash at which height, first when; and what each node said
    last.
    """

    said: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)
    forked: list[int] = field(default_factory=list)
    """Heights at which more than one hash was ever said, in the order of their discovery."""
    latest: dict[str, dict[int, str]] = field(default_factory=dict)
    tip: dict[str, Point] = field(default_factory=dict)

    def add(self, t: float, node: str, points: Iterable[Point]) -> list[tuple[int, str, str]]:
        """Take new points of a node; returns those of its own that were replaced: (height, old hash, new
        hash).
        """
        replaced = []
        own = self.latest.setdefault(node, {})
        for height, digest in points:
            said = self.said.setdefault(height, {})
            if digest not in said:
                said[digest] = {}
                if len(said) == 2:
                    self.forked.append(height)
            said[digest].setdefault(node, t)
            if own.get(height, digest) != digest:
                replaced.append((height, own[height], digest))
            own[height] = digest
        return replaced

    def forget(self, node: str) -> None:
        """The node's chain is another one now: what it said before no longer tells its present chain."""
        self.latest.pop(node, None)


@dataclass(frozen=True)
class Line:
    """A log line that matched a declared pattern."""

    t: float
    node: str
    pattern: str
    text: str


class Memory:
    """Everything of the past that predicates ask for. Fed by the history, in the order of time."""

    def __init__(self) -> None:
        self.series: dict[str, dict[str, Series]] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.falls: dict[str, list[Fall]] = {}
        self.reorgs: dict[str, list[tuple[float, int]]] = {}
        """Node → (instant, how many blocks of its head's chain were replaced)."""
        self.crashes: list[tuple[float, str, str]] = []
        self.lines: list[Line] = []
        self.restarts: dict[str, list[float]] = {}
        self.down: dict[str, list[tuple[float, float | None]]] = {}
        """Node → intervals in which the model did not want it running, or it had not yet come back from
        that.
        """
        self.degrees: dict[str, dict[str, float]] = {}
        """Graph → node → its degree in the steady state."""
        self.rates: dict[str, float] = {}
        """Fact → its speed in the steady state (per s), the median over nodes."""

    def take(
        self,
        t: float,
        node: str,
        facts: Mapping[str, Any],
        points: Mapping[str, Iterable[Point]],
        *,
        anew: bool = False,
    ) -> None:
        """Take what changed at a node. ``anew``: its disk was wiped by a fault, so its past does not bind
        it.
        """
        if anew:
            for ledger in self.ledgers.values():
                ledger.forget(node)
                ledger.tip.pop(node, None)
            for of in self.series.values():
                of.pop(node, None)
        for name in dict.fromkeys((*points, *facts)):
            value: Any = facts.get(name)
            fresh = list(points.get(name, ()))
            if is_point(value):
                tip = (int(value[0]), str(value[1]))
                self._points(t, node, name, [*(p for p in fresh if p != tip), tip], tip)
                self._number(t, node, name, tip[0])
            elif fresh:
                self._points(t, node, name, fresh, None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._number(t, node, name, value)

    def _number(self, t: float, node: str, name: str, value: float) -> None:
        series = self.series.setdefault(name, {}).setdefault(node, Series())
        if series.values and value < series.values[-1]:
            self._fell(t, node, name, f"fell from {series.values[-1]:g} to {value:g}")
        series.add(t, value)

    def _points(self, t: float, node: str, name: str, points: list[Point], tip: Point | None) -> None:
        ledger = self.ledgers.setdefault(name, Ledger())
        before = ledger.tip.get(node)
        if before and tip and tip[0] - before[0] > 1 and len(points) == 1:
            # The heights between were not seen: whether it is still the same chain cannot be told.
            ledger.forget(node)
        replaced = ledger.add(t, node, points)
        if tip:
            ledger.tip[node] = tip
        for height, old, new in replaced:
            self._fell(t, node, name, f"replaced {old[:8]} by {new[:8]} at height {height}")
        lowest = min([h for h, _, _ in replaced], default=None)
        if before and tip and (lowest is not None or tip[0] < before[0]):
            start = min(x for x in (lowest, tip[0] + 1) if x is not None)
            self.reorgs.setdefault(f"{name}/{node}", []).append((t, max(0, before[0] - start + 1)))
            if before[0] > tip[0] or lowest is not None:
                own = ledger.latest.setdefault(node, {})
                for height in [h for h in own if h > tip[0]]:
                    del own[height]

    def _fell(self, t: float, node: str, name: str, text: str) -> None:
        self.falls.setdefault(name, []).append(Fall(t, node, text))

    def number(self, fact: str, node: str, t: float) -> float | None:
        """The number (or the height of the point) that the node gave for ``fact`` at ``t``."""
        series = self.series.get(fact, {}).get(node)
        return series.at(t) if series else None

    def highest(self, facts: Iterable[str], t: float) -> float | None:
        """The highest value of any of ``facts`` at any node until ``t``."""
        found = [
            max(s.values[: bisect_right(s.times, t)], default=None)
            for fact in facts
            for s in self.series.get(fact, {}).values()
        ]
        return max((v for v in found if v is not None), default=None)

    def fork_depth(self, node: str, since: float) -> int:
        """The most blocks of its head's chain that the node replaced at once after ``since``."""
        return max((d for t, d in self.reorgs.get(f"head/{node}", ()) if t >= since), default=0)

    def was_down(self, node: str, since: float) -> bool:
        """Whether the model did not want the node running at some time after ``since``."""
        return any(end is None or end > since for _, end in self.down.get(node, ()))


def is_point(value: Any) -> bool:
    """Whether a fact is a point ``[height, hash]``."""
    return isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], int)
