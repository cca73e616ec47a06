"""A node as a process: sockets, disk and clock around the core.

``python -m runner.devnet.node --config FILE`` runs one.

What comes from peers is dealt with at most once a tick (a twentieth of a layer), so that a hundred nodes fit
on two cores; the status API is answered at once.
"""

from __future__ import annotations

import argparse
import errno
import json
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.devnet.bugs import build
from runner.devnet.config import BadConfig, Config, read
from runner.devnet.core import Core
from runner.devnet.disk import Disk
from runner.devnet.events import (
    Accepted,
    Action,
    Close,
    Closed,
    Dial,
    Dialled,
    Event,
    Log,
    Now,
    Received,
    Send,
    Store,
    Tick,
)
from runner.devnet.frames import Malformed, Splitter, encode
from runner.devnet.status import StatusServer

MAX_UNSENT = 1 << 20
IP_BIND_ADDRESS_NO_PORT = 24


def read_clocks() -> Now:
    """The instant, by this process's own clocks (which a fault may bend: that is their point)."""
    return Now(time.time(), time.monotonic())  # noqa: TID251 - a node of the network has a clock of its own


@dataclass
class _Connection:
    link: int
    sock: socket.socket
    standing: bool
    splitter: Splitter = field(default_factory=Splitter)
    unsent: bytearray = field(default_factory=bytearray)


