"""From the eye's samples to the journal's: facts instead of bodies, the overlay instead of sockets, only
what changed.

A sample's overlay holds the connections whose ends reach each other now: observed reachability where the
pair was probed with the sample, else bytes acknowledged in the last ``FRESH_MS``, else (idle) what the
heartbeats say of the pair's blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.observers.observer import Observer

FRESH_MS = 3000
KEY_FRAME_S = 60.0
LATE = 2
"""From so many samples in a row without an answer on, what a node said before counts no more."""

Edges = list[list[str]]


class Sampler:
    """Keeps what was last known of every node, and of the graph."""

    def __init__(self, names: tuple[str, ...], observer: Observer | None) -> None:
        self._names = names
        self._observer = observer
        self._facts: dict[str, dict[str, Any]] = {n: {} for n in names}
        self._seen: dict[str, dict[str, set[int]]] = {n: {} for n in names}
        self._bodies: dict[str, str] = {}
        self._late = dict.fromkeys(names, 0)
        self._written: dict[str, dict[str, Any]] = {}
        self._graph: dict[str, Edges] | None = None
        self._raw_sockets: Mapping[str, Any] | None = None
        self._reach: Mapping[str, Any] | None = None
        self._key_at = float("-inf")
        self._count = 0
        self._runs: Mapping[str, bool] = {}
        self.facts: Mapping[str, Mapping[str, Any]] = self._facts

    def take(
        self,
        sample: Mapping[str, Any],
        t: float,
        wall_of: Any,
        reach: Mapping[str, Any] | None,
        runs: Mapping[str, bool] | None = None,
    ) -> dict[str, Any]:
        """One sample of the eye as the fields of a journal event.

        ``wall_of`` gives the true wall clock (s) at an agent's instant; ``reach`` is what the heartbeats
        say, used where the sample brought no sweep of its own; ``runs`` says whose process is alive,
        which stands for an answer where nothing can be asked.
        """
        self._runs = runs or {}
        self._count += 1
        key = t - self._key_at >= KEY_FRAME_S
        if key:
            self._key_at = t
        nodes = {}
        for name in self._names:
            entry = self._node(name, sample, wall_of, key)
            if entry:
                nodes[name] = entry
        out: dict[str, Any] = {"n": self._count, "key": key, "nodes": nodes}
        out |= self._graphs(sample, reach, key)
        return out

    def _node(self, name: str, sample: Mapping[str, Any], wall_of: Any, key: bool) -> dict[str, Any]:
        answer = sample.get("answers", {}).get(name) if self._observer else self._alive(name)
        if answer is None:
            return self._awaited(name, key)
        self._late[name] = 0
        answers = answer is True
        facts: dict[str, Any] = {}
        points: dict[str, list[list[Any]]] = {}
        why = "" if answers else str(answer)
        if answers and self._observer:
            body = sample.get("bodies", {}).get(name)
            if body is not None:
                self._bodies[name] = body
            try:
                reading = self._observer.read(self._bodies.get(name, ""))
            except (ValueError, KeyError, TypeError, IndexError):
                answers, why = False, "its answer makes no sense"
            else:
                facts = dict(reading.facts)
                stamp = sample.get("stamps", {}).get(name)
                if reading.wall_s is not None and stamp is not None and body is not None:
                    facts["clock_error"] = round(reading.wall_s - wall_of(stamp), 3)
                points = self._new_points(name, reading.points)
        return self._changed(name, answers, why, facts, points, key)

    def _awaited(self, name: str, key: bool) -> dict[str, Any]:
        """A node that has not answered yet is as it was for one sample; then it is not known how it is.

        Else what it said before it hung would count until the question times out.
        """
        self._late[name] += 1
        if self._late[name] < LATE or not self._observer or name not in self._written:
            return {}
        return self._changed(name, None, "has not answered yet", {}, {}, key)

    def _alive(self, name: str) -> bool | str | None:
        runs = self._runs.get(name)
        return "no process of it runs" if runs is False else runs

    def _new_points(self, name: str, points: Mapping[str, list[list[Any]]]) -> dict[str, list[list[Any]]]:
        out = {}
        for fact, recent in points.items():
            seen = self._seen[name].setdefault(fact, set())
            fresh = [p for p in recent if hash((p[0], p[1])) not in seen]
            seen.update(hash((p[0], p[1])) for p in fresh)
            if fresh:
                out[fact] = fresh
        return out

    def _changed(
        self,
        name: str,
        answers: bool | None,
        why: str,
        facts: dict[str, Any],
        points: dict[str, Any],
        key: bool,
    ) -> dict[str, Any]:
        before = self._written.get(name, {})
        known = {**self._facts[name], **facts} if answers else self._facts[name]
        changed = {k: v for k, v in known.items() if key or self._facts[name].get(k) != v}
        self._facts[name] = known
        entry: dict[str, Any] = {}
        if key or before.get("answers") != answers or before.get("why") != why:
            entry["answers"] = answers
            if why:
                entry["why"] = why
        if changed and answers:
            entry["facts"] = changed
        if points:
            entry["points"] = points
        self._written[name] = {"answers": answers, "why": why}
        return entry

    def _graphs(
        self, sample: Mapping[str, Any], beats: Mapping[str, Any] | None, key: bool
    ) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if sample.get("sockets") is not None:
            self._raw_sockets = sample["sockets"]
        swept = sample.get("reach")
        reach = swept if swept is not None else beats
        if reach is not None and (key or reach != self._reach):
            out["reach"] = reach
            self._reach = reach
        if self._raw_sockets is not None:
            edges = self._raw_sockets["edges"]
            passes = _passes(self._reach)
            graph = {
                "overlay": [[a, b] for a, b, ack_ms, _ in edges if passes(a, b, ack_ms)],
                "sockets": [[a, b] for a, b, _, _ in edges],
            }
            if key or graph != self._graph:
                out["graph"] = graph
                self._graph = graph
        return out


def _passes(reach: Mapping[str, Any] | None) -> Any:
    if reach is None:
        return lambda a, b, ack_ms: ack_ms <= FRESH_MS
    block = {n: i for i, names in enumerate(reach["blocks"]) for n in names}
    cut = {(i, j) for i, j in reach["cut"]}

    def passes(a: str, b: str, ack_ms: float) -> bool:
        i, j = block.get(a), block.get(b)
        if i is None or j is None:
            return ack_ms <= FRESH_MS
        return (i, j) not in cut and (j, i) not in cut

    return passes
