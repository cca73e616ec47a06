"""What must be measured so that a fault can be proved: which pairs get heartbeats, when connections and
clocks are looked at.

Choosing is pure and by the seed, so that a replay watches the same pairs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from faults.model import NetworkModel
from runner.engine.clock import RunClock
from runner.networks.link import AgentLink, LinkError
from runner.plan.changes import fold
from runner.plan.model import Change, Plan

PAIRS_A_LINK = 2
MOST_PAIRS = 160
EVERYBODY = 56
"""Up to this many ordered pairs, all of them are watched."""
SETTLE_S = 0.4
BEFORE_END_S = 0.15
SWEEP_OVER = 16
"""Smaller networks are swept with every sample."""

Pair = tuple[str, str]


def watched_pairs(models: Iterable[NetworkModel], names: tuple[str, ...], seed: int) -> list[Pair]:
    """At least two seeded pairs for each ordered pair of blocks of every model, or one where there would
    be too many.
    """
    if len(names) * (len(names) - 1) <= EVERYBODY:
        return [(a, b) for a in names for b in names if a != b]
    for each in (PAIRS_A_LINK, 1):
        pairs = _pairs(models, names, seed, each)
        if len(pairs) <= MOST_PAIRS:
            return pairs
    return random.Random(seed).sample(pairs, MOST_PAIRS)


def _pairs(models: Iterable[NetworkModel], names: tuple[str, ...], seed: int, each: int) -> list[Pair]:
    order = {n: i for i, n in enumerate(names)}
    out: dict[Pair, None] = {}
    for model in models:
        blocks = [sorted(b, key=order.__getitem__) for b in model.blocks()]
        for sources in blocks:
            for targets in blocks:
                rng = random.Random(f"{seed} {sources} {targets}")
                found = sum(1 for a, b in out if a in set(sources) and b in set(targets))
                tries = 0
                while found < min(each, len(sources) * len(targets)) and tries < 20:
                    tries += 1
                    pair = (rng.choice(sources), rng.choice(targets))
                    if pair[0] != pair[1] and pair not in out:
                        out[pair] = None
                        found += 1
    return list(out)


def reach_of(model: NetworkModel, beats: Mapping[Pair, bool]) -> dict[str, Any] | None:
    """Observed reachability by the model's blocks, of which the watched pairs speak for the others.

    None where no pair of two blocks (or within one) is watched, or where its pairs contradict each other.
    """
    blocks = model.blocks()
    of = {n: i for i, b in enumerate(blocks) for n in b}
    through: dict[tuple[int, int], set[bool]] = {}
    for (a, b), passes in beats.items():
        through.setdefault((of[a], of[b]), set()).add(passes)
    order = {n: i for i, n in enumerate(model.nodes)}
    named = [sorted(b, key=order.__getitem__) for b in blocks]
    size = range(len(blocks))
    wanted = [(i, j) for i in size for j in size if i != j or len(blocks[i]) > 1]
    if any(len(through.get(pair, ())) != 1 for pair in wanted):
        return None
    return {"blocks": named, "cut": sorted([i, j] for (i, j), passes in through.items() if passes == {False})}


class Witness:
    """Takes the measurements of a run: heartbeats' pairs, sweeps, streams across cuts, clocks before they
    are healed.
    """

    def __init__(
        self, link: AgentLink, clock: RunClock, names: tuple[str, ...], seed: int, write: Callable[..., None]
    ) -> None:
        self._link, self._clock, self._names, self._seed, self._write = link, clock, names, seed, write
        self._watched: list[Pair] = []
        self.beats: dict[Pair, bool] = {}
        self._jobs: list[tuple[float, Callable[[], None]]] = []
        self._streams: dict[str, tuple[float, dict[tuple[str, str, str], int]]] = {}

    def watch(self, plan: Plan) -> None:
        """Set the heartbeats for all that the plan foresees; pairs that are watched already stay."""
        from runner.plan.changes import changes

        models = [c.model for c in changes(plan)] or [NetworkModel(self._names)]
        pairs = watched_pairs(models, self._names, self._seed)
        if set(pairs) <= set(self._watched):
            return
        self._watched += [p for p in pairs if p not in set(self._watched)]
        self._link.request("watch", eye=True, pairs=[list(p) for p in self._watched], hz=20, within_s=20)

    def beat(self, event: Mapping[str, Any]) -> None:
        """Take a heartbeat's change."""
        pair = (event["pair"][0], event["pair"][1])
        self.beats[pair] = event["through"]
        since = self._clock.from_agent(event["since"], self._link.offset_s)
        self._write("beat", pair=list(pair), through=event["through"], since=since)

    def begun(self, change: Change, plan: Plan, until_s: float | None) -> None:
        """A change has begun: plan the measurements of the phase that it opens. ``until_s``: when the
        next one comes.
        """
        now = self._clock.timeline()
        length = float("inf") if until_s is None else until_s - now
        self._jobs = [j for j in self._jobs if j[0] <= now + BEFORE_END_S]
        for trial in plan.trials:
            alone = fold(plan, change.at_s, only=trial.name).describe()
            if "cuts" in alone and length > 2 * SETTLE_S + BEFORE_END_S:
                self._plan_streams(trial.name, alone["cuts"], now, length)
            if "clocks" in alone:
                self._plan_clocks(list(alone["clocks"]), now, until_s)
        if len(self._names) > SWEEP_OVER and length > 2.0:
            self._at(now + SETTLE_S, self.sweep)

    def do_due(self) -> None:
        """Take the measurements whose time has come."""
        now = self._clock.timeline()
        due = [j for j in self._jobs if j[0] <= now]
        self._jobs = [j for j in self._jobs if j[0] > now]
        for _, job in due:
            try:
                job()
            except LinkError as error:
                self._write("missed", what="measurement", why=str(error))

    def sweep(self) -> None:
        """Probe every ordered pair once."""
        swept = self._link.request("sweep", eye=True, within_s=30)
        self._write(
            "sweep", reach=swept["reach"], at=self._clock.from_agent(swept["at"], self._link.offset_s)
        )

    def _at(self, at_s: float, job: Callable[[], None]) -> None:
        self._jobs.append((at_s, job))

    def _plan_clocks(self, nodes: list[str], now: float, until_s: float | None) -> None:
        """At the begin of the phase, as nodes that are started in it report no clock, and before its end."""
        length = float("inf") if until_s is None else until_s - now
        if length > SETTLE_S + BEFORE_END_S:
            self._at(now + SETTLE_S, lambda: self._measure_clocks(nodes))
        if until_s is not None and length > 2 * SETTLE_S + BEFORE_END_S:
            self._at(until_s - BEFORE_END_S, lambda: self._measure_clocks(nodes))

    def _plan_streams(self, trial: str, cuts: Mapping[str, Any], now: float, length: float) -> None:
        self._at(now + SETTLE_S, lambda: self._first_look(trial, cuts))
        end = now + (length - BEFORE_END_S if length != float("inf") else 5.0)
        self._at(end, lambda: self._second_look(trial, cuts))

    def _look(self, cuts: Mapping[str, Any]) -> tuple[float, dict[tuple[str, str, str], int]]:
        seen = self._link.request("streams", eye=True, of=cuts)
        at = self._clock.from_agent(seen["at"], self._link.offset_s)
        return at, {(a, b, str(key)): acked for a, b, key, acked in seen["streams"]}

    def _first_look(self, trial: str, cuts: Mapping[str, Any]) -> None:
        self._streams[trial] = self._look(cuts)

    def _second_look(self, trial: str, cuts: Mapping[str, Any]) -> None:
        if trial not in self._streams:
            return
        since, first = self._streams.pop(trial)
        at, second = self._look(cuts)
        both = [k for k in first if k in second]
        moved = sorted({(a, b) for a, b, key in both if second[a, b, key] > first[a, b, key]})
        self._write(
            "streams",
            trial=trial,
            moved=[list(p) for p in moved],
            idle=len(both) - len(moved),
            **{"from": since, "to": at},
        )

    def _measure_clocks(self, nodes: list[str]) -> None:
        seen = self._link.request("clock", nodes=nodes, within_s=20)
        self._write("clock_check", nodes=seen)
