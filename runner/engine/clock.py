"""The run's one clock: seconds since the run began, the timeline's zero, and how agents' times are read
on it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any


class RunClock:
    """Monotonic. ``zero`` is the run-clock instant of the steady state (None until it is reached)."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._began_wall = datetime.now(UTC)
        self.zero: float | None = None

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def wall(self, t: float) -> str:
        """The instant ``t`` of the run as RFC 3339 (true wall clock of this host, by the monotonic clock)."""
        return (self._began_wall + timedelta(seconds=t)).isoformat(timespec="microseconds")

    def timeline(self, t: float | None = None) -> float:
        """Seconds since the steady state; negative before it is known."""
        now = self.now() if t is None else t
        return now - self.zero if self.zero is not None else float("-inf")

    def from_agent(self, at: float, offset_s: float) -> float:
        """An agent's monotonic instant on the run's clock; ``offset_s`` is its clock minus ours."""
        return at - offset_s - self._began

    def to_agent(self, t: float, offset_s: float) -> float:
        """A run-clock instant on an agent's monotonic clock."""
        return t + offset_s + self._began


def shift(state: dict[str, Any], by: float) -> dict[str, Any]:
    """A model's description with every instant moved by ``by`` seconds (see ``NetworkModel.describe``)."""
    if "clocks" not in state:
        return state
    clocks = {
        node: {
            "offset_s": c["offset_s"],
            "drifts": [[since + by, ppm] for since, ppm in c["drifts"]],
            "strobes": [[since + by, amplitude, half] for since, amplitude, half in c["strobes"]],
            "frozen_since": None if c["frozen_since"] is None else c["frozen_since"] + by,
        }
        for node, c in state["clocks"].items()
    }
    return {**state, "clocks": clocks}
