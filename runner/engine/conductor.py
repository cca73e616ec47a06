"""Sends the plan's changes to the agent ahead of time and turns its reports into ``model`` events.

Changes go out at most half a lease ahead. Each generation replaces what has not begun, so none is sent
while a change that was sent is about to begin: it would begin twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from faults.model import NetworkModel
from runner.engine.clock import RunClock, shift
from runner.networks.link import AgentLink
from runner.plan.changes import changes
from runner.plan.model import Change, Plan

GUARD_S = 0.06
"""No new generation this close to a change that was sent."""
LEAD_S = 0.05
"""How far ahead of now a triggered change is set: more than the round trip to the agent."""


class Conductor:
    """Holds the plan and keeps the agent supplied with what comes next."""

    def __init__(
        self, plan: Plan, link: AgentLink, clock: RunClock, *, lease_s: float, write: Callable[..., None]
    ) -> None:
        self.plan = plan
        self._link = link
        self._clock = clock
        self._lease_s = lease_s
        self._write = write
        self._generation = 0
        self._sent: dict[str, Change] = {}
        self._begun: set[str] = set()
        self._begun_until = float("-inf")
        self._last_message: list[Any] = []
        self.model = NetworkModel(tuple(n.name for n in plan.nodes))
        self.on_begun: list[Callable[[Change, float], None]] = []

    def set_plan(self, plan: Plan) -> None:
        """Go on with another plan; what has begun stays begun."""
        self.plan = plan

    def send_ahead(self) -> None:
        """Send what begins within half a lease, unless it has been sent or something is about to begin."""
        now = self._clock.timeline()
        coming = [
            c for c in changes(self.plan, after_s=self._begun_until) if c.at_s <= now + self._lease_s / 2
        ]
        message = [(c.key, c.at_s, c.model.describe(), c.events) for c in coming]
        if message == self._last_message:
            return
        pending = [c for k, c in self._sent.items() if k not in self._begun]
        if any(c.at_s <= now + GUARD_S for c in pending):
            return
        self._send(coming)
        self._last_message = message

    def next_at(self) -> float | None:
        """The timeline instant of the next change, if any."""
        coming = changes(self.plan, after_s=self._begun_until)
        return coming[0].at_s if coming else None

    def heal(self) -> str:
        """Replace everything that has not begun by a healthy network now; returns the change's key."""
        self._generation += 1
        healthy = NetworkModel(self.model.nodes)
        key = f"heal-{self._generation}"
        self._sent[key] = Change(self._clock.timeline(), key, healthy)
        self._request([{"at": self._agent_time(self._clock.now()), "key": key, "state": {}, "events": []}])
        return key

    def has_begun(self, key: str) -> bool:
        """Whether the agent reported the change."""
        return key in self._begun

    def began(self, event: Mapping[str, Any]) -> None:
        """Take the agent's report of a change: journal the model that is in force from now on."""
        change = self._sent.get(event["key"])
        if change is None or event["key"] in self._begun:
            return
        self._begun.add(event["key"])
        self._begun_until = max(self._begun_until, change.at_s)
        self._last_message = [m for m in self._last_message if m[0] != event["key"]]
        self.model = change.model
        asked, at, done = (
            self._clock.from_agent(event[k], self._link.offset_s) for k in ("asked", "at", "done")
        )
        zero = self._clock.zero or 0.0
        self._write(
            "model",
            state=shift(change.model.describe(), zero),
            asked=asked,
            at=at,
            done=done,
            key=change.key,
            events=[dict(e) for e in change.events],
            problems=list(event.get("problems", ())),
        )
        for follow in self.on_begun:
            follow(change, at)

    def _send(self, coming: list[Change]) -> None:
        self._generation += 1
        zero = self._clock.zero or 0.0
        to_agent = self._agent_time(zero)
        for change in coming:
            self._sent[change.key] = change
        self._request(
            [
                {
                    "at": self._agent_time(zero + c.at_s),
                    "key": c.key,
                    "state": shift(c.model.describe(), to_agent),
                    "events": [dict(e) for e in c.events],
                }
                for c in coming
            ]
        )

    def _request(self, messages: list[dict[str, Any]]) -> None:
        self._link.request("reconcile", generation=self._generation, changes=messages)

    def _agent_time(self, t: float) -> float:
        return self._clock.to_agent(t, self._link.offset_s)
