"""Addresses that peers tell are ignored: everybody knows the boot node, and nobody else."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core


@bug(
    name="trusts-the-boot-node",
    about="Addresses learnt from peers are ignored: a star that falls apart without its boot node.",
    caught_by="scenarios/devnet/boot-loss.yaml",
    expectation="during no_boot: {connected: {of: miners}}",
    reason_has="components of",
)
class TrustsTheBootNode(Core):
    """Knows those that it was told of at the start, and they know whoever comes."""

    def learn(self, peers: dict[str, str], *, store: bool = True) -> None:
        """Takes in what the configuration says, and whoever comes to one that was told of nobody."""
        if peers == dict(self.config.peers) or not self.config.peers:
            super().learn(peers, store=store)
