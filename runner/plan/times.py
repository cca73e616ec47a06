"""Durations and moments in seconds on the timeline, as far as they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from faults.fault import Undecided
from faults.fields import Duration, Moment
from runner.plan.model import Trial
from runner.plan.spans import tick


class TimeError(ValueError):
    """A time that can never be; the message is meant for the scenario's author."""


def seconds(duration: Duration, units: Mapping[str, float]) -> float:
    """A duration in seconds; raises TimeError where the network has no such unit."""
    try:
        return duration.seconds(units)
    except KeyError:
        known = f" (it has {', '.join(sorted(units))})" if units else " (its 'units' are empty)"
        raise TimeError(f"the network has no unit '{duration.unit}'{known}") from None


def instant(moment: Moment, trials: Sequence[Trial], units: Mapping[str, float]) -> float:
    """The moment in seconds.

    Raises Undecided where it hangs on something that the run decides (a boundary of protocol time, an open
    step), and TimeError where it can never be.
    """
    plus = moment.sign * seconds(moment.plus, units)
    if moment.anchor == "steady":
        return tick(plus)
    if moment.anchor in ("next", "nth"):
        seconds(Duration(1, moment.name), units)
        raise Undecided(str(moment))
    hits = [t for t in trials if moment.name in (t.step, t.name)]
    if not hits:
        raise Undecided(moment.name)
    if moment.anchor == "start":
        return tick(hits[0].start_s + plus)
    last = hits[-1]
    if last.end_s is None:
        raise TimeError(f"'{moment}': {last.name} lasts to the end of the run")
    if last.pending:
        raise Undecided(moment.name)
    return tick(last.end_s + plus)


def boundary(moment: Moment, units: Mapping[str, float], genesis_s: float) -> float:
    """A moment of protocol time (``next epoch``, ``epoch 3``, with ± a duration) in seconds on the timeline.

    ``genesis_s`` is the timeline instant at which unit 0 began (usually negative). ``next`` is the first
    boundary from which the moment is not before the steady state.
    """
    length = seconds(Duration(1, moment.name), units)
    plus = moment.sign * seconds(moment.plus, units)
    if moment.anchor == "nth":
        return tick(genesis_s + moment.number * length + plus)
    number = max(0, -(genesis_s + plus) // length)
    at = genesis_s + number * length + plus
    while at < 0 or genesis_s + number * length < 0:
        at, number = at + length, number + 1
    return tick(at)
