"""Nodes as processes on real sockets of loopback addresses."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys

import pytest
from processes import PORT, Nodes, address, wait_for

from runner.devnet.frames import Frame, Hello, encode


@pytest.fixture
def four(tmp_path):
    with Nodes(tmp_path, 4) as nodes:
        nodes.start()
        wait_for(nodes.together)
        yield nodes


def test_what_the_status_says(four):
    status = four.ask("v1")
    assert set(status) == {
        "height",
        "head",
        "finalized",
        "recent",
        "peers",
        "synced",
        "state",
        "layer",
        "clock",
    }
    assert status["head"][0] == status["height"] >= status["finalized"][0]
    assert status["recent"][-1] == status["finalized"]
    assert len(status["recent"]) <= 16
    assert status["synced"] is True
    assert four.ask("v1", "/health") == {"synced": True, "peers": 3}
    assert [peer["name"] for peer in four.ask("v1", "/peers")["peers"]]
    assert "peer v2 up" in four.log("v1")
    assert " finalized " in four.log("v1")


def test_killed_nodes_go_on_from_their_disks(four):
    final = max(four.finals())
    prefix = four.ask("v1")["recent"]
    four.kill(*four.names)
    with (four.folder / "v2" / "chain.log").open("ab") as file:
        file.write(b'["v", 99')
    four.start()
    wait_for(lambda: four.together(above=final))
    line = {tuple(point) for point in four.ask("v1")["recent"]}
    assert line & {tuple(point) for point in prefix} or four.finals("v1")[0] > final + 16


def test_a_stopped_node_comes_back(four):
    four.signal(signal.SIGSTOP, "v4")
    wait_for(lambda: four.ask("v1").get("peers") == 2)
    final = four.finals("v1")[0]
    wait_for(lambda: four.finals("v1")[0] > final + 2)
    four.signal(signal.SIGCONT, "v4")
    wait_for(lambda: four.together(above=final + 2))


def test_noise_from_strangers_ends_their_connection_and_nothing_else(four):
    rng = random.Random(7)
    target = (four.addresses["v1"], PORT)
    frames = [
        encode(Frame(hello=Hello("v9", "x", "y"))),
        encode(Frame(want=0)),
        b"\x00\x00\x00\x02{}",
        b"\xff" * 9,
    ]
    for _ in range(60):
        with socket.create_connection(target, timeout=5) as sock:
            sock.sendall(rng.choice([*frames, rng.randbytes(rng.randint(1, 400))]))
    silent = [socket.create_connection(target, timeout=5) for _ in range(40)]
    final = max(four.finals())
    wait_for(lambda: four.together(above=final + 1))
    for sock in silent:
        sock.close()
    assert all(process.poll() is None for process in four.running.values())
    assert "Traceback" not in four.log("v1")


def test_a_peer_that_sends_nonsense_after_its_greeting_is_dropped(four):
    four.kill("v4")
    core_network = json.loads(four.config("v1").read_text())
    from runner.devnet.config import read
    from runner.devnet.core import Core

    network = Core(read(core_network)).network
    with socket.socket() as sock:
        sock.bind((address(4), 0))
        sock.settimeout(10)
        sock.connect((four.addresses["v1"], PORT))
        sock.sendall(encode(Frame(hello=Hello("v4", network, address(4)), ping=1.0)))
        assert sock.recv(4096), "it greets"
        rng = random.Random(3)
        strange = {
            "votes": [[2**40, "x" * 20, 0, "y", "f" * 1000]],
            "acks": [[0, "x", "ffff", "0"]],
            "want": 2**50,
        }
        body = json.dumps(strange | {"blocks": [[3, 9, "x", 200]], "head": [2**40, "z"]}).encode()
        sock.sendall(len(body).to_bytes(4, "big") + body)
        sock.sendall((50).to_bytes(4, "big") + rng.randbytes(50))
        while True:
            try:
                if not sock.recv(65536):
                    break
            except ConnectionError:
                break
    final = four.finals("v1")[0]
    wait_for(lambda: four.finals("v1")[0] > final + 1)


def test_a_node_that_cannot_run_says_why_in_a_line(tmp_path):
    with Nodes(tmp_path, 2, bugs=["no-such"]) as nodes:
        nodes.start("v1")
        assert nodes.running["v1"].wait(20) == 1
        assert nodes.log("v1").startswith("v1 cannot run: there is no bug 'no-such'; known are ")
        assert nodes.log("v1").count("\n") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "v1"}'])
def test_a_configuration_that_cannot_be_used(tmp_path, text):
    path = tmp_path / "node.json"
    path.write_text(text)
    command = [sys.executable, "-m", "runner.devnet.node", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(str(path))
    assert done.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "v1").write_text("in the way")
    with Nodes(tmp_path, 1) as nodes:
        nodes.start()
        assert nodes.running["v1"].wait(20) == 1
        assert nodes.log("v1").startswith("v1 cannot run: ")


def test_a_bug_is_run(tmp_path):
    with Nodes(tmp_path, 4, bugs=["forgets-peers"]) as nodes:
        nodes.start()
        wait_for(nodes.together)
        nodes.kill("v4")
        nodes.signal(signal.SIGSTOP, "v3")
        wait_for(lambda: nodes.ask("v1").get("peers") == nodes.ask("v2").get("peers") == 1)
        nodes.signal(signal.SIGCONT, "v3")
        wait_for(lambda: nodes.ask("v3").get("peers") == 0)
        os.kill(nodes.running["v3"].pid, 0)
