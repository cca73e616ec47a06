"""The network model: nodes, directed links by rule, and the conditions on both.

A fault is a pure function from a model to a model. The conditions form a commutative algebra, so the order of overlapping
faults never matters: status takes the worst, cuts are joined by *or*, clock offsets and drifts add, freeze dominates.
Link rules name sets of nodes, not pairs; nodes that no rule tells apart form one *block*, and reachability is a question to
the small graph of blocks. Times are seconds on the trial's timeline (0 = steady state).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx as nx


class Status(IntEnum):
    """What the model wants of a node's processes; the larger wins."""

    RUNNING = 0
    PAUSED = 1
    DOWN = 2


@dataclass(frozen=True)
class NodeStatus:
    """Status with how a node is brought down: the signal's name (``kill``, ``term``, …) and whether its disk is wiped."""

    status: Status = Status.RUNNING
    signal: str = "kill"
    wipe: bool = False

    def __or__(self, other: NodeStatus) -> NodeStatus:
        """The worse of both; of two ways down the harsher signal (kill) and the wipe win."""
        if self.status != other.status:
            return max(self, other, key=lambda s: s.status)
        signal = "kill" if "kill" in (self.signal, other.signal) else min(self.signal, other.signal)
        return NodeStatus(self.status, signal, self.wipe or other.wipe)


@dataclass(frozen=True)
class LinkCondition:
    """What happens to packets of a directed link."""

    cut: bool = False

    def __or__(self, other: LinkCondition) -> LinkCondition:
        return LinkCondition(self.cut or other.cut)


@dataclass(frozen=True)
class LinkRule:
    """A condition on every directed link from a node of ``sources`` to another node of ``targets``."""

    sources: frozenset[str]
    targets: frozenset[str]
    condition: LinkCondition