class Node:
    """Runs a core on real sockets until the process is ended.

    Raises ``OSError`` where an address or the disk cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._tick_s = min(0.1, max(0.01, config.layer_s / 20))
        self._disk = Disk(config.data)
        self.core: Core = build(config)(config, self._disk.read())
        self._connections: dict[int, _Connection] = {}
        self._by_fd: dict[int, _Connection] = {}
        self._unwritten: list[Sequence[Any]] = []
        self._lines: list[str] = []
        self._next_link = 0
        self._listener = socket.create_server((config.address, config.port), backlog=128)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._status = StatusServer(config.status_host, config.status_port, self._answer)
        self._both = select.epoll()
        self._both.register(self._epoll, select.EPOLLIN)
        self._both.register(self._status.epoll, select.EPOLLIN)

    # -- the loop --

    def run(self) -> None:
        """Runs for ever."""
        config, final = self.config, self.core.ledger.finalized
        count = len(config.names)
        self._log(f"{config.name} of {count} at {config.address}:{config.port}, finalized {final.height}")
        ran = 0.0
        due = time.monotonic()
        while True:
            self._quiet_until(ran + self._tick_s)
            ready = self._wait(due)
            if not ready and time.monotonic() < due:
                continue
            if ready:
                self._receive()
            self._carry_out(self.core.handle(read_clocks(), Tick()))
            self._write_out()
            ran = time.monotonic()
            due = ran + self.core.due_s(read_clocks())

    def _quiet_until(self, end: float) -> None:
        """Answers only the status API."""
        while (left := end - time.monotonic()) > 0:
            if self._status_ready(left):
                self._status.serve()

    def _status_ready(self, within_s: float) -> bool:
        return bool(select.select([self._status.epoll], [], [], within_s)[0])

    def _wait(self, due: float) -> bool:
        """Waits until something is due or ready; whether it is the peers who are."""
        peers = False
        for fd, _ in self._both.poll(max(0.0, due - time.monotonic())):
            if fd == self._status.epoll.fileno():
                self._status.serve()
            else:
                peers = True
        return peers

    # -- sockets --

    def _receive(self) -> None:
        for fd, event in self._epoll.poll(0, 256):
            if fd == self._listener.fileno():
                self._accept()
                continue
            connection = self._by_fd.get(fd)
            if connection is not None:
                self._stir(connection, event)

    def _accept(self) -> None:
        for _ in range(32):
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._next_link += 1
            self._adopt(_Connection(self._next_link, sock, standing=True), select.EPOLLIN)
            self._tell(Accepted(self._next_link))

    def _adopt(self, connection: _Connection, events: int) -> None:
        connection.sock.setblocking(False)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.link] = connection
        self._by_fd[connection.sock.fileno()] = connection
        self._epoll.register(connection.sock, events)

    def _stir(self, connection: _Connection, event: int) -> None:
        if not connection.standing:
            if connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._lost(connection)
                return
            connection.standing = True
            self._epoll.modify(connection.sock, select.EPOLLIN)
            self._tell(Dialled(connection.link))
            return
        if event & select.EPOLLOUT:
            self._push(connection)
        if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(connection)
            return
        try:
            frames = connection.splitter.feed(data)
        except Malformed:
            self._tell(Received(connection.link, None))
            return
        for frame in frames:
            if connection.link in self._connections:
                self._tell(Received(connection.link, frame))

    def _push(self, connection: _Connection) -> None:
        try:
            sent = connection.sock.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the reading side will say that it is gone
        before = bool(connection.unsent)
        del connection.unsent[:sent]
        if connection.unsent or before:
            out = select.EPOLLOUT if connection.unsent else 0
            self._epoll.modify(connection.sock, select.EPOLLIN | out)

    def _forget(self, connection: _Connection) -> None:
        self._connections.pop(connection.link, None)
        self._by_fd.pop(connection.sock.fileno(), None)
        connection.sock.close()

    def _lost(self, connection: _Connection) -> None:
        self._forget(connection)
        self._tell(Closed(connection.link))

    # -- what the core wants --

    def _tell(self, event: Event) -> None:
        self._carry_out(self.core.handle(read_clocks(), event))

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Store):
                self._unwritten.append(action.record)
            elif isinstance(action, Send):
                self._send(action)
            elif isinstance(action, Log):
                self._log(action.text)
            elif isinstance(action, Dial):
                self._dial(action)
            elif isinstance(action, Close) and action.link in self._connections:
                self._forget(self._connections[action.link])

    def _send(self, action: Send) -> None:
        self._write_disk()  # a vote must be on disk before anybody can have it
        connection = self._connections.get(action.link)
        if connection is None:
            return
        waiting = bool(connection.unsent)
        connection.unsent += encode(action.frame)
        if len(connection.unsent) > MAX_UNSENT:
            self._lost(connection)
        elif not waiting:
            self._push(connection)

    def _dial(self, action: Dial) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self.config.address, 0))
            code = sock.connect_ex((action.address, self.config.port))
        except OSError as why:
            code = why.errno or errno.EINVAL
        if code in (0, errno.EINPROGRESS):
            self._adopt(_Connection(action.link, sock, standing=False), select.EPOLLOUT)
        else:
            sock.close()
            self._tell(Closed(action.link))

    # -- disk, log, status --

    def _write_disk(self) -> None:
        if self._unwritten:
            self._disk.append(self._unwritten)
            self._unwritten.clear()

    def _write_out(self) -> None:
        self._write_disk()
        if self._lines:
            text, self._lines = "".join(self._lines), []
            sys.stdout.write(text)
            sys.stdout.flush()

    def _log(self, text: str) -> None:
        wall = read_clocks().wall
        stamp = time.strftime("%H:%M:%S", time.gmtime(wall))
        self._lines.append(f"{stamp}.{int(wall % 1 * 1000):03d} {text}\n")

    def _answer(self, path: str) -> tuple[int, Any]:
        self._write_disk()  # nothing is told that a crash could take back
        facts = self.core.facts(read_clocks())
        if path == "/status":
            return 200, facts
        if path == "/peers":
            return 200, {"peers": self.core.peer_facts()}
        if path == "/health":
            return (200 if facts["synced"] else 503), {"synced": facts["synced"], "peers": facts["peers"]}
        return 404, {"error": "there is /status, /peers and /health"}


def run(config: Config) -> int:
    """Runs a node; the exit code when it cannot."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        Node(config).run()
    except (OSError, BadConfig) as why:
        print(f"{config.name} cannot run: {why}", flush=True)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the configuration and runs."""
    parser = argparse.ArgumentParser(prog="python -m runner.devnet.node", description=__doc__)
    parser.add_argument("--config", required=True, help="a JSON file, see runner.devnet.config")
    options = parser.parse_args(argv)
    try:
        with open(options.config, encoding="utf-8") as file:
            config = read(json.load(file))
    except (OSError, ValueError, TypeError, AttributeError) as why:
        print(f"{options.config}: {why}", file=sys.stderr)
        return 2
    return run(config)


if __name__ == "__main__":
    sys.exit(main())
