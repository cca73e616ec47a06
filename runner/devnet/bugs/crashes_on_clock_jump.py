"""A node ends when its clock jumps by many layers at once."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Now


@bug(
    name="crashes-on-clock-jump",
    about="A node whose clock jumps by more than ten seconds fails an assertion and ends.",
    caught_by="scenarios/devnet/clock-far.yaml",
    expectation="always: no_crash",
    reason_has="ended by itself",
)
class CrashesOnClockJump(Core):
    """Takes the wall clock for a steady one."""

    _last: Now | None = None

    def decide(self, now: Now) -> None:
        """Compares the two clocks, and does not bear the result."""
        if self._last is not None:
            slip = (now.wall - self._last.wall) - (now.mono - self._last.mono)
            assert abs(slip) < 10.0, f"time went {slip:.1f} s too far"
        self._last = now
        super().decide(now)
