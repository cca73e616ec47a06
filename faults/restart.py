"""Restart: processes ended once; the network's own supervisor decides what follows."""

from __future__ import annotations

from typing import Any

from faults.fault import Chosen, Fault
from faults.fields import Targets
from faults.kill import Signal


class Restart(Fault, Targets, kind="restart", short="of", momentary=True):
    """The chosen nodes' processes are ended with ``signal`` and started again at once; an event, without
    ``for``.

    ``wipe: true`` empties the data folder in between.
    """

    signal: Signal = "kill"
    wipe: bool = False

    def event(self, chosen: Chosen) -> dict[str, Any]:
        """End and start these nodes."""
        return {"do": "restart", "nodes": list(chosen.targets), "signal": self.signal, "wipe": self.wipe}

    def claims(self) -> frozenset[str]:
        """New processes must be there."""
        return frozenset({"restarted"})
