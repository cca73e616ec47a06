"""Who is hit: the order of narrowing, amounts, stake, busy and waiting nodes, the seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import nodes, pool

from faults.fault import ChoiceError, Undecided
from faults.fields import Amount, Targets, parse_amount
from faults.select import by_stake, deal, how_many, select


def whom(**fields):
    return Targets.model_validate(fields)


def test_by_default_everybody():
    assert select(whom(), pool(3)) == ("n1", "n2", "n3")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"of": "n2"}, ("n2",)),
        ({"of": ["n3", "n1"]}, ("n1", "n3")),
        ({"of": "n1*"}, ("n1", "n10")),
        ({"of": "boot"}, ("n1", "n2")),
        ({"of": ["boot", "n9"]}, ("n1", "n2", "n9")),
        ({"of": "split"}, ("n4", "n5")),
        ({"of": "split.a"}, ("n4",)),
        ({"zone": "us"}, ("n2", "n5", "n8")),
        ({"of": "boot", "zone": ["us", "ap"]}, ("n2",)),
        ({"host": "h1", "zone": "us"}, ("n2", "n8")),
        ({"label": {"tier": "front"}}, ("n1", "n2")),
        ({"of": "nodes", "but": ["full", "n1"]}, ("n2",)),
        ({"where": "leader"}, ("n3",)),
        ({"where": {"not": "leader"}}, ("n4",)),
        ({"where": "height >= 5"}, ("n4",)),
        ({"where": "state == Synced"}, ("n3",)),
        ({"where": "age < 1m"}, ("n4",)),
        ({"where": "age > 2 layers", "but": "n4"}, ("n3",)),
    ],
)
def test_fields_narrow(fields, expected):
    facts = {
        "n3": {"leader": True, "height": 3, "state": "synced", "age": 90},
        "n4": {"leader": False, "height": [7, "ab"], "state": "behind", "age": 40},
    }
    available = pool(
        nodes(10, groups={"boot": 2, "full": 8}),
        facts=facts,
        hits={"split": ("n4", "n5"), "split.a": ("n4",)},
        units={"layer": 15},
    )
    assert select(whom(**fields), available) == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"of": "n11"}, "nearest: n1"),
        ({"of": "minors"}, "nearest: miners"),
        ({"of": "v*"}, "begins with 'v'"),
        ({"zone": "mars"}, "nobody fits"),
        ({"of": "n1", "but": "n1"}, "nobody fits"),
        ({"pick": 11}, "only 10 to pick from"),
        ({"pick": "1%"}, "1% of 10 is nobody"),
        ({"pick": 10}, "all 10 of them"),
        ({"pick": "100%"}, "all 10 of them"),
        ({"of": ["n1", "n2"], "pick": "minority"}, "minority of 2 is nobody"),
        ({"of": ["n1", "n2", "n3"], "pick": "f"}, "f of 3 is nobody"),
    ],
)
def test_choices_that_cannot_be_made_say_why(fields, said):
    with pytest.raises(ChoiceError, match=said):
        select(whom(**fields), pool(10))


def test_where_needs_facts():
    with pytest.raises(Undecided):
        select(whom(where="leader"), pool(3))
    with pytest.raises(ChoiceError, match="nobody fits"):
        select(whom(where="leader"), pool(3, facts={"n1": {"leader": False}}))


def test_one_of_one_may_be_picked():
    assert select(whom(of="n1", pick=1), pool(3)) == ("n1",)


@pytest.mark.parametrize(
    ("amount", "size", "quorum", "expected"),
    [
        ("minority", 9, 2 / 3, 4),
        ("minority", 10, 2 / 3, 4),
        ("majority", 9, 2 / 3, 5),
        ("majority", 10, 2 / 3, 6),
        ("f", 4, 2 / 3, 1),
        ("f", 3, 2 / 3, 0),
        ("f", 6, 2 / 3, 1),
        ("f", 7, 2 / 3, 2),
        ("f+1", 7, 2 / 3, 3),
        ("f", 9, 2 / 3, 2),
        ("f", 5, 0.5, 2),
        ("f", 4, 0.5, 1),
        ("f+1", 5, 0.5, 3),
        ("30%", 10, 2 / 3, 3),
        ("25%", 10, 2 / 3, 3),
        ("24%", 10, 2 / 3, 2),
        ("33.3%", 3, 2 / 3, 1),
        ("3", 9, 2 / 3, 3),
    ],
)
def test_amounts(amount, size, quorum, expected):
    assert how_many(parse_amount(int(amount) if amount.isdigit() else amount), size, quorum) == expected


@given(st.integers(1, 200), st.sampled_from([0.5, 2 / 3, 0.75]))
def test_f_is_the_most_whose_loss_leaves_a_quorum(size, quorum):
    f = how_many(Amount("f"), size, quorum)
    if f:
        assert size - f > size * quorum + 1e-9
    assert not size - (f + 1) > size * quorum + 1e-9
    assert how_many(Amount("f+1"), size, quorum) == f + 1


@given(st.integers(1, 200))
def test_minority_is_under_half_and_majority_over_it(size):
    minority, majority = how_many(Amount("minority"), size), how_many(Amount("majority"), size)
    assert 2 * minority < size <= 2 * (minority + 1)
    assert 2 * (majority - 1) <= size < 2 * majority


stakes = st.lists(st.integers(1, 60), min_size=2, max_size=12)


@given(stakes, st.integers(0, 99), st.sampled_from(["minority", "majority", "f", "f+1", "30%", "60%"]))
def test_stake_is_weighed(weights, seed, amount):
    of = pool(nodes(len(weights), stakes=weights), seed)
    order = list(of.nodes)
    of.rng.shuffle(order)
    total, stake = sum(weights), {n.name: n.stake for n in of.nodes}
    chosen = by_stake(parse_amount(amount), order, total)
    weight, least = sum(stake[n] for n in chosen), min((stake[n] for n in chosen), default=0)
    if amount == "minority":
        assert 2 * weight < total
    elif amount == "majority":
        assert 2 * weight > total >= 2 * (weight - least)
    elif amount == "f":
        assert 3 * (total - weight) > 2 * total or not chosen
        rest = [s for n, s in stake.items() if n not in chosen]
        assert not any(3 * (total - weight - s) > 2 * total for s in rest)
    elif amount == "f+1":
        assert 3 * (total - weight) <= 2 * total < 3 * (total - weight + least)
    else:
        target = total * int(amount[:-1]) / 100
        rest = [s for n, s in stake.items() if n not in chosen]
        assert all(abs(weight - target) <= abs(weight + s - target) + 1e-9 for s in rest)


def test_busy_nodes_are_avoided_unless_named():
    busy = frozenset({"n1", "n2"})
    assert select(whom(of="nodes"), pool(4, busy=busy)) == ("n3", "n4")
    assert select(whom(of=["n1", "n3"]), pool(4, busy=busy)) == ("n1", "n3")
    assert select(whom(of="split"), pool(4, busy=busy, hits={"split": ("n1",)})) == ("n1",)
    assert select(whom(zone="eu"), pool(4, busy=busy)) == ("n4",)
    assert select(whom(of="nodes"), pool(4, busy=busy), avoid_busy=False) == ("n1", "n2", "n3", "n4")
    for seed in range(20):
        assert set(select(whom(pick=2), pool(4, seed, busy=busy))) == {"n3", "n4"}
        assert select(whom(of=["n1", "n2", "n3"], pick=1), pool(4, seed, busy=busy)) == ("n3",)
    with pytest.raises(ChoiceError, match="only 2 are not hit already"):
        select(whom(pick=3), pool(4, busy=busy))
    with pytest.raises(ChoiceError, match="hits all of them already"):
        select(whom(of="nodes", but=["n3", "n4"]), pool(4, busy=busy))


def test_waiting_nodes_are_hit_only_if_named():
    absent = frozenset({"n3"})
    assert select(whom(), pool(3, absent=absent)) == ("n1", "n2")
    assert select(whom(of=["n1", "n3"]), pool(3, absent=absent)) == ("n1", "n3")
    with pytest.raises(ChoiceError, match="waiting to be started"):
        select(whom(of="n*", but=["n1", "n2"]), pool(3, absent=absent))


@given(st.integers(2, 30), st.integers(0, 999), st.data())
def test_picks_are_by_the_seed_and_within_bounds(size, seed, data):
    count = data.draw(st.integers(1, size - 1))
    fields = whom(pick=count)
    chosen = select(fields, pool(size, seed))
    assert chosen == select(fields, pool(size, seed))
    assert len(set(chosen)) == count
    assert list(chosen) == sorted(chosen, key=lambda n: int(n[1:]))


def test_every_node_is_picked_for_some_seed():
    assert {select(whom(pick=1), pool(5, seed))[0] for seed in range(60)} == {f"n{i}" for i in range(1, 6)}


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 99))
def test_dealing_leaves_nobody_out_and_differs_by_one_at_most(size, sides, seed):
    from fractions import Fraction

    dealt = deal([f"n{i}" for i in range(size)], [Fraction(1, sides)] * sides, pool(1, seed).rng)
    assert sorted(n for side in dealt for n in side) == sorted(f"n{i}" for i in range(size))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
