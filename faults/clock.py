"""Clock errors: offset, drift, freeze and strobe of a node's wall clock."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import model_validator

from faults.fault import Chosen, Fault, Hit, Pool
from faults.fields import DriftField, DurationField, OffsetField, Range, StrobeField, Targets
from faults.model import ClockCondition, NetworkModel
from faults.select import select


class Clock(Fault, Targets, kind="clock"):
    """The chosen nodes' wall clock is wrong for ``for``, then right again; at least one of the four ways is
    given.

    ``offset: +30s`` is added; ``drift: +500ppm`` grows from the start on; ``freeze: true`` stops the clock;
    ``strobe: 200ms`` with ``every: 100ms`` makes it jump forward and back again, one jump each ``every``,
    the first one after the first ``every``. A range such as ``-2s..+2s`` is drawn for each node by the
    seed.
    """

    offset: OffsetField | None = None
    drift: DriftField | None = None
    freeze: bool = False
    strobe: StrobeField | None = None
    every: DurationField | None = None

    @model_validator(mode="after")
    def _some_error(self) -> Clock:
        if self.offset is None and self.drift is None and self.strobe is None and not self.freeze:
            raise ValueError("give at least one of 'offset', 'drift', 'strobe' and 'freeze: true'")
        if (self.strobe is None) != (self.every is None):
            raise ValueError("'strobe' and 'every' go together: strobe: 200ms, every: 100ms")
        if self.every is not None and (self.every.is_protocol or self.every.seconds() <= 0):
            raise ValueError("'every' is a time of the clock above zero, such as 100ms")
        return self

    def choose(self, pool: Pool) -> Chosen:
        """The targets, and for each of them its offset (s), drift (ppm) and strobe (s)."""
        targets = select(self, pool)
        ranges: dict[str, Range | None] = {"offset": self.offset, "drift": self.drift, "strobe": self.strobe}
        draws = {
            name: {t: r.low if r.is_fixed else round(pool.rng.uniform(r.low, r.high), 6) for t in targets}
            for name, r in ranges.items()
            if r is not None
        }
        return Chosen(targets, draws=draws)

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """Each target's clock error grows by its own draw, counted from the instant at which it came in."""
        since = hit.since_s
        for node in hit.targets():
            offset = _drawn(hit, "offset", self.offset, node)
            drift = _drawn(hit, "drift", self.drift, node)
            strobe = _drawn(hit, "strobe", self.strobe, node)
            half = self.every.seconds() if self.every else 0.0
            clock = ClockCondition(
                offset_s=offset,
                drifts=((since, drift),) if drift else (),
                strobes=((since, strobe, half),) if strobe else (),
                frozen_since=since if self.freeze else None,
            )
            model = model.with_clock(node, clock)
        return model

    def conflict(self, other: Fault, nodes: Iterable[str]) -> str | None:
        """One clock cannot follow two strobes."""
        shared = list(nodes)
        if shared and isinstance(other, Clock) and self.strobe and other.strobe:
            return f"two strobes at once on {', '.join(shared[:5])}{' …' if len(shared) > 5 else ''}"
        return None

    def claims(self) -> frozenset[str]:
        """The processes must see the wrong time."""
        return frozenset({"clock"})


def _drawn(hit: Hit, name: str, asked: Range | None, node: str) -> float:
    """What was drawn for a node; a choice taken over from elsewhere may lack it, which is no loss where it
    was fixed.
    """
    if asked is None:
        return 0.0
    return hit.chosen.draws.get(name, {}).get(node, asked.low if asked.is_fixed else 0.0)
