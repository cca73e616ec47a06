"""A node that lost many peers at once and gets one back stands still, and answers nobody any more."""

from typing import Any

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Action, Event, Now, Unanswered
from runner.devnet.peering import Link


@bug(
    name="hangs-after-heal",
    about="A node that had lost a third of its peers and gets one back stops for good and answers nobody.",
    caught_by="scenarios/devnet/halves.yaml",
    expectation="after split: [connected, {agree: head}, {progress: height}]",
    reason_has="does not answer",
)
class HangsAfterHeal(Core):
    """Two locks taken in different order, in the end."""

    _most = 0
    _fewest = 0
    _hung = False

    def on_up(self, link: Link, now: Now) -> None:
        """The first peer that comes back after a large loss is the one too many."""
        super().on_up(link, now)
        peers = len(self.ups())
        if peers > self._most:
            self._most = self._fewest = peers
        if self._most >= 3 and self._fewest * 3 <= self._most * 2:
            self._hung = True

    def handle(self, now: Now, event: Event) -> list[Action]:
        """Nothing follows from anything once it hangs."""
        actions = [] if self._hung else super().handle(now, event)
        self._fewest = min(self._fewest, len(self.ups()))
        return actions

    def facts(self, now: Now) -> dict[str, Any]:
        """No answer once it hangs."""
        if self._hung:
            raise Unanswered
        return super().facts(now)
