"""Eclipse: chosen nodes see only the peers that an attacker gives them."""

from __future__ import annotations

from faults.fault import ChoiceError, Chosen, Fault, Hit, Pool
from faults.fields import SetField, Targets
from faults.model import NetworkModel
from faults.select import describe, select


class Eclipse(Fault, Targets, kind="eclipse"):
    """Each chosen node is cut off from everybody but ``peers``; everybody else sees each other as before.

    Two chosen nodes see each other only if both are among the peers. Sides: ``peers`` and ``rest`` (all
    others).
    """

    peers: SetField

    def choose(self, pool: Pool) -> Chosen:
        """The targets; sides ``peers`` and ``rest``."""
        targets = select(self, pool)
        hit = set(targets)
        peers = select(self.peers, pool, avoid_busy=False)
        rest = tuple(n for n in pool.names if n not in hit and n not in peers)
        if not rest and hit <= set(peers):
            raise ChoiceError(f"peers: {describe(self.peers)} leaves nobody to hide from {describe(self)}")
        return Chosen(targets, {"peers": peers, "rest": rest})

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """All links between the targets and those who are not peers are cut."""
        peers = set(hit.chosen.sides["peers"])
        hidden = [n for n in model.nodes if n not in peers]
        return model.with_cut(hit.targets(), hidden).with_cut(hidden, hit.targets())

    def side_names(self) -> frozenset[str]:
        """The peers and the others."""
        return frozenset({"peers", "rest"})

    def claims(self) -> frozenset[str]:
        """Packets must stop."""
        return frozenset({"cut"})
