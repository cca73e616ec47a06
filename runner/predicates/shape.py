"""Facts of an observed graph: its edges as a set of pairs, nodes as names. Results are kept, since graphs
change seldom.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx as nx

Edges = frozenset[tuple[str, str]]
Reach = tuple[tuple[frozenset[str], ...], frozenset[tuple[int, int]]]
Components = tuple[frozenset[str], ...]


@lru_cache(maxsize=16)
def neighbours(edges: Edges, nodes: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """Each of ``nodes`` with those of them it is joined to."""
    found: dict[str, set[str]] = {n: set() for n in nodes}
    for a, b in edges:
        if a in found and b in found:
            found[a].add(b)
            found[b].add(a)
    return {n: frozenset(s) for n, s in found.items()}


@lru_cache(maxsize=16)
def components(edges: Edges, nodes: tuple[str, ...]) -> Components:
    """The connected components, largest first, then by their first node in order."""
    joined = neighbours(edges, nodes)
    left = dict.fromkeys(nodes)
    found = []
    while left:
        start = next(iter(left))
        seen, queue = {start}, [start]
        while queue:
            fresh = joined[queue.pop()] - seen
            seen |= fresh
            queue.extend(fresh)
        for node in seen:
            del left[node]
        found.append(frozenset(seen))
    return tuple(sorted(found, key=len, reverse=True))


@lru_cache(maxsize=16)
def reach_components(reach: Reach, nodes: tuple[str, ...]) -> Components:
    """The sets of ``nodes`` that reach each other both ways, directly or through others; largest first."""
    from faults.model import LinkCondition, LinkRule, NetworkModel

    blocks, cut = reach
    rules = tuple(LinkRule(blocks[i], blocks[j], LinkCondition(cut=True)) for i, j in sorted(cut))
    return tuple(NetworkModel(nodes, rules=rules).components(among=nodes))


def _graph(edges: Edges, nodes: tuple[str, ...]) -> nx.Graph[Any]:
    import networkx as nx

    graph: nx.Graph[Any] = nx.Graph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((a, b) for a, b in edges if a in graph and b in graph)
    return graph


@lru_cache(maxsize=16)
def cut_vertices(edges: Edges, nodes: tuple[str, ...]) -> frozenset[str]:
    """Nodes whose loss splits the component they are in."""
    import networkx as nx

    return frozenset(nx.articulation_points(_graph(edges, nodes)))


@lru_cache(maxsize=16)
def diameter(edges: Edges, nodes: tuple[str, ...]) -> int | None:
    """The longest of all shortest paths, in hops; None where the graph is in pieces or empty."""
    if len(components(edges, nodes)) != 1:
        return None
    joined = neighbours(edges, nodes)
    longest = 0
    for start in nodes:
        seen, ring, hops = frozenset((start,)), frozenset((start,)), -1
        while ring:
            hops += 1
            ring = frozenset().union(*(joined[n] for n in ring)) - seen
            seen |= ring
        longest = max(longest, hops)
    return longest


@lru_cache(maxsize=16)
def edge_connectivity(edges: Edges, nodes: tuple[str, ...]) -> int:
    """How many connections must go before the graph is in pieces; 0 where it is already."""
    import networkx as nx

    return int(nx.edge_connectivity(_graph(edges, nodes))) if len(nodes) > 1 else 0


def block_of(reach: Reach) -> Mapping[str, int]:
    """The index of each node's block."""
    return {node: i for i, members in enumerate(reach[0]) for node in members}


def as_reach(cuts: Mapping[str, Any] | None, nodes: tuple[str, ...] = ()) -> Reach:
    """``{"blocks": [[names]], "cut": [[i, j]]}`` as a value; nothing cut (one block of ``nodes``) where it is
    None.
    """
    if not cuts:
        return (frozenset(nodes),), frozenset()
    return tuple(frozenset(b) for b in cuts["blocks"]), frozenset((i, j) for i, j in cuts["cut"])