@dataclass(frozen=True)
class ClockCondition:
    """The error of a node's wall clock against the true one, as parts that add up.

    ``offset_s`` is constant; each drift is (reference instant, ppm) and counts from its instant on; each strobe is
    (reference instant, amplitude in s, half period in s): the amplitude is added in every second half period, the first
    half period being without it. ``frozen_since`` stops the clock: it shows for ever what it showed at that instant, offset
    included. Instants are seconds on the timeline; the conditions hold for the processes of a node, old and new.
    """

    offset_s: float = 0.0
    drifts: tuple[tuple[float, float], ...] = ()
    strobes: tuple[tuple[float, float, float], ...] = ()
    frozen_since: float | None = None

    def __add__(self, other: ClockCondition) -> ClockCondition:
        frozen = [f for f in (self.frozen_since, other.frozen_since) if f is not None]
        return ClockCondition(
            self.offset_s + other.offset_s,
            tuple(sorted(self.drifts + other.drifts)),
            tuple(sorted(self.strobes + other.strobes)),
            min(frozen) if frozen else None,
        )

    def error_at(self, t: float) -> float:
        """Seconds that the node's clock is ahead of the true one at timeline instant ``t``."""
        at = t if self.frozen_since is None else min(t, self.frozen_since)
        error = self.offset_s + sum((at - since) * ppm * 1e-6 for since, ppm in self.drifts)
        for since, amplitude, half in self.strobes:
            if int(abs(at - since) // half) % 2:
                error += amplitude
        return error - (t - at)


@dataclass(frozen=True)
class NetworkModel:
    """Nodes and the conditions on them and on their links; immutable, changed by the ``with_`` methods."""

    nodes: tuple[str, ...]
    status: Mapping[str, NodeStatus] = field(default_factory=dict)
    rules: tuple[LinkRule, ...] = ()
    clocks: Mapping[str, ClockCondition] = field(default_factory=dict)

    def with_status(self, nodes: Iterable[str], status: NodeStatus) -> NetworkModel:
        """This model with ``status`` joined onto the nodes' own."""
        changed = dict(self.status)
        for node in nodes:
            changed[node] = changed.get(node, NodeStatus()) | status
        return replace(self, status=changed)

    def with_cut(self, sources: Iterable[str], targets: Iterable[str]) -> NetworkModel:
        """This model with every link from ``sources`` to ``targets`` cut in that direction."""
        rule = LinkRule(frozenset(sources), frozenset(targets), LinkCondition(cut=True))
        if not rule.sources or not rule.targets or rule in self.rules:
            return self
        return replace(self, rules=(*self.rules, rule))

    def with_clock(self, node: str, clock: ClockCondition) -> NetworkModel:
        """This model with ``clock`` added to the node's own clock condition."""
        return replace(self, clocks={**self.clocks, node: self.clocks.get(node, ClockCondition()) + clock})

    def status_of(self, node: str) -> NodeStatus:
        """The node's status, running where nothing was said."""
        return self.status.get(node, NodeStatus())

    def running(self) -> tuple[str, ...]:
        """Nodes that should run, in order."""
        return tuple(n for n in self.nodes if self.status_of(n).status is Status.RUNNING)

    def is_cut(self, source: str, target: str) -> bool:
        """Whether packets from ``source`` to ``target`` are dropped."""
        return source != target and any(
            r.condition.cut and source in r.sources and target in r.targets for r in self.rules
        )

    def blocks(self) -> tuple[frozenset[str], ...]:
        """The sets of nodes that no link rule tells apart, in the order of their first node."""
        seen: dict[tuple[bool, ...], list[str]] = {}
        for node in self.nodes:
            key = tuple(b for r in self.rules for b in (node in r.sources, node in r.targets))
            seen.setdefault(key, []).append(node)
        return tuple(frozenset(members) for members in seen.values())

    def cut_blocks(self) -> tuple[tuple[frozenset[str], ...], frozenset[tuple[int, int]]]:
        """The blocks, and the ordered pairs of their indexes whose links are cut.

        A pair (i, i) means that the members of block i are cut from each other.
        """
        blocks = self.blocks()
        first = [next(iter(b)) for b in blocks]
        cut = set()
        for i, a in enumerate(first):
            for j, b in enumerate(first):
                if any(r.condition.cut and a in r.sources and b in r.targets for r in self.rules):
                    cut.add((i, j))
        return blocks, frozenset(cut)

    def reach(self) -> nx.DiGraph[int]:
        """The directed graph of blocks: an edge where packets pass; node attribute ``members`` holds the names.

        A block of one node has no edge to itself; a larger one has, where its members reach each other.
        """
        import networkx as nx

        blocks, cut = self.cut_blocks()
        graph: nx.DiGraph[int] = nx.DiGraph()
        for i, members in enumerate(blocks):
            graph.add_node(i, members=members)
        for i in graph:
            for j in graph:
                if (i, j) not in cut and (i != j or len(blocks[i]) > 1):
                    graph.add_edge(i, j)
        return graph

    def components(self, among: Iterable[str] | None = None) -> list[frozenset[str]]:
        """Sets of nodes of ``among`` (default: those running) that reach each other both ways, directly or through others.

        Largest first, then by their first node in the network's order.
        """
        import networkx as nx

        chosen = frozenset(self.running() if among is None else among)
        graph = self.reach()
        for i in list(graph):
            if not graph.nodes[i]["members"] & chosen:
                graph.remove_node(i)
        order = {n: i for i, n in enumerate(self.nodes)}
        found: list[frozenset[str]] = []
        for scc in nx.strongly_connected_components(graph):
            members = frozenset().union(*(graph.nodes[i]["members"] & chosen for i in scc))
            if len(scc) == 1 and not graph.has_edge(*(2 * tuple(scc))) and len(members) > 1:
                found.extend(
                    frozenset({m}) for m in members
                )  # cut from each other, and nobody else joins them
            else:
                found.append(members)
        return sorted(found, key=lambda c: (-len(c), min(order[n] for n in c)))

    def describe(self) -> dict[str, Any]:
        """The model as plain data, as journalled and as sent to agents (see the agent protocol's *state*).

        ``{"status": {node: {"is": "down" | "paused", "signal", "wipe"}}, "cuts": {"blocks": [[names]], "cut": [[i, j]]},
        "clocks": {node: {"offset_s", "drifts": [[since, ppm]], "strobes": [[since, s, half_s]], "frozen_since"}}}``;
        healthy parts are left out, so a healthy network is ``{}``.
        """
        out: dict[str, Any] = {}
        status = {
            n: {"is": s.status.name.lower(), "signal": s.signal, "wipe": s.wipe}
            for n, s in self.status.items()
            if s.status is not Status.RUNNING
        }
        if status:
            out["status"] = status
        blocks, cut = self.cut_blocks()
        if cut:
            order = {n: i for i, n in enumerate(self.nodes)}
            out["cuts"] = {
                "blocks": [sorted(b, key=order.__getitem__) for b in blocks],
                "cut": sorted(map(list, cut)),
            }
        clocks = {
            n: {
                "offset_s": c.offset_s,
                "drifts": [list(d) for d in c.drifts],
                "strobes": [list(s) for s in c.strobes],
                "frozen_since": c.frozen_since,
            }
            for n, c in self.clocks.items()
            if c != ClockCondition()
        }
        if clocks:
            out["clocks"] = clocks
        return out
