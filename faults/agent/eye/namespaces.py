"""The nodes as the eye knows them, and sockets opened inside their network namespaces.

A socket belongs for ever to the namespace in which it was made: the eye enters, makes it, and leaves again.
So it talks as the node would, reaches what listens on the node's loopback alone, and stays untouched by what
happens to the links.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A request that cannot be done: ``kind`` is ``refused``, ``missing`` or ``failed``.

    The text is for people.
    """

    def __init__(self, text: str, kind: str = "refused") -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Node:
    """A node.

    Its place in the network's order, its address, its open namespace and that namespace's identity.
    """

    name: str
    index: int
    address: str
    ns: int
    identity: tuple[int, int]

    @property
    def family(self) -> socket.AddressFamily:
        """Address family of the node's address."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET


def enter(ns: int) -> None:
    """Move this thread into the network namespace behind the descriptor; raises OSError."""
    if _libc.setns(ns, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter a node's network namespace: {os.strerror(code)}")


class Nodes:
    """All nodes by name, in order, and the ports that the eye's own TCP connections use inside them."""

    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._nodes: dict[str, Node] = {}
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self.own: set[tuple[str, int]] = set()

    def on_change(self, call: Callable[[frozenset[str]], None]) -> None:
        """Call with the names whose namespace or address changed, before it does.

        Their sockets are of no use any more.
        """
        self._listeners.append(call)

    def put(self, described: Iterable[dict[str, Any]]) -> None:
        """Add nodes, or replace those of the same name; ``"ns": null`` takes one away. All or nothing.

        Each is ``{"name", "address", "ns": path}``; the path is opened at once. Raises Refused.
        """
        fresh: dict[str, tuple[str, int, tuple[int, int]] | None] = {}
        try:
            for item in described:
                fresh[str(item["name"])] = None if item["ns"] is None else self._opened(item)
        except BaseException:
            for made in fresh.values():
                if made is not None:
                    os.close(made[1])
            raise
        changed = frozenset(n for n, made in fresh.items() if n in self._nodes and self._differs(n, made))
        for call in self._listeners:
            if changed:
                call(changed)
        for name, made in fresh.items():
            old = self._nodes.get(name)
            if old is not None and name not in changed and made is not None:
                os.close(made[1])
                continue
            if old is not None:
                os.close(old.ns)
            if made is None:
                self._nodes.pop(name, None)
            else:
                address, ns, identity = made
                index = old.index if old is not None else self._next_index()
                self._nodes[name] = Node(name, index, address, ns, identity)

    def _next_index(self) -> int:
        return max((n.index for n in self._nodes.values()), default=-1) + 1

    def _differs(self, name: str, made: tuple[str, int, tuple[int, int]] | None) -> bool:
        old = self._nodes[name]
        return made is None or (old.address, old.identity) != (made[0], made[2])

    @staticmethod
    def _opened(item: dict[str, Any]) -> tuple[str, int, tuple[int, int]]:
        name, address, path = str(item["name"]), str(item["address"]), str(item["ns"])
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        except OSError:
            raise Refused(f"node {name}: {address!r} is not an address") from None
        try:
            ns = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Refused(
                f"node {name}: cannot open its network namespace {path}: {error.strerror}", "missing"
            ) from None
        status = os.fstat(ns)
        return address, ns, (status.st_dev, status.st_ino)

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, name: str) -> Node:
        """The node of that name; raises Refused where there is none."""
        node = self._nodes.get(name)
        if node is None:
            raise Refused(f"no node is named {name!r}", "missing")
        return node

    def chosen(self, names: Iterable[str] | None) -> list[Node]:
        """The nodes of these names (None: all), in the network's order; raises Refused for an unknown one."""
        found = list(self) if names is None else [self.get(n) for n in dict.fromkeys(names)]
        return sorted(found, key=lambda n: n.index)

    @contextmanager
    def inside(self, node: Node) -> Iterator[None]:
        """Be in the node's network namespace for the length of the block.

        Raises Refused where that is impossible.
        """
        try:
            enter(node.ns)
        except OSError as error:
            raise Refused(f"node {node.name}: {error.strerror}", "failed") from None
        try:
            yield
        finally:
            enter(self._home)

    def open(self, node: Node, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A non-blocking socket that belongs to the node's namespace."""
        with self.inside(node):
            return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)

    def udp(self, node: Node, port: int, purpose: str) -> socket.socket:
        """A UDP socket bound to the node's address and ``port``.

        Raises Refused when a program of the node has the port.
        """
        sock = self.open(node, node.family, socket.SOCK_DGRAM)
        try:
            sock.bind((node.address, port))
        except OSError as error:
            sock.close()
            raise Refused(
                f"node {node.name}: UDP port {port} is needed for {purpose} but taken: {error.strerror}",
                "failed",
            ) from None
        return sock

    def close(self) -> None:
        """Give up all namespaces."""
        for node in self:
            os.close(node.ns)
        self._nodes.clear()
        os.close(self._home)
