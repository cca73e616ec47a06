"""The wait before the next attempt grows without a limit."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core


@bug(
    name="backs-off-too-far",
    about="After one failed attempt a node waits for half a minute, after the next for two, and so on.",
    caught_by="scenarios/devnet/halves.yaml",
    expectation="after split: connected",
    reason_has="components of",
)
class BacksOffTooFar(Core):
    """After a long cut it would take another long while to come back."""

    def backoff(self, name: str) -> float:
        """Half a second, half a minute, two minutes, eight …"""
        failures = self.failures.get(name, 0)
        self.failures[name] = failures + 1
        return 0.5 if failures == 0 else 7.5 * float(4 ** min(failures, 6))
