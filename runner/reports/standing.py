"""How each expectation stands while a run goes on, as rows for the live view and the progress lines.

A row is ``{"name", "answer": held|violated|unknown, "reason", "settled": bool, "told": bool,
"closes": instant or None, "recovery_s"}``; instants are on the run's clock. The judging itself is done in
``runner.judge.live``; here its answers become what people are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.judge.live import Pending, Watch
    from runner.scenario.model import Scenario

EVERY_S = 1.0
"""How often the judge is asked: evaluating everything is dearer than following."""


class Standing:
    """Follows a run's events beside the engine and says now and then how its expectations stand."""

    def __init__(self, scenario: Scenario) -> None:
        from runner.judge.live import Watch

        self._watch: Watch = Watch(scenario)
        units = scenario.network.units
        self._length = {
            e.name: (e.within.seconds(units) if e.within else 0.0, e.hold.seconds(units) if e.hold else None)
            for e in scenario.expect
        }
        self._asked = float("-inf")

    def feed(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Take in one event; a ``standing`` event after some samples, else None."""
        self._watch.feed(event)
        if event["event"] != "sample" or event["t"] - self._asked < EVERY_S:
            return None
        self._asked = event["t"]
        pending = [p for p in self._watch.pending(event["t"]) if p.state != "waits"]
        # a 'during' that is over was answered while it lasted; what it comes to is the verdict's business
        rows = [self._row(p, event["t"]) for p in pending if (p.phase, p.state) != ("during", "closed")]
        return {"t": event["t"], "event": "standing", "expectations": rows, "until": self._until()}

    def _until(self) -> float | None:
        """When the last window that is known will close, so that a timeline can be drawn to its end."""
        from runner.judge.frames import HOLD_S

        ends = [t.end for t in self._watch.history.trials.values() if t.end is not None]
        longest = max((w + (HOLD_S if h is None else h) for w, h in self._length.values()), default=0.0)
        return max(ends) + longest if ends else None

    def _row(self, pending: Pending, now: float) -> dict[str, Any]:
        settled = pending.phase == "after" and pending.state in ("held", "closed")
        about = pending.trial not in ("", "faults") and pending.trial not in pending.name
        left = pending.left_s
        return {
            "name": f"{pending.name} ({pending.trial})" if about else pending.name,
            "answer": "held" if pending.state == "held" else pending.answer.value,
            "reason": pending.reason,
            "settled": settled or (pending.phase in ("before", "during") and pending.state != "open"),
            "told": settled,
            "closes": None if left is None or settled else now + left,
            "recovery_s": self._recovery(pending) if pending.state == "held" else None,
        }

    def _recovery(self, pending: Pending) -> float | None:
        """How long after its window opened an ``after`` expectation began to hold, if that is known."""
        within, hold = self._length[pending.name]
        if pending.phase != "after" or not pending.left_s:
            return None
        from runner.judge.frames import HOLD_S

        opened_for = within + (HOLD_S if hold is None else hold) - pending.left_s
        return max(opened_for - pending.held_for_s, 0.0)
