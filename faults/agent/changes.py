"""Changes sent ahead.

Which generation rules, what has not begun yet, and the lease they live under. Pure but for the time it is
told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Stale(ValueError):
    """A generation that is not newer than the present one."""


class Change(NamedTuple):
    """A change of the timeline: from ``at`` on ``state`` holds, and ``events`` happen once."""

    generation: int
    at: float
    key: str
    state: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    prepared: Any = None
    """What was made ready ahead of time (the transaction of the cuts)."""


class Schedule:
    """What is still to begin, in the order of its moments."""

    def __init__(self) -> None:
        self.generation = -1
        self._pending: list[Change] = []

    def replace(self, generation: int, changes: Sequence[Change]) -> None:
        """Take these in place of all that has not begun; raises Stale for an older or equal generation."""
        self.check(generation)
        self.generation = generation
        self._pending = sorted(changes, key=lambda c: c.at)

    def check(self, generation: int) -> None:
        """Raises Stale unless the generation is newer than the present one."""
        if generation <= self.generation:
            raise Stale(f"generation {generation} is not newer than {self.generation}")

    @property
    def next_at(self) -> float | None:
        """When the next change begins."""
        return self._pending[0].at if self._pending else None

    def due(self, now: float) -> Change | None:
        """Take the first change whose moment has come."""
        if self._pending and self._pending[0].at <= now:
            return self._pending.pop(0)
        return None

    def clear(self) -> None:
        """Drop everything that has not begun."""
        self._pending = []


class Lease:
    """How long the conditions may stay without being renewed.

    Instants of CLOCK_BOOTTIME, so that sleep counts.
    """

    def __init__(self) -> None:
        self._until: float | None = None

    @property
    def held(self) -> bool:
        """Whether it was renewed and has not been seen to run out."""
        return self._until is not None

    def renew(self, seconds: float, now: float) -> None:
        """Start it again."""
        self._until = now + seconds

    def left(self, now: float) -> float:
        """Seconds until it runs out; 0 where it has or was never held."""
        return max(0.0, self._until - now) if self._until is not None else 0.0

    def ran_out(self, now: float) -> bool:
        """True once, when it has run out."""
        if self._until is None or now < self._until:
            return False
        self._until = None
        return True
