"""Predicates on who is joined to whom: the observed graph (overlay, reach or sockets) against itself, its
baseline or the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from faults.fields import SetField
from runner.predicates import shape
from runner.predicates.predicate import Answer, Finding
from runner.predicates.scoped import Scoped
from runner.predicates.share import PercentField, names, nobody, over_nodes, parse_share
from runner.predicates.view import Judged, View

Graph = Literal["overlay", "reach", "sockets"]

UNSEEN = Finding(Answer.UNKNOWN, "the graph was not observed")


def joined(view: View, graph: str) -> Mapping[str, frozenset[str]] | None:
    """Each running node with its neighbours in the graph (in ``reach``: those it reaches both ways); None if
    not observed.
    """
    running = view.running()
    if graph != "reach":
        edges = view.now.sockets if graph == "sockets" else view.now.overlay
        return None if edges is None else shape.neighbours(edges, running)
    if view.now.reach is None:
        return None
    block, cut = shape.block_of(view.now.reach), view.now.reach[1]
    return {
        a: frozenset(
            b for b in running if a != b and not _cut(block, cut, a, b) and not _cut(block, cut, b, a)
        )
        for a in running
    }


def components(view: View, graph: str) -> shape.Components | None:
    """The components of those that should be running; None if the graph was not observed."""
    if graph == "reach":
        return None if view.now.reach is None else shape.reach_components(view.now.reach, view.running())
    edges = view.now.sockets if graph == "sockets" else view.now.overlay
    return None if edges is None else shape.components(edges, view.running())


def edges_of(view: View, graph: str) -> shape.Edges | None:
    """The graph's edges; None if it was not observed."""
    if graph == "reach":
        near = joined(view, graph)
        return None if near is None else frozenset((a, b) for a in near for b in near[a] if a < b)
    return view.now.sockets if graph == "sockets" else view.now.overlay


def _cut(block: Mapping[str, int], cut: frozenset[tuple[int, int]], a: str, b: str) -> bool:
    return a not in block or b not in block or (block[a], block[b]) in cut


def sizes(parts: shape.Components | list[frozenset[str]]) -> str:
    """``components of 7 and 2 nodes``."""
    counts = [str(len(p)) for p in parts]
    text = counts[0] if len(counts) == 1 else f"{', '.join(counts[:-1])} and {counts[-1]}"
    if len(counts) > 8:
        text = f"{', '.join(counts[:6])} and {len(counts) - 6} smaller ones"
    return f"{'components' if len(counts) > 1 else 'one component'} of {text} nodes"


class Connected(Scoped, name="connected"):
    """All targets (or a ``share`` of them) lie in one component of the graph; paths may lead through other
    nodes.
    """

    graph: Graph = "overlay"

    def judge(self, view: View) -> Finding:
        """The largest part of the targets that hang together, against the share."""
        targets, parts = self.judged(view), components(view, self.graph)
        if parts is None:
            return UNSEEN
        if not targets:
            return nobody()
        order, wanted = view.roster.names, set(targets)
        meant = sorted((p & wanted for p in parts if p & wanted), key=len, reverse=True)
        main = meant[0]
        outside = [n for n in order if n in wanted and n not in main]
        link = "does" if len(outside) == 1 else "do"
        nodes: dict[str, Judged] = {
            n: (Answer.HELD, "connected")
            if n in main
            else (Answer.VIOLATED, f"has no connection to the other {len(main)}")
            for n in targets
        }
        demand = parse_share(self.share)
        missing = float(max(0, demand.least(len(targets)) - len(main)))
        if demand.accepts(len(main), len(targets)):
            text = f"{len(main)} of {len(targets)} nodes are connected" if outside else "all are connected"
            return Finding(Answer.HELD, text, missing, "nodes", nodes)
        text = f"{names(outside)} {link} not connect to the other {len(main)}: {sizes(meant)}"
        return Finding(Answer.VIOLATED, text, missing, "nodes", nodes)


class Isolated(Scoped, name="isolated"):
    """The targets have no connection to anybody."""

    graph: Graph = "overlay"

    def judge(self, view: View) -> Finding:
        """Each target: no neighbour at all."""
        near = joined(view, self.graph)
        if near is None:
            return UNSEEN

        def one(node: str) -> Judged:
            found = sorted(near[node])
            if not found:
                return Answer.HELD, "has no connection"
            return Answer.VIOLATED, f"is connected to {names(found)}"

        nodes = {n: one(n) for n in self.judged(view)}
        most = float(max((len(near[n]) for n in nodes), default=0))
        return over_nodes(nodes, self.share, held="no connection", distance=most, unit="connections")


