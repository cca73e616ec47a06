"""Network namespaces for the eye's tests.

N nodes that hang off a routed switch, and cuts made there without a packet filter. The switch picks its route
by the interface on which a packet came in, so a rule for that interface drops one direction of one pair and
nothing else. Programs of nodes are forked into their namespace and ended with the lab.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from faults.agent.eye import start

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def address(i: int) -> str:
    return f"10.78.{i // 250}.{i % 250 + 1}"


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
    if error is not None:
        raise error
    return value


def _new_namespace(small_table: bool = True) -> int:
    if _libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    if small_table:
        with open("/proc/sys/net/ipv4/tcp_child_ehash_entries", "w") as limit:
            limit.write("64")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def possible() -> bool:
    """Whether this user may make network namespaces here."""
    try:
        os.close(in_thread(_new_namespace))
    except OSError:
        return False
    return True


class Lab:
    """``n`` nodes named n0, n1, …; closes everything that it made."""

    def __init__(self, n: int) -> None:
        self.names = [f"n{i}" for i in range(n)]
        self._namespaces = in_thread(lambda: [_new_namespace() for _ in range(n + 1)])
        self._pids: list[int] = []
        self._batch(-1, ["link set lo up"])
        in_thread(self._forward)
        self._batch(-1, [line for i in range(n) for line in self._outer(i)])
        for i in range(n):
            self._batch(i, self._inner())
        self._batch(-1, [f"route add {address(i)}/32 dev v{i}" for i in range(n)])

    def _forward(self) -> None:
        self._enter(-1)
        for name in ("ip_forward", "conf/all/proxy_arp", "conf/default/proxy_arp"):
            with open(f"/proc/sys/net/ipv4/{name}", "w") as switch:
                switch.write("1")

    def _outer(self, i: int) -> list[str]:
        peer = f"peer name eth0 address {self._mac(i)} netns /proc/{os.getpid()}/fd/{self._namespaces[i]}"
        return [
            f"link add v{i} address 02:fe:00:00:00:01 type veth {peer}",
            f"link set v{i} up",
            f"neigh add {address(i)} lladdr {self._mac(i)} dev v{i} nud permanent",
        ]

    @staticmethod
    def _mac(i: int) -> str:
        return f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}"

    def _inner(self) -> list[str]:
        i = self._filling = getattr(self, "_filling", -1) + 1
        return [
            "link set lo up",
            "link set eth0 up",
            f"addr add {address(i)}/32 dev eth0",
            "neigh add 169.254.1.1 lladdr 02:fe:00:00:00:01 dev eth0 nud permanent",
            "route add 169.254.1.1 dev eth0 scope link",
            "route add default via 169.254.1.1",
        ]

    def _enter(self, i: int) -> None:
        if _libc.setns(self._namespaces[i], _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def _batch(self, i: int, lines: list[str]) -> None:
        def run() -> None:
            self._enter(i)
            subprocess.run(
                ["ip", "-batch", "-"],
                input="\n".join(lines) + "\n",
                text=True,
                check=True,
                capture_output=True,
            )

        in_thread(run)

    def inside(self, i: int, call: Callable[[], Any]) -> Any:
        """The value of ``call`` in node i's namespace."""

        def run() -> Any:
            self._enter(i)
            return call()

        return in_thread(run)

    def cut(self, *pairs: tuple[int, int]) -> None:
        """Drop what node a sends to node b, for each (a, b)."""
        self._batch(-1, [f"rule add iif v{a} to {address(b)} blackhole" for a, b in pairs])

    def heal(self, *pairs: tuple[int, int]) -> None:
        self._batch(-1, [f"rule del iif v{a} to {address(b)} blackhole" for a, b in pairs])

    def link(self, i: int, state: str) -> None:
        self._batch(-1, [f"link set v{i} {state}"] + ([self._outer(i)[2]] if state == "up" else []))
        if state == "up":
            self._batch(-1, [f"route replace {address(i)}/32 dev v{i}"])

    def renew(self, i: int) -> None:
        """Give node i a new namespace under the same name and address."""
        os.close(self._namespaces[i])
        self._namespaces[i] = in_thread(_new_namespace)
        with contextlib.suppress(subprocess.CalledProcessError):  # it may have gone with the old namespace
            self._batch(-1, [f"link del v{i}"])
        self._batch(-1, self._outer(i))
        self._filling = i - 1
        self._batch(i, self._inner())
        self._batch(-1, [f"route replace {address(i)}/32 dev v{i}"])

    def fork(self, i: int, program: Callable[[], None]) -> int:
        """Run ``program`` as a process of its own in node i's namespace; returns its pid."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self._enter(i)
                os.closerange(3, 1024)  # above all the other end of an eye's stream
                program()
                code = 0
            finally:
                os._exit(code)
        self._pids.append(pid)
        return pid

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)
        if number == signal.SIGSTOP:
            os.waitpid(pid, os.WUNTRACED)  # threads stop one after another
        if number == signal.SIGKILL:
            os.waitpid(pid, 0)
            self._pids.remove(pid)

    def described(self, *which: int) -> list[dict[str, Any]]:
        """Nodes as the agent announces them."""
        return [
            {
                "name": self.names[i],
                "address": address(i),
                "ns": f"/proc/{os.getpid()}/fd/{self._namespaces[i]}",
            }
            for i in (which or range(len(self.names)))
        ]

    def close(self) -> None:
        for pid in list(self._pids):
            self.kill(pid)
        for fd in self._namespaces:
            os.close(fd)


class EyeClient:
    """An eye of one's own and the other end of its stream."""

    def __init__(self, lab: Lab | None = None) -> None:
        ours, its = socket.socketpair()
        self.pid = start(its)
        self._sock = ours
        self._sock.settimeout(20)
        self._stream = ours.makefile("rb")
        self._number = 0
        self.events: list[dict[str, Any]] = []
        if lab is not None:
            self.ask("nodes", nodes=lab.described())

    def send(self, do: str, **fields: Any) -> int:
        self._number += 1
        self._sock.sendall(json.dumps({"id": self._number, "do": do, "eye": True, **fields}).encode() + b"\n")
        return self._number

    def reply(self, number: int) -> dict[str, Any]:
        while True:
            message = self._next()
            if message.get("id") == number:
                return message
            self.events.append(message)

    def ask(self, do: str, **fields: Any) -> Any:
        reply = self.reply(self.send(do, **fields))
        assert "ok" in reply, reply
        return reply["ok"]

    def refused(self, do: str, **fields: Any) -> dict[str, Any]:
        reply = self.reply(self.send(do, **fields))
        assert "error" in reply, reply
        return reply

    def _next(self) -> dict[str, Any]:
        line = self._stream.readline()
        assert line, "the eye has ended"
        message: dict[str, Any] = json.loads(line)
        return message

    def event(self, name: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next event of the name for which ``wanted`` holds; earlier ones of that name are dropped."""
        for i, message in enumerate(self.events):
            if message.get("event") == name and wanted(message):
                self.events = [e for j, e in enumerate(self.events) if j > i or e.get("event") != name]
                return message
        self.events = [e for e in self.events if e.get("event") != name]
        end = time.monotonic() + 15
        while time.monotonic() < end:
            message = self._next()
            if message.get("event") == name and wanted(message):
                return message
            if message.get("event") != name:
                self.events.append(message)
        raise AssertionError(f"no {name} event")

    def listen(self, seconds: float) -> list[dict[str, Any]]:
        """All events of the next seconds, with those that have come before."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            number = self.send("tail", files={}, patterns={})
            self.reply(number)
            time.sleep(min(0.05, left))
        events, self.events = self.events, []
        return events

    def close(self) -> int:
        """End the stream; returns the exit status of the eye."""
        self._stream.close()
        self._sock.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
