"""The network model: nodes, directed links by rule, and the conditions on both.

A fault is a pure function from a model to a model. The conditions form a commutative algebra, so the order
of overlapping faults never matters: status takes the worst, cuts are joined by *or*, clock offsets and
drifts add, freeze dominates. Link rules name sets of nodes, not pairs; nodes that no rule tells apart form
one *block*, and reachability is a question to the small graph of blocks. Times are seconds on the trial's
timeline (0 = steady state).
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
    """Status with how a node is brought down: the signal's name (``kill``, ``term``, …) and whether its
    disk is wiped.
    """

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

    ``offset_s`` is constant; each drift is (reference instant, ppm) and counts from its instant on; each
    strobe is (reference instant, amplitude in s, half period in s): the amplitude is added in every second
    half period, the first half period being without it. ``frozen_since`` stops the clock: it shows for ever
    what it showed at that instant, offset included. Instants are seconds on the timeline; the conditions
    hold for the processes of a node, old and new.
    """

    offset_s: float = 0.0
    drifts: tuple[tuple[float, float], ...] = ()
    strobes: tuple[tuple[float, float, float], ...] = ()
    frozen_since: float | None = None

    def __add__(self, other: ClockCondition) -> ClockCondition:
        # Offsets are summed to the nanosecond, so that the order of the sum makes no difference.
        frozen = [f for f in (self.frozen_since, other.frozen_since) if f is not None]
        return ClockCondition(
            round(self.offset_s + other.offset_s, 9),
            tuple(sorted(self.drifts + other.drifts)),
            tuple(sorted(self.strobes + other.strobes)),
            min(frozen) if frozen else None,
        )

    def error_at(self, t: float) -> float:
        """Seconds that the node's clock is ahead of the true one at timeline instant ``t``."""
        at = t if self.frozen_since is None else min(t, self.frozen_since)
        error = self.offset_s + sum(max(0.0, at - since) * ppm * 1e-6 for since, ppm in self.drifts)
        for since, amplitude, half in self.strobes:
            if int(max(0.0, at - since) / half + 1e-9) % 2:  # 1.0 // 0.1 is 9: the jump itself counts
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
        keys = dict.fromkeys(self.nodes, 0)
        for number, rule in enumerate(self.rules):
            for bit, members in ((1 << 2 * number, rule.sources), (2 << 2 * number, rule.targets)):
                for node in members:
                    if node in keys:
                        keys[node] |= bit
        seen: dict[int, list[str]] = {}
        for node, key in keys.items():
            seen.setdefault(key, []).append(node)
        return tuple(frozenset(members) for members in seen.values())

    def cut_blocks(self) -> tuple[tuple[frozenset[str], ...], frozenset[tuple[int, int]]]:
        """The largest sets of nodes that no cut tells apart, and the ordered pairs of their indexes whose
        links are cut.

        A pair (i, i) means that the members of block i are cut from each other (never given for a block of
        one). Two models that cut the same links give the same answer, whatever rules they came from; blocks
        are in the order of their first node.
        """
        blocks, rows = self._cut_rows()
        pairs = frozenset((i, j) for i, row in enumerate(rows) for j in _bits(row))
        return blocks, pairs

    def _cut_rows(self) -> tuple[tuple[frozenset[str], ...], list[int]]:
        """The blocks of ``cut_blocks`` and for each of them the set of blocks that it cannot send to, as
        the bits of a number.
        """
        fine = self.blocks()
        rows = [0] * len(fine)
        at = {node: i for i, block in enumerate(fine) for node in block}
        for rule in self.rules:
            if rule.condition.cut:
                mask = _mask(at[n] for n in rule.targets if n in at)
                for i in {at[n] for n in rule.sources if n in at}:
                    rows[i] |= mask
        groups = _twins([len(b) for b in fine], rows)
        first = [group[0] for group in groups]
        blocks = tuple(frozenset().union(*(fine[i] for i in group)) for group in groups)
        coarse: list[int] = []
        for group, block in zip(groups, blocks, strict=True):
            row = _mask(k for k, j in enumerate(first) if j != group[0] and rows[group[0]] >> j & 1)
            inner = rows[group[0]] >> group[-1] & 1  # one of itself, or the link to a twin
            coarse.append(row | (inner << len(coarse) if len(block) > 1 else 0))
        return blocks, coarse

    def reach(self) -> nx.DiGraph[int]:
        """The directed graph of blocks: an edge where packets pass; node attribute ``members`` holds the
        names.

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
        """Sets of nodes of ``among`` (default: those running) that reach each other both ways, directly or
        through others.

        Largest first, then by their first node in the network's order.
        """
        chosen = frozenset(self.running() if among is None else among)
        blocks, rows = self._cut_rows()
        kept = [i for i, block in enumerate(blocks) if block & chosen]
        alive = _mask(kept)
        out = {i: alive & ~rows[i] for i in kept}
        into = {i: _mask(j for j in kept if out[j] >> i & 1) for i in kept}
        found: list[frozenset[str]] = []
        left = alive
        for i in kept:
            if not left >> i & 1:
                continue
            together = _closure(i, out) & _closure(i, into)
            left &= ~together
            members = frozenset().union(*(blocks[j] & chosen for j in _bits(together)))
            if together == 1 << i and rows[i] >> i & 1:
                found.extend(
                    frozenset({m}) for m in members
                )  # cut from each other, and nobody else joins them
            else:
                found.append(members)
        order = {n: i for i, n in enumerate(self.nodes)}
        return sorted(found, key=lambda c: (-len(c), min(order[n] for n in c)))

    def describe(self) -> dict[str, Any]:
        """The model as plain data, as journalled and as sent to agents (see the agent protocol's *state*).

        ``{"status": {node: {"is": "down" | "paused", "signal", "wipe"}}, "cuts": {"blocks": [[names]],
        "cut": [[i, j]]}, "clocks": {node: {"offset_s", "drifts": [[since, ppm]], "strobes": [[since, s,
        half_s]], "frozen_since"}}}``; healthy parts are left out, so a healthy network is ``{}``.
        """
        out: dict[str, Any] = {}
        status = {
            n: {"is": s.status.name.lower(), "signal": s.signal, "wipe": s.wipe}
            for n, s in self.status.items()
            if s.status is not Status.RUNNING
        }
        if status:
            out["status"] = status
        blocks, rows = self._cut_rows()
        if any(rows):
            order = {n: i for i, n in enumerate(self.nodes)}
            out["cuts"] = {
                "blocks": [sorted(b, key=order.__getitem__) for b in blocks],
                "cut": [[i, j] for i, row in enumerate(rows) for j in _bits(row)],
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

    @classmethod
    def from_description(cls, nodes: Iterable[str], described: Mapping[str, Any]) -> NetworkModel:
        """The model of which ``describe()`` gave this; its rules are made anew, one for each block."""
        model = cls(tuple(nodes))
        for node, s in described.get("status", {}).items():
            down = NodeStatus(Status[s["is"].upper()], s.get("signal", "kill"), s.get("wipe", False))
            model = model.with_status([node], down)
        cuts = described.get("cuts", {"blocks": [], "cut": []})
        rows: dict[int, list[str]] = {}
        for i, j in cuts["cut"]:
            rows.setdefault(i, []).extend(cuts["blocks"][j])
        for i, targets in rows.items():
            model = model.with_cut(cuts["blocks"][i], targets)
        for node, c in described.get("clocks", {}).items():
            clock = ClockCondition(
                c.get("offset_s", 0.0),
                tuple((d[0], d[1]) for d in c.get("drifts", ())),
                tuple((x[0], x[1], x[2]) for x in c.get("strobes", ())),
                c.get("frozen_since"),
            )
            model = model.with_clock(node, clock)
        return model


def _mask(indexes: Iterable[int]) -> int:
    """The set of indexes as the bits of a number: sets of blocks are joined and compared in one operation."""
    mask = 0
    for i in indexes:
        mask |= 1 << i
    return mask


def _bits(mask: int) -> list[int]:
    """The indexes in a mask, ascending."""
    digits = bin(mask)[:1:-1]
    return [i for i, digit in enumerate(digits) if digit == "1"]


def _closure(start: int, edges: Mapping[int, int]) -> int:
    """All that is reached from ``start``, itself included."""
    seen = new = 1 << start
    while new:
        reached = 0
        for i in _bits(new):
            reached |= edges[i]
        new = reached & ~seen
        seen |= new
    return seen


def _twins(sizes: list[int], rows: list[int]) -> list[list[int]]:
    """Blocks that see and are seen alike, grouped, in order; within a group either all links are cut or
    none is.

    Two blocks are alike if their rows and columns agree when the links between themselves are all set to
    what the links within the group are; that relation is transitive, so grouping by such a key is enough.
    """
    columns = [0] * len(rows)
    for i, row in enumerate(rows):
        for j in _bits(row):
            columns[j] |= 1 << i
    alike: dict[tuple[bool, int, int], list[int]] = {}
    keys = []
    for i, size in enumerate(sizes):
        itself = 1 << i
        apart = (True, rows[i] | itself, columns[i] | itself)
        joined = (False, rows[i] & ~itself, columns[i] & ~itself)
        keys.append([apart, joined] if size == 1 else [apart] if rows[i] & itself else [joined])
        for key in keys[i]:
            alike.setdefault(key, []).append(i)
    groups: dict[tuple[bool, int, int], list[int]] = {}
    for i, possible in enumerate(keys):
        groups.setdefault(max(possible, key=lambda key: len(alike[key])), []).append(i)
    return list(groups.values())
