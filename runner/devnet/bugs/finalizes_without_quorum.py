"""A third of the stake is taken for a quorum."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core


@bug(
    name="finalizes-without-quorum",
    about="A third of the stake is taken for a quorum, so both sides of a split finalize.",
    caught_by="scenarios/devnet/halves.yaml",
    expectation="always: {no_conflict: finalized}",
    reason_has="conflict in finalized",
)
class FinalizesWithoutQuorum(Core):
    """Confuses the third that may be lost with the two thirds that are needed."""

    def has_quorum(self, bits: int) -> bool:
        """More than one third of the stake, once the chain has begun as it should."""
        if not self.ledger.finalized.height:
            return super().has_quorum(bits)
        return 3 * self.config.weight(bits) > self.config.total
