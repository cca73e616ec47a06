"""A node takes new blocks as they come and never asks for those that it missed."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Now


@bug(
    name="never-syncs",
    about="A node that missed blocks never asks for them, and so cannot follow any more.",
    caught_by="scenarios/devnet/alone.yaml",
    expectation="after alone: {agree: head}",
    reason_has="behind the highest",
)
class NeverSyncs(Core):
    """Lives in the present only."""

    def catch_up(self, now: Now) -> None:
        """Asks for nothing."""
