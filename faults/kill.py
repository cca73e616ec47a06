"""Kill: processes brought down and kept down."""

from __future__ import annotations

from typing import Literal

from faults.fault import Fault, Hit
from faults.fields import Targets
from faults.model import NetworkModel, NodeStatus, Status

Signal = Literal["kill", "term", "int", "quit", "abrt"]


class Kill(Fault, Targets, kind="kill", short="of"):
    """The chosen nodes' processes are ended with ``signal`` and kept down for ``for``; then the nodes are
    started again.

    ``wipe: true`` empties the data folder before that start.
    """

    signal: Signal = "kill"
    wipe: bool = False

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """The targets are down."""
        return model.with_status(hit.targets(), NodeStatus(Status.DOWN, self.signal, self.wipe))

    def claims(self) -> frozenset[str]:
        """The processes must be gone."""
        return frozenset({"down"})
