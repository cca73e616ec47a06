"""The wait before the next attempt grows without a limit."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core


@bug(
    name="backs-off-too-far",
    about="Every failed attempt makes the wait before the next four times as long, without a limit.",
    caught_by="scenarios/devnet/swizzle.yaml",
    expectation="after swizzle: connected",
    reason_has="components of",
)
class BacksOffTooFar(Core):
    """After a long cut it would take another long while to come back."""

    def backoff(self, name: str) -> float:
        """Four times as long each time, from half a second."""
        failures = self.failures.get(name, 0)
        self.failures[name] = failures + 1
        return 0.5 * float(4**failures)
