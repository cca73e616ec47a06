"""What every fault promises: effects commute, ending one leaves the others, units are independent of each
other.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import fault, pool

from faults.fault import Hit, catalogue
from faults.model import ClockCondition, NetworkModel, Status

SIZE = 8
NAMES = tuple(f"n{i + 1}" for i in range(SIZE))
WRITTEN = [
    ("partition", "halves"),
    ("partition", "thirds"),
    ("partition", "majorities_ring"),
    ("partition", {"shape": "bridge", "over": "n3"}),
    ("partition", {"sides": ["30%", "rest"], "of": ["n1", "n2", "n3", "n4"], "others": "spread"}),
    ("isolate", {"pick": 2}),
    ("isolate", "n1"),
    ("eclipse", {"of": "n7", "peers": ["n1", "n2"]}),
    ("cut", {"from": "n1", "to": {"zone": "us"}}),
    ("cut", {"between": [["n1", "n2"], "nodes"]}),
    ("kill", {"pick": "minority", "signal": "term"}),
    ("kill", {"of": "n1", "wipe": True}),
    ("pause", {"pick": 3}),
    ("clock", {"offset": "-2s..+2s"}),
    ("clock", {"of": ["n1", "n2"], "drift": "+500ppm"}),
    ("clock", {"of": "n2", "freeze": True}),
    ("clock", {"of": "n1", "strobe": "200ms", "every": "100ms"}),
    ("restart", {"pick": 2}),
    ("start", "n5"),
]


@st.composite
def hits(draw):
    """A fault, and an instant of it with all or some of its units in."""
    one = fault(*draw(st.sampled_from(WRITTEN)))
    chosen = one.choose(pool(SIZE, draw(st.integers(0, 5))))
    units = one.units(chosen)
    some = draw(st.none() | st.frozensets(st.sampled_from(units))) if units else None
    return one, Hit(chosen, draw(st.integers(0, 9)) / 2, some)


def folded(faults):
    model = NetworkModel(NAMES)
    for one, hit in faults:
        model = one.effect(model, hit)
    return model


def test_every_fault_is_among_the_samples():
    assert {kind for kind, _ in WRITTEN} == set(catalogue())


@given(st.lists(hits(), max_size=5), st.randoms())
def test_effects_commute(faults, random):
    other = list(faults)
    random.shuffle(other)
    assert folded(other).describe() == folded(faults).describe()


@given(st.lists(hits(), min_size=1, max_size=5), st.data())
def test_ending_one_leaves_exactly_the_others(faults, data):
    ended = data.draw(st.integers(0, len(faults) - 1))
    left = faults[:ended] + faults[ended + 1 :]
    model = folded(left)
    alone = [folded([f]) for f in left]
    for a in NAMES:
        worst = max((m.status_of(a).status for m in alone), default=Status.RUNNING)
        assert model.status_of(a).status is worst
        clock = sum((m.clocks.get(a, ClockCondition()) for m in alone), ClockCondition())
        assert model.clocks.get(a, ClockCondition()).offset_s == pytest.approx(clock.offset_s)
        assert model.clocks.get(a, ClockCondition()).frozen_since == clock.frozen_since
        for b in NAMES:
            assert model.is_cut(a, b) == any(m.is_cut(a, b) for m in alone)


@settings(max_examples=60)
@given(st.sampled_from(WRITTEN), st.integers(0, 5), st.data())
def test_units_suffer_the_same_whichever_others_are_in(written, seed, data):
    one = fault(*written)
    chosen = one.choose(pool(SIZE, seed))
    units = list(one.units(chosen))
    half = frozenset(data.draw(st.lists(st.sampled_from(units), unique=True)))
    apart = [(one, Hit(chosen, 1.0, half)), (one, Hit(chosen, 1.0, frozenset(units) - half))]
    assert folded(apart).describe() == folded([(one, Hit(chosen, 1.0, frozenset(units)))]).describe()
    assert folded(apart).describe() == folded([(one, Hit(chosen, 1.0))]).describe()


@pytest.mark.parametrize("written", WRITTEN, ids=str)
def test_choices_and_effects_hang_on_the_seed_alone(written):
    one, again = fault(*written), fault(*written)
    assert one == again
    chosen = one.choose(pool(SIZE, 3))
    assert chosen == again.choose(pool(SIZE, 3))
    assert one.claims()
    assert set(one.harmed(chosen)) <= set(NAMES)
    sides = one.side_names()
    assert sides is None or set(chosen.sides) <= sides
