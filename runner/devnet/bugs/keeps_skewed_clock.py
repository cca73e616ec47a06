"""The offset of another clock is measured once and kept."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Now
from runner.devnet.peering import Link


@bug(
    name="keeps-skewed-clock",
    about="Once another clock was found wrong it is never measured again, so its owner stays refused.",
    caught_by="scenarios/devnet/clock-far.yaml",
    expectation="after ahead: {agree: head}",
    reason_has="behind the highest",
)
class KeepsSkewedClock(Core):
    """A cache without an end."""

    def on_pong(self, link: Link, pong: tuple[float, float], now: Now) -> None:
        """Refuses again whoever was refused once."""
        if link.name in self.refused:
            self.refuse(link, link.name, "its clock was off", now)
        else:
            super().on_pong(link, pong, now)
