"""What the faults do, seen by programs of this host that have nothing to do with the runner."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.system.conftest import Trial

pytestmark = [pytest.mark.system, pytest.mark.lab, pytest.mark.root]

# Each writes the host's monotonic time of every byte that arrives.
LISTEN = """
import socket, sys, time
with socket.create_server(("0.0.0.0", 4444)) as server:
    link, _ = server.accept()
    while link.recv(1):
        print(time.monotonic(), flush=True)
"""
SEND = """
import socket, sys, time
link = socket.create_connection((sys.argv[1], 4444))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while True:
    link.send(b"x")
    time.sleep(0.02)
"""
HEAR = """
import socket, time
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.bind(("0.0.0.0", 4444))
while True:
    link.recv(16)
    print(time.monotonic(), flush=True)
"""
SPEAK = """
import socket, sys, time
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    link.sendto(b"x", (sys.argv[1], 4444))
    time.sleep(0.02)
"""


@pytest.fixture
def in_node(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Run a Python program in the network namespace of a node's process; returns the file of its output."""
    started: list[subprocess.Popen[bytes]] = []

    def start(pid: int, program: str, *words: str) -> Path:
        out = tmp_path / f"program{len(started)}.log"
        where = ["nsenter", "-t", str(pid), "-n", sys.executable, "-c", program, *words]
        with out.open("wb") as file:
            started.append(subprocess.Popen(where, stdout=file, stderr=subprocess.STDOUT))
        return out

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def arrivals(file: Path) -> list[float]:
    return [float(line) for line in file.read_text().splitlines()]


def between(times: list[float], start: float, end: float) -> list[float]:
    return [t for t in times if start <= t <= end]


def zero_of(live: Trial) -> float:
    """The steady state on this host's monotonic clock."""
    event = live.events("steady")[0]
    wall = time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()
    return datetime.fromisoformat(event["wall"]).timestamp() - (event["t"] - event["zero"]) - wall


def test_a_stream_across_halves_stops_and_goes_on(trial, scenario, in_node):
    live = trial(
        scenario(
            "timeline:\n  - {at: 2s, for: 4s, partition: {sides: {left: [n1, n2], right: [n3, n4]}}, name: split}\n"
            "expect: []\n"
        ),
        "--json", "--keep",
    )  # fmt: skip
    live.wait_event("steady")
    status, zero = live.status(), zero_of(live)
    files = {}
    for a, b in (("n1", "n3"), ("n2", "n1"), ("n4", "n3")):
        # One listener a node and port: the second stream to n3 has a node of its own side.
        listen = LISTEN.replace("4444", "4445") if a == "n4" else LISTEN
        send = SEND.replace("4444", "4445") if a == "n4" else SEND
        files[a, b] = in_node(live.pids_of(b)[0], listen)
        time.sleep(0.15)
        in_node(live.pids_of(a)[0], send, status["nodes"][b]["address"])
    live.at(2.0)
    live.at(9.5)
    seen = {pair: arrivals(file) for pair, file in files.items()}
    across = seen["n1", "n3"]
    assert len(between(across, zero + 0.0, zero + 1.95)) > 5, "the stream was open before the split"
    assert between(across, zero + 2.1, zero + 5.95) == []
    assert len(between(across, zero + 6.0, zero + 9.5)) > 20
    for pair in (("n2", "n1"), ("n4", "n3")):
        own = between(seen[pair], zero + 2.1, zero + 5.9)
        assert len(own) > 60, pair
        assert max(b - a for a, b in itertools.pairwise(own)) < 1.5, pair


def test_a_one_way_cut_is_one_way(trial, scenario, in_node):
    live = trial(
        scenario("timeline:\n  - {at: 2s, for: 3s, cut: {from: n1, to: n2}, name: mute}\nexpect: []\n"),
        "--json", "--keep",
    )  # fmt: skip
    live.wait_event("steady")
    status, zero = live.status(), zero_of(live)
    heard = {}
    for a, b in (("n1", "n2"), ("n2", "n1")):
        heard[a, b] = in_node(live.pids_of(b)[0], HEAR)
    time.sleep(0.2)
    for a, b in heard:
        in_node(live.pids_of(a)[0], SPEAK, status["nodes"][b]["address"])
    live.at(6.0)
    cut, free = arrivals(heard["n1", "n2"]), arrivals(heard["n2", "n1"])
    assert between(cut, zero + 2.1, zero + 4.95) == []
    assert len(between(cut, zero + 5.05, zero + 6.0)) > 10
    assert len(between(free, zero + 2.1, zero + 4.95)) > 70


def test_a_node_has_one_interface_routes_and_a_working_loopback(trial, scenario):
    live = trial(scenario("timeline: []\nexpect: []\n"), command="up")
    live.wait_event("kept")
    pid, status = live.pids_of("n1")[0], live.status()

    def inside(*words: str) -> str:
        where = ["nsenter", "-t", str(pid), "-n"]
        return subprocess.run([*where, *words], text=True, capture_output=True, check=True).stdout

    links = [line.split()[1].rstrip(":").split("@")[0] for line in inside("ip", "-o", "link").splitlines()]
    assert len(links) == 2
    assert links[0] == "lo"
    assert "default" in inside("ip", "route")
    assert status["nodes"]["n1"]["address"] in inside("ip", "-4", "-o", "address")
    echo = "import socket as s; a = s.create_server(('127.0.0.1', 0)); s.create_connection(a.getsockname())"
    inside(sys.executable, "-c", echo)
