"""Isolation: chosen nodes cut off from everybody."""

from __future__ import annotations

from faults.fault import Chosen, Fault, Hit, Pool
from faults.fields import Targets
from faults.model import NetworkModel
from faults.select import select


class Isolate(Fault, Targets, kind="isolate", short="of"):
    """Each chosen node is cut off from every other, in both directions, also from the other chosen ones.

    The nodes that stay together are ``STEP.rest``.
    """

    def choose(self, pool: Pool) -> Chosen:
        """The targets; side ``rest`` holds everybody else."""
        targets = select(self, pool)
        hit = set(targets)
        return Chosen(targets, {"rest": tuple(n for n in pool.names if n not in hit)})

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """All links from and to the targets are cut."""
        targets = hit.targets()
        return model.with_cut(targets, model.nodes).with_cut(model.nodes, targets)

    def side_names(self) -> frozenset[str]:
        """The others."""
        return frozenset({"rest"})

    def claims(self) -> frozenset[str]:
        """Packets must stop."""
        return frozenset({"cut"})
