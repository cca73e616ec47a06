"""Partitions: shapes, listed sides, nodes outside, refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import effect, fault, nodes, parts, pool
from pydantic import ValidationError

from faults.fault import ChoiceError, Hit
from faults.model import NetworkModel


def sides(written, of=10, seed=1, **rest):
    chosen = fault("partition", written).choose(pool(of, seed, **rest))
    return {name: set(members) for name, members in chosen.sides.items()}


@pytest.mark.parametrize(
    ("written", "sizes"),
    [
        ("halves", {"a": 5, "b": 5}),
        ("thirds", {"a": 4, "b": 3, "c": 3}),
        ("minority", {"small": 4, "big": 6}),
        ({"sides": ["30%", "rest"]}, {"a": 3, "b": 7}),
        ({"sides": {"small": "30%", "big": "rest"}}, {"small": 3, "big": 7}),
        ({"sides": {"big": "rest", "small": 2}}, {"big": 8, "small": 2}),
        ({"sides": ["50%", "25%", "25%"]}, {"a": 5, "b": 3, "c": 2}),
        ({"sides": [3, 3, "rest"]}, {"a": 3, "b": 3, "c": 4}),
        ({"sides": ["f", "f+1", "rest"]}, {"a": 3, "b": 4, "c": 3}),
        ({"sides": {"x": "n1", "y": ["n2", "n3"], "z": "rest"}}, {"x": 1, "y": 2, "z": 7}),
        ({"sides": {"few": {"zone": "us", "pick": 1}, "most": "rest"}}, {"few": 1, "most": 9}),
        ({"sides": {"x": "n1", "y": "40%", "z": "rest"}}, {"x": 1, "y": 4, "z": 5}),
    ],
)
def test_sizes_of_sides(written, sizes):
    assert {k: len(v) for k, v in sides(written).items()} == sizes


@pytest.mark.parametrize(
    "written", ["halves", "thirds", "minority", "random", "zones", {"sides": ["20%", "30%", "rest"]}]
)
@given(st.integers(4, 25), st.integers(0, 50))
def test_sides_part_the_network_and_are_its_components(written, size, seed):
    of = nodes(size)
    one = fault("partition", written)
    chosen = one.choose(pool(of, seed))
    names = [n.name for n in of]
    assert sorted(n for side in chosen.sides.values() for n in side) == sorted(names)
    assert {frozenset(s) for s in chosen.sides.values()} == set(effect(one, chosen, names).components())
    assert one.choose(pool(of, seed)) == chosen
    assert set(chosen.targets) == set(names)


def test_zones_are_sides_by_their_names():
    found = sides("zones", 7)
    assert found == {"eu": {"n1", "n4", "n7"}, "us": {"n2", "n5"}, "ap": {"n3", "n6"}}
    assert fault("partition", "zones").side_names() is None


def test_a_bridge_sees_both_sides():
    one = fault("partition", {"shape": "bridge", "over": "n5"})
    chosen = one.choose(pool(9))
    assert chosen.sides["bridge"] == ("n5",)
    assert "n5" not in chosen.targets
    model = effect(one, chosen, [f"n{i}" for i in range(1, 10)])
    assert model.is_cut(chosen.sides["a"][0], chosen.sides["b"][0])
    assert not any(model.is_cut("n5", n) or model.is_cut(n, "n5") for n in model.nodes)
    assert len(sides("bridge", 9)["bridge"]) == 1


@given(st.integers(4, 30), st.integers(0, 20))
def test_in_a_ring_each_sees_a_majority_and_no_two_the_same(size, seed):
    one = fault("partition", "majorities_ring")
    names = [f"n{i + 1}" for i in range(size)]
    model = effect(one, one.choose(pool(size, seed)), names)
    views = {n: frozenset(m for m in names if not model.is_cut(m, n)) for n in names}
    assert all(2 * len(v) > size for v in views.values())
    assert len(set(views.values())) == size
    assert all(model.is_cut(a, b) == model.is_cut(b, a) for a in names for b in names)
    assert len(model.components()) == 1


def test_a_node_that_came_into_a_ring_is_cut_both_ways():
    one = fault("partition", "majorities_ring")
    chosen = one.choose(pool(6))
    model = one.effect(NetworkModel(chosen.targets), Hit(chosen, 0, frozenset({"n1"})))
    far = [n for n in chosen.targets if model.is_cut("n1", n)]
    assert len(far) == 1
    assert model.is_cut(far[0], "n1")


def test_stake_is_weighed():
    of = nodes(6, stakes=[50, 10, 10, 10, 10, 10])
    for seed in range(20):
        found = sides({"shape": "halves", "by": "stake"}, of, seed)
        assert {frozenset(found["a"]), frozenset(found["b"])} == {
            frozenset({"n1"}),
            frozenset(f"n{i}" for i in range(2, 7)),
        }
        small = sides({"sides": {"small": "30%", "big": "rest"}, "by": "stake"}, of, seed)["small"]
        assert len(small) == 3
        assert "n1" not in small


@pytest.mark.parametrize(
    ("others", "expected"),
    [("rest", {"a": 2, "b": 8}), ("spread", {"a": 5, "b": 5}), ("bridge", {"a": 2, "b": 2, "bridge": 6})],
)
def test_nodes_outside_follow_others(others, expected):
    found = sides(
        {"shape": "halves", "of": "miners", "others": others}, nodes(10, groups={"miners": 4, "full": 6})
    )
    assert {k: len(v) for k, v in found.items()} == expected


def test_a_ring_lets_nodes_outside_see_everybody():
    one = fault("partition", {"shape": "majorities_ring", "of": "miners"})
    chosen = one.choose(pool(nodes(8, groups={"miners": 5, "full": 3})))
    assert set(chosen.targets) == {f"n{i}" for i in range(1, 6)}
    assert chosen.sides["bridge"] == ("n6", "n7", "n8")


def test_waiting_nodes_are_on_the_last_side_and_busy_ones_are_no_obstacle():
    found = sides("halves", 6, absent=frozenset({"n6"}), busy=frozenset({"n1", "n2", "n3"}))
    assert "n6" in found["b"]
    assert len(found["a"]) in (2, 3)
    assert found["a"] | found["b"] == {f"n{i}" for i in range(1, 7)}


@pytest.mark.parametrize(
    ("written", "size", "said"),
    [
        ("halves", 1, "side 'b' would be empty"),
        ("minority", 2, "side 'small' would be empty"),
        ("majorities_ring", 3, "at least 4"),
        ("zones", 1, "one zone"),
        ({"sides": [4, "rest"]}, 4, "side 'b' would be empty"),
        ({"sides": [5, "rest"]}, 4, "needs 5 nodes"),
        ({"sides": ["30%", "30%"]}, 10, "on no side"),
        ({"sides": {"x": "n1", "y": ["n1", "n2"], "z": "rest"}}, 4, "n1 would be on two sides, 'x' and 'y'"),
        ({"sides": {"x": "n9", "y": "rest"}}, 4, "no node, group or earlier step"),
        ({"sides": {"x": "f", "y": "rest"}}, 3, "side 'x' would be empty"),
    ],
)
def test_partitions_that_cannot_be_say_why(written, size, said):
    with pytest.raises(ChoiceError, match=said):
        sides(written, size)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "give a shape"),
        ({"shape": "halves", "sides": ["30%", "rest"]}, "one of both"),
        ({"shape": "halves", "over": "n1"}, "has none"),
        ({"sides": ["rest", "rest"]}, "only one side can be the rest"),
        ({"sides": ["30%"]}, "at least two"),
        ({"sides": {"bridge": "30%", "b": "rest"}}, "another name"),
        ({"sides": ["30x", "rest"]}, "'30x' is not an amount"),
        ({"sides": {"A": "30%", "b": "rest"}}, "pattern"),
        ({"sides": {"a": {"zones": "eu"}, "b": "rest"}}, "sides.a.zones"),
        ("quarters", "halves"),
    ],
)
def test_partitions_that_make_no_sense_are_refused_when_read(written, said):
    with pytest.raises(ValidationError, match=said):
        fault("partition", written)


def test_a_node_that_came_in_reaches_no_other_side_while_the_rest_goes_on():
    one = fault("partition", {"sides": {"x": ["n1", "n2"], "y": "rest"}})
    chosen = one.choose(pool(4))
    model = one.effect(NetworkModel(("n1", "n2", "n3", "n4")), Hit(chosen, 0, frozenset({"n1"})))
    assert parts(model) == [["n1", "n2", "n3", "n4"]]
    assert model.is_cut("n1", "n3")
    assert model.is_cut("n3", "n1")
    assert not model.is_cut("n2", "n3")


def test_who_counts_as_hit():
    one = fault("partition", {"sides": {"small": "30%", "big": "rest"}})
    chosen = one.choose(pool(10))
    assert one.harmed(chosen) == chosen.sides["small"]
    assert one.side_names() == {"small", "big", "bridge"}
    assert fault("partition", "thirds").side_names() == {"a", "b", "c", "bridge"}
