"""The eye against a real kernel: reachability, sockets and streams between namespaces."""

import os
import signal
import socket
import time

import pytest
from eye_lab import EyeClient, Lab, address, in_thread, possible

from faults.agent.eye import start
from faults.agent.eye.beats import Beats
from faults.agent.eye.loop import Timer
from faults.agent.eye.namespaces import Node, Nodes
from faults.agent.eye.sockets import Table, shape

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not possible(), reason="network namespaces cannot be made here"),
]
ALL = ["n0", "n1", "n2", "n3"]


@pytest.fixture
def lab():
    made = Lab(4)
    yield made
    made.close()


@pytest.fixture
def eye(lab):
    client = EyeClient(lab)
    yield client
    assert client.close() == 0


def connect(lab, a, b, port=4000):
    """A connection from a to b: the listening socket and both ends."""
    listening = lab.inside(b, lambda: socket.create_server(("", port)))
    near = lab.inside(a, lambda: socket.create_connection((address(b), port), 5))
    return listening, near, listening.accept()[0]


def beat(eye, a, b, through):
    return eye.event("beat", lambda e: e["pair"] == [a, b] and e["through"] is through)


def test_a_one_way_cut_is_seen_by_heartbeats_with_its_moments(lab, eye):
    assert eye.ask("watch", pairs=[["n0", "n1"], ["n1", "n0"]]) == {"pairs": 2}
    beat(eye, "n0", "n1", True)
    beat(eye, "n1", "n0", True)
    before = time.monotonic()
    lab.cut((0, 1))
    lost = beat(eye, "n0", "n1", False)
    assert before < lost["since"] < lost["at"]
    cut = time.monotonic()
    lab.heal((0, 1))
    back = beat(eye, "n0", "n1", True)
    assert cut < back["since"] < back["at"]
    assert not [e for e in eye.listen(0.3) if e["event"] == "beat"]  # the other way nothing happened


def test_the_tcp_connect_that_heartbeats_replace_would_blame_both_ways(lab, eye):
    listening = lab.inside(1, lambda: socket.create_server(("", 4000)))
    back = lab.inside(0, lambda: socket.create_server(("", 4000)))
    lab.cut((0, 1))
    assert not eye.ask("probe", node="n0", to=address(1), port=4000, kind="tcp", timeout=0.3)["open"]
    assert not eye.ask("probe", node="n1", to=address(0), port=4000, kind="tcp", timeout=0.3)["open"]
    assert eye.ask("sweep", nodes=["n0", "n1"])["reach"] == {"blocks": [["n0"], ["n1"]], "cut": [[0, 1]]}
    listening.close()
    back.close()


def test_a_sweep_shows_exactly_what_is_cut(lab, eye):
    assert eye.ask("sweep")["reach"] == {"blocks": [ALL], "cut": []}
    lab.cut((0, 2), (0, 3), (1, 2), (1, 3), (3, 0))
    assert eye.ask("sweep")["reach"] == {
        "blocks": [["n0"], ["n1"], ["n2"], ["n3"]],
        "cut": [[0, 2], [0, 3], [1, 2], [1, 3], [3, 0]],
    }
    assert eye.ask("sweep", nodes=["n1", "n0"])["reach"] == {"blocks": [["n0", "n1"]], "cut": []}
    lab.heal((3, 0))
    reach = eye.ask("sweep")["reach"]
    assert reach == {"blocks": [["n0", "n1"], ["n2", "n3"]], "cut": [[0, 1]]}


def test_a_node_without_its_link_is_cut_both_ways(lab, eye):
    lab.link(2, "down")
    assert eye.ask("sweep")["reach"] == {
        "blocks": [["n0", "n1", "n3"], ["n2"]],
        "cut": [[0, 1], [1, 0]],
    }


