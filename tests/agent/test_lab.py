"""Nodes in namespaces of their own reach each other, and nothing else than the switch joins them."""

from __future__ import annotations

import socket

import pytest
from agent_client import Agent, Refused, node
from witness import Lab, answers

from faults.agent.lab import address

pytestmark = pytest.mark.lab


def test_addresses_skip_the_ends_of_a_net() -> None:
    assert [address(i) for i in (1, 2, 254, 255, 508, 509)] == [
        "10.77.0.1",
        "10.77.0.2",
        "10.77.0.254",
        "10.77.1.1",
        "10.77.1.254",
        "10.77.2.1",
    ]
    every = {address(i) for i in range(1, 65025)}
    assert len(every) == 65024
    assert not [a for a in every if a.endswith((".0", ".255"))]
    for beyond in (0, 65025):
        with pytest.raises(ValueError, match="65024"):
            address(beyond)


def test_everybody_reaches_everybody(anyones: Agent) -> None:
    lab = Lab(anyones, 5)
    assert lab.reach(lab.everything()) == lab.everything()
    lab.close()


def test_a_node_sees_one_interface_its_loopback_and_no_ipv6(lab: Lab) -> None:
    assert lab.inside("n1", socket.if_nameindex) == [(1, "lo"), (2, "eth0")]

    def loopback() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), 1).close()
        return True

    def sixth() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
            one.bind(("::1", 0))

    assert lab.inside("n1", loopback)
    with pytest.raises(OSError, match="assign"):
        lab.inside("n1", sixth)


def test_nodes_are_added_to_a_lab_that_runs(agent: Agent) -> None:
    assert agent.ask("create", nodes=[node("a")]) == {"addresses": {"a": "10.77.0.1"}}
    assert agent.ask("create", nodes=[node("b")]) == {"addresses": {"b": "10.77.0.2"}}
    agent.ask("start", nodes=["a", "b"])
    assert answers(agent, "b", "10.77.0.1")


def test_many_nodes_at_once(agent: Agent) -> None:
    """More than one message, batch and /24 hold."""
    made = agent.ask("create", nodes=[node(f"n{i}") for i in range(1, 421)])["addresses"]
    assert made["n420"] == address(420)
    for one in ("n1", "n255", "n420"):
        for other in ("n1", "n255", "n420"):
            assert answers(agent, one, made[other]), (one, other)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("a"), node("a")], "two nodes 'a'"),
        ([node("@switch")], "no name for a node"),
        ([node("a", restarts="often")], "'never' or 'always'"),
        ([{"run": ["x"]}], "'name' is missing"),
    ],
)
def test_what_cannot_be_created_is_refused_in_words(agent: Agent, nodes: list, said: str) -> None:
    with pytest.raises(Refused, match=said) as refused:
        agent.ask("create", nodes=nodes)
    assert refused.value.kind == "refused"
    assert agent.ask("members") == {}
