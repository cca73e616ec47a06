"""The client of a spawner: a warm program that forks nodes on request (see the agent protocol, *Spawner*)."""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from faults.agent.loop import Loop
from faults.agent.node import Emit, Node
from faults.agent.spawn import Stdio, result_of, spawn
from faults.agent.wire import LineReader

FD_NAME = "SEATRIAL_SPAWNER_FD"

Forked = Callable[[int, int | None, str | None], None]


class Spawner:
    """One spawner. ``exited`` is told of its children's ends, ``lost`` of its own."""

    def __init__(
        self,
        loop: Loop,
        emit: Emit,
        name: str,
        *,
        exited: Callable[[str, int, int | None], None],
        lost: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._name = name
        self._exited = exited
        self._lost = lost
        self._waiting: dict[str, tuple[int, Forked]] = {}
        self._unsent: deque[tuple[bytes, int, int]] = deque()
        self._socket: socket.socket | None = None
        self.pid = 0

    def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: str | None, log: str | None) -> None:
        """Start the program; raises OSError with the reason where it cannot be run."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            number = theirs.fileno()
            child = spawn(
                argv,
                env={**env, FD_NAME: str(number)},
                cwd=cwd,
                stdio=Stdio(None, log, log),
                namespace=None,
                keep=number,
            )
        error = result_of(child.status)
        os.close(child.status)
        if error:
            ours.close()
            os.waitpid(child.pid, 0)
            os.close(child.pidfd)
            raise OSError(error)
        self.pid = child.pid
        self._socket = ours
        LineReader(self._loop, ours.fileno(), self._line, self._end)
        self._loop.when_readable(child.pidfd, lambda: self._reap(child.pid, child.pidfd))

    def ask(self, node: Node, forked: Forked) -> None:
        """Have a node forked into its namespace; calls back with (pid, gate, error)."""
        if self._socket is None:
            forked(0, None, f"{node.name}: the spawner {self._name} has ended (see its log)")
            return
        gate, ours = os.pipe2(os.O_CLOEXEC)
        spec = node.spec
        request = {
            "name": node.name,
            "log": spec.log,
            "data": spec.data,
            "address": node.place.address,
            "config": spec.config,
        }
        self._waiting[node.name] = (ours, forked)
        self._unsent.append((json.dumps(request).encode() + b"\n", node.place.namespace, gate))
        self._send()

    def _send(self) -> None:
        assert self._socket is not None
        while self._unsent:
            line, namespace, gate = self._unsent[0]
            try:
                sent = socket.send_fds(self._socket, [line], [namespace, gate])
            except BlockingIOError:
                self._loop.when_writable(self._socket.fileno(), self._send)
                return
            except OSError:
                self._end()
                return
            os.close(gate)
            self._unsent.popleft()
            if sent < len(line):  # the descriptors went with the first part; the rest is short and follows
                self._socket.setblocking(True)
                self._socket.sendall(line[sent:])
                self._socket.setblocking(False)
        self._loop.when_writable(self._socket.fileno(), None)

    def _line(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            name, pid = str(said["name"]), int(said.get("pid") or 0)
        except (ValueError, KeyError, TypeError):
            self._emit("problem", text=f"the spawner {self._name} said something else than its protocol")
            return
        if "exit" in said:
            self._exited(name, pid, said["exit"])
        elif name in self._waiting:
            gate, forked = self._waiting.pop(name)
            error = said.get("error")
            if error:
                os.close(gate)
                forked(0, None, f"{name}: {error}")
            else:
                forked(pid, gate, None)

    def _end(self) -> None:
        if self._socket is None:
            return
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._socket = None
        for _, _, gate in self._unsent:
            os.close(gate)
        self._unsent.clear()
        waiting, self._waiting = self._waiting, {}
        for name, (gate, forked) in waiting.items():
            os.close(gate)
            forked(0, None, f"{name}: the spawner {self._name} ended (see its log)")
        self._lost(self._name)

    def _reap(self, pid: int, pidfd: int) -> None:
        self._loop.forget(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)
        self._end()

    def close(self) -> None:
        """End the program by closing its socket."""
        if self._socket is not None:
            self._lost = lambda _: None
            self._end()
