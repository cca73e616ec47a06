"""Netlink as bytes: messages, attributes, a socket that speaks them, and the rtnetlink messages of the lab.

No policy here: what is created, and in which namespace, is decided in ``lab`` and ``cuts``. Errors are
OSError with the kernel's own explanation where it gives one.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator

REQUEST, ACK, CREATE, EXCL, DUMP = 0x1, 0x4, 0x400, 0x200, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NEW = REQUEST | ACK | CREATE | EXCL

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH = 16, 17, 20, 24, 28
IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_GROUP, _IFLA_NET_NS_FD = 1, 3, 18, 27, 28
_IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 31, 32
_NESTED = 0x8000
_NUD_PERMANENT = 0x80
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_CHUNK = 48_000
"""Bytes sent at once: under the default send buffer, so that an ordinary user needs no larger one."""


def attr(kind: int, data: bytes = b"") -> bytes:
    """One attribute, padded to four bytes."""
    size = len(data) + 4
    return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)


def nest(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attr(kind | _NESTED, b"".join(parts))


def u32(value: int) -> bytes:
    """Four bytes in the machine's order."""
    return struct.pack("=I", value)


def text(value: str) -> bytes:
    """A zero-terminated string."""
    return value.encode() + b"\0"


def message(kind: int, flags: int, body: bytes, sequence: int = 0) -> bytes:
    """One netlink message with its header."""
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in ``data`` by kind (the last of a kind wins)."""
    return dict(each(data))


def each(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every attribute in ``data`` as (kind, payload)."""
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += (size + 3) & ~3


class Netlink:
    """A netlink socket of the network namespace it was opened in; it stays there."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE, buffer: int = 4 << 20) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self.socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        for force, plain in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, force, buffer)
            except PermissionError:  # an ordinary user gets what the system allows
                self.socket.setsockopt(socket.SOL_SOCKET, plain, buffer)
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self.socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def send(self, messages: Iterable[bytes]) -> int:
        """Send messages (each must ask for an acknowledgement) at once.

        Returns how many acknowledgements will come.
        """
        batch = list(messages)
        self.socket.send(b"".join(batch))
        return len(batch)

    def acknowledged(self, count: int) -> None:
        """Read ``count`` acknowledgements; raises the first error among them when all have come."""
        problem: OSError | None = None
        while count:
            for kind, _, _, body in split(self.socket.recv(1 << 16)):
                if kind == NLMSG_ERROR:
                    count -= 1
                    problem = problem or error_of(body)
        if problem:
            raise problem

    def transact(self, messages: Iterable[bytes]) -> None:
        """Send all messages in as few calls as possible and wait for every acknowledgement."""
        batch: list[bytes] = []
        size = 0
        for one in messages:
            if batch and size + len(one) > _CHUNK:
                self.acknowledged(self.send(batch))
                batch, size = [], 0
            batch.append(one)
            size += len(one)
        if batch:
            self.acknowledged(self.send(batch))

    def ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """The bodies of the answers to one request (with ``DUMP`` in ``flags``: of all its parts)."""
        self._sequence += 1
        self.socket.send(message(kind, REQUEST | flags, body, self._sequence))
        found: list[bytes] = []
        while True:
            for answer, _, sequence, data in split(self.socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue  # left over from an interrupted exchange
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    problem = error_of(data)
                    if problem:
                        raise problem
                    return found
                found.append(data)
                if flags & DUMP != DUMP:
                    return found


def split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The messages in a received block as (kind, flags, sequence, body)."""
    at = 0
    while at + 16 <= len(data):
        size, kind, flags, sequence = struct.unpack_from("=IHHI", data, at)
        yield kind, flags, sequence, data[at + 16 : at + size]
        at += (size + 3) & ~3


def error_of(body: bytes) -> OSError | None:
    """The error that an acknowledgement carries, with the kernel's text if it sent one; None for success."""
    code = -struct.unpack_from("=i", body)[0]
    if not code:
        return None
    said = attributes(body[20:]).get(1, b"").rstrip(b"\0").decode(errors="replace")
    return OSError(code, os.strerror(code) + (f" ({said})" if said else ""))


def _link_header(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, change)


def veth(name: str, address: bytes, peer: str, peer_address: bytes, peer_namespace: int, group: int) -> bytes:
    """A pair of virtual links in one message.

    ``name`` here, up and in ``group``; ``peer`` down in the other namespace.
    """
    queues = attr(_IFLA_NUM_TX_QUEUES, u32(1)) + attr(_IFLA_NUM_RX_QUEUES, u32(1))
    other = (
        _link_header()
        + attr(_IFLA_IFNAME, text(peer))
        + attr(_IFLA_ADDRESS, peer_address)
        + attr(_IFLA_NET_NS_FD, u32(peer_namespace))
        + queues
    )
    body = (
        _link_header(flags=IFF_UP, change=IFF_UP)
        + attr(_IFLA_IFNAME, text(name))
        + attr(_IFLA_ADDRESS, address)
        + attr(_IFLA_GROUP, u32(group))
        + queues
        + nest(_IFLA_LINKINFO, attr(1, b"veth\0"), nest(2, attr(1, other)))
    )
    return message(RTM_NEWLINK, NEW, body)


def link_up(index: int) -> bytes:
    """Set a link up."""
    return message(RTM_NEWLINK, REQUEST | ACK, _link_header(index, IFF_UP, IFF_UP))


def delete_group(group: int) -> bytes:
    """Delete every link of a group."""
    return message(RTM_DELLINK, REQUEST | ACK, _link_header() + attr(_IFLA_GROUP, u32(group)))


def address(index: int, ip: bytes, prefix: int) -> bytes:
    """Give a link an IPv4 address."""
    body = struct.pack("=BBBBi", socket.AF_INET, prefix, 0, 0, index) + attr(2, ip) + attr(1, ip)
    return message(RTM_NEWADDR, NEW, body)


def route(to: bytes | None, link: int, *, via: bytes | None = None) -> bytes:
    """A route of the main table to one IPv4 address (None.

    The default route), directly or ``via`` a gateway.
    """
    scope = SCOPE_UNIVERSE if via else SCOPE_LINK
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 32 if to else 0, 0, 0, 254, 4, scope, 1, 0)
    body += (attr(1, to) if to else b"") + (attr(5, via) if via else b"") + attr(4, u32(link))
    return message(RTM_NEWROUTE, NEW, body)


def neighbour(link: int, ip: bytes, hardware: bytes) -> bytes:
    """A permanent neighbour, so that nobody ever asks for it."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET, link, _NUD_PERMANENT, 0, 0)
    return message(RTM_NEWNEIGH, NEW, body + attr(1, ip) + attr(2, hardware))
