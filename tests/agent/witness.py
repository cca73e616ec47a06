"""Witnesses from outside the agent: sockets in the nodes' namespaces, and the host's processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from agent_client import Agent, node

from tests import public

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PORT = 5


def others_python() -> str:
    """An interpreter that every user may run."""
    if all(os.stat(d).st_mode & 1 for d in _above(os.path.realpath(sys.executable))):
        return sys.executable
    found = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(p, os.X_OK)), None)
    return found or pytest.skip("there is no interpreter that an ordinary user may run")


def _above(path: str) -> Iterable[str]:
    while path != "/":
        yield path
        path = os.path.dirname(path)


def started_as(who: str) -> Agent:
    """An agent started by ``root`` or by ``nobody`` (whoever runs the tests, where that is not root)."""
    if who == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    if who == "nobody" and os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv")
        prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        agent = public.checkout() / "faults" / "agent" / "__main__.py"
        return Agent(prefix=prefix, python=others_python(), agent=agent)
    return Agent()


def in_thread(call: Callable[[], Any]) -> Any:
    """Run where a change of namespace does no harm."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append((call(), None))
        except BaseException as error:
            result.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = result[0]
    if error:
        raise error
    return value


def inside(namespace: int, call: Callable[[], Any]) -> Any:
    """Call in a network namespace (an open descriptor)."""

    def moved() -> Any:
        if _libc.setns(namespace, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        return call()

    return in_thread(moved)


def host_pid(agent: Agent, pid: int) -> int:
    """The host's pid of a process that the agent calls ``pid``."""
    theirs = {os.stat(f"/proc/{p}/ns/pid").st_ino for p in _children(agent.process.pid)}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdecimal() and os.stat(f"/proc/{name}/ns/pid").st_ino in theirs:
                status = dict(x.split(":", 1) for x in Path(f"/proc/{name}/status").read_text().splitlines())
                if int(status["NSpid"].split()[-1]) == pid:
                    return int(name)
    raise LookupError(f"no process {pid} of the agent")


def _children(pid: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdecimal():
                stat = Path(f"/proc/{name}/stat").read_text()
                if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(name))
    return found


def family(agent: Agent) -> set[int]:
    """All live processes of the agent (host's pids): those of its pid namespace, and the outer one."""
    spaces = {os.stat(f"/proc/{p}/ns/pid").st_ino for p in _children(agent.process.pid)}
    found = {agent.process.pid}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdecimal() and os.stat(f"/proc/{name}/ns/pid").st_ino in spaces:
                found.add(int(name))
    return found


def alive(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(what: Callable[[], bool], within: float = 10.0) -> bool:
    """Look again until it is so; False if it was not in time."""
    deadline = time.monotonic() + within
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Lab:
    """An agent with n running nodes (``n1``…), and a witness in each of their namespaces."""

    def __init__(self, agent: Agent, count: int) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can look into the agent's namespaces from outside")
        self.agent = agent
        self.names = [f"n{i}" for i in range(1, count + 1)]
        self.addresses = agent.ask("create", nodes=[node(n) for n in self.names])["addresses"]
        started = agent.ask("start", nodes=self.names)
        assert not started["errors"]
        self.pids = started["pids"]
        self.host_pids = {name: host_pid(agent, pid) for name, pid in self.pids.items()}
        self._spaces = {
            n: os.open(f"/proc/{p}/ns/net", os.O_RDONLY | os.O_CLOEXEC) for n, p in self.host_pids.items()
        }
        self._udp = {n: self.socket(n, socket.SOCK_DGRAM, _PORT) for n in self.names}
        self._round = 0
        for one in self._udp.values():
            one.setblocking(False)

    def inside(self, name: str, call: Callable[[], Any]) -> Any:
        """Call in a node's network namespace."""
        return inside(self._spaces[name], call)

    def socket(self, name: str, kind: int, port: int = 0) -> socket.socket:
        """A socket of a node's namespace, bound to its address."""

        def make() -> socket.socket:
            one = socket.socket(socket.AF_INET, kind)
            one.bind((self.addresses[name], port))
            return one

        made: socket.socket = self.inside(name, make)
        return made

    def reach(self, expected: set[tuple[str, str]] | None = None) -> set[tuple[str, str]]:
        """The ordered pairs whose datagrams arrive; ends early once all expected have and it was quiet."""
        self._round += 1
        mark = str(self._round).encode()
        by_address = {a: n for n, a in self.addresses.items()}
        for name, one in self._udp.items():
            for other, to in self.addresses.items():
                if other != name:
                    one.sendto(mark, (to, _PORT))
        seen: set[tuple[str, str]] = set()
        with selectors.DefaultSelector() as selector:
            for name, one in self._udp.items():
                selector.register(one, selectors.EVENT_READ, name)
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline:
                quiet = 0.02 if expected is None or seen >= expected else 0.5
                ready = selector.select(quiet)
                if not ready:
                    break
                for key, _ in ready:
                    data, (sender, _) = key.fileobj.recvfrom(64)  # type: ignore[union-attr]
                    if data == mark:
                        seen.add((by_address[sender], key.data))
        return seen

    def everything(self) -> set[tuple[str, str]]:
        """All ordered pairs."""
        return {(a, b) for a in self.names for b in self.names if a != b}

    def close(self) -> None:
        """Let go of sockets and namespaces."""
        for one in self._udp.values():
            one.close()
        for fd in self._spaces.values():
            os.close(fd)


_TRY = """import socket, sys
try:
    socket.create_connection((sys.argv[1], 1), 2)
except ConnectionRefusedError:
    print("there")
"""


def answers(agent: Agent, node: str, address: str) -> bool:
    """Whether a program in the node's namespace gets an answer (a refusal) from that address."""
    said = agent.ask("command", argv=[others_python(), "-I", "-S", "-c", _TRY, address], node=node)
    return bool(said["out"].strip() == "there")


def cuts(blocks: Sequence[Sequence[str]], *pairs: tuple[int, int]) -> dict[str, Any]:
    """A STATE with nothing but cuts."""
    return {"cuts": {"blocks": [list(b) for b in blocks], "cut": [list(p) for p in pairs]}}
