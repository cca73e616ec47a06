"""A node that was stopped for a while does not take up its work when it goes on."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Now

GAP_S = 3.0


@bug(
    name="stalls-when-paused",
    about="A node that stood still for three seconds never proposes, votes or asks for blocks again.",
    caught_by="scenarios/devnet/pause.yaml",
    expectation="after asleep: {progress: finalized}",
    reason_has="finalized did not rise",
)
class StallsWhenPaused(Core):
    """Its timers lie in the past, and nobody winds them again."""

    _last = 0.0
    _stalled = False

    def tend(self, now: Now) -> None:
        """Notices the gap."""
        self._stalled = self._stalled or (self._last > 0 and now.mono - self._last > GAP_S)
        self._last = now.mono
        super().tend(now)

    def decide(self, now: Now) -> None:
        """Does nothing in any layer once it stalls."""
        if not self._stalled:
            super().decide(now)
