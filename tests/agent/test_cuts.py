"""Cuts as the nodes' own sockets see them, and that the kernel agrees with the model."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from witness import Lab, answers, cuts, host_pid, inside, wait_for

from faults.agent import nft
from faults.model import NetworkModel

pytestmark = pytest.mark.lab

NAMES = [f"n{i}" for i in range(1, 7)]
HALVES = [NAMES[:3], NAMES[3:]]


def both_ways(*pairs: tuple[str, str]) -> set[tuple[str, str]]:
    return {(a, b) for a, b in pairs} | {(b, a) for a, b in pairs}


def test_halves_and_healed(lab: Lab) -> None:
    across = both_ways(*((a, b) for a in HALVES[0] for b in HALVES[1]))
    lab.agent.change(1, cuts(HALVES, (0, 1), (1, 0)))
    assert lab.reach() == lab.everything() - across
    lab.agent.change(2)
    assert lab.reach(lab.everything()) == lab.everything()


def test_one_way(lab: Lab) -> None:
    lab.agent.change(1, cuts([["n1"], ["n2"]], (0, 1)))
    assert lab.reach() == lab.everything() - {("n1", "n2")}


def test_a_ring(lab: Lab) -> None:
    blocks = [[n] for n in NAMES]
    apart = [(i, j) for i in range(6) for j in range(6) if i != j and (i - j) % 6 not in (1, 5)]
    lab.agent.change(1, cuts(blocks, *apart))
    assert lab.reach() == {(a, NAMES[(i + s) % 6]) for i, a in enumerate(NAMES) for s in (1, 5)}


def test_members_of_a_block_cut_from_each_other(lab: Lab) -> None:
    lab.agent.change(1, cuts(HALVES, (0, 0)))
    inside = {(a, b) for a in HALVES[0] for b in HALVES[0] if a != b}
    assert lab.reach() == lab.everything() - inside


def test_one_cut_replaces_another(lab: Lab) -> None:
    lab.agent.change(1, cuts([["n1"], ["n2"]], (0, 1), (1, 0)))
    lab.agent.change(2, cuts([["n3"], ["n2"]], (0, 1), (1, 0)))
    assert lab.reach() == lab.everything() - both_ways(("n2", "n3"))


def test_no_cut_reaches_loopback_or_the_switch(lab: Lab) -> None:
    everybody = [NAMES]
    lab.agent.change(1, cuts(everybody, (0, 0)))
    assert lab.reach() == set()
    for node, to in (("n1", "127.0.0.1"), ("n1", lab.addresses["n1"]), ("@switch", lab.addresses["n2"])):
        assert answers(lab.agent, node, to), (node, to)


def test_an_established_stream_stops_and_goes_on(lab: Lab) -> None:
    server = lab.socket("n4", socket.SOCK_STREAM, 7000)
    client = lab.socket("n1", socket.SOCK_STREAM)
    with server, client:
        server.listen()
        client.connect((lab.addresses["n4"], 7000))
        stream, _ = server.accept()
        with stream:
            client.send(b"before")
            assert stream.recv(64) == b"before"
            lab.agent.change(1, cuts(HALVES, (0, 1), (1, 0)))
            client.send(b"during")
            assert not select.select([stream], [], [], 0.5)[0]
            lab.agent.change(2)
            assert select.select([stream], [], [], 5)[0]
            assert stream.recv(64) == b"during"


@contextlib.contextmanager
def packet_filter(lab: Lab):
    """Our own hands in the switch, behind the agent's back."""
    switch = os.open(f"/proc/{host_pid(lab.agent, lab.agent.ask('hello')['pid'])}/ns/net", os.O_RDONLY)
    by_hand = inside(switch, nft.Nft)
    yield by_hand
    by_hand.close()
    os.close(switch)


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        ([nft.delete_table("seatrial")], "table seatrial is gone"),
        ([nft.flush("seatrial", "cut")], "set of cuts"),
        ([nft.flush("seatrial", "block")], "map of nodes"),
        ([nft.flush("seatrial", "alive")], "keeps the cuts alive"),
        ([nft.rule("seatrial", "forward", nft.verdict(nft.ACCEPT))], "rules that cut"),
    ],
)
def test_what_others_take_away_is_reported_and_not_repaired(lab: Lab, damage: list, detail: str) -> None:
    lab.agent.ask("renew", lease=60)
    lab.agent.change(1, cuts(HALVES, (0, 1), (1, 0)))
    before = lab.agent.ask("hello")["now"]
    with packet_filter(lab) as by_hand:
        by_hand.commit(damage)
    lapsed = lab.agent.event("lapsed", what="cuts")
    assert detail in lapsed["detail"]
    assert lapsed["to"] is None
    assert abs(lapsed["from"] - before) < 1.0
    lab.agent.listen(0.3)
    if "rules" not in detail:
        assert lab.reach(lab.everything()) == lab.everything()
    across = both_ways(("n1", "n2"))
    lab.agent.change(2, cuts([["n1"], ["n2"]], (0, 1), (1, 0)))  # a new order is carried out in full
    assert lab.agent.event("lapsed", what="cuts")["to"] is not None
    assert lab.reach(lab.everything() - across) == lab.everything() - across
    lab.agent.listen(0.3)
    assert not [e for e in lab.agent.events if e["event"] in ("lapsed", "problem")]


def test_what_others_add_beside_ours_is_nobodys_business(lab: Lab) -> None:
    lab.agent.change(1, cuts(HALVES, (0, 1), (1, 0)))
    with packet_filter(lab) as by_hand:
        by_hand.commit([nft.table("other")])
        lab.agent.listen(0.4)
        by_hand.commit([nft.delete_table("other")])
    lab.agent.listen(0.4)
    assert not [e for e in lab.agent.events if e["event"] == "lapsed"]


def test_cuts_end_with_the_lease_even_if_nobody_of_ours_lives_on(lab: Lab) -> None:
    """All our processes stand still: the kernel lets traffic pass by itself."""
    pid = host_pid(lab.agent, lab.agent.ask("hello")["pid"])
    lab.agent.ask("renew", lease=1)
    lab.agent.change(1, cuts(HALVES, (0, 1), (1, 0)))
    os.kill(pid, signal.SIGSTOP)
    try:
        assert lab.reach() != lab.everything()
        assert wait_for(lambda: lab.reach() == lab.everything(), 5)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert lab.agent.event("lease")["left"] == []


@pytest.fixture(scope="module")
def shared_lab():
    from agent_client import Agent

    with Agent() as agent:
        made = Lab(agent, 6)
        agent.ask("renew", lease=600)
        yield made
        made.close()


subsets = st.sets(st.sampled_from(NAMES), min_size=1).map(frozenset)
generation = iter(range(1, 1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=st.lists(st.tuples(subsets, subsets), max_size=4))
def test_the_kernel_agrees_with_the_model(shared_lab: Lab, rules: list) -> None:
    model = NetworkModel(tuple(NAMES))
    for sources, targets in rules:
        model = model.with_cut(sources, targets)
    began = shared_lab.agent.change(next(generation), model.describe())
    assert began["problems"] == []
    wanted = {(a, b) for a, b in shared_lab.everything() if not model.is_cut(a, b)}
    assert shared_lab.reach(wanted) == wanted
