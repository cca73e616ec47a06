"""When each unit of a trial is hit: plain, onset and heal, roll, flap. Numbers in, numbers out; who is hit
is decided elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from faults.fault import Unit
from runner.plan.model import Span

MOST_STEPS = 200
"""A spread over more units than this brings several in at once: no kernel can be asked to change for each
of 100,000 links.
"""


@dataclass(frozen=True)
class Spread:
    """Units come in or go out in ``order`` over ``over_s`` seconds."""

    over_s: float
    order: tuple[Unit, ...]


@dataclass(frozen=True)
class Timing:
    """A trial's times in seconds. ``lasting_s`` None lasts to the end of the run; ``stop_s`` is when its
    heal was begun early.
    """

    start_s: float
    lasting_s: float | None
    momentary: bool = False
    onset: Spread | None = None
    heal: Spread | None = None
    roll_every_s: float | None = None
    roll_next: bool = False
    roll_batch: int = 1
    batches: tuple[float, ...] = ()
    flap: tuple[float, float] | None = None
    """(every, on for)"""
    stop_s: float | None = None


@dataclass(frozen=True)
class Timed:
    """The spans of a trial, its end, the start of its heal, and the batches that are still to come."""

    spans: tuple[Span, ...]
    end_s: float | None
    heals_s: float | None
    pending: tuple[tuple[Unit, ...], ...] = ()


def tick(seconds: float) -> float:
    """An instant to the microsecond, so that equal moments reached by different sums are equal."""
    return round(seconds, 6)


def shuffled(units: Sequence[Unit], order: str, rng: random.Random) -> tuple[Unit, ...]:
    """The units in the order in which they come in or go out: random, listed or reverse."""
    listed = list(units)
    if order == "random":
        rng.shuffle(listed)
    elif order == "reverse":
        listed.reverse()
    return tuple(listed)


def lay(timing: Timing, units: Sequence[Unit]) -> Timed:
    """Lay a trial's spans out on the timeline."""
    if timing.roll_every_s is not None or timing.roll_next:
        return _rolled(timing, units)
    start, lasting = timing.start_s, _shortened(timing)
    if timing.onset is not None or timing.heal is not None:
        return _spread(timing, units, lasting)
    end = None if lasting is None else tick(start + lasting)
    if timing.flap is not None and end is not None:
        return Timed(_flapped(start, end, *timing.flap), end, end)
    spans = () if lasting == 0 and not timing.momentary else (Span(start, end),)
    return Timed(spans, end, end)


def _shortened(timing: Timing) -> float | None:
    """How long it lasts, cut short where its heal was begun early."""
    if timing.stop_s is None:
        return timing.lasting_s
    stopped = max(0.0, timing.stop_s - timing.start_s)
    return stopped if timing.lasting_s is None else min(timing.lasting_s, stopped)


def _spread(timing: Timing, units: Sequence[Unit], lasting: float | None) -> Timed:
    start = timing.start_s
    into = _instants(timing.onset, units, start)
    if timing.momentary:
        spans = _merged([(into[u], into[u], u) for u in units])
        return Timed(spans, max(into.values()), max(into.values()))
    if lasting is None:
        return Timed(_merged([(into[u], None, u) for u in units]), None, None)
    heals = tick(start + lasting)
    out = _instants(timing.heal, units, heals)
    spans = _merged([(into[u], out[u], u) for u in units if into[u] < heals])
    return Timed(spans, max([heals, *(s.end_s for s in spans if s.end_s is not None)]), heals)


def _instants(spread: Spread | None, units: Sequence[Unit], start: float) -> dict[Unit, float]:
    if spread is None:
        return dict.fromkeys(units, tick(start))
    order = spread.order
    steps = min(len(order), MOST_STEPS)
    if steps < 2:
        return dict.fromkeys(order, tick(start))
    at = {}
    for i, unit in enumerate(order):
        at[unit] = tick(start + spread.over_s * (i * steps // len(order)) / (steps - 1))
    return at


def _merged(hits: Sequence[tuple[float, float | None, Unit]]) -> tuple[Span, ...]:
    """One span for all units that share both ends, in the order of time."""
    together: dict[tuple[float, float | None], set[Unit]] = {}
    for start, end, unit in hits:
        together.setdefault((start, end), set()).add(unit)
    spans = [Span(start, end, frozenset(units)) for (start, end), units in together.items()]
    return tuple(sorted(spans, key=lambda s: (s.start_s, s.end_s is None, s.end_s or 0.0)))


def _rolled(timing: Timing, units: Sequence[Unit]) -> Timed:
    size = timing.roll_batch
    batches = [tuple(units[i : i + size]) for i in range(0, len(units), size)]
    if timing.roll_every_s is not None:
        starts = [tick(timing.start_s + i * timing.roll_every_s) for i in range(len(batches))]
    else:
        starts = [timing.start_s, *map(tick, timing.batches)][: len(batches)]
    pending = tuple(batches[len(starts) :])
    if timing.stop_s is not None:
        starts, pending = [s for s in starts if s < timing.stop_s], ()
    spans = []
    for start, batch in zip(starts, batches, strict=False):
        end = None if timing.lasting_s is None else tick(start + timing.lasting_s)
        if timing.stop_s is not None and not timing.momentary:
            end = timing.stop_s if end is None else min(end, timing.stop_s)
        spans.append(Span(start, end, frozenset(batch)))
    ends = [s.end_s for s in spans if s.end_s is not None]
    last = (max(ends) if ends else timing.start_s) if len(ends) == len(spans) else None
    return Timed(tuple(spans), last, last, pending)


def _flapped(start: float, end: float, every: float, lasting: float) -> tuple[Span, ...]:
    spans = []
    count = 0
    while (on := tick(start + count * every)) < end:
        spans.append(Span(on, min(end, tick(on + lasting))))
        count += 1
    return tuple(spans)
