"""The one line of a clock, against the formula of the model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.agent.clockline import compile_line, error_at, shown
from faults.model import ClockCondition

AHEAD_NS = 1_795_000_000 * 10**9
NS = 10**9
seconds = st.integers(0, 3_600_000).map(lambda ms: ms / 1000)
offsets = st.integers(-86_400_000, 86_400_000).map(lambda ms: ms / 1000)
drifts = st.lists(st.tuples(seconds, st.integers(-1000, 1000).map(float)), max_size=3).map(tuple)
strobes = st.lists(
    st.tuples(seconds, offsets.filter(bool), st.integers(1, 60_000).map(lambda ms: ms / 1000)), max_size=1
).map(tuple)


def described(c: ClockCondition) -> dict:
    return {
        "offset_s": c.offset_s,
        "drifts": [list(d) for d in c.drifts],
        "strobes": [list(s) for s in c.strobes],
        "frozen_since": c.frozen_since,
    }


@given(offset=offsets, drift=drifts, strobe=strobes, frozen=st.none() | seconds, later=seconds)
def test_the_line_shows_what_the_model_says(offset, drift, strobe, frozen, later) -> None:
    condition = ClockCondition(offset, drift, strobe, frozen)
    line = compile_line(described(condition), AHEAD_NS)
    start = max([frozen or 0, *(s for s, _ in drift), *(s for s, _, _ in strobe)])
    t = start + later
    for since, _, half in strobe:  # beside the jumps, where rounding decides
        if min((t - since) % half, half - (t - since) % half) < 1e-4:
            return
        if frozen is not None and min((frozen - since) % half, half - (frozen - since) % half) < 1e-4:
            return
    wanted = condition.error_at(t)
    assert error_at(described(condition), t) == wanted
    wall = round(t * NS) + AHEAD_NS
    error_ns = shown(line, wall) - wall if line else 0
    # 2^-33 of an hour and a few roundings of floats that count days in nanoseconds
    assert abs(error_ns - wanted * NS) < 2_000 + 2e-10 * later * NS * (1 + len(drift))


def test_no_error_is_no_line() -> None:
    assert compile_line({}, AHEAD_NS) is None
    assert compile_line(described(ClockCondition()), AHEAD_NS) is None
    assert compile_line(described(ClockCondition(drifts=((0.0, 100.0), (0.0, -100.0)))), AHEAD_NS) is None


def test_a_frozen_clock_stands_still() -> None:
    line = compile_line(described(ClockCondition(offset_s=5, frozen_since=100.0)), AHEAD_NS)
    assert line
    for t in (100, 101, 5000):
        assert shown(line, t * NS + AHEAD_NS) == 105 * NS + AHEAD_NS


def test_two_strobes_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="one strobe at a time"):
        compile_line({"strobes": [[0, 1, 1], [0, 2, 3]]}, AHEAD_NS)
