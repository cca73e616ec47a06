"""The lab: one network namespace for each node, all joined by the *switch*, the namespace of the agent.

It is routed, not bridged. Every node has one address of its own (a /32), one interface, a default route to a
gateway that is a permanent neighbour, and a loopback; the switch has a route and a neighbour for each. So
there is no ARP to lose, no limit on ports, and the cuts in the switch see every packet between nodes once.
IPv6 is switched off in all of it: a cut that leaves another way open would be none. Namespaces are held by
file descriptor; nothing is left on disk, and all is gone when the last process that holds them ends.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

from faults.agent import netlink
from faults.agent.netlink import Netlink
from faults.agent.syscalls import CLONE_NEWNET, net_namespace, setns, unshare

_PER_NET = 254
_MOST = _PER_NET * 256
_GATEWAY = socket.inet_aton("169.254.1.1")
_GATEWAY_HARDWARE = bytes.fromhex("02fe00000001")
_GROUP = 7
_INSIDE = 2
"""The index of a node's interface: the loopback is 1, and its namespace has nothing else."""
_AT_ONCE = 200
"""Nodes made at once; each holds a netlink socket for the while."""


def address(index: int) -> str:
    """The IPv4 address of the node with this index (from 1): 10.77.0.1 and on, without .0 and .255.

    Raises ValueError beyond 65024 nodes.
    """
    if not 1 <= index <= _MOST:
        raise ValueError(f"a lab holds 1 to {_MOST} nodes; there is no address for number {index}")
    net, host = divmod(index - 1, _PER_NET)
    return f"10.77.{net}.{host + 1}"


class Place:
    """Where a node lives.

    Its number, address, namespace (an open file descriptor) and that namespace's inode.
    """

    __slots__ = ("address", "index", "inode", "namespace")

    def __init__(self, index: int, namespace: int) -> None:
        self.index = index
        self.address = address(index)
        self.namespace = namespace
        self.inode = os.fstat(namespace).st_ino


class Lab:
    """The switch and the places that hang off it.

    Made in the agent's main thread, whose namespace becomes the switch.
    """

    def __init__(self) -> None:
        self.switch = net_namespace()
        self.places: list[Place] = []
        self._netlink = Netlink()
        _sysctl("ipv6/conf/all/disable_ipv6", "1")
        _sysctl("ipv6/conf/default/disable_ipv6", "1")
        # What is made after this gets a small table of its own: a dump of its sockets is ten times faster.
        _sysctl("ipv4/tcp_child_ehash_entries", "64")
        _sysctl("ipv4/ip_forward", "1")
        # With an address of its own the switch can talk to nodes, past all cuts: it forwards nothing then.
        self._netlink.transact([netlink.link_up(1), netlink.address(1, _GATEWAY, 32)])

    def add(self, count: int) -> list[Place]:
        """Make ``count`` more places, complete with links, addresses and routes.

        Raises OSError or ValueError.
        """
        first = len(self.places) + 1
        address(first + count - 1)
        added: list[Place] = []
        for start in range(first, first + count, _AT_ONCE):
            added += self._add(range(start, min(start + _AT_ONCE, first + count)))
        return added

    def _add(self, numbers: Sequence[int]) -> list[Place]:
        made: list[tuple[Place, Netlink]] = []
        try:
            try:
                for number in numbers:
                    made.append(self._namespace(number))
            finally:
                setns(self.switch)
            self._join([place for place, _ in made])
            for place, inside in made:
                inside.send(_inside(place))
            for _, inside in made:
                inside.acknowledged(6)
        finally:
            for _, inside in made:
                inside.close()
        places = [place for place, _ in made]
        self.places += places
        return places

    def _namespace(self, number: int) -> tuple[Place, Netlink]:
        setns(self.switch)  # the new one takes its defaults from where it is made
        unshare(CLONE_NEWNET)
        _sysctl("ipv6/conf/all/disable_ipv6", "1")
        _sysctl("ipv6/conf/default/disable_ipv6", "1")
        return Place(number, net_namespace()), Netlink(buffer=1 << 16)

    def _join(self, places: Sequence[Place]) -> None:
        pairs = [
            netlink.veth(f"v{p.index}", _GATEWAY_HARDWARE, "eth0", _hardware(p.index), p.namespace, _GROUP)
            for p in places
        ]
        self._netlink.transact(pairs)
        links = {name: index for index, name in socket.if_nameindex()}
        ways: list[bytes] = []
        for p in places:
            link, ip = links[f"v{p.index}"], socket.inet_aton(p.address)
            ways += [netlink.route(ip, link), netlink.neighbour(link, ip, _hardware(p.index))]
        self._netlink.transact(ways)

    def close(self) -> None:
        """Take all links away and let go of the namespaces (they live on while a process is in them)."""
        if self.places:
            self._netlink.transact([netlink.delete_group(_GROUP)])
        for place in self.places:
            os.close(place.namespace)
        self.places = []
        self._netlink.close()
        os.close(self.switch)


def _inside(place: Place) -> list[bytes]:
    """What a place's own namespace is told: six requests."""
    return [
        netlink.link_up(1),
        netlink.link_up(_INSIDE),
        netlink.address(_INSIDE, socket.inet_aton(place.address), 32),
        netlink.neighbour(_INSIDE, _GATEWAY, _GATEWAY_HARDWARE),
        netlink.route(_GATEWAY, _INSIDE),
        netlink.route(None, _INSIDE, via=_GATEWAY),
    ]


def _hardware(index: int) -> bytes:
    return b"\x02\x00" + struct.pack(">I", index)


def _sysctl(name: str, value: str) -> None:
    """Set a value of the calling thread's network namespace; one that this kernel lacks is left alone."""
    try:
        handle = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.write(handle, value.encode())
    finally:
        os.close(handle)