class MatchesModel(Scoped, name="matches_model"):
    """Who reaches whom is what the model says, both ways: what is cut is cut, and nothing else.

    With ``graph: overlay`` or ``sockets``: no connection crosses a cut, and each component of the model is
    one of the graph.
    """

    graph: Graph = "reach"

    def judge(self, view: View) -> Finding:
        """Each target: all its links are as the model has them."""
        targets = self.judged(view)
        model = shape.as_reach(view.now.model.get("cuts"), view.roster.names)
        wrong = self._by_reach(view, targets, model) if self.graph == "reach" else self._by_edges(view, model)
        if wrong is None:
            return UNSEEN
        nodes: dict[str, Judged] = dict.fromkeys(targets, (Answer.HELD, "as the model says"))
        for node, text in wrong.items():
            if node in nodes:
                nodes[node] = (Answer.VIOLATED, text)
        return over_nodes(nodes, self.share, held="as the model says")

    def _by_reach(self, view: View, targets: tuple[str, ...], model: shape.Reach) -> dict[str, str] | None:
        if view.now.reach is None:
            return None
        seen, said = shape.block_of(view.now.reach), shape.block_of(model)
        # Nodes that neither the model nor the observation tells apart are compared once.
        classes: dict[tuple[int, int], list[str]] = {}
        for n in targets:
            classes.setdefault((said.get(n, 0), seen.get(n, -1)), []).append(n)
        wrong: dict[str, str] = {}
        for (ma, oa), sources in classes.items():
            for (mb, ob), sinks in classes.items():
                if sources is sinks and len(sources) == 1:
                    continue
                wanted, found = (ma, mb) in model[1], -1 in (oa, ob) or (oa, ob) in view.now.reach[1]
                if wanted != found:
                    text = "reaches {} although cut" if wanted else "does not reach {}"
                    for n in sources:
                        others = [s for s in sinks if s != n]
                        wrong.setdefault(n, text.format(names(others, 3)))
        return wrong

    def _by_edges(self, view: View, model: shape.Reach) -> dict[str, str] | None:
        edges, parts = edges_of(view, self.graph), components(view, self.graph)
        if edges is None or parts is None:
            return None
        running, block = set(view.running()), shape.block_of(model)
        wrong: dict[str, str] = {}
        for a, b in sorted(edges):
            if {a, b} <= running and (_cut(block, model[1], a, b) or _cut(block, model[1], b, a)):
                wrong.setdefault(a, f"is connected to {b} although cut")
                wrong.setdefault(b, f"is connected to {a} although cut")
        for part in shape.reach_components(model, view.running()):
            main = max((p & part for p in parts), key=len)
            for node in part - main:
                wrong.setdefault(node, f"has no connection to the other {len(main)} of its part")
        return wrong


class DegreeRecovers(Scoped, name="degree_recovers"):
    """Each target has its connections back: at least ``to`` (default 75%) of those it had in the steady
    state.
    """

    to: PercentField = 0.75
    graph: Graph = "overlay"

    def judge(self, view: View) -> Finding:
        """Each target's degree against its own baseline; a node without one is left out."""
        near, before = joined(view, self.graph), view.memory.degrees.get(self.graph)
        if near is None or before is None:
            return (
                Finding(Answer.UNKNOWN, "the graph was not observed in the steady state") if near else UNSEEN
            )
        nodes: dict[str, Judged] = {}
        missing = 0.0
        for node in self.judged(view):
            if node not in before:
                continue
            wanted = max(1, math.floor(self.to * before[node] + 1e-9)) if before[node] else 0
            degree = len(near[node])
            missing = max(missing, wanted - degree)
            if degree >= wanted:
                nodes[node] = (Answer.HELD, f"has {degree} connections")
            else:
                text = f"has {degree} connections, {before[node]:g} before ({wanted} wanted)"
                nodes[node] = (Answer.VIOLATED, text)
        return over_nodes(
            nodes, self.share, held="the connections are back", distance=missing, unit="connections"
        )


class NoCutVertex(Scoped, name="no_cut_vertex"):
    """No single target's loss would split the graph of those that should be running."""

    graph: Graph = "overlay"

    def judge(self, view: View) -> Finding:
        """Each target: not an articulation point."""
        edges = edges_of(view, self.graph)
        if edges is None:
            return UNSEEN
        found = shape.cut_vertices(edges, view.running())
        nodes: dict[str, Judged] = {
            n: (Answer.VIOLATED, "is all that holds parts of the network together")
            if n in found
            else (Answer.HELD, "can be done without")
            for n in self.judged(view)
        }
        return over_nodes(
            nodes, self.share, held="no cut vertex", distance=float(len(found & set(nodes))), unit="nodes"
        )


class Eclipsed(Scoped, name="eclipsed"):
    """The connections of each target lead to ``peers`` alone, or a share of them ``above`` the given one.

    A target without any connection is not eclipsed.
    """

    peers: SetField
    above: PercentField | None = None
    graph: Graph = "overlay"

    def judge(self, view: View) -> Finding:
        """Each target: the share of its connections that leads to ``peers``."""
        near, peers = joined(view, self.graph), set(view.chosen(self.peers))
        if near is None:
            return UNSEEN

        def one(node: str) -> Judged:
            found = near[node]
            inside = len(found & peers)
            text = f"has {inside} of {len(found)} connections to them"
            if not found:
                return Answer.VIOLATED, "has no connection at all"
            enough = inside == len(found) if self.above is None else inside / len(found) > self.above
            return (Answer.HELD if enough else Answer.VIOLATED), text

        nodes = {n: one(n) for n in self.judged(view)}
        held = f"the connections of {names(list(nodes))} lead to {names(sorted(peers), 4)}"
        return over_nodes(nodes, self.share, held=held)
