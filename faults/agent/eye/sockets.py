"""Connections between nodes as the kernel has them: the observed peer graph, and whether bytes still flow.

The eye's own connections are left out. One netlink socket per namespace is kept, and the tables are read in
slices.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from faults.agent.eye.diag import End, dump, keys_of, opened
from faults.agent.eye.loop import SLICE_S, Task
from faults.agent.eye.namespaces import Node, Nodes, Refused

FRESH_MS = 3000
"""An edge on which something was acknowledged within this time is seen to be alive."""


@dataclass(frozen=True)
class Table:
    """What stood in the socket tables of some nodes.

    ``ends`` maps each established end to (ms since its last acknowledgement, bytes acknowledged);
    ``listening`` maps names to sorted ports; ``nodes`` are the nodes asked, by index.
    """

    at: float
    nodes: Mapping[int, Node]
    ends: Mapping[End, tuple[int, int]]
    listening: Mapping[str, list[int]]

    def graph(self, since: float | None = None) -> dict[str, Any]:
        """The protocol's ``sockets``.

        With ``since`` only edges on which something was acknowledged from then on. Of several connections of
        a pair the liveliest counts, and of a connection the end that has waited longer: a one-way cut leaves
        one end hearing the other's repetitions. Bytes are summed over connections and directions.
        """
        edges: dict[tuple[int, int], list[int]] = {}
        half: set[tuple[int, int]] = set()
        for (a, port, b, peer_port), (last, acked) in self.ends.items():
            other = self.ends.get((b, peer_port, a, port))
            if other is None:
                if b in self.nodes:
                    half.add((a, b) if a < b else (b, a))
            elif a < b:
                edge = edges.get((a, b))
                last = max(last, other[0])
                if edge is None:
                    edges[a, b] = [last, acked + other[1]]
                else:
                    edge[0] = min(edge[0], last)
                    edge[1] += acked + other[1]
        oldest = None if since is None else (self.at - since) * 1000
        name = {i: n.name for i, n in self.nodes.items()}
        return {
            "at": self.at,
            "edges": [
                [name[a], name[b], *edge]
                for (a, b), edge in sorted(edges.items())
                if oldest is None or edge[0] <= oldest
            ],
            "half": [[name[a], name[b]] for a, b in sorted(half - edges.keys())],
            "listening": self.listening,
        }

    def streams(self, crossing: set[tuple[str, str]]) -> list[list[Any]]:
        """``[a, b, key.

        Bytes acknowledged]`` for each end of each connection of a pair in ``crossing`` (either order). The
        bytes are those that a sent and b acknowledged; the key tells connections and directions apart and
        stays.
        """
        out = []
        for (a, port, b, peer_port), (_, acked) in self.ends.items():
            if b not in self.nodes:
                continue
            names = self.nodes[a].name, self.nodes[b].name
            if names in crossing or names[::-1] in crossing:
                key = f"{int.from_bytes(port, 'big')}>{int.from_bytes(peer_port, 'big')}"
                out.append([*names, key, acked])
        return sorted(out)


def shape(graph: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of ``Table.graph`` counts as a change.

    Which edges there are and are fresh, half ones, listening ports.
    """
    return (
        [(a, b, last < FRESH_MS) for a, b, last, _ in graph["edges"]],
        graph["half"],
        graph["listening"],
    )


def crossing(blocks: list[list[str]], cut: Iterable[tuple[int, int]]) -> set[tuple[str, str]]:
    """Ordered pairs of nodes that a cut of blocks separates. Raises Refused for an index without a block."""
    try:
        return {(a, b) for i, j in cut for a in blocks[i] for b in blocks[j] if a != b}
    except (IndexError, TypeError, ValueError):
        raise Refused("'cut' must hold pairs of indexes into 'blocks'") from None


class Sockets:
    """Reads socket tables."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._kept: dict[str, socket.socket] = {}
        self._buffer = bytearray(1 << 18)
        nodes.on_change(self._replaced)

    def _replaced(self, names: frozenset[str]) -> None:
        for name in names & self._kept.keys():
            self._kept.pop(name).close()

    def close(self) -> None:
        """Close all netlink sockets."""
        self._replaced(frozenset(self._kept))

    def table(self, names: Iterable[str] | None) -> Task[Table]:
        """Read the tables of these nodes (None: all), in slices. Raises Refused."""
        chosen = self._nodes.chosen(names)
        index = {key: node.index for node in self._nodes for key in keys_of(node)}
        at = monotonic()
        ends: dict[End, tuple[int, int]] = {}
        listening: dict[str, list[int]] = {}
        until = at + SLICE_S
        for node in chosen:
            ports: set[int] = set()
            self._dump(node, index, ends, ports)
            listening[node.name] = sorted(ports)
            if monotonic() >= until:
                yield None
                until = monotonic() + SLICE_S
        self._leave_out_own(ends)
        return Table(at, {n.index: n for n in chosen}, ends, listening)

    def _dump(
        self, node: Node, index: Mapping[bytes, int], ends: dict[End, tuple[int, int]], ports: set[int]
    ) -> None:
        current = self._nodes.get(node.name)  # replaced meanwhile, perhaps
        if node.name not in self._kept:
            self._kept[node.name] = opened(self._nodes, current)
        try:
            dump(self._kept[node.name], self._buffer, node.index, index, ends, ports)
        except Refused:
            self._kept.pop(node.name).close()  # half an answer may be left in it
            raise

    def _leave_out_own(self, ends: dict[End, tuple[int, int]]) -> None:
        if self._nodes.own:
            index = {n.name: n.index for n in self._nodes}
            own = {(index[name], port.to_bytes(2, "big")) for name, port in self._nodes.own if name in index}
            for end in [e for e in ends if e[:2] in own or e[2:] in own]:
                del ends[end]
