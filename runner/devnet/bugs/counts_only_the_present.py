"""The quorum is taken of the nodes that were heard of lately, not of all."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core


@bug(
    name="counts-only-the-present",
    about="Two thirds of the nodes that are connected count as two thirds of all.",
    caught_by="scenarios/devnet/thirds.yaml",
    expectation="always: {no_conflict: finalized}",
    reason_has="conflict in finalized",
)
class CountsOnlyThePresent(Core):
    """A node that is cut off shrinks the electorate."""

    def has_quorum(self, bits: int) -> bool:
        """More than two thirds of itself and its peers."""
        stakes = self.config.stakes
        present = stakes[self.config.name] + sum(stakes[link.name] for link in self.ups() if link.name)
        return 3 * self.config.weight(bits) > 2 * present
