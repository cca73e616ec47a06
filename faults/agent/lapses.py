"""What of ours disappeared while it should hold: seen, dated and reported, never repaired."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from faults.agent.node import Emit


class _Lapse(NamedTuple):
    since: float
    detail: str


class Lapses:
    """The lapses of one kind (``what``), by node or as a whole (node None)."""

    def __init__(self, what: str, emit: Emit) -> None:
        self._what = what
        self._emit = emit
        self._open: dict[str | None, _Lapse] = {}
        self._good: float | None = None

    def see(
        self, gone: Mapping[str | None, str], now: float, floor: Mapping[str | None, float] | None = None
    ) -> None:
        """What was found missing at ``now``, in words by node.

        A lapse is dated from the last look that missed nothing of it, and never before ``floor``: it held
        from then on.
        """
        for node in [n for n in self._open if n not in gone]:
            self.end(node, now)
        for node, detail in gone.items():
            if node not in self._open:
                since = max(self._good if self._good is not None else now, (floor or {}).get(node, 0.0))
                self._open[node] = _Lapse(since, detail)
                self._say(node, None)
        self._good = now

    def trust(self, now: float) -> None:
        """At ``now`` it was just made so: what is missing later was lost later."""
        self._good = now

    def end(self, node: str | None, now: float) -> None:
        """A lapse is over: it holds again, or is no longer wanted."""
        if node in self._open:
            self._say(node, now)
            del self._open[node]

    def end_all(self, now: float, *, but: Collection[str | None] = ()) -> None:
        """All are over, except those of some nodes."""
        for node in [n for n in self._open if n not in but]:
            self.end(node, now)

    def report(self, detail: str, since: float, until: float) -> None:
        """A lapse that is known only now that it is over."""
        self._emit("lapsed", what=self._what, detail=detail, **{"from": since, "to": until})

    def _say(self, node: str | None, until: float | None) -> None:
        lapse = self._open[node]
        named = {"node": node} if node is not None else {}
        times = {"from": lapse.since, "to": until}
        self._emit("lapsed", what=self._what, **named, **times, detail=lapse.detail)
