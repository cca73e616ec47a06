"""A spawner by the letter of the agent protocol: forks a sleeper, or what ``config`` asks for."""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import sys
import time

_libc = ctypes.CDLL(None)


def main() -> None:
    """Serve until the agent closes the socket."""
    agent = socket.socket(fileno=int(os.environ["SEATRIAL_SPAWNER_FD"]))
    rest = b""
    descriptors: list[int] = []
    while True:
        if select.select([agent], [], [], 0.01)[0]:
            data, fds, _, _ = socket.recv_fds(agent, 1 << 16, 16)
            if not data:
                return
            descriptors += fds
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                fork(agent, json.loads(line), descriptors)
        reap(agent)


names: dict[int, str] = {}


def fork(agent: socket.socket, asked: dict, descriptors: list[int]) -> None:
    """One node."""
    namespace, gate = descriptors.pop(0), descriptors.pop(0)
    if asked["config"].get("die"):
        sys.exit(3)
    if asked["config"].get("refuse"):
        agent.sendall(json.dumps({"name": asked["name"], "error": "not this one"}).encode() + b"\n")
        return
    pid = os.fork()
    if pid == 0:
        _libc.setns(namespace, 0)
        os.setsid()
        if asked["log"]:
            os.dup2(os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
        if not os.read(gate, 1):
            os._exit(9)
        os.write(1, f"{asked['name']} {asked['address']}\n".encode())
        time.sleep(asked["config"].get("sleep", 1000))
        os._exit(5)
    names[pid] = asked["name"]
    os.close(namespace)
    os.close(gate)
    agent.sendall(json.dumps({"name": asked["name"], "pid": pid}).encode() + b"\n")


def reap(agent: socket.socket) -> None:
    """Tell of children that ended."""
    while names:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        agent.sendall(json.dumps({"name": names.pop(pid), "pid": pid, "exit": code}).encode() + b"\n")


main()
