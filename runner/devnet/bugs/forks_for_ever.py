"""A node refuses to leave a chain that it has followed for a few blocks."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Log, Now
from runner.devnet.frames import Block

DEPTH = 3


@bug(
    name="forks-for-ever",
    about="A node never gives up more than three blocks of its own, so the sides of a split stay apart.",
    caught_by="scenarios/devnet/halves.yaml",
    expectation="after split: {agree: head}",
    reason_has="differs at height",
)
class ForksForEver(Core):
    """A limit on reorganisations that was meant as a protection."""

    def accept(self, block: Block, sender: str, now: Now, *, synced: bool = False) -> bool:
        """Refuses what branches off too far below the head."""
        ledger = self.ledger
        parent = ledger.get(block.parent)
        deep = parent is not None and ledger.head.height - parent.height > DEPTH
        if deep and parent is not None and not ledger.knows(block.hash):
            self.out.append(
                Log(f"refused block {block.height} from {sender}: it would undo more than {DEPTH} blocks")
            )
            return False
        return super().accept(block, sender, now, synced=synced)
