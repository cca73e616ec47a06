"""A clock condition of the model made into the one line that the patched clocks compute. Pure.

The model's parts are (seconds on the agent's monotonic clock): a constant offset, drifts each from its
instant, strobes, and a freeze. The line is ``fake = x + ((x - ref) * rate >> 32) + (odd half period ? strobe
: 0) + offset`` in nanoseconds of CLOCK_REALTIME.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

_ONE = 1 << 32
_NS = 1_000_000_000


class Line(TypedDict):
    """What the keeper is told; all in nanoseconds of CLOCK_REALTIME but ``rate_q32`` (parts of 2^32)."""

    offset_ns: int
    rate_q32: int
    ref_ns: int
    strobe_half_ns: int
    strobe_ns: int


def compile_line(clock: Mapping[str, Any], wall_minus_monotonic_ns: int) -> Line | None:
    """The line of a condition of the protocol (``{"offset_s", "drifts", "strobes", "frozen_since"}``).

    None where it is no error at all.     Drifts from several instants become one rate from one instant and
    the offset that makes up for the difference. A freeze is the rate -1 from its instant, with what the clock
    showed then. Raises ValueError for more than one strobe.
    """
    offset_s = float(clock.get("offset_s") or 0.0)
    drifts = [(float(since), float(ppm)) for since, ppm in clock.get("drifts") or ()]
    strobes = [(float(s), float(a), float(h)) for s, a, h in clock.get("strobes") or () if a]
    frozen = clock.get("frozen_since")
    if frozen is not None:
        shown = error_at(clock, float(frozen))
        return Line(
            offset_ns=round(shown * _NS),
            rate_q32=-_ONE,
            ref_ns=_wall(float(frozen), wall_minus_monotonic_ns),
            strobe_half_ns=0,
            strobe_ns=0,
        )
    if len(strobes) > 1:
        raise ValueError("a clock can have one strobe at a time; two overlap here")
    rate = sum(ppm for _, ppm in drifts) * 1e-6
    if strobes:
        since, amplitude, half = strobes[0]
        ref, strobe_ns, half_ns = since, round(amplitude * _NS), round(half * _NS)
    else:
        ref, strobe_ns, half_ns = (max(s for s, _ in drifts) if drifts else 0.0), 0, 0
    at_ref = offset_s + sum((ref - since) * ppm * 1e-6 for since, ppm in drifts)
    line = Line(
        offset_ns=round(at_ref * _NS),
        rate_q32=round(rate * _ONE),
        ref_ns=_wall(ref, wall_minus_monotonic_ns) if strobes or drifts else 0,
        strobe_half_ns=half_ns,
        strobe_ns=strobe_ns,
    )
    return line if line["offset_ns"] or line["rate_q32"] or line["strobe_ns"] else None


def error_at(clock: Mapping[str, Any], t: float) -> float:
    """Seconds that the clock is ahead at monotonic instant ``t``, by the model's own formula."""
    frozen = clock.get("frozen_since")
    at = t if frozen is None else min(t, float(frozen))
    error = float(clock.get("offset_s") or 0.0)
    error += sum(max(0.0, at - since) * ppm * 1e-6 for since, ppm in clock.get("drifts") or ())
    for since, amplitude, half in clock.get("strobes") or ():
        if int(max(0.0, at - since) / half + 1e-9) % 2:
            error += amplitude
    return float(error - (t - at))


def shown(line: Line, wall_ns: int) -> int:
    """What a patched clock shows when the true one is at ``wall_ns``: the formula that the patch computes."""
    away = wall_ns - line["ref_ns"]
    fake = wall_ns + (away * line["rate_q32"] >> 32) + line["offset_ns"]
    if line["strobe_half_ns"] and abs(away) // line["strobe_half_ns"] % 2:
        fake += line["strobe_ns"]
    return fake


def _wall(monotonic_s: float, wall_minus_monotonic_ns: int) -> int:
    return round(monotonic_s * _NS) + wall_minus_monotonic_ns
