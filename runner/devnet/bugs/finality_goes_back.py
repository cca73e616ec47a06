"""After a restart a node reports an old finalized block for a while."""

from typing import Any

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Action, Event, Now

LAG = 6
WHILE_S = 4.0


@bug(
    name="finality-goes-back",
    about="The stored pointer to the finalized block is old, and trusted for some seconds after a restart.",
    caught_by="scenarios/devnet/kill-f.yaml",
    expectation="always: {never_back: finalized}",
    reason_has="fell from",
)
class FinalityGoesBack(Core):
    """Believes a stale pointer."""

    _began: float | None = None
    _restored = 0

    def handle(self, now: Now, event: Event) -> list[Action]:
        """Remembers when it began, and with what."""
        if self._began is None:
            self._began, self._restored = now.mono, self.ledger.finalized.height
        return super().handle(now, event)

    def facts(self, now: Now) -> dict[str, Any]:
        """The stale pointer, as long as it is trusted."""
        facts = super().facts(now)
        restored = self._restored if self._began is not None else self.ledger.finalized.height
        if restored > LAG and (self._began is None or now.mono - self._began < WHILE_S):
            stale = self.ledger.final[max(0, restored - LAG - 15) : restored - LAG + 1]
            facts["recent"] = [[block.height, block.hash] for block in stale]
            facts["finalized"] = facts["recent"][-1]
        return facts
