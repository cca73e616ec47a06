"""Pause: processes stopped where they stand, and continued."""

from __future__ import annotations

from faults.fault import Fault, Hit
from faults.fields import Targets
from faults.model import NetworkModel, NodeStatus, Status


class Pause(Fault, Targets, kind="pause", short="of"):
    """All processes of the chosen nodes are stopped (SIGSTOP) for ``for``, then continued; their
    connections stay open.
    """

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """The targets are paused."""
        return model.with_status(hit.targets(), NodeStatus(Status.PAUSED))

    def claims(self) -> frozenset[str]:
        """The processes must be stopped."""
        return frozenset({"paused"})
