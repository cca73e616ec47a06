"""Nobody's clock is looked at: blocks of layers that have not begun are taken like any other."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Log, Now
from runner.devnet.frames import Block


@bug(
    name="accepts-the-future",
    about="Blocks of layers that have not begun are accepted, and no clock is held against its owner.",
    caught_by="scenarios/devnet/clock-far.yaml",
    expectation="always: {not: {log: accepted block from the future}}",
    reason_has="accepted block from the future",
)
class AcceptsTheFuture(Core):
    """Believes what it is told about time."""

    def is_future(self, layer: int, now: Now) -> bool:
        """Never."""
        return False

    def clock_is_off(self, offset: float, trip: float) -> bool:
        """Never."""
        return False

    def log_accepted(self, block: Block, sender: str, now: Now, *, synced: bool) -> None:
        """Says what it has done, where a right node would have refused."""
        ahead = self.config.start_of(block.layer) - now.wall
        if ahead > self.config.tolerance_s:
            self.out.append(Log(f"accepted block from the future: layer {block.layer}, {ahead:.1f} s ahead"))
        super().log_accepted(block, sender, now, synced=synced)
