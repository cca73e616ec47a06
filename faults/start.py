"""Start: nodes that were waiting are started for the first time."""

from __future__ import annotations

from typing import Any

from faults.fault import Chosen, Fault, Pool
from faults.fields import Targets
from faults.select import select


class Start(Fault, Targets, kind="start", short="of", momentary=True):
    """The chosen nodes of a group with ``waits: true`` are started; an event, without ``for``."""

    def choose(self, pool: Pool) -> Chosen:
        """The targets, waiting ones first of all: here they need not be named one by one."""
        from dataclasses import replace

        return Chosen(select(self, replace(pool, absent=frozenset())))

    def event(self, chosen: Chosen) -> dict[str, Any]:
        """Start these nodes."""
        return {"do": "start", "nodes": list(chosen.targets)}

    def claims(self) -> frozenset[str]:
        """The processes must be there."""
        return frozenset({"started"})
