"""The journal played back: snapshots with everything known at their instant, and the memory that predicates
look into.

Fed event by event, the same way for a journal on disk and for a run that goes on.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runner.judge.account import Event, ModelLine, Trial, model_of, node_of, trial_of
from runner.predicates import shape
from runner.predicates.memory import Line, Memory
from runner.predicates.predicate import NodeView, Point, Snapshot
from runner.predicates.targets import Roster

BEFORE_S = 0.5
"""A sample that was under way when a node was taken down may show it silent already."""
AFTERWARDS_S = 0.25
COMES_BACK_S = 10.0
"""How long a node that was started again may be silent before that counts where nothing sets a deadline."""
GAP = 2.5
"""A gap of more than so many usual distances between samples is one in which nothing was seen."""
LEAST_GAP_S = 1.5
HOLD_S = 3.0
INTERVALS = 3


class History:
    """What is known so far. ``ahead``: the whole model line, where it is known beforehand (a journal on
    disk).
    """

    def __init__(self, ahead: ModelLine | None = None) -> None:
        self.roster = Roster(())
        self.memory = Memory()
        self.trials: dict[str, Trial] = {}
        self.zero: float | None = None
        self.learnt: Mapping[str, Any] = {}
        self.units: Mapping[str, float] = {}
        self.snapshot: Snapshot | None = None
        self.first_sample: float | None = None
        self.line = ahead if ahead is not None else ModelLine()
        self._ahead = ahead is not None
        self._taken: Snapshot | None = None
        self._times: deque[float] = deque(maxlen=24)
        self._recent: deque[Snapshot] = deque(maxlen=64)
        self._starting: dict[str, float] = {}
        self._out: set[str] = set()
        self._wiped: set[str] = set()
        self._started: set[str] = set()
        self._answered: set[str] = set()
        self._tops: deque[tuple[float, float]] = deque(maxlen=24)
        self._calm = True

    # -- events

    def feed(self, event: Event) -> tuple[Snapshot, ...]:
        """Take one event; returns the snapshots that it makes (a gap in the samples makes one of nothing)."""
        kind = event["event"]
        if kind == "sample":
            return self._sample(event)
        if kind == "missed":
            return self._missed(event)
        handler = {
            "run": self._run,
            "steady": self._steady,
            "step": self._step,
            "model": self._model,
            "started": self._start,
            "exited": self._exited,
            "log": self._log,
        }.get(kind)
        if handler is not None:
            handler(event)
        return ()

    def _run(self, event: Event) -> None:
        self.roster = Roster(tuple(map(node_of, event.get("nodes", ()))))
        self.units = event.get("units") or {}

    def _steady(self, event: Event) -> None:
        self.zero = float(event["zero"])
        self.learnt = event.get("learnt") or {}
        self._learn_speeds(self.zero)
        self._learn_degrees()

    def _step(self, event: Event) -> None:
        self.trials[event["trial"]] = trial = trial_of(event)
        hits = dict(self.roster.hits)
        for name in {trial.step, trial.name}:
            hits[name] = trial.targets
            hits |= {f"{name}.{side}": nodes for side, nodes in trial.sides.items()}
        self.roster = Roster(self.roster.nodes, hits)

    def _model(self, event: Event) -> None:
        change = model_of(event)
        if not self._ahead:
            self.line.add(change)
        if self._calm and change.state:
            self._calm = False
            if self.zero is not None:
                self._learn_speeds(change.at)
        self._wiped |= {n for n, s in change.state.get("status", {}).items() if s.get("wipe")}
        for order in change.events:
            if order.get("wipe"):
                self._wiped.update(order.get("nodes", ()))

    def _start(self, event: Event) -> None:
        node = event["node"]
        self._started.add(node)
        if event.get("why") != "first":
            self.memory.restarts.setdefault(node, []).append(float(event["t"]))

    def _exited(self, event: Event) -> None:
        if event.get("expected"):
            self._starting[event["node"]] = float(event["t"])
            return
        code = event.get("code")
        how = f"signal {-code}" if isinstance(code, int) and code < 0 else f"exit code {code}"
        self.memory.crashes.append((float(event["t"]), event["node"], how))

    def _log(self, event: Event) -> None:
        self.memory.lines.append(
            Line(float(event["t"]), event["node"], str(event["pattern"]), str(event.get("text", "")))
        )

    # -- samples

    def _missed(self, event: Event) -> tuple[Snapshot, ...]:
        if event.get("what", "sample") != "sample":
            return ()
        return (self._blind(float(event["t"])),)

    def _blind(self, t: float) -> Snapshot:
        before = self._taken
        nodes = {
            n: NodeView(n, self._status(n, t), None, before.nodes[n].facts if before else {}, "not observed")
            for n in self.roster.names
        }
        self.snapshot = Snapshot(t, nodes, model=self.line.state(t))
        return self.snapshot

    def _sample(self, event: Event) -> tuple[Snapshot, ...]:
        t = float(event["t"])
        made = []
        if self._times and (gap := t - self._times[-1]) > max(GAP * self._every(), LEAST_GAP_S):
            made.append(self._blind(t - gap / 2))
        self._times.append(t)
        if self.first_sample is None:
            self.first_sample = t
        before = self._taken
        entries = event.get("nodes") or {}
        nodes = {}
        for name in self.roster.names:
            old = before.nodes[name] if before and name in before.nodes else NodeView(name, answers=None)
            entry = entries.get(name)
            view = old if entry is None else self._taken_node(t, old, entry, bool(event.get("key")))
            status = self._status(name, t, view)
            nodes[name] = view if view.status == status else replace(view, status=status)
            self._note_down(name, t, status)
        self._taken = self.snapshot = Snapshot(
            t,
            nodes,
            self._edges(event, "overlay", before.overlay if before else None),
            self._edges(event, "sockets", before.sockets if before else None),
            shape.as_reach(event["reach"]) if event.get("reach") else (before.reach if before else None),
            self.line.state(t),
        )
        self._recent.append(self.snapshot)
        self._note_top(t)
        made.append(self.snapshot)
        return tuple(made)

    def _taken_node(self, t: float, old: NodeView, entry: Mapping[str, Any], key: bool) -> NodeView:
        answers = entry.get("answers", old.answers)
        changed = entry.get("facts") or {}
        points: dict[str, list[Point]] = {
            f: [(int(h), str(x)) for h, x in of] for f, of in (entry.get("points") or {}).items()
        }
        facts = dict(changed) if key and "facts" in entry else {**old.facts, **changed}
        if answers:
            self._answered.add(old.name)
            self._starting.pop(old.name, None)
        if changed or points:
            anew = old.name in self._wiped
            self._wiped.discard(old.name)
            self.memory.take(t, old.name, changed, points, anew=anew)
        why = str(entry.get("why", "" if answers else old.why))
        return NodeView(old.name, old.status, answers, facts, why)

    @staticmethod
    def _edges(event: Event, kind: str, before: shape.Edges | None) -> shape.Edges | None:
        graph = event.get("graph") or {}
        if graph.get(kind) is None:
            return before
        return frozenset((a, b) for a, b in graph[kind])

    def _status(self, node: str, t: float, view: NodeView | None = None) -> str:
        wanted = "running"
        for change in self.line.between(t - AFTERWARDS_S, t + BEFORE_S):
            found = change.state.get("status", {}).get(node)
            if found and wanted != "down":
                wanted = str(found["is"])
        if wanted != "running":
            self._out.add(node)
            return wanted
        if node in self._out:
            self._out.discard(node)
            self._starting[node] = t
        if self._started and node not in self._started and node not in self._answered:
            return "down"  # it waits for the step that starts it
        if node in self._starting:
            answers_again = view is not None and view.answers
            if t - self._starting[node] <= COMES_BACK_S and not answers_again:
                return "starting"
            self._starting.pop(node, None)
        return "running"

    def _note_down(self, node: str, t: float, status: str) -> None:
        spans = self.memory.down.setdefault(node, [])
        is_open = bool(spans) and spans[-1][1] is None
        if status != "running" and not is_open:
            spans.append((t, None))
        elif status == "running" and is_open:
            spans[-1] = (spans[-1][0], t)

    # -- what is learnt

    def _every(self) -> float:
        times = list(self._times)
        gaps = [b - a for a, b in itertools.pairwise(times)]
        return statistics.median(gaps) if gaps else 0.5

    def _note_top(self, t: float) -> None:
        for fact in ("height", "head", "finalized"):
            series = self.memory.series.get(fact)
            if series:
                top = max(s.values[-1] for s in series.values())
                if not self._tops or top > self._tops[-1][1]:
                    self._tops.append((t, top))
                return

    def interval_s(self) -> float | None:
        """The block interval as seen so far: time over heights between the first and the last rise that are
        remembered.
        """
        if len(self._tops) < 3:
            return None
        (t0, h0), (t1, h1) = self._tops[1], self._tops[-1]
        return (t1 - t0) / (h1 - h0) if h1 > h0 else None

    def hold_s(self) -> float:
        """How long something must hold by default: what was learnt at the steady state, else the larger of 3
        s and 3 intervals.
        """
        known = self.learnt.get("hold_s")
        if isinstance(known, int | float):
            return float(known)
        return max(HOLD_S, INTERVALS * (self.interval_s() or 0.0))

    def _learn_speeds(self, until: float) -> None:
        back = max(10.0, self.hold_s())
        for fact, of in self.memory.series.items():
            speeds = []
            for series in of.values():
                start = max(series.times[0], (self.zero or until) - back)
                before, now = series.at(start), series.at(until)
                if before is not None and now is not None and until - start > 1.0:
                    speeds.append((now - before) / (until - start))
            if speeds:
                self.memory.rates[fact] = statistics.median(speeds)

    def _learn_degrees(self) -> None:
        assert self.zero is not None
        since = self.zero - self.hold_s() - 1e-6
        shots = [s for s in self._recent if since <= s.t <= self.zero + 1e-6]
        for kind in ("overlay", "sockets"):
            seen: dict[str, list[int]] = {}
            for shot in shots:
                edges = getattr(shot, kind)
                if edges is not None:
                    for node, near in shape.neighbours(edges, self.roster.names).items():
                        seen.setdefault(node, []).append(len(near))
            if seen:
                self.memory.degrees[kind] = {n: statistics.median_low(d) for n, d in seen.items()}
