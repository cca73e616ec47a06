"""Isolation, eclipse and cuts."""

import pytest
from pools import effect, fault, nodes, parts, pool
from pydantic import ValidationError

from faults.fault import ChoiceError, Hit
from faults.model import NetworkModel

NAMES = [f"n{i}" for i in range(1, 7)]


def test_the_isolated_reach_nobody_and_the_rest_goes_on():
    one = fault("isolate", ["n2", "n5"])
    chosen = one.choose(pool(6))
    assert chosen.sides["rest"] == ("n1", "n3", "n4", "n6")
    assert parts(effect(one, chosen, NAMES)) == [["n1", "n3", "n4", "n6"], ["n2"], ["n5"]]
    assert one.claims() == {"cut"}


def test_many_isolated_nodes_are_two_blocks():
    one = fault("isolate", {"pick": 40})
    chosen = one.choose(pool(100))
    names = [f"n{i}" for i in range(1, 101)]
    assert len(effect(one, chosen, names).describe()["cuts"]["blocks"]) == 2


def test_the_eclipsed_see_only_their_peers():
    one = fault("eclipse", {"of": "n4", "peers": ["n1", "n2"]})
    chosen = one.choose(pool(6))
    assert (chosen.targets, chosen.sides["peers"], chosen.sides["rest"]) == (
        ("n4",),
        ("n1", "n2"),
        ("n3", "n5", "n6"),
    )
    model = effect(one, chosen, NAMES)
    assert (
        [n for n in NAMES if model.is_cut("n4", n)]
        == [n for n in NAMES if model.is_cut(n, "n4")]
        == ["n3", "n5", "n6"]
    )
    assert not model.is_cut("n1", "n3")


def test_two_eclipsed_nodes_do_not_see_each_other():
    one = fault("eclipse", {"of": ["n3", "n4"], "peers": "attackers"})
    chosen = one.choose(pool(nodes(6, groups={"attackers": 2, "honest": 4})))
    model = effect(one, chosen, NAMES)
    assert model.is_cut("n3", "n4")
    assert model.is_cut("n4", "n3")


def test_an_eclipse_that_hides_nobody_is_refused():
    with pytest.raises(ChoiceError, match="nobody to hide"):
        fault("eclipse", {"of": "n1", "peers": "nodes"}).choose(pool(3))
    with pytest.raises(ValidationError, match="peers"):
        fault("eclipse", {"of": "n1"})


def test_a_cut_from_to_goes_one_way():
    one = fault("cut", {"from": "n1", "to": {"zone": "us"}})
    chosen = one.choose(pool(6))
    assert chosen.sides == {"from": ("n1",), "to": ("n2", "n5")}
    model = effect(one, chosen, NAMES)
    assert [(a, b) for a in NAMES for b in NAMES if model.is_cut(a, b)] == [("n1", "n2"), ("n1", "n5")]
    assert one.units(chosen) == (("n1", "n2"), ("n1", "n5"))
    assert len(model.components()) == 1
    assert one.side_names() == {"from", "to"}


def test_a_cut_between_goes_both_ways_and_lists_each_link_once():
    one = fault("cut", {"between": [["n1", "n2"], "nodes"]})
    chosen = one.choose(pool(4))
    assert one.units(chosen) == (("n1", "n2"), ("n1", "n3"), ("n1", "n4"), ("n2", "n3"), ("n2", "n4"))
    assert parts(effect(one, chosen, NAMES[:4])) == [["n3", "n4"], ["n1"], ["n2"]]
    assert one.harmed(chosen) == ("n1", "n2")


def test_links_come_in_one_by_one():
    one = fault("cut", {"between": ["n1", ["n2", "n3"]]})
    chosen = one.choose(pool(3))
    model = one.effect(NetworkModel(("n1", "n2", "n3")), Hit(chosen, 0, frozenset({("n1", "n3")})))
    assert model.is_cut("n1", "n3")
    assert model.is_cut("n3", "n1")
    assert not model.is_cut("n1", "n2")


@pytest.mark.parametrize(
    "written",
    [
        {"from": "n1"},
        {"to": "n1"},
        {},
        {"from": "n1", "to": "n2", "between": ["n1", "n2"]},
        {"between": ["n1"]},
        "n1",
    ],
)
def test_cuts_that_make_no_sense_are_refused(written):
    with pytest.raises(ValidationError):
        fault("cut", written)


def test_a_node_has_no_link_to_itself():
    with pytest.raises(ChoiceError, match="no link to itself"):
        fault("cut", {"between": ["n1", "n1"]}).choose(pool(3))
