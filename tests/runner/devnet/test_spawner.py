"""The spawner's protocol, spoken over a real socket with real namespaces."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import address, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs root"),
]


class Client:
    """The agent's side of a spawner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(20)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runner.devnet.spawner"],
            env={**os.environ, "SEATRIAL_SPAWNER_FD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.gates: dict[str, int] = {}
        self._rest = b""

    def send(self, request: dict[str, Any] | bytes, *, fds: bool = True) -> None:
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        if not fds:
            self.sock.sendall(body + b"\n")
            return
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        reading, writing = os.pipe()
        name = request["name"] if isinstance(request, dict) else "?"
        self.gates[name] = writing
        socket.send_fds(self.sock, [body + b"\n"], [namespace, reading])
        os.close(namespace)
        os.close(reading)

    def ask_for(self, number: int, **config: Any) -> None:
        name = f"v{number}"
        every = {f"v{n}": {"stake": 1} for n in range(1, 5)}
        peers = {f"v{n}": address(100 + n) for n in range(1, 5)}
        own = address(100 + number)
        self.send(
            {
                "name": name,
                "log": str(self.folder / f"{name}.log"),
                "data": str(self.folder / name),
                "address": own,
                "config": {
                    "peers": peers,
                    "nodes": every,
                    "genesis": 1e9,
                    "layer": 0.3,
                    "status_host": own,
                    **config,
                },
            }
        )

    def reply(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            data = self.sock.recv(65536)
            assert data, "the spawner is gone"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))

    def open(self, *names: str) -> None:
        for name in names:
            os.write(self.gates[name], b"1")

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        self.sock.close()
        for gate in self.gates.values():
            os.close(gate)
        assert self.process.wait(20) == 0


@pytest.fixture
def client(tmp_path) -> Iterator[Client]:
    one = Client(tmp_path)
    yield one
    one.close()


def test_a_node_waits_at_its_gate_leads_a_session_and_its_end_is_reported(client):
    client.ask_for(1)
    started = client.reply()
    assert started["name"] == "v1"
    pid = started["pid"]
    wait_for(lambda: os.getsid(pid) == pid)
    time.sleep(0.2)
    assert client.log("v1") == "", "nothing happens before the gate opens"
    client.open("v1")
    wait_for(lambda: "v1 of 4 at" in client.log("v1"))
    os.kill(pid, signal.SIGKILL)
    assert client.reply() == {"name": "v1", "pid": pid, "exit": -signal.SIGKILL}


def test_a_gate_that_is_closed_ends_the_node(client):
    client.ask_for(1)
    pid = client.reply()["pid"]
    os.close(client.gates.pop("v1"))
    assert client.reply() == {"name": "v1", "pid": pid, "exit": 1}


def test_several_at_once_find_each_other(client):
    for number in range(1, 5):
        client.ask_for(number)
    pids = {reply["name"]: reply["pid"] for reply in (client.reply() for _ in range(4))}
    client.open(*pids)
    wait_for(lambda: all("(3 in all)" in client.log(name) for name in pids))
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    assert {client.reply()["exit"] for _ in pids} == {-signal.SIGTERM}


def test_the_node_holds_no_descriptors_of_the_spawner(client):
    client.ask_for(1)
    client.open("v1")
    pid = client.reply()["pid"]
    wait_for(lambda: "v1 of 4 at" in client.log("v1"))
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [one for one in held if one.startswith(("net:", "pipe:"))]
    assert os.readlink(f"/proc/{pid}/fd/1") == str(client.folder / "v1.log")
    os.kill(pid, signal.SIGKILL)
    assert client.reply()["exit"] == -signal.SIGKILL


@pytest.mark.parametrize(
    ("request_line", "says"),
    [
        (b"nonsense", "Expecting value"),
        (b"[]", "indices"),
        (b"{}", "lacks 'name'"),
        (b'{"name": "v1", "data": "x", "address": "y", "log": "z"}', "lacks 'genesis'"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused(client, request_line, says):
    client.send(request_line)
    assert says in client.reply()["error"]


def test_an_unknown_bug_and_missing_descriptors_are_refused(client):
    client.ask_for(1, bugs=["no-such"])
    assert "there is no bug 'no-such'" in client.reply()["error"]
    client.send({"name": "v1"}, fds=False)
    assert "two descriptors" in client.reply()["error"]


def test_a_node_that_cannot_start_says_why_in_its_log(client):
    client.ask_for(1, address="203.0.113.1")
    client.open("v1")
    pid = client.reply()["pid"]
    assert client.reply() == {"name": "v1", "pid": pid, "exit": 1}
    assert "v1 cannot run: " in client.log("v1")


def test_without_its_socket_it_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "runner.devnet.spawner"],
        env={k: v for k, v in os.environ.items() if k != "SEATRIAL_SPAWNER_FD"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "SEATRIAL_SPAWNER_FD" in done.stderr
