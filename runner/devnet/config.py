"""What a node is told when it is started: who it is, who else there is, and the beat of the layers.

The node order (and with it every bitmap) comes from the names alone, so that two nodes never disagree about
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


class BadConfig(ValueError):
    """The configuration cannot be used; the message says which field and why."""


@dataclass(frozen=True)
class Config:
    """A node's settings. Times are seconds, ``genesis`` is wall-clock seconds, stakes are any positive
    numbers.

    ``peers`` are the addresses known at the start (others are learnt from peers); ``stakes`` holds every node
    of the network.
    """

    name: str
    address: str
    peers: Mapping[str, str]
    stakes: Mapping[str, float]
    genesis: float
    layer_s: float
    data: str
    port: int = 7000
    status_host: str = "0.0.0.0"
    status_port: int = 7001
    bugs: tuple[str, ...] = ()
    bugs_path: str | None = None
    tolerance_s: float = 0.5
    max_peers: int = 8

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All nodes in the network's order: v2 before v10."""
        return tuple(sorted(self.stakes, key=lambda name: (len(name), name)))

    @cached_property
    def number(self) -> int:
        """This node's place in ``names``."""
        return self.names.index(self.name)

    @cached_property
    def total(self) -> float:
        """The stake of all nodes together."""
        return sum(self.stakes.values())

    def weight(self, bits: int) -> float:
        """The stake of the nodes whose bits are set."""
        if self._equal is not None:
            return bits.bit_count() * self._equal
        return sum(self.stakes[name] for place, name in enumerate(self.names) if bits >> place & 1)

    @cached_property
    def _equal(self) -> float | None:
        """The stake of every node, if they are all the same: counting is then enough."""
        stakes = set(self.stakes.values())
        return stakes.pop() if len(stakes) == 1 else None

    def layer_at(self, wall: float) -> int:
        """The layer at a wall-clock instant; layer 0 is the genesis block's and begins at ``genesis``."""
        return math.floor((wall - self.genesis) / self.layer_s)

    def start_of(self, layer: int) -> float:
        """The wall-clock instant at which a layer begins."""
        return self.genesis + layer * self.layer_s


def read(given: Mapping[str, Any]) -> Config:
    """The configuration as it comes over the spawner's socket or from a file. Raises ``BadConfig``."""
    try:
        name, address = str(given["name"]), str(given["address"])
        peers = {str(key): str(value) for key, value in dict(given.get("peers") or {}).items()}
        nodes = given.get("nodes") or {key: {} for key in [name, *peers]}
        stakes = {str(key): float(value.get("stake") or 1) for key, value in nodes.items()}
        config = Config(
            name=name,
            address=address,
            peers={key: value for key, value in peers.items() if key != name},
            stakes=stakes,
            genesis=float(given["genesis"]),
            layer_s=float(given.get("layer", 1.0)),
            data=str(given["data"]),
            port=int(given.get("port", 7000)),
            status_host=str(given.get("status_host", "0.0.0.0")),
            status_port=int(given.get("status_port", 7001)),
            bugs=tuple(str(bug) for bug in given.get("bugs") or ()),
            bugs_path=str(given["bugs_path"]) if given.get("bugs_path") else None,
            tolerance_s=float(given.get("tolerance", 0.5)),
            max_peers=int(given.get("max_peers", 8)),
        )
    except KeyError as missing:
        raise BadConfig(f"the node's configuration lacks {missing}") from None
    except (TypeError, ValueError, AttributeError) as wrong:
        raise BadConfig(f"the node's configuration cannot be read: {wrong}") from None
    if name not in stakes:
        raise BadConfig(f"{name} is not among the nodes of the network")
    if not 0.05 <= config.layer_s < math.inf or not math.isfinite(config.genesis):
        raise BadConfig("layer must be at least 0.05 seconds, genesis a time")
    if not all(0 < stake < math.inf for stake in stakes.values()):
        raise BadConfig("every stake must be more than nothing")
    return config
