"""Substitutions in nodes' commands."""

import pytest

from faults.fault import NodeInfo
from faults.fields import Targets
from runner.networks.commands import UnknownName, lists_of, substitute, values_of
from runner.networks.description import Group

NODE = NodeInfo("v2", "validators", 2, zone="eu", stake=30, address="10.0.0.2")


def everyone():
    return {
        f"v{i}": values_of(
            NodeInfo(f"v{i}", "validators", i, address=f"10.0.0.{i}"),
            run="/run",
            data=f"/data/v{i}",
            ports={},
            saved={},
        )
        for i in (1, 2, 3)
    }


def test_a_nodes_own_facts_ports_and_saved_values_are_put_in():
    values = values_of(NODE, run="/r", data="/d", ports={"rpc": 26657}, saved={"key": "abc"})
    text = "$name $address $index $offset $zone $stake $data $run $port_rpc $key"
    assert substitute(text, values, {}) == "v2 10.0.0.2 2 1 eu 30 /d /r 26657 abc"


def test_a_dollar_is_written_twice_and_a_name_may_end_in_a_dot():
    values = {"name": "v2"}
    assert substitute("$$name costs $$5, $name.", values, {}) == "$name costs $5, v2."


def test_another_nodes_values_are_reached_through_its_name():
    assert substitute("$v3.address:26656", {"name": "v1"}, everyone()) == "10.0.0.3:26656"


@pytest.mark.parametrize(("text", "near"), [("$adress", "$address"), ("$v1.adress", "$address")])
def test_an_unknown_name_says_the_nearest(text, near):
    with pytest.raises(UnknownName, match=r"not known") as caught:
        substitute(text, everyone()["v1"], everyone())
    assert near in str(caught.value)


def test_a_list_joins_one_part_for_each_node_it_is_of():
    group = Group(
        "validators",
        ("v1", "v2"),
        lists={"cluster": {"of": Targets(of=("nodes",)), "each": "$name=http://$address:2380"}},
    )
    joined = lists_of(
        group, everyone(), lambda targets: ["v1", "v2", "v3"] if targets.of == ("nodes",) else []
    )
    assert joined == {"cluster": "v1=http://10.0.0.1:2380,v2=http://10.0.0.2:2380,v3=http://10.0.0.3:2380"}