def test_strangers_on_our_ports_change_nothing(lab, eye):
    eye.ask("watch", pairs=[["n0", "n1"]])
    beat(eye, "n0", "n1", True)
    eye.ask("sweep")
    lab.cut((0, 1))
    stray = lab.inside(2, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for size in (0, 1, 7, 8, 16, 100):
        stray.sendto(bytes(size), (address(1), 9))
        stray.sendto(bytes(size), (address(1), 19))
    beat(eye, "n0", "n1", False)
    assert eye.ask("sweep")["reach"]["cut"] == [[0, 1]]
    stray.close()


def test_our_own_stall_is_not_a_cut(lab, eye):
    eye.ask("watch", pairs=[["n0", "n1"]])
    beat(eye, "n0", "n1", True)
    flood = lab.inside(2, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    os.kill(eye.pid, signal.SIGSTOP)
    for _ in range(2000):
        flood.sendto(b"x" * 64, (address(1), 9))  # the receiver's buffer is full when the eye goes on
    time.sleep(0.6)
    os.kill(eye.pid, signal.SIGCONT)
    assert not [e for e in eye.listen(0.8) if e["event"] == "beat"]
    flood.close()


def test_what_was_under_way_in_a_stall_is_given_its_time(lab, monkeypatch):
    """With the clock in our hand: what is missing after a long stall is not lost at once."""
    clock = [100.0]
    monkeypatch.setattr("faults.agent.eye.beats.monotonic", lambda: clock[0])
    ticks = []

    class Turns:
        def at(self, when, call):
            ticks.append(call)
            return Timer(call)

    events = []

    def tick(seconds):
        clock[0] += seconds
        ticks.pop()()

    def story():
        nodes = Nodes()
        nodes.put(lab.described())
        beats = Beats(Turns(), nodes, events.append)
        beats.watch([("n0", "n1")], 20)
        tick(0)
        lab.cut((0, 1))
        tick(0.05)
        tick(10)
        assert [e["through"] for e in events] == [True]
        for _ in range(4):
            tick(0.05)
        assert [(e["through"], e["since"]) for e in events] == [(True, 100.0), (False, pytest.approx(100.05))]
        beats.close()
        nodes.close()

    in_thread(story)


def test_a_cut_that_falls_into_a_stall_is_still_seen(lab, eye):
    eye.ask("watch", pairs=[["n0", "n1"]])
    beat(eye, "n0", "n1", True)
    os.kill(eye.pid, signal.SIGSTOP)
    lab.cut((0, 1))
    time.sleep(0.5)
    os.kill(eye.pid, signal.SIGCONT)
    assert beat(eye, "n0", "n1", False)


def test_a_new_namespace_under_the_same_name(lab, eye):
    eye.ask("watch", pairs=[["n0", "n1"]])
    beat(eye, "n0", "n1", True)
    eye.ask("sweep")
    lab.renew(1)
    beat(eye, "n0", "n1", False)
    eye.ask("nodes", nodes=lab.described(1))
    beat(eye, "n0", "n1", True)
    assert eye.ask("sweep")["reach"] == {"blocks": [ALL], "cut": []}
    assert eye.ask("sockets")["listening"]["n1"] == []


def test_a_port_that_a_program_has_is_named(lab, eye):
    taken = lab.inside(1, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    taken.bind((address(1), 9))
    error = eye.refused("watch", pairs=[["n0", "n1"]])
    assert error["kind"] == "failed"
    assert "n1" in error["error"]
    assert "port 9" in error["error"]
    taken.close()
    assert eye.ask("watch", pairs=[["n0", "n1"]]) == {"pairs": 1}


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        ({"do": "watch", "pairs": [["n0", "who"]]}, "missing", "'who'"),
        ({"do": "watch", "pairs": [["n0", "n0"]]}, "refused", "n0 twice"),
        ({"do": "watch"}, "refused", "'pairs'"),
        ({"do": "dance"}, "refused", "'dance'"),
        ({"do": "sweep", "wait": "long"}, "refused", "'wait'"),
        ({"do": "streams", "of": {"blocks": [["n0"]], "cut": [[0, 3]]}}, "refused", "'blocks'"),
        ({"do": "fetch", "gets": [{"key": "a", "node": "n0", "port": 0, "path": "/"}]}, "refused", "port"),
        ({"do": "fetch", "gets": [{"key": "a", "node": "n0", "port": 1, "path": "/a b"}]}, "refused", "path"),
        ({"do": "tail", "files": {}, "patterns": {"p": {"match": "("}}}, "refused", "pattern p"),
        ({"do": "nodes", "nodes": [{"name": "x", "address": "1.2.3.4", "ns": "/no"}]}, "missing", "/no"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(eye, request_, kind, words):
    error = eye.refused(**request_)
    assert error["kind"] == kind
    assert words in error["error"]


def test_the_graph_of_sockets_is_the_truth(lab, eye):
    made = [connect(lab, 0, 1), connect(lab, 2, 1, 4001), connect(lab, 3, 0, 4002)]
    six = lab.inside(
        2, lambda: socket.create_server(("::", 4003), family=socket.AF_INET6, dualstack_ipv6=True)
    )
    near = lab.inside(3, lambda: socket.create_connection((address(2), 4003), 5))
    made.append((six, near, six.accept()[0]))
    here = lab.inside(0, lambda: socket.create_server(("127.0.0.1", 4004)))
    local = lab.inside(0, lambda: socket.create_connection(("127.0.0.1", 4004)))
    made[0][1].sendall(b"x" * 100)
    made[0][2].recv(100, socket.MSG_WAITALL)
    seen = eye.ask("sockets")
    assert [e[:2] for e in seen["edges"]] == [["n0", "n1"], ["n0", "n3"], ["n1", "n2"], ["n2", "n3"]]
    assert seen["half"] == []
    assert seen["edges"][0][3] == 101  # the connection's beginning counts as a byte
    assert seen["listening"] == {"n0": [4002, 4004], "n1": [4000, 4001], "n2": [4003], "n3": []}
    assert eye.ask("sockets", nodes=["n1", "n2"])["edges"][0][:2] == ["n1", "n2"]
    for sock in [s for three in made for s in three] + [here, local]:
        sock.close()


def test_an_edge_is_as_lively_as_the_deafer_end_of_its_liveliest_connection():
    nodes = {i: Node(f"n{i}", i, address(i), -1, (0, 0)) for i in range(2)}
    ends = {
        (0, b"aa", 1, b"bb"): (10, 5),
        (1, b"bb", 0, b"aa"): (4000, 6),
        (0, b"cc", 1, b"bb"): (3500, 7),
        (1, b"bb", 0, b"cc"): (20, 8),
        (0, b"dd", 1, b"bb"): (1, 100),
    }
    table = Table(50.0, nodes, ends, {})
    graph = table.graph()
    assert (graph["edges"], graph["half"]) == ([["n0", "n1", 3500, 26]], [])
    assert table.graph(since=46.0)["edges"]
    assert not table.graph(since=47.0)["edges"]
    del ends[0, b"dd", 1, b"bb"]
    ends[1, b"bb", 0, b"cc"] = ends[0, b"cc", 1, b"bb"] = (2000, 9)
    assert shape(table.graph()) != shape(graph)  # fresh again


def test_a_connection_that_one_end_has_forgotten_is_half(lab, eye):
    listening, near, far = connect(lab, 0, 1)
    lab.cut((0, 1), (1, 0))
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    far.close()  # its reset is lost in the cut
    seen = eye.ask("sockets")
    assert (seen["edges"], seen["half"]) == ([], [["n0", "n1"]])
    listening.close()
    near.close()


def test_our_own_connections_are_not_edges(lab, eye):
    # A program that takes the connection and says nothing: the eye's question stays under way.
    listening = lab.inside(1, lambda: socket.create_server(("", 4000)))
    number = eye.send(
        "fetch",
        gets=[{"key": "a", "node": "n0", "host": address(1), "port": 4000, "path": "/"}],
        timeout=0.5,
    )
    far = listening.accept()[0]
    assert far.recv(4) == b"GET "
    seen = eye.ask("sockets")
    assert (seen["edges"], seen["half"]) == ([], [])
    assert eye.reply(number)["ok"]["a"]["why"] == "timeout"
    far.close()
    listening.close()


def test_established_streams_stall_in_a_cut_and_go_on_after_it(lab, eye):
    listening, near, far = connect(lab, 0, 1)
    near.setblocking(False)
    of = {"blocks": [["n0"], ["n1", "n2"]], "cut": [[0, 1]]}

    def acked():
        return {tuple(s[:2]): s[3] for s in eye.ask("streams", of=of)["streams"]}

    def push():
        near.send(b"x" * 1000)
        time.sleep(0.05)
        return acked()["n0", "n1"]

    first = push()
    assert push() > first
    lab.cut((0, 1))
    stalled = push()
    assert push() == stalled
    assert eye.ask("streams", of={"blocks": [["n0"], ["n2"]], "cut": [[0, 1], [1, 0]]})["streams"] == []
    lab.heal((0, 1))
    end = time.monotonic() + 10
    while acked()["n0", "n1"] == stalled:
        assert time.monotonic() < end
        time.sleep(0.05)
    for sock in (listening, near, far):
        sock.close()


def test_a_probe_says_why(lab, eye):
    listening = lab.inside(1, lambda: socket.create_server(("", 4000)))
    ask = {"node": "n0", "to": "n1", "kind": "tcp"}
    assert eye.ask("probe", port=4000, **ask) == {"open": True, "why": None}
    assert eye.ask("probe", port=4001, **ask) == {"open": False, "why": "refused"}
    lab.cut((1, 0))
    assert eye.ask("probe", port=4000, timeout=0.2, **ask) == {"open": False, "why": "timeout"}
    listening.close()


def test_the_end_of_the_stream_ends_the_eye_and_its_ports(lab):
    first = EyeClient(lab)
    first.ask("watch", pairs=[["n0", "n1"]])
    first.ask("sweep")
    assert first.close() == 0
    second = EyeClient(lab)
    assert second.ask("watch", pairs=[["n0", "n1"]]) == {"pairs": 1}
    assert second.close() == 0


def test_the_eye_does_not_outlive_the_process_that_started_it():
    ours, its = socket.socketpair()
    middle = os.fork()
    if middle == 0:
        start(its)
        signal.pause()
    its.close()
    ours.settimeout(10)
    ours.sendall(b'{"id": 1, "do": "watch", "pairs": []}\n')
    assert b'"ok"' in ours.recv(1000)
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    assert ours.recv(1) == b""  # though this end is still open
    ours.close()
