"""What is known at one moment of a run: journal events folded one by one into the state that the reports
show.

Pure: no clock, no terminal. Fed while a trial runs (live view, progress) or from the journal afterwards
(picture). What is *said* about a change belongs to ``progress``, how it is drawn to ``live`` and ``picture``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Cuts:
    """Which ordered pairs of nodes are cut: blocks of names, and ordered pairs of block indexes (a model's
    or an observed one).
    """

    blocks: tuple[tuple[str, ...], ...] = ()
    cut: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def read(cls, value: Mapping[str, Any] | None) -> Cuts:
        """From ``{"blocks": [[names]], "cut": [[i, j]]}``; nothing is cut where there is none."""
        if not value:
            return cls()
        return cls(
            tuple(tuple(b) for b in value.get("blocks", ())),
            frozenset((int(i), int(j)) for i, j in value.get("cut", ())),
        )

    def where(self) -> dict[str, int]:
        """The index of each node's block."""
        return {n: i for i, block in enumerate(self.blocks) for n in block}

    def severs(self, a: str, b: str) -> bool:
        """Whether packets from ``a`` to ``b`` are dropped."""
        at = self.where()
        return a != b and (at.get(a, -1), at.get(b, -1)) in self.cut

    def agreement(self, seen: Cuts, among: Iterable[str]) -> tuple[int, int]:
        """Of the ordered pairs of ``among`` that this cuts: how many ``seen`` shows cut, and how many there
        are.

        Counts groups of nodes that neither tells apart, so a thousand nodes in two halves are a handful of
        steps.
        """
        mine, other = self.where(), seen.where()
        groups: dict[tuple[int, int], int] = {}
        for name in among:
            key = (mine.get(name, -1), other.get(name, -1))
            groups[key] = groups.get(key, 0) + 1
        both = every = 0
        for (i, p), n in groups.items():
            for (j, q), m in groups.items():
                if (i, j) in self.cut:
                    pairs = n * m if (i, p) != (j, q) else n * (n - 1)
                    every += pairs
                    both += pairs if (p, q) in seen.cut else 0
        return both, every


@dataclass
class Scene:
    """The state after the events fed so far. Instants are on the run's clock; ``zero`` is the timeline's
    zero, None before it.
    """

    run: Event = field(default_factory=dict)
    names: tuple[str, ...] = ()
    now: float = 0.0
    zero: float | None = None
    steps: dict[str, Event] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    cuts: Cuts = Cuts()
    started: set[str] = field(default_factory=set)
    answers: dict[str, bool | None] = field(default_factory=dict)
    whys: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    overlay: tuple[tuple[str, str], ...] | None = None
    standing: Sequence[Mapping[str, Any]] = ()
    """What the judge says of each expectation now (see ``live``)."""
    until: float | None = None
    """When the last window that is known will close."""
    healing: bool = False
    ended: Event | None = None
    _components: list[list[str]] | None = None

    def feed(self, event: Event) -> None:
        """Take in one event; kinds that carry no state are ignored."""
        self.now = float(event.get("t", self.now))
        fold = getattr(self, f"_on_{event['event']}", None)
        if fold is not None:
            fold(event)

    def timeline(self, at: float | None) -> float | None:
        """An instant of the run's clock as seconds since the steady state; None before that is known."""
        return None if at is None or self.zero is None else at - self.zero

    def status(self, name: str) -> str:
        """running, paused or down, as commanded."""
        return str(self.state.get("status", {}).get(name, {}).get("is", "running"))

    def skewed(self, name: str) -> bool:
        """Whether the node's clock is commanded to be wrong."""
        return name in self.state.get("clocks", {})

    def active(self, at: float | None = None) -> list[Event]:
        """Steps that have begun and not ended at the instant (default: now), by their planned spans."""
        moment = self.now if at is None else at
        return [s for s in self.steps.values() if _covers(s, moment)]

    def phase(self) -> str:
        """The phase in a few words: starting, waiting, ``split + crash``, calm, healing, ended."""
        if self.ended is not None:
            return "ended"
        if self.healing:
            return "healing"
        if self.zero is None:
            return "starting nodes" if len(self.started) < len(self.names) else "waiting for the steady state"
        active = [str(s["trial"]) for s in self.active()]
        return " + ".join(active) if active else "no fault"

    def components(self) -> list[list[str]] | None:
        """Connected parts of the observed overlay among nodes that should run, largest first; None where
        nothing is known.
        """
        if self.overlay is None:
            return None
        if self._components is None:
            running = [n for n in self.names if self.status(n) == "running"]
            self._components = connected(running, self.overlay)
        return self._components

    def _on_run(self, event: Event) -> None:
        self.run = event
        self.names = tuple(n["name"] if isinstance(n, Mapping) else str(n) for n in event.get("nodes", ()))

    def _on_steady(self, event: Event) -> None:
        self.zero = float(event.get("zero", self.now))

    def _on_step(self, event: Event) -> None:
        self.steps[str(event["trial"])] = event

    def _on_model(self, event: Event) -> None:
        self.state = event.get("state") or {}
        self.cuts = Cuts.read(self.state.get("cuts"))
        self._components = None

    def _on_started(self, event: Event) -> None:
        self.started.add(str(event["node"]))

    def _on_sample(self, event: Event) -> None:
        for name, view in event.get("nodes", {}).items():
            if "answers" in view:
                self.answers[name] = view["answers"]
                self.whys[name] = str(view.get("why") or "")
            self.facts.setdefault(name, {}).update(view.get("facts") or {})
        graph = event.get("graph") or {}
        if graph.get("overlay") is not None:
            self.overlay = tuple((str(a), str(b)) for a, b in graph["overlay"])
            self._components = None

    def _on_standing(self, event: Event) -> None:
        self.standing = event.get("expectations", ())
        self.until = event.get("until")

    def _on_heal(self, event: Event) -> None:
        self.healing = True

    def _on_healed(self, event: Event) -> None:
        self.healing = False

    def _on_end(self, event: Event) -> None:
        self.ended = event


def _covers(step: Event, at: float) -> bool:
    start, end = step.get("start"), step.get("end")
    return start is not None and start <= at and (end is None or at < end)


def connected(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The connected parts of an undirected graph, largest first, members in the order of ``names``; other
    nodes' edges are ignored.
    """
    parent = {n: n for n in names}

    def root(n: str) -> str:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for a, b in edges:
        if a in parent and b in parent:
            parent[root(a)] = root(b)
    parts: dict[str, list[str]] = {}
    for n in names:
        parts.setdefault(root(n), []).append(n)
    return sorted(parts.values(), key=len, reverse=True)
