"""What the measurements of one claim of a fault come to; and times in words."""

from __future__ import annotations

from dataclasses import dataclass

from runner.records.verdict import Evidence

TOLERANCE_S = 0.15
"""Around commanded changes: heartbeats are 50 ms apart, and a change of the kernel takes its time."""


@dataclass(frozen=True)
class Measured:
    """One claim in one interval. ``effective`` and ``healed`` are None where that was not measured; moments
    on the run's clock.

    ``why`` says why it is not measured, ``why_left`` why it is not (known to be) gone.
    """

    effective: bool | None
    healed: bool | None
    effective_at: float | None = None
    healed_at: float | None = None
    evidence: tuple[Evidence, ...] = ()
    why: str = ""
    why_left: str = ""


def span(start: float, end: float, zero: float) -> str:
    """``from 12.31 s to 14.02 s`` on the timeline."""
    return f"from {start - zero:.2f} s to {end - zero:.2f} s"
